"""The plan of a run: which sources are cut, from which images, in which order, in which parts.

The order is that of the sets of files as the catalogue names them first, then of the rows on disk,
so that each file is read once from its beginning to its end. A part is a run of sources of fixed
number: the unit of work, of a shard, of resuming and of distribution. Within a part, those that are
read together are in the order of their size, since windows of one size are shaped together. Nothing
of it depends on how many workers there are.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from snapdb.bulk.catalogue.arrow import from_texts, take_texts, to_strings, view_texts
from snapdb.bulk.planning.placing import number_runs, place_windows, window_sizes
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.planning.sources import Channel, PlaneFile, get_wcs
from snapdb.errors import SnapdbError
from snapdb.types import BoolArray, FloatArray, IntArray

WINDOW_BYTES = 2**31
"""A window whose float32 pixels take more is refused."""
OFF_IMAGE, NO_SIZE, TOO_LARGE, NO_IMAGE = "off_image", "no_size", "too_large", "no_image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A source of which no stamp is made."""

    row: int
    """Of the catalogue, from 0."""
    source_id: str
    code: str
    """A word: ``off_image``, ``no_size``, or the code of the error of its image."""
    text: str
    """What, where, what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceBlock:
    """Some sources, column by column; arrays of shape (n,)."""

    row: IntArray
    """Of the catalogue, from 0."""
    source_id: Any
    """Texts: a list or an Arrow array."""
    ra: FloatArray
    dec: FloatArray
    pixels: FloatArray
    """Diameter in pixels, NaN where it is not said."""
    arcsec: FloatArray
    """Diameter in arcseconds, NaN where it is not said."""
    image_set: IntArray
    """Which set of channels."""

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: Any) -> "SourceBlock":
        """Give some of them, by an array of places, a mask or a slice."""
        ids = self.source_id
        if isinstance(index, slice):
            ids = ids[index]
        else:
            places = np.flatnonzero(index) if index.dtype == np.bool_ else index
            ids = _take(ids, places)
        columns = {n: getattr(self, n)[index] for n in _NUMBERS}
        return SourceBlock(source_id=ids, **columns)


_NUMBERS = ("row", "ra", "dec", "pixels", "arcsec", "image_set")
_WHOLE = ("row", "image_set", "line", "size")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A run of sources in the order of the plan: plain values that travel to workers."""

    index: int
    start: int
    """Place of its first stamp among all."""
    sources: SourceBlock
    """``image_set`` counts the part's own sets."""
    image_sets: tuple[tuple[Channel, ...], ...]
    image_numbers: tuple[tuple[int, ...], ...]
    """Number of each channel in the table of images, set by set."""

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Everything that a run will do."""

    sources: SourceBlock
    """In the order of the stamps."""
    image_sets: tuple[tuple[Channel, ...], ...]
    refused: tuple[Refusal, ...]
    lines: IntArray
    """Where on its first image the window of each source begins, rows."""
    part_stamps: int
    """Stamps of a part; the last may have fewer."""
    rows: int
    """Sources of the catalogue."""

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def part_count(self) -> int:
        """How many parts there are."""
        return -(-len(self) // self.part_stamps)

    def images(self) -> list[Channel]:
        """List the images, each once, in the order of their first use."""
        found: dict[int, Channel] = {}
        for channels in self.image_sets:
            for channel in channels:
                found.setdefault(id(channel), channel)
        return list(found.values())

    def parts(self, wanted: Iterable[int] | None = None) -> Iterator[Part]:
        """Give parts, all by default.

        Parameters
        ----------
        wanted : iterable of int, optional
            Their numbers.
        """
        numbers = {id(c): n for n, c in enumerate(self.images())}
        for index in range(self.part_count) if wanted is None else wanted:
            start = index * self.part_stamps
            chosen = self.sources.take(slice(start, start + self.part_stamps))
            used, own = np.unique(chosen.image_set, return_inverse=True)
            sets = tuple(self.image_sets[i] for i in used.tolist())
            columns = {n: getattr(chosen, n) for n in _NUMBERS if n != "image_set"}
            yield Part(
                index=index,
                start=start,
                sources=SourceBlock(source_id=_apart(chosen.source_id), image_set=own, **columns),
                image_sets=sets,
                image_numbers=tuple(tuple(numbers[id(c)] for c in channels) for channels in sets),
            )

    def no_part(self) -> Part:
        """Give a part without any source: the shape of the tables of a run that makes no stamp."""
        nothing = self.sources.take(slice(0, 0))
        return Part(index=0, start=0, sources=nothing, image_sets=(), image_numbers=())

    def digest(self) -> str:
        """Give a text that changes with the sources, their order, their images and their parts."""
        made = hashlib.blake2b(digest_size=16)
        for name in _NUMBERS:
            made.update(np.ascontiguousarray(getattr(self.sources, name)).data)
        for held in view_texts(self.sources.source_id):
            made.update(held.data)
        for channels in self.image_sets:
            for channel in channels:
                files = [(p.path, _stamp(p)) for p in (channel.data, *channel.planes.values())]
                made.update(repr((files, channel.factor)).encode())
        made.update(repr((self.part_stamps, self.rows, len(self.refused))).encode())
        return made.hexdigest()


def _stamp(plane: PlaneFile) -> tuple[int, ...]:
    """Tell a file from a changed one: by its size and time, and where the plane lies in it."""
    if plane.record is not None:
        return plane.record.file_size, plane.record.file_mtime_ns, plane.layout.offset
    found = Path(plane.path).stat()
    return found.st_size, found.st_mtime_ns, plane.layout.offset


def _take(ids: Any, places: IntArray) -> Any:
    """Give some ids."""
    if isinstance(ids, list):
        return [ids[i] for i in places.tolist()]
    return ids[places] if isinstance(ids, np.ndarray) else take_texts(ids, places)


def _apart(ids: Any) -> Any:
    """Give ids that bring no others with them: a slice of an Arrow array travels with the whole of it."""
    if isinstance(ids, list):
        return ids
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    return pa.concat_arrays([ids])


def _as_texts(ids: Any) -> list[str]:
    """Give ids as plain texts."""
    return to_strings(ids) if hasattr(ids, "buffers") else list(ids)


def make_plan(
    blocks: Iterable[SourceBlock],
    image_sets: Sequence[tuple[Channel, ...] | SnapdbError],
    recipe: Recipe,
    *,
    refused: Sequence[Refusal] = (),
    rows: int | None = None,
) -> Plan:
    """Decide what a run does.

    Parameters
    ----------
    blocks : iterable of SourceBlock
        The sources, a piece at a time.
    image_sets : sequence
        Sets of channels by number, or why a set cannot be used; it may grow while blocks are taken.
    recipe : Recipe
        How stamps are made.
    refused : sequence of Refusal
        Sources that were refused before.
    rows : int, optional
        Sources of the catalogue; those of the blocks and the refused ones by default.

    Returns
    -------
    Plan
        With every source either in it or among the refused.
    """
    found = list(refused)
    kept: dict[str, list[Any]] = {name: [] for name in (*_NUMBERS, "source_id", "line", "size")}
    for given in blocks:
        pixels, arcsec = fill_sizes(given.pixels, given.arcsec, recipe)
        block = replace(given, pixels=pixels, arcsec=arcsec)
        good, line, size = _judge(block, image_sets, recipe, found)
        chosen = block.take(good)
        ids = from_texts(_as_texts(chosen.source_id))  # a tenth of what they take as objects
        columns = {name: getattr(chosen, name) for name in _NUMBERS}
        for name, values in (columns | {"source_id": ids, "line": line[good], "size": size[good]}).items():
            kept[name].append(values)
    usable = tuple(s if isinstance(s, tuple) else () for s in image_sets)
    row, image_set, lines, sizes = (_join(kept, name) for name in ("row", "image_set", "line", "size"))
    order = np.lexsort((row, lines, image_set))
    part_stamps = recipe.part_stamps
    if recipe.raw:
        channels = np.array([len(s) for s in usable], np.int64)[image_set]
        part_stamps = _fit((4 * channels * sizes**2)[order], part_stamps, recipe.part_bytes)
    order = _sort_by_size(order, image_set, sizes, part_stamps, recipe.run_pixels)
    return Plan(
        sources=SourceBlock(
            row=row[order],
            image_set=image_set[order],
            source_id=_take(_join(kept, "source_id"), order),
            **{name: _join(kept, name)[order] for name in ("ra", "dec", "pixels", "arcsec")},
        ),
        image_sets=usable,
        refused=tuple(sorted(found, key=lambda r: r.row)),
        lines=lines[order],
        part_stamps=part_stamps,
        rows=len(row) + len(found) if rows is None else rows,
    )


def _fit(size: IntArray, part_stamps: int, room: int) -> int:
    """Give a number of stamps a part so that none, its greatest stamp aside, takes more than the room.

    Parameters
    ----------
    size : array of int, shape (n,)
        Bytes of stamps that are kept as they were cut, in the order of the plan.
    part_stamps : int
        The most that there shall be.
    room : int
        Bytes.
    """
    while part_stamps > 1 and len(size):
        starts = np.arange(0, len(size), part_stamps)
        total, greatest = np.add.reduceat(size, starts), np.maximum.reduceat(size, starts)
        if (total - greatest).max() <= room:
            break
        part_stamps //= 2
    return part_stamps


def _sort_by_size(
    order: IntArray, image_sets: IntArray, sizes: IntArray, part_stamps: int, run_pixels: int
) -> IntArray:
    """Give stamps in the order of rows on disk that of their size, where windows are read together."""
    size, image_set = sizes[order], image_sets[order]
    part = np.arange(len(order)) // part_stamps
    return order[np.lexsort((size, number_runs(size, part, run_pixels), image_set, part))]


def _join(kept: dict[str, list[Any]], name: str) -> Any:
    """Make one column of its pieces, which are not kept: a large catalogue is never there twice."""
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    pieces = kept.pop(name)
    if name == "source_id":
        return pa.concat_arrays(pieces) if pieces else from_texts([])
    dtype = np.int64 if name in _WHOLE else np.float64
    return np.concatenate(pieces or [np.empty(0)]).astype(dtype, copy=False)


def _judge(
    block: SourceBlock,
    image_sets: Sequence[tuple[Channel, ...] | SnapdbError],
    recipe: Recipe,
    refused: list[Refusal],
) -> tuple[BoolArray, IntArray, IntArray]:
    """Say which sources of a block get stamps; where their windows begin on the first image; their sizes."""
    good = np.zeros(len(block), dtype=np.bool_)
    line, size = np.zeros(len(block), dtype=np.int64), np.zeros(len(block), dtype=np.int64)
    pixels, arcsec = block.pixels, block.arcsec
    sized = ~(np.isnan(pixels) & np.isnan(arcsec))
    _refuse(refused, block, np.flatnonzero(~sized), NO_SIZE, "neither diameter_pixel nor diameter_arcsec")
    for number in np.unique(block.image_set[sized]).tolist():
        own = np.flatnonzero(sized & (block.image_set == number))
        channels = image_sets[number]
        if not isinstance(channels, tuple):
            _refuse(refused, block, own, str(channels.code), str(channels))
            continue
        touches, huge, line[own], size[own] = _look(block, own, pixels[own], arcsec[own], channels, recipe)
        good[own] = touches & ~huge
        _refuse(refused, block, own[~touches], OFF_IMAGE, f"off the image {_name(channels)}: no pixel to cut")
        too_large = f"a window of more than {WINDOW_BYTES // 2**20} MB; use a smaller size or padding_factor"
        _refuse(refused, block, own[touches & huge], TOO_LARGE, too_large)
    return good, line, size


def fill_sizes(pixels: FloatArray, arcsec: FloatArray, recipe: Recipe) -> tuple[FloatArray, FloatArray]:
    """Give sources without a size that of the recipe.

    Parameters
    ----------
    pixels, arcsec : array
        NaN where it is not said.
    recipe : Recipe
        With sizes for the others.
    """
    neither = np.isnan(pixels) & np.isnan(arcsec)
    if recipe.diameter_pixel is not None:
        pixels = np.where(neither, recipe.diameter_pixel, pixels)
    elif recipe.diameter_arcsec is not None:
        arcsec = np.where(neither, recipe.diameter_arcsec, arcsec)
    return pixels, arcsec


def _look(
    block: SourceBlock,
    own: IntArray,
    pixels: FloatArray,
    arcsec: FloatArray,
    channels: Sequence[Channel],
    recipe: Recipe,
) -> tuple[BoolArray, BoolArray, IntArray, IntArray]:
    """See which windows touch any of their images; which are too large; the first's rows and sizes."""
    touches, huge = np.zeros(len(own), dtype=np.bool_), np.zeros(len(own), dtype=np.bool_)
    line, first = np.zeros(len(own), dtype=np.int64), np.zeros(len(own), dtype=np.int64)
    for number, channel in enumerate(channels):
        x, y = get_wcs(channel).world_to_pixel(block.ra[own], block.dec[own])
        size = window_sizes(pixels, arcsec, channel.scale_arcsec, recipe.padding)
        places = place_windows(np.atleast_1d(x), np.atleast_1d(y), size, channel.data.layout)
        touches |= places.touches
        huge |= size * size * 4 > min(recipe.memory_limit // 4 or WINDOW_BYTES, WINDOW_BYTES)
        if number == 0:
            line, first = places.bottom, size
    return touches, huge, line, first


def _name(channels: Sequence[Channel]) -> str:
    return ", ".join(Path(c.data.path).name for c in channels)


def _refuse(refused: list[Refusal], block: SourceBlock, places: IntArray, code: str, text: str) -> None:
    """Note sources that get no stamp."""
    if not len(places):
        return
    chosen = block.take(places)
    rows = zip(chosen.row.tolist(), _as_texts(chosen.source_id), strict=True)
    refused.extend(Refusal(row=row, source_id=source, code=code, text=text) for row, source in rows)

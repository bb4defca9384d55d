"""The images that stamps are cut from: where their planes lie and how their pixels lie on the sky.

A file that is not registered is scanned once. Where its coordinates are of a common kind that
needs no mending, nothing of astropy is loaded; else :func:`snapdb.formats.describe.describe` reads it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from snapdb.archive.flagging import bad_flags_of
from snapdb.bulk.planning.recipe import Recipe
from snapdb.errors import MissingKeywordError, NotAnImageError, SnapdbError
from snapdb.formats.frame import HduFrame
from snapdb.formats.layouts import make_layout
from snapdb.formats.source import name_contents, open_source
from snapdb.formats.wcs import needs_tables, to_header_text
from snapdb.model.image import PlaneRecord
from snapdb.model.layout import Container, PlaneLayout
from snapdb.model.url import is_url
from snapdb.pixels.flag_names import BadFlags
from snapdb.sky.fast.evaluator import FastWCS
from snapdb.sky.wcs import BaseWCS


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneFile:
    """One plane in its file."""

    path: str
    """Path or address."""
    layout: PlaneLayout
    record: PlaneRecord | None = None
    """What the registry knows of the file; None where it is not registered."""
    store: str = ""
    """Base folder of the registered file's store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One image that stamps are cut from: plain values that travel to workers."""

    label: str
    """What channel weights call it: the file's stem, with the extension's name where it has one."""
    data: PlaneFile
    wcs_text: str
    """Mended cards of the coordinates."""
    has_tables: bool = False
    """Whether lookup tables in the file belong to them."""
    scale_arcsec: float
    """Size of a pixel at the image's centre."""
    factor: float = 1.0
    """What flux conversion multiplies pixels by."""
    image_id: str = ""
    """Of a registered image."""
    planes: Mapping[str, PlaneFile] = field(default_factory=dict)
    """Further planes, by name."""
    bad_bits: int = 0
    """Bits of the flags that make a pixel bad; 0 counts all."""
    bad: BadFlags = field(default_factory=lambda: BadFlags(bits=-1))
    """The same as a choice, of codes where the flags are codes."""
    flag_bits: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.data.layout.width, self.data.layout.height


@lru_cache(maxsize=512)
def evaluate(text: str, path: str, hdu: int, has_tables: bool) -> BaseWCS:  # noqa: FBT001  # a key of the cache
    """Give coordinates, the quick kind where it serves; kept for the next call.

    Parameters
    ----------
    text : str
        Mended cards.
    path : str
        The file, opened only where lookup tables belong to the coordinates.
    hdu : int
        Of the image in it.
    has_tables : bool
        Whether there are such tables.
    """
    if has_tables:
        from snapdb.formats.wcs import read_wcs

        return read_wcs(path, hdu)
    quick = FastWCS.from_text(text)
    if quick is not None:
        return quick
    from snapdb.sky.wcs import AstropyWCS

    return AstropyWCS.from_text(text)


def get_wcs(channel: Channel) -> BaseWCS:
    """Give the coordinates of a channel, kept for the next call.

    Parameters
    ----------
    channel : Channel
        An image.

    Raises
    ------
    ProjectionError
        If they cannot be evaluated.
    """
    return evaluate(channel.wcs_text, channel.data.path, channel.data.layout.hdu, channel.has_tables)


def read_channels(path: str, recipe: Recipe) -> tuple[Channel, ...]:
    """Find the channels of one file.

    Parameters
    ----------
    path : str
        A FITS file, registered or not.
    recipe : Recipe
        Which extensions, and whether flux is converted.

    Returns
    -------
    tuple of Channel
        In the order of the recipe's extensions.

    Raises
    ------
    NotAnImageError
        If an extension that is asked for is not there, or is no image.
    MissingKeywordError
        If flux shall be converted and no zero point is known.
    ObjectMissingError, UnknownFormatError, CorruptFileError, ProjectionError
        If the file cannot be read.
    """
    if not is_url(path) and Path(path).is_dir():
        msg = f"{path} is a folder: expected a FITS file in fits_file_paths"
        raise NotAnImageError(msg, path=path)
    source = open_source(path)
    container, frames = source.container, source.frames
    chosen = [_find_frame(frames, name, path) for name in recipe.extensions]
    named = [_find_named(frames, name) for name in recipe.selected]
    wanted = dict.fromkeys(f.index for f in (*chosen, *(f for f in named if f is not None)))
    return tuple(_make_channel(path, frames, frames[i], container, recipe) for i in wanted)


def _find_frame(frames: Sequence[HduFrame], name: Any, path: str) -> HduFrame:
    """Give the HDU of an extension's name or number; PRIMARY is the first image."""
    planes = [f for f in frames if f.is_plane]
    if isinstance(name, Mapping):
        name = name.get("ext", name.get("name"))
    if str(name).upper() == "PRIMARY" and planes:
        return planes[0]
    found = _find_named(frames, name)
    if found is None:
        msg = f"{path}: no image in extension {name!r}; {_say_what_there_is(frames, planes)}"
        raise NotAnImageError(msg, path=path, extension=str(name))
    return found


def _say_what_there_is(frames: Sequence[HduFrame], planes: Sequence[HduFrame]) -> str:
    """Say where a file has its images, or what it has instead."""
    if planes:
        return "its images are in " + ", ".join(f"{f.index} ({f.name or 'PRIMARY'})" for f in planes)
    odd = [f for f in frames if f.kind == "image" and len(f.axes) > 2]
    if not odd:
        return f"it has none: {name_contents(frames)}"
    cubes = ", ".join(f"HDU {f.index} is a cube {'x'.join(map(str, f.axes))}" for f in odd)
    return f"{cubes}; expected two dimensions: write the slice that is meant to a file of its own"


def _find_named(frames: Sequence[HduFrame], name: Any) -> HduFrame | None:
    """Give the image whose EXTNAME or number is meant, or None."""
    if isinstance(name, Mapping):
        name = name.get("ext", name.get("name"))
    for frame in frames:
        same = frame.index == name if isinstance(name, int) else frame.name.upper() == str(name).upper()
        if same and frame.is_plane and not (frame.name == "" and name == ""):
            return frame
    return None


def _make_channel(
    path: str, frames: Sequence[HduFrame], frame: HduFrame, container: Container, recipe: Recipe
) -> Channel:
    """Describe one image of a file, lightly where that serves."""
    text = to_header_text(frame, wcs_only=True)
    quick = None if needs_tables(frame) else FastWCS.from_text(text)
    stem = Path(path).name.split(".fits")[0].split(".fit")[0]
    primary = frame.index == 0 or (frame.name == "" and frame.index == 1) or frame.name.upper() == "PRIMARY"
    label = stem if primary else f"{stem}_{frame.name or frame.index}"
    zeropoint = frame.cards.get_number(recipe.zeropoint_key) if recipe.convert_flux else None
    if zeropoint is None:
        zeropoint = frames[0].cards.get_number(recipe.zeropoint_key) if recipe.convert_flux else None
    if quick is None or recipe.planes or (recipe.convert_flux and zeropoint is None):
        return _describe(path, frame, label, zeropoint, recipe)
    x, y = (frame.axes[0] - 1) / 2, (frame.axes[1] - 1) / 2
    return Channel(
        label=label,
        data=PlaneFile(path=path, layout=make_layout(frame, "data", container)),
        wcs_text=text,
        scale_arcsec=quick.pixel_scale_arcsec(x, y),
        factor=flux_factor(zeropoint, recipe, path),
    )


def _describe(path: str, frame: HduFrame, label: str, zeropoint: float | None, recipe: Recipe) -> Channel:
    """Describe one image of a file with all that header maps know."""
    from snapdb.formats.describe import describe, find_companions

    companions = find_companions(path) if recipe.planes else ()
    for found in describe(path, companions=companions):
        if found.planes[0].layout.hdu == frame.index:
            break
    else:
        msg = f"{path}: HDU {frame.index} holds no image of the sky with coordinates of its own"
        raise NotAnImageError(msg, path=path, hdu=frame.index)
    facts = found.facts
    known = zeropoint if zeropoint is not None else facts.zeropoint
    files = {p.layout.name: PlaneFile(path=p.path, layout=p.layout) for p in found.planes}
    return Channel(
        label=label,
        data=files["data"],
        wcs_text=facts.wcs_header,
        has_tables=needs_tables(frame),
        scale_arcsec=facts.pixel_scale or 1.0,
        factor=flux_factor(known, recipe, path),
        planes={name: files[name] for name in recipe.planes if name in files},
        bad_bits=facts.bad_bits,
        bad=bad_flags_of(facts),
        flag_bits=dict(facts.flag_bits),
    )


def flux_factor(zeropoint: float | None, recipe: Recipe, where: str) -> float:
    """Give what pixels are multiplied by to be in the recipe's unit of flux.

    Parameters
    ----------
    zeropoint : float or None
        AB magnitude of one unit of the data.
    recipe : Recipe
        Whether flux is converted, and to what.
    where : str
        What errors call the file.

    Returns
    -------
    float
        1 where flux is not converted.

    Raises
    ------
    MissingKeywordError
        If flux shall be converted and the zero point is not known.
    """
    if not recipe.convert_flux:
        return 1.0
    if zeropoint is None:
        msg = (
            f"{where}: flux shall be converted, but there is no {recipe.zeropoint_key} in the header and no "
            "other zero point is known; set flux_conversion_keywords.AB_zeropoint, or apply_flux_conversion "
            "to false"
        )
        raise MissingKeywordError(msg, path=where, keyword=recipe.zeropoint_key)
    from snapdb.bulk.shape.flux import flux_factor as compute

    return float(compute(zeropoint, recipe.flux_unit))


def select_channels(channels: Sequence[Channel], selected: Sequence[Any]) -> list[Channel]:
    """Narrow the channels of a set of files to those that are selected.

    Parameters
    ----------
    channels : sequence of Channel
        Of all files, in order.
    selected : sequence
        Names of extensions or of parts of file names, numbers of HDUs, or tables with
        ``name`` and ``ext``; where they name none of the channels, all are taken.
    """
    kept = [c for c in channels if any(_is_meant(c, one) for one in selected)]
    return kept or list(channels)


def _is_meant(channel: Channel, selector: Any) -> bool:
    """Say whether a selector names a channel."""
    if isinstance(selector, Mapping):
        return any(_is_meant(channel, selector[k]) for k in ("ext", "name") if selector.get(k) is not None)
    if isinstance(selector, int):
        return channel.data.layout.hdu == selector
    token = str(selector).upper().replace("-", "_")
    return f"_{token}_" in f"_{channel.label.upper().replace('-', '_').replace('.', '_')}_"


class ImageBook:
    """What is known of files, each looked at once, and the channels of sets of them.

    Parameters
    ----------
    recipe : Recipe
        Of the run.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._files: dict[str, tuple[Channel, ...] | SnapdbError] = {}

    def channels_of(self, paths: Sequence[str]) -> tuple[Channel, ...]:
        """Give the channels of a set of files, in their order.

        Parameters
        ----------
        paths : sequence of str
            One file a band.

        Raises
        ------
        SnapdbError
            The error of the first file that cannot be used.
        """
        found: list[Channel] = []
        for path in paths:
            known = self._files.get(path)
            if known is None:
                known = self._files[path] = self._read(path)
            if isinstance(known, SnapdbError):
                raise known
            found.extend(known)
        return tuple(select_channels(found, self._recipe.selected))

    def _read(self, path: str) -> tuple[Channel, ...] | SnapdbError:
        try:
            return read_channels(path, self._recipe)
        except SnapdbError as err:
            return err

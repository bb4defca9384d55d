"""One part of a run: the unit of work, on plain data, whoever does it."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from snapdb.bulk.cutting.part_stamps import PartStamps
from snapdb.bulk.cutting.stamps import StampMaker, can_follow
from snapdb.bulk.planning.plan import Part
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.running.journal import Journal
from snapdb.bulk.writing.files import Summed, WrittenFile, write_file
from snapdb.bulk.writing.shards import FLAGS, IMAGES, NOISE, make_shard, shard_path
from snapdb.bulk.writing.table import make_table
from snapdb.errors import SnapdbError
from snapdb.types import PixelArray

_KEPT_BYTES = 24 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class PartResult:
    """What became of a part."""

    index: int
    stamps: int
    """Sources of the part, failed ones included."""
    failed: tuple[tuple[int, str, str], ...] = ()
    """Catalogue row, source id and reason of those that failed."""
    size: int = 0
    """Bytes written."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Time of each stage."""


def run_part(part: Part, recipe: Recipe, folder: str) -> PartResult:
    """Make and write the stamps of one part; done again, it writes the same bytes.

    Parameters
    ----------
    part : Part
        Sources and images.
    recipe : Recipe
        How stamps are made.
    folder : str
        Of the output; a folder that all workers see.

    Returns
    -------
    PartResult
        Small: the rows are in the part's file.

    Raises
    ------
    StorageError
        If the output cannot be written. What cannot be read is told by row, and stops nothing.
    """
    _keep_memory()
    begin = time.perf_counter()
    write = _follow if recipe.output_format == "zarr" and can_follow(part, recipe) else _make
    stamps, files = write(part, recipe, Path(folder))
    Journal(Path(folder)).write_part(part.index, make_table(part, stamps), files)
    rest = time.perf_counter() - begin - sum(stamps.seconds.values())
    return PartResult(
        index=part.index,
        stamps=len(part),
        failed=list_failed(part, stamps),
        size=sum(f.size for f in files),
        seconds={**stamps.seconds, "write": rest},
    )


@cache
def _keep_memory() -> None:
    """Let freed arrays of some megabytes be used again, where the C library is glibc.

    It gives them back to the system at once, and the system clears each page before it is used again:
    half a million pages for 20,000 stamps. From the greatest array below 32 MB that was freed, it learns
    up to what size that is not worth it (``M_MMAP_THRESHOLD`` in ``mallopt(3)``).
    """
    np.empty(_KEPT_BYTES, np.uint8)


def list_failed(part: Part, stamps: PartStamps) -> tuple[tuple[int, str, str], ...]:
    """Give catalogue row, source id and reason of the sources that failed.

    Parameters
    ----------
    part : Part
        The sources.
    stamps : PartStamps
        What was made of them.
    """
    return tuple(
        (int(part.sources.row[i]), str(part.sources.source_id[i]), reason) for i, reason in stamps.failures
    )


def _follow(part: Part, recipe: Recipe, folder: Path) -> tuple[PartStamps, list[WrittenFile]]:
    """Write stamps as they are made; where an image fails, all once more, so that each source is told."""
    maker = StampMaker(recipe)
    stamps = maker.begin(part)
    try:
        return stamps, [_write_shard(folder, IMAGES, part, maker.follow(part, stamps), 4, recipe)]
    except SnapdbError:
        return _make(part, recipe, folder, attempts=1)


def _make(
    part: Part, recipe: Recipe, folder: Path, attempts: int = 2
) -> tuple[PartStamps, list[WrittenFile]]:
    """Make all stamps, then write them."""
    stamps = StampMaker(recipe).make(part, attempts=attempts)
    if recipe.output_format == "fits":
        from snapdb.bulk.writing.fits import write_stamps

        return stamps, write_stamps(folder, part, stamps, recipe)
    arrays: dict[str, PixelArray | None] = {IMAGES: stamps.images, NOISE: stamps.noise, FLAGS: stamps.flags}
    written = [
        _write_shard(folder, name, part, [array], array.ndim, recipe)
        for name, array in arrays.items()
        if array is not None
    ]
    return stamps, written


def _write_shard(
    folder: Path, name: str, part: Part, batches: Iterable[PixelArray], axes: int, recipe: Recipe
) -> WrittenFile:
    """Write the shard of a part of one array."""
    pieces = Summed(make_shard(batches, recipe))
    path = shard_path(folder, name, part.index, axes)
    write_file(path, pieces, large=True)
    return WrittenFile(path.relative_to(folder).as_posix(), pieces.size, pieces.checksum)

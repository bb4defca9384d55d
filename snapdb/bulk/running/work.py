"""One part of a run: the unit of work, on plain data, whoever does it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from snapdb.bulk.cutting.part_stamps import PartStamps
from snapdb.bulk.cutting.stamps import StampMaker
from snapdb.bulk.planning.plan import Part
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.running.journal import Journal
from snapdb.bulk.writing.files import Summed, WrittenFile, write_file
from snapdb.bulk.writing.shards import FLAGS, IMAGES, NOISE, make_shard, shard_path
from snapdb.bulk.writing.table import make_table
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
    import time

    _keep_memory()
    maker = StampMaker(recipe)
    stamps = maker.make(part)
    begin = time.perf_counter()
    if recipe.output_format == "fits":
        from snapdb.bulk.writing.fits import write_stamps

        files = write_stamps(Path(folder), part, stamps, recipe)
    else:
        files = _write_shards(Path(folder), part, stamps, recipe)
    Journal(Path(folder)).write_part(part.index, make_table(part, stamps), files)
    return PartResult(
        index=part.index,
        stamps=len(part),
        failed=list_failed(part, stamps),
        size=sum(f.size for f in files),
        seconds={**stamps.seconds, "write": time.perf_counter() - begin},
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


def _write_shards(folder: Path, part: Part, stamps: PartStamps, recipe: Recipe) -> list[WrittenFile]:
    """Write a shard of each array."""
    arrays: dict[str, PixelArray | None] = {IMAGES: stamps.images, NOISE: stamps.noise, FLAGS: stamps.flags}
    written = []
    for name, array in arrays.items():
        if array is None:
            continue
        pieces = Summed(make_shard(array, recipe))
        path = shard_path(folder, name, part.index, array.ndim)
        write_file(path, pieces)
        written.append(WrittenFile(path.relative_to(folder).as_posix(), pieces.size, pieces.checksum))
    return written

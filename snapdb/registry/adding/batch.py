"""Some of the images, column by column: checked and written as far as it goes without the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np

from snapdb.errors import UsageError
from snapdb.model.file import FileRecord
from snapdb.model.image import NewImage
from snapdb.model.outcome import OutcomeKind
from snapdb.registry.adding.checks import Problems, check_facts, check_planes
from snapdb.registry.adding.known import Key
from snapdb.registry.adding.rows import make_columns, write_json, write_layouts
from snapdb.registry.outlines import Outlines, make_outlines, order_by_sky


@dataclass(slots=True)
class Batch:
    """Images on their way into the database; the lists have a value for each."""

    images: Sequence[NewImage]
    numbers: Sequence[int]
    """Row of each in the whole call."""
    count: int
    """How many were given, those with unsound planes too."""
    problems: Problems = field(default_factory=Problems)
    columns: dict[str, Sequence[Any]] = field(default_factory=dict)
    """Fact, and ``hdu`` -> its values."""
    paths: list[str] = field(default_factory=list)
    file_keys: list[str] = field(default_factory=list)
    json: dict[str, list[str]] = field(default_factory=dict)
    """Fact that is JSON -> its texts."""
    layouts: list[tuple[str, ...]] = field(default_factory=list)
    """Of each image's planes, as JSON."""
    outlines: Outlines | None = None
    footprints: list[bytes] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    """Rows in the order of the sky, and of the files' names where they lie together."""
    # What the database says:
    keys: list[Key] = field(default_factory=list)
    ids: list[UUID] = field(default_factory=list)
    outcomes: list[OutcomeKind] = field(default_factory=list)
    twins: list[str | None] = field(default_factory=list)

    def rows_with(self, outcome: OutcomeKind) -> list[int]:
        """Give the rows of an outcome, in the order of the sky."""
        return [row for row in self.order if self.outcomes[row] is outcome]


def prepare(images: Sequence[NewImage], files: Mapping[str, FileRecord], first: int) -> Batch:
    """Check images, and write what is the same whatever the database holds.

    Parameters
    ----------
    images : sequence of NewImage
        Some of the images.
    files : mapping
        Path -> its file.
    first : int
        Row of the first of them.

    Returns
    -------
    Batch
        Complete where it has no problems; without the images whose planes have.
    """
    batch = Batch(images, range(first, first + len(images)), len(images))
    found = batch.problems
    check_planes(images, files, first, found)
    if found.found:
        batch.numbers = [number for number in batch.numbers if number not in found.found]
        images = batch.images = [images[number - first] for number in batch.numbers]
    if not images:
        return batch
    batch.paths = [new.planes[0].path for new in images]
    batch.file_keys = [files[path].key for path in batch.paths]
    batch.columns = make_columns(images)
    check_facts(batch.columns, batch.paths, batch.numbers, found)
    batch.json = write_json(batch.columns, batch.paths, batch.numbers, found)
    batch.layouts = write_layouts(images, batch.paths, batch.numbers, found)
    batch.outlines, faults = make_outlines([new.footprint for new in images])
    for row, why in faults.items():
        found.add(batch.numbers[row], UsageError, f"{batch.paths[row]}: {why}", path=batch.paths[row])
    if batch.outlines is None or found.found:
        return batch
    batch.footprints = batch.outlines.write()
    named = np.array(sorted(range(len(images)), key=batch.file_keys.__getitem__), dtype=np.int64)
    ra, dec = (np.array(batch.columns[name], dtype=np.float64)[named] for name in ("ra", "dec"))
    batch.order = named[np.argsort(order_by_sky(ra, dec), kind="stable")].tolist()
    return batch

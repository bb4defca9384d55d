"""What the registry knows of files that are to be ingested."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from snapdb.model.file import FileRecord
from snapdb.model.search import make_search

if TYPE_CHECKING:
    from snapdb.registry import Registry

Elsewhere = tuple[UUID, str, int]
"""An image of another provenance: that provenance, the key of the file of its data, and the HDU."""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A registered file, and the images that have planes in it."""

    record: FileRecord
    ours: tuple[UUID, ...]
    """Those of the provenance that is ingested."""
    elsewhere: tuple[Elsewhere, ...]
    """The others: they lie in the same bytes, and change when these change."""


def look_up_files(registry: "Registry", keys: Sequence[str], provenance_id: UUID) -> dict[str, KnownFile]:
    """Give what the registry knows of files.

    Parameters
    ----------
    registry : Registry
        To ask.
    keys : sequence of str
        The files'.
    provenance_id : uuid.UUID
        Whose images are ours.

    Returns
    -------
    dict
        Key -> what is known; files that are not known are left out.
    """
    found = registry.find_files(keys)
    ids = list({i for _, image_ids in found.values() for i in image_ids})
    images = {r.id: r for r in registry.find_images(make_search(id=ids))} if ids else {}
    known = {}
    for key, (record, image_ids) in found.items():
        there = [images[i] for i in image_ids if i in images]
        others = [r for r in there if r.provenance_id != provenance_id]
        known[key] = KnownFile(
            record,
            tuple(r.id for r in there if r.provenance_id == provenance_id),
            tuple((r.provenance_id, r.filepath, r.hdu) for r in others),
        )
    return known

"""Registering images one by one by hand: what is set on them wins over what their files say."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from snapdb.archive.loading import FileLoader
from snapdb.errors import UsageError
from snapdb.model.file import FileRecord
from snapdb.model.image import NewImage
from snapdb.storage import LocalStore, fingerprint

if TYPE_CHECKING:
    from snapdb.archive.image import Image
    from snapdb.registry import Registry


def register_images(registry: "Registry", store: LocalStore, images: "Sequence[Image]") -> list[UUID]:
    """Register images, all or none.

    Parameters
    ----------
    registry : Registry
        Where.
    store : LocalStore
        What keys are relative to.
    images : sequence of Image
        Each with a file and a provenance.

    Returns
    -------
    list of UUID
        Their ids, in order.

    Raises
    ------
    UsageError
        If an image lacks its file or its provenance.
    """
    rows = [_new_image(image) for image in images]
    files: dict[str, FileRecord] = {}
    for path in {plane.path for row in rows for plane in row.planes}:
        key = store.key_of(path)
        found = fingerprint(store.path_of(key))
        files[path] = FileRecord(
            key=key, size=found.size, mtime_ns=found.mtime_ns, sha256=found.sha256, format="fits"
        )
    return [added.id for added in registry.add_images(rows, files)]


def _new_image(image: "Image") -> NewImage:
    """Give the row of an image."""
    if image.provenance_id is None:
        msg = f"{image.label} has no provenance_id; set it to the id of a registered provenance"
        raise UsageError(msg)
    if image.full_filepath is None:
        how = "save it first, and register Image(path); archive.save(cutout) does both for a cutout"
        msg = f"{image.label} has no file: {how}"
        raise UsageError(msg)
    loader = image.loader or FileLoader(image.full_filepath)
    return NewImage(
        facts=replace(loader.facts, **image.facts_set),
        footprint=loader.described.footprint,
        planes=loader.new_planes,
        provenance_id=image.provenance_id,
        id=image.id,
    )

"""Copies of wrapped files in the store, registered in place of the originals."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from snapdb.archive.reading import GroupReading, ReadingTask, read_group
from snapdb.errors import ObjectExistsError, SnapdbError
from snapdb.storage import LocalStore, write_atomically

if TYPE_CHECKING:
    from snapdb.formats.describe import Described
    from snapdb.formats.repack import Packing

FOLDER = "repacked/"
"""Where copies lie in the store."""


def is_wrapped(path: Path) -> bool:
    """Tell whether gzip or bzip2 wraps a file; False where it cannot be read."""
    from snapdb.errors import StorageError
    from snapdb.formats.unwrap import find_container
    from snapdb.model.layout import Container

    try:
        return find_container(path) is not Container.PLAIN
    except StorageError:
        return False


def repack_reading(
    store: LocalStore, reading: GroupReading, packing: "Packing", instrument: str | None = None
) -> GroupReading:
    """Copy the wrapped files of a group into the store, and read the copies instead.

    Parameters
    ----------
    store : LocalStore
        Where copies go. A copy that is there already is not made again.
    reading : GroupReading
        What the originals hold.
    packing : str
        ``fits`` or ``rice``.
    instrument : str, optional
        Name of the header map to read with.

    Returns
    -------
    GroupReading
        Of the same group, with the planes and fingerprints of the copies, or with the
        error that kept them from being made; the given one where nothing is wrapped. Each
        image's properties say what it was repacked from: ``repacked_from``, the path, and
        ``repacked_from_sha256``; where its noise has a file of its own, ``repacked_noise_from``
        and ``repacked_noise_from_sha256``, and so on.
    """
    from snapdb.formats.describe import FileGroup

    used = [p for p in reading.fingerprints if Path(p) not in reading.left_out]
    if reading.error is not None or not any(map(is_wrapped, map(Path, used))):
        return reading
    try:
        copies = {p: _ensure_copy(store, Path(p), reading.fingerprints[p].sha256, packing) for p in used}
    except SnapdbError as err:
        return GroupReading(group=reading.group, error=err)
    first, *others = (copies[p] for p in used)
    task = ReadingTask(group=FileGroup(primary=first, companions=tuple(others)), instrument=instrument)
    again = read_group(task)
    origins = {str(copy): (p, reading.fingerprints[p].sha256) for p, copy in copies.items() if str(copy) != p}
    return GroupReading(
        group=reading.group,
        images=[_note_origin(image, origins) for image in again.images],
        fingerprints={p: f for p, f in again.fingerprints.items() if Path(p) not in again.left_out},
        error=again.error,
        left_out=reading.left_out,
    )


def _ensure_copy(store: LocalStore, path: Path, sha256: str, packing: "Packing") -> Path:
    """Give the copy of a wrapped file, made now where it is missing; a plain file is its own."""
    from snapdb.formats.repack import name_copy, write_copy

    if not is_wrapped(path):
        return path
    target = store.path_of(f"{FOLDER}{packing}/{sha256[:2]}/{sha256[2:16]}/{name_copy(path.name)}")
    if not target.exists():
        try:
            with write_atomically(target) as out:
                write_copy(path, out, packing)
        except ObjectExistsError:  # another process was first, with the same bytes
            if not target.exists():
                raise
    return target


def _note_origin(image: "Described", origins: dict[str, tuple[str, str]]) -> "Described":
    """Say in an image's properties what its files were repacked from."""
    noted = dict(image.facts.properties)
    data = image.planes[0].path
    for plane in image.planes:
        if plane.path not in origins or (plane.path == data and plane is not image.planes[0]):
            continue
        name = "repacked_from" if plane.path == data else f"repacked_{plane.layout.name}_from"
        noted[name], noted[f"{name}_sha256"] = origins[plane.path]
    return replace(image, facts=replace(image.facts, properties=noted))

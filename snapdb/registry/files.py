"""The rows of files: what is known of the bytes behind planes."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection, select, update

from snapdb.errors import ConflictError, NotFoundError
from snapdb.model.file import FileRecord, FileState
from snapdb.registry.ids import make_id
from snapdb.registry.provenances import insert_new
from snapdb.registry.tables import file, plane

_BATCH = 500
_FINGERPRINT = ("size", "mtime_ns", "sha256")


def find_files(connection: Connection, keys: Sequence[str]) -> dict[str, FileRecord]:
    """Find what is known of some files; those that are not known are left out."""
    found: dict[str, FileRecord] = {}
    columns = (*(file.c[name] for name in ("key", *_FINGERPRINT, "format", "id", "state")),)
    for start in range(0, len(keys), _BATCH):
        query = select(*columns).where(file.c.key.in_(keys[start : start + _BATCH]))
        for *values, state in connection.execute(query):
            key, size, mtime_ns, sha256, format_, id_ = values
            found[key] = FileRecord(
                key=key,
                size=size,
                mtime_ns=mtime_ns,
                sha256=sha256,
                format=format_,
                state=FileState(state),
                id=id_,
            )
    return found


def find_images_in(connection: Connection, file_ids: Sequence[UUID]) -> dict[UUID, tuple[UUID, ...]]:
    """Find the images that have planes in some files."""
    found: dict[UUID, list[UUID]] = {id_: [] for id_ in file_ids}
    for start in range(0, len(file_ids), _BATCH):
        some = file_ids[start : start + _BATCH]
        columns = (plane.c.file_id, plane.c.image_id)
        query = select(*columns).where(plane.c.file_id.in_(some)).distinct().order_by(*columns)
        for file_id, image_id in connection.execute(query):
            found[file_id].append(image_id)
    return {file_id: tuple(ids) for file_id, ids in found.items()}


def ensure_files(
    connection: Connection, given: Iterable[FileRecord], *, update_known: bool
) -> Mapping[str, UUID]:
    """See that files are known, and give their ids by key.

    Raises
    ------
    ConflictError
        If a known file has other bytes now, and `update_known` is False.
    """
    records = {record.key: record for record in sorted(given, key=lambda r: r.key)}
    if not records:
        return {}
    rows = [
        {
            "id": record.id or make_id(),
            "key": record.key,
            "format": record.format,
            "state": str(record.state),
            **{name: getattr(record, name) for name in _FINGERPRINT},
        }
        for record in records.values()
    ]
    connection.execute(insert_new(connection, file, "key"), rows)
    known = find_files(connection, list(records))
    for key, record in records.items():
        stored = known[key]
        if all(getattr(stored, n) == getattr(record, n) for n in (*_FINGERPRINT, "format", "state")):
            continue
        if stored.sha256 != record.sha256 and not update_known:
            msg = f"{key} has other bytes than when it was registered; index it again with update (--update)"
            raise ConflictError(msg, path=key, expected=stored.sha256, found=record.sha256)
        values = {name: getattr(record, name) for name in (*_FINGERPRINT, "format")}
        connection.execute(update(file).where(file.c.key == key).values(state=str(record.state), **values))
    return {key: record.id for key, record in known.items() if record.id is not None}


def refresh_file(connection: Connection, key: str, *, size: int, mtime_ns: int, sha256: str) -> None:
    """Take note of a file's new size, time and checksum.

    Raises
    ------
    NotFoundError
        If no such file is registered.
    """
    changed = connection.execute(
        update(file).where(file.c.key == key).values(size=size, mtime_ns=mtime_ns, sha256=sha256)
    )
    if changed.rowcount == 0:
        msg = f"no file {key!r} is registered"
        raise NotFoundError(msg, path=key)

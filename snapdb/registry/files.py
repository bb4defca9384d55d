"""The rows of files: what is known of the bytes behind planes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, select, update

from snapdb.errors import NotFoundError
from snapdb.model.file import FileRecord, FileState
from snapdb.registry.ids import make_ids
from snapdb.registry.loaders import Loader, choose_loader
from snapdb.registry.tables import file, measurement, plane

_BATCH = 5_000
_MANY = 50_000
_FINGERPRINT = ("size", "mtime_ns", "sha256")
_COLUMNS = ("id", "key", *_FINGERPRINT, "format", "state")
_fields_of = attrgetter(*_COLUMNS[1:])


def find_files(connection: Connection, keys: Sequence[str]) -> dict[str, FileRecord]:
    """Find what is known of some files; those that are not known are left out.

    A name that is not UTF-8 is never known: no row can hold it.
    """
    keys = [key for key in keys if _is_utf_8(key)]
    found: dict[str, FileRecord] = {}
    for start in range(0, len(keys), _BATCH):
        query = select(*_KNOWN).where(file.c.key.in_(keys[start : start + _BATCH]))
        found.update((row.key, _to_record(row)) for row in connection.execute(query))
    return found


def list_files(connection: Connection, after: UUID | None, limit: int) -> list[FileRecord]:
    """List some files in the order of their ids.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        To read from.
    after : UUID, optional
        Of the file after which the list begins.
    limit : int
        How many at most.
    """
    query = select(*_KNOWN).order_by(file.c.id).limit(limit)
    if after is not None:
        query = query.where(file.c.id > after)
    return [_to_record(row) for row in connection.execute(query)]


def count_files(connection: Connection) -> int:
    """Count the files."""
    return int(connection.execute(select(func.count()).select_from(file)).scalar_one())


_KNOWN = tuple(file.c[name] for name in _COLUMNS)


def _to_record(row: Any) -> FileRecord:
    """Make a record of a row."""
    values = dict(zip(_COLUMNS, row, strict=True))
    return FileRecord(**values | {"state": FileState(values["state"])})


def _is_utf_8(text: str) -> bool:
    """Say whether a name has no byte that is not UTF-8; Python keeps those as lone surrogates."""
    return text.isascii() or not any("\ud800" <= one <= "\udfff" for one in text)


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


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """Files that are known now."""

    ids: Mapping[str, UUID]
    """Key -> id."""
    old: frozenset[UUID]
    """Ids of those that were known before."""
    changed: Mapping[str, dict[str, Any]]
    """Key of each that has other bytes than when it was registered -> what to say of it."""
    rewritten: Mapping[UUID, str] = field(default_factory=dict)
    """Id -> key of those whose new bytes are known from now on."""


def ensure_files(connection: Connection, given: Iterable[FileRecord], *, update_known: bool) -> KeptFiles:
    """See that files are known.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        To write to.
    given : iterable of FileRecord
        The files.
    update_known : bool
        Whether known files get what is known of them now, even if their bytes have changed; then
        measurements on their images go.

    Returns
    -------
    KeptFiles
        Ids by key. A known file whose bytes have changed is left as it was unless `update_known`.
    """
    records, ids = _give_ids(given)
    if not records:
        return KeptFiles(ids, frozenset(), {})
    if choose_loader(connection).insert_new(file, _make_columns(records, ids), ["key"]) == len(records):
        return KeptFiles(ids, frozenset(), {})
    return _meet_old(connection, records, ids, update_known=update_known)


def insert_files(loader: Loader, given: Iterable[FileRecord]) -> KeptFiles:
    """Write files where none is known, and nobody else can write one.

    Parameters
    ----------
    loader : Loader
        What writes.
    given : iterable of FileRecord
        The files.

    Returns
    -------
    KeptFiles
        Ids by key.
    """
    records, ids = _give_ids(given)
    rest = iter(records.items())
    while some := dict(islice(rest, _MANY)):
        loader.insert(file, _make_columns(some, ids))
    return KeptFiles(ids, frozenset(), {})


def _give_ids(given: Iterable[FileRecord]) -> tuple[dict[str, FileRecord], dict[str, UUID]]:
    """Sort files by their keys, the same for all writers, and give them ids.

    New ids for all: one that comes with a record must not pass for one that was just given.
    """
    records = {record.key: record for record in sorted(given, key=attrgetter("key"))}
    return records, dict(zip(records, make_ids(len(records)), strict=True))


def _make_columns(records: Mapping[str, FileRecord], ids: Mapping[str, UUID]) -> dict[str, Sequence[Any]]:
    """Give the values of files' rows, column by column."""
    columns = dict(zip(_COLUMNS[1:], zip(*map(_fields_of, records.values()), strict=True), strict=True))
    plain: dict[str, list[Any]] = {name: list(map(int, columns[name])) for name in ("size", "mtime_ns")}
    plain["state"] = list(map(str, columns["state"]))
    return {"id": list(map(ids.__getitem__, records)), **columns, **plain}


def _meet_old(
    connection: Connection, records: Mapping[str, FileRecord], ids: dict[str, UUID], *, update_known: bool
) -> KeptFiles:
    """Give known files their ids, and find those that have changed."""
    old: set[UUID] = set()
    changed: dict[str, dict[str, Any]] = {}
    rewritten: dict[UUID, str] = {}
    for key, stored in sorted(find_files(connection, list(records)).items()):  # in one order for all writers
        if stored.id is None or stored.id == ids[key]:
            continue
        ids[key] = stored.id
        old.add(stored.id)
        if _values_of(stored) == _values_of(records[key]):
            continue
        if stored.sha256 != records[key].sha256 and not update_known:
            msg = f"{key} has other bytes than when it was registered; index it again with update (--update)"
            facts = {"path": key, "expected": stored.sha256, "found": records[key].sha256}
            changed[key] = {"reason": msg, **facts}
            continue
        values = dict(zip(_COLUMNS[1:], _values_of(records[key]), strict=True))
        connection.execute(update(file).where(file.c.key == key).values(**values))
        if stored.sha256 != records[key].sha256:
            _forget_measurements(connection, stored.id)
            rewritten[stored.id] = key
    return KeptFiles(ids, frozenset(old), changed, rewritten)


def _forget_measurements(connection: Connection, file_id: UUID) -> None:
    """Take out what was measured on images of which a plane lay in a file that now has other bytes."""
    of_file = select(plane.c.image_id).where(plane.c.file_id == file_id)
    connection.execute(delete(measurement).where(measurement.c.image_id.in_(of_file)))


def _values_of(record: FileRecord) -> tuple[Any, ...]:
    """Give what is known of a file, as its row has it."""
    size, mtime_ns = int(record.size), int(record.mtime_ns)
    return record.key, size, mtime_ns, record.sha256, record.format, str(record.state)


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

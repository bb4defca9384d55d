"""Images into the database: plan everything against what is there, then write it in few statements."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from snapdb.errors import ConflictError, NotFoundError, ProvenanceError, UsageError
from snapdb.model.canonical import to_json_value
from snapdb.model.file import FileRecord
from snapdb.model.image import FACT_NAMES, NewImage
from snapdb.model.outcome import OutcomeKind
from snapdb.registry.files import ensure_files
from snapdb.registry.ids import make_id
from snapdb.registry.provenances import insert_new
from snapdb.registry.spatial import Spatial
from snapdb.registry.tables import file, image, image_input, plane, provenance

T = TypeVar("T")
_BATCH = 500
_IMAGE_KEY = ("provenance_id", "file_id", "hdu")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedImage:
    """What became of one image that was to be registered."""

    id: UUID
    outcome: OutcomeKind
    """Registered, unchanged or updated."""
    twin: str | None = None
    """Key of another file that holds the same exposure, detector and band, if there is one."""


class Key(NamedTuple):
    """What an image is known by: one HDU of one file, under one provenance."""

    provenance_id: UUID
    file_id: UUID
    hdu: int


class Exposure(NamedTuple):
    """What an exposure is known by, under one provenance."""

    provenance_id: UUID
    observation_id: str
    sca: int
    band: str


@dataclass(slots=True)
class _Entry:
    """One image on its way into the database."""

    new: NewImage
    path: str
    file_key: str
    key: Key
    id: UUID
    outcome: OutcomeKind


def batches(values: Iterable[T], size: int = _BATCH) -> Iterator[list[T]]:
    """Cut values into lists that a statement can take."""
    listed = list(values)
    for start in range(0, len(listed), size):
        yield listed[start : start + size]


def add_images(
    connection: Connection,
    spatial: Spatial,
    images: Sequence[NewImage],
    files: Mapping[str, FileRecord],
    *,
    update_known: bool,
) -> list[AddedImage]:
    """Register images inside the connection's transaction; see :meth:`Registry.add_images`."""
    _check_planes(images, files)
    _check_provenances(connection, images)
    file_ids = ensure_files(connection, files.values(), update_known=update_known)
    entries = [_plan(new, files, file_ids) for new in images]
    _match_known(connection, entries, update_known=update_known)
    twins = _find_twins(connection, entries)
    todo = sorted((e for e in entries if e.outcome is not OutcomeKind.UNCHANGED), key=lambda e: e.key)
    rows = {e.id: _to_row(e, spatial) for e in todo}
    fresh = [e for e in todo if e.outcome is OutcomeKind.REGISTERED]
    if fresh:
        connection.execute(insert_new(connection, image, *_IMAGE_KEY), [rows[e.id] for e in fresh])
        _match_winners(connection, fresh)
    _replace_known(connection, [e for e in todo if e.outcome is OutcomeKind.UPDATED], rows)
    _write_parts(connection, spatial, todo, files, file_ids)
    return [AddedImage(id=e.id, outcome=e.outcome, twin=twin) for e, twin in zip(entries, twins, strict=True)]


def _check_planes(images: Sequence[NewImage], files: Mapping[str, FileRecord]) -> None:
    """Refuse images whose planes or files are not given."""
    for new in images:
        names = [p.layout.name for p in new.planes]
        if not names or names[0] != "data" or len(set(names)) < len(names):
            msg = f"an image has the planes {names}; expected 'data' first, and each name once"
            raise UsageError(msg, planes=names)
        for path in (p.path for p in new.planes):
            if path not in files:
                msg = f"a plane lies in {path}, which is not among the files given"
                raise UsageError(msg, path=path)


def _check_provenances(connection: Connection, images: Sequence[NewImage]) -> None:
    """Refuse images of a provenance that is not registered."""
    wanted = {new.provenance_id for new in images}
    found: set[UUID] = set()
    for some in batches(wanted):
        found.update(connection.execute(select(provenance.c.id).where(provenance.c.id.in_(some))).scalars())
    for missing in wanted - found:
        msg = f"provenance {missing} is not registered; add it before its images"
        raise NotFoundError(msg, provenance_id=missing)


def _plan(new: NewImage, files: Mapping[str, FileRecord], file_ids: Mapping[str, UUID]) -> _Entry:
    """Give an image its key and, for the time being, a new id."""
    first = new.planes[0]
    file_key = files[first.path].key
    key = Key(new.provenance_id, file_ids[file_key], first.layout.hdu)
    return _Entry(new, first.path, file_key, key, new.id or make_id(), OutcomeKind.REGISTERED)


def _find_known(connection: Connection, keys: Iterable[Key]) -> dict[Key, UUID]:
    """Find which keys are registered, and as which images."""
    wanted = set(keys)
    known: dict[Key, UUID] = {}
    c = image.c
    for some in batches({key.file_id for key in wanted}):
        query = select(c.provenance_id, c.file_id, c.hdu, c.id).where(c.file_id.in_(some))
        for provenance_id, file_id, hdu, id_ in connection.execute(query):
            known[Key(provenance_id, file_id, hdu)] = id_
    return {key: known[key] for key in wanted if key in known}


def _match_known(connection: Connection, entries: Sequence[_Entry], *, update_known: bool) -> None:
    """Give images that are registered already their ids and outcomes."""
    known = _find_known(connection, (e.key for e in entries))
    seen: set[Key] = set()
    for entry in entries:
        if entry.key in seen:
            msg = f"{entry.path}: HDU {entry.key.hdu} was given twice"
            raise ConflictError(msg, path=entry.path, hdu=entry.key.hdu)
        seen.add(entry.key)
        if entry.key not in known:
            continue
        entry.id = known[entry.key]
        entry.outcome = OutcomeKind.UPDATED if update_known else OutcomeKind.UNCHANGED
        if entry.new.id not in (None, entry.id):
            msg = f"{entry.path}: HDU {entry.key.hdu} is registered as {entry.id}, not as {entry.new.id}"
            raise ConflictError(msg, path=entry.path, existing=entry.id, given=entry.new.id)


def _match_winners(connection: Connection, fresh: Sequence[_Entry]) -> None:
    """Let images that another writer registered at the same moment have that writer's ids."""
    known = _find_known(connection, (e.key for e in fresh))
    for entry in fresh:
        if known[entry.key] != entry.id:
            entry.id = known[entry.key]
            entry.outcome = OutcomeKind.UNCHANGED


def _exposure_of(new: NewImage) -> Exposure | None:
    """Give what an exposure is known by, where all of it is known."""
    facts = new.facts
    if facts.kind != "exposure" or facts.observation_id is None or facts.sca is None or facts.band is None:
        return None
    return Exposure(new.provenance_id, facts.observation_id, facts.sca, facts.band)


def _find_twins(connection: Connection, entries: Sequence[_Entry]) -> list[str | None]:
    """Find, for each image, another file of the same exposure, detector and band.

    An archive may hold an exposure in two encodings; both are registered, and whoever
    adds the second is told.
    """
    owners: dict[Exposure, str] = {}
    exposures = [_exposure_of(e.new) for e in entries]
    c = image.c
    columns = (c.provenance_id, c.observation_id, c.sca, c.band, file.c.key)
    query = select(*columns).join(file, file.c.id == c.file_id).where(c.kind == "exposure")
    for some in batches({exposure.observation_id for exposure in exposures if exposure is not None}):
        for *parts, key in connection.execute(query.where(c.observation_id.in_(some)).order_by(c.id)):
            owners.setdefault(Exposure(*parts), key)
    twins: list[str | None] = []
    for entry, exposure in zip(entries, exposures, strict=True):
        first = owners.setdefault(exposure, entry.file_key) if exposure is not None else entry.file_key
        twins.append(None if first == entry.file_key else first)
    return twins


def _to_row(entry: _Entry, spatial: Spatial) -> dict[str, Any]:
    """Give the columns of an image."""
    facts = entry.new.facts
    row = {name: getattr(facts, name) for name in FACT_NAMES}
    try:
        row["flag_bits"] = to_json_value(facts.flag_bits, "flag_bits")
        row["properties"] = to_json_value(facts.properties, "properties")
    except ProvenanceError as err:
        msg = f"{entry.path}: {err}"
        raise UsageError(msg, path=entry.path) from err
    return {
        **row,
        **entry.key._asdict(),
        "id": entry.id,
        "footprint": spatial.write_footprint(entry.new.footprint),
        "registered_at": datetime.now(UTC),
    }


def _replace_known(
    connection: Connection, entries: Sequence[_Entry], rows: Mapping[UUID, dict[str, Any]]
) -> None:
    """Write new facts over the rows of known images, and drop their parts."""
    if not entries:
        return
    names = [name for name in rows[entries[0].id] if name not in ("id", "registered_at", *_IMAGE_KEY)]
    statement = (
        update(image)
        .where(image.c.id == bindparam("_id"))
        .values({name: bindparam(name, type_=image.c[name].type) for name in names})
    )
    connection.execute(statement, [{"_id": e.id} | {n: rows[e.id][n] for n in names} for e in entries])
    for table in (plane, image_input):
        for some in batches(e.id for e in entries):
            connection.execute(delete(table).where(table.c.image_id.in_(some)))


def _write_parts(
    connection: Connection,
    spatial: Spatial,
    entries: Sequence[_Entry],
    files: Mapping[str, FileRecord],
    file_ids: Mapping[str, UUID],
) -> None:
    """Write planes, inputs and the spatial index."""
    written = [e for e in entries if e.outcome is not OutcomeKind.UNCHANGED]
    planes = [
        {
            "image_id": e.id,
            "number": number,
            "name": p.layout.name,
            "file_id": file_ids[files[p.path].key],
            "layout": p.layout.to_dict(),
        }
        for e in written
        for number, p in enumerate(e.new.planes)
    ]
    inputs = [
        {"image_id": e.id, "number": number, "input_id": id_}
        for e in written
        for number, id_ in enumerate(e.new.inputs)
    ]
    for table, rows in ((plane, planes), (image_input, inputs)):
        if rows:
            connection.execute(insert(table), rows)
    spatial.index_footprints(connection, {e.id: e.new.footprint for e in written})


def delete_images(connection: Connection, ids: Sequence[UUID]) -> int:
    """Take images out, with their planes; the files stay. Give how many there were."""
    for some in batches(ids):  # first, so that a product and its inputs can go together
        connection.execute(delete(image_input).where(image_input.c.image_id.in_(some)))
    removed = 0
    for some in batches(ids):
        removed += connection.execute(delete(image).where(image.c.id.in_(some))).rowcount
    return removed

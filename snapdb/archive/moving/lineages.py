"""Provenances of a snappl database: ids unchanged, each recomputed from what it is a hash of."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from snapdb.archive.moving.tables import Dump, DumpedRow, open_dump, read_object, read_uuid, read_whole
from snapdb.archive.paths import PathLike
from snapdb.errors import ConflictError, NotFoundError, ProvenanceError, SnapdbError
from snapdb.model.outcome import Outcome, OutcomeKind
from snapdb.model.provenance import SNAPPL_MD5, Provenance

if TYPE_CHECKING:
    from snapdb.registry import Registry

T = TypeVar("T")

_PROVENANCE = ("id", "process", "major", "minor", "params", "environment", "env_major", "env_minor")
_UPSTREAM = {"downstream_id": "downstream", "upstream_id": "upstream"}
"""Column of ``provenance_upstream`` -> its name without ``_id``, which will do too."""
_TAG = ("tag", "process", "provenance_id")
_EXACT = 2**53
"""From here on, jsonb may have written a float as an integer."""

Add = Callable[[Outcome], None]


@dataclass(slots=True, kw_only=True)
class LineageDump:
    """The three tables of provenances in snappl's database."""

    provenances: Dump | None = None
    upstreams: Dump | None = None
    tags: Dump | None = None
    known: dict[UUID, Provenance] = field(default_factory=dict)
    """What is registered, or was found in the tables and is sound."""
    refused: dict[UUID, str] = field(default_factory=dict)
    """Why others are not."""

    @property
    def dumps(self) -> list[Dump]:
        """The tables that there are."""
        return [d for d in (self.provenances, self.upstreams, self.tags) if d is not None]


def open_lineage(
    provenances: PathLike | None, upstreams: PathLike | None, tags: PathLike | None
) -> LineageDump:
    """Look at the tables of provenances.

    Raises
    ------
    ObjectMissingError
        If a file is missing.
    UnknownFormatError
        If one is no such table.
    """
    names = (*_UPSTREAM, *_UPSTREAM.values())
    return LineageDump(
        provenances=_open(provenances, _PROVENANCE[:4], _PROVENANCE),
        upstreams=_open(upstreams, (), names),
        tags=_open(tags, _TAG, _TAG),
    )


def _open(path: PathLike | None, needed: Collection[str], known: Collection[str]) -> Dump | None:
    """Look at a table, where there is one."""
    return None if path is None else open_dump(path, needed=needed, known=known)


def import_lineage(registry: "Registry", dump: LineageDump, add: Add, *, dry_run: bool = False) -> None:
    """Register provenances, upstreams first, and tags.

    Parameters
    ----------
    registry : Registry
        Where.
    dump : LineageDump
        The tables; what is sound among them is in its ``known`` afterwards.
    add : callable
        Told how each row ended.
    dry_run : bool
        Whether to look only.
    """
    dump.known = {p.id: p for p in registry.find_provenances()}
    registered = set(dump.known)
    rows = dict(_read_rows(dump.provenances or (), add))
    upstreams = _read_upstreams(dump.upstreams or (), rows, add)
    for row_id in _in_order(rows, upstreams):
        row = rows[row_id]
        try:
            made, warnings = _rebuild(row, row_id, _find_upstreams(upstreams.get(row_id, ()), dump, rows))
            if not dry_run:
                registry.add_provenance(made)
        except SnapdbError as err:
            dump.refused[row_id] = str(err)
            add(_refuse(row.place, err))
            continue
        dump.known[row_id] = made
        kind = OutcomeKind.UNCHANGED if row_id in registered else OutcomeKind.REGISTERED
        add(Outcome(path=row.place, outcome=kind, warnings=warnings))
    for row in dump.tags or ():
        _import_tag(registry, row, dump, add, dry_run=dry_run)


def _refuse(place: str, error: SnapdbError) -> Outcome:
    """Make the outcome of a row that was refused."""
    return Outcome(path=place, outcome=OutcomeKind.REFUSED, code=error.code, reason=str(error))


def _read_rows(table: Iterable[DumpedRow], add: Add) -> Iterator[tuple[UUID, DumpedRow]]:
    """Read the ids of provenances; the first row of an id counts."""
    seen: set[UUID] = set()
    for row in table:
        try:
            row_id = row.need("id", read_uuid)
            if row_id in seen:
                msg = f"id {row_id} stands in an earlier row too; a table has each id once"
                raise ConflictError(msg, provenance_id=row_id)
        except SnapdbError as err:
            add(_refuse(row.place, err))
            continue
        seen.add(row_id)
        yield row_id, row


def _read_upstreams(
    table: Iterable[DumpedRow], rows: Mapping[UUID, DumpedRow], add: Add
) -> dict[UUID, list[UUID]]:
    """Read which provenances are upstream of which."""
    found: dict[UUID, list[UUID]] = {}
    for row in table:
        try:
            down, up = (
                row.need(name if name in row.values else short, read_uuid)
                for name, short in _UPSTREAM.items()
            )
            if down not in rows:
                msg = f"the downstream provenance {down} is in no row of the provenances; export it too"
                raise NotFoundError(msg, provenance_id=down)
        except SnapdbError as err:
            add(_refuse(row.place, err))
            continue
        found.setdefault(down, []).append(up)
    return found


def _in_order(rows: Mapping[UUID, Any], upstreams: Mapping[UUID, list[UUID]]) -> Iterator[UUID]:
    """Give upstreams before what builds on them; what builds on itself comes last, to be refused."""
    waiting = dict.fromkeys(rows)
    while waiting:
        ready = [i for i in waiting if not any(u in waiting for u in upstreams.get(i, ()))]
        yield from ready or list(waiting)
        for done in ready or list(waiting):
            del waiting[done]


def _find_upstreams(
    ids: Iterable[UUID], dump: LineageDump, rows: Mapping[UUID, DumpedRow]
) -> list[Provenance]:
    """Give the upstreams of a provenance."""
    found = []
    for upstream in ids:
        if upstream not in dump.known:
            if upstream in dump.refused:
                why = "was refused"
            else:
                why = "builds on it in turn" if upstream in rows else "is in no row, and not registered"
            msg = f"its upstream {upstream} {why}; register that one first"
            raise NotFoundError(msg, provenance_id=upstream)
        found.append(dump.known[upstream])
    return found


def _rebuild(row: DumpedRow, row_id: UUID, upstreams: list[Provenance]) -> tuple[Provenance, tuple[str, ...]]:
    """Make the provenance of a row, with warnings; its id must come out as it stands."""
    params = row.get("params", read_object) or {}
    first: UUID | None = None
    for variant, what in _variants(params):
        made = Provenance(
            row.need("process", str),
            row.need("major", read_whole),
            row.need("minor", read_whole),
            variant,
            upstreams=upstreams,
            environment=row.get("environment", read_whole),
            env_major=row.get("env_major", read_whole),
            env_minor=row.get("env_minor", read_whole),
            hash_scheme=SNAPPL_MD5,
        )
        if made.id == row_id:
            return made, (what,) if what else ()
        first = first or made.id
    msg = (
        f"its id is {row_id}, and what the row says hashes to {first}; an id stands for its content, so one "
        "of them was changed, or an upstream is missing from the table of upstreams; it is left out"
    )
    raise ProvenanceError(msg, given=row_id, computed=first)


def _variants(params: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Give parameters as read, then as they may have been before jsonb, which keeps numbers by value alone.

    It writes the float 1e16 as an integer, and forgets the sign of zero. Which it was, the id proves.
    """
    yield params, None
    floats = _replace(params, lambda v: float(v) if _is_large(v) else v)
    signed = _replace(params, lambda v: -0.0 if isinstance(v, float) and v == 0.0 else v)
    both = _replace(floats, lambda v: -0.0 if isinstance(v, float) and v == 0.0 else v)
    note = "its id proves that {} in its parameters; the database had changed that"
    yield floats, note.format("large whole numbers were floats")
    yield signed, note.format("zeros were negative")
    yield both, note.format("large whole numbers were floats, and zeros negative")


def _is_large(value: object) -> bool:
    """Tell whether an integer may have been a float."""
    return isinstance(value, int) and not isinstance(value, bool) and _EXACT <= abs(value) < 10**308


def _replace(value: Any, change: Callable[[Any], Any]) -> Any:
    """Change the numbers inside of JSON values, in a copy."""
    if isinstance(value, dict):
        return {key: _replace(item, change) for key, item in value.items()}
    return [_replace(item, change) for item in value] if isinstance(value, list) else change(value)


def _import_tag(registry: "Registry", row: DumpedRow, dump: LineageDump, add: Add, *, dry_run: bool) -> None:
    """Set one tag, unless it points elsewhere already."""
    try:
        tag, process = row.need("tag", str), row.need("process", str)
        found = dump.known.get(row.need("provenance_id", read_uuid))
        if found is None:
            msg = f"it tags {row.values['provenance_id']}, which is not registered"
            raise NotFoundError(msg, tag=tag)
        if found.process != process:
            msg = f"it tags {found.id} for {process!r}, which is of {found.process!r}; tag it for that one"
            raise ProvenanceError(msg, tag=tag, process=process)
        there = {p.process: p.id for p in registry.find_tagged(tag)}
        if there.get(process, found.id) != found.id:
            here = f"tag {tag!r} of {process!r} points to {there[process]} here, not to {found.id}"
            msg = f"{here}; move it with `tag_provenance(..., replace=True)` if that is right"
            raise ConflictError(msg, tag=tag, process=process)
        if not dry_run:
            registry.tag_provenance(tag, found)
        kind = OutcomeKind.UNCHANGED if process in there else OutcomeKind.REGISTERED
    except SnapdbError as err:
        add(_refuse(row.place, err))
        return
    add(Outcome(path=row.place, outcome=kind))

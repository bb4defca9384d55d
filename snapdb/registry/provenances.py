"""Provenances in the database: saving, reading back with all upstreams, tags and their history."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Insert, Table, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from snapdb.errors import ConflictError, NotFoundError, ProvenanceError
from snapdb.model.provenance import Provenance, TagChange
from snapdb.model.provenance_parts import check_tag
from snapdb.registry.ids import make_id
from snapdb.registry.tables import (
    image,
    provenance,
    provenance_tag,
    provenance_tag_history,
    provenance_upstream,
)

_BATCH = 200
"""Provenances that one statement reads."""


def insert_new(connection: Connection, table: Table, *keys: str) -> Insert:
    """Make an insert that leaves rows alone whose key is there already."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return make(table).on_conflict_do_nothing(index_elements=list(keys))


def add_provenance(connection: Connection, given: Provenance, *, exists: bool | None) -> bool:
    """Save a provenance and all its upstreams.

    Returns
    -------
    bool
        Whether it was not there before.

    Raises
    ------
    ConflictError
        If it is there already, and `exists` is False.
    NotFoundError
        If it is not there, and `exists` is True.
    """
    if exists is not None:
        found = connection.execute(select(provenance.c.id).where(provenance.c.id == given.id)).scalar()
        if exists and found is None:
            msg = f"{given!r} is not registered; add it without exists=True"
            raise NotFoundError(msg, provenance_id=given.id)
        if not exists and found is not None:
            msg = f"{given!r} is registered already; add it without exists=False if that is right"
            raise ConflictError(msg, provenance_id=given.id)
    tree = sorted(given.walk(), key=lambda p: p.id)  # one order for all writers: no deadlock
    now = datetime.now(UTC)
    statement = insert_new(connection, provenance, "id").returning(provenance.c.id)
    added = set(connection.execute(statement, [_to_row(p, now) for p in tree]).scalars())
    edges = [{"downstream_id": p.id, "upstream_id": u.id} for p in tree for u in p.upstreams]
    if edges:
        connection.execute(insert_new(connection, provenance_upstream, "downstream_id", "upstream_id"), edges)
    return given.id in added


def _to_row(given: Provenance, now: datetime) -> dict[str, Any]:
    """Give the columns of a provenance."""
    spec = given.spec_dict()
    return {
        "id": given.id,
        "process": given.process,
        "major": given.major,
        "minor": given.minor,
        "params": spec["params"],
        "environment": None if given.environment is None else json.dumps(given.environment),
        "env_major": given.env_major,
        "env_minor": given.env_minor,
        "hash_scheme": given.hash_scheme,
        "canonical_text": given.canonical_text,
        "created_at": now,
    }


def read_provenances(connection: Connection, ids: Sequence[UUID]) -> list[Provenance]:
    """Read provenances with their whole upstream trees, in one query.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        To read from.
    ids : sequence of UUID
        Which ones.

    Returns
    -------
    list of Provenance
        Those that exist, in the order of `ids`.
    """
    tree = select(provenance.c.id).where(provenance.c.id.in_(ids)).cte("tree", recursive=True)
    step = select(provenance_upstream.c.upstream_id).join(
        tree, provenance_upstream.c.downstream_id == tree.c.id
    )
    tree = tree.union(step)
    joined = (provenance.join(tree, provenance.c.id == tree.c.id)).outerjoin(
        provenance_upstream, provenance_upstream.c.downstream_id == provenance.c.id
    )
    columns = (
        provenance.c.id,
        provenance.c.canonical_text,
        provenance.c.hash_scheme,
        provenance_upstream.c.upstream_id,
    )
    built = _build(connection.execute(select(*columns).select_from(joined)))
    return [built[i] for i in ids if i in built]


def _build(rows: Iterable[Any]) -> dict[UUID, Provenance]:
    """Build provenances from rows, upstreams before what builds on them."""
    texts: dict[UUID, tuple[str, str]] = {}
    upstreams: dict[UUID, list[UUID]] = {}
    for id_, text, scheme, upstream in rows:
        texts[id_] = (text, scheme)
        edges = upstreams.setdefault(id_, [])
        if upstream is not None:
            edges.append(upstream)
    built: dict[UUID, Provenance] = {}
    waiting = list(texts)
    while waiting:
        id_ = waiting[-1]
        missing = [u for u in upstreams[id_] if u not in built]
        if missing:
            waiting.extend(missing)
            continue
        waiting.pop()
        if id_ not in built:
            text, scheme = texts[id_]
            ups = [built[u] for u in upstreams[id_]]
            built[id_] = Provenance.from_canonical(text, upstreams=ups, hash_scheme=scheme)
    return built


def find_provenances(connection: Connection, process: str | None) -> list[Provenance]:
    """Find provenances, of one process or all, by process and version."""
    p = provenance.c
    query = select(p.id).order_by(p.process, p.major, p.minor, p.created_at, p.id)
    if process is not None:
        query = query.where(p.process == process)
    return read_all(connection, connection.execute(query).scalars().all())


def read_all(connection: Connection, ids: Sequence[UUID]) -> list[Provenance]:
    """Read any number of provenances with their whole upstream trees; see :func:`read_provenances`."""
    found: list[Provenance] = []
    for start in range(0, len(ids), _BATCH):
        found += read_provenances(connection, ids[start : start + _BATCH])
    return found


def find_ids(connection: Connection, digits: str) -> list[UUID]:
    """List the ids that begin with some hexadecimal digits."""
    first, last = (UUID(digits.ljust(32, fill)) for fill in "0f")
    query = select(provenance.c.id).where(provenance.c.id.between(first, last))
    return list(connection.execute(query.order_by(provenance.c.id)).scalars())


def count_images(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, int]:
    """Count the images of provenances; those without any are left out."""
    counts: dict[UUID, int] = {}
    for start in range(0, len(ids), _BATCH):
        made_by = image.c.provenance_id.in_(ids[start : start + _BATCH])
        query = select(image.c.provenance_id, func.count()).where(made_by).group_by(image.c.provenance_id)
        counts.update((id_, number) for id_, number in connection.execute(query))
    return counts


def find_downstream(connection: Connection, id_: UUID) -> list[UUID]:
    """Find every provenance that builds on one, directly or not."""
    edges = provenance_upstream.c
    tree = select(edges.downstream_id.label("id")).where(edges.upstream_id == id_).cte("tree", recursive=True)
    tree = tree.union(select(edges.downstream_id).join(tree, edges.upstream_id == tree.c.id))
    return list(connection.execute(select(tree.c.id).order_by(tree.c.id)).scalars())


def set_tag(connection: Connection, tag: str, given: Provenance, *, replace: bool) -> None:
    """Let a tag point to a provenance, for its process.

    Raises
    ------
    NotFoundError
        If the provenance is not registered.
    ProvenanceError
        If the registered one is of another process, or the tag is no name.
    ConflictError
        If the tag points elsewhere, and `replace` is False.
    """
    check_tag(tag)
    _check_process(connection, given)
    where = (provenance_tag.c.tag == tag, provenance_tag.c.process == given.process)
    values = {"tag": tag, "process": given.process, "provenance_id": given.id}
    statement = insert_new(connection, provenance_tag, "tag", "process").returning(provenance_tag.c.tag)
    is_new = connection.execute(statement, values).scalar() is not None
    previous: UUID | None = None
    if not is_new:
        query = select(provenance_tag.c.provenance_id).where(*where).with_for_update()
        previous = connection.execute(query).scalar_one()
        if previous == given.id:
            return
        if not replace:
            msg = (
                f"tag {tag!r} of process {given.process!r} points to {previous}, not to {given.id}; "
                "choose another tag, or replace it (replace=True, --replace)"
            )
            raise ConflictError(msg, tag=tag, process=given.process, existing=previous, given=given.id)
        connection.execute(update(provenance_tag).where(*where).values(provenance_id=given.id))
    change = {"id": make_id(), **values, "previous_id": previous, "changed_at": datetime.now(UTC)}
    connection.execute(insert(provenance_tag_history), change)


def _check_process(connection: Connection, given: Provenance) -> None:
    """Refuse a provenance that is not there, or is registered under another process."""
    process = connection.execute(select(provenance.c.process).where(provenance.c.id == given.id)).scalar()
    if process is None:
        msg = f"{given!r} is not registered; add it before it is tagged"
        raise NotFoundError(msg, provenance_id=given.id)
    if process != given.process:
        msg = f"provenance {given.id} is of process {process!r}, not {given.process!r}"
        raise ProvenanceError(msg, provenance_id=given.id)


def find_tags(connection: Connection, *, tag: str | None = None) -> Mapping[tuple[str, str], UUID]:
    """Find what tags point to: (tag, process) -> provenance."""
    t = provenance_tag.c
    query = select(t.tag, t.process, t.provenance_id).order_by(t.tag, t.process)
    if tag is not None:
        query = query.where(t.tag == tag)
    return {(name, process): id_ for name, process, id_ in connection.execute(query)}


def read_history(connection: Connection, tag: str, process: str) -> list[TagChange]:
    """Read what a tag has pointed to, the first first."""
    h = provenance_tag_history.c
    columns = (h.tag, h.process, h.provenance_id, h.previous_id, h.changed_at)
    query = select(*columns).where(h.tag == tag, h.process == process).order_by(h.changed_at, h.id)
    return [TagChange(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001  # its public name

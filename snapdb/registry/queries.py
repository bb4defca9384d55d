"""Questions as SQL: pure functions from the shape of a search to a statement.

A search has a shape (which criteria it names) and values. The statement of a
shape is compiled once and kept; a search then only brings its values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Dialect,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from snapdb.model.image import FACT_NAMES, OWN_NAMES
from snapdb.model.search import Search
from snapdb.registry.filters import (
    bind_equal,
    bind_glob,
    bind_properties,
    column_of,
    equal,
    is_number,
    match_glob,
    match_properties,
    shape_properties,
    to_driver,
    within,
)
from snapdb.registry.spatial import Where, choose_spatial
from snapdb.registry.tables import image

RECORD_NAMES: tuple[str, ...] = (*FACT_NAMES, *OWN_NAMES)
"""Fields of an ImageRecord in the order in which rows have them."""
_JSON = ("flag_bits", "properties")
_DIALECTS: dict[str, Callable[[], Dialect]] = {
    "postgresql": lambda: postgresql.psycopg.dialect(paramstyle="pyformat"),  # type: ignore[no-untyped-call]
    "sqlite": lambda: sqlite.pysqlite.dialect(paramstyle="named"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Which criteria a search names: all that its statement depends on."""

    where: Where
    equals: tuple[tuple[str, int], ...]
    """(column, how many values; 2 stands for any number where they come as one parameter)."""
    ranges: tuple[tuple[str, bool, bool, bool], ...]
    """(column, has a least, has a greatest, goes through 0)."""
    properties: tuple[tuple[Any, ...], ...]
    named: bool
    """Whether the file's name has a pattern."""
    order_by: tuple[tuple[str, bool], ...]
    after: tuple[bool, ...] | None
    """Which of the columns of `order_by` are known of the image that results come after."""
    limited: bool
    shifted: bool
    counting: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with its values, ready for the driver."""

    sql: str
    values: dict[str, Any]


def shape_of(search: Search, *, counting: bool = False) -> Shape:
    """Tell which criteria a search names.

    Parameters
    ----------
    search : Search
        The question.
    counting : bool
        Whether only the number of images is asked for.

    Returns
    -------
    Shape
        Equal for searches that differ in values alone.
    """
    places = search.after_values
    return Shape(
        where="position" if search.ra is not None else "anywhere" if search.region is None else "near",
        equals=tuple(
            (name, len(values) if is_number(name) else min(len(values), 2))
            for name, values in _equals_of(search).items()
        ),
        ranges=tuple(
            (name, low is not None, high is not None, low is not None and high is not None and low > high)
            for name, (low, high) in search.ranges.items()
        ),
        properties=shape_properties(search.properties),
        named=search.filepath_glob is not None,
        order_by=() if counting and search.after is None else tuple(search.order_by),
        after=None if places is None else tuple(value is not None for value in places),
        limited=search.limit is not None,
        shifted=search.offset > 0,
        counting=counting,
    )


def make_statement(search: Search, dialect: str, *, counting: bool = False) -> Statement:
    """Make the statement of a search that can match something.

    Parameters
    ----------
    search : Search
        The question; none of its lists of values is empty.
    dialect : str
        ``postgresql`` or ``sqlite``.
    counting : bool
        Whether only the number of images is asked for.

    Returns
    -------
    Statement
        Its rows hold :data:`RECORD_NAMES`, or one number.
    """
    sql, constants = _compile(shape_of(search, counting=counting), dialect)
    return Statement(sql, {**constants, **_bind(search, dialect)})


@lru_cache(maxsize=1024)
def _compile(shape: Shape, dialect: str) -> tuple[str, dict[str, Any]]:
    """Write the statement of a shape as text, with the values that every such search has."""
    return compile_select(build_select(shape, dialect), dialect)


def compile_select(query: Select[Any], dialect: str) -> tuple[str, dict[str, Any]]:
    """Write a statement as the driver takes it, with the values that are in it already."""
    compiled = query.compile(dialect=_DIALECTS[dialect]())
    return str(compiled), {name: value for name, value in compiled.params.items() if value is not None}


def build_select(shape: Shape, dialect: str) -> Select[Any]:
    """Build the statement of a shape.

    Parameters
    ----------
    shape : Shape
        Which criteria are named.
    dialect : str
        ``postgresql`` or ``sqlite``.

    Returns
    -------
    sqlalchemy.Select
        Of records, or of their number.
    """
    spatial = choose_spatial(dialect)
    conditions = [*spatial.conditions(shape.where)]
    near = shape.where != "anywhere"
    conditions += [equal(name, count, dialect, spatial=near) for name, count in shape.equals]
    conditions += [within(bound, dialect, spatial=near) for bound in shape.ranges]
    conditions += match_properties(shape.properties, dialect)
    conditions += [match_glob(dialect)] if shape.named else []
    if shape.after is not None:
        conditions.append(_come_after(shape.order_by, shape.after))
    columns = [literal_column("1")] if shape.counting else _record_columns(dialect)
    query = select(*columns).select_from(spatial.images(shape.where)).where(*conditions)
    query = _cut(query, shape, dialect)
    return select(func.count()).select_from(query.subquery()) if shape.counting else query


def _cut(query: Select[Any], shape: Shape, dialect: str) -> Select[Any]:
    """Sort, skip and limit; ties go by id, so that pages never overlap and an answer is always the same."""
    if not shape.counting:
        columns = [(column_of(name), descending) for name, descending in shape.order_by]
        order = [(c.desc() if d else c.asc()).nulls_last() for c, d in columns]
        query = query.order_by(*order, image.c.id.asc())
    if shape.shifted:
        query = query.offset(bindparam("offset", type_=BigInteger))
    if shape.limited:
        query = query.limit(bindparam("limit", type_=BigInteger))
    elif shape.shifted and dialect == "sqlite":
        query = query.limit(-1)  # SQLite has no OFFSET without LIMIT
    return query


def _come_after(order_by: tuple[tuple[str, bool], ...], known: tuple[bool, ...]) -> ColumnElement[bool]:
    """Ask for what comes after a place in the order; what is not known comes last."""
    condition: ColumnElement[bool] = image.c.id > bindparam("after_id", type_=image.c.id.type)
    for number, ((name, descending), is_known) in reversed(
        list(enumerate(zip(order_by, known, strict=True)))
    ):
        target = column_of(name)
        if not is_known:
            condition = and_(target.is_(None), condition)
            continue
        there = bindparam(f"after_{number}", type_=target.type)
        beyond = target < there if descending else target > there
        unknown = [target.is_(None)] if target.nullable else []
        condition = or_(beyond, *unknown, and_(target == there, condition))
    return condition


def _record_columns(dialect: str) -> list[ColumnElement[Any]]:
    """Give what a record is made of; JSON as text, which is read only when it is looked at."""
    columns: list[ColumnElement[Any]] = [column_of(name) for name in RECORD_NAMES]
    if dialect == "sqlite":
        return columns
    return [
        cast(c, Text).label(name) if name in _JSON else c
        for name, c in zip(RECORD_NAMES, columns, strict=True)
    ]


def _equals_of(search: Search) -> dict[str, tuple[Any, ...]]:
    """Give every criterion that asks for values."""
    if search.provenance_ids is None:
        return dict(search.equals)
    return {"provenance_id": search.provenance_ids, **search.equals}


def _bind(search: Search, dialect: str) -> dict[str, Any]:
    """Give the values of a statement's parameters."""
    values: dict[str, Any] = {}
    if search.ra is not None and search.dec is not None:
        values |= choose_spatial(dialect).bind_position(search.ra, search.dec)
    elif search.region is not None:
        values |= choose_spatial(dialect).bind_near(search.region.extremes())
    for name, wanted in _equals_of(search).items():
        values |= bind_equal(name, wanted, dialect)
    for name, (low, high) in search.ranges.items():
        values |= {f"{end}_{name}": v for end, v in (("min", low), ("max", high)) if v is not None}
    values |= bind_properties(search.properties, dialect) | _bind_after(search, dialect)
    if search.filepath_glob is not None:
        values |= bind_glob(search.filepath_glob, dialect)
    if search.limit is not None:
        values["limit"] = search.limit
    if search.offset:
        values["offset"] = search.offset
    return values


def _bind_after(search: Search, dialect: str) -> dict[str, Any]:
    """Give the parameters of :func:`_come_after`."""
    if search.after is None or search.after_values is None:
        return {}
    held = {f"after_{n}": v for n, v in enumerate(search.after_values) if v is not None}
    return {name: to_driver(v, dialect) for name, v in {"after_id": search.after, **held}.items()}


def make_place_statement(search: Search, dialect: str) -> Statement:
    """Make the statement that reads what the image, after which results come, is sorted by."""
    columns = [column_of(name) for name, _ in search.order_by]
    source = choose_spatial(dialect).images("anywhere")
    query = select(literal_column("1"), *columns).select_from(source)
    sql, _ = compile_select(query.where(image.c.id == bindparam("id")), dialect)
    return Statement(sql, {"id": to_driver(search.after, dialect)})

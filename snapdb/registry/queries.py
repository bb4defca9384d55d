"""Questions as SQL: pure functions from the shape of a search to a statement.

A search has a shape (which criteria it names) and values. The statement of a
shape is compiled once and kept; a search then only brings its values.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    Double,
    Integer,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from snapdb.model.image import FACT_NAMES
from snapdb.model.search import Search
from snapdb.registry.spatial import choose_spatial
from snapdb.registry.tables import file, image

RECORD_NAMES: tuple[str, ...] = (*FACT_NAMES, "id", "provenance_id", "filepath", "hdu")
"""Fields of an ImageRecord in the order in which rows have them."""
_JSON = ("flag_bits", "properties")
_DIALECTS: dict[str, Callable[[], Dialect]] = {
    "postgresql": lambda: postgresql.psycopg.dialect(paramstyle="pyformat"),  # type: ignore[no-untyped-call]
    "sqlite": lambda: sqlite.pysqlite.dialect(paramstyle="named"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Which criteria a search names: all that its statement depends on."""

    position: bool
    equals: tuple[tuple[str, int], ...]
    """(column, how many values; 2 stands for any number where they come as one parameter)."""
    ranges: tuple[tuple[str, bool, bool, bool], ...]
    """(column, has a least, has a greatest, goes through 0)."""
    order_by: tuple[tuple[str, bool], ...]
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
    return Shape(
        position=search.ra is not None,
        equals=tuple(
            (name, len(values) if _is_number(name) else min(len(values), 2))
            for name, values in _equals_of(search).items()
        ),
        ranges=tuple(
            (name, low is not None, high is not None, low is not None and high is not None and low > high)
            for name, (low, high) in search.ranges.items()
        ),
        order_by=() if counting else tuple(search.order_by),
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
    compiled = build_select(shape, dialect).compile(dialect=_DIALECTS[dialect]())
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
    source = spatial.images() if shape.position else image.join(file, file.c.id == image.c.file_id)
    conditions = [*(spatial.covers() if shape.position else ())]
    conditions += [_equal(name, count, dialect) for name, count in shape.equals]
    conditions += [_within(*bound) for bound in shape.ranges]
    columns = [literal_column("1")] if shape.counting else _record_columns(dialect)
    query = select(*columns).select_from(source).where(*conditions)
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


def _record_columns(dialect: str) -> list[ColumnElement[Any]]:
    """Give what a record is made of; JSON as text, which is read only when it is looked at."""
    columns: list[ColumnElement[Any]] = [column_of(name) for name in RECORD_NAMES]
    if dialect == "sqlite":
        return columns
    return [
        cast(c, Text).label(name) if name in _JSON else c
        for name, c in zip(RECORD_NAMES, columns, strict=True)
    ]


def column_of(name: str) -> Column[Any]:
    """Give the column that a criterion, or a field of a record, names."""
    if name in ("filepath", "format"):
        return file.c["key" if name == "filepath" else name]
    return image.c[name]


def _equals_of(search: Search) -> dict[str, tuple[Any, ...]]:
    """Give every criterion that asks for values."""
    if search.provenance_ids is None:
        return dict(search.equals)
    return {"provenance_id": search.provenance_ids, **search.equals}


def _is_number(name: str) -> bool:
    """Tell whether a column holds floats, which do not go through text unharmed."""
    return isinstance(column_of(name).type, Double)


def _equal(name: str, count: int, dialect: str) -> ColumnElement[bool]:
    """Ask for one value, or any of several that come as one parameter."""
    target = column_of(name)
    key = f"eq_{name}"
    if count == 1:
        return target == bindparam(key, type_=target.type)
    if _is_number(name):
        return target.in_([bindparam(f"{key}_{n}", type_=target.type) for n in range(count)])
    if dialect == "postgresql":
        return target == any_(bindparam(key, type_=ARRAY(target.type)))
    values = func.json_each(bindparam(key, type_=Text)).table_valued("value")
    return target.in_(select(values.c.value))


def _bind_equal(name: str, wanted: tuple[Any, ...], dialect: str) -> dict[str, Any]:
    """Give the parameters of :func:`_equal`."""
    key = f"eq_{name}"
    if dialect == "sqlite":
        wanted = tuple(v.hex if isinstance(v, UUID) else v for v in wanted)
    if len(wanted) == 1:
        return {key: wanted[0]}
    if _is_number(name):
        return {f"{key}_{n}": v for n, v in enumerate(wanted)}
    return {key: list(wanted) if dialect == "postgresql" else json.dumps(wanted)}


def _within(name: str, low: bool, high: bool, through_0: bool) -> ColumnElement[bool]:  # noqa: FBT001
    """Ask for a range, ends included."""
    target = column_of(name)
    kind = Double if isinstance(target.type, Integer) else target.type
    above = target >= bindparam(f"min_{name}", type_=kind)
    below = target <= bindparam(f"max_{name}", type_=kind)
    if low and high:
        return or_(above, below) if through_0 else and_(above, below)
    return above if low else below


def _bind(search: Search, dialect: str) -> dict[str, Any]:
    """Give the values of a statement's parameters."""
    values: dict[str, Any] = {}
    if search.ra is not None and search.dec is not None:
        values |= choose_spatial(dialect).bind_position(search.ra, search.dec)
    for name, wanted in _equals_of(search).items():
        values |= _bind_equal(name, wanted, dialect)
    for name, (low, high) in search.ranges.items():
        values |= {f"{end}_{name}": v for end, v in (("min", low), ("max", high)) if v is not None}
    if search.limit is not None:
        values["limit"] = search.limit
    if search.offset:
        values["offset"] = search.offset
    return values

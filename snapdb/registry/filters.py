"""Criteria on columns as SQL: each has a condition, which depends on its shape, and parameters.

The values of a condition come as parameters whose names are made of the column's, so that
the statement of a shape is written once.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Double,
    Integer,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from snapdb.model.property import PropertyTest, Scalar
from snapdb.registry.tables import file, image

_OF_FILES = {"filepath": "key", "format": "format", "sha256": "sha256"}
"""Criterion -> column of ``file``."""


def column_of(name: str) -> Column[Any]:
    """Give the column that a criterion, or a field of a record, names."""
    if name in _OF_FILES:
        return file.c[_OF_FILES[name]]
    return image.c[name]


def _target_of(name: str, spatial: bool) -> ColumnElement[Any]:  # noqa: FBT001  # as a shape has it
    """Give what a criterion is asked of: beside a position, what PostgreSQL's index of footprints holds."""
    column = column_of(name)
    if spatial and name == "band":
        return column.op("||", return_type=Text())(literal_column("''"))
    return column + literal_column("0") if spatial and name == "mjd" else column


def is_number(name: str) -> bool:
    """Tell whether a column holds floats, which do not go through text unharmed."""
    return isinstance(column_of(name).type, Double)


def equal(name: str, count: int, dialect: str, *, spatial: bool = False) -> ColumnElement[bool]:
    """Ask for one value, or any of several that come as one parameter."""
    kind, target = column_of(name).type, _target_of(name, spatial and dialect == "postgresql")
    key = f"eq_{name}"
    if count == 1:
        return target == bindparam(key, type_=kind)
    if is_number(name):
        return target.in_([bindparam(f"{key}_{n}", type_=kind) for n in range(count)])
    if dialect == "postgresql":
        return target == any_(bindparam(key, type_=ARRAY(kind)))
    values = func.json_each(bindparam(key, type_=Text)).table_valued("value")
    return target.in_(select(values.c.value))


def bind_equal(name: str, wanted: tuple[Any, ...], dialect: str) -> dict[str, Any]:
    """Give the parameters of :func:`equal`."""
    key = f"eq_{name}"
    wanted = tuple(to_driver(v, dialect) for v in wanted)
    if len(wanted) == 1:
        return {key: wanted[0]}
    if is_number(name):
        return {f"{key}_{n}": v for n, v in enumerate(wanted)}
    return {key: list(wanted) if dialect == "postgresql" else json.dumps(wanted)}


def within(
    bound: tuple[str, bool, bool, bool], dialect: str, *, spatial: bool = False
) -> ColumnElement[bool]:
    """Ask for a range, ends included; `bound` is that of a shape."""
    name, low, high, through_0 = bound
    target = _target_of(name, spatial and dialect == "postgresql")
    kind = Double if isinstance(column_of(name).type, Integer) else column_of(name).type
    above = target >= bindparam(f"min_{name}", type_=kind)
    below = target <= bindparam(f"max_{name}", type_=kind)
    if low and high:
        return or_(above, below) if through_0 else and_(above, below)
    return above if low else below


def to_driver(value: Any, dialect: str) -> Any:
    """Give a value as the driver takes it: SQLite keeps ids as hexadecimal text."""
    return value.hex if dialect == "sqlite" and isinstance(value, UUID) else value


# Patterns of file names


def match_glob(dialect: str) -> ColumnElement[bool]:
    """Ask that a file's key matches the pattern in the parameter ``glob``."""
    pattern = bindparam("glob", type_=Text)
    return file.c.key.op("~" if dialect == "postgresql" else "GLOB")(pattern)


def bind_glob(pattern: str, dialect: str) -> dict[str, Any]:
    """Give the pattern: SQLite has globs, PostgreSQL regular expressions."""
    return {"glob": _to_expression(pattern) if dialect == "postgresql" else pattern}


def _to_expression(pattern: str) -> str:
    """Write a glob as a regular expression of PostgreSQL."""
    written = {"*": ".*", "?": "."}
    parts = re.findall(r"\[\^?\]?[^\]]*\]|.", pattern, re.DOTALL)
    texts = [p.replace("\\", "\\\\") if len(p) > 1 else written.get(p, re.escape(p)) for p in parts]
    return f"^(?:{''.join(texts)})$"


# Properties


def kind_of(value: Scalar) -> str:
    """Tell which of the kinds of JSON a value is."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "text" if isinstance(value, str) else "number"


def shape_property(test: PropertyTest) -> tuple[Any, ...]:
    """Tell what the condition of a test depends on: depth, kinds of its values, ends of its range."""
    kinds = None if test.values is None else tuple(kind_of(v) for v in test.values)
    return len(test.path), kinds, test.low is not None, test.high is not None


def match_property(number: int, shape: tuple[Any, ...], dialect: str) -> ColumnElement[bool]:
    """Ask for a property's value, or for its range."""
    depth, kinds, low, high = shape
    held = (_HeldInJsonb if dialect == "postgresql" else _HeldInText)(f"prop_{number}", depth)
    if kinds is not None:
        return or_(false(), *(held.equals(kind, n) for n, kind in enumerate(kinds)))
    ends = [held.number() >= bindparam(f"{held.key}_min", type_=Double)] if low else []
    ends += [held.number() <= bindparam(f"{held.key}_max", type_=Double)] if high else []
    return and_(*ends)


def bind_property(number: int, test: PropertyTest, dialect: str) -> dict[str, Any]:
    """Give the parameters of :func:`match_property`."""
    key = f"prop_{number}"
    if dialect == "postgresql":
        bound: dict[str, Any] = {f"{key}_key{n}": name for n, name in enumerate(test.path)}
    else:
        bound = {f"{key}_path": "$" + "".join(f'."{name}"' for name in test.path)}
    values = {f"{key}_{n}": v for n, v in enumerate(test.values or ()) if kind_of(v) in ("text", "number")}
    ends = {f"{key}_min": test.low, f"{key}_max": test.high}
    return {**bound, **values, **{name: v for name, v in ends.items() if v is not None}}


class _HeldInJsonb:
    """A property on PostgreSQL."""

    def __init__(self, key: str, depth: int) -> None:
        self.key = key
        self.value: Any = image.c.properties
        for n in range(depth):  # by name alone: a path would also count in arrays
            self.value = cast(self.value, JSONB).op("->")(bindparam(f"{key}_key{n}", type_=Text))

    def _kind(self) -> ColumnElement[str]:
        return func.jsonb_typeof(self.value)

    def _text(self) -> ColumnElement[str]:
        text: ColumnElement[str] = self.value.op("#>>")(cast("{}", ARRAY(Text)))
        return text

    def number(self) -> ColumnElement[float]:
        """Give its number; null where it is none."""
        return case((self._kind() == "number", cast(self._text(), Double)))

    def equals(self, kind: str, place: int) -> ColumnElement[bool]:
        """Ask that it is one of the values."""
        if kind == "null":
            return func.coalesce(self._kind(), "null") == "null"
        if kind == "number":
            return self.number() == bindparam(f"{self.key}_{place}", type_=Double)
        if kind == "text":
            return and_(
                self._kind() == "string", self._text() == bindparam(f"{self.key}_{place}", type_=Text)
            )
        return and_(self._kind() == "boolean", self._text() == kind)


class _HeldInText:
    """A property on SQLite."""

    def __init__(self, key: str, _depth: int) -> None:
        self.key = key
        path = bindparam(f"{key}_path", type_=Text)
        self._kind: ColumnElement[str] = func.json_type(cast(image.c.properties, Text), path)
        self._value: ColumnElement[Any] = func.json_extract(cast(image.c.properties, Text), path)

    def number(self) -> ColumnElement[float]:
        """Give its number; null where it is none."""
        return case((or_(self._kind == "integer", self._kind == "real"), self._value))

    def equals(self, kind: str, place: int) -> ColumnElement[bool]:
        """Ask that it is one of the values."""
        if kind == "null":
            return func.coalesce(self._kind, "null") == "null"
        value = bindparam(f"{self.key}_{place}", type_=Double if kind == "number" else Text)
        if kind == "number":
            return self.number() == value
        return and_(self._kind == "text", self._value == value) if kind == "text" else self._kind == kind


def shape_properties(tests: tuple[PropertyTest, ...]) -> tuple[tuple[Any, ...], ...]:
    """Tell what the conditions of all tests depend on."""
    return tuple(shape_property(test) for test in tests)


def bind_properties(tests: tuple[PropertyTest, ...], dialect: str) -> dict[str, Any]:
    """Give the parameters of all tests."""
    return {k: v for n, test in enumerate(tests) for k, v in bind_property(n, test, dialect).items()}


def match_properties(shapes: tuple[tuple[Any, ...], ...], dialect: str) -> Iterator[ColumnElement[bool]]:
    """Ask for all properties."""
    return (match_property(n, shape, dialect) for n, shape in enumerate(shapes))

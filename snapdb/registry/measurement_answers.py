"""What a search for measurements reads, and how its rows become columns.

PostgreSQL packs all that has a fixed width into one value for each row, which numpy reads: a driver's
object for each of the twenty numbers takes three times as long.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Double, LargeBinary, Text, cast, func, literal

from snapdb.model.measurement import (
    COLUMNS,
    FLOATS,
    INTEGERS,
    JOINED,
    MeasurementTable,
    empty_measurements,
)
from snapdb.registry.tables import image, measurement

EPOCH = np.datetime64("2000-01-01", "us")
"""From which PostgreSQL counts microseconds."""
_TEXTS = ("method", "name", "band")
_IDS = ("image_id", "provenance_id")
_WIDE = tuple(name for name in COLUMNS if name not in _TEXTS)
"""Columns of a fixed width."""


def _kind_of(name: str) -> str:
    """Name the numpy type in which PostgreSQL sends a column of a fixed width."""
    if name in _IDS:
        return "V16"
    if name in INTEGERS:
        return np.dtype(INTEGERS[name]).newbyteorder(">").str
    return ">f8" if name in FLOATS else ">i8"


_FIELDS = [(("type " + name, ">i4"), ("length " + name, ">i4"), (name, _kind_of(name))) for name in _WIDE]
_RECORD = np.dtype([("count", ">i4"), *(part for field in _FIELDS for part in field)])
"""A row as record_send writes it (PostgreSQL: src/backend/utils/adt/rowtypes.c)."""


def answer_columns(dialect: str) -> list[ColumnElement[Any]]:
    """Give what a search reads.

    Parameters
    ----------
    dialect : str
        ``postgresql`` or ``sqlite``.

    Returns
    -------
    list of sqlalchemy.ColumnElement
        Whose rows :func:`make_table` understands.
    """
    columns = {name: image.c[name] if name in JOINED else measurement.c[name] for name in COLUMNS}
    if dialect == "postgresql":
        wide = [
            func.coalesce(columns[name], cast(literal("NaN"), Double)) if name in FLOATS else columns[name]
            for name in _WIDE
        ]
        packed = func.record_send(func.row(*wide), type_=LargeBinary)
        return [packed, *(columns[name] for name in _TEXTS)]
    return [cast(columns[name], Text) if name == "measured_at" else columns[name] for name in COLUMNS]


def make_table(rows: Sequence[tuple[Any, ...]], dialect: str) -> MeasurementTable:
    """Make a table of the rows of a search.

    Parameters
    ----------
    rows : sequence of tuple
        As the driver gives them.
    dialect : str
        ``postgresql`` or ``sqlite``.

    Returns
    -------
    MeasurementTable
        In the order of the rows.
    """
    if not rows:
        return empty_measurements()
    columns = list(zip(*rows, strict=True))
    if dialect == "postgresql":
        packed = np.frombuffer(b"".join(columns[0]), dtype=_RECORD)
        made = {name: _unpack(name, packed[name]) for name in _WIDE}
        made |= {name: _as_objects(column) for name, column in zip(_TEXTS, columns[1:], strict=True)}
    else:
        made = {name: _read_column(name, column) for name, column in zip(COLUMNS, columns, strict=True)}
    return MeasurementTable(**made)


def _unpack(name: str, column: NDArray[Any]) -> NDArray[Any]:
    """Bring a column of PostgreSQL's into the table's type."""
    if name in _IDS:
        joined = column.tobytes()
        pieces = [joined[start : start + 16] for start in range(0, len(joined), 16)]
        ids = {piece: UUID(bytes=piece) for piece in set(pieces)}
        return _as_objects([ids[piece] for piece in pieces])
    if name == "measured_at":
        return np.asarray(EPOCH + column.astype("timedelta64[us]"))
    return column.astype(column.dtype.newbyteorder("="))


def _read_column(name: str, values: Sequence[Any]) -> NDArray[Any]:
    """Make a column of what SQLite gives: None is NaN in numbers, ids and times are text."""
    if name in FLOATS:
        return np.array(values, dtype=np.float64)
    if name in INTEGERS:
        return np.array(values, dtype=INTEGERS[name])
    if name == "measured_at":
        return np.array(values, dtype="datetime64[us]")
    if name in _IDS:
        ids = {text: UUID(hex=text) for text in set(values)}
        values = [ids[text] for text in values]
    return _as_objects(values)


def _as_objects(values: Sequence[Any]) -> NDArray[np.object_]:
    """Make a column of objects."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column

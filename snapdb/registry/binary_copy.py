"""Whole columns as PostgreSQL's COPY takes them in binary (manual, 55.2.7 "Binary format").

Numbers, ids and times of one width are laid out by numpy, the beginning of each row; texts and what may be
NULL follow, each with its length before it, written once for each distinct value. A driver that turns value
after value into bytes takes four times as long.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from operator import attrgetter
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import JSON, BigInteger, Double, Integer, SmallInteger, Uuid
from sqlalchemy.types import TypeEngine

from snapdb.registry.tables import UtcTime

Field = NDArray[Any] | Sequence[bytes]
"""A column: an array in the byte order of the network where nothing is NULL, or fields with their lengths."""

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Times count microseconds from here."""
NULL = b"\xff\xff\xff\xff"
"""A field without a value: the length -1."""
_CHUNK = 20_000
_LENGTH = struct.Struct(">i").pack
_HEADER, _TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_NUMBERS: dict[type[TypeEngine[Any]], str] = {
    SmallInteger: ">i2",
    BigInteger: ">i8",
    Integer: ">i4",
    Double: ">f8",
}
"""Type -> how its values are laid out; special ones before those that they are kinds of."""


def copy_columns(cursor: Any, target: str, columns: Mapping[str, Field]) -> None:
    """Copy columns into a table.

    Parameters
    ----------
    cursor : psycopg.Cursor
        Of the connection to write to.
    target : str
        Name of the table.
    columns : mapping
        Name of a column -> what it holds, as :func:`encode_column` gives it; all of one length.
    """
    fixed = {name: column for name, column in columns.items() if isinstance(column, np.ndarray)}
    free = {name: column for name, column in columns.items() if not isinstance(column, np.ndarray)}
    with cursor.copy(f"COPY {target} ({', '.join((*fixed, *free))}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(_HEADER)
        for piece in _write_rows(fixed, list(free.values()), len(next(iter(columns.values())))):
            copy.write(piece)
        copy.write(_TRAILER)


def _write_rows(
    fixed: Mapping[str, NDArray[Any]], free: Sequence[Sequence[bytes]], count: int
) -> Iterator[bytes]:
    """Write rows, some thousands at a time: each field is its length and its bytes."""
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name, column in fixed.items():
        layout += [(f"length of {name}", ">i4"), (name, column.dtype.str)]
    width = np.dtype(layout).itemsize
    for start in range(0, count, _CHUNK):
        rows = slice(start, min(start + _CHUNK, count))
        made = np.empty(rows.stop - start, dtype=layout)
        made["fields"] = len(fixed) + len(free)
        for name, column in fixed.items():
            made[f"length of {name}"], made[name] = column.dtype.itemsize, column[rows]
        joined = made.tobytes()
        fronts = (joined[place : place + width] for place in range(0, len(joined), width))
        yield b"".join(chain.from_iterable(zip(fronts, *(column[rows] for column in free), strict=True)))


def encode_column(values: Sequence[Any], kind: TypeEngine[Any]) -> Field:
    """Encode the values of a column.

    Parameters
    ----------
    values : sequence
        Python's own values: UUID, int, float, str, bytes, datetime; JSON as text. Numbers and texts
        may be None, which is NULL.
    kind : sqlalchemy type
        Type of the column.

    Returns
    -------
    array or sequence of bytes
        For :func:`copy_columns`.
    """
    if isinstance(kind, Uuid):
        return encode_ids(values)
    if isinstance(kind, UtcTime):
        return _encode_times(values)
    layout = next((layout for number, layout in _NUMBERS.items() if isinstance(kind, number)), None)
    if layout is not None:
        return _encode_numbers(values, layout)
    if isinstance(values[0], bytes):
        return [_LENGTH(len(value)) + value for value in values]
    return encode_texts(values, mark=b"\x01" if isinstance(kind, JSON) else b"")


def _encode_numbers(values: Sequence[Any], layout: str) -> Field:
    """Encode numbers, among which there may be None."""
    try:
        numbers = np.array(values, dtype=layout[1:])
    except TypeError:  # None is no integer
        numbers = None
    if numbers is not None and not (numbers.dtype.kind == "f" and np.isnan(numbers).any()):
        return numbers.astype(layout)
    known = [value is not None for value in values]
    if not any(known):
        return [NULL] * len(known)
    joined = np.array([value or 0 for value in values], dtype=layout).tobytes()
    width = np.dtype(layout).itemsize
    length, places = _LENGTH(width), range(0, len(joined), width)
    return [
        length + joined[place : place + width] if one else NULL
        for one, place in zip(known, places, strict=True)
    ]


def encode_ids(values: Sequence[UUID]) -> NDArray[np.void]:
    """Encode ids."""
    return np.frombuffer(b"".join(map(attrgetter("bytes"), values)), dtype="V16")


def _encode_times(values: Sequence[datetime]) -> NDArray[np.int64]:
    """Encode times; most rows of one call have the same."""
    written = {value: (value - EPOCH) // timedelta(microseconds=1) for value in set(values)}
    return np.array([written[value] for value in values], dtype=">i8")


def encode_texts(values: Sequence[Any], mark: bytes = b"") -> list[bytes]:
    """Encode texts, which may be None.

    Parameters
    ----------
    values : sequence of str or None
        The values.
    mark : bytes
        What stands before each: jsonb travels as a version, 1, and its text (PostgreSQL:
        src/backend/utils/adt/jsonb.c, jsonb_recv).

    Returns
    -------
    list of bytes
        Each with its length.
    """
    written: dict[Any, bytes] = {None: NULL}
    for value in set(values) - {None}:
        text = mark + value.encode()
        written[value] = _LENGTH(len(text)) + text
    return list(map(written.__getitem__, values))

"""Measurements into the database: binary COPY on PostgreSQL, one prepared statement on SQLite.

Rows go in the order of their key, the same for all writers: unsorted upserts deadlock. Columns are
encoded with numpy; no value is touched by a loop of Python's but ids and texts, once for each
distinct one.
"""

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from snapdb.errors import NotFoundError, UsageError
from snapdb.model.measurement import MeasurementTable
from snapdb.registry.adding import known
from snapdb.registry.adding.checks import Problems
from snapdb.registry.loaders import choose_loader
from snapdb.registry.measurement_answers import EPOCH
from snapdb.registry.tables import MEASURED_NUMBERS, measurement
from snapdb.types import IntArray

KEY = ("provenance_id", "dec_key", "ra_key", "image_id")
_FIXED: dict[str, str] = {
    "provenance_id": "V16",
    "dec_key": ">i8",
    "ra_key": ">i8",
    "image_id": "V16",
    "ra": ">f8",
    "dec": ">f8",
    **dict.fromkeys(MEASURED_NUMBERS, ">f8"),
    "flags": ">i8",
    "quality": ">i4",
    "ndof": ">i4",
    "n_pixels": ">i4",
    "measured_at": ">i8",
}
"""Column of one width -> how PostgreSQL writes it (manual, 55.2.7 "Binary format")."""
_FIELDS = ((("#" + name, ">i4"), (name, kind)) for name, kind in _FIXED.items())
_RECORD = np.dtype([("#", ">i2"), *chain.from_iterable(_FIELDS)])
"""The beginning of a row: how many fields, and of each its length and its bytes."""
_TEXTS = ("method", "name")
_NAMES = (*_FIXED, *_TEXTS)
_COUNTS = ("quality", "ndof", "n_pixels")
_CHUNK = 20_000
_HEADER, _TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"


def add_measurements(connection: Connection, table: MeasurementTable) -> int:
    """Write measurements inside the connection's transaction; see :meth:`Measurements.add_measurements`."""
    ids = {name: Coded(getattr(table, name)) for name in ("provenance_id", "image_id")}
    texts = {name: Coded(getattr(table, name)) for name in _TEXTS}
    columns = _check(connection, table, ids, texts)
    ranks = {name: _rank(coded) for name, coded in ids.items()}
    sorted_by = {**columns, **ranks}
    order = np.lexsort([sorted_by[name] for name in reversed(KEY)])
    if connection.dialect.name == "postgresql":
        return _copy(connection.connection.driver_connection, columns, ids, texts, order)
    rows = _make_rows(columns, ids, texts, order)
    return choose_loader(connection).insert_new(measurement, _NAMES, rows, KEY)


class Coded:
    """A column of objects as its distinct values, and the number of its value for each row.

    Parameters
    ----------
    column : array of object
        Ids, or texts.
    """

    def __init__(self, column: NDArray[np.object_]) -> None:
        addresses = np.fromiter(map(id, column), dtype=np.int64, count=len(column))
        _, first, codes = np.unique(addresses, return_index=True, return_inverse=True)
        objects = column[first].tolist()  # one object may be there under several addresses
        numbers: dict[Any, int] = {}
        merged = np.array([numbers.setdefault(value, len(numbers)) for value in objects], dtype=np.int64)
        self.values: list[Any] = list(numbers)
        self.codes: IntArray = merged[codes] if len(merged) else np.empty(0, dtype=np.int64)

    def rows_of(self, values: set[Any]) -> list[int]:
        """Find the rows that have one of some values."""
        wanted = [number for number, value in enumerate(self.values) if value in values]
        rows: list[int] = np.flatnonzero(np.isin(self.codes, wanted)).tolist()
        return rows

    def spread(self, values: Sequence[Any], dtype: Any = object) -> NDArray[Any]:
        """Give each row the value that stands for its own."""
        made = np.empty(len(values), dtype=dtype)
        made[:] = values
        return np.asarray(made[self.codes])


# Checking


def _check(
    connection: Connection, table: MeasurementTable, ids: dict[str, Coded], texts: dict[str, Coded]
) -> dict[str, NDArray[Any]]:
    """Refuse what cannot be written, row by row; give the columns that have one width."""
    problems = Problems()
    ra_key, dec_key = table.position_keys()
    columns = {name: getattr(table, name) for name in _FIXED if hasattr(table, name) and name not in ids}
    columns |= {"ra_key": ra_key, "dec_key": dec_key, "measured_at": _settle_times(table.measured_at)}
    for name, coded in ids.items():
        wrong = {value for value in coded.values if not isinstance(value, UUID)}
        _note(problems, coded, wrong, UsageError, f"{name} {{}} is no UUID")
    for name, coded in texts.items():
        wrong = {value for value in coded.values if not _is_text(value)}
        _note(problems, coded, wrong, UsageError, f"{name} {{!r}} cannot be stored; expected text or None")
    for row in np.flatnonzero((table.ra < 0) | (table.ra >= 360)).tolist():
        problems.add(row, UsageError, f"ra {table.ra[row]} is not in [0, 360); wrap it")
    for name in _COUNTS:
        for row in np.flatnonzero(columns[name] < 0).tolist():
            problems.add(row, UsageError, f"{name} {columns[name][row]} is negative; expected 0 or more")
    problems.raise_any(len(table))
    for name, find, what in (
        ("provenance_id", known.find_provenances, "provenance"),
        ("image_id", known.find_images, "image"),
    ):
        absent = set(ids[name].values) - find(connection, ids[name].values)
        reason = f"{what} {{}} is not registered; add it before what was measured with it"
        _note(problems, ids[name], absent, NotFoundError, reason, name)
    problems.raise_any(len(table))
    return columns


def _note(
    problems: Problems, coded: Coded, wrong: set[Any], kind: Any, reason: str, field: str | None = None
) -> None:
    """Note the rows that have a wrong value."""
    for row in coded.rows_of(wrong) if wrong else ():
        value = coded.values[coded.codes[row]]
        problems.add(row, kind, reason.format(value), **({field: value} if field else {}))


def _is_text(value: Any) -> bool:
    """Tell whether both databases can hold a value as text."""
    if value is None:
        return True
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _settle_times(times: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Put the present where no time is given."""
    now = np.datetime64(datetime.now(UTC).replace(tzinfo=None), "us")
    return np.where(np.isnat(times), now, times.astype("datetime64[us]"))


def _rank(coded: Coded) -> IntArray:
    """Give each row the place of its id among the sorted ids."""
    places = {value: place for place, value in enumerate(sorted(coded.values))}
    return coded.spread([places[value] for value in coded.values], np.int64)


# PostgreSQL


def _copy(
    driver: Any,
    columns: dict[str, NDArray[Any]],
    ids: dict[str, Coded],
    texts: dict[str, Coded],
    order: IntArray,
) -> int:
    """Copy into a temporary table, and from there what is new; NaN becomes NULL on the way."""
    raw = {
        name: coded.spread([np.void(value.bytes) for value in coded.values], "V16")
        for name, coded in ids.items()
    }
    moments = (columns["measured_at"] - EPOCH).astype(np.int64)
    fixed = {**columns, **raw, "measured_at": moments}
    ends = [coded.spread([_encode_text(value) for value in coded.values]) for coded in texts.values()]
    names = ", ".join(_NAMES)
    chosen = ", ".join(f"NULLIF({name}, 'NaN')" if name in MEASURED_NUMBERS else name for name in _NAMES)
    stage = "stage_measurement"
    with driver.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {stage} (LIKE measurement) ON COMMIT DELETE ROWS"
        )
        with cursor.copy(f"COPY {stage} ({names}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(_HEADER)
            for start in range(0, len(order), _CHUNK):
                copy.write(_encode(fixed, ends, order[start : start + _CHUNK]))
            copy.write(_TRAILER)
        cursor.execute(
            f"INSERT INTO measurement ({names}) SELECT {chosen} FROM {stage} "
            f"ON CONFLICT ({', '.join(KEY)}) DO NOTHING"
        )
        return int(cursor.rowcount)


def _encode(fixed: dict[str, NDArray[Any]], ends: list[NDArray[np.object_]], rows: IntArray) -> bytes:
    """Write some rows as COPY takes them: each field is its length and its bytes."""
    made = np.empty(len(rows), dtype=_RECORD)
    made["#"] = len(_NAMES)
    for name, kind in _FIXED.items():
        made["#" + name] = np.dtype(kind).itemsize
        made[name] = fixed[name][rows]
    width, joined = made.dtype.itemsize, made.tobytes()
    fronts = (joined[start : start + width] for start in range(0, len(joined), width))
    return b"".join(chain.from_iterable(zip(fronts, *(end[rows].tolist() for end in ends), strict=True)))


def _encode_text(value: str | None) -> bytes:
    """Write a text field, -1 as its length where there is none."""
    if value is None:
        return b"\xff\xff\xff\xff"
    encoded = value.encode()
    return struct.pack(">i", len(encoded)) + encoded


# SQLite


def _make_rows(
    columns: dict[str, NDArray[Any]], ids: dict[str, Coded], texts: dict[str, Coded], order: IntArray
) -> Iterator[tuple[Any, ...]]:
    """Give the values of rows; SQLite keeps NaN as NULL by itself."""
    spread = {name: coded.spread([value.hex for value in coded.values]) for name, coded in ids.items()}
    spread |= {name: coded.spread(coded.values) for name, coded in texts.items()}
    moments, codes = np.unique(columns["measured_at"], return_inverse=True)
    written = [str(moment).replace("T", " ") for moment in np.datetime_as_string(moments, unit="us")]
    spread["measured_at"] = np.array(written, dtype=object)[codes]
    for start in range(0, len(order), _CHUNK):
        rows = order[start : start + _CHUNK]
        yield from zip(
            *(spread.get(name, columns.get(name))[rows].tolist() for name in _NAMES),  # type: ignore[index]
            strict=True,
        )

"""Measurements into the database: binary COPY on PostgreSQL, one prepared statement on SQLite.

Rows go in the order of their key, the same for all writers: unsorted upserts deadlock. Columns are
encoded with numpy; no value is touched by a loop of Python's but ids and texts, once for each
distinct one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from snapdb.errors import NotFoundError, UsageError
from snapdb.model.measurement import MeasurementTable
from snapdb.registry.adding import known
from snapdb.registry.adding.checks import Problems
from snapdb.registry.binary_copy import Field, encode_ids, encode_texts
from snapdb.registry.loaders import choose_loader, copy_new
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
"""Column of one width -> how COPY takes it."""
_TEXTS = ("method", "name")
_COUNTS = ("quality", "ndof", "n_pixels")


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
    return choose_loader(connection).insert_new(measurement, _spread(columns, ids, texts, order), KEY)


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
    fixed = {**columns, "measured_at": (columns["measured_at"] - EPOCH).astype(np.int64)}
    fixed |= {name: encode_ids(coded.values)[coded.codes] for name, coded in ids.items()}
    made: dict[str, Field] = {name: fixed[name][order].astype(kind) for name, kind in _FIXED.items()}
    for name, coded in texts.items():
        made[name] = coded.spread(encode_texts(coded.values))[order].tolist()
    chosen = {name: f"NULLIF({name}, 'NaN')" for name in MEASURED_NUMBERS}
    return copy_new(driver, measurement, made, KEY, chosen)


# SQLite


def _spread(
    columns: dict[str, NDArray[Any]], ids: dict[str, Coded], texts: dict[str, Coded], order: IntArray
) -> dict[str, list[Any]]:
    """Give the values of columns; SQLite keeps NaN as NULL by itself."""
    spread = {name: coded.spread(coded.values) for name, coded in {**ids, **texts}.items()}
    moments, codes = np.unique(columns["measured_at"], return_inverse=True)
    known = [moment.replace(tzinfo=UTC) for moment in moments.tolist()]
    spread["measured_at"] = np.array(known, dtype=object)[codes]
    given = {**columns, **spread}
    return {name: given[name][order].tolist() for name in (*_FIXED, *_TEXTS)}

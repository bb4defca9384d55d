"""Columns through binary COPY come back from the server as they were, whatever their type."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pytest
from sqlalchemy import JSON, BigInteger, Double, Integer, LargeBinary, SmallInteger, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from snapdb.registry.binary_copy import copy_columns, encode_column
from snapdb.registry.tables import UtcTime

pytestmark = [
    pytest.mark.postgis,
    pytest.mark.parametrize("registry_url", [pytest.param("postgis")], indirect=True),
]
ROWS = 45_000
"""More than two of the pieces that are sent."""


@pytest.fixture
def connection(registry_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(registry_url, options="-c timezone=UTC") as opened:
        yield opened


CASES: dict[str, tuple[str, Any, list[Any]]] = {
    "float8": ("float8", Double(), [0.0, -0.0, 1.5, -1e300, 5e-324, 2**53 + 1.0]),
    "float8 with NULL": ("float8", Double(), [None, 0.0, -2.25, None]),
    "float8, all NULL": ("float8", Double(), [None]),
    "int8": ("int8", BigInteger(), [0, 2**63 - 1, -(2**63)]),
    "int8 with NULL": ("int8", BigInteger(), [None, 0, 2**63 - 1, -(2**63)]),
    "int4": ("int4", Integer(), [0, 2**31 - 1, -(2**31)]),
    "int2": ("int2", SmallInteger(), [0, 32767, -32768]),
    "uuid": ("uuid", Uuid(), [UUID(int=0), UUID(int=2**128 - 1), UUID(int=1 << 64)]),
    "text": ("text", Text(), ["", "a", "ü✓\U0001f52d", "line\nbreak\ttab\\", "x" * 70_000]),
    "text with NULL": ("text", Text(), [None, "", "None"]),
    "bytea": ("bytea", LargeBinary(), [b"", b"\0\xff", bytes(range(256))]),
    "jsonb": ("jsonb", JSON().with_variant(JSONB(), "postgresql"), ["{}", '{"a": [1, null, "ü"]}', "[]"]),
    "timestamptz": (
        "timestamptz",
        UtcTime(),
        [
            datetime(2000, 1, 1, tzinfo=UTC),
            datetime(1858, 11, 17, 0, 0, 0, 1, tzinfo=UTC),
            datetime(2026, 7, 1, 12, 30, 15, 999_999, tzinfo=timezone(timedelta(hours=-7))),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_values_come_back(connection: psycopg.Connection, case: str) -> None:
    """Oracle: psycopg's own reading."""
    written, kind, some = CASES[case]
    values = [some[n % len(some)] for n in range(len(some) * 3)]
    connection.execute(f"CREATE TEMPORARY TABLE t (n int4, v {written})")
    with connection.cursor() as cursor:
        numbers = encode_column(list(range(len(values))), Integer())
        copy_columns(cursor, "t", {"v": encode_column(values, kind), "n": numbers})
    shown = "v::text" if written == "jsonb" else "v"
    found = [value for (value,) in connection.execute(f"SELECT {shown} FROM t ORDER BY n")]
    assert found == values
    if written == "float8":
        assert [str(v) for v in found] == [str(v) for v in values]  # -0.0 too


def test_many_rows_of_many_columns(connection: psycopg.Connection) -> None:
    """Oracle: sums by the server."""
    random = np.random.default_rng(20261126)
    whole, real = random.integers(-(2**40), 2**40, ROWS), random.normal(0, 1e3, ROWS)
    texts = [None if n % 7 == 0 else f"text {n % 1000}" for n in range(ROWS)]
    connection.execute("CREATE TEMPORARY TABLE t (b text, a int8, c float8, d float8)")
    with connection.cursor() as cursor:
        holes = [None if n % 3 == 0 else value for n, value in enumerate(real.tolist())]
        columns = {
            "a": encode_column(whole.tolist(), BigInteger()),
            "b": encode_column(texts, Text()),
            "c": encode_column(real.tolist(), Double()),
            "d": encode_column(holes, Double()),
        }
        copy_columns(cursor, "t", columns)
    asked = "SELECT count(*), sum(a), count(b), count(DISTINCT b), count(d), sum(d - c), max(c) FROM t"
    row = connection.execute(asked).fetchone()
    assert row is not None
    known = [t for t in texts if t is not None]
    expected = (len(known), len(set(known)), ROWS - len(holes[::3]), 0.0, float(real.max()))
    assert row == (ROWS, int(whole.sum()), *expected)

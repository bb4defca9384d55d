"""Rows into tables: binary COPY on PostgreSQL, one prepared statement on SQLite."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Connection, Table, TableClause
from sqlalchemy.dialects.postgresql import JSONB

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a driver takes ids, JSON and times."""

    id: Callable[[UUID], Any]
    json: Callable[[str], Any]
    time: Callable[[datetime], Any]


ENCODINGS = {
    # jsonb travels as a version, 1, and its text (PostgreSQL: src/backend/utils/adt/jsonb.c, jsonb_recv).
    "postgresql": Encoding(attrgetter("bytes"), lambda text: b"\x01" + text.encode(), lambda v: v),
    "sqlite": Encoding(
        attrgetter("hex"), lambda text: text, lambda v: v.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    ),
}


class Loader(Protocol):
    """Writes rows of Python values, within the transaction of its connection."""

    def insert_new(
        self, table: Table, columns: Sequence[str], rows: Iterable[Row], key: Sequence[str]
    ) -> int:
        """Insert rows in their order, leave alone those whose key is there, and count the inserted."""
        ...

    def insert(self, table: TableClause, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Insert rows that are new for certain."""
        ...


def choose_loader(connection: Connection) -> Loader:
    """Give the loader for a database."""
    driver: Any = connection.connection.driver_connection
    return _Copier(driver) if connection.dialect.name == "postgresql" else _Executor(driver)


class _Copier:
    """COPY; where rows may be there already, into a temporary table first.

    The temporary tables belong to the session, and are empty after each transaction.
    """

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._used: set[str] = set()

    def insert_new(
        self, table: Table, columns: Sequence[str], rows: Iterable[Row], key: Sequence[str]
    ) -> int:
        """Copy into a temporary table, and from there what is new."""
        stage, names = f"stage_{table.name}", ", ".join(columns)
        with self._driver.cursor() as cursor:
            cursor.execute(
                f"CREATE TEMPORARY TABLE IF NOT EXISTS {stage} (LIKE {table.name}) ON COMMIT DELETE ROWS"
            )
            if stage in self._used:
                cursor.execute(f"TRUNCATE {stage}")
            self._used.add(stage)
            self._copy(cursor, stage, table, columns, rows)
            cursor.execute(
                f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {stage} "
                f"ON CONFLICT ({', '.join(key)}) DO NOTHING"
            )
            return int(cursor.rowcount)

    def insert(self, table: TableClause, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Copy."""
        with self._driver.cursor() as cursor:
            self._copy(cursor, table.name, table, columns, rows)

    @staticmethod
    def _copy(
        cursor: Any, target: str, table: TableClause, columns: Sequence[str], rows: Iterable[Row]
    ) -> None:
        """Copy rows into a table that has the columns of another."""
        with cursor.copy(f"COPY {target} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types([_type_of(table, name) for name in columns])
            for row in rows:
                copy.write_row(row)


_TYPES = {
    "INTEGER": "int4",
    "SMALLINT": "int2",
    "BIGINT": "int8",
    "DOUBLE PRECISION": "float8",
    "TEXT": "text",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}


def _type_of(table: TableClause, name: str) -> str:
    """Name the type by which a column's values are written; ids, JSON and footprints are bytes already."""
    from sqlalchemy.dialects import postgresql

    kind = table.c[name].type
    written = kind.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    if isinstance(kind.dialect_impl(postgresql.dialect()), JSONB):  # type: ignore[no-untyped-call]
        return "bytea"
    return _TYPES.get(written, "text" if written.startswith("VARCHAR") else "bytea")


class _Executor:
    """One prepared statement, run for every row."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def insert_new(
        self, table: Table, columns: Sequence[str], rows: Iterable[Row], key: Sequence[str]
    ) -> int:
        """Insert where there is no conflict."""
        statement = f"{_write_insert(table, columns)} ON CONFLICT ({', '.join(key)}) DO NOTHING"
        return int(self._driver.executemany(statement, rows).rowcount)

    def insert(self, table: TableClause, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Insert."""
        self._driver.executemany(_write_insert(table, columns), rows)


def _write_insert(table: TableClause, columns: Sequence[str]) -> str:
    """Write an INSERT with a place for each column."""
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"

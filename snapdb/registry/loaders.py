"""Columns into tables: binary COPY on PostgreSQL, one prepared statement on SQLite."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from operator import attrgetter
from typing import Any, Protocol

from sqlalchemy import Connection, Table, TableClause, Uuid
from sqlalchemy.types import TypeEngine

from snapdb.registry.binary_copy import Field, copy_columns, encode_column
from snapdb.registry.tables import UtcTime

Columns = Mapping[str, Sequence[Any]]
"""Name of a column -> its value in each row, as Python has it; JSON as text."""


class Loader(Protocol):
    """Writes rows, given column by column, within the transaction of its connection."""

    def insert_new(self, table: Table, columns: Columns, key: Sequence[str]) -> int:
        """Insert rows in their order, leave alone those whose key is there, and count the inserted."""
        ...

    def insert(self, table: TableClause, columns: Columns) -> None:
        """Insert rows that are new for certain."""
        ...


def choose_loader(connection: Connection) -> Loader:
    """Give the loader for a database."""
    driver: Any = connection.connection.driver_connection
    return _Copier(driver) if connection.dialect.name == "postgresql" else _Executor(driver)


class _Copier:
    """COPY; where rows may be there already, into a temporary table first."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def insert_new(self, table: Table, columns: Columns, key: Sequence[str]) -> int:
        """Copy into a temporary table, and from there what is new."""
        return copy_new(self._driver, table, _encode(table, columns), key)

    def insert(self, table: TableClause, columns: Columns) -> None:
        """Copy."""
        with self._driver.cursor() as cursor:
            copy_columns(cursor, table.name, _encode(table, columns))


def copy_new(
    driver: Any,
    table: Table,
    columns: Mapping[str, Field],
    key: Sequence[str],
    chosen: Mapping[str, str] | None = None,
) -> int:
    """Copy rows into a temporary table, and from there those whose key is not in the table.

    The temporary table belongs to the session, and is empty after each transaction.

    Parameters
    ----------
    driver : psycopg.Connection
        In a transaction.
    table : sqlalchemy.Table
        Where the rows go.
    columns : mapping
        Name of a column -> what it holds, as COPY takes it.
    key : sequence of str
        Columns that no two rows share.
    chosen : mapping, optional
        Name of a column -> the expression of SQL that goes into it instead.

    Returns
    -------
    int
        How many rows were new.
    """
    stage, names = f"stage_{table.name}", ", ".join(columns)
    values = ", ".join((chosen or {}).get(name, name) for name in columns)
    with driver.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {stage} (LIKE {table.name}) ON COMMIT DELETE ROWS"
        )
        cursor.execute(f"TRUNCATE {stage}")  # an earlier batch of this transaction
        copy_columns(cursor, stage, columns)
        cursor.execute(
            f"INSERT INTO {table.name} ({names}) SELECT {values} FROM {stage} "
            f"ON CONFLICT ({', '.join(key)}) DO NOTHING"
        )
        return int(cursor.rowcount)


def _encode(table: TableClause, columns: Columns) -> dict[str, Field]:
    """Encode columns for COPY."""
    return {name: encode_column(values, table.c[name].type) for name, values in columns.items()}


class _Executor:
    """One prepared statement, run for every row."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def insert_new(self, table: Table, columns: Columns, key: Sequence[str]) -> int:
        """Insert where there is no conflict."""
        statement = f"{_write_insert(table, columns)} ON CONFLICT ({', '.join(key)}) DO NOTHING"
        return int(self._driver.executemany(statement, _make_rows(table, columns)).rowcount)

    def insert(self, table: TableClause, columns: Columns) -> None:
        """Insert."""
        self._driver.executemany(_write_insert(table, columns), _make_rows(table, columns))


def _write_insert(table: TableClause, columns: Columns) -> str:
    """Write an INSERT with a place for each column."""
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _make_rows(table: TableClause, columns: Columns) -> "zip[tuple[Any, ...]]":
    """Give rows as SQLite's driver takes them."""
    written = (_write_plain(values, table.c[name].type) for name, values in columns.items())
    return zip(*written, strict=True)


def _write_plain(values: Sequence[Any], kind: TypeEngine[Any]) -> Sequence[Any]:
    """Give ids as hexadecimal digits and times as text, as SQLAlchemy keeps them there."""
    if isinstance(kind, Uuid):
        return list(map(attrgetter("hex"), values))
    if isinstance(kind, UtcTime):
        times = {value: value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") for value in set(values)}
        return [times[value] for value in values]
    return values

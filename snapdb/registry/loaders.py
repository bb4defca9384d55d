"""Columns into tables: binary COPY on PostgreSQL, one prepared statement on SQLite."""

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC
from operator import attrgetter
from typing import Any, Protocol, Self

from sqlalchemy import Connection, Table, TableClause, Uuid
from sqlalchemy.types import TypeEngine

from snapdb.registry.binary_copy import Field, copy_columns, encode_column
from snapdb.registry.tables import UtcTime

Columns = Mapping[str, Sequence[Any]]
"""Name of a column -> its value in each row, as Python has it; JSON as text."""
_AHEAD = 3
"""Tables' worth of encoded columns that wait for the server at most."""


class Loader(Protocol):
    """Writes rows, given column by column, within the transaction of its connection."""

    def insert_new(self, table: Table, columns: Columns, key: Sequence[str]) -> int:
        """Insert rows in their order, leave alone those whose key is there, and count the inserted."""
        ...

    def insert(self, table: TableClause, columns: Columns) -> None:
        """Insert rows that are new for certain."""
        ...

    def settle(self) -> None:
        """See that all is written, before the connection is used for anything else."""
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
        self._copy(table.name, _encode(table, columns))

    def settle(self) -> None:
        """Do nothing: all is written."""

    def _copy(self, target: str, columns: Mapping[str, Field]) -> None:
        """Copy encoded columns."""
        with self._driver.cursor() as cursor:
            copy_columns(cursor, target, columns)


class CopierBehind(_Copier):
    """COPY by a thread of its own, while the caller encodes what comes next.

    Nothing else may use the connection before :meth:`settle`, or the end of the ``with`` block.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        To PostgreSQL, in a transaction.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.connection.driver_connection)
        self._worker = ThreadPoolExecutor(1, "snapdb-copy")
        self._waiting: deque[Future[None]] = deque()

    def insert(self, table: TableClause, columns: Columns) -> None:
        """Encode, and leave the copying to the thread; what failed there is raised by a later call."""
        encoded = _encode(table, columns)
        self._settle(_AHEAD - 1)
        self._waiting.append(self._worker.submit(self._copy, table.name, encoded))

    def settle(self) -> None:
        """Wait until all is written."""
        self._settle(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._worker.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self.settle()

    def _settle(self, left: int) -> None:
        """Wait until so many copies are left."""
        while len(self._waiting) > left:
            self._waiting.popleft().result()


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

    def settle(self) -> None:
        """Do nothing: all is written."""


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

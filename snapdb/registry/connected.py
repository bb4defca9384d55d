"""Opening a registry, holding its connections, and letting go of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import psycopg
from sqlalchemy import Connection, Engine

from snapdb.errors import RegistryClosedError
from snapdb.registry.engine import WRITES, check_sqlite_file, make_engine, read_url, show_url
from snapdb.registry.errors import translated
from snapdb.registry.idle import IdleConnections
from snapdb.registry.queries import Statement
from snapdb.registry.schema import SCHEMA_VERSION, check_postgis, check_version, migrate, read_version
from snapdb.registry.spatial import choose_spatial


class Connected:
    """A registry's connections, for any number of threads.

    Parameters
    ----------
    engine, reading : sqlalchemy.Engine
        For transactions, and for single statements that only read.
    shown : str
        Its URL, without password.
    """

    def __init__(self, engine: Engine, reading: Engine, shown: str) -> None:
        self._engine = engine
        self._reading = IdleConnections(reading)
        self._closed = False
        self._spatial = choose_spatial(engine.dialect.name)
        self._url = shown

    @classmethod
    def open(cls, url: str, *, create: bool = False, read_only: bool = False) -> Self:
        """Open a registry.

        Parameters
        ----------
        url : str
            ``sqlite:///FILE`` or ``postgresql://...``.
        create : bool
            Whether to make the tables where they are missing, or bring them up to
            this version; doing it twice changes nothing.
        read_only : bool
            Whether every change shall be refused. A SQLite file, or folder, without
            the right to write is opened so in any case.

        Returns
        -------
        Registry
            To be closed.

        Raises
        ------
        NotFoundError
            If there is no such SQLite file.
        SchemaVersionError
            If the tables are missing, or of another version.
        RegistryUnavailableError
            If the database does not answer.
        ReadOnlyStoreError
            If it shall be made, and cannot be written.
        ConfigError
            If the URL is of no known kind.
        """
        parsed = read_url(url)
        shown = show_url(parsed)
        if parsed.get_backend_name() == "sqlite":
            check_sqlite_file(parsed, create=create)
        engine = make_engine(parsed, read_only=read_only)
        try:
            with translated(shown):
                found = read_version(engine)
                if found is None and create:
                    check_postgis(engine, shown)
            if create and found != SCHEMA_VERSION:
                migrate(url)
            else:
                check_version(found, shown)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, make_engine(parsed, read_only=read_only, autocommit=True), shown)

    @property
    def address(self) -> str:
        """URL with the password, to open the registry again in another process; not for showing."""
        return self._engine.url.render_as_string(hide_password=False)

    @property
    def url(self) -> str:
        """Where it is, without password."""
        return self._url

    @property
    def dialect(self) -> str:
        """Which database: ``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._closed

    def close(self) -> None:
        """Let go of the database; every later call raises RegistryClosedError."""
        self._closed = True
        self._engine.dispose()
        self._reading.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Registry {self._url}{' (closed)' if self._closed else ''}>"

    def schema_version(self) -> str | None:
        """Tell which version the tables have."""
        self._check_open()
        with translated(self._url):
            return read_version(self._engine)

    # Connections

    def _check_open(self) -> None:
        """Refuse to work after close()."""
        if self._closed:
            msg = f"registry {self._url} was closed; open it again"
            raise RegistryClosedError(msg, url=self._url)

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        """Give a connection inside a transaction."""
        self._check_open()
        with translated(self._url), self._engine.connect() as connection:
            if writes:
                connection.execution_options(**{WRITES: True})
            with connection.begin():
                yield connection

    def _fetch(self, statement: Statement) -> list[tuple[Any, ...]]:
        """Run a statement and give its rows; once more where a kept connection turns out to be dead."""
        self._check_open()
        with translated(self._url):
            try:
                return self._fetch_once(statement)
            except psycopg.OperationalError as err:
                if err.sqlstate is not None and not err.sqlstate.startswith("57P"):
                    raise
                self._reading.drop()
                return self._fetch_once(statement)

    def _fetch_once(self, statement: Statement) -> list[tuple[Any, ...]]:
        """Run a statement on the driver's own connection, outside transactions."""
        driver = self._reading.take()
        try:
            if self.dialect == "postgresql":
                with driver.cursor(binary=True) as cursor:
                    rows: list[tuple[Any, ...]] = cursor.execute(statement.sql, statement.values).fetchall()
            else:
                rows = driver.execute(statement.sql, statement.values).fetchall()
        except BaseException:
            driver.close()
            raise
        self._reading.put(driver)
        return rows

"""Connections: from a URL to an engine that behaves the same on both databases."""

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from snapdb.errors import ConfigError, NotFoundError, ReadOnlyStoreError, RegistryError

WRITES = "snapdb_writes"
"""Execution option of connections that are going to write."""

_EXPECTED = "expected sqlite:///FILE or postgresql://HOST/DATABASE"
_ENCODING = "in user, password and database, write @ as %40, : as %3A, / as %2F, ? as %3F and % as %25"
_BUSY_MS = 30_000
_CONNECT_S = 10


def read_url(url: str) -> URL:
    """Read the URL of a registry, and choose the driver.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://...``.

    Returns
    -------
    sqlalchemy.URL
        With the driver's name in it.

    Raises
    ------
    ConfigError
        If it is of no known kind, or its parts cannot be told apart. The message holds no
        password, nor what may be a part of one.
    """
    try:
        url.encode()
        parsed = make_url(url)
    except UnicodeEncodeError as err:
        msg = f"the registry's URL, or its folder, is not UTF-8 at {url[err.start :]!a}; choose another name"
        raise ConfigError(msg) from err
    except (ArgumentError, ValueError) as err:
        msg = f"the registry's URL cannot be read; {_EXPECTED}; {_ENCODING}"
        raise ConfigError(msg) from err
    kind = parsed.drivername.split("+")[0]
    if kind in ("postgresql", "postgres"):
        _check_parts(url, parsed)
        return parsed.set(drivername="postgresql+psycopg")
    if kind == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite+pysqlite")
    msg = f"registry {kind}://... is of no known kind; {_EXPECTED}"
    raise ConfigError(msg, kind=kind)


def _check_parts(text: str, parsed: URL) -> None:
    """Refuse a server's URL whose user, password and host may have been split at a wrong place."""
    place, _, query = text.partition("://")[2].partition("?")
    if place.count("@") > 1 or "@" in query or ("@" in place and parsed.username is None):
        msg = f"the registry's URL has an @ that is not before the host; {_ENCODING}"
        raise ConfigError(msg)


def show_url(url: URL) -> str:
    """Write a URL for people: no driver, no password, nor another secret behind the question mark."""
    secret = [name for name in url.query if "pass" in name.lower() or "secret" in name.lower()]
    shown = url.set(drivername=url.get_backend_name()).difference_update_query(secret)
    return shown.render_as_string(hide_password=True)


def make_engine(
    url: URL, *, read_only: bool = False, pooled: bool = True, autocommit: bool = False
) -> Engine:
    """Make the engine of a registry; nothing is opened yet.

    Parameters
    ----------
    url : sqlalchemy.URL
        As :func:`read_url` gives it.
    read_only : bool
        Whether the database shall refuse every change. A SQLite file that cannot
        be written is opened so in any case.
    pooled : bool
        Whether connections are kept for the next call.
    autocommit : bool
        Whether statements run outside transactions, which saves two trips to a
        server for each.

    Returns
    -------
    sqlalchemy.Engine
        Safe to use from several threads.

    Raises
    ------
    ConfigError
        If hosts and ports behind the question mark do not fit each other.
    """
    pool: dict[str, Any] = {"pool_size": 8, "max_overflow": 24} if pooled else {"poolclass": NullPool}
    if url.get_backend_name() == "postgresql":
        options = " -c default_transaction_read_only=on" if read_only else ""
        arguments = {
            "connect_timeout": _CONNECT_S,
            "application_name": "snapdb",
            "options": f"-c jit=off -c timezone=UTC{options}",
        }
        if autocommit:
            pool["isolation_level"] = "AUTOCOMMIT"
        elif pooled:
            pool["pool_pre_ping"] = True
        try:
            return create_engine(url, connect_args=arguments, **pool)
        except ArgumentError as err:
            msg = f"registry {show_url(url)} cannot be read: {err}; correct what is behind the ?"
            raise ConfigError(msg, url=show_url(url)) from err
    engine = create_engine(
        _sqlite_url(url, read_only=read_only), connect_args={"timeout": _BUSY_MS / 1000}, **pool
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def check_sqlite_file(url: URL, *, create: bool) -> None:
    """See that the file of an embedded registry is there, or can be.

    Raises
    ------
    NotFoundError
        If it is not, with the advice to make it.
    ReadOnlyStoreError
        If it shall be made, and its folder refuses.
    RegistryError
        If it is no file.
    """
    path = Path(url.database or "")
    shown = show_url(url)
    if path.is_dir():
        msg = f"registry {shown} is a folder, expected a file"
        raise RegistryError(msg, path=str(path))
    if path.exists():
        return
    if not create:
        msg = f"there is no registry {shown}; make it with `snapdb init`"
        raise NotFoundError(msg, path=str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sqlite3.connect(path).close()
        path.touch()
    except (OSError, sqlite3.OperationalError) as err:
        msg = f"registry {shown} cannot be made ({err}); choose another folder or change its rights"
        raise ReadOnlyStoreError(msg, path=str(path)) from err


def _sqlite_url(url: URL, *, read_only: bool) -> URL:
    """Ask SQLite not to write where it shall not, or cannot."""
    path = Path(url.database or "").absolute()
    folder_is_open = os.access(path.parent, os.W_OK)
    if not read_only and folder_is_open and (os.access(path, os.W_OK) or not path.exists()):
        return url
    options = {"mode": "ro", "uri": "true"}
    if not folder_is_open and not path.with_name(path.name + "-wal").exists():
        # Even a reader needs a place for the write-ahead log, unless nobody writes.
        options["immutable"] = "1"
    return url.set(database=f"file:{quote(path.as_posix())}").update_query_dict(options)


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    """Set up a new connection."""
    connection.isolation_level = None  # transactions begin where SQLAlchemy says, DDL included
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    connection.execute("PRAGMA synchronous = NORMAL")  # safe in WAL mode: a crash loses no consistency
    connection.execute("PRAGMA cache_size = -65536")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once where something will be written: no deadlock between upgraders."""
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def use_wal(engine: Engine) -> None:
    """Let readers read beside one writer; the file remembers it."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None  # noqa: S101  # it is connected
            driver.execute("ROLLBACK") if driver.in_transaction else None
            driver.execute("PRAGMA journal_mode = WAL")

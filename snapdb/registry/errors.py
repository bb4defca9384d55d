"""The one place where the errors of databases and their drivers become snapdb's."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from snapdb.errors import (
    ConfigError,
    ConflictError,
    ReadOnlyStoreError,
    RegistryError,
    RegistryUnavailableError,
    SnapdbError,
    UsageError,
)

_POSTGRES: tuple[tuple[str, type[SnapdbError], str], ...] = (
    # The beginning of the SQLSTATE (PostgreSQL manual, appendix A), the error, what to do.
    ("23514", UsageError, "a value is outside what the registry accepts"),
    ("23502", UsageError, "a value that must be known is missing"),
    ("23", ConflictError, "it clashes with what is registered"),
    ("22", UsageError, "a value cannot be stored"),
    ("25006", ReadOnlyStoreError, "the registry was opened for reading only"),
    ("42501", RegistryError, "the user has not the rights for this; ask the owner of the database"),
    ("42P01", RegistryError, "a table is missing; run `snapdb migrate`"),
    ("01S00", ConfigError, "a part of its URL is not understood, or not offered; correct it"),
    ("40", RegistryUnavailableError, "another writer was in the way; try again"),
    ("55P03", RegistryUnavailableError, "another writer holds a lock; try again"),
    ("28", RegistryError, "{role}; give a user of that server, and the password by PGPASSWORD or ~/.pgpass"),
    ("3D000", RegistryError, "the database {database} does not exist; make it with `createdb {database}`"),
    ("08", RegistryUnavailableError, "the server cannot be reached; see that it runs, then try again"),
    ("53", RegistryUnavailableError, "the server has no room left; try again later"),
    ("57", RegistryUnavailableError, "the server stopped the statement; try again"),
)
_UNREACHABLE = "08"
_REFUSALS: tuple[tuple[str, str], ...] = (
    # While it connects, libpq tells no SQLSTATE; the server's words are all that there is.
    (r'database "[^"]*" does not exist', "3D000"),
    (r'role "[^"]*" does not exist', "28000"),
    ("authentication failed", "28P01"),
    ("no password supplied", "28P01"),
    ("no pg_hba.conf entry|pg_hba.conf rejects", "28000"),
    ("is not permitted to log in", "28000"),
    ("permission denied for database", "42501"),
    # X/Open's state of an invalid attribute in what names a connection.
    (r'invalid "?\w+"? value:|invalid (connection option|integer value|port number)', "01S00"),
    ("server does not support SSL", "01S00"),
)
"""What a server says that refuses a connection -> the SQLSTATE that it means."""
_SQLITE: tuple[tuple[str, type[SnapdbError], str], ...] = (
    ("CHECK constraint failed", UsageError, "a value is outside what the registry accepts"),
    ("NOT NULL constraint failed", UsageError, "a value that must be known is missing"),
    ("constraint failed", ConflictError, "it clashes with what is registered"),
    ("locked", RegistryUnavailableError, "another writer holds the file; try again"),
    ("readonly", ReadOnlyStoreError, "the registry, or its folder, cannot be written to"),
    ("unable to open", RegistryError, "check that file and folder exist and can be read and written"),
    ("not a database", RegistryError, "the file is no registry: it is no SQLite database; check its name"),
    ("malformed", RegistryError, "the file is damaged; restore it from a copy"),
    ("full", RegistryUnavailableError, "the disk is full; make room, then try again"),
    ("no such table", RegistryError, "a table is missing; run `snapdb migrate`"),
    ("interrupted", RegistryUnavailableError, "the statement was stopped; try again"),
)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Raise what a database raises as snapdb's own errors.

    Parameters
    ----------
    url : str
        Of the registry, without password, for messages.

    Raises
    ------
    UsageError
        If a value cannot be stored.
    ConflictError
        If it clashes with what is stored.
    ConfigError
        If an option of the URL is unknown, or cannot have its value.
    ReadOnlyStoreError
        If the registry cannot be written to.
    RegistryUnavailableError
        If the database does not answer, or another writer is in the way.
    RegistryError
        If it refuses for another reason.
    """
    try:
        yield
    except UnicodeEncodeError as err:
        shown = ascii(err.object)[:80]
        msg = f"registry {url}: {shown} is not UTF-8, which it neither holds nor is asked for"
        raise UsageError(msg, url=url) from err
    except PoolTimeoutError as err:
        msg = f"registry {url}: all connections are in use; use fewer threads, or try again"
        raise RegistryUnavailableError(msg, url=url) from err
    except DBAPIError as err:
        raise _make_error(err.orig or err, url) from err
    except (psycopg.Error, sqlite3.Error, SQLAlchemyError) as err:
        raise _make_error(err, url) from err


def _make_error(err: BaseException, url: str) -> SnapdbError:
    """Choose the error for what a driver says."""
    lines = str(err).strip().splitlines() or [type(err).__name__]
    said = lines[0]
    if isinstance(err, psycopg.Error):
        state = err.sqlstate or _find_refusal(str(err))
        kind, advice = _match(_POSTGRES, state.startswith)
        if err.sqlstate is None and state != _UNREACHABLE:
            said = next((line for line in lines if _find_refusal(line) == state), said)
        advice = advice.format(**_name_refused(str(err), url))
    elif isinstance(err, sqlite3.Error):
        kind, advice = _match(_SQLITE, said.__contains__)
    else:
        kind, advice = RegistryError, "the statement failed"
    return kind(f"registry {url}: {advice} ({said})", url=url)


def was_in_the_way(err: RegistryUnavailableError) -> bool:
    """Tell whether another writer's transaction undid this one, which may be tried again at once."""
    cause = err.__cause__
    driver = cause.orig if isinstance(cause, DBAPIError) else cause
    return isinstance(driver, psycopg.Error) and (driver.sqlstate or "").startswith("40")


def _find_refusal(text: str) -> str:
    """Tell the SQLSTATE of a connection that failed; one that nobody answered where nothing else is said."""
    return next((state for words, state in _REFUSALS if re.search(words, text)), _UNREACHABLE)


def _name_refused(text: str, url: str) -> dict[str, str]:
    """Name the database and what was wrong with the user, for advice."""
    database = re.search(r'database "([^"]*)" does not exist', text)
    role = re.search(r'role "([^"]*)" does not exist', text)
    return {
        "database": database[1] if database else url.rpartition("/")[2].partition("?")[0],
        "role": f"the server knows no user {role[1]!r}" if role else "the server refused user or password",
    }


def _match(
    table: tuple[tuple[str, type[SnapdbError], str], ...], fits: Callable[[str], bool]
) -> tuple[type[SnapdbError], str]:
    """Find the first line of a table that fits."""
    for mark, kind, advice in table:
        if fits(mark):
            return kind, advice
    return RegistryError, "the statement failed"

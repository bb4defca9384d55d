"""How long a migration may wait and work, and what is said when that was not enough."""

import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from snapdb.errors import RegistryUnavailableError, UsageError

LOCK_TIMEOUT_S = 30.0
STATEMENT_TIMEOUT_S = 600.0
_MOST_S = 2_000_000.0
"""Three weeks: both databases count milliseconds in 32 bits."""
_LOCKED, _STOPPED = "55P03", "57014"
_HOLDERS = """
SELECT a.pid, a.usename, a.application_name, a.state, string_agg(DISTINCT c.relname, ', ')
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) LEFT JOIN pg_class AS c ON c.oid = l.relation
WHERE l.granted AND a.pid <> pg_backend_pid() AND a.datname = current_database()
AND (l.locktype = 'advisory' OR (c.relkind IN ('r', 'p') AND c.relnamespace =
(SELECT oid FROM pg_namespace WHERE nspname = current_schema())))
GROUP BY a.pid, a.usename, a.application_name, a.state, a.xact_start ORDER BY a.xact_start LIMIT 3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a migration may wait and work.

    Raises
    ------
    UsageError
        If a limit is no positive number of seconds.
    """

    lock_timeout_s: float | None = LOCK_TIMEOUT_S
    """How long it may wait for others to let go of a table, or of the file; None for ever."""
    statement_timeout_s: float | None = STATEMENT_TIMEOUT_S
    """How long one statement may take; None for ever. SQLite has no such limit."""

    def __post_init__(self) -> None:
        for name in ("lock_timeout_s", "statement_timeout_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= _MOST_S:  # not true of NaN either
                msg = f"{name}={value!r}: expected 0 < seconds <= {_MOST_S:.0f}, or None for ever"
                raise UsageError(msg, **{name: value})

    def statements(self) -> list[str]:
        """Write the statements that set the limits on PostgreSQL, until the transaction ends."""
        named = (("lock_timeout", self.lock_timeout_s), ("statement_timeout", self.statement_timeout_s))
        return [f"SET LOCAL {name} = {_milliseconds(value)}" for name, value in named]

    def apply(self, engine: Engine) -> None:
        """Set the limit of waiting on SQLite, for all connections that an engine makes.

        Parameters
        ----------
        engine : sqlalchemy.Engine
            Of either database; on PostgreSQL nothing is done.
        """
        if engine.dialect.name != "sqlite":
            return
        wait = _milliseconds(self.lock_timeout_s) or int(_MOST_S * 1000)

        def set_wait(connection: sqlite3.Connection, _record: Any) -> None:
            """Set up a new connection."""
            connection.execute(f"PRAGMA busy_timeout = {wait}")

        event.listen(engine, "connect", set_wait)

    @contextmanager
    def explained(self, engine: Engine, shown: str) -> Iterator[None]:
        """Say who was in the way, or what took too long, when a limit ends a migration.

        Parameters
        ----------
        engine : sqlalchemy.Engine
            Of the registry, to ask who holds locks.
        shown : str
            Its URL, without password.

        Raises
        ------
        RegistryUnavailableError
            If a limit was reached; nothing was changed then.
        """
        try:
            yield
        except (DBAPIError, sqlite3.OperationalError) as err:
            cause = err.orig if isinstance(err, DBAPIError) else err
            said, state = str(cause), getattr(cause, "sqlstate", None)
            if state == _LOCKED or (isinstance(cause, sqlite3.OperationalError) and "locked" in said):
                what = f"waited {_show(self.lock_timeout_s)} for {_name_holders(engine)}"
                advice = "let that end, or wait longer with --lock-timeout"
            elif state == _STOPPED and "statement timeout" in said:
                what = f"had a statement that took longer than {_show(self.statement_timeout_s)}"
                advice = "allow more with --statement-timeout"
            else:
                raise
            msg = f"registry {shown}: the migration {what}; nothing was changed; {advice}"
            raise RegistryUnavailableError(msg, url=shown) from err


def _milliseconds(seconds: float | None) -> int:
    """Give whole milliseconds, one at least; 0 is for ever."""
    return 0 if seconds is None else math.ceil(seconds * 1000)


def _show(seconds: float | None) -> str:
    """Write a time for people."""
    return f"{seconds:g} s" if seconds is not None else "for ever"


def _name_holders(engine: Engine) -> str:
    """Name the sessions that hold what a migration may need."""
    if engine.dialect.name == "sqlite":
        return "another program that writes to the file"
    try:
        with engine.connect() as connection:
            found = [
                f"session {pid} of {user} ({program or 'unnamed'}, {state}), which holds "
                f"{tables or 'the lock of migrations'}"
                for pid, user, program, state, tables in connection.execute(text(_HOLDERS))
            ]
    except SQLAlchemyError:  # who it was is worth knowing, not worth failing for
        found = []
    return " and ".join(found) or "a lock that another session held"

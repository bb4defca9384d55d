"""The first load of an empty registry: what is quicker to make for all rows at once is made at the end.

On PostgreSQL a foreign key is checked, and an index extended, row by row; made of a million rows at once
they take a third of the time (manual, 14.4 "Populating a Database"). Within the transaction of the load the
tables do without their foreign keys to each other and without the indexes that keep nothing unique, and get
them back before it ends: each is checked in full, and if anything fails all is as before. Nobody can look
at the tables meanwhile, so that this is done only where there is nothing to see in them, and where nobody
else is at work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from snapdb.registry.tables import file, image, image_input, plane

_TABLES = (file, image, plane, image_input)
_NAMES = ", ".join(table.name for table in _TABLES)
_OIDS = ", ".join(f"'{table.name}'::regclass" for table in _TABLES)
_MAY = f"SELECT bool_and(pg_has_role(relowner, 'USAGE')) FROM pg_class WHERE oid IN ({_OIDS})"
_EMPTY = f"SELECT NOT ({' OR '.join(f'EXISTS (SELECT FROM {table.name})' for table in _TABLES)})"
_KEYS = (
    "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname), "
    "format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) "
    f"FROM pg_constraint WHERE contype = 'f' AND conrelid IN ({_OIDS}) AND confrelid IN ({_OIDS}) "
    "ORDER BY conname"
)
_INDEXES = (
    "SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid) "
    f"FROM pg_index WHERE NOT indisunique AND indrelid IN ({_OIDS}) ORDER BY indexrelid"
)


@dataclass(frozen=True, slots=True)
class FirstLoad:
    """A first load on its way; :meth:`finish` ends it."""

    connection: Connection
    making: Sequence[str]
    """Statements that make what was taken away."""

    @classmethod
    def begin(cls, connection: Connection) -> Self | None:
        """Prepare the tables where this can be done.

        Parameters
        ----------
        connection : sqlalchemy.Connection
            In the transaction of the load.

        Returns
        -------
        FirstLoad or None
            None on SQLite, where the registry holds files already, where another transaction
            is at work on it, and where the role does not own the tables.
        """
        if connection.dialect.name != "postgresql" or not _ask(connection, _MAY):
            return None
        savepoint = connection.begin_nested()
        try:
            connection.execute(text(f"LOCK TABLE {_NAMES} IN ACCESS EXCLUSIVE MODE NOWAIT"))
            empty = _ask(connection, _EMPTY)
        except DBAPIError:
            empty = False
        if not empty:
            savepoint.rollback()  # the locks go with it
            return None
        savepoint.commit()
        pairs = [tuple(row) for sql in (_KEYS, _INDEXES) for row in connection.execute(text(sql))]
        load = cls(connection, [make for _, make in reversed(pairs)])
        load._run([drop for drop, _ in pairs])
        return load

    def finish(self) -> None:
        """Make keys and indexes again, and let the server count what there is."""
        self._run([*self.making, f"ANALYZE {_NAMES}"])

    def _run(self, statements: Sequence[str]) -> None:
        """Run statements as they are: a percent sign in an index is no parameter."""
        driver: Any = self.connection.connection.driver_connection
        for statement in statements:
            driver.execute(statement)


def _ask(connection: Connection, sql: str) -> Any:
    """Ask for one value."""
    return connection.execute(text(sql)).scalar_one()

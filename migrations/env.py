"""How alembic reaches a registry: one connection, one migration at a time, no long waits."""

import os

from alembic import context
from sqlalchemy import Connection, text

from snapdb.registry.engine import WRITES, make_engine, read_url
from snapdb.registry.schema import describes_snapdb
from snapdb.registry.tables import metadata

_LOCK = 0x736E6170
"""Number of the advisory lock that keeps two migrations apart: "snap"."""


def _run(connection: Connection) -> None:
    """Bring the schema behind a connection to where it shall be."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=describes_snapdb(connection.dialect.name),
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = '30s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
        context.run_migrations()


def _find_url() -> str:
    """Give the URL that was asked for."""
    given = context.config.attributes.get("url") or context.get_x_argument(as_dictionary=True).get("url")
    return given or os.environ["SNAPDB_URL"]


if context.is_offline_mode():
    context.configure(url=_find_url(), target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = make_engine(read_url(_find_url()), pooled=False)
    with engine.connect().execution_options(**{WRITES: True}) as opened:
        _run(opened)
    engine.dispose()

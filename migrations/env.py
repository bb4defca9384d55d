"""How alembic reaches a registry: one connection, one transaction, no long waits."""

import os
import warnings

from alembic import context
from sqlalchemy import Connection, text

from snapdb.registry.engine import WRITES, make_engine, read_url, show_url
from snapdb.registry.limits import Limits
from snapdb.registry.roles import ensure_roles, warn_of_lacking
from snapdb.registry.schema import describes_snapdb
from snapdb.registry.tables import metadata

_LOCK = 0x736E6170
"""Number of the advisory lock that keeps two migrations apart: "snap"."""


def _run(connection: Connection) -> None:
    """Bring the schema behind a connection to where it shall be, as a whole or not at all."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=describes_snapdb(connection.dialect.name),
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=False,
        transactional_ddl=True,  # SQLite too: its transactions begin where SQLAlchemy says
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            for statement in _limits.statements():
                connection.execute(text(statement))
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
        with warnings.catch_warnings():
            # SQLite has no index of footprints, which autogenerate cannot know of one of expressions.
            warnings.filterwarnings("ignore", "autogenerate skipping metadata-specified expression")
            context.run_migrations()
        if connection.dialect.name == "postgresql" and context.config.attributes.get("with_roles"):
            ensure_roles(connection)
            warn_of_lacking(connection, show_url(connection.engine.url))


def _write_out() -> None:
    """Write the statements, and run none."""
    url = read_url(_find_url())
    context.configure(
        url=url,
        dialect_name=url.get_backend_name(),
        literal_binds=True,
        transaction_per_migration=False,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if url.get_backend_name() == "postgresql":
            for statement in _limits.statements():
                context.execute(statement)
        context.run_migrations()


def _find_url() -> str:
    """Give the URL that was asked for."""
    given = context.config.attributes.get("url") or context.get_x_argument(as_dictionary=True).get("url")
    return given or os.environ["SNAPDB_URL"]


_limits: Limits = context.config.attributes.get("limits") or Limits()
if context.is_offline_mode():
    _write_out()
else:
    engine = make_engine(read_url(_find_url()), pooled=False)
    _limits.apply(engine)
    with engine.connect().execution_options(**{WRITES: True}) as opened:
        _run(opened)
    engine.dispose()

"""Which version the tables of a registry have, and how to bring them to another."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from snapdb.errors import RegistryError, SchemaVersionError
from snapdb.registry.engine import check_sqlite_file, make_engine, read_url, show_url, use_wal
from snapdb.registry.errors import translated

if TYPE_CHECKING:
    from alembic.config import Config

SCHEMA_VERSION = "0001"
"""The version of the tables that this code works with: the head of the migrations."""

VERSION_TABLE = "alembic_version"
_HIDDEN = ("spatial_ref_sys", "image_rtree")


def describes_snapdb(dialect: str) -> Callable[..., bool]:
    """Make the filter that tells snapdb's tables from those of extensions.

    Parameters
    ----------
    dialect : str
        ``postgresql`` or ``sqlite``.

    Returns
    -------
    callable
        For alembic's ``include_object``.
    """

    def include(obj: Any, name: str | None, kind: str, reflected: bool, _other: Any) -> bool:  # noqa: FBT001
        if kind == "table" and reflected:
            return not str(name).startswith(_HIDDEN)
        if kind == "table":
            return bool(obj.info.get("dialect", dialect) == dialect)
        return not (kind == "index" and name == "ix_image_footprint" and dialect != "postgresql")

    return include


def migrate(url: str, revision: str = "head") -> None:
    """Bring a registry's tables up to a version, making them where there are none.

    Doing it twice changes nothing.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://...``.
    revision : str
        The version; by default the one that this snapdb works with.

    Raises
    ------
    RegistryUnavailableError
        If the database does not answer.
    SchemaVersionError
        If the registry is of a version that this snapdb does not know.
    ReadOnlyStoreError
        If the registry cannot be written to.
    RegistryError
        If the database lacks PostGIS, or the user the rights.
    """
    from alembic import command

    parsed = read_url(url)
    if parsed.get_backend_name() == "sqlite":
        check_sqlite_file(parsed, create=True)
        engine = make_engine(parsed, pooled=False)
        with translated(show_url(parsed)):
            use_wal(engine)
    _run(command.upgrade, url, revision)


def downgrade(url: str, revision: str) -> None:
    """Bring a registry's tables down to an older version; ``base`` drops them all.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://...``.
    revision : str
        The version.

    Raises
    ------
    RegistryUnavailableError
        If the database does not answer.
    SchemaVersionError
        If there is no such version.
    """
    from alembic import command

    parsed = read_url(url)
    if parsed.get_backend_name() == "sqlite":
        check_sqlite_file(parsed, create=False)
    _run(command.downgrade, url, revision)


def make_config(url: str) -> "Config":
    """Make alembic's configuration for a registry.

    The URL goes beside the options, whose percent signs would be expanded.
    """
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "snapdb.migrations:.")
    config.attributes["url"] = url
    return config


def _run(step: Callable[..., None], url: str, revision: str) -> None:
    """Run one of alembic's commands."""
    from alembic.util import CommandError

    shown = show_url(read_url(url))
    try:
        with translated(shown):
            step(make_config(url), revision)
    except CommandError as err:
        msg = f"registry {shown}: {err}; this snapdb knows versions up to {SCHEMA_VERSION}"
        raise SchemaVersionError(msg, expected=SCHEMA_VERSION, url=shown) from err


def read_version(engine: Engine) -> str | None:
    """Read which version the tables have; None where there are none."""
    with engine.connect() as connection:
        try:
            found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
        except DBAPIError as err:
            if _is_missing_table(err):
                return None
            raise
        return None if found is None else str(found)


def _is_missing_table(err: DBAPIError) -> bool:
    """Tell whether a statement failed because its table is not there."""
    return "no such table" in str(err.orig) or getattr(err.orig, "sqlstate", None) == "42P01"


def check_version(found: str | None, shown: str) -> None:
    """Refuse tables of another version than this code's.

    Raises
    ------
    SchemaVersionError
        Naming both versions and the command that helps.
    """
    if found == SCHEMA_VERSION:
        return
    if found is None:
        advice = "make its tables with `snapdb init` or `snapdb migrate`"
    elif found > SCHEMA_VERSION:
        advice = "it was made by a later snapdb: install that one"
    else:
        advice = "bring it up with `snapdb migrate`"
    msg = f"registry {shown} has schema version {found or 'none'}, expected {SCHEMA_VERSION}; {advice}"
    raise SchemaVersionError(msg, found=found, expected=SCHEMA_VERSION, url=shown)


def check_postgis(engine: Engine, shown: str) -> None:
    """Refuse a PostgreSQL server without the extensions that the registry needs.

    Raises
    ------
    RegistryError
        Naming the packages to install.
    """
    if engine.dialect.name != "postgresql":
        return
    names = ("postgis", "btree_gist")
    with engine.connect() as connection:
        have = set(connection.execute(text("SELECT name FROM pg_available_extensions")).scalars())
    missing = [name for name in names if name not in have]
    if missing:
        msg = (
            f"registry {shown}: the server lacks {' and '.join(missing)}; "
            "install PostGIS and the contrib modules (Debian: postgresql-15-postgis-3)"
        )
        raise RegistryError(msg, missing=missing, url=shown)

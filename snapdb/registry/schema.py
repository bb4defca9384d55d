"""Which version the tables of a registry have, and how to bring them to another."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from io import StringIO
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Engine, text
from sqlalchemy.exc import DBAPIError

from snapdb.errors import RegistryError, SchemaVersionError
from snapdb.registry.engine import check_sqlite_file, make_engine, read_url, show_url, use_wal
from snapdb.registry.errors import translated
from snapdb.registry.limits import LOCK_TIMEOUT_S, STATEMENT_TIMEOUT_S, Limits

if TYPE_CHECKING:
    from alembic.config import Config

SCHEMA_VERSION = "0004"
"""The version of the tables that this code works with: the head of the migrations."""

VERSION_TABLE = "alembic_version"
_BASE = "base"
_WITH_ROLES = "0002"
"""The first version that has roles."""
_one_at_a_time = threading.Lock()
"""What alembic works on is of the module, not of the call."""
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


def migrate(
    url: str,
    revision: str = "head",
    *,
    lock_timeout_s: float | None = LOCK_TIMEOUT_S,
    statement_timeout_s: float | None = STATEMENT_TIMEOUT_S,
) -> None:
    """Bring a registry's tables up to a version, making them where there are none.

    It happens as a whole or not at all; doing it twice changes nothing. On PostgreSQL the
    roles of :mod:`snapdb.registry.roles` get their rights; what the user may not give
    them is logged as a warning.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://...``.
    revision : str
        The version; by default the one that this snapdb works with.
    lock_timeout_s : float or None
        How long to wait for others to let go of a table, or of the file; None for ever.
    statement_timeout_s : float or None
        How long one statement may take; None for ever. SQLite has no such limit.

    Raises
    ------
    RegistryUnavailableError
        If the database does not answer, or a limit was reached.
    SchemaVersionError
        If this snapdb does not know the version of the registry, or the one that is
        asked for, or the registry is past it.
    ReadOnlyStoreError
        If the registry cannot be written to.
    RegistryError
        If the database lacks PostGIS, or the user the rights.
    UsageError
        If a limit is no positive number.
    """
    limits = Limits(lock_timeout_s=lock_timeout_s, statement_timeout_s=statement_timeout_s)
    target = _take_version(revision)
    parsed = read_url(url)
    if parsed.get_backend_name() == "sqlite":
        check_sqlite_file(parsed, create=True)
    _move("upgrade", parsed, target, limits)


def downgrade(
    url: str,
    revision: str,
    *,
    lock_timeout_s: float | None = LOCK_TIMEOUT_S,
    statement_timeout_s: float | None = STATEMENT_TIMEOUT_S,
) -> None:
    """Bring a registry's tables down to an older version; ``base`` drops them all.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://...``.
    revision : str
        The version.
    lock_timeout_s, statement_timeout_s : float or None
        As for :func:`migrate`.

    Raises
    ------
    RegistryUnavailableError
        If the database does not answer, or a limit was reached.
    SchemaVersionError
        If there is no such version, or the registry is not past it.
    UsageError
        If a limit is no positive number.
    """
    limits = Limits(lock_timeout_s=lock_timeout_s, statement_timeout_s=statement_timeout_s)
    target = _BASE if revision == _BASE else _take_version(revision)
    parsed = read_url(url)
    if parsed.get_backend_name() == "sqlite":
        check_sqlite_file(parsed, create=False)
    _move("downgrade", parsed, target, limits)


def write_migration(
    url: str,
    revision: str = "head",
    *,
    lock_timeout_s: float | None = LOCK_TIMEOUT_S,
    statement_timeout_s: float | None = STATEMENT_TIMEOUT_S,
) -> str:
    """Write the statements that :func:`migrate` would run, and run none.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://...``; its version is read.
    revision : str
        The version to go up to.
    lock_timeout_s, statement_timeout_s : float or None
        As for :func:`migrate`; they are among the statements.

    Returns
    -------
    str
        SQL; empty where there is nothing to do.

    Raises
    ------
    RegistryUnavailableError
        If the database does not answer.
    NotFoundError
        If there is no such SQLite file.
    SchemaVersionError
        If this snapdb does not know a version.
    UsageError
        If a limit is no positive number.
    """
    limits = Limits(lock_timeout_s=lock_timeout_s, statement_timeout_s=statement_timeout_s)
    target = _take_version(revision)
    parsed = read_url(url)
    shown = show_url(parsed)
    if parsed.get_backend_name() == "sqlite":
        check_sqlite_file(parsed, create=False)
    with _engine_for(parsed, limits) as engine, translated(shown):
        found = _read_known(engine, shown)
    if _rank(found) >= _rank(target):
        return ""
    written = StringIO()
    _run("upgrade", url, f"{found or _BASE}:{target}", limits, output=written)
    return written.getvalue()


@cache
def known_versions() -> tuple[str, ...]:
    """Name the versions that this snapdb knows, the oldest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(make_config("sqlite:///unused.db"))
    return tuple(script.revision for script in scripts.walk_revisions())[::-1]


def make_config(url: str) -> "Config":
    """Make alembic's configuration for a registry.

    The URL goes beside the options, whose percent signs would be expanded.
    """
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "snapdb.migrations:.")
    config.attributes["url"] = url
    return config


def _take_version(revision: str) -> str:
    """Give the version that a caller means."""
    known = known_versions()
    if revision == "head":
        return known[-1]
    if revision not in known:
        msg = (
            f"there is no schema version {revision!r}; this snapdb knows {', '.join(known)}; "
            "name one of these, or 'head'"
        )
        raise SchemaVersionError(msg, expected=SCHEMA_VERSION, known=known, asked=revision)
    return revision


def _rank(version: str | None) -> int:
    """Give a version's place among those known; what has no tables comes before all."""
    return -1 if version in (None, _BASE) else known_versions().index(str(version))


def _read_known(engine: Engine, shown: str) -> str | None:
    """Read which version the tables have, and refuse one that this code has never heard of."""
    found = read_version(engine)
    if found is not None and found not in known_versions():
        check_version(found, shown)
    return found


def _check_way(step: str, found: str | None, target: str, shown: str) -> None:
    """Refuse to go up to what lies below, or down to what lies above."""
    if step == "upgrade" and _rank(found) > _rank(target):
        where, advice = "past", f"go back to it with `snapdb migrate --down --to {target}`"
    elif step == "downgrade" and _rank(found) < _rank(target):
        where, advice = "before", f"go up to it with `snapdb migrate --to {target}`"
    else:
        return
    msg = f"registry {shown} has schema version {found or 'none'}, {where} {target}; {advice}"
    raise SchemaVersionError(msg, found=found, expected=target, known=known_versions(), url=shown)


def _move(step: str, parsed: URL, target: str, limits: Limits) -> None:
    """Bring a registry up or down to a version."""
    shown = show_url(parsed)
    with _engine_for(parsed, limits) as engine, translated(shown):
        found = _read_known(engine, shown)
        _check_way(step, found, target, shown)
        if found is None:
            check_postgis(engine, shown)
        with limits.explained(engine, shown):
            use_wal(engine)
            _run(step, parsed.render_as_string(hide_password=False), target, limits)


@contextmanager
def _engine_for(parsed: URL, limits: Limits) -> Iterator[Engine]:
    """Give an engine that keeps no connection."""
    engine = make_engine(parsed, pooled=False)
    limits.apply(engine)
    try:
        yield engine
    finally:
        engine.dispose()


def _run(step: str, url: str, revision: str, limits: Limits, *, output: StringIO | None = None) -> None:
    """Run one of alembic's commands, or write out what it would do."""
    from alembic import command

    config = make_config(url)
    config.attributes["limits"] = limits
    config.attributes["with_roles"] = step == "upgrade" and revision >= _WITH_ROLES
    if output is not None:
        config.output_buffer = output
    with _one_at_a_time:
        getattr(command, step)(config, revision, sql=output is not None)


def find_version(url: str) -> str | None:
    """Find which version the tables of a registry have, whether this code can use them or not.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://...``.

    Returns
    -------
    str or None
        None where there are none.

    Raises
    ------
    RegistryUnavailableError
        If the database does not answer.
    NotFoundError
        If there is no such SQLite file.
    """
    parsed = read_url(url)
    if parsed.get_backend_name() == "sqlite":
        check_sqlite_file(parsed, create=False)
    with _engine_for(parsed, Limits()) as engine, translated(show_url(parsed)):
        return read_version(engine)


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
    known = known_versions()
    if found is None:
        advice = "make its tables with `snapdb init` or `snapdb migrate`"
    elif found in known:
        advice = "bring it up with `snapdb migrate`"
    else:
        advice = f"it was made by a later snapdb: install that one (this one knows {', '.join(known)})"
    msg = f"registry {shown} has schema version {found or 'none'}, expected {SCHEMA_VERSION}; {advice}"
    raise SchemaVersionError(msg, found=found, expected=SCHEMA_VERSION, known=known, url=shown)


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

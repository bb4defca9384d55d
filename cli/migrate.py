"""`snapdb migrate`: bring the database to this version's tables, or to another's."""

import re
from typing import TYPE_CHECKING, Any

import click

from .commands import Command
from .session import Session, archive_option, pass_session, say

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS = {"ms": 1e-3, "s": 1.0, "": 1.0, "min": 60.0, "h": 3600.0}
_MOST_S = 2_000_000.0


class DurationType(click.ParamType[float]):
    """A time with its unit (``500ms``, ``30s``, ``10min``, ``1h``); a plain number is seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Give seconds."""
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", str(value))
        if match and match[2] in _SECONDS:
            seconds = float(match[1]) * _SECONDS[match[2]]
            if seconds <= _MOST_S:
                return seconds
        msg = f"{value!r} is not a time; expected 500ms, 30s, 10min, 1h (three weeks at most), or 0 for ever"
        return self.fail(msg, param, ctx)


DURATION = DurationType()


@click.command("migrate", cls=Command)
@click.option("--to", metavar="VERSION", help="Version of the tables; by default this snapdb's.")
@click.option("--down", is_flag=True, help="Go back to the version --to; what it does not know is dropped.")
@click.option("--sql", is_flag=True, help="Print the statements, and run none.")
@click.option(
    "--lock-timeout",
    type=DURATION,
    default="30s",
    show_default=True,
    help="How long to wait for those who use a table; 0 is for ever.",
)
@click.option(
    "--statement-timeout",
    type=DURATION,
    default="10min",
    show_default=True,
    help="How long one statement may take; 0 is for ever. SQLite has no such limit.",
)
@archive_option
@pass_session
def command(session: Session, /, **options: Any) -> None:
    """Bring an archive's database to the tables of this snapdb.

    It happens as a whole or not at all; an archive that is up to date stays as it is. On PostgreSQL
    the roles snapdb_owner, snapdb_ingest and snapdb_read are made, where the user may make them, and
    get their rights. Make a backup of a database that matters first.

    \b
    For example:
      snapdb migrate --lock-timeout 5s
      snapdb migrate --sql > migration.sql
    """  # noqa: D301  # \b is click's mark for lines that stay
    from snapdb.archive.connect import find_place
    from snapdb.config import read_settings

    _check_options(options)
    _check_version(options["to"], down=options["down"])
    url = find_place(read_settings(url=session.archive)).url
    limits = {f"{name}_s": options[name] or None for name in ("lock_timeout", "statement_timeout")}
    if options["sql"]:
        _print_statements(url, options["to"] or "head", limits)
    elif options["down"]:
        from snapdb.registry import downgrade

        downgrade(url, options["to"], **limits)
        _tell(session, url)
    else:
        from snapdb.registry import migrate

        migrate(url, options["to"] or "head", **limits)
        _tell(session, url)


def _check_options(options: "Mapping[str, Any]") -> None:
    """Refuse options that do not go together."""
    if options["down"] and options["to"] is None:
        msg = "--down needs --to VERSION, the version to go back to"
        raise click.UsageError(msg)
    if options["down"] and options["sql"]:
        msg = "--sql prints the way up; leave out --down"
        raise click.UsageError(msg)


def _check_version(asked: str | None, *, down: bool) -> None:
    """Refuse a version that there is not: it is the call that is wrong, not the database."""
    from snapdb.errors import UsageError
    from snapdb.registry.schema import known_versions

    known = known_versions()
    if asked in (None, "head", *known) or (down and asked == "base"):
        return
    names = f"{', '.join(known)}; name one of these, or 'head'"
    msg = f"there is no schema version {asked!r}; this snapdb knows {names}"
    raise UsageError(msg, asked=asked, known=known)


def _print_statements(url: str, to: str, limits: "Mapping[str, float | None]") -> None:
    """Print what would be run."""
    from snapdb.registry.schema import write_migration

    written = write_migration(url, to, **limits)
    if written:
        click.echo(written)
    else:
        say("nothing to do: the tables are there already")


def _tell(session: Session, url: str) -> None:
    """Say where the database stands now."""
    import snapdb
    from snapdb.registry import SCHEMA_VERSION
    from snapdb.registry.schema import find_version

    found = find_version(url)
    if found == SCHEMA_VERSION:
        with session.connect() as archive:
            say(f"archive at {archive.url}: at the tables of snapdb {snapdb.__version__}")
        return
    say(
        f"the tables have version {found or 'none'} now; this snapdb needs {SCHEMA_VERSION}: `snapdb migrate`"
    )

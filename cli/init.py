"""`snapdb init`: make an archive."""

from pathlib import Path

import click

from .commands import Command
from .session import Session, archive_option, pass_session, say


@click.command("init", cls=Command)
@click.argument("place", required=False, metavar="[FOLDER|URL]")
@archive_option
@pass_session
def command(session: Session, place: str | None) -> None:
    """Make an archive, or bring an old one up to date.

    FOLDER becomes an embedded archive: its registry and its store in one folder, no server.
    URL is sqlite:///FILE or postgresql://HOST/DATABASE; the database must exist there.
    Without either the settings decide, else ./snapdb-archive is made. Doing it twice
    changes nothing. A FOLDER or FILE named here becomes the archive of the working
    directory: ./snapdb.toml, where there is none yet, names it for later commands.
    """
    import snapdb
    from snapdb.errors import SchemaVersionError

    if place and session.archive:
        msg = f"two archives are named, {place} and {session.archive}; name one"
        raise click.UsageError(msg)
    session.archive = place or session.archive
    try:
        made = snapdb.init(session.archive)
    except SchemaVersionError:
        session.check_version()
        raise
    with made as archive:
        count = archive.count_images()
        say(f"archive at {archive.url}: ready, {count} image{'' if count == 1 else 's'}")
    if place and not place.startswith("postgres"):
        _remember(place)


def _remember(place: str) -> None:
    """Let the working directory's settings name an archive, unless they name one already."""
    from snapdb.config import read_settings, write_settings

    settings = Path("snapdb.toml")
    if not settings.exists():
        write_settings(settings, url=place)
        say("./snapdb.toml names it: commands in this folder need no --archive")
    elif read_settings().url not in (place, str(Path(place).absolute())):
        say(f"./snapdb.toml names another archive: say --archive {place} to use this one")

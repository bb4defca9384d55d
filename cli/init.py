"""`snapdb init`: make an archive."""

import rich_click as click

from .session import Session, archive_option, pass_session, say


@click.command("init")
@click.argument("place", required=False, metavar="[FOLDER|URL]")
@archive_option
@pass_session
def command(session: Session, place: str | None) -> None:
    """Make an archive, or bring an old one up to date.

    FOLDER becomes an embedded archive: its registry and its store in one folder, no server.
    URL is sqlite:///FILE or postgresql://HOST/DATABASE; the database must exist there.
    Without either the settings decide, else ./snapdb-archive is made. Doing it twice
    changes nothing.
    """
    import snapdb

    if place and session.archive:
        msg = f"two archives are named, {place} and {session.archive}; name one"
        raise click.UsageError(msg)
    with snapdb.init(place or session.archive) as archive:
        count = archive.count_images()
        say(f"archive at {archive.url}: ready, {count} image{'' if count == 1 else 's'}")

"""`snapdb migrate`: bring the database to this version's tables."""

import rich_click as click

from .session import Session, archive_option, pass_session, say


@click.command("migrate")
@archive_option
@pass_session
def command(session: Session) -> None:
    """Bring an archive's database to the tables of this snapdb.

    An archive that is up to date stays as it is. Make a backup of a database that matters first.
    """
    import snapdb
    from snapdb.archive.connect import find_place
    from snapdb.config import read_settings
    from snapdb.errors import SchemaVersionError
    from snapdb.registry import migrate

    try:
        migrate(find_place(read_settings(url=session.archive)).url)
    except SchemaVersionError:
        session.check_version()
        raise
    with session.connect() as archive:
        say(f"archive at {archive.url}: at the tables of snapdb {snapdb.__version__}")

"""`snapdb info`: what an archive holds."""

import click

from .commands import Command
from .session import Session, archive_option, pass_session


@click.command("info", cls=Command)
@archive_option
@pass_session
def command(session: Session) -> None:
    """Say where the archive is and what it holds."""
    with session.connect() as archive:
        click.echo(f"archive     {archive.url}")
        click.echo(f"images      {archive.count_images()}")
        for column in ("kind", "band", "instrument"):
            values = [v for v in archive.registry.values(column) if v is not None]
            counts = [f"{value} ({archive.count_images(**{column: value})})" for value in values]
            click.echo(f"{column + 's':<11} {', '.join(counts) if counts else '-'}")

"""`snapdb export`: images as rows of the IVOA's ObsCore."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .commands import Command
from .criteria import check_tag, make_criteria, search_options
from .failures import NOTHING_FOUND
from .outputs import check_file, refuse_terminal, to_path
from .session import Session, archive_option, pass_session, say

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

_FORMATS = ("parquet", "votable", "ecsv", "csv")


@click.command("export", cls=Command)
@search_options
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Default: by the file's name.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write to: .parquet, .vot, .ecsv or .csv; - for stdout.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@click.option(
    "--authority",
    metavar="NAME[/KEY]",
    help="Your registered IVOA authority, for obs_publisher_did; snapdb.local/images names images in one "
    "archive only.",
)
@click.option("--collection", metavar="NAME", help="For obs_collection; facility/instrument by default.")
@click.option(
    "--access-url", metavar="URL", help="Of an image, with {id} or {filepath}; that of the file by default."
)
@click.option("--fail-empty", is_flag=True, help="End with code 3 when nothing is found.")
@archive_option
@pass_session
@click.pass_context
def command(ctx: click.Context, session: Session, /, **options: Any) -> None:
    """Write the images that match as a table with the columns of ObsCore 1.1.

    Units, UCDs and utypes stand in the file. Parquet and CSV are written in bounded memory,
    however many images there are.

    \b
    For example:
      snapdb export -o survey.parquet
      snapdb export --band r --mjd-min 2024-09-01 --authority org.example/images -o r.vot
    """  # noqa: D301  # \b is click's mark for lines that stay
    criteria = make_criteria(options)
    with session.connect() as archive:
        check_tag(archive, criteria)
        count = _export(archive, criteria, options)
    if count == 0:
        say("no image matches")
    if count == 0 and options["fail_empty"]:
        ctx.exit(NOTHING_FOUND)


def _export(archive: "Archive", criteria: dict[str, Any], options: dict[str, Any]) -> int:
    """Write the rows to where they are wanted, and give their number."""
    from snapdb.archive.moving.exporting import choose_export_format, export, iter_blocks, write_blocks
    from snapdb.archive.moving.obscore import AUTHORITY, Publisher

    publisher = Publisher(
        authority=options["authority"] or AUTHORITY,
        collection=options["collection"],
        access_url=options["access_url"],
    )
    output = to_path(options["output"])
    if output is None:
        form = choose_export_format(Path("-.csv"), options["form"])
        if form == "parquet":
            refuse_terminal(form)
        return write_blocks(iter_blocks(archive, publisher, **criteria), sys.stdout.buffer, form)
    form = choose_export_format(output, options["form"])
    check_file(output, overwrite=options["overwrite"])
    count = export(archive, output, form, overwrite=True, publisher=publisher, **criteria)
    say(f"{output}: {count} image{'' if count == 1 else 's'} as ObsCore 1.1, {form}")
    return count

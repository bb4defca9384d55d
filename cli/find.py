"""`snapdb find`: list the images that match."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from .criteria import check_tag, make_criteria, search_options
from .failures import NOTHING_FOUND
from .outputs import check_file, to_path
from .session import Session, archive_option, pass_session, say

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

_FORMATS = ("table", "json", "jsonl", "csv", "ecsv", "votable", "parquet")


@click.command("find")
@search_options
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Default: by the file's name, or table.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write to; - for stdout."
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@click.option("--count", is_flag=True, help="Print how many there are, and nothing else.")
@click.option("--fail-empty", is_flag=True, help="End with code 3 when nothing is found.")
@archive_option
@pass_session
@click.pass_context
def command(ctx: click.RichContext, session: Session, /, **options: Any) -> None:
    """List the images that match all that is asked.

    With --ra and --dec: the images whose footprint contains that position.

    \b
    For example:
      snapdb find --ra 0.0216 --dec -17.496 --band r --order-by mjd
      snapdb find --ra 12h30m10s --dec -20d10m --mjd-min 2024-09-01 -o found.ecsv
    """  # noqa: D301  # \b is click's mark for lines that stay
    from .listing import choose_format

    criteria = make_criteria(options)
    output = to_path(options["output"])
    if options["count"] and options["output"] is not None:
        msg = "--count prints a number, and -o writes the images; give one of them"
        raise click.UsageError(msg)
    form = choose_format(options["form"], output)
    with session.connect() as archive:
        check_tag(archive, criteria)
        if output is not None:
            check_file(output, overwrite=options["overwrite"])
        count = _count(archive, criteria) if options["count"] else _list(archive, criteria, form, output)
        if count == 0:
            for line in _explain_nothing(archive, criteria):
                say(line)
    if count == 0 and options["fail_empty"]:
        ctx.exit(NOTHING_FOUND)


def _count(archive: "Archive", criteria: dict[str, Any]) -> int:
    """Print how many images match."""
    count = archive.count_images(**criteria)
    click.echo(count)
    return count


def _list(archive: "Archive", criteria: dict[str, Any], form: str, output: Path | None) -> int:
    """Write the listing; say where, when it goes to a file."""
    from .columns import make_row
    from .listing import write_listing

    def rows() -> Iterator[dict[str, Any]]:
        for record in archive.iter_records(**criteria):
            yield make_row(record)

    count = write_listing(rows(), form, output)
    if output is not None:
        say(f"{output}: {count} image{'' if count == 1 else 's'} as {form}")
    return count


def _explain_nothing(archive: "Archive", criteria: dict[str, Any]) -> Iterator[str]:
    """Yield what would help someone who found nothing."""
    yield "no image matches"
    if archive.count_images() == 0:
        yield "  the archive is empty; fill it with `snapdb ingest PATH...`"
        return
    for name in ("band", "kind", "instrument", "sca"):
        if name in criteria:
            there = [v for v in archive.registry.values(name) if v is not None]
            absent = [v for v in criteria[name] if v not in there]
            if absent:
                known = ", ".join(_quote(v) for v in there) or "none at all"
                yield f"  no image has {name} {' or '.join(map(_quote, absent))}; there are: {known}"
    if "ra" in criteria and "dec" in criteria and len(criteria) > 2:
        covering = archive.count_images(ra=criteria["ra"], dec=criteria["dec"])
        yield f"  without the other criteria: {covering} at this position"
    elif "ra" in criteria:
        yield "  the position is in no image's footprint; positions are ICRS, --ra in degrees or 12h30m10s"


def _quote(value: object) -> str:
    """Write a value so that an empty one, or one with spaces, is seen as it is."""
    return repr(value) if isinstance(value, str) else str(value)

"""`snapdb find`: list the images that match."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .commands import Command
from .criteria import check_tag, make_criteria, number_or_text, search_options
from .failures import NOTHING_FOUND
from .outputs import check_file, to_path
from .session import Session, archive_option, pass_session, say

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.model.image import ImageRecord

_SAMPLE = 1000
"""Images whose properties are looked at when one is asked for that there is not."""

_FORMATS = ("table", "json", "jsonl", "csv", "ecsv", "votable", "fits", "parquet")


@click.command("find", cls=Command)
@search_options
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Default: by the file's name, or table.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write to; - for stdout."
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@click.option("--count", is_flag=True, help="Print how many there are, and nothing else.")
@click.option(
    "--nearest",
    metavar="MJD|DATE",
    help="Only those begun nearest to this time: one, or --limit; no kept cutouts without --kind.",
)
@click.option("--fail-empty", is_flag=True, help="End with code 3 when nothing is found.")
@archive_option
@pass_session
@click.pass_context
def command(ctx: click.Context, session: Session, /, **options: Any) -> None:
    """List the images that match all that is asked.

    With --ra and --dec: the images whose footprint contains that position; with --radius too,
    those that touch the circle. Regions are in degrees: 'CIRCLE ra dec radius', 'BOX ra dec width
    height', 'POLYGON ra dec ra dec ra dec', 'RANGE ra1 ra2 dec1 dec2'.

    \b
    For example:
      snapdb find --ra 0.0216 --dec -17.496 --band r --order-by mjd
      snapdb find --ra 12h30m10s --dec -20d10m --mjd-min 2024-09-01 -o found.ecsv
      snapdb find --region 'CIRCLE 150.1 2.2 0.5' --relation within --property 'airmass<=1.5'
    """  # noqa: D301  # \b is click's mark for lines that stay
    from .listing import choose_format

    criteria = make_criteria(options)
    if options["nearest"] is not None:
        if options["count"]:
            msg = "--count counts all that match; leave out --nearest"
            raise click.UsageError(msg)
        criteria["nearest"] = number_or_text(options["nearest"])
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
    from snapdb.archive.columns import make_row

    from .listing import write_listing

    count = write_listing(map(make_row, _find(archive, criteria)), form, output)
    if output is not None:
        say(f"{output}: {count} image{'' if count == 1 else 's'} as {form}")
    return count


def _find(archive: "Archive", criteria: dict[str, Any]) -> "Iterable[ImageRecord]":
    """Find the rows to list."""
    if "nearest" not in criteria:
        return archive.iter_records(**criteria)
    asked = {name: value for name, value in criteria.items() if name != "nearest"}
    return archive.find_nearest_in_time(criteria["nearest"], **asked).records


def _explain_nothing(archive: "Archive", criteria: dict[str, Any]) -> Iterator[str]:
    """Yield what would help someone who found nothing."""
    criteria = {name: value for name, value in criteria.items() if name != "nearest"}
    yield "no image matches"
    if archive.count_images() == 0:
        yield "  the archive is empty; fill it with `snapdb ingest PATH...`"
        return
    yield from _explain_names(archive, criteria)
    if "ra" in criteria and "dec" in criteria and len(criteria) > 2:
        covering = archive.count_images(ra=criteria["ra"], dec=criteria["dec"])
        yield f"  without the other criteria: {covering} at this position"
    elif "ra" in criteria:
        yield "  the position is in no image's footprint; positions are ICRS, --ra in degrees or 12h30m10s"


def _explain_names(archive: "Archive", criteria: dict[str, Any]) -> Iterator[str]:
    """Yield which of the names asked for no image has, and what there is."""
    for name in ("band", "kind", "instrument", "sca"):
        if name in criteria:
            there = [v for v in archive.registry.values(name) if v is not None]
            absent = [v for v in criteria[name] if v not in there]
            if absent:
                known = ", ".join(_quote(v) for v in there) or "none at all"
                yield f"  no image has {name} {' or '.join(map(_quote, absent))}; there are: {known}"
    if "process" in criteria and "provenance_tag" not in criteria:
        there = sorted({made_by.process for made_by in archive.registry.find_provenances()})
        if criteria["process"] not in there:
            known = ", ".join(map(_quote, there)) or "none at all"
            yield f"  no provenance has the process {criteria['process']!r}; there are: {known}"
    yield from _explain_properties(archive, criteria.get("properties", {}))


def _explain_properties(archive: "Archive", asked: "Iterable[str]") -> Iterator[str]:
    """Yield which of the properties no image has, and what there is."""
    absent = [
        name for name in asked if archive.count_images() == archive.count_images(properties={name: None})
    ]
    if not absent:
        return
    records = archive.find_records(limit=_SAMPLE)
    there = sorted({name for record in records for name in record.properties})
    for name in absent:
        alike = [one for one in there if one.lower() == name.lower()]
        known = ", ".join(map(_quote, there)) or "none"
        hint = f"did you mean {alike[0]!r}?" if alike else f"there are: {known}"
        yield f"  no image has the property {name!r}; {hint}"


def _quote(value: object) -> str:
    """Write a value so that an empty one, or one with spaces, is seen as it is."""
    return repr(value) if isinstance(value, str) else str(value)

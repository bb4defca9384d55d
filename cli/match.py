"""`snapdb match`: a catalogue's positions against the images that match."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .commands import Command
from .criteria import make_criteria, search_options
from .failures import NOTHING_FOUND
from .session import Session, archive_option, pass_session, say

if TYPE_CHECKING:
    from snapdb.archive.match import MatchResult


@click.command("match", cls=Command)
@click.argument("catalogue", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@search_options
@click.option("--ra-column", default="ra", show_default=True, help="The catalogue's right ascensions.")
@click.option("--dec-column", default="dec", show_default=True, help="The catalogue's declinations.")
@click.option(
    "--on-error",
    type=click.Choice(["raise", "skip"]),
    default="raise",
    show_default=True,
    help="What to do about rows that hold no position.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write to, .parquet or .csv; CSV on standard output by default.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@click.option("--count", is_flag=True, help="Print how many pairs there are, and nothing else.")
@click.option("--fail-empty", is_flag=True, help="End with code 3 when nothing is found.")
@archive_option
@pass_session
@click.pass_context
def command(ctx: click.Context, session: Session, /, catalogue: Path, **options: Any) -> None:
    """Find which rows of CATALOGUE lie in which images.

    CATALOGUE is a CSV, ECSV, FITS, VOTable or parquet table with columns of positions: ICRS
    degrees, or in the unit that the column has. Of each pair is told: row (counted from 0), image_id,
    band, mjd. Kept cutouts are left out, unless --kind asks for them.

    \b
    For example:
      snapdb match supernovae.csv --band r --mjd-min 2024-09-01 -o pairs.parquet
      snapdb match gaia.fits --ra-column RA_ICRS --dec-column DE_ICRS --count
    """  # noqa: D301  # \b is click's mark for lines that stay
    _check_options(options)
    with session.connect() as archive:
        from snapdb.archive.match import match

        result = match(
            archive,
            catalogue,
            ra=options["ra_column"],
            dec=options["dec_column"],
            on_error=options["on_error"],
            **make_criteria(options),
        )
        count = _deliver(result, options)
    _report(result, count, options["output"])
    if count == 0 and options["fail_empty"]:
        ctx.exit(NOTHING_FOUND)


def _check_options(options: dict[str, Any]) -> None:
    """Refuse what contradicts itself."""
    if options["ra"] is not None or options["dec"] is not None:
        msg = "the catalogue names the positions; leave out --ra and --dec (--ra-column names a column)"
        raise click.UsageError(msg)
    if options["count"] and options["output"] is not None:
        msg = "--count prints a number, and -o writes pairs; give one of them"
        raise click.UsageError(msg)


def _deliver(result: "MatchResult", options: dict[str, Any]) -> int:
    """Write the pairs, or their number, to where they are wanted."""
    if options["count"]:
        count = result.count()
        click.echo(count)
        return count
    if options["output"] is not None:
        return result.write(options["output"], overwrite=options["overwrite"])
    return result.write_csv(sys.stdout.buffer)


def _report(result: "MatchResult", count: int, output: Path | None) -> None:
    """Say on stderr what was found, and what was left out."""
    if output is not None:
        say(f"{output}: {count} pairs of {result.rows} positions")
    elif count == 0:
        say(f"none of {result.rows} positions lies in an image that matches")
    if len(result.skipped):
        shown = ", ".join(map(str, result.skipped[:10].tolist()))
        more = f" and {len(result.skipped) - 10} more" if len(result.skipped) > 10 else ""
        say(f"{len(result.skipped)} rows hold no position and were left out: {shown}{more}")

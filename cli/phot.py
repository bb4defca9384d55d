"""`snapdb phot`: the fluxes of a catalogue's targets on every image that holds them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .commands import Command
from .criteria import check_tag, make_criteria, search_options
from .failures import NOTHING_FOUND, PART_FAILED
from .fluxes import (
    SUFFIXES,
    check_output_file,
    measure_options,
    output_options,
    read_measure_options,
    report_fluxes,
    show_progress,
    write_fluxes,
)
from .listing import choose_format
from .outputs import to_path
from .session import Session, archive_option, pass_session, say

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.archive.light_curves.catalog import CatalogPhotometry


@click.command("phot", cls=Command)
@click.option(
    "--catalog",
    "--catalogue",
    "catalog",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Targets: a CSV, ECSV, FITS or parquet table.",
)
@click.option("--ra-column", default="ra", show_default=True, help="The catalogue's right ascensions.")
@click.option("--dec-column", default="dec", show_default=True, help="The catalogue's declinations.")
@click.option("--name-column", help="The catalogue's names, kept with the fluxes.")
@click.option(
    "--on-error",
    type=click.Choice(["raise", "skip"]),
    default="raise",
    show_default=True,
    help="What to do about rows that hold no position.",
)
@search_options
@measure_options
@output_options
@archive_option
@pass_session
@click.pass_context
def command(ctx: click.Context, session: Session, /, **options: Any) -> None:
    """Measure the flux of each target of a catalogue on every image that holds it.

    Positions are ICRS degrees, or in the unit that the column has. Each row of the answer is a target
    on an image: ``row`` is the target's, counted from 0. Fluxes are kept in the registry, so that asking
    again reads new images and new targets alone.

    \b
    For example:
      snapdb phot --catalog targets.csv --psf gaussian:3.2 --band r -o fluxes.parquet
      snapdb phot --catalog gaia.fits --ra-column RA_ICRS --dec-column DE_ICRS --ap-r 6 -o fluxes.ecsv
    """  # noqa: D301  # \b is click's mark for lines that stay
    if options["ra"] is not None or options["dec"] is not None or options["radius"] is not None:
        msg = "the catalogue names the positions; leave out --ra, --dec and --radius"
        raise click.UsageError(msg)
    output = to_path(options["output"])
    form = choose_format(options["form"], output, SUFFIXES)
    with session.connect() as archive:
        check_output_file(output, form, overwrite=options["overwrite"])
        with show_progress("measuring") as progress:
            found = _measure(archive, options, progress)
        write_fluxes(found.table, form, output)
    if found.skipped:
        shown = ", ".join(map(str, found.skipped[:10]))
        say(f"{len(found.skipped)} rows hold no position and were left out: {shown}")
    if not len(found):
        say(f"none of {found.targets} targets lies in an image that matches")
        ctx.exit(NOTHING_FOUND if options["fail_empty"] else 0)
    named = options["name_column"] is not None and not options["no_keep"]
    if report_fluxes(found.table, found.new, output, named=named):
        ctx.exit(PART_FAILED)


def _measure(archive: "Archive", options: dict[str, Any], progress: Any) -> "CatalogPhotometry":
    """Measure what is asked."""
    from snapdb.archive.light_curves.catalog import find_phot

    criteria = make_criteria(options)
    check_tag(archive, criteria)
    if "provenance" in criteria:
        criteria["image_provenance"] = criteria.pop("provenance")
    return find_phot(
        archive,
        options["catalog"],
        ra=options["ra_column"],
        dec=options["dec_column"],
        name=options["name_column"],
        on_bad_row=options["on_error"],
        progress=progress,
        **read_measure_options(options),
        **criteria,
    )

"""`snapdb lightcurve`: the flux of a target on every image that holds it."""

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
from .outputs import check_file, to_path
from .session import Session, archive_option, pass_session, say

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.archive.light_curves.light_curve import LightCurve


@click.command("lightcurve", cls=Command)
@search_options
@measure_options
@click.option("--name", help="Of the target, kept with the fluxes that are measured now.")
@click.option(
    "--proper-motion",
    type=(float, float, float),
    metavar="PMRA PMDEC YEAR",
    help="mas a year, the first with cos(dec), and the Julian year of --ra, --dec.",
)
@click.option(
    "--ephemeris",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Table of mjd, ra, dec in place of --ra, --dec.",
)
@click.option("--refine", is_flag=True, help="Fit the position to all images together first; needs --psf.")
@click.option(
    "--reference", metavar="ID|TAG:PROCESS", help="Subtract the flux on this image, or of this provenance."
)
@click.option("--nightly", is_flag=True, help="Combine the fluxes of each night and band.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw it: .png, .pdf or .svg.")
@output_options
@archive_option
@pass_session
@click.pass_context
def command(ctx: click.Context, session: Session, /, **options: Any) -> None:
    """Measure the flux at --ra --dec on every image that has the position, in the order of time.

    Fluxes are forced: they may be zero or negative. They are kept in the registry with how they
    were measured, so that asking again reads new images alone. Images that give no flux are
    listed with the reason.

    \b
    For example:
      snapdb lightcurve --ra 0.0216 --dec -17.496 --psf gaussian:3.2 --band r -o sn.ecsv --plot sn.png
      snapdb lightcurve --ra 0.0216 --dec -17.496 --ap-r 6 --nightly
      snapdb lightcurve --ephemeris ceres.csv --psf psf.fits -o ceres.parquet
    """  # noqa: D301  # \b is click's mark for lines that stay
    _check_options(options)
    output = to_path(options["output"])
    form = choose_format(options["form"], output, SUFFIXES)
    with session.connect() as archive:
        check_output_file(output, form, overwrite=options["overwrite"])
        if options["plot"] is not None:
            _check_plot(options["plot"], overwrite=options["overwrite"])
        with show_progress("measuring") as progress:
            curve = _measure(archive, options, progress)
        write_fluxes(curve.nightly() if options["nightly"] else curve.table, form, output)
        if options["plot"] is not None:
            curve.plot(options["plot"], overwrite=options["overwrite"])
            say(str(options["plot"]))
    named = options["name"] is not None and not options["no_keep"]
    failed = report_fluxes(curve.table, curve.new, output, named=named) if len(curve) else _say_nothing()
    if not len(curve) and options["fail_empty"]:
        ctx.exit(NOTHING_FOUND)
    if failed:
        ctx.exit(PART_FAILED)


def _check_options(options: dict[str, Any]) -> None:
    """Refuse what contradicts itself."""
    placed = options["ra"] is not None and options["dec"] is not None
    if not placed and options["ephemeris"] is None:
        msg = "lightcurve needs --ra and --dec, or --ephemeris"
        raise click.UsageError(msg)
    if options["ephemeris"] is not None and (options["ra"] is not None or options["dec"] is not None):
        msg = "--ephemeris says where the target is; leave out --ra and --dec"
        raise click.UsageError(msg)
    if options["radius"] is not None:
        msg = "a flux is measured at a position; leave out --radius"
        raise click.UsageError(msg)


def _check_plot(path: Path, *, overwrite: bool) -> None:
    """Refuse a drawing that cannot be, before anything is measured."""
    from snapdb.archive.light_curves.plot import SUFFIXES

    if path.suffix.lower() not in SUFFIXES:
        msg = f"--plot {path}: expected a name that ends in {', '.join(SUFFIXES)}"
        raise click.UsageError(msg)
    check_file(path, overwrite=overwrite)


def _measure(archive: "Archive", options: dict[str, Any], progress: Any) -> "LightCurve":
    """Measure what is asked."""
    from snapdb.archive.light_curves.light_curve import find_light_curve

    criteria = make_criteria(options)
    check_tag(archive, criteria)
    place = {name: criteria.pop(name, None) for name in ("ra", "dec")}
    if "provenance" in criteria:
        criteria["image_provenance"] = criteria.pop("provenance")
    return find_light_curve(
        archive,
        place["ra"],
        place["dec"],
        proper_motion=options["proper_motion"],
        ephemeris=options["ephemeris"],
        refine=options["refine"],
        reference=options["reference"],
        name=options["name"],
        progress=progress,
        **read_measure_options(options),
        **criteria,
    )


def _say_nothing() -> int:
    """Say that there is no image."""
    say("no image matches that holds the position")
    return 0

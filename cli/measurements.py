"""`snapdb measurements`: list the fluxes that are kept."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .commands import Command
from .criteria import number_or_text
from .failures import NOTHING_FOUND
from .fluxes import SUFFIXES, check_output_file, output_options, write_fluxes
from .listing import choose_format
from .outputs import to_path
from .session import Session, archive_option, pass_session, say
from .values import DEC, RA, RADIUS

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive


@click.command("measurements", cls=Command)
@click.option("--ra", type=RA, help="With --dec: what was measured at this position (ICRS), to 1e-4 arcsec.")
@click.option("--dec", type=DEC, help="Degrees, or sexagesimal such as -20d10m30s.")
@click.option("--radius", type=RADIUS, help="With --ra, --dec: all within the circle (1arcsec).")
@click.option("--image", metavar="ID", multiple=True, help="On any of these images; may be repeated.")
@click.option("--name", multiple=True, help="Of any of these targets; may be repeated.")
@click.option("--band", multiple=True, help="On images of any of these bands; may be repeated.")
@click.option("--mjd-min", metavar="MJD|DATE", help="Start of the exposure, MJD or ISO date, UTC.")
@click.option("--mjd-max", metavar="MJD|DATE", help="Start of the exposure, MJD or ISO date, UTC.")
@click.option(
    "--provenance",
    metavar="ID|TAG:PROCESS",
    multiple=True,
    help="With any of these, or the first digits of one; may be repeated.",
)
@click.option("--limit", type=click.IntRange(min=0), help="At most so many.")
@output_options
@archive_option
@pass_session
@click.pass_context
def command(ctx: click.Context, session: Session, /, **options: Any) -> None:
    """List the fluxes that `snapdb lightcurve` and `snapdb phot` have kept; no image is opened.

    \b
    For example:
      snapdb measurements --ra 0.0216 --dec -17.496 --radius 1arcsec
      snapdb measurements --name SN2024abc --band r -o r.ecsv
    """  # noqa: D301  # \b is click's mark for lines that stay
    if (options["ra"] is None) != (options["dec"] is None):
        msg = "--ra and --dec stand together; give both"
        raise click.UsageError(msg)
    output = to_path(options["output"])
    form = choose_format(options["form"], output, SUFFIXES)
    with session.connect() as archive:
        check_output_file(output, form, overwrite=options["overwrite"])
        count = _list(archive, _make_criteria(archive, options), form, output)
        if count == 0:
            say("no measurement matches" if _holds_any(archive) else "nothing is measured; see `snapdb phot`")
    if count == 0 and options["fail_empty"]:
        ctx.exit(NOTHING_FOUND)


def _make_criteria(archive: "Archive", options: dict[str, Any]) -> dict[str, Any]:
    """Give what was asked, as the library takes it."""
    from snapdb.errors import NotFoundError

    names = ("ra", "dec", "radius", "image", "name", "band", "limit")
    criteria = {name: options[name] for name in names if options[name] not in (None, ())}
    for name in ("mjd_min", "mjd_max"):
        if options[name] is not None:
            criteria[name] = number_or_text(options[name])
    if options["provenance"]:
        try:
            criteria["provenance"] = [archive.find_provenance(name) for name in options["provenance"]]
        except NotFoundError as err:  # a slip of the pen, which would look like an answer
            raise click.UsageError(str(err)) from err
    return criteria


def _list(archive: "Archive", criteria: dict[str, Any], form: str, output: Path | None) -> int:
    """Write the listing; say where, when it goes to a file."""
    from snapdb.archive.measurements import make_measurement_table

    found = archive.find_measurements(**criteria)
    write_fluxes(make_measurement_table(found), form, output)
    if output is not None:
        say(f"{output}: {len(found)} measurement{'' if len(found) == 1 else 's'} as {form}")
    return len(found)


def _holds_any(archive: "Archive") -> bool:
    """Tell whether anything is measured at all."""
    return len(archive.find_measurements(limit=1)) > 0

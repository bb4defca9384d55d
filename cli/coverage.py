"""`snapdb coverage`: where the images lie, and how deep the sky is covered."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .commands import Command
from .criteria import check_tag, make_criteria, search_options
from .failures import NOTHING_FOUND
from .outputs import check_file, write_pieces
from .session import Session, archive_option, pass_session, say

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.archive.coverage.depth import DepthMap

_FILE = click.Path(path_type=Path, dir_okay=False)
_OUTPUTS = ("moc", "depth", "picture")


@click.command("coverage", cls=Command)
@search_options
@click.option("--moc", type=_FILE, help="Write the sky that is covered: .fits, .json or .txt (IVOA MOC 2.0).")
@click.option("--depth", type=_FILE, help="Write the depth a band as a HEALPix map: .fits.")
@click.option("--picture", type=_FILE, help="Draw the depth of all bands together: .png.")
@click.option(
    "--order", type=click.IntRange(0, 29), help="Of the HEALPix cells; by default 12 for --moc, else as fits."
)
@click.option(
    "--what",
    type=click.Choice(["epochs", "exptime"]),
    default="epochs",
    show_default=True,
    help="Depth: the number of images, or their exposure times added up.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@click.option("--fail-empty", is_flag=True, help="End with code 3 when nothing is found.")
@archive_option
@pass_session
@click.pass_context
def command(ctx: click.Context, session: Session, /, **options: Any) -> None:
    """Map the sky that the images that match cover, and how often.

    A cell of the sky counts for an image if its centre lies in the image's footprint. Without
    --moc, --depth and --picture, prints the area, and the median and greatest depth of each band.
    Kept cutouts do not count, unless --kind asks for them.

    \b
    For example:
      snapdb coverage --band r
      snapdb coverage --band r --moc r.fits --picture r.png
      snapdb coverage --mjd-min 2024-09-01 --depth deep.fits --order 12 --what exptime
    """  # noqa: D301  # \b is click's mark for lines that stay
    files = {name: options[name] for name in _OUTPUTS if options[name] is not None}
    _check_files(files, options)
    criteria = make_criteria(options)
    with session.connect() as archive:
        check_tag(archive, criteria)
        for path in files.values():
            check_file(path, overwrite=options["overwrite"])
        found = _deliver(archive, criteria, files, options)
    if not found:
        say("no image matches")
        if options["fail_empty"]:
            ctx.exit(NOTHING_FOUND)


def _check_files(files: dict[str, Path], options: dict[str, Any]) -> None:
    """Refuse names that say no format, and one name for two files."""
    for name, suffixes in (
        ("moc", (".fits", ".json", ".txt")),
        ("depth", (".fits",)),
        ("picture", (".png",)),
    ):
        if name in files and files[name].suffix.lower() not in suffixes:
            msg = f"--{name} {files[name]}: expected a name that ends in {' or '.join(suffixes)}"
            raise click.UsageError(msg)
    if len({path.absolute() for path in files.values()}) < len(files):
        msg = "two of --moc, --depth and --picture name one file; give each its own"
        raise click.UsageError(msg)
    if options["what"] != "epochs" and set(files) == {"moc"}:
        msg = "--what is about the depth, which --moc has not; leave it out, or add --depth or --picture"
        raise click.UsageError(msg)


def _deliver(
    archive: "Archive", criteria: dict[str, Any], files: dict[str, Path], options: dict[str, Any]
) -> bool:
    """Write what is asked for, or print figures; say whether there was anything."""
    found = True
    if "moc" in files:
        from snapdb.archive.coverage.moc import DEFAULT_ORDER, compute_moc, format_moc

        order = DEFAULT_ORDER if options["order"] is None else options["order"]
        moc = compute_moc(archive, max_order=order, **criteria)
        write_pieces(files["moc"], [format_moc(moc, files["moc"].suffix)])
        area = moc.sky_fraction * 41252.96124941928
        found = area > 0.0
        say(f"{files['moc']}: {area:.6g} square degrees of cells touched, of order {order} and larger")
    if set(files) != {"moc"}:
        found = _deliver_depth(archive, criteria, files, options)
    return found


def _deliver_depth(
    archive: "Archive", criteria: dict[str, Any], files: dict[str, Path], options: dict[str, Any]
) -> bool:
    """Write and draw the depth, or print its figures."""
    from snapdb.archive.coverage.counting import compute_depth

    depth = compute_depth(archive, order=options["order"], quantity=options["what"], **criteria)
    if "depth" in files:
        out = io.BytesIO()
        depth.write_fits(out)
        write_pieces(files["depth"], [out.getvalue()])
        say(f"{files['depth']}: {len(depth)} cells of order {depth.order}, {len(depth.bands)} bands")
    if "picture" in files:
        from snapdb.archive.coverage.picture import make_picture

        write_pieces(files["picture"], [make_picture(depth, title=_title(criteria, depth))])
        say(f"{files['picture']}: {depth.area:.6g} square degrees, {depth.images} images")
    if not files:
        for line in _figures(depth):
            click.echo(line)
    _warn(depth)
    return depth.images > 0


def _figures(depth: "DepthMap") -> Iterator[str]:
    """Give what there is to say in numbers."""
    import numpy as np

    count = f"{depth.images} image{'' if depth.images == 1 else 's'}"
    yield f"{depth.area:.6g} square degrees, {count}, in cells of order {depth.order}"
    unit = " s" if depth.quantity == "exptime" else ""
    for band, values in zip(depth.bands, depth.values, strict=True):
        there = values[values > 0]
        middle, most = (float(np.median(there)), float(there.max())) if len(there) else (0.0, 0.0)
        area = depth.area * len(there) / max(len(depth), 1)
        name = "unknown band" if band is None else band
        yield f"{name}: median {middle:.6g}{unit}, greatest {most:.6g}{unit}, {area:.6g} square degrees"


def _warn(depth: "DepthMap") -> None:
    """Say what the map does not show."""
    if depth.missed:
        say(
            f"{depth.missed} of {depth.images} images lie between the centres of cells of order "
            f"{depth.order} and are not counted; give a higher --order"
        )
    if depth.left_out:
        say(f"{depth.left_out} of {depth.images} images have no exposure time and add none")


def _title(criteria: dict[str, Any], depth: "DepthMap") -> str:
    """Write what was asked above the picture."""
    parts = [f"{name.replace('_', ' ')} {_write(value)}" for name, value in criteria.items()]
    text = ", ".join(parts) or "all images"
    short = text if len(text) <= 70 else f"{text[:67]}..."
    return f"{short} ({depth.images} images, {depth.area:.4g} square degrees)"


def _write(value: object) -> str:
    """Write a criterion's value."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)

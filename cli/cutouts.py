"""`snapdb cutouts`: one position cut out of every image that has it, or a whole catalogue's stamps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .bulk import OF_A_CATALOGUE, read_setting, run_catalogue
from .commands import Command
from .criteria import check_tag, make_criteria, search_options
from .failures import NOTHING_FOUND, PART_FAILED
from .keeping import name_reason
from .outputs import check_file
from .session import Session, archive_option, pass_session, say
from .values import SIZE, Size

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.archive.epochs.cutout_set import CutoutSet

_METHODS = ("interp", "adaptive", "exact")
_REASONS = 5
_STACKS = (".fits", ".zarr")


@click.command("cutouts", cls=Command)
@click.argument("catalogue", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@search_options
@click.option("--size", type=SIZE, help="Edge: 51 pixels, or an angle such as 10arcsec.")
@click.option("--ysize", type=SIZE, help="Edge along y, when it differs.")
@click.option(
    "--mode", type=click.Choice(["partial", "strict", "trim"]), default="partial", show_default=True
)
@click.option("--fill-value", type=float, default=float("nan"), show_default=True, help="Outside an image.")
@click.option(
    "--overlap", is_flag=True, help="Images that the square touches, not only those with --ra, --dec."
)
@click.option(
    "--plane", "planes", multiple=True, help="Only this plane; may be repeated. [data, noise, flags]"
)
@click.option("--align", is_flag=True, help="Resample a stack to one grid: TAN, north up.")
@click.option("--method", type=click.Choice(_METHODS), help="How --align resamples.  [default: interp]")
@click.option("--pixel-scale", type=float, metavar="ARCSEC", help="Of --align; default: the images' median.")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE|FOLDER/",
    help="NAME.fits or .zarr: a stack; .png: a sheet; .gif, .apng, .webp: an animation; FOLDER/: files.",
)
@click.option(
    "--table", type=click.Path(path_type=Path, dir_okay=False), help="Facts and reasons: .ecsv, .csv ..."
)
@click.option("--threads", type=click.IntRange(min=1), help="To read with; default: as many as pay.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="With CATALOGUE: settings, a TOML file; Cutana's load.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    callback=lambda _ctx, _param, values: tuple(map(read_setting, values)),
    help="With CATALOGUE: one setting, such as target_resolution=64; may be repeated.",
)
@click.option("--resume", is_flag=True, help="With CATALOGUE: go on with a run that was stopped.")
@click.option(
    "--preview",
    type=click.IntRange(1, 400),
    metavar="N",
    help="With CATALOGUE: write a sheet of N stamps (OUTPUT_preview.png), and do not run.",
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="With CATALOGUE: a Dask scheduler's, such as tcp://host:8786."
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@click.option("--fail-empty", is_flag=True, help="End with code 3 when nothing is found.")
@archive_option
@pass_session
@click.pass_context
def command(ctx: click.Context, session: Session, /, catalogue: Path | None, **options: Any) -> None:
    """Cut a square about --ra --dec out of every image that has the position, in the order of time.

    A stack is a table with a row an image: its facts, its pixels, and its world coordinates.
    Images that cannot be read are named, and the rest is written.

    With a CATALOGUE (CSV, parquet, FITS, VOTable: SourceID, RA, Dec, diameter_pixel or
    diameter_arcsec, and fits_file_paths unless the images are the archive's): a stamp of each
    source, shaped as the settings say, to NAME.zarr or to FITS files in a folder. Rows that
    give none are reported beside the output, and the command ends with code 4.

    \b
    For example:
      snapdb cutouts --ra 0.0216 --dec -17.496 --size 51 -o sn.fits --table sn.ecsv
      snapdb cutouts --ra 0.0216 --dec -17.496 --size 20arcsec --band r --align -o sn_r.zarr
      snapdb cutouts --ra 0.0216 --dec -17.496 --size 51 --band r -o sn_r.gif
      snapdb cutouts galaxies.csv --config run.toml --set target_resolution=64 -o stamps.zarr
    """  # noqa: D301  # \b is click's mark for lines that stay
    if catalogue is not None:
        run_catalogue(ctx, session, catalogue, options)
        return
    _check_options(options)
    output = options["output"]
    with session.connect() as archive:
        _check_outputs(options)
        with _show_progress() as progress:
            cutouts = _find(archive, options, progress)
            written = _write(cutouts, output, options)
        failed = _report(cutouts, output, written, options["table"], overwrite=options["overwrite"])
    if cutouts.image_count == 0 and options["fail_empty"]:
        ctx.exit(NOTHING_FOUND)
    if failed:
        ctx.exit(PART_FAILED)


def _check_options(options: dict[str, Any]) -> None:
    """Refuse what contradicts itself."""
    _check_position(options)
    if options["radius"] is not None:
        msg = "--size says how far the square reaches; leave out --radius (--overlap takes what it touches)"
        raise click.UsageError(msg)
    if not options["align"] and (options["method"] or options["pixel_scale"] is not None):
        msg = "--method and --pixel-scale say how to resample; give --align with them"
        raise click.UsageError(msg)
    if options["planes"] and "data" not in options["planes"] and _is_picture(options["output"]):
        msg = "a picture shows the data; leave out --plane, or add --plane data"
        raise click.UsageError(msg)
    if options["align"] and Path(options["output"]).suffix.lower() not in _STACKS:
        msg = f"--align makes a stack; end -o with {' or '.join(_STACKS)}"
        raise click.UsageError(msg)


def _check_position(options: dict[str, Any]) -> None:
    """Refuse a call that has neither a position nor a catalogue, and options of a catalogue without one."""
    for name in OF_A_CATALOGUE:
        if options[name]:
            option = {"config_file": "config", "settings": "set"}.get(name, name)
            msg = f"--{option} speaks of a catalogue; name its file, or leave it out"
            raise click.UsageError(msg)
    if options["ra"] is None or options["dec"] is None:
        msg = "cutouts need --ra and --dec, or a CATALOGUE"
        raise click.UsageError(msg)
    if options["size"] is None:
        msg = "cutouts need --size"
        raise click.UsageError(msg)


def _is_picture(output: str) -> bool:
    """Tell whether a file is for the eye."""
    return Path(output).suffix.lower() in (".png", ".gif", ".apng", ".webp")


def _check_outputs(options: dict[str, Any]) -> None:
    """Refuse names that say nothing, and what must stay, before anything is read."""
    from snapdb.archive.epochs.files import SUFFIXES
    from snapdb.archive.epochs.table import TABLE_FORMATS

    output, table = options["output"], options["table"]
    if not _is_folder(output):
        path = Path(output)
        if path.suffix.lower() not in SUFFIXES:
            msg = f"-o {output!r}: expected a name that ends in {', '.join(SUFFIXES)}, or a folder"
            raise click.UsageError(msg)
        if path.suffix.lower() != ".zarr":
            check_file(path, overwrite=options["overwrite"])
    if table is not None:
        if table.suffix.lower() not in TABLE_FORMATS:
            msg = f"--table {table}: expected a name that ends in {', '.join(TABLE_FORMATS)}"
            raise click.UsageError(msg)
        check_file(table, overwrite=options["overwrite"])


def _is_folder(output: str) -> bool:
    """Tell whether each cutout gets a file of its own."""
    return output.endswith("/") or (Path(output).is_dir() and Path(output).suffix.lower() != ".zarr")


def _find(archive: "Archive", options: dict[str, Any], progress: Callable[[int, int], None]) -> "CutoutSet":
    """Plan the cutouts."""
    from snapdb.archive.epochs.cutout_set import find_cutouts

    criteria = make_criteria(options)
    check_tag(archive, criteria)
    ra, dec = criteria.pop("ra"), criteria.pop("dec")
    wanted = {"planes": options["planes"]} if options["planes"] else {}
    return find_cutouts(
        archive,
        ra,
        dec,
        _to_extent(options["size"]),
        None if options["ysize"] is None else _to_extent(options["ysize"]),
        criteria,
        mode=options["mode"],
        overlap=options["overlap"],
        fill_value=options["fill_value"],
        threads=options["threads"],
        progress=progress,
        **wanted,
    )


def _to_extent(size: Size) -> Any:
    """Give a size as the library takes it."""
    return size.pixels if size.pixels is not None else f"{size.arcsec!r}arcsec"


def _write(cutouts: "CutoutSet", output: str, options: dict[str, Any]) -> int:
    """Write what was asked for, and give how many cutouts are in it; nothing where there is none."""
    from snapdb.errors import NotFoundError

    overwrite = options["overwrite"]
    if _is_folder(output):
        paths = cutouts.write_each(output, overwrite=overwrite)
        for path in paths:
            click.echo(path)
        return len(paths)
    how: dict[str, Any] = {}
    if options["align"]:
        how = {"align": True, "method": options["method"] or "interp", "pixel_scale": options["pixel_scale"]}
    try:
        cutouts.write(output, overwrite=overwrite, **how)
    except NotFoundError:  # no image gives a cutout; the report says why
        return 0
    click.echo(output)
    return sum(cutouts.table["status"] == "ok")


def _report(cutouts: "CutoutSet", output: str, written: int, table: Path | None, *, overwrite: bool) -> int:
    """Say what was written and what was not, and give how many images gave no cutout."""
    from snapdb.archive.epochs.table import write_epoch_table

    known = cutouts.table
    if table is not None:
        write_epoch_table(known, table, overwrite=overwrite)
    missing = known[known["status"] != "ok"]
    if cutouts.image_count == 0:
        say("no image matches; nothing was written")
        return 0
    if written:
        say(f"{output}: {written} cutouts of {cutouts.image_count} images")
    else:
        say(f"none of {cutouts.image_count} images gives a cutout; nothing was written")
    for row in missing[:_REASONS]:
        say(f"no cutout of image {row['image_id']}: {name_reason(row['image_id'], row['reason'])}")
    if len(missing) > _REASONS:
        say(f"... and {len(missing) - _REASONS} more; --table FILE has all reasons")
    return len(missing)


@contextmanager
def _show_progress() -> Iterator[Callable[[int, int], None]]:
    """Show how many images are read, on a terminal alone."""
    import sys

    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

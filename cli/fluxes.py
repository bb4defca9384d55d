"""What `snapdb lightcurve` and `snapdb phot` share: how fluxes are measured, and how they are written."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .outputs import check_file, refuse_terminal, write_pieces
from .session import say

if TYPE_CHECKING:
    from astropy.table import QTable

Command = TypeVar("Command", bound=Callable[..., Any])

FORMATS = ("table", "json", "jsonl", "csv", "ecsv", "votable", "fits", "parquet")
SUFFIXES = {
    ".txt": "table",
    ".json": "json",
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".ecsv": "ecsv",
    ".vot": "votable",
    ".xml": "votable",
    ".votable": "votable",
    ".fits": "fits",
    ".parquet": "parquet",
}
"""Suffix of a file -> its format."""
_BINARY = ("fits", "parquet")
_REASONS = 5

_MEASURE: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--psf",),
        {
            "metavar": "PSF",
            "help": "FILE, gaussian:FWHM or moffat:FWHM:BETA (pixels), property:NAME (arcsec); "
            "an aperture without one.",
        },
    ),
    (
        ("--method",),
        {"type": click.Choice(["psf", "aperture"]), "help": "Default: psf where --psf is given."},
    ),
    (("--ap-r",), {"type": float, "metavar": "PIXELS", "help": "Radius of the aperture.  [default: 5]"}),
    (
        ("--fit-shape",),
        {
            "type": click.IntRange(min=1),
            "default": 11,
            "show_default": True,
            "help": "Edge of the fitted square, odd.",
        },
    ),
    (
        ("--annulus",),
        {
            "type": (float, float),
            "default": (15.0, 25.0),
            "show_default": True,
            "metavar": "INNER OUTER",
            "help": "Ring that tells the background, pixels.",
        },
    ),
    (("--no-background",), {"is_flag": True, "help": "Subtract none: difference images."}),
    (
        ("--weights",),
        {
            "type": click.Choice(["sky", "uniform", "variance"]),
            "default": "sky",
            "show_default": True,
            "help": "Of the pixels in the fit.",
        },
    ),
    (
        ("--bad-bits",),
        {"metavar": "BITS|NAMES", "help": "Flags that make a pixel bad; each image's own by default."},
    ),
    (
        ("--no-keep",),
        {"is_flag": True, "help": "Neither look for fluxes in the registry, nor keep them there."},
    ),
    (("--tag",), {"help": "Name for the provenance of the fluxes."}),
    (("--threads",), {"type": click.IntRange(min=1), "help": "To read with; default: as many as pay."}),
)


def measure_options(command: Command) -> Command:
    """Add the options that say how fluxes are measured."""
    for names, settings in reversed(_MEASURE):
        command = click.option(*names, **settings)(command)
    return command


def output_options(command: Command) -> Command:
    """Add the options that say where fluxes go."""
    options = (
        click.option(
            "--format", "form", type=click.Choice(FORMATS), help="Default: by the file's name, or table."
        ),
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path, dir_okay=False),
            help="File to write to: .ecsv, .csv, .vot, .fits, .parquet, .json, .jsonl; - for stdout.",
        ),
        click.option("--overwrite", is_flag=True, help="Replace what is there."),
        click.option("--fail-empty", is_flag=True, help="End with code 3 when nothing is found."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_measure_options(options: dict[str, Any]) -> dict[str, Any]:
    """Give how fluxes are measured, as the library takes it.

    Parameters
    ----------
    options
        As click gives them.
    """
    bits = options["bad_bits"]
    return {
        "psf": options["psf"],
        "method": options["method"],
        "ap_r": options["ap_r"],
        "fit_shape": options["fit_shape"],
        "annulus": None if options["no_background"] else options["annulus"],
        "weights": options["weights"],
        "bad_bits": int(bits) if bits is not None and bits.isdecimal() else bits,
        "keep": not options["no_keep"],
        "tag": options["tag"],
        "threads": options["threads"],
    }


def check_output_file(output: Path | None, form: str, *, overwrite: bool) -> None:
    """Refuse an output that cannot be, before anything is measured.

    Parameters
    ----------
    output
        The file; None for standard output.
    form
        One of :data:`FORMATS`.
    overwrite
        Whether a file that is there may be replaced.
    """
    if output is not None:
        check_file(output, overwrite=overwrite)
    elif form in _BINARY:
        refuse_terminal(form)


def write_fluxes(table: "QTable", form: str, output: Path | None) -> None:
    """Write a table of fluxes to a file, which appears when it is complete, or to standard output.

    Parameters
    ----------
    table
        As the library makes it.
    form
        One of :data:`FORMATS`.
    output
        The file; None for standard output.
    """
    write_pieces(output, _pieces(table, form))


def _pieces(table: "QTable", form: str) -> Iterator[bytes]:
    """Give the bytes of a table."""
    from snapdb.archive.light_curves.outputs import write_stream

    names = {"csv": "ascii.csv", "ecsv": "ascii.ecsv"}
    stream = io.BytesIO()
    write_stream(table, stream, names.get(form, form))
    yield stream.getvalue()


def report_fluxes(table: "QTable", new: int, output: Path | None, *, named: bool) -> int:
    """Say what was measured and what was not, and give how many rows could not be read.

    Parameters
    ----------
    table
        As the library makes it.
    new
        How many rows were measured now.
    output
        The file that it went to.
    named
        Whether the call named its targets.
    """
    failed = [row for row in table if row["reason"]]
    where = "" if output is None else f"{output}: "
    images = len(set(table["image_id"].tolist()))
    say(f"{where}{len(table) - len(failed)} fluxes on {images} images, {new} of them measured now")
    if named and new < len(table):
        say("what was measured before keeps the name that it was kept with, if any")
    for row in failed[:_REASONS]:
        say(f"no flux on image {row['image_id']}: {row['reason']}")
    if len(failed) > _REASONS:
        say(f"... and {len(failed) - _REASONS} more; the column 'reason' has all of them")
    return len(failed)


@contextmanager
def show_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how much is done, on a terminal alone.

    Parameters
    ----------
    what
        What is being done.
    """
    import sys

    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

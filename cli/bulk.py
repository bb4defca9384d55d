"""`snapdb cutouts CATALOGUE`: stamps of all sources of a catalogue."""

import signal
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .criteria import check_tag, make_criteria
from .failures import INTERRUPTED, NOTHING_FOUND, PART_FAILED
from .outputs import check_file, write_pieces
from .session import Session, say

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.bulk import Catalogue, Config
    from snapdb.bulk.running.helpers import Helpers
    from snapdb.bulk.running.orchestrator import Orchestrator
    from snapdb.bulk.running.progress import ProgressReport

OF_A_CATALOGUE = ("config_file", "settings", "resume", "preview", "scheduler")
"""Options that ask for a catalogue."""

_OF_A_POSITION = (
    "ra",
    "dec",
    "radius",
    "ysize",
    "mode",
    "fill_value",
    "overlap",
    "align",
    "method",
    "pixel_scale",
    "table",
)
_PACKED = (".fz", ".gz", ".bz2", ".zip", ".tar")
_TABLES = (
    ".fits",
    ".fit",
    ".fts",
    ".h5",
    ".hdf5",
    ".hdf",
    ".asdf",
    ".parquet",
    ".csv",
    ".ecsv",
    ".npy",
    ".npz",
)
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".apng", ".webp", ".tif", ".tiff")
_OF_FILES = (*_PACKED, *_TABLES, *_PICTURES, ".toml")
"""Endings that speak of a file."""
_NOT_CRITERIA = ("order_by", "limit", "offset", "after")


def run_catalogue(ctx: click.Context, session: Session, source: Path, options: Mapping[str, Any]) -> None:
    """Cut the stamps of a catalogue, show how far it is, and end with the code that says how it went.

    Parameters
    ----------
    ctx
        Of the command.
    session
        Names the archive.
    source
        The catalogue's file.
    options
        Of the command.

    Raises
    ------
    click.UsageError
        If options do not go together.
    SnapdbError
        If settings, catalogue or output cannot be used, or the run failed.
    """
    from snapdb.bulk.running.helpers import ask_one_thread, start_early

    ask_one_thread()
    _check_options(ctx)
    _check_together(options)
    config = _make_config(source, options)
    alone = options["preview"] is not None or options["scheduler"] is not None
    with nullcontext() if alone else start_early(config) as helpers:
        from snapdb.bulk.catalogue.configured import open_catalogue

        catalogue = open_catalogue(config)  # what is wrong with it as a whole is said first
        with _connect(session, catalogue) as archive:
            if archive is not None:
                check_tag(archive, config.criteria)
            if options["preview"] is not None:
                _write_preview(config, archive, options)
                return
            result = _run(config, archive, options, helpers)
    code = _report(result, fail_empty=options["fail_empty"])
    if code:
        ctx.exit(code)


def _check_options(ctx: click.Context) -> None:
    """Refuse options that speak of one position."""
    for name in _OF_A_POSITION:
        if ctx.get_parameter_source(name) not in (ParameterSource.DEFAULT, None):
            msg = f"--{name.replace('_', '-')} speaks of one position; with a CATALOGUE, leave it out"
            raise click.UsageError(msg)
    for name in _NOT_CRITERIA:
        if ctx.get_parameter_source(name) not in (ParameterSource.DEFAULT, None):
            msg = f"--{name.replace('_', '-')} has no place beside a CATALOGUE; see `choose` in its settings"
            raise click.UsageError(msg)


def _check_together(options: Mapping[str, Any]) -> None:
    """Refuse options that contradict each other, and a name of a file where a folder is written."""
    if options["resume"] and options["overwrite"]:
        msg = "--resume goes on with the run that is there, --overwrite replaces it; give one of them"
        raise click.UsageError(msg)
    if options["preview"] is not None:
        if options["resume"]:
            msg = "--preview writes a sheet and runs nothing that --resume could go on with; give one of them"
            raise click.UsageError(msg)
        return
    _check_name(options["output"])
    asked = dict(options["settings"]).get("output_format")
    if asked is not None:
        _check_format(options["output"], asked, "--set output_format")


def _check_format(output: str, asked: str, source: str) -> None:
    """Refuse a format that is not that of the output's name."""
    if asked != ("zarr" if Path(output).suffix.lower() == ".zarr" else "fits"):
        msg = (
            f"{source} is {asked}, with -o {output}: the name says what is written, "
            "NAME.zarr for zarr, a folder without an ending for FITS files"
        )
        raise click.UsageError(msg)


def _check_name(output: str) -> None:
    """Refuse the name of a file; a folder that is there, or ends in a slash, is none."""
    suffix = Path(output).suffix.lower()
    if suffix not in _OF_FILES or output.endswith("/") or Path(output).is_dir():
        return
    msg = (
        f"-o {output}: a CATALOGUE's stamps are written to a folder, not to a {suffix} file; name it "
        "NAME.zarr for zarr, or without an ending for FITS files"
    )
    raise click.UsageError(msg)


def _make_config(source: Path, options: Mapping[str, Any]) -> "Config":
    """Make the settings: options before --set before the file."""
    from snapdb.bulk import get_default_config, load_config_toml

    path = options["config_file"]
    config = get_default_config() if path is None else load_config_toml(path)
    asked = path is not None and "output_format" in tomllib.loads(path.read_text(encoding="utf-8-sig"))
    if asked and "output_format" not in dict(options["settings"]):
        _check_format(options["output"], config.output_format, f"output_format in {path}")
    config.source_catalogue = str(source)
    for name, value in options["settings"]:
        config.assign(name, value)
    config.output_dir = options["output"]
    config.output_format = "zarr" if Path(options["output"]).suffix.lower() == ".zarr" else "fits"
    if options["size"] is not None:
        config.diameter_pixel, config.diameter_arcsec = options["size"].pixels, options["size"].arcsec
    if options["planes"]:
        config["planes"] = options["planes"]
    if options["threads"] is not None:
        config.max_workers = options["threads"]
    config["criteria"] = {**config.criteria, **make_criteria(options)}
    config.check()
    return config


def read_setting(text: str) -> tuple[str, Any]:
    """Read ``NAME=VALUE``, whose value is TOML, or text where it is none.

    Parameters
    ----------
    text
        As given.

    Returns
    -------
    name : str
        Of the setting, with its section.
    value : object
        What it shall be.

    Raises
    ------
    click.UsageError
        If there is no ``=``.
    """
    name, mark, value = text.partition("=")
    if not mark or not name.strip():
        msg = f"--set {text!r}: expected NAME=VALUE, such as target_resolution=64 or normalisation.a=0.5"
        raise click.UsageError(msg)
    word = value.strip()
    value = word.lower() if word in ("True", "False") else value  # as Python and the messages write them
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()


def _connect(session: Session, catalogue: "Catalogue") -> Any:
    """Open the archive, unless the catalogue names its files and no archive was named."""
    return nullcontext() if catalogue.names_files and session.archive is None else session.connect()


def _write_preview(config: "Config", archive: "Archive | None", options: Mapping[str, Any]) -> None:
    """Write a sheet of the first stamps, as the run would make them."""
    from PIL import Image

    from snapdb.bulk.reading.contact_sheet import preview

    output = Path(options["output"])
    sheet = output if output.suffix.lower() == ".png" else output.with_name(f"{output.stem}_preview.png")
    check_file(sheet, overwrite=options["overwrite"])
    buffer = BytesIO()
    Image.fromarray(preview(config, n=options["preview"], archive=archive)).save(buffer, format="PNG")
    write_pieces(sheet, [buffer.getvalue()])
    click.echo(sheet)
    say("nothing was cut for good; leave out --preview to run")


def _run(
    config: "Config", archive: "Archive | None", options: Mapping[str, Any], helpers: "Helpers | None"
) -> dict[str, Any]:
    """Run, with a bar on a terminal; an interrupt stops it so that it can be resumed."""
    from snapdb.bulk.running.orchestrator import Orchestrator

    orchestrator = Orchestrator(
        config,
        archive=archive,
        output=options["output"],
        scheduler=options["scheduler"],
        helpers=helpers,
    )
    with _show_progress() as show, _stopped_by_signals(orchestrator):
        return orchestrator.execute(
            resume=options["resume"], overwrite=options["overwrite"], on_progress=show
        )


@contextmanager
def _stopped_by_signals(orchestrator: "Orchestrator") -> Iterator[None]:
    """Stop the run in good order at the first interrupt; the second ends the process as ever."""
    is_main = threading.current_thread() is threading.main_thread()  # others get no signals
    signals = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    before = {number: signal.getsignal(number) for number in signals}

    def stop(_number: int, _frame: Any) -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        say("stopping; what is being written is finished first")
        orchestrator.stop_processing()

    try:
        for number in signals:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(result: Mapping[str, Any], *, fail_empty: bool) -> int:
    """Say what was written and what was not, and give the exit code."""
    missing = result["failed"] + result["refused"]
    say(f"{result['output']}: {result['written']} stamps of {result['total_sources']} sources")
    if result["status"] == "stopped":
        say("stopped before the end; go on with --resume")
        return INTERRUPTED
    if missing:
        counts = ", ".join(f"{count} {code}" for code, count in result["reasons"].items())
        say(f"{missing} of them gave none: {counts}; {result['report']} says why")
        if not result["written"] and len(result["reasons"]) == 1:
            say(f"all for one reason, as the first: {result['example']}")
    if result["unregistered"]:
        say(f"the stamps are complete, but not registered as a run: {result['unregistered']}")
    click.echo(result["output"])
    if not result["written"] and fail_empty:
        return NOTHING_FOUND
    return PART_FAILED if missing else 0


@contextmanager
def _show_progress() -> "Iterator[Callable[[ProgressReport], None]]":
    """Show sources, rate and what is left of the time, on a terminal alone."""
    import sys

    if not sys.stderr.isatty():
        yield lambda _report: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("stamps"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("stamps", total=None, rate=0.0, left="")

        def show(report: "ProgressReport") -> None:
            bar.update(
                task,
                completed=report.completed_sources,
                total=report.total_sources,
                rate=report.rate,
                left=describe_time(report.eta_seconds),
            )

        yield show


def describe_time(seconds: float | None) -> str:
    """Say how much time is left.

    Parameters
    ----------
    seconds
        None where it is not known.
    """
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"

"""`snapdb ingest`: register files."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .commands import Command
from .failures import PART_FAILED
from .outputs import check_report
from .session import Session, archive_option, pass_session, printable, say
from .values import PARAMETER, VERSION

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.archive.expand import Location
    from snapdb.formats.describe import Described
    from snapdb.model.outcome import Outcome
    from snapdb.model.provenance import Provenance

_LISTED = 40
"""How many refused files are named on the terminal; the report names all."""
_WARNINGS = 8
"""How many warnings are repeated on the terminal; the report has all."""


@click.command("ingest", cls=Command)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--process", help="Process that made the images.")
@click.option("--version", "version", type=VERSION, default="0.0", help="Of the process: MAJOR.MINOR.")
@click.option("--param", "params", type=PARAMETER, multiple=True, help="Parameter of it; may be repeated.")
@click.option("--instrument", help="Header map to read all files with; found file by file by default.")
@click.option("--jobs", type=click.IntRange(min=1), help="Files read at a time.")
@click.option("--in-place", "in_place", is_flag=True, help="Leave files where they are: the default.")
@click.option("--copy", is_flag=True, help="Copy files into the archive's store.")
@click.option("--link", is_flag=True, help="Hard-link files into the archive's store.")
@click.option(
    "--repack",
    type=click.Choice(["fits", "rice"]),
    help="Register copies of .gz and .bz2 files: plain FITS, or tiles without loss.",
)
@click.option("--on-error", type=click.Choice(["skip", "stop"]), default="skip", show_default=True)
@click.option("--update", is_flag=True, help="Read changed files again, keeping their images' ids.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option("--explain", is_flag=True, help="Say what would be registered, and from which card it came.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="File: a JSON line a file.")
@archive_option
@pass_session
@click.pass_context
def command(ctx: click.Context, session: Session, /, paths: tuple[str, ...], **options: Any) -> None:
    """Register images, so that they are found and can be cut from.

    PATH is a file, a folder with all below it, a pattern, the address of a remote file
    (https://, s3://; it stays there, only its headers are read), @LIST (a file with one path
    a line), or - for such a list on standard input. A file that cannot be used is refused
    with its reason and never stops the rest; the command then ends with code 4. Archives and
    zarr groups in a folder are passed over. Doing it twice changes nothing.
    """
    from .gathering import gather_files

    options["placement"] = _choose_placement(options)
    provenance = _make_provenance(options)
    _check_instrument(options["instrument"])
    files = gather_files(paths)
    if not files:
        where = ", ".join("standard input" if path == "-" else path for path in paths)
        msg = f"no file in {where}; nothing was registered; name files, or a folder that holds some"
        raise click.UsageError(msg)
    with session.connect() as archive:
        if options["report"] is not None:
            check_report(options["report"])
        if options["explain"]:
            failed = _explain(archive, files, options["instrument"])
        else:
            failed = _ingest(archive, files, provenance, options)
    if failed:
        ctx.exit(PART_FAILED)


def _choose_placement(options: dict[str, Any]) -> str:
    """Tell where files shall lie; the options for it exclude each other."""
    named = [name for name in ("in_place", "copy", "link") if options[name]]
    if len(named) > 1:
        msg = (
            f"{' and '.join('--' + n.replace('_', '-') for n in named)} exclude each other; give one of them"
        )
        raise click.UsageError(msg)
    return named[0].replace("_", "-") if named else "in-place"


def _check_instrument(name: str | None) -> None:
    """Refuse a header map that there is not once, and not file by file."""
    if name is not None:
        from snapdb.formats.maps import get_map, load_maps

        get_map(name, load_maps())


def _make_provenance(options: dict[str, Any]) -> "Provenance | None":
    """Make the provenance of the options; None, the archive's default, where they name none."""
    if options["process"] is None:
        if options["params"] or options["version"] != (0, 0):
            msg = "--version and --param describe a process; name it with --process"
            raise click.UsageError(msg)
        return None
    names = [name for name, _ in options["params"]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"--param {twice[0]} is given more than once; give each parameter one value"
        raise click.UsageError(msg)
    from snapdb import Provenance

    major, minor = options["version"]
    return Provenance(options["process"], major, minor, dict(options["params"]))


def _ingest(
    archive: "Archive", files: "Sequence[Location]", provenance: "Provenance | None", options: dict[str, Any]
) -> int:
    """Register the files, say how it went, and give the number that was refused."""
    started = time.monotonic()
    with show_progress(len(files)) as advance:
        report = archive.ingest(
            files,
            provenance=provenance,
            progress=advance,
            **{name: options[name] for name in _PASSED_ON if options[name] is not None},
        )
    if options["report"] is not None:
        report.write(options["report"])
    refused = list_refused(report.outcomes)
    counts = ", ".join(f"{count} {name}" for name, count in report.counts.items())
    done = "would be" if options["dry_run"] else "done in"
    seconds = f" {time.monotonic() - started:.1f} s" if not options["dry_run"] else ""
    say(f"{len(report.outcomes)} files, {len(report.image_ids)} images; {done}{seconds}: {counts}")
    say_warnings(report.outcomes)
    return refused


_PASSED_ON = ("instrument", "jobs", "placement", "on_error", "update", "dry_run", "repack")


def list_refused(outcomes: "Sequence[Outcome]") -> int:
    """Name the refused files with their reasons on stderr, and give their number.

    Parameters
    ----------
    outcomes
        Of an ingest, one a file.
    """
    refused = [one for one in outcomes if one.outcome == "refused"]
    for one in refused[:_LISTED]:
        say(f"refused {one.path}: {one.code}: {(one.reason or '').removeprefix(f'{one.code}: ')}")
    if len(refused) > _LISTED:
        say(f"... and {len(refused) - _LISTED} more; --report FILE keeps them all")
    return len(refused)


def say_warnings(outcomes: "Sequence[Outcome]") -> None:
    """Say which warnings there were: each text once, the most frequent first."""
    files: dict[str, list[str]] = {}
    for one in outcomes:
        for text in one.warnings:
            files.setdefault(text, []).append(one.path)
    texts = sorted(files, key=lambda text: -len(files[text]))
    for text in texts[:_WARNINGS]:
        count = len(files[text])
        say(f"warning: {text} ({files[text][0]}{f' and {count - 1} more' if count > 1 else ''})")
    if len(texts) > _WARNINGS:
        say(f"... and {len(texts) - _WARNINGS} more warnings; --report FILE keeps them all")


@contextmanager
def show_progress(total: int | None) -> "Iterator[Callable[[Outcome], None] | None]":
    """Show a bar on stderr where that is a terminal, and give what moves it."""
    import sys

    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("ingest", total=total)
        yield lambda outcome: bar.update(task, advance=1, description=Path(outcome.path).name[-40:])


def _describe(archive: "Archive", path: "Location", instrument: str | None) -> "list[Described]":
    """Describe the images of a file, unless its name can be of none that is registered."""
    from snapdb.archive.expand import find_fault

    fault = find_fault(path)
    if fault is not None:
        raise fault
    return archive.explain(path, instrument=instrument)


def _explain(archive: "Archive", files: "Sequence[Location]", instrument: str | None) -> int:
    """Print what would be registered of each file and why, and give the number of refusals."""
    from snapdb.archive.expand import show_location
    from snapdb.archive.reading import describe_error
    from snapdb.errors import FormatError, StorageError

    failed = 0
    for path in files:
        try:
            described = _describe(archive, path, instrument)
        except (FormatError, StorageError) as err:
            shown = show_location(path)
            click.echo(printable(f"{shown}: refused, {err.code}: {describe_error(shown, err)}"))
            failed += 1
            continue
        for number, image in enumerate(described, start=1):
            facts = image.facts
            size = f"{facts.width} x {facts.height} pixels at {facts.ra:.5f} {facts.dec:.5f}"
            lines = [f"{path}: image {number} of {len(described)}, {facts.kind}, {size}"]
            lines += [f"  {f.field:<15} {f.value!s:<28} {f.source}" for f in image.findings]
            lines += [f"  warning: {warning}" for warning in image.warnings]
            click.echo("\n".join(map(printable, lines)))
    return failed

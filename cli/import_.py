"""`snapdb import`: what other archives, or bare folders, hold."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .commands import Group
from .failures import PART_FAILED
from .ingest import list_refused, say_warnings, show_progress
from .outputs import check_report
from .session import Session, archive_option, pass_session, say
from .values import VERSION

if TYPE_CHECKING:
    from snapdb.archive.moving.tree import PathRule, TreeSummary
    from snapdb.archive.report import IngestReport
    from snapdb.model.provenance import Provenance

_TABLE = click.Path(path_type=Path, dir_okay=False, exists=True)
_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
_REPORT = click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="File: a JSON line a row or file."
)
_JOBS = click.option(
    "--jobs", type=click.IntRange(min=1), help="Files read at a time; one a core by default."
)
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")


@click.group("import", cls=Group)
def command() -> None:
    """Move in: from a snappl database, or a tree of files."""


@command.command("snappl")
@click.option("--images", type=_TABLE, required=True, help="CSV of the table l2image.")
@click.option("--provenances", type=_TABLE, help="CSV of the table provenance.")
@click.option("--upstreams", type=_TABLE, help="CSV of the table provenance_upstream.")
@click.option("--tags", type=_TABLE, help="CSV of the table provenance_tag.")
@click.option("--base", type=_FOLDER, required=True, help="Folder that the file names are relative to.")
@_JOBS
@_DRY_RUN
@_REPORT
@archive_option
@pass_session
@click.pass_context
def snappl(ctx: click.Context, session: Session, /, **options: Any) -> None:
    """Register the images and provenances of a snappl database, under the ids that they have.

    The tables are CSV with a heading, as psql writes them; columns in any order. Where the
    pixels lie, and where they lie on the sky, is read from the files; what else a row says of
    an image (band, mjd, sca, exptime, observation_id, properties) wins over the header, and
    every difference is a warning. Each row is registered, unchanged, or refused with its
    reason; the command ends with code 4 when one was refused. Doing it twice changes nothing.

    \b
    For example:
      psql -c "\\copy (select * from l2image) to 'l2image.csv' csv header" snappl
      snapdb import snappl --images l2image.csv --provenances provenance.csv
             --upstreams provenance_upstream.csv --base /data/images
    """  # noqa: D301  # \b is click's mark for lines that stay
    from snapdb.archive.ingest import default_jobs
    from snapdb.archive.moving.snappl import import_snappl, open_snappl

    names = ("provenances", "upstreams", "tags")
    dump = open_snappl(options["images"], options["base"], **{name: options[name] for name in names})
    for table, columns in dump.unknown_columns.items():
        say(f"warning: {table}: nothing is known of {', '.join(columns)}; left out")
    started = time.monotonic()
    with session.connect() as archive:
        _check(options["report"])
        with show_progress(None) as advance:
            report = import_snappl(
                archive,
                dump,
                jobs=options["jobs"] or default_jobs(),
                dry_run=options["dry_run"],
                progress=advance,
            )
    refused = _conclude(report, "rows", started, options)
    if refused:
        ctx.exit(PART_FAILED)


@command.command("tree")
@click.argument("folder", type=_FOLDER)
@click.option(
    "--observation-id-from",
    "observation_id_rules",
    multiple=True,
    metavar="REGEX",
    help="Finds observation_id in paths below FOLDER, where the header has none.",
)
@click.option(
    "--band-from",
    "band_rules",
    multiple=True,
    metavar="REGEX",
    help="Finds band there. Groups (?P<observation_id>), (?P<band>) and (?P<sca>) may stand in either.",
)
@click.option("--provenance", metavar="PROCESS[:VERSION]", help="What made the images.")
@click.option("--instrument", help="Header map to read all files with; found file by file by default.")
@_JOBS
@_DRY_RUN
@_REPORT
@archive_option
@pass_session
@click.pass_context
def tree(ctx: click.Context, session: Session, /, folder: Path, **options: Any) -> None:
    """Register the images below FOLDER where they lie, and say what there is.

    Prints a table of the images by header map, band and kind; with --dry-run that is all.
    What a header leaves open may be told by the path: give patterns. Files that cannot be
    used are refused with their reasons, and the command then ends with code 4.

    \b
    For example:
      snapdb import tree /data/night1 --dry-run
      snapdb import tree /data --band-from '/([griz])/' --observation-id-from 'exp(\\d+)'
    """  # noqa: D301  # \b is click's mark for lines that stay
    from snapdb.archive.ingest import default_jobs
    from snapdb.archive.moving.tree import import_tree

    rules = _make_rules(options)
    provenance = _make_provenance(options["provenance"])
    _check_instrument(options["instrument"])
    started = time.monotonic()
    with session.connect() as archive:
        _check(options["report"])
        with show_progress(None) as advance:
            report, summary = import_tree(
                archive,
                folder,
                provenance,
                rules=rules,
                instrument=options["instrument"],
                jobs=options["jobs"] or default_jobs(),
                dry_run=options["dry_run"],
                progress=advance,
            )
    _print(summary)
    refused = _conclude(report, "files", started, options)
    if refused:
        ctx.exit(PART_FAILED)


def _check(report: Path | None) -> None:
    """Refuse a report that would write over something else."""
    if report is not None:
        check_report(report)


def _check_instrument(name: str | None) -> None:
    """Refuse a header map that there is not."""
    if name is not None:
        from snapdb.formats.maps import get_map, load_maps

        get_map(name, load_maps())


def _make_rules(options: dict[str, Any]) -> "Sequence[PathRule]":
    """Make the patterns for paths."""
    from snapdb.archive.moving.tree import PathRule

    facts = ("observation_id", "band")
    return [PathRule(text, fact) for fact in facts for text in options[f"{fact}_rules"]]


def _make_provenance(text: str | None) -> "Provenance":
    """Make the provenance of ``PROCESS[:VERSION]``; that of every ingest where there is none."""
    if text is None:
        from snapdb.archive.archive import INGEST_PROVENANCE

        return INGEST_PROVENANCE
    from snapdb.model.provenance import Provenance

    process, _, version = text.partition(":")
    major, minor = VERSION.convert(version or "0.0", None, click.get_current_context())
    return Provenance(process, major, minor)


def _print(summary: "TreeSummary") -> None:
    """Print what a tree holds."""
    lines = [("instrument", "band", "kind", "images"), *((*n, str(c)) for *n, c in summary.lines())]
    if summary.refused:
        lines += [("", "", "", ""), ("refused", "", "", "files")]
        lines += [(code, "", "", str(count)) for code, count in summary.refused.most_common()]
    widths = [max(len(line[n]) for line in lines) for n in range(3)]
    for line in lines:
        cells = [text.ljust(width) for text, width in zip(line, widths, strict=False)]
        click.echo(f"{'  '.join(cells)}  {line[3]:>8}".rstrip())


def _conclude(report: "IngestReport", what: str, started: float, options: dict[str, Any]) -> int:
    """Write the report, say how it went, and give the number that was refused."""
    if options["report"] is not None:
        report.write(options["report"])
    refused = list_refused(report.outcomes)
    counts = ", ".join(f"{count} {name}" for name, count in report.counts.items())
    done = "would be" if options["dry_run"] else f"done in {time.monotonic() - started:.1f} s"
    say(f"{len(report.outcomes)} {what}, {len(report.image_ids)} images; {done}: {counts}")
    say_warnings(report.outcomes)
    return refused

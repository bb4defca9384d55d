"""`snapdb verify`: see that the registered files are what was registered."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .commands import Command
from .failures import INTEGRITY
from .outputs import check_report
from .session import Session, archive_option, pass_session, printable, say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from snapdb.archive.verifying import CheckedFile


@click.command("verify", cls=Command)
@click.option("--checksums", is_flag=True, help="Read all bytes of local files, and compare their SHA-256.")
@click.option("--jobs", type=click.IntRange(min=1), help="Files that are looked at at a time.  [default: 8]")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="File: a JSON line a fault.")
@archive_option
@pass_session
@click.pass_context
def command(ctx: click.Context, session: Session, /, report: Path | None, **options: Any) -> None:
    """See that the registered files are what was registered, and list those that are not.

    A file is missing, unreadable, changed (another size or time) or, with --checksums, damaged
    (other bytes). Nothing is changed. The command ends with code 6 when there is such a file.

    \b
    For example:
      snapdb verify --checksums --report faults.jsonl
    """  # noqa: D301  # \b is click's mark for lines that stay
    with session.connect() as archive:
        if report is not None:
            check_report(report)
        total = archive.registry.count_files()
        faults = _list(archive.verify(**options), total)
    if report is not None:
        from snapdb.storage import write_atomically

        with write_atomically(report, overwrite=True) as out:
            for fault in faults:
                out.write(json.dumps(fault.to_dict(), ensure_ascii=False).encode() + b"\n")
    counts = Counter(str(fault.fault) for fault in faults)
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    say(f"{total} files: {told or 'all are what was registered'}")
    if faults:
        ctx.exit(INTEGRITY)


def _list(files: "Iterable[CheckedFile]", total: int) -> "list[CheckedFile]":
    """Print the files with a fault as they are found; show how far it is where stderr is a terminal."""
    import sys

    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    faults = []
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        for file in bar.track(files, total=total, description="verify"):
            if file.fault is not None:
                faults.append(file)
                images = f"{len(file.image_ids)} image{'' if len(file.image_ids) == 1 else 's'}"
                click.echo(printable(f"{file.fault}, {images}: {file.text}"))
    return faults

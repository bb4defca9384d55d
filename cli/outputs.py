"""Where output goes: standard output, or a file that nothing else needs."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import click

STDOUT = "-"
"""Stands for standard output where a file is asked for."""


def to_path(output: Path | None) -> Path | None:
    """Give the file that ``-o`` names; None for standard output.

    Parameters
    ----------
    output
        As given; None when it was not.
    """
    return None if output is None or str(output) == STDOUT else output


def check_file(path: Path, *, overwrite: bool) -> None:
    """Refuse a file that must stay, before anything is written.

    Parameters
    ----------
    path
        The name that the output shall have.
    overwrite
        Whether a file of that name may be replaced. One that an open archive needs never is.

    Raises
    ------
    ObjectExistsError
        If it exists, and `overwrite` is False; if the archive needs it; if it is no regular file.
    """
    from snapdb.archive.guard import check_output
    from snapdb.config import read_settings
    from snapdb.errors import ObjectExistsError

    settings = Path(read_settings().source)
    if path.is_file() and settings.is_file() and path.samefile(settings):
        msg = f"{path} holds the settings that name the archive and is never written over; give another path"
        raise ObjectExistsError(msg, path=str(path))
    if path.exists() and not path.is_file():
        kind = "a folder; name a file" if path.is_dir() else "no regular file; name one, or leave out -o"
        msg = f"{path} is {kind}"
        raise ObjectExistsError(msg, path=str(path))
    check_output(path, overwrite=True)
    if path.exists() and not overwrite:
        msg = f"{path} exists; choose another name, or --overwrite"
        raise ObjectExistsError(msg, path=str(path))


def check_report(path: Path) -> None:
    """Refuse a report's file unless it is new, empty, or the report of an earlier run.

    Parameters
    ----------
    path
        The name that the report shall have.

    Raises
    ------
    ObjectExistsError
        If something else is there.
    """
    from snapdb.errors import ObjectExistsError

    check_file(path, overwrite=True)
    if path.exists() and not _is_report(path):
        msg = f"{path} exists, and is no report; choose another name for --report"
        raise ObjectExistsError(msg, path=str(path))


def _is_report(path: Path) -> bool:
    """Tell whether a file is empty, or its first line is a report's."""
    with path.open("rb") as file:
        line = file.readline(1_000_000)
    try:
        known = json.loads(line) if line else {"path": "", "outcome": ""}
    except ValueError:
        return False
    return isinstance(known, dict) and {"path", "outcome"} <= set(known)


def write_pieces(output: Path | None, pieces: Iterable[bytes]) -> None:
    """Write a file that appears when it is complete, or to standard output.

    Parameters
    ----------
    output
        The file, its folder is made; None for standard output.
    pieces
        What it shall hold, in order.
    """
    if output is None:
        write_stdout(pieces)
        return
    from snapdb.storage import write_atomically

    with write_atomically(output, overwrite=True) as out:
        out.writelines(pieces)


def write_stdout(pieces: Iterable[bytes]) -> None:
    """Write bytes to standard output."""
    sys.stdout.buffer.writelines(pieces)
    sys.stdout.buffer.flush()


def refuse_terminal(what: str) -> None:
    """Refuse to pour bytes over a terminal.

    Parameters
    ----------
    what
        The kind of bytes.

    Raises
    ------
    click.UsageError
        If standard output is a terminal.
    """
    if sys.stdout.isatty():
        msg = f"standard output is a terminal, which cannot show {what}; redirect it, or name a file"
        raise click.UsageError(msg)

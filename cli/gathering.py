"""From the arguments of `snapdb ingest` to a list of files."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from snapdb.archive.expand import Location


def gather_files(arguments: Sequence[str]) -> "list[Location]":
    """List the files that arguments name, each once, a folder's in the order of their names.

    Parameters
    ----------
    arguments
        Files; addresses of remote files; folders, with all below them; patterns, where ``**``
        goes through folders; ``@LIST``, a file with one such name a line; ``-``, such a list on
        standard input.

    Returns
    -------
    list of Path or Url
        Paths absolute. What is named and does not exist is kept, so that it is reported.

    Raises
    ------
    click.UsageError
        A list cannot be read.
    """
    from snapdb.archive.expand import expand_paths

    return expand_paths([name for argument in arguments for name in _read_names(argument)])


def _read_names(argument: str) -> Iterator[str]:
    """Yield the names behind one argument: itself, or the lines of a list."""
    if argument == "-":
        try:
            text = sys.stdin.read()
        except (OSError, UnicodeDecodeError) as err:
            msg = f"the list on standard input cannot be read: {err}"
            raise click.UsageError(msg) from err
        yield from _names_in(text)
    elif argument.startswith("@") and not Path(argument).exists():
        try:
            text = Path(argument[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as err:
            msg = f"the list {argument[1:]} cannot be read: {err}"
            raise click.UsageError(msg) from err
        yield from _names_in(text)
    else:
        yield argument


def _names_in(text: str) -> Iterator[str]:
    """Yield the lines of a list, without empty ones and comments."""
    for line in text.splitlines():
        name = line.strip()
        if name and not name.startswith("#"):
            yield name

"""From the arguments of `snapdb ingest` to a list of files."""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .session import say

if TYPE_CHECKING:
    from snapdb.archive.expand import Location

_ANY_NAME = "surrogateescape"
"""How bytes that are not UTF-8 are read: as the system's own calls give names."""


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
        Paths absolute. What is named and does not exist is kept, so that it is reported; what is
        passed over in folders, archives and zarr groups, is said on stderr.

    Raises
    ------
    click.UsageError
        A list cannot be read.
    """
    from snapdb.archive.expand import expand_paths

    return expand_paths([name for argument in arguments for name in _read_names(argument)], tell=say)


def _read_names(argument: str) -> Iterator[str]:
    """Yield the names behind one argument: itself, or the lines of a list."""
    if argument == "-":
        yield from _names_in("on standard input", _read_stdin)
    elif argument.startswith("@") and not Path(argument).exists():
        path = Path(argument[1:])
        yield from _names_in(str(path), lambda: path.read_text(encoding="utf-8", errors=_ANY_NAME))
    else:
        yield argument


def _read_stdin() -> str:
    """Read all of standard input."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors=_ANY_NAME)
    return sys.stdin.read()


def _names_in(where: str, read: Callable[[], str]) -> Iterator[str]:
    """Yield the lines of a list, without empty ones and comments."""
    try:
        text = read()
    except (OSError, UnicodeDecodeError) as err:
        msg = f"the list {where} cannot be read: {err}"
        raise click.UsageError(msg) from err
    if "\0" in text:
        msg = f"the list {where} holds NUL, which no name does; give a text with a path a line"
        raise click.UsageError(msg)
    for line in text.split("\n"):  # splitlines() also parts at letters that names may have
        name = line.strip()
        if name and not name.startswith("#"):
            yield name

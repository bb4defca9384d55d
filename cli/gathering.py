"""From the arguments of `snapdb ingest` to a list of files."""

import glob
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import rich_click as click


def gather_files(arguments: Sequence[str]) -> list[Path]:
    """List the files that arguments name, each once, folders in the order of their names.

    Parameters
    ----------
    arguments
        Files; folders, with all below them; patterns, where ``**`` goes through folders;
        ``@LIST``, a file with one path a line; ``-``, such a list on standard input.

    Returns
    -------
    list of Path
        A file that is named but does not exist is kept, so that it is reported.

    Raises
    ------
    click.UsageError
        A list cannot be read, or a pattern matches nothing.
    """
    return list(dict.fromkeys(path for argument in arguments for path in _expand(argument)))


def _expand(argument: str) -> Iterator[Path]:
    """Yield the files behind one argument."""
    if argument == "-":
        yield from _expand_lines(sys.stdin.read().splitlines())
    elif argument.startswith("@") and not Path(argument).exists():
        yield from _expand_lines(_read_list(Path(argument[1:])))
    else:
        yield from _expand_path(argument)


def _expand_path(argument: str) -> Iterator[Path]:
    """Yield a file, what is below a folder, or what matches a pattern."""
    path = Path(argument)
    if path.is_dir():
        yield from sorted(p for p in path.rglob("*") if p.is_file() and not _is_hidden(p, path))
    elif not path.exists() and glob.has_magic(argument):
        found = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
        if not found:
            msg = f"no file matches {argument!r}"
            raise click.UsageError(msg)
        for name in found:
            yield from _expand_path(name)
    else:
        yield path


def _expand_lines(lines: Sequence[str]) -> Iterator[Path]:
    """Yield the files of a list; empty lines and comments are passed over."""
    for line in lines:
        name = line.strip()
        if name and not name.startswith("#"):
            yield from _expand_path(name)


def _read_list(path: Path) -> list[str]:
    """Read a file with one path a line."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        msg = f"the list {path} cannot be read: {err}"
        raise click.UsageError(msg) from err


def _is_hidden(path: Path, below: Path) -> bool:
    """Whether a file, or a folder on the way to it, has a name with a leading dot."""
    return any(part.startswith(".") for part in path.relative_to(below).parts)

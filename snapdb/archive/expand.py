"""From what a user names (files, folders, globs) to the files that are meant."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from snapdb.archive.paths import PathLike


def expand_paths(paths: Iterable[PathLike] | PathLike) -> list[Path]:
    """List the files that paths name.

    Parameters
    ----------
    paths : iterable of path
        Files, folders (with all that lies below, hidden files left out) and glob
        patterns (``**`` goes through folders). One path alone will do.

    Returns
    -------
    list of Path
        Absolute, each once, a folder's in order of name. A file that does not exist,
        or a pattern that matches nothing, stays in the list, to be refused by name.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    files: dict[Path, None] = {}
    for path in given:
        for file in _expand(os.fspath(path)):
            files[Path(os.path.abspath(file))] = None  # noqa: PTH100  # resolve() follows links
    return list(files)


def _expand(text: str) -> Iterator[Path]:
    """Give the files of one name."""
    path = Path(text).expanduser()
    if path.is_dir():
        yield from _walk(path)
    elif path.exists() or not glob.has_magic(text):
        yield path
    else:
        found = [Path(m) for m in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207  # Path.glob is relative
        if not found:
            yield path
        for match in found:
            yield from _walk(match) if match.is_dir() else [match]


def _walk(folder: Path) -> Iterator[Path]:
    """Give the files below a folder in order of name."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry)
        else:
            yield entry

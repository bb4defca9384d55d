"""From what a user names (files, folders, globs, addresses) to the files that are meant."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from snapdb.archive.paths import PathLike
from snapdb.model.url import Url, to_url

Location = Path | Url
"""Where a file is: on this machine, or not."""


def expand_paths(paths: Iterable[PathLike] | PathLike) -> list[Location]:
    """List the files that paths name.

    Parameters
    ----------
    paths : iterable of path
        Files, folders (with all that lies below, hidden files left out) and glob
        patterns (``**`` goes through folders); addresses of remote files
        (``https://``, ``http://``, ``s3://``). One path alone will do.

    Returns
    -------
    list of Path or Url
        Paths absolute; each once, a folder's in order of name. A file that does not exist,
        or a pattern that matches nothing, stays in the list, to be refused by name.

    Raises
    ------
    UsageError
        If an address is of a kind that cannot be read, or holds a password.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    files: dict[Location, None] = {}
    for path in given:
        text = os.fspath(path)
        url = to_url(text)
        if url is not None:
            files[url] = None
            continue
        for file in _expand(text):
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

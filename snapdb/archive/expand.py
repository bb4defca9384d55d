"""From what a user names (files, folders, globs, addresses) to the files that are meant."""

import glob
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from snapdb.archive.paths import PathLike
from snapdb.config import REGISTRY_NAME
from snapdb.errors import ObjectMissingError, StorageError, UsageError
from snapdb.model.url import Url, to_url

Location = Path | Url
"""Where a file is: on this machine, or not."""
_OWN = {REGISTRY_NAME, *(f"{REGISTRY_NAME}-{end}" for end in ("wal", "shm", "journal")), "snapdb.toml"}
"""Files of an archive, and its settings."""
_ZARR = ("zarr.json", ".zgroup")


def expand_paths(
    paths: Iterable[PathLike] | PathLike, *, tell: Callable[[str], None] | None = None
) -> list[Location]:
    """List the files that paths name.

    Parameters
    ----------
    paths : iterable of path
        Files, folders (with all that lies below, hidden files left out) and glob
        patterns (``**`` goes through folders); addresses of remote files
        (``https://``, ``http://``, ``s3://``). One path alone will do.
    tell : callable, optional
        Told what is passed over in folders; a warning each by default.

    Returns
    -------
    list of Path or Url
        Paths absolute; each once, a folder's in order of name. Below a folder, zarr groups and
        archives, of which no file is an image by itself, are passed over. A file that does not exist,
        or a pattern that matches nothing, stays in the list, to be refused by name.

    Raises
    ------
    UsageError
        If an address is of a kind that cannot be read, or holds a password, or a path is empty.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    files: dict[Location, None] = {}
    for path in given:
        text = os.fspath(path)
        if not text:
            msg = "a path is empty; expected a file, a folder, a pattern or an address ('.' is this folder)"
            raise UsageError(msg)
        url = to_url(text)
        if url is not None:
            files[url] = None
            continue
        for file in _expand(text, tell or _warn):
            files[Path(os.path.abspath(file))] = None  # noqa: PTH100  # resolve() follows links
    return list(files)


def show_location(file: Location) -> str:
    r"""Write where a file is for people: bytes of its name that are not UTF-8 as ``\xe9``."""
    return str(file).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def find_fault(file: Location) -> StorageError | None:
    """Tell why a name stands for no file that can be registered.

    Parameters
    ----------
    file : Path or Url
        As :func:`expand_paths` gives it. Remote files are not looked at.

    Returns
    -------
    StorageError or None
        ObjectMissingError where there is no such file; StorageError where its name is not UTF-8,
        which no database takes as text; None where nothing is wrong.
    """
    shown = show_location(file)
    if shown != str(file):
        msg = f"{shown} has bytes in its name that are not UTF-8; rename it, or its folder"
        return StorageError(msg, path=shown)
    if isinstance(file, Url) or file.is_file():
        return None
    what = "is no file" if file.exists() else "does not exist"
    if glob.has_magic(file.name) and not file.exists():
        what = "matches no file"
    return ObjectMissingError(f"{file} {what}; check the name", path=shown)


def _warn(text: str) -> None:
    """Tell a caller who gave no other way."""
    warnings.warn(text, stacklevel=4)


def _expand(text: str, tell: Callable[[str], None]) -> Iterator[Path]:
    """Give the files of one name."""
    path = Path(text).expanduser()
    if path.is_dir():
        yield from _walk(path, tell, _trail(path))
    elif path.exists() or not glob.has_magic(text):
        yield path
    else:
        found = [Path(m) for m in sorted(_match(path.parts, tell))]
        if not found:
            yield path
        deep = "**" in path.parts
        for match in found:
            trail = _trail(*match.parents) if deep else frozenset[str]()
            if deep and match.is_symlink() and _goes_round(match, trail):
                tell(f"{show_location(match)} is a link to a folder that it lies in, and passed over")
            else:
                yield from _walk(match, tell, trail | _trail(match)) if match.is_dir() else [match]


def _match(parts: tuple[str, ...], tell: Callable[[str], None]) -> set[str]:
    """Give what a pattern matches; ``**`` is any folders, hidden ones left out, and does not go round."""
    if "**" not in parts:
        return set(glob.glob(os.path.join(*parts)))  # noqa: PTH118, PTH207  # Path.glob is relative
    at = parts.index("**")
    rest = parts[at + 1 :] or ("*",)
    found: set[str] = set()
    for base in _match(parts[:at], tell) if at else {os.curdir}:
        for folder in _folders(Path(base), tell, _trail(Path(base))):
            found |= _match((glob.escape(str(folder)), *rest), tell)
    return found


def _folders(folder: Path, tell: Callable[[str], None], trail: frozenset[str]) -> Iterator[Path]:
    """Give a folder and those below it; the trail is that of :func:`_walk`."""
    if not folder.is_dir():
        return
    yield folder
    for entry in _list(folder, tell):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        if entry.is_symlink() and _goes_round(entry, trail):
            tell(f"{show_location(entry)} is a link to a folder that it lies in, and passed over")
        else:
            yield from _folders(entry, tell, trail | _trail(entry))


def _trail(*folders: Path) -> frozenset[str]:
    """Give folders, for the trail of a walk that comes through them."""
    return frozenset(map(os.path.realpath, folders))


def _walk(folder: Path, tell: Callable[[str], None], trail: frozenset[str]) -> Iterator[Path]:
    """Give the files below a folder in order of name, and tell what is passed over.

    `trail` holds the folders on the way here: a link to one of them, or to one above them, would go round.
    """
    for entry in _list(folder, tell):
        if entry.name.startswith("."):
            continue
        what = _name_whole(entry)
        if what is not None:
            tell(f"{show_location(entry)} is {what}, and passed over")
        elif entry.is_symlink() and _goes_round(entry, trail):
            tell(f"{show_location(entry)} is a link to a folder that it lies in, and passed over")
        elif entry.is_dir():
            yield from _walk(entry, tell, trail | _trail(entry))
        else:
            yield entry


def _list(folder: Path, tell: Callable[[str], None]) -> list[Path]:
    """Give what lies in a folder, by name; one that cannot be read must not stop the others."""
    try:
        return sorted(folder.iterdir())
    except OSError as err:
        tell(f"{show_location(folder)} cannot be read ({err.strerror or err}), and passed over")
        return []


def _goes_round(link: Path, trail: frozenset[str]) -> bool:
    """Tell whether a link leads to a folder on the trail, or above it."""
    target = os.path.realpath(link)
    return link.is_dir() and any(os.path.commonpath([target, here]) == target for here in trail)


def _name_whole(entry: Path) -> str | None:
    """Name what is one thing with all that is in it, and no image; None for other files and folders."""
    if not entry.is_dir():
        return "a file of an archive" if entry.name in _OWN else None
    if any((entry / name).is_file() for name in _ZARR):
        return "a zarr group"
    return "an archive" if (entry / REGISTRY_NAME).is_file() else None

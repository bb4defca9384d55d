"""What must never be written over: registered files, and the files of an open archive itself."""

from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from snapdb.errors import ObjectExistsError

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

_open: "WeakSet[Archive]" = WeakSet()


def note_open(archive: "Archive") -> None:
    """Let an archive's files be guarded from now on."""
    _open.add(archive)


def note_closed(archive: "Archive") -> None:
    """Let go of an archive."""
    _open.discard(archive)


def open_archives() -> "list[Archive]":
    """List the archives that this process has open."""
    return list(_open)


def check_output(path: Path, *, overwrite: bool) -> None:
    """See that a file may be written.

    Parameters
    ----------
    path : Path
        The name that it shall have.
    overwrite : bool
        Whether a file of that name may be replaced; one that an open archive guards never is.

    Raises
    ------
    ObjectExistsError
        If it must stay; the message says why.
    """
    if not path.exists():
        return
    for archive in open_archives():
        reason = archive.guards(path)
        if reason is not None:
            msg = f"{path} {reason} and is never written over; give another path"
            raise ObjectExistsError(msg, path=str(path))
    if not overwrite:
        msg = f"{path} exists already; choose another name, or ask to overwrite it"
        raise ObjectExistsError(msg, path=str(path))

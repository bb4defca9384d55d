"""Files that appear whole or not at all."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from snapdb.errors import ObjectExistsError, ReadOnlyStoreError, StorageError

_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
_ADVICE = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room: the quota is used up",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "a part of its path is a file, choose another folder",
    errno.EEXIST: "a part of its path is a file, choose another folder",
    errno.EISDIR: "it is a folder, name a file",
}
"""What to do about an error of the system."""


@contextmanager
def write_atomically(path: Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when it is complete.

    The bytes go to a temporary name in the same folder, are synced to disk and
    renamed. When the block raises, nothing is left behind.

    Parameters
    ----------
    path : Path
        The name that the file shall have; its folder is made.
    overwrite : bool
        Whether a file of that name is replaced.

    Yields
    ------
    BinaryIO
        Open for writing.

    Raises
    ------
    ObjectExistsError
        If the name is taken and `overwrite` is False.
    ReadOnlyStoreError
        If the folder cannot be written to.
    StorageError
        If the disk is full, or fails otherwise.
    """
    path = Path(path)
    # Short: a name that the filesystem allows must not become too long by what is added to it.
    temporary = path.with_name(f".{secrets.token_hex(6)}.part")
    with _translated(path):
        if not overwrite and path.exists():
            msg = f"{path} exists already; choose another name, or ask to overwrite it"
            raise ObjectExistsError(msg, path=str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = temporary.open("wb")  # astropy knows no mode "xb"; the name is random
    try:
        with _translated(path, temporary), stream:
            yield stream
            with _translated(path):
                stream.flush()
                os.fsync(stream.fileno())
        with _translated(path):
            _take_name(temporary, path, overwrite=overwrite)
    finally:
        temporary.unlink(missing_ok=True)


def _take_name(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Rename, refusing a name that was taken meanwhile unless asked to overwrite."""
    if overwrite:
        temporary.replace(path)
    else:
        try:
            os.link(temporary, path)
        except FileExistsError as err:
            msg = f"{path} was made by someone else meanwhile; choose another name"
            raise ObjectExistsError(msg, path=str(path)) from err
        except OSError:  # a filesystem without hard links
            temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _translated(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn the system's errors into snapdb's; with `temporary`, only those of writing to it.

    The block of a caller may read files too, whose errors are its own.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as err:
        if temporary is not None and err.filename not in (None, str(temporary)):
            raise
        if err.errno in _READ_ONLY:
            why = f"{path.parent} cannot be written to ({err.strerror})"
            msg = f"{why}; choose another folder or change its rights"
            raise ReadOnlyStoreError(msg, path=str(path)) from err
        advice = _ADVICE.get(err.errno or 0, "see that its folder can be written to, or choose another")
        msg = f"{path} cannot be written: {err.strerror or err}; {advice}"
        raise StorageError(msg, path=str(path)) from err

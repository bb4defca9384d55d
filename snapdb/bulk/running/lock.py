"""One run at a time on an output: a lock of the system's, which dies with the process that has it."""

import errno
import fcntl
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snapdb.errors import ConflictError, StorageError

_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""Errors of disks that know no locks, as some of clusters do."""


@contextmanager
def lock_output(folder: Path) -> Iterator[None]:
    """Keep other runs away from an output while a block runs.

    The lock is on a file ``<output>.lock`` beside the output, so that it holds while the output is
    replaced; the file is removed at the end. One that a killed run left is no lock.

    Parameters
    ----------
    folder : Path
        Of the output; the folder that it is in is made.

    Raises
    ------
    ConflictError
        If another run has the output.
    StorageError
        If the output can be no folder, or the disk refuses.
    """
    output = folder.resolve()
    path = output.parent / f"{output.name}.lock"
    descriptor, removable = _take(output, path)
    try:
        yield
    finally:
        if removable:
            path.unlink(missing_ok=True)  # before the lock is given up: nobody else can have this file
        os.close(descriptor)


def _take(output: Path, path: Path) -> tuple[int, bool]:
    """Lock, and say whether the lock is a file of its own."""
    _make_parent(output)
    while True:
        descriptor, removable = _open(output, path)
        try:
            _lock(descriptor, output)
            if not removable or _is_same(descriptor, path):
                return descriptor, removable
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # a run that ended just now removed the file between our two steps


def _make_parent(output: Path) -> None:
    """Make the folder that the output is in, and see that the output can be one."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise _refuse(output, err) from err
    if output.exists() and not output.is_dir():
        msg = f"{output} is a file: the output of a run is a folder; choose another name"
        raise StorageError(msg, path=str(output))


def _open(output: Path, path: Path) -> tuple[int, bool]:
    """Open what is locked: a file beside the output, or the output itself where none can be there."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666), True
    except OSError as err:
        # Where nothing can be made beside the output, nobody can replace it either.
        if err.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and output.is_dir():
            return os.open(output, os.O_RDONLY), False
        raise _refuse(output, err) from err


def _lock(descriptor: int, output: Path) -> None:
    """Take the lock now, or say who has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        if err.errno in _TAKEN:
            msg = f"a run is under way in {output}; wait for its end, stop it, or choose another folder"
            raise ConflictError(msg, path=str(output)) from err
        if err.errno not in _NO_LOCKS:
            raise _refuse(output, err) from err
        text = f"the disk of {output} knows no locks: see to it that no other run writes there"
        warnings.warn(text, stacklevel=2)


def _is_same(descriptor: int, path: Path) -> bool:
    """Tell whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _refuse(output: Path, err: OSError) -> StorageError:
    """Make the error for an output that cannot be."""
    msg = (
        f"the output folder {output} cannot be made: {err.strerror or err}; see that the folder around it "
        "can be written to, or choose another"
    )
    return StorageError(msg, path=str(output))

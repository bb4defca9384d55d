"""A base folder on this machine and the keys of the files in it."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from snapdb.errors import ObjectMissingError, StorageError
from snapdb.storage.atomic import write_atomically

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFingerprint:
    """What tells a file from a changed one."""

    size: int
    """Bytes."""
    mtime_ns: int
    """Modification time, nanoseconds since 1970."""
    sha256: str = ""
    """Hexadecimal digest; empty where it was not computed."""


class LocalStore:
    """Files below one folder, named by relative keys; other files by their absolute path.

    Parameters
    ----------
    base : Path
        The folder. It is made when something is first written to it.
    """

    def __init__(self, base: Path) -> None:
        self.base = Path(base).expanduser().absolute()

    def __repr__(self) -> str:
        return f"LocalStore({str(self.base)!r})"

    def key_of(self, path: Path | str) -> str:
        """Give the key of a file: relative to the base when below it, else absolute.

        The path is made absolute but links are not followed, so that a key stays
        what the user typed.
        """
        absolute = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100  # resolve() follows links
        if absolute.is_relative_to(self.base):
            return absolute.relative_to(self.base).as_posix()
        return absolute.as_posix()

    def path_of(self, key: str) -> Path:
        """Give the path of a key."""
        return self.base / key  # an absolute key wins over the base

    def name_of(self, key: str) -> str:
        """Give the path of a key as text, in a fifth of the time."""
        return key if key.startswith("/") else f"{self.base}/{key}"

    def stat(self, key: str) -> FileFingerprint:
        """Look at a file.

        Raises
        ------
        ObjectMissingError
            If it is not there.
        StorageError
            If it cannot be looked at.
        """
        path = self.path_of(key)
        try:
            found = path.stat()
        except FileNotFoundError as err:
            msg = f"{path} does not exist; if it was moved, put it back or ingest it from its new place"
            raise ObjectMissingError(msg, path=str(path)) from err
        except OSError as err:
            msg = f"{path} cannot be read: {err.strerror}"
            raise StorageError(msg, path=str(path)) from err
        return FileFingerprint(size=found.st_size, mtime_ns=found.st_mtime_ns)

    def take_in(self, source: Path, sha256: str, *, link: bool) -> str:
        """Bring a file into the store, and give its key there.

        The key holds the start of the digest, so that the same bytes are stored once.

        Parameters
        ----------
        source : Path
            The file.
        sha256 : str
            Digest of its bytes.
        link : bool
            Make a hard link (a symbolic one across filesystems) instead of a copy.
        """
        key = f"files/{sha256[:2]}/{sha256[2:16]}/{source.name}"
        target = self.path_of(key)
        if target.exists():
            return key
        if link:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target)
            except OSError:
                target.symlink_to(source.absolute())
        else:
            with source.open("rb") as stream, write_atomically(target) as out:
                shutil.copyfileobj(stream, out, _CHUNK)
        return key


def fingerprint(path: Path) -> FileFingerprint:
    """Look at a file and compute the SHA-256 of its bytes.

    Raises
    ------
    ObjectMissingError
        If it is not there.
    StorageError
        If it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            found = os.fstat(stream.fileno())
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as err:
        msg = f"{path} does not exist; check the name"
        raise ObjectMissingError(msg, path=str(path)) from err
    except OSError as err:
        msg = f"{path} cannot be read: {err.strerror}"
        raise StorageError(msg, path=str(path)) from err
    return FileFingerprint(size=found.st_size, mtime_ns=found.st_mtime_ns, sha256=digest)

"""Files as their unwrapped bytes: gzip and bzip2 recognised by their first bytes, and bounded."""

import bz2
import gzip
import io
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from snapdb.errors import CorruptFileError, ObjectMissingError, StorageError
from snapdb.model.layout import Container

MAX_UNWRAPPED_BYTES = 16 * 2**30
"""The most bytes that one compressed file may unwrap to."""
FREE_UNWRAPPED_BYTES = 512 * 2**20
"""Up to here no ratio is too great: 16 Mpix of zeros fit into 4.5 kB of bzip2."""
MAX_RATIO = 2000
"""Beyond :data:`FREE_UNWRAPPED_BYTES`, the most unwrapped bytes a compressed byte; deflate reaches 1032."""


class BoundedReader(io.RawIOBase):
    """A decompressing stream that ends in an error when it is cut short or unwraps to too much.

    Parameters
    ----------
    source : binary file
        The decompressing stream.
    packed_size : int
        Bytes of the compressed file.
    name : str
        What errors call the file.
    """

    def __init__(self, source: BinaryIO, packed_size: int, name: str) -> None:
        super().__init__()
        self._source = source
        self._name = name
        self._limit = find_limit(packed_size)
        self._position = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def tell(self) -> int:
        """Give the number of unwrapped bytes read so far."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` unwrapped bytes, all that is left when negative.

        Raises
        ------
        CorruptFileError
            The stream is damaged or cut short, or unwraps to more than is allowed.
        """
        wanted = self._limit - self._position + 1 if size < 0 else size
        parts: list[bytes] = []
        while wanted > 0:
            part = self._read_some(min(wanted, 2**20))
            if not part:
                break
            parts.append(part)
            wanted -= len(part)
            self._position += len(part)
            if self._position > self._limit:
                msg = f"{self._name}: unwraps to more than {self._limit} bytes, which is refused"
                raise CorruptFileError(msg, path=self._name, limit=self._limit)
        return b"".join(parts)

    def _read_some(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except (EOFError, OSError, zlib.error, ValueError) as err:
            done = self._position
            msg = f"{self._name}: the compressed stream is damaged or cut short after {done} bytes ({err})"
            raise CorruptFileError(msg, path=self._name) from err

    def close(self) -> None:
        """Close the compressed file too."""
        self._source.close()
        super().close()


def find_limit(packed_size: int) -> int:
    """Give the most bytes that a compressed file of a size may unwrap to."""
    return min(MAX_UNWRAPPED_BYTES, max(FREE_UNWRAPPED_BYTES, MAX_RATIO * packed_size))


def find_container(path: str | Path) -> Container:
    """Tell by a file's first bytes what wraps it.

    Raises
    ------
    ObjectMissingError
        There is no such file.
    StorageError
        It cannot be opened.
    """
    with open_file(path) as file:
        return to_container(file.read(3))


def to_container(head: bytes) -> Container:
    """Tell by the first three bytes what wraps a file."""
    if head.startswith(b"\x1f\x8b"):
        return Container.GZIP
    return Container.BZIP2 if head.startswith(b"BZh") else Container.PLAIN


def open_file(path: str | Path) -> BinaryIO:
    """Open a file's own bytes.

    Raises
    ------
    ObjectMissingError
        There is no such file.
    StorageError
        It is a folder, or cannot be read.
    """
    try:
        return cast("BinaryIO", Path(path).open("rb"))
    except FileNotFoundError as err:
        msg = f"{path}: there is no such file"
        raise ObjectMissingError(msg, path=str(path)) from err
    except (OSError, ValueError) as err:
        msg = f"{path}: cannot be opened ({getattr(err, 'strerror', None) or err})"
        raise StorageError(msg, path=str(path)) from err


def open_unwrapped(path: str | Path) -> BinaryIO:
    """Open a file as its unwrapped bytes.

    Parameters
    ----------
    path : str or Path
        Plain, gzip or bzip2; the first bytes decide, not the suffix.

    Returns
    -------
    binary file
        Seekable when plain, else to be read forward only; close it after use.

    Raises
    ------
    ObjectMissingError, StorageError
        It cannot be opened.
    CorruptFileError
        While reading: the compressed stream is damaged, cut short or too large.
    """
    file = open_file(path)
    container = to_container(file.read(3))
    file.seek(0)
    if container is Container.PLAIN:
        return file
    packed = Path(path).stat().st_size
    opener = gzip.GzipFile if container is Container.GZIP else bz2.BZ2File
    # BZ2File and GzipFile do not close a file that they were handed: they open it themselves
    file.close()
    return cast("BinaryIO", BoundedReader(cast("BinaryIO", opener(path, "rb")), packed, str(path)))

"""Unwrapped bytes of gzip and bzip2 files, kept for the next read, in bounded memory."""

import os
from collections import OrderedDict
from threading import Lock

from snapdb.formats.unwrap import open_unwrapped

KEPT_BYTES = 512 * 2**20
"""How many unwrapped bytes are kept in all; a larger file is not kept."""

_Key = tuple[str, int, int]


class KeptBytes:
    """The last unwrapped files, each by its path, size and time, so that a changed file is read anew.

    Parameters
    ----------
    limit : int
        Bytes kept in all.
    """

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._files: OrderedDict[_Key, bytes] = OrderedDict()
        self._lock = Lock()

    def read(self, path: str) -> bytes:
        """Give the unwrapped bytes of a file.

        Raises
        ------
        ObjectMissingError, StorageError
            It cannot be opened.
        CorruptFileError
            The stream is damaged, cut short or too large.
        """
        with open_unwrapped(path) as stream:
            found = os.stat(path)  # noqa: PTH116  # the file just opened, by the same name
            key = (path, found.st_size, found.st_mtime_ns)
            with self._lock:
                if key in self._files:
                    self._files.move_to_end(key)
                    return self._files[key]
            content = stream.read()
        with self._lock:
            self._files[key] = content
            while sum(map(len, self._files.values())) > self._limit:
                self._files.popitem(last=False)
        return content

    @property
    def size(self) -> int:
        """Number of bytes that are kept now."""
        with self._lock:
            return sum(map(len, self._files.values()))


KEPT = KeptBytes()
"""Those of this process: a cutout of each of a file's images unwraps it once."""

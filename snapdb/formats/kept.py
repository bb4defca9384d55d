"""Unwrapped bytes of gzip and bzip2 files, kept for the next read, in bounded memory."""

import os
from collections import OrderedDict
from threading import Lock

from snapdb.formats.unwrap import open_unwrapped

KEPT_BYTES = 512 * 2**20
"""How many unwrapped bytes are kept in all; a larger file is not kept."""
KEPT_BLOCK_BYTES = 128 * 2**20
"""How many bytes of single blocks are kept in all."""

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
        self._unwrapping: dict[_Key, Lock] = {}
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
                mine = self._unwrapping.setdefault(key, Lock())
            with mine:  # threads that ask for the same file wait for the first, others do not
                if (kept := self._find(key)) is not None:
                    return kept
                content = stream.read()
                self._keep(key, content)
        return content

    def _find(self, key: _Key) -> bytes | None:
        """Give the bytes of a file; None where they are not kept."""
        with self._lock:
            if key in self._files:
                self._files.move_to_end(key)
            return self._files.get(key)

    def _keep(self, key: _Key, content: bytes) -> None:
        """Keep the bytes of a file; those not asked for longest go where there is no room."""
        with self._lock:
            self._unwrapping.pop(key, None)
            self._files[key] = content
            while sum(map(len, self._files.values())) > self._limit:
                self._files.popitem(last=False)

    @property
    def size(self) -> int:
        """Number of bytes that are kept now."""
        with self._lock:
            return sum(map(len, self._files.values()))


KEPT = KeptBytes()
"""Those of this process: a cutout of each of a file's images unwraps it once."""


class KeptBlocks:
    """The last blocks that were inflated, each by its file and number.

    Parameters
    ----------
    limit : int
        Bytes kept in all.
    """

    def __init__(self, limit: int = KEPT_BLOCK_BYTES) -> None:
        self._limit = limit
        self._blocks: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def find(self, key: tuple[object, ...]) -> bytes | None:
        """Give a block; None where it is not kept."""
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
            return self._blocks.get(key)

    def keep(self, key: tuple[object, ...], block: bytes) -> None:
        """Keep a block; those not asked for longest go where there is no room."""
        with self._lock:
            self._size += len(block) - len(self._blocks.pop(key, b""))
            self._blocks[key] = block
            while self._size > self._limit:
                self._size -= len(self._blocks.popitem(last=False)[1])

    @property
    def size(self) -> int:
        """Number of bytes that are kept now."""
        with self._lock:
            return self._size


BLOCKS = KeptBlocks()
"""Those of this process: the cutouts of a field inflate its part of a file once."""

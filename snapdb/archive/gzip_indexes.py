"""Seek indexes of registered gzip files, in the store, found by the digests of the files."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from snapdb.errors import CorruptFileError, StorageError
from snapdb.model.file import FileRecord
from snapdb.model.image import PlaneRecord
from snapdb.model.url import is_url
from snapdb.storage import LocalStore, write_atomically

if TYPE_CHECKING:
    from snapdb.formats.seekable import GzipIndex

_AT_ONCE = 4
"""Files indexed at a time: inflation leaves the interpreter to others."""


def key_of_index(sha256: str) -> str:
    """Give the store's key of the index of a file with a digest."""
    return f".snapdb/gzindex/{sha256[:2]}/{sha256}.gzidx"


def find_gzip_index(store: LocalStore, record: PlaneRecord) -> "GzipIndex | None":
    """Give the seek index of a registered gzip file; made now where it is missing or damaged.

    Parameters
    ----------
    store : LocalStore
        Where indexes lie.
    record : PlaneRecord
        A plane of the file, which is the one that was registered.

    Returns
    -------
    GzipIndex or None
        None where the file is not registered, cannot be indexed, or the store cannot be
        written to: then the file is to be unwrapped whole.
    """
    if not record.file_sha256:
        return None
    return ensure_gzip_index(
        store, store.path_of(record.file_key), sha256=record.file_sha256, size=record.file_size
    )


def ensure_gzip_index(store: LocalStore, path: Path, *, sha256: str, size: int) -> "GzipIndex | None":
    """Give the seek index of a gzip file, from the store or made now.

    Parameters
    ----------
    store : LocalStore
        Where indexes lie.
    path : Path
        The file.
    sha256 : str
        Digest of its bytes.
    size : int
        Number of them.

    Returns
    -------
    GzipIndex or None
        As :func:`find_gzip_index`.
    """
    from snapdb.formats.seekable import GzipIndex, make_index

    target = store.path_of(key_of_index(sha256))
    try:
        index = GzipIndex.from_bytes(target.read_bytes())
    except OSError:
        index = None
    if index is not None and index.packed_size == size:
        return index
    if not _is_writable(target):
        return None
    try:
        index = make_index(path)
        with write_atomically(target, overwrite=True) as out:
            out.write(index.to_bytes())
    except (CorruptFileError, StorageError):  # reading it says why, if it is the file
        return None
    return index


def index_gzip_files(store: LocalStore, records: Iterable[FileRecord]) -> None:
    """Make the seek indexes that are missing of files that were just registered.

    Parameters
    ----------
    store : LocalStore
        Where indexes go, and what keys are relative to.
    records : iterable of FileRecord
        Files of every kind; those that gzip does not wrap are passed over. A file that
        cannot be indexed is too: it is unwrapped whole when read.
    """
    from concurrent.futures import ThreadPoolExecutor

    wrapped = [r for r in records if not is_url(r.key) and _is_gzip(store.path_of(r.key))]
    if not wrapped:
        return

    def index(record: FileRecord) -> None:
        ensure_gzip_index(store, store.path_of(record.key), sha256=record.sha256, size=record.size)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(index, wrapped))


def _is_gzip(path: Path) -> bool:
    """Tell by its first bytes whether gzip wraps a file."""
    from snapdb.formats.unwrap import find_container
    from snapdb.model.layout import Container

    try:
        return find_container(path) is Container.GZIP
    except StorageError:
        return False


def _is_writable(target: Path) -> bool:
    """Tell whether a file can be made, before the work of making its content."""
    folder = next(parent for parent in target.parents if parent.exists())
    return folder.is_dir() and os.access(folder, os.W_OK)

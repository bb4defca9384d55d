"""Where an image's pixels come from: files by their layouts, or arrays."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from snapdb.archive.gzip_indexes import find_gzip_index
from snapdb.errors import ChangedFileError, NotFoundError, ObjectMissingError
from snapdb.model.image import PlaneRecord
from snapdb.model.layout import Container
from snapdb.model.url import Url, is_url
from snapdb.pixels.box import Box
from snapdb.storage import LocalStore
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from snapdb.formats.read import PlaneReader
    from snapdb.storage.remote import RemoteFile
    from snapdb.types import Header


_PLAIN = Container.PLAIN


class PlaneSource(Protocol):
    """Planes by name, whole or a box of them."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the planes there are."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Files behind the planes, none for arrays."""

    def read(self, names: Sequence[str], box: Box | None = None) -> dict[str, PixelArray]:
        """Give planes, or one box that lies inside them, as arrays of the caller's own."""


class ArrayPlanes:
    """Planes in memory.

    Parameters
    ----------
    arrays : mapping
        Name -> array ``[y, x]``.
    """

    def __init__(self, arrays: Mapping[str, PixelArray]) -> None:
        self._arrays = dict(arrays)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the planes there are."""
        return tuple(self._arrays)

    @property
    def paths(self) -> tuple[Path, ...]:
        """No file stands behind arrays."""
        return ()

    def read(self, names: Sequence[str], box: Box | None = None) -> dict[str, PixelArray]:
        """Give copies of planes or of a box of them."""
        return {n: (self._arrays[n] if box is None else self._arrays[n][box.slices]).copy() for n in names}


class FilePlanes:
    """Planes in files, read by their layouts; a file is checked before its bytes are believed.

    No file stays open between reads, so that thousands of images cost no descriptors.

    Parameters
    ----------
    records : sequence of PlaneRecord
        One a plane.
    store : LocalStore
        Gives the path of a file's key.
    """

    def __init__(self, records: Sequence[PlaneRecord], store: LocalStore) -> None:
        self._records = {record.layout.name: record for record in records}
        self._store = store

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the planes there are."""
        return tuple(self._records)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Files behind the planes, remote ones left out."""
        keys = (r.file_key for r in self._records.values() if not is_url(r.file_key))
        return tuple({self._store.path_of(key): None for key in keys})

    def read(self, names: Sequence[str], box: Box | None = None) -> dict[str, PixelArray]:
        """Give planes or a box of them, opening each file once; ranges of remote files come all at once.

        Raises
        ------
        NotFoundError
            If there is no such plane.
        ObjectMissingError
            If a file is gone.
        ChangedFileError
            If a file differs from what was registered.
        StoreUnavailableError
            If a remote store does not answer.
        """
        far = [r for r in map(self._record, names) if is_url(r.file_key)]
        if far:
            planes = self._read_remote(far, box)
            near = [n for n in names if n not in planes]
            return planes | (self._read_local(near, box) if near else {})
        return self._read_local(names, box)

    def _read_local(self, names: Sequence[str], box: Box | None) -> dict[str, PixelArray]:
        """Read planes of files of this machine."""
        files: dict[str, list[PlaneRecord]] = {}
        for name in names:
            record = self._record(name)
            files.setdefault(record.file_key, []).append(record)
        planes: dict[str, PixelArray] = {}
        for records in files.values():
            layouts = [record.layout for record in records]
            with self._open(records[0]) as reader:
                if box is None:
                    found = [reader.read_all(layout) for layout in layouts]
                else:
                    found = reader.read_planes(layouts, box)
            planes |= zip([layout.name for layout in layouts], found, strict=True)
        return planes

    def _read_remote(self, records: Sequence[PlaneRecord], box: Box | None) -> dict[str, PixelArray]:
        """Read planes of remote files in one batch of requests."""
        from snapdb.formats.find_tiles import with_tiles
        from snapdb.formats.plan import plan_read
        from snapdb.model.layout import Codec
        from snapdb.storage.remote import GAP_BYTES, ROW_GAP_BYTES, read_together

        files = {r.file_key: _remote_file(r) for r in records}
        plans = []
        for record in records:
            layout, tiled = record.layout, record.layout.codec is Codec.FITS_TILES
            if tiled and layout.tiles is None:
                layout = with_tiles(layout, files[record.file_key], where=record.file_key)
            wanted = box or Box(0, 0, layout.width, layout.height)
            gap = GAP_BYTES if tiled else ROW_GAP_BYTES
            plans.append(plan_read(layout, wanted, gap_bytes=gap, where=record.file_key))
        by_file = {key: [n for n, r in enumerate(records) if r.file_key == key] for key in files}
        asked = [(files[key], [at for n in mine for at in plans[n].ranges]) for key, mine in by_file.items()]
        planes = {}
        for mine, parts in zip(by_file.values(), map(iter, read_together(asked)), strict=True):
            for n in mine:
                planes[records[n].layout.name] = plans[n].decode([next(parts) for _ in plans[n].ranges])
        return planes

    def read_remote_header(self, name: str) -> "Header":
        """Read the header of a plane of a remote file.

        Raises
        ------
        ObjectMissingError, ChangedFileError, StoreUnavailableError, StorageError
            As :meth:`read`.
        CorruptFileError
            There is no such HDU.
        """
        from snapdb.formats.remote_scan import open_ranges, read_remote_header

        record = self._record(name)
        with open_ranges(_remote_file(record)) as stream:
            return read_remote_header(Url(record.file_key), stream, record.layout.hdu, record.file_size)

    def _record(self, name: str) -> PlaneRecord:
        """Give the record of a plane, or say which there are."""
        record = self._records.get(name)
        if record is None:
            msg = f"there is no plane {name!r}; this image has {', '.join(self._records)}"
            raise NotFoundError(msg, plane=name)
        return record

    def _open(self, record: PlaneRecord) -> "PlaneReader":
        """Open a plane's file; refuse one that is not what the registry knows."""
        path = self._store.name_of(record.file_key)
        index = None if record.layout.container is _PLAIN else partial(find_gzip_index, self._store, record)
        try:
            reader = _reader_class()(path, gzip_index=index)
        except ObjectMissingError:
            self._store.stat(record.file_key)  # says what to do about it
            raise
        size, mtime_ns = reader.stamp
        if (size, mtime_ns) != (record.file_size, record.file_mtime_ns):
            reader.close()
            msg = (
                f"{path} has changed since it was registered "
                f"({record.file_size} bytes then, {size} now, or another modification time); "
                f"index it again with `snapdb ingest --update {path}`"
            )
            raise ChangedFileError(msg, path=path)
        return reader


@cache
def _reader_class() -> "type[PlaneReader]":
    """Give what reads files; an import takes microseconds each time."""
    from snapdb.formats.read import PlaneReader

    return PlaneReader


def _remote_file(record: PlaneRecord) -> "RemoteFile":
    """Give the remote file of a plane, which must be the one that was registered."""
    from snapdb.storage.remote import RemoteFile

    return RemoteFile(Url(record.file_key), stamp=(record.file_size, record.file_mtime_ns))

"""Where an image's pixels come from: files by their layouts, or arrays."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from snapdb.errors import ChangedFileError, NotFoundError, ObjectMissingError
from snapdb.model.image import PlaneRecord
from snapdb.pixels.box import Box
from snapdb.storage import LocalStore
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from snapdb.formats.read import PlaneReader


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
        """Files behind the planes."""
        return tuple({self._store.path_of(r.file_key): None for r in self._records.values()})

    def read(self, names: Sequence[str], box: Box | None = None) -> dict[str, PixelArray]:
        """Give planes or a box of them, opening each file once.

        Raises
        ------
        NotFoundError
            If there is no such plane.
        ObjectMissingError
            If a file is gone.
        ChangedFileError
            If a file differs from what was registered.
        """
        readers: dict[str, PlaneReader] = {}
        planes: dict[str, PixelArray] = {}
        with ExitStack() as stack:
            for name in names:
                record = self._record(name)
                reader = readers.get(record.file_key)
                if reader is None:
                    reader = readers[record.file_key] = stack.enter_context(self._open(record))
                layout = record.layout
                planes[name] = reader.read_all(layout) if box is None else reader.read(layout, box)
        return planes

    def _record(self, name: str) -> PlaneRecord:
        """Give the record of a plane, or say which there are."""
        record = self._records.get(name)
        if record is None:
            msg = f"there is no plane {name!r}; this image has {', '.join(self._records)}"
            raise NotFoundError(msg, plane=name)
        return record

    def _open(self, record: PlaneRecord) -> "PlaneReader":
        """Open a plane's file; refuse one that is not what the registry knows."""
        from snapdb.formats.read import PlaneReader

        path = self._store.path_of(record.file_key)
        try:
            reader = PlaneReader(path)
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
            raise ChangedFileError(msg, path=str(path))
        return reader

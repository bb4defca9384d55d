"""From a layout to pixels: any box of a plane of a local file, without parsing its header.

What to read is planned first (:mod:`snapdb.formats.plan`). Plain files are read with
positioned reads, which share no file position and so may run in several threads at
once. A gzip file with a seek index is inflated near the box alone. Other wrapped files
have no random access: their bytes are unwrapped once, and kept in bounded memory.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from snapdb.errors import ObjectMissingError, StorageError
from snapdb.formats.find_tiles import with_tiles
from snapdb.formats.kept import KEPT
from snapdb.formats.plan import LOCAL_GAP_BYTES, ByteSource, plan_read
from snapdb.formats.rows import announce, announce_rows, find_places, is_cached, read_rows
from snapdb.formats.scaling import apply_scaling, finish_plane, to_linear
from snapdb.model.layout import Codec, Container, PlaneLayout
from snapdb.pixels.box import Box
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from snapdb.formats.seekable import GzipIndex, SeekableGzip

__all__ = ["PlaneReader", "apply_scaling", "finish_plane", "open_planes", "read_box", "to_linear"]

GAP_BYTES = LOCAL_GAP_BYTES
"""Gap between rows up to which a file is read through."""


class PlaneReader:
    """The planes of one file, open for reading.

    Parameters
    ----------
    path : str or Path
        The file.
    gzip_index : callable, optional
        Gives the seek index of the file, or None where there is none; asked once, when a
        plane of a gzip file is first read.

    Raises
    ------
    ObjectMissingError
        There is no such file.
    StorageError
        It cannot be opened.

    Notes
    -----
    Reads may come from several threads. What is kept until :meth:`close`: one
    file descriptor, two for a gzip file with an index, the unwrapped bytes of other gzip
    and bzip2 files, and the tables of tiles that the layouts do not hold.
    """

    def __init__(
        self, path: str | Path, *, gzip_index: "Callable[[], GzipIndex | None] | None" = None
    ) -> None:
        self._path = str(path)
        self._gzip_index = gzip_index
        self._seekable: SeekableGzip | None = None
        self._fd: int | None = _open_descriptor(self._path)
        self._lock = threading.Lock()
        self._unwrapped: bytes | None = None
        self._tiles: dict[int, PlaneLayout] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, layout: PlaneLayout, box: Box) -> PixelArray:
        """Read a box of a plane.

        Parameters
        ----------
        layout : PlaneLayout
            Where the plane lies in this file.
        box : Box
            Pixels wanted, wholly inside the plane.

        Returns
        -------
        ndarray
            Shape ``(box.height, box.width)``, type ``layout.dtype``, owned and in
            native byte order; scaled as the header says, bit for bit as astropy does.

        Raises
        ------
        ShapeError
            The box reaches beyond the plane.
        CorruptFileError
            The file ends before the pixels do, or a tile does not decode.
        StorageError
            The reader is closed, or the disk fails.
        """
        return self.read_planes((layout,), box)[0]

    def read_planes(self, layouts: Sequence[PlaneLayout], box: Box) -> list[PixelArray]:
        """Read the same box of several planes; what is not in memory is announced to the system as a whole.

        Parameters
        ----------
        layouts : sequence of PlaneLayout
            Where each plane lies in this file.
        box : Box
            Pixels wanted, wholly inside each plane.

        Returns
        -------
        list of ndarray
            As :meth:`read`, in the order of `layouts`.

        Raises
        ------
        ShapeError, CorruptFileError, StorageError
            As :meth:`read`.
        """
        fd, places = self._fd, find_places(layouts, box)
        if fd is None or not places:
            return [self._read_planned(layout, box) for layout in layouts]
        announce_rows(fd, places, box.height)
        planes = []
        for layout, place in zip(layouts, places, strict=True):
            plane = read_rows(fd, layout, box, place)
            planes.append(self._read_planned(layout, box) if plane is None else plane)
        return planes

    def _read_planned(self, layout: PlaneLayout, box: Box) -> PixelArray:
        """Read a box of a plane of any kind."""
        source: ByteSource = self
        if layout.container is not Container.PLAIN:
            source = self._open_wrapped(layout.container)
        if layout.codec is Codec.FITS_TILES and layout.tiles is None:
            layout = self._with_tiles(layout, source)
        plan = plan_read(layout, box, gap_bytes=GAP_BYTES, where=self._path)
        return plan.decode(source.read_ranges(plan.ranges))

    @property
    def stamp(self) -> tuple[int, int]:
        """Bytes of the open file, and its modification time in nanoseconds since 1970."""
        if self._fd is None:
            self.read_ranges(())
        found = os.fstat(cast("int", self._fd))
        return found.st_size, found.st_mtime_ns

    def read_all(self, layout: PlaneLayout) -> PixelArray:
        """Read a whole plane.

        Raises
        ------
        CorruptFileError, StorageError
            As :meth:`read`.
        """
        return self.read(layout, Box(0, 0, layout.width, layout.height))

    def close(self) -> None:
        """Let go of the file and of what was kept; a second call does nothing."""
        with self._lock:
            self._tiles.clear()
            self._unwrapped = None
            self._gzip_index = None
            if self._seekable is not None:
                self._seekable.close()
                self._seekable = None
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read bytes of the file as it lies on the disk.

        Parameters
        ----------
        ranges : sequence of (begin, length)
            Ascending.

        Returns
        -------
        list of bytes
            One for each range; shorter where the file ends.

        Raises
        ------
        StorageError
            The reader is closed, or the disk fails.
        """
        fd = self._fd
        if fd is None:
            msg = f"{self._path}: read after the reader was closed; open it again"
            raise StorageError(msg, path=self._path)
        pread = os.pread
        try:
            if len(ranges) > 1 and not (is_cached(fd, ranges[0][0]) and is_cached(fd, ranges[-1][0])):
                announce(fd, ranges)
            parts = [pread(fd, length, begin) for begin, length in ranges]
            if sum(map(len, parts)) < sum([length for _, length in ranges]):
                parts = [_read_on(fd, part, *where) for part, where in zip(parts, ranges, strict=True)]
        except OSError as err:
            msg = f"{self._path}: reading from byte {ranges[0][0]} on failed ({err.strerror})"
            raise StorageError(msg, path=self._path) from err
        return parts

    def unwrap(self) -> bytes:
        """Give the unwrapped bytes of a gzip or bzip2 file, kept from the first call on.

        Raises
        ------
        CorruptFileError
            The stream is damaged, cut short or too large.
        StorageError
            The reader is closed.
        """
        with self._lock:
            if self._unwrapped is None:
                if self._fd is None:
                    self.read_ranges(())
                self._unwrapped = KEPT.read(self._path)
            return self._unwrapped

    def _open_wrapped(self, container: Container) -> ByteSource:
        """Give the content of a wrapped file: by its index where there is one, else unwrapped."""
        if container is Container.GZIP:
            with self._lock:
                if self._gzip_index is not None and self._fd is not None:
                    index, self._gzip_index = self._gzip_index(), None
                    self._seekable = None if index is None else _open_seekable(self._fd, index, self._path)
                if self._seekable is not None:
                    return self._seekable
        return BytesInMemory(self.unwrap())

    def _with_tiles(self, layout: PlaneLayout, source: ByteSource) -> PlaneLayout:
        """Give the table of tiles to a layout that was registered without."""
        known = self._tiles.get(layout.hdu)
        if known is None:
            known = self._tiles[layout.hdu] = with_tiles(layout, source, where=self._path)
        return replace(layout, tiles=known.tiles)


class BytesInMemory:
    """A file's unwrapped bytes as a source.

    Parameters
    ----------
    content : bytes
        All of them.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Give the bytes of each range, fewer where the content ends before.

        Parameters
        ----------
        ranges : sequence of (begin, length)
            Ascending.
        """
        return [self._content[begin : begin + length] for begin, length in ranges]


def open_planes(path: str | Path, layouts: Iterable[PlaneLayout] = ()) -> PlaneReader:
    """Open a file to read boxes of its planes.

    Parameters
    ----------
    path : str or Path
        The file.
    layouts : iterable of PlaneLayout
        Planes that will be read, if known; a wrapped file is unwrapped now then, not at the first read.

    Returns
    -------
    PlaneReader
        To be closed after use; a context manager.

    Raises
    ------
    ObjectMissingError, StorageError
        It cannot be opened.
    CorruptFileError
        A wrapped file is damaged, cut short or too large.
    """
    reader = PlaneReader(path)
    if any(layout.container is not Container.PLAIN for layout in layouts):
        reader.unwrap()
    return reader


def read_box(path: str | Path | PlaneReader, layout: PlaneLayout, box: Box) -> PixelArray:
    """Read a box of one plane, opening and closing its file if it is not open.

    Parameters
    ----------
    path : str, Path or PlaneReader
        The file, or an open reader of it.
    layout : PlaneLayout
        Where the plane lies.
    box : Box
        Pixels wanted, wholly inside the plane.

    Returns
    -------
    ndarray
        As :meth:`PlaneReader.read`.

    Raises
    ------
    ShapeError, CorruptFileError, StorageError, ObjectMissingError
        As :meth:`PlaneReader.read` and :class:`PlaneReader`.
    """
    if isinstance(path, PlaneReader):
        return path.read(layout, box)
    with PlaneReader(path) as reader:
        return reader.read(layout, box)


def _open_seekable(fd: int, index: "GzipIndex", path: str) -> "SeekableGzip | None":
    """Open a gzip file by its index; None where that is of another file or of an unknown version."""
    from snapdb.formats.seekable import SeekableGzip

    try:
        return SeekableGzip(fd, index, path)
    except StorageError:
        return None


def _read_on(fd: int, part: bytes, begin: int, length: int) -> bytes:
    """Read what a call left out: the system gives at most 2 GB at once, and less at the end of a file."""
    parts = [part]
    done = len(part)
    while done < length:
        part = os.pread(fd, length - done, begin + done)
        if not part:
            break
        parts.append(part)
        done += len(part)
    return b"".join(parts)


def _open_descriptor(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as err:
        msg = f"{path}: there is no such file"
        raise ObjectMissingError(msg, path=path) from err
    except OSError as err:
        msg = f"{path}: cannot be opened ({err.strerror})"
        raise StorageError(msg, path=path) from err

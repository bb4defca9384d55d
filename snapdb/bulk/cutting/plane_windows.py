"""What gives the stored pixels of windows of one plane: its file, mapped or read, or boxes of it.

Of a plain file the rows with the windows are read at once where they are few, else it is mapped into
memory. Other files (compressed, remote) are read box by box, each box covering windows that lie together,
by the plan that :mod:`snapdb.formats.plan` makes.
"""

import mmap
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from snapdb.bulk.planning.sources import PlaneFile, stamp_of
from snapdb.errors import ChangedFileError, CorruptFileError, StorageError
from snapdb.formats.unwrap import open_file
from snapdb.model.layout import Codec, Container, PlaneLayout
from snapdb.model.url import is_url
from snapdb.pixels.box import Box
from snapdb.types import IntArray, PixelArray

BOX_PX = 4 * 2**20
"""Pixels of a box that is read to cut several windows from."""
BAND_BYTES = 24 * 2**20
"""Most that is read at once of a plain file: rows that are read lie in the processor's cache and in
few pages, where those of a mapping must be looked for one by one."""
_bands: deque[PixelArray] = deque()
"""Memory that rows were read into, and are again: the system would clear it each time."""


class Windows(Protocol):
    """What gives the stored pixels of boxes inside one plane."""

    @property
    def rows(self) -> "tuple[PixelArray, int] | None":
        """Whole rows of the plane that hold the boxes, and the number of the first, where there are such."""

    def prepare(self, boxes: IntArray) -> None:
        """Get ready for boxes, rows of left, bottom, right, top."""

    def copy(self, index: int, out: PixelArray, box: tuple[int, int, int, int]) -> None:
        """Copy the box of that index into an array of its shape."""


@contextmanager
def open_windows(file: PlaneFile) -> Iterator[Windows]:
    """Open a plane to cut windows from: mapped where it is plain, else to be read box by box.

    Parameters
    ----------
    file : PlaneFile
        The plane.

    Yields
    ------
    Windows
        Open until the block ends.

    Raises
    ------
    ObjectMissingError, ChangedFileError, CorruptFileError, StorageError
        If the file cannot be read, or is not the one that was described.
    """
    layout = file.layout
    if layout.codec is Codec.RAW and layout.container is Container.PLAIN and not is_url(file.path):
        with open_file(file.path) as stream, _lend_band() as band:
            _check_plain(file, stream)
            yield PlainWindows(file.path, stream, layout, band)
        return
    _check_unchanged(file)
    yield ReadWindows(file)


@contextmanager
def _lend_band() -> Iterator[PixelArray]:
    """Have bytes for rows that are read while a block runs."""
    try:
        band = _bands.pop()
    except IndexError:
        band = np.empty(BAND_BYTES, np.uint8)
    try:
        yield band
    finally:
        _bands.append(band)


def _check_plain(file: PlaneFile, stream: BinaryIO) -> None:
    """See that a plain file is the one that was described, and holds the whole plane."""
    layout, known = file.layout, file.record
    found = os.fstat(stream.fileno())
    now = found.st_size, found.st_mtime_ns
    if known is not None and now != (known.file_size, known.file_mtime_ns):
        msg = f"{file.path} has changed since it was registered; `snapdb ingest --update` indexes it again"
        raise ChangedFileError(msg, path=file.path)
    end = layout.offset + layout.width * layout.height * int(layout.stored_dtype[2:])
    if end > found.st_size:
        missing = end - found.st_size
        msg = f"{file.path}: plane {layout.name!r} ends {missing} bytes beyond the end of the file"
        raise CorruptFileError(msg, path=file.path, plane=layout.name)
    if file.stamp not in (None, now):
        raise _changed(file)


def _check_unchanged(file: PlaneFile) -> None:
    """See that a file that is read by boxes is the one that was described."""
    now = stamp_of(file.path)
    if None not in (file.stamp, now) and now != file.stamp:
        raise _changed(file)


def _changed(file: PlaneFile) -> ChangedFileError:
    msg = (
        f"{file.path} has changed since the run began, so that its stamps would not be those of one image; "
        "run again when it is complete"
    )
    return ChangedFileError(msg, path=file.path)


class PlainWindows:
    """Windows of a plane that lies in a file as it is.

    Parameters
    ----------
    path : str
        Of the file, for messages.
    stream : binary file
        Open for reading; it must be as long as the plane says.
    layout : PlaneLayout
        Where it lies in the file.
    band : array of uint8
        What rows are read into.
    """

    def __init__(self, path: str, stream: BinaryIO, layout: PlaneLayout, band: PixelArray) -> None:
        self._path = path
        self._stream = stream
        self._layout = layout
        self._band = band
        self._mapping: mmap.mmap | None = None
        self._rows: PixelArray
        self._first = 0

    @property
    def rows(self) -> tuple[PixelArray, int]:
        """The rows that :meth:`prepare` found, and the number of the first."""
        return self._rows, self._first

    def prepare(self, boxes: IntArray) -> None:
        """Read the rows of the boxes where they are few; else let the system fetch them."""
        layout = self._layout
        itemsize = int(layout.stored_dtype[2:])
        stride = layout.width * itemsize
        bottom, top = int(boxes[:, 1].min()), int(boxes[:, 3].max())
        held = (top - bottom) * stride
        wanted = int(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sum()) * itemsize
        if held <= min(len(self._band), 4 * wanted):
            self._read(bottom, top)
            return
        mapping = self._map()
        if held <= 16 * wanted:
            begin = layout.offset + bottom * stride
            page = begin // mmap.PAGESIZE * mmap.PAGESIZE
            mapping.madvise(mmap.MADV_WILLNEED, page, begin + held - page)

    def copy(self, index: int, out: PixelArray, box: tuple[int, int, int, int]) -> None:  # noqa: ARG002
        """Copy a box."""
        left, bottom, right, top = box
        out[...] = self._rows[bottom - self._first : top - self._first, left:right]

    def _read(self, bottom: int, top: int) -> None:
        """Read rows of the plane."""
        layout = self._layout
        kind = np.dtype(layout.stored_dtype)
        size = (top - bottom) * layout.width * kind.itemsize
        self._rows = self._band[:size].view(kind).reshape(top - bottom, layout.width)
        self._first = bottom
        into = self._rows.data.cast("B")
        try:
            self._stream.seek(layout.offset + bottom * layout.width * kind.itemsize)
            found = self._stream.readinto(into)  # type: ignore[attr-defined]
        except OSError as err:
            msg = f"{self._path} cannot be read: {err.strerror or err}"
            raise StorageError(msg, path=self._path) from err
        if found != len(into):
            msg = f"{self._path} ends {len(into) - found} bytes before it should; it is being written?"
            raise CorruptFileError(msg, path=self._path, plane=layout.name)

    def _map(self) -> mmap.mmap:
        """Look into the whole plane where it lies."""
        if self._mapping is None:
            try:
                self._mapping = mmap.mmap(self._stream.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as err:
                msg = f"{self._path} cannot be mapped into memory: {err}"
                raise StorageError(msg, path=self._path) from err
        layout = self._layout
        self._rows = np.ndarray(
            layout.shape, np.dtype(layout.stored_dtype), buffer=self._mapping, offset=layout.offset
        )
        self._first = 0
        return self._mapping


class ReadWindows:
    """Windows of a plane that is compressed, wrapped or far away: cut from boxes that are read whole.

    Parameters
    ----------
    file : PlaneFile
        The plane.
    """

    def __init__(self, file: PlaneFile) -> None:
        self._file = file
        self._parts: list[tuple[PixelArray, int, int]] = []

    @property
    def rows(self) -> None:
        """None: boxes are read."""

    def prepare(self, boxes: IntArray) -> None:
        """Read all boxes, those that lie together at once."""
        height, width = self._file.layout.tile_shape or (1, 1)
        order = np.argsort(boxes[:, 1], kind="stable")
        found, outlines = cover(boxes[order], grain=(width, height), size=self._file.layout.shape[::-1])
        owner = np.empty(len(boxes), np.int64)
        owner[order] = found
        arrays = self._read([Box(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in outlines])
        corners = [(x0, y0) for x0, y0, _, _ in outlines]
        self._parts = [(arrays[k], *corners[k]) for k in owner.tolist()]

    def copy(self, index: int, out: PixelArray, box: tuple[int, int, int, int]) -> None:
        """Copy a box."""
        array, dx, dy = self._parts[index]
        left, bottom, right, top = box
        out[...] = array[bottom - dy : top - dy, left - dx : right - dx]

    def _read(self, boxes: list[Box]) -> list[PixelArray]:
        """Read boxes of the plane, opening its file once."""
        file = self._file
        if file.record is not None:
            from snapdb.archive.planes import FilePlanes
            from snapdb.storage import LocalStore

            planes = FilePlanes([file.record], LocalStore(Path(file.store)))
            name = file.layout.name
            return [planes.read([name], box)[name] for box in boxes]
        from snapdb.formats.read import PlaneReader

        with PlaneReader(file.path) as reader:
            return [reader.read(file.layout, box) for box in boxes]


def cover(
    boxes: IntArray, *, grain: tuple[int, int] = (1, 1), size: tuple[int, int]
) -> tuple[list[int], list[tuple[int, int, int, int]]]:
    """Join boxes that lie together, so that their pixels are read once.

    Parameters
    ----------
    boxes : array of int, shape (n, 4)
        Left, bottom, right, top; in the order in which they are worth joining.
    grain : tuple of int
        Width and height of the tiles that are read whole whatever is wanted of them.
    size : tuple of int
        Width and height of the plane.

    Returns
    -------
    owner : list of int
        For each box, which outline holds it.
    outlines : list of tuple
        Left, bottom, right, top; of at most :data:`BOX_PX` pixels, save where one box has more,
        and of at most four times the pixels of the boxes in it.
    """
    owner: list[int] = []
    outlines: list[tuple[int, int, int, int]] = []
    held = 0
    tiles = np.array([*grain, *grain])
    whole = boxes // tiles * tiles
    whole[:, 2:] = np.minimum(-(-boxes[:, 2:] // tiles[2:]) * tiles[2:], np.array(size))
    for x0, y0, x1, y1 in whole.tolist():
        own = (x1 - x0) * (y1 - y0)
        if outlines:
            a0, b0, a1, b1 = outlines[-1]
            joined = (min(a0, x0), min(b0, y0), max(a1, x1), max(b1, y1))
            pixels = (joined[2] - joined[0]) * (joined[3] - joined[1])
            if pixels <= min(BOX_PX, 4 * (held + own)):
                outlines[-1], held = joined, held + own
                owner.append(len(outlines) - 1)
                continue
        outlines.append((x0, y0, x1, y1))
        held = own
        owner.append(len(outlines) - 1)
    return owner, outlines

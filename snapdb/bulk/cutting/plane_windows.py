"""What gives the stored pixels of windows of one plane.

Of a plain file the rows with the windows are read at once where they are few, else the rows of each
window. Other files (compressed, remote) are read box by box, each box covering windows that lie together,
by the plan that :mod:`snapdb.formats.plan` makes.
"""

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from snapdb.bulk.planning.sources import PlaneFile, stamp_of
from snapdb.errors import ChangedFileError, CorruptFileError, StorageError
from snapdb.formats.plan import find_rows
from snapdb.formats.rows import announce_rows
from snapdb.formats.unwrap import open_file
from snapdb.model.layout import Codec, Container
from snapdb.model.url import is_url
from snapdb.pixels.box import Box
from snapdb.types import IntArray, PixelArray


def ask_for_rows(descriptor: int, begin: int, stride: int, length: int, out: PixelArray) -> int:
    """Read pieces of a file as ``read_rows`` does, by a call a piece.

    Parameters
    ----------
    descriptor, begin, stride, length, out
        As there.
    """
    ends = range(length, len(out) + 1, length)
    return sum(
        os.preadv(descriptor, [out[end - length : end].data], begin + number * stride)
        for number, end in enumerate(ends)
    )


try:
    from snapdb.bulk.cutting import _rows
except ImportError:  # installed where there was no C compiler
    read_rows = ask_for_rows
else:
    read_rows = _rows.read_rows

BOX_PX = 4 * 2**20
"""Pixels of a box that is read to cut several windows from."""
BAND_BYTES = 24 * 2**20
"""Most that is read at once of a plain file."""
_bands: deque[PixelArray] = deque(maxlen=2)
"""Memory that rows were read into, and are again, for the system would clear it; of a few threads."""


class Windows(Protocol):
    """What gives the stored pixels of boxes inside one plane."""

    @property
    def rows(self) -> "tuple[PixelArray, int] | None":
        """Whole rows of the plane that hold the boxes, and the number of the first, where there are such."""

    def check(self) -> None:
        """See that the file is still the one that was described."""

    def prepare(self, boxes: IntArray) -> None:
        """Get ready for boxes, rows of left, bottom, right, top."""

    def copy(self, index: int, out: PixelArray, box: tuple[int, int, int, int]) -> None:
        """Copy the box of that index into an array of its shape."""


@contextmanager
def open_windows(file: PlaneFile) -> Iterator[Windows]:
    """Open a plane to cut windows from.

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
            yield PlainWindows(file, stream, band)
        return
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


def _changed(file: PlaneFile) -> ChangedFileError:
    msg = (
        f"{file.path} has changed since the run began, so that its stamps would not be those of one image; "
        "run again when it is complete"
    )
    return ChangedFileError(msg, path=file.path)


class PlainWindows:
    """Windows of a plane that lies in a file as it is.

    Nothing is mapped into memory: a file that is cut short meanwhile would end the process.

    Parameters
    ----------
    file : PlaneFile
        The plane.
    stream : binary file
        Open for reading.
    band : array of uint8
        What rows are read into.

    Raises
    ------
    ChangedFileError, CorruptFileError
        As :meth:`check`.
    """

    def __init__(self, file: PlaneFile, stream: BinaryIO, band: PixelArray) -> None:
        self._file, self._layout = file, file.layout
        self._stream = stream
        self._band = band
        self._rows: PixelArray | None = None
        self._first = 0
        self.check()

    @property
    def rows(self) -> tuple[PixelArray, int] | None:
        """The rows that :meth:`prepare` read, and the number of the first; None where windows are apart."""
        return None if self._rows is None else (self._rows, self._first)

    def check(self) -> None:
        """See that the file is the one that was described, and holds the whole plane."""
        file, layout, known = self._file, self._layout, self._file.record
        found = os.fstat(self._stream.fileno())
        now = found.st_size, found.st_mtime_ns
        if known is not None and now != (known.file_size, known.file_mtime_ns):
            msg = (
                f"{file.path} has changed since it was registered; `snapdb ingest --update` indexes it again"
            )
            raise ChangedFileError(msg, path=file.path)
        end = layout.offset + layout.width * layout.height * layout.stored_bytes
        if end > found.st_size:
            missing = end - found.st_size
            msg = f"{file.path}: plane {layout.name!r} ends {missing} bytes beyond the end of the file"
            raise CorruptFileError(msg, path=file.path, plane=layout.name)
        if file.stamp not in (None, now):
            raise _changed(file)

    def prepare(self, boxes: IntArray) -> None:
        """Read the rows of the boxes where they are few; else tell the system which will be read."""
        layout = self._layout
        bottom, top = int(boxes[:, 1].min()), int(boxes[:, 3].max())
        held = (top - bottom) * layout.width * layout.stored_bytes
        wanted = int(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sum()) * layout.stored_bytes
        if held <= min(len(self._band), 4 * wanted):
            self._read(bottom, top)
            return
        self._rows = None
        for left, low, right, high in boxes.tolist():
            place = find_rows(layout, Box(left, low, right - left, high - low))
            announce_rows(self._stream.fileno(), [place], high - low)

    def copy(self, index: int, out: PixelArray, box: tuple[int, int, int, int]) -> None:  # noqa: ARG002
        """Copy a box."""
        left, bottom, right, top = box
        if self._rows is None:
            out[...] = self._read_box(Box(left, bottom, right - left, top - bottom))
        else:
            out[...] = self._rows[bottom - self._first : top - self._first, left:right]

    def _read(self, bottom: int, top: int) -> None:
        """Read rows of the plane."""
        layout = self._layout
        stride = layout.width * layout.stored_bytes
        held = self._band[: (top - bottom) * stride]
        with self._reading():
            self._stream.seek(layout.offset + bottom * stride)
            found = self._stream.readinto(held.data)  # type: ignore[attr-defined]
        self._see(found, len(held))
        self._rows = held.view(np.dtype(layout.stored_dtype)).reshape(top - bottom, layout.width)
        self._first = bottom

    def _read_box(self, box: Box) -> PixelArray:
        """Read a box row by row."""
        begin, stride, length = find_rows(self._layout, box)
        found: PixelArray = np.empty(box.height * length, np.uint8)
        with self._reading():
            size = read_rows(self._stream.fileno(), begin, stride, length, found)
        self._see(size, len(found))
        return found.view(np.dtype(self._layout.stored_dtype)).reshape(box.shape)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Say in this package's words why the file cannot be read."""
        try:
            yield
        except OSError as err:
            msg = f"{self._file.path} cannot be read: {err.strerror or err}"
            raise StorageError(msg, path=self._file.path) from err

    def _see(self, found: int, expected: int) -> None:
        """See that as much was read as there should be."""
        if found != expected:
            msg = f"{self._file.path} ends {expected - found} bytes before it should; it is being written?"
            raise CorruptFileError(msg, path=self._file.path, plane=self._layout.name)


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
        self.check()

    @property
    def rows(self) -> None:
        """None: boxes are read."""

    def check(self) -> None:
        """See that the file is the one that was described."""
        now = stamp_of(self._file.path)
        if None not in (self._file.stamp, now) and now != self._file.stamp:
            raise _changed(self._file)

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

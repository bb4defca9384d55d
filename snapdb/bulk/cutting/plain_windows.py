"""Windows of a plane that lies in a plain file row by row: read in the order of its rows, side by side."""

import os
from collections import deque
from contextlib import suppress
from typing import BinaryIO

import numpy as np

from snapdb.bulk.planning.sources import PlaneFile
from snapdb.errors import ChangedFileError, CorruptFileError, StorageError
from snapdb.formats.plan import find_rows
from snapdb.formats.rows import announce_rows
from snapdb.formats.scaling import FLAGS_DTYPE, finish
from snapdb.model.layout import Meaning, PlaneLayout
from snapdb.pixels.box import Box
from snapdb.types import IntArray, PixelArray

FEW_BYTES = 8 * 2**10
"""Bytes of rows for each piece of a row that is wanted, above which pieces are announced box by box."""
_ROOM_BYTES = 24 * 2**20
"""Bytes of rows that are read at once where that is not left to compiled code."""
_KEPT_BYTES = 48 * 2**20
_kept: deque[PixelArray] = deque(maxlen=2)
"""Memory that windows were read into, and are again, for the system would clear it; of a few threads."""


def ask_for_boxes(descriptor: int, begin: int, stride: int, boxes: IntArray, out: PixelArray) -> int:
    """Read boxes as ``read_boxes`` does, by numpy: as many at a time as have room with their whole rows.

    Parameters
    ----------
    descriptor, begin, stride, boxes, out
        As there.
    """
    found = 0
    while len(boxes):
        tops = np.maximum.accumulate(boxes[:, 3])
        count = max(int(np.searchsorted(tops, boxes[0, 1] + _ROOM_BYTES // stride, "right")), 1)
        low, high = int(boxes[0, 1]), int(tops[count - 1])
        pieces = int((boxes[:count, 3] - boxes[:count, 1]).sum())
        rows: PixelArray | None = None
        if (high - low) * stride <= min(FEW_BYTES * pieces, _ROOM_BYTES):
            rows = np.zeros((high - low, stride), np.uint8)
            if _read_fully(descriptor, rows.reshape(-1), begin + low * stride) < rows.size:
                return found
        for left, bottom, right, top, first, step in boxes[:count].tolist():
            shape = (top - bottom, right - left)
            place: PixelArray = np.ndarray(shape, np.uint8, out.data, first, (step, 1))
            if rows is not None:
                place[...] = rows[bottom - low : top - low, left:right]
                found += place.size
                continue
            for row, piece in enumerate(place, bottom):
                found += _read_fully(descriptor, piece, begin + row * stride + left)
        boxes = boxes[count:]
    return found


def _read_fully(descriptor: int, out: PixelArray, at: int) -> int:
    """Read as many bytes as there are, however many the system gives at a time."""
    done = 0
    while done < len(out):
        some = os.preadv(descriptor, [out[done:].data], at + done)
        if not some:
            break
        done += some
    return done


try:
    from snapdb.bulk.cutting import _rows
except ImportError:  # installed where there was no C compiler
    read_boxes = ask_for_boxes
else:
    read_boxes = _rows.read_boxes


def changed(file: PlaneFile) -> ChangedFileError:
    """Make the error of a file that is no longer what it was.

    Parameters
    ----------
    file : PlaneFile
        A plane of it.
    """
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

    Raises
    ------
    ChangedFileError, CorruptFileError
        As :meth:`check`.
    """

    def __init__(self, file: PlaneFile, stream: BinaryIO) -> None:
        self._file, self._layout = file, file.layout
        self._stream = stream
        self._memory: PixelArray = np.empty(0, np.uint8)
        with suppress(IndexError):
            self._memory = _kept.pop()
        self.check()

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
            raise changed(file)

    def read(self, boxes: IntArray, slots: IntArray, total: int) -> PixelArray:
        """Read boxes."""
        layout, item = self._layout, self._layout.stored_bytes
        stride, sides = layout.width * item, boxes[:, 2:] - boxes[:, :2]
        self._announce(boxes, int(sides[:, 1].sum()) * FEW_BYTES // stride)
        order = np.argsort(boxes[:, 1], kind="stable")
        wanted = np.concatenate((boxes, slots), axis=1)[order]
        wanted[:, [0, 2, 4, 5]] *= item
        out, expected = self._lend(total * item), int(sides.prod(axis=1).sum()) * item
        stored = out.view(np.dtype(layout.stored_dtype))
        if expected < len(out) and not (is_direct(layout) and stored.dtype.kind == "f" and item == 4):
            out[:] = 0  # what is of no box will be converted too
        try:
            found = read_boxes(self._stream.fileno(), layout.offset, stride, wanted, out)
        except OSError as err:
            msg = f"{self._file.path} cannot be read: {err.strerror or err}"
            raise StorageError(msg, path=self._file.path) from err
        if found != expected:
            self.check()  # says what is missing
            msg = f"{self._file.path} gave fewer bytes than it has; it is being written?"
            raise CorruptFileError(msg, path=self._file.path, plane=layout.name)
        return stored if is_direct(layout) else finish(stored, layout)

    def close(self) -> None:
        """Leave the memory to the next, unless it is much."""
        if len(self._memory) <= _KEPT_BYTES:
            _kept.append(self._memory)

    def _lend(self, size: int) -> PixelArray:
        """Give memory to read into."""
        if len(self._memory) < size:
            self._memory = np.empty(size, np.uint8)
        return self._memory[:size]

    def _announce(self, boxes: IntArray, most: int) -> None:
        """Tell the system what will be read, where the boxes lie in more than so many rows."""
        if int(boxes[:, 3].max()) - int(boxes[:, 1].min()) <= most:
            return
        for left, bottom, right, top in boxes.tolist():
            place = find_rows(self._layout, Box(left, bottom, right - left, top - bottom))
            announce_rows(self._stream.fileno(), [place], top - bottom)


def is_direct(layout: PlaneLayout) -> bool:
    """Say whether stored numbers are the plane's but for their type.

    Parameters
    ----------
    layout : PlaneLayout
        The plane.
    """
    plain = layout.bscale == 1.0 and layout.bzero == 0.0 and layout.blank is None
    whole = layout.dtype == FLAGS_DTYPE and np.dtype(layout.stored_dtype).kind == "f"  # of fractions and NaN
    return plain and not whole and layout.asinh is None and layout.meaning is Meaning.DIRECT

"""What gives the stored pixels of windows of one plane.

Plain files are left to :mod:`~snapdb.bulk.cutting.plain_windows`. Others (compressed, remote) are read box by
box, each box covering windows that lie together, by the plan that :mod:`snapdb.formats.plan` makes.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from snapdb.bulk.cutting.plain_windows import PlainWindows, changed
from snapdb.bulk.planning.sources import PlaneFile, stamp_of
from snapdb.formats.unwrap import open_file
from snapdb.model.layout import Codec, Container
from snapdb.model.url import is_url
from snapdb.pixels.box import Box
from snapdb.types import IntArray, PixelArray

BOX_PX = 4 * 2**20
"""Pixels of a box that is read to cut several windows from."""


class Windows(Protocol):
    """What gives the pixels of boxes inside one plane."""

    def check(self) -> None:
        """See that the file is still the one that was described."""

    def read(self, boxes: IntArray, slots: IntArray, total: int) -> PixelArray:
        """Read boxes.

        Parameters
        ----------
        boxes : array of int, shape (n, 4)
            Left, bottom, right and top of each in the plane.
        slots : array of int, shape (n, 2)
            Where the first pixel of each goes in what is given, and how far on the next row of it.
        total : int
            Pixels of what is given.

        Returns
        -------
        array, shape (total,)
            Pixels, scaled as the header says, those of no box undefined; good until the next call.
        """


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
        with open_file(file.path) as stream, closing(PlainWindows(file, stream)) as windows:
            yield windows
        return
    yield ReadWindows(file)


class ReadWindows:
    """Windows of a plane that is compressed, wrapped or far away: cut from boxes that are read whole.

    Parameters
    ----------
    file : PlaneFile
        The plane.
    """

    def __init__(self, file: PlaneFile) -> None:
        self._file = file
        self.check()

    def check(self) -> None:
        """See that the file is the one that was described."""
        now = stamp_of(self._file.path)
        if None not in (self._file.stamp, now) and now != self._file.stamp:
            raise changed(self._file)

    def read(self, boxes: IntArray, slots: IntArray, total: int) -> PixelArray:
        """Read boxes, those that lie together at once."""
        height, width = self._file.layout.tile_shape or (1, 1)
        order = np.argsort(boxes[:, 1], kind="stable")
        owner, outlines = cover(boxes[order], grain=(width, height), size=self._file.layout.shape[::-1])
        made = np.zeros(total, self._file.layout.dtype)
        item, number = made.itemsize, 0
        for own, array in enumerate(self._iter_arrays(outlines)):
            x0, y0 = outlines[own][:2]
            while number < len(order) and owner[number] == own:
                left, bottom, right, top = boxes[order[number]].tolist()
                first, step = slots[order[number]].tolist()
                shape, strides = (top - bottom, right - left), (step * item, item)
                place: PixelArray = np.ndarray(shape, made.dtype, made.data, first * item, strides)
                place[...] = array[bottom - y0 : top - y0, left - x0 : right - x0]
                number += 1
        return made

    def _iter_arrays(self, outlines: list[tuple[int, int, int, int]]) -> Iterator[PixelArray]:
        """Read boxes of the plane one after another, opening its file once."""
        file = self._file
        boxes = [Box(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in outlines]
        if file.record is not None:
            from snapdb.archive.planes import FilePlanes
            from snapdb.storage import LocalStore

            planes = FilePlanes([file.record], LocalStore(Path(file.store)))
            name = file.layout.name
            for box in boxes:
                yield planes.read([name], box)[name]
            return
        from snapdb.formats.read import PlaneReader

        with PlaneReader(file.path) as reader:
            for box in boxes:
                yield reader.read(file.layout, box)


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

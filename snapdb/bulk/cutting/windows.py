"""Windows out of image planes: many at once, each of its own size, as float32 batches of one size."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from snapdb.bulk.cutting.plane_windows import Windows, open_windows
from snapdb.bulk.planning.placing import number_runs
from snapdb.bulk.planning.sources import PlaneFile
from snapdb.bulk.shape.resample import find_missing
from snapdb.pixels.placing import Places
from snapdb.types import FloatArray, IntArray, PixelArray

_WIDTH = 1000
"""Pixels a row of windows that lie side by side; no power of 2, whose rows crowd each other in the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Windows whose pixels were read together."""

    index: IntArray
    """Which of the places, shape (n,)."""
    rows: PixelArray
    """Rows in which the windows lie side by side: 4-byte floats of either byte order, or integers."""
    squares: IntArray
    """Where in the rows: x, y and size of each, shape (n, 3)."""

    def __len__(self) -> int:
        return len(self.index)

    def split(self, chosen: IntArray) -> list[IntArray]:
        """Split some of the windows where their size changes.

        Parameters
        ----------
        chosen : array of int
            Numbers of windows in this run.
        """
        return np.split(chosen, np.flatnonzero(np.diff(self.squares[chosen, 2])) + 1)

    def by_size(self) -> list[IntArray]:
        """Give the numbers of windows of one size together."""
        return self.split(np.argsort(self.squares[:, 2], kind="stable"))

    def cut(self, chosen: IntArray) -> PixelArray:
        """Copy windows of one size into a batch.

        Parameters
        ----------
        chosen : array of int, shape (m,)
            Numbers of windows in this run.

        Returns
        -------
        array, shape (m, size, size)
            Pixels, scaled as the header says; 0 outside the image.
        """
        squares, rows = self.squares[chosen].tolist(), self.rows
        size = squares[0][2]
        batch: PixelArray = np.empty((len(squares), size, size), rows.dtype.newbyteorder("="))
        for (x, y, _), window in zip(squares, batch, strict=True):
            window[...] = rows[y : y + size, x : x + size]
        return batch


def iter_runs(file: PlaneFile, places: Places, *, dtype: Any = np.float32) -> Iterator[Run]:
    """Read the pixels of windows of a plane, as many at a time as have room in memory.

    Parameters
    ----------
    file : PlaneFile
        The plane.
    places : Places
        Where the windows lie, as high as they are wide; those that do not touch the plane are left out.
    dtype : numpy type
        Of the pixels: float32, or an integer type for flags.

    Yields
    ------
    Run
        In their order; good until the next is taken.

    Raises
    ------
    ObjectMissingError, ChangedFileError, CorruptFileError, StorageError
        If the file cannot be read, or is not the one that was described.
    """
    touching = np.flatnonzero(places.touches)
    if not len(touching):
        return
    with open_windows(file) as windows:
        for run in np.split(touching, np.flatnonzero(np.diff(number_runs(places.width[touching]))) + 1):
            yield _read(windows, run, places, np.dtype(dtype))
            windows.check()  # so that all that was cut is of one image


def _read(windows: Windows, index: IntArray, places: Places, dtype: np.dtype[Any]) -> Run:
    """Read some windows side by side; 0 outside the image."""
    size = places.width[index]
    corners, shape = lay_out(size)
    boxes = np.stack((places.left, places.bottom, places.right, places.top), axis=1)[index]
    edges = np.stack((places.x0, places.y0), axis=1)[index]
    rows = windows.read(boxes, corners + boxes[:, :2] - edges, shape)
    if dtype != np.float32 or rows.dtype.kind != "f" or rows.dtype.itemsize != 4:
        rows = rows.astype(dtype, copy=False)
    for i in np.flatnonzero(~places.is_whole[index]):
        (x, y), side = corners[i], size[i]
        left, bottom, right, top = boxes[i] - np.tile(edges[i], 2)
        window = rows[y : y + side, x : x + side]
        window[:bottom] = window[top:] = 0
        window[:, :left] = window[:, right:] = 0
    return Run(index, rows, np.column_stack((corners, size)))


def lay_out(size: IntArray) -> tuple[IntArray, tuple[int, int]]:
    """Lay windows side by side, those of about the same size in a row of them.

    Parameters
    ----------
    size : array of int, shape (n,)
        Side of each, 1 at least.

    Returns
    -------
    corners : array of int, shape (n, 2)
        x and y of each window's first pixel.
    shape : tuple of int
        Height and width of what holds them all.
    """
    corners = np.empty((len(size), 2), np.int64)
    width = max(_WIDTH, int(size.max()))
    x = y = tallest = 0
    order = np.argsort(size, kind="stable")
    for index, side in zip(order.tolist(), size[order].tolist(), strict=True):
        if x + side > width:
            x, y = 0, y + tallest
        corners[index] = x, y
        x, tallest = x + side, side
    return corners, (y + tallest, width)


def iter_windows(
    file: PlaneFile, places: Places, *, dtype: Any = np.float32
) -> Iterator[tuple[IntArray, PixelArray]]:
    """Cut windows from a plane, in batches of one size.

    Parameters
    ----------
    file, places
        As :func:`iter_runs`.
    dtype : numpy type
        As :func:`iter_runs`, of the batches.

    Yields
    ------
    index : array of int, shape (m,)
        Which windows.
    batch : array, shape (m, size, size)
        As :meth:`Run.cut`.

    Raises
    ------
    ObjectMissingError, ChangedFileError, CorruptFileError, StorageError
        As :func:`iter_runs`.
    """
    for run in iter_runs(file, places, dtype=dtype):
        for chosen in run.by_size():
            yield run.index[chosen], run.cut(chosen)


def bad_fraction(batch: PixelArray) -> FloatArray:
    """Give the part of each window's pixels that are not finite, 0 to 1.

    Parameters
    ----------
    batch : array, shape (m, n, n)
        Floats; pixels are looked at one by one only in windows with such ones.
    """
    found = np.zeros(len(batch))
    holed = find_missing(batch)
    if holed.any():
        found[holed] = (~np.isfinite(batch[holed])).mean(axis=(1, 2))
    return found

"""Windows out of image planes: many at once, each of its own size, as float32 batches of one size."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from snapdb.bulk.cutting.plane_windows import Windows, open_windows
from snapdb.bulk.planning.placing import RUN_PX, number_runs
from snapdb.bulk.planning.sources import PlaneFile
from snapdb.bulk.shape.resample import find_missing
from snapdb.pixels.placing import Places
from snapdb.types import FloatArray, IntArray, PixelArray


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Windows whose pixels were read together."""

    index: IntArray
    """Which of the places, shape (n,)."""
    sizes: IntArray
    """Side of each."""
    starts: IntArray
    """Where the pixels of each begin, and where those of the last end; shape (n + 1,)."""
    pixels: PixelArray
    """Those of all windows, one window after another: 4-byte floats of either byte order, or integers."""

    def __len__(self) -> int:
        return len(self.index)

    def split(self, chosen: IntArray | None = None) -> list[slice]:
        """Split windows into slices of those that follow each other and have one size.

        Parameters
        ----------
        chosen : array of int, optional
            Numbers of windows in this run, ascending; all by default.
        """
        if chosen is None:
            chosen = np.arange(len(self))
        changes = (np.diff(self.sizes[chosen]) != 0) | (np.diff(chosen) != 1)
        groups = np.split(chosen, np.flatnonzero(changes) + 1)
        return [slice(int(group[0]), int(group[-1]) + 1) for group in groups if len(group)]

    def take(self, part: slice) -> PixelArray:
        """Give the pixels of windows that follow each other.

        Parameters
        ----------
        part : slice
            Windows of this run.
        """
        return self.pixels[self.starts[part.start] : self.starts[part.stop]]

    def cut(self, part: slice) -> PixelArray:
        """Give windows of one size as a batch, which may be written to.

        Parameters
        ----------
        part : slice
            From :meth:`split`.

        Returns
        -------
        array, shape (m, size, size)
            Pixels, scaled as the header says; 0 outside the image.
        """
        size = int(self.sizes[part.start])
        is_lent = self.pixels.base is not None  # and will be written over
        kind = self.pixels.dtype.newbyteorder("=")
        return self.take(part).reshape(-1, size, size).astype(kind, copy=is_lent)


def iter_runs(
    file: PlaneFile,
    places: Places,
    *,
    dtype: Any = np.float32,
    in_order: bool = False,
    at_once: int = RUN_PX,
) -> Iterator[Run]:
    """Read the pixels of windows of a plane, as many at a time as have room in memory.

    Parameters
    ----------
    file : PlaneFile
        The plane.
    places : Places
        Where the windows lie, as high as they are wide; those that do not touch the plane are left out.
    dtype : numpy type
        Of the pixels: float32, or an integer type for flags.
    in_order : bool
        Whether the windows of a run come in their order, not in that of their sizes.
    at_once : int
        Pixels of the windows of a run, save where a single one has more.

    Yields
    ------
    Run
        Good until the next is taken.

    Raises
    ------
    ObjectMissingError, ChangedFileError, CorruptFileError, StorageError
        If the file cannot be read, or is not the one that was described.
    """
    touching = np.flatnonzero(places.touches)
    if not len(touching):
        return
    with open_windows(file) as windows:
        numbers = number_runs(places.width[touching], most=at_once)
        for run in np.split(touching, np.flatnonzero(np.diff(numbers)) + 1):
            index = run if in_order else run[np.argsort(places.width[run], kind="stable")]
            yield _read(windows, index, places, np.dtype(dtype))
            windows.check()  # so that all that was cut is of one image


def _read(windows: Windows, index: IntArray, places: Places, dtype: np.dtype[Any]) -> Run:
    """Read some windows; 0 outside the image."""
    sizes = places.width[index]
    starts = np.concatenate(([0], np.cumsum(sizes**2)))
    boxes = np.stack((places.left, places.bottom, places.right, places.top), axis=1)[index]
    inside = boxes - np.tile(np.stack((places.x0, places.y0), axis=1)[index], 2)
    first = starts[:-1] + inside[:, 1] * sizes + inside[:, 0]
    pixels = windows.read(boxes, np.stack((first, sizes), axis=1), int(starts[-1]))
    if dtype != np.float32 or pixels.dtype.kind != "f" or pixels.dtype.itemsize != 4:
        pixels = pixels.astype(dtype, copy=False)
    for i in np.flatnonzero(~places.is_whole[index]).tolist():
        window = pixels[starts[i] : starts[i + 1]].reshape(sizes[i], sizes[i])
        left, bottom, right, top = inside[i].tolist()
        window[:bottom] = window[top:] = 0
        window[:, :left] = window[:, right:] = 0
    return Run(index, sizes, starts, pixels)


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
        for part in run.split():
            yield run.index[part], run.cut(part)


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

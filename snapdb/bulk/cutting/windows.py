"""Windows out of image planes: many at once, each of its own size, as float32 batches of one size.

Each window is copied straight into its place in a batch, changing byte order and type on the way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from snapdb.bulk.cutting.plane_windows import ReadWindows, Windows, open_windows
from snapdb.bulk.planning.placing import number_runs
from snapdb.bulk.planning.sources import PlaneFile
from snapdb.bulk.shape.resample import find_missing
from snapdb.formats.scaling import FLAGS_DTYPE, finish
from snapdb.model.layout import Meaning, PlaneLayout
from snapdb.pixels.placing import Places
from snapdb.types import FloatArray, IntArray, PixelArray


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Windows whose pixels were read together."""

    index: IntArray
    """Which of the places, shape (n,)."""
    places: Places
    boxes: IntArray
    """Left, bottom, right and top of what is on the image, shape (n, 4)."""
    windows: Windows
    layout: PlaneLayout

    def __len__(self) -> int:
        return len(self.index)

    @property
    def rows(self) -> PixelArray | None:
        """Whole rows of the image that hold the windows, where their numbers are the pixels."""
        found = self.windows.rows
        return found[0] if found is not None and _is_direct(self.layout) else None

    def in_rows(self) -> IntArray:
        """Give x, y and size of the windows in :attr:`rows`, shape (n, 3)."""
        found, places, index = self.windows.rows, self.places, self.index
        first = 0 if found is None else found[1]
        return np.stack((places.x0[index], places.y0[index] - first, places.width[index]), axis=1)

    def split(self, chosen: IntArray) -> list[IntArray]:
        """Split some of the windows where their size changes.

        Parameters
        ----------
        chosen : array of int
            Numbers of windows in this run.
        """
        sizes = self.places.width[self.index[chosen]]
        return np.split(chosen, np.flatnonzero(np.diff(sizes)) + 1)

    def by_size(self) -> list[IntArray]:
        """Give the numbers of windows of one size together."""
        return self.split(np.argsort(self.places.width[self.index], kind="stable"))

    def cut(self, chosen: IntArray, dtype: Any = np.float32) -> PixelArray:
        """Copy windows of one size into a batch.

        Parameters
        ----------
        chosen : array of int, shape (m,)
            Numbers of windows in this run.
        dtype : numpy type
            Of the batch: float32, or an integer type for flags.

        Returns
        -------
        array, shape (m, size, size)
            Pixels, scaled as the header says; 0 outside the image.
        """
        places, rows, layout = self.places, self.index[chosen], self.layout
        direct = isinstance(self.windows, ReadWindows) or _is_direct(layout)
        size = int(places.width[rows[0]])
        shape = (len(rows), size, size)
        whole = bool(places.is_whole[rows].all())
        kind = np.dtype(dtype) if direct else np.dtype(layout.stored_dtype)
        batch = np.empty(shape, kind) if whole else np.zeros(shape, kind)
        copy, own = self.windows.copy, self.boxes[chosen]
        if whole:
            targets: list[list[int]] = []
            for index, box, window in zip(chosen.tolist(), own.tolist(), batch, strict=True):
                copy(index, window, box)
        else:
            targets = (own - np.stack((places.x0[rows], places.y0[rows]) * 2, axis=1)).tolist()
            for index, box, window, target in zip(chosen.tolist(), own.tolist(), batch, targets, strict=True):
                left, bottom, right, top = target
                copy(index, window[bottom:top, left:right], box)
        if direct:
            return batch
        made = finish(batch, layout).astype(dtype, copy=False)
        if not whole:
            _clear_outside(made, targets)
        return made


def iter_runs(file: PlaneFile, places: Places) -> Iterator[Run]:
    """Read the pixels of windows of a plane, as many at a time as have room in memory.

    Parameters
    ----------
    file : PlaneFile
        The plane.
    places : Places
        Where the windows lie; those that do not touch the plane are left out.

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
            boxes = np.stack(
                (places.left[run], places.bottom[run], places.right[run], places.top[run]), axis=1
            )
            windows.prepare(boxes)
            yield Run(run, places, boxes, windows, file.layout)
            windows.check()  # so that all that was cut is of one image


def iter_windows(
    file: PlaneFile, places: Places, *, dtype: Any = np.float32
) -> Iterator[tuple[IntArray, PixelArray]]:
    """Cut windows from a plane, in batches of one size.

    Parameters
    ----------
    file, places
        As :func:`iter_runs`.
    dtype : numpy type
        Of the batches: float32, or an integer type for flags.

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
    for run in iter_runs(file, places):
        for chosen in run.by_size():
            yield run.index[chosen], run.cut(chosen, dtype)


def _clear_outside(batch: PixelArray, targets: list[list[int]]) -> None:
    """Make 0 what lies outside the image: scaling has made BZERO of it."""
    for i, (left, bottom, right, top) in enumerate(targets):
        batch[i, :bottom] = batch[i, top:] = 0
        batch[i, :, :left] = batch[i, :, right:] = 0


def _is_direct(layout: PlaneLayout) -> bool:
    """Say whether stored numbers are the plane's but for their type."""
    plain = layout.bscale == 1.0 and layout.bzero == 0.0 and layout.blank is None
    whole = layout.dtype == FLAGS_DTYPE and np.dtype(layout.stored_dtype).kind == "f"  # of fractions and NaN
    return plain and not whole and layout.asinh is None and layout.meaning is Meaning.DIRECT


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

"""Sources as labels of a segmentation image."""

from typing import Any

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.pixels.box import Box
from snapdb.types import IntArray, PixelArray

_DIRECT = 1 << 20
"""Labels up to which a list with a place for each is the quickest way."""


def find_segments(labels: PixelArray) -> tuple[IntArray, list[Box]]:
    """Find the least box around each label, all in one pass.

    Parameters
    ----------
    labels : array of int, shape (ny, nx)
        Label of each pixel; 0 is the background. Labels may be of any size and sign.

    Returns
    -------
    ids : array of int
        The labels that occur, ascending.
    boxes : list of Box
        One a label.

    Raises
    ------
    ShapeError
        If the image has not two axes.
    UsageError
        If labels are not whole numbers.
    """
    from scipy import ndimage  # type: ignore[import-untyped,unused-ignore]

    image = as_labels(labels, name="segmentation_image")
    if image.ndim != 2 or image.size == 0:
        msg = f"segmentation_image has shape {image.shape}: expected two axes, [y, x], and at least one pixel"
        raise ShapeError(msg, shape=image.shape)
    if image.min() >= 0 and image.max() <= max(_DIRECT, image.size):
        found = ndimage.find_objects(image)
        numbered = [(label, place) for label, place in enumerate(found, start=1) if place is not None]
    else:
        values, ranks = np.unique(image, return_inverse=True)
        found = ndimage.find_objects(ranks.reshape(image.shape) + 1)
        numbered = [(v, place) for v, place in zip(values.tolist(), found, strict=True) if v != 0]
    return np.array([label for label, _ in numbered], dtype=np.int64), [_box(place) for _, place in numbered]


def as_labels(values: Any, *, name: str) -> IntArray:
    """Take whole numbers, of any type, as labels.

    Parameters
    ----------
    values : array
        Numbers.
    name : str
        What the caller calls them.

    Raises
    ------
    UsageError
        If they are not whole numbers of less than 64 bits.
    """
    array = np.asarray(values)
    whole = array.dtype.kind in "iub" or (array.dtype.kind == "f" and bool(np.all(array == np.floor(array))))
    if not whole or (array.size and array.dtype.kind in "uf" and float(array.max()) >= 2.0**63):
        msg = f"{name} holds values of type {array.dtype} that are no labels: expected whole numbers"
        raise UsageError(msg, name=name, dtype=str(array.dtype))
    return array.astype(np.int64, copy=False)


def _box(place: tuple[slice, slice]) -> Box:
    """Give slices as a box."""
    rows, columns = place
    return Box(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)

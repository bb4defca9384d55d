"""The middle of an aperture, where most of the light of a source is."""

import dataclasses

import numpy as np

from snapdb.photometry.apertures import Circle, Foreign, Shape, compute_weights
from snapdb.types import BoolArray, FloatArray

CORE = 0.5
"""Share of an aperture's size within which a bad pixel hides what most of the light is."""
_RADII = ("r", "r_out", "a", "b", "a_out", "b_out")
_SIDES = ("w", "h", "w_out", "h_out")


def find_hollow(shape: Shape, x: FloatArray, y: FloatArray, bad: BoolArray) -> BoolArray:
    """Say which apertures have a bad pixel in their core.

    Parameters
    ----------
    shape : Shape
        The aperture.
    x, y : array, shape (N,)
        Positions, 0-based pixels; finite.
    bad : array of bool, shape (N, S, S)
        Bad pixels about the nearest pixel of each.

    Returns
    -------
    array of bool, shape (N,)
        Whether the centre of one lies within the shape shrunk to :data:`CORE` of its size, or it
        is the pixel of the position.
    """
    size = bad.shape[-1]
    core = compute_weights(_shrink(shape), x, y, size, "center")
    core[:, size // 2, size // 2] = 1.0
    return np.asarray(((core > 0) & bad).any(axis=(1, 2)), dtype=np.bool_)


def _shrink(shape: Shape) -> Shape:
    """Give the shape with smaller sizes; a circle for one of photutils, which are of many kinds."""
    if isinstance(shape, Foreign):
        sizes = [getattr(shape.aperture, name, np.inf) for name in _RADII]
        sizes += [getattr(shape.aperture, name, np.inf) / 2 for name in _SIDES]
        return Circle(CORE * float(min(*sizes, shape.reach)))
    names = [field.name for field in dataclasses.fields(shape) if field.name != "angle_deg"]
    return dataclasses.replace(shape, **{name: CORE * getattr(shape, name) for name in names})

"""How the frames that headers name lie in ICRS, the common ones without a coordinate library."""

import math
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from snapdb.sky.frames import Frame
from snapdb.sky.vectors import to_vectors
from snapdb.types import FloatArray

Vector: TypeAlias = tuple[float, float, float]
Axes: TypeAlias = tuple[Vector, Vector, Vector]

_MAS_DEG = 1.0 / 3_600_000.0
_POLE_RA_DEG, _POLE_DEC_DEG, _POLE_LON_DEG = 192.8594812065348, 27.12825118085622, 122.9319185680026
"""The galactic pole in FK5 and the celestial pole's galactic longitude, as astropy's Galactic has them."""


@lru_cache(maxsize=256)
def find_axes(frame: Frame) -> Axes:
    """Give the x, y and z axes of a frame in ICRS, unit vectors.

    Parameters
    ----------
    frame : Frame
        One that differs from ICRS by a rotation: all but FK4.

    Notes
    -----
    FK5 of J2000 is turned by the frame bias of Kaplan 2005 (USNO Circular 179, section 3.5); galactic
    goes by way of it. Other frames and equinoxes are asked of :meth:`Frame.to_icrs`, which loads
    astropy once.
    """
    fk5 = _turn("x", 19.9 * _MAS_DEG) @ _turn("y", 9.1 * _MAS_DEG) @ _turn("z", -22.9 * _MAS_DEG)
    if frame.name == "icrs":
        rows = np.eye(3)
    elif frame.name == "fk5" and frame.equinox == 2000.0:
        rows = fk5
    elif frame.name == "galactic":
        to_pole = _turn("y", 90.0 - _POLE_DEC_DEG) @ _turn("z", _POLE_RA_DEG)
        rows = _turn("z", 180.0 - _POLE_LON_DEG) @ to_pole @ fk5
    else:
        rows = to_vectors(*frame.to_icrs(np.array([0.0, 90.0, 0.0]), np.array([0.0, 0.0, 90.0])))
    x, y, z = (_as_vector(row) for row in rows)
    return x, y, z


def to_icrs_vector(axes: Axes, vector: Vector) -> Vector:
    """Turn a vector of a frame into ICRS."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = axes
    a, b, c = vector
    return a * ax + b * bx + c * cx, a * ay + b * by + c * cy, a * az + b * bz + c * cz


def _as_vector(row: FloatArray) -> Vector:
    """Give floats for an array of three."""
    x, y, z = row.tolist()
    return x, y, z


def _turn(axis: str, angle_deg: float) -> FloatArray:
    """Give the matrix that turns the axes themselves about one of them, counterclockwise."""
    sin, cos = math.sin(math.radians(angle_deg)), math.cos(math.radians(angle_deg))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = cos
    matrix[i, j], matrix[j, i] = sin, -sin
    return matrix

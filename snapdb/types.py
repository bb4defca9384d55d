"""Names for the arrays that cross layers."""

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from astropy.io.fits import Header  # noqa: TID251  # the name alone, for annotations
else:
    Header = Any

__all__ = [
    "BoolArray",
    "CutoutMode",
    "Degrees",
    "FloatArray",
    "Header",
    "IntArray",
    "PixelArray",
    "PlaneName",
]

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
PixelArray: TypeAlias = NDArray[Any]
"""Two-dimensional pixels ``[y, x]``, of any numeric type in native byte order."""

Degrees: TypeAlias = float | FloatArray
"""ICRS degrees: a scalar, or an array of any shape; what comes in decides what goes out."""

CutoutMode: TypeAlias = Literal["strict", "partial", "trim"]
PlaneName: TypeAlias = str
"""``data``, ``noise``, ``flags``, or another name of a plane."""

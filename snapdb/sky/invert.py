"""From the sky to pixels through a distortion, each position on its own."""

from typing import Any

import numpy as np

from snapdb.types import BoolArray, FloatArray

_TOLERANCE_PX = 1e-9
_ROUNDS = 25
_STEP_PX = 0.5
_RIGHT, _UP = np.array([_STEP_PX, 0.0]), np.array([0.0, _STEP_PX])


def invert_distortion(wcs: Any, focal: FloatArray) -> FloatArray:
    """Find the pixels whose undistorted places are given.

    Newton's method with a Jacobian from differences; the undistorted place itself is the
    start, since distortions are small beside the image. A position that does not
    converge is NaN and spoils no other.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        With SIP terms or lookup tables; its ``pix2foc`` undoes the distortion.
    focal : array, shape (n, 2)
        Undistorted 0-based pixels.

    Returns
    -------
    array, shape (n, 2)
        0-based pixels.
    """
    pixel = focal.copy()
    done = ~np.isfinite(focal).all(axis=1)
    todo = np.flatnonzero(~done)
    with np.errstate(all="ignore"):  # what runs away is found by its not converging
        for _ in range(_ROUNDS):
            if todo.size == 0:
                break
            step = _newton_step(wcs, pixel[todo], focal[todo])
            pixel[todo] -= step
            size = np.abs(step).max(axis=1)
            lost = ~np.isfinite(size) | (np.abs(pixel[todo]).max(axis=1) > 1e9)
            pixel[todo[lost]] = np.nan
            todo = todo[
                ~lost & (size > _TOLERANCE_PX * np.maximum(1.0, np.abs(pixel[todo]).max(axis=1) * 1e-6))
            ]
    pixel[todo] = np.nan
    return pixel


def _newton_step(wcs: Any, pixel: FloatArray, focal: FloatArray) -> FloatArray:
    """Give the correction of one round of Newton's method."""
    here = wcs.pix2foc(pixel, 0) - focal
    right = (wcs.pix2foc(pixel + _RIGHT, 0) - focal - here) / _STEP_PX
    up = (wcs.pix2foc(pixel + _UP, 0) - focal - here) / _STEP_PX
    det = right[:, 0] * up[:, 1] - right[:, 1] * up[:, 0]
    return np.stack(
        (
            (here[:, 0] * up[:, 1] - here[:, 1] * up[:, 0]) / det,
            (right[:, 0] * here[:, 1] - right[:, 1] * here[:, 0]) / det,
        ),
        axis=1,
    )


def same_place(found: FloatArray, wanted: FloatArray, tolerance_rad: float) -> BoolArray:
    """Tell which unit vectors agree; NaN agrees with nothing."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.linalg.norm(found - wanted, axis=-1) <= tolerance_rad)

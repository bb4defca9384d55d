"""Pixels and positions in the frame and the axes of an astropy WCS itself, as its own methods take them.

Everywhere else in snapdb positions are ICRS. These functions serve names that users know from
astropy's WCS, and that speak its language.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.errors import ProjectionError
from snapdb.sky.invert import invert_distortion, same_place
from snapdb.sky.vectors import to_vectors
from snapdb.sky.wcs import AstropyWCS
from snapdb.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from snapdb.sky.wcs import BaseWCS

_ROUND_TRIP_PX = 0.01
"""As in :mod:`snapdb.sky.wcs`: a pixel is believed when its own sky position lies this close."""


def displace(wcs: "BaseWCS", dx: float, dy: float) -> "BaseWCS":
    """Give coordinates whose pixel (0, 0) is the pixel (dx, dy) of others, which need not be whole.

    Parameters
    ----------
    wcs : BaseWCS
        Of the image.
    dx, dy : float
        Pixels.
    """
    if float(dx).is_integer() and float(dy).is_integer():
        return wcs.shifted(int(dx), int(dy))
    return AstropyWCS(wcs.get_astropy_wcs(), origin=(dx, dy))


def find_pixels(
    wcs: Any, world: FloatArray, origin: int, *, accuracy: float, maxiter: int, quiet: bool
) -> FloatArray:
    """Give the pixels of positions, each on its own.

    ``all_world2pix`` gives up a whole batch for one position that it cannot invert, and
    gives pixels to some positions on the far side of the sky. So each pixel is mapped back;
    those that do not return are sought by Newton's method, and are NaN when it fails too.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        With two celestial axes.
    world : array, shape (n, 2)
        Degrees, in the order of its axes and in its frame.
    origin : int
        Of the pixels: 0 or 1.
    accuracy : float
        Pixels; as ``tolerance`` of ``all_world2pix``.
    maxiter : int
        Rounds of ``all_world2pix``.
    quiet : bool
        Whether a position that has no pixel is NaN; else it is refused.

    Returns
    -------
    array, shape (n, 2)
        Pixels.

    Raises
    ------
    ProjectionError
        If `quiet` is False and a position has no pixel.
    """
    if len(world) == 0:
        return np.empty((0, 2))
    try:
        pixel = wcs.all_world2pix(world, 0, tolerance=accuracy, maxiter=maxiter, quiet=True)
    except (ValueError, RuntimeError, MemoryError):  # what astropy and wcslib raise for a single position
        pixel = np.full(world.shape, np.nan)
    lost = ~_returns(wcs, pixel, world, 10.0 * accuracy)
    if lost.any():
        pixel[lost] = _seek(wcs, world[lost])
        lost[lost] = ~_returns(wcs, pixel[lost], world[lost], _ROUND_TRIP_PX)
        pixel[lost] = np.nan
    if lost.any() and not quiet:
        count, first = int(np.count_nonzero(lost)), world[np.flatnonzero(lost)[0]]
        msg = f"{count} of {len(world)} positions have no pixel, such as ({first[0]}, {first[1]})"
        raise ProjectionError(msg, count=count)
    return np.asarray(pixel + origin)


def _returns(wcs: Any, pixel: FloatArray, world: FloatArray, tolerance_px: float) -> BoolArray:
    """Say which pixels lie at the positions that they are meant for."""
    lng, lat = wcs.wcs.lng, wcs.wcs.lat
    back = wcs.all_pix2world(pixel, 0)
    found, wanted = (to_vectors(rows[:, lng], rows[:, lat]) for rows in (back, world))
    return same_place(found, wanted, np.radians(pixel_scale_deg(wcs)) * tolerance_px)


def _seek(wcs: Any, world: FloatArray) -> FloatArray:
    """Project positions one by one, and undo the distortion."""
    focal = np.full(world.shape, np.nan)
    for row, position in enumerate(world):
        try:
            focal[row] = wcs.wcs_world2pix(position[None], 0)[0]
        except (ValueError, MemoryError):  # it does not project
            continue
    return invert_distortion(wcs, focal) if wcs.has_distortion else focal


def pixel_scale_deg(wcs: Any) -> float:
    """Measure a pixel at the reference point: the root of its area in the projection plane, degrees."""
    return float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))))

"""Unit vectors for positions on the sky, and distances between them."""

import numpy as np
from numpy.typing import ArrayLike

from snapdb.errors import UsageError
from snapdb.types import FloatArray


def to_vectors(ra: ArrayLike, dec: ArrayLike) -> FloatArray:
    """Turn positions into unit vectors; x points at (0, 0), z at the north pole.

    Parameters
    ----------
    ra, dec : float or array
        ICRS degrees, any shape; they are broadcast together.

    Returns
    -------
    array, shape (..., 3)
        NaN where a coordinate is not finite.
    """
    # Right ascension near 0 on either side keeps all its digits through the change to radians.
    turned = np.asarray(ra, dtype=np.float64)
    turned = np.where(turned > 180.0, turned - 360.0, turned)
    with np.errstate(invalid="ignore"):
        lon, lat = np.broadcast_arrays(np.radians(turned), np.radians(np.asarray(dec, dtype=np.float64)))
        return np.stack((np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)), axis=-1)


def to_radec(vectors: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Turn vectors of any length into positions.

    Parameters
    ----------
    vectors : array, shape (..., 3)
        Directions.

    Returns
    -------
    ra, dec : array
        ICRS degrees, right ascension in [0, 360).
    """
    v = np.asarray(vectors, dtype=np.float64)
    ra = wrap_ra(np.degrees(np.arctan2(v[..., 1], v[..., 0])))
    dec = np.degrees(np.arctan2(v[..., 2], np.hypot(v[..., 0], v[..., 1])))
    return ra, np.asarray(dec)


def wrap_ra(ra: ArrayLike) -> FloatArray:
    """Bring right ascensions into [0, 360), also where rounding would give 360."""
    with np.errstate(invalid="ignore"):
        wrapped = np.mod(np.asarray(ra, dtype=np.float64), 360.0)
    return np.where(wrapped >= 360.0, 0.0, wrapped)


def normalize(vectors: FloatArray) -> FloatArray:
    """Scale vectors along the last axis to length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def separation(ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike) -> FloatArray:
    """Measure the great-circle distance of positions, right at every distance.

    Uses ``2 atan2(|a - b|, |a + b|)`` for unit vectors a and b (Kahan 2006, "How futile are
    mindless assessments of roundoff", section 12), which loses no digits at 0 nor at 180 degrees.

    Parameters
    ----------
    ra1, dec1, ra2, dec2 : float or array
        ICRS degrees; broadcast together.

    Returns
    -------
    array
        Degrees.
    """
    return vector_separation(to_vectors(ra1, dec1), to_vectors(ra2, dec2))


def vector_separation(a: FloatArray, b: FloatArray) -> FloatArray:
    """Measure the angle between unit vectors, degrees."""
    below = np.linalg.norm(np.asarray(a) + b, axis=-1)
    return np.asarray(np.degrees(2.0 * np.arctan2(np.linalg.norm(np.asarray(a) - b, axis=-1), below)))


def check_radec(ra: float, dec: float) -> tuple[float, float]:
    """Take a position as the archive keeps it.

    Parameters
    ----------
    ra, dec : float
        ICRS degrees; right ascension may lie outside [0, 360).

    Returns
    -------
    ra, dec : float
        Right ascension in [0, 360).

    Raises
    ------
    UsageError
        If a value is not finite or the declination lies beyond a pole.
    """
    if not np.isfinite(ra):
        msg = f"ra = {ra}: expected a finite right ascension in degrees"
        raise UsageError(msg, ra=ra)
    if not (np.isfinite(dec) and abs(dec) <= 90.0):
        msg = f"dec = {dec}: expected a declination between -90 and 90 degrees"
        raise UsageError(msg, dec=dec)
    return float(wrap_ra(ra)), float(dec)

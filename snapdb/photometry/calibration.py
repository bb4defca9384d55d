"""From the pixels' units to nanojansky and AB magnitudes.

A magnitude is ``zeropoint - 2.5 log10(flux)``; a nanojansky has 31.4 mag in the AB system
(Oke & Gunn 1983, ApJ 266, 713: 48.60 mag for 1 erg/s/cm2/Hz).
"""

from typing import Any

import numpy as np

from snapdb.types import FloatArray

NJY_ZEROPOINT = 31.4
"""AB magnitude of one nanojansky."""
LEAST_SNR = 3.0
"""Ratio of flux to error below which a magnitude has no error worth the name."""
_POGSON = 2.5 / np.log(10.0)


def to_njy(flux: Any, zeropoint: Any) -> FloatArray:
    """Calibrate fluxes or their errors, which scale alike.

    Parameters
    ----------
    flux : float or array
        In the data's units; may be zero or negative.
    zeropoint : float, array or None
        AB magnitude of one unit; None or NaN where it is not known.

    Returns
    -------
    array
        Nanojansky, of the shape of the two together; NaN where the zero point is not known.
    """
    scale = 10.0 ** (-0.4 * (_as_zeropoint(zeropoint) - NJY_ZEROPOINT))
    return np.asarray(np.asarray(flux, dtype=np.float64) * scale)


def from_njy(njy: Any, zeropoint: Any) -> FloatArray:
    """Give nanojansky in the data's units, the inverse of :func:`to_njy`.

    Parameters
    ----------
    njy : float or array
        Fluxes or errors.
    zeropoint : float, array or None
        AB magnitude of one unit.

    Returns
    -------
    array
        In units of the data; NaN where the zero point is not known.
    """
    scale = 10.0 ** (-0.4 * (_as_zeropoint(zeropoint) - NJY_ZEROPOINT))
    return np.asarray(np.asarray(njy, dtype=np.float64) / scale)


def to_magnitude(flux: Any, flux_err: Any, zeropoint: Any) -> tuple[FloatArray, FloatArray]:
    """Give AB magnitudes and their errors.

    Parameters
    ----------
    flux, flux_err : float or array
        Flux and one standard deviation, in the data's units.
    zeropoint : float, array or None
        AB magnitude of one unit; None or NaN where it is not known.

    Returns
    -------
    mag : array
        NaN where the flux is not positive, or the zero point is not known.
    mag_err : array
        ``1.0857 flux_err / flux``; NaN unless the flux is above three times its error:
        below, state :func:`limit_magnitude`.
    """
    values, errors, zero = np.broadcast_arrays(
        np.asarray(flux, dtype=np.float64), np.asarray(flux_err, dtype=np.float64), _as_zeropoint(zeropoint)
    )
    positive = values > 0
    mag = np.full(values.shape, np.nan)
    np.log10(values, out=mag, where=positive)
    mag = np.asarray(zero - 2.5 * mag)
    certain = positive & (errors >= 0) & (values > LEAST_SNR * errors) & np.isfinite(mag)
    mag_err = np.full(values.shape, np.nan)
    np.divide(_POGSON * errors, values, out=mag_err, where=certain)
    return mag, mag_err


def limit_magnitude(flux_err: Any, zeropoint: Any, sigma: float = 5.0) -> FloatArray:
    """Give the magnitude of a source that is just `sigma` times the error.

    Parameters
    ----------
    flux_err : float or array
        One standard deviation of a flux, in the data's units.
    zeropoint : float, array or None
        AB magnitude of one unit; None or NaN where it is not known.
    sigma : float
        How many standard deviations.

    Returns
    -------
    array
        AB magnitudes; NaN where the error is not positive and finite, or the zero point is not known.
    """
    errors, zero = np.broadcast_arrays(np.asarray(flux_err, dtype=np.float64), _as_zeropoint(zeropoint))
    mag = np.full(errors.shape, np.nan)
    np.log10(sigma * errors, out=mag, where=(errors > 0) & np.isfinite(errors))
    return np.asarray(zero - 2.5 * mag)


def upper_limit(flux: Any, flux_err: Any, sigma: float = 3.0) -> FloatArray:
    """Give the flux that the source does not exceed: ``max(flux, 0) + sigma flux_err``.

    Parameters
    ----------
    flux, flux_err : float or array
        Flux and one standard deviation, in any unit.
    sigma : float
        How many standard deviations.

    Returns
    -------
    array
        In the unit of the flux. A negative flux counts as zero, so that a downward
        fluctuation makes no limit too strict.
    """
    values = np.maximum(np.asarray(flux, dtype=np.float64), 0.0)
    return np.asarray(values + sigma * np.asarray(flux_err, dtype=np.float64))


def _as_zeropoint(zeropoint: Any) -> FloatArray:
    """Take a zero point that may be missing."""
    return np.asarray(np.nan if zeropoint is None else zeropoint, dtype=np.float64)

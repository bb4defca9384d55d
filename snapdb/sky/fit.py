"""Any world coordinates as plain FITS cards: a TAN projection with SIP terms, fitted."""

from typing import TYPE_CHECKING

import numpy as np

from snapdb.errors import ProjectionError
from snapdb.sky.vectors import to_vectors
from snapdb.types import FloatArray

if TYPE_CHECKING:
    from astropy.io.fits import Header

    from snapdb.sky.wcs import BaseWCS

_DEGREE = 5
_GRID = 24
_CLOSE_PX = 1e-6
_BEARABLE_PX = 0.01


def to_header(wcs: "BaseWCS", width: int, height: int) -> "Header":
    """Give coordinates as cards that say all of them: their own, or a fit where these fall short.

    Parameters
    ----------
    wcs : BaseWCS
        Of the image.
    width, height : int
        Its size, pixels.

    Returns
    -------
    astropy.io.fits.Header
        Its sky positions differ from those of `wcs` by less than a hundredth of a pixel.

    Raises
    ------
    ProjectionError
        If no cards follow the coordinates so closely.
    """
    from snapdb.sky.wcs import AstropyWCS

    x, y = (a.ravel() for a in np.meshgrid(*(np.linspace(-0.5, n - 0.5, 5) for n in (width, height))))
    try:
        header = wcs.to_fits_header()
        again_x, again_y = AstropyWCS.from_header(header).world_to_pixel(*wcs.pixel_to_world(x, y))
        if np.hypot(again_x - x, again_y - y).max() < _CLOSE_PX:
            return header
    except ProjectionError:
        pass
    fitted, residual = fit_tan_sip(wcs, width, height)
    if not residual < _BEARABLE_PX:
        msg = f"no FITS cards follow these coordinates: the best fit is off by {residual:.3g} pixels"
        raise ProjectionError(msg, residual_px=residual)
    return fitted


def fit_tan_sip(wcs: "BaseWCS", width: int, height: int) -> "tuple[Header, float]":
    """Fit a TAN-SIP header to coordinates that have no cards of their own.

    Lookup tables, plate polynomials and IRAF's TNX cannot be moved to a cutout as
    cards. Over an image they are smooth, and a polynomial of degree 5 follows them.

    Parameters
    ----------
    wcs : BaseWCS
        Of the image.
    width, height : int
        Its size, pixels.

    Returns
    -------
    header : astropy.io.fits.Header
        In ICRS (Shupe et al. 2005, ASPC 347, 491, for the terms).
    residual_px : float
        Greatest difference on a grid over the image, pixels.

    Raises
    ------
    ProjectionError
        If the image does not project onto one side of the sky.
    """
    x0, y0 = (width - 1) / 2, (height - 1) / 2
    x, y = (a.ravel() for a in np.meshgrid(*(np.linspace(-0.5, n - 0.5, _GRID) for n in (width, height))))
    ra0, dec0 = wcs.pixel_to_world(x0, y0)
    plane = _project(*wcs.pixel_to_world(x, y), float(ra0), float(dec0))
    scale = max(width, height) / 2.0
    u, v = (x - x0) / scale, (y - y0) / scale
    powers = [(p, q) for p in range(_DEGREE + 1) for q in range(_DEGREE + 1 - p) if p + q > 0]
    terms = np.stack([u**p * v**q for p, q in powers], axis=1)
    found, *_ = np.linalg.lstsq(terms, plane, rcond=None)
    linear = np.stack([found[powers.index((1, 0))], found[powers.index((0, 1))]], axis=1)
    in_pixels = np.linalg.solve(linear, found.T) * scale
    residual = np.linalg.solve(linear, (terms @ found - plane).T) * scale
    header = _write_header(powers, in_pixels, linear / scale, scale, (x0, y0, float(ra0), float(dec0)))
    return header, float(np.abs(residual).max())


def _project(ra: object, dec: object, ra0: float, dec0: float) -> FloatArray:
    """Project positions gnomonically (Calabretta & Greisen 2002, section 5.1.3), degrees."""
    v, center = to_vectors(ra, dec), to_vectors(ra0, dec0)  # type: ignore[arg-type]
    a, d = np.radians(ra0), np.radians(dec0)
    east = np.array([-np.sin(a), np.cos(a), 0.0])
    north = np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)])
    depth = v @ center
    if not (np.isfinite(depth).all() and depth.min() > 0.0):
        msg = "the image does not lie within 90 degrees of its centre; its coordinates have no TAN cards"
        raise ProjectionError(msg)
    return np.asarray(np.degrees(np.stack((v @ east, v @ north), axis=1) / depth[:, None]))


def _write_header(
    powers: list[tuple[int, int]],
    terms: FloatArray,
    cd: FloatArray,
    scale: float,
    center: tuple[float, float, float, float],
) -> "Header":
    """Write the cards: the part of the linear terms is the matrix, the rest are A and B."""
    from astropy.io.fits import Header

    x0, y0, ra0, dec0 = center
    header = Header()
    header["WCSAXES"] = 2
    for axis, (kind, pixel, value) in enumerate((("RA--", x0, ra0), ("DEC-", y0, dec0)), start=1):
        header[f"CTYPE{axis}"] = f"{kind}-TAN-SIP"
        header[f"CUNIT{axis}"] = "deg"
        header[f"CRPIX{axis}"] = pixel + 1.0
        header[f"CRVAL{axis}"] = value
        for other in (1, 2):
            header[f"CD{axis}_{other}"] = float(cd[axis - 1, other - 1])
    header["RADESYS"] = "ICRS"
    for row, name in enumerate("AB"):
        header[f"{name}_ORDER"] = _DEGREE
        for (p, q), term in zip(powers, terms[row], strict=True):
            if p + q > 1:
                header[f"{name}_{p}_{q}"] = float(term / scale ** (p + q))
    return header

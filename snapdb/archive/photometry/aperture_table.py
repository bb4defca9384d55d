"""Tables of aperture photometry: photutils' columns, and what they are worth."""

from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.photometry.aperture_fluxes import ApertureFluxes, Measured
from snapdb.archive.photometry.aperture_settings import ApertureSettings
from snapdb.archive.photometry.positions import Positions
from snapdb.photometry.calibration import limit_magnitude, to_magnitude, to_njy
from snapdb.photometry.quality import Quality

if TYPE_CHECKING:
    from astropy.table import QTable

    from snapdb.archive.planar import PlanarImage

_DESCRIPTIONS = {
    "id": "Number of the position, from 1",
    "name": "Name of the source, as given",
    "x_center": "Column, 0-based pixels",
    "y_center": "Row, 0-based pixels",
    "ra": "Right ascension, ICRS",
    "dec": "Declination, ICRS",
    "aperture_sum": "Sum within the aperture, background subtracted, in the units of the data",
    "aperture_sum_err": "One standard deviation of aperture_sum, that of the background included",
    "max": "Largest pixel whose centre lies within the aperture, nothing subtracted",
    "area": "Pixels of the image within the aperture",
    "overlap": "Fraction of the aperture that lies on the image",
    "bad_fraction": "Fraction of area that is bad pixels",
    "apcor": "All of the light over that within the aperture",
    "background": "Background of a pixel at the position, in the units of the data",
    "background_err": "One standard deviation of background",
    "flux_njy": "Flux, apcor applied; signed",
    "flux_njy_err": "One standard deviation of flux_njy",
    "mag": "AB magnitude of flux_njy; NaN where that is not positive",
    "mag_err": "One standard deviation of mag; NaN below three times the error",
    "mag_limit": "AB magnitude of a source of limit_sigma standard deviations",
    "quality": "Bits of snapdb.photometry.quality.Quality; 0 is good",
}
_UNITS = {"ra": "deg", "dec": "deg", "flux_njy": "nJy", "flux_njy_err": "nJy"}
_UNITS |= {"mag": "mag", "mag_err": "mag", "mag_limit": "mag"}


def make_table(
    image: "PlanarImage", positions: Positions, measured: Measured, settings: ApertureSettings
) -> "QTable":
    """Put what was measured into a table.

    Parameters
    ----------
    image : Image
        Gives the zero point.
    positions : Positions
        Where it was measured.
    measured : Measured
        What was.
    settings : ApertureSettings
        How it was.

    Returns
    -------
    QTable
        A row a position; columns of several apertures end in ``_0``, ``_1``...
    """
    from astropy.table import QTable

    columns: dict[str, Any] = {"id": np.arange(1, len(positions) + 1)}
    columns |= {} if positions.names is None else {"name": list(positions.names)}
    columns |= {"x_center": positions.x, "y_center": positions.y, "ra": positions.ra, "dec": positions.dec}
    for number, one in enumerate(measured.apertures):
        suffix = f"_{number}" if settings.several else ""
        values = _columns_of(one, image.zeropoint, settings.limit_sigma)
        columns |= {f"{name}{suffix}": value for name, value in values.items()}
    columns |= {"background": measured.sky.level, "background_err": measured.sky.level_err}
    table = QTable()
    for name, value in columns.items():
        _add_column(table, name, value)
    table.meta.update(_meta(image, settings))
    return table


def _add_column(table: "QTable", name: str, value: Any) -> None:
    """Add a column with its unit and its meaning."""
    base = name if name in _DESCRIPTIONS else name.rpartition("_")[0]
    from astropy.units import Quantity

    table[name] = Quantity(value, _UNITS[base]) if base in _UNITS else value
    table[name].info.description = _DESCRIPTIONS[base]


def _columns_of(one: ApertureFluxes, zeropoint: float | None, sigma: float) -> dict[str, Any]:
    """Give the columns of one aperture."""
    flux, error = one.flux * one.correction, one.flux_err * one.correction
    mag, mag_err = to_magnitude(flux, error, zeropoint)
    quality = one.quality | (int(Quality.NO_ZEROPOINT) if zeropoint is None else 0)
    return {
        "aperture_sum": one.flux,
        "aperture_sum_err": one.flux_err,
        "max": one.peak,
        "area": one.area,
        "overlap": one.overlap,
        "bad_fraction": one.bad_fraction,
        "apcor": one.correction,
        "flux_njy": to_njy(flux, zeropoint),
        "flux_njy_err": to_njy(error, zeropoint),
        "mag": mag,
        "mag_err": mag_err,
        "mag_limit": limit_magnitude(error, zeropoint, sigma),
        "quality": quality,
    }


def _meta(image: "PlanarImage", settings: ApertureSettings) -> dict[str, Any]:
    """Say how it was measured."""
    return {
        "image": image.label,
        "zeropoint": image.zeropoint,
        "data_units": image.data_units,
        "apertures": [str(shape) for shape in settings.shapes],
        "method": settings.method,
        "subpixels": settings.subpixels,
        "background": settings.background,
        "bgsize": settings.bgsize if settings.background == "global" else None,
        "annulus": list(settings.annulus) if settings.background == "annulus" else None,
        "estimator": settings.estimator if settings.background == "annulus" else None,
        "masked": settings.masked,
        "bad_bits": None if settings.bad_bits is None else str(settings.bad_bits),
        "limit_sigma": settings.limit_sigma,
    }

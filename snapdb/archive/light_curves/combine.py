"""Fluxes of one night and band made into one."""

from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.light_curves.outputs import COLUMNS, make_quantities
from snapdb.errors import UsageError
from snapdb.photometry.calibration import NJY_ZEROPOINT, limit_magnitude, to_magnitude
from snapdb.photometry.quality import Quality
from snapdb.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from astropy.table import QTable

LEFT_OUT = Quality.OFF_IMAGE | Quality.FAILED | Quality.MASKED_PEAK | Quality.LOW_COVERAGE | Quality.SATURATED
"""Fluxes with any of these bits are in no combination."""


def find_noon(mjd: FloatArray) -> float:
    """Find the time of day at which nothing is observed: where nights are told apart.

    Parameters
    ----------
    mjd : array
        Times of exposures, days UTC.

    Returns
    -------
    float
        Fraction of a day: the middle of the longest time of day without an exposure; 0.5 where
        there is no time.
    """
    times = np.unique(np.mod(np.asarray(mjd, dtype=np.float64)[np.isfinite(mjd)], 1.0))
    if len(times) == 0:
        return 0.5
    gaps = np.diff(np.append(times, times[0] + 1.0))
    widest = int(np.argmax(gaps))
    return float((times[widest] + gaps[widest] / 2.0) % 1.0)


def combine_nights(
    table: "QTable", *, days: float = 1.0, noon: float | None = None, left_out: int = int(LEFT_OUT)
) -> "QTable":
    """Combine the fluxes of each night and band: the mean, weighted by their inverse variances.

    Parameters
    ----------
    table : QTable
        A light curve, as :func:`snapdb.archive.light_curves.outputs.make_flux_table` makes it.
    days : float
        Length of what counts as one night, in days.
    noon : float, optional
        Fraction of a UTC day at which nights end; :func:`find_noon` by default.
    left_out : int
        Quality bits whose fluxes are not used; those without flux, error or time never are.

    Returns
    -------
    QTable
        A row a night and band, in the order of time: ``mjd`` (mean, weighted), ``mjd_min``, ``mjd_max``,
        ``band``, ``flux_njy``, ``flux_njy_err``, ``mag``, ``mag_err``, ``mag_limit3``, ``mag_limit5``,
        ``n``, and ``chi2``: how the fluxes scatter about their mean, ``n - 1`` expected. Where no
        row has a zero point, ``flux`` and ``flux_err`` in the data's units stand for the calibrated
        columns; they are means of one thing only if the images have the same sensitivity.

    Raises
    ------
    UsageError
        If `days` is not above 0, or no flux is calibrated and the images have data of several units.
    """
    if not 0.0 < days < np.inf:
        msg = f"days={days}: expected a length above 0"
        raise UsageError(msg, days=days)
    name = _choose_flux(table)
    mjd, flux, err = (np.asarray(getattr(table[n], "value", table[n])) for n in ("mjd", name, f"{name}_err"))
    use = np.isfinite(mjd) & np.isfinite(flux) & (err > 0) & ((np.asarray(table["quality"]) & left_out) == 0)
    bands, band = np.unique(np.asarray(table["band"], dtype=str), return_inverse=True)
    zero = find_noon(mjd[use]) if noon is None else noon
    night = np.zeros(len(mjd), dtype=np.int64)
    night[use] = np.floor((mjd[use] - zero) / days).astype(np.int64)
    made = _combine(mjd, flux, err, bands, band.ravel(), night, use)
    return made if name == "flux_njy" else _uncalibrate(made, str(table.meta.get("flux_unit", "")))


def _choose_flux(table: "QTable") -> str:
    """Say which flux can be combined: the calibrated one where any row has it, else that of the data."""
    calibrated = np.isfinite(table["flux_njy"].value).any()
    if calibrated or "flux" not in table.colnames or not np.isfinite(np.asarray(table["flux"])).any():
        return "flux_njy"
    units = str(table.meta.get("flux_unit", ""))
    if "," in units:
        msg = (
            f"no zero point is known and the fluxes are in {units}, so that nights cannot be combined; "
            "give the images zero points, or choose images of one unit"
        )
        raise UsageError(msg, units=units)
    return "flux"


def _uncalibrate(made: "QTable", unit: str) -> "QTable":
    """Give combined fluxes in the data's units: what is calibrated means nothing."""
    for old, name in (("flux_njy", "flux"), ("flux_njy_err", "flux_err")):
        made.replace_column(old, made[old].value)
        made.rename_column(old, name)
        made[name].info.description = COLUMNS[name][1]
    made.remove_columns(["mag", "mag_err", "mag_limit3", "mag_limit5"])
    made.meta["flux_unit"] = unit
    return made


def _combine(
    mjd: FloatArray,
    flux: FloatArray,
    err: FloatArray,
    bands: Any,
    band: IntArray,
    night: IntArray,
    use: BoolArray,
) -> "QTable":
    """Make the row of each night and band."""
    _, group = np.unique(np.stack((night[use], band[use])), axis=1, return_inverse=True)
    group, count = group.ravel(), int(group.max(initial=-1)) + 1
    when, value, weight = mjd[use], flux[use], 1.0 / err[use] ** 2

    def total(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(group, values, minlength=count), dtype=np.float64)

    whole = total(weight)
    mean, day = total(weight * value) / whole, total(weight * when) / whole
    first, last = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(first, group, when)
    np.maximum.at(last, group, when)
    mean_err = 1.0 / np.sqrt(whole)
    which = np.zeros(count, dtype=np.int64)
    which[group] = band[use]
    mag, mag_err = to_magnitude(mean, mean_err, NJY_ZEROPOINT)
    columns: dict[str, Any] = {
        "mjd": day,
        "mjd_min": first,
        "mjd_max": last,
        "band": bands[which] if len(bands) else np.zeros(0, dtype="U1"),
        "flux_njy": mean,
        "flux_njy_err": mean_err,
        "mag": mag,
        "mag_err": mag_err,
        "mag_limit3": limit_magnitude(mean_err, NJY_ZEROPOINT, 3.0),
        "mag_limit5": limit_magnitude(mean_err, NJY_ZEROPOINT, 5.0),
        "n": np.bincount(group, minlength=count),
        "chi2": total(weight * (value - mean[group]) ** 2),
    }
    made = make_quantities(columns)
    for name in ("mjd_min", "mjd_max"):
        made[name] = made[name] * made["mjd"].unit
    return made[np.argsort(day, kind="stable")]

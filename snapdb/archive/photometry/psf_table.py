"""The table of PSF photometry: photutils' columns, and what they leave out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from snapdb.archive.photometry.positions import Positions
from snapdb.archive.photometry.psf_pixels import StampSet
from snapdb.photometry.calibration import limit_magnitude, to_magnitude, to_njy
from snapdb.photometry.fitting.linear import ForcedFit
from snapdb.photometry.quality import Quality
from snapdb.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from astropy.table import Table

    from snapdb.archive.planar import PlanarImage

POOR = 5.0
"""Chi squared a degree of freedom above which a model does not fit."""
LIMIT_SIGMA = 5.0
APART_PX = 0.05
"""Pixels between two sources below which nothing tells their fluxes apart."""

_FIT = ("flux", "flux_err", "sky", "sky_err", "chi2", "ndof", "n_pixels", "coverage")
_MARKS = ("edge", "masked", "masked_peak", "saturated", "no_background", "no_sky", "no_scale")


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedRows:
    """What was found of each position, to be filled in."""

    fit: ForcedFit
    """Fluxes and how well they fit."""
    x: FloatArray
    """Fitted column."""
    y: FloatArray
    """Fitted row."""
    x_err: FloatArray
    """NaN where the position was given."""
    y_err: FloatArray
    """NaN where the position was given."""
    converged: BoolArray
    """Whether a free position came to rest."""
    bounded: BoolArray
    """Whether it ended at its bounds."""
    group: IntArray
    """Number of the group, from 1; 0 off the image."""
    group_size: IntArray
    """Sources in the group."""
    near: BoolArray
    """Whether the light of a source that was not fitted with it reaches its stamp."""
    double: BoolArray
    """Whether another of its group is at the same place, so that their fluxes cannot be told apart."""
    on_image: BoolArray
    """Whether the position lies on the image."""
    marks: dict[str, BoolArray]
    """What was found among the pixels."""
    left_sum: FloatArray
    """Sum of the absolute residuals."""
    left_peak: FloatArray
    """Residual of the middle pixel; NaN where it is not good."""

    @classmethod
    def make(cls, number: int) -> Self:
        """Make the rows of positions that nothing is known of yet.

        Parameters
        ----------
        number : int
            How many.
        """
        lost: dict[str, Any] = {
            n: np.full(number, np.nan) for n in ("x", "y", "x_err", "y_err", "left_sum", "left_peak")
        }
        false: dict[str, Any] = {
            n: np.zeros(number, dtype=bool) for n in ("bounded", "near", "double", "on_image")
        }
        zero: dict[str, Any] = {n: np.zeros(number, dtype=np.int64) for n in ("group", "group_size")}
        fit: dict[str, Any] = {n: np.full(number, np.nan) for n in _FIT[:5]}
        fit |= {n: np.zeros(number, dtype=np.int64) for n in ("ndof", "n_pixels")}
        fit["coverage"] = np.zeros(number)
        return cls(
            fit=ForcedFit(**fit),
            converged=np.ones(number, dtype=bool),
            marks={n: np.zeros(number, dtype=bool) for n in _MARKS},
            **lost,
            **false,
            **zero,
        )

    def take_stamps(self, at: IntArray, stamps: StampSet) -> None:
        """Fill in what was found among the pixels of some rows.

        Parameters
        ----------
        at : array of int
            The rows.
        stamps : StampSet
            Theirs.
        """
        for name in _MARKS:
            self.marks[name][at] = getattr(stamps, name)
        middle = stamps.good.shape[-1] // 2
        self.left_peak[at] = np.where(stamps.good[:, middle, middle], 0.0, np.nan)

    def take_fit(self, at: IntArray, fit: ForcedFit, left: FloatArray) -> None:
        """Fill in the fits of some rows.

        Parameters
        ----------
        at : array of int
            The rows.
        fit : ForcedFit
            Theirs.
        left : array
            Residuals, (N, S, S), 0 where a pixel is not good.
        """
        for name in _FIT:
            getattr(self.fit, name)[at] = getattr(fit, name)
        middle = left.shape[-1] // 2
        self.left_sum[at] = np.abs(left).sum(axis=(1, 2))
        self.left_peak[at] += left[:, middle, middle]
        # Without a scale of the noise there is a flux, but nothing that is measured by the noise.
        unknown = at[self.marks["no_scale"][at]]
        for values in (self.fit.flux_err, self.fit.chi2, self.x_err, self.y_err):
            values[unknown] = np.nan
        # What no sky was taken off is no flux of the source.
        bare = at[self.marks["no_sky"][at]]
        for values in (self.fit.flux, self.fit.flux_err, self.fit.chi2):
            values[bare] = np.nan
        untold = at[self.marks["no_background"][at]]
        for values in (self.fit.sky, self.fit.sky_err):
            values[untold] = np.nan


def lose_doubles(rows: FittedRows, at: IntArray, x: FloatArray, y: FloatArray, labels: IntArray) -> None:
    """Take the fluxes off sources that were fitted together and are at one place.

    Parameters
    ----------
    rows : FittedRows
        All rows.
    at : array of int
        Those that were fitted.
    x, y : array
        Where they are, pixels; NaN where that is not known.
    labels : array of int
        Their groups.
    """
    from scipy.spatial import cKDTree

    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if len(known) < 2:
        return
    tree = cKDTree(np.stack((x[known], y[known]), axis=1))
    pairs = known[tree.query_pairs(APART_PX, output_type="ndarray")]
    double = at[np.unique(pairs[labels[pairs[:, 0]] == labels[pairs[:, 1]]])]
    rows.double[double] = True
    for values in (rows.fit.flux, rows.fit.flux_err, rows.fit.chi2):
        values[double] = np.nan


def mark_survivors(
    rows: FittedRows, at: IntArray, x: FloatArray, y: FloatArray, labels: IntArray, reach: int
) -> None:
    """Mark sources that were fitted together with one whose fit gave nothing: they may hold its light.

    Parameters
    ----------
    rows : FittedRows
        All rows.
    at : array of int
        Those that were fitted.
    x, y : array
        Where they started, pixels.
    labels : array of int
        Their groups.
    reach : int
        Pixels along x and y that light reaches from one to another's stamp.
    """
    from scipy.spatial import cKDTree

    lost = ~np.isfinite(rows.fit.flux[at])
    if not lost.any() or lost.all():
        return
    pairs = cKDTree(np.stack((x, y), axis=1)).query_pairs(reach, p=np.inf, output_type="ndarray")
    pairs = pairs[labels[pairs[:, 0]] == labels[pairs[:, 1]]]
    for one, other in (pairs.T, pairs[:, ::-1].T):
        rows.near[at[one[lost[other] & ~lost[one]]]] = True


def make_table(
    image: "PlanarImage",
    positions: Positions,
    rows: FittedRows,
    about: dict[str, Any],
) -> "Table":
    """Put the table together.

    Parameters
    ----------
    image : Image
        Has the zero point.
    positions : Positions
        What was asked for.
    rows : FittedRows
        What was found.
    about : dict
        What was asked for, with ``fit_shape``; goes into the table's meta.

    Returns
    -------
    Table
        One row a position; units and meanings in its columns.
    """
    from astropy.table import Column, Table

    fit = rows.fit
    ids, named = _ids_of(positions)
    reduced = np.where(fit.ndof > 0, fit.chi2 / np.maximum(fit.ndof, 1), np.nan)
    values = {"id": ids, **_fit_columns(positions, rows, reduced, about["fit_shape"])}
    values |= _further_columns(image, positions, rows, reduced, about["fit_shape"])
    columns = [Column(v, name=n, unit=_COLUMNS[n][0], description=_COLUMNS[n][1]) for n, v in values.items()]
    if named is not None:
        columns.insert(1, Column(named, name="name", description="What the source is called"))
    table = Table(columns, copy=False)
    table.meta.update(about, image=image.label, zeropoint=image.zeropoint, limit_sigma=LIMIT_SIGMA)
    return table


def _fit_columns(
    positions: Positions, rows: FittedRows, reduced: FloatArray, shape: tuple[int, int]
) -> dict[str, Any]:
    """Give photutils' columns, in its order."""
    fit = rows.fit
    with np.errstate(divide="ignore", invalid="ignore"):
        qfit, cfit = rows.left_sum / fit.flux, rows.left_peak / fit.flux
    first = positions.flux_init
    return {
        "group_id": rows.group,
        "group_size": rows.group_size,
        "local_bkg": fit.sky,
        "x_init": positions.x,
        "y_init": positions.y,
        "flux_init": np.full(len(positions), np.nan) if first is None else first,
        "x_fit": rows.x,
        "y_fit": rows.y,
        "flux_fit": fit.flux,
        "x_err": rows.x_err,
        "y_err": rows.y_err,
        "flux_err": fit.flux_err,
        "n_pixels_fit": fit.n_pixels,
        "qfit": qfit,
        "cfit": cfit,
        "reduced_chi2": reduced,
        "flags": _flags_of(rows, shape),
    }


def _further_columns(
    image: "PlanarImage", positions: Positions, rows: FittedRows, reduced: FloatArray, shape: tuple[int, int]
) -> dict[str, Any]:
    """Give the columns that photutils does not have."""
    fit, zeropoint = rows.fit, image.zeropoint
    mag, mag_err = to_magnitude(fit.flux, fit.flux_err, zeropoint)
    return {
        "ra": positions.ra,
        "dec": positions.dec,
        "local_bkg_err": fit.sky_err,
        "coverage": fit.coverage,
        "bad_fraction": np.where(rows.on_image, 1.0 - fit.n_pixels / (shape[0] * shape[1]), np.nan),
        "quality": _quality_of(rows, reduced, zeropoint, has_noise="noise" in image.plane_names),
        "flux_njy": to_njy(fit.flux, zeropoint),
        "flux_njy_err": to_njy(fit.flux_err, zeropoint),
        "mag": mag,
        "mag_err": mag_err,
        "mag_limit": limit_magnitude(fit.flux_err, zeropoint, LIMIT_SIGMA),
    }


def _ids_of(positions: Positions) -> tuple[IntArray, list[str] | None]:
    """Give the ids that came with the positions, else their numbers from 1, and names that are no numbers."""
    names, count = positions.names, np.arange(1, len(positions) + 1)
    if names is None:
        return count, None
    if all(isinstance(n, int) for n in names):
        return np.array(names, dtype=np.int64), None
    return count, [str(n) for n in names]


def _flags_of(rows: FittedRows, shape: tuple[int, int]) -> IntArray:
    """Give photutils' bits."""
    fit = rows.fit
    lost = ~np.isfinite(fit.flux)
    bits: tuple[tuple[int, Any], ...] = (
        (1, fit.n_pixels < shape[0] * shape[1]),
        (2, ~rows.on_image),
        (4, fit.flux <= 0),
        (8, ~rows.converged),
        (16, ~np.isfinite(fit.flux_err)),
        (32, rows.bounded),
        (64, ~rows.on_image),
        (128, rows.on_image & (fit.n_pixels == 0)),
        (256, lost & (fit.ndof < 1)),
        (512, ~(np.isfinite(rows.x) & np.isfinite(rows.y))),
    )
    return _join(bits, len(lost))


def _quality_of(rows: FittedRows, reduced: FloatArray, zeropoint: Any, *, has_noise: bool) -> IntArray:
    """Give snapdb's bits."""
    on, fit, marks = rows.on_image, rows.fit, rows.marks
    bits = (
        (Quality.OFF_IMAGE, ~on),
        (Quality.EDGE, marks["edge"]),
        (Quality.MASKED, marks["masked"]),
        (Quality.MASKED_PEAK, marks["masked_peak"]),
        (Quality.LOW_COVERAGE, on & ~(fit.coverage >= 0.5)),
        (Quality.SATURATED, marks["saturated"]),
        (Quality.NEIGHBOUR, rows.near | rows.double),
        (Quality.AT_BOUND, rows.bounded),
        (Quality.NO_BACKGROUND, marks["no_background"]),
        (Quality.POOR_FIT, reduced > POOR),
        (Quality.FAILED, on & ~(np.isfinite(fit.flux) & np.isfinite(fit.flux_err))),
        (Quality.NO_NOISE, on & (not has_noise)),
        (Quality.NO_ZEROPOINT, np.full(len(on), zeropoint is None)),
    )
    return _join(bits, len(on))


def _join(bits: Any, number: int) -> IntArray:
    """Or bits together where their conditions hold."""
    joined = np.zeros(number, dtype=np.int64)
    for bit, holds in bits:
        joined |= np.where(holds, int(bit), 0)
    return joined


_COLUMNS: dict[str, tuple[str | None, str]] = {
    "id": (None, "Id that came with the position, else its number from 1"),
    "group_id": (None, "Sources of one number were fitted together; 0: not fitted"),
    "group_size": (None, "Sources in the group"),
    "local_bkg": (None, "Sky a pixel that was subtracted or fitted, data units; NaN where none was"),
    "x_init": ("pix", "Column asked for, 0-based"),
    "y_init": ("pix", "Row asked for, 0-based"),
    "flux_init": (None, "Flux that came with the position; not used"),
    "x_fit": ("pix", "Column of the fit, 0-based"),
    "y_fit": ("pix", "Row of the fit, 0-based"),
    "flux_fit": (None, "Flux, data units, of either sign"),
    "x_err": ("pix", "One standard deviation; NaN where the position was given"),
    "y_err": ("pix", "One standard deviation; NaN where the position was given"),
    "flux_err": (None, "One standard deviation, data units, that of the sky included"),
    "n_pixels_fit": (None, "Good pixels of the stamp"),
    "qfit": (None, "Sum of absolute residuals over the flux"),
    "cfit": (None, "Residual of the middle pixel over the flux"),
    "reduced_chi2": (None, "Chi squared a degree of freedom, of the source's own stamp"),
    "flags": (None, "Bits as photutils sets them"),
    "ra": ("deg", "Right ascension of the position asked for, ICRS"),
    "dec": ("deg", "Declination of the position asked for, ICRS"),
    "local_bkg_err": (None, "One standard deviation of the sky a pixel; 0 where it is taken as known"),
    "coverage": (None, "Share of the PSF's information that lies on good pixels"),
    "bad_fraction": (None, "Share of the stamp's pixels that were not used"),
    "quality": (None, "Bits of snapdb.photometry.quality.Quality"),
    "flux_njy": ("nJy", "Flux by the zero point"),
    "flux_njy_err": ("nJy", "One standard deviation"),
    "mag": ("mag", "AB magnitude; NaN for fluxes of 0 and below"),
    "mag_err": ("mag", "One standard deviation; NaN below 3 sigma"),
    "mag_limit": ("mag", "AB magnitude of 5 standard deviations"),
}

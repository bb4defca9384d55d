"""One position fitted to all epochs of a target together."""

from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.epochs.plan import Ask
from snapdb.archive.light_curves.batch import Batch
from snapdb.archive.light_curves.ephemeris import Fixed, Track
from snapdb.archive.light_curves.forced import Stamps, gather_batches, prepare
from snapdb.archive.light_curves.plan import find_spots, locate, settle
from snapdb.archive.light_curves.recipe import Recipe
from snapdb.archive.light_curves.spots import Spots
from snapdb.errors import NotFoundError, UsageError
from snapdb.photometry.psf.protocol import render_stamps
from snapdb.types import FloatArray

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

_ROUNDS = 30
_DONE_PX = 1e-4
_FARTHEST_PX = 3.0
_STEP_PX = 0.05
_STEP_DEG = 1e-5


def refine_position(
    archive: "Archive", track: Track, recipe: Recipe, ask: Ask, criteria: dict[str, Any]
) -> tuple[Fixed, dict[str, Any]]:
    """Fit one position to all images, each with a flux of its own.

    Gauss-Newton on the position alone; the fluxes are projected out at each step (Golub and Pereyra
    1973, SIAM J. Numer. Anal. 10, 413). Bright epochs count most, and those without the source
    count nothing, so that the forced fluxes that follow are not biased by their own noise.

    Parameters
    ----------
    archive : Archive
        Where the images are.
    track : Track
        Where the target is thought to be; it must stand still.
    recipe : Recipe
        Says the PSF and the square that is fitted.
    ask : Ask
        Planes, threads, progress.
    criteria : dict
        Which images.

    Returns
    -------
    Fixed
        The position.
    dict
        ``refined_by``: how far east and north it went, and the errors of that, arcseconds.

    Raises
    ------
    UsageError
        If there is no PSF, or the target moves.
    NotFoundError
        If no image shows the target well enough to say where it is.
    """
    if not isinstance(track, Fixed) or recipe.method != "psf":
        msg = "refine=True needs a psf, and a target that stands still"
        raise UsageError(msg)
    spots = find_spots(archive, track, criteria)
    locate(archive, spots)
    settle(archive, spots, recipe.stamp_size)
    sides = [_Side(batch, archive, recipe, spots) for batch in gather_batches(archive, spots, recipe, ask)]
    shift: FloatArray = np.zeros(2)
    for _ in range(_ROUNDS):
        step, covariance, scale = _step(sides, shift)
        shift = shift + step
        if np.hypot(*shift) > _FARTHEST_PX * scale:
            break
        if np.hypot(*step) < _DONE_PX * scale:
            return _finish(track, shift, covariance)
    msg = (
        f"the position ra={track.ra}, dec={track.dec} cannot be refined: the fit to {len(spots)} images "
        f"goes further than {_FARTHEST_PX} pixels, or does not settle; leave out refine"
    )
    raise NotFoundError(msg, ra=track.ra, dec=track.dec)


class _Side:
    """Squares about the position with what maps the sky to their pixels."""

    def __init__(self, batch: Batch, archive: "Archive", recipe: Recipe, spots: Spots) -> None:
        self.stamps: Stamps = prepare(batch, archive, recipe)
        self.psfs = list(self.stamps.psfs())
        self.x, self.y = batch.x, batch.y
        self.jacobian = np.stack([_jacobian(spots, place) for place in batch.places])

    def derive(self, shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Give the model of unit flux at a shifted position, and its slopes east and north."""
        dx, dy = (self.jacobian[:, axis] @ shift for axis in (0, 1))
        model, right, up = (
            self._render(dx, dy),
            (self._render(dx + _STEP_PX, dy) - self._render(dx - _STEP_PX, dy)) / (2 * _STEP_PX),
            (self._render(dx, dy + _STEP_PX) - self._render(dx, dy - _STEP_PX)) / (2 * _STEP_PX),
        )
        slopes = [
            right * self.jacobian[:, 0, axis, None, None] + up * self.jacobian[:, 1, axis, None, None]
            for axis in (0, 1)
        ]
        return model, slopes[0], slopes[1]

    def _render(self, dx: FloatArray, dy: FloatArray) -> FloatArray:
        """Draw the PSF at shifted positions on the squares about the first ones."""
        size = self.stamps.data.shape[1]
        margin = int(_FARTHEST_PX) + 2
        drawn = np.zeros(self.stamps.data.shape)
        for psf, places in self.psfs:
            x, y = self.x[places] + dx[places], self.y[places] + dy[places]
            wide = render_stamps(psf, x, y, size + 2 * margin)
            for n, place in enumerate(places):
                right = int(np.floor(self.x[place] + 0.5) - np.floor(x[n] + 0.5)) + margin
                up = int(np.floor(self.y[place] + 0.5) - np.floor(y[n] + 0.5)) + margin
                drawn[place] = wide[n, max(up, 0) : max(up, 0) + size, max(right, 0) : max(right, 0) + size]
        return drawn


def _step(sides: list[_Side], shift: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Give the next step, east and north in degrees, its covariance, and degrees a pixel."""
    normal, spread, right = np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(2)
    scales = [1.0]
    for side in sides:
        weight, moves, left = _linearize(side, shift)
        noise = np.where(weight > 0, side.stamps.variance, 0.0)
        for a in (0, 1):
            right[a] += _dot(weight, moves[a], left).sum()
            for b in (0, 1):
                normal[a, b] += _dot(weight, moves[a], moves[b]).sum()
                spread[a, b] += _dot(weight * weight * noise, moves[a], moves[b]).sum()
        scales += (1.0 / np.sqrt(np.abs(np.linalg.det(side.jacobian)))).tolist()
    if not np.linalg.det(normal) > 0.0:
        msg = "no image shows a source at the position, so that it cannot be refined; leave out refine"
        raise NotFoundError(msg)
    inverse = np.linalg.inv(normal)
    return inverse @ right, inverse @ spread @ inverse, float(np.median(scales[1:]))


def _linearize(side: _Side, shift: FloatArray) -> tuple[FloatArray, list[FloatArray], FloatArray]:
    """Give weights, what a shift east and north does to each square at its best flux, and the residuals."""
    stamps = side.stamps
    model, *slopes = side.derive(shift)
    weight = np.where(stamps.good & np.isfinite(model), 1.0 / stamps.sky_variance, 0.0)
    model = np.where(weight > 0, model, 0.0)
    power = _dot(weight, model, model)
    alive = power > 0
    power = np.where(alive, power, 1.0)
    data = np.where(weight > 0, stamps.data, 0.0)
    flux = np.where(alive, np.maximum(_dot(weight, model, data) / power, 0.0), 0.0)[:, None, None]
    moves = []
    for slope in slopes:
        clean = np.where(weight > 0, slope, 0.0)
        moves.append(flux * (clean - (_dot(weight, model, clean) / power)[:, None, None] * model))
    return weight, moves, data - flux * model


def _dot(weight: FloatArray, one: FloatArray, other: FloatArray) -> FloatArray:
    """Give the weighted product of each pair of squares."""
    return np.asarray(np.einsum("nij,nij,nij->n", weight, one, other))


def _jacobian(spots: Spots, place: int) -> FloatArray:
    """Give how the pixel moves, (x, y), with the sky, (east, north), pixels a degree."""
    epoch, ra, dec = spots.epochs[place], float(spots.ra[place]), float(spots.dec[place])
    east = _STEP_DEG / max(np.cos(np.radians(dec)), 1e-6)
    columns = []
    for right, up in ((east, 0.0), (0.0, _STEP_DEG)):
        ends = [epoch.wcs.world_to_pixel(ra + sign * right, dec + sign * up) for sign in (1, -1)]  # type: ignore[union-attr]  # it was read
        columns.append([(float(a) - float(b)) / (2 * _STEP_DEG) for a, b in zip(*ends, strict=True)])
    return np.array(columns).T


def _finish(track: Fixed, shift: FloatArray, covariance: FloatArray) -> tuple[Fixed, dict[str, Any]]:
    """Give the new position and how far it is from the old one."""
    dec = track.dec + float(shift[1])
    ra = (track.ra + float(shift[0]) / np.cos(np.radians(track.dec))) % 360.0
    errors = np.sqrt(np.diag(covariance))
    told = [round(float(value) * 3600.0, 6) for value in (*shift, *errors)]
    said = {"east_arcsec": told[0], "north_arcsec": told[1]}
    return Fixed(float(ra), dec), {
        "refined_by": {**said, "east_err_arcsec": told[2], "north_err_arcsec": told[3]}
    }

"""A template moved and scaled until it fits an image."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from snapdb.pixels.box import Box
from snapdb.types import BoolArray, FloatArray, PixelArray

_STEP_PX = 1e-4
_EPSILON = 1e-6
_ROUNDS = 4
_CLIP = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What was fitted, and what is left of the image."""

    chi2_0: float
    """Before: without shift, at scale 1, over the pixels of `chi2`."""
    chi2: float
    """After."""
    df: int
    """Pixels less parameters."""
    values: dict[str, float]
    """``dx``, ``dy`` (pixels, how far the template was moved), ``scale``, ``bg``, ``tbg``."""
    errors: dict[str, float]
    """One standard deviation of those that were fitted."""
    at_limit: bool
    """Whether a shift or the scale ended at its bound: then its error means nothing."""
    difference: FloatArray
    """Image less background and template; NaN where either is not known."""


class TemplateFit:
    """An image, and a template with it.

    Parameters
    ----------
    image, template, err : array, all of one shape
        Pixels, the template's, and one standard deviation of the image's.
    mask : array of bool
        True where either is bad.
    inner : int, optional
        Side of the central box whose pixels are fitted; all of them by default.
    """

    def __init__(
        self, image: PixelArray, template: PixelArray, err: PixelArray, mask: BoolArray, inner: int | None
    ) -> None:
        self.image, self.template, self.err = (
            np.asarray(a, dtype=np.float64) for a in (image, template, err)
        )
        with np.errstate(invalid="ignore"):
            known = np.isfinite(self.image) & np.isfinite(self.err) & (self.err > 0)
        self.bg = estimate_mode(self.image[~mask & np.isfinite(self.image)])
        self.lost = mask | ~np.isfinite(self.template)
        self.tbg = estimate_mode(self.template[~self.lost])
        self.good = known & ~mask & _central(mask.shape, inner)
        self._near_lost = _grown(self.lost)
        self._filled = self._coefficients = np.empty((0, 0))

    def fit(self, max_shift: float, max_scale: float, *, fit_bg: bool) -> Adjustment | None:
        """Find the shift, the scale and the background of the least chi squared.

        The start is the best of the whole shifts, so that a neighbouring minimum is not
        taken for the deepest. A background of the image and one of the template can not be
        told apart, so that of the template stays at its estimate.

        Parameters
        ----------
        max_shift : float
            Greatest shift along each axis, pixels.
        max_scale : float
            The scale lies between its inverse and it.
        fit_bg : bool
            Whether the background of the image is fitted.

        Returns
        -------
        Adjustment or None
            None where there are too few good pixels.
        """
        from scipy.optimize import least_squares  # type: ignore[import-untyped,unused-ignore]

        count = 4 if fit_bg else 3
        if min(self.image.shape) < 3 or not (np.isfinite(self.bg) and np.isfinite(self.tbg)):
            return None
        self._filled = self._fill()
        self._coefficients = self._spline()
        most = np.array([max_shift, max_shift, max_scale, np.inf])[:count]
        least = np.array([-max_shift, -max_shift, 1 / max_scale, -np.inf])[:count]
        upper, lower = most + _EPSILON, least - _EPSILON  # the fit wants room between its bounds
        found = self._start(max_shift, lower, upper)
        use: BoolArray | None = None
        for _ in range(_ROUNDS):
            again = self._usable(found)
            if np.count_nonzero(again) <= count:
                return None
            if use is not None and np.array_equal(use, again):
                break
            use = again
            result = least_squares(
                self._residuals, found, self._slopes, (lower, upper), x_scale="jac", args=(use,)
            )
            found = result.x
        assert use is not None  # noqa: S101  # the loop runs at least once
        return self._report(result, np.clip(found, least, most), use)

    def _fill(self) -> FloatArray:
        """Give the template above its background, bad pixels filled so that none rings."""
        above = np.where(self.lost, 0.0, self.template - self.tbg)
        if self.lost.any():
            above[self.lost] = fill_smoothly(above, self.lost)
        return above

    def _spline(self) -> FloatArray:
        """Give the template's spline coefficients."""
        from scipy import ndimage  # type: ignore[import-untyped,unused-ignore]

        return np.asarray(ndimage.spline_filter(self._filled, order=3, mode="reflect"))

    def _moved(self, dx: float, dy: float) -> FloatArray:
        """Move the template, less its background."""
        from scipy import ndimage  # type: ignore[import-untyped,unused-ignore]

        return np.asarray(
            ndimage.shift(self._coefficients, (dy, dx), order=3, mode="reflect", prefilter=False)
        )

    def _usable(self, found: FloatArray) -> BoolArray:
        """Say which pixels are good in the image and the moved template, which ends at its edge.

        Cubic splines reach two pixels, so the neighbours of bad pixels stay out too.
        """
        from scipy import ndimage  # type: ignore[import-untyped,unused-ignore]

        lost = self._near_lost.astype(np.float64)
        touched = ndimage.shift(lost, (found[1], found[0]), order=1, mode="constant", cval=1.0)
        return np.asarray(self.good & (touched <= _EPSILON))

    def _start(self, max_shift: float, lower: FloatArray, upper: FloatArray) -> FloatArray:
        """Try the whole shifts, each with its best scale, and give the best."""
        reach = int(max_shift)
        template = np.pad(self._filled, reach, mode="symmetric")
        lost = np.pad(self._near_lost, reach, constant_values=True)
        best, least = np.array([0.0, 0.0, 1.0, self.bg])[: len(lower)], np.inf
        steps = range(-reach, reach + 1)
        for dx, dy in sorted(((x, y) for x in steps for y in steps), key=lambda s: s[0] ** 2 + s[1] ** 2):
            place = Box(reach - dx, reach - dy, lost.shape[1] - 2 * reach, lost.shape[0] - 2 * reach).slices
            use = self.good & ~lost[place]
            if np.count_nonzero(use) <= len(lower):
                continue
            found, chi2 = self._solve_linear(template[place][use], use, fit_bg=len(lower) == 4)
            if chi2 < least:
                best, least = np.array([dx, dy, *found]), chi2
        return np.asarray(np.clip(best, lower + _EPSILON / 2, upper - _EPSILON / 2))

    def _solve_linear(self, moved: FloatArray, use: BoolArray, *, fit_bg: bool) -> tuple[list[float], float]:
        """Give scale and background of a moved template, and the chi squared of a pixel."""
        weight = 1.0 / self.err[use]
        terms = [moved * weight, weight] if fit_bg else [moved * weight]
        wanted = (self.image[use] - (0.0 if fit_bg else self.bg)) * weight
        matrix = np.stack(terms, axis=1)
        found = np.asarray(np.linalg.pinv(matrix.T @ matrix) @ (matrix.T @ wanted))
        return list(found), float(np.mean((wanted - matrix @ found) ** 2))

    def _residuals(self, found: FloatArray, use: BoolArray) -> FloatArray:
        """Give what is left in units of the errors."""
        bg = found[3] if len(found) == 4 else self.bg
        left = self.image[use] - bg - found[2] * self._moved(found[0], found[1])[use]
        return np.asarray(left / self.err[use])

    def _slopes(self, found: FloatArray, use: BoolArray) -> FloatArray:
        """Give the derivatives of the residuals."""
        dx, dy, scale = found[:3]
        along_x = self._moved(dx + _STEP_PX, dy)[use] - self._moved(dx - _STEP_PX, dy)[use]
        along_y = self._moved(dx, dy + _STEP_PX)[use] - self._moved(dx, dy - _STEP_PX)[use]
        columns = [
            along_x * scale / (2 * _STEP_PX),
            along_y * scale / (2 * _STEP_PX),
            self._moved(dx, dy)[use],
        ]
        if len(found) == 4:
            columns.append(np.ones(len(along_x)))
        return np.asarray(-np.stack(columns, axis=1) / self.err[use][:, None])

    def _report(self, result: Any, found: FloatArray, use: BoolArray) -> Adjustment:
        """Say what was found, within the bounds that were asked for."""
        names = ("dx", "dy", "scale", "bg")[: len(found)]
        spread = np.sqrt(np.diag(np.linalg.pinv(result.jac.T @ result.jac)))
        values = {"bg": self.bg, **{n: float(v) for n, v in zip(names, found, strict=True)}, "tbg": self.tbg}
        start = np.array([0.0, 0.0, 1.0, self.bg])[: len(found)]
        left = self.image - values["bg"] - values["scale"] * self._moved(found[0], found[1])
        unknown = ~np.isfinite(self.image) | (self._spoiled(found) > 0.5)
        return Adjustment(
            chi2_0=float(np.sum(self._residuals(start, use) ** 2)),
            chi2=float(np.sum(self._residuals(found, use) ** 2)),
            df=int(np.count_nonzero(use)) - len(found),
            values=values,
            errors={n: float(e) for n, e in zip(names, spread, strict=True)},
            at_limit=bool(np.any(result.active_mask != 0) or np.any(found != result.x)),
            difference=np.where(unknown, np.nan, left),
        )

    def _spoiled(self, found: FloatArray) -> FloatArray:
        """Say how much of each pixel comes from a part of the template that is not finite."""
        from scipy import ndimage  # type: ignore[import-untyped,unused-ignore]

        lost = (~np.isfinite(self.template)).astype(np.float64)
        return np.asarray(ndimage.shift(lost, (found[1], found[0]), order=1, mode="reflect"))


def estimate_mode(values: PixelArray) -> float:
    """Estimate a background: 2.5 median - 1.5 mean of the values within 3 sigma of the median.

    Parameters
    ----------
    values : array
        Pixels, all finite.

    Returns
    -------
    float
        NaN without values.

    Notes
    -----
    SExtractor's estimate (Bertin & Arnouts 1996, section 3), which clips first: without
    clipping, a star lifts the mean.
    """
    kept = np.asarray(values, dtype=np.float64).ravel()
    if kept.size == 0:
        return float("nan")
    for _ in range(20):
        middle, sigma = np.median(kept), np.std(kept)
        inside = np.abs(kept - middle) <= _CLIP * sigma
        if inside.all():
            break
        kept = kept[inside]
    return float(2.5 * np.median(kept) - 1.5 * np.mean(kept))


def fill_smoothly(image: FloatArray, lost: BoolArray) -> FloatArray:
    """Find values for unknown pixels that bend the image least.

    Parameters
    ----------
    image : array, shape (ny, nx)
        Pixels ``[y, x]``, finite.
    lost : array of bool
        True where a pixel is not known; not everywhere.

    Returns
    -------
    array, shape (n,)
        For the unknown pixels, in the order of ``image[lost]``: those that make the sum of the
        squares of the discrete Laplacian least.
    """
    from scipy import sparse  # type: ignore[import-untyped,unused-ignore]
    from scipy.sparse.linalg import spsolve  # type: ignore[import-untyped,unused-ignore]

    bends = [
        sparse.diags_array(
            [np.ones(n - 1), -np.r_[1.0, np.full(n - 2, 2.0), 1.0][:n], np.ones(n - 1)], offsets=[-1, 0, 1]
        )
        for n in image.shape
    ]
    laplacian = sparse.kronsum(bends[1], bends[0], format="csc")
    unknown = lost.ravel()
    free, known = laplacian[:, np.flatnonzero(unknown)], laplacian[:, np.flatnonzero(~unknown)]
    return np.asarray(spsolve((free.T @ free).tocsc(), -(free.T @ (known @ image.ravel()[~unknown]))))


def _grown(mask: BoolArray) -> BoolArray:
    """Add the eight neighbours of each pixel."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    near = np.zeros_like(mask)
    for dy in range(3):
        for dx in range(3):
            near |= padded[dy : dy + height, dx : dx + width]
    return near


def _central(shape: tuple[int, int], inner: int | None) -> BoolArray:
    """Say which pixels lie in the central box of a side."""
    if inner is None:
        return np.ones(shape, bool)
    box = Box.centered((shape[1] - 1) / 2, (shape[0] - 1) / 2, inner, inner)
    central = np.zeros(shape, bool)
    central[max(box.y0, 0) : box.y1, max(box.x0, 0) : box.x1] = True
    return central

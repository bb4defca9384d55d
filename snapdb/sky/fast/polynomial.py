"""Polynomials in two variables that move a point of a plane to another, and their inverse."""

from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from snapdb.types import FloatArray

Coefficients: TypeAlias = tuple[float, ...] | FloatArray
"""One number a term, or one row a term with a column for each image."""

_ROUNDS = 25
_ERROR = 1e-11
"""Pixels off at which Newton's method ends, as its last two steps foretell."""
_NOISE = 1e-13
"""It ends as well with a step that is this part of the coordinates: no better can be had."""
_FAR = 1e9
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Warp:
    """A map of a plane into itself: polynomials of one order for both axes.

    The same class serves one image, whose coefficients are floats, and many, whose
    coefficients are rows of an array with a column for each image.
    """

    order: int
    """Highest degree of a term."""
    first: Coefficients
    """Coefficients of ``x**p * y**q``, p from 0 to the order, then q from 0 to the order less p."""
    second: Coefficients
    """The same for the other axis."""
    radial: tuple[Coefficients, Coefficients] | None = None
    """Coefficients of r, r**3, r**5 and r**7 for both axes; None where all are zero."""
    unit: Any = 1.0
    """Size of a pixel in the plane: a float, or an array with one of each image."""

    def __call__(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Move a point, or arrays of points; what comes in decides what goes out."""
        moved_x, moved_y = _evaluate(self, x, y)
        if self.radial is not None:
            square = x * x + y * y
            radius = square**0.5
            moved_x = moved_x + radius * _series(self.radial[0], square)
            moved_y = moved_y + radius * _series(self.radial[1], square)
        return moved_x, moved_y

    def invert(self, x: float, y: float) -> tuple[float, float]:
        """Find the point that moves to (x, y) by Newton's method; NaN where it does not converge."""
        u, v = x, y
        allowed, far, before = _ERROR * self.unit, _FAR * self.unit, 0.0
        for _ in range(_ROUNDS):
            du, dv = _newton_step(self, u, v, x, y)
            u, v = u - du, v - dv
            step, size = abs(du) + abs(dv), abs(u) + abs(v)
            if not size < far:
                break
            # Each step is some constant times the square of the one before: so will be the next.
            next_step = step * (step / before) ** 2 if before else step
            if next_step <= allowed or step <= _NOISE * size:
                return u, v
            before = step
        return float("nan"), float("nan")

    def invert_all(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Find the points that move to (x, y), shape (n,), each on its own; NaN as in :meth:`invert`."""
        out_u, out_v = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
        todo = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        warp = self if todo.size == x.size else self.taken(todo)
        u, v, x, y = x[todo], y[todo], x[todo], y[todo]
        before: FloatArray | None = None
        with np.errstate(all="ignore"):  # what runs away is found by its not converging
            for _ in range(_ROUNDS):
                du, dv = _newton_step(warp, u, v, x, y)
                u, v = u - du, v - dv
                step, size = np.abs(du) + np.abs(dv), np.abs(u) + np.abs(v)
                next_step = step if before is None else step * (step / before) ** 2
                there = size < _FAR * warp.unit
                done = there & ((next_step <= _ERROR * warp.unit) | (step <= _NOISE * size))
                out_u[todo[done]], out_v[todo[done]] = u[done], v[done]
                left = np.flatnonzero(there & ~done)
                if left.size == 0:
                    break
                before = step
                if left.size < todo.size:
                    warp, todo, before = warp.taken(left), todo[left], step[left]
                    u, v, x, y = u[left], v[left], x[left], y[left]
        return out_u, out_v

    def taken(self, index: Any) -> "Warp":
        """Give the map of some images of many; itself where there is but one."""
        if isinstance(self.first, tuple):
            return self
        radial = None if self.radial is None else (self.radial[0][:, index], self.radial[1][:, index])  # type: ignore[call-overload]
        return Warp(self.order, self.first[:, index], self.second[:, index], radial, self.unit[index])  # type: ignore[call-overload]


def _newton_step(warp: Warp, u: Any, v: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Give the step of a round of Newton's method towards the point that moves to (x, y)."""
    (f, fu, fv), (g, gu, gv) = _differentiate(warp, u, v)
    if warp.radial is not None:
        square = u * u + v * v
        radius = square**0.5
        for_u, for_v = u / (radius + _TINY), v / (radius + _TINY)
        value, slope = _series(warp.radial[0], square), _slope(warp.radial[0], square)
        f, fu, fv = f + radius * value, fu + slope * for_u, fv + slope * for_v
        value, slope = _series(warp.radial[1], square), _slope(warp.radial[1], square)
        g, gu, gv = g + radius * value, gu + slope * for_u, gv + slope * for_v
    f, g = f - x, g - y
    det = fu * gv - fv * gu
    if isinstance(det, float) and det == 0.0:
        return float("nan"), float("nan")
    return (f * gv - g * fv) / det, (g * fu - f * gu) / det


def _evaluate(warp: Warp, x: Any, y: Any) -> tuple[Any, Any]:
    """Evaluate both polynomials by Horner's rule in both variables."""
    terms = zip(reversed(warp.first), reversed(warp.second), strict=True)
    f, g = next(terms)
    for power in range(1, warp.order + 1):
        row, other = next(terms)
        for a, b in islice(terms, power):
            row, other = row * y + a, other * y + b
        f, g = f * x + row, g * x + other
    return f, g


def _differentiate(warp: Warp, x: Any, y: Any) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
    """Evaluate each polynomial and both its derivatives."""
    terms = zip(reversed(warp.first), reversed(warp.second), strict=True)
    f, g = next(terms)
    fx: Any = 0.0
    fy: Any = 0.0
    gx: Any = 0.0
    gy: Any = 0.0
    for power in range(1, warp.order + 1):
        slope, other_slope = next(terms)
        a, b = next(terms)
        row, other = slope * y + a, other_slope * y + b
        for a, b in islice(terms, power - 1):
            slope, other_slope = slope * y + row, other_slope * y + other
            row, other = row * y + a, other * y + b
        if power > 1:
            fx, fy, gx, gy = fx * x + f, fy * x + slope, gx * x + g, gy * x + other_slope
        else:
            fx, fy, gx, gy = f, slope, g, other_slope
        f, g = f * x + row, g * x + other
    return (f, fx, fy), (g, gx, gy)


def _series(terms: Coefficients, square: Any) -> Any:
    """Evaluate the radial terms over the radius."""
    return terms[0] + square * (terms[1] + square * (terms[2] + square * terms[3]))


def _slope(terms: Coefficients, square: Any) -> Any:
    """Differentiate the radial terms by the radius."""
    return terms[0] + square * (3.0 * terms[1] + square * (5.0 * terms[2] + square * (7.0 * terms[3])))

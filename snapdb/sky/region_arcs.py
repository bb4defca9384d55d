"""Caps and arcs of circles on the sphere: what regions are made of, and where the two cross.

A cap is the set of unit vectors within an angle r of an axis n, ``n . v >= cos r``; with r = 90
degrees it is a half-space and its edge a great circle. Cosines of small angles have no digits left,
so that small caps are compared by chords, and crossings found from half angles.
"""

from dataclasses import dataclass, field

import numpy as np

from snapdb.sky.footprint import EDGE_TOLERANCE
from snapdb.types import BoolArray, FloatArray

QUARTER = np.pi / 2
"""Radius of a half-space, radian."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The intersection of caps; of none: the whole sphere (Szalay et al. 2005, MSR-TR-2005-123)."""

    axes: FloatArray
    """Unit vectors, shape (caps, 3)."""
    radii: FloatArray
    """Radian, from 0 to pi, shape (caps,)."""
    _planes: FloatArray = field(init=False)
    _rounds: tuple[tuple[FloatArray, float, float], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Tell half-spaces, which need one product, from caps that are measured by chords."""
        flat = self.radii == QUARTER
        object.__setattr__(self, "_planes", self.axes[flat].T)
        rounds = []
        for axis, radius in zip(self.axes[~flat], self.radii[~flat].tolist(), strict=True):
            # A cap wider than a hemisphere is what lies outside the cap about the antipode.
            sign = 1.0 if radius < QUARTER else -1.0
            rounds.append((sign * axis, sign, 2.0 * float(np.sin(min(radius, np.pi - radius) / 2.0))))
        object.__setattr__(self, "_rounds", tuple(rounds))

    @property
    def is_convex(self) -> bool:
        """True where the arc between any two points inside lies inside: no cap exceeds a hemisphere."""
        return bool(len(self.radii) > 0 and np.all(self.radii <= QUARTER))

    def contains_vectors(self, vectors: FloatArray) -> BoolArray:
        """Say of unit vectors, shape (..., 3), whether they lie inside or on the edge."""
        inside = np.all(vectors @ self._planes >= -EDGE_TOLERANCE, axis=-1)
        for center, sign, chord in self._rounds:
            apart = vectors - center
            length = np.sqrt(np.einsum("...i,...i", apart, apart))
            inside &= sign * (chord - length) >= -EDGE_TOLERANCE
        return np.asarray(inside)


@dataclass(frozen=True, slots=True)
class Arcs:
    """Arcs of circles: ``v(t) = cos r n + sin r (cos t p + sin t q)`` for t from 0 to the span."""

    axes: FloatArray
    """n, unit vectors, shape (arcs, 3)."""
    radii: FloatArray
    """r, radian, shape (arcs,)."""
    firsts: FloatArray
    """p, unit vectors at right angles to n, towards the start of the arc."""
    seconds: FloatArray
    """q = n x p."""
    spans: FloatArray
    """Radian, up to 2 pi for a whole circle."""

    def __len__(self) -> int:
        return len(self.spans)

    def at(self, angles: FloatArray) -> FloatArray:
        """Give points of the arcs.

        Parameters
        ----------
        angles : array, shape (..., arcs, k)
            Radian from the start of each.

        Returns
        -------
        array, shape (..., arcs, k, 3)
            Unit vectors.
        """
        width, height = np.sin(self.radii), np.cos(self.radii)
        p, q = width[:, None] * self.firsts, width[:, None] * self.seconds
        points = np.cos(angles)[..., None] * p[:, None, :]
        points += np.sin(angles)[..., None] * q[:, None, :]
        if not np.all(self.radii == QUARTER):
            points += (height[:, None] * self.axes)[:, None, :]
        return np.asarray(points)

    def crossings(self, axes: FloatArray, radii: FloatArray) -> FloatArray:
        """Find where the arcs cross the edges of caps.

        From the half angles of the triangle of both axes and the crossing,
        ``tan^2(phi/2) = sin(s - r) sin(s - d) / (sin s sin(s - r'))`` with d between the axes and
        ``s = (r + r' + d) / 2``; d from sine and cosine. Circles that do not meet give
        the points where they are nearest to it, so that what just touches is found.

        Parameters
        ----------
        axes : array, shape (..., caps, 3)
            Unit vectors.
        radii : array, shape (caps,)
            Radian.

        Returns
        -------
        array, shape (..., arcs, 2 caps)
            Radian from the start of each arc; its end where the circle is crossed beyond the arc.
        """
        turned = np.swapaxes(axes, -1, -2)
        x, y = self.firsts @ turned, self.seconds @ turned
        middle = np.arctan2(y, x)
        if np.all(radii == QUARTER) and np.all(self.radii == QUARTER):
            half: FloatArray | float = QUARTER
        else:
            apart = np.arctan2(np.hypot(x, y), self.axes @ turned)
            half = _half_width(self.radii[:, None], radii, apart)
        angles = np.concatenate((middle - half, middle + half), axis=-1)
        angles[angles < 0.0] += 2.0 * np.pi
        return np.minimum(angles, self.spans[:, None])

    def stops(self, axes: FloatArray, radii: FloatArray) -> FloatArray:
        """List ends, crossings, and the middles between neighbours: what decides for a whole arc.

        Parameters
        ----------
        axes : array, shape (..., caps, 3)
            Unit vectors.
        radii : array, shape (caps,)
            Radian.

        Returns
        -------
        array, shape (..., arcs, 4 caps + 3)
            Radian from the start of each arc.
        """
        crossed = self.crossings(axes, radii)
        ends = np.zeros((*crossed.shape[:-1], 2))
        ends[..., 1] = self.spans
        angles = np.sort(np.concatenate((ends, crossed), axis=-1), axis=-1)
        return np.concatenate((angles, 0.5 * (angles[..., 1:] + angles[..., :-1])), axis=-1)


def _half_width(radius: FloatArray, other: FloatArray, apart: FloatArray) -> FloatArray:
    """Angle about the first axis between the second axis and a crossing; 0 or pi where none is."""
    s = 0.5 * (radius + other + apart)
    far, near = np.sin(s - radius) * np.sin(s - apart), np.sin(s) * np.sin(s - other)
    return np.asarray(2.0 * np.arctan2(np.sqrt(np.maximum(far, 0.0)), np.sqrt(np.maximum(near, 0.0))))


def great_arcs(starts: FloatArray, ends: FloatArray) -> Arcs:
    """Make the great-circle arcs between positions less than 180 degrees apart.

    Parameters
    ----------
    starts, ends : array, shape (n, 3)
        Unit vectors; equal ones give an arc of one point.

    Returns
    -------
    Arcs
        Their axes point left.
    """
    total, change = starts + ends, ends - starts
    normals = np.cross(total, change)
    lengths = np.sqrt(np.einsum("ij,ij->i", normals, normals))
    axes = normals / np.where(lengths > 0.0, lengths, 1.0)[:, None]
    spans = 2.0 * np.arctan2(
        np.sqrt(np.einsum("ij,ij->i", change, change)), np.sqrt(np.einsum("ij,ij->i", total, total))
    )
    return Arcs(axes, np.full(len(axes), QUARTER), starts, np.cross(axes, starts), spans)


def circle_arc(
    axis: FloatArray, radius: float, start: FloatArray | None = None, span: float = 2.0 * np.pi
) -> Arcs:
    """Make one arc of a circle about an axis.

    Parameters
    ----------
    axis : array, shape (3,)
        Unit vector.
    radius : float
        Radian.
    start : array, shape (3,), optional
        Unit vector at right angles to the axis, where the arc begins; anywhere unless given.
    span : float
        Radian, counter-clockwise about the axis as seen from outside.

    Returns
    -------
    Arcs
        Of length 1.
    """
    if start is None:
        start = np.cross(np.eye(3)[int(np.argmin(np.abs(axis)))], axis)
        start = start / np.linalg.norm(start)
    second = np.cross(axis, start)
    return Arcs(axis[None], np.array([radius]), start[None], second[None], np.array([span]))


def join_arcs(arcs: list[Arcs]) -> Arcs:
    """Put arcs into one list, which may be empty."""
    nothing = np.empty((0, 3))
    return Arcs(
        np.concatenate([nothing, *(a.axes for a in arcs)]),
        np.concatenate([nothing[:, 0], *(a.radii for a in arcs)]),
        np.concatenate([nothing, *(a.firsts for a in arcs)]),
        np.concatenate([nothing, *(a.seconds for a in arcs)]),
        np.concatenate([nothing[:, 0], *(a.spans for a in arcs)]),
    )

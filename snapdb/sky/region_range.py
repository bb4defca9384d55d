"""Ranges of right ascension and declination as regions of the sphere."""

from itertools import pairwise

import numpy as np

from snapdb.errors import SearchError
from snapdb.sky.region_arcs import QUARTER, Arcs, Piece, circle_arc, join_arcs
from snapdb.sky.region_shapes import Region, whole_sphere, write_region
from snapdb.sky.vectors import to_vectors, vector_separation, wrap_ra
from snapdb.types import FloatArray

_Cap = tuple[FloatArray, float]
"""Axis, and radius in radian."""

_NORTH = np.array([0.0, 0.0, 1.0])
_WIDEST = 120.0
"""Degrees of right ascension in one piece: two half-spaces bound less than 180."""


def ra_dec_range(ra_min: float, ra_max: float, dec_min: float, dec_max: float) -> Region:
    """Make the region between two meridians and two parallels.

    Parameters
    ----------
    ra_min, ra_max : float
        ICRS degrees, eastward from the first to the second: 350 to 10 goes through 0, and 0 to 360
        all the way round. -inf stands for 0, inf for 360.
    dec_min, dec_max : float
        ICRS degrees; infinite, or -90 and 90: to the pole, which belongs to the region.

    Returns
    -------
    Region
        Edges included.

    Raises
    ------
    SearchError
        If the range is empty, more than a whole turn, or goes beyond a pole.
    """
    ra_min, ra_max = _check_ra_range(ra_min, ra_max)
    low, high = _check_dec_range(dec_min, dec_max)
    span = ra_max - ra_min if ra_max > ra_min else ra_max - ra_min + 360.0
    text = write_region("RANGE", ra_min, ra_max, low, high)
    middle = to_vectors(ra_min + 0.5 * span, 0.5 * (low + high))
    bands = _parallels(low, high)
    corners = to_vectors(*np.meshgrid([ra_min, ra_max], [low, high])).reshape(-1, 3)
    if span < 360.0:
        pieces = _lunes(ra_min, ra_max, span, bands)
        anchors, outside = np.concatenate((middle[None], corners)), -to_vectors([ra_min + 0.5 * span], 0.0)
    elif bands:
        pieces = (_piece(bands),)
        anchors, outside = middle[None], -np.array([axis for axis, _ in bands])
    else:
        return whole_sphere(text, middle)
    return Region(
        text=text,
        pieces=pieces,
        arcs=_range_arcs(ra_min, ra_max, span, (low, high)),
        anchors=anchors,
        outside=outside,
        middle=middle,
        reach=_range_reach(middle, corners),
    )


def _check_ra_range(ra_min: float, ra_max: float) -> tuple[float, float]:
    """Take a range of right ascension: from within [0, 360), to within (0, 360]."""
    start, end = 0.0 if ra_min == -np.inf else ra_min, 360.0 if ra_max == np.inf else ra_max
    span = end - start
    span = span + 360.0 if span < 0.0 else span
    if not 0.0 < span <= 360.0:  # NaN too
        msg = (
            f"a range of right ascension from {ra_min} to {ra_max} degrees: expected it to grow "
            "by at most 360, or to go through 0 as from 350 to 10"
        )
        raise SearchError(msg, ra_min=ra_min, ra_max=ra_max)
    return (0.0, 360.0) if span == 360.0 else (float(wrap_ra(start)), float(wrap_ra(end)) or 360.0)


def _check_dec_range(dec_min: float, dec_max: float) -> tuple[float, float]:
    """Take a range of declination."""
    low, high = -90.0 if dec_min == -np.inf else dec_min, 90.0 if dec_max == np.inf else dec_max
    if not -90.0 <= low < high <= 90.0:
        msg = (
            f"a range of declination from {dec_min} to {dec_max} degrees: expected it to grow, from -90 to 90"
        )
        raise SearchError(msg, dec_min=dec_min, dec_max=dec_max)
    return low, high


def _parallels(low: float, high: float) -> list[_Cap]:
    """List the caps north of one parallel and south of another; none where it is the pole."""
    caps = [(_NORTH, float(np.radians(90.0 - low))), (-_NORTH, float(np.radians(90.0 + high)))]
    return [(axis, radius) for axis, radius in caps if radius < np.pi]


def _meridian(ra: float) -> FloatArray:
    """Make the normal of a meridian, towards east."""
    return np.cross(_NORTH, to_vectors(wrap_ra(ra), 0.0))


def _lunes(ra_min: float, ra_max: float, span: float, bands: list[_Cap]) -> tuple[Piece, ...]:
    """Make the pieces between two meridians, each narrow enough, and whatever parallels there are."""
    count = int(np.ceil(span / _WIDEST))
    cuts = [ra_min, *(ra_min + span * i / count for i in range(1, count)), ra_max]
    return tuple(
        _piece([(_meridian(west), QUARTER), (-_meridian(east), QUARTER), *bands])
        for west, east in pairwise(cuts)
    )


def _piece(caps: list[_Cap]) -> Piece:
    """Make the intersection of caps."""
    return Piece(np.array([axis for axis, _ in caps]), np.array([radius for _, radius in caps]))


def _range_arcs(ra_min: float, ra_max: float, span: float, dec: tuple[float, float]) -> Arcs:
    """Make the boundary of a range: parallels, and meridians unless it goes all the way round."""
    start, low, length = to_vectors(ra_min, 0.0), dec[0], float(np.radians(dec[1] - dec[0]))
    arcs = [
        circle_arc(_NORTH, float(np.radians(90.0 - d)), start, float(np.radians(span)))
        for d in dec
        if abs(d) < 90.0
    ]
    if span < 360.0:
        arcs += [circle_arc(-_meridian(ra), QUARTER, to_vectors(ra, low), length) for ra in (ra_min, ra_max)]
    return join_arcs(arcs)


def _range_reach(middle: FloatArray, corners: FloatArray) -> float:
    """Radius of a circle about the middle of a range: that of its corners, if less than a hemisphere."""
    farthest = float(np.radians(np.max(vector_separation(corners, middle))))
    return farthest if farthest < QUARTER else np.pi

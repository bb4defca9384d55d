"""Footprints against regions: overlaps, covers, contains, within.

Oracles, none of which shares code with the library: shapely's exact predicates in the tangent plane, where
great circles are straight lines, put on the sky by the closed inverse of the gnomonic projection
(Calabretta and Greisen 2002, section 5.1.3); closed forms for circles; counting for grids whose cells share
sides and corners; and brute force by dense samples for ranges.
"""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import shapely  # type: ignore[import-untyped]
from hypothesis import assume, given
from hypothesis import strategies as st

from snapdb.sky.footprint import Footprint
from snapdb.sky.region import Region, box, circle, parse_region, polygon, ra_dec_range
from snapdb.sky.relate import Relation, relate
from snapdb.types import BoolArray, FloatArray

Limits = tuple[float, float, float, float]
"""West, span, south, north: degrees."""

RELATIONS: tuple[Relation, ...] = ("overlaps", "covers", "contains", "within")
RIGHT_ASCENSIONS = st.sampled_from([0.0, 1e-9, 90.0, 180.0, 359.9999]) | st.floats(0, 359.999)
DECLINATIONS = st.sampled_from([-90.0, 0.0, 89.9999, 90.0]) | st.floats(-90, 90)
SIZES = st.sampled_from([10 / 3600, 0.13, 0.86, 20.0]) | st.floats(0.003, 20.0)
PLACES = [
    (0.0, 0.0),
    (0.0, 90.0),
    (123.0, -90.0),
    (359.99, 45.0),
    (180.0, -89.9),
    (200.123, 12.34),
    (0.001, -60.0),
]


def _to_sky(plane: FloatArray, ra0: float, dec0: float) -> FloatArray:
    """Tangent-plane radians (east, north) to degrees, by the projection's closed inverse."""
    x, y = plane.T
    dec0 = math.radians(dec0)
    below = math.cos(dec0) - y * math.sin(dec0)
    ra = np.degrees(np.arctan2(x, below)) + ra0
    dec = np.degrees(np.arctan2(math.sin(dec0) + y * math.cos(dec0), np.hypot(x, below)))
    return np.stack((np.mod(ra, 360.0) % 360.0, dec), axis=1)


def _unit(radec: FloatArray) -> FloatArray:
    """Degrees, shape (n, 2), to unit vectors."""
    ra, dec = np.radians(radec).T
    return np.stack((np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)), axis=1)


def _relate(rings: Sequence[FloatArray], region: Region, relation: Relation) -> list[bool]:
    """The library's answer for rings in degrees."""
    counts = np.array([len(ring) for ring in rings], dtype=np.int64)
    return [bool(answer) for answer in relate(np.concatenate(rings), counts, region, relation)]


def _as_polygon(radec: FloatArray) -> Region:
    return polygon([(ra, dec) for ra, dec in radec.tolist()])


@st.composite
def rings(draw: st.DrawFn, least: float = 0.2, most: float = 1.0) -> FloatArray:
    """A star-shaped ring about a point near the origin, convex or not, either way round; size about 1."""
    n = draw(st.integers(3, 8))
    size = draw(st.floats(least, most))
    factors = np.array(draw(st.lists(st.floats(0.3, 1.0), min_size=n, max_size=n)))
    angles = draw(st.floats(0, 2 * math.pi)) + np.arange(n) * 2 * math.pi / n
    center = [draw(st.floats(-0.8, 0.8)), draw(st.floats(-0.8, 0.8))]
    ring = center + 0.5 * size * factors[:, None] * np.stack((np.cos(angles), np.sin(angles)), axis=1)
    return np.asarray(ring[::-1] if draw(st.booleans()) else ring)


def _by_shapely(footprint: FloatArray, region: FloatArray) -> dict[Relation, bool]:
    a, b = shapely.Polygon(footprint), shapely.Polygon(region)
    return {
        "overlaps": a.intersects(b),
        "covers": a.covers(b),
        "contains": a.contains_properly(b),
        "within": a.covered_by(b),
    }


@given(
    st.lists(rings(), min_size=1, max_size=4),
    rings(),
    rings(0.01, 0.1),
    SIZES,
    RIGHT_ASCENSIONS,
    DECLINATIONS,
)
def test_polygons_agree_with_shapely_in_the_plane(
    footprints: list[FloatArray], first: FloatArray, small: FloatArray, size: float, ra0: float, dec0: float
) -> None:
    scale = math.radians(size)
    for ring in (first, small):
        region = _as_polygon(_to_sky(ring * scale, ra0, dec0))
        border = shapely.LinearRing(ring)
        # Within rounding of one another's edges the plane and the sphere may differ: those have tests below.
        clear = [f for f in footprints if shapely.LinearRing(f).distance(border) > 1e-9 or _cross(f, ring)]
        assume(clear)
        skies = [_to_sky(f * scale, ra0, dec0) for f in clear]
        for relation in RELATIONS:
            expected = [_by_shapely(f, ring)[relation] for f in clear]
            assert _relate(skies, region, relation) == expected, relation


def _cross(first: FloatArray, second: FloatArray) -> bool:
    """Whether two rings cross beyond doubt: parts of one lie on either side of the other."""
    a, b = shapely.Polygon(first), shapely.Polygon(second)
    return bool(shapely.area(a.intersection(b)) > 1e-9 and shapely.area(a.difference(b)) > 1e-9)


@given(rings(), rings(), SIZES, RIGHT_ASCENSIONS, DECLINATIONS)
def test_covers_is_within_the_other_way_round(
    first: FloatArray, second: FloatArray, size: float, ra0: float, dec0: float
) -> None:
    scale = math.radians(size)
    for shrink in (1.0, 0.05):
        a, b = _to_sky(first * scale, ra0, dec0), _to_sky(second * shrink * scale, ra0, dec0)
        assert _relate([a], _as_polygon(b), "covers") == _relate([b], _as_polygon(a), "within")
        assert _relate([a], _as_polygon(b), "within") == _relate([b], _as_polygon(a), "covers")
        assert _relate([a], _as_polygon(b), "overlaps") == _relate([b], _as_polygon(a), "overlaps")


@given(rings(), SIZES, RIGHT_ASCENSIONS, DECLINATIONS)
def test_a_footprint_and_itself(ring: FloatArray, size: float, ra0: float, dec0: float) -> None:
    sky = _to_sky(ring * math.radians(size), ra0, dec0)
    turned = np.roll(sky, 1, axis=0)
    for region in (
        _as_polygon(sky),
        _as_polygon(sky[::-1]),
        parse_region(Footprint(tuple(map(tuple, turned)))),
    ):
        for rings_of in (sky, turned, sky[::-1]):
            got = {relation: _relate([rings_of], region, relation) for relation in RELATIONS}
            assert got == {"overlaps": [True], "covers": [True], "contains": [False], "within": [True]}


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> FloatArray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)


@pytest.mark.parametrize("size", [10 / 3600, 0.86, 20.0])
@pytest.mark.parametrize(("ra0", "dec0"), PLACES)
@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_cells_of_a_grid_that_share_sides_and_corners(
    size: float, ra0: float, dec0: float, turn: float
) -> None:
    # Oracle: integer intervals. Cells touch where the intervals do; none is off by more than rounding.
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    cell = math.radians(size) / 2
    spans = [(i, j) for i in range(-2, 3) for j in range(i + 1, 4)]
    corners = [(x0, y0, x1, y1) for x0, x1 in spans for y0, y1 in spans]
    skies = [_to_sky((_rectangle(*c) * cell) @ rotation, ra0, dec0) for c in corners]
    for target in ((0, 0, 1, 1), (-1, 0, 1, 1), (-2, -2, -1, 3)):
        region = _as_polygon(_to_sky((_rectangle(*target) * cell) @ rotation, ra0, dec0))
        a, b = np.array(corners), np.array(target)
        low, high = a[:, :2], a[:, 2:]
        expected = {
            "overlaps": np.all((low <= b[2:]) & (b[:2] <= high), axis=1),
            "covers": np.all((low <= b[:2]) & (b[2:] <= high), axis=1),
            "contains": np.all((low < b[:2]) & (b[2:] < high), axis=1),
            "within": np.all((b[:2] <= low) & (high <= b[2:]), axis=1),
        }
        for relation in RELATIONS:
            got = np.array(_relate(skies, region, relation))
            wrong = [corners[i] for i in np.flatnonzero(got != expected[relation])]
            assert not wrong, (relation, target)


def _distances(ring: FloatArray, center: FloatArray) -> tuple[float, float, bool]:
    """Least distance (radian) of a direction from a ring's edges, its largest from the vertices, and inside.

    Inside by the winding number about the direction; the polygon is smaller than a hemisphere.
    """
    a, b = ring, np.roll(ring, -1, axis=0)
    least = math.inf
    for p, q in zip(a, b, strict=True):
        normal = np.cross(p, q - p)
        normal /= np.linalg.norm(normal)
        foot = center - (center @ normal) * normal
        if np.cross(normal, p) @ foot >= 0 and np.cross(q, normal) @ foot >= 0:
            least = min(least, abs(math.asin(center @ normal)))
        least = min(least, *(2 * math.asin(min(1.0, float(np.linalg.norm(center - v)) / 2)) for v in (p, q)))
    largest = max(2 * math.asin(min(1.0, float(np.linalg.norm(center - v)) / 2)) for v in a)
    triple = np.einsum("ij,ij->i", np.cross(center, a), b)
    along = np.einsum("ij,ij->i", a, b) - (a @ center) * (b @ center)
    winding = float(np.sum(np.arctan2(triple, along)))
    return least, largest, abs(winding) > math.pi and float(a.sum(axis=0) @ center) > 0


def _by_distance(ring: FloatArray, center: FloatArray, radius: float) -> dict[Relation, bool]:
    """Closed form for a circle of at most 90 degrees."""
    least, largest, inside = _distances(ring, center)
    return {
        "overlaps": inside or least <= radius,
        "covers": inside and least >= radius,
        "contains": inside and least > radius,
        "within": largest <= radius,
    }


@given(
    rings(),
    st.floats(-1, 1),
    st.floats(-1, 1),
    st.floats(0.001, 1.5),
    SIZES,
    RIGHT_ASCENSIONS,
    DECLINATIONS,
)
def test_circles_agree_with_distances(
    ring: FloatArray, x: float, y: float, radius: float, size: float, ra0: float, dec0: float
) -> None:
    scale = math.radians(size)
    sky = _to_sky(ring * scale, ra0, dec0)
    position = _to_sky(np.array([[x, y]]) * scale, ra0, dec0)
    vectors, center = _unit(sky), _unit(position)[0]
    least, largest, _ = _distances(vectors, center)
    assume(min(abs(least - radius * scale), abs(largest - radius * scale)) > 1e-14)
    region = circle(position[0, 0], position[0, 1], math.degrees(radius * scale))
    got = {relation: _relate([sky], region, relation)[0] for relation in RELATIONS}
    assert got == _by_distance(vectors, center, radius * scale)
    # What a circle of more than 90 degrees leaves out is the circle about the antipode.
    opposite = circle((position[0, 0] + 180) % 360, -position[0, 1], 180 - math.degrees(radius * scale))
    assume(abs(least - radius * scale) > 1e-13 and abs(largest - radius * scale) > 1e-13)
    expected = _by_distance(vectors, center, radius * scale)
    assert _relate([sky], opposite, "overlaps") == [not expected["within"]]
    assert _relate([sky], opposite, "within") == [not expected["overlaps"]]
    assert _relate([sky], opposite, "covers") == [False]


@pytest.mark.parametrize("radius_arcsec", [1e-4, 0.1, 1.0, 60.0, 3600.0, 36000.0])
def test_circles_that_just_touch_an_edge(radius_arcsec: float) -> None:
    # Oracle: the equator is an edge, and a declination the distance from it.
    square = np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 20.0], [0.0, 20.0]])
    radius = radius_arcsec / 3600
    step = max(1e-9 * radius, math.degrees(1e-14))
    for off, outside, covered in ((-step, False, True), (0.0, True, True), (step, True, False)):
        below = circle(15.0, -radius + off, radius)
        assert _relate([square], below, "overlaps") == [outside]
        above = circle(15.0, radius - off, radius)
        assert _relate([square], above, "covers") == [covered]
        assert _relate([square], above, "contains") == [off < 0]
        assert _relate([square], above, "overlaps") == [True]


@pytest.mark.parametrize("radius_arcsec", [1e-4, 0.1, 60.0, 36000.0])
def test_circles_that_just_reach_a_corner(radius_arcsec: float) -> None:
    # Oracle: along the meridian of the corner, the distance is a difference of declinations.
    triangle = np.array([[100.0, 10.0], [104.0, 18.0], [96.0, 18.0]])
    radius = radius_arcsec / 3600
    step = max(1e-9 * radius, math.degrees(2e-14))
    for off in (-step, 0.0, step):
        assert _relate([triangle], circle(100.0, 10.0 - radius + off, radius), "overlaps") == [off >= 0]
    # A circle about the middle of a small square reaches all four corners or none.
    half = radius / math.sqrt(2)
    square = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
    corner = math.degrees(2 * math.asin(float(np.linalg.norm(_unit(square)[2] - [1, 0, 0])) / 2))
    for off in (-step, step):
        assert _relate([square], circle(0.0, 0.0, corner + off), "within") == [off > 0]


class _Rectangle:
    """A rectangle in the tangent plane, and samples of it."""

    def __init__(self, ra0: float, dec0: float, width: float, height: float, turn: float) -> None:
        self.half = np.array([width, height]) / 2
        rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * self.half
        self.sky = _to_sky(corners @ rotation, ra0, dec0)
        steps = np.linspace(-1, 1, 41)
        grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2) * self.half
        self.samples = _to_sky(grid @ rotation, ra0, dec0)
        self.spacing = max(width, height) / 40
        center, east = _unit(np.array([[ra0, dec0], [ra0 + 90, 0]]))
        self.frame = np.stack((center, *(rotation @ np.stack((east, np.cross(center, east))))))

    def inside(self, radec: FloatArray, margin: float) -> BoolArray:
        """Whether points lie inside by that many radian (a little more far from the centre)."""
        depth, x, y = self.frame @ _unit(radec).T
        with np.errstate(divide="ignore"):
            plane = np.abs(np.stack((x, y), axis=1) / depth[:, None])
        edge = self.half - margin * (1 + float(self.half @ self.half))
        return np.asarray((depth > 1e-9) & np.all(plane <= edge, axis=1))


def _in_range(radec: FloatArray, limits: Limits, margin: float) -> BoolArray:
    """Whether points lie in a range by more than `margin` radian, or, where negative, as near to it."""
    west, span, low, high = limits
    ra, dec = radec.T
    offset = np.mod(ra - west, 360.0)
    reach = np.degrees(margin)
    inside = ((dec >= low + reach) | (low == -90)) & ((dec <= high - reach) | (high == 90))
    if span == 360.0:
        return np.asarray(inside)
    near_pole = np.cos(np.radians(dec)) <= abs(math.sin(margin))
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.degrees(np.arcsin(np.sin(abs(margin)) / np.cos(np.radians(dec))))
    apart = np.where(near_pole, 180.0, apart) * math.copysign(1, margin)
    beside = (offset >= apart) & (offset <= span - apart)
    if margin < 0:
        beside |= offset >= 360.0 + apart
    return np.asarray(inside & beside)


def _sample_range(limits: Limits) -> tuple[FloatArray, float]:
    """A grid of points over a range, edges included, and how far apart they are at most (radian)."""
    west, span, low, high = limits
    ra, dec = np.linspace(west, west + span, 61), np.linspace(low, high, 61)
    points = np.stack(np.meshgrid(ra, dec), axis=-1).reshape(-1, 2)
    widest = math.cos(math.radians(0.0 if low <= 0 <= high else min(abs(low), abs(high))))
    return points, math.radians(max(span * widest, high - low)) / 60


def _by_samples(rectangle: _Rectangle, limits: Limits) -> dict[Relation, bool | None]:
    """Brute force; None where samples cannot tell."""
    margin = rectangle.spacing
    surely, perhaps = (_in_range(rectangle.samples, limits, m) for m in (margin, -margin))
    points, spacing = _sample_range(limits)
    deep, near = rectangle.inside(points, 1e-10), rectangle.inside(points, -1e-10)
    whole = bool(rectangle.inside(points, spacing).all())
    return {
        "overlaps": True if surely.any() or deep.any() else (None if perhaps.any() else False),
        "within": True if surely.all() else (None if perhaps.all() else False),
        "covers": True if whole else (None if near.all() else False),
        "contains": True if whole else (None if near.all() else False),
    }


def _ranges_about(ra: float, dec: float, size: float, rng: np.random.Generator) -> list[Limits]:
    """Ranges (west, span, low, high) of all kinds, near a position."""
    found: list[Limits] = []
    for factor in (0.2, 0.5, 2.0, 6.0):
        for _ in range(2):
            middle = dec + size * rng.uniform(-1, 1)
            low, high = np.clip([middle - size * factor / 2, middle + size * factor / 2], -90, 90).tolist()
            width = min(300.0, size * factor / max(math.cos(math.radians(dec)), 0.02))
            west = (ra + width * rng.uniform(-1.2, 0.2)) % 360.0
            if high - low > 1e-6:
                found += [(west, width, low, high), (west, width, -90.0, high), (0.0, 360.0, low, high)]
                found += [(0.0, 360.0, low, 90.0), (west, width, low, 90.0), (west, 300.0, low, high)]
            found.append((west, 200.0, -90.0, 90.0))
    return found


@pytest.mark.parametrize("size", [10 / 3600, 0.3, 20.0])
@pytest.mark.parametrize(("ra0", "dec0"), [*PLACES, (10.0, 89.0), (250.0, -75.0)])
def test_ranges_agree_with_samples(ra0: float, dec0: float, size: float) -> None:
    rng = np.random.default_rng(20)
    rectangles = [
        _Rectangle(ra0, dec0, math.radians(size) * w, math.radians(size) * h, rng.uniform(0, 6.3))
        for w, h in ((1.0, 1.0), (1.0, 0.5), (0.3, 0.3), (0.05, 0.8))
    ]
    skies = [rectangle.sky for rectangle in rectangles]
    decided: dict[Relation, list[bool]] = {relation: [] for relation in RELATIONS}
    for limits in _ranges_about(ra0, dec0, size, rng):
        west, span, low, high = limits
        region = ra_dec_range(west, west + span, low, high)
        got = {relation: _relate(skies, region, relation) for relation in RELATIONS}
        for i, rectangle in enumerate(rectangles):
            for relation, expected in _by_samples(rectangle, (west, span, low, high)).items():
                if expected is not None:
                    assert got[relation][i] == expected, (relation, limits, rectangle.sky)
                    decided[relation].append(expected)
    for relation in RELATIONS:
        assert len(decided[relation]) > 100, relation
        assert any(decided[relation]) or relation in {"covers", "contains"}
        assert not all(decided[relation]) or abs(dec0) > 89  # near a pole nearly all overlap


def test_ranges_and_parallels() -> None:
    # Oracle: the great circle through (-a, d) and (a, d) reaches tan(dec) = tan(d) / cos(a) in the middle.
    square = np.array([[5.0, 60.0], [15.0, 60.0], [15.0, 55.0], [5.0, 55.0]])
    top = math.degrees(math.atan(math.tan(math.radians(60)) / math.cos(math.radians(5))))
    bottom = math.degrees(math.atan(math.tan(math.radians(55)) / math.cos(math.radians(5))))
    for off in (-1e-11, 1e-11):
        assert _relate([square], ra_dec_range(0, 20, top + off, 70), "overlaps") == [off < 0]
        assert _relate([square], ra_dec_range(0, 20, 50, top + off), "within") == [off > 0]
        assert _relate([square], ra_dec_range(9, 11, bottom + off, 60), "covers") == [off > 0]
        assert _relate([square], ra_dec_range(9, 11, bottom + off, 60), "contains") == [off > 0]
        assert _relate([square], ra_dec_range(9, 11, top - 0.1, top + off), "covers") == [False]
        assert _relate([square], ra_dec_range(15 + off, 20, 50, 70), "overlaps") == [off < 0]
    assert _relate([square], ra_dec_range(15, 20, 50, 70), "overlaps") == [True]
    assert _relate([square], ra_dec_range(5, 15, 50, 70), "within") == [True]
    assert _relate([square], ra_dec_range(5, 15, bottom, 60), "covers") == [True]
    assert _relate([square], ra_dec_range(5, 15, bottom, 60), "contains") == [False]


def test_an_edge_along_the_equator() -> None:
    # Oracle: the equator is a parallel and a great circle: the edge lies on the range's side or off it.
    square = np.array([[5.0, 0.0], [15.0, 0.0], [15.0, 5.0], [5.0, 5.0]])
    for off in (-1e-12, 0.0, 1e-12):
        assert _relate([square], ra_dec_range(0, 20, -5, off), "overlaps") == [off >= 0]
        assert _relate([square], ra_dec_range(0, 20, off, 6), "within") == [off <= 0]
        assert _relate([square], ra_dec_range(6, 14, off, 4), "covers") == [off >= 0]
        assert _relate([square], ra_dec_range(6, 14, off, 4), "contains") == [off > 0]


REGIONS = st.one_of(
    st.builds("CIRCLE {} {} {}".format, st.floats(-2, 2), st.floats(-2, 2), st.floats(0.01, 4)),
    st.builds("CIRCLE {} {} {}".format, st.floats(178, 182), st.floats(-2, 2), st.floats(176, 180)),
    st.builds(
        "BOX {} {} {} {} {}".format,
        st.floats(-2, 2),
        st.floats(-2, 2),
        st.floats(0.01, 4),
        st.floats(0.01, 4),
        st.floats(0, 180),
    ),
    st.builds("RANGE {} 2.5 {} 2.5".format, st.floats(-3, 2), st.floats(-3, 2)),
    st.builds("RANGE {} 358.9 {} 9".format, st.floats(-1, 2), st.floats(-3, 2)),
    st.builds("RANGE 0 360 -1.2 {}".format, st.floats(-1, 2)),
    st.builds("POLYGON 0 0 {} -2 0 3 -2 {}".format, st.floats(1, 4), st.floats(-3, 1)),
)


@given(REGIONS, st.floats(0, 6.3), st.floats(0.2, 2.0), st.floats(0.2, 0.8), st.floats(0.2, 0.8))
def test_a_footprint_that_is_two_rectangles(text: str, turn: float, size: float, x: float, y: float) -> None:
    # Oracle: an L is the union of two rectangles, and what cuts off its corner is none of it.
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    corners = np.array([[0, 0], [1, 0], [1, y], [x, y], [x, 1], [0, 1]], dtype=np.float64)
    parts = [_rectangle(0, 0, 1, y), _rectangle(0, 0, x, 1), _rectangle(x, y, 1, 1)]
    shape, wide, tall, corner = (
        _to_sky((ring @ rotation) * math.radians(size), 0.0, 0.0) for ring in (corners, *parts)
    )
    region = parse_region(text)
    got = {relation: _relate([shape, wide, tall, corner], region, relation) for relation in RELATIONS}
    whole, *pieces = got["overlaps"]
    assert whole == any(pieces[:2])
    whole, *pieces = got["within"]
    assert whole == all(pieces[:2])
    whole, *pieces = got["covers"]
    assert whole >= any(pieces[:2])
    assert not (whole and got["contains"][3])
    if not got["overlaps"][3]:
        full = _to_sky((_rectangle(0, 0, 1, 1) @ rotation) * math.radians(size), 0.0, 0.0)
        for relation in ("covers", "contains"):
            assert _relate([full], region, relation) == [got[relation][0]]


@pytest.mark.parametrize("peak", [3e-9, 1e-8, 2e-8, 1e-6])
def test_an_edge_almost_along_the_equator(peak: float) -> None:
    # Oracle: as above, tan(dec) = tan(peak) cos(ra). Both circles have almost one axis.
    end = math.degrees(math.atan(math.tan(peak) * math.cos(math.radians(10))))
    square = np.array([[350.0, end], [10.0, end], [10.0, -5.0], [350.0, -5.0]])
    for factor in (1 - 1e-4, 1 + 1e-4):
        parallel = math.degrees(peak) * factor
        assert _relate([square], ra_dec_range(0, 360, parallel, 90), "overlaps") == [factor < 1]
        assert _relate([square], ra_dec_range(0, 360, -90, parallel), "within") == [factor > 1]
        assert _relate([square], circle(0, 90, 90 - parallel), "overlaps") == [factor < 1]


def test_a_region_that_leaves_out_less_than_a_footprint() -> None:
    # Oracle: the sphere without a small cap is larger than any footprint; its edge and centre fit in one.
    ring = np.linspace(0, 2 * math.pi, 12, endpoint=False)
    plane = math.tan(math.radians(80)) * np.stack((np.cos(ring), np.sin(ring)), axis=1)
    wide = _to_sky(plane, 180.0, -45.0)
    region = ra_dec_range(0, 360, -89, 90)
    assert Footprint(tuple((ra, dec) for ra, dec in wide.tolist())).contains(*region.center)
    got = {relation: _relate([wide], region, relation) for relation in RELATIONS}
    assert got == {"overlaps": [True], "covers": [False], "contains": [False], "within": [False]}
    assert _relate([wide], circle(0.0, -90.0, 1.0), "contains") == [True]


def test_ranges_at_the_pole() -> None:
    # Oracle: rings at one declination about the pole; their sides dip by the closed form above.
    cap = np.array([[ra, 89.0] for ra in (0.0, 90.0, 180.0, 270.0)])
    nearest = math.degrees(math.atan(math.tan(math.radians(89)) / math.cos(math.radians(45))))
    beside = np.array([[10.0, 89.0], [40.0, 89.0], [40.0, 85.0], [10.0, 85.0]])
    around = [cap, beside]
    assert _relate(around, ra_dec_range(0, 360, nearest + 1e-9, 90), "covers") == [True, False]
    assert _relate(around, ra_dec_range(0, 360, nearest + 1e-9, 90), "contains") == [True, False]
    assert _relate(around, ra_dec_range(0, 360, nearest - 1e-9, 90), "covers") == [False, False]
    assert _relate(around, ra_dec_range(0, 360, 89, 90), "within") == [True, False]
    assert _relate(around, ra_dec_range(0, 360, 80, 89.9), "within") == [False, True]
    assert _relate(around, ra_dec_range(0, 360, 80, 89.9), "covers") == [False, False]
    assert _relate(around, ra_dec_range(100, 110, 80, 90), "overlaps") == [True, False]
    assert _relate(around, ra_dec_range(100, 110, 89.999, 90), "contains") == [True, False]
    assert _relate(around, ra_dec_range(0, 300, 89.999, 90), "contains") == [True, False]
    assert _relate(around, ra_dec_range(0, 300, 80, 90), "within") == [False, True]
    assert _relate(around, parse_region("RANGE -Inf +Inf -Inf +Inf"), "within") == [True, True]
    assert _relate(around, parse_region("RANGE -Inf +Inf -Inf +Inf"), "covers") == [False, False]
    assert _relate(around, parse_region("RANGE -Inf +Inf -90 0"), "overlaps") == [False, False]


@given(
    st.floats(0.01, 100),
    st.floats(0.01, 100),
    st.floats(0, 360),
    RIGHT_ASCENSIONS,
    DECLINATIONS,
    st.integers(0, 99),
)
def test_a_box_is_a_rectangle_in_the_tangent_plane(
    width: float, height: float, angle: float, ra0: float, dec0: float, seed: int
) -> None:
    region = box(ra0, dec0, width, height, angle)
    half = np.tan(np.radians([width, height]) / 2)
    points = np.random.default_rng(seed).uniform(-1.3, 1.3, (200, 2)) * half
    turn = math.radians(angle)
    up, right = np.array([math.sin(turn), math.cos(turn)]), np.array([math.cos(turn), -math.sin(turn)])
    ra, dec = _to_sky(points @ np.stack((right, up)), ra0, dec0).T
    clear = np.all(np.abs(np.abs(points) - half) > 1e-12 * (1 + half @ half), axis=1)
    expected = np.all(np.abs(points) <= half, axis=1)
    np.testing.assert_array_equal(region.contains(ra, dec)[clear], expected[clear])

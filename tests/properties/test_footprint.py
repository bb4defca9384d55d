"""Footprints against plane polygons.

The oracle never looks at the sphere: a polygon and positions are made in a tangent plane, where great
circles are straight lines, and inside is found by casting rays; the closed form of the gnomonic
projection (Calabretta and Greisen 2002, section 5.1.3) then puts them on the sky.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdb.errors import ProjectionError, ShapeError, UsageError
from snapdb.sky.footprint import EDGE_TOLERANCE, Footprint, footprint_from_vertices
from snapdb.sky.vectors import to_radec, to_vectors
from snapdb.types import BoolArray, FloatArray

RIGHT_ASCENSIONS = st.sampled_from([0.0, 1e-9, 90.0, 180.0, 359.9999]) | st.floats(0, 359.999)
DECLINATIONS = st.sampled_from([-90.0, 0.0, 89.9999, 90.0]) | st.floats(-90, 90)
SIZES = st.sampled_from([10 / 3600, 0.13, 0.86, 20.0]) | st.floats(0.002, 20.0)


def _to_sky(plane: FloatArray, ra0: float, dec0: float) -> tuple[FloatArray, FloatArray]:
    """Tangent-plane radians (east, north) to degrees, by the projection's closed inverse."""
    x, y = plane.T
    dec0 = math.radians(dec0)
    rho = np.hypot(x, y)
    below = math.cos(dec0) - y * math.sin(dec0)
    ra = np.degrees(np.arctan2(x, below)) + ra0
    dec = np.degrees(np.arctan2(math.sin(dec0) + y * math.cos(dec0), np.hypot(x, below)))
    assert np.all(np.isfinite(rho))
    return np.mod(ra, 360.0) % 360.0, dec


def _cast_rays(ring: FloatArray, points: FloatArray) -> tuple[BoolArray, FloatArray]:
    """Even-odd rule in the plane, and how far each point lies from the nearest edge."""
    inside = np.zeros(len(points), dtype=bool)
    distance = np.full(len(points), np.inf)
    for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            at = x1 + (points[:, 1] - y1) / (y2 - y1) * (x2 - x1)
        inside ^= ((y1 > points[:, 1]) != (y2 > points[:, 1])) & (points[:, 0] < at)
        edge = np.array([x2 - x1, y2 - y1])
        t = np.clip(((points - [x1, y1]) @ edge) / (edge @ edge), 0, 1)
        distance = np.minimum(distance, np.linalg.norm(points - ([x1, y1] + t[:, None] * edge), axis=1))
    return inside, distance


@st.composite
def polygons(draw: st.DrawFn) -> tuple[FloatArray, float, float, float]:
    """A star-shaped ring, convex or not, either way round, in the tangent plane at (ra0, dec0)."""
    n = draw(st.integers(3, 9))
    radius = math.radians(draw(SIZES)) / 2
    factors = np.array(draw(st.lists(st.floats(0.3, 1.0), min_size=n, max_size=n)))
    turn = draw(st.floats(0, 2 * math.pi))
    angles = turn + np.arange(n) * 2 * math.pi / n
    ring = radius * factors[:, None] * np.stack((np.cos(angles), np.sin(angles)), axis=1)
    if draw(st.booleans()):
        ring = ring[::-1]
    return ring, draw(RIGHT_ASCENSIONS), draw(DECLINATIONS), radius


@given(polygons(), st.integers(0, 2**32 - 1))
def test_contains_agrees_with_rays_in_the_plane(
    polygon: tuple[FloatArray, float, float, float], seed: int
) -> None:
    ring, ra0, dec0, radius = polygon
    points = np.random.default_rng(seed).uniform(-1.2 * radius, 1.2 * radius, (200, 2))
    inside, distance = _cast_rays(ring, points)
    footprint = footprint_from_vertices(zip(*(c.tolist() for c in _to_sky(ring, ra0, dec0)), strict=True))
    ra, dec = _to_sky(points, ra0, dec0)
    clear = distance > 1e-14
    np.testing.assert_array_equal(footprint.contains(ra, dec)[clear], inside[clear])
    opposite = footprint.contains((ra + 180.0) % 360.0, -dec)
    assert not opposite.any()
    vectors = to_vectors(ra, dec)
    by_pieces = np.zeros(len(ra), dtype=bool)
    for normals in footprint.pieces():
        assert normals.shape == (4, 3)
        by_pieces |= np.all(vectors @ normals.T >= -EDGE_TOLERANCE, axis=1)
    np.testing.assert_array_equal(by_pieces[clear], inside[clear])


@given(polygons())
def test_vertices_and_edges_are_inside(polygon: tuple[FloatArray, float, float, float]) -> None:
    ring, ra0, dec0, _ = polygon
    ra, dec = _to_sky(ring, ra0, dec0)
    footprint = footprint_from_vertices(zip(ra.tolist(), dec.tolist(), strict=True))
    assert footprint.contains(ra, dec).all()
    a = to_vectors(ra, dec)
    b = np.roll(a, -1, axis=0)
    for t in (0.5, 0.1, 0.9):
        on_edge = (1 - t) * a + t * b
        assert footprint.contains(*to_radec(on_edge)).all()


@given(polygons(), st.integers(0, 2**32 - 1))
def test_bounding_box_holds_the_inside_and_no_more(
    polygon: tuple[FloatArray, float, float, float], seed: int
) -> None:
    ring, ra0, dec0, radius = polygon
    footprint = footprint_from_vertices(zip(*(c.tolist() for c in _to_sky(ring, ra0, dec0)), strict=True))
    low, high = footprint.bounding_box()
    points = np.random.default_rng(seed).uniform(-radius, radius, (500, 2))
    points = points[_cast_rays(ring, points)[0]]
    # Brute force: the extremes of a convex or star-shaped ring lie on its border or at a pole of an axis.
    t = np.linspace(0, 1, 2000)[:, None]
    border = np.concatenate([p + t * (q - p) for p, q in zip(ring, np.roll(ring, -1, axis=0), strict=True)])
    inside = to_vectors(*_to_sky(points, ra0, dec0)).reshape(-1, 3)
    around = to_vectors(*_to_sky(border, ra0, dec0))
    everything = np.concatenate((inside, around))
    assert np.all(everything >= low)
    assert np.all(everything <= high)
    step = 2 * radius / 1000
    loose_low, loose_high = around.min(axis=0) - low, high - around.max(axis=0)
    for axis in range(3):
        pole = np.zeros(3)
        pole[axis] = 1.0
        if not footprint.contains_vectors(-pole):
            assert loose_low[axis] < step**2 + 1e-12
        if not footprint.contains_vectors(pole):
            assert loose_high[axis] < step**2 + 1e-12


def test_area_of_an_octant_is_an_eighth_of_the_sphere() -> None:
    octant = footprint_from_vertices([(0, 0), (90, 0), (0, 90)])
    assert octant.area_deg2 == pytest.approx(4 * math.pi * math.degrees(1) ** 2 / 8, rel=1e-14)
    low, high = octant.bounding_box()
    np.testing.assert_allclose(low, 0, atol=1e-12)
    np.testing.assert_allclose(high, 1, atol=1e-12)


def test_area_of_ten_arcseconds_squared_keeps_its_digits() -> None:
    half = 5 / 3600
    small = footprint_from_vertices(
        [(10 - half, -half), (10 + half, -half), (10 + half, half), (10 - half, half)]
    )
    # Planar to (5 arcsec)^2 / 6, about 1e-10.
    assert small.area_deg2 == pytest.approx((2 * half) ** 2, rel=1e-9)


def test_around_the_pole() -> None:
    cap = footprint_from_vertices([(0, 89), (90, 89), (180, 89), (270, 89)])
    assert cap.contains(123.0, 90.0)
    # The edge's middle lies at tan(dec) = tan(89) / cos(45).
    middle = math.degrees(math.atan(math.tan(math.radians(89)) / math.cos(math.radians(45))))
    assert cap.contains(45.0, middle + 1e-9)
    assert not cap.contains(45.0, middle - 1e-9)
    assert cap.bounding_box()[1][2] == pytest.approx(1.0, abs=1e-12)
    assert cap.contains(np.empty(0), np.empty(0)).shape == (0,)
    assert not cap.contains(math.nan, 90.0)


def test_contains_keeps_the_shape_asked() -> None:
    square = footprint_from_vertices([(359, -1), (1, -1), (1, 1), (359, 1)])
    assert square.contains(0.0, 0.0) is True
    grid = square.contains(np.zeros((2, 3)), np.zeros((2, 3)))
    assert grid.shape == (2, 3)
    assert grid.all()


@pytest.mark.parametrize(
    ("vertices", "reason"),
    [
        ([(0, 0), (0, 1), (1, 0), (1, 1)], "ring order"),
        ([(0, 0), (90, 0), (180, 0), (270, 0)], "hemisphere"),
        ([(0, -10), (120, -10), (240, -10)], ""),
        ([(0, 0), (1, 0), (2, 0)], "no area|cross"),
        ([(0, 0), (1, 0), (1, 0), (0, 0)], "at least 3"),
        ([(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)], "cross"),
    ],
)
def test_what_is_no_polygon_is_refused(vertices: list[tuple[float, float]], reason: str) -> None:
    if not reason:  # a ring about the south pole: fine, its inside is the smaller side
        assert footprint_from_vertices(vertices).contains(10.0, -90.0)
        return
    with pytest.raises(ShapeError, match=reason):
        footprint_from_vertices(vertices)


@pytest.mark.parametrize("vertex", [(math.nan, 0.0), (0.0, math.inf), (0.0, 90.5)])
def test_poison_is_refused(vertex: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="expected"):
        footprint_from_vertices([(0, 0), (1, 0), vertex])


class _Bent:
    """A plate carree about (0, 0) whose rows bend: y grows by `bend` x**2 pixels; 1 arcsec a pixel."""

    def __init__(self, bend: float) -> None:
        self.bend = bend

    def pixel_to_world(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        plane = np.radians(np.stack((x - 500, y + self.bend * (x - 500) ** 2), axis=-1) / 3600)
        ra, dec = _to_sky(plane.reshape(-1, 2), 0.0, 30.0)
        return ra.reshape(x.shape), dec.reshape(x.shape)


@pytest.mark.parametrize("bend", [0.0, 1e-6, 1e-5, -1e-5, 1e-4])
def test_border_lies_within_a_tenth_of_a_pixel(bend: float) -> None:
    footprint = Footprint.from_wcs(_Bent(bend), 1001, 801)
    # A parabola over a chord of length L lies bend L**2 / 4 above it: so many chords are needed.
    least = math.ceil(math.sqrt(abs(bend) * 1000**2 / 4 / 0.1) - 1e-9) if bend * 1000**2 / 4 else 1
    per_side = (len(footprint.vertices) - 2) / 2
    assert least <= max(per_side, 1) <= 2.5 * least + 1
    if bend == 0.0:
        assert len(footprint.vertices) == 4
    x = np.linspace(-0.5, 1000.5, 997)
    for y, outward in ((-0.5, -1), (800.5, 1)):
        inner = _Bent(bend).pixel_to_world(x[1:-1], np.full(995, y - outward * 0.11))
        outer = _Bent(bend).pixel_to_world(x[1:-1], np.full(995, y + outward * 0.11))
        assert footprint.contains(*inner).all()
        assert not footprint.contains(*outer).any()


def test_corners_come_in_ring_order() -> None:
    wcs = _Bent(0.0)
    footprint = Footprint.from_wcs(wcs, 1001, 801)
    corners = wcs.pixel_to_world(np.array([-0.5, 1000.5, 1000.5, -0.5]), np.array([-0.5, -0.5, 800.5, 800.5]))
    np.testing.assert_allclose(footprint.vertices, np.transpose(corners), rtol=1e-14)


class _Holed(_Bent):
    """A projection that ends before the image does."""

    def pixel_to_world(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        ra, dec = super().pixel_to_world(x, y)
        return np.where(np.asarray(x) > 900, np.nan, ra), dec


def test_border_that_does_not_project_is_refused() -> None:
    with pytest.raises(ProjectionError, match="does not project"):
        Footprint.from_wcs(_Holed(0.0), 1001, 801)

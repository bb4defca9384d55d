"""Regions: their text, their errors, which positions they hold, and the box around them."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdb.errors import SearchError
from snapdb.sky.footprint import Footprint
from snapdb.sky.region import Region, box, circle, parse_region, polygon, ra_dec_range
from snapdb.sky.relate import relate
from snapdb.sky.vectors import separation, to_vectors
from snapdb.types import FloatArray

SQUARE = ((10.0, 10.0), (11.0, 10.0), (11.0, 11.0), (10.0, 11.0))


@pytest.mark.parametrize(
    ("given_text", "canonical"),
    [
        ("CIRCLE 10 20 0.5", "CIRCLE 10 20 0.5"),
        ("circle  370.0,-20 , 5e-1", "CIRCLE 10 -20 0.5"),
        ("Circle -10 90 0", "CIRCLE 350 90 0"),
        ("RANGE 350 10 -5 +5", "RANGE 350 10 -5 5"),
        ("RANGE -10 10 -5 +5", "RANGE 350 10 -5 5"),
        ("RANGE 350 370 -5 +5", "RANGE 350 10 -5 5"),
        ("RANGE 350 360 -5 +5", "RANGE 350 360 -5 5"),
        ("RANGE 300 0 -5 +5", "RANGE 300 360 -5 5"),
        ("range -Inf +Inf -inf 0", "RANGE 0 360 -90 0"),
        ("RANGE 20 +Inf 3 Inf", "RANGE 20 360 3 90"),
        ("RANGE -Inf 20 3 90", "RANGE 0 20 3 90"),
        ("RANGE -180 180 -90 90", "RANGE 0 360 -90 90"),
        ("POLYGON 1 2 3 2 3 4", "POLYGON 1 2 3 2 3 4"),
        ("polygon 1,2,3,2,3,4,1,2", "POLYGON 1 2 3 2 3 4"),
        ("BOX 10 20 3", "BOX 10 20 3 3 0"),
        ("BOX 10 20 3 4", "BOX 10 20 3 4 0"),
        ("box 10 20 3 4 -30", "BOX 10 20 3 4 330"),
        ("POLYGON ICRS 1 2 3 2 3 4", "POLYGON 1 2 3 2 3 4"),
        ('circle(10,20,1800")', "CIRCLE 10 20 0.5"),
        ("box(10, 20, 90', 0.5d, 0)", "BOX 10 20 1.5 0.5 0"),
    ],
)
def test_text_has_one_canonical_form(given_text: str, canonical: str) -> None:
    region = parse_region(given_text)
    assert region.text == canonical
    again = parse_region(canonical)
    assert again.text == canonical
    assert again == region
    assert hash(again) == hash(region)
    assert parse_region(region) is region


@given(
    st.floats(-360, 720), st.floats(-90, 90), st.floats(1e-9, 180), st.floats(1e-6, 179), st.floats(-90, 90)
)
def test_text_keeps_every_digit(ra: float, dec: float, radius: float, span: float, other: float) -> None:
    made = [circle(ra, dec, radius), box(ra, dec, min(radius, 170.0), 0.1, other)]
    if dec != other:
        made.append(ra_dec_range(ra, ra + span, min(dec, other), max(dec, other)))
    for region in made:
        again = parse_region(region.text)
        assert again.text == region.text
        np.testing.assert_array_equal(again.extremes(), region.extremes())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected 'CIRCLE"),
        ("ELLIPSE 1 2 3", "expected 'CIRCLE"),
        ("CIRCLE 1 2", "2 numbers: expected 3"),
        ("CIRCLE 1 2 3 4", "4 numbers: expected 3"),
        ("CIRCLE 1 2 x", "'x'"),
        ("CIRCLE 1 2 '", "number of degrees"),
        ("CIRCLE FK5 1 2 3", "'FK5'"),
        ("CIRCLE ICRS", "0 numbers: expected 3"),
        ("CIRCLE 1 2 nan", "'nan'"),
        ("CIRCLE 1 2 -1", "0 to 180"),
        ("CIRCLE 1 2 181", "0 to 180"),
        ("CIRCLE inf 2 1", "finite"),
        ("CIRCLE 1 91 1", "between -90 and 90"),
        ("RANGE 1 2 3", "3 numbers: expected 4"),
        ("RANGE 1 1 2 3", "right ascension from 1.0 to 1.0"),
        ("RANGE 0 361 2 3", "at most 360"),
        ("RANGE +Inf 3 2 3", "right ascension"),
        ("RANGE 1 2 3 3", "declination from 3.0 to 3.0"),
        ("RANGE 1 2 -91 3", "declination"),
        ("POLYGON 1 2 3 4", "three or more pairs"),
        ("POLYGON 1 2 3 4 5 6 7", "three or more pairs"),
        ("POLYGON 0 0 1 1 1 0 0 1", "cross"),
        ("POLYGON 0 0 1 0 2 0", "cross|no area"),
        ("POLYGON 0 0 120 0 240 0", "hemisphere"),
        ("POLYGON 0 0 1 95 2 0", "between -90 and 90"),
        ("BOX 1 2", "2 numbers: expected 3 to 5"),
        ("BOX 1 2 0", "width 0"),
        ("BOX 1 2 3 180", "height 180"),
        ("BOX 1 2 3 4 inf", "position angle"),
    ],
)
def test_what_is_no_region_is_refused(text: str, says: str) -> None:
    with pytest.raises(SearchError, match=says):
        parse_region(text)


def test_other_types_are_refused() -> None:
    with pytest.raises(SearchError, match="type list"):
        parse_region([1, 2, 3])
    with pytest.raises(SearchError, match="expected one of overlaps, covers, contains, within"):
        relate(np.array(SQUARE), np.array([4]), circle(0, 0, 1), "touches")  # type: ignore[arg-type]


def test_a_footprint_becomes_a_polygon() -> None:
    assert parse_region(Footprint(SQUARE)) == polygon(SQUARE)


@pytest.mark.parametrize("text", ["CIRCLE 10 20 0.5", "RANGE 350 10 -5 5", "BOX 1 2 3"])
def test_regions_travel_between_processes(text: str) -> None:
    region = parse_region(text)
    again: Region = pickle.loads(pickle.dumps(region))  # our own bytes
    assert again == region
    np.testing.assert_array_equal(again.extremes(), region.extremes())
    assert again.contains(*region.center)


def test_positions_as_numbers_and_arrays() -> None:
    region = circle(0.0, 0.0, 1.0)
    assert region.contains(0.5, 0.5) is True
    assert region.contains(math.nan, 0.5) is False
    ra, dec = np.array([[359.5, 2.0], [0.0, np.nan]]), np.array([[0.5, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(region.contains(ra, dec), [[True, False], [True, False]])
    everywhere = parse_region("RANGE -Inf Inf -Inf Inf")
    np.testing.assert_array_equal(everywhere.contains(ra, dec), [[True, True], [True, False]])


@given(
    st.floats(0, 359.99),
    st.sampled_from([-90.0, 0.0, 90.0]) | st.floats(-90, 90),
    st.floats(-7, 2.2).map(lambda power: 10.0**power),
    st.integers(0, 99),
)
def test_circles_hold_what_is_near(ra: float, dec: float, radius: float, seed: int) -> None:
    # Oracle: the distance by its own formula. Positions are spread about the centre, at 0 to 2 radii.
    rng = np.random.default_rng(seed)
    region = circle(ra, dec, radius)
    up = rng.uniform(-2, 2, 100) * radius
    aside = rng.uniform(-2, 2, 100) * radius / max(math.cos(math.radians(dec)), 0.01)
    positions = np.mod(ra + aside, 360.0), np.clip(dec + up, -90, 90)
    distance = separation(ra, dec, *positions)
    clear = np.abs(distance - radius) > 1e-9 * radius + 1e-13
    np.testing.assert_array_equal(region.contains(*positions)[clear], (distance <= radius)[clear])


RANGES = [
    (350.0, 10.0, -5.0, 5.0),
    (10.0, 350.0, -5.0, 5.0),
    (0.0, 360.0, 30.0, 40.0),
    (0.0, 360.0, 89.0, 90.0),
    (100.0, 101.0, -90.0, 90.0),
    (0.0, 359.0, -90.0, -10.0),
    (200.0, 60.0, -89.9, 89.9),
    (0.0, 360.0, -90.0, 90.0),
    (359.999, 0.001, 0.0, 1e-3),
]


@pytest.mark.parametrize("limits", RANGES)
def test_ranges_hold_what_lies_between(limits: tuple[float, float, float, float]) -> None:
    # Oracle: comparison of right ascensions and declinations as numbers.
    west, east, low, high = limits
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 360, 20_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 20_000)))
    near = rng.uniform(-1, 1, (2, 20_000)) * 2 * (high - low)
    ra = np.concatenate((ra, np.mod(west + near[0], 360.0), np.mod(east + near[0], 360.0)))
    dec = np.concatenate((dec, np.clip(low + near[1], -90, 90), np.clip(high + near[1], -90, 90)))
    between = (ra >= west) & (ra <= east) if west < east else (ra >= west) | (ra <= east)
    between |= np.abs(dec) == 90  # a pole has every right ascension
    region = ra_dec_range(*limits)
    np.testing.assert_array_equal(region.contains(ra, dec), between & (dec >= low) & (dec <= high))
    corners = np.array([[r, d] for r in (west, east) for d in (low, high)])
    assert region.contains(corners[:, 0], corners[:, 1]).all()
    assert region.contains(*region.center)


def _directions(count: int) -> FloatArray:
    """Directions spread evenly (Fibonacci lattice)."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.arange(count) * math.pi * (3 - math.sqrt(5))
    return np.stack((np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z), axis=1)


@pytest.mark.parametrize(
    "text",
    [
        "CIRCLE 10 20 60",
        "CIRCLE 10 20 120",
        "CIRCLE 0 0 30",
        "CIRCLE 3 89 10",
        "CIRCLE 10 20 180",
        "BOX 200 -40 30 50 20",
        "BOX 90 0 100 100",
        "POLYGON 350 -30 30 -20 5 0 40 30 340 20",
        *("RANGE " + " ".join(map(str, limits)) for limits in RANGES[:8]),
    ],
)
def test_extremes_reach_as_far_as_the_region(text: str) -> None:
    # Brute force: the box about those of 400,000 directions, spread evenly, that lie inside.
    region = parse_region(text)
    extremes = region.extremes()
    np.testing.assert_allclose(np.linalg.norm(extremes, axis=1), 1.0, atol=1e-15)
    low, high = extremes.min(axis=0), extremes.max(axis=0)
    inside = _directions(400_000)
    inside = inside[region.contains_vectors(inside)]
    assert np.all(inside.min(axis=0) >= low)
    assert np.all(inside.max(axis=0) <= high)
    np.testing.assert_allclose(inside.min(axis=0), low, atol=0.02)
    np.testing.assert_allclose(inside.max(axis=0), high, atol=0.02)
    nearest = np.min([np.linalg.norm(inside - point, axis=1).min() for point in extremes])
    assert nearest < 0.02


@given(
    st.sampled_from([0.0, 90.0, 180.0, 270.0]) | st.floats(0, 359.99),
    st.sampled_from([-90.0, -89.99999, 0.0, 90.0]) | st.floats(-90, 90),
    st.floats(-8, 2).map(lambda power: 10.0**power),
)
def test_extremes_of_circles(ra: float, dec: float, radius: float) -> None:
    # Closed form: along each axis a circle reaches from the angle of its centre, less and more its radius.
    extremes = circle(ra, dec, radius).extremes()
    center = to_vectors(ra, dec)
    # Close to an axis, points are moved farther, for there the cosine hardly grows.
    ends = np.arccos(np.abs(extremes)).min()
    loose = 1e-9 * math.radians(radius) + (3e-12 if ends > 0.01 else 1e-7)
    for axis in range(3):
        sine = float(np.linalg.norm(np.delete(center, axis)))
        angle, r = math.atan2(sine, float(center[axis])), math.radians(radius)
        high = math.cos(max(0.0, angle - r))
        low = math.cos(min(math.pi, angle + r))
        found = extremes[:, axis]
        assert found.max() >= high
        assert found.min() <= low
        assert found.max() <= high + loose
        assert found.min() >= low - loose


def test_a_circle_of_no_size_is_a_position() -> None:
    square = np.array(SQUARE)
    for ra, dec, held, free in (
        (10.5, 10.5, True, True),
        (10.0, 10.0, True, False),
        (9.9, 10.0, False, False),
    ):
        region = circle(ra, dec, 0.0)
        answers = [
            bool(relate(square, np.array([4]), region, relation)[0])
            for relation in ("overlaps", "covers", "contains", "within")
        ]
        assert answers == [held, held, free, False]


def test_no_footprints_at_all() -> None:
    nothing = relate(np.empty((0, 2)), np.empty(0, dtype=np.int64), circle(0, 0, 1), "overlaps")
    assert nothing.shape == (0,)

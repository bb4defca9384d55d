"""Positions against footprints, many by many.

Two oracles. The winding of a ring's bearings as seen from the position, one turn inside and none
outside (Bevis and Chatelain 1989, Mathematical Geology 21, 811), shares nothing with the code under
test; near an edge, where it cannot tell, and for its number of pairs, every footprint is asked for
every position by itself (``Footprint.contains``, which has rays in the plane as its own oracle).
"""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from snapdb.errors import ShapeError
from snapdb.sky.footprint import Footprint
from snapdb.sky.matching import CutFootprints, SortedPositions, cut_footprints, match_positions
from snapdb.sky.vectors import to_radec, to_vectors
from snapdb.types import FloatArray

Ring = tuple[tuple[float, float], ...]

CENTERS = st.one_of(
    st.tuples(st.floats(0, 359.99), st.floats(-90, 90)),
    st.tuples(st.sampled_from([0.0, 1e-9, 359.9999999, 180.0]), st.floats(-80, 80)),
    st.tuples(st.floats(0, 359.99), st.sampled_from([90.0, -90.0, 89.9999, -89.9999])),
)
SIZES = st.sampled_from([10 / 3600, 0.13, 0.86, 20.0]) | st.floats(0.002, 20.0)


def make_ring(center: tuple[float, float], polar: list[tuple[float, float]]) -> Ring:
    """Corners at (bearing in radians, distance in degrees) about a centre."""
    c = to_vectors(*center)
    first = np.cross(np.eye(3)[np.argmin(np.abs(c))], c)
    first /= np.linalg.norm(first)
    second = np.cross(c, first)
    bearing, distance = np.array(polar).T
    toward = np.cos(bearing)[:, None] * first + np.sin(bearing)[:, None] * second
    distance = np.radians(distance)[:, None]
    ra, dec = to_radec(np.cos(distance) * c + np.sin(distance) * toward)
    return tuple(zip(ra.tolist(), dec.tolist(), strict=True))


@st.composite
def rings(draw: st.DrawFn, centers: st.SearchStrategy[tuple[float, float]] = CENTERS) -> Ring:
    """A star-shaped ring of 3 to 9 corners, convex or not, either way round."""
    n = draw(st.integers(3, 9))
    size = draw(SIZES) / 2
    factors = draw(st.lists(st.floats(0.3, 1.0), min_size=n, max_size=n))
    turn = draw(st.floats(0, 1))
    polar = [(2 * np.pi * (i + turn) / n, size * f) for i, f in enumerate(factors)]
    return make_ring(draw(centers), polar if draw(st.booleans()) else polar[::-1])


def cut(rings_: list[Ring]) -> CutFootprints:
    vertices = np.array([v for ring in rings_ for v in ring], dtype=np.float64).reshape(-1, 2)
    return cut_footprints(vertices, np.array([len(ring) for ring in rings_], dtype=np.int64))


def positions_about(rings_: list[Ring], seed: int, number: int = 40) -> tuple[FloatArray, FloatArray]:
    """Positions in and about each ring, its vertices, and places that grids and angles make special."""
    random = np.random.default_rng(seed)
    vectors = [np.eye(3), -np.eye(3)]
    special = [(0.0, 90.0), (77.0, -90.0), (0.0, 0.0), (360.0, 0.0), (180.0, 0.0)]
    for ring in rings_:
        corners = to_vectors(*np.array(ring).T)
        center = corners.mean(axis=0)
        spread = np.linalg.norm(corners - center, axis=1).max()
        vectors.append(center + random.normal(scale=0.6 * spread, size=(number, 3)))
        vectors.append(corners + np.roll(corners, 1, axis=0))  # middles of edges
        special += ring
    ra, dec = to_radec(np.concatenate(vectors))
    more = np.array(special)
    return np.concatenate((ra, more[:, 0])), np.concatenate((dec, more[:, 1]))


def all_pairs(
    ra: FloatArray, dec: FloatArray, blocks: list[CutFootprints], limit: int = 1000
) -> set[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for rows, images in match_positions(ra, dec, blocks, limit=limit):
        assert rows.dtype == images.dtype == np.int64
        assert 0 < len(rows) == len(images) <= limit
        found += zip(rows.tolist(), images.tolist(), strict=True)
    assert len(found) == len(set(found)), "a pair was given twice"
    return set(found)


def asked_one_by_one(ra: FloatArray, dec: FloatArray, rings_: list[Ring]) -> set[tuple[int, int]]:
    return {
        (int(row), image)
        for image, ring in enumerate(rings_)
        for row in np.flatnonzero(Footprint(ring).contains(ra, dec))
    }


def winds_round(ring: Ring, ra: float, dec: float) -> bool | None:
    """The independent oracle; None within 1e-12 radian of an edge."""
    v, corners = to_vectors(ra, dec), to_vectors(*np.array(ring).T)
    if v @ corners.mean(axis=0) <= 0:  # the other side of the sky sees the ring mirrored
        return False
    normals = np.cross(corners, np.roll(corners, -1, axis=0))
    if np.any(np.abs(normals @ v) < 1e-12 * np.linalg.norm(normals, axis=1)):
        return None
    first = np.cross(np.eye(3)[np.argmin(np.abs(v))], v)
    bearings = np.arctan2(corners @ first, corners @ np.cross(v, first))
    turns = np.diff(np.append(bearings, bearings[0]))
    return bool(abs(np.sum((turns + np.pi) % (2 * np.pi) - np.pi)) > np.pi)


@settings(max_examples=80, deadline=None)
@given(ring=rings(), seed=st.integers(0, 2**32 - 1))
@example(ring=make_ring((0, 90), [(n * np.pi / 2, 10) for n in range(4)]), seed=1)
@example(ring=make_ring((0, -90), [(n * np.pi / 2, 0.002) for n in range(4)]), seed=2)
@example(ring=((359.5, -0.5), (0.5, -0.5), (0.5, 0.5), (359.5, 0.5)), seed=3)
@example(ring=((0.0, -10.0), (120.0, -10.0), (240.0, -10.0)), seed=4)
@example(ring=((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (2.0, 1.0), (0.0, 4.0)), seed=5)
def test_one_footprint_agrees_with_winding(ring: Ring, seed: int) -> None:
    ra, dec = positions_about([ring], seed)
    found = {row for row, _ in all_pairs(ra, dec, [cut([ring])])}
    expected = [winds_round(ring, a, d) for a, d in zip(ra.tolist(), dec.tolist(), strict=True)]
    wrong = [row for row, inside in enumerate(expected) if inside is not None and inside != (row in found)]
    assert wrong == []


@settings(max_examples=80, deadline=None)
@given(
    many=st.lists(rings(), max_size=12),
    together=st.lists(rings(st.just((0.0, 0.0))), max_size=8),
    split=st.integers(0, 20),
    seed=st.integers(0, 2**32 - 1),
)
def test_many_agree_with_one_by_one(many: list[Ring], together: list[Ring], split: int, seed: int) -> None:
    everything = many + together + together[:2]  # equal footprints are found each for itself
    ra, dec = positions_about(everything, seed, 20)
    ra, dec = np.concatenate((ra, ra[:7])), np.concatenate((dec, dec[:7]))  # equal positions too
    blocks = [cut(everything[:split]), cut([]), cut(everything[split:])]
    assert all_pairs(ra, dec, blocks, limit=17) == asked_one_by_one(ra, dec, everything)


@settings(max_examples=30, deadline=None)
@given(center=CENTERS, size=SIZES, turn=st.floats(0, 1))
def test_vertices_and_edges_count_as_inside(center: tuple[float, float], size: float, turn: float) -> None:
    ring = make_ring(center, [(np.pi / 2 * (n + turn), size / 2) for n in range(4)])
    corners = to_vectors(*np.array(ring).T)
    ra, dec = to_radec(np.concatenate((corners, corners + np.roll(corners, 1, axis=0))))
    assert all_pairs(ra, dec, [cut([ring])]) == {(row, 0) for row in range(8)}


@pytest.mark.parametrize("size", [10 / 3600, 0.13, 5.0])
def test_thousands_in_cells_of_every_size_agree_with_one_by_one(size: float) -> None:
    random = np.random.default_rng(20)
    spread = 15 * size
    centers = np.stack(
        (random.uniform(0, spread, 1500) % 360, random.uniform(-spread / 2, spread / 2, 1500)), 1
    )
    centers[:, 1] = np.clip(centers[:, 1], -85, 85)
    corners = [(np.pi / 2 * n, size / 2) for n in range(4)]
    many = [make_ring((a, d), corners) for a, d in centers.tolist()]
    ra = random.uniform(0, spread, 3000) % 360
    dec = np.clip(random.uniform(-spread / 2, spread / 2, 3000), -90, 90)
    found = all_pairs(ra, dec, [cut(many[:900]), cut(many[900:])])
    assert len(found) > 3000
    assert found == asked_one_by_one(ra, dec, many)


@settings(max_examples=50, deadline=None)
@given(st.lists(rings(), min_size=1, max_size=6))
def test_pieces_are_those_of_each_footprint(many: list[Ring]) -> None:
    pieces = cut(many)
    assert len(pieces) == len(many)
    for number, ring in enumerate(many):
        own = np.sort(pieces.normals[:, pieces.owners == number].transpose(1, 0, 2), axis=1)
        expected = np.sort(np.array(Footprint(ring).pieces()), axis=1)
        np.testing.assert_allclose(own, expected, atol=3e-16)


def test_empty_tables_give_nothing() -> None:
    none = np.empty(0)
    square = cut([((1.0, 1.0), (2.0, 1.0), (2.0, 2.0), (1.0, 2.0))])
    assert list(match_positions(none, none, [square])) == []
    assert list(match_positions(np.ones(3), np.ones(3), [])) == []
    assert list(match_positions(np.ones(3), np.ones(3), [cut([])])) == []
    assert list(match_positions(np.full(2, np.nan), np.ones(2), [square])) == []


@settings(max_examples=50, deadline=None)
@given(many=st.lists(rings(), min_size=1, max_size=4), positions=st.lists(CENTERS, min_size=1, max_size=4))
@example(many=[((1.0, 1.0), (2.0, 1.0), (2.0, 2.0), (1.0, 2.0))], positions=[(181.0, -1.0)])
def test_few_positions_that_mostly_lie_nowhere(
    many: list[Ring], positions: list[tuple[float, float]]
) -> None:
    ra, dec = np.array(positions).T
    assert all_pairs(ra, dec, [cut(many)]) == asked_one_by_one(ra, dec, many)


def test_what_is_not_finite_lies_nowhere_and_keeps_its_row() -> None:
    square = cut([((1.0, 1.0), (2.0, 1.0), (2.0, 2.0), (1.0, 2.0))])
    ra, dec = np.array([np.nan, 1.5, np.inf, 1.6]), np.array([1.5, np.nan, 1.5, 1.5])
    assert all_pairs(ra, dec, [square]) == {(3, 0)}


def test_blocks_are_taken_one_by_one() -> None:
    taken: list[int] = []

    def blocks() -> object:
        for number in range(5):
            taken.append(number)
            yield cut([((1.0, 1.0), (2.0, 1.0), (2.0, 2.0), (1.0, 2.0))])

    pairs = match_positions(np.array([1.5]), np.array([1.5]), blocks())  # type: ignore[arg-type]
    assert taken == []
    next(pairs)
    assert taken == [0]
    assert [images.tolist() for _, images in pairs] == [[1], [2], [3], [4]]


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="one length"):
        SortedPositions(np.zeros(3), np.zeros(4))

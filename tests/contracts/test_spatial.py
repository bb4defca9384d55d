"""Every implementation of the spatial seam finds exactly the images whose footprint holds a position.

The oracle shares nothing with the code under test: the winding of the ring's bearings as seen
from the position, which is one turn inside and none outside (Bevis and Chatelain 1989,
Mathematical Geology 21, 811, take the same for spherical polygons).
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from uuid import UUID

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snapdb.model.image import NewImage
from snapdb.model.provenance import Provenance
from snapdb.model.search import make_search
from snapdb.registry import Registry

Vector = NDArray[np.float64]
Ring = tuple[tuple[float, float], ...]

NEAR_EDGE_RAD = 1e-12
"""Positions nearer to an edge than this are left out where chance chooses them."""


def to_vector(ra: float, dec: float) -> Vector:
    lon, lat = math.radians(ra), math.radians(dec)
    return np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])


def to_position(v: Vector) -> tuple[float, float]:
    ra = math.degrees(math.atan2(v[1], v[0])) % 360.0
    return (ra if ra < 360.0 else 0.0), math.degrees(math.atan2(v[2], math.hypot(v[0], v[1])))


def axes_at(center: Vector) -> tuple[Vector, Vector]:
    """Two directions in the tangent plane."""
    helper = np.eye(3)[np.argmin(np.abs(center))]
    first = np.cross(helper, center)
    first /= np.linalg.norm(first)
    return first, np.cross(center, first)


def make_ring(center: tuple[float, float], corners: list[tuple[float, float]]) -> Ring:
    """Put corners (bearing, distance in degrees) around a center on the sky."""
    c = to_vector(*center)
    first, second = axes_at(c)
    ring = []
    for bearing, distance in corners:
        toward = math.cos(bearing) * first + math.sin(bearing) * second
        ring.append(
            to_position(math.cos(math.radians(distance)) * c + math.sin(math.radians(distance)) * toward)
        )
    return tuple(ring)


def holds(ring: Ring, position: tuple[float, float]) -> bool | None:
    """The oracle: whether a ring holds a position; None where it is too near to an edge to tell."""
    v = to_vector(*position)
    corners = np.array([to_vector(*p) for p in ring])
    if v @ corners.mean(axis=0) <= 0:  # the other side of the sky sees the ring mirrored
        return False
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        normal = np.cross(a, b)
        if abs(v @ normal) < NEAR_EDGE_RAD * np.linalg.norm(normal):
            return None
    first, second = axes_at(v)
    bearings = np.arctan2(corners @ second, corners @ first)
    turns = np.diff(np.append(bearings, bearings[0]))
    return bool(abs(np.sum((turns + np.pi) % (2 * np.pi) - np.pi)) > np.pi)


CENTERS = st.one_of(
    st.tuples(st.floats(0, 359.99), st.floats(-90, 90)),
    st.tuples(st.sampled_from([0.0, 1e-9, 359.9999999, 180.0, 179.9999999]), st.floats(-80, 80)),
    st.tuples(st.floats(0, 359.99), st.sampled_from([90.0, -90.0, 89.9999, -89.9999])),
)


@st.composite
def rings(draw: st.DrawFn) -> Ring:
    """Simple polygons of 3 to 8 corners, 10 arcsec to 20 degrees in radius, convex or not."""
    center = draw(CENTERS)
    radius = 10 ** draw(st.floats(math.log10(10 / 3600), math.log10(20)))
    number = draw(st.integers(3, 8))
    turn = draw(st.floats(0, 1))
    ways = [draw(st.floats(0.35, 1)) for _ in range(number)]
    corners = [(2 * math.pi * (n + turn) / number, way * radius) for n, way in enumerate(ways)]
    return make_ring(center, corners if draw(st.booleans()) else corners[::-1])


class Probe(Protocol):
    """Registers a ring for a while, and asks whether positions find it."""

    def __call__(self, ring: Ring, positions: list[tuple[float, float]]) -> list[bool]: ...


@pytest.fixture(scope="module")
def probe(
    module_registry: Registry,
    ingest: Provenance,
    make_image: Callable[..., NewImage],
    files_of: Callable[..., dict[str, Any]],
) -> Iterator[Probe]:
    """Probes of one database, which is left empty after each."""
    registry = module_registry
    registry.add_provenance(ingest)

    def ask(ring: Ring, positions: list[tuple[float, float]]) -> list[bool]:
        image = make_image(footprint=ring)
        (added,) = registry.add_images([image], files_of(image))
        found = [find(ra, dec) for ra, dec in positions]
        registry.delete_images([added.id])
        assert all(ids in ([], [added.id]) for ids in found)
        return [bool(ids) for ids in found]

    def find(ra: float, dec: float) -> list[UUID]:
        return [record.id for record in registry.find_images(make_search(ra=ra, dec=dec))]

    yield ask
    assert registry.count_images(make_search()) == 0


def around(ring: Ring, random: np.random.Generator, number: int) -> list[tuple[float, float]]:
    """Positions in and about a ring."""
    corners = np.array([to_vector(*p) for p in ring])
    center = corners.mean(axis=0)
    spread = np.linalg.norm(corners - center, axis=1).max()
    vectors = center + random.normal(scale=0.6 * spread, size=(number, 3))
    return [to_position(v) for v in vectors]


@settings(max_examples=100, deadline=None)
@given(ring=rings(), seed=st.integers(0, 2**32 - 1))
@example(ring=make_ring((0, 90), [(n * math.pi / 2, 15) for n in range(4)]), seed=1)
@example(ring=make_ring((0, -90), [(n * math.pi / 2, 0.005) for n in range(4)]), seed=2)
@example(ring=make_ring((0, 0), [(n * math.pi / 2, 20) for n in range(4)]), seed=3)
@example(ring=((359.5, -0.5), (0.5, -0.5), (0.5, 0.5), (359.5, 0.5)), seed=4)
@example(ring=((179.5, -0.5), (180.5, -0.5), (180.5, 0.5), (179.5, 0.5)), seed=5)
def test_positions_find_what_holds_them(probe: Probe, ring: Ring, seed: int) -> None:
    positions = around(ring, np.random.default_rng(seed), 25)
    mirrored = [((ra + 180) % 360, -dec) for ra, dec in positions[:3]]
    poles_and_0 = [(0.0, 90.0), (77.0, 90.0), (0.0, -90.0), (0.0, 0.0), (360.0, 0.0)]
    asked = positions + mirrored + poles_and_0
    expected = [holds(ring, position) for position in asked]
    found = probe(ring, asked)
    wrong = [(p, e) for p, e, f in zip(asked, expected, found, strict=True) if e is not None and e != f]
    assert wrong == []


@settings(max_examples=40, deadline=None)
@given(ring=rings())
@example(ring=((359.5, -0.5), (0.5, -0.5), (0.5, 0.5), (359.5, 0.5)))
@example(ring=((0.0, 89.0), (90.0, 89.0), (180.0, 89.0), (270.0, 89.0)))
def test_vertices_count_as_inside(probe: Probe, ring: Ring) -> None:
    assert probe(ring, list(ring)) == [True] * len(ring)


@settings(max_examples=40, deadline=None)
@given(center=CENTERS, radius=st.floats(10 / 3600, 20), turn=st.floats(0, 1))
def test_points_on_edges_count_as_inside(
    probe: Probe, center: tuple[float, float], radius: float, turn: float
) -> None:
    ring = make_ring(center, [(math.pi / 2 * (n + turn), radius) for n in range(4)])
    corners = np.array([to_vector(*p) for p in ring])
    middles = [to_position(a + b) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
    assert probe(ring, middles) == [True] * 4


def test_edges_are_great_circles_not_parallels(probe: Probe) -> None:
    """At dec 60 the great circle between two points 40 degrees apart in RA bulges to dec 61.52."""
    ring: Ring = ((0.0, 60.0), (40.0, 60.0), (40.0, 50.0), (0.0, 50.0))
    # Napier's rule for the right spherical triangle with the pole: tan(dec) = tan(60) / cos(20).
    top = math.degrees(math.atan(math.tan(math.radians(60)) / math.cos(math.radians(20))))
    bottom = math.degrees(math.atan(math.tan(math.radians(50)) / math.cos(math.radians(20))))
    positions = [(20.0, top - 1e-9), (20.0, top + 1e-9), (20.0, bottom + 1e-9), (20.0, bottom - 1e-9)]
    assert probe(ring, positions) == [True, False, True, False]


def test_hundreds_of_footprints_against_the_oracle(
    module_registry: Registry,
    ingest: Provenance,
    make_image: Callable[..., NewImage],
    files_of: Callable[..., dict[str, Any]],
) -> None:
    """Many at once: what the index leaves out is as right as what it lets through."""
    random = np.random.default_rng(7)
    images = []
    for n in range(400):
        center = to_position(random.normal(size=3))
        size = 10 ** random.uniform(0, 1.3)
        ring = make_ring(center, [(math.pi / 2 * (k + random.uniform(0, 0.9)), size) for k in range(4)])
        images.append(make_image(f"many/{n}.fits", footprint=ring))
    module_registry.add_provenance(ingest)
    added = module_registry.add_images(images, files_of(*images))
    ring_of = {a.id: image.footprint for a, image in zip(added, images, strict=True)}
    hits = 0
    for _ in range(40):
        position = to_position(random.normal(size=3))
        found = {r.id for r in module_registry.find_images(make_search(ra=position[0], dec=position[1]))}
        expected = {id_ for id_, ring in ring_of.items() if holds(ring, position)}
        assert found == expected
        hits += len(expected)
    assert hits > 30
    module_registry.delete_images(list(ring_of))

"""Regions are searched alike on both databases: nothing that lies to a region as asked is missed.

The oracles: the same relation over every footprint of the registry, without an index; and, on PostGIS,
the server's own ``ST_Intersects`` and ``ST_DWithin`` on the sphere.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import make_url

from snapdb.errors import SearchError
from snapdb.model.image import NewImage
from snapdb.model.provenance import Provenance
from snapdb.model.search import RELATIONS, make_search
from snapdb.registry import Registry
from snapdb.registry.ewkb import write_point, write_polygon
from snapdb.sky.region import Region, box, circle, parse_region, polygon, ra_dec_range
from snapdb.sky.relate import relate
from snapdb.sky.vectors import to_radec, to_vectors

SEED = 7
MEAN_RADIUS_M = 6371008.7714
"""Of the sphere on which PostGIS measures distances: the mean radius of WGS 84."""
CENTERS = [(0.0, 0.0), (359.9, 30.0), (180.0, -45.0), (77.0, 90.0), (10.0, -90.0), (200.0, 60.0)]
"""Fields with images of sizes from an arcminute to 20 degrees, through RA 0 and over the poles."""


def square(ra: float, dec: float, size: float, turn: float) -> tuple[tuple[float, float], ...]:
    center = to_vectors(ra, dec)
    axis = np.eye(3)[int(np.argmin(np.abs(center)))]
    first = np.cross(axis, center) / np.linalg.norm(np.cross(axis, center))
    second = np.cross(center, first)
    angles = np.radians([45, 135, 225, 315]) + turn
    corners = center + np.tan(np.radians(size / 2)) * np.sqrt(2) * (
        np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second
    )
    return tuple(zip(*(v.tolist() for v in to_radec(corners)), strict=True))


def regions() -> list[Region]:
    random = np.random.default_rng(SEED + 1)
    made = [parse_region("RANGE -Inf +Inf -1 1"), ra_dec_range(350.0, 10.0, -5.0, 35.0)]
    made += [ra_dec_range(0.0, 360.0, 80.0, 90.0), circle(12.0, 0.0, 120.0), circle(0.0, 0.0, 0.0)]
    for ra, dec in CENTERS:
        for size in 10 ** random.uniform(-2, 1, 3):
            near = dec + random.uniform(-size, size)
            place = (ra + random.uniform(-size, size)) % 360.0, float(np.clip(near, -90, 90))
            made += [circle(*place, size), box(*place, size, 2 * size, random.uniform(0, 360))]
            made.append(polygon(square(*place, size, 0.3)))
    return made


@pytest.fixture(scope="module")
def sky(
    module_registry: Registry,
    ingest: Provenance,
    make_image: Callable[..., NewImage],
    files_of: Callable[..., dict[str, Any]],
) -> tuple[Registry, list[tuple[tuple[float, float], ...]]]:
    """A registry of images of many sizes in a few fields, and their footprints by file number."""
    random = np.random.default_rng(SEED)
    rings = []
    for ra, dec in CENTERS:
        for _ in range(40):
            size = float(10 ** random.uniform(-1.7, 1.2))
            place = (ra + random.normal(0, 2)) % 360.0, float(np.clip(dec + random.normal(0, 2), -90, 90))
            rings.append(square(*place, size, random.uniform(0, 6)))
    images = [make_image(f"{n:03}.fits", footprint=ring, band="gr"[n % 2]) for n, ring in enumerate(rings)]
    module_registry.add_provenance(ingest)
    module_registry.add_images(images, files_of(*images))
    return module_registry, rings


def numbers(registry: Registry, **criteria: Any) -> list[int]:
    search = make_search(order_by="filepath", **criteria)
    found = registry.find_images(search)
    assert registry.count_images(search) == len(found)
    assert list(registry.iter_images(search)) == found
    return [int(r.filepath[6:9]) for r in found]


@pytest.mark.parametrize("relation", RELATIONS)
def test_no_image_is_missed(sky: Any, relation: Any) -> None:
    registry, rings = sky
    vertices, counts = np.concatenate([np.array(r) for r in rings]), np.full(len(rings), 4)
    hits = 0
    for region in regions():
        expected = np.flatnonzero(relate(vertices, counts, region, relation)).tolist()
        assert numbers(registry, region=region, relation=relation) == expected, region.text
        hits += len(expected)
    assert hits > 20


@pytest.mark.postgis
@pytest.mark.parametrize("module_registry", ["postgis"], indirect=True)  # which is the oracle too
def test_overlaps_are_those_of_the_server(sky: Any) -> None:
    registry, _ = sky
    plain = make_url(registry.address).set(drivername="postgresql").render_as_string(hide_password=False)
    join = "SELECT f.key FROM image i JOIN file f ON f.id = i.file_id WHERE "
    with psycopg.connect(plain) as connection:
        for region in regions():
            kind, *words = region.text.split()
            values = [float(w) for w in words]
            if kind == "CIRCLE" and values[2] < 90:
                sql, asked = (
                    "ST_DWithin(i.footprint, %s::geography, %s, false)",
                    [write_point(*values[:2]).hex(), np.radians(values[2]) * MEAN_RADIUS_M],
                )
            elif kind == "POLYGON":
                ring = list(zip(values[::2], values[1::2], strict=True))
                sql, asked = "ST_Intersects(i.footprint, %s::geography)", [write_polygon(ring).hex()]
            else:
                continue
            rows = connection.execute(f"{join}{sql} ORDER BY 1", asked).fetchall()
            assert numbers(registry, region=region) == [int(key[6:9]) for (key,) in rows], region.text


def test_a_region_joins_the_other_criteria(sky: Any) -> None:
    registry, _ = sky
    whole = numbers(registry, region="circle 0 0 5", band="r")
    assert whole
    assert whole == [n for n in numbers(registry, ra=0, dec=0, radius=5.0) if n % 2]
    assert numbers(registry, region="circle 0 0 5", band="r", limit=2, offset=1) == whole[1:3]
    here = numbers(registry, ra=0.0, dec=0.0)
    both = numbers(registry, region="circle 0 0 5", ra=0.0, dec=0.0)
    assert both == sorted(set(here) & set(numbers(registry, region="circle 0 0 5")))
    assert numbers(registry, region="circle 100 0 1") == []
    third = registry.find_images(make_search(order_by="filepath", region="circle 0 0 5", band="r"))[2]
    assert numbers(registry, region="circle 0 0 5", band="r", after=third.id) == whole[3:]


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        ({"region": "circle 1 2"}, "CIRCLE"),
        ({"region": "star 1 2 3"}, "expected"),
        ({"region": "circle 0 0 1", "relation": "touches"}, "overlaps, covers, contains, within"),
        ({"relation": "covers"}, "region, or radius, beside it"),
        ({"ra": 1.0, "dec": 2.0, "radius": -1}, "between 0 and 180"),
        ({"radius": 1.0}, "ra and dec beside it"),
        ({"ra": 1, "dec": 2, "radius": 1, "region": "circle 0 0 1"}, "either radius"),
        ({"ra": 1, "dec": 2, "radius": float("nan")}, "radius"),
    ],
)
def test_what_is_no_region_is_refused(criteria: dict[str, Any], said: str) -> None:
    with pytest.raises(SearchError, match=said):
        make_search(**criteria)

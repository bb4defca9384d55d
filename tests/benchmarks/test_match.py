"""A table of positions against many footprints: snapdb's join beside the server's own, in one run.

Sizes come from the environment, so that the same file runs small in development:
``SNAPDB_BENCH_FOOTPRINTS`` (100,000) and ``SNAPDB_BENCH_POSITIONS`` (100,000). Run with
``pytest -m benchmark -s tests/benchmarks/test_match.py``.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
import pytest
from sqlalchemy import make_url

from snapdb.archive.archive import Archive
from snapdb.archive.match import match
from snapdb.model.search import CORNERS
from snapdb.registry import Registry
from snapdb.registry.ewkb import write_point, write_polygon
from snapdb.sky.footprint import EDGE_TOLERANCE, Footprint
from snapdb.sky.vectors import to_radec, to_vectors
from snapdb.storage import LocalStore
from snapdb.types import BoolArray, FloatArray

pytestmark = [pytest.mark.benchmark, pytest.mark.postgis]

FOOTPRINTS = int(os.environ.get("SNAPDB_BENCH_FOOTPRINTS", "100000"))
POSITIONS = int(os.environ.get("SNAPDB_BENCH_POSITIONS", "100000"))
DETECTORS, SIDE_DEG, GAP = 18, 0.125, 1.1
COVERAGE = 9.0
"""Images over a position, in the mean."""
SAMPLE = 50
PROVENANCE = UUID(int=1)
FILE = UUID(int=2)


def make_sky(random: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Rings (ra, dec), shape (footprints, 4, 2), of pointings of 18 detectors; and positions in their field.

    The field is a strip through RA 0 about the equator, as wide as the wished-for coverage asks.
    """
    width = FOOTPRINTS * SIDE_DEG**2 / COVERAGE / np.degrees(1.0)  # degrees of RA between dec -30 and 30
    pointings = -(-FOOTPRINTS // DETECTORS)
    ra0 = random.uniform(-width / 2, width / 2, pointings)
    dec0 = np.degrees(np.arcsin(random.uniform(-0.5, 0.5, pointings)))
    at = np.array([(n % 6 - 2.5, n // 6 - 1.0) for n in range(DETECTORS)]) * GAP
    corners = at[:, None] + np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    plane = np.radians(corners.reshape(-1, 2) * SIDE_DEG)
    turn = random.uniform(0, 2 * np.pi, pointings)[:, None]
    east = np.cos(turn) * plane[:, 0] - np.sin(turn) * plane[:, 1]
    north = np.sin(turn) * plane[:, 0] + np.cos(turn) * plane[:, 1]
    center = to_vectors(ra0, dec0)
    to_east = to_vectors(ra0 + 90.0, np.zeros(pointings))
    to_north = np.cross(center, to_east)
    vectors = center[:, None] + east[..., None] * to_east[:, None] + north[..., None] * to_north[:, None]
    rings = np.stack(to_radec(vectors), axis=-1).reshape(-1, 4, 2)[:FOOTPRINTS]
    ra = random.uniform(-width / 2, width / 2, POSITIONS) % 360.0
    return rings, np.stack((ra, np.degrees(np.arcsin(random.uniform(-0.5, 0.5, POSITIONS)))), axis=1)


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))


def fill(url: str, rings: FloatArray, positions: FloatArray) -> None:
    """Copy images, and the table of positions that the server's join needs."""
    ra, dec = to_radec(to_vectors(rings[..., 0], rings[..., 1]).sum(axis=1))
    columns = (
        "id, provenance_id, file_id, hdu, width, height, ra, dec, kind, band, mjd, data_units, "
        "wcs_header, flag_bits, bad_bits, properties, registered_at, footprint, " + ", ".join(CORNERS)
    )
    with connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO provenance VALUES (%s, 'bench', 1, 0, '{}', NULL, NULL, NULL, 'none', '', now())",
            [PROVENANCE],
        )
        cursor.execute("INSERT INTO file VALUES (%s, 'bench', 1, 1, '', 'fits', 'present')", [FILE])
        with cursor.copy(f"COPY image ({columns}) FROM STDIN") as copy:
            for n, ring in enumerate(rings.tolist()):
                corners = [value for n in (0, 3, 1, 2) for value in ring[n]]
                copy.write_row(
                    (
                        UUID(int=n + 10),
                        PROVENANCE,
                        FILE,
                        n,
                        4088,
                        4088,
                        ra[n],
                        dec[n],
                        "exposure",
                        "rizyJ"[n % 5],
                        60000.0 + n // DETECTORS * 0.01,
                        "counts",
                        "",
                        "{}",
                        0,
                        "{}",
                        "2026-01-01",
                        write_polygon(ring).hex(),
                        *corners,
                    )
                )
        cursor.execute("CREATE TABLE position (row integer, point geography(POINT, 4326))")
        with cursor.copy("COPY position FROM STDIN") as copy:
            for row, (a, d) in enumerate(positions.tolist()):
                copy.write_row((row, write_point(a, d).hex()))
        cursor.execute("ANALYZE image")
        cursor.execute("ANALYZE position")


@pytest.fixture(scope="module")
def bench(databases: Any) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """A database with the images, their rings, and the positions."""
    rings, positions = make_sky(np.random.default_rng(20261125))
    url = databases.clone()
    fill(url, rings, positions)
    yield url, rings, positions
    databases.drop(url)


def join_on_server(url: str) -> list[tuple[int, int]]:
    """The server's own join, with its index: (row, image)."""
    statement = "SELECT p.row, i.hdu FROM position p JOIN image i ON ST_Covers(i.footprint, p.point)"
    with connect(url) as connection, connection.cursor(binary=True) as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def near_edge(ring: FloatArray, ra: float, dec: float) -> bool:
    """Whether two exact methods may differ by rounding: within 1e-12 radian of an edge."""
    normals = Footprint(tuple(map(tuple, ring.tolist()))).pieces()[0]
    return bool(np.min(np.abs(normals @ to_vectors(ra, dec))) < 1e-12)


def brute_force(rings: FloatArray, position: FloatArray) -> BoolArray:
    """All edges of all rings against one position, without cells."""
    corners = to_vectors(rings[..., 0], rings[..., 1])
    normals = np.cross(corners, np.roll(corners, -1, axis=1))
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    return np.asarray(np.all(normals @ to_vectors(*position) >= -EDGE_TOLERANCE, axis=1))


def test_match_beside_the_servers_join(bench: tuple[str, FloatArray, FloatArray], tmp_path: Path) -> None:
    url, rings, positions = bench
    with Registry.open(url) as registry:
        archive = Archive(registry, LocalStore(tmp_path))
        ra, dec = positions[:, 0].copy(), positions[:, 1].copy()
        times = []
        for _ in range(3):
            start = time.perf_counter()
            blocks = [(b.row, b.images.ids[b.image, 8:]) for b in match(archive, (ra, dec)).iter_blocks()]
            times.append(time.perf_counter() - start)
        start = time.perf_counter()
        written = match(archive, (ra, dec)).write(tmp_path / "pairs.parquet")
        to_file = time.perf_counter() - start
    rows = np.concatenate([row for row, _ in blocks])
    images = np.concatenate([i for _, i in blocks]).view(">i8")[:, 0].astype(np.int64) - 10
    found = set((rows * FOOTPRINTS + images).tolist())
    assert len(found) == len(rows) == written
    start = time.perf_counter()
    theirs = join_on_server(url)
    server = time.perf_counter() - start  # rows as they come: sorting them out is not counted
    differ = [divmod(key, FOOTPRINTS) for key in found ^ {row * FOOTPRINTS + n for row, n in theirs}]
    assert [pair for pair in differ if not near_edge(rings[pair[1]], *positions[pair[0]].tolist())] == []
    for row in np.linspace(0, POSITIONS - 1, SAMPLE).astype(int).tolist():
        expected = np.flatnonzero(brute_force(rings, positions[row]))
        np.testing.assert_array_equal(np.sort(images[rows == row]), expected)
    ours = float(np.median(times))
    print(  # noqa: T201  # what a benchmark is for
        f"\n{FOOTPRINTS} footprints, {POSITIONS} positions, {len(found)} pairs ({len(differ)} at an edge "
        f"differ): match {ours:.2f} s ({min(times):.2f} to {max(times):.2f}), to parquet {to_file:.2f} s, "
        f"ST_Covers join {server:.2f} s, ratio {server / ours:.1f}"
    )
    if FOOTPRINTS >= 1_000_000 and POSITIONS >= 100_000:  # fixed costs weigh more in smaller runs
        assert server > 8 * ours

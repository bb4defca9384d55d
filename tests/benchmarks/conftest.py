"""A large registry of Roman-like images, the same on both databases."""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import numpy as np
import psycopg
import pytest
from sqlalchemy import make_url

from snapdb.model.file import FileRecord
from snapdb.model.image import ImageFacts, NewImage, NewPlane
from snapdb.model.layout import PlaneLayout
from snapdb.model.provenance import Provenance
from snapdb.registry import Registry, migrate
from snapdb.sky.vectors import to_radec, to_vectors
from snapdb.types import FloatArray

IMAGES = int(os.environ.get("SNAPDB_BENCH_IMAGES", "1000000"))
"""How many images the registry holds; set it lower to try the benchmarks out."""
DETECTORS, SIDE_DEG, GAP = 18, 0.125, 1.1
DEEP_SHARE, DEEP_FIELDS = 0.3, 12
WIDE_SHARE, WIDE_DEPTH = 0.6, 9.0
BANDS = ("F062", "F087", "F106", "F129", "F158", "F184")
PROVENANCES = tuple(Provenance("calibrate", 1, minor) for minor in range(3))
SEED = 20261125
Where = Literal["wide", "deep", "any"]
WHERE: tuple[Where, ...] = ("wide", "deep", "any")


@dataclass(frozen=True)
class RomanSky:
    """Footprints of pointings of 18 detectors: deep fields, then a wide survey, then all-sky."""

    rings: FloatArray
    """Corners 00, 10, 11, 01 of each image, (ra, dec) in degrees, shape (images, 4, 2)."""
    fields: FloatArray
    """Centres of the deep fields, shape (fields, 2)."""

    provenance_id = PROVENANCES[0].id

    def make_images(self) -> Iterator[NewImage]:
        """Give the images one by one."""
        center = np.stack(to_radec(to_vectors(self.rings[..., 0], self.rings[..., 1]).sum(axis=1)), axis=-1)
        layout = PlaneLayout(
            name="data", hdu=1, width=4088, height=4088, stored_dtype=">f4", dtype="float32", offset=8640
        )
        for n, (ring, (ra, dec)) in enumerate(zip(self.rings.tolist(), center.tolist(), strict=True)):
            visit, detector = divmod(n, DETECTORS)
            corners = {
                f"{axis}_corner_{xy}": ring[corner][place]
                for xy, corner in (("00", 0), ("10", 1), ("11", 2), ("01", 3))
                for place, axis in enumerate(("ra", "dec"))
            }
            facts = ImageFacts(
                width=4088,
                height=4088,
                ra=ra,
                dec=dec,
                **corners,
                position_angle=float(visit % 360),
                pixel_scale=0.11,
                observation_id=f"{visit:08}",
                sca=detector + 1,
                band=BANDS[visit % len(BANDS)],
                mjd=61000.0 + visit * 0.03,
                exptime=302.275,
                zeropoint=26.4,
                instrument="roman",
                wcs_header="CTYPE1  = 'RA---TAN-SIP'",
                properties={"pass": visit % 7},
            )
            yield NewImage(
                facts=facts,
                footprint=tuple((a, d) for a, d in ring),
                planes=(NewPlane(layout=layout, path=path_of(n)),),
                provenance_id=PROVENANCES[n % len(PROVENANCES)].id,
                id=UUID(int=(n + 1) << 80 | 7 << 76 | 2 << 62),
            )

    def make_files(self) -> dict[str, FileRecord]:
        """Give the file of each image."""
        return {
            path_of(n): FileRecord(
                key=path_of(n), size=66_862_080, mtime_ns=n + 1, sha256=f"{n:064x}", format="fits"
            )
            for n in range(len(self.rings))
        }

    def positions(self, number: int, where: Where) -> list[tuple[float, float]]:
        """Give positions that images cover: in the deep fields, in the wide survey, or of any image."""
        random = np.random.default_rng(SEED + WHERE.index(where))
        if where == "deep":
            field = self.fields[random.integers(0, len(self.fields), number)]
            ra = field[:, 0] + random.uniform(-0.1, 0.1, number) / np.cos(np.radians(field[:, 1]))
            dec = field[:, 1] + random.uniform(-0.1, 0.1, number)
        else:
            shares = (0, 1) if where == "any" else (DEEP_SHARE, DEEP_SHARE + WIDE_SHARE)
            first, last = (int(len(self.rings) * share) for share in shares)
            chosen = random.integers(first + DETECTORS, last - DETECTORS, number)
            ra, dec = to_radec(to_vectors(self.rings[chosen, :, 0], self.rings[chosen, :, 1]).sum(axis=1))
        return list(zip((ra % 360.0).tolist(), dec.tolist(), strict=True))


def path_of(number: int) -> str:
    """Give the path of an image's file."""
    visit, detector = divmod(number, DETECTORS)
    return f"l2/{visit // 1000:03}/{visit:08}_{detector + 1:02}.fits"


def make_roman_sky(number: int) -> RomanSky:
    """Make the footprints of a number of images."""
    random = np.random.default_rng(SEED)
    pointings = -(-number // DETECTORS)
    deep = int(pointings * DEEP_SHARE)
    fields = np.stack(
        (random.uniform(0, 360, DEEP_FIELDS), np.degrees(np.arcsin(random.uniform(-0.9, 0.9, DEEP_FIELDS)))),
        1,
    )
    ra0 = random.uniform(0, 360, pointings)
    dec0 = np.degrees(np.arcsin(random.uniform(-1, 1, pointings)))
    wide = slice(deep, int(pointings * (DEEP_SHARE + WIDE_SHARE)))
    width = WIDE_SHARE * number * SIDE_DEG**2 / WIDE_DEPTH / np.degrees(1.0)  # between dec -30 and 30
    ra0[wide], dec0[wide] = (
        ra0[wide] * width / 360.0,
        np.degrees(np.arcsin(np.sin(np.radians(dec0[wide])) / 2)),
    )
    near = fields[np.arange(deep) % DEEP_FIELDS]
    dec0[:deep] = near[:, 1] + random.normal(0, 0.15, deep)
    ra0[:deep] = near[:, 0] + random.normal(0, 0.15, deep) / np.cos(np.radians(near[:, 1]))
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
    rings = np.stack(to_radec(vectors), axis=-1).reshape(-1, 4, 2)[:number]
    return RomanSky(rings, fields)


@pytest.fixture(scope="session")
def roman_provenances() -> tuple[Provenance, ...]:
    """The provenances of the images."""
    return PROVENANCES


@pytest.fixture(scope="session")
def roman_sky() -> RomanSky:
    """The footprints of all images."""
    return make_roman_sky(IMAGES)


def connect(url: str) -> psycopg.Connection:
    """Open a bare connection to a PostGIS database."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def _fill(url: str, sky: RomanSky) -> None:
    """Register all images."""
    with Registry.open(url) as registry:
        for provenance in PROVENANCES:
            registry.add_provenance(provenance)
        started = time.perf_counter()
        registry.add_images(list(sky.make_images()), sky.make_files())
        spent = time.perf_counter() - started
        sys.stdout.write(f"\n{registry.dialect}: {IMAGES} images, {IMAGES / spent:.0f} registered a second\n")


@pytest.fixture(scope="session")
def roman_postgis(databases: Any, roman_sky: RomanSky) -> Iterator[str]:
    """URL of a PostGIS registry that holds the images."""
    url = databases.clone()
    _fill(url, roman_sky)
    with connect(url) as connection:
        connection.execute("VACUUM ANALYZE")  # as the server's own upkeep does in time
    yield url
    databases.drop(url)


@pytest.fixture(scope="session")
def roman_sqlite(tmp_path_factory: pytest.TempPathFactory, roman_sky: RomanSky) -> str:
    """URL of a SQLite registry that holds the images."""
    url = f"sqlite:///{tmp_path_factory.mktemp('roman') / 'registry.db'}"
    migrate(url)
    _fill(url, roman_sky)
    return url

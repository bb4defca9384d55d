"""Every real image in the shared folder: what snapdb says of it against astropy itself."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import snapdb
from snapdb.archive.report import IngestReport
from snapdb.sky.footprint import Footprint

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real images is not there"),
    # Headers of real images warn about their own faults as astropy, the oracle, reads them.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[snapdb.Archive]:
    """An archive of all that is there."""
    with snapdb.init(tmp_path_factory.mktemp("real") / "archive") as made:
        yield made


@pytest.fixture(scope="module")
def report(archive: snapdb.Archive) -> IngestReport:
    """How its ingest went."""
    return archive.ingest(DATA)


@pytest.fixture(scope="module")
def images(archive: snapdb.Archive, report: IngestReport) -> list[snapdb.Image]:
    """All that was registered."""
    found = archive.find_images(order_by="filepath")
    assert len(found) == len(report.image_ids)
    return found


def _oracle_wcs(image: snapdb.Image) -> Any:
    """Give astropy's own WCS of an image, from the whole header and all HDUs of its file."""
    from astropy.io import fits
    from astropy.wcs import WCS

    from snapdb.sky.dialects import mend_header

    assert image.record is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(image.full_filepath) as hdus:
            header = hdus[image.record.hdu].header
            header, _ = mend_header(header)
            return WCS(header, fobj=hdus).celestial, header


def _to_icrs(wcs: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Give ICRS degrees of pixels through astropy's high-level interface."""
    sky = wcs.pixel_to_world(x, y).icrs
    return sky.ra.deg, sky.dec.deg


def test_every_file_has_one_end_and_nothing_is_invented(report: IngestReport) -> None:
    paths = [o.path for o in report.outcomes]
    assert len(set(paths)) == len(paths) == sum(1 for p in DATA.rglob("*") if p.is_file() and p != DATA)
    assert all(o.reason for o in report.refused)


def test_again_changes_nothing(archive: snapdb.Archive, report: IngestReport) -> None:
    again = archive.ingest(DATA)
    assert again.counts["registered"] == again.counts["updated"] == 0
    assert again.counts["unchanged"] == report.counts["registered"]
    assert again.counts["refused"] == report.counts["refused"]


def test_footprint_is_the_outer_edge(images: list[snapdb.Image], archive: snapdb.Archive) -> None:
    """Each point of the outer edge lies within 0.1 pixel of the footprint's edge, by astropy's own WCS."""
    for image in images:
        wcs, _ = _oracle_wcs(image)
        w, h = image.width, image.height
        t, low, high = np.linspace(0, 1, 41), np.zeros(41), np.ones(41)
        xs = np.concatenate([t, high, t, low]) * w - 0.5
        ys = np.concatenate([low, t, high, t]) * h - 0.5
        edge = _vectors(*_to_icrs(wcs, xs, ys))
        ring = _vectors(*np.array(_footprint(archive, image)).T)
        distance = np.degrees(_distance_to_ring(edge, ring)) * 3600
        assert distance.max() < 0.1 * (image.pixel_scale or 1), image


def test_includes_radec_agrees_near_the_edge(images: list[snapdb.Image], archive: snapdb.Archive) -> None:
    """At 10,000 positions near the edge, footprint and includes_radec say what astropy's pixel says."""
    rng = np.random.default_rng(20)
    for image in images:
        wcs, _ = _oracle_wcs(image)
        w, h = image.width, image.height
        x, y = rng.uniform(-0.5, w - 0.5, 10_000), rng.uniform(-0.5, h - 0.5, 10_000)
        side = rng.integers(0, 4, 10_000)
        off = rng.uniform(-2, 2, 10_000)
        x = np.where(side == 0, -0.5 + off, np.where(side == 1, w - 0.5 + off, x))
        y = np.where(side == 2, -0.5 + off, np.where(side == 3, h - 0.5 + off, y))
        ra, dec = _to_icrs(wcs, x, y)
        inside = (x >= -0.5) & (x < w - 0.5) & (y >= -0.5) & (y < h - 0.5)
        near = np.minimum.reduce([np.abs(x + 0.5), np.abs(x - w + 0.5), np.abs(y + 0.5), np.abs(y - h + 0.5)])
        clear = near > 0.1
        footprint = Footprint(_footprint(archive, image))
        np.testing.assert_array_equal(footprint.contains(ra, dec)[clear], inside[clear], err_msg=repr(image))
        exact = near > 1e-3
        said = image.includes_radec(ra, dec)
        np.testing.assert_array_equal(np.asarray(said)[exact], inside[exact], err_msg=repr(image))


def test_cutouts_are_astropys_slices_bit_for_bit(images: list[snapdb.Image]) -> None:
    from astropy.io import fits

    rng = np.random.default_rng(33)
    for image in images:
        assert image.record is not None
        with fits.open(image.full_filepath) as hdus:
            whole = hdus[image.record.hdu].data.reshape(image.image_shape)
            if "BSOFTEN" in hdus[image.record.hdu].header:
                continue  # linearised; compared with its linear truth in the tests of formats
        x, y = int(rng.integers(0, image.width)), int(rng.integers(0, image.height))
        cutout = image.get_cutout(x, y, 33, mode="trim")
        box = cutout.box
        expected = whole[box.y0 : box.y1, box.x0 : box.x1]
        got = cutout.data
        assert got.dtype == expected.dtype.newbyteorder("="), image
        assert got.tobytes() == expected.astype(got.dtype).tobytes() or np.array_equal(
            got, expected, equal_nan=True
        )


def test_cutout_wcs_maps_every_pixel_to_the_parents_sky(images: list[snapdb.Image]) -> None:
    rng = np.random.default_rng(34)
    for image in images:
        wcs, _ = _oracle_wcs(image)
        x, y = int(rng.integers(0, image.width)), int(rng.integers(0, image.height))
        cutout = image.get_cutout(x, y, 33, mode="trim")
        yy, xx = np.indices(cutout.image_shape)
        ra, dec = cutout.get_wcs().pixel_to_world(xx, yy)
        true_ra, true_dec = _to_icrs(wcs, xx + cutout.box.x0, yy + cutout.box.y0)
        turn = (np.asarray(ra) - true_ra + 180) % 360 - 180
        assert np.abs(turn * np.cos(np.radians(true_dec))).max() < 1e-8, image
        assert np.abs(np.asarray(dec) - true_dec).max() < 1e-8, image


def _footprint(archive: snapdb.Archive, image: snapdb.Image) -> tuple[tuple[float, float], ...]:
    """Give the registered footprint of an image."""
    assert image.id is not None
    return archive.registry.get_footprint(image.id)


def _vectors(ra: Any, dec: Any) -> Any:
    """Unit vectors, written here again so that the test leans on nothing it tests."""
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def _distance_to_ring(points: Any, ring: Any) -> Any:
    """Angle in radians from each point to the nearest great-circle edge of a ring."""
    best = np.full(len(points), np.inf)
    for a, b in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        n = np.cross(a, b)
        size = np.linalg.norm(n)
        if size == 0:
            continue
        n = n / size
        along = (points @ np.cross(n, a) >= -1e-15) & (points @ np.cross(b, n) >= -1e-15)
        to_line = np.abs(np.arcsin(np.clip(points @ n, -1, 1)))
        to_ends = np.minimum(np.linalg.norm(points - a, axis=1), np.linalg.norm(points - b, axis=1))
        best = np.minimum(best, np.where(along, to_line, to_ends))
    return best

"""Every image of one position, against the images one by one, astropy, and the truth of a made sky."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.table import Table
from astropy.wcs import WCS

import snapdb
from snapdb.archive.archive import Archive
from snapdb.archive.epochs import cutout_set
from snapdb.archive.epochs.cutout_set import CutoutSet, find_cutouts
from snapdb.archive.epochs.stack import CutoutStack
from snapdb.errors import (
    ChangedFileError,
    CorruptFileError,
    NotFoundError,
    ObjectExistsError,
    ObjectMissingError,
    PartialOverlapError,
    ShapeError,
    UnknownFormatError,
    UsageError,
)
from snapdb.model.image import NewImage
from snapdb.model.provenance import Provenance
from snapdb.pixels.box import Box
from snapdb.registry import Registry
from snapdb.storage import LocalStore
from snapdb.testing.detectors import ImageTruth, find_separation_arcsec
from snapdb.testing.skies import Survey, make_survey

SIZE = 41


@dataclass(frozen=True)
class Place:
    """A position."""

    ra: float
    dec: float


def cutouts(archive: Archive, ra: Any, dec: Any = None, size: Any = SIZE, **options: Any) -> CutoutSet:
    """Ask for the cutouts of a position."""
    names = ("mode", "overlap", "planes", "fill_value", "threads", "on_error", "progress")
    rest = {name: options.pop(name) for name in names if name in options}
    return find_cutouts(archive, ra, dec, size, options.pop("ysize", None), options, **rest)


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """Five nights: plain, gzipped and tile-compressed files."""
    return make_survey(tmp_path_factory.mktemp("survey"), epochs=5, stars=20)


@pytest.fixture(scope="module")
def archive(
    module_registry: Registry, survey: Survey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archive]:
    """An archive of the survey, on either database."""
    with Archive(module_registry, LocalStore(tmp_path_factory.mktemp("store"))) as made:
        made.ingest(survey.files, jobs=1)
        yield made


@pytest.fixture
def own(registry: Registry, tmp_path: Path) -> Iterator[Archive]:
    """An empty archive to be filled."""
    with Archive(registry, LocalStore(tmp_path / "store")) as made:
        yield made


def truth_of(survey: Survey, image: snapdb.Image) -> ImageTruth:
    """Find what is known of an image."""
    (found,) = (t for t in survey.images if t.path == image.full_filepath and t.hdu == image.record.hdu)  # type: ignore[union-attr]
    return found


# Which images, and where


def test_every_image_of_the_supernova_in_the_order_of_time(archive: Archive, survey: Survey) -> None:
    sn = survey.supernova
    found = cutouts(archive, sn.ra, sn.dec)
    want = survey.images_of(sn)
    assert len(want) >= 9
    table = found.table
    assert [Path(p).name for p in table["filepath"]] == [truth.path.name for truth in want]
    for row, truth in zip(table, want, strict=True):
        x, y = truth.to_pixels(sn.ra, sn.dec)  # astropy's WCS of the file
        assert (row["x"] + row["box_x0"], row["y"] + row["box_y0"]) == pytest.approx(
            (float(x), float(y)), abs=1e-6
        )
        assert (row["mjd"], row["band"], row["exptime"]) == (truth.mjd, truth.band, truth.exptime)
        assert row["zeropoint"] == pytest.approx(truth.zeropoint)
        assert abs(row["x"] - 20) <= 0.5
        assert abs(row["y"] - 20) <= 0.5


def test_each_cutout_is_the_image_s_own(archive: Archive, survey: Survey) -> None:
    sn = survey.supernova
    found = cutouts(archive, sn.ra, sn.dec)
    images = archive.find_images(ra=sn.ra, dec=sn.dec, order_by="mjd")
    assert len(found) == len(images)
    kinds = set()
    for cutout, image in zip(found, images, strict=True):
        alone = image.get_ra_dec_cutout(sn.ra, sn.dec, SIZE, mode="partial")
        assert cutout.parent.id == image.id
        assert cutout.box == alone.box
        for name in ("data", "noise", "flags"):
            np.testing.assert_array_equal(getattr(cutout, name), getattr(alone, name))
            assert getattr(cutout, name).dtype == getattr(alone, name).dtype
        assert cutout.flag_bits == alone.flag_bits
        assert cutout.pixel_to_world(3.0, 4.0) == alone.pixel_to_world(3.0, 4.0)
        assert (cutout.band, cutout.mjd, cutout.zeropoint) == (image.band, image.mjd, image.zeropoint)
        kinds.add("".join(Path(str(image.filepath)).suffixes))
    assert kinds >= {".fits", ".fits.gz", ".fits.fz"}


def test_the_data_are_what_astropy_cuts(archive: Archive, survey: Survey) -> None:
    sn = survey.supernova
    for cutout in cutouts(archive, sn.ra, sn.dec):
        truth = truth_of(survey, cutout.parent)
        data = fits.getdata(truth.path, truth.hdu, memmap=False).astype(np.float32)
        x, y = truth.to_pixels(sn.ra, sn.dec)
        want = Cutout2D(data, (float(x), float(y)), SIZE, mode="partial", fill_value=np.nan).data
        np.testing.assert_array_equal(cutout.data.astype(np.float32), want)


def test_images_that_the_square_touches_are_those_of_brute_force(archive: Archive, survey: Survey) -> None:
    truth = next(t for t in survey.images if t.sca == 1)
    ra, dec = (float(v) for v in truth.wcs.all_pix2world(truth.width - 2.0, 150.0, 0))
    near = Place(ra % 360.0, dec)
    sizes: list[tuple[Any, Any]] = [(61, None), (301, 5), ("100arcsec", None)]
    for size, ysize in sizes:
        found = cutouts(archive, ra, dec, size, ysize=ysize, overlap=True)
        want = set()
        for truth in survey.images:
            if find_separation_arcsec(near, truth.exposure) > 600.0:
                continue
            x, y = truth.to_pixels(ra, dec)
            width, height = (200 if isinstance(n, str) else n for n in (size, ysize or size))
            box = Box.centered(float(x), float(y), width, height)
            if box.x1 > 0 and box.y1 > 0 and box.x0 < truth.width and box.y0 < truth.height:
                want.add((truth.path.name, truth.hdu))
        assert {(Path(row["filepath"]).name, row["hdu"]) for row in found.table} == want
        assert set(found.table["status"]) == {"ok"}
        assert len(want) > archive.count_images(ra=ra, dec=dec)


def test_criteria_narrow_the_search_and_nothing_found_is_no_error(archive: Archive, survey: Survey) -> None:
    sn = survey.supernova
    some = cutouts(archive, sn.ra, sn.dec, band="r", order_by="-mjd", limit=2)
    want = [truth.mjd for truth in survey.images_of(sn, band="r")][::-1][:2]
    assert [cutout.mjd for cutout in some] == want
    none = cutouts(archive, 200.0, 60.0)
    assert (len(none), none.image_count, list(none), len(none.table)) == (0, 0, [], 0)
    with pytest.raises(NotFoundError, match="0 images match"):
        none.stack()


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"radius": 1.0}, UsageError, "overlap=True"),
        ({"mode": "wide"}, UsageError, "partial"),
        ({"size": 0}, ShapeError, "at least 1"),
        ({"ra": float("nan")}, UsageError, "one position"),
        ({"dec": 91.0}, UsageError, "one position"),
        ({"ra": [1.0, 2.0]}, UsageError, "one position"),
        ({"planes": "data"}, UsageError, "names such as"),
        ({"threads": 0}, UsageError, "at least 1"),
        ({"on_error": "ignore"}, UsageError, "report"),
    ],
)
def test_impossible_wishes_are_refused(
    archive: Archive, options: dict[str, Any], kind: type[UsageError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        cutouts(archive, **{"ra": 0.0, "dec": 0.0, **options})


# Reading


def test_the_stack_holds_the_cutouts(archive: Archive, survey: Survey) -> None:
    sn = survey.supernova
    found = cutouts(archive, sn.ra, sn.dec)
    stack = found.stack()
    assert stack.shape == (len(found), SIZE, SIZE)
    for layer, cutout in enumerate(found):
        np.testing.assert_array_equal(stack.data[layer], cutout.data)
        np.testing.assert_array_equal(stack.noise[layer], cutout.noise)  # type: ignore[index]
        np.testing.assert_array_equal(stack.flags[layer], cutout.flags)  # type: ignore[index]
        wcs = stack.wcs[layer]
        assert wcs is not None
        np.testing.assert_allclose(
            np.array(wcs.pixel_to_world(7.0, 9.0)),
            np.array(cutout.pixel_to_world(7.0, 9.0)),
            rtol=0,
            atol=1e-11,
        )
    assert list(stack.table["mjd"]) == [cutout.mjd for cutout in found]
    alone = found.stack(planes=("data",))
    assert list(alone.planes) == ["data"]
    assert alone.noise is None


def test_partial_cutouts_are_filled_and_marked(archive: Archive, survey: Survey) -> None:
    truth = next(t for t in survey.images if t.path.suffix == ".fits")
    ra, dec = (float(v) for v in truth.wcs.all_pix2world(4.0, 7.0, 0))
    found = cutouts(archive, ra, dec, 31)
    stack = found.stack()
    bit = stack.flag_bits["NO_DATA"]
    assert bit not in survey_bits()
    for layer, row in enumerate(stack.table):
        outside = np.isnan(stack.data[layer])
        np.testing.assert_array_equal((stack.flags[layer] & bit) != 0, outside)  # type: ignore[index]
        assert outside.mean() == pytest.approx(row["fraction_outside"])
        np.testing.assert_array_equal(stack.bad_mask()[layer], outside | (stack.flags[layer] != 0))  # type: ignore[index]
    assert np.isnan(stack.data).any()
    strict = cutouts(archive, ra, dec, 31, mode="strict")
    assert set(strict.missing["error"]) == {"PartialOverlapError"}
    with pytest.raises(PartialOverlapError, match="reaches beyond"):
        cutouts(archive, ra, dec, 31, mode="strict", on_error="raise")
    with pytest.raises(ShapeError, match="align=True"):
        cutouts(archive, ra, dec, 31, mode="trim").stack()
    filled = cutouts(archive, ra, dec, 31, fill_value=-5).stack()
    np.testing.assert_array_equal(filled.data, np.where(np.isnan(stack.data), -5, stack.data))


def survey_bits() -> set[int]:
    """Give the bits that the survey's flags use."""
    from snapdb.testing.detectors import FLAG_BITS

    return set(FLAG_BITS.values())


def test_threads_and_memory_change_nothing(
    archive: Archive, survey: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    sn = survey.supernova
    one = cutouts(archive, sn.ra, sn.dec, threads=1).stack()
    told: list[tuple[int, int]] = []
    many = cutouts(archive, sn.ra, sn.dec, threads=4, progress=lambda *n: told.append(n))
    np.testing.assert_array_equal(many.stack().data, one.data)
    assert told == [(n, len(one)) for n in range(1, len(one) + 1)]
    monkeypatch.setattr(cutout_set, "KEPT_BYTES", 0)
    bounded = cutouts(archive, sn.ra, sn.dec)
    assert len(bounded) == len(one)
    for layer, cutout in enumerate(bounded):
        np.testing.assert_array_equal(cutout.data, one.data[layer])
    np.testing.assert_array_equal(bounded[-1].data, one.data[-1])
    assert [c.mjd for c in bounded[1:3]] == list(one.table["mjd"][1:3])
    with pytest.raises(IndexError):
        bounded[len(one)]


# What goes wrong


def write_epoch(path: Path, mjd: float, **options: Any) -> Path:
    """Write an image of 50 x 40 pixels of 0.36 arcsec about (10, -5), with noise and flags."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [10.0, -5.0], [25.0, 20.0]
    wcs.wcs.cdelt = options.pop("cdelt", [-1e-4, 1e-4])
    angle = np.radians(options.pop("turn", 0.0))
    wcs.wcs.pc = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    data = options.pop("data", None)
    if data is None:
        data = np.random.default_rng(int(mjd)).normal(100, 5, (40, 50)).astype(np.float32)
    flags = options.pop("flags", np.zeros(data.shape, np.uint8))
    planes = {"noise": np.sqrt(np.abs(data)), "flags": flags} if options.pop("planes", True) else {}
    facts = {"band": "r", "exptime": 30.0, "zeropoint": 25.0, "observation_id": path.name, **options}
    return snapdb.Image(data=data, wcs=wcs, mjd=mjd, **planes, **facts).save(path=path)[0]


def test_what_cannot_be_read_is_told_and_does_not_stop_the_rest(own: Archive, tmp_path: Path) -> None:
    paths = [write_epoch(tmp_path / "data" / f"e{n}.fits", 60000.0 + n) for n in range(6)]
    tiled = tmp_path / "data" / "e6.fits.fz"
    with fits.open(paths[0]) as hdus:
        header = hdus["SCI"].header.copy()
        header["MJD-OBS"] = 60006.0
        tile = fits.CompImageHDU(hdus["SCI"].data, header, name="SCI", compression_type="RICE_1")
        fits.HDUList([fits.PrimaryHDU(), tile]).writeto(tiled)
    own.ingest([*paths, tiled], jobs=1)
    planned = cutouts(own, 10.0, -5.0, 11)
    good = {row["filepath"]: cutout.data for row, cutout in zip(planned.table, planned, strict=True)}
    assert len(good) == 7
    paths[1].unlink()
    os.utime(paths[3], ns=(1, 1))
    stat = tiled.stat()
    content = bytearray(tiled.read_bytes())
    content[-2880 - 1500 :] = b"\xff" * (2880 + 1500)
    tiled.write_bytes(bytes(content))
    os.utime(tiled, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    found = cutouts(own, 10.0, -5.0, 11)
    table = {Path(row["filepath"]).name: row for row in found.table}
    errors = {name: str(row["error"]) for name, row in table.items() if row["status"] != "ok"}
    assert errors.pop("e1.fits") == "ObjectMissingError"
    assert errors.pop("e3.fits") == "ChangedFileError"
    assert "does not exist" in table["e1.fits"]["reason"]
    assert "index it again" in table["e3.fits"]["reason"]
    assert set(errors) <= {"e6.fits.fz"}
    stack = cutouts(own, 10.0, -5.0, 11).stack()
    assert len(stack) == len(found) >= 4
    assert sorted(stack.missing["image_id"]) == sorted(found.missing["image_id"])
    for layer, row in enumerate(stack.table):
        if not str(row["filepath"]).endswith("fz"):
            np.testing.assert_array_equal(stack.data[layer], good[row["filepath"]])
    with pytest.raises((ObjectMissingError, ChangedFileError, CorruptFileError)):
        cutouts(own, 10.0, -5.0, 11, on_error="raise").stack()


def test_nothing_is_read_before_it_is_asked_for(own: Archive, tmp_path: Path) -> None:
    path = write_epoch(tmp_path / "data" / "e.fits", 60000.0)
    own.ingest(path)
    planned = cutouts(own, 10.0, -5.0, 11)
    path.unlink()
    assert planned.image_count == 1
    assert list(planned) == []
    assert planned.table["error"].tolist() == ["ObjectMissingError"]
    with pytest.raises(NotFoundError, match="does not exist"):
        planned.stack()


def test_images_without_a_place_for_the_position(
    own: Archive, ingest: Provenance, make_image: Callable[..., NewImage], files_of: Callable[..., Any]
) -> None:
    """Rows that a registry may hold: no WCS, one of another sky, and one beyond the horizon."""
    card = "\n".join(
        [
            "CTYPE1  = 'RA---TAN'",
            "CTYPE2  = 'DEC--TAN'",
            "CRVAL1  = {}",
            "CRVAL2  = -20.0",
            "CRPIX1  = 1.0",
            "CRPIX2  = 1.0",
            "CDELT1  = -0.0001",
            "CDELT2  = 0.0001",
        ]
    )
    texts = {"none.fits": "", "other.fits": card.format(11.0), "behind.fits": card.format(190.0)}
    images = [
        make_image(name, wcs_header=text, mjd=float(n), pixel_scale=0.36)
        for n, (name, text) in enumerate(texts.items())
    ]
    own.registry.add_provenance(ingest)
    own.registry.add_images(images, files_of(*images))
    table = cutouts(own, 10.0, 20.0, 5).table
    assert table["error"].tolist() == ["ProjectionError", "NoOverlapError", "NoOverlapError"]
    assert "does not touch" in table["reason"][1]
    assert "does not project" in table["reason"][2]


def test_images_that_lack_planes_say_so(own: Archive, tmp_path: Path) -> None:
    paths = [write_epoch(tmp_path / "data" / f"e{n}.fits", 60000.0 + n, planes=n == 0) for n in range(2)]
    own.ingest(paths, jobs=1)
    stack = cutouts(own, 10.0, -5.0, 11).stack()
    assert stack.table["planes"].tolist() == ["data noise flags", "data"]
    assert np.isfinite(stack.noise[0]).all()  # type: ignore[index]
    assert np.isnan(stack.noise[1]).all()  # type: ignore[index]
    assert not stack.flags[1].any()  # type: ignore[index]
    assert cutouts(own, 10.0, -5.0, 11)[1].noise is None
    only = cutouts(own, 10.0, -5.0, 11, planes=("flags",))
    assert only.missing["error"].tolist() == ["NotFoundError"]
    assert list(only.stack().planes) == ["flags"]


# Sizes that differ, and one grid for all


def gaussian(shape: tuple[int, int], x: float, y: float, sigma: float, total: float) -> Any:
    """A round Gaussian, of pixels so small that their centres stand for them."""
    rows, columns = np.indices(shape)
    r2 = (columns - x) ** 2 + (rows - y) ** 2
    return (total / (2 * np.pi * sigma**2) * np.exp(-r2 / (2 * sigma**2))).astype(np.float64)


@pytest.fixture
def turned(own: Archive, tmp_path: Path) -> Archive:
    """One star of 1000 counts, 4 arcsec wide, on images of other scales and angles."""
    paths = []
    for n, (scale, turn) in enumerate([(1.0, 0.0), (1.0, 37.0), (0.8, 200.0), (1.5, -80.0)]):
        side = round(101 / scale)
        cdelt = [-scale / 3600, scale / 3600]
        flags = np.zeros((side, side), np.int32)
        flags[: side // 3] = 4
        data = gaussian((side, side), 24.0, 19.0, 4.0 / scale, 1000.0) + 0.25 * scale**2
        path = tmp_path / "data" / f"t{n}.fits"
        paths.append(write_epoch(path, 60000.0 + n, cdelt=cdelt, turn=turn, data=data, flags=flags))
    own.ingest(paths, jobs=1)
    return own


@pytest.mark.parametrize("method", ["interp", "adaptive", "exact"])
def test_aligned_layers_agree_on_place_and_counts(turned: Archive, method: str) -> None:
    pytest.importorskip("reproject")
    found = cutouts(turned, 10.0, -5.0, "31arcsec")
    with pytest.raises(ShapeError, match="align=True"):
        found.stack()
    stack = found.stack(align=True, method=method)
    assert stack.shape == (4, 31, 31)  # the median scale is one arcsecond
    want = gaussian((31, 31), 15.0, 15.0, 4.0, 1000.0) + 0.25
    rows, columns = np.indices((31, 31))
    for layer in stack.data:
        seen = np.where(np.isnan(layer), want, layer)  # the star lies near a corner of its images
        star = seen - 0.25
        assert star.sum() == pytest.approx((want - 0.25).sum(), rel=0.01)
        assert (star * columns).sum() / star.sum() == pytest.approx(15.0, abs=0.05)
        assert (star * rows).sum() / star.sum() == pytest.approx(15.0, abs=0.05)
        np.testing.assert_allclose(seen, want, atol=(0.1 if method == "adaptive" else 0.05) * want.max())
    assert stack.footprint is not None
    assert np.isfinite(stack.data[stack.footprint > 0.999]).all()


def test_aligned_flags_are_those_of_the_nearest_pixel(turned: Archive) -> None:
    pytest.importorskip("reproject")
    stack = cutouts(turned, 10.0, -5.0, "81arcsec").stack(align=True)
    grid = WCS(fits.Header.fromstring(stack.make_wcs_cards()[0], sep="\n"))
    rows, columns = np.indices(stack.shape[1:])
    sky = grid.all_pix2world(columns, rows, 0)
    for layer, row in enumerate(stack.table):
        image = turned.get_image(row["image_id"])
        x, y = image.get_wcs("AstropyWCS").get_astropy_wcs().all_world2pix(*sky, 0)
        i, j = np.floor(y + 0.5).astype(int), np.floor(x + 0.5).astype(int)
        inside = (i >= 0) & (j >= 0) & (i < image.height) & (j < image.width)
        flags = image.flags
        assert flags is not None
        want = np.where(inside, flags[i.clip(0, image.height - 1), j.clip(0, image.width - 1)], 0)
        want[~inside] = stack.flag_bits["NO_DATA"]
        assert (stack.flags[layer] != want).mean() < 1e-3  # type: ignore[index]  # ties of rounding
        assert (stack.footprint[layer] > 0).mean() == pytest.approx(inside.mean(), abs=0.03)  # type: ignore[index]


def test_an_angle_is_as_many_pixels_as_each_image_needs(turned: Archive) -> None:
    table = cutouts(turned, 10.0, -5.0, "12arcsec").table
    assert table["width"].tolist() == [12, 12, 15, 8]
    assert table["width"].tolist() == table["height"].tolist()


def test_choices_of_alignment_are_checked(turned: Archive) -> None:
    found = cutouts(turned, 10.0, -5.0, 11)
    for options in ({"method": "exact"}, {"pixel_scale": 1.0}, {"align": True, "method": "magic"}):
        with pytest.raises(UsageError):
            found.stack(**options)
    with pytest.raises(UsageError, match="above 0"):
        found.stack(align=True, pixel_scale=-1.0)


# Files


@pytest.fixture
def mixed(own: Archive, tmp_path: Path) -> CutoutSet:
    """Five epochs: one gone, one partial, one without band and zero point."""
    paths = [write_epoch(tmp_path / "data" / f"e{n}.fits", 60000.0 + n) for n in range(4)]
    paths.append(write_epoch(tmp_path / "data" / "e4.fits", 60004.0, band=None, zeropoint=None, planes=False))
    own.ingest(paths, jobs=1)
    paths[2].unlink()
    return cutouts(own, 10.0, -5.0, 45)


@pytest.mark.parametrize("suffix", [".fits", ".zarr"])
def test_a_stack_comes_back_as_it_was_written(mixed: CutoutSet, suffix: str, tmp_path: Path) -> None:
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    stack = mixed.stack()
    path = mixed.write(tmp_path / f"out{suffix}")
    again = CutoutStack.read(path)
    assert list(again.planes) == ["data", "noise", "flags"]
    for name, plane in stack.planes.items():
        np.testing.assert_array_equal(again.planes[name], plane)
        assert again.planes[name].dtype == plane.dtype
    for mine, theirs in ((stack.table, again.table), (stack.missing, again.missing)):
        assert mine.colnames == theirs.colnames
        for name in mine.colnames:
            assert mine[name].tolist() == theirs[name].tolist()
            assert mine[name].unit == theirs[name].unit
    assert (len(again), again.missing["error"].tolist()) == (4, ["ObjectMissingError"])
    assert again.table["band"].tolist() == ["r", "r", "r", None]
    assert (again.ra, again.dec, again.flag_bits, again.aligned) == (10.0, -5.0, stack.flag_bits, False)
    assert again.make_wcs_cards() == stack.make_wcs_cards()
    assert again.wcs[3].pixel_to_world(1, 2) == stack.wcs[3].pixel_to_world(1, 2)  # type: ignore[union-attr]
    with pytest.raises(ObjectExistsError, match="exists"):
        stack.write(path)
    shutil.copyfile(__file__, tmp_path / "text.fits")
    with pytest.raises(UnknownFormatError):
        CutoutStack.read(tmp_path / "text.fits")
    stack.write(path, overwrite=True)
    assert len(CutoutStack.read(path)) == 4
    assert not list(tmp_path.glob(".*.part"))


def test_a_stack_in_fits_is_read_without_snapdb(mixed: CutoutSet, tmp_path: Path) -> None:
    path = mixed.write(tmp_path / "out.fits")
    rows = Table.read(path, hdu="EPOCHS")
    assert len(rows) == 4
    for row, cutout in zip(rows, mixed, strict=True):
        np.testing.assert_array_equal(row["DATA"], cutout.data)
        cards = fits.Header.fromstring(row["WCS"])
        got = WCS(cards).all_pix2world([0.0, 44.0], [44.0, 10.0], 0)
        want = np.array(cutout.pixel_to_world(np.array([0.0, 44.0]), np.array([44.0, 10.0])))
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-11)
        np.testing.assert_allclose(WCS(cards).all_world2pix(10.0, -5.0, 0), (row["x"], row["y"]), atol=1e-6)
    with fits.open(path, checksum=True) as hdus:
        assert hdus[0].header["SDBKIND"] == "CUTOUTS"
        assert hdus["EPOCHS"].columns["DATA"].dim == "(45,45)"


def test_aligned_stacks_come_back_with_their_footprints(turned: Archive, tmp_path: Path) -> None:
    pytest.importorskip("reproject")
    stack = cutouts(turned, 10.0, -5.0, 21).stack(align=True)
    again = CutoutStack.read(stack.write(tmp_path / "aligned.fits"))
    assert again.aligned
    assert "footprint" not in again.planes
    np.testing.assert_array_equal(again.footprint, stack.footprint)


def test_a_file_each(mixed: CutoutSet, tmp_path: Path) -> None:
    paths = mixed.write_each(tmp_path / "each")
    assert len(paths) == len(mixed) == 4
    for path, cutout in zip(paths, mixed, strict=True):
        again = snapdb.Image(path)
        np.testing.assert_array_equal(again.data, cutout.data)
        np.testing.assert_allclose(
            np.array(again.world_to_pixel(10.0, -5.0)), np.array(cutout.world_to_pixel(10.0, -5.0)), atol=1e-6
        )
        assert again.mjd == cutout.mjd
    with pytest.raises(ObjectExistsError):
        mixed.write_each(tmp_path / "each")


def test_registered_files_are_never_written_over(mixed: CutoutSet, own: Archive, tmp_path: Path) -> None:
    path = tmp_path / "data" / "e0.fits"
    before = path.read_bytes()
    with pytest.raises(ObjectExistsError, match="registered"):
        mixed.write(path, overwrite=True)
    with pytest.raises(ObjectExistsError, match="registered"):
        mixed.write_table(path, overwrite=True)
    assert path.read_bytes() == before
    pytest.importorskip("zarr")
    folder = tmp_path / "mine.zarr"
    (folder / "deep").mkdir(parents=True)
    with pytest.raises(ObjectExistsError, match="no stack"):
        mixed.write(folder, overwrite=True)
    assert (folder / "deep").is_dir()
    for name in ("a.txt", "a"):
        with pytest.raises(UsageError, match="end the name so"):
            mixed.write(tmp_path / name)


def test_the_table_as_parquet_and_json(mixed: CutoutSet, tmp_path: Path) -> None:
    # Oracle: pyarrow's and the standard library's own readers.
    pq = pytest.importorskip("pyarrow.parquet")
    columns = {name: mixed.table[name].tolist() for name in mixed.table.colnames}
    want = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    arrow = pq.read_table(mixed.write_table(tmp_path / "t.parquet"))
    assert arrow.to_pylist() == want
    assert want[4]["band"] is None
    assert arrow.schema.field("exptime").metadata == {b"unit": b"s"}
    lines = mixed.write_table(tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == want
    assert json.loads(mixed.write_table(tmp_path / "t.json").read_text(encoding="utf-8")) == want


def test_numbers_that_are_not_known_are_marked_in_zarr(mixed: CutoutSet, tmp_path: Path) -> None:
    # Oracle: the table itself; _FillValue is how CF's readers, xarray among them, know what is missing.
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(mixed.write(tmp_path / "out.zarr")), mode="r")
    unknown = int(np.iinfo(np.int64).min)
    assert group["sca"][:].tolist() == [unknown] * 4
    assert group["sca"].attrs["_FillValue"] == group["sca"].fill_value == unknown
    assert np.isnan(group["zeropoint"].fill_value)


@pytest.mark.parametrize("suffix", [".ecsv", ".csv", ".fits", ".vot"])
def test_the_table_is_a_file_of_every_kind(mixed: CutoutSet, suffix: str, tmp_path: Path) -> None:
    path = mixed.write_table(tmp_path / f"t{suffix}")
    again = Table.read(path)
    assert [str(v) for v in again["image_id"]] == mixed.table["image_id"].tolist()
    assert [str(v) for v in again["status"]] == ["ok", "ok", "failed", "ok", "ok"]
    assert [float(v) for v in again["mjd"]] == mixed.table["mjd"].tolist()


def test_names_that_are_not_ascii_go_into_fits(own: Archive, tmp_path: Path) -> None:
    # Oracle: Python's own escapes; FITS 4.0, section 7.3.3.1, takes ASCII alone.
    own.ingest([write_epoch(tmp_path / "ünï ✓" / "x y.fits", 60000.0)], jobs=1)
    found = cutouts(own, 10.0, -5.0, 11)
    stack = found.stack().write(tmp_path / "s.fits")
    table = found.write_table(tmp_path / "t.fits")
    assert found.table["filepath"][0].endswith("ünï ✓/x y.fits")
    own.find_images().write(tmp_path / "l.fits")
    for name, hdu in ((stack, "EPOCHS"), (table, 1), (tmp_path / "l.fits", 1)):
        with fits.open(name) as hdus:
            assert hdus[hdu].data["filepath"][0].endswith("\\xfcn\\xef \\u2713/x y.fits")
    assert CutoutStack.read(stack).table["filepath"][0].endswith("\\u2713/x y.fits")


# Real images

REAL = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
FOLDERS = ("bass_mzls_fpack", "wcs_conventions", "hst", "plates_dss", "unwise_timeresolved", "sdss_frame")


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="the folder of real images is not there")
@pytest.mark.filterwarnings("ignore")
def test_real_images_of_every_kind(own: Archive, tmp_path: Path) -> None:
    """The pixels are each image's own cutout, and the cards that are written lead back to its positions."""
    own.ingest([REAL / folder for folder in FOLDERS])
    images = own.find_images()
    assert len(images) >= 20
    kinds = set()
    for image in images:
        ra, dec = image.coord_center
        stack = cutouts(own, ra, dec, 15, id=image.id).stack()
        alone = image.get_ra_dec_cutout(ra, dec, 15, mode="partial")
        np.testing.assert_array_equal(stack.data[0], alone.data)
        again = CutoutStack.read(stack.write(tmp_path / f"{image.id}.fits"))
        np.testing.assert_array_equal(again.data, stack.data)
        wcs = again.wcs[0]
        assert wcs is not None
        x, y = wcs.world_to_pixel(*alone.pixel_to_world(3.0, 4.0))
        assert (x, y) == pytest.approx((3.0, 4.0), abs=0.01)
        kinds.add(type(image.get_wcs()).__name__)
    assert kinds == {"FastWCS", "AstropyWCS"}

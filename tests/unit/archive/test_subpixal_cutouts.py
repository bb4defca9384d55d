"""Cutouts under subpixal's names. Oracles: numpy slices, astropy's WCS, and loops over every pixel."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NoOverlapError as AstropyNoOverlapError
from astropy.nddata.bitmask import bitfield_to_boolean_mask
from astropy.table import Table
from astropy.wcs import WCS, Sip
from astropy.wcs.utils import proj_plane_pixel_area

import snapdb
from snapdb.archive.stamps.segments import (
    create_cutouts,
    create_input_image_cutouts,
    create_primary_cutouts,
    drz_from_input_cutouts,
)
from snapdb.archive.stamps.skipped import SkippedSource
from snapdb.errors import (
    NoOverlapError,
    ObjectExistsError,
    PartialOverlapError,
    ProjectionError,
    ShapeError,
    UsageError,
)

WIDTH, HEIGHT = 60, 40
RNG = np.random.default_rng(20)
DATA = RNG.normal(size=(HEIGHT, WIDTH)).astype(np.float32)
DQ = RNG.integers(0, 16, size=(HEIGHT, WIDTH)).astype(np.int16)
WEIGHT = RNG.uniform(1, 2, size=(HEIGHT, WIDTH))


def make_wcs(
    scale: float = 5e-5, angle: float = 0.0, *, sip: bool = False, frame: str = "ICRS", size: int = WIDTH
) -> WCS:
    """A TAN WCS, turned, with SIP terms where asked for."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"] if sip else ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [10.0, -20.0]
    wcs.wcs.crpix = [size / 2, size / 3]
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs.wcs.cd = scale * np.array([[-c, s], [s, c]])
    wcs.wcs.radesys = frame
    if frame == "FK5":
        wcs.wcs.equinox = 2000.0
    if sip:
        a = np.zeros((3, 3))
        a[2, 0], a[1, 1] = 2e-4, -1e-4
        wcs.sip = Sip(a, a.T.copy(), None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return wcs


# The class


@pytest.mark.parametrize("blc_trc", [((3, 4), (20, 30)), ((0, 0), None), ((59, 39), (59, 39))])
def test_a_box_inside_is_the_slice(blc_trc: Any) -> None:
    blc, trc = blc_trc
    wcs = make_wcs()
    cutout = snapdb.Cutout(DATA, wcs, blc, trc, DQ, WEIGHT, "src", "Counts", 30.0)
    x1, y1 = (WIDTH - 1, HEIGHT - 1) if trc is None else trc
    place = np.s_[blc[1] : y1 + 1, blc[0] : x1 + 1]
    np.testing.assert_array_equal(cutout.data, DATA[place])
    np.testing.assert_array_equal(cutout.dq, DQ[place])
    np.testing.assert_array_equal(cutout.weight, WEIGHT[place])
    assert (cutout.blc, cutout.trc) == (blc, (x1, y1))
    assert (cutout.width, cutout.height) == (x1 - blc[0] + 1, y1 - blc[1] + 1)
    assert cutout.naxis == [cutout.width, cutout.height] == [cutout.naxis1, cutout.naxis2]
    assert cutout.extraction_slice == place
    assert cutout.insertion_slice == np.s_[0 : cutout.height, 0 : cutout.width]
    assert (cutout.src_id, cutout.data_units, cutout.exptime) == ("src", "counts", 30.0)
    assert cutout.src_pos == ((blc[0] + x1) / 2, (blc[1] + y1) / 2)
    assert not cutout.mask.any()
    assert cutout.wcs is wcs
    assert not np.shares_memory(cutout.data, DATA)


@pytest.mark.parametrize("mode", ["fill", "partial"])
@pytest.mark.parametrize("blc", [(-5, -3), (50, 35), (-2, 36), (10, 38)])
def test_filling_pixel_by_pixel(blc: tuple[int, int], mode: str) -> None:
    trc = (blc[0] + 11, blc[1] + 6)
    cutout = snapdb.Cutout(DATA, None, blc, trc, DQ, WEIGHT, mode=mode, fillval=-7)
    assert cutout.data.shape == (7, 12)
    outside_bit = cutout.flag_bits["NO_DATA"]
    assert not (DQ & outside_bit).any()
    dq, weight = cutout.dq, cutout.weight
    assert dq is not None
    assert weight is not None
    for y in range(7):
        for x in range(12):
            ix, iy = x + blc[0], y + blc[1]
            inside = 0 <= ix < WIDTH and 0 <= iy < HEIGHT
            assert cutout.data[y, x] == (DATA[iy, ix] if inside else -7)
            assert dq[y, x] == (DQ[iy, ix] if inside else outside_bit)
            assert weight[y, x] == (WEIGHT[iy, ix] if inside else 0)
            assert cutout.mask[y, x] == (not inside)
    np.testing.assert_array_equal(cutout.data[cutout.insertion_slice], DATA[cutout.extraction_slice])


def test_trim_gives_the_part_that_exists() -> None:
    cutout = snapdb.Cutout(DATA, None, (-5, 35), (3, 60), mode="trim")
    assert (cutout.blc, cutout.trc) == ((0, 35), (3, 39))
    np.testing.assert_array_equal(cutout.data, DATA[35:40, 0:4])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"blc": (60, 0), "trc": (61, 3)}, NoOverlapError),
        ({"blc": (0, -9), "trc": (3, -1)}, NoOverlapError),
        ({"blc": (70, 5), "trc": (3, 1)}, NoOverlapError),  # outside and ill-formed
        ({"blc": (7, 5), "trc": (3, 9)}, ShapeError),
        ({"blc": (-1, 0), "trc": (3, 3)}, PartialOverlapError),
        ({"blc": (0.5, 0), "trc": (3, 3)}, ShapeError),
        ({"trc": (3, 40)}, PartialOverlapError),
        ({"mode": "wrap"}, UsageError),
        ({"dq": DQ[1:]}, ShapeError),
        ({"dq": WEIGHT}, ShapeError),
        ({"weight": WEIGHT.T}, ShapeError),
        ({"exptime": 0}, UsageError),
        ({"exptime": float("nan")}, UsageError),
        ({"data_units": "jansky"}, UsageError),
        ({"src_weight": -1}, UsageError),
        ({"data": None}, UsageError),
        ({"data": DATA[0]}, ShapeError),
        ({"data": DATA + 1j}, ShapeError),
        ({"wcs": "a WCS"}, UsageError),
        ({"dq": DQ, "dqbitmask": "GOOD"}, UsageError),
        ({"blc": (-(10**6), 0), "trc": (10**6, 10**6), "mode": "fill"}, ShapeError),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    call: dict[str, Any] = {"data": DATA, "wcs": None, **arguments}
    with pytest.raises(error) as caught:
        snapdb.Cutout(**call)
    assert isinstance(caught.value, ValueError)
    if error is NoOverlapError:
        assert isinstance(caught.value, AstropyNoOverlapError)


def test_without_data_there_is_filling_up_to_trc() -> None:
    cutout = snapdb.Cutout(None, make_wcs(), (2, 3), (10, 20), fillval=4)
    assert cutout.data.shape == (18, 9)
    assert cutout.data.dtype == np.float32
    assert (cutout.data == 4).all()
    assert not cutout.mask.any()
    assert (cutout.parent.width, cutout.parent.height) == (11, 21)


def test_integers_are_never_filled_with_garbage() -> None:
    whole = snapdb.Cutout(DQ, None, (-1, 0), (3, 3), mode="fill")
    assert whole.data.dtype == np.float32
    assert np.isnan(whole.data[:, 0]).all()
    np.testing.assert_array_equal(whole.data[:, 1:], DQ[:4, :4])
    kept = snapdb.Cutout(DQ, None, (-1, 0), (3, 3), mode="fill", fillval=0)
    assert kept.data.dtype == np.int16


def test_mask_of_what_is_not_finite_and_of_bits() -> None:
    data = DATA.copy()
    data[2, 3] = np.nan
    assert np.argwhere(snapdb.Cutout(data, None).mask).tolist() == [[2, 3]]
    for good in (0, 4, "~2,8", "1+4"):
        cutout = snapdb.Cutout(DATA, None, (1, 2), (30, 30), DQ, dqbitmask=good)
        bad = bitfield_to_boolean_mask(DQ[2:31, 1:31], good, good_mask_value=False, dtype=bool)
        np.testing.assert_array_equal(cutout.mask, bad)
    masked = np.ma.MaskedArray(DATA, mask=DATA > 1)
    np.testing.assert_array_equal(snapdb.Cutout(masked, None).mask, DATA > 1)


def test_big_endian_images_become_native() -> None:
    cutout = snapdb.Cutout(DATA.astype(">f4"), None, (1, 1), (5, 6), DQ.astype(">i2"))
    assert cutout.data.dtype == np.dtype("=f4")
    assert cutout.dq is not None
    assert cutout.dq.dtype.isnative
    np.testing.assert_array_equal(cutout.data, DATA[1:7, 1:6])


def test_planes_are_set_by_copy_and_checked() -> None:
    cutout = snapdb.Cutout(DATA, None, (1, 1), (5, 6))
    new = np.ones((6, 5))
    cutout.data = new
    new[0, 0] = 9
    assert cutout.data[0, 0] == 1
    for name in ("data", "mask", "dq", "weight"):
        with pytest.raises(ShapeError):
            setattr(cutout, name, np.zeros((5, 6), np.int16))
    for name in ("data", "mask"):
        with pytest.raises(UsageError, match="cannot be None"):
            setattr(cutout, name, None)
    cutout.dq = np.ones((6, 5), np.uint8)
    cutout.weight = np.ones((6, 5))
    cutout.dq = cutout.weight = None
    assert "dq" not in cutout
    assert "weight" not in cutout
    cutout.mask[2, 2] = True
    cutout.mask |= np.eye(6, 5, dtype=bool)
    assert cutout.mask.sum() == 5


def test_corners_move_together_and_the_sky_with_them() -> None:
    wcs = make_wcs()
    cutout = snapdb.Cutout(DATA, wcs, (3, 4), (20, 30))
    _ = cutout.get_wcs(), cutout.header, cutout.ra
    cutout.blc = (10, 2)
    assert (cutout.trc, cutout.width, cutout.height) == ((27, 28), 18, 27)
    np.testing.assert_allclose(cutout.pix2world(0, 0), wcs.all_pix2world(10, 2, 0), atol=1e-12)
    np.testing.assert_allclose(np.array(cutout.pixel_to_world(0, 0)), wcs.all_pix2world(10, 2, 0), atol=1e-10)
    cutout.trc = (20, 30)
    assert cutout.blc == (3, 4)
    with pytest.raises(ShapeError, match="blc"):
        cutout.blc = (1.5, 2)  # type: ignore[assignment]  # what is refused
    with pytest.raises(ShapeError, match="trc"):
        cutout.trc = (1,)


@pytest.mark.parametrize("sip", [False, True])
@pytest.mark.parametrize("origin", [0, 1])
def test_coordinates_are_those_of_the_image_moved(sip: bool, origin: int) -> None:
    wcs = make_wcs(sip=sip)
    cutout = snapdb.Cutout(DATA, wcs, (7, 11), (30, 30))
    x, y = RNG.uniform(-5, 40, (2, 50))
    before = x.copy(), y.copy()
    for dx, dy in ((0, 0), (0.3, -1.25), (2, 0)):
        cutout.dx, cutout.dy = dx, dy
        expected = wcs.all_pix2world(x + 7 - dx, y + 11 - dy, origin)
        ra, dec = cutout.pix2world(x, y, origin=origin)
        np.testing.assert_allclose([ra, dec], expected, rtol=0, atol=1e-12)
        pairs = cutout.pix2world(np.stack((x, y), axis=1), origin=origin)
        np.testing.assert_array_equal(pairs, np.stack((ra, dec), axis=1))
        np.testing.assert_allclose(cutout.world2pix(ra, dec, origin=origin), [x, y], atol=2e-5)
        np.testing.assert_allclose(cutout.world2pix(pairs, origin=origin)[:, 0], x, atol=2e-5)
        if origin == 0:
            np.testing.assert_allclose(np.array(cutout.pixel_to_world(x, y)), expected, atol=1e-10)
            own = cutout["wcs"].all_pix2world(x, y, 0)
            np.testing.assert_allclose(own, expected, atol=1e-10)
    np.testing.assert_array_equal((x, y), before)  # the caller's arrays stay


def test_coordinates_of_other_frames() -> None:
    wcs = make_wcs(frame="FK5")
    cutout = snapdb.Cutout(DATA, wcs, (7, 11), (30, 30))
    np.testing.assert_allclose(cutout.pix2world(1, 2), wcs.all_pix2world(8, 13, 0), atol=1e-12)
    icrs = wcs.pixel_to_world(8, 13).icrs
    ra, dec = cutout.pixel_to_world(1, 2)
    assert np.hypot((ra - icrs.ra.deg) * np.cos(np.radians(dec)), dec - icrs.dec.deg) * 3.6e6 < 1e-3  # mas


def test_a_position_without_a_pixel_spoils_no_other() -> None:
    for sip in (False, True):
        cutout = snapdb.Cutout(DATA, make_wcs(sip=sip), (7, 11), (30, 30))
        ra, dec = cutout.pix2world([3.0, 4.0], [5.0, 6.0])
        far = np.array([ra[0], 190.0, ra[1], np.nan, 100.0]), np.array([dec[0], 20.0, dec[1], 0.0, 80.0])
        x, y = cutout.world2pix(*far)
        np.testing.assert_allclose(x[[0, 2]], [3, 4], atol=1e-4)
        np.testing.assert_allclose(y[[0, 2]], [5, 6], atol=1e-4)
        assert np.isnan(x[[1, 3, 4]]).all()
    loud = type("Loud", (snapdb.Cutout,), {"DEFAULT_QUIET": False})(DATA, make_wcs())
    with pytest.raises(ProjectionError, match="1 of 1"):
        loud.world2pix(190.0, 20.0)


@pytest.mark.parametrize("args", [(), (1,), ([1.0, 2.0],), (1, 2, 3), (np.zeros((3, 3)),), ("a", "b")])
def test_arguments_that_are_no_coordinates(args: Any) -> None:
    cutout = snapdb.Cutout(DATA, make_wcs())
    for method in (cutout.pix2world, cutout.world2pix):
        with pytest.raises(ShapeError):
            method(*args)
    assert cutout.pix2world(np.zeros((0, 2))).shape == (0, 2)
    assert cutout.world2pix([], [])[0].shape == (0,)


def test_bounding_boxes() -> None:
    wcs = make_wcs()
    cutout = snapdb.Cutout(DATA, wcs, (3, 4), (20, 30))
    cutout.dx = 0.25
    box = np.array([[2.5, 3.5], [2.5, 30.5], [20.5, 30.5], [20.5, 3.5]])
    np.testing.assert_array_equal(cutout.get_bbox(), box)
    np.testing.assert_array_equal(cutout.get_bbox("blc"), box - [3, 4])
    np.testing.assert_allclose(cutout.get_bbox("world"), wcs.all_pix2world(box - [0.25, 0], 0), atol=1e-12)
    with pytest.raises(UsageError, match="wrt"):
        cutout.get_bbox("sky")


def test_source_positions_and_pixel_scale() -> None:
    wcs = make_wcs()
    cutout = snapdb.Cutout(DATA, wcs, (3, 4), (20, 30), src_pos=(9.5, 8.25), src_weight=2)
    assert (cutout.src_pos, cutout.cutout_src_pos, cutout.src_weight) == ((9.5, 8.25), (6.5, 4.25), 2)
    cutout.cutout_src_pos = (1, 2)
    assert np.array_equal(cutout.src_pos, (4, 6))
    cutout.cutout_src_pos = None
    assert np.array_equal(cutout.src_pos, (11.5, 17.0))
    assert cutout.pscale == pytest.approx(np.sqrt(proj_plane_pixel_area(wcs)), rel=1e-12)
    with pytest.raises(ProjectionError, match="no world coordinates"):
        _ = snapdb.Cutout(DATA, None).pscale


def test_counts_and_rates() -> None:
    image = snapdb.Image(data=DQ, noise=WEIGHT, exptime=30.0, zeropoint=25.0, sky_level=3.0)
    counts = image.get_cutout(20, 20, 9)
    rate = counts.to_rate()
    np.testing.assert_allclose(rate.data, counts.data / 30.0)
    np.testing.assert_allclose(np.asarray(rate.noise), np.asarray(counts.noise) / 30.0)
    np.testing.assert_allclose(np.asarray(rate.weight), np.asarray(counts.weight) * 900.0)
    assert rate.zeropoint == pytest.approx(25.0 - 2.5 * np.log10(30.0))
    assert (rate.data_units, counts.data_units) == ("rate", "counts")
    assert rate.sky_level == pytest.approx(0.1)
    again = rate.to_counts()
    np.testing.assert_allclose(again.data, counts.data)
    assert again.zeropoint == pytest.approx(25.0)
    assert again.to_counts() is not again
    with pytest.raises(UsageError, match="exptime=None"):
        snapdb.Image(data=DQ).get_cutout(9, 9, 3).to_rate()


# Cutouts of images


def test_cutouts_of_images_have_the_same_names() -> None:
    flags = np.where(DQ == 3, 2, 0).astype(np.int16)
    noise = WEIGHT.astype(np.float32)
    noise[20, 20] = 0
    image = snapdb.Image(data=DATA, noise=noise, flags=flags, wcs=make_wcs(sip=True), bad_bits=2)
    cutout = image.get_cutout(2, 21, 11, mode="partial")
    assert (cutout.blc, cutout.trc, cutout.src_id) == ((-3, 16), (7, 26), None)
    assert cutout.insertion_slice == np.s_[0:11, 3:11]
    inside = cutout.mask[:, 3:]
    expected = (flags[16:27, 0:8] == 2) | (noise[16:27, 0:8] <= 0)
    np.testing.assert_array_equal(inside, expected)
    assert cutout.mask[:, :3].all()
    assert cutout.weight is not None
    np.testing.assert_allclose(cutout.weight[:, 3:][~expected], (1 / noise[16:27, :8] ** 2)[~expected])
    assert (cutout.weight[:, :3] == 0).all()
    np.testing.assert_allclose(cutout.pix2world(3, 4), cutout.wcs.all_pix2world(0, 20, 0), atol=1e-12)
    assert "mask" not in cutout.plane_names
    cutout.mask[0, 5] = True
    assert "mask" in cutout.plane_names
    nested = cutout.get_cutout(5, 1, 5, mode="partial", fill_value=-1)
    assert nested.mask.dtype == bool
    np.testing.assert_array_equal(nested.mask[1:], cutout.mask[0:4, 3:8])
    assert nested.mask[0].all()
    assert nested.origin == (0, 15)


def test_a_cutout_travels_and_copies() -> None:
    cutout = snapdb.Cutout(DATA, make_wcs(sip=True), (3, 4), (20, 30), DQ, src_id=7)
    cutout["meta"]["note"] = ["a"]
    other = cutout.copy()
    other.data[0, 0] = 99
    other.meta["note"].append("b")
    assert cutout.data[0, 0] != 99
    assert cutout.meta == {"note": ["a"]}
    again = pickle.loads(pickle.dumps(cutout))
    np.testing.assert_array_equal(again.data, cutout.data)
    np.testing.assert_allclose(again.pix2world(3, 4), cutout.pix2world(3, 4), atol=1e-13)
    assert len(pickle.dumps(cutout)) < 40_000  # the parent's pixels stay at home


def test_save_and_load(tmp_path: Path) -> None:
    path = tmp_path / "cutout.fits"
    cutout = snapdb.Cutout(
        DATA, make_wcs(sip=True), (-3, 4), (20, 30), DQ, WEIGHT, 2**40, "counts", 7, "fill"
    )
    cutout.dx, cutout.src_weight, cutout.src_pos = 0.3, 2.5, (4.25, 9.0)
    cutout.mask[5, 5] = True
    cutout["template"] = cutout.data * 2
    cutout.meta["note"] = "naïve & 'quoted' / " + "it's & that's " * 30
    cutout.save(path=path)
    again = snapdb.Cutout.load(path)
    for name in ("data", "dq", "weight", "mask"):
        np.testing.assert_array_equal(getattr(again, name), getattr(cutout, name))
        assert getattr(again, name).dtype == getattr(cutout, name).dtype
    np.testing.assert_array_equal(again["template"], cutout["template"])
    for name in (
        "blc",
        "trc",
        "dx",
        "dy",
        "src_id",
        "src_pos",
        "src_weight",
        "data_units",
        "exptime",
        "meta",
    ):
        assert getattr(again, name) == getattr(cutout, name), name
    assert (again.insertion_slice, again.extraction_slice) == (
        cutout.insertion_slice,
        cutout.extraction_slice,
    )
    assert (again.parent.width, again.parent.height) == (WIDTH, HEIGHT)
    assert again.flag_bits == cutout.flag_bits
    x, y = RNG.uniform(0, 20, (2, 9))
    np.testing.assert_allclose(again.pix2world(x, y), cutout.pix2world(x, y), atol=1e-10)
    there = np.array(again.pixel_to_world(x, y))
    np.testing.assert_allclose(there, np.array(cutout.pixel_to_world(x, y)), atol=1e-10)
    with fits.open(path) as hdus:
        hdus.verify("exception")
    with pytest.raises(ObjectExistsError):
        again.save(path=path)


# Sources


def make_scene(
    rng: np.random.Generator, size: tuple[int, int] = (100, 120), count: int = 25, factor: int = 1
) -> tuple[np.ndarray, Table]:
    """Rectangles with ids, which may hide one another, and their catalogue."""
    height, width = size
    labels = np.zeros(size, np.int64)
    rows = []
    for number in range(1, count + 1):
        x, y = int(rng.integers(0, width - 6)), int(rng.integers(0, height - 6))
        labels[y : y + rng.integers(1, 6), x : x + rng.integers(1, 6)] = number * factor
        rows.append((number * factor, x + 1.5, y + 1.25, 0.5 * number))
    return labels, Table(rows=rows, names=("id", "x", "y", "weight"))


@pytest.mark.parametrize("factor", [1, 2**24 + 1, -(2**40)])
@pytest.mark.parametrize("pad", [1, 0, 1.2, 6, -1])
def test_primary_cutouts_by_brute_force(factor: int, pad: float) -> None:
    rng = np.random.default_rng(3)
    labels, catalog = make_scene(rng, factor=factor)
    data = rng.normal(size=labels.shape)
    dq = (rng.random(labels.shape) < 0.1).astype(np.uint8)
    report: list[SkippedSource] = []
    cutouts = create_primary_cutouts(catalog, labels, data, make_wcs(), dq, pad=pad, report=report)
    reach = {1: 1, 0: 0, 1.2: 2, 6: 6, -1: -1}[pad]
    expected = {}
    for row in catalog:
        y, x = np.nonzero(labels == row["id"])
        if not len(x) or x.min() == 0 or y.min() == 0 or x.max() == 119 or y.max() == 99:
            continue
        blc, trc = (x.min() - reach, y.min() - reach), (x.max() + reach, y.max() + reach)
        if trc[0] < blc[0] or trc[1] < blc[1]:
            continue
        height, width = trc[1] - blc[1] + 1, trc[0] - blc[0] + 1
        values, bad = np.zeros((height, width)), np.ones((height, width), bool)
        for j in range(height):
            for i in range(width):
                iy, ix = j + blc[1], i + blc[0]
                if 0 <= iy < 100 and 0 <= ix < 120:
                    values[j, i] = data[iy, ix]
                    bad[j, i] = labels[iy, ix] != row["id"] or dq[iy, ix] != 0
        if not bad.all():
            expected[int(row["id"])] = (blc, trc, values, bad, row)
    assert [c.src_id for c in cutouts] == sorted(expected)
    for cutout in cutouts:
        blc, trc, values, bad, row = expected[cutout.src_id]
        assert (cutout.blc, cutout.trc) == (blc, trc)
        np.testing.assert_array_equal(cutout.data, values)
        np.testing.assert_array_equal(cutout.mask, bad)
        assert cutout.src_pos == (row["x"], row["y"])
        assert cutout.src_weight == row["weight"]
        assert (cutout.data_units, cutout.exptime) == ("counts", 1)
    assert {s.src_id for s in report} == set(catalog["id"].tolist()) - set(expected)
    assert all(s.reason and s.step == "primary" for s in report)


def test_padding_near_the_border_is_filled_and_loses_nobody() -> None:
    labels = np.zeros((20, 20), int)
    labels[1, 1], labels[10, 10] = 1, 2
    data = np.ones((20, 20), np.float32)
    cutouts = create_primary_cutouts({"id": [1, 2]}, labels, data, make_wcs(), pad=3)
    assert [c.blc for c in cutouts] == [(-2, -2), (7, 7)]
    assert cutouts[0].data[0, 0] == 0
    assert cutouts[0].mask[0, 0]
    assert cutouts[0].src_pos == (1.0, 1.0)  # the middle, where the catalogue has no position


def test_catalogues_in_other_forms() -> None:
    labels = np.zeros((20, 20), np.float64)
    labels[5, 5] = 3
    data = np.ones((20, 20))
    holder = type("Catalogue", (), {"catalog": Table({"id": [3, 3], "x": [5.5, 1.0], "y": [5.0, 1.0]})})()
    (cutout,) = create_primary_cutouts(holder, labels, data, None)
    assert (cutout.src_id, cutout.src_pos) == (3, (5.5, 5.0))  # the first row counts
    masked = Table({"id": [3], "x": [5.5], "y": [5.0]}, masked=True)
    masked["x"].mask[0] = True
    assert create_primary_cutouts(masked, labels, data, None)[0].src_pos == (5.0, 5.0)
    for catalog, image in (({"x": [1]}, labels), ({"id": ["a"]}, labels), ({"id": [3]}, labels + 0.5)):
        with pytest.raises(UsageError):
            create_primary_cutouts(catalog, image, data, None)
    with pytest.raises(ShapeError):
        create_primary_cutouts({"id": [3]}, labels[1:], data, None)
    with pytest.raises(UsageError, match="dqbitmask"):
        create_primary_cutouts({"id": [3]}, labels, data, None, np.zeros((20, 20), int), dqbitmask="x")


@pytest.mark.parametrize("pad", [1, 2, 0.5])
def test_mapping_to_a_distorted_image_and_back(pad: float) -> None:
    rng = np.random.default_rng(8)
    labels, catalog = make_scene(rng)
    drz_wcs, flt_wcs = make_wcs(size=100), make_wcs(4e-5, 25.0, sip=True, size=140)
    drz, flt = rng.normal(size=(100, 120)), rng.normal(size=(110, 130))
    primaries = create_primary_cutouts(catalog, labels, drz, drz_wcs)
    report: list[SkippedSource] = []
    inputs, matching = create_input_image_cutouts(primaries, flt, flt_wcs, pad=pad, report=report)
    assert 5 < len(inputs) < len(primaries)
    assert {s.src_id for s in report} == {p.src_id for p in primaries} - {m.src_id for m in matching}
    for cutout, primary in zip(inputs, matching, strict=True):
        assert cutout.src_id == primary.src_id
        # Oracle: a dense outline through astropy. Five points a side come within a pixel's rounding of it.
        x, y = _outline(primary, 101)
        fx, fy = flt_wcs.all_world2pix(*drz_wcs.all_pix2world(x, y, 0), 0)
        low = np.floor([fx.min() - pad, fy.min() - pad])
        high = np.ceil([fx.max() + pad, fy.max() + pad])
        assert np.abs(np.subtract(cutout.blc, low)).max() <= 1
        assert np.abs(np.subtract(cutout.trc, high)).max() <= 1
        np.testing.assert_array_equal(cutout.data, flt[cutout.extraction_slice])
        position = flt_wcs.all_world2pix(*drz_wcs.all_pix2world(*primary.src_pos, 0), 0)
        np.testing.assert_allclose(cutout.src_pos, position, atol=1e-4)
    flts, drzs = create_cutouts(primaries, labels, drz, drz_wcs, flt, flt_wcs, pad=pad)
    assert [c.src_id for c in flts] == [c.src_id for c in drzs]
    again, _ = drz_from_input_cutouts(inputs, labels, drz, drz_wcs, pad=np.ceil(pad * 0.8))
    for cutout, same in zip(drzs, again, strict=True):
        assert cutout.blc == same.blc
        primary = next(p for p in primaries if p.src_id == cutout.src_id)
        assert cutout.blc <= primary.blc
        assert all(a >= b for a, b in zip(cutout.trc, primary.trc, strict=True))
        inside = labels[cutout.extraction_slice] != cutout.src_id
        np.testing.assert_array_equal(cutout.mask[cutout.insertion_slice], inside)
        np.testing.assert_allclose(cutout.src_pos, primary.src_pos, atol=1e-4)
    assert (drzs[0].data_units, flts[0].data_units) == ("rate", "counts")


def _outline(cutout: snapdb.Cutout, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points along the outer edges of a cutout, in its parent's pixels."""
    (x0, y0), (x1, y1) = cutout.blc, cutout.trc
    across, up = np.linspace(x0 - 0.5, x1 + 0.5, count), np.linspace(y0 - 0.5, y1 + 0.5, count)
    x = np.concatenate([across, across, np.full(count, x0 - 0.5), np.full(count, x1 + 0.5)])
    y = np.concatenate([np.full(count, y0 - 0.5), np.full(count, y1 + 0.5), up, up])
    return x, y


def test_one_bad_source_never_loses_the_others() -> None:
    flt_wcs = make_wcs(sip=True)
    good = snapdb.Cutout(DATA, make_wcs(), (20, 10), (25, 15), src_id="good")
    behind_wcs = make_wcs()
    behind_wcs.wcs.crval = [190.0, 20.0]
    behind = snapdb.Cutout(DATA, behind_wcs, (20, 10), (25, 15), src_id="behind")
    far_wcs = make_wcs()
    far_wcs.wcs.crval = [60.0, 40.0]
    far = snapdb.Cutout(DATA, far_wcs, (20, 10), (25, 15), src_id="far")
    blind = snapdb.Cutout(DATA, None, (20, 10), (25, 15), src_id="blind")
    empty = snapdb.Cutout(DATA, make_wcs(), (40, 10), (45, 15), src_id="empty")
    flt = np.where(np.arange(WIDTH) < 35, DATA, np.nan)
    report: list[SkippedSource] = []
    cutouts, matching = create_input_image_cutouts(
        [behind, good, far, blind, empty], flt, flt_wcs, report=report
    )
    assert [c.src_id for c in cutouts] == ["good"]
    assert matching == [good]
    reasons = {s.src_id: s.reason for s in report}
    assert set(reasons) == {"behind", "far", "blind", "empty"}
    assert "does not project" in reasons["behind"]
    assert "no world coordinates" in reasons["blind"]
    assert "good" in reasons["empty"]
    assert create_cutouts([behind], None, DATA, make_wcs(), DATA, flt_wcs) == ([], [])
    with pytest.raises(ProjectionError):
        create_input_image_cutouts([good], DATA, None)


def test_a_third_axis_of_the_coordinates_changes_nothing() -> None:
    labels, catalog = make_scene(np.random.default_rng(8))
    data, plane = np.ones(labels.shape), make_wcs(size=100)
    cube = WCS(naxis=3)
    cube.wcs.ctype = [*plane.wcs.ctype, "FREQ"]
    cube.wcs.crval, cube.wcs.crpix = [*plane.wcs.crval, 1e9], [*plane.wcs.crpix, 1.0]
    cube.wcs.cdelt = [-5e-5, 5e-5, 1e6]
    primaries = create_primary_cutouts(catalog, labels, data, plane)
    # Oracle: the same with two axes.
    flat, deep = (create_cutouts(primaries, labels, data, w, data, plane)[1] for w in (plane, cube))
    assert len(flat) > 5
    assert [(c.blc, c.trc) for c in deep] == [(c.blc, c.trc) for c in flat]


def test_coordinates_that_are_missing_are_named() -> None:
    good = snapdb.Cutout(DATA, make_wcs(), (20, 10), (25, 15))
    for primaries in ([good], []):
        with pytest.raises(ProjectionError, match="drz_wcs=None"):
            create_cutouts(primaries, None, DATA, None, DATA, make_wcs())


@pytest.mark.parametrize("pad", ["1", None, float("nan"), float("inf"), -1e300])
def test_pads_that_are_no_number_are_refused(pad: Any) -> None:
    labels, catalog = make_scene(np.random.default_rng(8))
    data, wcs = np.ones(labels.shape), make_wcs(size=100)
    good = snapdb.Cutout(data, wcs, (20, 10), (25, 15))
    with pytest.raises(UsageError, match="pad="):
        create_primary_cutouts(catalog, labels, data, wcs, pad=pad)
    for make in (create_input_image_cutouts, lambda c, *a, **k: drz_from_input_cutouts(c, None, *a, **k)):
        with pytest.raises(UsageError, match="pad="):
            make([good], data, wcs, pad=pad)
    with pytest.raises(UsageError, match="pad="):
        create_cutouts([good], None, data, wcs, data, wcs, pad=pad)

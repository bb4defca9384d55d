"""Images as astropy's objects and back. The oracles are astropy's own classes, readers and coordinates."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    Cutout2D,
    InverseVariance,
    NDData,
    NDDataArray,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.wcs import WCS, Sip

import snapdb
from snapdb.errors import NotAnImageError, UnitError, UsageError

WIDTH, HEIGHT = 60, 40
DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"


def make_wcs() -> WCS:
    """A TAN-SIP WCS across right ascension 0."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.crval = [0.001, -20.0]
    wcs.wcs.crpix = [30.5, 20.5]
    wcs.wcs.cd = [[-5e-5, 1e-5], [1e-5, 5e-5]]
    wcs.wcs.radesys = "ICRS"
    a = np.zeros((3, 3))
    a[2, 0] = 2e-5
    wcs.sip = Sip(a, a.T.copy(), None, None, wcs.wcs.crpix)
    return wcs


@pytest.fixture
def image() -> snapdb.Image:
    """An image with three planes, two named flags of which one is bad."""
    random = np.random.default_rng(3)
    data = random.normal(100.0, 5.0, (HEIGHT, WIDTH)).astype(np.float32)
    flags = np.zeros((HEIGHT, WIDTH), dtype=np.int16)
    flags[3, 4], flags[5, 6], flags[7, 8] = 1, 4, 5
    return snapdb.Image(
        data=data,
        noise=np.sqrt(data),
        flags=flags,
        wcs=make_wcs(),
        band="r",
        mjd=60000.25,
        exptime=30.0,
        flag_bits={"HOT": 1, "Edge": 4},
        bad_bits=1,
        zeropoint=25.0,
    )


def assert_places(one: Any, other: Any) -> None:
    """Compare two astropy WCSs over the image; 2e-13 degrees are 4e-9 of its pixels."""
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(0, WIDTH - 1, 5), np.linspace(0, HEIGHT - 1, 5)))
    np.testing.assert_allclose(one.all_pix2world(x, y, 0), other.all_pix2world(x, y, 0), rtol=0, atol=2e-13)


def test_ccddata_has_all_parts(image: snapdb.Image) -> None:
    ccd = image.to_ccddata()
    assert isinstance(ccd, CCDData)
    np.testing.assert_array_equal(ccd.data, image.data)
    assert isinstance(ccd.uncertainty, StdDevUncertainty)
    np.testing.assert_array_equal(ccd.uncertainty.array, image.noise)
    assert [tuple(p) for p in np.argwhere(ccd.mask)] == [(3, 4), (7, 8)]  # bit 4 is not bad
    np.testing.assert_array_equal(ccd.flags, image.flags)
    assert ccd.unit == u.adu
    assert (ccd.header["BAND"], ccd.header["ZPT"], ccd.header["EXPTIME"]) == ("r", 25.0, 30.0)
    assert "CTYPE1" not in ccd.header
    assert_places(ccd.wcs, make_wcs())
    ccd.data[:] = 0.0  # its own array
    assert image.data.min() > 0.0


def test_ccddata_goes_to_a_file_and_back(image: snapdb.Image, tmp_path: Path) -> None:
    image.to_ccddata().write(tmp_path / "ccd.fits")
    again = CCDData.read(tmp_path / "ccd.fits")
    np.testing.assert_array_equal(again.data, image.data)
    np.testing.assert_array_equal(again.uncertainty.array, image.noise)
    assert_places(again.wcs, make_wcs())
    back = snapdb.Image.from_ccddata(again)
    assert (back.band, back.mjd, back.zeropoint, back.exptime) == ("r", 60000.25, 25.0, 30.0)


@pytest.mark.parametrize("kind", ["to_ccddata", "to_nddata"])
def test_there_and_back(image: snapdb.Image, kind: str) -> None:
    given = getattr(image, kind)()
    assert isinstance(given, NDDataArray)
    back = snapdb.Image.from_nddata(given)
    assert isinstance(back, snapdb.Image)
    for name in ("data", "noise", "flags"):
        one, other = back.get_data(name)[0], image.get_data(name)[0]
        assert one is not None
        assert other is not None
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    for name in ("band", "mjd", "exptime", "zeropoint", "data_units", "kind", "flag_bits", "bad_bits"):
        assert back.fact(name) == image.fact(name), name
    assert_places(back.get_wcs().get_astropy_wcs(), make_wcs())
    assert back.fraction_masked() == image.fraction_masked()
    assert not {"SDBVERS", "SDBBAD", "SDBFLAGS"} & set(back.header)


def test_what_came_back_can_be_saved(image: snapdb.Image, tmp_path: Path) -> None:
    back = snapdb.Image.from_ccddata(image.to_ccddata())
    back.save(path=tmp_path / "saved.fits")
    held = snapdb.Image(tmp_path / "saved.fits")
    np.testing.assert_array_equal(held.data, image.data)
    assert (held.band, held.zeropoint, dict(held.flag_bits)) == ("r", 25.0, {"HOT": 1, "Edge": 4})
    assert_places(held.get_wcs().get_astropy_wcs(), make_wcs())


def test_an_image_without_planes_beside_data(image: snapdb.Image) -> None:
    bare = snapdb.Image(data=image.data)
    ccd = bare.to_ccddata()
    assert (ccd.uncertainty, ccd.mask, ccd.flags, ccd.wcs) == (None, None, None, None)
    back = snapdb.Image.from_ccddata(ccd)
    assert (back.noise, back.flags, back.has_wcs) == (None, None, False)


@pytest.mark.parametrize(
    ("bunit", "data_units", "expected"),
    [
        ("DN/s", "rate", u.adu / u.s),
        ("electron/s", "rate", u.electron / u.s),
        ("ELECTRONS", "counts", u.adu),
        ("MJy/sr", "counts", u.MJy / u.sr),
        ("", "rate", u.adu / u.s),
        ("counts", "counts", u.adu),
        ("count", "counts", u.count),
    ],
)
def test_units(image: snapdb.Image, bunit: str, data_units: str, expected: Any) -> None:
    header = fits.Header([("BUNIT", bunit)] if bunit else [])
    given = snapdb.Image(data=image.data, header=header, data_units=data_units)
    unit = given.to_ccddata().unit
    assert unit == expected or (bunit == "DN/s" and unit == u.Unit("DN/s")), unit
    assert snapdb.Image.from_ccddata(given.to_ccddata()).data_units == data_units


@pytest.mark.parametrize(
    "make",
    [
        StdDevUncertainty,
        lambda s: VarianceUncertainty(s**2),
        lambda s: InverseVariance(1.0 / s**2),
        lambda s: StdDevUncertainty(s * 1000.0, unit="mJy"),
        lambda s: VarianceUncertainty(s**2 * 1e6, unit="mJy2"),
        lambda s: InverseVariance(1e-6 / s**2, unit="1/mJy2"),
    ],
)
def test_uncertainties_become_noise(make: Any) -> None:
    sigma = np.random.default_rng(5).uniform(1.0, 9.0, (6, 5))
    ccd = CCDData(np.zeros((6, 5)), unit="Jy", uncertainty=make(sigma))
    noise = snapdb.Image.from_ccddata(ccd).noise
    assert noise is not None
    np.testing.assert_allclose(noise, sigma, rtol=1e-12)


def test_no_weight_is_infinite_noise() -> None:
    ccd = CCDData(np.zeros((1, 2)), unit="adu", uncertainty=InverseVariance(np.array([[0.0, 4.0]])))
    assert snapdb.Image.from_ccddata(ccd).noise.tolist() == [[np.inf, 0.5]]  # type: ignore[union-attr]


def test_uncertainties_that_are_no_noise_are_refused() -> None:
    with pytest.raises(UnitError, match="unknown"):
        snapdb.Image.from_nddata(NDData(np.zeros((2, 2)), uncertainty=UnknownUncertainty(np.ones((2, 2)))))


def test_a_mask_alone_becomes_flags() -> None:
    mask = np.random.default_rng(6).random((7, 9)) < 0.3
    back = snapdb.Image.from_ccddata(CCDData(np.zeros((7, 9)), unit="adu", mask=mask))
    assert back.flags is not None
    assert dict(back.flag_bits) == {"MASKED": 1}
    np.testing.assert_array_equal(back.to_ccddata().mask, mask)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64"])
def test_a_mask_beside_flags_is_kept_as_it_is(dtype: str) -> None:
    random = np.random.default_rng(7)
    flags = random.integers(0, 128, (8, 8)).astype(dtype)
    mask = random.random((8, 8)) < 0.5
    back = snapdb.Image.from_ccddata(CCDData(np.zeros((8, 8)), unit="adu", mask=mask, flags=flags))
    np.testing.assert_array_equal(back.to_ccddata().mask, mask)
    assert back.flags is not None
    np.testing.assert_array_equal(back.flags & 127, flags)


def test_facts_given_win_over_the_header(image: snapdb.Image) -> None:
    back = snapdb.Image.from_ccddata(image.to_ccddata(), band="i", observation_id="x1")
    assert (back.band, back.observation_id, back.zeropoint) == ("i", "x1", 25.0)


def test_what_no_card_can_hold_is_named() -> None:
    ccd = NDData(np.zeros((2, 2)), meta={"OBSERVER": "me", "history of it": object()})
    with pytest.warns(UserWarning, match="history of it"):
        back = snapdb.Image.from_nddata(ccd)
    assert back.header["OBSERVER"] == "me"


@pytest.mark.parametrize(
    ("x", "y", "xsize", "ysize", "mode"), [(30, 20, 11, 8, "strict"), (2, 37, 10, 9, "partial")]
)
def test_cutout2d_is_what_astropy_would_make(
    image: snapdb.Image, x: float, y: float, xsize: int, ysize: int, mode: Any
) -> None:
    made = image.get_cutout(x, y, xsize, ysize, mode=mode).to_cutout2d()
    expected = Cutout2D(image.data, (x, y), (ysize, xsize), wcs=make_wcs(), mode=mode)
    assert isinstance(made, Cutout2D)
    np.testing.assert_array_equal(made.data, expected.data)
    for name in (
        "shape", "origin_original", "origin_cutout", "bbox_original", "bbox_cutout", "slices_original",
        "slices_cutout", "xmin_original", "ymax_original", "xmin_cutout", "ymax_cutout", "center_original",
        "center_cutout",
    ):  # fmt: skip
        assert getattr(made, name) == getattr(expected, name), name
    assert_places(made.wcs, expected.wcs)
    assert made.to_original_position((2, 3)) == expected.to_original_position((2, 3))


def test_cutout2d_of_a_nested_cutout_is_in_the_first_images_pixels(image: snapdb.Image) -> None:
    made = image.get_cutout(30, 20, 21).get_cutout(5, 6, 7).to_cutout2d()
    left, low = made.origin_original
    np.testing.assert_array_equal(made.data, image.data[low : low + 7, left : left + 7])
    assert (left, low) == (22, 13)
    whole = image.to_cutout2d()
    assert whole.origin_original == (0, 0)
    np.testing.assert_array_equal(whole.data, image.data)


def test_hdulist_there_and_back(image: snapdb.Image) -> None:
    hdus = image.get_cutout(30, 20, 11).to_hdulist()
    assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "ERR", "DQ"]
    np.testing.assert_array_equal(hdus["SCI"].data, image.data[15:26, 25:36])
    x, y = WCS(hdus["SCI"].header).world_to_pixel(make_wcs().pixel_to_world(28.0, 17.0))
    assert (float(x), float(y)) == pytest.approx((3.0, 2.0), abs=1e-9)
    back = snapdb.Image.from_hdulist(hdus)
    assert (back.full_filepath, back.band, back.zeropoint, back.kind) == (None, "r", 25.0, "cutout")
    np.testing.assert_array_equal(back.data, image.data[15:26, 25:36])
    assert back.flags is not None
    assert dict(back.flag_bits) == {"HOT": 1, "Edge": 4}


def test_hdulists_that_are_no_image_are_refused(image: snapdb.Image) -> None:
    with pytest.raises(NotAnImageError):
        snapdb.Image.from_hdulist(fits.HDUList([fits.PrimaryHDU()]))
    one = image.to_hdulist()["SCI"]
    two = fits.ImageHDU(one.data, header=one.header.copy(), name="B")
    with pytest.raises(UsageError, match="imagehdu"):
        snapdb.Image.from_hdulist(fits.HDUList([fits.PrimaryHDU(one.data, header=one.header), two]))

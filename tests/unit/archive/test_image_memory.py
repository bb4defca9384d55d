"""Images made of arrays: facts, planes, cutouts, saving. The oracles are numpy and astropy."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.nddata import CCDData, Cutout2D, NDData
from astropy.wcs import WCS

import snapdb
from snapdb.archive.registering import register_images
from snapdb.errors import (
    NoOverlapError,
    NotFoundError,
    ObjectExistsError,
    PartialOverlapError,
    ProjectionError,
    ShapeError,
    UnitError,
    UsageError,
)

WIDTH, HEIGHT = 60, 40


def make_wcs() -> WCS:
    """A TAN-SIP WCS across right ascension 0."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.crval = [0.001, -20.0]
    wcs.wcs.crpix = [30.5, 20.5]
    wcs.wcs.cd = [[-5e-5, 1e-5], [1e-5, 5e-5]]
    wcs.wcs.radesys = "ICRS"
    from astropy.wcs import Sip

    a = np.zeros((3, 3))
    a[2, 0] = 2e-5
    wcs.sip = Sip(a, a.T.copy(), None, None, wcs.wcs.crpix)
    return wcs


@pytest.fixture
def image() -> snapdb.Image:
    """An image with all three planes, each pixel's value telling its place."""
    y, x = np.indices((HEIGHT, WIDTH))
    data = (1000.0 * y + x).astype(np.float32)
    noise = np.full((HEIGHT, WIDTH), 2.0, dtype=np.float32)
    flags = np.zeros((HEIGHT, WIDTH), dtype=np.int16)
    flags[3, 4] = 1
    return snapdb.Image(
        data=data,
        noise=noise,
        flags=flags,
        wcs=make_wcs(),
        band="r",
        mjd=60000.5,
        flag_bits={"HOT": 1},
        zeropoint=25.0,
    )


def test_facts_follow_from_arrays_and_wcs(image: snapdb.Image) -> None:
    wcs = make_wcs()
    assert (image.width, image.height, image.image_shape) == (WIDTH, HEIGHT, (HEIGHT, WIDTH))
    assert (image.band, image.mjd, image.exptime, image.sca) == ("r", 60000.5, None, None)
    for corner, (x, y) in {"00": (0, 0), "10": (59, 0), "01": (0, 39), "11": (59, 39)}.items():
        ra, dec = wcs.all_pix2world(x, y, 0)
        assert getattr(image, f"ra_corner_{corner}") == pytest.approx(float(ra) % 360, abs=1e-10)
        assert getattr(image, f"dec_corner_{corner}") == pytest.approx(float(dec), abs=1e-10)
    center = wcs.all_pix2world(29.5, 19.5, 0)
    assert image.coord_center == pytest.approx((float(center[0]) % 360, float(center[1])), abs=1e-10)
    assert (image.ra, image.dec) == pytest.approx(image.coord_center, abs=1e-12)


def test_unknown_fact_is_refused_by_name(image: snapdb.Image) -> None:
    with pytest.raises(UsageError, match=r"zeropiont.*did you mean 'zeropoint'"):
        snapdb.Image(data=image.data, zeropiont=3)
    with pytest.raises(UsageError, match="width follows from the pixels"):
        image.width = 7


def test_planes_that_are_not_there_are_none() -> None:
    bare = snapdb.Image(data=np.zeros((3, 4)))
    assert bare.noise is None
    assert bare.flags is None
    assert bare.fraction_masked() == 0.0
    assert bare.get_data("all")[1:] == [None, None]
    with pytest.raises(ProjectionError, match="no world coordinates"):
        bare.get_wcs()
    with pytest.raises(NotFoundError, match="no data"):
        _ = snapdb.Image().data


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("data", np.zeros(3)),
        ("data", np.zeros((2, 2), dtype=complex)),
        ("data", np.zeros((0, 3))),
        ("flags", np.zeros((HEIGHT, WIDTH))),
        ("noise", np.zeros((HEIGHT, WIDTH + 1))),
    ],
)
def test_arrays_that_cannot_be_planes_are_refused(image: snapdb.Image, name: str, array: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=name):
        setattr(image, name, array)


def test_big_endian_arrays_come_back_native(image: snapdb.Image) -> None:
    image.data = np.ones((HEIGHT, WIDTH), dtype=">f4")
    assert image.data.dtype.isnative


def test_get_data_names_what_it_takes(image: snapdb.Image) -> None:
    (data,) = image.get_data("data")
    assert data is image.data
    for which in ("x.fits", Path("x.fits")):
        with pytest.raises(UsageError, match=r"give the file as path='x.fits'"):
            image.save(which)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="which='dta'"):
        image.get_data("dta")


def test_free_keeps_what_exists_only_in_memory(image: snapdb.Image) -> None:
    before = image.data.copy()
    image.free()
    np.testing.assert_array_equal(image.data, before)


def test_fraction_masked_counts_bad_bits(image: snapdb.Image) -> None:
    assert image.fraction_masked() == pytest.approx(1 / (WIDTH * HEIGHT))


def test_includes_radec_up_to_the_outer_edges(image: snapdb.Image) -> None:
    wcs = make_wcs()
    x = np.array([-0.49, -0.51, 59.49, 59.51, 30.0])
    ra, dec = wcs.all_pix2world(x, np.full(5, 20.0), 0)
    assert np.asarray(image.includes_radec(ra, dec)).tolist() == [True, False, True, False, True]
    assert image.includes_radec(float(ra[0]), float(dec[0])) is True
    assert image.includes_radec(np.nan, 0.0) is False
    assert image.includes_radec(180.001, 20.0) is False  # the other side of the sky


@pytest.mark.parametrize(
    ("x", "y", "xsize", "ysize"), [(30, 20, 11, 11), (30.2, 20.7, 12, 7), (5, 5, 1, 1), (9.5, 9.5, 4, 6)]
)
def test_cutout_is_the_slice_that_the_rule_says(
    image: snapdb.Image, x: float, y: float, xsize: int, ysize: int
) -> None:
    cutout = image.get_cutout(x, y, xsize, ysize)
    starts = []
    for centre, size in ((x, xsize), (y, ysize)):
        odd = np.floor(centre + 0.5) - (size - 1) // 2
        starts.append(int(odd if size % 2 else np.ceil(centre - size / 2)))
    expected = image.data[starts[1] : starts[1] + ysize, starts[0] : starts[0] + xsize]
    np.testing.assert_array_equal(cutout.data, expected)
    assert cutout.data.base is None
    if xsize % 2 == ysize % 2 == 0:
        peer = Cutout2D(image.data, (x, y), (ysize, xsize))
        np.testing.assert_array_equal(cutout.data, peer.data)


def test_cutout_has_its_own_sky_and_its_parents_facts(image: snapdb.Image) -> None:
    cutout = image.get_cutout(20, 15, 9)
    wcs = make_wcs()
    yy, xx = np.indices((9, 9))
    ra, dec = cutout.get_wcs().pixel_to_world(xx, yy)
    true_ra, true_dec = wcs.all_pix2world(xx + 16, yy + 11, 0)
    np.testing.assert_allclose(ra, np.asarray(true_ra) % 360, atol=1e-10)
    np.testing.assert_allclose(dec, true_dec, atol=1e-10)
    assert (cutout.ra_corner_00, cutout.dec_corner_00) == pytest.approx(
        (np.asarray(ra)[0, 0], np.asarray(dec)[0, 0]), abs=1e-10
    )
    assert (cutout.band, cutout.mjd, cutout.zeropoint, cutout.kind) == ("r", 60000.5, 25.0, "cutout")
    assert (cutout.parent, cutout.box.x0, cutout.box.y0, cutout.origin) == (image, 16, 11, (16, 11))
    assert cutout.full_filepath is None
    assert cutout.header["NAXIS1"] == 9
    assert cutout.header["LTV1"] == -16


def test_cutout_of_a_cutout(image: snapdb.Image) -> None:
    first = image.get_cutout(20, 15, 9)
    second = first.get_cutout(2, 6, 3)
    assert second.origin == (17, 16)
    np.testing.assert_array_equal(second.data, image.data[16:19, 17:20])
    assert second.parent is first


def test_strict_partial_trim(image: snapdb.Image) -> None:
    with pytest.raises(PartialOverlapError):
        image.get_cutout(1, 1, 7)
    partial = image.get_cutout(1, 1, 7, mode="partial")
    assert partial.image_shape == (7, 7)
    assert np.isnan(partial.data[:2]).all()
    np.testing.assert_array_equal(partial.data[2:, 2:], image.data[:5, :5])
    assert np.isnan(partial.noise[0, 0])  # type: ignore[index]
    bit = partial.flag_bits["NO_DATA"]
    assert bit != 1
    assert (partial.flags[:2] == bit).all()  # type: ignore[index]
    assert partial.flags[5, 6] == 1  # type: ignore[index]  # the parent's own flag
    assert not partial.is_whole
    trim = image.get_cutout(1, 1, 7, mode="trim")
    np.testing.assert_array_equal(trim.data, image.data[:5, :5])
    assert trim.origin == (0, 0)
    for mode in ("strict", "partial", "trim"):
        with pytest.raises(NoOverlapError):
            image.get_cutout(-40, 5, 7, mode=mode)
    with pytest.raises(UsageError, match=r"strict.*partial.*trim"):
        image.get_cutout(5, 5, 7, mode="clip")  # type: ignore[arg-type]


def test_integer_data_is_never_filled_with_what_a_cast_gives() -> None:
    image = snapdb.Image(data=np.ones((5, 5), dtype=np.uint8))
    floats = image.get_cutout(0, 0, 3, mode="partial")
    assert floats.data.dtype.kind == "f"
    assert np.isnan(floats.data[0, 0])
    sevens = image.get_cutout(0, 0, 3, mode="partial", fill_value=7)
    assert sevens.data.dtype == np.uint8
    assert sevens.data[0, 0] == 7


@pytest.mark.parametrize("size", [0, -3, 2.5, "5", None, True])
def test_bad_sizes_are_refused(image: snapdb.Image, size: object) -> None:
    with pytest.raises(ShapeError):
        image.get_cutout(5, 5, size)  # type: ignore[arg-type]


@pytest.mark.parametrize("position", [(180.0, 20.0), (np.nan, -20.0), (90.0, 89.0)])
def test_positions_that_do_not_project_are_no_overlap(
    image: snapdb.Image, position: tuple[float, float]
) -> None:
    for mode in ("strict", "partial", "trim"):
        with pytest.raises((NoOverlapError, UsageError)):
            image.get_ra_dec_cutout(*position, 5, mode=mode)


def test_sky_cutout_accepts_what_users_have(image: snapdb.Image) -> None:
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    plain = image.get_ra_dec_cutout(0.0, -20.0, 5)
    for position in (
        (SkyCoord(0, -20, unit="deg"), None),
        (0 * u.deg, -20 * u.deg),
        ("0h0m0s", "-20d"),
        (360.0, -20.0),
    ):
        np.testing.assert_array_equal(image.get_ra_dec_cutout(position[0], position[1], 5).data, plain.data)


def test_save_writes_what_astropy_reads(image: snapdb.Image, tmp_path: Path) -> None:
    cutout = image.get_cutout(1, 1, 7, mode="partial")
    (path,) = cutout.save(path=tmp_path / "stamp.fits")
    with fits.open(path, checksum=True) as hdus:
        assert [h.name for h in hdus] == ["PRIMARY", "SCI", "ERR", "DQ"]
        np.testing.assert_array_equal(hdus["SCI"].data, cutout.data)
        np.testing.assert_array_equal(hdus["DQ"].data, cutout.flags)
        wcs = WCS(hdus["SCI"].header)
    truth = make_wcs().all_pix2world([[0, 0]], 0)
    np.testing.assert_allclose(wcs.all_pix2world([[2, 2]], 0), truth, atol=1e-9)


def test_saved_image_reads_back_equal(image: snapdb.Image, tmp_path: Path) -> None:
    (path,) = image.save(path=str(tmp_path / "a.fits"))
    again = snapdb.Image(path)
    for name in ("data", "noise", "flags"):
        np.testing.assert_array_equal(getattr(again, name), getattr(image, name))
    for name in ("band", "mjd", "zeropoint", "width", "height", "flag_bits"):
        assert getattr(again, name) == getattr(image, name), name
    assert again.coord_center == pytest.approx(image.coord_center, abs=1e-9)


def test_save_honours_which_and_three_files(image: snapdb.Image, tmp_path: Path) -> None:
    image.save(which="noise", path=tmp_path / "n.fits")
    with fits.open(tmp_path / "n.fits") as hdus:
        assert [h.name for h in hdus] == ["PRIMARY", "ERR"]
    paths = image.save(
        imagepath=tmp_path / "x_image.fits",
        noisepath=tmp_path / "x_noise.fits",
        flagspath=tmp_path / "x_flags.fits",
    )
    assert [p.name for p in paths] == ["x_image.fits", "x_noise.fits", "x_flags.fits"]
    again = snapdb.Image(tmp_path / "x", std_imagenames=True)
    np.testing.assert_array_equal(again.noise, image.noise)
    np.testing.assert_array_equal(again.flags, image.flags)


def test_save_never_writes_over_what_it_reads(image: snapdb.Image, tmp_path: Path) -> None:
    (path,) = image.save(path=tmp_path / "a.fits")
    digest = hashlib.sha256(path.read_bytes()).digest()
    parent = snapdb.Image(path)
    cutout = parent.get_cutout(10, 10, 5)
    for overwrite in (False, True):
        with pytest.raises(ObjectExistsError):
            cutout.save(path=path, overwrite=overwrite)
    with pytest.raises(ObjectExistsError):
        parent.save()
    assert hashlib.sha256(path.read_bytes()).digest() == digest
    with pytest.raises(UsageError, match="no path"):
        cutout.save()


def test_looks_of_an_image(image: snapdb.Image) -> None:
    assert repr(image) == "<Image exposure in memory: 60 x 40, band r, mjd 60000.5>"
    assert "<table>" in image._repr_html_()
    assert repr(image.get_cutout(5, 5, 3)).startswith("<Cutout cutout in memory: 3 x 3")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mjd", np.nan),
        ("exptime", -1),
        ("exptime", "abc"),
        ("dec", 91),
        ("sca", 1.5),
        ("band", 3),
        ("data_units", "x"),
    ],
)
def test_facts_that_cannot_be_are_refused(image: snapdb.Image, name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name):
        setattr(image, name, value)
    with pytest.raises(UsageError, match=name):
        snapdb.Image(data=np.ones((2, 2)), **{name: value})


def test_facts_are_converted_once(image: snapdb.Image) -> None:
    from astropy.time import Time

    image.mjd = "2024-01-01"  # type: ignore[assignment]
    assert image.mjd == 60310.0
    image.mjd = Time(60000.5, format="mjd", scale="tai")
    assert image.mjd == pytest.approx(60000.5 - 37 / 86400, abs=1e-9)
    image.ra = 361.0
    assert image.ra == 1.0
    image.id = "01a213b9-4cc5-722f-81e2-4d1eb19eaab6"
    assert image.id.version == 7
    with pytest.raises(UsageError, match="no UUID"):
        image.id = "bad"


def test_size_that_is_not_the_images_is_refused() -> None:
    with pytest.raises(ShapeError, match="width=10"):
        snapdb.Image(data=np.ones((2, 3)), width=10)
    assert snapdb.Image(data=np.ones((2, 3)), width=3, height=2).image_shape == (2, 3)


def test_plane_set_to_none_is_gone(image: snapdb.Image, tmp_path: Path) -> None:
    (path,) = image.save(path=tmp_path / "a.fits")
    again = snapdb.Image(path)
    again.noise = None
    again.exptime = None
    assert again.noise is None
    assert again.plane_names == ("data", "flags")
    (other,) = again.save(path=tmp_path / "b.fits")
    assert snapdb.Image(other).plane_names == ("data", "flags")
    assert snapdb.Image(other).exptime is None


def test_saving_one_plane_keeps_the_others(image: snapdb.Image, tmp_path: Path) -> None:
    image.save(which="data", path=tmp_path / "q.fits")
    image.save(which="noise", path=tmp_path / "q.fits", overwrite=True)
    both = snapdb.Image(tmp_path / "q.fits")
    np.testing.assert_array_equal(both.data, image.data)
    np.testing.assert_array_equal(both.noise, image.noise)


def test_what_would_be_lost_is_refused(image: snapdb.Image, tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    with pytest.raises(ObjectExistsError, match="would be lost"):
        image.save(which="noise", path=other, overwrite=True)
    assert other.read_text() == "mine"


def test_cutout_far_larger_than_its_image_is_refused(image: snapdb.Image) -> None:
    with pytest.raises(ShapeError, match="almost all filling"):
        image.get_cutout(5, 5, 1_000_000, mode="partial")


def test_declination_beyond_a_pole_is_its_own_error(image: snapdb.Image) -> None:
    with pytest.raises(UsageError, match="dec=91"):
        image.get_ra_dec_cutout(0.0, 91.0, 5)
    with pytest.raises(NoOverlapError, match=r"ra=180.0, dec=20.0"):
        image.get_ra_dec_cutout(180.0, 20.0, 5)


def test_images_in_memory_pickle(image: snapdb.Image) -> None:
    import pickle

    again = pickle.loads(pickle.dumps(image.get_cutout(20, 15, 9)))
    np.testing.assert_array_equal(again.data, image.data[11:20, 16:25])
    assert again.coord_center == image.get_cutout(20, 15, 9).coord_center


def test_the_sky_is_cut_by_keyword_and_pixels_by_place(image: snapdb.Image) -> None:
    ra, dec = image.pixel_to_world(21.0, 13.0)
    expected = image.get_cutout(21.0, 13.0, 5)
    for cutout in (image.get_cutout(ra=ra, dec=dec, xsize=5), image.get_ra_dec_cutout(ra, dec, 5)):
        assert (cutout.blc, cutout.trc) == (expected.blc, expected.trc) == ((19, 11), (23, 15))
        np.testing.assert_array_equal(cutout.data, image.data[11:16, 19:24])
    for given in ({"x": 5.0, "ra": ra, "dec": dec}, {"x": 5.0}, {"dec": dec}, {}):
        with pytest.raises(UsageError, match="expected x and y, or ra= and dec="):
            image.get_cutout(xsize=5, **given)
    with pytest.raises(UsageError, match="xsize"):
        image.get_cutout(ra=ra, dec=dec)


def test_messages_name_the_words_of_the_call() -> None:
    with pytest.raises(PartialOverlapError, match="'fill'"):
        snapdb.Cutout(np.ones((9, 9)), None, (-3, -3), (5, 5))
    cutout = snapdb.Cutout(np.ones((9, 9)), make_wcs(), (3, 3), (5, 5))
    cutout.provenance_id = "01a213b9-4cc5-722f-81e2-4d1eb19eaab6"
    with pytest.raises(UsageError, match=r"archive\.save"):
        register_images(None, None, [cutout])  # type: ignore[arg-type]  # refused before either is asked


def test_masked_pixels_are_missing_and_a_unit_is_not_lost() -> None:
    """Oracle: numpy's own filling."""
    pixels: Any = np.ma.masked_greater(np.arange(100).reshape(10, 10), 95)
    made = snapdb.Image(data=pixels, noise=pixels.astype(np.float32), wcs=make_wcs())
    np.testing.assert_array_equal(made.data, pixels.astype(float).filled(np.nan))
    np.testing.assert_array_equal(made.noise, pixels.astype(np.float32).filled(np.nan))
    assert made.noise is not None
    assert made.noise.dtype == np.float32
    whole = snapdb.Image(data=np.ma.array(np.arange(4).reshape(2, 2)), wcs=make_wcs())
    assert whole.data.dtype.kind == "i"
    for form in (NDData(pixels.data, mask=pixels.mask), CCDData(pixels.data, mask=pixels.mask, unit="")):
        np.testing.assert_array_equal(snapdb.Image(data=form, wcs=make_wcs()).data, made.data)
    with pytest.raises(UnitError, match=r"data is in nJy.*zeropoint"):
        snapdb.Image(data=np.ones((5, 5)) * units.nJy, wcs=make_wcs())
    with pytest.raises(UnitError, match=r"data is in adu.*\(data\.data\)"):
        snapdb.Image(data=CCDData(np.ones((5, 5)), unit="adu"), wcs=make_wcs())
    with pytest.raises(UsageError, match=r"flags\.filled"):
        snapdb.Image(data=np.ones((2, 2)), flags=np.ma.masked_equal(np.ones((2, 2), int), 1), wcs=make_wcs())


def test_bad_bits_that_were_chosen_are_saved(tmp_path: Path) -> None:
    made = snapdb.Image(data=np.ones((5, 5)), flags=np.ones((5, 5), np.int16), wcs=make_wcs(), bad_bits=4)
    made.save(path=tmp_path / "flagged.fits")
    assert snapdb.Image(tmp_path / "flagged.fits").bad_bits == 4
    snapdb.Image(data=np.ones((5, 5)), wcs=make_wcs()).save(path=tmp_path / "plain.fits")
    assert "SDBBAD" not in fits.getheader(tmp_path / "plain.fits", 1)


def test_a_cutout_is_about_one_position() -> None:
    made = snapdb.Image(data=np.ones((5, 5)), wcs=make_wcs())
    pairs: list[Any] = [([10.0], [20.0]), (np.array([1.0, 2.0]), np.array([3.0, 4.0]))]
    for ra, dec in pairs:
        with pytest.raises(UsageError, match="one by one"):
            made.get_ra_dec_cutout(ra, dec, 3)

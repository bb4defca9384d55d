"""Aperture photometry of images: fields of known truth, photutils side by side, and bad input."""

from functools import cache
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from astropy.wcs import WCS
from photutils.aperture import (
    ApertureStats,
    CircularAperture,
    EllipticalAperture,
    SkyCircularAperture,
    aperture_photometry,
)
from scipy.special import erf

from snapdb.archive.image import Image
from snapdb.archive.photometry.ap_phot import ap_phot
from snapdb.archive.photometry.growth import curve_of_growth
from snapdb.archive.photometry.positions import read_positions
from snapdb.errors import NotFoundError, ProjectionError, ShapeError, UnitError, UsageError
from snapdb.photometry.apertures import Circle, Ellipse
from snapdb.photometry.psf.gaussian import GaussianPSF
from snapdb.photometry.quality import Quality

SIZE, SPACING, SIGMA = 1640, 40, 1.3


@cache
def make_field(
    *, sigma: float = SIGMA, low: float = 3000, high: float = 30000, slope: float = 0, bad: float = 0
) -> tuple[Image, Any, Any, Any]:
    """Make a Poisson image of 1,681 stars that stand alone, and give their positions and fluxes."""
    rng = np.random.default_rng(20)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    image = 125.0 + slope * (x + 0.5 * y)
    grid = np.arange(SPACING // 2, SIZE, SPACING)
    cx, cy = (v.ravel() + rng.uniform(-0.5, 0.5, v.size) for v in np.meshgrid(grid, grid))
    flux = np.exp(rng.uniform(np.log(low), np.log(high), cx.size))
    edges = np.arange(-12, 14) - 0.5
    for at_x, at_y, light in zip(cx, cy, flux, strict=True):
        i, j = int(at_x), int(at_y)
        # The integral of a Gaussian over each pixel, in closed form.
        sides = [np.diff(erf((c + edges - p) / sigma / np.sqrt(2))) / 2 for c, p in ((j, at_y), (i, at_x))]
        image[j - 12 : j + 13, i - 12 : i + 13] += light * np.outer(*sides)
    data = rng.poisson(image).astype(np.float32)
    flags = np.where(rng.random(data.shape) < bad, 8, 0).astype(np.int16)
    data[flags > 0] = 50000.0
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [0.05, -30], [SIZE / 2, SIZE / 2]
    wcs.wcs.cdelt = [-1e-4, 1e-4]
    noise = np.sqrt(image).astype(np.float32)
    facts: dict[str, Any] = {"flag_bits": {"HOT": 8, "WARM": 16}, "bad_bits": 8, "zeropoint": 25.0}
    return Image(data=data, noise=noise, flags=flags, wcs=wcs, **facts), cx, cy, flux


def check_truth(table: Any, flux: Any, bias: float = 0.001) -> None:
    """See that fluxes are unbiased and errors honest."""
    found, error = np.asarray(table["aperture_sum"]), np.asarray(table["aperture_sum_err"])
    if "apcor" in table.colnames:
        found, error = found * table["apcor"], error * table["apcor"]
    pull = (found - flux) / error
    assert abs(found.sum() / flux.sum() - 1) < bias
    # 0.05, and half of and all of what so many sources leave open.
    assert abs(pull.mean()) < 0.05 + 0.5 / np.sqrt(len(flux))
    assert abs(pull.std() - 1) < 0.05 + 1 / np.sqrt(2 * len(flux))


@pytest.mark.parametrize("ap_r", [5.0, 9.0])
@pytest.mark.parametrize("field", [{}, {"slope": 150}, {"sigma": 0.42}], ids=str)
def test_bright_stars_have_their_fluxes(field: dict[str, Any], ap_r: float) -> None:
    image, x, y, flux = make_field(**field)
    table = ap_phot(image, {"x": x, "y": y}, ap_r, psf=GaussianPSF(field.get("sigma", SIGMA)))
    check_truth(table, flux)
    assert (np.asarray(table["quality"]) == 0).all()


@pytest.mark.parametrize("settings", [{}, {"annulus": (8, 19)}], ids=str)
def test_faint_stars_have_theirs(settings: dict[str, Any]) -> None:
    image, x, y, flux = make_field(low=60, high=600)
    table = ap_phot(image, {"x": x, "y": y}, 4.0, method="exact", psf=GaussianPSF(SIGMA), **settings)
    check_truth(table, flux, bias=0.02)  # beyond that, 1,681 such stars do not tell


def test_nothing_is_measured_where_nothing_is() -> None:
    image, x, y, flux = make_field()
    there = (x > 40) & (y > 40)
    table = ap_phot(image, {"x": x[there] - 20, "y": y[there] - 20}, 5.0)
    pull = np.asarray(table["aperture_sum"]) / np.asarray(table["aperture_sum_err"])
    assert abs(pull.mean()) < 0.06
    assert abs(pull.std() - 1) < 0.05
    assert np.isnan(table["mag_err"][np.asarray(pull) < 3]).all()
    assert np.isfinite(table["mag_limit"]).all()
    assert len(flux)


def test_masked_pixels_cost_precision_not_truth() -> None:
    image, x, y, flux = make_field(bad=0.01)
    psf = GaussianPSF(SIGMA)
    table = ap_phot(image, {"x": x, "y": y}, 5.0, psf=psf)
    check_truth(table, flux)
    hit = np.asarray(table["bad_fraction"]) > 0
    assert 0.3 < hit.mean() < 0.8
    np.testing.assert_array_equal((np.asarray(table["quality"]) & Quality.MASKED) > 0, hit)
    middle = image.flags
    assert middle is not None
    peaks = [
        (middle[round(b) - 1 : round(b) + 2, round(a) - 1 : round(a) + 2] > 0).any()
        for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_array_equal((np.asarray(table["quality"]) & Quality.MASKED_PEAK) > 0, peaks)
    summed = ap_phot(image, {"x": x, "y": y}, 5.0, masked="sum")
    much = np.asarray(table["bad_fraction"]) > 0.01  # of 78 pixels, each 400 times too bright
    assert (summed["aperture_sum"][much] > flux[much] + 1e4).all()
    assert (summed["quality"][hit] & Quality.MASKED > 0).all()
    plain: dict[str, Any] = {"ap_r": 5.0, "bgsize": 0}
    ignored = ap_phot(image, {"x": x, "y": y}, bad_bits=["WARM"], **plain)
    summed = ap_phot(image, {"x": x, "y": y}, masked="sum", **plain)
    np.testing.assert_array_equal(ignored["aperture_sum"], summed["aperture_sum"])
    assert (ignored["bad_fraction"] == 0).all()


@pytest.mark.parametrize(("method", "subpixels"), [("subpixel", 5), ("exact", 5), ("center", 1)])
def test_columns_and_sums_are_photutils(method: str, subpixels: int) -> None:
    image, x, y, _ = make_field()
    table = ap_phot(image, {"x": x, "y": y}, 9, method, subpixels, 0)
    assert image.noise is not None
    where = CircularAperture(np.stack((x, y), axis=1), 9)
    peer = aperture_photometry(image.data, where, method=method, subpixels=subpixels, error=image.noise)
    assert {c for c in peer.colnames if c in table.colnames} == set(peer.colnames)
    for name in peer.colnames:
        np.testing.assert_allclose(table[name], peer[name], rtol=1e-8)
    np.testing.assert_array_equal(table["max"], ApertureStats(image.data, where).max)
    area = where.area_overlap(image.data, method=method, subpixels=subpixels)
    np.testing.assert_allclose(table["area"], area)


def test_several_apertures_are_numbered_as_photutils_does() -> None:
    image, x, y, _ = make_field()
    places = np.stack((x, y), axis=1)[:30]
    peer = aperture_photometry(
        image.data, [CircularAperture(places, 3), EllipticalAperture(places, 5, 2, theta=np.pi / 6)]
    )
    table = ap_phot(image, places, [Circle(3), Ellipse(5, 2, 30)], "exact", bgsize=0)
    for name in ("aperture_sum_0", "aperture_sum_1"):
        np.testing.assert_allclose(table[name], peer[name], rtol=1e-12)
    assert {"quality_1", "mag_0", "overlap_1"} <= set(table.colnames)


def test_photutils_apertures_are_taken_as_they_are() -> None:
    image, x, y, _ = make_field()
    aperture = CircularAperture(np.stack((x, y), axis=1)[:9], 4.5)
    places = SkyCoord(*image.pixel_to_world(x[:9], y[:9]), unit="deg")
    sky = SkyCircularAperture(places, 4.5 * 0.36 * u.arcsec)
    here = ap_phot(image, ap_r=aperture, method="exact")
    by_hand = ap_phot(image, np.stack((x, y), axis=1)[:9], 4.5, "exact")
    on_sky = ap_phot(image, ap_r=sky, method="exact")
    np.testing.assert_allclose(by_hand["mag"], here["mag"])
    np.testing.assert_allclose(on_sky["mag"].value, here["mag"].value, rtol=1e-4)


def test_error_and_mask_of_the_caller_count() -> None:
    image, x, y, _ = make_field()
    mask = np.zeros(image.image_shape, dtype=bool)
    mask[round(y[0]), round(x[0])] = True
    error = np.full(image.image_shape, 2.0)
    where = CircularAperture(np.stack((x, y), axis=1)[:5], 6)
    peer = aperture_photometry(image.data, where, error=error, mask=mask)
    table = ap_phot(image, where.positions, 6, "exact", bgsize=0, masked="exclude", error=2.0, mask=mask)
    np.testing.assert_allclose(table["aperture_sum"], peer["aperture_sum"], rtol=1e-12)
    np.testing.assert_allclose(table["aperture_sum_err"], peer["aperture_sum_err"], rtol=1e-12)
    wrong: list[dict[str, Any]] = [{"error": np.ones((3, 3))}, {"mask": np.ones(7)}]
    for given in wrong:
        with pytest.raises(ShapeError, match="as the data have"):
            ap_phot(image, where.positions, 6, **given)


def test_the_background_is_found_once_and_anew_for_new_pixels() -> None:
    rng = np.random.default_rng(6)
    image = Image(data=rng.normal(50.0, 1.0, (200, 200)))
    made: list[int] = []
    derive = image.derive

    def count(key: Any, make: Any) -> Any:
        return derive(key, lambda: made.append(1) or make())  # type: ignore[func-returns-value]

    image.derive = count  # type: ignore[method-assign]
    for _ in range(3):
        assert ap_phot(image, (90, 90))["background"][0] == pytest.approx(50.0, abs=0.1)
    assert len(made) == 1
    image.free()
    ap_phot(image, (90, 90))
    assert len(made) == 2
    image.data = image.data + 100.0
    assert ap_phot(image, (90, 90))["background"][0] == pytest.approx(150.0, abs=0.1)
    ap_phot(image, (90, 90), bgsize=64)
    assert len(made) == 4


def test_only_the_box_that_is_needed_is_read(tmp_path: Path) -> None:
    whole, x, y, _ = make_field()
    whole.save(path=tmp_path / "image.fits")
    places = np.stack((x, y), axis=1)[[0, 45, 88]] - [0, 0]
    image = Image(tmp_path / "image.fits", zeropoint=25.0)
    read: list[tuple[int, int]] = []
    read_box = image.read_box

    def watch(names: Any, box: Any) -> Any:
        read.append((box.width, box.height))
        return read_box(names, box)

    image.read_box = watch  # type: ignore[method-assign]
    for settings in ({"annulus": (10, 18)}, {"bgsize": 0}):
        here = ap_phot(image, places, 6.0, error=None, **settings)
        there = ap_phot(whole, places, 6.0, error=whole.noise, **settings)
        for name in ("aperture_sum", "aperture_sum_err", "max", "overlap", "background"):
            np.testing.assert_array_equal(here[name], there[name])
    assert all(width * height < 0.2 * SIZE * SIZE for width, height in read)
    assert len(read) == 2


def test_positions_come_in_any_form() -> None:
    image, x, y, _ = make_field()
    ra, dec = image.pixel_to_world(x[:2], y[:2])
    oracle = read_positions(image, np.stack((x[:2], y[:2]), axis=1))
    forms: list[Any] = [
        Table({"x": x[:2], "y": y[:2]}),
        QTable({"x": x[:2] * u.pix, "y": y[:2] * u.pix}),
        {"x_init": x[:2], "y_init": y[:2]},
        pd.DataFrame({"xcentroid": x[:2], "ycentroid": y[:2]}),
        Table({"X": x[:2], "Y": y[:2]}).as_array(),
        [(x[0], y[0]), (x[1], y[1])],
        SkyCoord(ra, dec, unit="deg"),
        SkyCoord(ra, dec, unit="deg").galactic,
        QTable({"ra": ra * u.deg, "dec": (dec * 60) * u.arcmin}),
        pd.DataFrame({"RA": ra, "DEC": dec}),
        {"ra": ra, "dec": dec, "x": x[:2], "y": y[:2]},
    ]
    for form in forms:
        found = read_positions(image, form)
        for name in ("x", "y", "ra", "dec"):
            np.testing.assert_allclose(getattr(found, name), getattr(oracle, name), atol=1e-6)
    one = read_positions(image, {"ra": "00:00:12", "dec": "-30:00:00", "name": "a", "flux_init": 3})
    assert (one.ra[0], one.names, one.flux_init) == (pytest.approx(0.05), ("a",), np.array([3.0]))
    assert len(read_positions(image, (5.0, 6.0))) == 1


def test_a_masked_position_is_none_in_any_form() -> None:
    """Oracle: by hand; what lies under a mask is no position."""
    image = make_field()[0]
    pairs = np.ma.masked_array([[5.0, 6.0], [7.0, 8.0]], mask=[[False, False], [True, False]])
    for form in (pairs, {"x": pairs[:, 0], "y": pairs[:, 1]}, Table({"x": pairs[:, 0], "y": [6.0, 8.0]})):
        np.testing.assert_array_equal(read_positions(image, form).x, [5.0, np.nan])


@pytest.mark.parametrize(
    ("coords", "error", "problem"),
    [
        (np.zeros((2, 5)), ShapeError, "transpose"),
        (5, ShapeError, r"expected \(N, 2\)"),
        (None, ShapeError, r"expected \(N, 2\)"),
        ({"a": [1]}, UsageError, "the columns a; expected x and y"),
        ({"x": ["a"], "y": [1]}, UsageError, "no numbers"),
        ({"x": [1, 2], "y": [1]}, ShapeError, "different lengths"),
        ({"x": [[1, 2]], "y": [[1, 2]]}, ShapeError, "one number a source"),
        ({"ra": [1, 2], "dec": [1]}, ShapeError, "different lengths"),
        (object(), ShapeError, "positions are a object"),
        (QTable({"x": [10.0] * u.arcsec, "y": [10.0] * u.arcsec}), UnitError, "has the unit arcsec"),
        (QTable({"x": [0.1] * u.mm, "y": [0.1] * u.mm}), UnitError, "expected 0-based pixels"),
    ],
)
def test_what_is_no_list_of_positions_is_refused(coords: Any, error: type[Exception], problem: str) -> None:
    with pytest.raises(error, match=problem):
        ap_phot(make_field()[0], coords)


def test_positions_off_the_image_have_a_row_and_a_reason() -> None:
    image, x, y, _ = make_field()
    columns = {"x": MaskedColumn([x[0], np.nan, -0.6, np.inf, x[1], -0.4], mask=[0, 0, 0, 0, 1, 0])}
    table = ap_phot(image, Table({**columns, "y": [y[0], 5, 5, 5, 5, 5]}), 4.0)
    off = [False, True, True, True, True, False]
    np.testing.assert_array_equal((np.asarray(table["quality"]) & Quality.OFF_IMAGE) > 0, off)
    np.testing.assert_array_equal(np.isnan(table["aperture_sum"]), off)
    np.testing.assert_array_equal(np.isnan(table["mag_limit"]), off)
    assert table["quality"][5] & Quality.EDGE
    assert table["overlap"][5] == pytest.approx(0.55, abs=0.1)
    sky = ap_phot(image, SkyCoord([180.0, 0.05], [30.0, -30.0], unit="deg"), 4.0)
    assert (np.asarray(sky["quality"]) & Quality.OFF_IMAGE > 0).tolist() == [True, False]


def test_an_empty_table_gives_an_empty_one() -> None:
    image = make_field()[0]
    full = ap_phot(image, (50.0, 50.0), annulus=(8, 12))
    empty: list[Any] = [Table({"x": [], "y": []}), [], np.zeros((0, 2)), SkyCoord([], [], unit="deg")]
    for coords in empty:
        table = ap_phot(image, coords, annulus=(8, 12))
        assert len(table) == 0
        assert table.colnames == full.colnames


def test_images_that_tell_nothing_give_no_plausible_number() -> None:
    rng = np.random.default_rng(6)
    data = rng.normal(50.0, 1.0, (80, 80))
    cases: dict[str, tuple[dict[str, Any], Quality]] = {
        "all masked": ({"flags": np.ones((80, 80), dtype=np.uint8)}, Quality.MASKED),
        "no noise": ({"noise": np.zeros((80, 80))}, Quality.MASKED),
        "blank": ({"data": np.full((80, 80), np.nan)}, Quality.NO_BACKGROUND),
    }
    ways: list[dict[str, Any]] = [{}, {"annulus": (10, 15)}, {"bgsize": 0}, {"masked": "sum", "bgsize": 0}]
    for planes, reason in cases.values():
        image = Image(**{"data": data, **planes})
        for settings in ways:
            table = ap_phot(image, (40.0, 40.0), 5.0, **settings)
            assert np.isnan(table["aperture_sum"][0])
            assert np.isnan(table["aperture_sum_err"][0])
            quality = Quality(int(table["quality"][0]))
            assert Quality.FAILED in quality
            assert reason in quality or settings.get("bgsize") == 0


def test_without_noise_and_zero_point_the_table_says_so() -> None:
    rng = np.random.default_rng(6)
    image = Image(data=rng.normal(50.0, 2.0, (200, 200)))
    ways: list[dict[str, Any]] = [{}, {"annulus": (10, 20)}]
    for settings in ways:
        table = ap_phot(image, (90.0, 90.0), 5.0, **settings)
        quality = Quality(int(table["quality"][0]))
        assert quality == Quality.NO_NOISE | Quality.NO_ZEROPOINT
        oracle = 2.0 * np.sqrt(np.pi * 25)
        assert table["aperture_sum_err"][0] == pytest.approx(oracle, rel=0.15)
        assert np.isnan(table["flux_njy"][0])
        assert np.isnan(table["mag"][0])
    assert np.isnan(ap_phot(image, (90.0, 90.0), 5.0, bgsize=0)["aperture_sum_err"][0])


def test_neighbours_and_saturation_are_said() -> None:
    rng = np.random.default_rng(6)
    flags = np.zeros((100, 100), dtype=np.uint16)
    flags[50, 52] = 2
    image = Image(data=rng.normal(50.0, 2.0, (100, 100)), flags=flags, flag_bits={"SATURATED": 2}, bad_bits=1)
    table = ap_phot(image, [(50, 50), (57, 50), (57, 50), (20, 20)], 4.0)
    quality = np.asarray(table["quality"])
    assert (quality & Quality.NEIGHBOUR > 0).tolist() == [True, True, True, False]
    assert (quality & Quality.SATURATED > 0).tolist() == [True, False, False, False]
    assert table["bad_fraction"][0] > 0  # saturated pixels are bad by default
    assert ap_phot(image, (50, 50), 4.0, bad_bits="~SATURATED")["bad_fraction"][0] == 0


def test_calibrated_columns_have_units_and_follow_the_correction() -> None:
    image, x, y, flux = make_field()
    table = ap_phot(image, {"x": x, "y": y}, 3.0, psf=GaussianPSF(SIGMA))
    fixed = ap_phot(image, {"x": x, "y": y}, 3.0, apcor=1.1)
    assert table["flux_njy"].unit == u.nJy
    assert table["ra"].unit == u.deg
    np.testing.assert_allclose(table["flux_njy"].value, flux * 10 ** (0.4 * 6.4), rtol=0.1)
    energy = 1 - np.exp(-9.0 / 2 / (SIGMA**2 + 1 / 6))  # as in the test of growth
    np.testing.assert_allclose(table["apcor"], 1 / energy, rtol=1e-2)
    np.testing.assert_allclose(fixed["flux_njy"], 1.1 * to_njy(fixed["aperture_sum"]), rtol=1e-12)
    assert all(table[name].info.description for name in table.colnames)


def to_njy(flux: Any) -> Any:
    """Calibrate at a zero point of 25."""
    return np.asarray(flux) * 10 ** (-0.4 * (25.0 - 31.4)) * u.nJy


def test_growth_of_an_image_s_stars_is_that_of_its_psf() -> None:
    image, x, y, _ = make_field()
    curve = curve_of_growth(image, {"x": x, "y": y}, [2, 3, 5, 9], background="global")
    # The light of a Gaussian in closed form; pixels blur it by 1/12 in variance, and apertures
    # that cut them do so again.
    energy = 1 - np.exp(-(np.array([2, 3, 5, 9]) ** 2) / 2 / (SIGMA**2 + 1 / 6))
    np.testing.assert_allclose(curve.fraction, energy, atol=2e-3)
    with pytest.raises(NotFoundError, match="positive flux"):
        curve_of_growth(image, [(-9.0, 3.0)], [2, 3])


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "fast"},
        {"subpixels": 0},
        {"background": "sky"},
        {"annulus": (9, 3)},
        {"annulus": 5},
        {"masked": "psf"},
        {"masked": "mean"},
        {"apcor": 0},
        {"limit_sigma": 0},
        {"bgsize": 1.5},
        {"bgsize": 0, "background": "global"},
        {"bad_bits": "NOPE"},
        {"estimator": "mean", "annulus": (5, 9)},
        {"ap_r": "wide"},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ap_phot(make_field()[0], (50.0, 50.0), **wrong)


def test_sky_positions_need_world_coordinates() -> None:
    with pytest.raises(ProjectionError, match="give positions as x and y"):
        ap_phot(Image(data=np.ones((9, 9))), {"ra": 1.0, "dec": 2.0})


def test_angles_are_turned_into_pixels() -> None:
    image, x, y, _ = make_field()
    at = {"x": x[:20], "y": y[:20]}
    scale = image.pixel_scale
    assert scale is not None
    assert scale == pytest.approx(0.36)  # CDELT of 1e-4 degrees
    plain = ap_phot(image, at, 2.0 / scale, annulus=(4.0 / scale, 8.0 / scale))
    ways: list[tuple[Any, Any]] = [
        (2 * u.arcsec, (4, 8) * u.arcsec),
        (2 / 60 * u.arcmin, (4 * u.arcsec, 8 * u.arcsec)),
    ]
    for ap_r, annulus in ways:
        table = ap_phot(image, at, ap_r, annulus=annulus)
        np.testing.assert_allclose(table["aperture_sum"], plain["aperture_sum"], rtol=1e-9)
    several = ap_phot(image, at, [2, 3] * u.arcsec, annulus=(4, 8) * u.arcsec)
    np.testing.assert_allclose(several["aperture_sum_0"], plain["aperture_sum"], rtol=1e-9)
    assert several["area_1"][0] == pytest.approx(np.pi * (3 / scale) ** 2, rel=0.02)
    listed = ap_phot(image, at, [2 * u.arcsec, 3 * u.arcsec], annulus=(4, 8) * u.arcsec)
    np.testing.assert_array_equal(listed["aperture_sum_1"], several["aperture_sum_1"])
    pixels = ap_phot(image, at, 5 * u.pix)
    np.testing.assert_array_equal(pixels["aperture_sum"], ap_phot(image, at, 5)["aperture_sum"])
    grown = curve_of_growth(image, at, [1, 2, 4] * u.arcsec)
    np.testing.assert_allclose(grown.radii, np.array([1, 2, 4]) / scale)


def test_angles_without_a_scale_and_lengths_of_another_kind_are_refused() -> None:
    image = Image(data=np.ones((50, 50)))
    with pytest.raises(UsageError, match="no pixel scale"):
        ap_phot(image, (20.0, 20.0), 2 * u.arcsec)
    with pytest.raises(UsageError, match="no pixel scale"):
        ap_phot(image, (20.0, 20.0), 2, annulus=(4, 8) * u.arcsec)
    with pytest.raises(UsageError, match="expected pixels"):
        ap_phot(make_field()[0], (20.0, 20.0), 2 * u.s)


@pytest.mark.parametrize("wrong", [{"ap_r": 501}, {"ap_r": "3"}, {"psf": 3}, {"psf": GaussianPSF}], ids=str)
def test_radii_and_psfs_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ap_phot(make_field()[0], (50.0, 50.0), **wrong)


@pytest.mark.parametrize("radii", ["abc", 5, [1, "x"]], ids=str)
def test_radii_of_growth_that_are_none_are_refused(radii: Any) -> None:
    with pytest.raises(UsageError, match="radii"):
        curve_of_growth(make_field()[0], (50.0, 50.0), radii)


@pytest.mark.parametrize(
    ("ap_r", "right", "hidden"),
    [
        (8.0, 0, True),
        (8.0, 3, True),
        (8.0, 5, False),
        (Ellipse(8, 6), 3, True),
        (Ellipse(8, 6), 5, False),
        (CircularAperture((40.0, 40.0), 8.0), 3, True),
        (CircularAperture((40.0, 40.0), 8.0), 5, False),
    ],
    ids=str,
)
def test_a_bad_core_leaves_no_flux_unless_told(ap_r: Any, right: int, hidden: bool) -> None:
    flags = np.zeros((81, 81), dtype=np.uint8)
    flags[40, 40 + right] = 1
    data = np.random.default_rng(1).normal(10.0, 1.0, flags.shape)
    image = Image(data=data, noise=np.ones(flags.shape), flags=flags, bad_bits=1)
    row = ap_phot(image, (40.0, 40.0), ap_r)[0]
    assert np.isnan(row["aperture_sum"]) == hidden
    bits = Quality.MASKED | Quality.MASKED_PEAK | Quality.FAILED
    assert (Quality(int(row["quality"])) & bits == bits) == hidden
    ways: list[dict[str, Any]] = [{"masked": "scale"}, {"psf": GaussianPSF(1.3)}]
    for chosen in ways:
        assert np.isfinite(ap_phot(image, (40.0, 40.0), ap_r, **chosen)["aperture_sum"][0])


def test_a_constant_image_tells_no_error() -> None:
    row = ap_phot(Image(data=np.full((60, 60), 3.0)), (30.0, 30.0), 4.0, annulus=(8, 14))[0]
    assert row["aperture_sum"] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(row["aperture_sum_err"])
    assert Quality.FAILED in Quality(int(row["quality"]))

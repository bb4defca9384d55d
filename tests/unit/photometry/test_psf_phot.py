"""PSF photometry of images, against known truth, photutils, and every kind of bad input."""

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits  # makes the input
from astropy.nddata import NDData
from astropy.table import QTable, Table
from astropy.wcs import WCS
from photutils.psf import CircularGaussianSigmaPRF, GriddedPSFModel, PSFPhotometry
from scipy.special import erf

from snapdb.archive.image import Image
from snapdb.archive.photometry.psf_phot import psf_phot
from snapdb.errors import ProjectionError, ShapeError, UsageError
from snapdb.photometry.psf import GaussianPSF, GriddedPSF
from snapdb.photometry.quality import Quality
from snapdb.types import FloatArray

SEED = 20260115
SKY, READ_NOISE = 100.0, 5.0
HEADER = fits.Header(
    {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": -30.0, "CRPIX1": 90.0}
    | {"CRPIX2": 80.0, "CDELT1": -1e-4, "CDELT2": 1e-4}
)


def measure(image: Image, *args: Any, **options: Any) -> Any:
    """Call what is tested; as a table or a pair."""
    return psf_phot(image, *args, **options)


def add_stars(image: FloatArray, x: FloatArray, y: FloatArray, flux: FloatArray, sigma: float) -> None:
    """Add pixel-integrated Gaussians, in closed form, out to 12 pixels."""
    reach = np.arange(-12, 14) - 0.5
    height, width = image.shape
    for a, b, f in zip(x.tolist(), y.tolist(), flux.tolist(), strict=True):
        column, row = int(np.floor(a + 0.5)), int(np.floor(b + 0.5))
        along_x, along_y = (
            np.diff(erf((reach + c - p) / (sigma * 2**0.5)) / 2) for c, p in ((column, a), (row, b))
        )
        columns, rows = column + np.arange(-12, 13), row + np.arange(-12, 13)
        on_x, on_y = (columns >= 0) & (columns < width), (rows >= 0) & (rows < height)
        image[np.ix_(rows[on_y], columns[on_x])] += f * along_y[on_y, None] * along_x[on_x]


def make_field(
    number: int,
    side: int,
    *,
    sigma: float = 1.3,
    slope: float = 0.0,
    masked: float = 0.0,
    flux: FloatArray | None = None,
    sky: float = SKY,
) -> tuple[Image, FloatArray, FloatArray, FloatArray]:
    """A field with photon and read noise, and a noise plane that knows the truth."""
    random = np.random.default_rng(SEED)
    x, y = random.uniform(12, side - 13, (2, number))
    if flux is None:
        flux = 10 ** random.uniform(np.log10(500), np.log10(50000), number)
    mean = np.full((side, side), SKY) + slope * np.linspace(0, 1, side)
    add_stars(mean, x, y, flux, sigma)
    data = random.poisson(mean) + random.normal(0, READ_NOISE, mean.shape) - (SKY - sky)
    flags = np.zeros(data.shape, dtype=np.int32)
    bad = random.uniform(size=data.shape) < masked
    flags[bad], data[bad] = 4, 1e5
    image = Image(
        data=data,
        noise=np.sqrt(mean + READ_NOISE**2),
        flags=flags,
        zeropoint=25.0,
        flag_bits={"DEAD": 4, "SATURATED": 2, "WARM": 1},
        bad_bits=6,
    )
    return image, x, y, flux


def check_truth(table: Table, flux: FloatArray) -> None:
    """Bias under 0.1 %, pulls of mean 0 and width 1 within 0.05."""
    found, error = np.asarray(table["flux_fit"]), np.asarray(table["flux_err"])
    assert np.isfinite(found).all()
    weight = (flux / error) ** 2
    assert abs(np.sum(weight * (found / flux - 1)) / weight.sum()) < 1e-3
    pull = (found - flux) / error
    assert abs(pull.mean()) < 0.05
    assert abs(pull.std() - 1) < 0.05


@pytest.mark.parametrize(
    ("field", "options"),
    [
        pytest.param({"number": 4000, "side": 2400}, {"fit_shape": 11}, id="sparse"),
        pytest.param({"number": 4000, "side": 2400}, {"fit_shape": 15, "background": "fit"}, id="sky fitted"),
        pytest.param({"number": 4000, "side": 2400, "slope": 150.0}, {"fit_shape": 11}, id="gradient"),
        pytest.param({"number": 4000, "side": 2400, "masked": 0.02}, {"fit_shape": 11}, id="masked"),
        pytest.param({"number": 4000, "side": 2400, "sigma": 0.42}, {}, id="undersampled"),
        pytest.param(
            {"number": 4000, "side": 920, "sky": 0.0}, {"fit_shape": 11, "background": "none"}, id="crowded"
        ),
        pytest.param(
            {"number": 4000, "side": 920}, {"fit_shape": 11, "background": "fit"}, id="crowded, sky fitted"
        ),
    ],
)
def test_simulated_fields(field: dict[str, Any], options: dict[str, Any]) -> None:
    image, x, y, flux = make_field(**field)
    table = measure(image, {"x": x, "y": y}, GaussianPSF(field.get("sigma", 1.3)), **options)
    assert isinstance(table, Table)
    check_truth(table, flux)
    quality = np.asarray(table["quality"])
    assert not np.any(quality & (Quality.FAILED | Quality.OFF_IMAGE | Quality.NEIGHBOUR | Quality.EDGE))
    assert np.mean((quality & Quality.MASKED) > 0) == pytest.approx(
        0.91 if "masked" in field else 0, abs=0.03
    )


def test_sources_of_no_flux() -> None:
    image, x, y, _ = make_field(400, 900, flux=np.zeros(400))
    table = measure(
        image, Table({"x_init": x, "y_init": y, "flux_init": np.full(400, 50.0)}), GaussianPSF(1.3)
    )
    pull = np.asarray(table["flux_fit"] / table["flux_err"])
    assert np.count_nonzero(table["flux_fit"] == 0) == 0
    assert np.all(table["flux_err"] > 0)
    assert abs(pull.mean()) < 0.1
    assert abs(pull.std() - 1) < 0.1
    assert (table["flux_init"] == 50).all()
    np.testing.assert_array_equal(np.asarray(table["flags"]) & 4 > 0, np.asarray(table["flux_fit"]) < 0)


def make_lone(side: int = 200, sigma: float = 1.3) -> tuple[Image, FloatArray, FloatArray, FloatArray]:
    """Stars on a grid, so that all are alone."""
    random = np.random.default_rng(SEED)
    at = np.arange(20, side - 19, 20)
    x, y = (v.ravel() + random.uniform(-0.5, 0.5, v.size) for v in np.meshgrid(at, at))
    flux = 10 ** random.uniform(3, 5, len(x))
    data = random.normal(0, 10, (side, side))
    add_stars(data, x, y, flux, sigma)
    return Image(data=data, noise=random.uniform(9, 12, data.shape), zeropoint=25.0), x, y, flux


@pytest.mark.parametrize("shape", [(5, 5), (7, 11), (1, 3)])
def test_forced_fits_equal_photutils(shape: tuple[int, int]) -> None:
    image, x, y, flux = make_lone()
    model = CircularGaussianSigmaPRF(sigma=1.3)
    model.x_0.fixed = model.y_0.fixed = True
    start = Table({"x": x, "y": y, "flux": flux})
    theirs = PSFPhotometry(model, shape)(image.data, error=image.noise, init_params=start)
    ours = measure(
        image, start, GaussianPSF(1.3), fit_shape=shape, weights="variance", background="none", group=False
    )
    for name in ("flux_fit", "flux_err", "reduced_chi2"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6, err_msg=name)
    for name in ("qfit", "cfit"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, atol=1e-9, err_msg=name)
    for name in ("id", "group_id", "group_size", "n_pixels_fit", "flags", "x_fit", "y_fit"):
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    assert ours.colnames[:18] == theirs.colnames


def make_grid() -> GriddedPSFModel:
    """Gaussians that widen across the image, integrated over pixels and four samples a pixel."""
    samples = np.arange(-60, 61) / 4
    sigmas = [1.1, 1.2, 1.3, 1.2, 1.4, 1.5, 1.3, 1.4, 1.6]
    lines = [np.diff(erf((samples[:, None] + [-0.5, 0.5]) / (s * 2**0.5)) / 2, axis=1)[:, 0] for s in sigmas]
    nodes = [(float(x), float(y)) for y in (0, 100, 200) for x in (0, 100, 200)]
    stack = np.array([line[:, None] * line for line in lines])
    return GriddedPSFModel(NDData(stack, meta={"grid_xypos": nodes, "oversampling": 4}))


def test_forced_fits_with_a_grid_equal_photutils() -> None:
    image, x, y, flux = make_lone()
    model = make_grid()
    model.x_0.fixed = model.y_0.fixed = True
    start = Table({"x": x, "y": y, "flux": flux})
    theirs = PSFPhotometry(model, (7, 7))(image.data, error=image.noise, init_params=start)
    psf = GriddedPSF.from_photutils(model)
    ours = measure(image, start, psf, fit_shape=7, weights="variance", background="none", group=False)
    for name in ("flux_fit", "flux_err", "reduced_chi2"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6, err_msg=name)


def test_free_fits_equal_photutils() -> None:
    image, x, y, flux = make_lone()
    start = Table({"x": x + 0.4, "y": y - 0.7, "flux": flux})
    theirs = PSFPhotometry(CircularGaussianSigmaPRF(sigma=1.3), (5, 5))(
        image.data, error=image.noise, init_params=start
    )
    ours = measure(image, start, GaussianPSF(1.3), False, weights="variance", background="none")
    np.testing.assert_allclose(ours["x_fit"], theirs["x_fit"], atol=1e-5)
    np.testing.assert_allclose(ours["y_fit"], theirs["y_fit"], atol=1e-5)
    np.testing.assert_allclose(ours["flux_fit"], theirs["flux_fit"], rtol=1e-5)
    for name in ("flux_err", "x_err", "y_err"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-3, err_msg=name)


def test_free_fits_of_a_crowd_find_their_places() -> None:
    """Truth is the oracle; faint sources may fail, and say so."""
    image, x, y, flux = make_field(1500, 1200)
    random = np.random.default_rng(SEED)
    start = np.stack((x, y), axis=1) + random.uniform(-0.4, 0.4, (1500, 2))
    table = measure(image, start, GaussianPSF(1.3), forced_phot=False, fit_shape=9)
    failed = (np.asarray(table["quality"]) & Quality.FAILED) > 0
    assert failed.mean() < 0.02
    np.testing.assert_array_equal(failed, ~np.isfinite(table["flux_fit"]))
    np.testing.assert_array_equal(failed, (np.asarray(table["flags"]) & 8) > 0)
    for found, error, truth in (("x_fit", "x_err", x), ("y_fit", "y_err", y), ("flux_fit", "flux_err", flux)):
        pull = ((table[found] - truth) / table[error])[~failed & (flux > 2000)]
        assert abs(np.mean(pull)) < 0.15, found
        assert abs(np.std(pull) - 1) < 0.1, found


def test_what_is_left_of_a_pair_too_close_to_part_is_marked() -> None:
    """Oracle: the truth; where one of a pair a third of a FWHM apart is lost, the other holds its light."""
    image = np.full((900, 900), SKY)
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(30.0, 890.0, 50.0), np.arange(30.0, 890.0, 50.0)))
    add_stars(image, x + 0.2, y, np.full(x.shape, 5000.0), 1.3)
    add_stars(image, x + 1.2, y, np.full(x.shape, 1000.0), 1.3)
    image += np.random.default_rng(SEED).normal(0.0, np.sqrt(image))
    start = np.stack((np.append(x + 0.2, x + 1.2), np.append(y, y)), axis=1)
    found = measure(Image(data=image, noise=np.sqrt(image)), start, GaussianPSF(1.3), False, fit_shape=7)
    flux, marked = np.asarray(found["flux_fit"]), (np.asarray(found["quality"]) & Quality.NEIGHBOUR) > 0
    bright, faint = flux[: len(x)], flux[len(x) :]
    alone = np.isfinite(bright) & ~np.isfinite(faint)
    assert alone.sum() >= 5
    assert np.median(bright[alone]) > 5500.0
    assert marked[: len(x)][alone].all()
    both = np.isfinite(bright) & np.isfinite(faint)
    assert both.sum() > 20
    assert not marked[: len(x)][both].any()


def test_a_free_position_stays_within_its_bounds() -> None:
    image, x, y, _ = make_lone()
    table = measure(image, {"x": x + 1.5, "y": y}, GaussianPSF(1.3), forced_phot=False, max_shift=0.5)
    assert np.isnan(table["flux_fit"]).all()
    assert ((np.asarray(table["flags"]) & 40) == 40).all()
    assert ((np.asarray(table["quality"]) & Quality.AT_BOUND) > 0).all()
    free = measure(image, {"x": x, "y": y}, GaussianPSF(1.3), forced_phot=False)
    assert not (np.asarray(free["quality"])[np.isfinite(free["flux_fit"])] & Quality.AT_BOUND).any()
    assert ((np.asarray(table["quality"]) & Quality.FAILED) > 0).all()


@pytest.mark.parametrize("forced", [True, False])
@pytest.mark.parametrize("apart", [0.0, 0.001])
def test_one_place_given_twice_has_no_flux_of_its_own(apart: float, forced: bool) -> None:
    image, x, y, _ = make_lone()
    places = {"x": [x[0], x[0] + apart, x[3]], "y": [y[0], y[0], y[3]]}
    table = measure(image, places, GaussianPSF(1.3), forced_phot=forced)
    assert np.isnan(table["flux_fit"]).tolist() == [True, True, False]
    bits = int(Quality.NEIGHBOUR | Quality.FAILED)
    assert (np.asarray(table["quality"]) & bits).tolist() == [bits, bits, 0]


def test_rings_are_told_as_angles_too() -> None:
    image, x, y, _ = make_lone()
    sky = Image(data=image.data, noise=image.noise, flags=image.flags, wcs=WCS(HEADER))
    plain = measure(sky, {"x": x, "y": y}, GaussianPSF(1.3))
    ring = {"bginner": 15 * 0.36 * u.arcsec, "bgouter": 25 * 0.36 * u.arcsec}
    table = measure(sky, {"x": x, "y": y}, GaussianPSF(1.3), **ring)
    np.testing.assert_allclose(table["flux_fit"], plain["flux_fit"], rtol=1e-3)


def test_kinds_of_input_agree() -> None:
    image, x, y, _ = make_lone()
    expected = measure(image, np.stack((x, y), axis=1), GaussianPSF(1.3))
    record = np.array(list(zip(x, y, strict=True)), dtype=[("xcentroid", float), ("ycentroid", float)])
    for given in (
        Table({"x": x, "y": y}),
        QTable({"x_init": x, "y_init": y}),
        {"x": x.tolist(), "y": y.tolist()},
        record,
        pd.DataFrame({"x": x, "y": y}),
        list(zip(x, y, strict=True)),
    ):
        np.testing.assert_array_equal(
            measure(image, given, GaussianPSF(1.3))["flux_fit"], expected["flux_fit"]
        )


def test_positions_on_the_sky() -> None:
    image, x, y, _ = make_lone()
    there = Image(data=image.data, noise=image.noise, header=HEADER)
    ra, dec = there.pixel_to_world(x, y)
    beyond = {"ra": np.append(ra, [np.nan, 190.0, 50.0]), "dec": np.append(dec, [0.0, 30.0, -30.0])}
    expected = measure(image, {"x": x, "y": y}, GaussianPSF(1.3))
    found = measure(there, beyond, GaussianPSF(1.3))
    np.testing.assert_allclose(found["flux_fit"][:-3], expected["flux_fit"], rtol=1e-7)
    assert ((np.asarray(found["quality"])[-3:] & Quality.OFF_IMAGE) > 0).all()
    np.testing.assert_array_equal(found["ra"][:-3], ra)
    with pytest.raises(ProjectionError, match="no world coordinates"):
        measure(image, beyond, GaussianPSF(1.3))


def test_few_positions_read_boxes_only(tmp_path: Path) -> None:
    """The same numbers from a file, whose planes are then not in memory."""
    image, x, y, _ = make_field(300, 500, masked=0.02)
    path = tmp_path / "field.fits"
    Image(data=image.data, noise=image.noise, flags=image.flags, header=HEADER).save(path=path)
    stored = Image(path, flag_bits=image.flag_bits, bad_bits=image.bad_bits, zeropoint=25.0)
    places = np.stack((x, y), axis=1)
    places[:3] = [[1.0, 2.0], [498.6, 250.0], [300.0, 499.4]]
    alone: dict[str, Any] = {"group": False, "mask_neighbours": False}
    few = measure(stored, places[:40], GaussianPSF(1.3), **alone)
    assert not stored._cached
    many = measure(image, places, GaussianPSF(1.3), **alone)
    for name in ("flux_fit", "flux_err", "local_bkg", "coverage"):
        np.testing.assert_allclose(few[name], many[name][:40], rtol=1e-12, err_msg=name)
    without = np.asarray(many["quality"])[:40] & ~int(Quality.NEIGHBOUR)
    np.testing.assert_array_equal(np.asarray(few["quality"]) & ~int(Quality.NEIGHBOUR), without)


def test_neighbours_that_are_left_alone_are_marked() -> None:
    image, x, y, flux = make_field(500, 400)
    alone = measure(image, {"x": x, "y": y}, GaussianPSF(1.3), group=False)
    joined = measure(image, {"x": x, "y": y}, GaussianPSF(1.3))
    near = (np.asarray(alone["quality"]) & Quality.NEIGHBOUR) > 0
    np.testing.assert_array_equal(near, np.asarray(joined["group_size"]) > 1)
    assert (alone["group_size"] == 1).all()
    np.testing.assert_allclose(alone["flux_fit"][~near], joined["flux_fit"][~near])
    spread = [np.std(((t["flux_fit"] - flux) / t["flux_err"])[near]) for t in (alone, joined)]
    assert spread[0] > 5 * spread[1]
    by_distance = measure(image, {"x": x, "y": y}, GaussianPSF(1.3), group=1e-6)
    np.testing.assert_array_equal(by_distance["flux_fit"], alone["flux_fit"])


def test_without_noise_the_sky_tells() -> None:
    image, x, y, flux = make_field(2000, 1500, flux=np.full(2000, 300.0))
    image.noise = None
    table = measure(image, {"x": x, "y": y}, GaussianPSF(1.3), fit_shape=9)
    assert ((np.asarray(table["quality"]) & Quality.NO_NOISE) > 0).all()
    pull = (table["flux_fit"] - flux) / table["flux_err"]
    assert abs(np.std(pull) - 1) < 0.1
    still = Image(data=np.full((60, 60), 3.0))
    flat = measure(still, [(30, 30)], GaussianPSF(1.3))
    assert flat["flux_fit"][0] == pytest.approx(0, abs=1e-9)
    assert np.isnan(flat["flux_err"][0])
    assert flat["quality"][0] & Quality.FAILED
    assert np.isnan(flat["reduced_chi2"][0])


def test_bad_rows_say_why() -> None:
    image, x, y, _ = make_lone()
    x, y = (v[[0, 3, 6, 80, 30, 33]] for v in (x, y))
    noise = np.array(image.noise)
    flags = np.zeros(noise.shape, dtype=np.int32)
    xs, ys = np.round(x).astype(int), np.round(y).astype(int)
    flags[ys[0] - 4 : ys[0] + 5, xs[0] - 4 : xs[0] + 5] = 4
    noise[ys[1] - 4 : ys[1] + 5, xs[1] - 4 : xs[1] + 5] = 0.0
    flags[ys[2], xs[2]] = 2
    flags[ys[3] - 26 :, xs[3] - 26 :] = 8
    flags[ys[3] - 4 : ys[3] + 5, xs[3] - 4 : xs[3] + 5] = 0
    data = np.array(image.data)
    data[ys[4] + 1, xs[4] - 2] = np.nan
    data[ys[5], xs[5]] += 3000.0
    worse = Image(data=data, noise=noise, flags=flags, flag_bits={"SATURATED": 2, "BAD": 4}, bad_bits=12)
    places = list(zip(x, y, strict=True))
    places += [(np.nan, 5.0), (-0.6, 50.0), (199.5, 50.0), (1e30, -np.inf), (-0.4, 199.4)]
    table = measure(worse, places, GaussianPSF(1.3), group=False)
    quality = [Quality(int(q)) & ~(Quality.NEIGHBOUR | Quality.NO_ZEROPOINT) for q in table["quality"]]
    off = Quality.OFF_IMAGE
    assert quality[0] & Quality.FAILED
    assert quality[0] & Quality.MASKED_PEAK
    assert quality[1] & Quality.FAILED
    assert Quality.SATURATED in quality[2]
    assert Quality.MASKED_PEAK in quality[2]
    assert Quality.NO_BACKGROUND in quality[3]
    assert Quality.FAILED in quality[3]
    assert np.isnan(table["local_bkg"][3])
    assert Quality.MASKED in quality[4]
    assert Quality.MASKED_PEAK not in quality[4]
    assert table["n_pixels_fit"][4] == 24
    assert table["bad_fraction"][4] == pytest.approx(0.04)
    assert Quality.POOR_FIT in quality[5]
    assert quality[6:10] == [off] * 4
    assert Quality.EDGE in quality[10]
    assert np.isnan(table["flux_fit"]).tolist() == [True, True, False, True, *[False] * 2, *[True] * 4, False]
    for name in ("flux_njy", "mag", "mag_limit"):
        assert np.isnan(table[name]).all()
    assert (np.asarray(table["quality"]) & Quality.NO_ZEROPOINT > 0).all()


def test_calibrated_columns() -> None:
    """Closed form: an AB magnitude of 31.4 is one nanojansky."""
    image, x, y, _ = make_lone()
    table = measure(image, {"x": x, "y": y}, GaussianPSF(1.3))
    scale = 10 ** (0.4 * (31.4 - 25.0))
    np.testing.assert_allclose(table["flux_njy"], table["flux_fit"] * scale, rtol=1e-12)
    np.testing.assert_allclose(table["mag"], 25 - 2.5 * np.log10(table["flux_fit"]), rtol=1e-12)
    np.testing.assert_allclose(table["mag_limit"], 25 - 2.5 * np.log10(5 * table["flux_err"]), rtol=1e-12)
    assert table["flux_njy"].unit == "nJy"
    assert table["ra"].unit == "deg"
    assert all(table[name].description for name in table.colnames)
    assert not np.asarray(table["quality"]).any()


def test_an_empty_table_stays_empty() -> None:
    image, *_ = make_lone()
    empty: list[Any] = [{"x": [], "y": []}, np.zeros((0, 2))]
    for given in empty:
        table, left = measure(image, given, GaussianPSF(1.3), return_resid_image=True)
        assert len(table) == 0
        assert "flux_fit" in table.colnames
        np.testing.assert_array_equal(left, image.data)


def test_ids_and_names_come_back() -> None:
    image, x, y, _ = make_lone()
    numbered = measure(image, {"id": [7, 3], "x": x[:2], "y": y[:2]}, GaussianPSF(1.3))
    assert numbered["id"].tolist() == [7, 3]
    named = measure(image, {"name": ["a", "b"], "x": x[:2], "y": y[:2]}, GaussianPSF(1.3))
    assert named["id"].tolist() == [1, 2]
    assert named["name"].tolist() == ["a", "b"]


def test_a_residual_image_is_noise() -> None:
    image, x, y, _ = make_field(600, 700)
    table, left = measure(image, {"x": x, "y": y}, GaussianPSF(1.3), fit_shape=9, return_resid_image=True)
    assert len(table) == 600
    deviates = (left - SKY) / image.noise
    assert abs(deviates.mean()) < 0.02
    assert abs(deviates.std() - 1) < 0.02


class ForeignPSF:
    """What another library's PSF may look like: snappl's names alone, and a position of its own."""

    stamp_size = 15

    def get_stamp(
        self,
        x: float | None = None,
        y: float | None = None,
        x0: int | None = None,
        y0: int | None = None,
        flux: float = 1.0,
    ) -> FloatArray:
        assert x is not None
        assert y is not None
        stamp = np.zeros((25, 25))
        here = np.array([12 + x - np.floor(x + 0.5)]), np.array([12 + y - np.floor(y + 0.5)])
        add_stars(stamp, *here, np.array([flux]), 1.0 + x / 400)
        del x0, y0
        return stamp[5:20, 5:20]


def test_each_source_has_the_psf_of_its_place() -> None:
    image, x, y, flux = make_lone()
    data = np.random.default_rng(SEED).normal(0, 10, image.data.shape)
    for n in range(len(x)):
        add_stars(data, x[n : n + 1], y[n : n + 1], flux[n : n + 1], 1.0 + x[n] / 400)
    varying = Image(data=data, noise=np.full(data.shape, 10.0))
    table = measure(varying, {"x": x, "y": y}, ForeignPSF(), fit_shape=9, group=False)
    pull = (table["flux_fit"] - flux) / table["flux_err"]
    assert np.abs(pull).max() < 5
    wrong = measure(varying, {"x": x, "y": y}, GaussianPSF(1.3), fit_shape=9, group=False)
    assert np.abs((wrong["flux_fit"] - flux) / wrong["flux_err"]).max() > 20


def test_a_psf_may_belong_to_an_image() -> None:
    image, x, y, _ = make_lone()

    class Chosen:
        def at(self, given: Image) -> GaussianPSF:
            assert given is image
            return GaussianPSF(1.3)

    found = measure(image, {"x": x, "y": y}, Chosen())
    np.testing.assert_array_equal(
        found["flux_fit"], measure(image, {"x": x, "y": y}, GaussianPSF(1.3))["flux_fit"]
    )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"fit_shape": 4}, "odd numbers"),
        ({"fit_shape": (5, 5, 5)}, "odd numbers"),
        ({"fit_shape": 5.5}, "odd numbers"),
        ({"background": "global"}, "expected one of annulus, none, fit"),
        ({"weights": "data"}, "expected one of sky"),
        ({"bginner": 25, "bgouter": 15}, "annulus"),
        ({"estimator": "sextractor"}, "expected one of"),
        ({"bad_bits": "COSMIC"}, "no flag is named 'COSMIC'"),
        ({"group": -3.0}, "separation"),
        ({"group": float("nan")}, "separation"),
        ({"psf": 3.0}, "expected a PSF"),
        ({"psf": GaussianPSF}, "the class GaussianPSF"),
        ({"group": "a"}, "group='a'"),
        ({"max_shift": float("nan")}, "max_shift"),
        ({"max_shift": -1}, "max_shift"),
        ({"max_shift": "far"}, "max_shift"),
        ({"bginner": 3 * u.arcsec}, "no pixel scale"),
        ({"bgouter": "wide"}, "bgouter"),
        ({"init_params": {"a": [1.0]}}, "expected x and y"),
    ],
)
def test_wrong_calls_are_refused(options: dict[str, Any], match: str) -> None:
    image, *_ = make_lone()
    given: dict[str, Any] = {"init_params": [(50.0, 50.0)], "psf": GaussianPSF(1.3)} | options
    with pytest.raises(UsageError, match=match):
        measure(image, **given)


def test_positions_of_a_wrong_shape_are_refused() -> None:
    image, *_ = make_lone()
    with pytest.raises(ShapeError):
        measure(image, np.zeros((3, 4)), GaussianPSF(1.3))
    with pytest.raises(ShapeError):
        measure(image, {"x": [1.0, 2.0], "y": [1.0]}, GaussianPSF(1.3))


def test_given_skies_and_groups_count_as_in_photutils() -> None:
    image, x, y, _ = make_field(6, 120, masked=0.0)
    x[1], y[1] = x[0] + 3.2, y[0] + 0.3
    table = Table({"x_init": x, "y_init": y, "flux_init": np.full(6, 1000.0)})
    table["local_bkg"] = 90.0 + np.arange(6)
    table["group_id"] = [7, 2, 3, 4, 5, 6]
    model = CircularGaussianSigmaPRF(sigma=1.3)
    model.x_0.fixed = model.y_0.fixed = True
    expected = PSFPhotometry(model, (7, 7))(image.data, error=image.noise, init_params=table)
    found = measure(image, table, GaussianPSF(1.3), fit_shape=(7, 7), weights="variance")
    for name in ("flux_fit", "flux_err", "local_bkg"):
        np.testing.assert_allclose(found[name].value, np.asarray(expected[name]), rtol=1e-4)
    assert found["group_id"].tolist() == [7, 2, 3, 4, 5, 6]
    assert found["group_size"].tolist() == [1] * 6
    # Together: numpy's least squares over the pixels of both stamps, each with its own sky.
    table["group_id"], table["local_bkg"] = [1, 1, 3, 4, 5, 6], 90.0
    found = measure(image, table, GaussianPSF(1.3), fit_shape=(7, 7), weights="variance")
    rows, columns = np.indices(image.data.shape)
    near = [
        (abs(columns - round(a)) <= 3) & (abs(rows - round(b)) <= 3)
        for a, b in zip(x[:2], y[:2], strict=True)
    ]
    use = near[0] | near[1]
    light = [
        CircularGaussianSigmaPRF(flux=1.0, x_0=a, y_0=b, sigma=1.3)(columns, rows)[use]
        for a, b in zip(x[:2], y[:2], strict=True)
    ]
    assert image.noise is not None
    noise = image.noise[use]
    truth = np.linalg.lstsq(np.stack(light, axis=1) / noise[:, None], (image.data[use] - 90.0) / noise)[0]
    np.testing.assert_allclose(found["flux_fit"][:2].value, truth, rtol=1e-4)
    assert found["group_size"].tolist() == [2, 2, 1, 1, 1, 1]
    table["local_bkg"] = 90.0 + np.arange(6)
    ring = measure(image, table["x_init", "y_init"], GaussianPSF(1.3), fit_shape=(7, 7))
    table["local_bkg"][2:] = np.nan  # these are measured
    mixed = measure(image, table, GaussianPSF(1.3), fit_shape=(7, 7))
    np.testing.assert_allclose(mixed["local_bkg"][2:], ring["local_bkg"][2:])
    assert mixed["local_bkg"][:2].value.tolist() == [90.0, 91.0]
    none = measure(image, table, GaussianPSF(1.3), background="none")
    assert (none["local_bkg"].value == 0).all()
    alone = measure(image, table, GaussianPSF(1.3), group=False)
    assert alone["group_size"].tolist() == [1] * 6
    with pytest.raises(UsageError, match="group_id"):
        measure(image, Table({"x": [5.0], "y": [5.0], "group_id": [1.5]}), GaussianPSF(1.3))

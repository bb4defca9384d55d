"""Sums within apertures of arrays; the oracle is photutils."""

from typing import Any

import numpy as np
import pytest
from photutils.aperture import CircularAnnulus, CircularAperture, aperture_photometry
from photutils.profiles import CurveOfGrowth

from snapdb.errors import NotFoundError, ShapeError, UsageError
from snapdb.photometry.apertures import (
    Circle,
    Ellipse,
    Foreign,
    Rectangle,
    compute_weights,
    find_peaks,
    read_shapes,
    stamp_size,
    sum_apertures,
)
from snapdb.photometry.curve_of_growth import encircled_energy, measure_growth
from snapdb.photometry.psf.gaussian import GaussianPSF

SHAPES = [
    Circle(9.0),
    Circle(3.3),
    Circle(0.4),
    Ellipse(7, 3, 30.0),
    Rectangle(8, 4, 20.0),
    Foreign(CircularAnnulus((5, 5), 3, 6)),
    Foreign(CircularAperture([(5, 5), (9, 9)], 4)),
]


@pytest.fixture(scope="module")
def field() -> tuple[Any, Any, Any]:
    """Noise, and positions of which some are at pixels' centres and edges, where ties are."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(15, 105, (2, 80))
    x[:20], y[:20] = np.round(x[:20]), np.round(y[:20])
    x[20:30] = np.floor(x[20:30]) + 0.5
    return rng.normal(10, 3, (120, 121)), x, y


def cut(image: Any, x: Any, y: Any, size: int) -> Any:
    """Cut stamps about the nearest pixels."""
    column, row = (np.floor(v + 0.5).astype(int) for v in (x, y))
    reach = np.arange(size) - size // 2
    return image[row[:, None, None] + reach[:, None], column[:, None, None] + reach]


@pytest.mark.parametrize(
    ("method", "subpixels"), [("exact", 5), ("center", 5), ("subpixel", 5), ("subpixel", 8)]
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums_and_errors_are_photutils(field: Any, shape: Any, method: str, subpixels: int) -> None:
    image, x, y = field
    size = stamp_size([shape])
    pixels = cut(image, x, y, size)
    every = np.ones(pixels.shape, dtype=bool)
    weights = compute_weights(shape, x, y, size, method, subpixels)
    sums = sum_apertures(weights, pixels, np.full(pixels.shape, 9.0), every, every)
    peer = aperture_photometry(
        image,
        shape.at(np.stack((x, y), axis=1)),
        method=method,
        subpixels=subpixels,
        error=np.full(image.shape, 3.0),
    )
    empty = weights.sum(axis=(1, 2)) == 0  # no pixel's centre within: nothing is known of the flux
    np.testing.assert_allclose(sums.flux[~empty], peer["aperture_sum"][~empty], rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(sums.variance)[~empty], peer["aperture_sum_err"][~empty], rtol=1e-12)
    assert np.isnan(sums.flux[empty]).all()
    assert empty.any() == (shape == Circle(0.4) and method == "center")


def test_excluded_pixels_are_photutils_masked_ones(field: Any) -> None:
    image, x, y = field
    bad = np.random.default_rng(4).random(image.shape) < 0.05
    pixels, good = cut(image, x, y, 23), cut(~bad, x, y, 23)
    weights = compute_weights(Circle(9.0), x, y, 23)
    sums = sum_apertures(weights, pixels, None, good, np.ones_like(good), masked="exclude")
    peer = aperture_photometry(image, CircularAperture(np.stack((x, y), axis=1), 9.0), mask=bad)
    np.testing.assert_allclose(sums.flux, peer["aperture_sum"], rtol=1e-12)
    np.testing.assert_allclose(
        sums.bad_fraction, 1 - (weights * good).sum(axis=(1, 2)) / sums.area, rtol=1e-12
    )


def test_bad_pixels_are_made_good_for() -> None:
    psf = GaussianPSF(1.5)
    x, y = np.random.default_rng(8).uniform(20, 21, (2, 50))
    star = 1000.0 * psf.render(x, y, 23)
    good = np.random.default_rng(9).random(star.shape) > 0.1
    spoilt = np.where(good, star, 1e7)
    every = np.ones_like(good)
    weights = compute_weights(Circle(6.0), x, y, 23)
    whole = sum_apertures(weights, star, star, every, every)
    flat = np.full(star.shape, 7.0)
    by_psf = sum_apertures(weights, spoilt, star, good, every, masked="psf", model=star / 1000)
    by_area = sum_apertures(weights, np.where(good, flat, 1e7), None, good, every, masked="scale")
    # The closed forms: a source of the PSF's own shape, and a flat one, come back whole.
    np.testing.assert_allclose(by_psf.flux, whole.flux, rtol=1e-12)
    np.testing.assert_allclose(by_area.flux, 7.0 * np.pi * 36, rtol=1e-10)
    assert (by_psf.variance > whole.variance).all()
    assert (sum_apertures(weights, spoilt, None, good, every, masked="sum").flux > 1e5).all()


@pytest.mark.parametrize("masked", ["scale", "psf", "sum", "exclude"])
def test_without_a_good_pixel_there_is_no_flux(masked: str) -> None:
    weights = compute_weights(Circle(2.0), np.array([9.0]), np.array([9.0]), 7)
    ones = np.ones(weights.shape)
    sums = sum_apertures(weights, ones, ones, ones == 0, ones == 1, masked=masked, model=ones)
    assert np.isnan(sums.flux).all()
    assert np.isnan(sums.variance).all()
    assert sums.bad_fraction.tolist() == [1.0]


def test_peaks_are_of_pixels_whose_centre_is_within() -> None:
    x = y = np.array([9.0])
    pixels = np.arange(49, dtype=float).reshape(1, 7, 7)
    weights = compute_weights(Circle(1.2), x, y, 7, "center")
    inside = np.ones(pixels.shape, dtype=bool)
    assert find_peaks(weights, pixels, inside).tolist() == [31.0]  # the pixel above the middle one, 24
    pixels[0, 4, 3] = np.nan
    assert find_peaks(weights, pixels, inside).tolist() == [25.0]
    assert np.isnan(find_peaks(weights, pixels, ~inside)).all()


@pytest.mark.parametrize(
    "given", [0, -1, np.nan, np.inf, "wide", None, Ellipse(3, 0), Rectangle(-1, 2), [], [3, 0]]
)
def test_apertures_without_size_are_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="ap_r"):
        read_shapes(given)


def test_ways_to_count_that_do_not_exist_are_refused() -> None:
    one = np.array([9.0])
    with pytest.raises(UsageError, match="exact, center, subpixel"):
        compute_weights(Circle(2), one, one, 7, "fast")
    for subpixels in (0, 2.5, True):
        with pytest.raises(UsageError, match="subpixels"):
            compute_weights(Circle(2), one, one, 7, "subpixel", subpixels)  # type: ignore[arg-type]


def test_growth_is_photutils() -> None:
    psf = GaussianPSF(1.7)
    radii = [1.0, 2.0, 3.5, 6.0, 9.0]
    star = 500.0 * psf.render(np.array([30.3]), np.array([30.4]), 61)[0]
    peer = CurveOfGrowth(star, (30.3, 30.4), np.array(radii))
    x, y = np.array([30.3]), np.array([30.4])
    sums = [float((compute_weights(Circle(r), x, y, 61) * star).sum()) for r in radii]
    curve = measure_growth(radii, [sums] * 3, np.ones((3, 5)))
    np.testing.assert_allclose(curve.fraction, peer.profile / peer.profile[-1], rtol=1e-10)
    energy = encircled_energy(psf, radii, 30.3, 30.4)
    np.testing.assert_allclose(energy.fraction * 500, peer.profile, rtol=1e-10)
    assert float(energy.correction(3.5)) == pytest.approx(500 / peer.profile[2])
    assert np.isnan(energy.fraction_at(20.0))


def test_growth_leaves_blends_out() -> None:
    rng = np.random.default_rng(3)
    true = np.array([0.5, 0.8, 1.0])
    fluxes = true * rng.uniform(100, 1000, 40)[:, None] * (1 + rng.normal(0, 0.01, (40, 3)) * [1, 1, 0])
    fluxes[3] = [100, 400, 900]
    curve = measure_growth([2, 4, 8], fluxes, np.ones((40, 3)))
    pull = (curve.fraction - true)[:2] / curve.fraction_err[:2]
    assert (np.abs(pull) < 3).all()
    assert curve.n_sources.tolist()[:2] == [39, 39]


def test_growth_of_nothing_is_refused() -> None:
    with pytest.raises(NotFoundError, match="none of 2"):
        measure_growth([1, 2], [[1, -1], [np.nan, 3]], np.ones((2, 2)))
    with pytest.raises(ShapeError, match="ascending"):
        measure_growth([2, 1], [[1, 1]], [[1, 1]])
    with pytest.raises(ShapeError, match="expected"):
        measure_growth([1, 2], [[1, 1, 1]], [[1, 1, 1]])

"""Forced fits in closed form, against photutils, numpy's least squares and known truth."""

import numpy as np
import pytest
from astropy.table import Table
from photutils.psf import CircularGaussianSigmaPRF, PSFPhotometry
from scipy.special import erf

from snapdb.errors import ShapeError, UsageError
from snapdb.photometry.fitting.linear import Weights, fit_forced
from snapdb.types import FloatArray

SEED = 20260114


def gaussian(dx: FloatArray, dy: FloatArray, size: int, sigma: float = 1.3) -> FloatArray:
    """Pixel-integrated Gaussians of unit flux, off the centre by (dx, dy): the closed form."""
    edges = np.arange(size + 1) - size // 2 - 0.5

    def along(offset: FloatArray) -> FloatArray:
        return np.diff(erf((edges - offset[:, None]) / (sigma * 2**0.5)) / 2, axis=1)

    return along(dy)[:, :, None] * along(dx)[:, None, :]


def draw(
    number: int, size: int, flux: FloatArray, sky: float = 100.0
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Noisy stamps less their sky, the variance known from truth, and the PSF."""
    random = np.random.default_rng(SEED)
    psf = gaussian(random.uniform(-0.5, 0.5, number), random.uniform(-0.5, 0.5, number), size)
    mean = 100.0 + flux[:, None, None] * psf
    data = random.poisson(mean) + random.normal(0, 5, mean.shape) - 100.0
    return data, mean + 25.0, psf


def everywhere(like: FloatArray) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    return np.ones(like.shape, dtype=bool)


@pytest.mark.parametrize("size", [5, 11])
def test_it_equals_photutils(size: int) -> None:
    random = np.random.default_rng(SEED)
    number, step = 100, 20
    x = step * (np.arange(number) % 10 + 1) + random.uniform(-0.5, 0.5, number)
    y = step * (np.arange(number) // 10 + 1) + random.uniform(-0.5, 0.5, number)
    flux = 10 ** random.uniform(2.7, 4.7, number)
    column, row = np.floor(x + 0.5).astype(int), np.floor(y + 0.5).astype(int)
    wide = gaussian(x - column, y - row, 19)
    image = random.normal(0, 10, (220, 220))
    for n in range(number):
        image[row[n] - 9 : row[n] + 10, column[n] - 9 : column[n] + 10] += flux[n] * wide[n]
    error = random.uniform(8, 14, image.shape)
    model = CircularGaussianSigmaPRF(sigma=1.3)
    model.x_0.fixed = model.y_0.fixed = True
    theirs = PSFPhotometry(model, (size, size))(
        image, error=error, init_params=Table({"x": x, "y": y, "flux": flux})
    )
    half = size // 2
    reach = np.arange(-half, half + 1)
    at = (row[:, None, None] + reach[:, None], column[:, None, None] + reach)
    data = image[at]
    ours = fit_forced(
        data, error[at] ** 2, everywhere(data), gaussian(x - column, y - row, size), weights="variance"
    )
    np.testing.assert_allclose(ours.flux, theirs["flux_fit"], rtol=1e-6)
    np.testing.assert_allclose(ours.flux_err, theirs["flux_err"], rtol=1e-6)
    np.testing.assert_allclose(ours.chi2 / ours.ndof, theirs["reduced_chi2"], rtol=1e-6)


@pytest.mark.parametrize("weights", ["sky", "uniform", "variance"])
@pytest.mark.parametrize("fit_sky", [False, True])
def test_it_equals_weighted_least_squares(weights: Weights, fit_sky: bool) -> None:
    data, variance, psf = draw(20, 7, np.linspace(-500, 20000, 20).clip(0))
    good = np.random.default_rng(SEED).uniform(size=data.shape) > 0.2
    ours = fit_forced(data, variance, good, psf, weights=weights, fit_sky=fit_sky)
    for n in range(20):
        use = good[n]
        weight = 1 / variance[n][use] if weights == "variance" else np.ones(use.sum())
        columns = [psf[n][use]] + [np.ones(use.sum())] * fit_sky
        design = np.stack(columns, axis=1)
        inverse = np.linalg.pinv(design * weight[:, None] ** 0.5) * weight**0.5
        answer = inverse @ data[n][use]
        covariance = (inverse * variance[n][use]) @ inverse.T
        assert ours.flux[n] == pytest.approx(answer[0], rel=1e-9, abs=1e-8)
        assert ours.flux_err[n] == pytest.approx(covariance[0, 0] ** 0.5, rel=1e-9)
        assert ours.chi2[n] == pytest.approx(np.sum((data[n][use] - design @ answer) ** 2 / variance[n][use]))
        assert ours.ndof[n] == use.sum() - design.shape[1]
        assert ours.coverage[n] == pytest.approx(np.sum(psf[n][use] ** 2) / np.sum(psf[n] ** 2))
        if fit_sky:
            assert ours.sky[n] == pytest.approx(answer[1], rel=1e-9, abs=1e-8)
            assert ours.sky_err[n] == pytest.approx(covariance[1, 1] ** 0.5, rel=1e-9)


def test_zero_flux_gives_no_special_answer() -> None:
    data, variance, psf = draw(400, 11, np.zeros(400))
    found = fit_forced(data, variance, everywhere(data), psf)
    pull = found.flux / found.flux_err
    assert np.all(found.flux != 0)
    assert abs(pull.mean()) < 3 / 400**0.5
    assert pull.std() == pytest.approx(1, abs=3 / 800**0.5)
    assert np.count_nonzero(found.flux < 0) > 150


def test_a_noise_plane_made_of_the_data_does_not_bias() -> None:
    """Truth is the oracle: 20,000 faint stars, whose variance is the counts themselves."""
    flux = np.full(20000, 150.0)
    data, _, psf = draw(20000, 9, flux)
    of_data = np.maximum(data + 100.0, 1.0) + 25.0
    sky = fit_forced(data, of_data, everywhere(data), psf)
    biased = fit_forced(data, of_data, everywhere(data), psf, weights="variance")
    error = sky.flux.std() / 20000**0.5
    assert abs(sky.flux.mean() - 150) < 3 * error
    assert biased.flux.mean() - 150 < -10 * error


def test_the_error_of_the_sky_enters() -> None:
    """Oracle: the scatter of fluxes when the level is drawn anew for each."""
    random = np.random.default_rng(SEED)
    data, variance, psf = draw(20000, 9, np.full(20000, 1000.0))
    wrong = random.normal(0, 2.0, 20000)
    found = fit_forced(data, variance, everywhere(data), psf, sky=wrong, sky_err=np.full(20000, 2.0))
    pull = (found.flux - 1000) / found.flux_err
    assert pull.std() == pytest.approx(1, abs=0.02)
    without = fit_forced(data, variance, everywhere(data), psf, sky=wrong)
    assert ((without.flux - 1000) / without.flux_err).std() > 1.2
    np.testing.assert_array_equal(found.sky, wrong)


def test_masked_pixels_leave_fluxes_right() -> None:
    data, variance, psf = draw(20000, 11, np.full(20000, 5000.0))
    good = np.random.default_rng(1).uniform(size=data.shape) > 0.05
    data[~good] = 1e6
    found = fit_forced(data, variance, good, psf)
    pull = (found.flux - 5000) / found.flux_err
    assert abs(np.average(found.flux, weights=found.flux_err**-2) / 5000 - 1) < 1e-3
    assert abs(pull.mean()) < 0.05
    assert pull.std() == pytest.approx(1, abs=0.05)


def test_a_pixel_without_worth_counts_for_nothing() -> None:
    """A weight map of zero becomes an enormous noise; the fit is then that without the pixel."""
    data, variance, psf = draw(50, 7, np.full(50, 3000.0))
    variance[:, 3, 3] = 1e20
    data[:, 3, 3] = 1e8
    good = everywhere(data)
    good[:, 3, 3] = False
    without = fit_forced(data, variance, good, psf)
    found = fit_forced(data, variance, everywhere(data), psf)
    np.testing.assert_allclose(found.flux, without.flux, rtol=1e-6)
    np.testing.assert_allclose(found.flux_err, without.flux_err, rtol=1e-6)


def test_nothing_to_fit_is_nan() -> None:
    data, variance, psf = draw(5, 5, np.full(5, 100.0))
    good = everywhere(data)
    good[0] = False
    variance[1] = 0.0
    data[2] = np.nan
    psf[3] = 0.0
    found = fit_forced(data, variance, good, psf)
    assert np.isnan(found.flux).tolist() == [True, True, True, True, False]
    assert np.isnan(found.flux_err).tolist() == [True, True, True, True, False]
    assert found.n_pixels.tolist() == [0, 0, 0, 25, 25]
    assert found.coverage[:3].tolist() == [0.0, 0.0, 0.0]


def test_no_stamps_and_wrong_stamps() -> None:
    nothing = np.zeros((0, 5, 5))
    assert fit_forced(nothing, nothing, nothing == 0, nothing).flux.shape == (0,)
    data, variance, psf = draw(5, 5, np.full(5, 100.0))
    with pytest.raises(ShapeError, match="expected stamps"):
        fit_forced(data[0], variance, everywhere(data), psf)
    with pytest.raises(ShapeError, match="stamps have shape"):
        fit_forced(data, variance, everywhere(data), gaussian(np.zeros(5), np.zeros(5), 7))
    with pytest.raises(ShapeError, match="one for each of 5"):
        fit_forced(data, variance, everywhere(data), psf, sky=np.zeros(4))
    with pytest.raises(UsageError, match="expected one of sky"):
        fit_forced(data, variance, everywhere(data), psf, weights="data")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="leave sky_err out"):
        fit_forced(data, variance, everywhere(data), psf, fit_sky=True, sky_err=np.ones(5))

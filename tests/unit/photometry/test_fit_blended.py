"""Joint fits of blends against dense least squares, photutils and truth; components, links, stamps."""

from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from photutils.psf import CircularGaussianSigmaPRF, PSFPhotometry, SourceGrouper
from scipy.optimize import least_squares
from scipy.sparse import block_diag
from scipy.special import erf

from snapdb.errors import UsageError
from snapdb.photometry.fitting import components
from snapdb.photometry.fitting.blended import fit_blended
from snapdb.photometry.fitting.components import solve_components
from snapdb.photometry.fitting.free import fit_free
from snapdb.photometry.fitting.residual import subtract_sources
from snapdb.photometry.fitting.scene import find_reach, link_sources, link_within
from snapdb.photometry.fitting.stamps import centre_pixels, gather_stamps, inside_stamps
from snapdb.photometry.psf.gaussian import GaussianPSF
from snapdb.photometry.psf.protocol import render_stamps
from snapdb.types import BoolArray, FloatArray, IntArray

SEED = 20260114
SIGMA = 1.3


def whole_image(shape: tuple[int, int], x: float, y: float) -> FloatArray:
    """A pixel-integrated Gaussian of unit flux on all pixels: the closed form."""
    edges_x, edges_y = np.arange(shape[1] + 1) - 0.5, np.arange(shape[0] + 1) - 0.5
    along_x = np.diff(erf((edges_x - x) / (SIGMA * 2**0.5)) / 2)
    along_y = np.diff(erf((edges_y - y) / (SIGMA * 2**0.5)) / 2)
    return np.asarray(along_y[:, None] * along_x)


@pytest.fixture
def blend() -> dict[str, Any]:
    """Three groups: four sources in a heap, a pair, a lone one."""
    x = np.array([20.2, 22.9, 24.1, 21.7, 50.4, 52.6, 70.0])
    y = np.array([20.1, 21.3, 18.8, 23.9, 15.2, 16.9, 30.0])
    return draw(x, y, np.array([9000.0, 3000.0, 800.0, 0.0, 5000.0, 4000.0, 2000.0]))


def draw(x: FloatArray, y: FloatArray, flux: FloatArray) -> dict[str, Any]:
    """Sources on an image with noise that is known pixel by pixel."""
    random = np.random.default_rng(SEED)
    parts = [f * whole_image((45, 90), *p) for f, *p in zip(flux, x, y, strict=True)]
    image = np.sum(parts, axis=0)
    error = random.uniform(4, 8, image.shape)
    image = image + random.normal(0, error)
    return {"x": x, "y": y, "flux": flux, "image": image, "error": error}


def cut(blend: dict[str, Any], size: int) -> tuple[tuple[FloatArray, FloatArray, BoolArray], Any]:
    centre = centre_pixels(blend["x"], blend["y"])
    data = gather_stamps(blend["image"], *centre, size, np.nan)
    variance = gather_stamps(blend["error"] ** 2, *centre, size, np.nan)
    return (data, variance, np.isfinite(data)), centre


GROUPS = np.array([0, 0, 0, 0, 1, 1, 2])


def test_a_blend_equals_dense_least_squares(blend: dict[str, Any]) -> None:
    """Oracle: numpy's pseudo-inverse on all pixels of the stamps, with PSFs that are not cut off."""
    size = 7
    stamps, centre = cut(blend, size)
    wide = render_stamps(GaussianPSF(SIGMA), blend["x"], blend["y"], 31)
    fit, left = fit_blended(stamps, wide, centre, GROUPS, weights="variance")
    near = np.zeros(blend["image"].shape, dtype=bool)
    for x, y in zip(*centre, strict=True):
        near[y - 3 : y + 4, x - 3 : x + 4] = True
    columns = [whole_image(near.shape, *p)[near] for p in zip(blend["x"], blend["y"], strict=True)]
    sigma = blend["error"][near]
    design = np.stack(columns, axis=1) / sigma[:, None]
    answer, *_ = np.linalg.lstsq(design, blend["image"][near] / sigma, rcond=None)
    covariance = np.linalg.inv(design.T @ design)
    np.testing.assert_allclose(fit.flux, answer, rtol=1e-6, atol=1e-3)
    np.testing.assert_allclose(fit.flux_err, np.sqrt(np.diag(covariance)), rtol=1e-6)
    residual = blend["image"].copy()
    residual[near] -= np.stack(columns, axis=1) @ answer
    np.testing.assert_allclose(left, gather_stamps(residual, centre[0], centre[1], size, 0), atol=1e-3)
    np.testing.assert_allclose(fit.chi2, (left**2 / stamps[1]).sum(axis=(1, 2)), rtol=1e-9)


def test_groups_equal_photutils() -> None:
    """Light of neighbours on the stamps, no pixel on two of them: photutils would count it twice."""
    x, y = np.array([20.2, 25.6, 50.4, 56.1, 70.0]), np.array([20.1, 21.3, 15.2, 16.9, 30.0])
    blend = draw(x, y, np.array([90000.0, 3000.0, 5000.0, 4000.0, 2000.0]))
    model = CircularGaussianSigmaPRF(sigma=SIGMA)
    model.x_0.fixed = model.y_0.fixed = True
    fitter = PSFPhotometry(model, (5, 5), grouper=SourceGrouper(8))
    start = Table({"x": x, "y": y, "flux": blend["flux"]})
    theirs = fitter(blend["image"], error=blend["error"], init_params=start)
    stamps, centre = cut(blend, 5)
    wide = render_stamps(GaussianPSF(SIGMA), x, y, 31)
    fit, _ = fit_blended(stamps, wide, centre, np.array([0, 0, 1, 1, 2]), weights="variance")
    np.testing.assert_allclose(fit.flux, theirs["flux_fit"], rtol=1e-6)
    np.testing.assert_allclose(fit.flux_err, theirs["flux_err"], rtol=1e-6)


def test_free_blends_equal_scipy() -> None:
    """Oracle: scipy's least squares on the pixels of both stamps, each once."""
    x, y, flux = np.array([20.2, 22.9]), np.array([20.1, 21.3]), np.array([9000.0, 5000.0])
    pair = draw(x, y, flux)
    stamps, centre = cut(pair, 7)
    start_x, start_y, zero = x + 0.25, y - 0.2, np.zeros(2)
    found, _ = fit_free(
        stamps,
        GaussianPSF(SIGMA),
        start_x,
        start_y,
        zero.astype(int),
        size=31,
        max_shift=2.0,
        weights="variance",
        sky=zero,
        sky_err=zero,
    )
    near = np.zeros(pair["image"].shape, dtype=bool)
    for column, row in zip(*centre_pixels(start_x, start_y), strict=True):
        near[row - 3 : row + 4, column - 3 : column + 4] = True
    assert np.array_equal(centre_pixels(start_x, start_y), centre)
    sigma = pair["error"][near]

    def residual(p: FloatArray) -> FloatArray:
        model = p[0] * whole_image(near.shape, p[1], p[2]) + p[3] * whole_image(near.shape, p[4], p[5])
        return np.asarray((pair["image"][near] - model[near]) / sigma)

    best = least_squares(
        residual, [flux[0], x[0], y[0], flux[1], x[1], y[1]], x_scale="jac", xtol=1e-14, ftol=1e-14
    )
    error = np.sqrt(np.diag(np.linalg.inv(best.jac.T @ best.jac)))
    assert found.converged.all()
    np.testing.assert_allclose(found.fit.flux, best.x[[0, 3]], rtol=1e-5)
    np.testing.assert_allclose(found.x, best.x[[1, 4]], atol=2e-5)
    np.testing.assert_allclose(found.y, best.x[[2, 5]], atol=2e-5)
    np.testing.assert_allclose(found.fit.flux_err, error[[0, 3]], rtol=1e-3)
    np.testing.assert_allclose(found.x_err, error[[1, 4]], rtol=1e-3)


def test_two_at_one_place_are_not_told_apart(blend: dict[str, Any]) -> None:
    twice = {**blend, "x": np.append(blend["x"], blend["x"][1]), "y": np.append(blend["y"], blend["y"][1])}
    stamps, centre = cut(twice, 7)
    wide = render_stamps(GaussianPSF(SIGMA), twice["x"], twice["y"], 31)
    fit, _ = fit_blended(stamps, wide, centre, np.append(GROUPS, 0))
    assert np.isnan(fit.flux).tolist() == [False, True, False, False, False, False, False, True]
    once, _ = fit_blended(*_first(stamps, wide, centre, 7), GROUPS)
    np.testing.assert_allclose(fit.flux[[0, 2, 3, 4, 5, 6]], once.flux[[0, 2, 3, 4, 5, 6]], rtol=1e-6)


def _first(stamps: Any, wide: Any, centre: Any, n: int) -> tuple[Any, Any, Any]:
    return tuple(s[:n] for s in stamps), wide[:n], tuple(c[:n] for c in centre)


def test_a_sky_for_each_group(blend: dict[str, Any]) -> None:
    """Truth is the oracle: a sky of 12 under the first heap, of -5 elsewhere."""
    shifted = {**blend, "image": blend["image"] + np.where(np.arange(90) < 40, 12.0, -5.0)}
    stamps, centre = cut(shifted, 11)
    wide = render_stamps(GaussianPSF(SIGMA), blend["x"], blend["y"], 31)
    fit, _ = fit_blended(stamps, wide, centre, GROUPS, weights="variance", fit_sky=True)
    sky = np.array([12.0] * 4 + [-5.0] * 3)
    assert np.all(np.abs(fit.sky - sky) < 4 * fit.sky_err)
    assert np.all(np.abs(fit.flux - blend["flux"]) < 4 * fit.flux_err)
    assert fit.ndof.tolist() == [119] * 7


def test_the_error_of_the_sky_enters_a_blend(blend: dict[str, Any]) -> None:
    """Oracle: how far the fluxes move when all levels move by one sigma."""
    stamps, centre = cut(blend, 7)
    wide = render_stamps(GaussianPSF(SIGMA), blend["x"], blend["y"], 31)
    known, _ = fit_blended(stamps, wide, centre, GROUPS)
    moved, _ = fit_blended(stamps, wide, centre, GROUPS, sky=np.full(7, 3.0))
    unsure, _ = fit_blended(stamps, wide, centre, GROUPS, sky_err=np.full(7, 3.0))
    expected = np.hypot(known.flux_err, moved.flux - known.flux)
    np.testing.assert_allclose(unsure.flux_err, expected, rtol=1e-9)


def _random_system(sizes: list[int]) -> tuple[Any, Any, FloatArray, IntArray]:
    random = np.random.default_rng(SEED)
    normal, middle = [], []
    for size in sizes:
        design = random.normal(size=(3 * size + 2, size))
        spread = random.uniform(0.5, 2.0, len(design))
        normal.append(design.T @ design)
        middle.append(design.T @ (spread[:, None] * design))
    right = random.normal(size=(sum(sizes), 2))
    component = np.repeat(np.arange(len(sizes)), sizes)
    shuffle = random.permutation(len(component))
    matrices = [block_diag(m).tocsr()[shuffle][:, shuffle] for m in (normal, middle)]
    return matrices[0], matrices[1], right, component[shuffle]


def test_dense_and_sparse_components_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: one dense inverse of the whole system."""
    normal, middle, right, component = _random_system([1, 3, 1, 40, 3])
    inverse = np.linalg.inv(normal.toarray())
    for largest in (3000, 2):
        monkeypatch.setattr(components, "LARGEST_DENSE", largest)
        found = solve_components(normal, middle, right, component)
        np.testing.assert_allclose(found.value, inverse @ right[:, 0], rtol=1e-8)
        np.testing.assert_allclose(found.shift, inverse @ right[:, 1], rtol=1e-8)
        np.testing.assert_allclose(found.variance, np.diag(inverse @ middle @ inverse), rtol=1e-8)


def test_a_singular_large_component_is_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.sparse import csr_array

    monkeypatch.setattr(components, "LARGEST_DENSE", 1)
    same = csr_array(np.ones((2, 2)))
    found = solve_components(same, same, np.ones((2, 2)), np.zeros(2, dtype=np.int64))
    assert np.isnan(found.value).all()


def test_links_equal_brute_force() -> None:
    random = np.random.default_rng(SEED)
    column, row = random.integers(0, 300, (2, 120))
    labels = link_sources(column, row, 15)
    near = np.maximum(np.abs(column[:, None] - column), np.abs(row[:, None] - row)) <= 15
    reached = np.linalg.matrix_power(near.astype(float), 120) > 0
    np.testing.assert_array_equal(labels[:, None] == labels, reached)
    first = [int(np.flatnonzero(labels == n)[0]) for n in range(labels.max() + 1)]
    assert first == sorted(first)
    assert link_within(np.array([0.0, 3.0]), np.array([0.0, 4.0]), 5.0).tolist() == [0, 0]
    assert link_within(np.array([0.0, 3.0]), np.array([0.0, 4.1]), 5.0).tolist() == [0, 1]
    assert link_sources(column[:0], row[:0], 5).shape == (0,)
    with pytest.raises(UsageError, match="separation in pixels"):
        link_within(np.zeros(1), np.zeros(1), -1.0)


def test_reach_is_where_a_gaussian_falls_off() -> None:
    """Closed form: 1e-4 of the peak lies at 4.29 sigma."""
    assert find_reach(GaussianPSF(2.0, stamp_size=41), 100.0, 100.0) in (8, 9)
    assert find_reach(GaussianPSF(2.0, stamp_size=7), 100.0, 100.0) == 3


@pytest.mark.parametrize("size", [1, 3, 9, 45])
def test_stamps_equal_padding(size: int) -> None:
    """Oracle: the plane padded by numpy."""
    plane = np.arange(20 * 30, dtype=">i4").reshape(20, 30)
    column, row = (v.ravel() for v in np.meshgrid(np.arange(-8, 40, 4), np.arange(-8, 30, 4)))
    found = gather_stamps(plane, column, row, size, -1)
    inside = inside_stamps(plane.shape, column, row, size)
    half, pad = size // 2, 70
    padded, there = np.pad(plane, pad, constant_values=-1), np.pad(np.ones(plane.shape, bool), pad)
    for n, (x, y) in enumerate(zip(column + pad, row + pad, strict=True)):
        box = slice(y - half, y + half + 1), slice(x - half, x + half + 1)
        np.testing.assert_array_equal(found[n], padded[box])
        np.testing.assert_array_equal(inside[n], there[box])


def test_positions_that_are_nowhere() -> None:
    column, row = centre_pixels(np.array([np.nan, np.inf, 1e300, -0.5, 0.49]), np.zeros(5))
    assert column[3:].tolist() == [0, 0]
    assert not inside_stamps((10, 10), column[:3], row[:3], 5).any()
    assert (gather_stamps(np.ones((10, 10)), column[:3], row[:3], 5, 0.0) == 0).all()


def test_a_residual_is_the_image_less_its_sources() -> None:
    """Oracle: the closed form on the whole image; sources over the edge and without flux included."""
    plane = np.full((40, 50), 7, dtype=np.int16)
    x, y = np.array([10.3, 49.4, -30.0, 20.0, np.nan]), np.array([12.8, -0.4, 5.0, 20.0, 3.0])
    flux = np.array([1000.0, 500.0, 300.0, np.nan, 100.0])
    left = subtract_sources(plane, GaussianPSF(SIGMA, stamp_size=31), x, y, flux)
    expected = 7 - 1000 * whole_image(plane.shape, x[0], y[0]) - 500 * whole_image(plane.shape, x[1], y[1])
    np.testing.assert_allclose(left, expected, atol=1e-6)
    assert (plane == 7).all()

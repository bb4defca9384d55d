"""PSFs that are images: flux at every phase, photutils' values, files."""

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.nddata import NDData
from hypothesis import given
from hypothesis import strategies as st
from photutils.psf import GaussianPRF, GriddedPSFModel
from photutils.psf import ImagePSF as PhotutilsImage
from scipy.special import ndtr

from snapdb.errors import ObjectExistsError, ShapeError, StorageError, UsageError
from snapdb.photometry.psf import (
    GaussianPSF,
    GriddedPSF,
    ImagePSF,
    UndersampledPSFWarning,
    get_psf_object,
    read_psf,
)
from snapdb.types import FloatArray

phases = st.floats(-0.5, 0.5, exclude_max=True)


def gaussian_image(sigma: float, oversampling: int, side: int, *, is_prf: bool) -> FloatArray:
    """Give a Gaussian on samples, in closed form: the flux on each sample, or on a pixel around it."""
    samples = (np.arange(side) - (side - 1) / 2) / oversampling
    half = 0.5 if is_prf else 0.5 / oversampling
    profile = ndtr((samples + half) / sigma) - ndtr((samples - half) / sigma)
    return np.asarray(np.outer(profile, profile))


def flux_errors(model: Any, sigma: float, size: int = 7) -> FloatArray:
    """Fit point sources at 400 phases by least squares without weights, and give the relative errors.

    The sources are drawn in closed form, by the error function.
    """
    grid = (np.arange(20) + 0.5) / 20 - 0.5
    x, y = (50 + axis.ravel() for axis in np.meshgrid(grid, grid))
    sources, stamps = GaussianPSF(sigma).render(x, y, size), model.render(x, y, size)
    return np.asarray((stamps * sources).sum((1, 2)) / (stamps**2).sum((1, 2)) - 1)


@pytest.mark.parametrize("is_prf", [False, True])
@pytest.mark.parametrize("oversampling", [4, 5, 6, 11])
def test_undersampled_sources_keep_their_flux_at_every_phase(oversampling: int, is_prf: bool) -> None:
    """A source of sigma 0.42 pixels: below 0.1 % at each of 400 phases."""
    side = 10 * oversampling + 1
    image = gaussian_image(0.42, oversampling, side, is_prf=is_prf)
    psf = ImagePSF(image, oversampling, is_prf=is_prf, captured=None)
    assert np.abs(flux_errors(psf, 0.42)).max() < 1e-3


def test_an_image_of_pixels_biases_undersampled_sources_and_says_so() -> None:
    """The oracle is the same fit: the warning stands where the flux is wrong by percents."""
    with pytest.warns(UndersampledPSFWarning, match="samples wide"):
        coarse = ImagePSF(gaussian_image(0.42, 1, 15, is_prf=True), 1, is_prf=True)
    assert np.abs(flux_errors(coarse, 0.42)).max() > 0.05
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fine = ImagePSF(gaussian_image(1.6, 1, 25, is_prf=True), 1, is_prf=True)
    assert np.abs(flux_errors(fine, 1.6)).max() < 2e-3


@given(dx=phases, dy=phases, oversampling=st.integers(2, 7), even=st.booleans())
def test_the_flux_on_a_stamp_is_the_same_wherever_the_source_is(
    dx: float, dy: float, oversampling: int, even: bool
) -> None:
    """Closed form: cardinal splines sum to one, so stamps sum to the image's sum."""
    image = gaussian_image(0.7, oversampling, 11 * oversampling + (oversampling + even) % 2, is_prf=False)
    psf = ImagePSF(image * 0.93, oversampling, is_prf=False, captured=None)
    stamp = psf.render(np.array([20 + dx]), np.array([30 + dy]), 21)[0]
    assert stamp.sum() == pytest.approx(image.sum() * 0.93, rel=1e-8)


@pytest.mark.parametrize("side", [64, 65])
@pytest.mark.parametrize("oversampling", [4, 5])
def test_even_and_odd_images_are_summed_over_whole_pixels(side: int, oversampling: int) -> None:
    """The oracle is the closed form, at every phase: the image's middle is the source."""
    psf = ImagePSF(gaussian_image(0.9, oversampling, side, is_prf=False), oversampling, is_prf=False)
    x, y = np.array([5.0, 5.3, 5.5, 4.9]), np.array([7.0, 6.6, 7.5, 7.1])
    np.testing.assert_allclose(psf.render(x, y, 9), GaussianPSF(0.9).render(x, y, 9), atol=6e-5)


def test_an_uneven_oversampling_and_a_centre_of_its_own() -> None:
    """The oracle is the closed form."""
    x_profile = np.diff(ndtr((np.arange(62) - 28.5) / 5 / 0.8))
    y_profile = np.diff(ndtr((np.arange(42) - 20.5) / 4 / 0.8))
    psf = ImagePSF(np.outer(y_profile, x_profile), (4, 5), is_prf=False, centre=(28.0, 20.0))
    x, y = np.array([5.0, 5.3]), np.array([7.0, 6.6])
    np.testing.assert_allclose(psf.render(x, y, 9), GaussianPSF(0.8).render(x, y, 9), atol=1e-4)


@given(dx=phases, dy=phases, oversampling=st.sampled_from([(3, 3), (4, 4), (5, 5), (4, 5)]))
def test_an_effective_psf_has_the_values_of_photutils(
    dx: float, dy: float, oversampling: tuple[int, int]
) -> None:
    """The oracle is photutils' ImagePSF, on a stamp that is larger than the image as well."""
    rows, columns = np.mgrid[-30:31, -30:31]
    prf = GaussianPRF(x_0=0, y_0=0, x_fwhm=2.6, y_fwhm=2.1, theta=25)
    image = prf(columns / oversampling[1], rows / oversampling[0])
    theirs = PhotutilsImage(image, oversampling=oversampling)
    ours = ImagePSF(image, oversampling, is_prf=True, captured=None)
    x, y = 30 + dx, 20 + dy
    rows, columns = np.mgrid[-12:13, -12:13]
    at_x, at_y = columns + np.floor(x + 0.5), rows + np.floor(y + 0.5)
    stamp = ours.render(np.array([x]), np.array([y]), 25)[0]
    expected = theirs.evaluate(at_x, at_y, 1.0, x, y)
    # At the image's outermost sample rounding decides whether it is within.
    inner = (np.abs(at_x - x) * oversampling[1] < 29.9) & (np.abs(at_y - y) * oversampling[0] < 29.9)
    np.testing.assert_allclose(stamp[inner], expected[inner], atol=3e-7)
    outer = (np.abs(at_x - x) * oversampling[1] > 30.1) | (np.abs(at_y - y) * oversampling[0] > 30.1)
    assert not stamp[outer].any()
    assert not expected[outer].any()


def test_far_from_the_image_there_is_nothing() -> None:
    psf = ImagePSF(gaussian_image(0.7, 4, 41, is_prf=False), 4, is_prf=False)
    stamp = psf.get_stamp(10.0, 10.0, x0=500, y0=-400)
    assert not stamp.any()
    assert not psf.get_stamp(1e300, 10.0, x0=0).any()
    wide = psf.render(np.array([10.0]), np.array([10.0]), 301)[0]
    assert wide.sum() == pytest.approx(1.0, rel=1e-9)


def test_the_captured_flux_is_what_is_said() -> None:
    image = gaussian_image(0.7, 4, 41, is_prf=True) * 5.0
    for is_prf, unit in ((True, 16.0), (False, 1.0)):
        assert ImagePSF(image, 4, is_prf=is_prf).captured == pytest.approx(1.0)
        assert ImagePSF(image, 4, is_prf=is_prf, captured=0.9).captured == pytest.approx(0.9)
        as_it_is = ImagePSF(image, 4, is_prf=is_prf, captured=None)
        assert as_it_is.captured == pytest.approx(image.sum() / unit)


def test_images_that_cannot_be_are_refused() -> None:
    good = gaussian_image(0.7, 4, 41, is_prf=False)
    with pytest.raises(ShapeError, match="two dimensions"):
        ImagePSF(good[None], 4, is_prf=False)
    with pytest.raises(ShapeError, match="at least 4"):
        ImagePSF(good[:3], 4, is_prf=False)
    for wrong in (0, -1, 2.5, (4, 4, 4)):
        with pytest.raises(UsageError, match="oversampling"):
            ImagePSF(good, wrong, is_prf=False)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="positive, finite sum"):
        ImagePSF(-good, 4, is_prf=False)
    with pytest.raises(UsageError, match="captured"):
        ImagePSF(good, 4, is_prf=False, captured=1.2)
    good[3, 3] = np.nan
    with pytest.raises(UsageError, match="not finite"):
        ImagePSF(good, 4, is_prf=False)


@pytest.mark.parametrize("is_prf", [False, True])
def test_a_written_psf_is_read_back_bit_for_bit(tmp_path: Path, is_prf: bool) -> None:
    image = gaussian_image(0.7, 4, 42, is_prf=is_prf)
    psf = ImagePSF(
        image, 4, is_prf=is_prf, captured=0.97, centre=(20.1, 20.9), x=100.25, y=7.0, stamp_size=15
    )
    path = psf.write(tmp_path / "psf.fits")
    again = read_psf(path)
    assert again.parameters() == psf.parameters() == json.loads(json.dumps(psf.parameters()))
    np.testing.assert_array_equal(again.get_stamp(), psf.get_stamp())
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(psf)).get_stamp(), psf.get_stamp())
    before = path.read_bytes()
    with pytest.raises(ObjectExistsError, match="new file"):
        psf.write(path)
    with pytest.raises(StorageError, match="folder"):
        psf.write(tmp_path / "none" / "psf.fits")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_another_image_is_another_psf() -> None:
    image = gaussian_image(0.7, 4, 41, is_prf=True)
    first = ImagePSF(image, 4, is_prf=True).parameters()
    image[20, 20] *= 1 + 1e-12
    assert ImagePSF(image, 4, is_prf=True).parameters() != first


def grid_of_psfs(oversampling: int = 4) -> tuple[FloatArray, list[tuple[float, float]]]:
    """Make PSFs whose width changes over an image, at nodes in no order and of no even spacing."""
    rows, columns = np.mgrid[-40:41, -40:41] / oversampling
    images, nodes = [], []
    for x in (500.0, 0.0, 1200.0):
        for y in (0.0, 900.0, 700.0, 100.0):
            prf = GaussianPRF(x_0=0, y_0=0, x_fwhm=2 + x / 2000, y_fwhm=2.2 + y / 3000, theta=20)
            images.append(prf(columns, rows))
            nodes.append((x, y))
    return np.array(images), nodes


@given(
    x=st.floats(-50, 1300).filter(lambda x: not x.is_integer()),
    y=st.floats(-50, 1000).filter(lambda y: not y.is_integer()),
)
def test_a_grid_has_the_values_of_photutils(x: float, y: float) -> None:
    """The oracle is photutils' GriddedPSFModel, also beyond the grid."""
    images, nodes = grid_of_psfs()
    theirs = GriddedPSFModel(NDData(images, meta={"grid_xypos": nodes, "oversampling": 4}))
    rows, columns = np.mgrid[-4:5, -4:5]
    expected = theirs.evaluate(columns + np.floor(x + 0.5), rows + np.floor(y + 0.5), 1.0, x, y)
    for ours in (GriddedPSF.from_photutils(theirs), GriddedPSF(images, nodes, 4)):
        stamp = ours.render(np.array([x]), np.array([y]), 9)[0]
        np.testing.assert_allclose(stamp, expected, atol=1e-9)


def test_a_grid_is_taken_from_nddata_too() -> None:
    images, nodes = grid_of_psfs()
    data = NDData(images, meta={"grid_xypos": nodes, "oversampling": 4})
    ours, same = GriddedPSF.from_photutils(data), GriddedPSF(images, nodes, 4)
    assert ours.parameters() == same.parameters() == json.loads(json.dumps(ours.parameters()))
    again = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(again.get_stamp(300.2, 100.7), same.get_stamp(300.2, 100.7))
    with pytest.raises(UsageError, match="no grid of PSFs"):
        GriddedPSF.from_photutils(object())


def test_one_node_is_the_same_everywhere() -> None:
    images, nodes = grid_of_psfs()
    one = GriddedPSF(images[:1], nodes[:1], 4)
    np.testing.assert_allclose(one.get_stamp(7.25, 9.5), one.get_stamp(907.25, 109.5), rtol=1e-12)


def test_a_grid_with_a_hole_is_refused() -> None:
    images, nodes = grid_of_psfs()
    with pytest.raises(UsageError, match="do not fill a grid of 3 columns and 4 rows"):
        GriddedPSF(images[:-1], nodes[:-1], 4)
    with pytest.raises(UsageError, match="do not fill"):
        GriddedPSF(images, [*nodes[:-1], nodes[0]], 4)
    with pytest.raises(ShapeError, match="positions of shape"):
        GriddedPSF(images, nodes[:-1], 4)
    with pytest.raises(ShapeError, match="nodes, y, x"):
        GriddedPSF(images[0], nodes, 4)


def test_psfs_by_their_names_in_snappl() -> None:
    """The oracles are the models that they stand for, and closed forms."""
    gaussian = get_psf_object(
        "gaussian", x=10.0, y=11.0, sigmax=1.5, sigmay=0.9, theta=20.0, band="H158", sca=3
    )
    np.testing.assert_array_equal(gaussian.get_stamp(), GaussianPSF(1.5, 0.9, 20.0).get_stamp(10.0, 11.0))
    image = gaussian_image(0.7, 5, 55, is_prf=False)
    for name in ("OversampledImagePSF", "photutilsImagePSF"):
        psf = get_psf_object(name, x=1023.0, y=511.0, oversample_factor=5.0, data=image * 0.9)
        expected = 0.9 * GaussianPSF(0.7, stamp_size=11).get_stamp(3.3, 4.4)
        np.testing.assert_allclose(psf.get_stamp(3.3, 4.4), expected, atol=1e-4)
        assert psf.stamp_size == psf.clip_size == 11
    # An image for x = 1022.4 shows the source 0.4 pixels, 2 samples, right of its middle.
    moved = np.roll(image, 2, axis=1)
    psf = get_psf_object("OversampledImagePSF", x=1022.4, y=511.0, oversample_factor=5, data=moved)
    still = get_psf_object("OversampledImagePSF", x=1022.0, y=511.0, oversample_factor=5, data=image)
    np.testing.assert_allclose(psf.get_stamp(1022.4, 511.0), still.get_stamp(1022.4, 511.0), atol=1e-9)
    with pytest.raises(UsageError, match="expected gaussian"):
        get_psf_object("A25ePSF")
    with pytest.raises(UsageError, match="does not take sigma"):
        get_psf_object("gaussian", sigma=1.0)
    with pytest.raises(UsageError, match="data="):
        get_psf_object("OversampledImagePSF", oversample_factor=3)


@pytest.mark.parametrize("centre", [(np.nan, 3.0), (1.0,), "ab", 3.0, ("a", 1.0)], ids=str)
def test_a_centre_that_is_none_is_refused(centre: Any) -> None:
    with pytest.raises(UsageError, match="centre"):
        ImagePSF(np.ones((9, 9)), 1, is_prf=True, centre=centre)

"""PSFs of real images: PSFEx models on their images, and models from the images' own stars."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import sep
from astropy.io import fits

from snapdb.photometry.psf import GaussianPSF, PSFModel, build_psf, read_psf, render_stamps
from snapdb.photometry.psf.stars import find_stars, subtract_background
from snapdb.types import BoolArray, FloatArray

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
pytestmark = [pytest.mark.data, pytest.mark.skipif(not DATA.is_dir(), reason="the real files are not there")]

PSFEX = sorted(DATA.glob("*/psfex/*-psfex.fits"))


def read_pixels(path: Path) -> FloatArray:
    """Read the first image of a file with astropy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path) as hdus:
            return next(np.array(h.data, dtype=np.float64) for h in hdus if h.is_image and h.data is not None)


def fit(
    image: FloatArray, psf: PSFModel, x: FloatArray, y: FloatArray, size: int
) -> tuple[FloatArray, FloatArray]:
    """Fit flux and a constant by least squares; give fluxes, and what is left relative to the star."""
    stamps = render_stamps(psf, x, y, size)
    fluxes, left = np.empty(len(x)), np.empty(len(x))
    for row, (at_x, at_y) in enumerate(zip(x, y, strict=True)):
        j, i = int(np.floor(at_y + 0.5)) - size // 2, int(np.floor(at_x + 0.5)) - size // 2
        data = image[j : j + size, i : i + size].ravel()
        model = np.stack([stamps[row].ravel(), np.ones(size**2)], axis=1)
        solution, *_ = np.linalg.lstsq(model, data, rcond=None)
        residual = data - model @ solution
        fluxes[row] = solution[0]
        left[row] = np.sqrt((residual**2).sum() / ((data - solution[1]) ** 2).sum())
    return fluxes, left


def windowed(sky_free: FloatArray, stars: FloatArray, sigma: float) -> FloatArray:
    """Give sep's windowed positions."""
    x, y, _ = sep.winpos(np.ascontiguousarray(sky_free), stars[:, 0], stars[:, 1], sigma)
    return np.stack([x, y], axis=1)


@pytest.mark.parametrize("path", PSFEX, ids=lambda path: path.stem)
def test_real_psfex_models_are_read(path: Path) -> None:
    """The oracle is the width that PSFEx wrote into the file, and unit flux."""
    psf = read_psf(path)
    stamp = psf.get_stamp(60.0, 60.0)
    assert stamp.sum() == pytest.approx(1.0, abs=2e-3)
    with fits.open(path) as hdus:
        fwhm = float(hdus[1].data["psf_fwhm"][0])
    # PSFEx takes twice the half-light radius of its stars.
    wide = psf.render(np.array([60.0]), np.array([60.0]), 61)[0]
    radii = np.arange(0.5, 6.0, 0.02)
    sums, _, _ = sep.sum_circle(np.ascontiguousarray(wide), np.full(len(radii), 30.0), 30.0, radii, subpix=0)
    assert 2 * np.interp(0.5, sums, radii) == pytest.approx(fwhm, rel=0.2)


def test_stars_are_what_their_psfex_model_says() -> None:
    """The oracle is the image: its stars fit the model better than a Gaussian, and best where they are."""
    folder = DATA / "decam_tc4"
    image = read_pixels(next(folder.glob("*_ooi_*.fits")))
    bad = read_pixels(next(folder.glob("*_ood_*.fits"))) != 0
    psf = read_psf(next((folder / "psfex").glob("*.fits")))
    sky_free, rms = subtract_background(image, bad)
    stars = find_stars(sky_free, rms, bad, size=21, min_snr=20.0)
    assert len(stars) >= 3
    x, y = windowed(sky_free, stars, 4.26 / 2.355).T
    _, left = fit(sky_free, psf, x, y, 15)
    for fwhm in (3.0, 3.4, 3.6, 3.8, 4.2):
        _, gaussian = fit(sky_free, GaussianPSF(fwhm=fwhm), x, y, 15)
        assert np.median(left) < np.median(gaussian)
    for dx, dy in ((0.2, 0), (-0.2, 0), (0, 0.2), (0, -0.2)):
        _, moved = fit(sky_free, psf, x + dx, y + dy, 15)
        assert np.median(moved) > np.median(left)


def test_a_psf_from_an_images_stars_gives_the_fluxes_of_wide_apertures() -> None:
    """The oracles are sep's apertures and Gaussians, on stars that did not make the PSF."""
    image = read_pixels(DATA / "vista_video" / "image_1.fits")
    bad: BoolArray = ~np.isfinite(image)
    sky_free, rms = subtract_background(image, bad)
    stars = find_stars(sky_free, rms, bad, size=21, saturation=2e4)
    assert len(stars) >= 40
    psf = build_psf(image, stars[::2], size=21, iterations=2)
    x, y = windowed(sky_free, stars[1::2], 1.5).T
    fluxes, left = fit(sky_free, psf, x, y, 11)
    for fwhm in (2.2, 2.5, 2.8):
        _, gaussian = fit(sky_free, GaussianPSF(fwhm=fwhm), x, y, 11)
        assert np.median(left) < np.median(gaussian)
    near, _, _ = sep.sum_circle(sky_free, x, y, 6.0, subpix=0)
    wide, _, _ = sep.sum_circle(sky_free, x, y, 10.0, subpix=0)
    ratio = fluxes / near
    assert np.median(np.abs(ratio / np.median(ratio) - 1)) < 0.06
    assert np.median(fluxes / wide) == pytest.approx(1.0, abs=0.04)

"""A PSF from the stars of an image: which stars are taken, and that fluxes are right with it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from snapdb.errors import ShapeError, UsageError
from snapdb.photometry.psf import GaussianPSF, MoffatPSF, build_psf
from snapdb.photometry.psf.stars import find_stars, subtract_background
from snapdb.types import BoolArray, FloatArray

SEED = 20261
SIGMA = 1.4


def add(image: FloatArray, psf: Any, x: float, y: float, flux: float) -> None:
    """Add a point source to an image."""
    size = 25
    left, low = int(np.floor(x + 0.5)) - 12, int(np.floor(y + 0.5)) - 12
    image[low : low + size, left : left + size] += flux * psf.render(np.array([x]), np.array([y]), size)[0]


def field(side: int = 330) -> tuple[FloatArray, FloatArray]:
    """Make a noisy field of 49 stars on a sloping sky; give it and the stars' positions."""
    random = np.random.default_rng(SEED)
    grid = np.stack(np.meshgrid(np.arange(7), np.arange(7)), axis=-1).reshape(-1, 2) * 44.0 + 33.0
    stars = grid + random.uniform(-3, 3, grid.shape)
    image = 100.0 + 0.05 * np.add.outer(np.arange(side), np.arange(side))
    for x, y in stars:
        add(image, GaussianPSF(SIGMA, stamp_size=25), x, y, random.uniform(2e4, 1e5))
    return random.poisson(image).astype(np.float64), stars


def names_of(found: FloatArray, stars: FloatArray) -> set[int]:
    """Say which of the stars were found, and that nothing else was."""
    distance = np.hypot(*(found[:, None] - stars[None]).transpose(2, 0, 1))
    assert (distance.min(axis=1) < 0.3).all()
    return set(distance.argmin(axis=1).tolist())


def test_stars_are_isolated_unsaturated_unmasked_and_points() -> None:
    """Known truth: the stars that were spoilt, each in its way, are not taken."""
    image, stars = field()
    bad = np.zeros(image.shape, dtype=bool)
    add(image, GaussianPSF(SIGMA, stamp_size=25), stars[3][0] + 9, stars[3][1], 2e4)  # a neighbour
    add(image, GaussianPSF(SIGMA, stamp_size=25), stars[10][0], stars[10][1], 2e6)  # saturated
    add(image, MoffatPSF(9.0, 3.0), stars[17][0], stars[17][1], 3e5)  # a galaxy
    row, column = np.floor(stars[24][::-1] + 0.5).astype(int)
    bad[row + 5, column - 4] = True
    sky_free, rms = subtract_background(image, bad)
    found = find_stars(sky_free, rms, bad, size=25, saturation=5e4)
    assert names_of(found, stars) == set(range(49)) - {3, 10, 17, 24}
    few = find_stars(sky_free, rms, bad, size=25, saturation=5e4, max_stars=7)
    np.testing.assert_array_equal(few, found[:7])
    assert len(find_stars(sky_free, rms, np.ones_like(bad), size=25)) == 0


def flux_ratios(psf: Any) -> FloatArray:
    """Fit exact sources at 400 phases; the oracle is the error function."""
    phase = (np.arange(20) + 0.5) / 20 - 0.5
    x, y = (30 + axis.ravel() for axis in np.meshgrid(phase, phase))
    truth, stamps = GaussianPSF(SIGMA).render(x, y, 11), psf.render(x, y, 11)
    return np.asarray((stamps * truth).sum((1, 2)) / (stamps**2).sum((1, 2)))


def test_fluxes_are_right_with_the_psf_of_the_stars() -> None:
    """Known truth: to half a percent with 49 stars, and to 1 % at every phase."""
    image, stars = field()
    psf = build_psf(image, size=15, iterations=3)
    assert (psf.is_prf, psf.oversampling, psf.stamp_size) == (True, (2, 2), 15)
    ratios = flux_ratios(psf)
    assert ratios.mean() == pytest.approx(1.0, abs=5e-3)
    assert np.abs(ratios - 1).max() < 0.01
    given = build_psf(image, np.round(stars[:20]), size=15, captured=0.98, iterations=2)
    assert given.captured == pytest.approx(0.98)
    assert flux_ratios(given).mean() == pytest.approx(1 / 0.98, abs=1e-2)


@dataclass
class Flagged:
    """An image as an archive hands it out."""

    data: FloatArray
    flags: "np.ndarray[Any, np.dtype[np.int16]]"
    bad_bits: int


def test_an_images_flags_are_heeded() -> None:
    """Known truth: the same PSF as from the array, without the stars that are flagged."""
    image, stars = field()
    flags = np.zeros(image.shape, dtype=np.int16)
    spoilt = image.copy()
    for x, y in stars[:34]:
        row, column = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
        flags[row, column] = 4
        spoilt[row, column] = 1e7
    flags[::40] |= 2
    clean = stars[34:]
    psf = build_psf(Flagged(spoilt, flags, 4), stars, size=15, iterations=2)
    mask: BoolArray = (flags & 4) > 0
    assert psf.parameters() == build_psf(spoilt, clean, size=15, mask=mask, iterations=2).parameters()
    assert np.abs(flux_ratios(psf) - 1).max() < 0.02


def test_too_few_stars_are_said() -> None:
    image, stars = field()
    with pytest.raises(UsageError, match="4 stars can be used") as caught:
        build_psf(image, np.concatenate([stars[:4], [[2.0, 2.0], [np.nan, 5.0], [9e9, 1.0]]]))
    assert caught.value.stars == 4
    with pytest.raises(UsageError, match="0 stars"):
        build_psf(np.random.default_rng(SEED).normal(100, 3, (120, 130)))
    with pytest.raises(UsageError, match="0 stars"):
        build_psf(np.full((90, 90), np.nan))
    with pytest.raises(ShapeError, match="two dimensions"):
        build_psf(image[0])
    with pytest.raises(ShapeError, match="a mask of shape"):
        build_psf(image, mask=np.zeros((3, 3), dtype=bool))
    with pytest.raises(ShapeError, match="x and y"):
        build_psf(image, stars[:, :1])
    with pytest.raises(UsageError, match="stamp size"):
        build_psf(image, size=24)


@pytest.mark.parametrize(
    "wrong",
    [
        {"positions": "a"},
        {"oversampling": 0},
        {"max_stars": 2},
        {"max_stars": "many"},
        {"smoothing": "x"},
        {"iterations": 0},
    ],
    ids=str,
)
def test_settings_are_checked_before_stars_are_looked_for(wrong: dict[str, Any]) -> None:
    blank = np.full((90, 90), np.nan)  # which has no star: nothing but the setting is complained of
    with pytest.raises(UsageError, match=next(iter(wrong))):
        build_psf(blank, **wrong)

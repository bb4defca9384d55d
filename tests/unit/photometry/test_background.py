"""The sky around sources and of images; the oracles are photutils' estimators and known skies."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from photutils.background import (
    LocalBackground,
    MeanBackground,
    MedianBackground,
    MMMBackground,
    SExtractorBackground,
)

from snapdb.errors import ShapeError, UsageError
from snapdb.photometry.background import annulus_background, annulus_stamp_size, measure_annulus
from snapdb.photometry.image_background import fit_smooth_sky

PEERS = {
    "clipped": MeanBackground,
    "median": MedianBackground,
    "mode": SExtractorBackground,
    "mmm": MMMBackground,
}


def cut(image: Any, x: Any, y: Any, size: int) -> Any:
    """Cut stamps about the nearest pixels."""
    column, row = (np.floor(v + 0.5).astype(int) for v in (x, y))
    reach = np.arange(size) - size // 2
    return image[row[:, None, None] + reach[:, None], column[:, None, None] + reach]


@pytest.fixture(scope="module")
def field() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(1)
    image = rng.normal(1e5, 5, (300, 320))
    image[rng.integers(0, 300, 900), rng.integers(0, 320, 900)] += rng.exponential(60, 900)
    return image, rng.uniform(40, 270, 60), rng.uniform(40, 250, 60)


@pytest.mark.parametrize("estimator", PEERS)
@pytest.mark.parametrize("ring", [(15, 25), (3.3, 6.7), (0.2, 4)])
def test_rings_are_photutils(field: Any, estimator: Any, ring: tuple[float, float]) -> None:
    image, x, y = field
    stamps = cut(image, x, y, annulus_stamp_size(ring[1]))
    offsets = x - np.floor(x + 0.5), y - np.floor(y + 0.5)
    level, error, number = annulus_background(stamps, None, *offsets, *ring, estimator=estimator)
    oracle = LocalBackground(*ring, bkg_estimator=PEERS[estimator]())(image, x, y)
    np.testing.assert_allclose(level, oracle, rtol=1e-13)
    assert (error > 0).all()
    assert (number <= np.pi * (ring[1] ** 2 - ring[0] ** 2) * 1.2).all()


@pytest.mark.parametrize("estimator", PEERS)
def test_errors_are_those_of_normal_noise(estimator: Any) -> None:
    rng = np.random.default_rng(7)
    stamps = rng.normal(20.0, 3.0, (2000, 21, 21))
    sky = measure_annulus(stamps, None, 0.0, 0.0, 5, 10, estimator=estimator)
    pull = (sky.level - 20.0) / sky.level_err
    assert abs(pull.mean()) < 0.08
    # The mode takes the median where the two disagree, so that it is less noisy than its formula.
    assert 0.85 < pull.std() < 1.05 if estimator == "mode" else abs(pull.std() - 1) < 0.05
    assert np.median(sky.scatter) == pytest.approx(3.0, rel=0.01)


def test_bad_pixels_do_not_count(field: Any) -> None:
    image, x, y = field
    stamps = cut(image, x, y, 51)
    good = np.random.default_rng(2).random(stamps.shape) > 0.3
    spoilt = np.where(good, stamps, 1e9)
    spoilt[0, 3, 25] = np.nan  # in no ring's mask, yet no number
    clean = np.where(good, stamps, np.nan)
    clean[0, 3, 25] = np.nan
    dx, dy = x - np.floor(x + 0.5), y - np.floor(y + 0.5)
    given = annulus_background(spoilt, good, dx, dy, 15, 25)
    plain = annulus_background(clean, None, dx, dy, 15, 25)
    for one, other in zip(given, plain, strict=True):
        np.testing.assert_array_equal(one, other)


def test_where_nothing_is_left_there_is_no_level() -> None:
    stamps = np.full((3, 51, 51), np.nan)
    stamps[1] = 7.0
    level, error, number = annulus_background(stamps, None, [0, 0, np.nan], [0, 0, 0], 15, 25)
    assert np.isnan(level).tolist() == [True, False, True]
    assert (level[1], error[1]) == (7.0, 0.0)
    assert number.tolist()[::2] == [0, 0]
    assert len(annulus_background(np.zeros((0, 51, 51)), None, [], [], 15, 25)[0]) == 0


def test_what_makes_no_ring_is_refused() -> None:
    stamps = np.zeros((1, 51, 51))
    for ring in ((25, 15), (-1, 5), (5, 5), (5, np.inf), (np.nan, 5)):
        with pytest.raises(UsageError, match="inner < outer"):
            annulus_background(stamps, None, 0, 0, *ring)
    with pytest.raises(ShapeError, match="53 pixels or more"):
        annulus_background(stamps, None, 0, 0, 15, 26)
    with pytest.raises(ShapeError, match="S odd"):
        annulus_background(np.zeros((1, 50, 50)), None, 0, 0, 5, 9)
    with pytest.raises(UsageError, match="clipped, median, mode, mmm"):
        annulus_background(stamps, None, 0, 0, 5, 9, estimator="mean")  # type: ignore[arg-type]


@cache
def make_sky(name: str, size: int = 1022) -> tuple[Any, Any]:
    """Make a Poisson image of stars on a known sky, and the sky."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:size, :size] / size
    slope = {"sparse": 0, "gradient": 150, "steep": 3000, "crowded": 0}[name]
    sky = 125.0 + slope * (x + 0.5 * y)
    image = sky.copy()
    number = 5000 if name == "crowded" else 100
    reach = np.arange(-12, 13)
    for cx, cy, flux in zip(
        *rng.uniform(12, size - 13, (2, number)), np.exp(rng.uniform(5.7, 10.3, number)), strict=True
    ):
        i, j = int(cx), int(cy)
        star = np.exp(-(((i + reach - cx) ** 2)[None, :] + ((j + reach - cy) ** 2)[:, None]) / (2 * 1.69))
        image[j - 12 : j + 13, i - 12 : i + 13] += flux / (2 * np.pi * 1.69) * star
    return rng.poisson(image).astype(np.float32), sky


@pytest.mark.parametrize("box", [511, 128])
@pytest.mark.parametrize("name", ["sparse", "gradient", "steep", "crowded"])
def test_the_sky_of_an_image_is_found_under_its_stars(name: str, box: int) -> None:
    image, sky = make_sky(name)
    found = fit_smooth_sky(image, None, box)
    off = found.image() - sky
    allowed = 4 * found.level_err if name == "crowded" else 3 * found.level_err
    assert abs(off.mean()) < max(allowed / 2, 0.05)
    assert off.std() < allowed
    assert found.scatter == pytest.approx(np.sqrt(sky.mean()), rel=0.15)


def test_stamps_of_the_sky_are_the_image_s() -> None:
    found = fit_smooth_sky(make_sky("steep")[0], None, 128)
    rows, columns = np.array([[4, 5, 6], [1020, 1021, 1022]]), np.array([[0, 1, 2], [500, 501, 502]])
    clamped = np.clip(rows, 0, 1021)
    np.testing.assert_allclose(
        found.at(rows, columns), found.image()[clamped[:, :, None], columns[:, None, :]], rtol=1e-12
    )


def test_bad_pixels_do_not_reach_the_sky() -> None:
    image, _ = make_sky("sparse")
    good = np.random.default_rng(3).random(image.shape) > 0.1
    spoilt = np.where(good, image, 1e6)
    blank = np.where(good, image, np.nan)
    np.testing.assert_array_equal(fit_smooth_sky(spoilt, good).image(), fit_smooth_sky(blank).image())


def test_a_sky_full_of_spikes_is_found_between_them() -> None:
    image = np.random.default_rng(3).normal(100.0, 5.0, (400, 400))
    image[np.random.default_rng(4).random(image.shape) < 0.008] = 5e4
    found = fit_smooth_sky(image)
    assert abs(found.image().mean() - 100.0) < 4 * found.level_err < 4.0


def test_small_flat_and_empty_images_have_a_sky_or_none() -> None:
    assert np.allclose(fit_smooth_sky(np.full((50, 40), 3.0)).image(), 3.0)
    assert np.allclose(fit_smooth_sky(np.ones((3, 5), dtype=np.int16)).image(), 1.0)
    assert np.isnan(fit_smooth_sky(np.full((50, 50), np.nan)).image()).all()
    for box in (0, -3, 2.5, True):
        with pytest.raises(UsageError, match="bgsize"):
            fit_smooth_sky(np.ones((9, 9)), None, box)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="two axes"):
        fit_smooth_sky(np.ones(9))

"""Pixels of the synthetic sky against numerical integration and against their own WCS."""

import numpy as np
import pytest

from snapdb.testing.detectors import FLAG_BITS, READ_NOISE, SATURATION
from snapdb.testing.rendering import expose, integrate_gaussian, render_sources
from snapdb.testing.skies import plan_survey
from snapdb.testing.sources import Star


@pytest.mark.parametrize(("x", "y", "sigma"), [(10.0, 12.0, 1.2), (9.37, 11.81, 0.7), (10.5, 12.5, 2.1)])
def test_a_pixel_holds_the_integral_of_the_gaussian_over_it(x: float, y: float, sigma: float) -> None:
    """Oracle: midpoint sums of the density over 40 x 40 points in each pixel."""
    rows, columns, shares = integrate_gaussian(x, y, sigma, width=24, height=26)
    steps = (np.arange(40) + 0.5) / 40 - 0.5
    for j in range(rows.start, rows.stop):
        for k in range(columns.start, columns.stop):
            gx, gy = np.meshgrid(k + steps - x, j + steps - y)
            density = np.exp(-0.5 * (gx**2 + gy**2) / sigma**2) / (2 * np.pi * sigma**2)
            assert shares[j - rows.start, k - columns.start] == pytest.approx(density.mean(), abs=5e-5)


def test_the_light_adds_up_to_one_inside_and_to_its_half_on_the_edge() -> None:
    """Oracle: symmetry; half of a Gaussian centred on the border lies inside."""
    _, _, whole = integrate_gaussian(30.2, 40.7, 1.4, width=80, height=80)
    assert whole.sum() == pytest.approx(1.0, abs=1e-8)
    _, _, half = integrate_gaussian(-0.5, 40.0, 1.4, width=80, height=80)
    assert half.sum() == pytest.approx(0.5, abs=1e-8)
    _, _, none = integrate_gaussian(-60.0, 40.0, 1.4, width=80, height=80)
    assert none.size == 0


def test_stars_stand_where_the_wcs_says_with_the_counts_of_their_magnitude() -> None:
    """Oracle: first moments of the pixels; m = -2.5 log10(counts) + zeropoint."""
    survey = plan_survey("nowhere")
    for image in survey.images[:6:2]:
        ra, dec = (float(v) for v in image.wcs.all_pix2world(150.3, 140.8, 0))
        star = Star(name="s", ra=ra % 360.0, dec=dec, mags={"g": 17.0, "r": 17.0, "i": 17.0})
        pixels = render_sources(image, [star])
        ys, xs = np.mgrid[0 : image.height, 0 : image.width]
        total = pixels.sum()
        assert -2.5 * np.log10(total) + image.zeropoint == pytest.approx(17.0, abs=1e-7)
        assert (pixels * xs).sum() / total == pytest.approx(150.3, abs=1e-5)
        assert (pixels * ys).sum() / total == pytest.approx(140.8, abs=1e-5)


def test_noise_has_the_size_that_the_noise_plane_says() -> None:
    """Oracle: the scatter of (data - expected) / noise is 1; for 90 000 pixels known to 0.25 %."""
    survey = plan_survey("nowhere")
    image = survey.images[0]
    expected = render_sources(image, survey.stars)
    planes = expose(expected, image, seed=5)
    clean = planes.flags == 0
    pull = (planes.data - expected - image.exposure.sky_level)[clean] / planes.noise[clean]
    assert pull.std() == pytest.approx(1.0, abs=0.012)
    assert abs(pull.mean()) < 0.02
    assert planes.noise.min() >= READ_NOISE


def test_flags_name_each_defect_and_hot_pixels_stay_with_the_detector() -> None:
    survey = plan_survey("nowhere")
    first, other = (i for i in survey.images[:6] if i.sca == 1 and i.band in "gr")
    flat = np.full((first.height, first.width), 10.0)
    flat[50, 60] = 1e6
    one, two = expose(flat, first, seed=5), expose(flat, other, seed=5)
    assert one.data.max() == SATURATION
    assert one.flags[50, 60] & FLAG_BITS["SATURATED"]
    hot = one.flags & FLAG_BITS["HOT"]
    np.testing.assert_array_equal(hot, two.flags & FLAG_BITS["HOT"])
    assert (one.data[hot > 0].mean()) > one.data[hot == 0].mean() + 1000
    dead = (one.flags & FLAG_BITS["DEADCOL"]) > 0
    assert dead.any(axis=0).sum() == 1
    assert not np.array_equal(one.data, two.data)

"""Brightness of the synthetic sources against closed forms and brute force."""

import math

import numpy as np
import pytest

from snapdb.errors import UsageError
from snapdb.testing.skies import plan_survey
from snapdb.testing.sources import BANDS, Supernova, make_stars


def make_nova() -> Supernova:
    return Supernova(
        name="n",
        ra=1.0,
        dec=2.0,
        mjd0=60_000.0,
        peak_mags={"g": 18.0, "r": 17.5},
        rise_days=3.0,
        fall_days={"g": 14.0, "r": 20.0},
    )


def bazin(days: float, rise: float, fall: float) -> float:
    """Equation 1 of Bazin et al. 2009, as printed there, without its constant."""
    return math.exp(-days / fall) / (1.0 + math.exp(-days / rise))


@pytest.mark.parametrize("band", ["g", "r"])
def test_supernova_peaks_at_the_magnitude_that_was_asked(band: str) -> None:
    """Oracle: brute force over a grid of 0.01 days."""
    nova = make_nova()
    mjds = np.arange(59_980.0, 60_060.0, 0.01)
    mags = np.array([nova.mag(band, t) for t in mjds])
    assert mags.min() == pytest.approx(nova.peak_mags[band], abs=1e-5)
    assert mjds[mags.argmin()] == pytest.approx(nova.mjd0 + nova.days_to_peak(band), abs=0.01)


@pytest.mark.parametrize("days", [-20.0, -3.0, 0.0, 0.5, 12.0, 90.0])
def test_supernova_follows_the_published_formula(days: float) -> None:
    """Oracle: the formula in its published form, relative to its value at t0."""
    nova = make_nova()
    ratio = 10.0 ** (-0.4 * (nova.mag("g", 60_000.0 + days) - nova.mag("g", 60_000.0)))
    assert ratio == pytest.approx(bazin(days, 3.0, 14.0) / bazin(0.0, 3.0, 14.0), rel=1e-10)


def test_supernova_long_before_its_time_is_dark_and_does_not_overflow() -> None:
    assert make_nova().mag("r", 0.0) == math.inf


def test_unknown_band_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="'Y'"):
        make_nova().mag("Y", 60_000.0)


def test_stars_lie_in_their_patch_across_ra_0_and_are_redder_in_r() -> None:
    stars = make_stars(np.random.default_rng(3), prefix="s", ra=0.01, dec=-30.0, radius_deg=0.05, count=300)
    offsets = np.array([(s.ra - 0.01 + 180.0) % 360.0 - 180.0 for s in stars])
    assert np.abs(offsets * np.cos(np.radians(30.0))).max() < 0.0501
    assert all(0.0 <= s.ra < 360.0 for s in stars)
    assert any(s.ra > 359.0 for s in stars)
    assert any(s.ra < 1.0 for s in stars)
    assert all(s.mags["g"] > s.mags["r"] > s.mags["i"] for s in stars)


def test_the_planned_supernova_rises_and_falls_through_the_survey() -> None:
    survey = plan_survey("nowhere")
    for band in BANDS:
        mags = [
            survey.supernova.mag(band, i.mjd_middle) for i in survey.images_of(survey.supernova, band=band)
        ]
        peak = int(np.argmin(mags))
        assert 0 < peak < len(mags) - 1
        assert mags[0] > mags[peak] + 5.0
        assert mags[-1] > mags[peak] + 1.0

"""Magnitudes and nanojansky; the oracles are astropy's AB units and closed forms."""

import astropy.units as u
import numpy as np
import pytest

from snapdb.photometry.calibration import from_njy, limit_magnitude, to_magnitude, to_njy, upper_limit
from snapdb.photometry.quality import Quality, quality_names

FLUX = np.array([1e-3, 1.0, 250.0, 1e6])


def test_fluxes_are_those_of_astropy_s_ab_system() -> None:
    oracle = (25.3 - 2.5 * np.log10(FLUX)) * u.ABmag
    np.testing.assert_allclose(
        to_njy(FLUX, 25.3), oracle.to_value(u.nJy), rtol=2e-4
    )  # 31.4 is rounded from 31.40006
    np.testing.assert_allclose(from_njy(to_njy(FLUX, 25.3), 25.3), FLUX, rtol=1e-14)


def test_magnitudes_come_back_from_the_fluxes_that_they_give() -> None:
    mag, err = to_magnitude(FLUX, 0.01 * FLUX, 25.3)
    np.testing.assert_allclose(10 ** (-0.4 * (mag - 25.3)), FLUX, rtol=1e-13)
    # The closed form: d(2.5 log10 F) = 2.5 / ln 10 dF / F.
    np.testing.assert_allclose(err, 0.01 * 2.5 / np.log(10), rtol=1e-13)


def test_faint_and_negative_fluxes_have_no_plausible_magnitude() -> None:
    mag, err = to_magnitude([-1.0, 0.0, 2.9, 3.1, 5.0, np.nan], [1.0, 1.0, 1.0, 1.0, np.nan, 1.0], 25.0)
    assert np.isnan(mag).tolist() == [True, True, False, False, False, True]
    assert np.isnan(err).tolist() == [True, True, True, False, True, True]


def test_without_a_zero_point_nothing_is_calibrated() -> None:
    assert np.isnan(to_njy([1.0, 2.0], None)).all()
    assert np.isnan(to_magnitude([1.0], [0.1], None)[0]).all()
    assert np.isnan(limit_magnitude([1.0], None)).all()


@pytest.mark.parametrize("sigma", [3.0, 5.0])
def test_a_limit_is_the_magnitude_of_that_many_errors(sigma: float) -> None:
    limit = limit_magnitude([2.0, 0.0, -1.0, np.inf, np.nan], 25.0, sigma)
    assert limit[0] == pytest.approx(to_magnitude(sigma * 2.0, 0.1, 25.0)[0])
    assert np.isnan(limit[1:]).all()
    assert upper_limit([-4.0, 1.0], [2.0, 2.0], sigma).tolist() == [2 * sigma, 1 + 2 * sigma]


def test_quality_bits_have_names_and_are_single_bits() -> None:
    assert quality_names(Quality.EDGE | Quality.FAILED) == ["EDGE", "FAILED"]
    assert quality_names(0) == []
    assert sorted(int(b) for b in Quality) == [1 << n for n in range(len(Quality))]

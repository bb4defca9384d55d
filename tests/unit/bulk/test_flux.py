"""Factors from counts to flux."""

import numpy as np
import pytest
from astropy import units as u

from snapdb.bulk.shape.flux import flux_factor
from snapdb.errors import UnitError, UsageError


@pytest.mark.parametrize("zeropoint", [-2.5, 0.0, 23.9, 24.6, 31.4])
@pytest.mark.parametrize("unit", ["Jy", "mJy", "uJy", "nJy"])
def test_against_astropy(zeropoint: float, unit: str) -> None:
    """Oracle: astropy's AB magnitudes, which stand on 10 ** (-48.6 / 2.5) cgs, 3630.78 Jy and not 3631."""
    expected = (zeropoint * u.ABmag).to_value(u.Unit(unit)) * 3631.0 / (0.0 * u.ABmag).to_value(u.Jy)
    assert flux_factor(zeropoint, unit) == pytest.approx(expected, rel=1e-12)


def test_as_cutana_multiplies() -> None:
    """Oracle: its documented formula, two products in single precision."""
    pixels = np.array([1.0, -3.0, 1e5], dtype=np.float32)
    expected = pixels * np.float32(10 ** (-0.4 * 24.6)) * np.float32(3631.0)
    assert pixels * np.float32(flux_factor(24.6)) == pytest.approx(expected, rel=3e-7)
    assert flux_factor(23.9, "µJy") == pytest.approx(1.0, rel=1e-4)


def test_refusals() -> None:
    with pytest.raises(UnitError, match="'erg'"):
        flux_factor(25.0, "erg")
    for bad in (np.nan, np.inf, -np.inf, 1e4):
        with pytest.raises(UsageError, match="AB magnitude"):
            flux_factor(bad)

"""Unit vectors and distances, against ERFA, astropy and closed forms."""

import astropy.units as u
import erfa
import numpy as np
import pytest
from astropy.coordinates import angular_separation

from snapdb.errors import UsageError
from snapdb.sky.vectors import check_radec, normalize, separation, to_radec, to_vectors, wrap_ra

_RNG = np.random.default_rng(5)
_RA = _RNG.uniform(0.0, 360.0, 500)
_DEC = np.degrees(np.arcsin(_RNG.uniform(-1.0, 1.0, 500)))


def test_vectors_against_erfa() -> None:
    np.testing.assert_allclose(to_vectors(_RA, _DEC), erfa.s2c(np.radians(_RA), np.radians(_DEC)), atol=5e-16)


def test_axes() -> None:
    axes = to_vectors([0.0, 90.0, 17.0], [0.0, 0.0, 90.0])
    np.testing.assert_allclose(axes, np.eye(3), atol=1e-16)


def test_vectors_of_any_shape() -> None:
    assert to_vectors(1.0, 2.0).shape == (3,)
    assert to_vectors(np.zeros((4, 1)), np.zeros(5)).shape == (4, 5, 3)
    assert to_vectors([], []).shape == (0, 3)
    assert np.isnan(to_vectors(np.nan, 0.0)[:2]).all()
    assert np.isnan(to_vectors(np.inf, 0.0)[:2]).all()


def test_round_trip() -> None:
    ra, dec = to_radec(3.7 * to_vectors(_RA, _DEC))
    assert separation(ra, dec, _RA, _DEC).max() < 1e-13


@pytest.mark.parametrize("ra", [1e-12, 359.999999999, 0.0, 180.0, 180.0000001])
@pytest.mark.parametrize("dec", [-90.0, -89.9999999, 0.0, 1e-12, 90.0])
def test_round_trip_at_the_seam_and_the_poles(ra: float, dec: float) -> None:
    back_ra, back_dec = to_radec(to_vectors(ra, dec))
    assert 0.0 <= back_ra < 360.0
    assert separation(back_ra, back_dec, ra, dec) < 1e-13
    assert back_dec == pytest.approx(dec, abs=1e-13)


def test_separation_against_astropy() -> None:
    """Oracle: astropy's Vincenty formula."""
    expected = angular_separation(
        _RA[:250] * u.deg, _DEC[:250] * u.deg, _RA[250:] * u.deg, _DEC[250:] * u.deg
    )
    found = separation(_RA[:250], _DEC[:250], _RA[250:], _DEC[250:])
    np.testing.assert_allclose(found, expected.to_value("deg"), rtol=1e-13)


@pytest.mark.parametrize("distance", [0.0, 1e-9, 1e-6, 1.0, 90.0, 179.0, 180.0 - 1e-9, 180.0])
def test_separation_on_a_meridian(distance: float) -> None:
    """Oracle: along a meridian the distance is the difference of declinations, over the pole too."""
    assert separation(30.0, -90.0, 200.0, -90.0 + distance) == pytest.approx(distance, abs=2e-14, rel=1e-6)
    assert separation(10.0, 0.0, 10.0 + distance, 0.0) == pytest.approx(distance, abs=2e-14, rel=1e-6)


def test_separation_across_ra_zero() -> None:
    assert separation(359.9999999, 0.0, 0.0000001, 0.0) == pytest.approx(2e-7, rel=1e-6)


def test_wrap() -> None:
    """Oracle: by hand; -1e-20 mod 360 rounds to 360, which is 0."""
    np.testing.assert_array_equal(wrap_ra([-10.0, 0.0, 360.0, 725.0, -1e-20]), [350.0, 0.0, 0.0, 5.0, 0.0])


def test_normalize() -> None:
    np.testing.assert_allclose(normalize(np.array([[3.0, 0.0, 4.0]])), [[0.6, 0.0, 0.8]])


def test_check_gives_what_the_archive_keeps() -> None:
    assert check_radec(-10.0, 90.0) == (350.0, 90.0)
    ra, dec = check_radec(np.float64(370.0), np.float64(-90.0))
    assert (ra, dec) == (10.0, -90.0)
    assert type(ra) is float
    assert type(dec) is float


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_check_refuses_what_is_not_finite(bad: float) -> None:
    with pytest.raises(UsageError, match="ra = "):
        check_radec(bad, 0.0)
    with pytest.raises(UsageError, match="dec = "):
        check_radec(0.0, bad)


def test_check_refuses_beyond_the_poles() -> None:
    for dec in (90.0000001, -91.0):
        with pytest.raises(UsageError, match="between -90 and 90"):
            check_radec(0.0, dec)

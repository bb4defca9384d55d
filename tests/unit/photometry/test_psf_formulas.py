"""Gaussian and Moffat PSFs: integrals over pixels."""

from collections.abc import Callable

import astropy.units as u
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from photutils.psf import GaussianPRF
from photutils.psf import MoffatPSF as PhotutilsMoffat
from scipy.integrate import dblquad

from snapdb.errors import UsageError
from snapdb.photometry.psf import GaussianPSF, MoffatPSF
from snapdb.photometry.psf.gaussian import FWHM_PER_SIGMA
from snapdb.photometry.psf.moffat import LEAST_FWHM_PX
from snapdb.types import FloatArray

phases = st.floats(-0.5, 0.5, exclude_max=True)


def integrals(density: Callable[[float, float], float], dx: float, dy: float, size: int) -> FloatArray:
    """Integrate a density over the pixels of a stamp, one by one."""
    half = size // 2
    stamp = np.empty((size, size))
    for row in range(size):
        for column in range(size):
            x, y = column - half - dx, row - half - dy
            stamp[row, column] = dblquad(
                density, x - 0.5, x + 0.5, y - 0.5, y + 0.5, epsabs=1e-11, epsrel=1e-11
            )[0]
    return stamp


@given(dx=phases, dy=phases, sigma=st.floats(0.2, 4.0), ratio=st.floats(0.3, 1.0))
def test_an_aligned_gaussian_is_photutils_prf(dx: float, dy: float, sigma: float, ratio: float) -> None:
    """The oracle is photutils' GaussianPRF."""
    fwhm = (sigma * FWHM_PER_SIGMA, ratio * sigma * FWHM_PER_SIGMA)
    theirs = GaussianPRF(flux=1.0, x_0=50 + dx, y_0=60 + dy, x_fwhm=fwhm[0], y_fwhm=fwhm[1])
    rows, columns = np.mgrid[55:66, 45:56]
    at = np.floor(50 + dx + 0.5), np.floor(60 + dy + 0.5)
    ours = GaussianPSF(sigma, ratio * sigma).render(np.array([50 + dx]), np.array([60 + dy]), 11)[0]
    expected = theirs(columns + at[0] - 50, rows + at[1] - 60)
    np.testing.assert_allclose(ours, expected, atol=1e-14)


@pytest.mark.parametrize(
    ("first", "second", "theta"), [(1.5, 0.4, 33.0), (0.42, 0.8, -70.0), (3.0, 0.3, 120.0)]
)
def test_a_rotated_gaussian_is_its_integral(first: float, second: float, theta: float) -> None:
    """The oracle is scipy's quadrature of the density."""
    cos, sin = np.cos(np.deg2rad(theta)), np.sin(np.deg2rad(theta))

    def density(y: float, x: float) -> float:
        along, across = x * cos + y * sin, y * cos - x * sin
        return float(np.exp(-0.5 * ((along / first) ** 2 + (across / second) ** 2))) / (
            2 * np.pi * first * second
        )

    stamp = GaussianPSF(first, second, theta).render(np.array([10.3]), np.array([9.6]), 3)[0]
    np.testing.assert_allclose(stamp, integrals(density, 0.3, -0.4, 3), atol=1e-9)


def test_right_angles_and_round_widths_need_no_rotation() -> None:
    """The oracle is the sum over nodes, which a small turn calls for."""
    x, y = np.array([5.2]), np.array([4.7])
    for theta in (90.0, 180.0, -90.0):
        turned = GaussianPSF(1.5, 0.7, theta).render(x, y, 9)
        np.testing.assert_allclose(turned, GaussianPSF(1.5, 0.7, theta + 1e-7).render(x, y, 9), atol=1e-8)
    np.testing.assert_array_equal(
        GaussianPSF(1.1, theta=37.0).render(x, y, 9), GaussianPSF(1.1).render(x, y, 9)
    )


@given(dx=phases, dy=phases, theta=st.floats(-360, 360))
def test_a_gaussian_keeps_its_flux_at_every_phase_and_angle(dx: float, dy: float, theta: float) -> None:
    """Closed form: a stamp of 5 FWHM to each side holds the flux to 1e-12."""
    stamp = GaussianPSF(0.9, 0.42, theta).get_stamp(20 + dx, 30 + dy, flux=3.0)
    assert stamp.sum() == pytest.approx(3.0, rel=1e-11)
    assert stamp.min() >= 0.0


def test_a_width_is_given_either_way() -> None:
    assert GaussianPSF(fwhm=2.5).sigma_x == pytest.approx(2.5 / 2.3548200450309493)
    with pytest.raises(UsageError, match="either"):
        GaussianPSF()
    with pytest.raises(UsageError, match="either"):
        GaussianPSF(1.0, fwhm=2.0)
    for wrong in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(UsageError, match="positive"):
            GaussianPSF(wrong)
    with pytest.raises(UsageError, match="degrees"):
        GaussianPSF(1.0, 2.0, np.nan)


@pytest.mark.parametrize("fwhm", [0.5, 1.5, 3.0])
@pytest.mark.parametrize("beta", [1.5, 2.5, 4.765])
def test_a_moffat_is_its_integral(fwhm: float, beta: float) -> None:
    """The oracle is scipy's quadrature of photutils' profile."""
    profile = PhotutilsMoffat(alpha=MoffatPSF(fwhm, beta).alpha, beta=beta)

    def density(y: float, x: float) -> float:
        return float(profile(x, y))

    stamp = MoffatPSF(fwhm, beta).render(np.array([10.3]), np.array([9.6]), 3)[0]
    expected = np.empty((3, 3))
    # photutils' model is slow in a quadrature: sums over 64 x 64 nodes are exact to 1e-13 here.
    nodes, weights = np.polynomial.legendre.leggauss(64)
    for row in range(3):
        for column in range(3):
            x, y = column - 1 - 0.3 + nodes / 2, row - 1 + 0.4 + nodes / 2
            values = profile(*np.meshgrid(x, y))
            expected[row, column] = (weights[:, None] * weights * values).sum() / 4
    assert density(0.0, fwhm / 2) == pytest.approx(density(0.0, 0.0) / 2)
    np.testing.assert_allclose(stamp, expected, atol=2e-7)


def test_a_moffat_loses_what_its_wings_hold() -> None:
    """Closed form: the flux within a radius r is ``1 - (1 + r**2 / alpha**2)**(1 - beta)``."""
    psf = MoffatPSF(2.5, 2.5, stamp_size=201)
    stamp = psf.get_stamp(0.0, 0.0)
    rows, columns = np.indices(stamp.shape) - 100.0
    for radius in (20.0, 60.0, 95.0):
        inside = stamp[np.hypot(rows, columns) <= radius].sum()
        expected = 1 - (1 + (radius / psf.alpha) ** 2) ** (1 - psf.beta)
        assert inside == pytest.approx(expected, abs=3e-4)


def test_a_moffat_that_cannot_be_is_refused() -> None:
    for fwhm, beta in ((0.0, 2.0), (3.0, 1.0), (np.nan, 2.0), (3.0, np.inf)):
        with pytest.raises(UsageError, match="Moffat"):
            MoffatPSF(fwhm, beta)


@pytest.mark.parametrize("beta", [1.01, 2.5, 1e6])
def test_the_narrowest_moffat_is_drawn(beta: float) -> None:
    """Closed form: nearly all of the light of a profile far within a pixel is on that pixel."""
    psf = MoffatPSF(LEAST_FWHM_PX, beta)
    stamp = psf.render(np.zeros(1), np.zeros(1), 3)[0]
    assert np.isfinite(stamp).all()
    if beta > 2:
        assert stamp[1, 1] == pytest.approx(1 - (1 + (0.55 / psf.alpha) ** 2) ** (1 - beta), abs=5e-3)
    with pytest.raises(UsageError, match="Moffat"):
        MoffatPSF(LEAST_FWHM_PX / 2, beta)


def test_widths_that_are_no_numbers_are_refused() -> None:
    wrong: list[Callable[[], object]] = [
        lambda: GaussianPSF("a"),  # type: ignore[arg-type]
        lambda: GaussianPSF(1.0, "a"),  # type: ignore[arg-type]
        lambda: GaussianPSF(1.0, 2.0, "a"),  # type: ignore[arg-type]
        lambda: GaussianPSF(fwhm=3 * u.pix),
        lambda: GaussianPSF(fwhm=3 * u.arcsec),
        lambda: MoffatPSF("a", 2.5),  # type: ignore[arg-type]
        lambda: MoffatPSF(3.0, "a"),  # type: ignore[arg-type]
        lambda: MoffatPSF(3 * u.arcsec, 2.5),
    ]
    for make in wrong:
        with pytest.raises(UsageError, match="expected"):
            make()

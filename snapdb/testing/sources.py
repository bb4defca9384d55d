"""What shines in the synthetic sky: stars, galaxies, a supernova, each with known magnitudes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from snapdb.errors import UsageError

BANDS: tuple[str, ...] = ("g", "r", "i")
"""Bands of the synthetic survey, blue to red."""


class Source(Protocol):
    """Anything with a place on the sky and a brightness at a time."""

    @property
    def ra(self) -> float:
        """ICRS degrees in [0, 360)."""
        ...

    @property
    def dec(self) -> float:
        """ICRS degrees."""
        ...

    def mag(self, band: str, mjd: float) -> float:
        """AB magnitude at a time; infinite where it does not shine."""
        ...

    @property
    def profile(self) -> tuple[tuple[float, float], ...]:
        """(share of the flux, Gaussian sigma in arcseconds) of each part, before the seeing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Star:
    """A point of constant light."""

    name: str
    ra: float
    """ICRS degrees in [0, 360)."""
    dec: float
    """ICRS degrees."""
    mags: Mapping[str, float]
    """Band -> AB magnitude."""

    def mag(self, band: str, mjd: float) -> float:  # noqa: ARG002  # the same at all times
        """AB magnitude in a band; the time does not matter."""
        return self.mags[_known(band, self.mags)]

    @property
    def profile(self) -> tuple[tuple[float, float], ...]:
        """One part without extent."""
        return ((1.0, 0.0),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Galaxy:
    """A round galaxy: three concentric Gaussians, so that its pixels have a closed form."""

    name: str
    ra: float
    """ICRS degrees in [0, 360)."""
    dec: float
    """ICRS degrees."""
    mags: Mapping[str, float]
    """Band -> AB magnitude of the whole."""
    sigma_arcsec: float
    """Sigma of the middle part."""

    def mag(self, band: str, mjd: float) -> float:  # noqa: ARG002  # the same at all times
        """AB magnitude in a band; the time does not matter."""
        return self.mags[_known(band, self.mags)]

    @property
    def profile(self) -> tuple[tuple[float, float], ...]:
        """A core, a body and a halo."""
        return ((0.3, 0.4 * self.sigma_arcsec), (0.4, self.sigma_arcsec), (0.3, 2.0 * self.sigma_arcsec))


@dataclass(frozen=True, slots=True, kw_only=True)
class Supernova:
    """A transient whose flux follows Bazin et al. 2009 (A&A 499, 653), equation 1, without a floor.

    f(t) is proportional to exp(-(t - t0) / fall) / (1 + exp(-(t - t0) / rise)) and is
    scaled so that its maximum has the magnitude of ``peak_mags``.
    """

    name: str
    ra: float
    """ICRS degrees in [0, 360)."""
    dec: float
    """ICRS degrees."""
    mjd0: float
    """The t0 of the light curve, UTC days."""
    peak_mags: Mapping[str, float]
    """Band -> AB magnitude at maximum light in that band."""
    rise_days: float
    fall_days: Mapping[str, float]
    """Band -> time of decline; redder bands fall more slowly."""

    def mag(self, band: str, mjd: float) -> float:
        """AB magnitude at a time; infinite where the flux underflows."""
        peak = self.peak_mags[_known(band, self.peak_mags)]
        flux = self._shape(band, mjd - self.mjd0) / self._shape(band, self.days_to_peak(band))
        return peak - 2.5 * math.log10(flux) if flux > 0.0 else math.inf

    def days_to_peak(self, band: str) -> float:
        """Days from ``mjd0`` to maximum light: rise * ln(fall / rise - 1), where f' vanishes."""
        return self.rise_days * math.log(self.fall_days[_known(band, self.fall_days)] / self.rise_days - 1.0)

    def _shape(self, band: str, days: float) -> float:
        """Evaluate f unscaled, in a form that cannot overflow on either side of t0."""
        fall = self.fall_days[band]
        if days >= 0.0:
            return math.exp(-days / fall) / (1.0 + math.exp(-days / self.rise_days))
        # Both terms multiplied by exp(days / rise), whose exponent is negative here.
        return math.exp(days / self.rise_days - days / fall) / (1.0 + math.exp(days / self.rise_days))

    @property
    def profile(self) -> tuple[tuple[float, float], ...]:
        """One part without extent."""
        return ((1.0, 0.0),)


def make_stars(
    rng: np.random.Generator, *, prefix: str, ra: float, dec: float, radius_deg: float, count: int
) -> tuple[Star, ...]:
    """Scatter stars evenly over a square patch, most of them faint.

    Parameters
    ----------
    rng
        Decides everything that is not given.
    prefix
        Start of the names, which go on with a running number.
    ra, dec
        Centre of the patch, ICRS degrees, not near a pole.
    radius_deg
        Half its side.
    count
        How many stars.
    """
    ras, decs = _scatter(rng, ra, dec, radius_deg, count)
    # Star counts grow with magnitude; 14.6 saturates the survey's detectors, 22.5 is near its noise.
    r_mag = 22.5 - 7.9 * rng.power(1.0, count) ** 1.6
    colour = rng.uniform(0.1, 1.1, count)
    return tuple(
        Star(
            name=f"{prefix}{k:04d}",
            ra=float(ras[k]),
            dec=float(decs[k]),
            mags=_mags(float(r_mag[k]), float(colour[k])),
        )
        for k in range(count)
    )


def make_galaxies(
    rng: np.random.Generator, *, prefix: str, ra: float, dec: float, radius_deg: float, count: int
) -> tuple[Galaxy, ...]:
    """Scatter galaxies as :func:`make_stars` scatters stars, between 18 and 22 magnitudes in r."""
    ras, decs = _scatter(rng, ra, dec, radius_deg, count)
    r_mag, colour = rng.uniform(18.0, 22.0, count), rng.uniform(0.3, 1.2, count)
    sigma = rng.uniform(0.6, 1.8, count)
    return tuple(
        Galaxy(
            name=f"{prefix}{k:04d}",
            ra=float(ras[k]),
            dec=float(decs[k]),
            mags=_mags(float(r_mag[k]), float(colour[k])),
            sigma_arcsec=float(sigma[k]),
        )
        for k in range(count)
    )


def _scatter(
    rng: np.random.Generator, ra: float, dec: float, radius_deg: float, count: int
) -> tuple["np.ndarray[tuple[int], np.dtype[np.float64]]", "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
    """Draw positions evenly in a small square about (ra, dec)."""
    decs = dec + rng.uniform(-radius_deg, radius_deg, count)
    ras = ra + rng.uniform(-radius_deg, radius_deg, count) / np.cos(np.radians(decs))
    return ras % 360.0, decs


def _mags(r_mag: float, colour: float) -> dict[str, float]:
    """Magnitudes of a source from its r magnitude and its g - r colour."""
    return {"g": r_mag + colour, "r": r_mag, "i": r_mag - 0.4 * colour}


def _known(band: str, mags: Mapping[str, float]) -> str:
    """Refuse a band in which nothing is known."""
    if band not in mags:
        msg = f"no magnitude in band {band!r}; there are {', '.join(mags)}"
        raise UsageError(msg, band=band)
    return band

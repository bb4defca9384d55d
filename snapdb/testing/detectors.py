"""The synthetic camera: where its detectors look, and how sharp, deep and dirty they are."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from snapdb.testing.sources import Source
from snapdb.types import FloatArray

PIXEL_SCALE_ARCSEC = 0.5
WIDTH, HEIGHT = 320, 300
"""Pixels of one detector along x and y."""
SATURATION = 60_000
"""Counts at which a pixel is full."""
READ_NOISE = 6.0
"""Counts, one sigma."""
FLAG_BITS: dict[str, int] = {"SATURATED": 1, "HOT": 2, "COSMIC": 4, "DEADCOL": 8}
"""Named bits of the flags plane."""

_ROTATIONS_DEG = (0.4, 179.7)
"""Of each detector within the focal plane; the second is mounted upside down, as in real mosaics."""
_CENTRES_PIX = ((-166.0, 1.5), (166.0, -2.0))
"""Centre of each detector in the focal plane, pixels; a gap of 12 pixels lies between them."""
_SIP: tuple[dict[str, float], ...] = (
    {"A_2_0": 1.6e-6, "A_0_2": -0.7e-6, "A_1_1": 0.5e-6, "A_3_0": 1.5e-9, "B_0_2": 1.2e-6, "B_1_1": -0.9e-6},
    {"A_2_0": -1.1e-6, "A_0_2": 0.8e-6, "B_2_0": 0.6e-6, "B_0_2": -1.4e-6, "B_0_3": 1.2e-9, "B_1_1": 0.4e-6},
)
"""Distortion of each detector, half a pixel at its far edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One opening of the shutter."""

    number: int
    field: str
    band: str
    mjd: float
    """Start, UTC days."""
    exptime: float
    """Seconds."""
    ra: float
    """Where the middle of the focal plane looks, ICRS degrees in [0, 360)."""
    dec: float
    roll_deg: float
    """Position angle of the focal plane's +y axis, east of north."""
    zeropoint: float
    """AB magnitude of one count of the whole exposure."""
    sky_level: float
    """Counts a pixel."""
    psf_sigma_pix: float
    """Of the round Gaussian that a point of light becomes."""

    @property
    def observation_id(self) -> str:
        """Name of the exposure, as its files carry it."""
        return f"sky{self.number:05d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTruth:
    """One image of the survey, with what is exactly known of it."""

    path: Path
    """Its file."""
    hdu: int
    """Of its data plane."""
    sca: int
    """Number of its detector, from 1."""
    width: int
    height: int
    exposure: Exposure
    wcs_text: str
    """The WCS cards, one a line."""

    @property
    def band(self) -> str:
        """Band of its exposure."""
        return self.exposure.band

    @property
    def mjd(self) -> float:
        """Start of its exposure, UTC days."""
        return self.exposure.mjd

    @property
    def mjd_middle(self) -> float:
        """Middle of its exposure, UTC days: when the brightness of a transient is taken."""
        return self.exposure.mjd + 0.5 * self.exposure.exptime / 86_400.0

    @property
    def exptime(self) -> float:
        """Seconds."""
        return self.exposure.exptime

    @property
    def zeropoint(self) -> float:
        """AB magnitude of one count."""
        return self.exposure.zeropoint

    @property
    def wcs(self) -> Any:
        """The :class:`astropy.wcs.WCS` of the data plane, distortion included."""
        return _wcs_of(self.wcs_text)

    def to_pixels(self, ra: FloatArray | float, dec: FloatArray | float) -> tuple[FloatArray, FloatArray]:
        """Find where positions fall: 0-based (x, y), also beyond the edges, but near the field alone.

        Parameters
        ----------
        ra, dec
            ICRS degrees, scalars or arrays of one shape.
        """
        x, y = self.wcs.all_world2pix(np.asarray(ra, float), np.asarray(dec, float), 0, tolerance=1e-8)
        return np.asarray(x, float), np.asarray(y, float)

    def contains(self, ra: float, dec: float) -> bool:
        """Whether a position of the same field falls on a pixel."""
        x, y = self.to_pixels(ra, dec)
        return bool(-0.5 <= x < self.width - 0.5 and -0.5 <= y < self.height - 0.5)

    def is_near(self, source: Source) -> bool:
        """Whether a source is so near the pointing, 0.1 degrees, that it may touch the image."""
        return find_separation_arcsec(source, self.exposure) < 360.0

    def counts_of(self, source: Source) -> float:
        """Give the counts, over all pixels, that a source has in this image before noise."""
        return float(10.0 ** (-0.4 * (source.mag(self.band, self.mjd_middle) - self.zeropoint)))


class _Place(Protocol):
    """Anything with a position."""

    @property
    def ra(self) -> float: ...
    @property
    def dec(self) -> float: ...


def find_separation_arcsec(a: _Place, b: _Place) -> float:
    """Measure how far two places are apart, as if the sky between them were flat.

    Parameters
    ----------
    a, b
        With ``ra`` and ``dec`` in ICRS degrees; good within a field, and large for what is far.
    """
    east = ((a.ra - b.ra + 180.0) % 360.0 - 180.0) * math.cos(math.radians(b.dec))
    return 3600.0 * math.hypot(east, a.dec - b.dec)


@lru_cache(maxsize=256)
def _wcs_of(text: str) -> Any:
    """Build a WCS once for each text; 3 ms each would dominate the tests that ask often."""
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    return WCS(Header.fromstring(text, sep="\n"))


def make_wcs_header(exposure: Exposure, sca: int) -> Any:
    """Write the WCS cards of one detector in one exposure: TAN with SIP distortion.

    Parameters
    ----------
    exposure
        Says where the focal plane looks.
    sca
        Number of the detector, from 1.
    """
    from astropy.io.fits import Header

    angle = math.radians(_ROTATIONS_DEG[sca - 1])
    fx, fy = _CENTRES_PIX[sca - 1]
    # The pointing is the focal plane's origin; seen from the detector it lies at R(-angle) (0 - centre).
    px = -(math.cos(angle) * fx + math.sin(angle) * fy)
    py = -(-math.sin(angle) * fx + math.cos(angle) * fy)
    theta, scale = math.radians(exposure.roll_deg) + angle, PIXEL_SCALE_ARCSEC / 3600.0
    header = Header()
    header["WCSAXES"] = 2
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header["CUNIT1"], header["CUNIT2"] = "deg", "deg"
    header["CRVAL1"], header["CRVAL2"] = exposure.ra, exposure.dec
    header["CRPIX1"], header["CRPIX2"] = (WIDTH + 1) / 2 + px, (HEIGHT + 1) / 2 + py
    header["CD1_1"], header["CD1_2"] = -scale * math.cos(theta), scale * math.sin(theta)
    header["CD2_1"], header["CD2_2"] = scale * math.sin(theta), scale * math.cos(theta)
    header["RADESYS"] = "ICRS"
    header["A_ORDER"], header["B_ORDER"] = 3, 3
    for name, value in _SIP[sca - 1].items():
        header[name] = value
    return header

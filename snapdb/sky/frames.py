"""Celestial frames that headers name, to ICRS and back."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from snapdb.errors import ProjectionError
from snapdb.sky.vectors import to_radec, to_vectors
from snapdb.types import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One celestial frame."""

    name: str
    """``icrs``, ``fk5``, ``fk4``, ``fk4-no-e``, ``galactic``, ``ecliptic`` or ``supergalactic``."""
    equinox: float | None = None
    """Years: Besselian for FK4, Julian for the others that have one."""

    def to_icrs(self, lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Convert positions of this frame, degrees, to ICRS degrees; NaN stays NaN."""
        return to_icrs(self, lon, lat)

    def from_icrs(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Convert ICRS degrees to this frame; the inverse of :meth:`to_icrs`."""
        return from_icrs(self, ra, dec)


ICRS = Frame(name="icrs")


def to_icrs(frame: Frame, lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Convert positions of a frame to ICRS.

    Parameters
    ----------
    frame : Frame
        Which they are in.
    lon, lat : array, shape (n,)
        Degrees; NaN stays NaN.

    Returns
    -------
    ra, dec : array, shape (n,)
        ICRS degrees.
    """
    if frame == ICRS:
        return lon, lat
    if frame.name in _TURNED:
        return to_radec(to_vectors(lon, lat) @ _rotation(frame))
    return _transform(lon, lat, make_astropy_frame(frame), make_astropy_frame(ICRS))


def from_icrs(frame: Frame, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Convert ICRS degrees to a frame's; the inverse of :func:`to_icrs`."""
    if frame == ICRS:
        return ra, dec
    if frame.name in _TURNED:
        return to_radec(to_vectors(ra, dec) @ _rotation(frame).T)
    return _transform(ra, dec, make_astropy_frame(ICRS), make_astropy_frame(frame))


def make_astropy_frame(frame: Frame) -> Any:
    """Give astropy's frame (untyped) for a frame of a header."""
    from astropy import coordinates
    from astropy.time import Time

    if frame.name in ("fk4", "fk4-no-e"):
        kind = coordinates.FK4 if frame.name == "fk4" else coordinates.FK4NoETerms
        equinox = Time(frame.equinox, format="byear")
        # FK4 turns slowly against the sky. astropy's WCS takes it as it stood at its equinox, whatever
        # the date of the exposure, and positions shall be those that every reader of the header gets.
        return kind(equinox=equinox, obstime=equinox)
    if frame.name in ("fk5", "ecliptic"):
        kind = coordinates.FK5 if frame.name == "fk5" else coordinates.BarycentricMeanEcliptic
        return kind(equinox=Time(2000.0 if frame.equinox is None else frame.equinox, format="jyear"))
    kinds = {
        "icrs": coordinates.ICRS,
        "galactic": coordinates.Galactic,
        "supergalactic": coordinates.Supergalactic,
    }
    return kinds[frame.name]()


def find_frame(wcs: Any) -> Frame:
    """Read the frame off an astropy WCS with two celestial axes.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        Of a mended header, or one that a caller made.

    Returns
    -------
    Frame
        As :func:`read_frame` gives it.

    Raises
    ------
    ProjectionError
        If its axes are of no frame that is converted.
    """
    inner = wcs.wcs
    equinox = float(inner.equinox)
    radesys = inner.radesys.strip().upper()
    return read_frame(inner.ctype[inner.lng], radesys, equinox if math.isfinite(equinox) else None)


def read_frame(ctype: str, radesys: str, equinox: float | None) -> Frame:
    """Read a frame off mended header values (Calabretta and Greisen 2002, section 3.1).

    Parameters
    ----------
    ctype : str
        Of the longitude axis, such as ``RA---TAN``.
    radesys : str
        In upper case; empty where the header has none.
    equinox : float or None
        Years.

    Returns
    -------
    Frame
        The standard's default where the header leaves it open: ICRS without an equinox, FK4
        before 1984 and FK5 from then on.

    Raises
    ------
    ProjectionError
        If the axes are of no frame that is converted.
    """
    prefix = ctype[:4].rstrip("-")
    if prefix in _BY_PREFIX:
        return Frame(name=_BY_PREFIX[prefix], equinox=equinox if prefix == "ELON" else None)
    if prefix != "RA":
        msg = (
            f"axis {ctype!r} is of no celestial frame that can be converted to ICRS; "
            "expected RA, GLON, ELON or SLON"
        )
        raise ProjectionError(msg, ctype=ctype)
    if not radesys:
        radesys = "ICRS" if equinox is None else ("FK4" if equinox < 1984.0 else "FK5")
    if radesys.startswith("FK4"):
        return Frame(name=radesys.lower(), equinox=1950.0 if equinox is None else equinox)
    if radesys == "FK5":
        return Frame(name="fk5", equinox=2000.0 if equinox is None else equinox)
    return ICRS


_BY_PREFIX = {"GLON": "galactic", "ELON": "ecliptic", "SLON": "supergalactic"}
_TURNED = frozenset({"fk5", "galactic", "supergalactic", "ecliptic"})
"""Frames that differ from ICRS by a rotation alone; FK4 has terms of aberration too."""


@lru_cache(maxsize=256)
def _rotation(frame: Frame) -> FloatArray:
    """Matrix R with ``v_icrs = v_frame @ R``: a millisecond of astropy once, then a product."""
    axes = np.array([0.0, 90.0, 0.0]), np.array([0.0, 0.0, 90.0])
    lon, lat = _transform(*axes, make_astropy_frame(frame), make_astropy_frame(ICRS))
    matrix = to_vectors(lon, lat)
    # The nearest true rotation: degrees carry rounding errors of 1e-16.
    u, _, vt = np.linalg.svd(matrix)
    rotation = np.asarray(u @ vt)
    rotation.setflags(write=False)
    return rotation


def _transform(lon: FloatArray, lat: FloatArray, source: Any, target: Any) -> tuple[FloatArray, FloatArray]:
    """Convert by way of astropy; only finite positions take part."""
    from astropy import units
    from astropy.coordinates import SkyCoord

    out_lon, out_lat = np.full(lon.shape, np.nan), np.full(lat.shape, np.nan)
    good = np.isfinite(lon) & np.isfinite(lat)
    if good.any():
        moved = SkyCoord(lon[good], lat[good], unit=units.deg, frame=source).transform_to(target).spherical
        out_lon[good], out_lat[good] = moved.lon.deg % 360.0, moved.lat.deg
    return out_lon, out_lat

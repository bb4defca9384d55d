"""Frames of headers to ICRS: astropy's SkyCoord is the oracle for what is done by a matrix."""

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import FK4, FK5, BarycentricMeanEcliptic, Galactic, SkyCoord, Supergalactic

from snapdb.errors import ProjectionError
from snapdb.sky.frames import ICRS, Frame, from_icrs, read_frame, to_icrs
from snapdb.sky.vectors import separation

RNG = np.random.default_rng(11)
LON = np.concatenate((RNG.uniform(0, 360, 50), [0.0, 360.0, 10.0, 10.0]))
LAT = np.concatenate((RNG.uniform(-90, 90, 50), [0.0, 0.0, 90.0, -90.0]))

FRAMES = [
    (Frame(name="fk5", equinox=2000.0), FK5(equinox="J2000")),
    (Frame(name="fk5", equinox=1975.0), FK5(equinox="J1975")),
    (Frame(name="galactic"), Galactic()),
    (Frame(name="supergalactic"), Supergalactic()),
    (Frame(name="ecliptic", equinox=2000.0), BarycentricMeanEcliptic(equinox="J2000")),
    (Frame(name="fk4", equinox=1950.0), FK4(equinox="B1950")),
]


@pytest.mark.parametrize(("frame", "oracle"), FRAMES, ids=lambda f: getattr(f, "name", ""))
def test_there_and_back(frame: Frame, oracle: object) -> None:
    true = SkyCoord(LON * units.deg, LAT * units.deg, frame=oracle).icrs
    ra, dec = to_icrs(frame, LON, LAT)
    assert separation(ra, dec, true.ra.deg, true.dec.deg).max() < 1e-12
    assert ((ra >= 0) & (ra < 360)).all()
    lon, lat = from_icrs(frame, ra, dec)
    # FK4's terms of aberration are inverted by iteration, to a microarcsecond.
    assert separation(lon, lat, LON, LAT).max() < (3e-10 if frame.name == "fk4" else 1e-12)


@pytest.mark.parametrize("frame", [f for f, _ in FRAMES] + [ICRS], ids=lambda f: f.name)
def test_nan_stays_nan_and_spoils_no_other(frame: Frame) -> None:
    ra, dec = to_icrs(frame, np.array([10.0, np.nan]), np.array([20.0, 0.0]))
    alone = to_icrs(frame, np.array([10.0]), np.array([20.0]))
    np.testing.assert_allclose([ra[0], dec[0]], np.ravel(alone), rtol=1e-14)
    assert np.isnan(ra[1])
    assert to_icrs(frame, np.empty(0), np.empty(0))[0].shape == (0,)


def test_fk5_is_not_icrs() -> None:
    """At the equinox of J2000 they differ by 22.9 mas in right ascension (Feissel and Mignard 1998)."""
    ra, _ = to_icrs(Frame(name="fk5", equinox=2000.0), np.array([0.0]), np.array([0.0]))
    assert abs((ra[0] + 180) % 360 - 180) * 3.6e6 == pytest.approx(22.9, abs=0.3)


@pytest.mark.parametrize(
    ("ctype", "radesys", "equinox", "expected"),
    [  # the defaults of Calabretta and Greisen 2002, section 3.1
        ("RA---TAN", "", None, ICRS),
        ("RA---TAN", "", 2000.0, Frame(name="fk5", equinox=2000.0)),
        ("RA---TAN", "", 1984.0, Frame(name="fk5", equinox=1984.0)),
        ("RA---TAN", "", 1983.9, Frame(name="fk4", equinox=1983.9)),
        ("RA---TAN", "FK4", None, Frame(name="fk4", equinox=1950.0)),
        ("RA---TAN", "FK5", None, Frame(name="fk5", equinox=2000.0)),
        ("RA---TAN", "ICRS", 2000.0, ICRS),
        ("GLON-CAR", "", None, Frame(name="galactic")),
        ("GLON-CAR", "FK5", 2000.0, Frame(name="galactic")),
    ],
)
def test_defaults_of_the_standard(ctype: str, radesys: str, equinox: float | None, expected: Frame) -> None:
    assert read_frame(ctype, radesys, equinox) == expected


def test_unknown_frame_is_refused() -> None:
    with pytest.raises(ProjectionError, match="HLON"):
        read_frame("HLON-TAN", "", None)

"""The small evaluator of tangent projections on random headers, against astropy and wcslib."""

import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord
from astropy.io import fits  # the oracle reads the header
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snapdb.sky.fast.bank import WcsBank
from snapdb.sky.fast.evaluator import FastWCS
from snapdb.sky.vectors import separation
from snapdb.sky.wcs import AstropyWCS, wcs_text
from snapdb.types import Degrees, FloatArray

SIZE = 1000
SIGNS = st.sampled_from([-1.0, 1.0])
LONGITUDES = st.sampled_from([0.0, 1e-6, 180.0, 359.9999, 360.0, -0.1]) | st.floats(0, 359.9)
LATITUDES = st.sampled_from([-90.0, 90.0, 89.9, -89.9999, 0.0]) | st.floats(-90, 90)
SCALES = st.sampled_from([1e-5, 3e-5, 2e-4, 3e-3])
AXES = {"icrs": ("RA--", "DEC-"), "fk5": ("RA--", "DEC-"), "galactic": ("GLON", "GLAT")}
AXES |= {"ecliptic": ("ELON", "ELAT"), "j1991.25": ("RA--", "DEC-")}
RADESYS = {"icrs": ("ICRS", None), "fk5": ("FK5", 2000.0), "j1991.25": ("FK5", 1991.25)}


def _limit(scale: float) -> float:
    """Pixels to which two evaluators can agree: 1e-9, and what rounding degrees near 360 costs both."""
    return 1e-9 + 2e-13 / scale


def _sip(draw: st.DrawFn) -> dict[str, float]:
    """SIP terms of orders 2 to 5 that move the border by a few pixels each at most."""
    cards: dict[str, float] = {}
    for letter in "AB":
        order = draw(st.integers(2, 5))
        cards[f"{letter}_ORDER"] = order
        for p in range(order + 1):
            for q in range(order + 1 - p):
                cards[f"{letter}_{p}_{q}"] = draw(st.floats(-1, 1)) * 3.0 / (SIZE / 2) ** (p + q)
    return cards


def _tpv(draw: st.DrawFn, field: float) -> dict[str, float]:
    """TPV terms near the identity, those of the radius too; `field` is the half-width in degrees."""
    degrees = [0, 1, 1, 1] + [2] * 3 + [3] * 5 + [4] * 5 + [5] * 7 + [6] * 7 + [7] * 9
    cards: dict[str, float] = {"PV1_1": 1.0, "PV2_1": 1.0}
    for axis in (1, 2):
        for k in draw(st.lists(st.integers(0, 39), max_size=12, unique=True)):
            part = draw(st.floats(-1, 1)) * 1e-3 * field / field ** degrees[k]
            cards[f"PV{axis}_{k}"] = part + (1.0 if k == 1 else 0.0)
    return cards


def _linear(draw: st.DrawFn, scale: float, forms: list[str]) -> dict[str, float]:
    """A turned, perhaps mirrored and slightly skew matrix, in each way that headers write it."""
    turn, parity = draw(st.floats(0, 360)), draw(SIGNS)
    sin, cos = math.sin(math.radians(turn)), math.cos(math.radians(turn))
    skew = draw(st.floats(0.9, 1.1))
    form = draw(st.sampled_from(forms))
    if form == "CROTA":
        return {"CDELT1": parity * scale, "CDELT2": scale * skew, "CROTA2": turn}
    if form == "PC":
        cards = {"PC1_1": cos, "PC1_2": -sin, "PC2_1": sin, "PC2_2": cos}
        return cards | {"CDELT1": parity * scale, "CDELT2": scale * skew}
    return {
        "CD1_1": parity * scale * cos,
        "CD1_2": -scale * skew * sin,
        "CD2_1": parity * scale * sin,
        "CD2_2": scale * skew * cos,
    }


@st.composite
def headers(draw: st.DrawFn, frames: tuple[str, ...] = tuple(AXES), scales: Any = SCALES) -> fits.Header:
    """TAN, TAN-SIP or TPV, anywhere on the sky, in any frame that is a rotation, any pole."""
    kind = draw(st.sampled_from(["-TAN", "-TAN-SIP", "-TPV"]))
    frame, scale = draw(st.sampled_from(frames)), draw(scales)
    order = draw(SIGNS) if kind != "-TPV" else 1.0
    lng, lat = ("1", "2") if order > 0 else ("2", "1")
    header = fits.Header()
    header[f"CTYPE{lng}"], header[f"CTYPE{lat}"] = (axis + kind for axis in AXES[frame])
    header[f"CRVAL{lng}"], header[f"CRVAL{lat}"] = draw(LONGITUDES), draw(LATITUDES)
    header["CRPIX1"], header["CRPIX2"] = draw(st.floats(300, 700)), draw(st.floats(300, 700))
    # wcslib applies TPV before CDELT, so headers with both are not taken.
    forms = ["CD"] if kind == "-TPV" else ["CD", "PC", "CROTA"]
    for name, value in _linear(draw, scale, forms).items():
        header[name.replace("CROTA2", f"CROTA{lat}")] = value
    if frame in RADESYS:
        header["RADESYS"] = RADESYS[frame][0]
        if RADESYS[frame][1] is not None:
            header["EQUINOX"] = RADESYS[frame][1]
    if draw(st.booleans()):
        header["LONPOLE"] = draw(st.sampled_from([0.0, 180.0]) | st.floats(-180, 180))
    more = _sip(draw) if kind == "-TAN-SIP" else _tpv(draw, scale * SIZE / 2) if kind == "-TPV" else {}
    header.update(more)
    return header


def _scale(wcs: FastWCS) -> float:
    """Size of a pixel at the reference point, degrees."""
    return float(wcs.pixels.scale)


def _read(header: fits.Header) -> FastWCS:
    """Read a header that must be taken."""
    wcs = FastWCS.from_text(wcs_text(header))
    assert wcs is not None
    return wcs


def _pair(coordinates: tuple[Degrees, Degrees]) -> FloatArray:
    """Give both coordinates as one array."""
    return np.array(np.broadcast_arrays(*coordinates), dtype=np.float64)


GRID = np.meshgrid(np.linspace(-0.5, SIZE - 0.5, 7), np.linspace(-0.5, SIZE - 0.5, 7))
SLOW = [HealthCheck.too_slow]


@settings(deadline=None, suppress_health_check=SLOW)
@given(headers())
def test_pixels_go_where_astropy_puts_them(header: fits.Header) -> None:
    """Oracle: astropy's WCS and its own change of frame; that of J2000 for ecliptic longitudes."""
    fast = _read(header)
    ra, dec = fast.pixel_to_world(*GRID)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = WCS(header)
    world = oracle.all_pix2world(*GRID, 0)
    frame = BarycentricMeanEcliptic() if oracle.wcs.lngtyp == "ELON" else wcs_to_celestial_frame(oracle)
    true = SkyCoord(world[oracle.wcs.lng], world[oracle.wcs.lat], unit="deg", frame=frame).icrs
    assert (separation(ra, dec, true.ra.deg, true.dec.deg) / _scale(fast)).max() < _limit(_scale(fast))
    assert ((np.asarray(ra) >= 0) & (np.asarray(ra) < 360)).all()


@settings(deadline=None, suppress_health_check=SLOW)
@given(headers(frames=("icrs",)))
def test_positions_go_where_astropy_puts_them(header: fits.Header) -> None:
    """Oracle: astropy's ``all_world2pix``, at positions that astropy made."""
    fast = _read(header)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = WCS(header)
    world = oracle.all_pix2world(*GRID, 0)
    ra, dec = world[oracle.wcs.lng], world[oracle.wcs.lat]
    true = oracle.all_world2pix(*world, 0, tolerance=1e-10, maxiter=200)
    found = _pair(fast.world_to_pixel(ra, dec))
    limit = _limit(_scale(fast))
    np.testing.assert_allclose(found, true, rtol=0, atol=2 * limit)
    np.testing.assert_allclose(found, np.array(GRID), rtol=0, atol=2 * limit)


@settings(deadline=None, suppress_health_check=SLOW)
@given(headers(), st.integers(0, SIZE**2 - 1))
def test_pixels_come_back_alone_and_together(header: fits.Header, place: int) -> None:
    """One position, many positions and many images give the same pixel; pickles and cutouts too."""
    fast = _read(header)
    x, y = float(place % SIZE), float(place // SIZE)
    ra, dec = (float(c) for c in fast.pixel_to_world(x, y))
    limit = 2 * _limit(_scale(fast))
    many = _pair(fast.world_to_pixel([math.nan, ra, ra], [dec, dec, math.inf]))
    assert np.isnan(many[:, [0, 2]]).all()
    moved = fast.shifted(17, -5)
    bank = WcsBank([fast, moved, pickle.loads(pickle.dumps(fast))])
    together = _pair(bank.world_to_pixel(ra, dec))
    for found in (_pair(fast.world_to_pixel(ra, dec)), many[:, 1], together[:, 0], together[:, 2]):
        np.testing.assert_allclose(found, np.array([x, y]), rtol=0, atol=limit)
    for found in (_pair(moved.world_to_pixel(ra, dec)), together[:, 1]):
        np.testing.assert_allclose(found, np.array([x - 17, y + 5]), rtol=0, atol=limit)
    assert fast.includes(ra, dec, SIZE, SIZE)


@settings(deadline=None, suppress_health_check=SLOW)
@given(headers(), st.integers(0, 2**32 - 1))
def test_far_positions_are_nan_or_true(header: fits.Header, seed: int) -> None:
    """Beyond 90 degrees nothing projects; nearer, a pixel is one whose own position was asked for."""
    fast = _read(header)
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, 200), np.degrees(np.arcsin(rng.uniform(-1, 1, 200)))
    middle = np.degrees(np.arctan2(fast.plane.out[2], math.hypot(*fast.plane.out[:2])))
    center = fast.plane.ra_deg + math.degrees(math.atan2(fast.plane.out[1], fast.plane.out[0])), middle
    ra[0], dec[0] = center[0] + 180.0, -center[1]
    x, y = (np.asarray(c) for c in fast.world_to_pixel(ra, dec))
    distance = separation(ra, dec, *center)
    assert np.isnan(x[distance > 90.0]).all()
    assert np.isnan(_pair(fast.world_to_pixel(float(ra[0]), float(dec[0])))).all()
    if fast.pixels.sip is None and fast.pixels.tpv is None:
        assert np.isfinite(x[distance < 89.9]).all()
    there = np.isfinite(x)
    back = fast.pixel_to_world(x[there], y[there])
    assert (separation(*back, ra[there], dec[there]) < 0.02 * _scale(fast) + 1e-9).all()


@settings(deadline=None, suppress_health_check=SLOW)
@given(st.lists(headers(scales=st.just(2e-4)), min_size=1, max_size=6))
def test_banks_mix_all_kinds(many: list[fits.Header]) -> None:
    """Oracle: each image on its own, at the middle of the first and far from the others."""
    wcs = [_read(header) for header in many]
    ra, dec = (float(c) for c in wcs[0].pixel_to_world(500.0, 400.0))
    x, y = WcsBank(wcs).world_to_pixel(ra, dec)
    for i, one in enumerate(wcs):
        alone = _pair(one.world_to_pixel(ra, dec))
        back = one.pixel_to_world(x[i], y[i])
        # Far from its field a polynomial may have several pixels for a position, or none.
        same = np.allclose([x[i], y[i]], alone, rtol=1e-9, atol=1e-8, equal_nan=True)
        bent = one.pixels.sip is not None or one.pixels.tpv is not None
        assert same or (bent and (np.isnan(x[i]) or separation(*back, ra, dec) < 1e-5))
    np.testing.assert_allclose((x[0], y[0]), (500.0, 400.0), rtol=0, atol=1e-8)


@settings(deadline=None, max_examples=30, suppress_health_check=SLOW)
@given(headers(), st.integers(-500, 500), st.integers(-500, 500))
def test_the_general_one_is_the_same(header: fits.Header, dx: int, dy: int) -> None:
    """A cutout's coordinates are those of astropy's object that they turn into."""
    fast = _read(header).shifted(dx, dy)
    general = AstropyWCS(fast.get_astropy_wcs())
    ra, dec = general.pixel_to_world(*GRID)
    difference = separation(*fast.pixel_to_world(*GRID), ra, dec) / _scale(fast)
    assert difference.max() < 2 * _limit(_scale(fast))
    assert fast.pixel_scale_arcsec(400.0, 600.0) == pytest.approx(general.pixel_scale_arcsec(400.0, 600.0))

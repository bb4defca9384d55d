"""World coordinates on random headers and on every celestial HDU of the real files, against astropy."""

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits  # the oracle reads the files
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from snapdb.errors import ProjectionError
from snapdb.sky.footprint import Footprint
from snapdb.sky.vectors import separation
from snapdb.sky.wcs import AstropyWCS, wcs_text

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
SIZE = 1000
SIGNS = st.sampled_from([-1.0, 1.0])
CENTERS = st.tuples(
    st.sampled_from([0.0, 1e-6, 180.0, 359.9999]) | st.floats(0, 359.9),
    st.sampled_from([-90.0, 90.0, 89.9, 0.0]) | st.floats(-90, 90),
)


def _sip(draw: st.DrawFn) -> dict[str, float]:
    """SIP terms that move the border by a few pixels at most."""
    cards: dict[str, float] = {"A_ORDER": 3, "B_ORDER": 3}
    for letter in "AB":
        for p, q in ((2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (0, 3)):
            cards[f"{letter}_{p}_{q}"] = draw(st.floats(0.1, 1)) * draw(SIGNS) * 4.0 / (SIZE / 2) ** (p + q)
    return cards


def _tpv(draw: st.DrawFn, field: float) -> dict[str, float]:
    """TPV terms near the identity; `field` is the half-width in degrees."""
    cards: dict[str, float] = {}
    for axis in (1, 2):
        cards |= {f"PV{axis}_0": draw(st.floats(-1e-4, 1e-4)), f"PV{axis}_1": 1.0}
        cards |= {f"PV{axis}_{j}": draw(st.floats(-1, 1)) * 3e-3 / field for j in (4, 5, 6)}
        cards |= {f"PV{axis}_{j}": draw(st.floats(-1, 1)) * 3e-3 / field**2 for j in (7, 9, 10)}
    return cards


@st.composite
def headers(draw: st.DrawFn) -> fits.Header:
    """TAN, TAN-SIP or TPV, anywhere on the sky, any rotation, parity and common scale."""
    kind = draw(st.sampled_from(["TAN", "SIP", "TPV"]))
    scale = draw(st.sampled_from([1e-5, 3e-5, 2e-4, 3e-3]))
    turn, parity = math.radians(draw(st.floats(0, 360))), draw(st.sampled_from([-1.0, 1.0]))
    suffix = {"TAN": "-TAN", "SIP": "-TAN-SIP", "TPV": "-TPV"}[kind]
    ra, dec = draw(CENTERS)
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = f"RA--{suffix}", f"DEC-{suffix}"
    header["CRVAL1"], header["CRVAL2"] = ra, dec
    header["CRPIX1"], header["CRPIX2"] = draw(st.floats(300, 700)), draw(st.floats(300, 700))
    header["CD1_1"], header["CD1_2"] = parity * scale * math.cos(turn), -scale * math.sin(turn)
    header["CD2_1"], header["CD2_2"] = parity * scale * math.sin(turn), scale * math.cos(turn)
    header["RADESYS"] = "ICRS"
    more = _sip(draw) if kind == "SIP" else _tpv(draw, scale * SIZE / 2) if kind == "TPV" else {}
    for name, value in more.items():
        header[name] = value
    return header


GRID = np.meshgrid(np.linspace(-0.5, SIZE - 0.5, 7), np.linspace(-0.5, SIZE - 0.5, 7))


@settings(deadline=None)
@given(headers())
def test_agrees_with_astropy_and_comes_back(header: fits.Header) -> None:
    wcs = AstropyWCS.from_header(header)
    ra, dec = wcs.pixel_to_world(*GRID)
    true = WCS(header).all_pix2world(*GRID, 0)
    assert separation(ra, dec, *true).max() < 1e-12
    assert np.shape(ra) == (7, 7)
    assert ((np.asarray(ra) >= 0) & (np.asarray(ra) < 360)).all()
    x, y = wcs.world_to_pixel(ra, dec)
    # Positions in degrees are rounded to 3e-14; the smallest pixel is 1e-5.
    np.testing.assert_allclose(x, GRID[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(y, GRID[1], rtol=0, atol=1e-6)


@settings(deadline=None)
@given(headers(), st.integers(0, 2**32 - 1))
def test_far_positions_are_nan_and_spoil_no_other(header: fits.Header, seed: int) -> None:
    wcs = AstropyWCS.from_header(header)
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, 200), np.degrees(np.arcsin(rng.uniform(-1, 1, 200)))
    ra[:3], dec[:3] = [math.nan, 10.0, 20.0], [10.0, math.inf, 91.0]
    near_ra, near_dec = wcs.pixel_to_world(123.0, 456.0)
    x, y = wcs.world_to_pixel(np.append(ra, near_ra), np.append(dec, near_dec))
    assert np.isnan(np.asarray(x)[:3]).all()
    np.testing.assert_allclose([np.asarray(x)[-1], np.asarray(y)[-1]], [123.0, 456.0], rtol=0, atol=1e-6)
    far = separation(ra, dec, header["CRVAL1"], header["CRVAL2"]) > 90.0
    assert np.isnan(np.asarray(x)[:-1][far]).all()
    # What has a pixel comes back to its position: nothing folds onto the image.
    back_ra, back_dec = (np.asarray(c)[:-1] for c in wcs.pixel_to_world(x, y))
    there = np.isfinite(back_ra)
    assert np.all(separation(back_ra[there], back_dec[there], ra[there], dec[there]) < 0.011 * 3e-3)


@settings(deadline=None)
@given(headers(), st.integers(-500, 500), st.integers(-500, 500))
def test_cutouts_have_the_parents_sky(header: fits.Header, dx: int, dy: int) -> None:
    wcs = AstropyWCS.from_header(header)
    moved = wcs.shifted(dx, dy)
    x, y = GRID
    true = wcs.pixel_to_world(x, y)
    assert separation(*moved.pixel_to_world(x - dx, y - dy), *true).max() < 1e-12
    again = AstropyWCS.from_header(moved.to_fits_header())
    # Header cards hold 16 digits, astropy's own writer of SIP and PV fewer: a thousandth of a pixel.
    scale = math.hypot(header["CD1_1"], header["CD2_1"])
    assert separation(*again.pixel_to_world(x - dx, y - dy), *true).max() < 1e-3 * scale


@settings(deadline=None)
@given(headers())
def test_angle_and_scale_of_the_middle(header: fits.Header) -> None:
    """Oracle: position angle and distance of two pixels by astropy's SkyCoord, valid away from the poles."""
    from astropy.coordinates import SkyCoord

    wcs = AstropyWCS.from_header(header)
    middle = (SIZE - 1) / 2
    low, high = (SkyCoord(*WCS(header).all_pix2world(middle, middle + d, 0), unit="deg") for d in (-0.5, 0.5))
    if abs(low.dec.deg) < 89.0:
        angle = low.position_angle(high).deg
        assert abs((wcs.position_angle(SIZE, SIZE) - angle + 180) % 360 - 180) < 0.02
    assert 0 <= wcs.position_angle(SIZE, SIZE) < 360
    scale = math.hypot(header["CD1_1"], header["CD2_1"]) * 3600
    assert wcs.pixel_scale_arcsec(middle, middle) == pytest.approx(scale, rel=0.15)


def test_shapes_in_are_shapes_out() -> None:
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-4, "CDELT2": 1e-4}
    zeros = dict.fromkeys(("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2"), 0.0)
    header = fits.Header({**cards, **zeros})
    wcs = AstropyWCS.from_header(header)
    for function in (wcs.pixel_to_world, wcs.world_to_pixel):
        assert all(type(v) is float for v in function(1, 2))
        assert all(np.shape(v) == (1,) for v in function([1.0], (2.0,)))
        assert all(np.shape(v) == (0,) for v in function([], []))
        assert all(np.shape(v) == (2, 3) for v in function(np.ones((2, 3)), np.ones((2, 3))))


def _celestial_hdus() -> Iterator[tuple[str, Any, Any]]:
    """Name, HDU and file of every image HDU with celestial axes in the real files."""
    for path in sorted(DATA.rglob("*")):
        if not any(part in path.name for part in (".fits", ".fit", ".fz")) or path.parent.name == "made":
            continue
        try:
            with fits.open(path) as hdus:
                for hdu in hdus:
                    header = hdu.header
                    if hdu.is_image and header["NAXIS"] >= 2 and header["NAXIS1"] * header["NAXIS2"] > 0:
                        yield f"{path.relative_to(DATA)}[{hdus.index(hdu)}]", hdu, hdus
        except (OSError, ValueError):
            continue  # files that astropy cannot open are the subject of other tests


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real images is not there")
@pytest.mark.filterwarnings("ignore")  # headers of real images warn about their own faults
def test_every_real_header() -> None:
    """Positions equal astropy's from the whole header, converted by its own frames; pixels come back."""
    rng = np.random.default_rng(5)
    seen = compared = 0
    for name, hdu, hdus in _celestial_hdus():
        header = hdu.header
        width, height = header["NAXIS1"], header["NAXIS2"]
        try:
            wcs = AstropyWCS.from_header(header, fobj=hdus)
        except ProjectionError:
            assert not str(header.get("CTYPE1", "")).startswith(("RA-", "GLON")), name
            continue
        x, y = rng.uniform(-0.5, width - 0.5, 40), rng.uniform(-0.5, height - 0.5, 40)
        ra, dec = wcs.pixel_to_world(x, y)
        back = wcs.world_to_pixel(ra, dec)
        assert np.hypot(back[0] - x, back[1] - y).max() < 1e-6, name
        assert Footprint.from_wcs(wcs, width, height).contains(np.asarray(ra), np.asarray(dec)).all(), name
        true = _oracle(header, hdus, x, y)
        if true is not None:
            assert separation(ra, dec, *true).max() < 1e-10, name
            compared += 1
        if not any(str(header.get(card, "")).lower() == "lookup" for card in ("CPDIS1", "D2IMDIS1")):
            again = AstropyWCS.from_text(wcs_text(header))
            assert separation(*again.pixel_to_world(x, y), ra, dec).max() < 1e-10, name
        seen += 1
    assert seen > 100
    assert compared >= seen - 5


def _oracle(header: Any, hdus: Any, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """ICRS degrees by astropy from the whole header; None where it cannot read it as it stands."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            true = WCS(header, fobj=hdus).celestial.pixel_to_world(x, y).icrs
        except (ValueError, MemoryError, fits.VerifyError):
            return None
    return true.ra.deg, true.dec.deg

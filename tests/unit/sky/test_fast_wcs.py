"""The small evaluator of tangent projections on fixed and on real headers, against astropy."""

import dataclasses
import math
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits  # the oracle reads the headers
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from snapdb.errors import ProjectionError
from snapdb.sky.fast.bank import WcsBank
from snapdb.sky.fast.evaluator import FastWCS
from snapdb.sky.fast.rotation import find_axes
from snapdb.sky.frames import Frame, make_astropy_frame
from snapdb.sky.vectors import separation, to_vectors
from snapdb.sky.wcs import AstropyWCS, wcs_text
from snapdb.types import Degrees, FloatArray

DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
TAN: dict[str, Any] = {
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRVAL1": 10.0,
    "CRVAL2": 20.0,
    "CRPIX1": 50.5,
    "CRPIX2": 60.5,
    "CD1_1": -1e-4,
    "CD2_2": 1e-4,
    "RADESYS": "ICRS",
}
SIP = TAN | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5}
TPV = TAN | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV2_1": 1.0, "PV1_4": 0.1}


def _text(cards: dict[str, Any]) -> str:
    return wcs_text(fits.Header(cards))


def _read(cards: dict[str, Any]) -> FastWCS:
    wcs = FastWCS.from_text(_text(cards))
    assert wcs is not None
    return wcs


BAD = [(math.nan, 20.0), (math.inf, 20.0), (10.0, math.nan), (10.0, 90.1), (10.0, -math.inf)]


def _pair(coordinates: tuple[Degrees, Degrees]) -> FloatArray:
    """Give both coordinates as one array."""
    return np.array(np.broadcast_arrays(*coordinates), dtype=np.float64)


@pytest.mark.parametrize("cards", [TAN, SIP, TPV])
def test_shapes_in_are_shapes_out(cards: dict[str, Any]) -> None:
    wcs = _read(cards)
    for function in (wcs.pixel_to_world, wcs.world_to_pixel):
        for one in (1, 2.0, np.float64(3), np.float32(4), np.int64(5), np.array(6.0)):
            assert all(type(v) is float for v in function(one, 2))
        assert all(np.shape(v) == (1,) for v in function([1.0], (2.0,)))
        assert all(np.shape(v) == (0,) for v in function([], []))
        assert all(np.shape(v) == (2, 3) for v in function(np.ones((2, 3)), np.ones((2, 3))))
        assert all(np.shape(v) == (4, 3) for v in function(np.ones((4, 1)), np.ones(3)))


@pytest.mark.parametrize("cards", [TAN, SIP, TPV])
@pytest.mark.parametrize("bad", BAD)
def test_no_position_is_nan_and_spoils_no_other(cards: dict[str, Any], bad: tuple[float, float]) -> None:
    wcs = _read(cards)
    assert np.isnan(_pair(wcs.world_to_pixel(*bad))).all()
    assert np.isnan(WcsBank([wcs]).world_to_pixel(*bad)).all()
    x, y = wcs.world_to_pixel([bad[0], 10.0], [bad[1], 20.0])
    assert np.isnan(x).tolist() == np.isnan(y).tolist() == [True, False]
    # Pixels that are not finite have no position.
    ra, dec = wcs.pixel_to_world([math.nan, math.inf, 5.0], [1.0, 2.0, 3.0])
    assert np.isnan(ra).tolist() == np.isnan(dec).tolist() == [True, True, False]
    assert np.isnan(_pair(wcs.pixel_to_world(1.0, -math.inf))).all()


@pytest.mark.parametrize("cards", [TAN, SIP, TPV])
def test_the_other_side_of_the_sky_does_not_project(cards: dict[str, Any]) -> None:
    """A tangent projection mirrors it onto the image, where nothing forbids it."""
    wcs = _read(cards)
    assert np.isnan(_pair(wcs.world_to_pixel(190.0, -20.0))).all()
    assert np.isnan(_pair(wcs.world_to_pixel([190.0, 100.0], [-20.0, 0.0]))).all()
    assert np.isnan(WcsBank([wcs, wcs]).world_to_pixel(190.0, -20.0)).all()
    assert wcs.includes(190.0, -20.0, 100, 100) is False
    assert wcs.includes(10.0, 20.0, 100, 100) is True
    assert np.asarray(wcs.includes([190.0, 10.0], [-20.0, 20.0], 100, 100)).tolist() == [False, True]


@pytest.mark.parametrize("lat", [90.0, -90.0, 89.99, 0.0])
@pytest.mark.parametrize("lon", [0.0, 359.99999, 123.0])
@pytest.mark.parametrize("extra", [{}, {"LONPOLE": 180.0}, {"LONPOLE": 30.0, "LATPOLE": 12.0}])
def test_poles_and_right_ascension_zero(lon: float, lat: float, extra: dict[str, float]) -> None:
    """Oracle: astropy's WCS."""
    cards = TAN | {"CRVAL1": lon, "CRVAL2": lat} | extra
    x, y = (c.ravel() for c in np.meshgrid(np.linspace(0, 99, 12), np.linspace(0, 99, 12)))
    ra, dec = _read(cards).pixel_to_world(x, y)
    true = WCS(fits.Header(cards)).all_pix2world(x, y, 0)
    assert (separation(ra, dec, *true) / 1e-4).max() < 1e-9
    np.testing.assert_allclose(_pair(_read(cards).world_to_pixel(*true)), np.stack((x, y)), rtol=0, atol=2e-9)


@pytest.mark.skipif(bool(np.finfo(np.longdouble).eps > 1e-18), reason="no numbers of extended precision here")
@pytest.mark.parametrize("center", [(338.2, -60.5), (150.1, 2.2), (12.0, 89.95), (359.9999, -33.0)])
def test_truth_to_a_billionth_of_a_pixel(center: tuple[float, float]) -> None:
    """Oracle: the formulas of Calabretta and Greisen 2002, section 5.1.3, in extended precision."""
    scale, degree = 3e-5, np.longdouble("3.14159265358979323846") / 180
    cards = TAN | {"CRVAL1": center[0], "CRVAL2": center[1], "CD1_1": -scale, "CD2_2": scale}
    wcs = _read(cards)
    ra, dec = _pair(wcs.pixel_to_world(*np.random.default_rng(7).uniform(0, 1000, (2, 300))))
    turn, lat = (np.longdouble(1) * ra - np.longdouble(center[0])) * degree, np.longdouble(1) * dec * degree
    sin, cos = np.sin(np.longdouble(center[1]) * degree), np.cos(np.longdouble(center[1]) * degree)
    depth = np.sin(lat) * sin + np.cos(lat) * cos * np.cos(turn)
    x = -np.cos(lat) * np.sin(turn) / depth / degree / np.longdouble(scale) + 49.5
    north = np.sin(lat) * cos - np.cos(lat) * sin * np.cos(turn)
    y = north / depth / degree / np.longdouble(scale) + 59.5
    found = _pair(wcs.world_to_pixel(ra, dec))
    assert np.abs(found - np.stack((x, y))).max() < 1e-9


def test_positions_are_taken_in_any_turn() -> None:
    wcs = _read(TAN | {"CRVAL1": 0.001})
    expected = _pair(wcs.world_to_pixel(359.999, 20.0))
    np.testing.assert_allclose(_pair(wcs.world_to_pixel(-0.001, 20.0)), expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(_pair(wcs.world_to_pixel(719.999, 20.0)), expected, rtol=0, atol=1e-8)


KINDS = {
    "a projection that is not TAN": {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"},
    "lookup tables": {"CPDIS1": "LOOKUP"},
    "detector tables": {"D2IMDIS1": "LOOKUP"},
    "B1950": {"RADESYS": "FK4"},
    "B1950 by its equinox": {"EQUINOX": 1950.0, "RADESYS": ""},
    "another unit": {"CUNIT1": "arcsec", "CUNIT2": "arcsec"},
    "a pole given by PV": {"PV1_3": 170.0},
    "the matrix of an old draft": {"CD1_1": None, "CD2_2": None, "PC001001": 1.0},
    "no inverse": {"CD1_1": 0.0},
    "a reference beyond the pole": {"CRVAL2": 91.0},
    "a pole that is undefined": {"LONPOLE": 999.0},
    "SIP of an order without terms": SIP | {"A_ORDER": 1, "B_ORDER": 1},
    "SIP without its origin": SIP | {"CRPIX2": None},
    "SIP of one axis": SIP | {"B_ORDER": 0},
    "TPV without its linear term": TPV | {"PV2_1": None},
    "TPV before CDELT": TPV | {"CD1_1": None, "CD2_2": None, "CDELT1": -1e-4, "CDELT2": 1e-4},
    "TPV with a term that does not exist": TPV | {"PV1_40": 1.0},
    "TPV with its axes exchanged": TPV | {"CTYPE1": "DEC--TPV", "CTYPE2": "RA---TPV"},
}


@pytest.mark.parametrize("cards", KINDS.values(), ids=KINDS.keys())
def test_other_kinds_are_left_to_astropy(cards: dict[str, Any]) -> None:
    merged = {name: value for name, value in (TAN | cards).items() if value is not None}
    assert FastWCS.from_text(_text(TAN)) is not None
    assert FastWCS.from_text(_text(merged)) is None


@pytest.mark.parametrize("text", ["", "nonsense", "CTYPE1  = 'RA---TAN", "CRVAL1  = abc", "HISTORY of it"])
def test_text_that_is_no_header_is_not_taken(text: str) -> None:
    assert FastWCS.from_text(text) is None


def test_cards_are_read_as_fits_writes_them() -> None:
    """Oracle: the same numbers written plainly."""
    text = _text(TAN)
    plain = FastWCS.from_text(text)
    for old, new in {"-0.0001": "-1.0D-04", "10.0": "+1.E1 / comment's", "'ICRS    '": "'ICRS' / a"}.items():
        assert old in text
        text = text.replace(old, new)
    text += "\nMJD-OBS =  5.0\nMJD-OBS =  5.0 / twice\n" + " " * 80
    read = FastWCS.from_text(text)
    assert plain is not None
    assert read is not None
    assert (read.plane, read.pixels) == (plain.plane, plain.pixels)
    assert FastWCS.from_text(text + "\nCRVAL1  = 11.0") is None, "two values"


ODD = {
    "a comment with an equals sign": ("10.0", "10.0 / RA = east"),
    "a comment with a quote": ("10.0", "10.0 / the catalogue's"),
    "text with a slash": ("'ICRS    '", "'ICRS    ' / of 12/31"),
    "text with an equals sign": ("'ICRS    '", "'ICRS    ' / = FK5?"),
    "a number in quotes": ("10.0", "'10.0    '"),
    "FORTRAN's exponent": ("10.0", "1.0D1"),
    "no blanks before the value": (" " * 16 + "10.0", "10.0"),
    "blank cards": ("CRVAL1  =", "\nCRVAL1  ="),
}
"""Cards that mean the same as the plain ones: what they are instead of."""


@pytest.mark.parametrize(("old", "new"), ODD.values(), ids=ODD.keys())
def test_odd_cards_mean_what_plain_ones_do(old: str, new: str) -> None:
    """Oracle: the plain ones."""
    text = _text(TPV | {"PV1_2": 0.01})
    assert old in text
    read, plain = (FastWCS.from_text(t) for t in (text.replace(old, new), text))
    assert read is not None
    assert plain is not None
    assert (read.plane, read.pixels) == (plain.plane, plain.pixels)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("'ICRS    '", "'ICRS"),
        ("10.0", "inf"),
        ("10.0", "ten"),
        ("CRVAL1  = ", "CRVAL1  =-"),
        ("CRVAL1  =", "CRVAL1 ="),
        ("0.1", "nan"),
        ("CRVAL1", "CRVAL9"),
    ],
)
def test_damaged_cards_are_left_to_astropy(old: str, new: str) -> None:
    text = _text(TPV)
    assert old in text
    assert FastWCS.from_text(text.replace(old, new)) is None


FRAMES = [
    Frame(name="icrs"),
    Frame(name="fk5", equinox=2000.0),
    Frame(name="fk5", equinox=1975.0),
    Frame(name="galactic"),
    Frame(name="supergalactic"),
    Frame(name="ecliptic"),
]


@pytest.mark.parametrize("frame", FRAMES, ids=str)
def test_axes_of_frames(frame: Frame) -> None:
    """Oracle: astropy's SkyCoord."""
    there = SkyCoord([0, 90, 0], [0, 0, 90], unit="deg", frame=make_astropy_frame(frame)).icrs
    np.testing.assert_allclose(find_axes(frame), to_vectors(there.ra.deg, there.dec.deg), rtol=0, atol=2e-15)


@pytest.mark.parametrize("cards", [TAN, SIP, TPV])
def test_cutouts_keep_their_sky_and_lend_astropy_theirs(cards: dict[str, Any]) -> None:
    """Oracle: astropy's WCS of the whole image at moved pixels."""
    moved = _read(cards).shifted(12, -7).shifted(-2, 0)
    true = WCS(fits.Header(cards)).all_pix2world(30.0, 40.0, 0)
    assert separation(*moved.pixel_to_world(20.0, 47.0), *true) < 1e-12
    assert separation(*moved.get_astropy_wcs().all_pix2world(20.0, 47.0, 0), *true) < 1e-12
    assert moved.to_fits_header()["CRPIX1"] == 40.5
    assert moved.origin == (10, -7)


def test_nothing_can_be_changed() -> None:
    wcs = _read(TAN)
    with pytest.raises(dataclasses.FrozenInstanceError):
        wcs.origin = (1, 1)  # type: ignore[misc]


def test_nothing_of_astropy_is_loaded() -> None:
    code = (
        "import sys\nfrom snapdb.sky.fast.evaluator import FastWCS\n"
        f"for radesys in ('ICRS', 'FK5 '):\n    text = {_text(TAN)!r}.replace('ICRS', radesys)\n"
        "    FastWCS.from_text(text).world_to_pixel(10.0, 20.0)\n"
        "print([name for name in sys.modules if name.startswith('astropy')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_bank_of_none_and_of_many() -> None:
    """Oracle: each image on its own."""
    x, y = WcsBank([]).world_to_pixel(1.0, 2.0)
    assert (x.shape, y.shape) == ((0,), (0,))
    curved = TPV | {"PV1_3": 1e-3, "PV2_7": 0.2, "PV2_11": 0.1}
    kinds = [
        TAN,
        SIP,
        TPV,
        SIP | {"A_ORDER": 4, "A_1_3": 1e-10},
        curved,
        TAN | {"CRVAL1": 190.0, "CRVAL2": -20.0},
    ]
    many = [_read(cards).shifted(i, 2 * i) for cards in kinds for i in range(5)]
    bank = WcsBank(many)
    x, y = bank.world_to_pixel(10.001, 20.002)
    alone = np.array([one.world_to_pixel(10.001, 20.002) for one in many])
    np.testing.assert_allclose(np.stack((x, y), axis=1), alone, rtol=0, atol=1e-10)
    assert np.isnan(x[-5:]).all()
    assert np.isfinite(x[:-5]).all()
    assert len(bank) == 30
    inside = bank.includes(10.001, 20.002, np.full(30, 100), np.full(30, 78))
    assert inside.tolist() == [one.includes(10.001, 20.002, 100, 78) for one in many]
    assert 0 < inside.sum() < 25


def _celestial_headers() -> Iterator[tuple[str, fits.Header]]:
    """Name and header of every image HDU in the real files."""
    for path in sorted(DATA.rglob("*")):
        if not any(part in path.name for part in (".fits", ".fit", ".fz")) or path.parent.name == "made":
            continue
        try:
            with fits.open(path) as hdus:
                for number, hdu in enumerate(hdus):
                    header = hdu.header
                    if hdu.is_image and header["NAXIS"] >= 2 and header["NAXIS1"] * header["NAXIS2"] > 0:
                        yield f"{path.relative_to(DATA)}[{number}]", header
        except (OSError, ValueError):
            continue  # files that astropy cannot open are the subject of other tests


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real images is not there")
@pytest.mark.filterwarnings("ignore")  # headers of real images warn about their own faults
def test_every_real_header() -> None:
    """Oracle: astropy's WCS of the mended cards, both ways, and its own change of frame."""
    rng = np.random.default_rng(4)
    kinds: dict[str, int] = {}
    left = []
    for name, header in _celestial_headers():
        try:
            text = wcs_text(header)
            AstropyWCS.from_text(text)
        except ProjectionError:
            continue
        fast = FastWCS.from_text(text)
        if fast is None:
            left.append(f"{name} {header['CTYPE1']}")
            continue
        x, y = rng.uniform(-0.5, header["NAXIS1"] - 0.5, 40), rng.uniform(-0.5, header["NAXIS2"] - 0.5, 40)
        true = _oracle(text, x, y)
        scale = fast.pixels.scale
        # Degrees near 360 are rounded to 6e-14, which is more than 1e-9 of the smallest pixels.
        limit = 1e-9 + 1e-13 / scale
        assert (separation(*fast.pixel_to_world(x, y), *true) / scale).max() < limit, name
        found = _pair(fast.world_to_pixel(*true))
        assert np.abs(found - np.stack((x, y))).max() < limit, name
        kind = header["CTYPE1"][5:8] + (" SIP" if fast.pixels.sip else "")
        kinds[kind] = kinds.get(kind, 0) + 1
    assert sum(kinds.values()) > 100, kinds
    assert {"TAN", "TAN SIP", "TPV"} <= set(kinds)
    tangent = [item for item in left if item.split()[-1][5:8] in ("TAN", "TPV")]
    assert len(tangent) <= 5, tangent


def _oracle(text: str, x: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
    """ICRS degrees by astropy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs = AstropyWCS.from_text(text).get_astropy_wcs()
    world = wcs.all_pix2world(np.stack((x, y), axis=1), 0)
    frame = wcs_to_celestial_frame(wcs)
    true = SkyCoord(world[:, wcs.wcs.lng], world[:, wcs.wcs.lat], unit="deg", frame=frame).icrs
    return true.ra.deg, true.dec.deg

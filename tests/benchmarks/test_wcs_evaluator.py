"""What a position costs with the small evaluator and with astropy, from the cards on, side by side."""

import timeit
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy.io import fits  # the peer reads the header
from astropy.wcs import WCS

from snapdb.sky.fast.bank import WcsBank
from snapdb.sky.fast.evaluator import FastWCS
from snapdb.sky.wcs import AstropyWCS, wcs_text

pytestmark = pytest.mark.benchmark
IMAGES = 2000


def _cards(kind: str) -> fits.Header:
    """A header with the distortion of a wide camera: SIP of order 4, or TPV of order 3."""
    suffix = {"TAN": "-TAN", "SIP": "-TAN-SIP", "TPV": "-TPV"}[kind]
    header = fits.Header({"CTYPE1": f"RA--{suffix}", "CTYPE2": f"DEC-{suffix}", "RADESYS": "ICRS"})
    header.update({"CRVAL1": 150.1, "CRVAL2": 2.2, "CRPIX1": 2044.5, "CRPIX2": 2044.5})
    header.update({"CD1_1": -3.0e-5, "CD1_2": 1e-6, "CD2_1": 1e-6, "CD2_2": 3.0e-5})
    rng = np.random.default_rng(11)
    if kind == "SIP":
        for letter in "AB":
            header[f"{letter}_ORDER"] = 4
            powers = [(p, q) for p in range(5) for q in range(5 - p) if p + q > 1]
            header.update({f"{letter}_{p}_{q}": rng.normal() * 3.0 / 2044.0 ** (p + q) for p, q in powers})
    if kind == "TPV":
        for axis in (1, 2):
            header.update({f"PV{axis}_1": 1.0})
            header.update({f"PV{axis}_{k}": rng.normal() * 1e-3 for k in (0, 2, 4, 5, 6, 7, 8, 9, 10)})
    return header


def _microseconds(call: Callable[[], Any], times: int) -> float:
    """Measure one call: the median of seven rounds."""
    rounds = timeit.repeat(call, number=times, repeat=7)
    return float(np.median(rounds)) / times * 1e6


def _tell(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Print, whatever pytest does with what is printed."""
    with capsys.disabled():
        print(f"\n{line}", end="")  # noqa: T201  # the benchmark's result


@pytest.mark.parametrize("kind", ["TAN", "SIP", "TPV"])
def test_building_and_one_position(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Build from the cards, then find one pixel; the peer is astropy on the same cards."""
    header = _cards(kind)
    text = wcs_text(header)
    ra, dec = (float(c) for c in WCS(header).all_pix2world(1000.0, 3000.0, 0))

    def fast() -> Any:
        wcs = FastWCS.from_text(text)
        assert wcs is not None
        return wcs.world_to_pixel(ra, dec)

    def peer() -> Any:
        wcs = WCS(fits.Header.fromstring("\n".join(c.ljust(80) for c in text.split("\n")), sep="\n"))
        return wcs.all_world2pix(ra, dec, 0, tolerance=1e-9)

    np.testing.assert_allclose(fast(), (1000.0, 3000.0), rtol=0, atol=1e-8)
    np.testing.assert_allclose(np.array(peer()), (1000.0, 3000.0), rtol=0, atol=1e-7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own, other = _microseconds(fast, 50), _microseconds(peer, 3)
        general = _microseconds(lambda: AstropyWCS.from_text(text).world_to_pixel(ra, dec), 3)
    one = FastWCS.from_text(text)
    assert one is not None
    position = _microseconds(lambda: one.world_to_pixel(ra, dec), 500)
    _tell(
        capsys,
        f"{kind}: build + one position {own:.0f} us ({position:.1f} us the position); astropy "
        f"{other:.0f} us, {other / own:.0f}x; AstropyWCS {general:.0f} us, {general / own:.0f}x",
    )
    assert other > 5 * own


@pytest.mark.parametrize("kind", ["TAN", "SIP", "TPV"])
def test_many_positions(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred thousand positions of one image."""
    header = _cards(kind)
    one, peer = FastWCS.from_text(wcs_text(header)), WCS(header)
    assert one is not None
    x, y = np.random.default_rng(3).uniform(0, 4088, (2, 100_000))
    ra, dec = peer.all_pix2world(x, y, 0)
    found = np.array(one.world_to_pixel(ra, dec), dtype=np.float64)
    assert np.abs(found - np.stack((x, y))).max() < 1e-8
    own = _microseconds(lambda: one.world_to_pixel(ra, dec), 1)
    other = _microseconds(lambda: peer.all_world2pix(ra, dec, 0), 1)
    ways = f"{own / 1e3:.1f} ms, astropy {other / 1e3:.1f} ms, {other / own:.1f}x"
    _tell(capsys, f"{kind}: 100,000 positions {ways}")
    assert own < 2 * other


@pytest.mark.parametrize("kind", ["TAN", "SIP", "TPV"])
def test_many_images(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One position in two thousand images; the peer is one astropy WCS, built already, for each."""
    header = _cards(kind)
    one, peer = FastWCS.from_text(wcs_text(header)), WCS(header)
    assert one is not None
    many = [one.shifted(i % 40 - 20, i // 40 - 25) for i in range(IMAGES)]
    bank = WcsBank(many)
    ra, dec = (float(c) for c in peer.all_pix2world(1000.0, 3000.0, 0))
    x, y = bank.world_to_pixel(ra, dec)
    expected = np.array([one.origin for one in many]).T
    np.testing.assert_allclose(x, 1000.0 - expected[0], rtol=0, atol=1e-8)
    np.testing.assert_allclose(y, 3000.0 - expected[1], rtol=0, atol=1e-8)
    own = _microseconds(lambda: bank.world_to_pixel(ra, dec), 5)
    other = _microseconds(lambda: peer.all_world2pix(ra, dec, 0), 20) * IMAGES
    built = _microseconds(lambda: WcsBank(many), 1)
    ways = f"{own / 1e3:.2f} ms (bank made in {built / 1e3:.1f} ms), astropy {other / 1e3:.0f} ms"
    _tell(capsys, f"{kind}: {IMAGES} images at one position {ways}, {other / own:.0f}x")
    assert other > 10 * own

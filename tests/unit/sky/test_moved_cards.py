"""Cards of cutouts, against astropy's reading of the image's own."""

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.wcs import WCS

from snapdb.pixels.box import Box
from snapdb.sky.align import make_grid, make_grid_cards, sample_nearest
from snapdb.sky.moved_cards import move_cards

TAN = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 0.01, "CRVAL2": -30.0, "CRPIX1": 100.5}
TAN |= {"CRPIX2": 1e2, "CD1_1": -1e-4, "CD1_2": 2e-5, "CD2_1": 2e-5, "CD2_2": 1e-4}
SIP = TAN | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2}
SIP |= {"A_2_0": 1e-5, "B_1_1": -2e-5}
TPV = TAN | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_0": 0.0, "PV1_1": 1.0, "PV1_4": 0.02}
TPV |= {"PV2_1": 1.0, "PV2_5": 0.01}
BARE = {name: value for name, value in TAN.items() if not name.startswith("CRPIX")}


@pytest.mark.parametrize("cards", [TAN, SIP, TPV, BARE])
def test_positions_are_those_of_the_image(cards: dict[str, object]) -> None:
    header = Header({"NAXIS": 2, "NAXIS1": 300, "NAXIS2": 200, **cards})
    box = Box(-7, 41, 20, 31)
    for text in (header.tostring(sep="\n"), "\n".join(str(c).rstrip() for c in header.cards)):
        moved = move_cards(text, box)
        assert {len(card) for card in moved.split("\n")} == {80}
        own = Header.fromstring(moved, sep="\n")
        assert (own["NAXIS1"], own["NAXIS2"]) == (20, 31)
        x, y = np.meshgrid(np.arange(20.0), np.arange(31.0))
        want = WCS(header).all_pix2world(x + box.x0, y + box.y0, 0)
        np.testing.assert_allclose(WCS(own).all_pix2world(x, y, 0), want, rtol=0, atol=1e-12)


def test_a_common_grid_is_north_up_about_its_position() -> None:
    wcs = WCS(Header.fromstring(make_grid_cards(10.0, -60.0, 0.5, 21, 12), sep="\n"))
    assert wcs.all_pix2world(10.0, 5.5, 0) == pytest.approx([10.0, -60.0], abs=1e-12)
    ra, dec = wcs.all_pix2world([10.0, 9.0], [6.5, 5.5], 0)
    assert ra[0] == pytest.approx(10.0, abs=1e-12)
    assert (dec[0] + 60.0) * 3600 == pytest.approx(0.5, rel=1e-9)
    assert (ra[1] - 10.0) * 3600 * np.cos(np.radians(60.0)) == pytest.approx(0.5, rel=1e-6)
    x, y = make_grid(10.0, -60.0, 0.5, 21, 12).world_to_pixel(10.0, -60.0)
    assert (x, y) == pytest.approx((10.0, 5.5), abs=1e-9)


def test_the_nearest_pixel_is_the_one_that_a_position_lies_in() -> None:
    plane = np.arange(12, dtype=np.uint16).reshape(3, 4)
    x = np.array([[-0.5, 0.49, 0.5, 3.49], [3.5, np.nan, -0.51, 1.0]])
    y = np.array([[0.0, 0.0, 1.0, 2.49], [0.0, 0.0, 0.0, 2.5]])
    assert sample_nearest(plane, x, y, 77).tolist() == [[0, 0, 5, 11], [77, 77, 77, 77]]
    assert sample_nearest(plane, x, y, 77).dtype == np.uint16

"""What instruments call their flags, and which are bad; files are made with astropy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from snapdb.archive.image import Image
from snapdb.errors import ConfigError, UsageError
from snapdb.formats.schema import check_document

BITS = (1, 2, 4, 16, 64, 256, 8192, 16384)


def write(path: Path, **cards: str) -> Path:
    """Write an image of which one pixel has each bit."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [10, 20], [-1e-4, 1e-4]
    flags = np.zeros((10, 10), dtype=np.int32)
    flags[0, : len(BITS)] = BITS
    ones = np.ones((10, 10), dtype=np.float32)
    hdus = fits.HDUList([fits.PrimaryHDU()])
    hdus[0].header.update({"FILTER": "F200W", "EXPTIME": 10.0, **cards})
    for name, plane in (("SCI", ones), ("ERR", ones), ("DQ", flags)):
        hdus.append(fits.ImageHDU(plane, wcs.to_header(), name=name))
        hdus[-1].header["EXTVER"] = 1
    hdus["SCI"].header["BUNIT"] = "MJy/sr"
    hdus.writeto(path)
    return path


# Bits that are good by the handbooks and the pipelines' own rules, of those above.
GOOD: list[tuple[dict[str, str], str, set[int]]] = [
    ({"TELESCOP": "HST", "INSTRUME": "ACS", "DETECTOR": "WFC"}, "hst", {16, 64}),
    ({"TELESCOP": "HST", "INSTRUME": "WFC3", "DETECTOR": "UVIS"}, "hst", {16, 64}),
    ({"TELESCOP": "HST", "INSTRUME": "WFC3", "DETECTOR": "IR"}, "hst", {16, 64, 8192}),
    ({"TELESCOP": "JWST", "INSTRUME": "NIRCAM"}, "jwst", set(BITS) - {1}),
    ({"TELESCOP": "ROMAN", "INSTRUME": "WFI"}, "roman", set(BITS) - {1}),
    ({"TELESCOP": "HST", "INSTRUME": "WFPC2"}, "hst", set()),
]


@pytest.mark.parametrize(("cards", "instrument", "good"), GOOD, ids=lambda v: str(v)[:40])
def test_bad_pixels_are_those_of_the_instrument(
    tmp_path: Path, cards: dict[str, str], instrument: str, good: set[int]
) -> None:
    image = Image(write(tmp_path / "image.fits", **cards))
    assert image.instrument == instrument
    assert image.fraction_masked() == pytest.approx((len(BITS) - len(good)) / 100)
    assert image.fraction_masked(0) == pytest.approx(len(BITS) / 100)
    assert image.fraction_masked([]) == 0.0
    assert image.fraction_masked("4,16") == pytest.approx(0.02)
    assert image.fraction_masked("~4,16") == pytest.approx(0.06)


def test_flags_go_by_their_names(tmp_path: Path) -> None:
    image = Image(write(tmp_path / "image.fits", TELESCOP="HST", INSTRUME="ACS", DETECTOR="WFC"))
    assert image.fraction_masked("HOT,warm") == pytest.approx(0.02)
    assert image.fraction_masked(["HOT", "SATURATED", 4]) == pytest.approx(0.03)
    with pytest.raises(UsageError, match="did you mean SATURATED"):
        image.fraction_masked("SATURATD")
    image.flags = None
    assert image.fraction_masked("HOT") == 0.0


def test_every_bad_flag_of_a_map_has_a_bit() -> None:
    from snapdb.formats.maps import load_maps

    seen = 0
    for header_map in load_maps():
        rule: dict[str, Any] = dict(header_map.rules.get("flags", {}))
        for part in (rule, *rule.get("sets", ())):
            if part.get("bits"):
                assert set(part.get("bad", ())) <= set(part["bits"]), header_map.name
                assert all(bit & (bit - 1) == 0 for bit in part["bits"].values()), header_map.name
                seen += 1
        assert set(rule.get("good", ())) <= set(rule.get("codes", {})), header_map.name
    assert seen > 6


def test_flag_sets_are_checked() -> None:
    with pytest.raises(ConfigError, match="sets"):
        check_document({"name": "x", "flags": {"sets": {"bits": {}}}}, "x.toml")

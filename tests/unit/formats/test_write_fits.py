"""Files that snapdb writes, read back by astropy and by snapdb itself."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from snapdb.errors import CorruptFileError, ShapeError
from snapdb.formats.describe import describe
from snapdb.formats.header import crop_header, make_header, read_header
from snapdb.formats.read import read_box
from snapdb.formats.write import to_fits_bytes, write_fits
from snapdb.pixels.box import Box

BITS = {"SATURATED": 1, "COSMIC": 4, "NO_DATA": 64}
FACTS: dict[str, Any] = {
    "observation_id": "obs-1",
    "sca": 7,
    "band": "F105W",
    "mjd": 60123.456789012,
    "exptime": 12.5,
    "zeropoint": 26.2687,
    "sky_level": 3.5,
    "data_units": "rate",
    "kind": "cutout",
    "instrument": "hst",
}


def sip_header() -> fits.Header:
    header = fits.Header()
    cards = {
        "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CRVAL1": 0.001, "CRVAL2": 45.0, "CRPIX1": 20.0,
        "CRPIX2": 15.0, "CD1_1": -1e-4, "CD1_2": 1e-5, "CD2_1": 1e-5, "CD2_2": 1e-4, "RADESYS": "ICRS",
        "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "B_0_2": -2e-5, "A_0_2": 3e-6, "B_2_0": 1e-6,
    }  # fmt: skip
    header.update(cards)
    return header


def planes(kind: str = "f4") -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(8)
    data = rng.normal(size=(30, 40)).astype(kind)
    data[0, 0] = np.nan
    return {"data": data, "noise": np.abs(data) + 1, "flags": rng.integers(0, 128, (30, 40)).astype("u2")}


def test_written_planes_come_back_with_their_facts_and_coordinates(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    given = planes()
    with path.open("wb") as out:
        write_fits(
            out,
            given,
            make_header(sip_header(), FACTS),
            flag_bits=BITS,
            extra={"PROVID": ("x-1", "Provenance")},
        )
    (found,) = describe(path)
    for name, value in FACTS.items():
        if name != "instrument":
            assert getattr(found.facts, name) == value, name
    assert found.facts.instrument == "standard"
    assert found.facts.flag_bits == BITS
    for plane in found.planes:
        got = read_box(plane.path, plane.layout, Box(0, 0, 40, 30))
        assert got.tobytes() == given[plane.layout.name].tobytes()
    with fits.open(path, checksum=True) as hdus:
        assert [h.name for h in hdus] == ["PRIMARY", "SCI", "ERR", "DQ"]
        assert hdus[0].header["PROVID"] == "x-1"
        assert hdus[0].header["SDBVERS"]
        assert all("CHECKSUM" in h.header and "DATASUM" in h.header for h in hdus)
        want = WCS(sip_header()).all_pix2world([[3.0, 25.0]], 0)
        for hdu in hdus[1:]:
            assert np.allclose(WCS(hdu.header).all_pix2world([[3.0, 25.0]], 0), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4", "f8", "bool", "f2"])
def test_every_type_comes_back(kind: str) -> None:
    array = (np.arange(12).reshape(3, 4) % 2).astype(kind)
    with fits.open(io.BytesIO(to_fits_bytes({"data": array}))) as hdus:
        assert np.array_equal(hdus["SCI"].data, array)


def test_planes_that_do_not_fit_are_refused() -> None:
    for bad in ({}, {"data": np.zeros(3)}, {"data": np.zeros((3, 3)), "noise": np.zeros((3, 4))}):
        with pytest.raises(ShapeError):
            to_fits_bytes(bad)


def test_a_cutouts_header_leads_back_to_its_parent() -> None:
    parent = sip_header()
    parent["NAXIS1"], parent["BSCALE"], parent["CHECKSUM"], parent["OBSERVER"] = 40, 2.0, "x", "Me"
    moved = sip_header()
    moved["CRPIX1"], moved["CRPIX2"] = 10.0, 12.0
    first = crop_header(parent, moved, Box(10, 3, 8, 6))
    assert (first["NAXIS1"], first["NAXIS2"], first["CRPIX1"], first["OBSERVER"]) == (8, 6, 10.0, "Me")
    assert "BSCALE" not in first
    assert "CHECKSUM" not in first
    second = crop_header(first, None, Box(2, 1, 3, 3))
    # IRAF's convention: x_here = LTM * x_parent + LTV, and so minus the start of the box.
    assert (second["LTV1"], second["LTV2"]) == (-12.0, -4.0)
    assert parent["BSCALE"] == 2.0


def test_headers_are_read_as_the_image_has_them(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    hdu = fits.CompImageHDU(np.zeros((30, 40), "i2"), sip_header())
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    header = read_header(path, 1)
    assert (header["NAXIS"], header["NAXIS1"], header["NAXIS2"], header["A_2_0"]) == (2, 40, 30, 1e-5)
    assert "ZIMAGE" not in header
    assert "TTYPE1" not in header
    with pytest.raises(CorruptFileError, match="no HDU 5"):
        read_header(path, 5)


def test_a_card_that_astropy_cannot_read_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((3, 4)), fits.Header({"GOOD": 1, "WORSE": 2})).writeto(path)
    raw = path.read_bytes().replace(b"WORSE   =                    2", b"CONTINUE  3                   ")
    path.write_bytes(raw)
    header = read_header(path, 0)
    assert header["GOOD"] == 1
    assert len(list(header.items())) == len(header)

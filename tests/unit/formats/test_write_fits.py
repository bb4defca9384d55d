"""Files that snapdb writes, read back by astropy and by snapdb itself."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from snapdb.errors import CorruptFileError, ShapeError
from snapdb.formats.describe import describe, describe_plane
from snapdb.formats.header import crop_header, make_header, read_header, with_facts, with_plain_wcs
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
    hdu.header["ZPT"], hdu.header["TEMPS1"] = 25.0, 270.0
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    header = read_header(path, 1)
    assert (header["NAXIS"], header["NAXIS1"], header["NAXIS2"], header["A_2_0"]) == (2, 40, 30, 1e-5)
    assert "ZIMAGE" not in header
    assert "TTYPE1" not in header
    assert (header["ZPT"], header["TEMPS1"]) == (25.0, 270.0)
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


def decoys() -> fits.Header:
    """The original's cards that other maps, or the original's own, would read."""
    header = sip_header()
    header.update({
        "INSTRUME": "DECam", "FILTER": "r DECam SDSS c0002 6415.0 1480.0", "MAGZERO": 29.9, "EXPOSURE": 90.0,
        "MJD-OBS": 57828.25, "OBSID": "other", "CCDNUM": 33, "AVSKY": 77.0, "BUNIT": "ELECTRONS/S",
        "EXPTIME": 90.0, "BAND": "z", "ZPT": 12.0, "SKYLEVEL": 5.0, "POINTING": "p", "SCA": 3, "MJD": 57828.2,
    })  # fmt: skip
    header["HIERARCH MP_OLD"] = 9
    return header


@pytest.mark.parametrize(
    "text",
    [
        "r\u00e9",
        "\u65e5\u672c",
        "a\nb",
        "\U0001f52d 7",
        "C:\\x41\\new",
        "a\\xe9 \\u65e5 \\x5c",
        "\u00b5" * 40,
    ],
)
def test_text_that_a_card_cannot_hold_comes_back(tmp_path: Path, text: str) -> None:
    """Oracle: what was written; FITS cards hold printable ASCII alone (FITS Standard 4.0, 4.2.1)."""
    path = tmp_path / "a.fits"
    facts = {**FACTS, "band": text, "observation_id": text}
    with path.open("wb") as out:
        write_fits(out, planes(), with_facts(sip_header(), facts))
    (found,) = describe(path)
    assert (found.facts.band, found.facts.observation_id) == (text, text)


@pytest.mark.parametrize("known", [True, False])
def test_a_saved_file_says_what_was_set_not_what_the_original_said(tmp_path: Path, *, known: bool) -> None:
    unset: dict[str, Any] = {**dict.fromkeys(FACTS), "data_units": "counts", "kind": "anything at all"}
    facts = {**FACTS, "mjd": 60000.0, "zeropoint": 0.0, "kind": "exposure"} if known else unset
    path = tmp_path / "c4d_1_ooi_z.fits"
    given = {**planes(), "weight": planes()["data"], "samples": planes()["data"]}
    with path.open("wb") as out:
        write_fits(out, given, with_facts(decoys(), facts), flag_bits=BITS)
    (found,) = describe(path)
    assert {n: getattr(found.facts, n) for n in facts if n != "instrument"} == {
        n: v for n, v in facts.items() if n != "instrument"
    }
    assert found.facts.flag_bits == BITS
    assert [p.layout.name for p in found.planes] == list(given)


def test_noise_saved_to_a_file_of_its_own_is_noise_whatever_the_names_say(tmp_path: Path) -> None:
    """By the names of DECam's pipeline the second file is an inverse variance."""
    data, noise = tmp_path / "c4d_1_ooi_z.fits", tmp_path / "c4d_1_oow_z.fits"
    given = planes()
    header = make_header(sip_header(), FACTS)
    data.write_bytes(to_fits_bytes({"data": given["data"]}, header))
    noise.write_bytes(to_fits_bytes({"noise": given["noise"]}, header))
    (found,) = describe(data, companions=[noise])
    plane = describe_plane(noise, name="noise", like=found)
    for one in (found.planes[1], plane):
        got = read_box(one.path, one.layout, Box(0, 0, 40, 30))
        assert np.array_equal(got, given["noise"], equal_nan=True)


def test_times_of_another_scale_do_not_stay_beside_utc() -> None:
    times = {"DATE-BEG": "2024-03-01T00:01:09", "MJD-BEG": 60370.0008, "MJD-END": 60370.1, "TSTART": 1.0}
    header = sip_header()
    header.update({**times, "TIMESYS": "TDB", "DATE": "2024-05-01"})
    said = with_facts(header, FACTS)
    assert not set(times) & set(said)
    assert (said["TIMESYS"], said["MJD-OBS"], said["DATE"]) == ("UTC", FACTS["mjd"], "2024-05-01")
    assert header["TIMESYS"] == "TDB"
    untouched = with_facts(header, {**FACTS, "mjd": None})
    assert untouched["TIMESYS"] == "TDB"
    assert set(times) <= set(untouched)
    header["TIMESYS"] = "UTC approximate"
    assert set(times) <= set(with_facts(header, FACTS))


@pytest.mark.parametrize(
    ("mjd", "date", "timesys", "kept"),
    [
        (57466.32722222, "2016-03-19T07:51:12.0", "UTC", True),
        (53944.08983747, "2006-07-28T02:09:22.0", "UTC approximate", True),
        (57372.7644094, "2015-12-16T18:20:48.907", "UTC", False),
        (57466.32722222, "2016-03-19", "UTC", False),
        (57466.32722222, "2016-03-19T07:51:12.0Z", "UTC", False),
        (57466.32722222, "2016-03-19T07:51:12.0", "TAI", False),
    ],
)
def test_a_date_that_says_the_start_keeps_its_digits(
    tmp_path: Path, mjd: float, date: str, timesys: str, *, kept: bool
) -> None:
    """What a saved file says is read by astropy's Time; by snapdb it is the fact, to the last bit."""
    header = sip_header()
    header.update({"DATE-OBS": date, "MJD-OBS": mjd, "TIMESYS": timesys})
    said = with_facts(header, {**FACTS, "mjd": mjd})
    assert (said["DATE-OBS"] == date) is kept
    assert Time(said["DATE-OBS"]).mjd == pytest.approx(mjd, abs=(0.1 if kept else 1e-6) / 86400)
    path = tmp_path / "a.fits"
    path.write_bytes(to_fits_bytes(planes(), said))
    (found,) = describe(path)
    assert found.facts.mjd == mjd
    assert not any("apart" in w for w in found.warnings)


def test_each_keyword_is_written_once_and_nothing_of_the_originals_file() -> None:
    """Repeated cards as in real files: the first is the one that astropy reads."""
    header = sip_header()
    header.update({"DATE": "2013-03-22T012:00:00", "BLOCKED": True, "LONGSTRN": "OGIP 1.0", "OBSERVER": "Me"})
    for card in (("OBSERVER", "You"), ("PV2_1", 1.0), ("PV2_1", 1.0), ("CTYPE2A", "x"), ("CTYPE2A", "y")):
        header.append(card, end=True)
    header["COMMENT"] = "one"
    header["COMMENT"] = "one"
    with fits.open(io.BytesIO(to_fits_bytes(planes(), header))) as hdus:
        for hdu in hdus:
            names = [c.keyword for c in hdu.header.cards if c.keyword != "COMMENT"]
            assert len(names) == len(set(names))
            assert not {"DATE", "BLOCKED", "LONGSTRN"} & set(names)
            assert (hdu.header["OBSERVER"], len(hdu.header["COMMENT"])) == ("Me", 2)
    cropped = crop_header(header, header, Box(1, 1, 5, 5))
    assert (cropped.count("PV2_1"), "DATE" in cropped, "BLOCKED" in cropped) == (1, False, False)


def test_the_date_of_the_primary_header_keeps_its_digits_too() -> None:
    """As DECam's: DATE-OBS stands in the primary header, the image in an extension."""
    facts = {**FACTS, "mjd": 57466.32722222}
    assert with_facts(sip_header(), facts)["DATE-OBS"] == "2016-03-19T07:51:11.999808"  # of astropy
    said = with_facts(sip_header(), {**facts, "date_obs": "2016-03-19T07:51:12.0"})
    assert said["DATE-OBS"] == "2016-03-19T07:51:12.0"
    assert with_facts(sip_header(), {**facts, "date_obs": "2016-03-19"})["DATE-OBS"].endswith("999808")


def test_coordinates_of_a_plane_of_a_cube_are_those_of_two_axes() -> None:
    """astropy's WCS of the cube's first two axes is the oracle."""
    cube = fits.Header()
    cube.update({
        "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CTYPE3": "FREQ", "CTYPE4": "STOKES", "CRVAL1": 136.9,
        "CRVAL2": 14.0, "CRVAL3": 1.5e10, "CRVAL4": 1.0, "CRPIX1": 20.0, "CRPIX2": 15.0, "CRPIX3": 1.0,
        "CDELT1": -1e-3, "CDELT2": 1e-3, "CDELT3": 4e9, "CDELT4": 1.0, "CUNIT1": "deg", "CUNIT2": "deg",
        "PC001001": 0.8, "PC001002": -0.6, "PC002001": 0.6, "PC002002": 0.8, "PC001003": 0.0, "PC004004": 1.0,
        "RADESYS": "FK5", "EQUINOX": 2000.0, "OBSERVER": "Me",
    })  # fmt: skip
    plain = with_plain_wcs(cube)
    assert (plain["WCSAXES"], plain["OBSERVER"]) == (2, "Me")
    assert not [k for k in plain if k[5:6] in "34" and k.startswith(("CTYPE", "CRVAL", "CRPIX", "CDELT"))]
    assert not [k for k in plain if k.startswith("PC00") or k in ("PC1_3", "PC4_4")]
    pixels = [[3.0, 25.0], [30.0, 1.0]]
    got = WCS(plain).all_pix2world(pixels, 0)
    with pytest.warns(AstropyWarning, match="deprecated"):
        whole = WCS(cube)
    want = whole.celestial.all_pix2world(pixels, 0)
    assert np.allclose(got, want, rtol=0, atol=1e-12)
    assert cube["CTYPE3"] == "FREQ"


def test_coordinates_are_said_once_and_other_ones_stay() -> None:
    """CD beside PC, CROTA and CDELT = 1, as drizzled and WISE's images have it: CD holds."""
    header = sip_header()
    header.update({"CDELT1": 1.0, "CDELT2": 1.0, "PC1_1": 1.0, "PC2_2": 1.0, "CROTA2": 3.0, "WCSAXES": 2})
    header.update({"CRPIX1A": 3.0, "CTYPE1A": "LINEAR", "WCSNAMEA": "b", "RADECSYS": "FK5", "ZPT": 25.0})
    del header["RADESYS"]
    plain = with_plain_wcs(header)
    names = list(plain)
    assert not {"CDELT1", "PC1_1", "CROTA2", "RADECSYS"} & set(names)
    assert (plain["RADESYS"], plain["ZPT"], plain["CRPIX1A"], plain["WCSNAMEA"]) == ("FK5", 25.0, 3.0, "b")
    assert names.index("WCSAXES") == 0
    assert names.index("CRPIX1A") > names.index("B_2_0")
    assert all(plain[k] == header[k] for k in sip_header() if k != "RADESYS")
    assert list(with_plain_wcs(fits.Header({"OBSERVER": "Me"}))) == ["OBSERVER"]


def test_strings_over_several_cards_are_announced() -> None:
    long = {f"FLAG_WITH_A_LONG_NAME_{i}": 1 << i for i in range(9)}
    with fits.open(io.BytesIO(to_fits_bytes(planes(), sip_header(), flag_bits=long))) as hdus:
        assert [("CONTINUE" in str(h.header), "LONGSTRN" in h.header) for h in hdus] == [
            (False, False), (False, False), (False, False), (True, True),
        ]  # fmt: skip
        cards = [c.keyword for c in hdus["DQ"].header.cards]
        assert cards.index("LONGSTRN") < cards.index("SDBFLAGS")


def test_a_cutouts_header_keeps_no_other_coordinates() -> None:
    parent = sip_header()
    stale = {
        "AMDX1": 1.0, "AMDY13": 1.0, "PLTRAH": 1, "PLTLABEL": "x", "CNPIX1": 3, "XPIXELSZ": 25.0, "PPO3": 1.0,
        "WAT0_001": "x", "WAT1_001": "x", "WCSNAMEA": "b", "CRPIX1A": 1.0, "CD1_1A": 1.0, "CTYPE1P": "X",
    }  # fmt: skip
    parent.update({**stale, "DATE-OBS": "2024-03-01T00:00:00", "MJD-OBS": 60370.0})
    cropped = crop_header(parent, sip_header(), Box(1, 1, 5, 5))
    assert not set(stale) & set(cropped)
    assert (cropped["DATE-OBS"], cropped["MJD-OBS"]) == ("2024-03-01T00:00:00", 60370.0)


@pytest.mark.parametrize(
    "bits",
    [
        {"hot": 1, "Sat": 2},
        {"WITH SPACE": 4, "x=y": 8, "it's": 16},
        {"BIG": 1 << 40, "TWO": 3},
        {f"A_LONG_NAME_OF_A_FLAG_{i}": 1 << i for i in range(30)},
        {"\u00fcber": 1},
        {},
    ],
)
def test_flags_of_any_name_come_back(tmp_path: Path, bits: dict[str, int]) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(to_fits_bytes(planes(), decoys(), flag_bits=bits))
    (found,) = describe(path)
    assert found.facts.flag_bits == bits


def test_no_map_of_the_users_reads_what_snapdb_wrote(tmp_path: Path) -> None:
    theirs = tmp_path / "mycam.toml"
    theirs.write_text('name = "mycam"\npriority = 5000\n[[recognise]]\nheader = { INSTRUME = "." }\n')
    path = tmp_path / "a.fits"
    path.write_bytes(to_fits_bytes(planes(), with_facts(decoys(), FACTS)))
    (found,) = describe(path, maps=[theirs])
    assert (found.facts.instrument, found.facts.band) == ("standard", FACTS["band"])
    (asked,) = describe(path, maps=[theirs], instrument="mycam")
    assert asked.facts.instrument == "mycam"


def test_coordinates_that_need_tables_are_replaced_when_others_are_given() -> None:
    header = sip_header()
    header.update({"CPDIS1": "LOOKUP", "D2IMDIS1": "LOOKUP", "OBSERVER": "Me", "CRPIX1": 99.0})
    header["DP1"] = "EXTVER: 1"
    said = with_facts(header, FACTS, sip_header())
    assert not [k for k in said if k.startswith(("CPDIS", "D2IM", "DP1"))]
    assert (said["CRPIX1"], said["OBSERVER"], said["BAND"]) == (20.0, "Me", FACTS["band"])


def test_a_card_that_astropy_can_mend_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((3, 4)), fits.Header({"CD1_1": -2.7078566e-07})).writeto(path)
    path.write_bytes(path.read_bytes().replace(b"-2.7078566E-07", b"-2.7078566e-07"))
    assert read_header(path, 0)["CD1_1"] == -2.7078566e-07


@pytest.mark.parametrize("stated", [None, 5, 0])
def test_bad_flags_of_a_saved_file_are_the_originals(tmp_path: Path, stated: int | None) -> None:
    """Oracle: the names that afw.toml calls bad, by hand; else what the card says."""
    path = tmp_path / "a.fits"
    facts = {**FACTS, "instrument": "afw", "bad_bits": stated}
    bits = {"BAD": 1, "SAT": 2, "DETECTED": 32, "EDGE": 64}
    with path.open("wb") as out:
        write_fits(out, planes(), with_facts(sip_header(), facts), flag_bits=bits)
    assert describe(path)[0].facts.bad_bits == (1 | 2 | 64 if stated is None else stated)


def test_codes_of_a_saved_file_are_the_originals(tmp_path: Path) -> None:
    """Oracle: decam.toml by hand; its flags are codes, of which DIFFERENCE leaves a pixel good."""
    path = tmp_path / "a.fits"
    with path.open("wb") as out:
        write_fits(out, planes(), with_facts(sip_header(), {**FACTS, "instrument": "decam"}))
    properties = describe(path)[0].facts.properties
    assert properties["flag_codes"]["SATURATED"] == 3
    assert properties["good_flag_codes"] == ["DIFFERENCE"]


def test_an_old_choice_of_bad_flags_does_not_outlive_a_new_one() -> None:
    """Oracle: by hand."""
    header = sip_header()
    header["SDBBAD"] = 7
    assert "SDBBAD" not in with_facts(header, FACTS)
    assert with_facts(header, {**FACTS, "bad_bits": 9})["SDBBAD"] == 9
    assert with_facts(header, {}, header)["SDBBAD"] == 7  # where coordinates alone are new, it stays

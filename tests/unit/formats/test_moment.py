"""Times and zero points by rule, with astropy.time and the cited formulas as oracles."""

import math
from typing import Any

import pytest
from astropy.io import fits
from astropy.time import Time

from snapdb.formats.cards import Cards
from snapdb.formats.lookup import Lookup, find_text
from snapdb.formats.maps import get_map, load_maps
from snapdb.formats.moment import find_exptime, find_mjd
from snapdb.formats.photometric import Known, find_zeropoint
from snapdb.formats.units import find_units

RATES = (
    "cps", "counts/s", "ct/s", "DN/s", "e-/s", "electron/s", "adu/s", "Hz", "ELECTRONS/S",
    "electrons per second", "DN s**-1", "count sec^-1", "s-1",
)  # fmt: skip
GENERIC = get_map("generic", load_maps()).rules


def lookup_of(**cards: Any) -> Lookup:
    header = fits.Header()
    for key, value in cards.items():
        header[key.replace("_OBS", "-OBS") if key != "DATE_OBS" else key] = value
    text = header.tostring(endcard=False, padding=False)
    return Lookup(map_file="x.toml", image=Cards(text.encode()), primary=Cards(b""), hdu=0, path="a/b.fits")


@pytest.mark.parametrize(
    ("cards", "iso", "scale"),
    [
        ({"MJD-OBS": 57828.26285591}, 57828.26285591, "utc"),
        ({"DATE-OBS": "2009-11-04T04:39:58.9047"}, "2009-11-04T04:39:58.9047", "utc"),
        ({"DATE-OBS": "2012-01-05T21:35:11.852Z", "TIMESYS": "TDB"}, "2012-01-05T21:35:11.852", "utc"),
        ({"DATE-OBS": "2000-03-26T00:20:55", "TIMESYS": "TT"}, "2000-03-26T00:20:55", "tt"),
        ({"MJD-OBS": 51629.02779, "TIMESYS": "TT(TAI)"}, 51629.02779, "tt"),
        ({"MJD-OBS": 57466.3272, "TIMESYS": "UTC approximate"}, 57466.3272, "utc"),
        ({"DATE-OBS": "2010-12-05", "UT": "05:52:52.591"}, "2010-12-05T05:52:52.591", "utc"),
        ({"DATE-OBS": "2013-04-09", "UTIME": "9:19:16.50"}, "2013-04-09T09:19:16.50", "utc"),
        ({"DATE-OBS": "22/04/84", "UT": "10:10:00.00"}, "1984-04-22T10:10:00", "utc"),
        ({"DATE-OBS": "1997-07-26", "EXPSTART": 50655.5696}, 50655.5696, "utc"),
        (
            {"MJD-OBS": 51084.0, "DATE-OBS": "1998-09-28", "TIME-OBS": "06:45:14"},
            "1998-09-28T06:45:14",
            "utc",
        ),
        ({"MJD-OBS": 0.0, "DATE-OBS": "2001-02-03T04:05:06"}, "2001-02-03T04:05:06", "utc"),
    ],
)
def test_the_start_is_found_in_utc(cards: dict[str, Any], iso: str | float, scale: str) -> None:
    header = fits.Header(cards.items())
    text = header.tostring(endcard=False, padding=False)
    lookup = Lookup(map_file="x.toml", image=Cards(text.encode()), primary=Cards(b""), hdu=0, path="a")
    mjd = find_mjd(lookup, GENERIC["mjd"], None)
    when = Time(iso, scale=scale, format="mjd" if isinstance(iso, float) else "isot")
    assert mjd == pytest.approx(when.utc.mjd, abs=2e-9)
    assert lookup.findings[-1].field == "mjd"


@pytest.mark.parametrize("value", ["26/07/102", "2010-02-30T00:00:00", "", "yesterday"])
def test_impossible_dates_stay_open_with_a_warning(value: str) -> None:
    lookup = Lookup(
        map_file="x.toml",
        image=Cards(str(fits.Card("DATE-OBS", value)).encode()),
        primary=Cards(b""),
        hdu=0,
        path="a",
    )
    assert find_mjd(lookup, GENERIC["mjd"], None) is None
    assert "no time in the header" in lookup.warnings


def test_an_impossible_time_of_day_stays_open() -> None:
    text = str(fits.Card("DATE-OBS", "1990-01-02")) + str(fits.Card("UT", "09:60:00"))
    lookup = Lookup(map_file="x.toml", image=Cards(text.encode()), primary=Cards(b""), hdu=0, path="a")
    assert find_mjd(lookup, GENERIC["mjd"], None) is None
    assert any("no date that exists" in w for w in lookup.warnings)


def lookup_in(cards: dict[str, Any]) -> Lookup:
    """Cards as they stand; a value may be a pair of value and comment."""
    text = fits.Header([(k, *v) if isinstance(v, tuple) else (k, v) for k, v in cards.items()]).tostring(
        endcard=False, padding=False
    )
    return Lookup(map_file="x.toml", image=Cards(text.encode()), primary=Cards(b""), hdu=0, path="a")


@pytest.mark.parametrize(
    ("cards", "kept"),
    [
        ({"DATE-OBS": "2022-04-27"}, "2022-04-27"),
        ({"DATE-BEG": "2022-04-27"}, "2022-04-27"),
        ({"DATE-OBS": "01/03/98"}, "01/03/98"),
        ({"MJD-OBS": 60370}, "2024-03-01"),
        ({"MJD-OBS": 60370.0}, "2024-03-01"),
        ({"MJD-OBS": 60370.0, "TIMESYS": "TAI"}, "2024-03-01"),
        ({"MJD-OBS": 60370.0, "DATE-OBS": "2024-03-01"}, "2024-03-01"),
        ({"DATE-OBS": "2024-03-01", "UT": 30.0}, "2024-03-01"),
    ],
)
def test_a_date_alone_is_no_time(cards: dict[str, Any], kept: str) -> None:
    lookup = lookup_in(cards)
    assert find_mjd(lookup, GENERIC["mjd"], None) is None
    assert lookup.properties == {"date_obs": kept}
    (warning,) = lookup.warnings
    assert "without a time of day" in warning


@pytest.mark.parametrize(
    ("cards", "iso"),
    [
        ({"DATE-BEG": "2024-03-01", "DATE-OBS": "2024-03-01T05:00:00"}, "2024-03-01T05:00:00"),
        ({"MJD-OBS": 60370, "DATE-OBS": "2024-03-01T05:00:00"}, "2024-03-01T05:00:00"),
        ({"MJD-OBS": 60370.0, "DATE-OBS": "2024-03-01T00:00:00"}, "2024-03-01T00:00:00"),
        ({"DATE-OBS": "2024-03-01", "UT": 5.5}, "2024-03-01T05:30:00"),
        ({"DATE-OBS": "2024-03-01", "UTSTART": "5.5"}, "2024-03-01T05:30:00"),
        ({"DATE-OBS": "2024-03-01", "TIME-OBS": (19800.0, "[s] start")}, "2024-03-01T05:30:00"),
        ({"DATE-OBS": "2024-03-01", "UT": 0.0}, "2024-03-01T00:00:00"),
        ({"DATE-OBS": "2024-03-01", "UT": 23.9999999999999}, "2024-03-01T23:59:59.999999"),
    ],
)
def test_any_card_that_has_a_time_goes_before_a_date(cards: dict[str, Any], iso: str) -> None:
    lookup = lookup_in(cards)
    assert find_mjd(lookup, GENERIC["mjd"], None) == pytest.approx(Time(iso).mjd, abs=1e-10)
    assert lookup.warnings == []


@pytest.mark.parametrize(
    ("timesys", "scale"),
    [
        ("TDT", "tt"),
        ("ET", "tt"),
        ("IAT", "tai"),
        ("TCG", "tcg"),
        ("TCB", "tcb"),
        ("TDB", "tdb"),
        ("UTC(NIST)", "utc"),
        ("GMT", "utc"),
    ],
)
def test_time_scales_are_converted_as_astropy_does(timesys: str, scale: str) -> None:
    start = Time("2024-03-01T05:00:00", scale="utc")
    own = getattr(start, scale)
    own.precision = 9
    for cards in ({"DATE-OBS": own.isot}, {"MJD-OBS": float(own.mjd)}):
        lookup = lookup_in({**cards, "TIMESYS": timesys})
        assert find_mjd(lookup, GENERIC["mjd"], None) == pytest.approx(start.mjd, abs=2e-10)
        assert lookup.warnings == []


def test_gps_time_is_19_seconds_behind_tai() -> None:
    start = Time("2024-03-01T05:00:00", scale="utc")
    for cards in ({"DATE-OBS": "2024-03-01T05:00:18"}, {"MJD-OBS": start.mjd + 18.0 / 86400.0}):
        lookup = lookup_in({**cards, "TIMESYS": "GPS"})
        assert find_mjd(lookup, GENERIC["mjd"], None) == pytest.approx(start.mjd, abs=2e-10)


@pytest.mark.parametrize("timesys", ["LOCAL", "XYZ", "MST", "?"])
def test_a_scale_that_is_not_understood_leaves_the_time_open(timesys: str) -> None:
    lookup = lookup_in({"DATE-OBS": "2024-03-01T05:00:00", "TIMESYS": timesys})
    assert find_mjd(lookup, GENERIC["mjd"], None) is None
    assert any(repr(timesys) in w for w in lookup.warnings)
    said = lookup_in({"DATE-OBS": "2024-03-01T05:00:00Z", "TIMESYS": timesys})
    assert find_mjd(said, GENERIC["mjd"], None) == pytest.approx(Time("2024-03-01T05:00:00").mjd)


def test_an_mjd_and_a_date_that_contradict_each_other_are_both_named() -> None:
    lookup = lookup_in({"MJD-OBS": 59000.5, "DATE-OBS": "2024-03-01T00:00:00"})
    assert find_mjd(lookup, GENERIC["mjd"], None) == 59000.5
    (warning,) = lookup.warnings
    assert "59000.5" in warning
    assert "2024-03-01T00:00:00" in warning
    for day in ("2024-03-01", "2024-02-29"):
        agreeing = lookup_in({"MJD-OBS": 60370.4, "DATE-OBS": day})
        assert find_mjd(agreeing, GENERIC["mjd"], None) == 60370.4
        assert agreeing.warnings == []


@pytest.mark.parametrize(
    ("mjd", "date", "scale", "apart"),
    [
        (57372.7644094, "2015-12-16T18:20:48.907", "UTC", 3.935),  # of LCO's site software
        (57466.32722222, "2016-03-19T07:51:12.0", "UTC", 0.0),
        (54384.55006, "2007-10-11T13:12:05.560", "UTC", 0.0),  # five decimals: 0.9 s
        (60370.2, "2024-03-01T04:48:00.9", "UTC", 0.0),  # one decimal: 2.4 h
        (60370.20833, "2024-03-01T04:59", "UTC", 0.0),
        (60370.208333333, "2024-03-01T04:58", "UTC", 120.0),
        (60370.208333333, "2024-03-01T05:00:00.2", "UTC", 0.2),
        (60370.208333333, "2024-03-01T05:00:00.05", "TT", 0.0),
        (51629.02779463675, "2000-03-26T00:20:55", "TT", 1146.457),
    ],
)
def test_an_mjd_and_a_date_are_one_time_as_far_as_their_digits_go(
    mjd: float, date: str, scale: str, apart: float
) -> None:
    """By astropy's difference of the two times, and the digits counted by hand."""
    lookup = lookup_in({"MJD-OBS": mjd, "DATE-OBS": date, "TIMESYS": scale})
    find_mjd(lookup, GENERIC["mjd"], None)
    if not apart:
        assert lookup.warnings == []
        return
    kind = scale.lower()
    seconds = abs((Time(mjd, format="mjd", scale=kind) - Time(date, scale=kind)).to_value("s"))
    assert seconds == pytest.approx(apart, abs=1e-3)
    (warning,) = lookup.warnings
    assert f"are {seconds:.3g} s apart; MJD-OBS of HDU 0 is taken" in warning


def test_seconds_of_tai_and_of_1970_and_middles() -> None:
    lookup = lookup_of(TAI=4445991495.33)
    mjd = find_mjd(lookup, [{"card": "TAI", "as": "tai_seconds"}], None)
    assert mjd == pytest.approx(Time(4445991495.33 / 86400, format="mjd", scale="tai").utc.mjd, abs=1e-9)
    lookup = lookup_of(EXPSTART=1138871224.995)
    unix = find_mjd(lookup, [{"card": "EXPSTART", "as": "unix"}], None)
    assert unix == pytest.approx(Time(1138871224.995, format="unix").mjd, abs=1e-9)
    lookup = lookup_of(MJD=55358.07681069)
    middle = find_mjd(lookup, [{"card": "MJD", "at": "middle"}], 7.7)
    assert middle == pytest.approx(55358.07681069 - 7.7 / 2 / 86400, abs=1e-9)
    lookup = lookup_of(UT_DATE="000127", UT="04:23:47.53")
    rule = {"card": "UT_DATE", "as": "compact_date", "time": ["UT"]}
    assert find_mjd(lookup, [rule], None) == pytest.approx(Time("2000-01-27T04:23:47.53").mjd, abs=1e-9)


def test_exposure_times_have_units_and_zero_is_none() -> None:
    assert find_exptime(lookup_of(EXPOSURE=0.5), [{"card": "EXPOSURE", "unit": "d"}]) == 43200.0
    lookup = lookup_of(EXPTIME=0.0)
    assert find_exptime(lookup, GENERIC["exptime"]) is None
    assert lookup.warnings == ["EXPTIME of HDU 0 = 0 is no exposure time"]


def zeropoint(rules: list[dict[str, Any]], known: dict[str, Any] | None = None, **cards: Any) -> Any:
    base: dict[str, Any] = {"band": "r", "exptime": 100.0, "is_rate": False, "pixel_scale": 1.0}
    lookup = lookup_of(**cards)
    return find_zeropoint(lookup, rules, Known(**{**base, **(known or {})})), lookup


def test_zero_points_by_keyword_and_exposure_time() -> None:
    rules = [{"card": "MAGZERO", "system": "AB", "exptime": 1}]
    found, _ = zeropoint(rules, MAGZERO=21.0)
    assert found.zeropoint == pytest.approx(26.0)
    found, lookup = zeropoint(
        [{"card": "MAGZERO", "system": "AB", "exptime": 1}], {"exptime": None}, MAGZERO=21.0
    )
    assert found.zeropoint is None
    assert lookup.warnings


def test_vega_becomes_ab_only_where_the_map_knows_the_offset() -> None:
    rules = [{"card": "MAGZP", "system": "Vega", "ab_offset": {"W1": 2.699}}]
    found, _ = zeropoint(rules, {"band": "W1"}, MAGZP=22.5)
    assert (found.zeropoint, found.properties) == (25.199, {"zeropoint_vega": 22.5})
    found, lookup = zeropoint(rules, {"band": "W9"}, MAGZP=22.5)
    assert (found.zeropoint, found.properties) == (None, {"zeropoint_vega": 22.5})
    assert any("Vega" in w for w in lookup.warnings)


def test_a_keyword_counts_where_the_header_says_ab_and_not_else() -> None:
    found, _ = zeropoint(GENERIC["zeropoint"], MAGZERO=(27.5, "[mag] AB magnitude of one count"))
    assert found.zeropoint == 27.5
    found, _ = zeropoint(GENERIC["zeropoint"], MAGZERO=27.5, MAGSYS="AB")
    assert found.zeropoint == 27.5
    found, lookup = zeropoint(GENERIC["zeropoint"], MAGZERO=27.5)
    assert found.zeropoint is None
    assert found.properties == {"zeropoint_of_unknown_system": 27.5}
    assert any("AB or Vega" in w for w in lookup.warnings)


def test_photflam_follows_the_handbook() -> None:
    """ACS Data Handbook, section 5.1.1; the zero point of ACS/WFC F606W is 26.49 in AB."""
    flam, pivot = 7.9064521e-20, 5917.6797
    closed = -2.5 * math.log10(flam) - 21.10 - 5 * math.log10(pivot) + 18.6921
    cards: dict[str, Any] = {"PHOTFLAM": flam, "PHOTPLAM": pivot}
    rate, _ = zeropoint(GENERIC["zeropoint"], {"is_rate": True}, BUNIT="ELECTRONS/S", **cards)
    assert rate.zeropoint == pytest.approx(closed, abs=2e-4)
    assert rate.zeropoint == pytest.approx(26.49, abs=0.01)
    total, _ = zeropoint(GENERIC["zeropoint"], BUNIT="ELECTRONS", **cards)
    assert total.zeropoint == pytest.approx(closed + 5.0, abs=2e-4)


@pytest.mark.parametrize(
    ("unit", "jansky"), [("nanomaggy", 3.631e-6), ("uJy", 1e-6), ("nJy", 1e-9), ("mJy", 1e-3)]
)
def test_units_of_flux_have_their_zero_point(unit: str, jansky: float) -> None:
    found, _ = zeropoint(GENERIC["zeropoint"], BUNIT=unit)
    assert found.zeropoint == pytest.approx(-2.5 * math.log10(jansky / 3631.0), abs=1.1e-4)


def test_surface_brightness_has_one_with_the_pixels_area() -> None:
    found, _ = zeropoint(GENERIC["zeropoint"], {"pixel_scale": 1.2}, BUNIT="MJy/sr")
    area = (1.2 / 206264.80625) ** 2
    assert found.zeropoint == pytest.approx(-2.5 * math.log10(1e6 * area / 3631.0), abs=1.1e-4)
    assert zeropoint(GENERIC["zeropoint"], BUNIT="JY/BEAM")[0].zeropoint is None
    for unit in ("mJy/sr", "mJy sr^-1"):
        milli, _ = zeropoint(GENERIC["zeropoint"], {"pixel_scale": 1.2}, BUNIT=unit)
        assert milli.zeropoint == pytest.approx(found.zeropoint + 22.5)
    assert zeropoint(GENERIC["zeropoint"], {"pixel_scale": 1.2}, BUNIT="MJY/SR")[0].zeropoint is None


@pytest.mark.parametrize(
    ("unit", "kind", "doubtful"),
    [
        *(
            (u, "rate", False)
            for u in ("cps", "counts/s", "ct/s", "DN/s", "e-/s", "electron/s", "adu/s", "Hz")
        ),
        *(
            (u, "rate", False)
            for u in ("ELECTRONS/S", "electrons per second", "DN s**-1", "count sec^-1", "s-1")
        ),
        *(
            (u, "counts", False)
            for u in ("ADU", "counts", "ct", "electrons", "e-", "DN", "DNs", "count/pixel")
        ),
        *((u, "counts", True) for u in ("Jy/beam", "MJy/sr", "nanomaggy", "erg/s/cm2/A", "none given", "K")),
        (None, "counts", True),
    ],
)
def test_bunit_says_counts_or_a_rate(unit: str | None, kind: str, *, doubtful: bool) -> None:
    lookup = lookup_in({} if unit is None else {"BUNIT": unit})
    assert find_units(lookup, unit, "BUNIT of HDU 0") == kind
    assert bool(lookup.warnings) == doubtful
    assert not doubtful or (unit or "absent") in lookup.warnings[0]


@pytest.mark.parametrize(
    ("name", "raw", "band"),
    [
        ("decam", "r DECam SDSS c0002 6415.0 1480.0", "r"),
        ("decam", "VR DECam c0007 6300.0 2600.0", "VR"),
        ("mosaic3", "zd DECam k1038", "z"),
        ("90prime", "bokr", "r"),
        ("90prime", "g", "g"),
        ("cfht", "r.MP9601", "r"),
        ("generic", "g_band", "g"),
        ("generic", "z SDSS c6020", "z"),
        ("generic", "none given", None),
        ("generic", "_unknown_", None),
        ("generic", "RGGB", "RGGB"),
        ("afw", "HSC-I2", "I"),
        ("hst", "WFPC2,1,A2D7,F606W,,CAL", "F606W"),
        ("hst", "f105w", "F105W"),
        ("2mass", "k", "Ks"),
        ("wise", 3, "W3"),
        ("galex", 2, "FUV"),
        ("spitzer", 4, "IRAC4"),
    ],
)
def test_bands_are_brought_to_their_short_names(name: str, raw: object, band: str | None) -> None:
    rule = get_map(name, load_maps()).rules["band"]
    assert find_text(lookup_of(**{rule["cards"][0].replace("-", "_"): raw}), "band", rule) == band

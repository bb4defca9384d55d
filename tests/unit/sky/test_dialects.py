"""Headers of the wild, each mended rule by itself; what the mended header means is checked with astropy."""

import warnings
from typing import Any

import numpy as np
import pytest
from astropy.io.fits import Header  # the subject is its headers
from astropy.wcs import WCS

from snapdb.errors import ProjectionError
from snapdb.sky.dialects import is_wcs_card, mend_header, needs_tables

PLAIN: dict[str, Any] = {
    "NAXIS": 2,
    "NAXIS1": 100,
    "NAXIS2": 80,
    "CTYPE1": "RA---TAN",
    "CTYPE2": "DEC--TAN",
    "CRPIX1": 50.5,
    "CRPIX2": 40.5,
    "CRVAL1": 150.0,
    "CRVAL2": 2.0,
    "CD1_1": -1e-4,
    "CD1_2": 0.0,
    "CD2_1": 0.0,
    "CD2_2": 1e-4,
}
SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "B_0_2": -2e-5}


def _header(**changes: Any) -> Header:
    """A plain TAN header with some cards changed; None takes a card out."""
    header = Header()
    for name, value in {**PLAIN, **changes}.items():
        if value is not None:
            header[name.replace("MJD_OBS", "MJD-OBS")] = value
    return header


def _corner(header: Header) -> np.ndarray:
    """Native position of pixel (0, 0) by astropy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the oracle complains of what is being mended
        return np.asarray(WCS(header).all_pix2world([[0.0, 0.0]], 0)[0])


def test_plain_header_is_left_as_it_is() -> None:
    mended, said = mend_header(
        _header(EXPTIME=30.0, OBJECT="M 1", CRVAL1A=3.0, EQUINOX=2000.0, RADESYS="FK5")
    )
    assert said == []
    assert {name: mended[name] for name in PLAIN} == PLAIN
    assert set(mended) == set(PLAIN) | {"RADESYS", "EQUINOX"}


def test_the_callers_header_is_not_changed() -> None:
    header = _header(RADECSYS="FK5", **SIP)
    before = header.tostring()
    mend_header(header)
    assert header.tostring() == before


def test_mending_twice_is_mending_once() -> None:
    for changes in (SIP, {"RADECSYS": "FK5", "EPOCH": 3}, {"PV1_0": 0.0, "PV2_1": 1.0}, {"CDELT1": 1.0}):
        once, _ = mend_header(_header(**changes))
        twice, said = mend_header(once)
        assert twice.tostring() == once.tostring()
        assert said == []


@pytest.mark.parametrize(
    ("ctype1", "ctype2"),
    [(None, None), ("LAMBDA", "DEC--TAN"), ("", ""), ("RA---TAN", "WAVE"), ("LINEAR", "LINEAR")],
)
def test_what_is_not_the_sky_is_refused(ctype1: str | None, ctype2: str | None) -> None:
    with pytest.raises(ProjectionError, match="expected a celestial axis"):
        mend_header(_header(CTYPE1=ctype1, CTYPE2=ctype2))


def test_scamp_polynomials_make_tpv() -> None:
    mended, _ = mend_header(_header(PV1_0=1e-4, PV1_1=1.0, PV2_0=-2e-4, PV2_1=1.0))
    assert (mended["CTYPE1"], mended["CTYPE2"]) == ("RA---TPV", "DEC--TPV")
    # PVi_0 moves the tangent plane by 1e-4 degrees in x and -2e-4 in y: one pixel left, two down.
    moved = _header(CRPIX1=51.5, CRPIX2=42.5)
    np.testing.assert_allclose(_corner(mended), _corner(moved), rtol=0, atol=1e-12)


def test_native_pole_of_a_tan_is_no_polynomial() -> None:
    mended, _ = mend_header(_header(PV1_1=0.0, PV1_2=90.0, PV1_3=180.0))
    assert mended["CTYPE1"] == "RA---TAN"


def test_sip_without_suffix_is_applied() -> None:
    mended, said = mend_header(_header(**SIP))
    assert mended["CTYPE1"] == "RA---TAN-SIP"
    assert "applied" in said[0]
    oracle = _header(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", **SIP)
    np.testing.assert_array_equal(_corner(mended), _corner(oracle))


def test_sip_stays_beside_other_projections() -> None:
    names = {"CTYPE1": "RA---SIN-SIP", "CTYPE2": "DEC--SIN-SIP"}
    mended, said = mend_header(_header(**names, **SIP))
    assert said == []
    np.testing.assert_array_equal(_corner(mended), _corner(_header(**names, **SIP)))


def test_orders_without_coefficients_are_dropped() -> None:
    mended, said = mend_header(_header(A_ORDER=3, B_ORDER=3))
    assert "A_ORDER" not in mended
    assert said == []


def test_suffix_without_coefficients_is_dropped() -> None:
    mended, said = mend_header(_header(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP"))
    assert mended["CTYPE1"] == "RA---TAN"
    assert "no coefficients" in said[0]


def test_half_a_sip_is_completed() -> None:
    mended, said = mend_header(_header(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", A_ORDER=2, A_2_0=1e-5))
    assert mended["B_ORDER"] == 2
    assert "B_ORDER" in said[0]
    assert _corner(mended)[0] == pytest.approx(_corner(_header())[0] - 1e-4 * 1e-5 * 49.5**2, abs=1e-8)


def test_tpv_with_empty_sip() -> None:
    cards = {
        "CTYPE1": "RA---TPV",
        "CTYPE2": "DEC--TPV",
        "PV1_1": 1.0,
        "PV2_1": 1.0,
        "A_ORDER": 2,
        "B_ORDER": 2,
    }
    mended, said = mend_header(_header(**cards))
    assert said == []
    assert not any(name.startswith(("A_", "B_")) for name in mended)
    np.testing.assert_allclose(_corner(mended), _corner(_header()), atol=1e-12)


def test_polynomials_beside_declared_sip_are_put_aside() -> None:
    cards = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "PV1_5": 1.0, "PV2_1": 1.0, **SIP}
    mended, said = mend_header(_header(**cards))
    assert "put aside" in said[0]
    assert not any(name.startswith("PV") for name in mended)


def test_iraf_polynomials_that_are_missing_are_said() -> None:
    mended, said = mend_header(_header(CTYPE1="RA---TNX", CTYPE2="DEC--TNX"))
    assert mended["CTYPE1"] == "RA---TAN"
    assert "distortion not applied" in said[0]


def test_cd_wins_over_cdelt_and_rotation() -> None:
    mended, _ = mend_header(_header(CDELT1=1.0, CDELT2=1.0, CROTA2=30.0, PC1_1=1.0))
    assert not {"CDELT1", "CDELT2", "CROTA2", "PC1_1"} & set(mended)
    np.testing.assert_array_equal(_corner(mended), _corner(_header()))


def test_degenerate_axes_are_dropped() -> None:
    mended, _ = mend_header(
        _header(
            NAXIS=4, NAXIS3=1, NAXIS4=1, CTYPE3="FREQ", CRVAL3=1e9, CDELT3=1.0, CTYPE4="STOKES", CD3_3=1.0
        )
    )
    assert mended["NAXIS"] == 2
    assert not any(name.endswith(("3", "4")) for name in mended)
    np.testing.assert_array_equal(_corner(mended), _corner(_header()))


@pytest.mark.parametrize(
    ("cards", "radesys", "equinox"),
    [
        ({"RADECSYS": "FK5", "EQUINOX": 2000.0}, "FK5", 2000.0),
        ({"RADECSYS": "FK4", "RADESYS": "ICRS"}, "ICRS", None),
        ({"EQUINOX": 1950}, None, 1950.0),
        ({"EQUINOX": "J2000"}, None, 2000.0),
        ({"EQUINOX": "2000.0"}, None, 2000.0),
        ({"EQUINOX": 0.0}, None, None),
        ({"EPOCH": 0.0}, None, None),
        ({"EPOCH": 7}, None, None),
        ({"EPOCH": 1950.0}, None, 1950.0),
        ({"EPOCH": 2014.5, "EQUINOX": 2000.0}, None, 2000.0),
        ({"EPOCH": 2014.5, "RADESYS": "ICRS"}, "ICRS", None),
        ({"RADESYS": "GSC1"}, None, None),
        ({"RADESYS": " icrs "}, "ICRS", None),
    ],
)
def test_frames(cards: dict[str, Any], radesys: str | None, equinox: float | None) -> None:
    mended, _ = mend_header(_header(**cards))
    assert mended.get("RADESYS") == radesys
    assert mended.get("EQUINOX") == equinox
    assert not {"EPOCH", "RADECSYS"} & set(mended)


def test_numbers_as_text_are_read() -> None:
    mended, said = mend_header(_header(CRVAL1="150.0"))
    assert mended["CRVAL1"] == 150.0
    assert "CRVAL1" in said[0]


@pytest.mark.parametrize("value", ["", "abc", "nan", True])
def test_numbers_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(ProjectionError, match=r"CRPIX2 = .*expected a finite number"):
        mend_header(_header(CRPIX2=value))


def test_units_by_other_names() -> None:
    mended, _ = mend_header(_header(CUNIT1="DEGREES", CUNIT2=""))
    assert (mended["CUNIT1"], mended["CUNIT2"]) == ("deg", "deg")


def test_tables_are_noticed() -> None:
    assert needs_tables(_header(CPDIS1="LOOKUP"))
    assert needs_tables(_header(D2IMDIS2="Lookup"))
    assert not needs_tables(_header())
    assert not needs_tables(_header(CPDIS1="SIP"))


@pytest.mark.parametrize(
    ("keyword", "is_one"),
    [
        ("CRVAL1", True),
        ("PV2_10", True),
        ("BP_1_2", True),
        ("DP1.EXTVER", True),
        ("WAT1_001", True),
        ("CRVAL1A", False),
        ("EXPTIME", False),
        ("A_DMAX", False),
        ("CD1_1B", False),
    ],
)
def test_which_cards_belong(keyword: str, is_one: bool) -> None:
    assert is_wcs_card(keyword) is is_one

"""Header cards, with FITS Standard 4.0 section 4.2 as the oracle, and astropy for long strings."""

import pytest
from astropy.io import fits

from snapdb.formats.cards import Cards, format_card, parse_value, to_number


def cards_of(*lines: str) -> Cards:
    return Cards("".join(line.ljust(80)[:80] for line in lines).encode("latin-1"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("                   T / yes", True),
        ("'O''Hara  '         / a quote", "O'Hara"),
        ("1.5D+03", 1500.0),
        ("-42 / int", -42),
        (".5", 0.5),
        ("''", ""),
        ("   / nothing", None),
        ("'a / b'  / slash inside", "a / b"),
        ("26/07/102", 26),
        ("nonsense", "nonsense"),
    ],
)
def test_values_are_read_as_the_standard_says(text: str, value: object) -> None:
    got = parse_value(text)
    assert got == value
    assert type(got) is type(value)


def test_the_first_of_a_repeated_keyword_counts_as_in_astropy() -> None:
    lines = ("MJD-OBS =                  1.0", "MJD-OBS =                  2.0")
    header = fits.Header.fromstring("".join(line.ljust(80) for line in lines))
    assert cards_of(*lines).get("MJD-OBS") == header["MJD-OBS"] == 1.0


def test_hierarch_and_continued_strings_are_read_as_astropy_reads_them() -> None:
    header = fits.Header()
    header["HIERARCH ESO DET DIT"] = 10.5
    header["LONG"] = "x" * 150
    cards = Cards(header.tostring(endcard=False, padding=False).encode())
    assert cards.get("ESO DET DIT") == 10.5
    assert cards.get("LONG") == header["LONG"]


def test_damage_stays_in_its_own_card() -> None:
    cards = cards_of(
        "GOOD    =                    1", "BAD\x00\xff    = \x07'", "CONTINUE  3", "NEXT    = 'ok'"
    )
    assert cards.get("GOOD") == 1
    assert cards.get("NEXT") == "ok"
    assert all(line.isprintable() and len(line) == 80 for line in cards.lines)


def test_comments_and_numbers_in_strings() -> None:
    cards = cards_of("MAGZERO =                 30.0 / [mag] AB / total", "EXPTIME = '53.9'   / text")
    assert cards.comment("MAGZERO") == "[mag] AB / total"
    assert cards.comment("EXPTIME") == "text"
    assert cards.get_number("EXPTIME") == 53.9
    assert cards.get_number("ABSENT") is None


@pytest.mark.parametrize("value", [None, True, "x", float("nan"), float("inf"), "1e999"])
def test_what_is_no_finite_number_is_none(value: object) -> None:
    assert to_number(value) is None


def test_a_written_card_is_read_back_by_astropy() -> None:
    for value in (7, "SCI"):
        assert fits.Card.fromstring(format_card("NAXIS1", value)).value == value

"""Tables as FITS: the oracles are astropy's reader, and the bytes themselves."""

import io

import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from snapdb.formats.table_fits import encode_columns, write_table_fits


def make() -> Table:
    table = Table()
    table["name"] = MaskedColumn(["ü ✓", "plain", ""], mask=[False, False, True], description="of a source")
    table["flux"] = [1.0, np.nan, 3.0]
    return table


def test_text_is_ascii_and_masks_and_meanings_stay() -> None:
    table = make()
    encode_columns(table)
    assert table["name"].tolist() == ["\\xfc \\u2713", "plain", None]
    assert table["name"].description == "of a source"
    assert table["flux"].tolist()[::2] == [1.0, 3.0]


def test_a_file_holds_every_byte_as_ascii_and_the_table_stays_as_it_was() -> None:
    table, out = make(), io.BytesIO()
    long = "word " * 30
    cards = {"OBJECT": ("SN α", "Name"), "WORDS": (long, "Long"), "NEAR": ("x" * 60, "No room for this one")}
    write_table_fits(table, out, cards)
    assert table["name"][0] == "ü ✓"
    with fits.open(io.BytesIO(out.getvalue())) as hdus:
        header, rows = hdus[1].header, hdus[1].data
        assert rows["name"].tolist()[:2] == ["\\xfc \\u2713", "plain"]
        assert (header["OBJECT"], header.comments["OBJECT"]) == ("SN \\u03b1", "Name")
        assert (header["WORDS"], header["NEAR"], header.comments["NEAR"]) == (long.rstrip(), "x" * 60, "")
        keywords = list(header)
        # FITS 4.0, 4.2.1.2, and the OGIP's convention: LONGSTRN says that there is CONTINUE.
        assert keywords.index("LONGSTRN") < keywords.index("WORDS")
        text = header.tostring()
    assert text.isascii()


def test_short_texts_announce_nothing() -> None:
    out = io.BytesIO()
    write_table_fits(make(), out, {"OBJECT": ("x", "Name")})
    with fits.open(io.BytesIO(out.getvalue())) as hdus:
        assert "LONGSTRN" not in hdus[1].header

"""Formats of a listing, each read back by an independent reader."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from astropy.io.votable import parse_single_table
from astropy.table import Table

from snapdb.archive.columns import UNITS
from snapdb.cli.listing import FORMATS, choose_format, write_listing
from snapdb.errors import ConfigError


def make_row(**values: Any) -> dict[str, Any]:
    known = {
        "id": "01930000-0000-7000-8000-000000000001",
        "ra": 359.99871234567,
        "dec": -17.5,
        "band": "r",
        "mjd": 60601.102,
        "exptime": 60.0,
        "sca": 2,
        "filepath": "a, b.fits",
        "hdu": 1,
    }
    return {**dict.fromkeys(UNITS), **known, **values}


ROWS = [make_row(), make_row(id="01930000-0000-7000-8000-000000000002", band=None, mjd=None, sca=None)]


def test_json_and_jsonl_keep_every_value(tmp_path: Path) -> None:
    write_listing(ROWS, "json", tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == ROWS
    write_listing(ROWS, "jsonl", tmp_path / "a.jsonl")
    assert [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()] == ROWS


def test_csv_quotes_and_leaves_the_unknown_empty(tmp_path: Path) -> None:
    """Oracle: the standard library's reader."""
    write_listing(ROWS, "csv", tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(UNITS)
    assert rows[0]["filepath"] == "a, b.fits"
    assert float(rows[0]["ra"]) == ROWS[0]["ra"]
    assert rows[1]["band"] == ""


def test_ecsv_has_units_and_masks(tmp_path: Path) -> None:
    """Oracle: astropy's reader."""
    write_listing(ROWS, "ecsv", tmp_path / "a.ecsv")
    table = Table.read(tmp_path / "a.ecsv", format="ascii.ecsv")
    assert str(table["ra"].unit) == "deg"
    assert table["ra"][0] == ROWS[0]["ra"]
    assert table["sca"][0] == 2
    assert np.ma.is_masked(table["mjd"][1])
    assert np.ma.is_masked(table["band"][1])


def test_votable_is_read_by_a_votable_reader(tmp_path: Path) -> None:
    """Oracle: astropy's VOTable reader."""
    write_listing(ROWS, "votable", tmp_path / "a.vot")
    table = parse_single_table(tmp_path / "a.vot").to_table()
    assert table["dec"][0] == -17.5
    assert str(table["exptime"].unit) == "s"
    assert np.ma.is_masked(table["mjd"][1])


def test_fits_is_read_by_a_fits_reader(tmp_path: Path) -> None:
    """Oracle: astropy's reader."""
    form = choose_format(None, tmp_path / "a.fits")
    write_listing(ROWS, form, tmp_path / "a.fits")
    table = Table.read(tmp_path / "a.fits")
    assert (table["ra"][0], table["filepath"][0]) == (ROWS[0]["ra"], "a, b.fits")
    assert str(table["exptime"].unit) == "s"
    assert np.ma.is_masked(table["mjd"][1])
    assert np.ma.is_masked(table["sca"][1])
    write_listing([], form, tmp_path / "none.fits")
    assert Table.read(tmp_path / "none.fits").colnames == table.colnames


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "ecsv", "votable", "table"])
def test_an_empty_listing_is_well_formed(form: str, tmp_path: Path) -> None:
    target = tmp_path / "empty"
    assert write_listing([], form, target) == 0
    text = target.read_text()
    if form == "json":
        assert json.loads(text) == []
    elif form == "csv":
        assert text == ",".join(UNITS) + "\n"
    elif form == "ecsv":
        assert len(Table.read(target, format="ascii.ecsv")) == 0
    elif form == "votable":
        assert len(parse_single_table(target).to_table()) == 0
    else:
        assert text == ""


@pytest.mark.parametrize("columns", ["80", "200"])
def test_the_table_is_as_wide_as_the_terminal(
    columns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    write_listing(ROWS, "table", tmp_path / "a.txt")
    lines = (tmp_path / "a.txt").read_text().splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= int(columns)
    assert ("filepath" in lines[0]) == (columns == "200")
    assert lines[1].split()[:5] == [ROWS[0]["id"], "359.99871", "-17.50000", "r", "60601.10200"]
    assert lines[2].split()[3:5] == ["-", "-"]


def test_parquet_names_the_package_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    with pytest.raises(ConfigError, match="pip install"):
        write_listing(ROWS, "parquet", tmp_path / "a.parquet")
    assert not list(tmp_path.iterdir())


def test_parquet_keeps_every_value(tmp_path: Path) -> None:
    """Oracle: pyarrow's reader."""
    parquet = pytest.importorskip("pyarrow.parquet")
    write_listing(ROWS, "parquet", tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.to_pylist() == ROWS
    assert table.schema.field("ra").metadata[b"unit"] == b"deg"


def test_a_listing_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.jsonl"
    target.write_text("old")

    def rows() -> Any:
        yield ROWS[0]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_listing(rows(), "jsonl", target)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


@pytest.mark.parametrize(
    ("name", "output", "form"),
    [
        (None, None, "table"),
        (None, "a.ecsv", "ecsv"),
        (None, "A.XML", "votable"),
        (None, "a.vot", "votable"),
        ("csv", "a.json", "csv"),
        (None, "a.parquet", "parquet"),
    ],
)
def test_the_format_follows_the_option_and_then_the_name(
    name: str | None, output: str | None, form: str
) -> None:
    assert choose_format(name, None if output is None else Path(output)) == form
    assert form in FORMATS


def test_an_unknown_suffix_asks_for_a_format() -> None:
    with pytest.raises(click.UsageError, match="give --format"):
        choose_format(None, Path("a.dat"))

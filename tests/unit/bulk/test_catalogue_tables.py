"""One catalogue in every form of table gives the same sources; units are respected."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pandas as pd  # type: ignore[import-untyped,unused-ignore]
import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]
import pytest
from astropy.table import MaskedColumn, QTable, Table
from pyarrow import parquet

from snapdb.bulk.catalogue.catalogue import Catalogue
from snapdb.bulk.catalogue.piece import Piece
from snapdb.errors import UnitError

COUNT = 250


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Make sources, some without a size in pixels."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(8, 100, COUNT).astype(float)
    pixels[::5] = np.nan
    return pd.DataFrame(
        {
            "SourceID": [f"src-{i}" for i in range(COUNT)],
            "RA": rng.uniform(0, 360, COUNT),
            "Dec": rng.uniform(-90, 90, COUNT),
            "diameter_pixel": pixels,
            "diameter_arcsec": rng.uniform(1, 60, COUNT),
            "fits_file_paths": [f"['/d/tile{i % 4}.fits', '/d/b{i % 4}.fits']" for i in range(COUNT)],
        }
    )


def to_table(frame: pd.DataFrame) -> Table:
    """Make an astropy table with masks and units."""
    table = Table.from_pandas(frame)
    table["diameter_pixel"] = MaskedColumn(frame["diameter_pixel"], mask=frame["diameter_pixel"].isna())
    for name, unit in (
        ("RA", "deg"),
        ("Dec", "deg"),
        ("diameter_pixel", "pix"),
        ("diameter_arcsec", "arcsec"),
    ):
        table[name].unit = unit
    return table


def write_csv(frame: pd.DataFrame, folder: Path) -> Path:
    """Write CSV."""
    frame.to_csv(folder / "c.csv", index=False)
    return folder / "c.csv"


def write_gz(frame: pd.DataFrame, folder: Path) -> Path:
    """Write compressed CSV."""
    frame.to_csv(folder / "c.csv.gz", index=False)
    return folder / "c.csv.gz"


def write_parquet(frame: pd.DataFrame, folder: Path) -> Path:
    """Write parquet in several row groups, files as text."""
    parquet.write_table(pa.Table.from_pandas(frame), folder / "c.parquet", row_group_size=60)
    return folder / "c.parquet"


def write_lists(frame: pd.DataFrame, folder: Path) -> Path:
    """Write parquet with files as lists, and ids as a dictionary."""
    table = pa.Table.from_pandas(frame)
    lists = pa.array([eval(text) for text in frame["fits_file_paths"]])
    table = table.set_column(5, "fits_file_paths", lists)
    table = table.set_column(0, "SourceID", table["SourceID"].dictionary_encode())
    parquet.write_table(table, folder / "l.parquet")
    return folder / "l.parquet"


def with_list_kind(frame: pd.DataFrame, kind: pa.DataType) -> pa.Table:
    """Give an Arrow table with files as lists of some kind."""
    lists = pa.array([eval(text) for text in frame["fits_file_paths"]], kind)
    return pa.Table.from_pandas(frame).set_column(5, "fits_file_paths", lists)


def write_fixed_lists(frame: pd.DataFrame, folder: Path) -> Path:
    """Write parquet with files as lists of one length; Arrow's schema in the file says so."""
    count = len(eval(frame["fits_file_paths"].iloc[0]))
    parquet.write_table(with_list_kind(frame, pa.list_(pa.string(), count)), folder / "f.parquet")
    return folder / "f.parquet"


def write_table(form: str, name: str) -> Callable[[pd.DataFrame, Path], Path]:
    """Make the writer of one of astropy's formats."""

    def write(frame: pd.DataFrame, folder: Path) -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy warns of what it writes
            to_table(frame).write(folder / name, format=form)
        return folder / name

    return write


def with_lists(frame: pd.DataFrame, _folder: Path) -> pd.DataFrame:
    """Give a DataFrame with lists, as users of pandas have them."""
    changed = frame.copy()
    changed["fits_file_paths"] = [eval(text) for text in frame["fits_file_paths"]]
    return changed


FORMS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "csv": write_csv,
    "csv.gz": write_gz,
    "parquet": write_parquet,
    "parquet with lists": write_lists,
    "fits": write_table("fits", "c.fits"),
    "fits.gz": write_table("fits", "c.fits.gz"),
    "votable": write_table("votable", "c.xml"),
    "ecsv": write_table("ascii.ecsv", "c.ecsv"),
    "DataFrame": lambda frame, _: frame,
    "shuffled DataFrame index": lambda frame, _: frame.set_index(frame.index[::-1]),
    "DataFrame with lists": with_lists,
    "Table": lambda frame, _: to_table(frame),
    "Arrow": lambda frame, _: pa.Table.from_pandas(frame),
    "Arrow batch": lambda frame, _: pa.RecordBatch.from_pandas(frame),
    "parquet with lists of one length": write_fixed_lists,
    "Arrow with views of lists": lambda frame, _: with_list_kind(frame, pa.list_view(pa.string())),
    "Arrow with views of large lists": lambda frame, _: with_list_kind(
        frame, pa.large_list_view(pa.string())
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_sources(form: str, frame: pd.DataFrame, tmp_path: Path) -> None:
    source = FORMS[form](frame, tmp_path)
    catalogue = Catalogue.open(source, rows=100, check_file_paths=False)
    pieces = list(catalogue.pieces())
    assert catalogue.row_count == COUNT
    assert all(len(p) <= 100 for p in pieces)
    assert [p for piece in pieces for p in piece.problems] == []

    def join(name: str) -> np.ndarray[Any, Any]:
        return np.concatenate([getattr(p, name) for p in pieces])

    assert join("row").tolist() == list(range(COUNT))
    assert join("source_id").tolist() == frame["SourceID"].tolist()
    for name, column in (("ra", "RA"), ("dec", "Dec"), ("diameter_pixel",) * 2, ("diameter_arcsec",) * 2):
        np.testing.assert_array_equal(join(name), frame[column])
    files = [catalogue.filesets[i] for i in join("fileset")]
    assert files == [(f"/d/tile{i % 4}.fits", f"/d/b{i % 4}.fits") for i in range(COUNT)]
    assert len(catalogue.filesets) == 4


def read_one(table: Any) -> Piece:
    """Read a small catalogue that has no bad row."""
    (piece,) = Catalogue.open(table).pieces()
    assert piece.problems == ()
    return piece


@pytest.mark.parametrize("form", ["memory", "fits", "votable"])
def test_units_are_respected(form: str, tmp_path: Path) -> None:
    # Oracle: astropy's own conversion.
    hours, radians, arcmin = np.array([1.5, 23.25]), np.array([0.25, -0.5]), np.array([0.5, 0.25])
    table = Table({"SourceID": [1, 2], "RA": hours, "Dec": radians, "diameter_arcsec": arcmin})
    table["RA"].unit, table["Dec"].unit, table["diameter_arcsec"].unit = "hourangle", "rad", "arcmin"
    source: Any = table
    if form != "memory":
        table["RA"].unit = "h"  # what both formats can say
        source = tmp_path / ("c.fits" if form == "fits" else "c.vot")
        table.write(source, format=form)
    piece = read_one(source)
    assert piece.source_id.tolist() == ["1", "2"]
    np.testing.assert_allclose(piece.ra, (hours * u.hourangle).to_value("deg"), rtol=1e-15)
    np.testing.assert_allclose(piece.dec, (radians * u.rad).to_value("deg"), rtol=1e-15)
    np.testing.assert_allclose(piece.diameter_arcsec, (arcmin * u.arcmin).to_value("arcsec"), rtol=1e-15)


def test_quantities_and_masked_positions() -> None:
    table = QTable(
        {"SourceID": ["a", "b"], "RA": [10, 20] * u.deg, "Dec": [1, 2] * u.deg, "diameter_pixel": [5, 6]}
    )
    assert read_one(table).ra.tolist() == [10.0, 20.0]
    masked = Table({"SourceID": ["a", "b"], "Dec": [1.0, 2.0], "diameter_pixel": [5, 6]})
    masked["RA"] = MaskedColumn([10.0, 20.0], mask=[False, True])
    (piece,) = Catalogue.open(masked).pieces()
    assert piece.source_id.tolist() == ["a"]
    assert [(p.row, p.code) for p in piece.problems] == [(1, "missing_value")]


@pytest.mark.parametrize(
    ("name", "unit", "text"),
    [
        ("RA", "m", "RA is in 'm', expected deg"),
        ("Dec", "nonsense", "Dec is in 'nonsense', expected deg"),
        ("diameter_pixel", "arcsec", "expected pixel; name the column diameter_arcsec"),
        ("diameter_arcsec", "pix", "expected arcsec"),
    ],
)
def test_units_that_cannot_be(name: str, unit: str, text: str) -> None:
    columns = ("RA", "Dec", "diameter_pixel", "diameter_arcsec")
    table = Table({"SourceID": ["a"], **{column: [5.0] for column in columns}})
    table[name].unit = u.Unit(unit, parse_strict="silent")
    with pytest.raises(UnitError, match=text):
        Catalogue.open(table)


def test_ids_of_any_kind() -> None:
    frame = pd.DataFrame({"RA": 1.0, "Dec": 2.0, "diameter_pixel": 3.0}, index=range(4))
    for given, expected in (
        ([7, 8, 9, 2**62], ["7", "8", "9", str(2**62)]),
        ([7.0, 8.5, 9.0, 1e3], ["7", "8.5", "9", "1000"]),
        (["a", 7, b"bytes", "d "], ["a", "7", "b'bytes'", "d"]),
    ):
        assert read_one(frame.assign(SourceID=given)).source_id.tolist() == expected
    (piece,) = Catalogue.open(frame.assign(SourceID=["a", None, np.nan, "d"])).pieces()
    assert piece.row.tolist() == [0, 3]
    assert [(p.row, p.code) for p in piece.problems] == [(1, "no_id"), (2, "no_id")]


def test_columns_of_mixed_and_other_types() -> None:
    frame = pd.DataFrame({"SourceID": ["a", "b", "c"], "Dec": 2.0, "diameter_pixel": 3})
    (piece,) = Catalogue.open(frame.assign(RA=["1.5", 2.5, "x"])).pieces()
    assert piece.ra.tolist() == [1.5, 2.5]
    assert [str(p) for p in piece.problems] == ["row 2 (c): RA = 'x': expected a number"]
    (piece,) = Catalogue.open(frame.assign(RA=[True, False, True])).pieces()
    assert len(piece) == 0
    assert {p.code for p in piece.problems} == {"not_a_number"}


def test_fits_tables_that_scale_and_mask(tmp_path: Path) -> None:
    from astropy.io import fits

    columns = [
        fits.Column("SourceID", "J", array=[1, 2, -99], null=-99),
        fits.Column("RA", "I", array=np.array([10, 21, 30])),
        fits.Column("Dec", "E", array=[1, 2, 3]),
        fits.Column("diameter_pixel", "J", array=[8, 9, 10]),
    ]
    path = tmp_path / "c.fits"
    table = fits.BinTableHDU.from_columns(columns)
    table.header["TSCAL2"], table.header["TZERO2"] = 0.5, 5.0
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    (piece,) = Catalogue.open(path).pieces()
    assert piece.ra.tolist() == [10 * 0.5 + 5.0, 21 * 0.5 + 5.0]  # the standard's formula
    assert [(p.row, p.code) for p in piece.problems] == [(2, "no_id")]


def test_files_that_are_no_texts_are_refused_by_row(frame: pd.DataFrame) -> None:
    """Of kinds that Arrow has no texts for."""
    for value, code in ({"a": 1}, "missing_file"), ([["a.fits"]], "bad_file_list"):
        column = pa.array([value] * len(frame))
        table = pa.Table.from_pandas(frame).set_column(5, "fits_file_paths", column)
        (piece,) = Catalogue.open(table, rows=len(frame)).pieces()
        assert {str(p.code) for p in piece.problems} == {code}
        assert {p.row for p in piece.problems} == set(range(len(frame)))

"""Catalogues: every bad row is named, every good row goes on, in pieces of any size."""

import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped,unused-ignore]
import pytest

from snapdb.bulk.catalogue.catalogue import Catalogue, load_and_validate_catalogue
from snapdb.bulk.catalogue.duplicates import Duplicates, find_repeated
from snapdb.bulk.catalogue.piece import Piece
from snapdb.bulk.catalogue.problem import CatalogueValidationError, Problem, ProblemCode
from snapdb.errors import FormatError, ObjectMissingError, UsageError

HEADING = "SourceID,RA,Dec,diameter_pixel,diameter_arcsec,fits_file_paths"


@pytest.fixture
def tiles(tmp_path: Path) -> list[str]:
    """Make files that exist."""
    paths = [tmp_path / f"tile {i}.fits" for i in range(3)]
    for path in paths:
        path.touch()
    return [str(path) for path in paths]


def write(path: Path, lines: list[str], heading: str = HEADING) -> Path:
    """Write a CSV file."""
    path.write_text("\n".join([heading, *lines]) + "\n", encoding="utf-8")
    return path


def read_all(catalogue: Catalogue) -> tuple[dict[str, Any], list[Problem]]:
    """Give the sound rows, column by column, and all problems."""
    pieces = list(catalogue.pieces())
    names = ("row", "source_id", "ra", "dec", "diameter_pixel", "diameter_arcsec", "fileset")
    columns = {name: np.concatenate([getattr(p, name) for p in pieces]) for name in names}
    return columns, [problem for p in pieces for problem in p.problems]


def make_bad_rows(tiles: list[str]) -> list[tuple[str, set[ProblemCode]]]:
    """Give lines, each with what is wrong with it."""
    files = f"\"['{tiles[0]}']\""
    code = ProblemCode
    return [
        (f"good1,10.5,-20.25,32,,{files}", set()),
        (f",10,-20,32,,{files}", {code.NO_ID}),
        (f"text,ten,-20,32,,{files}", {code.NOT_A_NUMBER}),
        (f"sexagesimal,10:30:00,-20,32,,{files}", {code.NOT_A_NUMBER}),
        (f"underscore,1_0,-20,32,,{files}", {code.NOT_A_NUMBER}),
        (f"nora,,-20,32,,{files}", {code.MISSING_VALUE}),
        (f"nandec,10,nan,32,,{files}", {code.MISSING_VALUE}),
        (f"ra361,361,-20,32,,{files}", {code.RA_RANGE}),
        (f"rainf,inf,-20,32,,{files}", {code.RA_RANGE}),
        (f"raneg,-0.001,-20,32,,{files}", {code.RA_RANGE}),
        (f"dec91,10,91,32,,{files}", {code.DEC_RANGE}),
        (f"both,400,-100,32,,{files}", {code.RA_RANGE, code.DEC_RANGE}),
        (f"zero,10,-20,0,,{files}", {code.SIZE_RANGE}),
        (f"negative,10,-20,-3,,{files}", {code.SIZE_RANGE}),
        (f"big,10,-20,10001,,{files}", {code.SIZE_RANGE}),
        (f"wide,10,-20,,3601,{files}", {code.SIZE_RANGE}),
        (f"sizetext,10,-20,large,,{files}", {code.NOT_A_NUMBER}),
        (f"nosize,10,-20,,,{files}", {code.NO_SIZE}),
        ("brackets,10,-20,32,,\"['/a.fits'\"", {code.BAD_FILE_LIST}),
        ('quotes,10,-20,32,,"[/a.fits]"', {code.BAD_FILE_LIST}),
        ('numbers,10,-20,32,,"[3, 4]"', {code.BAD_FILE_LIST}),
        ("nofiles,10,-20,32,,[]", {code.NO_FILES}),
        ("emptyfiles,10,-20,32,,", {code.NO_FILES}),
        ("missing,10,-20,32,,/none/such.fits", {code.MISSING_FILE}),
        (f"few,10,-20\nmany,10,-20,32,,{files},7", {code.MALFORMED_ROW}),
        (f"edge,360,90,10000,3600,{files}", set()),
        (f"good1,10.5,-20.25,32,,{files}", {code.DUPLICATE_ROW}),
        (f"good1,10.5,-20.26,32,,{files}", {code.DUPLICATE_ID}),
        (f"good1,10.5,-20.25,33,,{files}", {code.DUPLICATE_ID}),
        (f"good1,10.5,-20.25,32,,{tiles[1]}", {code.DUPLICATE_ID}),
        (f"dec91,10,9.1,32,,{files}", set()),
        (f" spaced , 10 , -20 , 32 ,,{files}", set()),
    ]


@pytest.mark.parametrize("rows", [1, 3, 7, 1000])
def test_every_bad_row_is_named_and_every_good_row_goes_on(
    tmp_path: Path, tiles: list[str], rows: int
) -> None:
    # Oracle: what each line was made with.
    expected: dict[int, set[ProblemCode]] = {}
    names: dict[int, str] = {}
    lines: list[str] = []
    for text, codes in make_bad_rows(tiles):
        for line in text.split("\n"):
            expected[len(lines)] = codes
            names[len(lines)] = line.split(",")[0].strip()
            lines.append(line)
    catalogue = Catalogue.open(write(tmp_path / "bad.csv", lines), rows=rows)
    columns, problems = read_all(catalogue)
    assert columns["row"].tolist() == [row for row, codes in expected.items() if not codes]
    assert [names[row] for row in columns["row"].tolist()] == columns["source_id"].tolist()
    found: dict[int, set[ProblemCode]] = {row: set() for row in expected}
    for problem in problems:
        found[problem.row].add(problem.code)
    assert found == expected
    assert catalogue.row_count == len(lines)
    for problem in problems:
        if problem.code != ProblemCode.MALFORMED_ROW:
            assert problem.source_id == names[problem.row]
    assert {p.code for p in problems} == set(ProblemCode)
    assert columns["ra"][columns["source_id"] == "edge"] == 0.0


def test_messages_say_what_was_found_and_what_was_expected(tmp_path: Path, tiles: list[str]) -> None:
    lines = [line for line, _ in make_bad_rows(tiles)]
    _, problems = read_all(Catalogue.open(write(tmp_path / "bad.csv", lines)))
    texts = "\n".join(map(str, problems))
    for expected in (
        "row 1: no SourceID",
        "row 2 (text): RA = 'ten': expected a number",
        "row 7 (ra361): RA = 361.0: expected degrees from 0 to 360",
        "(nandec): Dec is empty or NaN: expected degrees from -90 to 90",
        "(big): diameter_pixel = 10001.0: expected more than 0, at most 10000",
        "(nosize): neither diameter_pixel nor diameter_arcsec",
        "unbalanced brackets",
        "(missing): no such file: /none/such.fits",
        "3 fields, expected 6: 'few,10,-20'",
        "(good1): the same source as row 0, which is used",
        "(good1): the SourceID of row 0, at another position, size or file",
    ):
        assert expected in texts


def test_values_are_those_that_pandas_reads(tmp_path: Path, tiles: list[str]) -> None:
    rng = np.random.default_rng(7)
    count = 2500
    frame = pd.DataFrame(
        {
            "SourceID": [f"s{i}" for i in rng.permutation(count)],
            "RA": rng.uniform(0, 360, count),
            "Dec": rng.uniform(-90, 90, count),
            "diameter_arcsec": rng.uniform(1, 100, count),
            "fits_file_paths": [repr(tiles[i : i + 2]) for i in rng.integers(0, 3, count)],
        }
    )
    path = tmp_path / "many.csv"
    frame.to_csv(path, index=False)
    catalogue = Catalogue.open(path, rows=999)
    assert [len(p) for p in catalogue.pieces()] == [999, 999, 502]
    columns, problems = read_all(catalogue)
    assert problems == []
    np.testing.assert_array_equal(columns["ra"], frame["RA"])
    np.testing.assert_array_equal(columns["dec"], frame["Dec"])
    np.testing.assert_array_equal(columns["diameter_arcsec"], frame["diameter_arcsec"])
    assert np.isnan(columns["diameter_pixel"]).all()
    assert columns["source_id"].tolist() == frame["SourceID"].tolist()
    assert [repr(list(catalogue.filesets[i])) for i in columns["fileset"]] == frame[
        "fits_file_paths"
    ].tolist()
    assert len(catalogue.filesets) == 3


def test_numbering_holds_across_blocks_of_the_reader(tmp_path: Path) -> None:
    count = 60_000  # some 3 MB: several blocks
    bad = {5, 17_000, 17_001, 59_999}
    filler = "x" * 30
    lines = [f"s{i},1,2" if i in bad else f"s{i},{i / 1000},2,32,{filler}" for i in range(count)]
    path = write(tmp_path / "long.csv", lines, "SourceID,RA,Dec,diameter_pixel,note")
    columns, problems = read_all(Catalogue.open(path, rows=10_007))
    assert {p.row for p in problems} == bad
    assert columns["row"].tolist() == [i for i in range(count) if i not in bad]
    assert columns["source_id"].tolist() == [f"s{i}" for i in range(count) if i not in bad]


def test_duplicates_are_those_of_brute_force(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    ids = rng.integers(0, 400, 1000)
    ras = rng.integers(0, 2, 1000)
    lines = [f"id{i},{ra},0,32" for i, ra in zip(ids, ras, strict=True)]
    path = write(tmp_path / "twice.csv", lines, "SourceID,RA,Dec,diameter_pixel")
    columns, problems = read_all(Catalogue.open(path, rows=64))
    first: dict[int, int] = {}
    expected = {}
    for row, (name, ra) in enumerate(zip(ids.tolist(), ras.tolist(), strict=True)):
        if name in first:
            same = ras[first[name]] == ra
            expected[row] = ProblemCode.DUPLICATE_ROW if same else ProblemCode.DUPLICATE_ID
        first.setdefault(name, row)
    assert {p.row: p.code for p in problems} == expected
    assert set(columns["row"].tolist()) == set(first.values())
    unchecked, none = read_all(Catalogue.open(path, check_duplicates=False))
    assert len(unchecked["row"]) == 1000
    assert none == []


def test_ids_whose_hashes_agree_are_told_apart() -> None:
    assert find_repeated([np.array([3, 1]), np.array([3, 3, 2])]).tolist() == [3]
    assert find_repeated([]).tolist() == []
    from snapdb.bulk.catalogue.checks import Findings
    from snapdb.bulk.catalogue.duplicates import hash_ids

    names = np.array(["a", "b", "a"], dtype=object)
    ones = np.ones(3)
    piece = Piece(
        row=np.arange(3), source_id=names, ra=ones, dec=ones, diameter_pixel=ones,
        diameter_arcsec=np.full(3, np.nan), fileset=np.zeros(3, dtype=np.int64),
    )  # fmt: skip
    found = Findings(piece)
    Duplicates(np.sort(hash_ids(np.array(["a", "b"], dtype=object)))).check(found)
    assert [(p.row, p.code) for p in found.problems] == [(2, ProblemCode.DUPLICATE_ROW)]


def test_one_size_for_all_fills_only_what_is_empty(tmp_path: Path) -> None:
    path = write(tmp_path / "some.csv", ["a,1,2,20", "b,1,2,", "c,1,2,x"], "SourceID,RA,Dec,diameter_pixel")
    columns, problems = read_all(Catalogue.open(path, diameter_arcsec=5.0))
    assert columns["diameter_pixel"].tolist()[0] == 20
    assert np.isnan(columns["diameter_pixel"][1])
    np.testing.assert_array_equal(columns["diameter_arcsec"], [np.nan, 5.0])
    assert [(p.row, p.code) for p in problems] == [(2, ProblemCode.NOT_A_NUMBER)]
    path = write(tmp_path / "none.csv", ["a,1,2"], "SourceID,RA,Dec")
    assert read_all(Catalogue.open(path, diameter_pixel=64))[0]["diameter_pixel"].tolist() == [64.0]
    with pytest.raises(CatalogueValidationError, match="no column diameter_pixel or diameter_arcsec"):
        Catalogue.open(path)


@pytest.mark.parametrize(
    ("heading", "text"),
    [
        ("SourceID,RA,diameter_pixel", "no column Dec; there are SourceID, RA, diameter_pixel"),
        ("id,alpha,delta", "no column SourceID, RA, Dec"),
        ("SourceID,RA,ra,Dec,diameter_pixel", "the columns RA, ra are all RA"),
    ],
)
def test_columns_that_are_missing_or_twice(tmp_path: Path, heading: str, text: str) -> None:
    with pytest.raises(CatalogueValidationError, match=text):
        Catalogue.open(write(tmp_path / "c.csv", [], heading))


@pytest.mark.parametrize(
    "heading",
    [
        "sourceid,ra,DEC,Diameter_Pixel",
        "source_id;RA;Dec;diameter_pixel",
        "\ufeffSourceID\tRA\tDec\tdiameterpixel",
    ],
)
def test_spelling_and_separators_do_not_count(tmp_path: Path, heading: str) -> None:
    mark = next(m for m in ",;\t" if m in heading)
    path = write(tmp_path / "c.csv", [mark.join(["a", "1.5", "2.5", "32"])], heading)
    columns, problems = read_all(Catalogue.open(path))
    assert problems == []
    assert (columns["source_id"][0], columns["ra"][0], columns["dec"][0]) == ("a", 1.5, 2.5)


def test_ways_to_write_a_list_of_files(tmp_path: Path, tiles: list[str]) -> None:
    a, b, _ = tiles
    ways = [
        repr([a, b]),
        json.dumps([a, b]),
        f" [ '{a}' , '{b}', ] ",
        repr([f"{tmp_path}/./x/../{Path(a).name}", b]),
        repr([Path(a).as_uri().replace(".fits", "%2Efits"), Path(b).as_uri()]),
    ]
    frame = pd.DataFrame({"SourceID": range(7), "RA": 1.0, "Dec": 2.0, "diameter_pixel": 9})
    frame["fits_file_paths"] = [*ways, a, "https://example.org//x.fits"]
    frame.to_csv(tmp_path / "c.csv", index=False)
    catalogue = Catalogue.open(tmp_path / "c.csv")
    columns, problems = read_all(catalogue)
    assert problems == []
    assert [catalogue.filesets[i] for i in columns["fileset"]] == [(a, b)] * 5 + [
        (a,),
        ("https://example.org//x.fits",),
    ]
    assert len(catalogue.filesets) == 3


def test_files_are_looked_for_on_demand(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", ["a,1,2,9,,/none/such.fits"])
    assert len(read_all(Catalogue.open(path, check_file_paths=False))[0]["row"]) == 1
    assert len(read_all(Catalogue.open(path))[0]["row"]) == 0


def test_a_catalogue_without_files(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", ["a,1,2,9"], "SourceID,RA,Dec,diameter_pixel")
    catalogue = Catalogue.open(path)
    assert not catalogue.names_files
    assert read_all(catalogue)[0]["fileset"].tolist() == [-1]


def test_no_rows(tmp_path: Path) -> None:
    catalogue = Catalogue.open(write(tmp_path / "c.csv", []))
    assert catalogue.row_count == 0
    assert [len(p) for p in catalogue.pieces()] in ([], [0])
    assert len(load_and_validate_catalogue(tmp_path / "c.csv")) == 0


def test_what_is_no_catalogue(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "noise.parquet").write_bytes(b"no parquet")
    (tmp_path / "noise.fits").write_bytes(b"no fits" * 1000)
    (tmp_path / "noise.xml").write_bytes(b"<no></votable>")
    (tmp_path / "latin.csv").write_bytes("SourceID,RA,Dec,diameter_pixel\nü,1,2,9\n".encode("latin-1"))
    for name in ("empty.csv", "noise.parquet", "noise.fits", "noise.xml", "latin.csv"):
        with pytest.raises(FormatError, match=name):
            read_all(Catalogue.open(tmp_path / name))
    with pytest.raises(ObjectMissingError, match="no such file"):
        Catalogue.open(tmp_path / "none.csv")
    (tmp_path / "x.doc").touch()
    with pytest.raises(UsageError, match=r"'\.doc' says no format"):
        Catalogue.open(tmp_path / "x.doc")
    with pytest.raises(UsageError, match="catalogue of type int"):
        Catalogue.open(3)


def test_load_and_validate(tmp_path: Path, tiles: list[str]) -> None:
    lines = [f"s{i},{i},2,32,,\"['{tiles[0]}']\"" for i in range(4)]
    frame = load_and_validate_catalogue(write(tmp_path / "good.csv", lines))
    assert list(frame.columns) == ["SourceID", "RA", "Dec", "diameter_pixel", "fits_file_paths"]
    again = load_and_validate_catalogue(frame)
    pd.testing.assert_frame_equal(frame, again)
    bad = [line for line, _ in make_bad_rows(tiles)]
    with pytest.raises(
        CatalogueValidationError, match=r"rows cannot be used: row 1: no SourceID.*more"
    ) as caught:
        load_and_validate_catalogue(write(tmp_path / "bad.csv", bad))
    assert set(Counter(p.code for p in caught.value.problems)) == set(ProblemCode)
    assert str(tmp_path / "bad.csv") in str(caught.value)
    copied = pickle.loads(pickle.dumps(caught.value))
    assert copied.problems == caught.value.problems


def test_digest_follows_the_content(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", ["a,1,2,9"], "SourceID,RA,Dec,diameter_pixel")
    first = Catalogue.open(path).digest()
    assert Catalogue.open(path).digest() == first
    write(path, ["a,1,2,8"], "SourceID,RA,Dec,diameter_pixel")
    assert Catalogue.open(path).digest() != first
    frame = pd.DataFrame({"SourceID": ["a"], "RA": [1.0], "Dec": [2.0], "diameter_pixel": [9]})
    in_memory = Catalogue.open(frame).digest()
    assert Catalogue.open(frame.copy()).digest() == in_memory
    frame.loc[0, "RA"] = 1.5
    assert Catalogue.open(frame).digest() != in_memory


@pytest.mark.parametrize(
    "text",
    [
        "SourceID,RA,Dec,diameter_pixel\na,1,2,9\nb,3,4,9\n",
        "SourceID,RA,Dec,diameter_pixel\r\na,1,2,9\r\nb,3,4,9\r\n",
        "SourceID,RA,Dec,diameter_pixel\ra,1,2,9\rb,3,4,9\r",
        "SourceID,RA,Dec,diameter_pixel\ra,1,2,9\rb,3,4,9\n",
        "SourceID,RA,Dec,diameter_pixel\ra,1,2,9\nb,3,4,9\n",
        "\nSourceID,RA,Dec,diameter_pixel\na,1,2,9\nb,3,4,9\n",
        "\r\n\r\nSourceID,RA,Dec,diameter_pixel\r\na,1,2,9\r\nb,3,4,9\r\n",
        "\ufeffSourceID,RA,Dec,diameter_pixel\na,1,2,9\nb,3,4,9\n",
        "\ufeff\nSourceID,RA,Dec,diameter_pixel\na,1,2,9\nb,3,4,9\n",
        '"SourceID","RA","Dec","diameter_pixel"\n"a",1,2,9\n"b",3,4,9\n',
        "SourceID,RA,Dec,diameter_pixel,größe\na,1,2,9,0\nb,3,4,9,0\n",
        " SourceID , RA,Dec ,diameter_pixel\na, 1,2 ,9\nb,3,+4,9",
    ],
)
def test_any_ends_of_lines_and_headings(text: str, tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_bytes(text.encode())
    sources, problems = read_all(Catalogue.open(path))
    assert problems == []
    assert sources["source_id"].tolist() == ["a", "b"]
    assert sources["ra"].tolist() == [1.0, 3.0]
    assert sources["dec"].tolist() == [2.0, 4.0]

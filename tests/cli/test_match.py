"""`snapdb match` at work on a small synthetic survey; `snapdb find` for each position is the oracle."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from snapdb.cli import cli
from snapdb.testing.skies import make_survey


def run(*arguments: str | Path) -> Result:
    runner = CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""})
    return runner.invoke(cli, [str(a) for a in arguments])


class Bench:
    """An archive that holds a survey, and a catalogue about it."""

    def __init__(self, folder: Path) -> None:
        survey = make_survey(folder / "survey", epochs=3, stars=20)
        self.archive = folder / "archive"
        assert run("init", self.archive).exit_code == 0
        assert run("-a", self.archive, "ingest", folder / "survey/images", "--jobs", "1").exit_code == 0
        random = np.random.default_rng(8)
        ra0, dec0 = survey.supernova.ra, survey.supernova.dec
        offsets = np.concatenate(([[0.0, 0.0]], random.normal(scale=0.03, size=(11, 2)), [[90.0, 3.0]]))
        self.positions = [((ra0 + a) % 360.0, dec0 + d) for a, d in offsets.tolist()]
        self.catalogue = folder / "catalogue.csv"
        self.write(self.catalogue, self.positions)

    def write(self, path: Path, positions: list[tuple[float, float]], names: str = "ra,dec") -> None:
        lines = [names, *(f"{ra!r},{dec!r}" for ra, dec in positions)]
        path.write_text("\n".join(lines) + "\n")

    def match(self, *arguments: str | Path) -> Result:
        return run("-a", self.archive, "match", *arguments)

    def expected(self, *criteria: str) -> set[tuple[int, str]]:
        pairs = set()
        for row, (ra, dec) in enumerate(self.positions):
            at = ("--ra", repr(ra), "--dec", repr(dec))
            lines = run("-a", self.archive, "find", *at, *criteria, "--format", "jsonl").stdout.splitlines()
            pairs |= {(row, json.loads(line)["id"]) for line in lines}
        return pairs


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def pairs_in(text: str) -> set[tuple[int, str]]:
    return {(int(line["row"]), line["image_id"]) for line in csv.DictReader(io.StringIO(text))}


@pytest.mark.parametrize("criteria", [(), ("--band", "r")])
def test_pairs_go_to_standard_output_as_csv(bench: Bench, criteria: tuple[str, ...]) -> None:
    result = bench.match(bench.catalogue, *criteria)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0] == "row,image_id,band,mjd"
    assert pairs_in(result.stdout) == bench.expected(*criteria)
    assert len(pairs_in(result.stdout)) > 3


def test_pairs_go_to_a_file_and_only_asked_over_another(bench: Bench, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "pairs.parquet"
    result = bench.match(bench.catalogue, "-o", out)
    assert (result.exit_code, result.stdout) == (0, "")
    table = parquet.read_table(out)
    rows, ids = table["row"].to_pylist(), table["image_id"].to_pylist()
    assert set(zip(rows, ids, strict=True)) == bench.expected()
    assert f"{table.num_rows} pairs of 13 positions" in result.stderr
    again = bench.match(bench.catalogue, "-o", out)
    assert again.exit_code == 1
    assert "exists already" in again.stderr
    assert bench.match(bench.catalogue, "-o", out, "--overwrite").exit_code == 0


def test_count_prints_the_number_of_pairs(bench: Bench) -> None:
    assert bench.match(bench.catalogue, "--count").stdout == f"{len(bench.expected())}\n"


def test_text_that_is_no_number_is_a_row_without_position(bench: Bench, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    (ra, dec), *_ = bench.positions
    bad.write_text(f"ra,dec\n{ra!r},{dec!r}\nxx,{dec!r}\n,{dec!r}\n{ra!r},{dec!r}\n")
    refused = bench.match(bad)
    assert refused.exit_code == 2
    said = " ".join(refused.stderr.split())
    assert "bad.csv" in said
    assert "2 of 4 rows" in said
    assert "1 (ra 'xx')" in said
    assert "--on-error skip" in said
    result = bench.match(bad, "--on-error", "skip")
    assert result.exit_code == 0, result.stderr
    assert "2 rows hold no position and were left out: 1, 2" in result.stderr
    ids = {image for row, image in bench.expected() if row == 0}
    assert pairs_in(result.stdout) == {(row, image) for row in (0, 3) for image in ids}
    missing = " ".join(bench.match(bad, "--ra-column", "RA").stderr.split())
    assert "--ra-column" in missing


def test_columns_can_have_other_names(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "named.csv"
    bench.write(path, bench.positions, "RA_ICRS,DE_ICRS")
    named = bench.match(path, "--ra-column", "RA_ICRS", "--dec-column", "DE_ICRS")
    assert pairs_in(named.stdout) == bench.expected()
    unnamed = bench.match(path)
    assert unnamed.exit_code == 2
    assert "RA_ICRS, DE_ICRS" in unnamed.stderr


def test_rows_without_a_position_are_named_and_can_be_left_out(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    bench.write(path, [bench.positions[0], (float("nan"), 0.0), (1.0, 91.0)])
    refused = bench.match(path)
    assert refused.exit_code == 2
    assert "2 of 3 rows hold no position, counted from 0: 1 (ra nan, dec 0), 2" in refused.stderr
    left_out = bench.match(path, "--on-error", "skip")
    assert left_out.exit_code == 0
    assert pairs_in(left_out.stdout) == {pair for pair in bench.expected() if pair[0] == 0}
    assert "2 rows hold no position and were left out: 1, 2" in left_out.stderr


def test_nothing_found_is_said(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "far.csv"
    bench.write(path, [((bench.positions[0][0] + 180.0) % 360.0, 60.0)])
    result = bench.match(path, "--fail-empty")
    assert result.exit_code == 3
    assert result.stdout == "row,image_id,band,mjd\n"
    assert "none of 1 positions lies in an image" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ra", "10", "--dec", "20"], "leave out --ra and --dec"),
        (["--count", "-o", "a.csv"], "give one of them"),
        (["-o", "a.json"], "expected .parquet or .csv"),
    ],
)
def test_what_contradicts_itself_is_refused(bench: Bench, arguments: list[str], says: str) -> None:
    result = bench.match(bench.catalogue, *arguments)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_catalogue_that_is_not_there_is_said(bench: Bench) -> None:
    result = bench.match("nowhere.csv")
    assert result.exit_code == 2
    assert "'nowhere.csv' does not exist" in result.stderr

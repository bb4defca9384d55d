"""`snapdb import` and `snapdb export` at work on a small synthetic survey."""

import csv
import io
import json
from pathlib import Path
from uuid import uuid4

import pyarrow.parquet as pq  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
import pytest
from click.testing import CliRunner, Result

from snapdb.cli import cli
from snapdb.model.provenance import Provenance
from snapdb.testing.skies import make_survey

MADE = Provenance("sim", 1, 0, {"seed": 3}, hash_scheme="snappl-md5")


def run(*arguments: str | Path) -> Result:
    runner = CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""})
    return runner.invoke(cli, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survey")
    make_survey(folder, epochs=3, stars=20)
    return folder / "images"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    assert run("init", tmp_path / "archive").exit_code == 0
    return tmp_path / "archive"


@pytest.fixture
def tables(tmp_path: Path, images: Path) -> list[str]:
    """Options that name a snappl database's tables, one file of which is missing."""
    files = [p.relative_to(images).as_posix() for p in sorted(images.rglob("*.fits"))]
    with (tmp_path / "l2image.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["id", "provenance_id", "filepath", "observation_id", "colour"])
        rows.writerows(
            [uuid4(), MADE.id, name, f"obs{n}", ""] for n, name in enumerate([files[0], "gone.fits"])
        )
    with (tmp_path / "provenance.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["id", "process", "major", "minor", "params", "environment"])
        rows.writerow([MADE.id, "sim", 1, 0, '{"seed": 3}', ""])
    names = (
        "--images",
        tmp_path / "l2image.csv",
        "--provenances",
        tmp_path / "provenance.csv",
        "--base",
        images,
    )
    return [str(name) for name in names]


def test_snappl_moves_in_and_each_row_is_accounted_for(
    archive: Path, tables: list[str], tmp_path: Path
) -> None:
    report = tmp_path / "r.jsonl"
    result = run("-a", archive, "import", "snappl", *tables, "--report", report, "--jobs", "1")
    assert result.exit_code == 4  # one file is gone
    assert "3 rows, 1 images" in result.stderr
    assert "2 registered, 0 unchanged, 0 updated, 1 refused" in result.stderr
    assert "refused l2image.csv:3: gone.fits: object_missing" in result.stderr
    assert "nothing is known of colour" in result.stderr
    assert result.stdout == ""
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["registered", "refused", "registered"]
    (found,) = [json.loads(x) for x in run("-a", archive, "find", "--format", "jsonl").stdout.splitlines()]
    assert (found["observation_id"], found["provenance_id"]) == ("obs0", str(MADE.id))
    again = run("-a", archive, "import", "snappl", *tables, "--report", report, "--jobs", "1")
    assert "0 registered, 2 unchanged" in again.stderr


def test_a_tree_is_looked_at_then_registered(archive: Path, images: Path) -> None:
    look = run("-a", archive, "import", "tree", images, "--dry-run", "--jobs", "1")
    assert look.exit_code == 0, look.stderr
    assert "would be" in look.stderr
    assert run("-a", archive, "find", "--count").stdout == "0\n"
    done = run("-a", archive, "import", "tree", images, "--jobs", "1", "--provenance", "sim:2.1")
    assert done.exit_code == 0
    assert done.stdout == look.stdout
    counts = [int(line.split()[-1]) for line in done.stdout.splitlines()[1:]]
    assert sum(counts) == int(run("-a", archive, "find", "--process", "sim", "--count").stdout) > 0


def test_wrong_calls_say_what_is_wrong(archive: Path, images: Path) -> None:
    for wrong, why in (
        (["--band-from", "("], "regular expression"),
        (["--provenance", "sim:x"], "not a version"),
        (["--instrument", "none"], "none"),
    ):
        result = run("-a", archive, "import", "tree", images, *wrong)
        assert result.exit_code == 2, result.stderr
        assert why in result.stderr
    other = images / next(images.rglob("*.fits"))
    result = run("-a", archive, "import", "tree", images, "--report", other)
    assert result.exit_code == 1
    assert run("-a", archive, "find", "--count").stdout == "0\n"


@pytest.fixture
def filled(archive: Path, images: Path) -> Path:
    assert run("-a", archive, "ingest", images, "--jobs", "1").exit_code == 0
    return archive


def test_export_writes_what_find_finds(filled: Path, tmp_path: Path) -> None:
    band = json.loads(run("-a", filled, "find", "--format", "jsonl").stdout.splitlines()[0])["band"]
    for criteria in ([], ["--band", band], ["--limit", "2", "--order-by", "-mjd"]):
        ids = [
            json.loads(x)["id"]
            for x in run("-a", filled, "find", *criteria, "--format", "jsonl").stdout.splitlines()
        ]
        target = tmp_path / f"{len(criteria)}.parquet"
        result = run("-a", filled, "export", *criteria, "-o", target, "--authority", "org.example/wide")
        assert result.exit_code == 0, result.stderr
        found = pq.read_table(target).column("obs_publisher_did").to_pylist()
        assert sorted(found) == sorted(f"ivo://org.example/wide?{i}" for i in ids)
        assert f"{len(ids)} images as ObsCore 1.1" in result.stderr


def test_export_to_standard_output_and_under_other_names(filled: Path, tmp_path: Path) -> None:
    result = run(
        "-a", filled, "export", "-o", "-", "--collection", "MINE", "--access-url", "https://e.org/{id}"
    )
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == int(run("-a", filled, "find", "--count").stdout)
    assert {row["obs_collection"] for row in rows} == {"MINE"}
    assert all(
        row["access_url"] == f"https://e.org/{row['obs_publisher_did'].partition('?')[2]}" for row in rows
    )


def test_export_writes_over_nothing_that_is_not_given_away(
    filled: Path, images: Path, tmp_path: Path
) -> None:
    target = tmp_path / "o.csv"
    assert run("-a", filled, "export", "-o", target).exit_code == 0
    refused = run("-a", filled, "export", "-o", target)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    assert run("-a", filled, "export", "-o", target, "--overwrite").exit_code == 0
    registered = next(images.rglob("*.fits"))
    before = registered.read_bytes()
    form = ("--format", "csv", "--overwrite")
    assert run("-a", filled, "export", "-o", registered, *form).exit_code == 1
    assert registered.read_bytes() == before
    calls: tuple[list[str | Path], ...] = (
        ["-o", tmp_path / "o.txt"],
        ["-o", tmp_path / "p.csv", "--authority", "?"],
        [],
    )
    for wrong in calls:
        assert run("-a", filled, "export", *wrong).exit_code == 2
    assert not (tmp_path / "p.csv").exists()
    assert (
        run("-a", filled, "export", "-o", tmp_path / "n.csv", "--band", "no", "--fail-empty").exit_code == 3
    )

"""`snapdb verify`: what it prints, reports, and ends with."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from snapdb.cli import cli
from snapdb.testing.skies import Survey, make_survey


class Bench:
    """An archive that holds a survey."""

    def __init__(self, folder: Path) -> None:
        self.archive = folder / "archive"
        self.survey: Survey = make_survey(folder / "survey", epochs=1, stars=5)
        for arguments in (["init"], ["ingest", str(folder / "survey/images"), "--jobs", "1"]):
            assert self.run(*arguments).exit_code == 0

    def run(self, *arguments: str) -> Result:
        runner = CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""})
        return runner.invoke(cli, ["-a", str(self.archive), *arguments])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("verify"))


def test_sound_files(bench: Bench) -> None:
    result = bench.run("verify", "--checksums")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert f"{len(bench.survey.files)} files: all are what was registered" in result.stderr


def test_a_file_that_is_gone(bench: Bench, tmp_path: Path) -> None:
    file, report = bench.survey.files[0], tmp_path / "report.jsonl"
    kept = file.rename(tmp_path / "kept.fits")
    try:
        for _ in range(2):  # a report is replaced by the next
            result = bench.run("verify", "--jobs", "1", "--report", str(report))
            assert result.exit_code == 6
    finally:
        kept.rename(file)
    assert result.stdout.startswith("missing, ")
    assert str(file) in result.stdout
    assert "files: 1 missing" in result.stderr
    (fault,) = map(json.loads, report.read_text().splitlines())
    assert fault["path"] == str(file)
    assert fault["outcome"] == "missing"
    ids = bench.run("find", "--format", "csv").stdout
    assert fault["image_ids"]
    assert all(id_ in ids for id_ in fault["image_ids"])


def test_what_is_no_report_is_not_written_over(bench: Bench, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.write_text("mine")
    assert bench.run("verify", "--report", str(notes)).exit_code == 1
    assert notes.read_text() == "mine"

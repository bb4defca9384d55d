"""Wrong calls, missing archives and refused databases: each with its exit code and what to do."""

import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import make_url

from snapdb import Provenance, connect
from snapdb.cli import cli
from snapdb.testing.skies import Survey, make_survey


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""}).invoke(cli, list(arguments), input=stdin)


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return make_survey(tmp_path_factory.mktemp("calls"), epochs=1, stars=5)


@pytest.fixture(scope="module")
def archive(survey: Survey) -> str:
    folder = str(survey.folder / "archive")
    assert run("init", folder).exit_code == 0
    files = [str(path) for path in survey.files[:2]]
    assert run("-a", folder, "ingest", *files, "--process", "reduce", "--jobs", "1").exit_code == 0
    with connect(folder) as opened:
        opened.add_provenance(Provenance("reduce", 0, 0), tag="dr1")
    return folder


def refused(code: int, *arguments: str, stdin: str | None = None) -> str:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == code, result.stderr
    assert result.stderr.startswith("snapdb: error: ")
    assert result.stdout == ""
    return result.stderr


def test_without_a_command_there_is_help_and_no_error() -> None:
    result = run()
    assert result.exit_code == 2
    assert "error:" not in result.stderr
    assert "Usage: " in result.stderr
    assert "Exit codes:" in result.stderr


def test_the_help_lists_the_exit_codes() -> None:
    lines = [line.strip() for line in run("--help").stdout.splitlines()]
    assert lines[lines.index("Exit codes:") + 1] == "0  done"
    assert "6  a registered file is gone, or is not what was registered" in lines


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--copy", "--link"], "--copy and --link exclude each other"),
        (["--in-place", "--copy"], "--in-place and --copy exclude each other"),
        (["--process", "p", "--param", "a=1", "--param", "a=2"], "--param a is given more than once"),
        (["--instrument", "foo"], "no header map 'foo'; there are: "),
        (["--explain", "--instrument", "foo"], "no header map 'foo'; there are: "),
        (["--process", "p", "--version", "99999999999999999999"], "at most 9 digits"),
    ],
    ids=str,
)
def test_options_of_ingest_that_cannot_be(
    archive: str, survey: Survey, options: list[str], words: str
) -> None:
    assert words in refused(2, "-a", archive, "ingest", str(survey.files[3]), *options)


def test_an_ingest_of_nothing_says_that_nothing_was_registered(archive: str, tmp_path: Path) -> None:
    said = refused(2, "-a", archive, "ingest", str(tmp_path))
    assert f"no file in {tmp_path}; nothing was registered" in said
    said = refused(2, "-a", archive, "ingest", "-", stdin="")
    assert "no file in standard input; nothing was registered" in said


def test_a_count_goes_to_no_file(archive: str, tmp_path: Path) -> None:
    refused(2, "-a", archive, "find", "--count", "-o", str(tmp_path / "a.csv"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "value"), [("--sca", str(10**25)), ("--limit", str(10**25)), ("--offset", str(2**63))]
)
def test_integers_beyond_64_bits(archive: str, option: str, value: str) -> None:
    assert "64 bits" in refused(2, "-a", archive, "find", option, value)


def test_values_that_are_not_there_are_quoted(archive: str) -> None:
    assert "no image has band ''; there are: 'g'" in run("-a", archive, "find", "--band", "").stderr


@pytest.mark.parametrize(
    "command", [["find"], ["cutout", "--ra", "0", "--dec", "0", "--size", "5", "-o", "x.fits"]]
)
@pytest.mark.parametrize("process", [[], ["--process", "foo"], ["--process", "reduce"]], ids=str)
def test_a_tag_that_there_is_not_is_a_wrong_call(
    archive: str, command: list[str], process: list[str]
) -> None:
    said = refused(2, "-a", archive, *command, "--provenance-tag", "dr9", *process)
    assert "'dr9'" in said
    assert "there are: dr1 (reduce)" in said


def test_a_tag_of_another_process_is_a_wrong_call(archive: str) -> None:
    said = refused(2, "-a", archive, "find", "--provenance-tag", "dr1", "--process", "foo")
    assert "there are: dr1 (reduce)" in said


def test_tags_and_processes_find(archive: str) -> None:
    for criteria in (["--provenance-tag", "dr1"], ["--process", "reduce"]):
        assert run("-a", archive, "find", "--count", *criteria).stdout == "2\n"
    assert run("-a", archive, "find", "--count", "--process", "foo").stdout == "0\n"


def test_an_order_that_is_always_the_same(archive: str) -> None:
    """Oracle: the ids, sorted."""
    lines = run("-a", archive, "find", "--format", "csv").stdout.splitlines()[1:]
    ids = [line.split(",")[0] for line in lines]
    assert ids == sorted(ids)


# Archives that are not there, or are none


@pytest.mark.parametrize("place", ["{}/none", "sqlite:///{}/none.db"])
@pytest.mark.parametrize("command", ["info", "find"])
def test_no_archive_is_a_wrong_call(tmp_path: Path, place: str, command: str) -> None:
    assert "snapdb init" in refused(2, "-a", place.format(tmp_path), command)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database at all, but long enough to be looked at" * 50)
    for command in ("info", "init", "migrate"):
        said = refused(5, "-a", f"sqlite:///{tmp_path}/notes.db", command)
        assert "is no SQLite database" in said


def test_a_schema_of_another_version_is_told_alike_by_all(tmp_path: Path) -> None:
    assert run("init", str(tmp_path / "a")).exit_code == 0
    with sqlite3.connect(tmp_path / "a/registry.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'zzz'")
    database.close()
    said = {refused(5, "-a", str(tmp_path / "a"), command) for command in ("info", "init", "migrate")}
    assert len(said) == 1
    assert "has schema version zzz, expected" in said.pop()


@pytest.mark.postgis
@pytest.mark.parametrize("empty_url", [pytest.param("postgis")], indirect=True)
def test_a_server_that_refuses_says_what_to_do(empty_url: str) -> None:
    parsed = make_url(empty_url)
    nowhere = parsed.set(database="nope").render_as_string(hide_password=False)
    said = refused(5, "-a", nowhere, "info")
    assert "`createdb nope`" in said
    assert "cannot be reached" not in said
    nobody = parsed.set(username="nobody_here").render_as_string(hide_password=False)
    assert "the server knows no user 'nobody_here'" in refused(5, "-a", nobody, "info")
    assert "has schema version none" in refused(5, "-a", empty_url, "info")

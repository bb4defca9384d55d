"""`snapdb migrate`, and what every other command says to a database of another version."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import make_url

import snapdb
from snapdb.cli import cli
from snapdb.registry import SCHEMA_VERSION, downgrade, migrate
from snapdb.registry.schema import find_version, known_versions
from snapdb.testing.skies import Survey, make_survey

ON_POSTGIS = pytest.mark.parametrize("registry_url", [pytest.param("postgis")], indirect=True)
EMPTY_POSTGIS = pytest.mark.parametrize("empty_url", [pytest.param("postgis")], indirect=True)


def run(url: str, *arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""}).invoke(cli, ["-a", url, *arguments])


def refused(code: int, url: str, *arguments: str) -> str:
    result = run(url, *arguments)
    assert result.exit_code == code, result.stderr
    assert result.stderr.startswith("snapdb: error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    return result.stderr


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return make_survey(tmp_path_factory.mktemp("versions"), epochs=1, stars=5)


def test_an_empty_database_gets_its_tables(empty_url: str) -> None:
    result = run(empty_url, "migrate", "--lock-timeout", "5s", "--statement-timeout", "2min")
    assert result.exit_code == 0, result.stderr
    assert f"at the tables of snapdb {snapdb.__version__}" in result.stderr
    assert result.stdout == ""
    assert find_version(empty_url) == SCHEMA_VERSION
    again = run(empty_url, "migrate")
    assert (again.exit_code, again.stderr) == (0, result.stderr)


def test_every_command_refuses_an_older_database_and_works_after_migrating(
    empty_url: str, survey: Survey, tmp_path: Path
) -> None:
    first = survey.files[0]
    assert run(empty_url, "migrate").exit_code == 0
    assert run(empty_url, "ingest", str(first), "--jobs", "1").exit_code == 0
    with snapdb.connect(empty_url) as archive:
        image = archive.find_images()[0]
        position = (f"--ra={image.ra}", f"--dec={image.dec}")
    positions = tmp_path / "positions.csv"
    positions.write_text(f"ra,dec\n{image.ra},{image.dec}\n", encoding="utf-8")
    calls = {
        "find": ["find", *position],
        "count": ["find", "--count"],
        "show": ["show", str(image.id)],
        "ingest": ["ingest", str(survey.files[1]), "--jobs", "1"],
        "cutout": ["cutout", *position, "--size", "11", "-o", str(tmp_path / "cut.fits")],
        "match": ["match", str(positions)],
    }
    downgrade(empty_url, "0001")
    for call in calls.values():
        said = refused(5, empty_url, *call)
        assert f"version 0001, expected {SCHEMA_VERSION}; bring it up with `snapdb migrate`" in said
    assert not (tmp_path / "cut.fits").exists()
    assert run(empty_url, "migrate").exit_code == 0
    for name, call in calls.items():
        result = run(empty_url, *call)
        assert result.exit_code == 0, (name, result.stderr)
    assert run(empty_url, "find", "--count").stdout == f"{1 + count_images(survey.files[1])}\n"


def count_images(file: Path) -> int:
    """Count the images in a file, in an archive of its own."""
    with snapdb.init(file.parent / f"{file.stem}-alone") as archive:
        archive.ingest(file, jobs=1)
        return archive.count_images()


def test_a_later_database_is_refused_by_migrate_too(registry_url: str) -> None:
    if registry_url.startswith("sqlite"):
        with sqlite3.connect(str(make_url(registry_url).database)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '0999'")
        connection.close()
    else:
        with psycopg.connect(registry_url) as server:
            server.execute("UPDATE alembic_version SET version_num = '0999'")
    for call in (["migrate"], ["migrate", "--to", "0001"], ["migrate", "--sql"], ["init"], ["find"]):
        said = refused(5, registry_url, *call)
        assert "has schema version 0999, " in said
        assert "it was made by a later snapdb: install that one (this one knows 0001, " in said


def test_to_goes_up_and_down_and_says_where_it_stands(empty_url: str) -> None:
    up = run(empty_url, "migrate", "--to", "0001")
    assert up.exit_code == 0
    assert up.stderr.startswith("the tables have version 0001 now; ")
    assert up.stderr.endswith(f"this snapdb needs {SCHEMA_VERSION}: `snapdb migrate`\n")
    assert run(empty_url, "migrate").exit_code == 0
    said = refused(5, empty_url, "migrate", "--to", "0001")
    assert (
        f"version {SCHEMA_VERSION}, past 0001; go back to it with `snapdb migrate --down --to 0001`" in said
    )
    down = run(empty_url, "migrate", "--down", "--to", "0001")
    assert (down.exit_code, down.stderr) == (0, up.stderr)
    assert find_version(empty_url) == "0001"
    gone = run(empty_url, "migrate", "--down", "--to", "base")
    assert gone.exit_code == 0
    assert gone.stderr.startswith("the tables have version none now")


def test_a_version_that_there_is_not(registry_url: str) -> None:
    said = refused(2, registry_url, "migrate", "--to", "7")
    assert said.startswith(
        f"snapdb: error: there is no schema version '7'; this snapdb knows {', '.join(known_versions())}; "
    )


def test_sql_prints_and_runs_nothing(empty_url: str) -> None:
    result = run(empty_url, "migrate", "--sql", "--lock-timeout", "7s", "--statement-timeout", "0")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "CREATE TABLE image (" in result.stdout
    assert find_version(empty_url) is None
    if empty_url.startswith("postgresql"):
        assert "SET LOCAL lock_timeout = 7000" in result.stdout
        assert "SET LOCAL statement_timeout = 0;" in result.stdout
        assert "CREATE ROLE snapdb_read NOLOGIN" in result.stdout
    assert run(empty_url, "migrate").exit_code == 0
    done = run(empty_url, "migrate", "--sql")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "nothing to do: the tables are there already\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--down"], "--down needs --to VERSION"),
        (["--down", "--to", "0001", "--sql"], "--sql prints the way up; leave out --down"),
        (["--lock-timeout", "soon"], "'soon' is not a time; expected 500ms, 30s, 10min, 1h"),
        (["--lock-timeout", "-1s"], "'-1s' is not a time"),
        (["--statement-timeout", "3weeks"], "'3weeks' is not a time"),
        (["--statement-timeout", "9999999h"], "three weeks at most"),
    ],
    ids=str,
)
def test_calls_that_cannot_be(tmp_path: Path, options: list[str], words: str) -> None:
    assert words in refused(2, str(tmp_path / "never"), "migrate", *options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.postgis
@ON_POSTGIS
def test_a_reader_that_holds_a_table_is_named(registry_url: str) -> None:
    with psycopg.connect(registry_url, application_name="a forgotten notebook") as reader:
        reader.execute("SELECT count(*) FROM image")
        said = refused(5, registry_url, "migrate", "--down", "--to", "base", "--lock-timeout", "200ms")
    assert "the migration waited 0.2 s for session " in said
    assert "(a forgotten notebook, idle in transaction), which holds image" in said
    assert "nothing was changed; let that end, or wait longer with --lock-timeout" in said
    assert run(registry_url, "find", "--count").stdout == "0\n"


@pytest.mark.postgis
@EMPTY_POSTGIS
def test_a_statement_that_takes_too_long_ends_it(empty_url: str) -> None:
    said = refused(5, empty_url, "migrate", "--statement-timeout", "10ms")
    assert "a statement that took longer than 0.01 s; nothing was changed; allow more" in said


@pytest.mark.postgis
@ON_POSTGIS
def test_rights_that_are_missing_are_said_on_stderr(registry_url: str) -> None:
    name = f"snapdb_test_half_{os.getpid()}"
    with psycopg.connect(registry_url, autocommit=True) as admin:
        admin.execute("REVOKE SELECT ON file FROM snapdb_read")
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' IN ROLE snapdb_ingest")
        try:
            half = make_url(registry_url).set(username=name, password="secret")
            url = half.render_as_string(hide_password=False)
            command = [sys.executable, "-m", "snapdb.cli", "-a", url, "migrate"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            admin.execute(f"DROP ROLE {name}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "roles are not complete (snapdb_read may not SELECT file)" in done.stderr
    assert "secret" not in done.stderr
    migrate(registry_url)
    assert run(registry_url, "migrate").stderr.startswith("archive at ")

"""The command as a process of its own: exit codes, pipes and signals as a shell sees them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snapdb.testing.skies import make_survey

SNAPDB = [sys.executable, "-m", "snapdb.cli"]


def snapdb(*arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SNAPDB")}
    done = subprocess.run(
        [*SNAPDB, *arguments], cwd=cwd, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == code, (done.returncode, done.stderr)
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("process")
    make_survey(folder / "survey", epochs=1, stars=5)
    snapdb("init", cwd=folder)
    snapdb("ingest", "survey/images", cwd=folder)
    return folder


def test_the_default_archive_is_the_one_in_this_folder(folder: Path) -> None:
    assert (folder / "snapdb-archive").is_dir()
    assert snapdb("find", "--count", cwd=folder).stdout == "8\n"


def test_exit_codes(folder: Path) -> None:
    snapdb("find", "--ra", "1", cwd=folder, code=2)
    snapdb("find", "--band", "Y", "--fail-empty", cwd=folder, code=3)
    snapdb("ingest", "survey/broken", cwd=folder, code=4)
    snapdb("-a", "postgresql://127.0.0.1:1/none", "info", cwd=folder, code=5)
    snapdb("--version", cwd=folder)


def test_debug_shows_where_it_failed(folder: Path) -> None:
    assert "Traceback" in snapdb("--debug", "find", "--ra", "1", cwd=folder, code=2).stderr
    assert "Traceback" not in snapdb("find", "--ra", "1", cwd=folder, code=2).stderr


def test_no_bar_and_no_colour_off_a_terminal(folder: Path) -> None:
    done = snapdb("ingest", "survey/images", cwd=folder)
    assert done.stdout == ""
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr


@pytest.mark.parametrize("form", ["jsonl", "table"])
def test_a_reader_that_goes_away_is_no_error_message(folder: Path, form: str) -> None:
    call = [*SNAPDB, "find", "--format", form]
    with subprocess.Popen(call, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait() == 141
    assert said == b""


def test_an_interrupt_ends_with_130_and_one_line(folder: Path) -> None:
    call = [*SNAPDB, "ingest", "-"]
    with subprocess.Popen(
        call, cwd=folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        time.sleep(1.0)  # it waits for the list by then
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    said = said.strip()  # a terminal shows ^C on the line before
    assert said == "snapdb: error: interrupted; what was finished is kept"

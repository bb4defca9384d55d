"""Processes that do parts beside the one that runs: none of their troubles shows in the output."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from snapdb.bulk.running.helpers import Helpers
from snapdb.bulk.running.orchestrator import Orchestrator
from snapdb.bulk.settings.config import Config, get_default_config
from snapdb.bulk.settings.toml import save_config_toml

IN_A_SCRIPT = """
import os, sys
import snapdb.bulk.running.helpers as helpers
from snapdb.bulk import Orchestrator, load_config_toml

helpers.LARGE_PX = 0
os.sched_getaffinity = lambda _: {0, 1}

def double(pixels, header):
    os.write(1, b"%d\\n" % os.getpid())  # whole, whatever the other process writes
    return 2.0 * pixels

if __name__ == "__main__":
    config = load_config_toml(sys.argv[1])
    config.apply_flux_conversion = True
    config.user_flux_conversion_function = double
    print(Orchestrator(config, output=sys.argv[2]).execute()["written"])
"""
WITHOUT_PANDAS = """
import sys
from snapdb.bulk import Orchestrator, load_config_toml

print(Orchestrator(load_config_toml(sys.argv[1]), output=sys.argv[2]).execute()["written"])
print([name for name in ("pandas", "astropy") if name in sys.modules])
"""
ABANDONED = """
import time
from snapdb.bulk.running.helpers import Helpers

print(Helpers(1).pids[0], flush=True)
time.sleep(600)
"""


def make_config(tiles: Any, folder: Path) -> Config:
    """Settings of a run with 15 parts, without any stretch."""
    config = get_default_config()
    tiles.frame.to_csv(folder / "sources.csv", index=False)
    config.source_catalogue = str(folder / "sources.csv")
    config.apply_flux_conversion, config.normalisation_method = False, "none"
    config.target_resolution, config.N_batch_cutout_process, config.chunk_stamps = 48, 20, 20
    return config


def read_stamps(folder: Path) -> Any:
    """Give all stamps of a run."""
    return zarr.open_array(folder / "images", mode="r")[:]


def run_script(code: str, config: Config, folder: Path) -> tuple[list[str], Path]:
    """Run a script; give the lines that it prints on both streams, and its output."""
    script, settings, out = folder / "script.py", folder / "run.toml", folder / "made.zarr"
    script.write_text(code)
    save_config_toml(config, str(settings))
    command = [sys.executable, str(script), str(settings), str(out)]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.splitlines(), out


@pytest.mark.parametrize("moment", ["before", "while"])
def test_one_that_dies_is_done_without(tiles: Any, tmp_path: Path, moment: str) -> None:
    """Oracle: a run that works alone."""
    config = make_config(tiles, tmp_path)
    config.max_workers = 1
    Orchestrator(config, output=tmp_path / "alone.zarr").execute()
    config.max_workers = 2
    helpers = Helpers(2)
    killed: list[int] = []
    left = tmp_path / "helped.zarr" / "images" / ".0.1234.part"

    def kill(_: Any) -> None:
        if not killed:
            killed.extend(helpers.pids)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            if left.parent.exists():
                left.write_bytes(b"as one that dies while it writes")

    try:
        if moment == "before":
            kill(None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("snapdb.bulk.running.helpers.LARGE_PX", 0)
            patch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
            run = Orchestrator(config, output=tmp_path / "helped.zarr", helpers=helpers)
            result = run.execute(on_progress=kill)
    finally:
        helpers.close()
    assert (result["status"], result["written"], result["failed"]) == ("completed", 300, 0)
    alone, helped = read_stamps(tmp_path / "alone.zarr"), read_stamps(tmp_path / "helped.zarr")
    assert np.array_equal(alone, helped)
    assert len(killed) == 2
    assert not left.exists()


@pytest.mark.parametrize("one", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_all_processes_stops_the_run_in_good_order(
    tiles: Any, tmp_path: Path, one: signal.Signals
) -> None:
    """As a batch system tells all processes of a job to end, and a terminal those before it."""
    config = make_config(tiles, tmp_path)
    config.max_workers = 2
    helpers = Helpers(1)
    run = Orchestrator(config, output=tmp_path / "s.zarr", helpers=helpers)

    def tell(_: Any) -> None:
        run.stop_processing()
        (pid,) = helpers.pids
        os.kill(pid, one)
        time.sleep(0.1)
        assert is_running(pid) == (one != signal.SIGKILL)

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("snapdb.bulk.running.helpers.LARGE_PX", 0)
            patch.setattr("os.sched_getaffinity", lambda _: {0, 1})
            assert run.execute(on_progress=tell)["status"] == "stopped"
    finally:
        helpers.close()
    again = Orchestrator(config, output=tmp_path / "s.zarr").execute(resume=True)
    assert (again["status"], again["written"]) == ("completed", 300)


def test_a_function_of_a_script_is_known_to_all(tiles: Any, tmp_path: Path) -> None:
    """Oracle: twice the stamps of a run without it, which is exact."""
    config = make_config(tiles, tmp_path)
    plain = Orchestrator(config, output=tmp_path / "plain.zarr").execute()
    lines, out = run_script(IN_A_SCRIPT, config, tmp_path)
    assert lines.count(str(plain["written"])) == 1
    assert len(set(lines)) == 3, "two processes, and the number of stamps"
    assert np.array_equal(read_stamps(out), 2.0 * read_stamps(tmp_path / "plain.zarr"))


def test_they_end_with_the_process_that_started_them() -> None:
    with subprocess.Popen([sys.executable, "-c", ABANDONED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.kill(pid, 0)
        process.kill()
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline and is_running(pid):
        time.sleep(0.05)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that has ended may wait for somebody to take notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_run_loads_no_pandas(tiles: Any, tmp_path: Path) -> None:
    """Which takes a fifth of a second: a tenth of a run of 20,000 stamps."""
    lines, _ = run_script(WITHOUT_PANDAS, make_config(tiles, tmp_path), tmp_path)
    assert lines == ["300", "[]"]

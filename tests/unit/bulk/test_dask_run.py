"""Runs on a Dask cluster of two worker processes: the same bytes as here, whoever dies."""

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from snapdb.bulk.running.orchestrator import Orchestrator
from snapdb.bulk.settings.config import Config, get_default_config

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("default")  # of the cluster's own making


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers, each a process with one thread."""
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options, silence_logs=50) as made:
        yield made


@pytest.fixture
def config() -> Config:
    """Settings of 30 small parts."""
    made = get_default_config()
    made.target_resolution = 16
    made.chunk_stamps = 5
    made.N_batch_cutout_process = 10
    made.planes = ["data", "flags"]
    return made


def digests(folder: Path) -> dict[str, str]:
    """Digest of each file that belongs to the output, by name."""
    files = [p for p in folder.rglob("*") if p.is_file() and "run" not in p.relative_to(folder).parts[:-1]]
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def here(config: Config, tiles: Any, tmp_path: Path) -> dict[str, str]:
    """What the run writes without a cluster."""
    result = Orchestrator(config, output=tmp_path / "here" / "s.zarr").execute(tiles.frame)
    assert result["written"] == 300
    return digests(tmp_path / "here" / "s.zarr")


def test_the_bytes_are_those_of_a_run_here(
    config: Config, tiles: Any, cluster: Any, here: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "there" / "s.zarr"
    seen: list[int] = []
    result = Orchestrator(config, output=output, scheduler=cluster.scheduler_address).execute(
        tiles.frame, on_progress=lambda report: seen.append(report.completed_sources)
    )
    assert (result["status"], result["written"], result["completed_batches"]) == ("completed", 300, 30)
    assert digests(output) == here
    assert seen == list(range(10, 301, 10))


def test_a_worker_that_is_killed_changes_nothing(
    config: Config, tiles: Any, cluster: Any, here: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "there" / "s.zarr"
    killed: list[int] = []

    def kill_one(report: Any) -> None:
        if not killed and report.completed_batches >= 5:
            pids = [w["pid"] for w in _workers(cluster)]
            os.kill(pids[0], signal.SIGKILL)
            killed.append(pids[0])

    orchestrator = Orchestrator(config, output=output, scheduler=cluster.scheduler_address)
    result = orchestrator.execute(tiles.frame, on_progress=kill_one)
    assert killed
    assert (result["status"], result["written"], result["failed"]) == ("completed", 300, 0)
    assert digests(output) == here


def _workers(cluster: Any) -> list[dict[str, Any]]:
    """Ask the workers for their processes."""
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        return [{"pid": pid} for pid in client.run(os.getpid).values()]


def test_a_run_that_is_stopped_there_is_resumed_here(
    config: Config, tiles: Any, cluster: Any, here: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "there" / "s.zarr"
    there = Orchestrator(config, output=output, scheduler=cluster.scheduler_address)

    def stop(_report: Any) -> None:
        there.stop_processing()

    result = there.execute(tiles.frame, on_progress=stop)
    assert result["status"] == "stopped"
    assert 0 < result["completed_batches"] < 30
    assert there.can_resume()
    again = Orchestrator(config, output=output).execute(tiles.frame, resume=True)
    assert (again["status"], again["written"]) == ("completed", 300)
    assert digests(output) == here


def test_a_file_that_workers_cannot_read_is_said_by_row(
    config: Config, tiles: Any, cluster: Any, tmp_path: Path
) -> None:
    paths = [tmp_path / p.name for p in tiles.paths]
    for own, path in zip(tiles.paths, paths, strict=True):
        path.write_bytes(own.read_bytes())
    frame = tiles.frame.assign(fits_file_paths=[str(paths[t]) for t in tiles.tile])
    orchestrator = Orchestrator(config, output=tmp_path / "s.zarr", scheduler=cluster.scheduler_address)
    result = orchestrator.execute(frame, on_progress=lambda _report: paths[2].unlink(missing_ok=True))
    report = pd.read_csv(result["report"])
    bad = set(report["row"])
    assert bad <= set((tiles.tile == 2).nonzero()[0].tolist())
    assert 0 < len(bad) == result["failed"] == 300 - result["written"]
    assert report["reason"].str.contains(paths[2].name).all()

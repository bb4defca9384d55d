"""Runs that are stopped or killed, and resumed: the same bytes as an undisturbed run's."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from snapdb import bulk
from snapdb.bulk.running.orchestrator import Orchestrator
from snapdb.bulk.running.progress import ProgressReport
from snapdb.bulk.settings.config import Config, get_default_config
from snapdb.errors import ConflictError, CorruptFileError, ObjectExistsError, StorageError

SCRIPT = """
import sys
from snapdb.bulk.settings.toml import load_config_toml
from snapdb.bulk.running.orchestrator import Orchestrator

config = load_config_toml(sys.argv[1])
print("ready", flush=True)
print(Orchestrator(config, output=sys.argv[2]).execute(resume=len(sys.argv) > 3)["status"], flush=True)
"""
KILLS = 20


def make_config(tiles: Any, folder: Path, **values: Any) -> Config:
    """Settings whose run has many small parts, and their catalogue."""
    config = get_default_config()
    catalogue = folder / "sources.csv"
    if not catalogue.exists():
        many = pd.concat([tiles.frame] * 5, ignore_index=True)
        many["SourceID"] = [f"s{i}" for i in range(len(many))]
        many.to_csv(catalogue, index=False)
    config.source_catalogue = str(catalogue)
    config.apply_flux_conversion = False
    config.target_resolution = 96
    config.N_batch_cutout_process = 20
    config.normalisation_method = "asinh"
    for name, value in values.items():
        config[name] = value
    return config


def digest(folder: Path) -> dict[str, str]:
    """Give a digest of every file of the output, but for the journal and the output's own name."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and "run" not in p.relative_to(folder).parts)
    contents = {
        p: p.read_bytes().replace(folder.name.encode(), b"") if p.suffix == ".csv" else p.read_bytes()
        for p in files
    }
    return {str(p.relative_to(folder)): hashlib.sha256(c).hexdigest() for p, c in contents.items()}


def kill_after(config_path: Path, out: Path, seconds: float, *, resume: bool) -> bool:
    """Start a run in a process of its own, and kill it some time after it is ready; say if it was over."""
    command = [sys.executable, "-c", SCRIPT, str(config_path), str(out), *(["resume"] if resume else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        return "completed" in process.stdout.read()


@pytest.mark.parametrize("output_format", ["zarr", "fits"])
def test_killed_at_random_moments_and_resumed(tiles: Any, tmp_path: Path, output_format: str) -> None:
    from snapdb.bulk.settings.toml import save_config_toml

    config = make_config(tiles, tmp_path, output_format=output_format)
    config_path = tmp_path / "run.toml"
    save_config_toml(config, str(config_path))
    undisturbed = Orchestrator(config, output=tmp_path / "undisturbed").execute()
    assert undisturbed["written"] == 1500
    rng = np.random.default_rng(9)
    out, whole = tmp_path / "killed", 0
    for kills, seconds in enumerate(rng.uniform(0.0, 0.5, KILLS // 2)):
        again = kills > 0 and (out / "run" / "run.json").exists()
        whole += kill_after(config_path, out, float(seconds), resume=again)
    result = Orchestrator(config, output=out).execute(resume=(out / "run" / "run.json").exists())
    assert result["status"] == "completed"
    assert digest(out) == digest(tmp_path / "undisturbed")
    assert not list(out.rglob("*.part"))
    assert not list((out / "run").glob("*.arrow"))


def test_stopped_is_whole_and_resumable(tiles: Any, tmp_path: Path) -> None:
    config = make_config(tiles, tmp_path)
    Orchestrator(config, output=tmp_path / "undisturbed").execute()
    out = tmp_path / "stopped"
    orchestrator = Orchestrator(config, output=out)
    assert not orchestrator.can_resume()

    def stop_soon(report: Any) -> None:
        if report.completed_batches == 3:
            assert orchestrator.get_progress()["is_processing"]
            assert orchestrator.stop_processing()["stopped_processes"]

    result = orchestrator.run(on_progress=stop_soon)
    assert result["status"] == "stopped"
    total = orchestrator.get_progress()["total_batches"]
    assert 3 <= result["completed_batches"] < total
    again = Orchestrator(config, output=out)
    assert again.can_resume()
    reports: list[Any] = []
    assert again.run(resume=True, on_progress=reports.append)["status"] == "completed"
    # What was done is not done again.
    assert len(reports) == total - result["completed_batches"]
    assert reports[-1].completed_sources == reports[-1].total_sources == 1500
    assert reports[-1].progress_percent == 100.0
    assert digest(out) == digest(tmp_path / "undisturbed")
    assert not again.can_resume()


@pytest.mark.parametrize("damage", ["gone", "short", "changed"])
def test_a_part_that_was_damaged_is_made_again(tiles: Any, tmp_path: Path, damage: str) -> None:
    config = make_config(tiles, tmp_path)
    Orchestrator(config, output=tmp_path / "undisturbed").execute()
    out = tmp_path / "damaged"
    orchestrator = Orchestrator(config, output=out)

    def stop(report: ProgressReport) -> None:
        if report.completed_batches == 5:
            orchestrator.stop_processing()

    orchestrator.run(on_progress=stop)
    shard = out / "images" / "c.2.0.0.0"
    content = bytearray(shard.read_bytes())
    if damage == "gone":
        shard.unlink()
    elif damage == "short":
        shard.write_bytes(content[:-100])
    else:
        content[50] ^= 1
        shard.write_bytes(content)
    Orchestrator(config, output=out).execute(resume=True)
    assert digest(out) == digest(tmp_path / "undisturbed")


def test_whoever_works_the_bytes_are_the_same(
    tiles: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tiles, tmp_path)
    config.max_workers = 1
    Orchestrator(config, output=tmp_path / "one").execute()
    config.max_workers = 3
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    Orchestrator(config, output=tmp_path / "threads").execute()
    monkeypatch.setattr("snapdb.bulk.running.helpers.LARGE_PX", 0)
    Orchestrator(config, output=tmp_path / "processes").execute()
    assert digest(tmp_path / "one") == digest(tmp_path / "threads") == digest(tmp_path / "processes")


def test_a_second_run_of_what_is_complete_does_nothing(tiles: Any, tmp_path: Path) -> None:
    config = make_config(tiles, tmp_path)
    first = Orchestrator(config, output=tmp_path / "s.zarr").execute()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "s.zarr").rglob("*")}
    again = Orchestrator(config, output=tmp_path / "s.zarr").execute(resume=True)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "s.zarr").rglob("*")} == before
    assert (again["status"], again["written"]) == ("completed", first["written"])


@pytest.mark.parametrize("fact", ["layout", "compiled"])
def test_a_run_that_was_made_otherwise_is_not_gone_on_with(tiles: Any, tmp_path: Path, fact: str) -> None:
    """Its stamps would be of two kinds; when it is complete, that is no matter."""
    config = make_config(tiles, tmp_path)
    run = tmp_path / "s.zarr"
    Orchestrator(config, output=run).execute()
    path = run / "run" / "run.json"
    facts = json.loads(path.read_text())
    del facts[fact], facts["plan"]  # an earlier version may have told catalogues apart in another way
    path.write_text(json.dumps(facts))
    assert Orchestrator(config, output=run).execute(resume=True)["status"] == "completed"
    path.write_text(json.dumps(facts | {"status": "stopped"}))
    assert not Orchestrator(config, output=run).can_resume()
    with pytest.raises(ConflictError, match={"layout": "another version", "compiled": "compiled code"}[fact]):
        Orchestrator(config, output=run).execute(resume=True)
    Orchestrator(config, output=run).execute(overwrite=True)
    assert json.loads(path.read_text())[fact] is not None


def test_a_complete_run_that_lost_stamps_is_said(tiles: Any, tmp_path: Path) -> None:
    """Zarr's readers take a shard that is not there for zeros."""
    config = make_config(tiles, tmp_path)
    run = tmp_path / "s.zarr"
    Orchestrator(config, output=run).execute()
    (run / "images" / "c.3.0.0.0").unlink()
    for use in (lambda: bulk.open(run), lambda: Orchestrator(config, output=run).execute(resume=True)):
        with pytest.raises(
            CorruptFileError, match=r"lost 1 of its \d+ shards, such as .*c\.3\.0\.0\.0.*overwrite"
        ):
            use()
    Orchestrator(config, output=run).execute(overwrite=True)
    assert len(bulk.open(run)) > 0


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_run_whose_record_cannot_be_read_can_be_replaced(tiles: Any, tmp_path: Path, text: str) -> None:
    config = make_config(tiles, tmp_path)
    run = tmp_path / "s.zarr"
    Orchestrator(config, output=run).execute()
    (run / "run" / "run.json").write_text(text)
    with pytest.raises(CorruptFileError, match="ask to overwrite"):
        Orchestrator(config, output=run).execute(resume=True)
    with pytest.raises(ObjectExistsError):
        Orchestrator(config, output=run).execute()
    assert Orchestrator(config, output=run).execute(overwrite=True)["status"] == "completed"


def everything(folder: Path) -> dict[str, tuple[int, str]]:
    """Give time and digest of every file below a folder."""
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files}


@pytest.mark.parametrize("how", [(), ("resume",), ("overwrite",)])
def test_a_second_run_on_the_same_output_is_refused(tiles: Any, tmp_path: Path, how: tuple[str, ...]) -> None:
    config = make_config(tiles, tmp_path, max_workers=1)  # nothing else is written while it is looked at
    options: dict[str, Any] = dict.fromkeys(how, True)
    out, alias = tmp_path / "s.zarr", tmp_path / "alias"
    alias.symlink_to(tmp_path)
    refused = []

    def meddle(report: ProgressReport) -> None:
        if report.completed_batches == 2:
            before = everything(tmp_path)
            with pytest.raises(ConflictError, match=r"a run is under way in .*s\.zarr"):
                Orchestrator(config, output=alias / "s.zarr").execute(**options)
            refused.append(everything(tmp_path) == before)

    result = Orchestrator(config, output=out).execute(on_progress=meddle)
    assert refused == [True]
    assert (result["status"], result["written"]) == ("completed", 1500)
    assert not (tmp_path / "s.zarr.lock").exists()
    Orchestrator(config, output=tmp_path / "undisturbed").execute()
    assert digest(out) == digest(tmp_path / "undisturbed")


def test_two_processes_exclude_each_other_and_a_killed_one_does_not(tiles: Any, tmp_path: Path) -> None:
    from snapdb.bulk.running.lock import lock_output

    out = tmp_path / "s.zarr"
    script = (
        "import sys, pathlib\n"
        "from snapdb.bulk.running.lock import lock_output\n"
        "with lock_output(pathlib.Path(sys.argv[1])):\n"
        "    print('mine', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        with pytest.raises(ConflictError, match="under way"):
            Orchestrator(make_config(tiles, tmp_path), output=out).execute()
        assert not out.exists()
        process.kill()
    assert (tmp_path / "s.zarr.lock").exists()  # what was left is no lock
    with lock_output(out):
        pass
    assert Orchestrator(make_config(tiles, tmp_path), output=out).execute()["status"] == "completed"
    assert not (tmp_path / "s.zarr.lock").exists()


def test_an_output_that_can_be_no_folder(tiles: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("dear")
    config = make_config(tiles, tmp_path)
    for output, text in (("file/s.zarr", "cannot be made"), ("file", "is a file")):
        with pytest.raises(StorageError, match=text) as caught:
            Orchestrator(config, output=tmp_path / output).execute()
        assert "make room" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "dear"


def test_a_complete_run_still_knows_what_failed(tiles: Any, tmp_path: Path) -> None:
    config = make_config(tiles, tmp_path)
    config.apply_flux_conversion = True
    config.user_flux_conversion_function = fail_on_the_second_tile
    first = Orchestrator(config, output=tmp_path / "s.zarr").execute()
    assert 0 < first["failed"] < 1500
    assert first["reasons"] == {"failed": first["failed"]}
    again = Orchestrator(config, output=tmp_path / "s.zarr").execute(resume=True)
    names = ("status", "written", "failed", "reasons", "example")
    assert [again[n] for n in names] == [first[n] for n in names]


def fail_on_the_second_tile(pixels: Any, header: Any) -> Any:
    """Convert as a function with a defect does."""
    if header["CRVAL1"] == 11.0:
        msg = "no such calibration"
        raise RuntimeError(msg)
    return pixels


def test_what_a_run_left_that_was_killed_at_its_very_end_is_tidied(tiles: Any, tmp_path: Path) -> None:
    """It is complete, but its parts' files were not all removed yet."""
    config, out = make_config(tiles, tmp_path), tmp_path / "ended"
    Orchestrator(config, output=out).execute()
    left = [out / "run" / "part-0000003.arrow", out / "run" / ".run.json.77.part"]
    for path in left:
        path.write_bytes(b"")
    before = digest(out)
    assert Orchestrator(config, output=out).execute(resume=True)["written"] == 1500
    assert not any(path.exists() for path in left)
    assert digest(out) == before

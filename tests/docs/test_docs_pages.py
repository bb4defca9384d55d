"""What the pages of docs/ tell a reader to type works as printed, on the sky of `snapdb demo`."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

import snapdb
from snapdb.photometry.quality import Quality
from snapdb.testing.skies import make_survey

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```([\w ]*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
OTHERS = {"python cutana", "python torch", "python slurm"}
"""Blocks that need what is not here: a peer, a framework, a batch system."""


def blocks(name: str) -> list[tuple[str, str]]:
    """List the blocks of a page: what they are, and their text."""
    return FENCE.findall((ROOT / "docs" / name).read_text(encoding="utf-8"))


def python_of(name: str) -> list[str]:
    """List the blocks that run."""
    return [code for kind, code in blocks(name) if kind.startswith("python") and kind not in OTHERS]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `snapdb demo` leaves, as far as pages use it."""
    folder = tmp_path_factory.mktemp("pages")
    survey = make_survey(folder / "demo" / "survey")
    with snapdb.init(folder / "demo" / "archive") as archive:
        archive.ingest([str(survey.folder / "images")])
    return folder


@pytest.fixture
def here(demo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where a reader types."""
    monkeypatch.chdir(demo)
    return demo


def run_page(name: str) -> dict[str, Any]:
    """Run the Python of a page, block after block, in one namespace."""
    names: dict[str, Any] = {}
    for number, code in enumerate(python_of(name)):
        exec(compile(code, f"{name}, block {number}", "exec"), names)
    return names


def run_shell(line: str, folder: Path) -> None:
    """Run a line of the shell that calls snapdb."""
    words = [sys.executable, "-m", "snapdb.cli", *shlex.split(line)[1:]]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, (line, done.stderr)


@pytest.mark.filterwarnings("default:::distributed", "default:::tornado")
def test_bulk_page_runs_as_printed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed")
    names = run_page("bulk.md")
    assert capsys.readouterr().out.splitlines() == [
        f"completed True {Path('cutouts') / 'cutana_run.zarr'}",
        "completed True",
        "(64, 64, 1) True",
        "(64, 64, 1) True True True",
        "stopped True",
        "completed True",
        "completed True",
    ]
    names["archive"].close()
    sheet = np.asarray(Image.open(here / "sheet.png"))
    assert sheet.shape == (3 * 98 - 2, 3 * 98 - 2)
    assert sheet.std() > 10
    for kind, text in blocks("bulk.md"):
        for line in text.splitlines() if not kind else ():
            if line.startswith("snapdb cutouts"):
                run_shell(line, here)
    assert len(snapdb.bulk.open(here / "stamps.zarr")) == len(Table.read(here / "sources.csv"))
    ours, theirs = snapdb.bulk.open(here / "stamps.zarr"), snapdb.bulk.open(here / "cutouts/cutana_run.zarr")
    np.testing.assert_array_equal(ours.images[:], theirs.images[:])
    resumed = snapdb.bulk.open(here / "stopped.zarr")
    np.testing.assert_array_equal(resumed.images[:], theirs.images[:])
    shutil.rmtree(here / "far.zarr")


def test_bulk_page_shows_the_same_run_twice() -> None:
    by_kind = blocks("bulk.md")
    peer = next(code for kind, code in by_kind if kind == "python cutana").splitlines()
    ours = next(code for kind, code in by_kind if "from snapdb.bulk import Orchestrator" in code).splitlines()
    assert peer[1:] == ours[1 : len(peer)]


def test_bulk_page_names_settings_that_there_are() -> None:
    text = (ROOT / "docs" / "bulk.md").read_text(encoding="utf-8")
    table = text[text.index("## Settings") :]
    config = snapdb.bulk.get_default_config()
    known = {setting.name for setting in config.settings()}
    for section in config.sections():
        known |= {f"{section}.{setting.name}" for setting in config[section].settings()}
    columns = {"fits_file_paths"}
    named = set()
    for line in table.splitlines():
        if line.startswith("| `"):
            named |= set(re.findall(r"`([a-z_A-Z.]+)`", line.split("|")[1]))
    assert len(named) > 25
    assert named <= known | columns


def test_photometry_page_runs_as_printed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_page("photometry.md")
    printed = [line for line in capsys.readouterr().out.splitlines() if line and line[0] in "mT[("]
    assert printed[:2] == ["mag 1", "['id', 'group_id', 'group_size', 'local_bkg'] True"]
    assert printed[2] == "(2, 25, 25) True"
    assert printed[-1] == "['EDGE', 'MASKED']"
    assert "True True" in printed
    star, image = names["star"], names["image"]
    truth = 10 ** (0.4 * (31.4 - star.mag("r", image.mjd)))  # what the sky was made with
    for table in (names["table"], names["whole_light"], names["careful"]):
        assert np.asarray(table["flux_njy"])[0] == pytest.approx(truth, rel=0.03)
    curve = names["constant"].table  # each epoch by the PSF that the sky was made with
    assert len(curve) == 8
    pulls = (curve["flux_njy"].value - truth) / curve["flux_njy_err"].value
    assert np.abs(pulls).max() < 4
    assert names["constant"].new == 8
    assert len(Table.read(here / "sn.ecsv")) == len(names["curve"].table)
    for kind, text in blocks("photometry.md"):
        for line in text.splitlines() if not kind else ():
            if line.startswith("snapdb -a"):
                run_shell(line, here)
    for picture in ("sn.png", "sn_r.png"):
        assert np.asarray(Image.open(here / picture)).std() > 5
    assert len(Table.read(here / "kept.ecsv")) > 0


def test_photometry_page_lists_all_quality_bits() -> None:
    text = (ROOT / "docs" / "photometry.md").read_text(encoding="utf-8")
    listed = {name: int(bit) for bit, name in re.findall(r"^\| (\d+) \| `(\w+)`", text, flags=re.MULTILINE)}
    assert listed == {bit.name: bit.value for bit in Quality}


def test_moving_page_runs_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_page("moving.md")
    assert capsys.readouterr().out.splitlines() == [
        "9 (39, 29) True",
        "outside",
        "J004000.00+200000.0 False 0 ['convolved', 'err']",
        "(21, 21) 0.5",
        "R062 (11, 11) (44, 34)",
        "2 True",
    ]
    np.testing.assert_array_equal(names["again"].data, names["data"] - 100.0)


def test_moving_page_names_what_there_is() -> None:
    text = (ROOT / "docs" / "moving.md").read_text(encoding="utf-8")
    named = set(re.findall(r"snapdb\.(\w+)", text)) - {"photometry"}
    assert len(named) > 6
    assert all(hasattr(snapdb, name) for name in named)
    for owner, names in (("archive", "Archive"), ("Image", "Image"), ("cutout", "Cutout")):
        methods = set(re.findall(rf"`{owner}\.(\w+)\(", text))
        assert methods
        assert all(hasattr(getattr(snapdb, names), method) for method in methods)


@pytest.mark.parametrize("name", ["bulk.md", "moving.md", "photometry.md"])
def test_lines_are_not_longer_than_code(name: str) -> None:
    lines = [line for _, code in blocks(name) for line in code.splitlines()]
    assert max(map(len, lines)) <= 120

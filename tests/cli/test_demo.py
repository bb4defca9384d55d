"""The demonstration: what it promises is there, what it prints works, and twice is once."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image as Pictures

from snapdb.testing.rendering import render_sources
from snapdb.testing.skies import plan_survey


def shell(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SNAPDB")}
    return subprocess.run(
        [sys.executable, "-m", "snapdb.cli", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def first(home: Path) -> subprocess.CompletedProcess[str]:
    return shell(["demo"], home)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file save the database's, whose log may be folded at any opening."""
    files = [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("registry.db")]
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}


def test_it_makes_registers_finds_cuts_and_shows(home: Path, first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0, first.stderr
    assert "52 images" in first.stderr
    assert "50 registered, 5 refused" in first.stderr
    assert "24 of 52 images contain" in first.stderr
    for name in ("cut_short", "error_page", "table_only", "claims_149_gb", "empty"):
        assert f"{name}.fits" in first.stderr
    with Pictures.open(home / "demo/supernova.png") as picture:
        assert picture.width > 6 * 41
        assert np.asarray(picture.convert("L")).std() > 10


def test_the_cutout_of_the_brightest_epoch_holds_the_sky_that_was_made(
    home: Path, first: subprocess.CompletedProcess[str]
) -> None:
    """Oracle: the rendering without noise; (data - expected) / noise of 1600 pixels scatters by 1."""
    assert first.returncode == 0
    with fits.open(home / "demo/supernova.fits") as hdus:
        data, noise, flags = (h.data for h in hdus if h.data is not None)
    survey = plan_survey(home)
    nova = survey.supernova
    truth = min(survey.images_of(nova), key=lambda i: nova.mag(i.band, i.mjd_middle))
    x, y = (int(np.floor(v + 0.5)) for v in truth.to_pixels(nova.ra, nova.dec))
    expected = render_sources(truth, survey.sources)[y - 20 : y + 21, x - 20 : x + 21]
    pulls = ((data - truth.exposure.sky_level - expected) / noise)[flags == 0]
    assert pulls.size > 1500
    assert abs(pulls.mean()) < 0.1
    assert pulls.std() == pytest.approx(1.0, abs=0.08)
    brightest = np.unravel_index(int(np.argmax(np.where(flags == 0, data, 0.0))), data.shape)
    assert np.hypot(brightest[0] - 20, brightest[1] - 20) < 1.5


def test_a_second_run_changes_nothing_and_says_so(
    home: Path, first: subprocess.CompletedProcess[str]
) -> None:
    assert first.returncode == 0
    before = snapshot(home / "demo")
    again = shell(["demo"], home)
    assert again.returncode == 0, again.stderr
    assert "50 unchanged, 5 refused" in again.stderr
    assert "(unchanged)" in again.stderr
    assert snapshot(home / "demo") == before


def test_what_it_tells_to_type_works(home: Path, first: subprocess.CompletedProcess[str]) -> None:
    lines = [line.strip() for line in first.stdout.splitlines() if line.startswith("  snapdb -a demo")]
    assert len(lines) == 3
    for line in lines:
        done = shell(shlex.split(line)[1:], home)
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout

"""What README tells a newcomer to type works as printed, on images at the position that it names."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from astropy.time import Time
from astropy.wcs import WCS

import snapdb
from snapdb.photometry.psf import ImagePSF

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [line for language, code in BLOCKS if not language for line in code.splitlines()]


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images where README's commands look for them, in two bands."""
    monkeypatch.chdir(tmp_path)
    for name in ("images", "reduced"):
        for number, band in enumerate("rri"):
            wcs = WCS(naxis=2)
            wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
            wcs.wcs.crval = [150.11, 2.21]
            wcs.wcs.crpix = [60, 50]
            wcs.wcs.cdelt = [-1e-4, 1e-4]
            data = np.full((100, 120), float(number), dtype=np.float32)
            mjd = float(Time("2024-03-01").mjd) + number
            image = snapdb.Image(data=data, noise=data + 1, wcs=wcs, band=band, mjd=mjd, zeropoint=25.0)
            image.save(path=tmp_path / name / f"{number}.fits")
    (tmp_path / "targets.csv").write_text("name,ra,dec\nsn,150.11,2.21\n")
    (tmp_path / "galaxies.csv").write_text("SourceID,RA,Dec,diameter_pixel\ng1,150.11,2.21,20\n")
    y, x = np.mgrid[-20:21, -20:21]
    ImagePSF(np.exp(-(x**2 + y**2) / 50.0), 4, is_prf=True).write(tmp_path / "psf.fits")
    return tmp_path


def test_shell_commands_work_as_printed(images: Path) -> None:
    commands = [line for line in SHELL if line.startswith("snapdb ") and "postgresql" not in line]
    assert len(commands) >= 4
    for line in commands:
        words = shlex.split(line.replace("/data/images", str(images / "images")))
        run = [sys.executable, "-m", "snapdb.cli", *words[1:]]
        done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=images)
        assert done.returncode == 0, (line, done.stderr)
        if " find " in line:
            assert "-o " in line or ("3\n" if "--count" in line else "r") in done.stdout
    assert len(Table.read(images / "nearest.ecsv")) == 1
    assert (images / "observations.parquet").stat().st_size > 0
    assert len(list(images.glob("stamp_*.fits"))) == 2
    assert len(Table.read(images / "lightcurve.ecsv")) == 3
    assert (images / "stamps.zarr" / "index.parquet").exists()


def test_python_runs_as_printed(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    snapdb.init("archive").close()
    names: dict[str, object] = {}
    for code in PYTHON:
        exec(code.replace("/data/", f"{images}/"), names)
    assert capsys.readouterr().out.splitlines() == [
        f"{band} {60370.0 + n} (51, 51) True" for n, band in enumerate("rri")
    ]
    archive = names["archive"]
    assert isinstance(archive, snapdb.Archive)
    assert archive.count_images(provenance_tag="dr1", process="reduce") == 3
    archive.close()


def test_files_that_readme_names_exist() -> None:
    root = Path(__file__).resolve().parents[2]
    for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "docker-compose.yml", "snapdb/formats/instruments"):
        assert name in README
        assert (root / name).exists()
    targets = set(re.findall(r"^make ([a-z-]+)$", README, flags=re.MULTILINE))
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    assert targets >= {"demo", "test"}
    assert all(re.search(rf"^{t}:", makefile, flags=re.MULTILINE) for t in targets)


def test_completion_works_as_printed() -> None:
    found = re.search(r'`(eval "[^`]*_SNAPDB_COMPLETE[^`]*")`', README)
    assert found is not None
    place = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    line = f"{found[1]} && complete -p snapdb"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, env={**os.environ, "PATH": place}
    )
    assert "_snapdb_completion snapdb" in done.stdout, done.stderr

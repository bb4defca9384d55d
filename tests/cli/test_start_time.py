"""What is loaded at the start: asserted on modules, since times depend on the machine."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import snapdb

HEAVY = ("numpy", "astropy", "sqlalchemy", "geoalchemy2", "psycopg", "alembic", "PIL", "tomli_w")


def loaded_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and list the heavy packages that it loaded."""
    report = f"import sys; {code}\nprint('LOADED', *(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize(
    "code",
    [
        "import snapdb",
        "import snapdb.errors",
        "import snapdb.cli",
        "import snapdb.cli.find, snapdb.cli.ingest, snapdb.cli.cutout, snapdb.cli.demo",
    ],
)
def test_imports_load_nothing_heavy(code: str) -> None:
    assert loaded_after(code) == set()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["find", "--help"], ["cutout", "-h"], ["ingest", "--help"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
from snapdb.cli import cli
try:
    cli.main({arguments!r})
except SystemExit as end:
    assert end.code == 0, end.code
"""
    assert loaded_after(code) == set()


def test_a_search_loads_no_astropy(tmp_path: Path) -> None:
    """Which takes longer to load than all else."""
    archive = str(tmp_path / "archive")
    code = f"""
from snapdb.cli import cli
for arguments in (["init", {archive!r}], ["-a", {archive!r}, "find", "--band", "r"]):
    try:
        cli.main(arguments)
    except SystemExit as end:
        assert end.code == 0, end.code
"""
    assert "astropy" not in loaded_after(code)


def test_pixels_of_a_cutout_need_no_astropy(tmp_path: Path) -> None:
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0})
    header.update({"CRPIX1": 50.0, "CRPIX2": 50.0, "CDELT1": -1e-4, "CDELT2": 1e-4})
    fits.PrimaryHDU(np.ones((100, 100), np.float32), header).writeto(tmp_path / "image.fits")
    with snapdb.init(tmp_path / "archive") as archive:
        archive.ingest([tmp_path / "image.fits"])
    code = f"""
import snapdb
with snapdb.connect({str(tmp_path / "archive")!r}) as archive:
    (image,) = archive.find_images(ra=10.0, dec=20.0)
    assert image.get_ra_dec_cutout(10.0, 20.0, 7).data.sum() == 49.0
    assert image.get_cutout(50, 50, 7).data.sum() == 49.0
"""
    assert "astropy" not in loaded_after(code)


def test_the_check_notices_what_is_heavy() -> None:
    assert "numpy" in loaded_after("import numpy")

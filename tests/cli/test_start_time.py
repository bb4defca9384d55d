"""What is loaded at the start: asserted on modules, since times depend on the machine."""

import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_check_notices_what_is_heavy() -> None:
    assert "numpy" in loaded_after("import numpy")

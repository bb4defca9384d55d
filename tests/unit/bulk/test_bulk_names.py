"""The public names of bulk cutouts: they load late, and their examples run."""

import doctest
import subprocess
import sys

import pytest

import snapdb.bulk
import snapdb.bulk.settings.config


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, snapdb.bulk; snapdb.bulk.get_default_config();"
        "print([m for m in ('numpy', 'pyarrow', 'pandas', 'astropy', 'zarr') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_names_are_there_and_others_are_told() -> None:
    for name in snapdb.bulk.__all__:
        assert getattr(snapdb.bulk, name).__module__.startswith("snapdb.bulk.")
        assert name in dir(snapdb.bulk)
    with pytest.raises(AttributeError, match="no attribute 'nothing'; it has Catalogue"):
        _ = snapdb.bulk.nothing


def test_a_star_import_hides_nothing_that_python_has() -> None:
    code = "from snapdb.bulk import *; import builtins; assert open is builtins.open; assert Stamps"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert snapdb.bulk.open.__module__ == "snapdb.bulk.reading.reader"
    assert "open" in dir(snapdb.bulk)


@pytest.mark.parametrize("module", [snapdb.bulk, snapdb.bulk.settings.config], ids=lambda m: m.__name__)
def test_examples_in_docstrings_run(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0

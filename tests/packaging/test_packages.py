"""What is installed is what the tree holds."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _packages_in_tree() -> set[str]:
    """Name every folder that is a package, as it installs."""
    homes = {"snapdb": ROOT / "snapdb", "snapdb.cli": ROOT / "cli", "snapdb.migrations": ROOT / "migrations"}
    found = set()
    for package, home in homes.items():
        for init in home.rglob("__init__.py"):
            below = init.parent.relative_to(home).parts
            found.add(".".join((package, *below)))
    return found


def test_package_list_is_the_tree() -> None:
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == _packages_in_tree()


def test_version_is_said_once_and_twice_alike() -> None:
    import snapdb

    assert snapdb.__version__ == PROJECT["project"]["version"]


@pytest.mark.packaging
def test_wheel_installs_whole(tmp_path: Path) -> None:
    """A wheel in a folder of its own has every module, compiled code and header map, and they import."""
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    pip, site = [sys.executable, "-m", "pip"], tmp_path / "site"
    build = [*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, env=env, cwd=tmp_path)
    (wheel,) = tmp_path.glob("snapdb-*.whl")
    install = [*pip, "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, env=env, cwd=tmp_path)
    script = (
        "import importlib, pkgutil, snapdb, sys\n"
        f"assert snapdb.__file__.startswith({str(site)!r}), snapdb.__file__\n"
        "names = [m.name for m in pkgutil.walk_packages(snapdb.__path__, 'snapdb.')]\n"
        "runs = ('.env', '__main__')\n"
        "[importlib.import_module(n) for n in names if '.versions.' not in n and not n.endswith(runs)]\n"
        "print(len(names))\n"
    )
    run = [sys.executable, "-c", script]
    done = subprocess.run(
        run, check=True, env={**env, "PYTHONPATH": str(site)}, cwd=tmp_path, capture_output=True, text=True
    )
    assert int(done.stdout) > 40
    maps = {p.name for p in (ROOT / "snapdb" / "formats" / "instruments").glob("*.toml")}
    assert maps
    assert {p.name for p in (site / "snapdb" / "formats" / "instruments").glob("*.toml")} == maps
    headers = Path(sysconfig.get_path("include"), "Python.h")
    names = {"_windows.abi3.so", "_brightness.abi3.so", "_rows.abi3.so"}
    compiled = names if shutil.which("cc") and headers.exists() else set()
    assert {p.name for p in (site / "snapdb").rglob("*.so")} == compiled

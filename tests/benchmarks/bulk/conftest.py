"""The peer, cutana 0.4.0, in an environment of its own that the benchmark makes and keeps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from platformdirs import user_cache_path

PEER = "cutana==0.4.0"


@pytest.fixture(scope="session")
def peer_python() -> Path:
    """Python of an environment with the peer; SNAPDB_BENCH_CUTANA names one that exists already."""
    if "SNAPDB_BENCH_CUTANA" in os.environ:
        return Path(os.environ["SNAPDB_BENCH_CUTANA"])
    folder = user_cache_path("snapdb") / "benchmarks" / PEER.replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEER], check=True)
        (folder / "complete").touch()
    return python

"""The command line is tried in a working directory of its own."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Stand in an empty folder, with no archive named by the environment."""
    folder = tmp_path_factory.mktemp("cwd")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        for name in ("SNAPDB_URL", "SNAPDB_STORE"):
            patch.delenv(name, raising=False)
        yield folder

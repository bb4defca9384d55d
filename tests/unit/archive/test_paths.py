"""The path rules of images, as the seeds document them."""

from pathlib import Path

import pytest

from snapdb.archive.paths import resolve_paths
from snapdb.errors import UsageError


def test_path_below_a_base() -> None:
    paths = resolve_paths(filepath="a/b.fits", base_path="/base")
    assert (paths.full, paths.base, paths.relative) == (
        Path("/base/a/b.fits"),
        Path("/base"),
        Path("a/b.fits"),
    )


def test_full_path_without_base() -> None:
    paths = resolve_paths(full_filepath="/x/b.fits")
    assert (paths.full, paths.base, paths.relative) == (Path("/x/b.fits"), None, Path("/x/b.fits"))


def test_no_base_path_takes_filepath_whole() -> None:
    assert resolve_paths(filepath="/x/b.fits", no_base_path=True).full == Path("/x/b.fits")


def test_relative_path_starts_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_paths(full_filepath="b.fits").full == tmp_path / "b.fits"


@pytest.mark.parametrize(
    "given",
    [
        {"no_base_path": True, "base_path": "/base", "filepath": "a"},
        {"base_path": "/base", "base_dir": "/other"},
        {"base_path": "/base", "full_filepath": "/elsewhere/a"},
        {"base_path": "/base", "filepath": "a", "full_filepath": "/base/b"},
        {"full_filepath": "/a", "path": "/b"},
    ],
)
def test_contradictions_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        resolve_paths(**given)  # type: ignore[arg-type]

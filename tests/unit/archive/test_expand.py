"""Files, folders and patterns become a list of files."""

from pathlib import Path

import pytest

from snapdb.archive.expand import expand_paths


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files at two depths, and hidden ones."""
    for name in ("b.fits", "a.fits", "deep/c.fits", "deep/.hidden.fits", ".git/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_folder_gives_all_below_in_order(tree: Path) -> None:
    assert expand_paths(tree) == [tree / "a.fits", tree / "b.fits", tree / "deep" / "c.fits"]


def test_pattern_and_file_give_each_once(tree: Path) -> None:
    assert expand_paths([str(tree / "*.fits"), tree / "a.fits"]) == [tree / "a.fits", tree / "b.fits"]


def test_deep_pattern(tree: Path) -> None:
    assert tree / "deep" / "c.fits" in expand_paths([f"{tree}/**/*.fits"])


def test_what_does_not_exist_stays_to_be_refused(tree: Path) -> None:
    assert expand_paths([tree / "gone.fits", f"{tree}/*.none"]) == [tree / "gone.fits", tree / "*.none"]


def test_name_with_brackets_is_a_file_first(tree: Path) -> None:
    odd = tree / "image[1].fits"
    odd.touch()
    assert expand_paths([str(odd)]) == [odd]

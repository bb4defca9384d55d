"""Files, folders and patterns become a list of files."""

import errno
import glob
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapdb.archive.expand import expand_paths
from snapdb.errors import UsageError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files at two depths, and hidden ones."""
    for name in ("b.fits", "a.fits", "deep/c.fits", "deep/.hidden.fits", ".git/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_folder_gives_all_below_in_order(tree: Path) -> None:
    assert expand_paths(tree) == [tree / "a.fits", tree / "b.fits", tree / "deep" / "c.fits"]


def test_archives_and_zarr_groups_in_a_folder_are_passed_over_as_one(tree: Path) -> None:
    for name in ("arch/registry.db", "arch/store/1.fits", "deep/s.zarr/zarr.json", "deep/s.zarr/data/c/0"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    for name in (
        "old.zarr/.zgroup",
        "old.zarr/data/0.0",
        "registry.db-wal",
        "snapdb.toml",
        "d/zarr.json.fits",
    ):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    told: list[str] = []
    images = [tree / name for name in ("a.fits", "b.fits", "d/zarr.json.fits", "deep/c.fits")]
    assert expand_paths([tree, tree / "**.none"], tell=told.append) == [*images, tree / "**.none"]
    assert told == [
        f"{tree / 'arch'} is an archive, and passed over",
        f"{tree / 'deep' / 's.zarr'} is a zarr group, and passed over",
        f"{tree / 'old.zarr'} is a zarr group, and passed over",
        f"{tree / 'registry.db-wal'} is a file of an archive, and passed over",
        f"{tree / 'snapdb.toml'} is a file of an archive, and passed over",
    ]
    with pytest.warns(UserWarning, match=r"s\.zarr is a zarr group") as warned:
        assert expand_paths(tree / "deep") == [tree / "deep" / "c.fits"]
    assert len(warned) == 1
    # What is named itself is meant.
    assert expand_paths(tree / "arch" / "store") == [tree / "arch" / "store" / "1.fits"]
    assert expand_paths(tree / "snapdb.toml") == [tree / "snapdb.toml"]


def test_pattern_and_file_give_each_once(tree: Path) -> None:
    assert expand_paths([str(tree / "*.fits"), tree / "a.fits"]) == [tree / "a.fits", tree / "b.fits"]


def test_empty_path_is_not_this_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell gives one for a variable that is not set."""
    monkeypatch.chdir(tree)
    with pytest.raises(UsageError, match="a path is empty"):
        expand_paths(["a.fits", ""])
    assert expand_paths(".") == expand_paths(tree)


def test_deep_pattern(tree: Path) -> None:
    assert tree / "deep" / "c.fits" in expand_paths([f"{tree}/**/*.fits"])


def test_what_does_not_exist_stays_to_be_refused(tree: Path) -> None:
    assert expand_paths([tree / "gone.fits", f"{tree}/*.none"]) == [tree / "gone.fits", tree / "*.none"]


def test_name_with_brackets_is_a_file_first(tree: Path) -> None:
    odd = tree / "image[1].fits"
    odd.touch()
    assert expand_paths([str(odd)]) == [odd]


@pytest.fixture
def linked(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with a link that goes round, and one to a folder elsewhere, with a link back."""
    other = tmp_path_factory.mktemp("other")
    (other / "d.fits").touch()
    (other / "back").symlink_to(tree / "deep")
    (tree / "deep" / "up").symlink_to("..")
    (tree / "deep" / "out").symlink_to(other)
    return tree


def test_links_that_go_round_are_passed_over_and_others_followed(linked: Path) -> None:
    """A link to a folder above would give each file again and again, as deep as the system follows."""
    (linked / "self").symlink_to(".")
    (linked / "gone").symlink_to("nowhere")
    (linked / "twin.fits").symlink_to("a.fits")
    told: list[str] = []
    names = ("a.fits", "b.fits", "deep/c.fits", "deep/out/d.fits", "gone", "twin.fits")
    assert expand_paths(linked, tell=told.append) == [linked / name for name in names]
    rounds = ("deep/out/back", "deep/up", "self")
    assert told == [f"{linked / r} is a link to a folder that it lies in, and passed over" for r in rounds]
    assert expand_paths(linked / "deep" / "up", tell=told.append)[0] == linked / "deep" / "up" / "a.fits"


@pytest.mark.parametrize(
    "pattern",
    [
        "**/*.fits",
        "**",
        "**/c.fits",
        "deep/**",
        "*/**/*.fits",
        "**/deep/**/c*",
        "**/deep/*.fits",
        "none/**/*.fits",
    ],
)
def test_deep_patterns_are_those_of_the_standard_library(
    tree: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    """Oracle: glob, on a tree without links."""
    (tree / "deep" / "deep" / "[x]").mkdir(parents=True)
    (tree / "deep" / "deep" / "[x]" / "c.fits").touch()
    matches = glob.glob(f"{tree}/{pattern}", recursive=True)  # noqa: PTH207  # as a shell has it
    found = {path for match in matches for path in expand_paths(Path(match))}
    expected = found or {tree / pattern}
    assert set(expand_paths(f"{tree}/{pattern}")) == expected
    monkeypatch.chdir(tree)
    assert set(expand_paths(pattern)) == expected


def test_deep_patterns_do_not_go_round(tree: Path) -> None:
    for name in "pqrs":
        (tree / name).symlink_to(".")
    told: list[str] = []
    found = expand_paths(f"{tree}/**/*.fits", tell=told.append)
    assert found == [tree / "a.fits", tree / "b.fits", tree / "deep" / "c.fits"]
    assert len(told) == 4


@pytest.mark.parametrize("pattern", ["**", "**/*", "**/"])
def test_folders_that_deep_patterns_match_do_not_go_round(linked: Path, pattern: str) -> None:
    """A link that is matched itself is one that goes round; so is one below a link elsewhere."""
    told: list[str] = []
    names = ("a.fits", "b.fits", "deep/c.fits", "deep/out/d.fits")
    assert set(expand_paths(f"{linked}/{pattern}", tell=told.append)) == {linked / name for name in names}
    assert {text.split(" is a link")[0] for text in told} == {
        str(linked / "deep" / "up"), str(linked / "deep" / "out" / "back")
    }  # fmt: skip


@pytest.mark.parametrize("pattern", ["", "/**/*.fits"])
def test_a_folder_that_cannot_be_read_does_not_stop_the_others(
    tree: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    """As root reads all folders, the refusal is made up."""
    list_all = Path.iterdir

    def refuse(folder: Path) -> Iterator[Path]:
        if folder.name == "deep":
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return list_all(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    told: list[str] = []
    found = expand_paths(f"{tree}{pattern}", tell=told.append)
    assert [path for path in found if Path(str(path)).parent == tree] == [tree / "a.fits", tree / "b.fits"]
    assert told == [f"{tree / 'deep'} cannot be read (Permission denied), and passed over"]

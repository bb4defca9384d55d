"""From arguments to files: what is ingested, and where cutouts go."""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click
import pytest

from snapdb.cli.gathering import gather_files
from snapdb.cli.targets import choose_targets
from snapdb.errors import ObjectExistsError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.fits", "b.fits", "sub/c.fits.gz", "sub/.hidden", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path, *arguments: str) -> list[str]:
    return [str(path.relative_to(folder)) for path in gather_files(arguments)]


def test_files_folders_and_patterns_each_file_once(folder: Path) -> None:
    assert names(folder, "b.fits", "a.fits") == ["b.fits", "a.fits"]
    assert names(folder, "sub") == ["sub/c.fits.gz"]
    assert names(folder, "*.fits", ".", "a.fits") == ["a.fits", "b.fits", "notes.txt", "sub/c.fits.gz"]
    assert names(folder, "**/*.gz") == ["sub/c.fits.gz"]


def test_lists_from_a_file_and_from_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "list").write_text("# two files\na.fits\n\n  sub/*.gz\n")
    assert names(folder, "@list") == ["a.fits", "sub/c.fits.gz"]
    monkeypatch.setattr("sys.stdin", io.StringIO("b.fits\na.fits\n"))
    assert names(folder, "-", "a.fits") == ["b.fits", "a.fits"]


def test_lists_hold_names_of_any_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Oracle: os.fsdecode, which gives names as the system's calls do.
    name = b"latin\xe9.fits"
    (folder / "list").write_bytes(b"a.fits\n" + name + b"\n")
    assert names(folder, "@list") == ["a.fits", os.fsdecode(name)]
    stdin = io.TextIOWrapper(io.BytesIO(name + b"\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", stdin)
    assert names(folder, "-") == [os.fsdecode(name)]
    (folder / "list").write_bytes(b"SIMPLE\0")
    with pytest.raises(click.UsageError, match="the list list holds NUL"):
        gather_files(["@list"])


def test_a_file_whose_name_begins_with_an_at_sign_is_a_file(folder: Path) -> None:
    (folder / "@a.fits").write_text("x")
    assert names(folder, "@a.fits") == ["@a.fits"]


def test_what_does_not_exist_is_kept_to_be_reported(folder: Path) -> None:
    assert names(folder, "gone.fits", "*.none") == ["gone.fits", "*.none"]


def test_a_list_that_cannot_be_read_is_a_wrong_call(folder: Path) -> None:
    with pytest.raises(click.UsageError, match="the list gone cannot be read"):
        gather_files(["@gone"])


@dataclass
class Known:
    """What targets look at of an image."""

    id: str
    band: str | None = "r"
    mjd: float | None = 60000.25
    sca: int | None = 1
    observation_id: str | None = "e/1"
    kind: str = "exposure"
    instrument: str | None = None


def paths(images: list[Known], output: str, *, overwrite: bool = False) -> list[str]:
    pairs = choose_targets(cast("Any", images), output, overwrite=overwrite)
    return [str(path) for _, path in pairs]


def test_one_image_goes_to_the_file_that_is_named(folder: Path) -> None:
    assert paths([Known("x")], "cut.fits") == ["cut.fits"]
    assert paths([Known("x")], "new/cut.fits") == ["new/cut.fits"]
    assert not (folder / "new").exists()  # the writer makes it, when there is something to write


def test_several_images_need_names_of_their_own(folder: Path) -> None:
    images = [Known("x"), Known("y", band=None, mjd=None)]
    assert paths(images, "c_{band}_{mjd}.fits") == ["c_r_60000.25000.fits", "c_none_none.fits"]
    assert paths(images, "out/") == ["out/cutout_60000.25000_r_x.fits", "out/cutout_none_none_y.fits"]
    assert paths(images[:1], "sub") == ["sub/cutout_60000.25000_r_x.fits"]
    assert paths(images[:1], "{observation_id}.fits") == ["e_1.fits"]
    assert paths(images[:1], "{{{id}}}.fits") == ["{x}.fits"]


def test_no_guess_is_made_among_several(folder: Path) -> None:
    with pytest.raises(click.UsageError) as caught:
        choose_targets(cast("Any", [Known(f"id{k}") for k in range(20)]), "cut.fits", overwrite=False)
    assert "20 images match" in caught.value.message
    assert "id0  band r  mjd 60000.25" in caught.value.message
    assert "8 more" in caught.value.message


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("{flavour}.fits", "unknown placeholder 'flavour'"),
        ("{band.fits", "cannot be read"),
        ("c_{band}.fits", "add {id}"),
    ],
)
def test_templates_that_cannot_work_are_refused(folder: Path, output: str, message: str) -> None:
    with pytest.raises(click.UsageError, match=message):
        paths([Known("x"), Known("y")], output)


def test_nothing_is_written_over(folder: Path) -> None:
    with pytest.raises(ObjectExistsError, match="--overwrite"):
        paths([Known("x")], "a.fits")
    assert paths([Known("x")], "a.fits", overwrite=True) == ["a.fits"]


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("{mjd:.2f}.fits", "60000.25.fits"),
        ("{mjd:.0f}_{sca:03d}.fits", "60000_001.fits"),
        ("{mjd}_{sca}.fits", "60000.25000_1.fits"),
    ],
)
def test_numbers_take_a_format(folder: Path, output: str, name: str) -> None:
    """Oracle: 60000.25 and 1, written by hand."""
    assert paths([Known("x")], output) == [name]


def test_a_number_that_is_not_known_has_no_digits(folder: Path) -> None:
    assert paths([Known("x", mjd=None, sca=None)], "{mjd:.2f}_{sca:03d}.fits") == ["none_none.fits"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("{mjd:.2q}.fits", "{mjd:.2q} cannot be written so"),
        ("{mjd!r}.fits", "{mjd!r} cannot be written so"),
        ("{sca:.9999d}.fits", "{sca:.9999d} cannot be written so"),
        ("{mjd:{sca}}.fits", "{mjd:{sca}} cannot be written so"),
        ("{band:.2f}.fits", "{band} is text and takes no format"),
    ],
)
def test_formats_that_cannot_be_are_refused_by_name(folder: Path, output: str, message: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        paths([Known("x")], output)
    assert message in caught.value.message


def test_a_closed_or_unreadable_standard_input_is_a_wrong_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a.fits\0"), encoding="utf-8"))
    with pytest.raises(click.UsageError, match="standard input holds NUL"):
        gather_files(["-"])


def test_a_list_is_parted_at_the_ends_of_lines_alone(folder: Path) -> None:
    r"""Python takes more for ends of lines, and a name may hold all but ``\n``; DOS writes ``\r\n``."""
    odd = folder / "odd\u2028one\x85two.fits"
    odd.touch()
    (folder / "list").write_bytes(f"{odd.name}\r\na.fits\r\n".encode())
    assert names(folder, "@list") == [odd.name, "a.fits"]

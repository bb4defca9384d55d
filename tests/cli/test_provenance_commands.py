"""`snapdb provenance`, from the shell's side."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import snapdb
from snapdb.cli import cli
from snapdb.model.provenance import Provenance

CAMERA = Provenance("camera", 1, 0)
REDUCE = Provenance("reduce", 2, 3, {"flat": "2024A", "order": [1, {"x": 3}]}, upstreams=CAMERA)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive with two provenances and a tag."""
    with snapdb.init(tmp_path / "archive") as made:
        made.add_provenance(REDUCE, tag="dr1")
    return tmp_path / "archive"


def run(archive: Path, *words: str, code: int = 0) -> tuple[str, str]:
    done = CliRunner().invoke(cli, ["-a", str(archive), "provenance", *words])
    assert done.exit_code == code, done.stderr
    return done.stdout, done.stderr


def test_add_prints_the_id_and_is_idempotent(archive: Path) -> None:
    words = ("add", "reduce", "--version", "2.3", "--param", "flat=2024A", "--param", 'order=[1, {"x": 3}]')
    out, err = run(archive, *words, "--upstream", str(CAMERA.id)[:8])
    assert out.strip() == str(REDUCE.id)
    assert "was registered already" in err
    out, err = run(archive, "add", "proc0", "--version", "1", "--scheme", "snappl-md5")
    assert out.strip() == "bdfc881c-bc69-58b7-6cd9-2c6f7db341c3"
    assert ": registered" in err


def test_a_tree_travels_as_json(archive: Path, tmp_path: Path) -> None:
    out, _ = run(archive, "show", "dr1:reduce", "--format", "json")
    (tmp_path / "it.json").write_text(out)
    snapdb.init(tmp_path / "other").close()
    out, _ = run(tmp_path / "other", "add", "--from", str(tmp_path / "it.json"))
    assert out.strip() == str(REDUCE.id)
    out, _ = run(tmp_path / "other", "list", "--format", "json")
    assert [row["process"] for row in json.loads(out)] == ["camera", "reduce"]


def test_show_and_tree(archive: Path) -> None:
    out, _ = run(archive, "show", str(REDUCE.id)[:6])
    assert "tags         dr1\n" in out
    assert '"flat": "2024A"' in out
    out, _ = run(archive, "tree", "dr1:reduce")
    assert out.splitlines()[1] == f"└── camera 1.0 {CAMERA.id}"
    out, _ = run(archive, "tree", str(CAMERA.id), "--down")
    assert str(REDUCE.id) in out.splitlines()[1]


def test_tags_move_only_when_told_to_and_are_remembered(archive: Path) -> None:
    out, _ = run(archive, "add", "reduce", "--version", "2.4")
    _, err = run(archive, "tag", "dr1", out.strip(), code=1)
    assert "points to" in err
    run(archive, "tag", "dr1", out.strip(), "--replace")
    listed, _ = run(archive, "tags")
    assert out.strip() in listed
    history, _ = run(archive, "tags", "--history", "--format", "json")
    assert [row["previous_id"] for row in json.loads(history)] == [None, str(REDUCE.id)]


def test_diff_and_export(archive: Path, tmp_path: Path) -> None:
    new, _ = run(archive, "add", "reduce", "--version", "2.4", "--param", "flat=2024B")
    out, _ = run(archive, "diff", "dr1:reduce", new.strip())
    assert "~ params.flat: '2024A' -> '2024B'" in out.splitlines()
    _, err = run(archive, "diff", "dr1:reduce", "dr1:reduce")
    assert "they are the same" in err
    target = tmp_path / "it.json"
    run(archive, "export", "dr1:reduce", "-o", str(target))
    assert len(json.loads(target.read_text())["activity"]) == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add",), 2, "name a process"),
        (("add", "x", "--upstream", "nowhere"), 2, "names no provenance"),
        (("show", "ffffffff"), 3, "begins with ffffffff"),
        (("show", "dr9:reduce"), 3, "there are: dr1"),
        (("tree", "?"), 2, "names no provenance"),
    ],
)
def test_what_cannot_be_is_refused(archive: Path, words: Any, code: int, said: str) -> None:
    _, err = run(archive, *words, code=code)
    assert said in err

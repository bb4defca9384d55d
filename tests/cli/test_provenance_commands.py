"""`snapdb provenance`, from the shell's side."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner

import snapdb
from snapdb.cli import cli
from snapdb.model.image import NewImage
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
    assert '~ params.flat: "2024A" -> "2024B"' in out.splitlines()
    _, err = run(archive, "diff", "dr1:reduce", "dr1:reduce")
    assert "they are the same" in err
    target = tmp_path / "it.json"
    run(archive, "export", "dr1:reduce", "-o", str(target))
    assert len(json.loads(target.read_text())["activity"]) == 2


def test_differences_as_json_hold_the_values(archive: Path) -> None:
    new, _ = run(
        archive, "add", "reduce", "--version", "2.3", "--param", "flat=2024A", "--upstream", "dr1:reduce"
    )
    out, _ = run(archive, "diff", "dr1:reduce", new.strip(), "--format", "json")
    assert json.loads(out) == [
        {"path": "params.order", "kind": "removed", "old": [1, {"x": 3}], "new": None},
        {"path": "upstreams[camera]", "kind": "removed", "old": str(CAMERA.id), "new": None},
        {"path": "upstreams[reduce]", "kind": "added", "old": None, "new": str(REDUCE.id)},
    ]


def test_environments_are_names_or_numbers(archive: Path) -> None:
    words = ("add", "p", "--version", "1.0", "--scheme", "snappl-md5", "--environment-version", "2.1")
    for text, value in (("3", 3), ("conda", "conda"), ("3.1", "3.1")):
        made = Provenance("p", 1, 0, environment=value, env_major=2, env_minor=1, hash_scheme="snappl-md5")
        out, _ = run(archive, *words, "--environment", text)
        assert out.strip() == str(made.id)
        out, _ = run(archive, "show", str(made.id))
        assert f"environment  {text} 2.1\n" in out


def test_parameters_come_from_a_file_and_the_command_line(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text('{"a": {"b": [1.5, null]}, "c": 1}')
    out, _ = run(archive, "add", "p", "--params", str(tmp_path / "params.json"), "--param", "c=2")
    assert out.strip() == str(Provenance("p", params={"a": {"b": [1.5, None]}, "c": 2}).id)
    (tmp_path / "params.json").write_text("[1]")
    _, err = run(archive, "add", "p", "--params", str(tmp_path / "params.json"), code=2)
    assert "holds no JSON object" in err


@pytest.mark.parametrize("words", [("show", "--format", "json"), ("export",)])
def test_a_tree_of_snappl_travels_with_its_ids(archive: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    ids: list[str] = []
    for number in range(5):
        upstreams = [word for id_ in ids for word in ("--upstream", id_)]
        out, _ = run(archive, "add", f"proc{number}", "--version", "1", "--scheme", "snappl-md5", *upstreams)
        ids.append(out.strip())
    assert ids[0] == "bdfc881c-bc69-58b7-6cd9-2c6f7db341c3"
    out, _ = run(archive, words[0], ids[-1], *words[1:])
    (tmp_path / "it.json").write_text(out)
    other = tmp_path / "other"
    snapdb.init(other).close()
    out, err = run(other, "add", "--from", str(tmp_path / "it.json"), "--tag", "moved")
    assert (out.strip(), "proc4 1.0: registered" in err) == (ids[-1], True)
    out, _ = run(other, "list", "--format", "json")
    assert [row["id"] for row in json.loads(out)] == ids
    assert run(other, "show", "moved:proc4", "--format", "json") == run(
        archive, "show", ids[-1], "--format", "json"
    )


def test_a_tree_of_two_to_the_fortieth_is_refused_in_full_and_exported(archive: Path, tmp_path: Path) -> None:
    top = Provenance("base")
    for level in range(40):
        top = Provenance(
            "join", level, upstreams=[Provenance("side", level, n, upstreams=top) for n in (0, 1)]
        )
    with snapdb.connect(archive) as opened:
        opened.add_provenance(top)
    for name in ("show", "tree"):
        _, err = run(archive, name, str(top.id), "--format", "json", code=2)
        assert "`snapdb provenance export` names each of them once" in err
    assert len(run(archive, "tree", str(top.id))[0].splitlines()) == 161  # a line an edge, and the top
    run(archive, "export", str(top.id), "-o", str(tmp_path / "it.json"))
    out, err = run(archive, "add", "--from", str(tmp_path / "it.json"))
    assert (out.strip(), "was registered already" in err) == (str(top.id), True)


def test_a_tag_that_is_taken_leaves_nothing_behind(archive: Path) -> None:
    _, err = run(archive, "add", "reduce", "--version", "9", "--tag", "dr1", code=1)
    assert "--replace" in err
    assert "9.0" not in run(archive, "list")[0]
    out, _ = run(archive, "add", "reduce", "--version", "9", "--tag", "dr1", "--replace")
    assert f"id           {out}" in run(archive, "show", "dr1:reduce")[0]


@pytest.fixture
def images(
    archive: Path, make_image: Callable[..., NewImage], files_of: Callable[..., dict[str, Any]]
) -> list[str]:
    """Ids of two raw images, the reduced images of each, and of one that was made of both."""
    top = Provenance("coadd", 1, 0, upstreams=REDUCE)
    ids: list[Any] = []
    with snapdb.connect(archive) as opened:
        opened.add_provenance(top)
        for number, (maker, inputs) in enumerate(
            [(CAMERA, ()), (CAMERA, ()), (REDUCE, (0,)), (REDUCE, (1,)), (top, (2, 3, 0))]
        ):
            image = make_image(f"{number}.fits", provenance=maker, inputs=tuple(ids[n] for n in inputs))
            ids.append(opened.registry.add_images([image], files_of(image))[0].id)
    return [str(id_) for id_ in ids]


def test_what_an_image_was_made_of_is_drawn(archive: Path, images: list[str]) -> None:
    lines = run(archive, "tree", images[4])[0].splitlines()
    names = [re.sub(r"exposure (store/.*?)\[0\] .*  by (.*) .*", r"\1 \2", line) for line in lines]
    assert names == [
        "store/4.fits coadd 1.0",
        "├── store/2.fits reduce 2.3",
        "│   └── store/0.fits camera 1.0",
        "├── store/3.fits reduce 2.3",
        "│   └── store/1.fits camera 1.0",
        "└── store/0.fits camera 1.0",
    ]
    held = json.loads(run(archive, "tree", images[4], "--format", "json")[0])
    assert held["image"] == images[4]
    assert {one["id"]: one["inputs"] for one in held["images"]} == {
        images[0]: [],
        images[1]: [],
        images[2]: [images[0]],
        images[3]: [images[1]],
        images[4]: [images[2], images[3], images[0]],
    }
    assert [one["process"] for one in held["provenances"]] == ["camera", "reduce", "coadd"]


def test_what_came_of_an_image_or_a_provenance_is_drawn(archive: Path, images: list[str]) -> None:
    lines = run(archive, "tree", images[0], "--down")[0].splitlines()
    assert [re.findall(r"[0-9]\.fits", line) for line in lines] == [
        ["0.fits"],
        ["2.fits"],
        ["4.fits"],
        ["4.fits"],
    ]
    held = json.loads(run(archive, "tree", images[0], "--down", "--format", "json")[0])
    assert {one["id"]: set(one["products"]) for one in held["images"]} == {
        images[0]: {images[2], images[4]},
        images[2]: {images[4]},
        images[4]: set(),
    }
    lines = run(archive, "tree", str(CAMERA.id), "--down")[0].splitlines()
    assert lines[0] == f"camera 1.0 {CAMERA.id}"
    assert lines[1].endswith(f"{REDUCE.id}  2 images")
    assert lines[2].endswith("  1 image")
    held = json.loads(run(archive, "tree", str(CAMERA.id), "--down", "--format", "json")[0])
    assert [(one["process"], one["images"]) for one in held] == [("coadd", 1), ("reduce", 2)]


def test_an_image_is_exported_with_its_inputs(archive: Path, images: list[str], tmp_path: Path) -> None:
    target = tmp_path / "it.json"
    _, err = run(archive, "export", images[4], "-o", str(target))
    assert f"{target}: 3 provenances, 5 images" in err
    assert json.loads(run(archive, "export", images[4])[0]) == json.loads(target.read_text())
    before = target.read_bytes()
    run(archive, "export", images[0], "-o", str(target), code=1)
    assert target.read_bytes() == before
    run(archive, "export", images[0], "-o", str(target), "--overwrite")
    assert len(json.loads(target.read_text())["entity"]) == 1
    registry = archive / "registry.db"
    assert registry.exists()
    run(archive, "export", images[0], "-o", str(registry), "--overwrite", code=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "nested too deep"),
        ("[]", "the top is [], no provenance"),
        ('{"process": "a", "upstreams": [{"process": "b", "major": 1.5}]}', "upstreams[0]: major is 1.5"),
        ('{"process": "a", "params": {"x": [NaN]}}', "params.x[0] is nan"),
        ('{"process": "a", "colour": 1}', "unknown ['colour']"),
        ('{"process": "a", "id": "bdfc881c"}', "comes out as"),
        ('{"activity": {"x:1": {}}}', "no provenance of snapdb"),
    ],
)
def test_files_that_hold_no_provenance_are_refused(
    archive: Path, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "bad.json").write_text(text)
    _, err = run(archive, "add", "--from", str(tmp_path / "bad.json"), code=2)
    assert "bad.json" in err
    assert said in err
    assert len(json.loads(run(archive, "list", "--format", "json")[0])) == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add",), 2, "name a process"),
        (("add", "x", "--replace"), 2, "name it with --tag"),
        (("add", "x", "--upstream", str(UUID(int=1))), 3, "no provenance 00000000-"),
        (("add", "--from", __file__, "--version", "1"), 2, "leave out the version"),
        (("add", "--from", "nowhere.json"), 2, "nowhere.json"),
        (("tag", "dr1", "dr2:reduce"), 3, "no tag 'dr2'"),
        (("tree", str(UUID(int=1))), 3, "no image and no provenance"),
        (("export", str(UUID(int=1))), 3, "no image and no provenance"),
        (("diff", "dr1:reduce", "nothing"), 2, "names no provenance"),
        (("add", "x", "--upstream", "nowhere"), 2, "names no provenance"),
        (("show", "ffffffff"), 3, "begins with ffffffff"),
        (("show", "dr9:reduce"), 3, "there are: dr1"),
        (("tree", "?"), 2, "names no provenance"),
    ],
)
def test_what_cannot_be_is_refused(archive: Path, words: Any, code: int, said: str) -> None:
    _, err = run(archive, *words, code=code)
    assert said in err

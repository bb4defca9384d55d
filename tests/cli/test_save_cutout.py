"""`snapdb cutout --save`, `show --png` and `colour`. The library's own answers are the oracle."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image as Pictures

import snapdb
from snapdb import Provenance
from snapdb.archive.colour import make_colour
from snapdb.cli import cli
from snapdb.cli.colour import command as colour
from snapdb.cli.session import Session
from snapdb.testing.skies import Survey, make_survey


class Bench:
    """An archive of one night, a scratch folder for each test, and the commands."""

    def __init__(self, folder: Path) -> None:
        self.survey: Survey = make_survey(folder / "survey", epochs=1, stars=30)
        self.archive = folder / "archive"
        self.call("init", self.archive, archive=False)
        paths = [p for p in self.survey.files if "_d" in p.name]
        self.call("ingest", *paths, "--process", "reduce", "--jobs", "1")
        self.at = ("--ra", repr(self.survey.supernova.ra), "--dec", repr(self.survey.supernova.dec))

    def run(self, *arguments: Any, archive: bool = True) -> Result:
        given = ["-a", str(self.archive)] if archive else []
        runner = CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""})
        return runner.invoke(cli, [*given, *map(str, arguments)])

    def call(self, *arguments: Any, archive: bool = True) -> list[str]:
        """Run what must work, and give its lines."""
        result = self.run(*arguments, archive=archive)
        assert result.exit_code == 0, result.stderr
        return result.stdout.splitlines()

    def refuse(self, code: int, *arguments: Any) -> str:
        result = self.run(*arguments)
        assert result.exit_code == code, result.stderr
        assert result.stdout == ""
        return result.stderr

    def found(self, *criteria: Any) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.call("find", *criteria, "--format", "jsonl")]

    def colour(self, *arguments: Any) -> Result:
        runner = CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""})
        return runner.invoke(colour, list(map(str, arguments)), obj=Session(archive=str(self.archive)))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def test_saved_cutouts_are_images_of_the_archive(bench: Bench) -> None:
    asked = (
        "cutout",
        *bench.at,
        "--size",
        15,
        "--mode",
        "partial",
        "--band",
        "r",
        "--save",
        "--tag",
        "stamps",
    )
    ids = bench.call(*asked)
    parents = bench.found(*bench.at, "--band", "r", "--kind", "exposure")
    assert len(ids) == len(parents) > 0
    saved = bench.found("--provenance-tag", "stamps", "--process", "cutout")
    assert sorted(s["id"] for s in saved) == sorted(ids)
    assert {s["kind"] for s in saved} == {"cutout"}
    with snapdb.connect(bench.archive) as archive:
        for parent, id_ in zip(parents, ids, strict=True):
            made = archive.get_image(id_)
            x, y = archive.get_image(parent["id"]).world_to_pixel(*map(float, (bench.at[1], bench.at[3])))
            again = archive.get_image(parent["id"]).get_cutout(float(x), float(y), 15, mode="partial")
            np.testing.assert_array_equal(made.data, again.data)
            assert [str(i) for i in archive.registry.get_inputs(UUID(id_))] == [parent["id"]]
        made_by = archive.get_tagged("stamps", "cutout")
        assert dict(made_by.params) == {"size": 15, "ysize": 15, "mode": "partial", "fill_value": "nan"}
    count = len(bench.found("--kind", "cutout"))
    assert bench.call(*asked) == ids
    assert len(bench.found("--kind", "cutout")) == count


def test_an_angle_and_a_named_provenance(bench: Bench) -> None:
    with snapdb.connect(bench.archive) as archive:
        archive.add_provenance(Provenance("training", 2, 0, {"set": "a"}), tag="v1")
        image = str(archive.find_images(ra=bench.at[1], dec=bench.at[3], kind="exposure")[0].id)
    asked = ("cutout", *bench.at, "--image", image, "--size", "5arcsec", "--mode", "trim", "--save")
    (plain,) = bench.call(*asked)
    (named,) = bench.call(*asked, "--save-provenance", "v1:training")
    assert plain != named
    shown = json.loads("\n".join(bench.call("show", plain, "--format", "json")))
    assert shown["provenance"]["params"] == {"size": "5.0arcsec", "ysize": "5.0arcsec", "mode": "trim"}
    assert shown["inputs"] == [image]
    shown = json.loads("\n".join(bench.call("show", named, "--format", "json")))
    assert (shown["provenance"]["process"], shown["provenance"]["params"]) == ("training", {"set": "a"})


def test_a_tag_that_is_taken_stops_before_anything_is_saved(bench: Bench) -> None:
    with snapdb.connect(bench.archive) as archive:
        archive.add_provenance(Provenance("cutout", 9, 9), tag="taken")
    count = len(bench.found("--kind", "cutout"))
    asked = ("cutout", *bench.at, "--size", 13, "--mode", "trim", "--band", "i", "--save", "--tag", "taken")
    assert "points to" in bench.refuse(1, *asked)
    assert len(bench.found("--kind", "cutout")) == count


def test_one_tag_for_images_of_several_provenances_is_refused(bench: Bench, tmp_path: Path) -> None:
    other = Bench.__new__(Bench)
    other.archive, other.at = tmp_path / "archive", bench.at
    other.call("init", other.archive, archive=False)
    first, second = (p for p in bench.survey.files if "_r_d" in p.name)
    other.call("ingest", first, "--process", "one", "--jobs", "1")
    other.call("ingest", first, second, "--process", "two", "--jobs", "1")
    asked = ("cutout", *bench.at, "--size", 9, "--mode", "trim", "--save", "--kind", "exposure")
    assert "choose by --provenance" in other.refuse(2, *asked, "--tag", "t")
    assert len(other.call(*asked)) == len(other.found(*bench.at, "--kind", "exposure"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "where to?"),
        (["--save", "-o", "a.fits"], "leave out -o"),
        (["--save", "--overwrite"], "leave out --overwrite"),
        (["-o", "a.fits", "--tag", "x"], "--tag goes with --save"),
        (["-o", "a.fits", "--save-provenance", "x:y"], "--save-provenance goes with --save"),
    ],
)
def test_options_that_do_not_go_together(bench: Bench, options: list[str], words: str) -> None:
    assert words in bench.refuse(2, "cutout", *bench.at, "--size", 9, *options)


def test_an_unknown_provenance_finds_nothing(bench: Bench) -> None:
    asked = ("cutout", *bench.at, "--size", 9, "--save", "--save-provenance", "no:cutout", "--mode", "trim")
    bench.refuse(3, *asked)


def image_id(bench: Bench, band: str = "r") -> str:
    return str(bench.found("--band", band, "--kind", "exposure", "--sca", 1)[0]["id"])


def test_show_draws_the_image(bench: Bench, tmp_path: Path) -> None:
    id_, path = image_id(bench), tmp_path / "a.png"
    options = (
        "--stretch",
        "log",
        "--interval",
        "percentile:99",
        "--north-up",
        "--bad",
        "red",
        "--longest",
        300,
    )
    assert bench.call("show", id_, "--png", path, *options, "--longest", 300) == [str(path)]
    with snapdb.connect(bench.archive) as archive:
        expected = archive.get_image(id_).show("log", "percentile:99", north_up=True, bad="red", size=300)
    with Pictures.open(path) as png:
        np.testing.assert_array_equal(np.asarray(png), expected.levels)
        assert png.text["snapdb:id"] == id_  # type: ignore[attr-defined]
    result = bench.run("show", id_, "--png", "-", "--limits", 100, 900, "--bad", "data")
    with snapdb.connect(bench.archive) as archive:
        expected = archive.get_image(id_).show(limits=(100.0, 900.0), bad=None, size=None)
    with Pictures.open(BytesIO(result.stdout_bytes)) as png:
        np.testing.assert_array_equal(np.asarray(png), expected.levels)


def test_pictures_never_take_the_place_of_what_must_stay(bench: Bench, tmp_path: Path) -> None:
    id_, path = image_id(bench), tmp_path / "a.png"
    path.write_bytes(b"mine")
    bench.refuse(1, "show", id_, "--png", path)
    assert path.read_bytes() == b"mine"
    bench.call("show", id_, "--png", path, "--overwrite")
    assert "as .png" in bench.refuse(2, "show", id_, "--png", tmp_path / "a.jpg")
    assert "goes with --png" in bench.refuse(2, "show", id_, "--stretch", "log")
    assert "leave one of them out" in bench.refuse(2, "show", id_, "--png", path, "--format", "json")
    assert "expected one of asinh" in bench.refuse(
        2, "show", id_, "--png", tmp_path / "b.png", "--stretch", "x"
    )


def test_an_image_without_cutout_is_named_once(bench: Bench, tmp_path: Path) -> None:
    result = bench.run("cutout", *bench.at, "--size", "100001", "-o", tmp_path / "sn_{band}.fits")
    assert result.exit_code == 4
    with snapdb.connect(bench.archive) as archive:
        ids = [str(image.id) for image in archive.find_images()]
    assert {result.stderr.count(id_) for id_ in ids if id_ in result.stderr} == {1}


def test_colour_off_an_image_names_the_place_and_the_image(bench: Bench, tmp_path: Path) -> None:
    with snapdb.connect(bench.archive) as archive:
        first = archive.find_images()[0]
    off = ("--ra", repr(first.ra), "--dec", repr(first.dec + 1.0), "--size", "11")
    result = bench.run("colour", first.id, first.id, first.id, *off, "-o", tmp_path / "c.png")
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert f"dec={first.dec + 1.0:.6f}" in said
    assert said.count(str(first.id)) == 1
    assert "red" in said


def test_colour_draws_three(bench: Bench, tmp_path: Path) -> None:
    ids = [image_id(bench, band) for band in "irg"]
    path = tmp_path / "rgb.png"
    whole = bench.colour(*ids, "-o", path)
    assert whole.exit_code == 1
    assert "does not share the grid" in str(whole.exception)
    pytest.importorskip("reproject")
    look = ("--align", "--longest", 410, "--minimum", 0, "--stretch", 100, "--q", 5)
    done = bench.colour(*ids, "-o", path, *bench.at, "--size", 41, *look)
    assert done.exit_code == 0, done.exception
    assert done.stdout.split() == [str(path)]
    with snapdb.connect(bench.archive) as archive:
        ra, dec = float(bench.at[1]), float(bench.at[3])
        first, *others = (archive.get_image(i) for i in ids)
        # The second and third whole: what of them is cut out makes no difference.
        images = [first.get_ra_dec_cutout(ra, dec, 41, mode="partial"), *others]
        expected = make_colour(images, 100.0, 5.0, align=True, size=410, minimum=0.0)
    with Pictures.open(path) as png:
        difference = np.asarray(png).astype(int) - expected.levels
        assert png.size == (410, 410)
        assert [png.text[f"snapdb:{c}:band"] for c in ("red", "green", "blue")] == list("irg")  # type: ignore[attr-defined]
    assert np.abs(difference).max() <= 1
    assert expected.levels[..., :3].max() > 150
    again = bench.colour(*ids, "-o", path)
    assert again.exit_code == 1
    assert "exists" in str(again.exception)

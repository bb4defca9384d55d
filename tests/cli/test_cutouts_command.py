"""`snapdb cutouts` on a small synthetic survey in an embedded archive."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner, Result
from PIL import Image as Pictures

import snapdb
from snapdb.archive.epochs.stack import CutoutStack
from snapdb.cli import cli
from snapdb.sky.extent import Extent
from snapdb.testing.skies import Survey, make_survey


@dataclass(frozen=True)
class Bench:
    """An archive that holds a survey."""

    survey: Survey
    archive: Path

    def run(self, *arguments: str) -> Result:
        sn = self.survey.supernova
        place = ["--ra", str(sn.ra), "--dec", str(sn.dec)]
        return self.run_bare(*place, *arguments)

    def run_bare(self, *arguments: str) -> Result:
        runner = CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""})
        return runner.invoke(cli, ["-a", str(self.archive), "cutouts", *arguments])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    survey = make_survey(tmp_path / "survey", epochs=2, stars=10)
    with snapdb.init(tmp_path / "archive") as archive:
        archive.ingest(survey.files, jobs=1)
    return Bench(survey, tmp_path / "archive")


def test_nothing_written_is_not_named(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "sn.fits"
    result = bench.run("--size", "100001", "--mode", "strict", "--band", "r", "-o", str(out))
    want = bench.survey.images_of(bench.survey.supernova, band="r")
    said = " ".join(result.stderr.split())
    assert f"none of {len(want)} images gives a cutout; nothing was written" in said
    assert str(out) not in said
    assert not out.exists()
    with snapdb.connect(bench.archive) as archive:
        ids = [str(image.id) for image in archive.find_images(band="r")]
    assert {said.count(id_) for id_ in ids} <= {0, 1}


def test_a_stack_with_its_table(bench: Bench, tmp_path: Path) -> None:
    out, table = tmp_path / "sn.fits", tmp_path / "sn.ecsv"
    result = bench.run("--size", "31", "--band", "r", "-o", str(out), "--table", str(table))
    assert result.exit_code == 0, result.stderr
    want = bench.survey.images_of(bench.survey.supernova, band="r")
    assert result.stdout.strip() == str(out)
    assert f"{len(want)} cutouts of {len(want)} images" in result.stderr
    stack = CutoutStack.read(out)
    assert list(stack.table["mjd"]) == [truth.mjd for truth in want]
    assert stack.shape[1:] == (31, 31)
    sn = bench.survey.supernova
    for layer, truth in zip(stack.data, want, strict=True):
        x, y = (int(np.floor(float(v) + 0.5)) for v in truth.to_pixels(sn.ra, sn.dec))
        data = np.pad(fits.getdata(truth.path, truth.hdu).astype(float), 31, constant_values=np.nan)
        np.testing.assert_array_equal(layer, data[y - 15 + 31 : y + 16 + 31, x - 15 + 31 : x + 16 + 31])
    assert Table.read(table)["status"].tolist() == ["ok"] * len(want)
    again = bench.run("--size", "31", "-o", str(out))
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr
    assert bench.run("--size", "15arcsec", "-o", str(out), "--overwrite").exit_code == 0
    stack = CutoutStack.read(out)
    side = Extent.of("15arcsec").to_pixels(min(stack.table["pixel_scale"]))
    assert stack.shape[1:] == (side, side)


def test_pictures_animations_and_files(bench: Bench, tmp_path: Path) -> None:
    count = len(bench.survey.images_of(bench.survey.supernova))
    for name in ("sheet.png", "sn.gif"):
        assert bench.run("--size", "31", "-o", str(tmp_path / name)).exit_code == 0
        with Pictures.open(tmp_path / name) as picture:
            assert getattr(picture, "n_frames", 1) == (count if name.endswith("gif") else 1)
    result = bench.run("--size", "31", "-o", f"{tmp_path}/each/")
    assert result.exit_code == 0
    paths = result.stdout.split()
    assert len(paths) == count
    assert {snapdb.Image(path).image_shape for path in paths} == {(31, 31)}


def test_aligned_planes_as_zarr(bench: Bench, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    pytest.importorskip("reproject")
    out = tmp_path / "sn.zarr"
    options = ["--align", "--method", "exact", "--plane", "data", "--pixel-scale", "0.7"]
    result = bench.run("--size", "20", "-o", str(out), *options)
    assert result.exit_code == 0, result.stderr
    stack = CutoutStack.read(out)
    assert (stack.aligned, list(stack.planes)) == (True, ["data"])
    wcs = stack.wcs[0]
    assert wcs is not None
    assert wcs.pixel_scale_arcsec(9.5, 9.5) == pytest.approx(0.7, rel=1e-6)


def test_a_part_that_fails_is_named_and_ends_with_its_code(bench: Bench, tmp_path: Path) -> None:
    gone = bench.survey.images_of(bench.survey.supernova)[1]
    gone.path.unlink()
    table = tmp_path / "t.csv"
    result = bench.run("--size", "31", "-o", str(tmp_path / "sn.fits"), "--table", str(table))
    assert result.exit_code == 4
    assert "does not exist" in result.stderr
    rows = Table.read(table)
    assert [str(row["error"]) for row in rows if row["status"] == "failed"] == ["ObjectMissingError"]
    assert len(CutoutStack.read(tmp_path / "sn.fits")) == len(rows) - 1


def test_nothing_found(bench: Bench, tmp_path: Path) -> None:
    place = ["--ra", "200", "--dec", "60", "--size", "31", "-o", str(tmp_path / "no.fits")]
    assert bench.run_bare(*place).exit_code == 0
    result = bench.run_bare(*place, "--fail-empty")
    assert result.exit_code == 3
    assert "no image matches" in result.stderr
    assert not (tmp_path / "no.fits").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "x.fits"], "--size"),
        (["--size", "31", "-o", "x.jpg"], ".zarr"),
        (["--size", "31", "-o", "x.fits", "--method", "exact"], "--align"),
        (["--size", "31", "-o", "x.gif", "--align"], ".fits or .zarr"),
        (["--size", "31", "-o", "x.gif", "--plane", "noise"], "--plane data"),
        (["--size", "31", "-o", "x.fits", "--radius", "1deg"], "--overlap"),
        (["--size", "31", "-o", "x.fits", "--table", "t.doc"], ".ecsv"),
    ],
)
def test_wrong_calls_say_what_to_do(bench: Bench, arguments: list[str], words: str) -> None:
    result = bench.run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_registered_file_is_never_written_over(bench: Bench) -> None:
    path = bench.survey.files[0]
    before = path.read_bytes()
    result = bench.run("--size", "31", "-o", str(path), "--overwrite")
    assert result.exit_code in (1, 2)
    assert path.read_bytes() == before

"""`snapdb coverage` at work on a small synthetic survey."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image as Pictures

import snapdb
from snapdb.archive.coverage.depth import DepthMap
from snapdb.cli import cli
from snapdb.testing.skies import make_survey

mocpy = pytest.importorskip("mocpy")
pytest.importorskip("matplotlib")


def run(*arguments: str | Path) -> Result:
    runner = CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""})
    return runner.invoke(cli, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coverage")
    make_survey(folder / "survey", epochs=3, stars=20)
    assert run("init", folder / "archive").exit_code == 0
    assert run("-a", folder / "archive", "ingest", folder / "survey/images", "--jobs", "1").exit_code == 0
    return folder / "archive"


def test_figures_go_to_standard_output(archive: Path) -> None:
    result = run("-a", archive, "coverage", "--order", "15")
    assert result.exit_code == 0, result.stderr
    first, *bands = result.stdout.splitlines()
    with snapdb.connect(archive) as opened:
        count = opened.count_images()
        names = sorted({record.band or "" for record in opened.iter_records()})
        deepest: dict[str, int] = {}
        for record in opened.iter_records():
            epochs = opened.find_epochs(record.ra, record.dec)
            for band, images in epochs.items():
                deepest[band or ""] = max(deepest.get(band or "", 0), len(images))
    assert f"square degrees, {count} images, in cells of order 15" in first
    assert [line.split(":")[0] for line in bands] == names
    for line in bands:
        # An image's centre is one position of many: the greatest depth is at least what is found there.
        assert int(line.split("greatest ")[1].split(",")[0]) >= deepest[line.split(":")[0]]


def test_all_three_files_at_once(archive: Path, tmp_path: Path) -> None:
    moc, depth, picture = tmp_path / "m.json", tmp_path / "d.fits", tmp_path / "p.png"
    arguments = ("coverage", "--band", "r", "--moc", moc, "--depth", depth, "--picture", picture)
    result = run("-a", archive, *arguments, "--order", "14")
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    made = DepthMap.read(depth)
    assert (made.bands, made.order) == (("r",), 14)
    covered = mocpy.MOC.load(moc, "json")
    assert set(made.cells.tolist()) <= set(covered.flatten().tolist())
    with Pictures.open(picture) as drawn:
        assert drawn.format == "PNG"
        assert min(drawn.size) > 500
    again = run("-a", archive, *arguments)
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr
    assert run("-a", archive, *arguments, "--overwrite", "--order", "13").exit_code == 0
    assert DepthMap.read(depth).order == 13


def test_seconds_are_added_up(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "d.fits"
    result = run("-a", archive, "coverage", "--depth", path, "--what", "exptime", "--order", "14")
    assert result.exit_code == 0, result.stderr
    made = DepthMap.read(path)
    assert made.quantity == "exptime"
    ra, dec = (c.tolist() for c in made.centers())
    with snapdb.connect(archive) as opened:
        for n in np.random.default_rng(1).choice(len(made), 5, replace=False).tolist():
            images = opened.find_records(ra=ra[n], dec=dec[n])
            assert made.total[n] == pytest.approx(sum(i.exptime or 0.0 for i in images), rel=1e-12)


def test_nothing_found_is_said(archive: Path, tmp_path: Path) -> None:
    picture = tmp_path / "p.png"
    result = run("-a", archive, "coverage", "--band", "u", "--picture", picture, "--fail-empty")
    assert result.exit_code == 3
    assert "no image matches" in result.stderr
    assert picture.exists()
    moc = tmp_path / "m.json"
    assert run("-a", archive, "coverage", "--band", "u", "--moc", moc, "--fail-empty").exit_code == 3
    assert json.load(io.StringIO(moc.read_text())) == {"12": []}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--moc", "a.png"], ".fits or .json or .txt"),
        (["--depth", "a.csv"], ".fits"),
        (["--picture", "a.jpg"], ".png"),
        (["--moc", "a.fits", "--depth", "a.fits"], "name one file"),
        (["--moc", "a.fits", "--what", "exptime"], "--what is about the depth"),
        (["--order", "30"], "0<=x<=29"),
        (["--provenance-tag", "absent"], "no provenance carries the tag"),
    ],
)
def test_what_cannot_be_is_refused(archive: Path, arguments: list[str], says: str) -> None:
    result = run("-a", archive, "coverage", *arguments)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())


def test_a_registered_file_is_never_written_over(archive: Path) -> None:
    with snapdb.connect(archive) as opened:
        path = Path(str(opened.find_images(limit=1)[0].full_filepath))
    before = path.read_bytes()
    result = run("-a", archive, "coverage", "--depth", path, "--overwrite")
    assert result.exit_code in (1, 2)
    assert path.read_bytes() == before

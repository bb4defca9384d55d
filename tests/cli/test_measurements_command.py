"""`snapdb measurements`: what is kept, in every format."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import snapdb
from snapdb.cli import cli
from snapdb.model.measurement import make_measurements
from snapdb.model.provenance import Provenance
from snapdb.testing.skies import make_survey

PHOT = Provenance("phot", 1, 0, {"radius": 5.0})
FLUXES = [1.5, -0.25, np.nan]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive in which three targets are measured on one image."""
    root = tmp_path_factory.mktemp("measured")
    survey = make_survey(root / "files", epochs=1, stars=5)
    with snapdb.init(root / "archive") as archive:
        archive.ingest(survey.files, jobs=1)
        archive.add_provenance(PHOT, tag="dr1")
        table = make_measurements(
            image_id=archive.find_images()[0].id,
            provenance_id=PHOT.id,
            ra=[10.0, 10.0, 200.0],
            dec=[-20.0, -20.001, 5.0],
            flux=FLUXES,
            flux_err=0.5,
            name=["a", "b", None],
            method="aperture",
        )
        assert archive.add_measurements(table) == 3
    return root / "archive"


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""}).invoke(
        cli, ["-a", str(folder), "measurements", *arguments]
    )


def fluxes(folder: Path, *arguments: str) -> list[float | None]:
    result = run(folder, "--format", "json", *arguments)
    assert result.exit_code == 0, result.stderr
    return [row["flux"] for row in json.loads(result.stdout)]


def test_each_option_narrows_the_list(folder: Path) -> None:
    with snapdb.connect(folder) as archive:
        image = archive.find_images()[0]
    assert sorted(fluxes(folder), key=str) == [-0.25, 1.5, None]
    for count, arguments in (
        (1, ["--ra", "10", "--dec", "-20"]),
        (1, ["--ra", "00h40m00s", "--dec", "-20d00m00s"]),
        (2, ["--ra", "10", "--dec", "-20", "--radius", "5arcsec"]),
        (2, ["--name", "a", "--name", "b"]),
        (3, ["--image", str(image.id), "--band", str(image.band), "--mjd-min", str(image.mjd)]),
        (0, ["--mjd-max", "1990-01-01"]),
        (3, ["--provenance", "dr1:phot"]),
        (3, ["--provenance", str(PHOT.id)[:8]]),
        (1, ["--limit", "1"]),
    ):
        assert len(fluxes(folder, *arguments)) == count, arguments


def test_formats_hold_the_same(folder: Path, tmp_path: Path) -> None:
    from astropy.table import QTable

    rows = list(csv.DictReader(io.StringIO(run(folder, "--format", "csv").stdout)))
    assert {row["flux"] for row in rows} == {"1.5", "-0.25", "nan"}
    assert {row["method"] for row in rows} == {"aperture"}
    lines = run(folder).stdout.splitlines()
    assert lines[0].split()[:2] == ["name", "mjd"]
    assert len(lines) == 4
    for name in ("m.ecsv", "m.vot", "m.fits"):
        result = run(folder, "-o", str(tmp_path / name))
        assert result.exit_code == 0, result.stderr
        assert result.stderr.startswith(f"{tmp_path / name}: 3 measurements as ")
        table = QTable.read(tmp_path / name)
        np.testing.assert_array_equal(sorted(np.asarray(table["flux"], dtype=float)), sorted(FLUXES))
        assert table["ra"].unit == "deg"
    refused = run(folder, "-o", str(tmp_path / "m.ecsv"))
    assert refused.exit_code != 0
    assert "exists; choose another name, or --overwrite" in refused.stderr


def test_nothing_found_says_so(folder: Path, tmp_path: Path) -> None:
    result = run(folder, "--name", "nobody", "--fail-empty")
    assert result.exit_code == 3
    assert "no measurement matches" in result.stderr
    snapdb.init(tmp_path / "empty").close()
    assert "nothing is measured; see `snapdb phot`" in run(tmp_path / "empty").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ra", "10"], "--ra and --dec stand together"),
        (["--radius", "5arcsec"], "radius without ra and dec"),
        (["--image", "no id"], "no id"),
        (["--provenance", "dr2:phot"], "dr2"),
    ],
)
def test_calls_that_cannot_be(folder: Path, arguments: list[str], said: str) -> None:
    result = run(folder, *arguments)
    assert result.exit_code == 2, result.stderr
    assert said in result.stderr
    assert result.stdout == ""

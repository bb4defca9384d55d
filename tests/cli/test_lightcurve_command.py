"""`snapdb lightcurve` and `snapdb phot` on a small synthetic survey in an embedded archive."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits, votable
from astropy.table import QTable, Table
from click.testing import CliRunner, Result
from PIL import Image as Pictures

import snapdb
from snapdb.archive.archive import Archive
from snapdb.archive.light_curves.light_curve import find_light_curve
from snapdb.cli import cli
from snapdb.cli import lightcurve as lightcurve_command
from snapdb.cli import phot as phot_command
from snapdb.cli.session import Session
from snapdb.errors import ReadOnlyStoreError
from snapdb.registry import Registry
from snapdb.storage import LocalStore
from snapdb.testing.skies import Survey, make_survey

assert cli is not None


@dataclass(frozen=True)
class Bench:
    """An archive that holds a survey."""

    survey: Survey
    archive: Path

    def run(self, *arguments: str) -> Result:
        """Ask for the supernova's light curve."""
        sn = self.survey.supernova
        return self.run_bare("lightcurve", "--ra", str(sn.ra), "--dec", str(sn.dec), *arguments)

    def run_bare(self, name: str, *arguments: str) -> Result:
        """Run one of the commands."""
        command = {"lightcurve": lightcurve_command, "phot": phot_command}[name].command
        runner = CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""})
        return runner.invoke(command, ["-a", str(self.archive), *arguments], obj=Session())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    survey = make_survey(tmp_path / "survey", epochs=2, stars=10)
    with snapdb.init(tmp_path / "archive") as archive:
        archive.ingest(survey.files, jobs=1)
    return Bench(survey, tmp_path / "archive")


def test_a_light_curve_in_a_file_with_its_drawing(bench: Bench, tmp_path: Path) -> None:
    out, plot = tmp_path / "sn.ecsv", tmp_path / "sn.png"
    result = bench.run("--psf", "gaussian:2.8", "--band", "r", "-o", str(out), "--plot", str(plot))
    assert result.exit_code == 0, result.stderr
    sn = bench.survey.supernova
    want = bench.survey.images_of(sn, band="r")
    table = QTable.read(out)
    assert list(table["mjd"].value) == [truth.mjd for truth in want]
    assert table["flux_njy"].unit == "nJy"
    assert f"{len(want)} fluxes on {len(want)} images, {len(want)} of them measured now" in result.stderr
    with snapdb.connect(bench.archive) as archive:
        curve = find_light_curve(archive, sn.ra, sn.dec, psf="gaussian:2.8", bands="r")
    assert curve.new == 0
    np.testing.assert_array_equal(table["flux"], curve.table["flux"])
    with Pictures.open(plot) as picture:
        assert picture.size[0] > 500
    again = bench.run("--psf", "gaussian:2.8", "--band", "r", "-o", str(out))
    assert again.exit_code != 0
    assert "overwrite" in str(again.exception or again.stderr)
    assert bench.run("--band", "r", "-o", str(out), "--overwrite").exit_code == 0


def test_every_format_on_standard_output(bench: Bench, tmp_path: Path) -> None:
    how = ("--psf", "gaussian:2.8", "--band", "g")
    rows = json.loads(bench.run(*how, "--format", "json").stdout)
    lines = [json.loads(line) for line in bench.run(*how, "--format", "jsonl").stdout.splitlines()]
    assert rows == lines
    assert {"mjd", "flux", "mag", "quality", "reason"} <= set(rows[0])
    csv = Table.read(bench.run(*how, "--format", "csv").stdout, format="ascii.csv")
    assert csv["flux"].tolist() == [row["flux"] for row in rows]
    shown = bench.run(*how).stdout.splitlines()
    assert shown[0].split()[:2] == ["mjd", "band"]
    assert len(shown) == len(rows) + 1
    for suffix in ("parquet", "vot", "fits", "json"):
        out = tmp_path / f"a.{suffix}"
        assert bench.run(*how, "-o", str(out)).exit_code == 0
        assert out.stat().st_size > 0
    nights = json.loads(bench.run(*how, "--nightly", "--format", "json").stdout)
    assert sum(night["n"] for night in nights) <= len(rows)


def test_facts_in_fits_have_names_and_comments(bench: Bench, tmp_path: Path) -> None:
    # Oracle: astropy's reading of the file; FITS 4.0, 7.3.3.1 (ASCII) and 9.2.1 (TIMESYS).
    out = tmp_path / "a.fits"
    assert bench.run("--psf", "gaussian:2.8", "--name", "SN α", "-o", str(out)).exit_code == 0
    header = fits.getheader(out, 1)
    assert (header["OBJECT"], header["TIMESYS"]) == ("SN \\u03b1", "UTC")
    assert header["RA"] == bench.survey.supernova.ra
    assert len(json.loads(header["PROVID"])) == 1
    for keyword in ("METHOD", "OBJECT", "RA", "DEC", "PROVID", "FLUXUNIT", "QUALBITS", "TIMESYS"):
        assert header.comments[keyword]
    listed = tmp_path / "m.fits"
    command = ["-a", str(bench.archive), "measurements", "-o", str(listed)]
    assert CliRunner(env={"SNAPDB_URL": ""}).invoke(cli, command).exit_code == 0
    assert set(Table.read(listed)["name"]) == {"SN \\u03b1"}


def test_facts_in_a_votable_have_types_and_their_own_names(bench: Bench, tmp_path: Path) -> None:
    # Oracle: astropy's reading of the file.
    out = tmp_path / "a.vot"
    assert bench.run("--psf", "gaussian:2.8", "--name", "SN α", "-o", str(out)).exit_code == 0
    table = votable.parse(out).get_first_table()
    params = {param.name: param for param in table.params}
    ra = params["target_ra"]
    assert (ra.value, ra.datatype, str(ra.unit)) == (bench.survey.supernova.ra, "double", "deg")
    assert params["target_name"].value == "SN α"
    assert not {field.name for field in table.fields} & set(params)
    frames = {field.name: field.ref for field in table.fields if field.ref}
    assert frames == {"mjd": "utc", "ra": "icrs", "dec": "icrs"}


def test_a_name_that_comes_too_late_is_said_to(bench: Bench) -> None:
    how = ("--psf", "gaussian:2.8", "--band", "g")
    said = "keeps the name that it was kept with"
    assert said not in bench.run(*how, "--name", "first").stderr
    assert said in bench.run(*how, "--name", "second").stderr
    assert said not in bench.run(*how).stderr
    with snapdb.connect(bench.archive) as archive:
        assert set(archive.find_measurements().name.tolist()) == {"first"}


def test_who_may_not_write_is_told_how_to_measure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # A registry that is opened for reading stands for a user without the right to write.
    registry = bench.archive / "registry.db"

    def connect_read_only(*_: object) -> Archive:
        return Archive(
            Registry.open(f"sqlite:///{registry}", read_only=True), LocalStore(bench.archive / "store")
        )

    monkeypatch.setattr(snapdb, "connect", connect_read_only)
    how = ("--psf", "gaussian:2.8", "--band", "g")
    refused = bench.run(*how)
    assert isinstance(refused.exception, ReadOnlyStoreError)
    assert "say --no-keep (keep=False)" in str(refused.exception)
    assert bench.run(*how, "--no-keep").exit_code == 0


def test_calls_that_contradict_themselves(bench: Bench, tmp_path: Path) -> None:
    for wrong in (
        ("--radius", "1arcsec"),
        ("-o", str(tmp_path / "a.doc")),
        ("--plot", str(tmp_path / "a.bmp")),
        ("--ephemeris", str(bench.survey.files[0])),
    ):
        assert bench.run(*wrong).exit_code == 2
    assert bench.run_bare("lightcurve").exit_code == 2
    assert bench.run_bare("phot").exit_code == 2
    nowhere = bench.run_bare("lightcurve", "--ra", "90", "--dec", "0", "--fail-empty")
    assert nowhere.exit_code == 3
    assert "no image" in nowhere.stderr


def test_images_that_cannot_be_read_are_named(bench: Bench) -> None:
    sn = bench.survey.supernova
    gone = bench.survey.images_of(sn, band="i")[0]
    gone.path.unlink()
    result = bench.run("--psf", "gaussian:2.8", "--format", "json")
    assert result.exit_code == 4
    assert str(gone.path) in result.stderr
    rows = json.loads(result.stdout)
    assert [row["flux"] is None for row in rows] == [truth is gone for truth in bench.survey.images_of(sn)]


def test_a_catalogue(bench: Bench, tmp_path: Path) -> None:
    stars = bench.survey.stars[:6]
    Table({"ra": [s.ra for s in stars], "dec": [s.dec for s in stars], "id": list("abcdef")}).write(
        tmp_path / "targets.csv"
    )
    how = ("--catalog", str(tmp_path / "targets.csv"), "--name-column", "id", "--psf", "gaussian:2.8")
    result = bench.run_bare("phot", *how, "-o", str(tmp_path / "out.ecsv"))
    assert result.exit_code == 0, result.stderr
    table = QTable.read(tmp_path / "out.ecsv")
    for row, star in enumerate(stars):
        assert np.sum(table["row"] == row) == len(bench.survey.images_of(star))
    assert "0 of them measured now" in bench.run_bare("phot", *how).stderr
    assert bench.run_bare("phot", *how, "--ra", "1", "--dec", "2").exit_code == 2
    (tmp_path / "far.csv").write_text("ra,dec\n90,0\n")
    far = bench.run_bare("phot", "--catalog", str(tmp_path / "far.csv"), "--ap-r", "4", "--fail-empty")
    assert far.exit_code == 3

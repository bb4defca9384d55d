"""The commands at work on a small synthetic survey in an embedded archive."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from click.testing import CliRunner, Result

from snapdb.cli import cli
from snapdb.testing.skies import Survey, make_survey


@dataclass(frozen=True)
class Bench:
    """An archive that holds a survey."""

    survey: Survey
    archive: Path
    first: Result
    """Of the ingest of the whole folder."""

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        return run("-a", str(self.archive), *arguments, stdin=stdin)

    def ids(self, *criteria: str) -> list[str]:
        lines = self.run("find", *criteria, "--format", "jsonl").stdout.splitlines()
        return [json.loads(line)["id"] for line in lines]


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""}).invoke(cli, list(arguments), input=stdin)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    survey = make_survey(folder / "survey", epochs=3, stars=20)
    archive = folder / "archive"
    assert run("init", str(archive)).exit_code == 0
    paths = [str(folder / "survey/images"), str(folder / "survey/broken")]
    first = run("-a", str(archive), "ingest", *paths, "--jobs", "1", "--report", str(folder / "r.jsonl"))
    return Bench(survey, archive, first)


def position(survey: Survey) -> list[str]:
    return ["--ra", str(survey.supernova.ra), "--dec", str(survey.supernova.dec)]


# Taking in


def test_init_twice_changes_nothing(bench: Bench) -> None:
    result = run("init", str(bench.archive))
    assert result.exit_code == 0
    assert f"{len(bench.survey.images)} images" in result.stderr


def test_every_sound_file_is_registered_and_every_broken_one_refused_with_its_reason(bench: Bench) -> None:
    assert bench.first.exit_code == 4
    assert bench.first.stdout == ""
    report = bench.archive.parent / "r.jsonl"
    outcomes = {Path(o["path"]): o for o in map(json.loads, report.read_text().splitlines())}
    assert {p for p, o in outcomes.items() if o["outcome"] == "registered"} == set(bench.survey.files)
    refused = {p: o["code"] for p, o in outcomes.items() if o["outcome"] == "refused"}
    assert set(refused) == set(bench.survey.bad_files)
    assert refused[bench.survey.folder / "broken/table_only.fits"] == "not_an_image"
    assert refused[bench.survey.folder / "broken/claims_149_gb.fits"] == "corrupt_file"
    for path in bench.survey.bad_files:
        assert path.name in bench.first.stderr


def test_ingesting_again_changes_nothing(bench: Bench) -> None:
    before = sorted(bench.ids())
    result = bench.run("ingest", str(bench.survey.folder / "images"), "--jobs", "1")
    assert result.exit_code == 0
    assert f"{len(bench.survey.files)} unchanged" in result.stderr
    assert "0 registered" in result.stderr
    assert sorted(bench.ids()) == before


def test_a_dry_run_registers_nothing(bench: Bench, tmp_path: Path) -> None:
    run("init", str(tmp_path / "other"))
    files = str(bench.survey.folder / "images" / "*_d1.fits")
    result = run("-a", str(tmp_path / "other"), "ingest", files, "--dry-run", "--jobs", "1")
    assert result.exit_code == 0, result.stderr
    assert run("-a", str(tmp_path / "other"), "find", "--count").stdout == "0\n"


def test_explain_names_the_card_that_each_value_came_from(bench: Bench) -> None:
    result = bench.run("ingest", "--explain", str(bench.survey.files[0]))
    assert result.exit_code == 0, result.stderr
    text = result.stdout
    assert [line for line in text.splitlines() if "zeropoint" in line and "MAGZERO" in line]
    assert [line for line in text.splitlines() if line.split()[:2] == ["band", "g"] and "FILTER" in line]
    refused = bench.run("ingest", "--explain", str(bench.survey.folder / "broken/table_only.fits"))
    assert refused.exit_code == 4
    assert "not_an_image" in refused.stdout
    assert refused.stdout.count("table_only.fits") == 1


def test_a_process_with_version_and_parameters_is_the_images_provenance(bench: Bench, tmp_path: Path) -> None:
    archive = str(tmp_path / "archive")
    run("init", archive)
    options = ["--process", "reduce", "--version", "2.3", "--param", "threshold=5", "--param", "mode=fast"]
    done = run("-a", archive, "ingest", str(bench.survey.files[0]), *options, "--jobs", "1")
    assert done.exit_code == 0, done.stderr
    found = json.loads(run("-a", archive, "find", "--process", "reduce", "--format", "json").stdout)
    shown = json.loads(run("-a", archive, "show", found[0]["id"], "--format", "json").stdout)
    assert shown["provenance"]["process"] == "reduce"
    assert (shown["provenance"]["major"], shown["provenance"]["minor"]) == (2, 3)
    assert shown["provenance"]["params"] == {"threshold": 5, "mode": "fast"}


@pytest.mark.parametrize("options", [["--param", "a=1"], ["--version", "1.0"]])
def test_parameters_without_a_process_are_a_wrong_call(bench: Bench, options: list[str]) -> None:
    result = bench.run("ingest", str(bench.survey.files[0]), *options)
    assert result.exit_code == 2
    assert "--process" in result.stderr


def test_a_list_on_standard_input(bench: Bench) -> None:
    result = bench.run(
        "ingest", "-", "--jobs", "1", stdin=f"{bench.survey.files[0]}\n{bench.survey.files[1]}\n"
    )
    assert result.exit_code == 0, result.stderr
    assert "2 unchanged" in result.stderr


def test_a_name_does_nothing_to_the_terminal(bench: Bench, tmp_path: Path) -> None:
    # Oracle: Python's own escapes of the characters; a refusal is a line.
    name = "bad\nrefused x: y\x1b[31mred.fits"
    (tmp_path / name).write_text("no image")
    result = bench.run("ingest", str(tmp_path), str(tmp_path / "gone\x1b.fits"))
    assert result.exit_code == 4
    refused = [line for line in result.stderr.splitlines() if line.startswith("refused ")]
    assert len(refused) == 2
    assert refused[1].startswith(f"refused {tmp_path}/bad\\nrefused x: y\\x1b[31mred.fits: ")
    assert "\x1b" not in result.stderr
    wrong = bench.run("ingest", "@gone\x1b[31m")
    assert "\x1b" not in wrong.stderr
    latin = bench.run("ingest", "--explain", str(tmp_path / os.fsdecode(b"latin\xe9.fits")))
    assert latin.exit_code == 4
    assert f"{tmp_path}/latin\\xe9.fits: refused, storage: has bytes" in latin.stdout
    explained = bench.run("ingest", "--explain", str(tmp_path))
    assert "\x1b" not in explained.stdout
    assert len(explained.stdout.splitlines()) == 1


def test_a_file_that_is_not_there_is_refused_by_name(bench: Bench) -> None:
    result = bench.run("ingest", "nowhere.fits")
    assert result.exit_code == 4
    assert "nowhere.fits" in result.stderr


# Finding


def test_find_gives_the_images_that_the_truth_names(bench: Bench) -> None:
    """Oracle: each image's own WCS evaluated by astropy."""
    found = json.loads(bench.run("find", *position(bench.survey), "--format", "json").stdout)
    truth = bench.survey.images_of(bench.survey.supernova)
    assert {(r["filepath"].rpartition("/")[2], r["hdu"]) for r in found} == {
        (i.path.name, i.hdu) for i in truth
    }
    by_file = {r["filepath"].rpartition("/")[2]: r for r in found}
    for image in truth:
        row = by_file[image.path.name]
        assert (row["band"], row["sca"], row["exptime"]) == (image.band, image.sca, image.exptime)
        assert row["observation_id"] == image.exposure.observation_id
        assert row["mjd"] == pytest.approx(image.mjd, abs=1e-9)
        assert row["zeropoint"] == pytest.approx(image.zeropoint, abs=1e-9)


def test_criteria_narrow_and_order(bench: Bench) -> None:
    by_band = [i for i in bench.survey.images if i.band in "gr"]
    assert bench.run("find", "--band", "g", "--band", "r", "--count").stdout == f"{len(by_band)}\n"
    first = min(i.mjd for i in bench.survey.images)
    ordered = bench.run("find", "--order-by", "-mjd", "--format", "jsonl", "--limit", "5").stdout
    mjds = [json.loads(line)["mjd"] for line in ordered.splitlines()]
    assert mjds == sorted(mjds, reverse=True)
    assert len(mjds) == 5
    early = bench.run("find", "--mjd-max", str(first + 0.001), "--count").stdout
    assert early == f"{sum(i.mjd <= first + 0.001 for i in bench.survey.images)}\n"
    across = bench.run("find", "--ra-min", "359.9", "--ra-max", "0.1", "--count").stdout
    assert across == f"{sum(i.exposure.field == 'equinox' for i in bench.survey.images)}\n"


def test_sexagesimal_and_negative_coordinates(bench: Bench) -> None:
    plain = bench.ids(*position(bench.survey))
    nova = bench.survey.supernova
    minutes = (abs(nova.dec) % 1) * 60
    dec = f"-{int(abs(nova.dec))}d{int(minutes)}m{(minutes % 1) * 60:.5f}s"
    assert sorted(bench.ids("--ra", f"0h0m{nova.ra * 240:.6f}s", "--dec", dec)) == sorted(plain)


def test_the_table_fits_80_columns_and_its_ids_work(bench: Bench) -> None:
    lines = bench.run("find", *position(bench.survey)).stdout.splitlines()
    assert lines[0].split() == ["id", "ra", "dec", "band", "mjd"]
    assert max(map(len, lines)) <= 80
    shown = bench.run("show", lines[1].split()[0])
    assert shown.exit_code == 0, shown.stderr
    assert "provenance" in shown.stdout


def test_a_file_takes_its_format_from_its_name(bench: Bench, tmp_path: Path) -> None:
    result = bench.run("find", "--band", "i", "-o", str(tmp_path / "found.csv"))
    assert result.exit_code == 0
    assert result.stdout == ""
    count = sum(i.band == "i" for i in bench.survey.images)
    assert len((tmp_path / "found.csv").read_text().splitlines()) == count + 1


def test_nothing_found_says_what_would_help(bench: Bench) -> None:
    result = bench.run("find", "--band", "Y")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "no image has band 'Y'; there are: 'g', 'i', 'r'" in result.stderr
    upper = bench.run("find", "--property", "FILTER=r").stderr
    assert "no image has the property 'FILTER'; did you mean 'filter'?" in " ".join(upper.split())
    strange = bench.run("find", "--property", "nothing>=1").stderr
    assert "no image has the property 'nothing'; there are: 'bunit'," in " ".join(strange.split())
    wrong = bench.run("find", "--process", "redux").stderr
    made_by = bench.run("show", bench.ids()[0]).stdout
    known = " ".join(wrong.split()).split("no provenance has the process 'redux'; there are: ")[1]
    assert known.split("'")[1] in made_by
    strict = bench.run("find", "--band", "Y", "--fail-empty")
    assert strict.exit_code == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["find", "--ra", "10"], "dec"),
        (["find", "--ra", "10", "--dec", "91"], "91"),
        (["find", "--ra", "10", "--dec", "nan"], "nan"),
        (["find", "--order-by", "flavour"], "flavour"),
        (["find", "--mjd-min", "yesterday"], "yesterday"),
        (["find", "--flavour", "x"], "flavour"),
        (["find", "-o", "found.dat"], "--format"),
        (["show", "not-an-id"], "not-an-id"),
        (["cutout", "--size", "5", "-o", "x.fits"], "--ra"),
    ],
)
def test_wrong_calls_end_with_2_and_name_what_is_wrong(
    bench: Bench, arguments: list[str], words: str
) -> None:
    result = bench.run(*arguments)
    assert result.exit_code == 2, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_an_unknown_image_ends_with_3(bench: Bench) -> None:
    result = bench.run("show", "01930000-0000-7000-8000-000000000001")
    assert result.exit_code == 3
    assert result.stderr.startswith("snapdb: error: ")


# Cutting


def test_a_cutout_holds_the_pixels_and_the_sky_of_its_parent(bench: Bench, tmp_path: Path) -> None:
    """Oracle: the slice of the array that astropy reads, and astropy's WCS of the parent."""
    truth = next(i for i in bench.survey.images_of(bench.survey.supernova, band="r"))
    target = tmp_path / "cut.fits"
    observation = truth.exposure.observation_id
    found = ["--observation-id", observation, "--sca", str(truth.sca)]
    result = bench.run("cutout", *position(bench.survey), *found, "--size", "21", "-o", str(target))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{target}\n"
    x, y = truth.to_pixels(bench.survey.supernova.ra, bench.survey.supernova.dec)
    x0, y0 = int(np.floor(x + 0.5)) - 10, int(np.floor(y + 0.5)) - 10
    with fits.open(target) as cut, fits.open(truth.path) as parent:
        planes = [h for h in cut if h.data is not None]
        assert len(planes) == 3
        for plane, hdu in zip(planes, parent[truth.hdu : truth.hdu + 3], strict=True):
            np.testing.assert_array_equal(plane.data, hdu.data[y0 : y0 + 21, x0 : x0 + 21])
            ra, dec = WCS(plane.header).all_pix2world([0.0, 20.0], [0.0, 20.0], 0)
            there = truth.wcs.all_pix2world([x0, x0 + 20.0], [y0, y0 + 20.0], 0)
            np.testing.assert_allclose((ra, dec), there, rtol=0, atol=1e-8)


def test_several_matches_are_listed_and_not_guessed_among(bench: Bench, tmp_path: Path) -> None:
    target = tmp_path / "cut.fits"
    result = bench.run("cutout", *position(bench.survey), "--size", "21", "-o", str(target))
    assert result.exit_code == 2
    for image_id in bench.ids(*position(bench.survey)):
        assert image_id in result.stderr
    assert not target.exists()


def test_placeholders_write_every_match(bench: Bench, tmp_path: Path) -> None:
    template = str(tmp_path / "sn_{band}_{mjd}.fits")
    result = bench.run("cutout", *position(bench.survey), "--size", "10arcsec", "--band", "r", "-o", template)
    assert result.exit_code == 0, result.stderr
    count = len(bench.survey.images_of(bench.survey.supernova, band="r"))
    assert len(list(tmp_path.glob("sn_r_*.fits"))) == count == len(result.stdout.splitlines())
    for path in tmp_path.glob("sn_r_*.fits"):
        with fits.open(path) as cut:
            # Ten arcseconds of half an arcsecond each; distortion makes the pixel a little larger or smaller.
            assert max(h.data.shape[0] for h in cut if h.data is not None) in (20, 21)


def test_a_cutout_across_the_edge_is_refused_or_partial_as_asked(bench: Bench, tmp_path: Path) -> None:
    truth = bench.survey.images[0]
    ra, dec = (float(v) for v in truth.wcs.all_pix2world(3.0, 100.0, 0))
    image = bench.ids("--observation-id", truth.exposure.observation_id, "--sca", str(truth.sca))[0]
    place = ["--ra", str(ra % 360.0), "--dec", str(dec), "--image", image, "--size", "11"]
    strict = bench.run("cutout", *place, "-o", str(tmp_path / "strict.fits"))
    assert strict.exit_code == 2
    assert not (tmp_path / "strict.fits").exists()
    partial = bench.run("cutout", *place, "--mode", "partial", "-o", str(tmp_path / "partial.fits"))
    assert partial.exit_code == 0, partial.stderr
    with fits.open(tmp_path / "partial.fits") as cut:
        data = next(h.data for h in cut if h.data is not None)
        assert np.isnan(data[:, :2]).all()
        assert np.isfinite(data[:, 2:]).all()
    trim = bench.run("cutout", *place, "--mode", "trim", "-o", str(tmp_path / "trim.fits"))
    assert trim.exit_code == 0
    with fits.open(tmp_path / "trim.fits") as cut:
        assert next(h.data for h in cut if h.data is not None).shape == (11, 9)


def test_a_file_is_not_written_over(bench: Bench, tmp_path: Path) -> None:
    target = tmp_path / "cut.fits"
    target.write_text("mine")
    image = bench.ids(*position(bench.survey))[0]
    call = ["cutout", *position(bench.survey), "--image", image, "--size", "5", "-o", str(target)]
    assert bench.run(*call).exit_code == 1
    assert target.read_text() == "mine"
    assert bench.run(*call, "--overwrite").exit_code == 0
    assert target.read_bytes().startswith(b"SIMPLE")


# Archives


def test_info_says_what_there_is(bench: Bench) -> None:
    text = bench.run("info").stdout
    assert f"images      {len(bench.survey.images)}" in text
    assert "g (6), i (6), r (8)" in text


def test_migrate_leaves_an_archive_that_is_up_to_date_as_it_is(bench: Bench) -> None:
    before = bench.run("find", "--format", "json", "--order-by", "id").stdout
    assert bench.run("migrate").exit_code == 0
    assert bench.run("find", "--format", "json", "--order-by", "id").stdout == before


def test_no_archive_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("find", "--count")
    assert result.exit_code == 2
    assert "snapdb init" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_database_that_does_not_answer_ends_with_5() -> None:
    result = run("-a", "postgresql://nobody:secret@127.0.0.1:1/none", "find", "--count")
    assert result.exit_code == 5
    assert "secret" not in result.stderr


def test_the_archive_may_be_named_behind_the_command(bench: Bench) -> None:
    assert run("find", "-a", str(bench.archive), "--count").stdout == f"{len(bench.survey.images)}\n"

"""Where output goes: what is never written over, and what standard streams may be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits
from click.testing import CliRunner, Result
from PIL import Image as Pictures

from snapdb.cli import cli
from snapdb.testing.skies import Survey, make_survey


class Bench:
    """An archive that holds a survey."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.survey: Survey = make_survey(folder / "survey", epochs=1, stars=5)
        self.archive = folder / "archive"
        assert self.run("ingest", str(folder / "survey/images"), "--jobs", "1", init=True).exit_code == 0

    @property
    def place(self) -> list[str]:
        nova = self.survey.supernova
        return ["--ra", str(nova.ra), "--dec", str(nova.dec)]

    def run(self, *arguments: str, init: bool = False, stdin: str | None = None) -> Result:
        runner = CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""})
        if init:
            assert runner.invoke(cli, ["-a", str(self.archive), "init"]).exit_code == 0
        return runner.invoke(cli, ["-a", str(self.archive), *arguments], input=stdin)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("outputs"))


def first_id(bench: Bench, *criteria: str) -> str:
    return bench.run("find", *bench.place, *criteria).stdout.splitlines()[1].split()[0]


# What is never written over


@pytest.mark.parametrize(
    ("call", "target"),
    [
        *((call, "registered") for call in ("find", "show", "cutout", "ingest")),
        *((call, "registry") for call in ("find", "show", "ingest")),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_writes_over_what_the_archive_needs(
    bench: Bench, call: str, target: str, overwrite: bool
) -> None:
    images = [path for path in bench.survey.files if path.suffix == ".fits"]
    path = images[0] if target == "registered" else bench.archive / "registry.db"
    image = first_id(bench)
    calls = {
        "find": ["find", "--format", "csv", "-o", str(path)],
        "show": ["show", image, "-o", str(path)],
        "cutout": ["cutout", *bench.place, "--size", "5", "--image", image, "-o", str(path)],
        "ingest": ["ingest", str(images[1]), "--report", str(path)],
    }
    before = path.read_bytes()
    option = ["--overwrite"] if overwrite and call != "ingest" else []
    result = bench.run(*calls[call], *option)
    assert result.exit_code == 1, result.stderr
    assert "is never written over" in result.stderr
    assert path.read_bytes() == before


def test_nothing_writes_over_the_settings(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = f'url = "{bench.archive}"\n'
    Path("snapdb.toml").write_text(content)
    for call in (["find", "--format", "csv"], ["show", first_id(bench)]):
        result = bench.run(*call, "-o", "snapdb.toml", "--overwrite")
        assert result.exit_code == 1
        assert "is never written over" in result.stderr
        assert Path("snapdb.toml").read_text() == content


@pytest.mark.parametrize("call", [["find", "--format", "csv"], ["show"]], ids=["find", "show"])
def test_a_file_that_is_there_stays_unless_asked(bench: Bench, tmp_path: Path, call: list[str]) -> None:
    target = tmp_path / "mine"
    target.write_text("mine")
    arguments = [*call, *([first_id(bench)] if call == ["show"] else []), "-o", str(target)]
    refused = bench.run(*arguments)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    assert target.read_text() == "mine"
    assert bench.run(*arguments, "--overwrite").exit_code == 0
    assert first_id(bench) in target.read_text()


def test_a_report_replaces_a_report_and_nothing_else(bench: Bench, tmp_path: Path) -> None:
    file, report, notes = str(bench.survey.files[0]), tmp_path / "deep/r.jsonl", tmp_path / "notes"
    assert bench.run("ingest", file, "--report", str(report), "--jobs", "1").exit_code == 0
    assert bench.run("ingest", file, "--report", str(report), "--jobs", "1").exit_code == 0
    assert '"unchanged"' in report.read_text()
    for content in ("mine", '{"mine": 1}\n', "[1]\n", "\x00\xff"):
        notes.write_text(content)
        result = bench.run("ingest", file, "--report", str(notes))
        assert result.exit_code == 1, result.stderr
        assert "is no report" in result.stderr
        assert notes.read_text() == content


def test_what_is_no_file_is_not_replaced_by_one(bench: Bench) -> None:
    result = bench.run("find", "--format", "csv", "-o", os.devnull, "--overwrite")
    assert result.exit_code == 1
    assert "no regular file" in result.stderr
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("kind", ["find", "report", "cutout"])
def test_missing_folders_are_made_and_a_file_in_the_way_is_named(
    bench: Bench, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "file").write_text("mine")
    image = first_id(bench)
    calls = {
        "find": ["find", "-o", "{}/out.csv"],
        "report": ["ingest", str(bench.survey.files[0]), "--jobs", "1", "--report", "{}/out.jsonl"],
        "cutout": ["cutout", *bench.place, "--size", "5", "--image", image, "-o", "{}/out.fits"],
    }
    made = bench.run(*(word.format(tmp_path / "new/deep") for word in calls[kind]))
    assert made.exit_code == 0, made.stderr
    assert len(list((tmp_path / "new/deep").iterdir())) == 1
    refused = bench.run(*(word.format(tmp_path / "file") for word in calls[kind]))
    assert refused.exit_code == 1, refused.stderr
    assert f"{tmp_path}/file/out." in refused.stderr
    assert ".part" not in refused.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_the_demonstration_leaves_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "supernova.fits").write_text("mine")
    result = CliRunner().invoke(cli, ["demo", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{tmp_path}/supernova.fits exists" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["supernova.fits"]


# Forms of a cutout


def test_a_picture_of_a_cutout(bench: Bench, tmp_path: Path) -> None:
    """Oracle: Pillow's reader."""
    target = tmp_path / "cut.png"
    call = ["cutout", *bench.place, "--size", "21", "--image", first_id(bench), "-o", str(target)]
    result = bench.run(*call)
    assert result.exit_code == 0, result.stderr
    with Pictures.open(target) as picture:
        assert picture.format == "PNG"
    assert bench.run(*call).exit_code == 1


@pytest.mark.parametrize("name", ["cut.fits.gz", "cut.jpg", "cut"])
def test_a_form_that_is_not_written_is_refused(bench: Bench, tmp_path: Path, name: str) -> None:
    image = first_id(bench)
    call = ["cutout", *bench.place, "--size", "5", "--image", image, "-o", str(tmp_path / name)]
    result = bench.run(*call)
    assert result.exit_code == 2
    assert ".fits or .png" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_cutout_on_standard_output_is_the_file(bench: Bench, tmp_path: Path) -> None:
    call = ["cutout", *bench.place, "--size", "5", "--image", first_id(bench), "-o"]
    poured = bench.run(*call, "-")
    assert poured.exit_code == 0, poured.stderr
    assert bench.run(*call, str(tmp_path / "cut.fits")).exit_code == 0
    (tmp_path / "poured.fits").write_bytes(poured.stdout_bytes)
    both = [fits.open(tmp_path / name, checksum=True) for name in ("cut.fits", "poured.fits")]  # or it warns
    with both[0] as one, both[1] as other:
        # DATASUM's comment holds the second in which it was written, and CHECKSUM is the sum of that too.
        dated = {"ignore_keywords": ["DATE", "CHECKSUM"], "ignore_comments": ["DATASUM"]}
        assert fits.FITSDiff(one, other, **dated).identical
        assert all("CHECKSUM" in hdu.header for hdu in (*one, *other))
    assert bench.run("cutout", *bench.place, "--size", "5", "-o", "-").exit_code == 2


def test_a_listing_on_standard_output_by_its_name(bench: Bench) -> None:
    assert bench.run("find", "-o", "-", "--format", "csv").stdout.startswith("id,ra,dec")


def test_a_deleted_or_changed_file_is_an_integrity_failure(tmp_path: Path) -> None:
    own = Bench(tmp_path)
    shown = own.run("find", *own.place, "--band", "r", "--format", "csv").stdout.splitlines()
    found = dict(zip(shown[0].split(","), shown[1].split(","), strict=False))
    call = ["cutout", *own.place, "--size", "5", "--image", found["id"], "-o", str(tmp_path / "x.fits")]
    path = next(p for p in own.survey.files if found["filepath"].endswith(p.name))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert own.run(*call).exit_code == 6
    path.unlink()
    gone = own.run(*call)
    assert gone.exit_code == 6
    assert path.name in gone.stderr


# Standard streams that are closed, as `>&-` leaves them


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["find", "--limit", "1"], 0),
        (["find", "--format", "csv"], 0),
        (["find", "--ra", "1"], 2),
        (["ingest", "-"], 2),
        (["info"], 0),
        (["--version"], 0),
        ([], 2),
        (["--debug", "find", "--ra", "1"], 2),
    ],
    ids=str,
)
def test_closed_streams_change_no_exit_code(bench: Bench, arguments: list[str], code: int) -> None:
    call = [sys.executable, "-m", "snapdb.cli", "-a", str(bench.archive), *arguments]
    for closed in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        shell = ["sh", "-c", f'"$@" {closed}', "sh", *call]
        done = subprocess.run(shell, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == code, (closed, done.stderr)
        assert "AttributeError" not in done.stderr
        assert "--debug" in arguments or "Traceback" not in done.stderr


def test_a_full_standard_output_is_one_line(bench: Bench) -> None:
    call = [sys.executable, "-m", "snapdb.cli", "-a", str(bench.archive), "find"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "snapdb: error: No space left on device; make room on the disk\n"

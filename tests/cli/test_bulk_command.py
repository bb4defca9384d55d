"""`snapdb cutouts CATALOGUE`: options, settings, reports, exit codes, stopping and going on."""

import csv
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped,unused-ignore]
import pytest
import zarr  # type: ignore[import-not-found,import-untyped,unused-ignore]
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from click.testing import CliRunner, Result
from PIL import Image as Pictures

import snapdb
from snapdb.cli import bulk, cli

COUNT, SIDE, EDGE = 40, 200, 17
RAW = (
    "--set",
    "target_resolution=17",
    "--set",
    "normalisation_method=none",
    "--set",
    "apply_flux_conversion=false",
)


@dataclass(frozen=True)
class Bench:
    """One tile, a catalogue of sources on it, and the command."""

    folder: Path
    data: np.ndarray[Any, Any]
    wcs: WCS
    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]

    @property
    def catalogue(self) -> str:
        """Path of the catalogue."""
        return str(self.folder / "sources.csv")

    def run(self, *arguments: str) -> Result:
        """Run the command."""
        runner = CliRunner(env={"COLUMNS": "80", "SNAPDB_URL": ""})
        return runner.invoke(cli, ["cutouts", *arguments])

    def write_rows(self, name: str, more: list[tuple[Any, ...]], *, files: bool = True) -> str:
        """Write a catalogue of all sources and more rows."""
        ra, dec = self.wcs.all_pix2world(self.x, self.y, 0)
        path = [str([str(self.folder / "tile.fits")])] if files else []
        with (self.folder / name).open("w", newline="") as out:
            rows = csv.writer(out)
            heading = ["SourceID", "RA", "Dec", "diameter_pixel", "fits_file_paths"]
            rows.writerow(heading if files else heading[:4])
            rows.writerows([f"s{i}", ra[i], dec[i], EDGE, *path] for i in range(COUNT))
            rows.writerows(more)
        return str(self.folder / name)

    def expected(self, i: int) -> np.ndarray[Any, Any]:
        """Give a source's pixels. Oracle: astropy, whose odd windows are centred as ours are."""
        return np.asarray(
            Cutout2D(self.data, (self.x[i], self.y[i]), EDGE, mode="partial", fill_value=0).data
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    rng = np.random.default_rng(5)
    wcs = WCS(naxis=2)
    wcs.wcs.crpix, wcs.wcs.crval = (SIDE / 2, SIDE / 2), (30.0, -10.0)
    wcs.wcs.cdelt, wcs.wcs.ctype = (-1 / 3600, 1 / 3600), ("RA---TAN", "DEC--TAN")
    data = rng.normal(100.0, 5.0, (SIDE, SIDE)).astype(np.float32)
    header = wcs.to_header()
    header["MAGZERO"] = 25.0
    fits.writeto(tmp_path / "tile.fits", data, header)
    x, y = rng.uniform(EDGE, SIDE - EDGE, (2, COUNT))
    made = Bench(tmp_path, data, wcs, x, y)
    made.write_rows("sources.csv", [])
    return made


def open_images(path: Path) -> Any:
    """Open the stamps with plain zarr."""
    return zarr.open_group(path, mode="r")["images"]


def read(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Give the stamps by id, read with plain zarr and pandas."""
    index = pd.read_parquet(path / "index.parquet")
    images = open_images(path)[:]
    assert len(index) == len(images)
    return dict(zip(index["source_id"], images, strict=True))


@pytest.mark.parametrize(
    ("text", "value"),
    [("True", True), ("False", False), ("true", True), ("64", 64), ("fits", "fits"), ("'True'", "True")],
)
def test_settings_are_read_as_toml_and_as_the_messages_write_them(text: str, value: object) -> None:
    got = bulk.read_setting(f"a.b={text}")
    assert got == ("a.b", value)
    assert type(got[1]) is type(value)


def test_stamps_are_the_pixels_of_the_tile(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "stamps.zarr"
    result = bench.run(bench.catalogue, *RAW, "-o", str(out))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out}\n"
    assert f"{COUNT} stamps of {COUNT} sources" in result.stderr
    stamps = read(out)
    assert sorted(stamps) == sorted(f"s{i}" for i in range(COUNT))
    for i in range(COUNT):
        np.testing.assert_array_equal(stamps[f"s{i}"][..., 0], bench.expected(i))


def test_bad_rows_are_reported_beside_the_output(bench: Bench, tmp_path: Path) -> None:
    tile = str(bench.folder / "tile.fits")
    bad = [
        ("", 30.0, -10.0, 9, tile),
        ("text", "x", -10.0, 9, tile),
        ("range", 400.0, -10.0, 9, tile),
        ("size", 30.0, -10.0, 0, tile),
        ("none", 30.0, -10.0, "", tile),
        ("gone", 30.0, -10.0, 9, "/none/such.fits"),
        ("open", 30.0, -10.0, 9, "['/none"),
        ("away", 31.0, -10.0, 9, tile),
        ("s0", 30.0, -10.0, 9, tile),
    ]
    out = tmp_path / "stamps.zarr"
    result = bench.run(bench.write_rows("bad.csv", bad), *RAW, "-o", str(out))
    assert result.exit_code == 4, result.stderr
    assert f"{COUNT} stamps of {COUNT + len(bad)} sources" in result.stderr
    assert f"{len(bad)} of them gave none: 1 " in result.stderr
    assert f"1 off_image, 1 duplicate_id; {out / 'report.csv'} says why" in result.stderr
    report = pd.read_csv(out / "report.csv")
    assert report["row"].tolist() == list(range(COUNT, COUNT + len(bad)))
    assert report["code"].tolist() == [
        "no_id", "not_a_number", "ra_range", "size_range", "no_size", "missing_file", "bad_file_list",
        "off_image", "duplicate_id",
    ]  # fmt: skip
    assert sorted(read(out)) == sorted(f"s{i}" for i in range(COUNT))


def test_options_come_before_the_file_of_settings(bench: Bench, tmp_path: Path) -> None:
    settings = tmp_path / "run.toml"
    settings.write_text(
        'target_resolution = 32\ndata_type = "uint8"\nsession_timestamp = "x"\n'
        'normalisation_method = "asinh"\n[normalisation]\na = 0.3\n'
    )
    out = tmp_path / "stamps.zarr"
    with pytest.warns(UserWarning, match="session_timestamp left out"):
        result = bench.run(
            bench.catalogue, "--config", str(settings), "--set", "target_resolution=24", "-o", str(out)
        )
    assert result.exit_code == 0, result.stderr
    images = open_images(out)
    assert images.shape == (COUNT, 24, 24, 1)
    assert images.dtype == np.uint8


def test_one_size_for_all(bench: Bench, tmp_path: Path) -> None:
    table = pd.read_csv(bench.catalogue).drop(columns="diameter_pixel")
    table.to_csv(tmp_path / "bare.csv", index=False)
    for size, name in (("17", "pixels.zarr"), ("17arcsec", "arcsec.zarr")):
        result = bench.run(str(tmp_path / "bare.csv"), *RAW, "--size", size, "-o", str(tmp_path / name))
        assert result.exit_code == 0, result.stderr
        np.testing.assert_array_equal(read(tmp_path / name)["s3"][..., 0], bench.expected(3))
    result = bench.run(str(tmp_path / "bare.csv"), *RAW, "-o", str(tmp_path / "none.zarr"))
    assert "no column diameter_pixel or diameter_arcsec" in result.stderr
    assert result.exit_code == 1
    assert not (tmp_path / "none.zarr").exists()


def test_images_of_an_archive(bench: Bench, tmp_path: Path) -> None:
    catalogue = bench.write_rows("plain.csv", [("away", 31.0, -10.0, 9)], files=False)
    out = tmp_path / "stamps.zarr"
    with snapdb.init(tmp_path / "archive") as archive:
        archive.ingest([bench.folder / "tile.fits"], jobs=1)
    result = bench.run(catalogue, "-a", str(tmp_path / "archive"), *RAW, "-o", str(out))
    assert result.exit_code == 4, result.stderr
    np.testing.assert_array_equal(read(out)["s3"][..., 0], bench.expected(3))
    assert pd.read_csv(out / "report.csv")["source_id"].tolist() == ["away"]
    nothing = ("--band", "none", "-o", str(tmp_path / "nothing.zarr"), "--fail-empty")
    result = bench.run(catalogue, "-a", str(tmp_path / "archive"), *RAW, *nothing)
    assert result.exit_code == 3, result.stderr


def test_fits_files_in_a_folder(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "stamps"
    result = bench.run(bench.catalogue, *RAW, "-o", f"{out}/")
    assert result.exit_code == 0, result.stderr
    (path,) = out.rglob("*s3_*.fits")
    with fits.open(path) as hdus:
        np.testing.assert_array_equal(hdus[1].data, bench.expected(3))


def test_nothing_is_written_over_unless_asked(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "stamps.zarr"
    assert bench.run(bench.catalogue, *RAW, "-o", str(out)).exit_code == 0
    before = read(out)
    result = bench.run(bench.catalogue, *RAW, "-o", str(out))
    assert result.exit_code == 1
    assert "holds a run already" in result.stderr
    result = bench.run(bench.catalogue, *RAW, "--set", "padding_factor=2", "-o", str(out), "--resume")
    assert result.exit_code == 1, result.stderr
    np.testing.assert_array_equal(read(out)["s3"], before["s3"])
    changed = ("--set", "padding_factor=2.0", "--overwrite")
    assert bench.run(bench.catalogue, *RAW, *changed, "-o", str(out)).exit_code == 0
    assert not np.array_equal(read(out)["s3"], before["s3"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    result = bench.run(bench.catalogue, *RAW, "-o", str(tmp_path / "mine"), "--overwrite")
    assert result.exit_code == 0
    assert (tmp_path / "mine" / "index.parquet").is_file()
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_in_good_order_and_the_run_goes_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    small = (*RAW, "--set", "N_batch_cutout_process=10", "--set", "chunk_stamps=10", "--threads", "1")
    whole, out = tmp_path / "whole.zarr", tmp_path / "stamps.zarr"
    assert bench.run(bench.catalogue, *small, "-o", str(whole)).exit_code == 0
    seen: list[int] = []

    @contextmanager
    def interrupt() -> Iterator[Callable[[Any], None]]:
        def tell(report: Any) -> None:
            seen.append(report.completed_sources)
            os.kill(os.getpid(), number)

        yield tell

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(bulk, "_show_progress", interrupt)
        result = bench.run(bench.catalogue, *small, "-o", str(out))
    assert result.exit_code == 130, result.stderr
    assert seen == [10]
    assert "stopping" in result.stderr
    assert "go on with --resume" in result.stderr
    assert signal.getsignal(number) == before
    result = bench.run(bench.catalogue, *small, "-o", str(out), "--resume")
    assert result.exit_code == 0, result.stderr
    first, again = read(whole), read(out)
    assert first.keys() == again.keys()
    for name, stamp in first.items():
        np.testing.assert_array_equal(stamp, again[name])


def test_a_preview_is_a_picture_and_no_run(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "stamps.zarr"
    result = bench.run(bench.catalogue, "--set", "target_resolution=32", "--preview", "9", "-o", str(out))
    assert result.exit_code == 0, result.stderr
    sheet = tmp_path / "stamps_preview.png"
    assert result.stdout == f"{sheet}\n"
    assert not out.exists()
    with Pictures.open(sheet) as picture:
        assert min(picture.size) >= 3 * 32
        assert np.asarray(picture).std() > 0
    assert bench.run(bench.catalogue, "--preview", "4", "-o", str(tmp_path / "x.png")).exit_code == 0
    assert (tmp_path / "x.png").is_file()
    result = bench.run(bench.catalogue, "--preview", "4", "-o", str(tmp_path / "x.png"))
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--ra", "3"), "--ra speaks of one position"),
        (("--align",), "--align speaks of one position"),
        (("--limit", "3"), "--limit has no place beside a CATALOGUE"),
        (("--set", "target_resolution"), "expected NAME=VALUE"),
        (("--set", "target_resolution=5"), "target_resolution = 5: expected an integer from 16 to 2048"),
        (("--set", "targetresolution=64"), "did you mean 'target_resolution'"),
        (("--set", "normalisation.b=64"), "config.normalisation.b: there is no such setting"),
        (("--set", "normalisation_method=asinh", "--set", "normalisation.a=5"), "with the method asinh"),
        (("--config", "none.toml"), "settings file none.toml cannot be read"),
    ],
)
def test_calls_that_cannot_be(bench: Bench, tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    result = bench.run(bench.catalogue, *arguments, "-o", str(tmp_path / "stamps.zarr"))
    assert result.exit_code == 2, result.stderr
    assert text in " ".join(result.stderr.split())
    assert not (tmp_path / "stamps.zarr").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("none.csv", "-o", "x.zarr"), "'none.csv' does not exist"),
        (("--resume", "-o", "x.zarr"), "--resume speaks of a catalogue"),
        (("--set", "name=a", "-o", "x.zarr"), "--set speaks of a catalogue"),
        (("-o", "x.zarr"), "--ra and --dec, or a CATALOGUE"),
        (("--ra", "3", "--dec", "4", "-o", "x.zarr"), "cutouts need --size"),
    ],
)
def test_calls_without_a_catalogue(bench: Bench, arguments: tuple[str, ...], text: str) -> None:
    result = bench.run(*arguments)
    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--resume", "--overwrite"), "--overwrite replaces it; give one of them"),
        (("--resume", "--preview", "3"), "--preview writes a sheet"),
        (("--band", "r"), "criteria (band) choose nothing"),
        (("--set", "output_format=fits"), "the name says what is written"),
        (("--set", "write_to_disk=false"), "snapdb.bulk.iter_batches(config)"),
        (("--set", "channel_weights=a:1"), "in TOML: {CHANNEL = [1.0, 0.0]"),
    ],
)
def test_calls_that_contradict_themselves(
    bench: Bench, tmp_path: Path, arguments: tuple[str, ...], text: str
) -> None:
    result = bench.run(bench.catalogue, *RAW, *arguments, "-o", str(tmp_path / "stamps.zarr"))
    assert result.exit_code == 2, result.stderr
    assert text in " ".join(result.stderr.split())
    assert not (tmp_path / "stamps.zarr").exists()


def test_a_format_of_the_settings_file_is_not_passed_over(bench: Bench, tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text('output_format = "zarr"\n')
    out = tmp_path / "stamps"
    result = bench.run(bench.catalogue, *RAW, "--config", str(config), "-o", str(out))
    assert result.exit_code == 2, result.stderr
    assert "run.toml is zarr, with -o" in " ".join(result.stderr.split())
    assert not out.exists()
    asked = (bench.catalogue, *RAW, "--config", str(config), "--set", "output_format=fits", "-o", str(out))
    assert bench.run(*asked).exit_code == 0
    assert list(out.rglob("*.fits"))


@pytest.mark.parametrize("name", ["x.fits", "x.h5", "x.FITS", "x.fits.gz"])
def test_stamps_of_a_catalogue_are_no_file(bench: Bench, tmp_path: Path, name: str) -> None:
    result = bench.run(bench.catalogue, *RAW, "-o", str(tmp_path / name))
    assert result.exit_code == 2, result.stderr
    assert "name it NAME.zarr for zarr, or without an ending" in " ".join(result.stderr.split())
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("channel_weights={g = [1.0], r = [1.0]}", "channel_weights names 2 channels (g, r)"),
        ("fits_extensions=['SCI']", "no image in extension 'SCI'"),
    ],
)
def test_a_wrong_setting_is_said_once(bench: Bench, tmp_path: Path, setting: str, text: str) -> None:
    out = tmp_path / "stamps.zarr"
    result = bench.run(bench.catalogue, *RAW, "--set", setting, "-o", str(out))
    assert result.exit_code == 4, result.stderr
    assert f"{COUNT} of them gave none: {COUNT} " in result.stderr
    said = [line for line in result.stderr.splitlines() if "all for one reason" in line]
    assert len(said) == 1
    assert text in said[0]
    assert pd.read_csv(out / "report.csv")["reason"].nunique() == 1


def test_time_that_is_left() -> None:
    times = (None, 0.4, 75.0, 3725.0)
    assert [bulk.describe_time(t) for t in times] == ["", "0:00 left", "1:15 left", "1:02:05 left"]

"""What programs written for Cutana ask of a run, and what its users look at afterwards."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from astropy.io import fits

from snapdb.bulk import Config, Orchestrator, ProgressReport, get_default_config
from snapdb.bulk import open as open_stamps
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.planning.selecting import select_channels
from snapdb.bulk.planning.sources import read_channels
from snapdb.bulk.settings.toml import load_config_toml, save_config_toml
from snapdb.errors import NotAnImageError, ObjectExistsError, UsageError

JY = 3631e9
"""One maggy in nJy."""


def make_config(folder: Path, **values: Any) -> Config:
    """Settings that change no pixel but by flux conversion."""
    config = get_default_config()
    config.output_dir = str(folder)
    config.normalisation_method = "none"
    config.target_resolution = 16
    config.N_batch_cutout_process = 64
    config.flux_unit = "nJy"
    for name, value in values.items():
        config.assign(name, value)
    return config


def write_mef(path: Path, header: fits.Header, names: tuple[str, ...], *, primary: bool) -> None:
    """Write a file whose images are filled with their place in it."""
    hdus: list[Any] = [
        fits.PrimaryHDU(np.zeros((40, 40), np.float32), header) if primary else fits.PrimaryHDU()
    ]
    for number, name in enumerate(names, 1):
        hdus.append(fits.ImageHDU(np.full((40, 40), number, np.float32), header, name=name))
    fits.HDUList(hdus).writeto(path)


@pytest.fixture
def header(tiles: Any) -> fits.Header:
    """Cards of the first tile's coordinates."""
    found: fits.Header = fits.getheader(tiles.paths[0])
    return found


# -- zero points -------------------------------------------------------------------------------------------


RATES: dict[str, Any] = {"INSTRUME": "90prime", "EXPTIME": 80.0}
"""Community Pipeline of 90Prime: MAGZERO is for counts, pixels are counts a second."""


@pytest.mark.parametrize(
    ("cards", "keyword", "expected", "origin"),
    [
        (RATES, "MAGZERO", 25.0 + 2.5 * np.log10(80.0), "90prime.toml: MAGZERO of HDU 0"),
        (RATES, "MAGZERO@image", 25.0, "header: MAGZERO of HDU 0"),
        (RATES | {"MYZERO": 23.0}, "MYZERO", 23.0, "header: MYZERO of HDU 0"),
        ({"INSTRUME": "90prime"}, "MAGZERO", 25.0, "header: MAGZERO of HDU 0"),  # no exposure time: not known
        ({"INSTRUME": "VIS", "TELESCOP": "Euclid"}, "MAGZERO", 25.0, "header: MAGZERO of HDU 0"),
        ({"BUNIT": "uJy"}, "MAGZERO", 25.0, "header: MAGZERO of HDU 0"),
    ],
)
def test_zero_points_come_from_whoever_knows(
    tiles: Any, tmp_path: Path, cards: dict[str, Any], keyword: str, expected: float, origin: str
) -> None:
    """Oracle: the definition of AB magnitudes, and the Legacy Surveys' documented formula for 90Prime."""
    path = tmp_path / "ksb_170430_055945_ooi_r.fits"
    header = fits.getheader(tiles.paths[0])
    header.update(cards)
    fits.PrimaryHDU(tiles.pixels[0], header).writeto(path)
    frame = tiles.frame[tiles.tile == 0].assign(diameter_pixel=16, fits_file_paths=f"['{path}']")
    config = make_config(tmp_path / "out", **{"flux_conversion_keywords.AB_zeropoint": keyword})
    result = Orchestrator(config).start_processing(frame)
    images = pd.read_parquet(f"{result['output']}/images.parquet")
    assert images["zeropoint"][0] == pytest.approx(expected, abs=1e-8)
    assert images["zeropoint_from"][0].startswith(origin)
    stamps = open_stamps(result["output"])
    row = stamps.table.iloc[0]
    box = tiles.pixels[0][int(row["y0"]) : int(row["y0"]) + 16, int(row["x0"]) : int(row["x0"]) + 16]
    np.testing.assert_allclose(stamps[0][..., 0], box * JY * 10 ** (-0.4 * expected), rtol=1e-5)


def test_counts_have_no_zero_point(tiles: Any, tmp_path: Path) -> None:
    result = Orchestrator(make_config(tmp_path, apply_flux_conversion=False)).run(tiles.frame)
    images = pd.read_parquet(f"{result['output']}/images.parquet")
    assert images["zeropoint"].isna().all()
    assert (images["zeropoint_from"] == "").all()


# -- extensions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "primary", "extensions", "selected", "hdus"),
    [
        (("SCI", "RMS", "VIS"), True, ["PRIMARY"], ["VIS"], [3]),
        (("SCI", "RMS", "VIS"), True, ["PRIMARY"], [2], [2]),
        (("SCI", "RMS", "VIS"), True, ["PRIMARY", "SCI"], ["PRIMARY"], [0]),
        (("SCI", "RMS", "VIS"), True, ["PRIMARY"], [{"name": "VIS", "ext": "PRIMARY"}], [0]),
        (("SCI", "RMS", "VIS"), True, ["PRIMARY"], [{"name": "a band", "ext": 2}], [2]),
        (("SCI.1", "RMS"), False, ["PRIMARY"], ["SCI.1"], [1]),
        (("SCI",), False, ["PRIMARY"], ["PRIMARY"], [1]),
        ((), True, ["PRIMARY"], ["VIS"], [0]),  # the label of Cutana's quick start
        ((), True, ["PRIMARY"], [{"name": "VIS", "ext": "PRIMARY"}], [0]),
        (("SCI", "RMS", "VIS"), True, ["PRIMARY"], [9], None),
        (("SCI", "RMS", "VIS"), True, ["PRIMARY"], ["FOO"], None),
        (("SCI", "RMS", "VIS"), True, ["PRIMARY"], ["VIS", "FOO"], None),
        (("SCI", "ERR", "VIS"), False, ["PRIMARY", "SCI"], ["RMS"], None),
        (("SCI", "ERR", "VIS"), False, ["PRIMARY"], [9], None),
        ((), True, ["PRIMARY"], [9], None),
    ],
)
def test_extensions_are_those_that_are_selected_or_none(
    header: fits.Header,
    tmp_path: Path,
    names: tuple[str, ...],
    primary: bool,  # a parameter of the test
    extensions: list[Any],
    selected: list[Any],
    hdus: list[int] | None,
) -> None:
    path = tmp_path / "image.fits"
    write_mef(path, header, names, primary=primary)
    recipe = Recipe(convert_flux=False, extensions=tuple(extensions), selected=tuple(selected))
    channels = read_channels(str(path), recipe)
    if hdus is None:
        with pytest.raises(NotAnImageError, match="selected_extensions asks for"):
            select_channels(channels, selected)
        return
    assert [c.data.layout.hdu for c in select_channels(channels, selected)] == hdus


def test_an_extension_that_is_not_there_refuses_its_rows(
    tiles: Any, header: fits.Header, tmp_path: Path
) -> None:
    path = tmp_path / "image.fits"
    write_mef(path, header, ("SCI", "RMS"), primary=True)
    frame = tiles.frame.iloc[:2].assign(fits_file_paths=f"['{path}']")
    result = Orchestrator(make_config(tmp_path / "out", selected_extensions=["FOO"])).run(frame)
    report = pd.read_csv(result["report"])
    assert len(report) == 2
    assert report["reason"].str.contains("'FOO'.*1 \\(SCI\\), 2 \\(RMS\\)").all()


# -- what is beside the stamps ------------------------------------------------------------------------------


def test_the_mapping_leads_to_the_stamps(tiles: Any, tmp_path: Path) -> None:
    frame = tiles.frame.assign(diameter_pixel=16)
    frame.loc[7, "RA"] = 200.0
    for kind in ("zarr", "fits"):
        result = Orchestrator(make_config(tmp_path / kind, output_format=kind)).run(frame)
        mapping = pd.read_csv(result["mapping_csv"]).set_index("SourceID")
        assert "source-7" not in mapping.index
        stamps = open_stamps(result["output"])
        for name in ("source-3", "source-250"):
            row = mapping.loc[name]
            path = tmp_path / kind / str(row["zarr_file"])
            if kind == "zarr":
                array: Any = zarr.open_group(path, mode="r")["images"]
                found = array[int(row["idx_in_zarr"])][..., 0]
                assert row["batch_index"] == row["idx_in_zarr"] // array.shards[0]
            else:
                found = fits.getdata(path, 1)
                assert np.isnan(row["idx_in_zarr"])
                assert path.parent.name == f"batch-{row['batch_index']:07d}"
            np.testing.assert_array_equal(found, stamps[name][..., 0])


@pytest.mark.parametrize(
    ("method", "convert", "unit", "bunit"),
    [("none", True, "nJy", "nJy"), ("asinh", True, "nJy", None), ("asinh", False, "native", None)],
)
def test_the_unit_is_that_of_the_pixels_before_the_stretch(
    tiles: Any, tmp_path: Path, method: str, convert: bool, unit: str, bunit: str | None
) -> None:
    values = {"output_format": "fits", "normalisation_method": method, "apply_flux_conversion": convert}
    config = make_config(tmp_path, **values, planes=["data", "noise"])
    result = Orchestrator(config).run(tiles.frame.iloc[:3])
    table = pd.read_parquet(result["mapping_parquet"])
    with fits.open(tmp_path / table["file"][0]) as hdus:
        assert hdus[0].header["UNIT"] == unit
        assert hdus[0].header.comments["UNIT"] == "of the pixels before the stretch"
        assert hdus[1].header.get("BUNIT") == bunit
        assert hdus["NOISE_0"].header.get("BUNIT") == ("nJy" if convert else None)


@pytest.mark.parametrize("chunk", [None, 25])
def test_a_batch_is_no_larger_than_it_may_be(tiles: Any, tmp_path: Path, chunk: int | None) -> None:
    config = make_config(tmp_path, N_batch_cutout_process=10, chunk_stamps=chunk)
    reports: list[ProgressReport] = []
    orchestrator = Orchestrator(config, reports.append)

    def stop(_report: ProgressReport) -> None:
        orchestrator.stop_processing()

    result = orchestrator.run(tiles.frame, on_progress=stop)
    assert reports[0].completed_sources == (chunk or 10)  # a part is a chunk at least
    assert result["status"] == "stopped"
    assert orchestrator.run(tiles.frame, resume=True)["written"] == 300


def test_settings_are_saved_beside_fits_files(tiles: Any, tmp_path: Path) -> None:
    config = make_config(tmp_path / "out", output_format="fits")
    path = save_config_toml(config, f"{config.output_dir}/cutana_config.toml")
    (tmp_path / "out" / "mine").mkdir()
    (tmp_path / "out" / "mine" / "thesis.txt").write_text("dear", encoding="utf-8")
    result = Orchestrator(config).run(tiles.frame)
    assert (result["status"], result["written"]) == ("completed", 300), result
    again = Orchestrator(config).run(tiles.frame)
    assert again["status"] == "failed"
    assert "run(resume=True)" in again["error"]
    assert "run(overwrite=True)" in again["error"]
    config.fits_batches = True
    result = Orchestrator(config).run(tiles.frame, overwrite=True)
    assert result["written"] == 300
    assert not list((tmp_path / "out").glob("batch-*"))
    assert load_config_toml(path).config_file == path
    assert (tmp_path / "out" / "mine" / "thesis.txt").read_text(encoding="utf-8") == "dear"


def test_what_has_the_name_of_an_output_is_not_written_over(tiles: Any, tmp_path: Path) -> None:
    (tmp_path / "report.csv").write_text("dear", encoding="utf-8")
    with pytest.raises(ObjectExistsError, match=r"holds no run of bulk cutouts, but report\.csv"):
        Orchestrator(make_config(tmp_path, output_format="fits")).execute(tiles.frame, overwrite=True)
    assert (tmp_path / "report.csv").read_text(encoding="utf-8") == "dear"


# -- how a run is told of ----------------------------------------------------------------------------------


class Panel:
    """A status panel as Cutana's user interface has one."""

    def __init__(self) -> None:
        self.reports: list[ProgressReport] = []

    def receive_status_UI_update(self, report: ProgressReport) -> None:  # noqa: N802  # Cutana's name
        self.reports.append(report)


def test_the_second_argument_is_the_status_panel(tiles: Any, tmp_path: Path) -> None:
    panel, reports = Panel(), list[ProgressReport]()
    Orchestrator(make_config(tmp_path / "a"), panel).start_processing(tiles.frame)
    Orchestrator(make_config(tmp_path / "b"), reports.append).start_processing(tiles.frame)
    assert [r.completed_sources for r in panel.reports] == [r.completed_sources for r in reports]
    assert isinstance(reports[-1], ProgressReport)
    assert reports[-1].completed_sources == 300
    with pytest.raises(UsageError, match=r"status_panel.*receive_status_UI_update.*archive="):
        Orchestrator(make_config(tmp_path), object())
    with pytest.raises(UsageError, match=r"archive is of .*snapdb\.connect"):
        Orchestrator(make_config(tmp_path), archive=reports.append)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("paths", "values", "reason"),
    [
        ("['/nowhere/a.fits']", {}, "no such file|does not exist|cannot be"),
        (None, {"flux_conversion_keywords.AB_zeropoint": "NOPE"}, "no NOPE in the header"),
    ],
)
def test_a_run_without_a_stamp_has_failed(
    tiles: Any, tmp_path: Path, paths: str | None, values: dict[str, Any], reason: str
) -> None:
    frame = tiles.frame.iloc[:4] if paths is None else tiles.frame.iloc[:4].assign(fits_file_paths=paths)
    orchestrator = Orchestrator(make_config(tmp_path, **values))
    result = orchestrator.run(frame)
    assert (result["status"], result["written"]) == ("failed", 0)
    assert "no source gave a stamp" in result["error"]
    assert len(pd.read_csv(result["report"])) == 4
    assert re.search(reason, result["error"]), result["error"]
    assert orchestrator.run(frame, resume=True)["status"] == "failed"


def test_a_run_that_is_asked_for_nothing_is_complete(tiles: Any, tmp_path: Path) -> None:
    result = Orchestrator(make_config(tmp_path)).run(tiles.frame.iloc[:0])
    assert (result["status"], result["written"], result.get("error")) == ("completed", 0, None)


def test_the_documented_way_to_read_a_group_warns_of_nothing(tiles: Any, tmp_path: Path) -> None:
    """Warnings are errors here, so that zarr may complain of no file beside the arrays."""
    result = Orchestrator(make_config(tmp_path, planes=["data", "noise", "flags"])).run(tiles.frame)
    file: Any = zarr.open(result["output"], mode="r")
    assert sorted(file.keys()) == ["flags", "images", "noise"]
    assert file["images"].shape == (300, 16, 16, 1)
    np.testing.assert_array_equal(file["images"][7], open_stamps(result["output"])[7])

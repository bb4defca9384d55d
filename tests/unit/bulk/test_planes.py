"""Noise and flags of raw stamps, names of weighted channels, and what a run keeps of failures and files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

import snapdb
from snapdb import bulk
from snapdb.bulk import Config, Orchestrator, get_default_config
from snapdb.bulk.cutting import companions
from snapdb.bulk.planning.plan import SourceBlock, make_plan
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.planning.sources import read_channels
from snapdb.errors import StorageError, UsageError
from snapdb.types import PixelArray
from tests.unit.bulk.conftest import SIDE, Tiles

BANDS = ("VIS", "NIR")
Planes = dict[tuple[str, str], PixelArray]


def make_config(**values: Any) -> Config:
    config = get_default_config()
    config.apply_flux_conversion = False
    config.normalisation_method = "none"
    config.target_resolution = 16
    config.planes = ["data", "noise", "flags"]
    for name, value in values.items():
        config[name] = value
    return config


@pytest.fixture
def planes(tiles: Tiles, tmp_path: Path) -> Planes:
    """Write an image a band, with noise and flags, on one grid."""
    rng = np.random.default_rng(20261127)
    made: Planes = {}
    for band in BANDS:
        made[band, "data"] = rng.normal(100.0, 9.0, (SIDE, SIDE)).astype(np.float32)
        made[band, "noise"] = rng.uniform(1.0, 2.0, (SIDE, SIDE)).astype(np.float32)
        made[band, "flags"] = (rng.random((SIDE, SIDE)) < 0.1).astype(np.int32) * 4
        header = tiles.wcs[0].to_header()
        names = {"data": "SCI", "noise": "ERR", "flags": "DQ"}
        hdus = [fits.ImageHDU(made[band, plane], header, name=name) for plane, name in names.items()]
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / f"image_{band}.fits")
    return made


def make_frame(tiles: Tiles, folder: Path, bands: tuple[str, ...] = BANDS) -> pd.DataFrame:
    paths = repr([str(folder / f"image_{band}.fits") for band in bands])
    return tiles.frame[tiles.tile == 0].iloc[:20].assign(fits_file_paths=paths)


@pytest.mark.parametrize("bands", [BANDS, BANDS[:1]])
def test_raw_noise_and_flags_are_as_they_were_cut(
    tiles: Tiles, planes: Planes, tmp_path: Path, bands: tuple[str, ...]
) -> None:
    """Each of its own channel, whatever the weights are, which raw stamps have no use for."""
    weights = {"VIS": [0.0, 1.0], "NIR": [1.0, 0.0]} if len(bands) == 2 else {"VIS": [1.0]}
    config = make_config(
        output_format="fits", do_only_cutout_extraction=True, fits_extensions=["SCI"], channel_weights=weights
    )
    result = Orchestrator(config, output=tmp_path / "raw").run(make_frame(tiles, tmp_path, bands))
    assert result["written"] == 20, result
    for one in pd.read_parquet(result["mapping_parquet"]).itertuples():
        box = np.s_[one.y0 : one.y0 + one.size, one.x0 : one.x0 + one.size]
        with fits.open(tmp_path / "raw" / one.file) as hdus:
            found = [(hdu.header["PLANE"], hdu.header["CHANNEL"]) for hdu in hdus[1:]]
            expected = [(plane, n) for n in range(len(bands)) for plane in ("data", "noise", "flags")]
            assert found == expected
            for hdu, (plane, number) in zip(hdus[1:], found, strict=True):
                np.testing.assert_array_equal(hdu.data, planes[bands[number], plane][box])
                assert hdu.header["CRVAL1"] == hdus[1].header["CRVAL1"]
    stamps, one = bulk.open(tmp_path / "raw"), pd.read_parquet(result["mapping_parquet"]).iloc[3]
    box = np.s_[one["y0"] : one["y0"] + one["size"], one["x0"] : one["x0"] + one["size"]]
    for number, band in enumerate(bands):
        for plane in ("data", "noise", "flags"):
            np.testing.assert_array_equal(stamps.plane(3, plane, channel=number), planes[band, plane][box])
    if len(bands) > 1:
        with pytest.raises(UsageError, match="flags of their own"):
            stamps.plane(3, "flags")


def test_channels_are_named_after_the_image_that_makes_them_up(
    tiles: Tiles, planes: Planes, tmp_path: Path
) -> None:
    config = make_config(
        output_format="fits",
        fits_extensions=["SCI"],
        channel_weights={"VIS": [0.0, 1.0, 0.5, 0.0], "NIR": [1.0, 0.0, 0.5, 2.0]},
    )
    frame = make_frame(tiles, tmp_path).assign(diameter_pixel=16)
    result = Orchestrator(config, output=tmp_path / "named").run(frame)
    one = pd.read_parquet(result["mapping_parquet"]).iloc[0]
    box = np.s_[one["y0"] : one["y0"] + 16, one["x0"] : one["x0"] + 16]
    with fits.open(tmp_path / "named" / one["file"]) as hdus:
        data = [hdu for hdu in hdus[1:] if hdu.header["PLANE"] == "data"]
        assert [hdu.name for hdu in data] == ["image_NIR_SCI", "image_VIS_SCI", "channel_2", "channel_3"]
        for hdu, band in zip(data, ("NIR", "VIS"), strict=False):
            np.testing.assert_allclose(hdu.data, planes[band, "data"][box], rtol=1e-6)


def test_a_failed_stamp_leaves_no_noise(
    tiles: Tiles, planes: Planes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the flags could not be read after the noise was made."""

    def fail(*_: Any) -> Any:
        msg = "the disk is gone"
        raise StorageError(msg)

    monkeypatch.setattr(companions, "_iter_flags", fail)
    config = make_config(fits_extensions=["SCI"])
    result = Orchestrator(config, output=tmp_path / "s.zarr").run(make_frame(tiles, tmp_path, BANDS[:1]))
    assert result["written"] == 0
    assert set(pd.read_csv(result["report"])["reason"]) == {"the disk is gone"}
    stamps = bulk.open(tmp_path / "s.zarr")
    assert np.isnan(np.asarray(stamps.noise[:])).all()


def test_a_plan_knows_the_files_of_noise_and_flags(tiles: Tiles, planes: Planes, tmp_path: Path) -> None:
    (channel,) = read_channels(str(tiles.paths[0]), Recipe(convert_flux=False))
    other = tmp_path / "image_VIS.fits"
    with_noise = replace(channel, planes={"noise": replace(channel.data, path=str(other))})
    one = np.ones(1)
    sources = SourceBlock(
        row=np.zeros(1, np.int64), source_id=["a"], ra=10.0 * one, dec=-5.0 * one, pixels=9.0 * one,
        arcsec=np.full(1, np.nan), image_set=np.zeros(1, np.int64),
    )  # fmt: skip
    recipe = Recipe(convert_flux=False, planes=("noise",))
    digests = [make_plan([sources], [(c,)], recipe).digest() for c in (channel, with_noise, with_noise)]
    assert digests[0] != digests[1] == digests[2]
    with other.open("ab") as file:
        file.write(bytes(2880))
    assert make_plan([sources], [(with_noise,)], recipe).digest() != digests[1]


@pytest.mark.parametrize("keyword", ["MAGZERO", "MAGZPT", "NOPE"])
def test_a_named_zero_point_is_taken_of_images_of_an_archive_too(
    tiles: Tiles, tmp_path: Path, keyword: str
) -> None:
    path = tmp_path / "tile.fits"
    with fits.open(tiles.paths[0]) as hdus:
        hdus[0].header["MAGZPT"] = 24.5
        hdus.writeto(path)
    config = make_config(planes=["data"], apply_flux_conversion=True)
    config.flux_conversion_keywords.AB_zeropoint = keyword
    frame = tiles.frame[tiles.tile == 0].iloc[:3].drop(columns="fits_file_paths")
    with snapdb.init(tmp_path / "archive") as archive:
        archive.ingest([path], jobs=1)
        result = Orchestrator(config, archive=archive, output=tmp_path / "s.zarr").run(frame)
    if keyword == "NOPE":
        assert result["written"] == 0
        assert "there is no NOPE in the header; set" in result["error"]
        return
    image = pd.read_parquet(tmp_path / "s.zarr" / "images.parquet").iloc[0]
    expected = {"MAGZERO": (25.0, "header: MAGZERO"), "MAGZPT": (24.5, "header: MAGZPT")}[keyword]
    assert image["zeropoint"] == expected[0]
    assert image["zeropoint_from"].startswith(expected[1])

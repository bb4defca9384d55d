"""Whole runs: what is written is what plain formulas give, and what is not written is said."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from snapdb import bulk
from snapdb.bulk.catalogue.catalogue import Catalogue
from snapdb.bulk.planning.choosing import plan_run
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.reading.stream import iter_batches
from snapdb.bulk.running.orchestrator import Orchestrator
from snapdb.bulk.running.work import run_part
from snapdb.bulk.settings.config import Config, get_default_config
from snapdb.bulk.writing.shards import write_group
from snapdb.errors import ConfigError, ConflictError, NotFoundError, ObjectExistsError, UsageError


def make_config(**values: Any) -> Config:
    """Settings for quick runs that change no pixel but by cutting."""
    config = get_default_config()
    config.apply_flux_conversion = False
    config.normalisation_method = "none"
    config.target_resolution = 16
    config.N_batch_cutout_process = 64
    for name, value in values.items():
        config[name] = value
    return config


def expected_window(tiles: Any, index: int, size: int) -> np.ndarray[Any, Any]:
    """Cut a window by the rule that is documented, without the code under test."""
    x, y = tiles.x[index], tiles.y[index]
    if size % 2:
        x0, y0 = int(np.floor(x + 0.5)) - (size - 1) // 2, int(np.floor(y + 0.5)) - (size - 1) // 2
    else:
        x0, y0 = int(np.ceil(x - size / 2)), int(np.ceil(y - size / 2))
    return np.asarray(tiles.pixels[tiles.tile[index]][y0 : y0 + size, x0 : x0 + size])


def test_stamps_of_the_target_size_are_the_pixels_themselves(tiles: Any, tmp_path: Path) -> None:
    frame = tiles.frame.assign(diameter_pixel=16)
    result = Orchestrator(make_config(), output=tmp_path / "s.zarr").run(frame)
    assert result["status"] == "completed"
    assert (result["written"], result["failed"], result["refused"]) == (300, 0, 0)
    images: Any = zarr.open_group(tmp_path / "s.zarr", mode="r")["images"]
    table = pd.read_parquet(tmp_path / "s.zarr" / "index.parquet")
    assert images.shape == (300, 16, 16, 1)
    assert sorted(table["catalogue_row"]) == list(range(300))
    for place, row in zip(table["row"], table["catalogue_row"], strict=True):
        np.testing.assert_array_equal(images[place][..., 0], expected_window(tiles, row, 16))


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_are_in_the_order_of_files_of_rows_on_disk_and_of_size(
    tiles: Any, tmp_path: Path, workers: int
) -> None:
    result = Orchestrator(make_config(max_workers=workers), output=tmp_path / "s.zarr").run(tiles.frame)
    table = pd.read_parquet(result["mapping_parquet"])
    assert (table["row"] == np.arange(300)).all()
    several = 0
    for _, group in table.groupby("tile"):
        assert (np.diff(group["row"]) == 1).all()
        parts = [part for _, part in group.groupby(group["row"] // 64)]
        assert all(part["size"].is_monotonic_increasing for part in parts)
        assert all(a["y0"].max() <= b["y0"].min() for a, b in itertools.pairwise(parts))
        several += any(not part["y0"].is_monotonic_increasing for part in parts)
    assert several
    mapping = pd.read_csv(result["mapping_csv"])
    assert list(mapping["SourceID"]) == list(table["source_id"])
    assert (mapping["idx_in_zarr"] == table["row"]).all()
    assert set(mapping["zarr_file"]) == {"s.zarr"}
    array: Any = zarr.open_group(tmp_path / mapping["zarr_file"][0], mode="r")["images"]
    assert (mapping["batch_index"] == table["row"] // array.shards[0]).all()


def test_the_table_says_where_a_stamp_lies_on_the_sky(tiles: Any, tmp_path: Path) -> None:
    Orchestrator(make_config(padding_factor=1.3), output=tmp_path / "s.zarr").run(tiles.frame)
    stamps = bulk.open(tmp_path / "s.zarr")
    for row in range(0, 300, 17):
        one = stamps.table.iloc[row]
        names = [n for n in stamps.table.columns if n.startswith(("ctype", "crval", "crpix", "cd"))]
        header = {n.upper(): one[n] for n in names}
        linear = WCS(fits.Header(header))
        x, y = linear.all_world2pix(one["ra"], one["dec"], 0)
        # The source's place, by the parent's coordinates as astropy has them.
        px, py = tiles.wcs[tiles.tile[one["catalogue_row"]]].all_world2pix(one["ra"], one["dec"], 0)
        scale = 16 / one["size"]
        assert one["size"] == int(tiles.size[one["catalogue_row"]] * 1.3 + 1e-9)
        assert x == pytest.approx((px - one["x0"] + 0.5) * scale - 0.5, abs=1e-6)
        assert y == pytest.approx((py - one["y0"] + 0.5) * scale - 0.5, abs=1e-6)
        assert one["offset_x"] == pytest.approx(x - 7.5, abs=1e-6)
        assert abs(one["offset_x"]) <= 0.5 * scale + 1e-9
        cutout = stamps.cutout(row)
        assert cutout.world_to_pixel(one["ra"], one["dec"]) == pytest.approx((float(x), float(y)), abs=1e-6)
        assert one["pixel_scale"] == pytest.approx(0.1 * np.sqrt(1.01) / scale, rel=1e-5)


def test_stamps_are_found_by_id_and_by_position(tiles: Any, tmp_path: Path) -> None:
    Orchestrator(make_config(), output=tmp_path / "s.zarr").run(tiles.frame)
    stamps = bulk.open(tmp_path / "s.zarr")
    row = stamps.find("source-77")
    assert stamps.table.iloc[row]["catalogue_row"] == 77
    np.testing.assert_array_equal(stamps["source-77"], stamps[row])
    assert stamps.find_near(tiles.frame["RA"][77], tiles.frame["Dec"][77], 0.01).tolist() == [row]
    with pytest.raises(NotFoundError, match="nobody"):
        stamps.find("nobody")
    seen = [rows for _, rows in stamps.iter_batches(50, shuffle=True, seed=3)]
    assert sorted(np.concatenate(seen).tolist()) == list(range(300))
    for images, rows in stamps.iter_batches(37):
        np.testing.assert_array_equal(images, stamps.images[rows[0] : rows[-1] + 1])


def test_raw_extraction_writes_what_cutout2d_cuts(tiles: Any, tmp_path: Path) -> None:
    config = make_config(output_format="fits", do_only_cutout_extraction=True)
    frame = tiles.frame.assign(diameter_pixel=tiles.size // 2 * 2 + 1)
    result = Orchestrator(config, output=tmp_path / "fits").run(frame)
    table = pd.read_parquet(result["mapping_parquet"])
    assert len(table) == 300
    for place in range(0, 300, 11):
        one = table.iloc[place]
        index = one["catalogue_row"]
        position = tiles.x[index], tiles.y[index]
        other = Cutout2D(
            tiles.pixels[tiles.tile[index]], position, int(one["size"]), wcs=tiles.wcs[tiles.tile[index]]
        )
        with fits.open(tmp_path / "fits" / one["file"]) as hdus:
            hdus.verify("exception")
            np.testing.assert_array_equal(hdus[1].data, other.data)
            assert hdus[0].header["SOURCE"] == one["source_id"]
            corner = WCS(hdus[1].header).all_pix2world([[0.0, 0.0]], 0)[0]
        np.testing.assert_allclose(corner, other.wcs.all_pix2world([[0.0, 0.0]], 0)[0], atol=1e-10)


def test_flux_is_converted_and_its_unit_said(tiles: Any, tmp_path: Path) -> None:
    config = make_config(apply_flux_conversion=True, flux_unit="uJy", output_format="fits")
    frame = tiles.frame.assign(diameter_pixel=16).iloc[:5]
    result = Orchestrator(config, output=tmp_path / "fits").run(frame)
    one = pd.read_parquet(result["mapping_parquet"]).iloc[0]
    with fits.open(tmp_path / "fits" / one["file"]) as hdus:
        assert hdus[1].header["BUNIT"] == "uJy"
        expected = expected_window(tiles, one["catalogue_row"], 16) * 3631e6 * 10 ** (-0.4 * 25.0)
        np.testing.assert_allclose(hdus[1].data, expected, rtol=2e-6)


def test_several_bands_are_mixed_by_their_weights(tiles: Any, tmp_path: Path) -> None:
    twice = [tiles.paths[0], tmp_path / "tile_0_NIR-H.fits"]
    with fits.open(tiles.paths[0]) as hdus:
        hdus[0].data = 2.0 * hdus[0].data[:, ::-1]
        hdus.writeto(twice[1])
    config = make_config(channel_weights={"TILE_0": [1.0, 0.0, 0.5], "NIR_H": [0.0, 3.0, 0.5]})
    own = tiles.tile == 0
    frame = tiles.frame[own].assign(diameter_pixel=16, fits_file_paths=repr([str(p) for p in twice]))
    result = Orchestrator(config, output=tmp_path / "s.zarr").run(frame)
    stamps = bulk.open(tmp_path / "s.zarr")
    assert result["written"] == own.sum()
    where = np.flatnonzero(own)
    for row in range(0, len(stamps), 9):
        index = where[stamps.table.iloc[row]["catalogue_row"]]
        x0, y0 = stamps.table.iloc[row][["x0", "y0"]]
        first = expected_window(tiles, index, 16)
        second = 2.0 * tiles.pixels[0][:, ::-1][y0 : y0 + 16, x0 : x0 + 16]
        expected = np.stack((first, 3.0 * second, 0.5 * (first + second)), axis=-1)
        np.testing.assert_allclose(stamps[row], expected, rtol=1e-6)


def test_every_bad_source_is_reported_and_every_good_one_written(tiles: Any, tmp_path: Path) -> None:
    frame = tiles.frame.iloc[:20].copy()
    frame["fits_file_paths"] = frame["fits_file_paths"].astype(object)
    frame["diameter_pixel"] = frame["diameter_pixel"].astype(float)
    frame.loc[1, "RA"] = 361.0
    frame.loc[2, "Dec"] = np.nan
    frame.loc[3, "diameter_pixel"] = -4.0
    frame.loc[4, "fits_file_paths"] = "['/nowhere/at/all.fits']"
    frame.loc[5, ["RA", "Dec"]] = [200.0, 60.0]
    broken = tmp_path / "broken.fits"
    broken.write_bytes(b"no FITS at all" * 300)
    frame.loc[6, "fits_file_paths"] = str(broken)
    short = tmp_path / "short.fits"
    short.write_bytes(tiles.paths[0].read_bytes())
    frame.loc[7, "fits_file_paths"] = str(short)
    frame.loc[7, ["RA", "Dec"]] = tiles.wcs[0].all_pix2world(200, 380, 0)
    config = make_config()
    orchestrator = Orchestrator(config, output=tmp_path / "s.zarr")

    def cut_short(_: Any) -> None:
        """Damage nothing: only there to be called."""

    result = orchestrator.run(frame, on_progress=cut_short)
    assert result["status"] == "completed"
    assert result["total_sources"] == 20
    assert result["written"] + result["refused"] + result["failed"] == 20
    report = pd.read_csv(result["report"])
    codes = dict(zip(report["row"], report["code"], strict=True))
    assert codes == {
        1: "ra_range",
        2: "missing_value",
        3: "size_range",
        4: "missing_file",
        5: "off_image",
        6: "unknown_format",
    }
    table = pd.read_parquet(result["mapping_parquet"])
    assert sorted(table["catalogue_row"]) == sorted(set(range(20)) - set(codes))


def test_a_file_that_is_damaged_after_the_plan_costs_its_own_sources_alone(
    tiles: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "short.fits"
    short.write_bytes(tiles.paths[0].read_bytes())
    frame = tiles.frame.iloc[:30].copy()
    own = tiles.tile[:30] == 0
    frame.loc[own, "fits_file_paths"] = str(short)
    orchestrator = Orchestrator(make_config(), output=tmp_path / "s.zarr")
    prepare = orchestrator._prepare

    def damage(*args: Any, **options: Any) -> Any:
        with short.open("r+b") as stream:
            stream.truncate(20_000)
        return prepare(*args, **options)

    monkeypatch.setattr(orchestrator, "_prepare", damage)
    result = orchestrator.run(frame)
    assert (result["written"], result["failed"]) == ((~own).sum(), own.sum())
    table = pd.read_parquet(result["mapping_parquet"])
    failed = table[table["status"] == "failed"]
    assert sorted(failed["catalogue_row"]) == np.flatnonzero(own).tolist()
    assert failed["reason"].str.contains("beyond the end of the file").all()
    assert (np.asarray(bulk.open(tmp_path / "s.zarr").images)[failed["row"]] == 0).all()


def test_stamps_beyond_the_edge_are_filled_and_say_so(tiles: Any, tmp_path: Path) -> None:
    ra, dec = tiles.wcs[0].all_pix2world(1.7, 200.2, 0)
    frame = tiles.frame.iloc[:1].assign(
        RA=ra, Dec=dec, diameter_pixel=16, fits_file_paths=str(tiles.paths[0])
    )
    Orchestrator(make_config(), output=tmp_path / "s.zarr").run(frame)
    stamps = bulk.open(tmp_path / "s.zarr")
    one = stamps.table.iloc[0]
    assert one["x0"] == -6
    assert one["outside_fraction"] == pytest.approx(6 / 16)
    assert (stamps[0][:, :6] == 0).all()
    np.testing.assert_array_equal(stamps[0][:, 6:, 0], tiles.pixels[0][one["y0"] : one["y0"] + 16, :10])


def test_noise_and_flags_stamps_follow_the_data(tmp_path: Path, tiles: Any) -> None:
    rng = np.random.default_rng(8)
    noise = rng.uniform(1, 2, (400, 400)).astype(np.float32)
    flags = (rng.random((400, 400)) < 0.1).astype(np.int32) * 4
    header = tiles.wcs[0].to_header()
    path = tmp_path / "planes.fits"
    sci = fits.ImageHDU(tiles.pixels[0], header, name="SCI")
    fits.HDUList(
        [
            fits.PrimaryHDU(),
            sci,
            fits.ImageHDU(noise, header, name="ERR"),
            fits.ImageHDU(flags, header, name="DQ"),
        ]
    ).writeto(path)
    own = tiles.tile == 0
    frame = tiles.frame[own].assign(diameter_pixel=16, fits_file_paths=str(path))
    config = make_config(planes=["data", "noise", "flags"], fits_extensions=["SCI"])
    result = Orchestrator(config, output=tmp_path / "s.zarr").run(frame)
    assert result["written"] == own.sum(), result
    stamps = bulk.open(tmp_path / "s.zarr")
    for row in range(0, len(stamps), 13):
        x0, y0 = stamps.table.iloc[row][["x0", "y0"]]
        box = np.s_[y0 : y0 + 16, x0 : x0 + 16]
        np.testing.assert_allclose(stamps.noise[row][..., 0], noise[box], rtol=1e-6)
        np.testing.assert_array_equal(stamps.flags[row], flags[box])
        assert stamps.table.iloc[row]["masked_fraction"] == pytest.approx((flags[box] != 0).mean())


def test_what_is_there_is_not_written_over(tiles: Any, tmp_path: Path) -> None:
    out = tmp_path / "s.zarr"
    Orchestrator(make_config(), output=out).run(tiles.frame)
    with pytest.raises(ObjectExistsError, match="holds a run"):
        Orchestrator(make_config(), output=out).execute(tiles.frame)
    with pytest.raises(ConflictError, match="other settings"):
        Orchestrator(make_config(target_resolution=32), output=out).execute(tiles.frame, resume=True)
    with pytest.raises(ConflictError, match="another catalogue"):
        Orchestrator(make_config(), output=out).execute(tiles.frame.iloc[:200], resume=True)
    again = Orchestrator(make_config(target_resolution=32), output=out).execute(tiles.frame, overwrite=True)
    assert again["written"] == 300
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("do not touch", encoding="utf-8")
    with pytest.raises(ObjectExistsError, match="never written over"):
        Orchestrator(make_config(), output=other).execute(tiles.frame, overwrite=True)
    assert (other / "thesis.txt").read_text(encoding="utf-8") == "do not touch"


def test_failures_are_told_as_cutanas_users_know_them(tmp_path: Path) -> None:
    config = make_config(output_dir=str(tmp_path / "out"))
    result = Orchestrator(config).run()
    assert result["status"] == "failed"
    assert "catalogue" in result["error"]
    config.source_catalogue = str(tmp_path / "no.csv")
    assert Orchestrator(config).run()["status"] == "failed"
    assert Orchestrator(config).output == tmp_path / "out" / "cutana_run.zarr"


def test_batches_without_a_disk_are_those_of_a_run(tiles: Any, tmp_path: Path) -> None:
    config = make_config(data_type="uint8", normalisation_method="asinh")
    Orchestrator(config, output=tmp_path / "s.zarr").run(tiles.frame)
    made = list(iter_batches(config, tiles.frame))
    assert len(made) == 5
    np.testing.assert_array_equal(
        np.concatenate([m for m, _ in made]), np.asarray(bulk.open(tmp_path / "s.zarr").images)
    )
    ids = [i for _, table in made for i in table["source_id"].to_pylist()]
    assert ids == bulk.open(tmp_path / "s.zarr").table["source_id"].tolist()


def test_a_run_that_shall_write_nothing_is_refused(tiles: Any, tmp_path: Path) -> None:
    config = make_config(write_to_disk=False)
    with pytest.raises(ConfigError, match="iter_batches"):
        Orchestrator(config, output=tmp_path / "s.zarr").execute(tiles.frame)
    result = Orchestrator(config, output=tmp_path / "s.zarr").run(tiles.frame)
    assert result["status"] == "failed"
    assert "iter_batches" in result["error"]
    assert list(tmp_path.iterdir()) == []
    assert sum(len(images) for images, _ in iter_batches(config, tiles.frame)) == 300


def test_resume_and_overwrite_exclude_each_other(tiles: Any, tmp_path: Path) -> None:
    run = Orchestrator(make_config(), output=tmp_path / "s.zarr")
    with pytest.raises(UsageError, match="one of them"):
        run.execute(tiles.frame, resume=True, overwrite=True)
    assert list(tmp_path.iterdir()) == []


def test_criteria_have_no_place_beside_files(tiles: Any, tmp_path: Path) -> None:
    config = make_config(criteria={"band": ["r"]})
    with pytest.raises(UsageError, match=r"criteria \(band\) choose nothing"):
        Orchestrator(config, output=tmp_path / "s.zarr").execute(tiles.frame)
    assert list(tmp_path.iterdir()) == []


def test_reasons_are_counted_by_code(tiles: Any, tmp_path: Path) -> None:
    frame = tiles.frame.copy()
    frame.loc[:4, "RA"] += 1.5  # off every tile
    frame.loc[5:6, "Dec"] = 91.0
    result = Orchestrator(make_config(), output=tmp_path / "s.zarr").execute(frame)
    assert result["reasons"] == {"off_image": 5, "dec_range": 2}
    assert "off the image" in result["example"]
    assert result["written"] == 293
    report = pd.read_csv(tmp_path / "s.zarr" / "report.csv")
    assert report["code"].value_counts().to_dict() == result["reasons"]


def test_files_that_are_no_images_are_called_by_their_name(tiles: Any, tmp_path: Path) -> None:
    cube, folder = tmp_path / "cube.fits", tmp_path / "folder.fits"
    fits.writeto(cube, np.zeros((3, 50, 50), np.float32))
    folder.mkdir()
    frame = tiles.frame[:2].assign(fits_file_paths=[str([str(cube)]), str([str(folder)])])
    config = make_config(skip_fits_check=True)
    Orchestrator(config, output=tmp_path / "s.zarr").execute(frame)
    report = pd.read_csv(tmp_path / "s.zarr" / "report.csv")
    assert "HDU 0 is a cube 50x50x3; expected two dimensions" in report["reason"][0]
    assert "folder.fits is a folder" in report["reason"][1]


@pytest.mark.parametrize("fits_batches", [False, True])
def test_parts_of_raw_stamps_are_bounded_by_their_own_size(
    tiles: Any, tmp_path: Path, *, fits_batches: bool
) -> None:
    """Not by that of the stamps that are not made. Oracle: the windows of each part, added up."""
    frame = tiles.frame.assign(diameter_pixel=np.where(np.arange(300) % 100 == 0, 1500, 150))
    config = make_config(output_format="fits", do_only_cutout_extraction=True, fits_batches=fits_batches)
    config.target_resolution, config.N_batch_cutout_process = 16, 1000
    config.memory_limit = "64MB"
    result = Orchestrator(config, output=tmp_path / "raw").execute(frame)
    assert (result["written"], result["failed"]) == (300, 0)
    table = pd.read_parquet(tmp_path / "raw" / "index.parquet")
    mapping = pd.read_csv(tmp_path / "raw" / "source_to_zarr_mapping.csv")
    size = 4 * table["size"].to_numpy() ** 2
    parts = pd.Series(size).groupby(mapping["batch_index"].to_numpy())
    assert ((parts.sum() - parts.max()) <= 4 * 2**20).all()
    assert 300 * 150**2 / 2**20 < parts.ngroups == result["completed_batches"] < 60


def test_a_window_that_a_rounding_takes_off_its_image_leaves_the_others_in_place(
    tiles: Any, tmp_path: Path
) -> None:
    """Coordinates may differ from the plan's in their last digits. Oracle: a run of the same sources."""
    config, frame = make_config(), tiles.frame[tiles.tile == 0].head(40)
    recipe = Recipe.from_config(config)
    plan = plan_run(Catalogue.open(frame), recipe)
    (part,) = plan.parts()
    Orchestrator(config, output=tmp_path / "s.zarr").execute(frame)
    moved = part.sources.ra.copy()
    moved[7] += 1.0
    write_group(tmp_path / "m.zarr", len(plan), recipe)
    changed = replace(part, sources=replace(part.sources, ra=moved))
    assert run_part(changed, recipe, str(tmp_path / "m.zarr")).stamps == 40
    made = zarr.open_array(tmp_path / "m.zarr" / "images", mode="r")[:]
    expected = np.array(bulk.open(tmp_path / "s.zarr").images)
    expected[7] = 0
    np.testing.assert_array_equal(made, expected)

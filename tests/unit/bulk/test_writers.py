"""Stamps in FITS files, one a source or one a part: what is read back is what a zarr run and astropy give."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.units import Unit
from astropy.wcs import WCS

from snapdb import bulk
from snapdb.bulk.running.orchestrator import Orchestrator
from snapdb.bulk.settings.config import Config, get_default_config
from snapdb.bulk.writing.cards import write_card
from snapdb.errors import NotFoundError, UsageError

PLANES = ["data", "noise", "flags"]


def make_config(**values: Any) -> Config:
    """Settings for quick runs that change no pixel but by cutting and resampling."""
    config = get_default_config()
    config.apply_flux_conversion = False
    config.normalisation_method = "none"
    config.target_resolution = 16
    config.N_batch_cutout_process = 16
    for name, value in values.items():
        config[name] = value
    return config


def run(frame: pd.DataFrame, path: Path, **values: Any) -> Any:
    """Make a run, and open its stamps."""
    result = Orchestrator(make_config(**values), output=path).execute(frame)
    assert result["failed"] == 0, result
    return bulk.open(path)


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory, tiles: Any) -> pd.DataFrame:
    """Sources on an image with noise and flags, of two colours that share one grid of pixels."""
    folder, rng = tmp_path_factory.mktemp("sky"), np.random.default_rng(8)
    header, paths = tiles.wcs[0].to_header(), []
    for number in range(2):
        planes = {
            "SCI": tiles.pixels[0] + 100 * number,
            "ERR": rng.uniform(1, 2, (400, 400)).astype(np.float32),
            "DQ": (rng.random((400, 400)) < 0.1).astype(np.int32) * 4,
        }
        hdus = [fits.ImageHDU(p, header, name=n) for n, p in planes.items()]
        paths.append(str(folder / f"{'ab'[number]}.fits"))
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(paths[-1])
    frame = tiles.frame[tiles.tile == 0].head(40).reset_index(drop=True)
    return frame.assign(fits_file_paths=str(paths))


WAYS: dict[str, dict[str, Any]] = {
    "files": {"output_format": "fits"},
    "batches": {"output_format": "fits", "fits_batches": True},
}
COLOURS: dict[str, Any] = {"fits_extensions": ["SCI"], "channel_weights": {"a": [1.0, 0.0], "b": [0.0, 1.0]}}


@pytest.fixture(scope="module", params=WAYS)
def both(request: pytest.FixtureRequest, sky: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The stamps of a run as FITS, and those of the same run as zarr."""
    folder = tmp_path_factory.mktemp("both")
    how = {"planes": PLANES, **COLOURS}
    return run(sky, folder / "f", **how, **WAYS[request.param]), run(sky, folder / "z", **how)


def test_every_stamp_is_its_own(both: Any) -> None:
    read, arrays = both
    assert read.table["source_id"].tolist() == arrays.table["source_id"].tolist()
    assert len(read) == 40
    for place, source in enumerate(read.table["source_id"]):
        for name in PLANES:
            expected = arrays.plane(place, name)
            np.testing.assert_array_equal(read.plane(place, name), expected)
            np.testing.assert_array_equal(read.plane(source, name), expected)
            assert read.plane(place, name).dtype == expected.dtype
        np.testing.assert_array_equal(read[source], arrays.images[place])
        np.testing.assert_array_equal(read.cutout(place).data, arrays.images[place][..., 0])
    assert read[0].shape == (16, 16, 2)
    assert read.plane(0, "noise").std() > 0
    assert set(np.unique(read.plane(0, "flags"))) == {0, 4}


def test_the_index_names_the_hdu_that_astropy_finds(both: Any) -> None:
    read, arrays = both
    assert (arrays.table["hdu"] == -1).all()
    for file, group in read.table.groupby("file"):
        with fits.open(read.path / file) as hdus:
            hdus.verify("exception")
            for place, hdu in zip(group.index, group["hdu"], strict=True):
                np.testing.assert_array_equal(hdus[hdu].data, arrays.images[place][..., 0])
                assert (hdus[hdu].header["PLANE"], hdus[hdu].header["CHANNEL"]) == ("data", 0)


def test_columns_of_the_tables_have_units(both: Any) -> None:
    """As astropy understands them."""
    from pyarrow import parquet

    found = {}
    for name in ("index.parquet", "images.parquet"):
        for field in parquet.read_schema(both[0].path / name):
            if b"unit" in (field.metadata or {}):
                found[field.name] = Unit(field.metadata[b"unit"].decode())
    assert (found["ra"], found["crval2"], found["offset_x"]) == (Unit("deg"), Unit("deg"), Unit("pix"))
    assert (found["pixel_scale"], found["zeropoint"]) == (Unit("arcsec") / Unit("pix"), Unit("mag"))
    assert not {"row", "masked_fraction", "file", "hdu"} & set(found)


def test_extensions_of_a_batch_have_names_of_their_own(sky: pd.DataFrame, tmp_path: Path) -> None:
    how = {"planes": PLANES, **COLOURS, **WAYS["batches"]}
    read = run(sky, tmp_path / "f", **how)
    channels = read[0].shape[-1]
    for file, group in read.table.groupby("file"):
        with fits.open(read.path / file) as hdus:
            names = [(h.name, h.ver) for h in hdus[1:]]
            assert len(set(names)) == len(names) == len(group) * (2 * channels + 1)
            for place, source in zip(group.index, group["source_id"], strict=True):
                for channel in range(channels):
                    np.testing.assert_array_equal(
                        hdus[source, channel + 1].data, read.plane(place, channel=channel)
                    )
                    np.testing.assert_array_equal(
                        hdus[f"{source}_noise", channel + 1].data,
                        read.plane(place, "noise", channel=channel),
                    )
                np.testing.assert_array_equal(hdus[f"{source}_flags"].data, read.plane(place, "flags"))


def test_ids_that_look_alike_in_a_header_are_counted(sky: pd.DataFrame, tmp_path: Path) -> None:
    frame = sky.head(3).assign(SourceID=["a\nz", "a\tz", "b"])
    read = run(frame, tmp_path / "f", planes=PLANES, **COLOURS, **WAYS["batches"])
    (file,) = set(read.table["file"])
    with fits.open(read.path / file) as hdus:
        names = [(h.name, h.ver) for h in hdus[1:]]
        assert len(set(names)) == len(names)
        alike = [i for i, source in enumerate(read.table["source_id"]) if source != "b"]
        for place, version in zip(alike, (1, 3), strict=True):  # each has two channels
            np.testing.assert_array_equal(hdus["a?z", version].data, read.plane(place, channel=0))


@pytest.mark.parametrize("way", WAYS)
def test_raw_stamps_keep_their_sizes(tiles: Any, tmp_path: Path, way: str) -> None:
    frame = tiles.frame.head(60)
    read = run(frame, tmp_path / "f", do_only_cutout_extraction=True, **WAYS[way])
    table = read.table
    assert table["size"].nunique() > 10
    for place, one in table.iterrows():
        box = np.s_[one["y0"] : one["y0"] + one["size"], one["x0"] : one["x0"] + one["size"]]
        pixels = tiles.pixels[tiles.tile[one["catalogue_row"]]][box]
        np.testing.assert_array_equal(read[place][..., 0], pixels)
        x, y = read.cutout(place).world_to_pixel(one["ra"], one["dec"])
        assert (x, y) == pytest.approx((tiles.x[one["catalogue_row"]] - one["x0"],
                                        tiles.y[one["catalogue_row"]] - one["y0"]), abs=1e-6)  # fmt: skip
    some = read[0:3]
    assert isinstance(some, list)
    assert [s.shape[0] for s in some] == table["size"].head(3).tolist()
    with pytest.raises(UsageError, match="many sizes"):
        list(read.iter_batches(60))


@pytest.mark.parametrize("way", WAYS)
def test_raw_channels_of_other_pixels_are_taken_one_by_one(tiles: Any, tmp_path: Path, way: str) -> None:
    coarse = WCS(naxis=2)
    coarse.wcs.ctype, coarse.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    coarse.wcs.crval, coarse.wcs.crpix = [10.0, -5.0], [100.0, 100.0]
    coarse.wcs.cd = 0.2 / 3600 * np.array([[-1.0, 0.1], [0.1, 1.0]])
    pixels = np.random.default_rng(3).normal(size=(200, 200)).astype(np.float32)
    path = tmp_path / "coarse.fits"
    fits.PrimaryHDU(pixels, coarse.to_header()).writeto(path)
    frame = tiles.frame[tiles.tile == 0].head(12).drop(columns="diameter_pixel")
    frame = frame.assign(diameter_arcsec=2.4, fits_file_paths=str([str(tiles.paths[0]), str(path)]))
    weights = {"tile_0": [1.0, 0.0], "coarse": [0.0, 1.0]}
    read = run(frame, tmp_path / "f", do_only_cutout_extraction=True, channel_weights=weights, **WAYS[way])
    for place, one in read.table.iterrows():
        assert read.plane(place, channel=0).shape == (24, 24)
        cutout = read.cutout(place, channel=1)
        assert cutout.data.shape == (12, 12)
        x, y = coarse.all_world2pix(one["ra"], one["dec"], 0)
        x0, y0 = int(np.ceil(x - 6)), int(np.ceil(y - 6))
        np.testing.assert_array_equal(cutout.data, pixels[y0 : y0 + 12, x0 : x0 + 12])
        found = cutout.world_to_pixel(one["ra"], one["dec"])
        assert found == pytest.approx((x - x0, y - y0), abs=1e-5)
    with pytest.raises(UsageError, match=r"sizes of their own \(24x24, 12x12\)"):
        read[0]


def test_batches_come_from_files_too(both: Any) -> None:
    read, arrays = both
    for shuffle in (False, True):
        seen = []
        for images, rows in read.iter_batches(7, shuffle=shuffle, seed=2):
            np.testing.assert_array_equal(images, arrays[rows])
            seen += rows.tolist()
        assert sorted(seen) == list(range(40))
        assert (seen == sorted(seen)) is not shuffle


def test_arrays_say_how_files_are_read(both: Any) -> None:
    read, _ = both
    for name in ("noise", "flags"):
        with pytest.raises(UsageError, match=rf"one by one: plane\(i, '{name}'\)"):
            getattr(read, name)


@pytest.mark.parametrize("which", [0, 1], ids=["fits", "zarr"])
def test_stamps_are_taken_as_lists_are(both: Any, which: int) -> None:
    stamps, images = both[which], np.asarray(both[1].images)
    for key in (slice(0, 3), slice(None, None, -7), [4, -1, 4], np.array([3, 2]), np.arange(40) % 3 == 0):
        np.testing.assert_array_equal(stamps[key], images[key])
    np.testing.assert_array_equal(stamps[np.int64(5)], images[5])
    np.testing.assert_array_equal(stamps[-1], images[-1])
    ids = stamps.table["source_id"].tolist()
    np.testing.assert_array_equal(stamps[[ids[7], ids[2]]], images[[7, 2]])
    assert len(list(stamps)) == 40
    assert ids[3] in stamps
    assert "nobody" not in stamps


@pytest.mark.parametrize("which", [0, 1], ids=["fits", "zarr"])
def test_what_cannot_be_taken_is_told(both: Any, which: int) -> None:
    stamps = both[which]
    for error in (IndexError, UsageError):
        with pytest.raises(error, match=r"there is no stamp 99: .* holds 40, places 0 to 39"):
            stamps[99]
    with pytest.raises(IndexError, match="no stamp -41"):
        stamps[[0, -41]]
    for wrong in (1.5, None, [[0, 1]], [0.5]):
        with pytest.raises(UsageError, match="expected a place"):
            stamps[wrong]
    for channel in (5, -1):
        with pytest.raises(UsageError, match=f"channel = {channel}: .* counted from 0"):
            stamps.cutout(0, channel=channel)
    with pytest.raises(UsageError, match="plane 'weight': expected one of data, noise, flags"):
        stamps.plane(0, "weight")
    with pytest.raises(NotFoundError, match="nobody"):
        stamps["nobody"]
    for radius in (-1, float("nan")):
        with pytest.raises(UsageError, match=r"radius_arcsec = .*: expected 0 or more"):
            stamps.find_near(10.0, -5.0, radius)
    arguments: list[dict[str, int]] = [{"size": 0}, {"seed": -1}, {"shuffle": -1}]
    for given in arguments:
        with pytest.raises(UsageError, match=f"{next(iter(given))} = .*: expected"):
            stamps.iter_batches(**given)


def test_planes_that_a_run_did_not_make_are_told(sky: pd.DataFrame, tmp_path: Path) -> None:
    read = run(sky.head(3), tmp_path / "f", **COLOURS, **WAYS["batches"])
    with pytest.raises(NotFoundError, match="has no noise; the run's setting `planes` asks for it"):
        read.plane(0, "noise")


def test_ids_that_look_like_numbers_are_ids(tiles: Any, tmp_path: Path) -> None:
    frame = tiles.frame.head(9).assign(SourceID=range(8, -1, -1))
    stamps = run(frame, tmp_path / "z")
    place = stamps.find("7")
    assert stamps.table["catalogue_row"][place] == 1
    np.testing.assert_array_equal(stamps.by_id(7), stamps.images[place])
    np.testing.assert_array_equal(stamps.by_id("7"), stamps["7"])
    with pytest.raises(NotFoundError, match="'9'"):
        stamps.by_id(9)


@pytest.mark.parametrize("way", WAYS)
def test_ids_that_fits_has_no_signs_for_are_still_found(tiles: Any, tmp_path: Path, way: str) -> None:
    ids = ["two\nlines", "tab\tin", "étoile", "O'Brien", "'" * 67, "x" * 33 + "'" * 40, "\x7f", "50%"]
    frame = tiles.frame.head(len(ids)).assign(SourceID=ids)
    read, arrays = run(frame, tmp_path / "f", **WAYS[way]), run(frame, tmp_path / "z")
    for source in ids:
        np.testing.assert_array_equal(read[source], arrays[source])
        one = read.table.iloc[read.find(source)]
        with fits.open(read.path / one["file"]) as hdus:
            hdus.verify("exception")
            head = hdus[one["hdu"] if way == "batches" else 0].header
            plain = "".join(c if " " <= c <= "~" else "?" for c in source)
            assert plain.startswith(head["SOURCE"])
            assert len(head["SOURCE"]) >= min(len(plain), 33)


def test_half_a_quote_never_ends_a_card() -> None:
    """Astropy reads each card back as the longest beginning of the text that has room."""
    for before in range(60, 70):
        for quotes in range(6):
            text = "x" * before + "'" * quotes + "y"
            read = fits.Card.fromstring(write_card("SOURCE", text, "c"))
            read.verify("exception")
            room = next(n for n in range(len(text), 0, -1) if len(text[:n].replace("'", "''")) <= 68)
            assert read.value == text[:room]


@pytest.mark.parametrize("way", [*WAYS, "zarr"])
def test_sources_that_fail_leave_the_others_in_place(
    tiles: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    short = tmp_path / "short.fits"
    short.write_bytes(tiles.paths[0].read_bytes())
    own = tiles.tile[:40] == 0
    frame = tiles.frame.head(40).assign(diameter_pixel=16)
    frame.loc[own, "fits_file_paths"] = str(short)
    orchestrator = Orchestrator(make_config(**WAYS.get(way, {})), output=tmp_path / "f")
    prepare = orchestrator._prepare

    def damage(*args: Any, **options: Any) -> Any:
        with short.open("r+b") as stream:
            stream.truncate(20_000)
        return prepare(*args, **options)

    monkeypatch.setattr(orchestrator, "_prepare", damage)
    assert orchestrator.execute(frame)["failed"] == own.sum() > 0
    read = bulk.open(tmp_path / "f")
    for place, one in read.table.iterrows():
        if own[one["catalogue_row"]]:
            assert one["source_id"] not in read
            for key in (place, one["source_id"], [place], slice(0, place + 1)):
                with pytest.raises(NotFoundError, match=r"failed: .*beyond the end of the file"):
                    read[key]
        else:
            assert one["source_id"] in read
            box = np.s_[one["y0"] : one["y0"] + 16, one["x0"] : one["x0"] + 16]
            pixels = tiles.pixels[tiles.tile[one["catalogue_row"]]][box]
            np.testing.assert_array_equal(read[place][..., 0], pixels)
    for shuffle in (False, True):
        batches = list(read.iter_batches(9, shuffle=shuffle))
        seen = np.concatenate([rows for _, rows in batches])
        assert sorted(seen) == np.flatnonzero(read.table["status"] == "written").tolist()
        np.testing.assert_array_equal(np.concatenate([images for images, _ in batches]), read[seen])

"""Bulk cutouts of what an archive holds, against its images' own cutouts one by one, on both databases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from snapdb import bulk
from snapdb.archive.archive import Archive
from snapdb.bulk.running.orchestrator import Orchestrator
from snapdb.bulk.settings.config import Config, get_default_config
from snapdb.registry import Registry
from snapdb.storage import LocalStore
from snapdb.testing.skies import Survey, make_survey

SIDE = 17


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """Four nights: plain, gzipped and tile-compressed files."""
    return make_survey(tmp_path_factory.mktemp("survey"), epochs=4, stars=20)


@pytest.fixture(scope="module")
def archive(
    module_registry: Registry, survey: Survey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archive]:
    """An archive of the survey, on either database."""
    with Archive(module_registry, LocalStore(tmp_path_factory.mktemp("store"))) as made:
        made.ingest(survey.files, jobs=1)
        yield made


@pytest.fixture(scope="module")
def sources(archive: Archive) -> pd.DataFrame:
    """Positions inside the first image of each band, and one where there is none."""
    rng = np.random.default_rng(21)
    rows = []
    for image in archive.find_images(order_by="mjd")[:6]:
        width, height = image.width - 21, image.height - 21
        rows += [image.pixel_to_world(rng.uniform(20, width), rng.uniform(20, height)) for _ in range(5)]
    frame = pd.DataFrame(rows, columns=["RA", "Dec"])
    frame["SourceID"] = [f"s{i}" for i in range(len(frame))]
    frame["diameter_pixel"] = SIDE
    away = pd.DataFrame({"RA": [1.0], "Dec": [-89.0], "SourceID": ["away"], "diameter_pixel": [SIDE]})
    return pd.concat([frame, away], ignore_index=True)


def make_config(**values: Any) -> Config:
    """Settings that change no pixel."""
    config = get_default_config()
    config.apply_flux_conversion = False
    config.normalisation_method = "none"
    config.target_resolution = SIDE
    for name, value in values.items():
        config[name] = value
    return config


def expected(image: Any, ra: float, dec: float) -> Any:
    """Cut one stamp by the archive's own way."""
    return image.get_ra_dec_cutout(ra, dec, SIDE, mode="partial", fill_value=0.0)


def choose(archive: Any, rule: str, ra: float, dec: float) -> list[Any]:
    """Choose images by brute force."""
    images = [i for i in archive.find_images(ra=ra, dec=dec, order_by="mjd") if i.record.kind != "cutout"]
    images.sort(key=lambda i: (i.record.mjd, i.record.id))
    if rule == "all":
        return images
    if rule == "first":
        return images[:1]
    if rule == "deepest":
        return [max(images, key=lambda i: i.record.exptime or 0.0)]

    def margin(image: Any) -> float:
        x, y = image.world_to_pixel(ra, dec)
        edge = min(x, image.record.width - 1 - x, y, image.record.height - 1 - y)
        return float(round(edge * image.record.pixel_scale, 2))

    return [max(images, key=margin)]


@pytest.mark.parametrize("rule", ["first", "deepest", "best_centred", "all"])
def test_stamps_are_those_of_the_chosen_images(
    archive: Archive, sources: pd.DataFrame, tmp_path: Path, rule: str
) -> None:
    result = Orchestrator(make_config(choose=rule), archive=archive, output=tmp_path / "s.zarr").execute(
        sources
    )
    assert result["refused"] == 1
    assert result["failed"] == 0
    report = pd.read_csv(result["report"])
    assert report["source_id"].tolist() == ["away"]
    assert report["code"].tolist() == ["no_image"]
    stamps = bulk.open(tmp_path / "s.zarr")
    for row in range(len(sources) - 1):
        ra, dec = sources.loc[row, ["RA", "Dec"]]
        wanted = choose(archive, rule, ra, dec)
        own = stamps.table[stamps.table["catalogue_row"] == row]
        assert sorted(own["image_ids"]) == sorted(str(i.id) for i in wanted)
        for image in wanted:
            place = own[own["image_ids"] == str(image.id)]["row"].iloc[0]
            np.testing.assert_array_equal(
                stamps[int(place)][..., 0], np.nan_to_num(expected(image, ra, dec).data, nan=np.nan)
            )


def test_all_images_of_a_source_in_one_file_have_names_of_their_own(
    archive: Archive, sources: pd.DataFrame, tmp_path: Path
) -> None:
    config = make_config(choose="all", output_format="fits", fits_batches=True)
    Orchestrator(config, archive=archive, output=tmp_path / "f").execute(sources)
    stamps = bulk.open(tmp_path / "f")
    assert stamps.table["source_id"].duplicated().any()
    for file, group in stamps.table.groupby("file"):
        with fits.open(tmp_path / "f" / file) as hdus:
            names = [(h.name, h.ver) for h in hdus[1:]]
            assert len(set(names)) == len(names) == len(group)
            for source, rows in group.groupby("source_id", sort=False):
                for version, (place, row) in enumerate(rows.iterrows(), start=1):
                    hdu = hdus[source, version]
                    assert hdu.header["IMAGEID"] == row["image_ids"]
                    np.testing.assert_array_equal(hdu.data, stamps[place][..., 0])


def test_noise_and_flags_are_those_of_the_image(
    archive: Archive, sources: pd.DataFrame, tmp_path: Path
) -> None:
    config = make_config(choose="first", planes=["data", "noise", "flags"])
    Orchestrator(config, archive=archive, output=tmp_path / "s.zarr").execute(sources)
    stamps = bulk.open(tmp_path / "s.zarr")
    assert len(stamps)
    for row in range(len(stamps)):
        one = stamps.table.iloc[row]
        cutout = archive.get_image(one["image_ids"]).get_ra_dec_cutout(
            one["ra"], one["dec"], SIDE, mode="partial"
        )
        inside = stamps.table.iloc[row]["outside_fraction"] == 0
        if inside and cutout.noise is not None:
            np.testing.assert_allclose(stamps.noise[row][..., 0], cutout.noise, rtol=1e-6)
        if inside and cutout.flags is not None:
            np.testing.assert_array_equal(stamps.flags[row], cutout.flags)
        assert stamps.cutout(row).world_to_pixel(one["ra"], one["dec"]) == pytest.approx(
            cutout.world_to_pixel(one["ra"], one["dec"]), abs=1e-7
        )


def test_criteria_narrow_the_images(archive: Archive, sources: pd.DataFrame, tmp_path: Path) -> None:
    band = archive.find_images(order_by="mjd")[0].band
    config = make_config(choose="all", criteria={"band": band})
    result = Orchestrator(config, archive=archive, output=tmp_path / "s.zarr").execute(sources)
    table = pd.read_parquet(result["mapping_parquet"])
    assert {archive.get_image(i).band for i in table["image_ids"]} == {band}


def test_bands_become_channels(archive: Archive, sources: pd.DataFrame, tmp_path: Path) -> None:
    bands = sorted({str(i.band) for i in archive.find_images()})[:2]
    config = make_config(choose="first", channel_weights={bands[0]: [1.0, 0.0], bands[1]: [0.0, 1.0]})
    result = Orchestrator(config, archive=archive, output=tmp_path / "s.zarr").execute(sources)
    stamps = bulk.open(tmp_path / "s.zarr")
    assert result["written"] + result["refused"] == len(sources)
    for row in range(len(stamps)):
        one = stamps.table.iloc[row]
        for channel, image_id in enumerate(one["image_ids"].split(",")):
            image = archive.get_image(image_id)
            assert image.band == bands[channel]
            cutout = expected(image, one["ra"], one["dec"])
            np.testing.assert_array_equal(stamps[row][..., channel], cutout.data)


def test_who_may_only_read_gets_stamps_all_the_same(
    registry_url: str, survey: Survey, tmp_path: Path
) -> None:
    with Archive(Registry.open(registry_url), LocalStore(tmp_path / "store")) as owner:
        owner.ingest(survey.files[:1], jobs=1)
        image = owner.find_images()[0]
        ra, dec = image.pixel_to_world(image.width / 2, image.height / 2)
    frame = pd.DataFrame({"RA": [ra], "Dec": [dec], "SourceID": ["s"], "diameter_pixel": [SIDE]})
    with Archive(Registry.open(registry_url, read_only=True), LocalStore(tmp_path / "store")) as reader:
        result = Orchestrator(make_config(), archive=reader, output=tmp_path / "s.zarr").execute(frame)
        assert (result["status"], result["written"]) == ("completed", 1)
        assert "read" in result["unregistered"] or "cannot be written" in result["unregistered"]
        assert [p for p in reader.find_provenances() if p.process == "bulk_cutouts"] == []
    with Archive(Registry.open(registry_url), LocalStore(tmp_path / "store")) as owner:
        result = Orchestrator(make_config(), archive=owner, output=tmp_path / "t.zarr").execute(frame)
        assert result["unregistered"] == ""
        assert [p for p in owner.find_provenances() if p.process == "bulk_cutouts"]
    np.testing.assert_array_equal(bulk.open(tmp_path / "s.zarr")[0], bulk.open(tmp_path / "t.zarr")[0])


def test_a_run_is_known_by_its_provenance(archive: Archive, sources: pd.DataFrame, tmp_path: Path) -> None:
    from snapdb.bulk.catalogue.configured import open_catalogue
    from snapdb.bulk.planning.choosing import plan_run
    from snapdb.bulk.planning.recipe import Recipe
    from snapdb.bulk.running.register import register_run

    config = make_config()
    Orchestrator(config, archive=archive, output=tmp_path / "s.zarr").execute(sources)
    plan = plan_run(open_catalogue(config, sources), Recipe.from_config(config), archive)
    made = register_run(archive, config, plan)
    found = archive.get_provenance(made.id)
    assert (found.process, found.params["target_resolution"]) == ("bulk_cutouts", SIDE)
    assert [u.process for u in found.upstreams] == ["ingest"]


def test_a_changed_file_costs_its_sources_alone(
    registry: Registry, survey: Survey, sources: pd.DataFrame, tmp_path: Path
) -> None:
    import shutil

    copies = tmp_path / "copies"
    copies.mkdir()
    files = [Path(shutil.copy2(f, copies)) for f in survey.files]
    with Archive(registry, LocalStore(tmp_path / "store")) as archive:
        archive.ingest(files, jobs=1)
        before = Orchestrator(make_config(), archive=archive, output=tmp_path / "a.zarr").execute(sources)
        assert before["failed"] == 0
        table = pd.read_parquet(before["mapping_parquet"])
        name = table["tile"].iloc[0]
        changed = next(f for f in files if f.name == name)
        with changed.open("ab") as stream:
            stream.write(bytes(2880))
        after = Orchestrator(make_config(), archive=archive, output=tmp_path / "b.zarr").execute(sources)
        assert after["failed"] == (table["tile"] == name).sum()
        failed = pd.read_csv(after["report"])
        assert failed[failed["code"] == "failed"]["reason"].str.contains("changed").all()


def test_files_that_are_registered_have_their_registered_zero_points(
    module_registry: Registry, tmp_path: Path
) -> None:
    """Oracle: what the archive's image says; without the archive, the card of the header."""
    rng = np.random.default_rng(4)
    header = fits.Header()
    cards = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 212.0, "CRVAL2": 31.0, "CRPIX1": 30.0,
        "CRPIX2": 30.0, "CDELT1": -1e-4, "CDELT2": 1e-4, "EXPTIME": 100.0, "MAGZERO": 24.0,
        "DATE-OBS": "2024-02-03T04:05:06", "FILTER": "r",
    }  # fmt: skip
    header.update(cards)
    path = tmp_path / "frame.fits"
    fits.PrimaryHDU(rng.normal(100.0, 5.0, (60, 60)).astype(np.float32), header).writeto(path)
    archive = Archive(module_registry, LocalStore(tmp_path / "store"))
    # The header names no instrument; whoever registers it knows that its pixels are counts a second.
    archive.ingest([path], instrument="90prime", jobs=1)
    (image,) = archive.find_images(ra=212.0, dec=31.0)
    assert image.zeropoint == pytest.approx(29.0)
    place = {"SourceID": ["a"], "RA": [212.0], "Dec": [31.0], "diameter_pixel": [SIDE]}
    named = pd.DataFrame({**place, "fits_file_paths": [str(path)]})
    config = make_config(apply_flux_conversion=True, flux_unit="nJy")
    zeropoints = []
    for number, (frame, known) in enumerate(
        [(pd.DataFrame(place), archive), (named, archive), (named, None)]
    ):
        output = tmp_path / f"{number}.zarr"
        Orchestrator(config, archive=known, output=output).execute(frame)
        images = pd.read_parquet(output / "images.parquet")
        zeropoints.append((images["zeropoint"][0], images["zeropoint_from"][0]))
    assert zeropoints == [(29.0, "registry"), (29.0, "registry"), (24.0, "header: MAGZERO of HDU 0")]
    fits.setval(path, "MAGZERO", value=23.0)  # another file now: what was registered does not speak of it
    Orchestrator(config, archive=archive, output=tmp_path / "s.zarr").execute(named)
    assert pd.read_parquet(tmp_path / "s.zarr" / "images.parquet")["zeropoint"][0] == 23.0

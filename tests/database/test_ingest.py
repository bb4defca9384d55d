"""From files to rows to pixels, on both databases."""

import copy
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

import snapdb
from snapdb.archive.archive import Archive
from snapdb.errors import (
    ChangedFileError,
    ConflictError,
    NotFoundError,
    ObjectExistsError,
    ObjectMissingError,
    RegistryClosedError,
    SearchError,
    UsageError,
)
from snapdb.registry import Registry
from snapdb.storage import LocalStore


@pytest.fixture
def archive(registry: Registry, tmp_path: Path) -> Archive:
    """An archive on either database."""
    return Archive(registry, LocalStore(tmp_path / "store"))


def write_image(path: Path, *, ra: float = 10.0, dec: float = -5.0, **facts: Any) -> Path:
    """Write an image of 50 x 40 pixels of 0.36 arcsec, each pixel's value telling its place."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [25.0, 20.0]
    wcs.wcs.cdelt = [-1e-4, 1e-4]
    y, x = np.indices((40, 50))
    data = (100.0 * y + x).astype(np.float32)
    known: dict[str, Any] = {"band": "r", "mjd": 60000.0, "exptime": 30.0, "zeropoint": 25.0, **facts}
    image = snapdb.Image(
        data=data, noise=np.ones_like(data), flags=np.zeros((40, 50), np.int16), wcs=wcs, **known
    )
    return image.save(path=path)[0]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three epochs of one field, one of another, and a file that is no image."""
    folder = tmp_path / "data"
    made = [
        write_image(folder / f"e{i}.fits", mjd=60000.0 + i, band="rgi"[i], observation_id=f"o{i}")
        for i in range(3)
    ]
    made.append(write_image(folder / "far.fits", ra=200.0, dec=60.0, observation_id="far"))
    bad = folder / "bad.fits"
    bad.write_text("<html>gone</html>")
    return [*made, bad]


def test_each_file_has_an_outcome_and_doing_it_again_changes_nothing(
    archive: Archive, files: list[Path]
) -> None:
    report = archive.ingest(files[0].parent)
    assert report.counts == {"registered": 4, "unchanged": 0, "updated": 0, "refused": 1}
    (refused,) = report.refused
    assert refused.path.endswith("bad.fits")
    assert refused.code == "unknown_format"
    before = archive.find_records(order_by="id")
    again = archive.ingest(files)
    assert again.counts == {"registered": 0, "unchanged": 4, "updated": 0, "refused": 1}
    assert archive.find_records(order_by="id") == before
    assert set(again.image_ids) == {r.id for r in before}


def test_report_is_json_lines(archive: Archive, files: list[Path], tmp_path: Path) -> None:
    path = archive.ingest(files).write(tmp_path / "r.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [Path(line["path"]).name for line in lines if line["outcome"] == "refused"] == ["bad.fits"]
    assert all(line["image_ids"] for line in lines if line["outcome"] == "registered")


def test_find_by_position_and_facts(archive: Archive, files: list[Path]) -> None:
    archive.ingest(files)
    here = archive.find_images(ra=10.0, dec=-5.0, order_by="-mjd")
    assert [i.mjd for i in here] == [60002.0, 60001.0, 60000.0]
    assert [i.band for i in archive.find_images(ra=10.0, dec=-5.0, band=["g", "i"], order_by="mjd")] == [
        "g",
        "i",
    ]
    assert archive.count_images(dec_min=0) == 1
    assert archive.find_images(ra=10.0, dec=5.0) == []
    assert {i.filename for i in archive.find_images(mjd_min="2023-02-26")} == {"e1.fits", "e2.fits"}
    assert snapdb.Image.find_images(band="g", dbclient=archive)[0].observation_id == "o1"
    assert snapdb.Image.get_image(str(here[0].id), dbclient=archive).id == here[0].id


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        ({"colour": "r"}, "colour"),
        ({"ra": 10.0, "dec": 91.0}, "dec"),
        ({"ra": float("nan"), "dec": 0.0}, "ra"),
        ({"ra": 10.0}, "dec"),
        ({"mjd_min": "yesterday"}, "mjd_min"),
        ({"order_by": "colour"}, "colour"),
    ],
)
def test_bad_criteria_are_refused_by_name(archive: Archive, criteria: dict[str, Any], said: str) -> None:
    with pytest.raises(SearchError, match=said):
        archive.find_images(**criteria)


def test_unknown_band_finds_nothing_and_unknown_tag_is_an_error(archive: Archive, files: list[Path]) -> None:
    archive.ingest(files)
    assert archive.find_images(band="Z") == []
    with pytest.raises(NotFoundError, match="dr9"):
        archive.find_images(provenance_tag="dr9", process="ingest")


def test_cutout_of_a_registered_image_reads_its_box(archive: Archive, files: list[Path]) -> None:
    archive.ingest(files)
    (image,) = archive.find_images(band="g")
    cutout = image.get_ra_dec_cutout(10.0, -5.0, 5)
    np.testing.assert_array_equal(cutout.data, image.data[17:22, 22:27])
    assert cutout.noise is not None
    assert cutout.flags is not None
    assert cutout.parent_id == image.id
    image.free()
    assert image.plane_names == ("data", "noise", "flags")


def test_provenances_are_apart(archive: Archive, files: list[Path]) -> None:
    first, second = (snapdb.Provenance("reduce", 1, minor) for minor in (0, 1))
    archive.ingest(files[:1], provenance=first)
    report = archive.ingest(files[:1], provenance=second)
    assert report.counts["registered"] == 1
    archive.add_provenance(second, tag="dr2")
    assert [i.provenance_id for i in archive.find_images(provenance_tag="dr2", process="reduce")] == [
        second.id
    ]
    assert archive.count_images() == 2
    assert archive.count_images(provenance=[first, str(second.id)]) == 2
    assert archive.find_images(provenance=str(second.id)[:13])[0].provenance_id == second.id
    archive.registry.tag_provenance("dr1", second)
    named = archive.find_images(provenance=[f"dr1:{second.process}"])
    assert [image.provenance_id for image in named] == [second.id]
    with pytest.raises(UsageError, match="'x' names no provenance; expected an id"):
        archive.count_images(provenance="x")
    assert archive.count_images(process="reduce") == 2
    assert archive.count_images(process="other") == 0
    assert archive.get_provenance(second.id) == second


def test_provenance_that_must_or_must_not_be_there(archive: Archive) -> None:
    raw = snapdb.Provenance("camera", 1, 0)
    reduced = snapdb.Provenance("reduce", 1, 0, params={"flat": "a"}, upstreams=[raw])
    with pytest.raises(NotFoundError):
        archive.add_provenance(reduced, exists=True)
    archive.add_provenance(reduced, exists=False, tag="dr1")
    with pytest.raises(ConflictError):
        archive.add_provenance(reduced, exists=False)
    archive.add_provenance(reduced, exists=True)
    assert archive.get_provenance(reduced.id).upstreams == (raw,)
    assert [p.id for p in archive.find_provenances(process="camera")] == [raw.id]
    better = snapdb.Provenance("reduce", 1, 1, upstreams=[raw])
    with pytest.raises(ConflictError, match="dr1"):
        archive.add_provenance(better, tag="dr1")
    archive.add_provenance(better, tag="dr1", replace=True)
    assert archive.get_tagged("dr1", "reduce") == better
    assert [c.provenance_id for c in archive.tag_history("dr1", "reduce")] == [reduced.id, better.id]


def test_changed_file_is_noticed_and_updated_when_asked(archive: Archive, files: list[Path]) -> None:
    archive.ingest(files[:1])
    (image,) = archive.find_images()
    files[0].unlink()
    write_image(files[0], band="z", observation_id="o0")
    with pytest.raises(ChangedFileError, match="snapdb ingest --update"):
        _ = image.data
    (refused,) = archive.ingest(files[:1]).refused
    assert refused.code == "changed_file"
    assert archive.ingest(files[:1], update=True).counts["updated"] == 1
    (now,) = archive.find_images()
    assert (now.id, now.band) == (image.id, "z")
    assert now.data[1, 1] == 101.0


def test_file_that_was_only_touched_is_unchanged(archive: Archive, files: list[Path]) -> None:
    archive.ingest(files[:1])
    os.utime(files[0], (1e9, 1e9))
    assert archive.ingest(files[:1]).counts["unchanged"] == 1
    assert archive.find_images()[0].data[2, 3] == 203.0


def test_file_that_is_gone_is_named(archive: Archive, files: list[Path]) -> None:
    archive.ingest(files[:1])
    files[0].unlink()
    with pytest.raises(ObjectMissingError, match=r"e0\.fits"):
        _ = archive.find_images()[0].data
    assert archive.ingest(files[:1]).refused[0].code == "object_missing"


@pytest.mark.parametrize("placement", ["copy", "link"])
def test_files_are_brought_into_the_store(archive: Archive, files: list[Path], placement: str) -> None:
    archive.ingest(files[:2], placement=placement)  # type: ignore[arg-type]
    shutil.rmtree(files[0].parent)
    images = archive.find_images(order_by="mjd")
    assert len(images) == 2
    for image in images:
        assert image.full_filepath is not None
        assert image.full_filepath.is_relative_to(archive.store.base)
        assert image.filepath is not None
        assert not image.filepath.is_absolute()
        assert image.data[0, 7] == 7.0


def test_dry_run_writes_nothing(archive: Archive, files: list[Path]) -> None:
    report = archive.ingest(files, dry_run=True)
    assert report.counts["registered"] == 4
    assert archive.count_images() == 0
    assert archive.registry.find_provenances() == []


def test_stop_at_the_first_bad_file(archive: Archive, files: list[Path]) -> None:
    report = archive.ingest([files[-1], *files[:-1]], on_error="stop")
    assert report.stopped
    assert len(report.refused) == 1


def test_a_name_that_is_not_utf_8_costs_itself_alone(
    archive: Archive, files: list[Path], tmp_path: Path
) -> None:
    # Oracle: the names as the shell's $'...' writes them; the other files' outcomes without these.
    folder = tmp_path / "odd"
    (folder / os.fsdecode(b"deep\xe9")).mkdir(parents=True)
    for name in (b"latin\xe9.fits", b"deep\xe9/a.fits"):
        shutil.copy(files[0], folder / os.fsdecode(name))
    report = archive.ingest([folder, *files], jobs=1)
    assert report.counts == {"registered": 4, "unchanged": 0, "updated": 0, "refused": 3}
    told = {outcome.path: outcome.reason for outcome in report.refused}
    for shown in ("deep\\xe9/a.fits", "latin\\xe9.fits"):
        assert "not UTF-8; rename it" in str(told[f"{folder}/{shown}"])
    assert archive.registry.find_files([os.fsdecode(b"latin\xe9.fits")]) == {}
    with pytest.raises(UsageError, match="not UTF-8"):
        archive.find_images(band=os.fsdecode(b"\xe9"))
    lines = report.write(tmp_path / "report.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["path"] for line in lines] == [outcome.path for outcome in report.outcomes]


def test_three_file_set_is_one_image(archive: Archive, tmp_path: Path) -> None:
    whole = snapdb.Image(write_image(tmp_path / "whole.fits"))
    folder = tmp_path / "set"
    whole.save(
        imagepath=folder / "a_image.fits",
        noisepath=folder / "a_noise.fits",
        flagspath=folder / "a_flags.fits",
    )
    report = archive.ingest(folder)
    assert report.counts["registered"] == 3
    (image,) = archive.find_images()
    assert image.plane_names == ("data", "noise", "flags")
    np.testing.assert_array_equal(image.noise, whole.noise)
    assert archive.ingest(folder).counts["unchanged"] == 3


def test_companion_that_comes_later_joins_its_image(archive: Archive, tmp_path: Path) -> None:
    whole = snapdb.Image(write_image(tmp_path / "whole.fits"))
    folder = tmp_path / "set"
    whole.save(imagepath=folder / "a_image.fits", which="data")
    archive.ingest(folder)
    (before,) = archive.find_images()
    assert before.plane_names == ("data",)
    whole.save(which="noise", noisepath=folder / "a_noise.fits")
    assert archive.ingest(folder).counts["updated"] == 2
    (after,) = archive.find_images()
    assert (after.id, after.plane_names) == (before.id, ("data", "noise"))
    assert archive.ingest(folder).counts["unchanged"] == 2


def test_bad_companion_costs_itself_alone(archive: Archive, tmp_path: Path) -> None:
    whole = snapdb.Image(write_image(tmp_path / "whole.fits"))
    folder = tmp_path / "set"
    whole.save(
        imagepath=folder / "a_image.fits",
        noisepath=folder / "a_noise.fits",
        which="all",
        flagspath=folder / "a_flags.fits",
    )
    (folder / "a_noise.fits").write_bytes((folder / "a_noise.fits").read_bytes()[:4000])
    report = archive.ingest(folder)
    assert [(Path(o.path).name, o.code) for o in report.refused] == [("a_noise.fits", "corrupt_file")]
    (image,) = archive.find_images()
    assert image.plane_names == ("data", "flags")
    assert archive.ingest(folder).counts == {"registered": 0, "unchanged": 2, "updated": 0, "refused": 1}


def test_second_encoding_of_an_exposure_is_registered_with_a_warning(
    archive: Archive, tmp_path: Path
) -> None:
    one = write_image(tmp_path / "a.fits", observation_id="o1", sca=3)
    archive.ingest(one)
    two = write_image(tmp_path / "b.fits", observation_id="o1", sca=3)
    (outcome,) = archive.ingest(two).outcomes
    assert str(outcome.outcome) == "registered"
    assert any("a.fits" in warning for warning in outcome.warnings)
    assert archive.count_images(observation_id="o1") == 2


def test_registering_by_hand(archive: Archive, files: list[Path]) -> None:
    provenance = snapdb.Provenance("by hand", 1, 0)
    image = snapdb.Image(files[0], band="special", provenance_id=provenance.id)
    with pytest.raises(NotFoundError, match=str(provenance.id)):
        image.save_to_db(archive)
    archive.add_provenance(provenance)
    saved = image.save_to_db(archive)
    assert (saved.band, saved.mjd) == ("special", 60000.0)
    assert image.save_to_db(archive).id == saved.id
    with pytest.raises(UsageError, match="provenance_id"):
        snapdb.Image(files[1]).save_to_db(archive)
    with pytest.raises(UsageError, match="no file"):
        snapdb.Image(data=np.ones((2, 2)), provenance_id=provenance.id).save_to_db(archive)
    more = [snapdb.Image(f, provenance_id=provenance.id) for f in files[1:3]]
    assert len(snapdb.Image.bulk_save_to_db(more, archive)) == 2
    broken = [
        snapdb.Image(files[3], provenance_id=provenance.id),
        snapdb.Image(files[4], provenance_id=provenance.id),
    ]
    with pytest.raises(ValueError, match=r"bad\.fits"):
        snapdb.Image.bulk_save_to_db(broken, archive)
    assert archive.count_images() == 3


def test_registered_files_are_never_written_over(archive: Archive, files: list[Path]) -> None:
    archive.ingest(files)
    image, other = archive.find_images(order_by="mjd", limit=2)
    cutout = image.get_cutout(20, 20, 5)
    for path in (image.full_filepath, other.full_filepath):
        with pytest.raises(ObjectExistsError):
            cutout.save(path=path, overwrite=True)
    (saved,) = cutout.save(path=files[0].parent / "stamp.fits")
    report = archive.ingest(saved)
    assert report.counts["registered"] == 1
    (again,) = archive.find_images(kind="cutout")
    np.testing.assert_array_equal(again.data, cutout.data)


def test_closed_archive_says_so(archive: Archive, files: list[Path]) -> None:
    archive.ingest(files)
    image = archive.find_images()[0]
    archive.close()
    with pytest.raises(RegistryClosedError):
        archive.find_images()
    with pytest.raises(RegistryClosedError):
        _ = image.data


def test_reading_in_processes_gives_the_same(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for i in range(30):
        write_image(folder / f"{i:02}.fits", mjd=60000.0 + i, observation_id=f"o{i}")
    report = archive.ingest(folder, jobs=2)
    assert report.counts["registered"] == 30
    assert [r.mjd for r in archive.find_records(order_by="mjd")] == [60000.0 + i for i in range(30)]


def test_registered_file_is_guarded_from_other_images(archive: Archive, files: list[Path]) -> None:
    archive.ingest(files)
    with pytest.raises(ObjectExistsError, match="registered"):
        snapdb.Image(data=np.ones((3, 3))).save(path=files[1], overwrite=True)
    if archive.url.startswith("sqlite"):
        with pytest.raises(ObjectExistsError, match="belongs to the registry"):
            snapdb.Image(data=np.ones((3, 3))).save(
                path=archive.url.removeprefix("sqlite:///"), overwrite=True
            )


def test_images_and_cutouts_travel_to_other_processes(archive: Archive, files: list[Path]) -> None:
    from loky import ProcessPoolExecutor

    archive.ingest(files)
    images = archive.find_images(ra=10.0, dec=-5.0, order_by="mjd")
    with ProcessPoolExecutor(1) as pool:
        stamps = list(pool.map(cut_there, images))
    for image, stamp in zip(images, stamps, strict=True):
        np.testing.assert_array_equal(stamp.data, image.get_ra_dec_cutout(10.0, -5.0, 5).data)
        assert stamp.parent.id == image.id
        assert stamp.archive is archive
    assert copy.copy(images[0]).archive is archive


def cut_there(image: snapdb.Image) -> snapdb.Cutout:
    """Cut in another process."""
    return image.get_ra_dec_cutout(10.0, -5.0, 5)


def test_subclass_finds_its_own_kind(archive: Archive, files: list[Path]) -> None:
    class Mine(snapdb.Image):
        """A user's image."""

    archive.ingest(files)
    (found,) = Mine.find_images(band="g", dbclient=archive)
    assert type(found) is Mine
    assert type(Mine.get_image(found.id, archive)) is Mine


def test_ingest_checks_what_it_is_told_before_the_files(archive: Archive, files: list[Path]) -> None:
    with pytest.raises(UsageError, match="jobs=0"):
        archive.ingest(files, jobs=0)
    with pytest.raises(ValueError, match="foo"):
        archive.ingest(files, instrument="foo")
    with pytest.raises(UsageError, match="placement"):
        archive.ingest(files, placement="move")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="provenance='x'"):
        archive.ingest(files, provenance="x")
    assert archive.count_images() == 0
    (refused,) = archive.ingest(str(files[0].parent / "*.none")).refused
    assert "matches no file" in str(refused.reason)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without an archive."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNAPDB_URL", raising=False)
    return tmp_path


def test_connect_without_an_archive_says_how_to_make_one(elsewhere: Path) -> None:
    with pytest.raises(ValueError, match="snapdb init"):
        snapdb.connect()
    with snapdb.init() as made:
        assert made.count_images() == 0
    with snapdb.connect() as found:
        assert found.url.endswith("snapdb-archive/registry.db")
    with pytest.raises(ValueError, match="no known kind"):
        snapdb.connect("mysql://host/db")


def test_update_reads_the_images_of_every_provenance_in_a_changed_file(
    archive: Archive, tmp_path: Path
) -> None:
    """Oracle: the pixels that were written; the file is longer and its planes lie elsewhere than before."""
    path = write_image(tmp_path / "e.fits")
    first, second, third = (snapdb.Provenance("reduce", 1, minor) for minor in range(3))
    for provenance in (first, second):
        archive.ingest(path, provenance=provenance)
    before = {image.provenance_id: image.id for image in archive.find_images()}
    with fits.open(path, mode="update") as hdus:
        for hdu in hdus:
            for _ in range(80):
                hdu.header.add_history("reduced again")
    assert archive.ingest(path, provenance=second).refused[0].code == "changed_file"
    report = archive.ingest(path, provenance=second, update=True)
    assert (report.counts["updated"], report.outcomes[0].image_ids) == (1, (before[second.id],))
    assert archive.ingest(path, provenance=third, update=True).counts["registered"] == 1
    y, x = np.indices((40, 50))
    images = archive.find_images()
    assert before == {i.provenance_id: i.id for i in images if i.provenance_id != third.id}
    assert len(images) == 3
    for image in images:
        np.testing.assert_array_equal(image.data, 100.0 * y + x)
        assert image.noise is not None
        assert np.all(image.noise == 1.0)


def test_changed_file_becomes_one_of_a_new_provenance_when_asked(archive: Archive, tmp_path: Path) -> None:
    """What is said under the old provenance is read again too. Oracle: the facts that were written."""
    path = write_image(tmp_path / "e.fits")
    old, new = (snapdb.Provenance("reduce", 1, minor) for minor in range(2))
    archive.ingest(path, provenance=old)
    path.unlink()
    write_image(path, band="z")
    refused = archive.ingest(path, provenance=new).refused
    assert "--update" in str(refused[0].reason)
    assert archive.ingest(path, provenance=new, update=True, dry_run=True).counts["refused"] == 0
    assert archive.ingest(path, provenance=new, update=True).counts["refused"] == 0
    assert {(i.provenance_id, i.band) for i in archive.find_images()} == {(old.id, "z"), (new.id, "z")}
    assert all(image.data[1, 1] == 101.0 for image in archive.find_images())


def test_update_that_would_lose_an_image_is_refused(archive: Archive, tmp_path: Path) -> None:
    """An image whose HDU is gone would be read from the bytes of another. Oracle: the files' making."""
    one = write_image(tmp_path / "one.fits")
    with fits.open(one) as hdus:
        data = [fits.ImageHDU(hdus[1].data + n, hdus[1].header, name="SCI", ver=n + 1) for n in range(2)]
        both = fits.HDUList([hdus[0].copy(), *data])
        both.writeto(tmp_path / "e.fits")
        path = tmp_path / "e.fits"
        archive.ingest(path)
        assert len(archive.find_images()) == 2
        fits.HDUList([hdus[0].copy(), data[0]]).writeto(path, overwrite=True)
    (refused,) = archive.ingest(path, update=True).refused
    assert "not found in them any more" in str(refused.reason)
    for image in archive.find_images():
        with pytest.raises(ChangedFileError):
            _ = image.data

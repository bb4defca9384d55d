"""Cutouts as registered products. The oracles are the parents' own pixels, numpy, astropy, and counting."""

import hashlib
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

import snapdb
from snapdb.archive import keeping
from snapdb.archive.archive import Archive
from snapdb.errors import (
    ConflictError,
    NotFoundError,
    ObjectExistsError,
    PartialOverlapError,
    UsageError,
)
from snapdb.model.provenance import Provenance
from snapdb.registry import Registry
from snapdb.storage import LocalStore
from snapdb.testing.skies import Survey, make_survey

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
TRAIN = Provenance("training-set", 3, 1, {"classes": ["SN", "AGN"]})


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """Two nights, of which a few files are taken."""
    return make_survey(tmp_path_factory.mktemp("survey"), epochs=2, stars=20)


@pytest.fixture
def archive(registry: Registry, survey: Survey, tmp_path: Path) -> Iterator[Archive]:
    """A few images of the supernova, of every container, on each database."""
    opened = Archive(registry, LocalStore(tmp_path / "store"))
    report = opened.ingest([survey.files[n] for n in (0, 2, 4)], jobs=1)
    assert not report.refused
    yield opened
    opened.close()


@pytest.fixture
def parent(archive: Archive) -> snapdb.Image:
    """The first image."""
    return archive.find_images(order_by="mjd")[0]


def files_in(archive: Archive) -> list[Path]:
    return sorted(p for p in (archive.store.base / "cutouts").rglob("*") if p.is_file())


def assert_same(one: snapdb.Image, other: snapdb.Image) -> None:
    assert one.plane_names == other.plane_names
    for name in one.plane_names:
        a, b = one.get_data(name)[0], other.get_data(name)[0]
        assert a is not None
        assert b is not None
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_a_saved_cutout_is_the_same_when_read_back(archive: Archive, parent: snapdb.Image) -> None:
    cutout = parent.get_cutout(40.3, 50.8, 21, 16)
    saved = keeping.save_cutout(archive, cutout)
    again = archive.get_image(saved.id)
    assert_same(again, cutout)
    for name in ("band", "mjd", "exptime", "zeropoint", "observation_id", "sca", "sky_level", "data_units"):
        assert again.fact(name) == parent.fact(name), name
    assert (again.kind, again.width, again.height) == ("cutout", 21, 16)
    assert dict(again.flag_bits) == dict(parent.flag_bits)
    assert again.bad_bits == parent.bad_bits
    box = cutout.box
    assert again.properties["cutout_parent"] == str(parent.id)
    assert (again.properties["cutout_x0"], again.properties["cutout_y0"]) == (box.x0, box.y0)
    # The parent's own coordinates at moved pixels are the oracle.
    x, y = np.meshgrid(np.linspace(-0.5, 20.5, 5), np.linspace(-0.5, 15.5, 5))
    ra, dec = parent.pixel_to_world(x + box.x0, y + box.y0)
    x1, y1 = again.world_to_pixel(ra, dec)
    assert np.abs(x1 - x).max() < 1e-9
    assert np.abs(y1 - y).max() < 1e-9
    assert again.ra_corner_00 == pytest.approx(parent.pixel_to_world(box.x0, box.y0)[0], abs=1e-12)


def test_the_file_says_what_it_is(archive: Archive, parent: snapdb.Image) -> None:
    saved = keeping.save_cutout(archive, parent.get_cutout(30, 30, 11))
    path = saved.full_filepath
    assert path is not None
    assert path.relative_to(archive.store.base).as_posix() == f"cutouts/{saved.id.hex[:2]}/{saved.id}.fits"
    with fits.open(path, checksum=True) as hdus:  # a wrong checksum would warn, and so fail
        primary = hdus[0].header
        assert primary["SDBID"] == str(saved.id)
        assert primary["SDBPROV"] == str(saved.provenance_id)
        assert primary["SDBINPUT"] == str(parent.id)
        assert [h.name for h in hdus[1:]] == ["SCI", "ERR", "DQ"]
        assert hdus["SCI"].header["SDBBAD"] == parent.bad_bits
    known, ids = archive.registry.find_files([archive.store.key_of(path)])[archive.store.key_of(path)]
    assert ids == (saved.id,)
    assert str(known.state) == "stored"
    assert known.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_is_found_by_kind_position_and_parent(archive: Archive, parent: snapdb.Image) -> None:
    cutout = parent.get_cutout(40, 50, 15)
    saved = keeping.save_cutout(archive, cutout)
    ra, dec = (float(v) for v in parent.pixel_to_world(40, 50))
    assert [i.id for i in archive.find_images(kind="cutout")] == [saved.id]
    assert [i.id for i in archive.find_images(ra=ra, dec=dec, kind="cutout")] == [saved.id]
    for x, y, inside in ((47.4, 50, True), (47.6, 50, False), (40, 42.6, True), (40, 42.4, False)):
        ra, dec = (float(v) for v in parent.pixel_to_world(x, y))
        assert bool(archive.find_images(ra=ra, dec=dec, kind="cutout")) is inside, (x, y)
    assert [r.id for r in archive.find_products(parent)] == [saved.id]
    assert [r.id for r in archive.find_images(properties={"cutout_parent": str(parent.id)})] == [saved.id]
    ancestry = archive.get_ancestry(saved)
    assert [one.image.id for one in ancestry.inputs] == [parent.id]
    assert ancestry.provenance.process == "cutout"
    assert [u.id for u in ancestry.provenance.upstreams] == [parent.provenance_id]


def test_a_kept_cutout_is_no_epoch_of_its_own(archive: Archive, parent: snapdb.Image) -> None:
    pytest.importorskip("mocpy")
    ra, dec = (float(v) for v in parent.pixel_to_world(40, 50))

    def count(**criteria: Any) -> tuple[int, ...]:
        epochs = archive.find_epochs(ra, dec, **criteria)
        assert parent.mjd is not None
        nearest = archive.find_nearest_in_time(parent.mjd, limit=9, **criteria)
        depth = archive.compute_depth(order=14, **criteria)
        pairs = archive.match(([ra], [dec]), **criteria).count()
        area = len(archive.compute_moc(max_order=14, **criteria).flatten())
        return sum(map(len, epochs.values())), len(nearest), pairs, int(depth.values.sum()), area

    before = count()  # the oracle: the archive without cutouts
    saved = [keeping.save_cutout(archive, parent.get_cutout(40, 50, n)) for n in (15, 17)]
    assert count() == before
    assert count(kind=["exposure", "cutout"])[:3] == tuple(n + len(saved) for n in before[:3])
    assert count(kind="cutout")[:3] == (2, 2, 2)
    ids = [i.id for images in archive.find_epochs(ra, dec, limit=1, offset=1).values() for i in images]
    (_, second, *_) = archive.find_images(ra=ra, dec=dec, kind="exposure", order_by="mjd")
    assert ids == [second.id]
    (nearest,) = archive.find_nearest_in_time(parent.mjd)
    assert nearest.id == parent.id


def test_asking_twice_costs_one_file_and_one_row(archive: Archive, parent: snapdb.Image) -> None:
    first = keeping.save_cutout(archive, parent.get_cutout(40, 50, 15))
    stamp = files_in(archive)[0].stat().st_mtime_ns
    for cutout in (
        parent.get_cutout(40.2, 49.9, 15),
        archive.get_image(parent.id).get_cutout(40, 50, 15, mode="partial"),
        parent.get_cutout(40, 50, 31).get_cutout(15, 15, 15),
    ):
        assert keeping.save_cutout(archive, cutout).id == first.id
    assert archive.count_images(kind="cutout") == 1
    assert [f.stat().st_mtime_ns for f in files_in(archive)] == [stamp]


def test_what_differs_is_another_product(archive: Archive, parent: snapdb.Image) -> None:
    other = archive.find_images(order_by="mjd")[1]
    noiseless = parent.get_cutout(40, 50, 15)
    noiseless.noise = None
    saved = [
        keeping.save_cutout(archive, parent.get_cutout(40, 50, 15)),
        keeping.save_cutout(archive, parent.get_cutout(41, 50, 15)),
        keeping.save_cutout(archive, parent.get_cutout(40, 50, 15, 17)),
        keeping.save_cutout(archive, other.get_cutout(40, 50, 15)),
        keeping.save_cutout(archive, parent.get_cutout(40, 50, 15), TRAIN),
        keeping.save_cutout(archive, noiseless),
        keeping.save_cutout(archive, parent.get_cutout(1, 50, 15, mode="partial")),
        keeping.save_cutout(archive, parent.get_cutout(1, 50, 15, mode="partial", fill_value=0.0)),
        keeping.save_cutout(archive, parent.get_cutout(1, 50, 15, mode="trim")),
    ]
    assert len({s.id for s in saved}) == len(saved) == archive.count_images(kind="cutout")
    assert len(files_in(archive)) == len(saved)
    assert saved[5].noise is None


def test_one_provenance_holds_for_a_kind_of_cut(archive: Archive) -> None:
    saved = [
        keeping.save_cutout(archive, i.get_cutout(40 + n, 50, 15))
        for n, i in enumerate(archive.find_images())
    ]
    assert len({s.provenance_id for s in saved}) == 1
    made_by = archive.get_provenance(str(saved[0].provenance_id))
    assert dict(made_by.params) == {
        "size": 15,
        "ysize": 15,
        "mode": "strict",
        "planes": ("data", "flags", "noise"),
    }


def test_a_box_beyond_the_edge_keeps_its_filling(archive: Archive, parent: snapdb.Image) -> None:
    cutout = parent.get_cutout(2, 3, 21, mode="partial")
    saved = keeping.save_cutout(archive, cutout)
    again = archive.get_image(saved.id)
    assert_same(again, cutout)
    assert np.isnan(again.data[:7]).all()
    assert dict(again.flag_bits) == dict(cutout.flag_bits)
    assert "NO_DATA" in again.flag_bits
    made_by = archive.get_provenance(str(saved.provenance_id))
    assert (made_by.params["mode"], made_by.params["fill_value"]) == ("partial", "nan")


def test_a_cutout_of_a_cutout_names_the_nearest_registered_one(
    archive: Archive, parent: snapdb.Image
) -> None:
    inner = parent.get_cutout(40, 50, 31).get_cutout(12, 17, 9)
    saved = keeping.save_cutout(archive, inner)
    assert archive.registry.get_inputs(saved.id) == (parent.id,)
    np.testing.assert_array_equal(saved.data, parent.data[inner.origin[1] :, inner.origin[0] :][:9, :9])
    kept = keeping.save_cutout(archive, parent.get_cutout(40, 50, 31))
    child = keeping.save_cutout(archive, kept.get_cutout(12, 17, 9))
    assert archive.registry.get_inputs(child.id) == (kept.id,)
    np.testing.assert_array_equal(child.data, saved.data)
    assert [one.image.id for one in archive.get_ancestry(child).walk()][-1] in (parent.id, child.id)
    assert {r.id for r in archive.find_products(parent)} == {saved.id, kept.id, child.id}


def test_filling_of_an_outer_cutout_is_no_pixel_of_the_parent(archive: Archive, parent: snapdb.Image) -> None:
    outer = parent.get_cutout(2, 50, 21, mode="partial")  # columns -8 to 12
    inner = outer.get_cutout(8, 10, 9)  # columns -4 to 4
    direct = parent.get_cutout(0, 50, 9, mode="partial")
    a, b = keeping.save_cutout(archive, inner), keeping.save_cutout(archive, direct)
    assert a.id == b.id
    with pytest.raises(UsageError, match="holds no pixel"):
        keeping.save_cutout(archive, outer.get_cutout(3, 10, 5))


def test_what_was_changed_in_memory_needs_a_provenance(archive: Archive, parent: snapdb.Image) -> None:
    cutout = parent.get_cutout(40, 50, 15)
    cutout.data[3, 4] += 1.0
    with pytest.raises(UsageError, match=r"data of .* no plain cutout") as caught:
        keeping.save_cutout(archive, cutout)
    assert caught.value.changed == "data"
    brighter = parent.get_cutout(40, 50, 15)
    brighter.zeropoint = 20.0
    with pytest.raises(UsageError, match="zeropoint of"):
        keeping.save_cutout(archive, brighter)
    assert files_in(archive) == []
    first = keeping.save_cutout(archive, cutout, TRAIN)
    second = keeping.save_cutout(archive, brighter, TRAIN)
    assert first.id != second.id
    np.testing.assert_array_equal(first.data, cutout.data)
    assert archive.get_image(second.id).zeropoint == 20.0
    assert archive.get_provenance(str(first.provenance_id)) == TRAIN


def test_what_has_no_registered_parent_is_refused(
    archive: Archive, parent: snapdb.Image, tmp_path: Path
) -> None:
    loose = snapdb.Image(data=np.ones((20, 20), dtype=np.float32), wcs=parent.get_wcs())
    with pytest.raises(UsageError, match="is not registered"):
        keeping.save_cutout(archive, loose.get_cutout(10, 10, 5))
    with pytest.raises(UsageError, match="cannot be saved as a cutout"):
        keeping.save_cutout(archive, parent)
    stranger = parent.get_cutout(40, 50, 15)
    with snapdb.init(tmp_path / "other") as other, pytest.raises(NotFoundError):
        keeping.save_cutout(other, stranger)
    with pytest.raises(NotFoundError):
        keeping.save_cutout(archive, stranger, "nightly:stamps")
    with pytest.raises(PartialOverlapError):
        parent.get_cutout(0, 0, 15)


def test_tags(archive: Archive, parent: snapdb.Image) -> None:
    saved = keeping.save_cutout(archive, parent.get_cutout(40, 50, 15), tag="stamps")
    assert archive.get_tagged("stamps", "cutout").id == saved.provenance_id
    assert [i.id for i in archive.find_images(provenance_tag="stamps", process="cutout")] == [saved.id]
    named = keeping.save_cutout(archive, parent.get_cutout(60, 50, 15), "stamps:cutout")
    assert named.provenance_id == saved.provenance_id
    with pytest.raises(ConflictError):
        keeping.save_cutout(archive, parent.get_cutout(40, 50, 17), tag="stamps")
    assert archive.count_images(kind="cutout") == 2


def test_a_path_elsewhere(archive: Archive, parent: snapdb.Image, tmp_path: Path) -> None:
    path = tmp_path / "mine" / "sn.fits"
    saved = keeping.save_cutout(archive, parent.get_cutout(40, 50, 15), path=path)
    assert saved.full_filepath == path
    assert files_in(archive) == []
    # Asked again with no path, or another: it is there already.
    assert keeping.save_cutout(archive, parent.get_cutout(40, 50, 15)).full_filepath == path
    elsewhere = keeping.save_cutout(archive, parent.get_cutout(40, 50, 15), path=tmp_path / "b.fits")
    assert elsewhere.full_filepath == path
    assert not (tmp_path / "b.fits").exists()
    before = path.read_bytes()
    with pytest.raises(ObjectExistsError):
        keeping.save_cutout(archive, parent.get_cutout(60, 50, 15), path=path)
    assert path.read_bytes() == before
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ObjectExistsError):
        keeping.save_cutout(archive, parent.get_cutout(60, 50, 15), path=tmp_path / "notes.txt")
    source = parent.full_filepath
    assert source is not None
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    with pytest.raises(ObjectExistsError):
        keeping.save_cutout(archive, parent.get_cutout(60, 50, 15), path=source)
    assert hashlib.sha256(source.read_bytes()).hexdigest() == digest


def test_planes_of_files_beside_it_are_not_taken_for_its_own(
    archive: Archive, parent: snapdb.Image, tmp_path: Path
) -> None:
    stranger = np.full((15, 15), 99.0, dtype=np.float32)
    fits.PrimaryHDU(stranger).writeto(tmp_path / "sn_noise.fits")
    cutout = parent.get_cutout(40, 50, 15)
    cutout.noise = None
    saved = keeping.save_cutout(archive, cutout, path=tmp_path / "sn_image.fits")
    assert saved.noise is None


def test_a_crash_between_file_and_row_is_made_good(
    archive: Archive, parent: snapdb.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    cutout = parent.get_cutout(40, 50, 15)
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "add_images", die)
        with pytest.raises(KeyboardInterrupt):
            keeping.save_cutout(archive, cutout)
    (left,) = files_in(archive)
    assert archive.count_images(kind="cutout") == 0
    stamp = left.stat().st_mtime_ns
    saved = keeping.save_cutout(archive, cutout)
    assert saved.full_filepath == left
    assert left.stat().st_mtime_ns == stamp
    assert_same(saved, cutout)


def test_a_crash_while_writing_leaves_nothing(
    archive: Archive, parent: snapdb.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    import snapdb.formats.write

    def die(out: Any, *_: Any, **__: Any) -> None:
        out.write(b"SIMPLE  =")
        raise KeyboardInterrupt

    cutout = parent.get_cutout(40, 50, 15)
    with monkeypatch.context() as patch:
        patch.setattr(snapdb.formats.write, "write_fits", die)
        with pytest.raises(KeyboardInterrupt):
            keeping.save_cutout(archive, cutout)
    assert files_in(archive) == []
    assert_same(keeping.save_cutout(archive, cutout), cutout)


def save_many(address: str, base: str, parent_id: str, start: Any, answers: Any) -> None:
    """Save the same ten boxes, all at the moment when the others begin too."""
    with Archive(Registry.open(address), LocalStore(Path(base))) as opened:
        parent = opened.get_image(parent_id)
        start.wait()
        answers.put(
            [str(keeping.save_cutout(opened, parent.get_cutout(30 + n, 40, 9)).id) for n in range(10)]
        )


def test_processes_that_save_the_same_at_once_agree(archive: Archive, parent: snapdb.Image) -> None:
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(3), context.Queue()
    given = (archive.registry.address, str(archive.store.base), str(parent.id), start, answers)
    workers = [context.Process(target=save_many, args=given) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0, 0]
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) == 10 == archive.count_images(kind="cutout") == len(files_in(archive))
    for image in archive.find_images(kind="cutout"):  # each row has the size and time of its file
        x0, y0 = image.properties["cutout_x0"], image.properties["cutout_y0"]
        np.testing.assert_array_equal(image.data, parent.data[y0 : y0 + 9, x0 : x0 + 9])


def test_moved_coordinates_need_a_provenance(archive: Archive, parent: snapdb.Image) -> None:
    wcs = parent.get_cutout(40, 50, 15).get_wcs().get_astropy_wcs()
    wcs.wcs.crval = wcs.wcs.crval + 1e-3
    cutout = parent.get_cutout(40, 50, 15)
    cutout._wcs = snapdb.Image(data=cutout.data, wcs=wcs).get_wcs()
    with pytest.raises(UsageError, match="the WCS of"):
        keeping.save_cutout(archive, cutout)
    moved = keeping.save_cutout(archive, cutout, TRAIN)
    plain = keeping.save_cutout(archive, parent.get_cutout(40, 50, 15), TRAIN)
    assert moved.id != plain.id
    ra, dec = wcs.all_pix2world([[7.0, 7.0]], 0)[0]
    assert moved.pixel_to_world(7.0, 7.0) == pytest.approx((ra % 360.0, dec), abs=1e-11)


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
@pytest.mark.parametrize(
    ("name", "tolerance_px"),
    [
        ("des/DES_r.fits", 1e-9),
        ("wcs_conventions/tnx.fits", 3e-9),  # 4e-14 degrees, the rounding of right ascension
        ("hsc_suprimecam/HSC-0908120-056-small.fits", 1e-9),
        ("hst/dist_lookup.fits.gz", 0.01),  # lookup tables are fitted
        ("spitzer/sipsample.fits", 1e-9),
    ],
)
def test_real_images(registry: Registry, tmp_path: Path, name: str, tolerance_px: float) -> None:
    path = DATA / name
    if not path.exists():
        path = next(DATA.rglob(Path(name).name))
    archive = Archive(registry, LocalStore(tmp_path / "store"))
    assert not archive.ingest(path, jobs=1).refused
    parent = archive.find_images()[0]
    for x, y in ((parent.width * 0.4, parent.height * 0.6), (1.0, 1.0)):
        cutout = parent.get_cutout(x, y, 31, 24, mode="partial")
        again = archive.get_image(keeping.save_cutout(archive, cutout).id)
        assert_same(again, cutout)
        px, py = (a.ravel() for a in np.meshgrid(np.linspace(0, 30, 4), np.linspace(0, 23, 4)))
        box = cutout.box
        back = again.world_to_pixel(*parent.pixel_to_world(px + box.x0, py + box.y0))
        assert np.hypot(back[0] - px, back[1] - py).max() < tolerance_px
    archive.close()

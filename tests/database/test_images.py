"""Images into and out of the registry, the same on both databases."""

import math
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from snapdb.errors import ConflictError, NotFoundError, SearchError, UsageError
from snapdb.model.file import FileState
from snapdb.model.image import FACT_NAMES, NewImage, NewPlane
from snapdb.model.layout import Codec, Meaning, PlaneLayout
from snapdb.model.outcome import OutcomeKind
from snapdb.model.provenance import Provenance
from snapdb.model.search import make_search
from snapdb.registry import Registry

MakeImage = Callable[..., NewImage]
FilesOf = Callable[..., dict[str, Any]]


@pytest.fixture
def filled(registry: Registry, ingest: Provenance) -> Registry:
    """A registry that knows the provenance of the images."""
    registry.add_provenance(ingest)
    return registry


def add(registry: Registry, files_of: FilesOf, *images: NewImage, **kw: Any) -> list[UUID]:
    return [added.id for added in registry.add_images(images, files_of(*images), **kw)]


def find(registry: Registry, **criteria: Any) -> list[str]:
    return [
        record.filepath.removeprefix("store/") for record in registry.find_images(make_search(**criteria))
    ]


def test_every_fact_comes_back(filled: Registry, make_image: MakeImage, files_of: FilesOf) -> None:
    noise = NewPlane(
        layout=PlaneLayout(
            name="noise",
            hdu=3,
            width=40,
            height=30,
            stored_dtype=">f4",
            dtype="float32",
            offset=11520,
            blank=-7,
            bscale=0.1,
            codec=Codec.FITS_TILES,
            compression="RICE_1",
            tile_shape=(1, 40),
            meaning=Meaning.INVERSE_VARIANCE,
            asinh=(1.5, 0.1),
        ),
        path="weights.fits",
    )
    image = make_image(
        "a.fits",
        ra=359.99999999999994,
        dec=-89.99999999999999,
        hdu=2,
        planes=(noise,),
        footprint=((350.1, -89.0), (10.3, -89.0), (20.0, -89.9)),
        position_angle=math.pi,
        pixel_scale=0.11,
        kind="coadd",
        observation_id="visit-1/é",
        sca=2**40,
        band="F158",
        mjd=60000.123456789012,
        exptime=1e-3,
        sky_level=-1.5,
        zeropoint=31.4,
        data_units="rate",
        instrument="roman",
        wcs_header="CTYPE1  = 'RA---TAN'\nCTYPE2  = 'DEC--TAN'",
        flag_bits={"SATURATED": 2, "NO_DATA": 2**40},
        bad_bits=2**40 + 2,
        properties={"OBSERVER": "A. N. Other", "deep": {"list": [1, 2.5, None, True]}},
        release_date=61000.5,
    )
    files = files_of(image)
    (added,) = filled.add_images([image], files)
    record = filled.get_image(added.id)
    assert {name: getattr(record, name) for name in FACT_NAMES} == asdict(image.facts)
    assert (record.id, record.provenance_id, record.filepath, record.hdu) == (
        added.id,
        image.provenance_id,
        "store/a.fits",
        2,
    )
    planes = filled.get_planes([added.id])[added.id]
    assert [p.layout for p in planes] == [p.layout for p in image.planes]
    assert [p.file_key for p in planes] == ["store/a.fits", "store/weights.fits"]
    assert {(p.file_size, p.file_mtime_ns) for p in planes} == {(8640, 1_600_000_000_000_000_000)}
    # Going to longitudes in [-180, 180] and back may cost the last bit.
    np.testing.assert_allclose(filled.get_footprint(added.id), image.footprint, rtol=0, atol=1e-13)


def test_adding_twice_changes_nothing(filled: Registry, make_image: MakeImage, files_of: FilesOf) -> None:
    images = [make_image(f"{n}.fits", sca=n, observation_id="1", band="r") for n in range(5)]
    first = filled.add_images(images, files_of(*images))
    again = filled.add_images(images[::-1], files_of(*images))
    assert {a.outcome for a in first} == {OutcomeKind.REGISTERED}
    assert {a.outcome for a in again} == {OutcomeKind.UNCHANGED}
    assert [a.id for a in again] == [a.id for a in first][::-1]
    assert filled.count_images(make_search()) == 5
    assert len({a.id for a in first}) == 5
    assert all(a.id.version == 7 for a in first)


def test_the_same_file_under_another_provenance_is_another_image(
    filled: Registry, make_image: MakeImage, files_of: FilesOf
) -> None:
    other = Provenance("ingest", 2)
    filled.add_provenance(other)
    first = add(filled, files_of, make_image(observation_id="1", sca=1, band="r"))
    second = add(filled, files_of, make_image(observation_id="1", sca=1, band="r", provenance=other))
    assert first != second
    known = filled.find_files(["store/a.fits", "store/none.fits"])
    assert known.keys() == {"store/a.fits"}
    assert set(known["store/a.fits"][1]) == {*first, *second}


def test_update_replaces_facts_planes_and_footprint(
    filled: Registry, make_image: MakeImage, files_of: FilesOf
) -> None:
    old = make_image("a.fits", ra=10, dec=20, band="r", observation_id="1", sca=1)
    (id_,) = add(filled, files_of, old, make_image("other.fits", ra=100, dec=0))[:1]
    mask = NewPlane(layout=replace(old.planes[0].layout, name="flags", hdu=1), path="a.fits")
    new = make_image("a.fits", ra=50, dec=-20, band="i", observation_id="1", sca=1, planes=(mask,))
    (added,) = filled.add_images([new], files_of(new, sha256="1" * 64), update=True)
    assert (added.id, added.outcome) == (id_, OutcomeKind.UPDATED)
    assert filled.get_image(id_).band == "i"
    assert [p.layout.name for p in filled.get_planes([id_])[id_]] == ["data", "flags"]
    assert find(filled, ra=10, dec=20) == []
    assert find(filled, ra=50, dec=-20) == ["a.fits"]
    assert filled.find_files(["store/a.fits"])["store/a.fits"][0].sha256 == "1" * 64


def test_other_bytes_are_refused_without_update(
    filled: Registry, make_image: MakeImage, files_of: FilesOf
) -> None:
    image = make_image()
    add(filled, files_of, image)
    with pytest.raises(ConflictError, match=r"store/a.fits has other bytes .*--update"):
        filled.add_images([image], files_of(image, sha256="1" * 64))


def test_a_second_file_of_one_exposure_is_told_of_the_first(
    filled: Registry, make_image: MakeImage, files_of: FilesOf
) -> None:
    add(filled, files_of, make_image("a.fits", observation_id="7", sca=3, band="r"))
    images = [make_image(f"{n}.fits", observation_id="7", sca=3, band=band) for n, band in ("br", "ci", "di")]
    added = filled.add_images(images, files_of(*images))
    assert [a.twin for a in added] == ["store/a.fits", None, "store/c.fits"]
    assert filled.count_images(make_search(observation_id="7")) == 4
    again = filled.add_images(images, files_of(*images))
    assert [a.twin for a in again] == [a.twin for a in added]


def test_one_image_given_twice_is_refused(filled: Registry, make_image: MakeImage, files_of: FilesOf) -> None:
    image = make_image("b.fits")
    with pytest.raises(ConflictError, match="HDU 0 was given twice"):
        filled.add_images([image, image], files_of(image))


@pytest.mark.parametrize(
    "facts", [{"sca": None}, {"observation_id": None}, {"band": None}, {"kind": "cutout"}]
)
def test_what_is_not_known_in_full_has_no_twin(
    filled: Registry, make_image: MakeImage, files_of: FilesOf, facts: dict[str, Any]
) -> None:
    given = {"observation_id": "7", "sca": 3, "band": "r"} | facts
    images = [make_image(f"{n}.fits", **given) for n in range(3)]
    assert [a.twin for a in filled.add_images(images, files_of(*images))] == [None] * 3


def test_two_hdus_of_a_file_are_two_images(
    filled: Registry, make_image: MakeImage, files_of: FilesOf
) -> None:
    ids = add(filled, files_of, make_image(hdu=1), make_image(hdu=4))
    assert [r.hdu for r in filled.find_images(make_search(order_by="hdu"))] == [1, 4]
    assert set(filled.find_files(["store/a.fits"])["store/a.fits"][1]) == set(ids)


def test_an_id_that_the_caller_gives_is_kept(
    filled: Registry, make_image: MakeImage, files_of: FilesOf
) -> None:
    given = replace(make_image(), id=uuid4())
    assert add(filled, files_of, given) == [given.id]
    with pytest.raises(ConflictError, match="is registered as"):
        add(filled, files_of, replace(given, id=uuid4()))
    with pytest.raises(ConflictError):
        add(filled, files_of, replace(make_image("b.fits"), id=given.id))


def test_inputs_are_kept_and_guarded(filled: Registry, make_image: MakeImage, files_of: FilesOf) -> None:
    first, second = add(filled, files_of, make_image("a.fits"), make_image("b.fits"))
    (product,) = add(filled, files_of, make_image("c.fits", kind="coadd", inputs=(second, first)))
    assert filled.get_inputs(product) == (second, first)
    assert filled.get_inputs(first) == ()
    with pytest.raises(ConflictError):
        filled.delete_images([first])
    assert filled.delete_images([product, first]) == 2
    assert find(filled) == ["b.fits"]


def test_deleted_images_leave_nothing_behind(
    filled: Registry, make_image: MakeImage, files_of: FilesOf
) -> None:
    ids = add(filled, files_of, *(make_image(f"{n}.fits", ra=n * 10) for n in range(10)))
    assert filled.delete_images([*ids[:5], uuid4()]) == 5
    assert find(filled, ra=0, dec=20) == []
    assert find(filled, ra=90, dec=20) == ["9.fits"]
    assert filled.get_planes(ids).keys() == set(ids[5:])
    # An image that comes later must not meet what a deleted one left in an index.
    add(filled, files_of, *(make_image(f"{n}.fits", ra=200) for n in range(5)))
    assert find(filled, ra=0, dec=20) == []
    assert len(find(filled, ra=200, dec=20)) == 5


BAD_FACTS = [
    {"ra": 360.0},
    {"ra": -1e-9},
    {"dec": 90.1},
    {"dec": math.nan},
    {"ra_corner_11": math.nan},
    {"dec_corner_00": -math.inf},
    {"width": 0},
    {"mjd": math.nan},
    {"mjd": math.inf},
    {"exptime": -1.0},
    {"zeropoint": math.inf},
    {"data_units": "magnitudes"},
]


@pytest.mark.parametrize("facts", BAD_FACTS, ids=str)
def test_poison_is_kept_out(
    filled: Registry, make_image: MakeImage, files_of: FilesOf, facts: dict[str, float]
) -> None:
    with pytest.raises(UsageError):
        add(filled, files_of, make_image(**facts))
    assert find(filled) == []


def test_properties_that_json_cannot_say_are_refused_by_name(
    filled: Registry, make_image: MakeImage, files_of: FilesOf
) -> None:
    with pytest.raises(UsageError, match=r"a.fits: properties.SEEING is nan"):
        add(filled, files_of, make_image(properties={"SEEING": math.nan}))


def test_missing_provenance_file_or_plane_is_refused(
    filled: Registry, make_image: MakeImage, files_of: FilesOf
) -> None:
    unknown = Provenance("nobody")
    with pytest.raises(NotFoundError, match=str(unknown.id)):
        add(filled, files_of, make_image(provenance=unknown))
    with pytest.raises(UsageError, match=r"a.fits, which is not among the files"):
        filled.add_images([make_image()], {})
    with pytest.raises(UsageError, match="expected 'data' first"):
        add(filled, files_of, replace(make_image(), planes=()))


def test_what_is_not_there_is_not_found(registry: Registry) -> None:
    nobody = uuid4()
    for ask in (registry.get_image, registry.get_footprint):
        with pytest.raises(NotFoundError, match=str(nobody)):
            ask(nobody)
    assert registry.get_planes([nobody]) == {}
    assert registry.add_images([], {}) == []
    with pytest.raises(NotFoundError, match=r"none.fits"):
        registry.refresh_file("none.fits", size=1, mtime_ns=1, sha256="")


def test_refreshing_a_file(filled: Registry, make_image: MakeImage, files_of: FilesOf) -> None:
    add(filled, files_of, make_image())
    filled.refresh_file("store/a.fits", size=2**40, mtime_ns=2**60, sha256="f" * 64)
    (record, _) = filled.find_files(["store/a.fits"])["store/a.fits"]
    assert (record.size, record.mtime_ns, record.sha256, record.state) == (
        2**40,
        2**60,
        "f" * 64,
        FileState.IN_PLACE,
    )


def test_values_say_what_there_is(filled: Registry, make_image: MakeImage, files_of: FilesOf) -> None:
    add(filled, files_of, *(make_image(f"{n}.fits", band=b) for n, b in enumerate(["r", "g", "r", None])))
    assert filled.values("band") == ["g", "r"]
    assert filled.values("format") == ["fits"]
    assert filled.values("kind") == ["exposure"]
    assert filled.values("instrument") == []
    with pytest.raises(SearchError, match="unknown column 'wcs'"):
        filled.values("wcs")


def test_many_rows_go_in_and_come_out(filled: Registry, make_image: MakeImage, files_of: FilesOf) -> None:
    images = [make_image(f"{n}.fits", ra=n * 0.17 % 360, sca=n) for n in range(2100)]
    ids = add(filled, files_of, *images)
    assert len(set(ids)) == 2100
    assert filled.get_planes(ids).keys() == set(ids)
    streamed = [r.sca for r in filled.iter_images(make_search(order_by="-sca"), batch=500)]
    assert streamed == list(range(2099, -1, -1))
    assert filled.count_images(make_search(id=ids)) == 2100
    assert filled.delete_images(ids) == 2100


def test_writers_at_the_same_time_agree(
    registry_url: str, ingest: Provenance, make_image: MakeImage, files_of: FilesOf
) -> None:
    images = [make_image(f"{n:03}.fits", sca=n, observation_id="1", band="r") for n in range(200)]
    files = files_of(*images)
    with Registry.open(registry_url) as registry:
        registry.add_provenance(ingest)
        ids: list[set[UUID]] = []
        failures: list[BaseException] = []

        def write(turn: int) -> None:
            order = images[turn * 20 :] + images[: turn * 20]
            try:
                ids.append({a.id for a in registry.add_images(order, files)})
            except BaseException as err:  # noqa: BLE001  # a thread's failure must reach the test
                failures.append(err)

        threads = [threading.Thread(target=write, args=(turn,)) for turn in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(ids) == 6
        assert all(found == ids[0] for found in ids)
        assert registry.count_images(make_search()) == 200
        assert registry.count_images(make_search(ra=10, dec=20)) == 200

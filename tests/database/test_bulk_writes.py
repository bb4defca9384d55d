"""Ten thousand images at once: all or none, each that cannot be is named, later questions are unharmed."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from snapdb.errors import ConflictError, NotFoundError, SnapdbError, UsageError
from snapdb.model.image import NewImage, NewPlane
from snapdb.model.outcome import OutcomeKind
from snapdb.model.provenance import Provenance
from snapdb.model.search import make_search
from snapdb.registry import Registry
from snapdb.registry.adding import add

NUMBER = 10_000
BAD = 7_654

MakeImage = Callable[..., NewImage]
FilesOf = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def images(make_image: MakeImage) -> list[NewImage]:
    """Ten thousand images about the whole sky."""
    made = []
    for n in range(NUMBER):
        ra = (n * 137.50776405) % 360.0
        dec = math.degrees(math.asin(1 - (2 * n + 1) / NUMBER)) * 0.95
        made.append(
            make_image(f"{n:05}.fits", ra=ra, dec=dec, band="gri"[n % 3], mjd=60000.0 + n, sca=n % 18)
        )
    return made


@pytest.fixture
def filled(registry: Registry, ingest: Provenance, make_image: MakeImage, files_of: FilesOf) -> Registry:
    """A registry that holds one image."""
    registry.add_provenance(ingest)
    first = make_image("first.fits", ra=10.0, dec=20.0)
    registry.add_images([first], files_of(first))
    return registry


def change(new: NewImage, **facts: Any) -> NewImage:
    return replace(new, facts=replace(new.facts, **facts))


def lay_out(new: NewImage, **layout: Any) -> NewImage:
    (plane,) = new.planes
    return replace(new, planes=(replace(plane, layout=replace(plane.layout, **layout)),))


def square(ra: float, dec: float) -> tuple[tuple[float, float], ...]:
    return ((ra, dec), (ra + 0.1, dec), (ra, dec + 0.1), (ra + 0.1, dec + 0.1))


SPOILED: dict[str, tuple[Callable[[NewImage], NewImage], type[SnapdbError], str]] = {
    "ra": (lambda new: change(new, ra=360.0), UsageError, "ra = 360.0"),
    "dec": (lambda new: change(new, dec=math.nan), UsageError, "dec = nan"),
    "corner": (lambda new: change(new, dec_corner_11=91.0), UsageError, "dec_corner_11 = 91.0"),
    "no ra": (lambda new: change(new, ra=None), UsageError, "ra = None"),
    "mjd": (lambda new: change(new, mjd=math.inf), UsageError, "mjd = inf"),
    "text": (lambda new: change(new, mjd="yesterday"), UsageError, "mjd = 'yesterday'"),
    "width": (lambda new: change(new, width=0), UsageError, "width = 0"),
    "sca": (lambda new: change(new, sca=2**63), UsageError, "sca = 9223372036854775808"),
    "float sca": (lambda new: change(new, sca=1.5), UsageError, "sca = 1.5"),
    "null": (lambda new: change(new, band="r\0"), UsageError, r"band = 'r\\x00'"),
    "surrogate": (lambda new: change(new, observation_id="\ud800"), UsageError, "observation_id"),
    "units": (lambda new: change(new, data_units="Jy"), UsageError, "data_units = 'Jy'"),
    "kind": (lambda new: change(new, kind=None), UsageError, "kind = None"),
    "property": (lambda new: change(new, properties={"x": {1, 2}}), UsageError, "properties.x"),
    "null property": (lambda new: change(new, properties={"x": "a\0"}), UsageError, "properties"),
    "bow tie": (lambda new: replace(new, footprint=square(10, 10)), UsageError, "its footprint cannot be"),
    "line": (lambda new: replace(new, footprint=((1, 1), (2, 2))), UsageError, "less than 3 vertices"),
    "pole": (lambda new: replace(new, footprint=((1, 1), (2, 91), (3, 1))), UsageError, "its footprint is"),
    "nan": (
        lambda new: replace(new, footprint=((1, 1), (2, math.nan), (3, 1))),
        UsageError,
        "its footprint is",
    ),
    "provenance": (
        lambda new: replace(new, provenance_id=UUID(int=5)),
        NotFoundError,
        "is not registered; add it",
    ),
    "planes": (lambda new: replace(new, planes=()), UsageError, "expected 'data' first"),
    "file": (
        lambda new: replace(new, planes=(NewPlane(layout=new.planes[0].layout, path="nowhere.fits"),)),
        UsageError,
        "nowhere.fits, which is not among the files",
    ),
    "huge": (lambda new: change(new, mjd=10**400), UsageError, "mjd = 1000"),
    "flags": (lambda new: change(new, flag_bits=None), UsageError, "flag_bits is None"),
    "hdu": (lambda new: lay_out(new, hdu=-1), UsageError, "hdu = -1"),
    "scale": (lambda new: lay_out(new, bscale=math.nan), UsageError, "a plane's layout.bscale is nan"),
    "null layout": (lambda new: lay_out(new, compression="R\0"), UsageError, "layout.compression"),
    "triples": (
        lambda new: replace(new, footprint=((1, 1, 1), (2, 1, 1), (2, 2, 1), (1, 2, 1))),  # type: ignore[arg-type]
        UsageError,
        "its footprint is",
    ),
    "id": (lambda new: replace(new, id="7"), UsageError, "the id '7'"),  # type: ignore[arg-type]
    "input": (lambda new: replace(new, inputs=(UUID(int=7),)), ConflictError, "made from image"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_one_bad_row_is_named_and_nothing_is_written(
    filled: Registry, images: list[NewImage], files_of: FilesOf, name: str
) -> None:
    spoil, kind, said = SPOILED[name]
    some = images if name in ("mjd", "provenance") else images[BAD - 100 : BAD + 100]
    place = some.index(images[BAD])
    given = [*some[:place], spoil(some[place]), *some[place + 1 :]]
    with pytest.raises(kind, match=said) as caught:
        filled.add_images(given, files_of(*some))
    assert [row for row, _ in caught.value.rows] == [place]
    assert f"(row {place} of {len(given)}; nothing was written)" in str(caught.value)
    assert [r.filepath for r in filled.find_images(make_search())] == ["store/first.fits"]
    assert list(filled.find_files(["store/07654.fits"])) == []
    assert filled.count_images(make_search(ra=10.0, dec=20.0)) == 1
    added = filled.add_images(some[:50], files_of(*some[:50]))
    assert {one.outcome for one in added} == {OutcomeKind.REGISTERED}


def test_several_bad_rows_are_all_listed(
    filled: Registry, images: list[NewImage], files_of: FilesOf, make_image: MakeImage
) -> None:
    given = list(images[:100])
    given[3] = change(given[3], mjd=math.nan)
    given[50] = replace(given[50], provenance_id=uuid4())
    given[70] = given[7]
    given[80] = replace(given[80], planes=())
    given[90] = replace(given[90], footprint=square(1, 1))
    with pytest.raises(UsageError, match=r"5 of 100 images .*: row 3: .*; row 50: .*; row 70: ") as caught:
        filled.add_images(given, files_of(*images[:100]))
    assert [row for row, _ in caught.value.rows] == [3, 50, 70, 80, 90]
    assert "was given twice" in caught.value.rows[2][1]
    assert filled.count_images(make_search()) == 1


def test_rows_of_later_batches_are_counted_from_the_first(
    filled: Registry, images: list[NewImage], files_of: FilesOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(add, "BATCH", 30)
    given = [*images[:100], change(images[100], mjd=math.nan), images[5], *images[101:120]]
    with pytest.raises(SnapdbError) as caught:
        filled.add_images(iter(given), files_of(*images[:120]))
    assert [row for row, _ in caught.value.rows] == [100, 101]
    assert filled.count_images(make_search()) == 1
    added = filled.add_images(iter(images[:100]), files_of(*images[:100]))
    assert len({one.id for one in added}) == 100
    assert filled.count_images(make_search()) == 101


def test_ten_thousand_go_in_and_come_out_as_they_were(
    filled: Registry, images: list[NewImage], files_of: FilesOf
) -> None:
    added = filled.add_images(images, files_of(*images))
    assert [one.outcome for one in added] == [OutcomeKind.REGISTERED] * NUMBER
    found = {record.id: record for record in filled.iter_images(make_search())}
    assert len(found) == NUMBER + 1
    for n in range(0, NUMBER, 97):
        record, facts = found[added[n].id], images[n].facts
        assert (record.filepath, record.ra, record.dec) == (f"store/{n:05}.fits", facts.ra, facts.dec)
        assert (record.band, record.mjd, record.sca) == (facts.band, facts.mjd, facts.sca)
        assert [p.layout for p in filled.get_planes([record.id])[record.id]] == [images[n].planes[0].layout]
        assert added[n].id in {r.id for r in filled.find_images(make_search(ra=facts.ra, dec=facts.dec))}
    again = filled.add_images(images, files_of(*images))
    assert [one.outcome for one in again] == [OutcomeKind.UNCHANGED] * NUMBER
    assert [one.id for one in again] == [one.id for one in added]


def test_known_and_new_images_in_one_call(
    filled: Registry, images: list[NewImage], files_of: FilesOf
) -> None:
    first = filled.add_images(images[:50], files_of(*images[:50]))
    both = filled.add_images(images[25:75], files_of(*images[25:75]))
    assert [one.outcome for one in both] == [OutcomeKind.UNCHANGED] * 25 + [OutcomeKind.REGISTERED] * 25
    assert [one.id for one in both[:25]] == [one.id for one in first[25:]]
    changed = [change(new, band="z") for new in images[:10]]
    updated = filled.add_images(changed, files_of(*changed), update=True)
    assert {one.outcome for one in updated} == {OutcomeKind.UPDATED}
    assert filled.count_images(make_search(band="z")) == 10


def test_changed_files_are_listed_by_row(filled: Registry, images: list[NewImage], files_of: FilesOf) -> None:
    filled.add_images(images[:20], files_of(*images[:20]))
    files = files_of(*images[:40])
    for n in (4, 11):
        path = images[n].planes[0].path
        files[path] = replace(files[path], sha256="1" * 64)
    with pytest.raises(ConflictError, match="other bytes than when it was registered") as caught:
        filled.add_images(images[:40], files)
    assert [row for row, _ in caught.value.rows] == [4, 11]
    assert filled.count_images(make_search()) == 21


def test_inputs_may_be_in_the_same_call(filled: Registry, images: list[NewImage], files_of: FilesOf) -> None:
    source = replace(images[0], id=uuid4())
    product = replace(images[1], inputs=(source.id,))  # type: ignore[arg-type]  # it has one
    added = filled.add_images([product, source], files_of(*images[:2]))
    assert filled.get_inputs(added[0].id) == (source.id,)


@pytest.mark.parametrize(
    "spoiled",
    [
        {"size": -1},
        {"size": 2**63},
        {"mtime_ns": None},
        {"key": "a\0"},
        {"key": "\ud800"},
        {"sha256": "f" * 65},
        {"format": "x" * 33},
    ],
    ids=ascii,
)
def test_a_file_that_cannot_be_kept_is_named(
    filled: Registry, images: list[NewImage], files_of: FilesOf, spoiled: dict[str, Any]
) -> None:
    files = files_of(*images[:20])
    path = images[7].planes[0].path
    files[path] = replace(files[path], **spoiled)
    (name,) = spoiled
    with pytest.raises(UsageError, match=f"1 of 20 files .*{name} = ") as caught:
        filled.add_images(images[:20], files)
    assert caught.value.path == files[path].key
    assert filled.count_images(make_search()) == 1
    assert filled.find_files(["store/00000.fits"]) == {}


def test_numbers_of_numpy_are_kept_as_numbers(
    filled: Registry, images: list[NewImage], files_of: FilesOf
) -> None:
    # SQLite would keep an np.int64 as eight bytes, which no question finds.
    new = lay_out(images[0], hdu=np.int64(3), offset=np.int32(2880), bscale=np.float32(0.5))
    new = change(new, width=np.int32(40), sca=np.int64(5), mjd=np.float32(60000.5), ra=np.float64(12.5))
    new = change(new, sky_level=2**63, bad_bits=np.uint8(255), band=np.str_("r"))
    path = new.planes[0].path
    files = files_of(new)
    files = {path: replace(files[path], size=np.int64(8640))}
    (added,) = filled.add_images([new], files)
    (record,) = filled.find_images(make_search(sca=5, hdu=3))
    assert record == filled.get_image(added.id)
    kept = (record.width, record.hdu, record.sca, record.mjd, record.ra, record.sky_level, record.bad_bits)
    assert kept == (40, 3, 5, 60000.5, 12.5, 2.0**63, 255)
    assert {type(value) for value in kept} == {int, float}
    (plane,) = filled.get_planes([added.id])[added.id]
    assert (plane.layout.hdu, plane.layout.offset, plane.layout.bscale) == (3, 2880, 0.5)
    assert (type(plane.file_size), plane.file_size) == (int, 8640)
    (again,) = filled.add_images([new], files)
    assert (again.id, again.outcome) == (added.id, OutcomeKind.UNCHANGED)


@pytest.mark.parametrize("update", [False, True])
def test_who_comes_second_finds_the_first_ones_images(
    filled: Registry, images: list[NewImage], files_of: FilesOf, *, update: bool
) -> None:
    other = Provenance("other", 1)
    filled.add_provenance(other)
    some = images[:30]
    # The files are known: so the second writer meets the first only where both insert the images.
    filled.add_images([replace(new, provenance_id=other.id) for new in some], files_of(*some))
    mine = [change(new, band="z") for new in some[::-1]]
    found: list[add.AddedImage] = []
    writer = threading.Thread(
        target=lambda: found.extend(filled.add_images(mine, files_of(*mine), update=update))
    )
    with filled._transaction(writes=True) as connection:
        first = add.add_images(connection, filled._spatial, some, files_of(*some), update_known=False)
        writer.start()
        time.sleep(0.5)  # let the second one come as far as it can
        assert found == []
    writer.join(60)
    assert [one.id for one in found] == [one.id for one in first[::-1]]
    assert {one.outcome for one in found} == {OutcomeKind.UPDATED if update else OutcomeKind.UNCHANGED}
    assert filled.count_images(make_search(band="z")) == (30 if update else 0)
    assert len(filled.get_planes([one.id for one in found])) == 30

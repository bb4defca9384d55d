"""Provenances through an archive: what is added as a whole, named by its beginning, and counted."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from snapdb.archive.archive import Archive
from snapdb.errors import ConflictError, NotFoundError, UsageError
from snapdb.model.image import NewImage
from snapdb.model.provenance import SNAPPL_MD5, Provenance
from snapdb.registry import Registry
from snapdb.storage import LocalStore


@pytest.fixture
def archive(registry: Registry, tmp_path: Path) -> Archive:
    return Archive(registry, LocalStore(tmp_path))


def test_adding_says_whether_it_was_new(archive: Archive) -> None:
    base = Provenance("base")
    assert archive.add_provenance(Provenance("top", upstreams=base))
    assert not archive.add_provenance(base)
    assert not archive.add_provenance(base, exists=True, tag="dr1")
    assert archive.get_tagged("dr1", "base") == base


def test_a_tag_that_is_taken_leaves_nothing_behind(archive: Archive) -> None:
    old, new = Provenance("p", 1), Provenance("p", 2, upstreams=Provenance("q"))
    archive.add_provenance(old, tag="dr1")
    with pytest.raises(ConflictError, match="points to"):
        archive.add_provenance(new, tag="dr1")
    assert archive.find_provenances() == [old]
    assert archive.add_provenance(new, tag="dr1", replace=True)
    assert archive.get_tagged("dr1", "p") == new


def test_ids_are_found_by_their_beginning_as_if_each_was_looked_at(archive: Archive) -> None:
    every = [Provenance("p", n) for n in range(300)]
    archive.add_provenance(Provenance("top", upstreams=every))
    ids = [one.id for one in archive.find_provenances()]
    for one in every[::20]:
        for length in (1, 2, 3, 13, 32):
            digits = one.id.hex[:length]
            expected = sorted(id_ for id_ in ids if id_.hex.startswith(digits))
            assert archive.registry.find_provenance_ids(digits) == expected
    assert archive.find_provenance(every[7].id.hex[:12].upper()) == every[7]


def test_an_ambiguous_beginning_lists_what_it_may_be(archive: Archive) -> None:
    seen: dict[str, Provenance] = {}
    for number in range(10_000):  # two of some hundreds share 4 digits, as birthdays go
        one = Provenance("p", number)
        other = seen.setdefault(one.id.hex[:4], one)
        if other != one:
            break
    archive.add_provenance(one)
    assert archive.find_provenance(one.id.hex[:4]) == one
    archive.add_provenance(other)
    with pytest.raises(UsageError, match="2 provenances have ids that begin with") as caught:
        archive.find_provenance(one.id.hex[:4])
    assert {str(one.id), str(other.id)} <= set(str(caught.value).replace(",", "").replace(";", "").split())
    with pytest.raises(UsageError, match="first 4 or more digits"):
        archive.find_provenance(one.id.hex + "0")


def test_tags_and_processes_may_hold_colons(archive: Archive) -> None:
    one, other = Provenance("b:c"), Provenance("c")
    archive.add_provenance(one, tag="dr1")
    assert archive.find_provenance("dr1:b:c") == one
    archive.add_provenance(other, tag="a:b")
    assert archive.find_provenance("a:b:c") == other
    archive.registry.tag_provenance("a", one)
    with pytest.raises(UsageError, match="may mean tag 'a' of process 'b:c' or tag 'a:b' of process 'c'"):
        archive.find_provenance("a:b:c")


def hash_as_snappl_does(spec: dict[str, Any]) -> str:
    """Hash by the published recipe: MD5 of the base64 of the JSON with sorted keys."""
    text = json.dumps(spec, sort_keys=True)
    return str(UUID(hashlib.md5(base64.b64encode(text.encode()), usedforsecurity=False).hexdigest()))


def test_a_tree_of_snappl_keeps_its_ids_and_the_order_of_upstreams(archive: Archive) -> None:
    def make(process: str, minor: int, params: dict[str, Any], upstreams: list[dict[str, Any]]) -> Any:
        spec = {
            "process": process,
            "major": 1,
            "minor": minor,
            "environment": 2,
            "env_major": None,
            "env_minor": None,
            "params": params,
        }
        ids = sorted((up["id"] for up in upstreams), key=UUID)
        id_ = hash_as_snappl_does({**spec, "upstream_ids": ids})
        return {"id": id_, **spec, "hash_scheme": SNAPPL_MD5, "upstreams": upstreams}

    base = make("base", 0, {"x": 1.0, "big": 1e16, "zero": -0.0}, [])
    sides = [make("side", n, {"é": [n, {"deep": None}]}, [base]) for n in range(9)]
    tree = make("top", 0, {}, [*sides, base])
    archive.add_provenance(Provenance.from_recursive_dict(tree))
    found = archive.get_provenance(tree["id"])
    assert [str(up.id) for up in found.upstreams] == sorted((up["id"] for up in tree["upstreams"]), key=UUID)
    assert {str(p.id) for p in archive.find_provenances()} == {one["id"] for one in (tree, *sides, base)}
    assert found.recursive_dict() == Provenance.from_recursive_dict(tree).recursive_dict()
    proc0 = Provenance("proc0", 1, 0, hash_scheme=SNAPPL_MD5)
    archive.add_provenance(proc0)
    assert archive.get_provenance("bdfc881c-bc69-58b7-6cd9-2c6f7db341c3") == proc0


def test_images_below_a_provenance_are_counted_and_listed(
    archive: Archive, make_image: Callable[..., NewImage], files_of: Callable[..., dict[str, Any]]
) -> None:
    camera = Provenance("camera")
    reduced = [Provenance("reduce", n, upstreams=camera) for n in range(3)]
    coadd = Provenance("coadd", upstreams=reduced[:2])
    for one in (*reduced, coadd):
        archive.add_provenance(one)
    makers = [camera, reduced[0], reduced[0], reduced[1], coadd]
    for number, maker in enumerate(makers):
        image = make_image(f"{number}.fits", provenance=maker)
        archive.registry.add_images([image], files_of(image))
    assert archive.count_products(camera) == {
        coadd: 1,
        reduced[0]: 2,
        reduced[1]: 1,
        reduced[2]: 0,
    }
    assert list(archive.count_products(camera.id)) == archive.find_downstream(camera)
    assert archive.count_products(coadd) == {}
    found = archive.find_products(camera)
    assert sorted(one.filepath for one in found) == [f"store/{n}.fits" for n in range(1, 5)]
    assert [one.id for one in found] == sorted(one.id for one in found)
    assert [one.filepath for one in archive.find_products(reduced[1])] == ["store/4.fits"]
    assert archive.find_products(coadd) == []


def test_a_product_of_very_many_images(
    archive: Archive, make_image: Callable[..., NewImage], files_of: Callable[..., dict[str, Any]]
) -> None:
    camera = Provenance("camera")
    archive.add_provenance(camera)
    raw = [make_image("raw.fits", hdu=n, provenance=camera) for n in range(3000)]
    inputs = [one.id for one in archive.registry.add_images(raw, files_of(*raw))]
    coadd = make_image("coadd.fits", inputs=tuple(inputs), provenance=camera)
    (added,) = archive.registry.add_images([coadd], files_of(coadd))
    assert [one.image.id for one in archive.get_ancestry(added.id).inputs] == inputs
    assert [one.id for one in archive.find_products(inputs[77])] == [added.id]
    (product,) = archive.get_offspring(inputs[77]).products
    assert (product.image.id, product.products) == (added.id, ())


def test_what_is_not_there_is_named(archive: Archive) -> None:
    nobody = uuid4()
    for ask in (archive.get_ancestry, archive.get_offspring, archive.get_provenance, archive.find_provenance):
        with pytest.raises(NotFoundError, match=str(nobody)):
            ask(nobody)
    with pytest.raises(NotFoundError, match=str(nobody)):
        archive.registry.get_provenances([nobody])
    assert archive.count_products(nobody) == {}
    assert archive.find_products(nobody) == []
    assert archive.registry.get_provenances([]) == []

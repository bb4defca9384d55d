"""What made this image, what came of that one; and the same as W3C PROV, read back by the package `prov`."""

import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from snapdb.archive.archive import Archive
from snapdb.errors import ConflictError, NotFoundError, UsageError
from snapdb.model.image import NewImage
from snapdb.model.provenance import Provenance
from snapdb.registry import Registry
from snapdb.storage import LocalStore

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages that it imports
    from prov.model import ProvActivity, ProvAgent, ProvDerivation, ProvDocument, ProvEntity, ProvUsage

CAMERA = Provenance("camera", 1, 0)
REDUCE = Provenance("reduce", 2, 3, {"flat": "2024A"}, upstreams=CAMERA)
COADD = Provenance("coadd", 1, 0, upstreams=REDUCE)
SUBTRACT = Provenance("subtract #1", 1, 0, upstreams=[COADD, REDUCE])


@pytest.fixture(scope="module")
def archive(
    module_registry: Registry,
    make_image: Callable[..., NewImage],
    files_of: Callable[..., dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Archive:
    """Raw images 0 to 2, reduced 3 to 5, a coadd of these (6), and its differences with each (7 to 9)."""
    module_registry.add_provenance(SUBTRACT)

    def add(number: int, provenance: Provenance, *inputs: Any) -> Any:
        image = make_image(f"{number}.fits", provenance=provenance, inputs=inputs, mjd=60000.5 + number)
        return module_registry.add_images([image], files_of(image))[0].id

    raw = [add(n, CAMERA) for n in range(3)]
    reduced = [add(n + 3, REDUCE, raw[n]) for n in range(3)]
    coadd = add(6, COADD, *reduced)
    for n in range(3):
        add(n + 7, SUBTRACT, reduced[n], coadd)
    return Archive(module_registry, LocalStore(tmp_path_factory.mktemp("store")))


def image_of(archive: Archive, number: int) -> Any:
    return archive.find_images(filepath=f"store/{number}.fits")[0]


def number_of(record: Any) -> int:
    return int(record.filepath.removeprefix("store/").removesuffix(".fits"))


def test_ancestry_goes_back_to_the_beginning(archive: Archive) -> None:
    top = archive.get_ancestry(image_of(archive, 8))
    assert top.provenance == SUBTRACT
    assert [number_of(one.image) for one in top.inputs] == [4, 6]
    assert [number_of(one.image) for one in top.inputs[1].inputs] == [3, 4, 5]
    assert top.inputs[0] is top.inputs[1].inputs[1]
    assert sorted(number_of(one.image) for one in top.walk()) == [0, 1, 2, 3, 4, 5, 6, 8]
    assert archive.get_ancestry(image_of(archive, 0)).inputs == ()


def test_products_are_found_however_far_down(archive: Archive) -> None:
    def products(number: int) -> list[int]:
        return [number_of(one) for one in archive.find_products(image_of(archive, number))]

    assert products(0) == [3, 6, 7, 8, 9]
    assert products(6) == [7, 8, 9]
    assert products(9) == []


def test_downstream_of_a_provenance(archive: Archive) -> None:
    assert archive.find_downstream(CAMERA) == [COADD, REDUCE, SUBTRACT]
    assert archive.find_downstream(SUBTRACT.id) == []


def test_provenances_are_found_by_what_names_them(archive: Archive) -> None:
    archive.registry.tag_provenance("dr1", COADD)
    for name in (COADD, COADD.id, str(COADD.id), COADD.id.hex, str(COADD.id)[:13], "dr1:coadd"):
        assert archive.find_provenance(name) == COADD
    for name in ("abc", "xyzw", "no tag"):
        with pytest.raises(UsageError, match="first 4 or more digits"):
            archive.find_provenance(name)
    for name in ("dr2:coadd", "dr1:reduce", "00000000"):
        with pytest.raises(NotFoundError):
            archive.find_provenance(name)
    with pytest.raises(ConflictError):
        archive.add_provenance(Provenance("coadd", 1, 1), tag="dr1")


def test_prov_json_is_read_by_the_reference_package(archive: Archive) -> None:
    image = image_of(archive, 8)
    text = json.dumps(archive.export_provenance(image))
    document = ProvDocument.deserialize(content=text, format="json")
    assert len(list(document.get_records(ProvEntity))) == 8
    assert len(list(document.get_records(ProvActivity))) == 4
    assert len(list(document.get_records(ProvAgent))) == 4
    derived = {
        tuple(str(value) for _, value in record.formal_attributes[:2])
        for record in document.get_records(ProvDerivation)
    }
    ids = {n: f"id:{image_of(archive, n).id}" for n in range(10)}
    edges = [(3, 0), (4, 1), (5, 2), (6, 3), (6, 4), (6, 5), (8, 4), (8, 6)]
    assert derived == {(ids[product], ids[source]) for product, source in edges}
    used = [tuple(str(v) for _, v in r.formal_attributes[:2]) for r in document.get_records(ProvUsage)]
    made_by = dict.fromkeys((3, 4, 5), REDUCE) | {6: COADD, 8: SUBTRACT}
    assert set(used) == {(f"id:{made_by[product].id}", ids[source]) for product, source in edges}
    (entity,) = document.get_record(ids[8])
    attributes = {str(name): value for name, value in entity.attributes}
    assert attributes["snapdb:mjd"] == 60008.5
    assert (attributes["snapdb:mjd_unit"], attributes["snapdb:mjd_scale"]) == ("d", "UTC")
    assert "snapdb:exptime_unit" not in attributes  # it has no exposure time
    assert attributes["snapdb:filepath"] == "store/8.fits"


def test_prov_json_of_a_provenance_alone(archive: Archive) -> None:
    document = ProvDocument.deserialize(content=json.dumps(archive.export_provenance(REDUCE)), format="json")
    labels = {str(one.label) for one in document.get_records(ProvActivity)}
    assert labels == {"camera 1.0", "reduce 2.3"}
    assert list(document.get_records(ProvEntity)) == []

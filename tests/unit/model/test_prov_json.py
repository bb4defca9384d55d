"""PROV-JSON: the reference package `prov` reads it, and what it writes again gives the same provenances."""

import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from snapdb.errors import ProvenanceError
from snapdb.model.prov_json import to_prov_json
from snapdb.model.prov_reading import read_prov_json
from snapdb.model.provenance import Provenance

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages that it imports
    from prov.model import ProvActivity, ProvAgent, ProvAssociation, ProvCommunication, ProvDocument

Document = dict[str, Any]

CAMERA = Provenance("camera", 1, 0)
AWKWARD = Provenance(
    "sub tract/é#1:%20",
    -1,
    2,
    {"number": 1e16, "whole": 10**16, "text": 'é"\\\u2028', "nested": [{"a": None}, True]},
    upstreams=CAMERA,
    environment=3,
    env_minor=4,
    hash_scheme="snappl-md5",
)
TOP = Provenance("top", 1, 0, upstreams=[AWKWARD, CAMERA], environment="3", env_major=0)


def read(document: Document) -> ProvDocument:
    return ProvDocument.deserialize(content=json.dumps(document), format="json")


def ends(record: Any) -> tuple[str, ...]:
    return tuple(str(value) for _, value in record.formal_attributes[:2])


def test_the_reference_package_reads_it() -> None:
    document = read(to_prov_json(TOP))
    assert {str(one.identifier) for one in document.get_records(ProvActivity)} == {
        f"id:{one.id}" for one in (CAMERA, AWKWARD, TOP)
    }
    assert len(list(document.get_records(ProvAgent))) == 3
    informed = [ends(one) for one in document.get_records(ProvCommunication)]
    edges = [(AWKWARD, CAMERA), (TOP, AWKWARD), (TOP, CAMERA)]
    assert sorted(informed) == sorted((f"id:{down.id}", f"id:{up.id}") for down, up in edges)
    assert len({ends(one) for one in document.get_records(ProvAssociation)}) == 3
    assert len(list(document.unified().get_records())) == len(list(document.get_records()))
    (activity,) = document.get_record(f"id:{AWKWARD.id}")
    said = {str(name): value for name, value in activity.attributes}
    assert said["snapdb:process"] == AWKWARD.process
    assert said["snapdb:major"] == -1
    assert json.loads(said["snapdb:params"]) == AWKWARD.recursive_dict()["params"]


def test_what_the_reference_package_writes_is_read_back() -> None:
    text = read(to_prov_json(TOP)).serialize(format="json")
    assert text is not None
    again = json.loads(text)
    (found,) = read_prov_json(again)
    assert found.recursive_dict() == TOP.recursive_dict()


def test_names_count_in_full_and_not_by_their_prefixes() -> None:
    text = json.dumps(to_prov_json(TOP))
    for old, new in (('"id"', '"u"'), ('"id:', '"u:'), ('"snapdb"', '"s"'), ('"snapdb:', '"s:')):
        text = text.replace(old, new)
    assert read_prov_json(json.loads(text)) == (TOP,)


def test_a_forty_fold_diamond_is_written_once_each() -> None:
    top = Provenance("base")
    for level in range(40):  # 2**40 paths
        top = Provenance(
            "join", level, upstreams=[Provenance("side", level, n, upstreams=top) for n in (0, 1)]
        )
    document = to_prov_json(top)
    assert len(document["activity"]) == 121
    assert read_prov_json(document) == (top,)


def test_every_top_comes_back() -> None:
    one, other = to_prov_json(TOP), to_prov_json(Provenance("other"))
    both = {part: {**one.get(part, {}), **other.get(part, {})} for part in one}
    assert read_prov_json(both) == (TOP, Provenance("other"))


def edit(change: Callable[[Document], object]) -> Document:
    document: Document = json.loads(json.dumps(to_prov_json(TOP)))
    change(document)
    return document


def name(one: Provenance) -> str:
    return f"id:{one.id}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("activity"), "there is no 'activity'"),
        (lambda d: d["activity"].update({"id:x": {}}), r"activity\[id:x\] is urn:uuid:x, no provenance"),
        (lambda d: d["activity"][name(CAMERA)].pop("snapdb:params"), "says no params"),
        (lambda d: d["activity"][name(CAMERA)].update({"snapdb:params": "{"}), "params no JSON"),
        (lambda d: d["activity"][name(CAMERA)].update({"snapdb:params": "[]"}), "expected a dictionary"),
        (lambda d: d["activity"][name(CAMERA)].update({"snapdb:major": "x"}), "version is no integer"),
        (lambda d: d["activity"][name(CAMERA)].update({"snapdb:process": "c"}), "comes out as"),
        (lambda d: d["activity"].pop(name(CAMERA)), "which is no activity of it"),
        (lambda d: d["wasInformedBy"].popitem(), "comes out as"),
        (
            lambda d: d["wasInformedBy"].update(
                {"_:x": {"prov:informed": name(CAMERA), "prov:informant": name(TOP)}}
            ),
            "builds on itself",
        ),
    ],
)
def test_what_was_changed_is_refused(change: Callable[[Document], object], said: str) -> None:
    with pytest.raises(ProvenanceError, match=said) as caught:
        read_prov_json(edit(change), where="it.json")
    assert str(caught.value).startswith("it.json: ")


def test_anything_else_is_refused() -> None:
    nothing: list[Any] = [[], {}, None, {"activity": []}, {"activity": {}}]
    for held in nothing:
        with pytest.raises(ProvenanceError, match="expected a PROV-JSON document"):
            read_prov_json(held)

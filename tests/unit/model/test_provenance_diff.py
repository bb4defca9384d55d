"""Differences of provenances, each written down by hand."""

import pytest

from snapdb.errors import ProvenanceError
from snapdb.model.provenance import Provenance
from snapdb.model.provenance_diff import diff_provenances

CAMERA = Provenance("camera", 1, 0)


def said(old: Provenance, new: Provenance) -> list[str]:
    return [str(one) for one in diff_provenances(old, new)]


def test_equal_provenances_do_not_differ() -> None:
    assert said(Provenance("a", 1, 0, {"x": 1}), Provenance("a", 1, 0, {"x": 1.0})) == []


def test_params_differ_by_path() -> None:
    old = Provenance("a", 1, 0, {"same": 1, "list": [1, {"x": 3}], "gone": None, "flag": 1})
    new = Provenance("a", 1, 0, {"same": 1, "list": [1, {"x": 4}, 5], "come": "y", "flag": True})
    assert sorted(said(old, new)) == [
        "+ params.come: 'y'",
        "+ params.list[2]: 5",
        "- params.gone: None",
        "~ params.flag: 1 -> True",
        "~ params.list[1].x: 3 -> 4",
    ]


def test_versions_environment_and_scheme() -> None:
    old = Provenance("a", 1, 2)
    new = Provenance("b", 1, 3, environment="conda", env_major=2, env_minor=0, hash_scheme="snappl-md5")
    assert said(old, new) == [
        "~ process: 'a' -> 'b'",
        "~ version: '1.2' -> '1.3'",
        "~ environment: None -> 'conda'",
        "~ environment version: None -> '2.0'",
        "~ hash_scheme: 'snapdb-1' -> 'snappl-md5'",
    ]


def test_upstreams_of_one_process_are_compared_with_each_other() -> None:
    flat, dark = Provenance("flat", 1, 0, upstreams=CAMERA), Provenance("dark", 1, 0)
    old = Provenance("reduce", 1, 0, upstreams=[flat, dark])
    better = Provenance("flat", 1, 1, {"order": 2}, upstreams=CAMERA)
    extra = Provenance("fringe", 1, 0)
    new = Provenance("reduce", 1, 0, upstreams=[better, extra])
    assert said(old, new) == [
        f"- upstreams[dark]: '{dark.id}'",
        "~ upstreams[flat].version: '1.0' -> '1.1'",
        "+ upstreams[flat].params.order: 2",
        f"+ upstreams[fringe]: '{extra.id}'",
    ]


def test_what_two_branches_share_is_told_once() -> None:
    def make(order: int) -> Provenance:
        base = Provenance("base", 1, 0, {"order": order})
        return Provenance("top", 1, 0, upstreams=[Provenance(n, 1, 0, upstreams=base) for n in ("a", "b")])

    assert said(make(1), make(2)) == ["~ upstreams[a].upstreams[base].params.order: 1 -> 2"]


@pytest.mark.parametrize("scheme", ["snapdb-1", "snappl-md5"])
def test_a_tree_comes_back_from_its_dictionary(scheme: str) -> None:
    first = Provenance("proc0", 1, 0, hash_scheme=scheme)
    second = Provenance("proc1", 2, 1, {"x": [1.5, None]}, upstreams=first, hash_scheme=scheme)
    top = Provenance("proc2", 0, 1, upstreams=[second, first], environment=3, hash_scheme=scheme)
    again = Provenance.from_recursive_dict(top.recursive_dict())
    assert again.id == top.id
    assert [u.id for u in again.upstreams] == [u.id for u in top.upstreams]


@pytest.mark.parametrize(
    ("given", "said_"),
    [
        ([], "is no provenance"),
        ({"major": 1}, "is no provenance"),
        ({"process": "a", "version": "1"}, r"unknown \['version'\]"),
        ({"process": "a", "upstreams": {}}, "upstreams is no list"),
        ({"process": "a", "upstreams": [{"process": "b", "major": "x"}]}, "major is 'x'"),
        ({"process": "a", "id": "bdfc881c-bc69-58b7-6cd9-2c6f7db341c3"}, "comes out as"),
    ],
)
def test_what_is_no_tree_is_refused(given: object, said_: str) -> None:
    with pytest.raises(ProvenanceError, match=said_):
        Provenance.from_recursive_dict(given, where="it.json")

"""Differences of provenances, each written down by hand."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdb.errors import ProvenanceError
from snapdb.model.prov_json import to_prov_json
from snapdb.model.prov_reading import read_prov_json
from snapdb.model.provenance import MOST_LEVELS, Provenance
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
        '+ params.come: "y"',
        "+ params.list[2]: 5",
        "- params.gone: null",
        "~ params.flag: 1 -> true",
        "~ params.list[1].x: 3 -> 4",
    ]


def test_versions_environment_and_scheme() -> None:
    old = Provenance("a", 1, 2)
    new = Provenance("b", 1, 3, environment="conda", env_major=2, env_minor=0, hash_scheme="snappl-md5")
    assert said(old, new) == [
        '~ process: "a" -> "b"',
        '~ version: "1.2" -> "1.3"',
        '~ environment: null -> "conda"',
        '~ environment version: null -> "2.0"',
        '~ hash_scheme: "snapdb-1" -> "snappl-md5"',
    ]


def test_upstreams_of_one_process_are_compared_with_each_other() -> None:
    flat, dark = Provenance("flat", 1, 0, upstreams=CAMERA), Provenance("dark", 1, 0)
    old = Provenance("reduce", 1, 0, upstreams=[flat, dark])
    better = Provenance("flat", 1, 1, {"order": 2}, upstreams=CAMERA)
    extra = Provenance("fringe", 1, 0)
    new = Provenance("reduce", 1, 0, upstreams=[better, extra])
    assert said(old, new) == [
        f'- upstreams[dark]: "{dark.id}"',
        '~ upstreams[flat].version: "1.0" -> "1.1"',
        "+ upstreams[flat].params.order: 2",
        f'+ upstreams[fringe]: "{extra.id}"',
    ]


def test_what_two_branches_share_is_told_once() -> None:
    def make(order: int) -> Provenance:
        base = Provenance("base", 1, 0, {"order": order})
        return Provenance("top", 1, 0, upstreams=[Provenance(n, 1, 0, upstreams=base) for n in ("a", "b")])

    assert said(make(1), make(2)) == ["~ upstreams[a].upstreams[base].params.order: 1 -> 2"]


def test_ids_of_snappl_tell_whole_numbers_from_floats() -> None:
    def make(value: Any, scheme: str) -> Provenance:
        return Provenance("a", 1, 0, {"x": value}, hash_scheme=scheme)

    assert said(make(1, "snappl-md5"), make(1.0, "snappl-md5")) == ["~ params.x: 1 -> 1.0"]
    assert said(make(1, "snapdb-1"), make(1.0, "snapdb-1")) == []


def test_keys_that_would_mislead_are_quoted() -> None:
    old = Provenance("a", 1, 0, {"x.y": 1, "x": {"y": 1}})
    new = Provenance("a", 1, 0, {"x.y": 2, "x": {"y": 3}})
    assert said(old, new) == ["~ params.x.y: 1 -> 3", '~ params["x.y"]: 1 -> 2']


def test_of_several_upstreams_the_most_similar_are_compared() -> None:
    def make(minor: int, bands: str) -> list[Provenance]:
        return [Provenance("calibrate", 1, minor, {"band": band, "order": 2}) for band in bands]

    old = make(0, "grizy")
    found = said(Provenance("coadd", upstreams=old), Provenance("coadd", upstreams=make(1, "yzrg")))
    begin = {one.params["band"]: f"upstreams[calibrate {str(one.id)[:8]}]" for one in old}
    assert sorted(found) == sorted(
        [f'- {begin["i"]}: "{old[2].id}"', *(f'~ {begin[b]}.version: "1.0" -> "1.1"' for b in "grzy")]
    )


@pytest.mark.parametrize("shape", ["chain", "diamonds"])
def test_deep_trees_are_compared(shape: str) -> None:
    def make(order: int) -> Provenance:
        top = Provenance("base", params={"order": order})
        for level in range(1500 if shape == "chain" else 40):
            names = ("step",) if shape == "chain" else ("left", "right")
            top = Provenance("join", level, upstreams=[Provenance(n, level, upstreams=top) for n in names])
        return top

    (found,) = diff_provenances(make(1), make(2))
    assert found.path.endswith("upstreams[base].params.order")
    assert (found.kind, found.old, found.new) == ("changed", 1, 2)


VALUES = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, -0.0, 1.5, "", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
SCHEMES = st.sampled_from(["snapdb-1", "snappl-md5"])


@st.composite
def provenances(draw: st.DrawFn, levels: int = 2) -> Provenance:
    upstreams = draw(st.lists(provenances(levels - 1), max_size=2)) if levels else []
    return Provenance(
        draw(st.sampled_from("pq")),
        draw(st.integers(0, 1)),
        params=draw(st.dictionaries(st.sampled_from("xy"), VALUES, max_size=2)),
        upstreams=upstreams,
        env_major=draw(st.none() | st.just(1)),
        hash_scheme=draw(SCHEMES),
    )


@given(provenances(), provenances())
def test_there_are_differences_exactly_where_ids_differ(old: Provenance, new: Provenance) -> None:
    assert (diff_provenances(old, new) == ()) == (old.id == new.id)
    assert diff_provenances(old, old) == ()


@given(provenances())
def test_trees_and_documents_come_back(made: Provenance) -> None:
    assert Provenance.from_recursive_dict(json.loads(json.dumps(made.recursive_dict()))) == made
    (again,) = read_prov_json(json.loads(json.dumps(to_prov_json(made))))
    assert again.recursive_dict() == made.recursive_dict()


def test_walk_gives_each_once_and_upstreams_first() -> None:
    base = Provenance("base")
    sides = [Provenance(name, upstreams=base) for name in ("a", "b")]
    top = Provenance("top", upstreams=[*sides, base])
    walked = list(top.walk())
    assert len(walked) == 4
    assert (walked[0], walked[-1]) == (base, top)


@pytest.mark.parametrize("scheme", ["snapdb-1", "snappl-md5"])
def test_a_tree_comes_back_from_its_dictionary(scheme: str) -> None:
    first = Provenance("proc0", 1, 0, hash_scheme=scheme)
    second = Provenance("proc1", 2, 1, {"x": [1.5, None]}, upstreams=first, hash_scheme=scheme)
    top = Provenance("proc2", 0, 1, upstreams=[second, first], environment=3, hash_scheme=scheme)
    again = Provenance.from_recursive_dict(top.recursive_dict())
    assert again.id == top.id
    assert [u.id for u in again.upstreams] == [u.id for u in top.upstreams]


@pytest.mark.parametrize(
    ("held", "said_"),
    [
        ([], "no provenance; expected an object"),
        ({"major": 1}, "no provenance; expected an object"),
        ({"process": "a", "version": "1"}, r"unknown \['version'\]"),
        ({"process": "a", "upstreams": {}}, "upstreams is no list"),
        (
            {"process": "a", "upstreams": [{"process": "b", "major": "x"}]},
            r"it.json: upstreams\[0\]: major is 'x'",
        ),
        (
            {"process": "a", "upstreams": [{"process": "b", "upstreams": [3]}]},
            r"upstreams\[0\].upstreams\[0\] is 3",
        ),
        ({"process": "a", "params": {"x": [float("nan")]}}, r"params.x\[0\] is nan"),
        ({"process": "a", "id": "bdfc881c-bc69-58b7-6cd9-2c6f7db341c3"}, "comes out as"),
    ],
)
def test_what_is_no_tree_is_refused(held: object, said_: str) -> None:
    with pytest.raises(ProvenanceError, match=said_):
        Provenance.from_recursive_dict(held, where="it.json")


def test_a_tree_that_is_too_deep_is_refused() -> None:
    tree: dict[str, Any] = {"process": "a"}
    for _ in range(MOST_LEVELS + 1):
        tree = {"process": "a", "upstreams": [tree]}
    Provenance.from_recursive_dict(tree["upstreams"][0])
    with pytest.raises(ProvenanceError, match=f"more than {MOST_LEVELS} deep"):
        Provenance.from_recursive_dict(tree)

"""Provenances, their upstreams and their tags in the database."""

from uuid import uuid4

import pytest

from snapdb.errors import ConflictError, NotFoundError, ProvenanceError
from snapdb.model.provenance import SNAPPL_MD5, Provenance
from snapdb.registry import Registry

PARAMS = {
    "big": 1e16,
    "bigger": 1e300,
    "exact": 2**70,
    "zero": -0.0,
    "tiny": 5e-324,
    "text": 'é\u2028\U0001f30c"\\',
    "nested": {"b": [1, 2.5, None, True, {}], "a": [[]]},
}


@pytest.mark.parametrize("scheme", ["snapdb-1", SNAPPL_MD5])
def test_a_provenance_comes_back_with_its_id(registry: Registry, scheme: str) -> None:
    up = Provenance("up", 1, 2, {"x": 0.1}, hash_scheme=scheme)
    given = Provenance(
        "down",
        3,
        4,
        PARAMS,
        upstreams=[up, Provenance("other", 0, 0, hash_scheme=scheme)],
        environment="conda",
        env_major=1,
        env_minor=2,
        hash_scheme=scheme,
    )
    registry.add_provenance(given)
    found = registry.get_provenance(given.id)
    assert found == given
    assert found.canonical_text == given.canonical_text
    assert found.recursive_dict() == given.recursive_dict()
    assert found.upstreams == given.upstreams


def test_a_deep_and_wide_tree_comes_back(registry: Registry) -> None:
    top = Provenance("root")
    for level in range(40):  # a chain of diamonds: 2**40 paths, 121 provenances
        sides = [Provenance("side", level, n, upstreams=top) for n in range(2)]
        top = Provenance("join", level, upstreams=sides)
    registry.add_provenance(top)
    assert registry.get_provenance(top.id) == top
    assert len(registry.find_provenances()) == 121
    assert len(registry.find_downstream(Provenance("root").id)) == 120
    assert registry.find_downstream(top.id) == []


def test_a_chain_deeper_than_the_interpreter_recurses(registry: Registry) -> None:
    top = Provenance("step")
    for level in range(1, 1500):
        top = Provenance("step", level, upstreams=top)
    registry.add_provenance(top)
    assert registry.get_provenance(top.id) == top


def test_exists_has_three_states(registry: Registry) -> None:
    given = Provenance("p")
    with pytest.raises(NotFoundError, match="is not registered"):
        registry.add_provenance(given, exists=True)
    registry.add_provenance(given, exists=False)
    registry.add_provenance(given)
    registry.add_provenance(given, exists=True)
    with pytest.raises(ConflictError, match="is registered already"):
        registry.add_provenance(given, exists=False)
    assert registry.find_provenances() == [given]


def test_what_is_not_there_is_not_found(registry: Registry) -> None:
    nobody = uuid4()
    with pytest.raises(NotFoundError, match=str(nobody)):
        registry.get_provenance(nobody)
    assert registry.find_provenances(process="nobody") == []
    assert registry.find_downstream(nobody) == []
    assert registry.find_tagged("nobody") == []
    assert registry.tag_history("nobody", "p") == []


def test_find_sorts_by_process_and_version(registry: Registry) -> None:
    given = [Provenance(p, major, minor) for p in "ab" for major in (1, 10) for minor in (2, 11)]
    for provenance in reversed(given):
        registry.add_provenance(provenance)
    assert registry.find_provenances() == given
    assert registry.find_provenances(process="b") == given[4:]


def test_tags_are_of_a_process_and_keep_their_history(registry: Registry) -> None:
    first, second, other = Provenance("p", 1), Provenance("p", 2), Provenance("q", 1)
    for provenance in (first, second, other):
        registry.add_provenance(provenance)
    registry.tag_provenance("best", first)
    registry.tag_provenance("best", first)
    registry.tag_provenance("best", other)
    assert registry.get_tagged("best", "p") == first
    assert registry.find_tagged("best") == [first, other]
    with pytest.raises(ConflictError, match=f"points to {first.id}, not to {second.id}"):
        registry.tag_provenance("best", second)
    registry.tag_provenance("best", second, replace=True)
    registry.tag_provenance("best", first, replace=True)
    assert registry.get_tagged("best", "p") == first
    history = registry.tag_history("best", "p")
    assert [(h.previous_id, h.provenance_id) for h in history] == [
        (None, first.id),
        (first.id, second.id),
        (second.id, first.id),
    ]
    assert [h.changed_at for h in history] == sorted(h.changed_at for h in history)
    assert all(h.changed_at.tzinfo is not None for h in history)
    assert len(registry.tag_history("best", "q")) == 1


def test_a_tag_that_is_not_there_names_those_that_are(registry: Registry) -> None:
    with pytest.raises(NotFoundError, match="there are: none"):
        registry.get_tagged("best", "p")
    registry.add_provenance(Provenance("p"))
    registry.tag_provenance("dr1", Provenance("p"))
    with pytest.raises(NotFoundError, match=r"no tag 'best' of process 'p'; there are: dr1 \(p\)"):
        registry.get_tagged("best", "p")


def test_only_what_is_registered_is_tagged(registry: Registry) -> None:
    with pytest.raises(NotFoundError, match="add it before it is tagged"):
        registry.tag_provenance("t", Provenance("p"))


@pytest.mark.parametrize("tag", ["", " \t", "a\0b"])
def test_a_tag_is_a_name(registry: Registry, tag: str) -> None:
    registry.add_provenance(Provenance("p"))
    with pytest.raises(ProvenanceError, match="tag"):
        registry.tag_provenance(tag, Provenance("p"))
    assert registry.find_tags() == []

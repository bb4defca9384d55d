"""Ids of provenances: what they depend on, what they do not, and what is refused."""

import copy
import hashlib
import json
import math
import pickle
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any
from uuid import RFC_4122, UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdb.errors import ProvenanceError
from snapdb.model.canonical import to_canonical_json, to_json_value
from snapdb.model.provenance import SNAPPL_MD5, Provenance


class Mode(StrEnum):
    DEEP = "deep"


class Level(IntEnum):
    HIGH = 3


# From RFC 8785, appendix B: the float's bits, and its text. Integral values are exact integers here.
RFC_8785_NUMBERS = [
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
]


@pytest.mark.parametrize(("bits", "text"), [n for n in RFC_8785_NUMBERS if "97000" not in n[1]])
def test_numbers_are_written_as_rfc_8785_says(bits: str, text: str) -> None:
    value = float(np.frombuffer(bytes.fromhex(bits), dtype=">f8")[0])
    assert to_canonical_json(value) == text


def test_keys_are_in_the_order_of_rfc_8785() -> None:
    # Section 3.2.3 of the RFC: the keys, and their order by UTF-16 code units.
    given_keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    expected = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    text = to_canonical_json(dict.fromkeys(given_keys, 1))
    assert list(json.loads(text)) == expected


def test_text_is_escaped_as_rfc_8785_says() -> None:
    # Section 3.2.2.2.
    assert to_canonical_json('\u20ac$\u000f\nA\'\u0042"\\\\"/') == '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1e16, "1" + "0" * 16),
        (2.0**70, str(2**70)),
        (1e21, "1" + "0" * 21),
        (True, "true"),
    ],
)
def test_integral_numbers_are_exact_integers(value: float, text: str) -> None:
    assert to_canonical_json(value) == text


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=JSON_VALUES)
def test_canonical_text_means_the_value_and_is_a_fixed_point(value: Any) -> None:
    text = to_canonical_json(to_json_value(value))
    assert json.loads(text) == value  # Python's 1 == 1.0 and 0.0 == -0.0 are the meaning that counts
    assert to_canonical_json(to_json_value(json.loads(text))) == text


@given(params=st.dictionaries(st.text("abcxyz", min_size=1), JSON_VALUES, max_size=4))
def test_a_provenance_is_rebuilt_from_its_text(params: dict[str, Any]) -> None:
    for scheme in ("snapdb-1", SNAPPL_MD5):
        made = Provenance(
            "p", 1, 2, params, upstreams=Provenance("u", hash_scheme=scheme), hash_scheme=scheme
        )
        again = Provenance.from_canonical(made.canonical_text, upstreams=made.upstreams, hash_scheme=scheme)
        assert again.id == made.id


def test_the_id_is_the_documented_hash() -> None:
    made = Provenance("flatten", 1, 2, {"b": 2.0, "a": [1, None]})
    text = (
        '{"env_major":null,"env_minor":null,"environment":null,"hash_scheme":"snapdb-1","major":1,"minor":2,'
        '"params":{"a":[1,null],"b":2},"process":"flatten","upstream_ids":[]}'
    )
    assert made.canonical_text == text
    digest = bytearray(hashlib.sha256(text.encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80  # RFC 9562: version 8
    digest[8] = digest[8] & 0x3F | 0x80  # RFC 9562: its variant
    assert made.id == UUID(bytes=bytes(digest))
    assert (made.id.version, made.id.variant) == (8, RFC_4122)


def test_snappl_ids_are_reproduced() -> None:
    """Values from snappl 0.48 itself."""
    made = Provenance("proc0", 1, 0, hash_scheme=SNAPPL_MD5)
    assert made.id == UUID("bdfc881c-bc69-58b7-6cd9-2c6f7db341c3")
    assert made.canonical_text == (
        '{"env_major": null, "env_minor": null, "environment": null, "major": 1, "minor": 0, "params": {}, '
        '"process": "proc0", "upstream_ids": []}'
    )


def test_snappl_tells_1_from_1_0_and_snapdb_does_not() -> None:
    whole, point = ({"x": 1}, {"x": 1.0})
    assert Provenance("p", params=whole) == Provenance("p", params=point)
    assert Provenance("p", params=whole, hash_scheme=SNAPPL_MD5) != Provenance(
        "p", params=point, hash_scheme=SNAPPL_MD5
    )


EQUAL_PARAMS: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"a": [1, 2]}, {"a": (1, 2)}),
    ({"a": 3}, {"a": np.int16(3)}),
    ({"a": 0.1}, {"a": np.float64(0.1)}),
    ({"a": 2.5}, {"a": np.array(2.5)}),
    ({"a": [1, 2]}, {"a": np.array([1.0, 2.0])}),
    ({"a": True}, {"a": np.bool_(True)}),
    ({"a": "deep"}, {"a": Mode.DEEP}),
    ({"a": 3}, {"a": Level.HIGH}),
    ({"a": "x/y"}, {"a": PurePosixPath("x/y")}),
    ({"a": 10**16}, {"a": 1e16}),
    ({"a": 0}, {"a": -0.0}),
    ({"deep": 1}, {Mode.DEEP: 1}),
]


@pytest.mark.parametrize(("one", "other"), EQUAL_PARAMS, ids=str)
def test_the_same_meaning_has_the_same_id(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    assert Provenance("p", params=one).id == Provenance("p", params=other).id


DIFFERENT = [
    Provenance("p"),
    Provenance("q"),
    Provenance("p", 1),
    Provenance("p", 0, 1),
    Provenance("p", params={"a": None}),
    Provenance("p", params={"a": True}),
    Provenance("p", params={"a": 1}),
    Provenance("p", params={"a": "1"}),
    Provenance("p", params={"a": [1]}),
    Provenance("p", params={"a": {}}),
    Provenance("p", upstreams=Provenance("q")),
    Provenance("p", environment=1),
    Provenance("p", environment="1"),
    Provenance("p", env_major=1),
    Provenance("p", env_minor=1),
    Provenance("p", hash_scheme=SNAPPL_MD5),
]


def test_different_meanings_have_different_ids() -> None:
    assert len({p.id for p in DIFFERENT}) == len(DIFFERENT)
    assert len(set(DIFFERENT)) == len(DIFFERENT)


LOOP: dict[str, Any] = {}
LOOP["self"] = LOOP
REFUSED: list[tuple[Any, str, str]] = [
    ({"filters": [1, 2, {"x": math.nan}]}, "params.filters[2].x", "finite"),
    ({"a": math.inf}, "params.a", "finite"),
    ({"a": np.float32("nan")}, "params.a", "finite"),
    ({"a": np.array([1.0, np.nan])}, "params.a[1]", "finite"),
    ({"a": {1, 2}}, "params.a", "set"),
    ({"a": b"x"}, "params.a", "bytes"),
    ({"a": object()}, "params.a", "object"),
    ({"a": 1j}, "params.a", "complex"),
    ({"a": Fraction(1, 2)}, "params.a", "Fraction"),
    ({"a": {1: 2}}, "params.a", "text keys"),
    ({"a": {None: 2}}, "params.a", "text keys"),
    ({"a": "x\0y"}, "params.a", "NUL"),
    ({"a": "\ud800"}, "params.a", "surrogates"),
    ({"a": 2**5000}, "params.a", "bits"),
    (LOOP, "params" + ".self" * 101, "nested"),
    ([1, 2], "params", "expected a dictionary"),
    ("text", "params", "expected a dictionary"),
]


@pytest.mark.parametrize(("params", "path", "expected"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_hashed_is_refused_by_path(params: Any, path: str, expected: str) -> None:
    with pytest.raises(ProvenanceError) as caught:
        Provenance("p", params=params)
    assert caught.value.fields["path"] == path
    assert expected in str(caught.value)
    assert str(caught.value).startswith(path)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"major": 1.9}, "major"),
        ({"major": True}, "major"),
        ({"minor": "1"}, "minor"),
        ({"minor": 2**31}, "minor"),
        ({"major": None}, "major"),
        ({"env_major": 1.5}, "env_major"),
        ({"environment": [1]}, "environment"),
        ({"environment": True}, "environment"),
        ({"upstreams": ["x"]}, "upstreams[0]"),
        ({"hash_scheme": "md5"}, "hash_scheme"),
        ({"process": ""}, "process"),
        ({"process": 3}, "process"),
    ],
    ids=str,
)
def test_parts_of_the_wrong_type_are_refused(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(ProvenanceError, match=r"expected") as caught:
        Provenance(**({"process": "p"} | arguments))
    assert caught.value.fields["path"] == name


def test_it_is_frozen_and_shares_nothing_with_its_maker() -> None:
    params = {"list": [1, {"x": 2}]}
    made = Provenance("p", params=params)
    before = made.id
    params["list"].append(3)
    params["list"][1]["x"] = 7  # type: ignore[index]
    assert made.params == {"list": (1, {"x": 2})}
    with pytest.raises(TypeError):
        made.params["new"] = 1  # type: ignore[index]
    with pytest.raises(TypeError):
        made.params["list"][1]["x"] = 1
    with pytest.raises(AttributeError, match="frozen"):
        made.major = 3
    with pytest.raises(AttributeError, match="frozen"):
        del made.params
    assert made.id == before
    made.spec_dict()["params"]["list"].append(4)  # a copy
    assert made.spec_dict()["params"] == {"list": [1, {"x": 2}]}


def test_upstreams_count_once_and_in_no_order() -> None:
    a, b = Provenance("a"), Provenance("b")
    assert Provenance("p", upstreams=[a, b, a]) == Provenance("p", upstreams=(b, a))
    assert Provenance("p", upstreams=a).upstreams == (a,)
    assert Provenance("p", upstreams=[]) == Provenance("p")


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_it_survives_copying_and_pickling(copier: Any) -> None:
    made = Provenance("p", 1, 2, {"a": [1.5]}, upstreams=Provenance("u"))
    again = copier(made)
    assert again == made
    assert again.params == made.params
    assert again.upstreams == made.upstreams


def test_recursive_dict_holds_the_whole_tree_as_json() -> None:
    up = Provenance("up", params={"x": 1})
    tree = Provenance("down", 1, upstreams=up).recursive_dict()
    assert json.loads(json.dumps(tree)) == tree
    assert tree["upstreams"][0] == up.recursive_dict()
    assert tree["upstreams"][0]["params"] == {"x": 1}


def test_a_text_that_does_not_belong_is_refused() -> None:
    made = Provenance("p", upstreams=Provenance("u"))
    with pytest.raises(ProvenanceError, match="rebuilt as"):
        Provenance.from_canonical(made.canonical_text, upstreams=[])


def test_repr_says_what_it_is() -> None:
    made = Provenance("flatten", 1, 2, {"order": 3}, upstreams=Provenance("u"))
    assert repr(made) == f"<Provenance 'flatten' 1.2, {{'order': 3}}, upstreams=1 {made.id}>"

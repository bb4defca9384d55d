"""Layouts through JSON: what is left out is at its default, what is unknown is refused."""

import json

import pytest

from snapdb.errors import ShapeError
from snapdb.model.layout import Codec, Container, Meaning, PackedBlock, PlaneLayout, TileTable

PLAIN = PlaneLayout(name="data", hdu=1, width=40, height=30, stored_dtype=">f4", dtype="float32", offset=2880)
LAYOUTS = [
    PLAIN,
    PlaneLayout(
        name="noise",
        hdu=2,
        width=40,
        height=30,
        stored_dtype=">i2",
        dtype="float32",
        offset=2880,
        bscale=0.1,
        bzero=-3.0,
        blank=-7,
        container=Container.GZIP,
        codec=Codec.FITS_TILES,
        compression="RICE_1",
        tile_shape=(1, 40),
        meaning=Meaning.INVERSE_VARIANCE,
        asinh=(1.5, 0.1),
        tiles=TileTable(hdu_bytes=5760, scale=(8, ">f8"), lengths="abc"),
    ),
    PlaneLayout(
        name="flags",
        hdu=0,
        width=40,
        height=30,
        stored_dtype="<u4",
        dtype="uint32",
        offset=17,
        codec=Codec.ASDF_BLOCK,
        compression="lz4",
        block=PackedBlock(used=10, size=4800, begin=0),
    ),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda n: n.name)
def test_a_layout_comes_back_from_json(layout: PlaneLayout) -> None:
    back = PlaneLayout.from_dict(json.loads(json.dumps(layout.to_dict())))
    assert back == layout
    assert hash(back) == hash(layout)
    assert (back.codec, back.container, back.meaning) == (layout.codec, layout.container, layout.meaning)
    assert back.to_dict() == layout.to_dict()
    assert type(back.codec) is Codec


def test_values_given_as_null_are_none() -> None:
    assert PlaneLayout.from_dict(PLAIN.to_dict() | {"tiles": None, "asinh": None, "block": None}) == PLAIN


def test_what_is_missing_or_unknown_is_refused() -> None:
    values = PLAIN.to_dict()
    with pytest.raises(TypeError, match="colour"):
        PlaneLayout.from_dict(values | {"colour": "red"})
    with pytest.raises(TypeError, match="offset"):
        PlaneLayout.from_dict({k: v for k, v in values.items() if k != "offset"})
    with pytest.raises(TypeError, match="colour"):
        PlaneLayout.from_dict({k: v for k, v in values.items() if k != "offset"} | {"colour": "red"})
    with pytest.raises(ShapeError, match="0 x 30"):
        PlaneLayout.from_dict(values | {"width": 0})
    with pytest.raises(ValueError, match="zip"):
        PlaneLayout.from_dict(values | {"container": "zip"})


def test_plain_numbers_are_those_that_nothing_is_done_to() -> None:
    assert [layout.is_plain for layout in LAYOUTS] == [True, False, True]
    assert [layout.stored_bytes for layout in LAYOUTS] == [4, 2, 4]
    for change in ({"bscale": 2.0}, {"bzero": 1.0}, {"blank": 0}, {"meaning": "variance"}, {"asinh": [1, 2]}):
        assert not PlaneLayout.from_dict(PLAIN.to_dict() | change).is_plain

"""Boxes of every compressed plane among real files, bit for bit as ``astropy.io.fits`` delivers them."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from snapdb.errors import FormatError
from snapdb.formats.layouts import make_layout
from snapdb.formats.read import PlaneReader
from snapdb.formats.source import open_source
from snapdb.model.layout import Codec, PlaneLayout
from snapdb.pixels.box import Box

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
pytestmark = [pytest.mark.data, pytest.mark.skipif(not DATA.is_dir(), reason="the real files are not there")]


def find_planes() -> list[tuple[Path, PlaneLayout]]:
    """Find the planes of all readable files."""
    planes = []
    for path in sorted(p for p in DATA.rglob("*") if p.is_file() and ".fit" in p.name.lower()):
        try:
            source = open_source(path)
        except FormatError:
            continue
        planes += [
            (path, make_layout(f, "data", source.container))
            for f in source.frames
            if f.is_plane and f.data_size
        ]
    return planes


def read_with_astropy(path: Path, hdu: int) -> np.ndarray[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(path, memmap=False) as hdus:
            data = np.asarray(hdus[hdu].data)
    return data.reshape(data.shape[-2:])


def choose_boxes(layout: PlaneLayout, rng: np.random.Generator) -> list[Box]:
    """The whole plane, its last pixel, and boxes of random places and sizes."""
    boxes = [Box(0, 0, layout.width, layout.height), Box(layout.width - 1, layout.height - 1, 1, 1)]
    for _ in range(6):
        x0, y0 = int(rng.integers(layout.width)), int(rng.integers(layout.height))
        width = int(rng.integers(1, min(layout.width - x0, 150) + 1))
        boxes.append(Box(x0, y0, width, int(rng.integers(1, min(layout.height - y0, 150) + 1))))
    return boxes


def check(path: Path, layout: PlaneLayout, rng: np.random.Generator) -> None:
    want = read_with_astropy(path, layout.hdu)
    with PlaneReader(path) as reader:
        for box in choose_boxes(layout, rng):
            got = reader.read(layout, box)
            expected = np.ascontiguousarray(want[box.slices], dtype=want.dtype.newbyteorder("="))
            assert got.dtype == expected.dtype, (path, layout.hdu)
            assert got.tobytes() == expected.tobytes(), (path, layout.hdu, box)


def test_boxes_of_all_compressed_planes_equal_astropy() -> None:
    rng = np.random.default_rng(41)
    planes = [(p, la) for p, la in find_planes() if la.codec is Codec.FITS_TILES]
    assert len(planes) > 20
    assert {la.compression for _, la in planes} >= {"RICE_1"}
    for path, layout in planes:
        assert layout.tiles is not None
        assert layout.tiles.lengths, f"{path}: HDU {layout.hdu} is left to astropy"
        check(path, layout, rng)


def test_compressed_planes_registered_without_their_table_read_the_same() -> None:
    rng = np.random.default_rng(42)
    planes = [(p, la) for p, la in find_planes() if la.codec is Codec.FITS_TILES]
    for path, layout in planes[::3]:
        check(path, replace(layout, tiles=None), rng)


def test_boxes_of_all_raw_planes_equal_astropy() -> None:
    rng = np.random.default_rng(43)
    planes = [(p, la) for p, la in find_planes() if la.codec is Codec.RAW]
    assert len(planes) > 100
    for path, layout in planes:
        check(path, layout, rng)

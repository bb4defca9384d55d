"""Boxes of planes, bit for bit as ``astropy.io.fits`` delivers them."""

import bz2
import gzip
import math
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from snapdb.errors import CorruptFileError, ObjectMissingError, ShapeError, StorageError
from snapdb.formats import read
from snapdb.formats.layouts import make_layout
from snapdb.formats.read import PlaneReader, open_planes, read_box, to_linear
from snapdb.formats.source import open_source
from snapdb.model.layout import Meaning, PlaneLayout
from snapdb.pixels.box import Box

BOXES = [Box(0, 0, 37, 23), Box(36, 22, 1, 1), Box(5, 3, 20, 1), Box(0, 7, 37, 9), Box(11, 0, 3, 23)]


def layout_of(path: Path, hdu: int, meaning: Meaning = Meaning.DIRECT, *, asinh: bool = False) -> PlaneLayout:
    source = open_source(path)
    return make_layout(source.frames[hdu], "data", source.container, meaning, asinh=asinh)


def write_raw(path: Path, stored: np.ndarray[Any, Any], **cards: object) -> None:
    """Write stored numbers as they are, with scaling cards beside them."""
    hdu = fits.PrimaryHDU(stored)
    hdu.writeto(path)
    with path.open("r+b") as file:
        block = bytearray(file.read(2880))
        end = block.index(b"END     ")
        for key, value in cards.items():
            block[end : end + 80] = str(fits.Card(key, value)).encode()
            end += 80
        block[end : end + 80] = b"END".ljust(80)
        file.seek(0)
        file.write(block)


CASES: list[tuple[str, dict[str, object]]] = [
    ("u1", {}),
    ("u1", {"BZERO": -128}),
    ("u1", {"BSCALE": 0.5, "BZERO": 3.25}),
    ("u1", {"BLANK": 3}),
    ("i2", {}),
    ("i2", {"BZERO": 32768}),
    ("i2", {"BZERO": 32768, "BLANK": 5}),
    ("i2", {"BSCALE": 2.923, "BZERO": 3713.67}),
    ("i2", {"BLANK": -7}),
    ("i2", {"BSCALE": 0.1, "BLANK": -7}),
    ("i4", {}),
    ("i4", {"BSCALE": 0.7071}),
    ("i4", {"BZERO": 2147483648}),
    ("i8", {}),
    ("i8", {"BZERO": 9223372036854775808}),
    ("f4", {}),
    ("f4", {"BSCALE": 1.5, "BZERO": -2.25}),
    ("f8", {}),
    ("f8", {"BZERO": 10.0}),
]


@pytest.mark.parametrize(("kind", "cards"), CASES)
@pytest.mark.parametrize("packing", ["plain", "gzip", "bzip2"])
def test_boxes_equal_astropy_bit_for_bit(
    tmp_path: Path, kind: str, cards: dict[str, object], packing: str
) -> None:
    rng = np.random.default_rng(3)
    stored = rng.integers(0 if kind == "u1" else -100, 100, (23, 37)).astype(kind)
    path = tmp_path / "a.fits"
    write_raw(path, stored, **cards)
    want = fits.getdata(path, 0, memmap=False)
    raw = path.read_bytes()
    path.write_bytes({"plain": raw, "gzip": gzip.compress(raw), "bzip2": bz2.compress(raw)}[packing])
    layout = layout_of(path, 0)
    with open_planes(path) as reader:
        for box in BOXES:
            got = reader.read(layout, box)
            expected = want[box.slices].astype(want.dtype.newbyteorder("="))
            assert got.dtype == expected.dtype == np.dtype(layout.dtype)
            assert got.tobytes() == expected.tobytes()
            assert got.base is None
            assert got.flags.c_contiguous
            assert got.dtype.isnative


@pytest.mark.parametrize("kind", ["i2", "u2", "f4"])
@pytest.mark.parametrize("compression", ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1"])
def test_tiles_equal_astropy_bit_for_bit(tmp_path: Path, kind: str, compression: str) -> None:
    data = np.random.default_rng(4).normal(500, 20, (23, 37)).astype(kind)
    path = tmp_path / "a.fits.fz"
    hdu = fits.CompImageHDU(data, compression_type=compression, tile_shape=(8, 16), quantize_level=16)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    layout = layout_of(path, 1)
    want = fits.getdata(path, 1)
    for box in BOXES:
        got = read_box(path, layout, box)
        assert got.dtype == want.dtype.newbyteorder("=")
        assert got.tobytes() == np.ascontiguousarray(want[box.slices].astype(got.dtype)).tobytes()


def test_long_spans_are_read_row_by_row_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.fits"
    data = np.random.default_rng(5).normal(size=(23, 37)).astype("f4")
    fits.PrimaryHDU(data).writeto(path)
    layout = layout_of(path, 0)
    monkeypatch.setattr(read, "GAP_BYTES", 0)
    for box in BOXES:
        assert np.array_equal(read_box(path, layout, box), data[box.slices])


def test_an_image_with_axes_of_length_one_is_read(tmp_path: Path) -> None:
    data = np.arange(30, dtype="f4").reshape(1, 1, 5, 6)
    fits.PrimaryHDU(data).writeto(tmp_path / "a.fits")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data)]).writeto(tmp_path / "b.fits")
    for name, hdu in (("a.fits", 0), ("b.fits", 1)):
        path = tmp_path / name
        got = read_box(path, layout_of(path, hdu), Box(1, 2, 3, 2))
        assert got.shape == (2, 3)
        assert np.allclose(got, data[0, 0, 2:4, 1:4], atol=0.5)


def test_threads_share_a_reader(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    data = rng.normal(size=(200, 300)).astype("f4")
    path = tmp_path / "a.fits"
    whole = rng.integers(0, 999, (200, 300)).astype("i2")
    fits.HDUList([fits.PrimaryHDU(data), fits.CompImageHDU(whole, tile_shape=(20, 30))]).writeto(path)
    layouts = [layout_of(path, 0), layout_of(path, 1)]
    boxes = [Box(int(x), int(y), 40, 30) for x, y in rng.integers(0, 160, (60, 2))]
    with PlaneReader(path) as reader, ThreadPoolExecutor(8) as pool:
        for layout, want in zip(layouts, (data, whole), strict=True):
            for box, got in zip(boxes, pool.map(lambda b, la=layout: reader.read(la, b), boxes), strict=True):
                assert np.array_equal(got, want[box.slices])


def test_variance_and_weight_become_one_sigma(tmp_path: Path) -> None:
    stored = np.array([[4.0, 0.25], [0.0, -1.0]], dtype="f4")
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(stored).writeto(path)
    box = Box(0, 0, 2, 2)
    variance = read_box(path, layout_of(path, 0, Meaning.VARIANCE), box)
    assert np.allclose(variance, [[2.0, 0.5], [0.0, np.nan]], equal_nan=True)
    weight = read_box(path, layout_of(path, 0, Meaning.INVERSE_VARIANCE), box)
    assert np.array_equal(weight, [[0.5, 2.0], [np.inf, np.inf]])
    assert weight.dtype == np.float32


def test_asinh_planes_are_made_linear(tmp_path: Path) -> None:
    """The inverse, v = 2.5 log10(e) asinh((f - BOFFSET) / (2 BSOFTEN)), is the oracle."""
    flux = np.linspace(-50.0, 5000.0, 12).reshape(3, 4)
    soften, offset = 20.0, 7.0
    scaled = 2.5 * np.log10(math.e) * np.arcsinh((flux - offset) / (2 * soften))
    assert np.allclose(to_linear(scaled, soften, offset), flux, rtol=1e-12)
    path = tmp_path / "a.fits"
    write_raw(path, scaled, BSOFTEN=soften, BOFFSET=offset)
    assert np.allclose(read_box(path, layout_of(path, 0, asinh=True), Box(0, 0, 4, 3)), flux, rtol=1e-12)


def test_boxes_beyond_the_plane_and_shortened_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((20, 20))).writeto(path)
    layout = layout_of(path, 0)
    for box in (Box(-1, 0, 2, 2), Box(15, 15, 6, 1), Box(0, 19, 1, 2)):
        with pytest.raises(ShapeError, match="reaches beyond"):
            read_box(path, layout, box)
    with path.open("r+b") as file:
        file.truncate(2880 + 1000)
    with pytest.raises(CorruptFileError, match="beyond the end of the file"):
        read_box(path, layout, Box(0, 0, 20, 20))


def test_a_damaged_tile_is_refused_and_a_closed_reader_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    data = np.random.default_rng(7).integers(0, 30000, (64, 64)).astype("i4")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, compression_type="GZIP_1")]).writeto(path)
    layout = layout_of(path, 1)
    frame = open_source(path).frames[1]
    with path.open("r+b") as file:
        file.seek(frame.data_offset + 64 * 8)
        file.write(b"\xff" * 4000)
    with warnings.catch_warnings(), pytest.raises(CorruptFileError, match="does not decode"):
        read_box(path, layout, Box(0, 0, 64, 64))
    reader = open_planes(path)
    reader.close()
    reader.close()
    with pytest.raises(StorageError, match="closed"):
        reader.read_all(layout)
    with pytest.raises(ObjectMissingError):
        open_planes(tmp_path / "none.fits")


def compressed(path: Path, codec: str, size: int, tile: int) -> np.ndarray[Any, Any]:
    """Write noise in tiles, and give what astropy makes of them."""
    data = np.random.default_rng(5).normal(1000, 50, (size, size)).astype("f4")
    stored = data.astype("i2") if codec == "PLIO_1" else data
    hdu = fits.CompImageHDU(stored, compression_type=codec, tile_shape=(tile, tile))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return np.array(fits.getdata(path, 1))


@pytest.mark.parametrize("shared", [True, False])
def test_threads_decode_hcompress_to_the_right_pixels(tmp_path: Path, *, shared: bool) -> None:
    """The decoder keeps its place in variables of the whole process."""
    path = tmp_path / "a.fits"
    want = compressed(path, "HCOMPRESS_1", 400, 100)
    layout = layout_of(path, 1)
    boxes = [Box(x, y, 61, 61) for x in range(0, 339, 48) for y in range(0, 339, 48)]
    with open_planes(path) as common:
        source = common if shared else path
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda box: read_box(source, layout, box), boxes))
    assert all(np.array_equal(a, want[b.slices]) for a, b in zip(got, boxes, strict=True))


@pytest.mark.parametrize("codec", ["HCOMPRESS_1", "RICE_1", "GZIP_1", "GZIP_2", "PLIO_1"])
def test_whatever_a_damaged_tile_makes_the_decoder_raise_is_one_error(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "a.fits"
    compressed(path, codec, 60, 20)
    layout = layout_of(path, 1)
    raw = path.read_bytes()
    frame = open_source(path).frames[1]
    rng = np.random.default_rng(3)
    refused: list[str] = []
    for _ in range(30):
        bad = bytearray(raw)
        at = int(rng.integers(frame.data_offset + 300, frame.data_offset + frame.data_size - 40))
        bad[at : at + 40] = rng.bytes(40)
        path.write_bytes(bad)
        try:
            assert read_box(path, layout, Box(0, 0, 60, 60)).shape == (60, 60)
        except CorruptFileError as err:
            refused.append(str(err))
    assert refused or codec in ("RICE_1", "PLIO_1")
    assert all(str(path) in text for text in refused)

"""Decoders against what they decode and against astropy; damage is refused and crashes nothing."""

import gzip
import io
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits.hdu.compressed._compression import (  # the writers, of which astropy has no public form
    compress_hcompress_1_c,
    compress_plio_1_c,
    compress_rice_1_c,
)

from snapdb.errors import CorruptFileError
from snapdb.formats import codecs
from snapdb.formats.layouts import make_layout
from snapdb.formats.plan import plan_read
from snapdb.formats.read import BytesInMemory
from snapdb.formats.scan import scan_fits
from snapdb.formats.tile_table import pack, unpack
from snapdb.model.layout import Container, PlaneLayout
from snapdb.pixels.box import Box

RNG = np.random.default_rng(12)
MASK = np.repeat(RNG.integers(0, 3, 120), 25).astype("i4")


def to_bytes(*hdus: Any) -> bytes:
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(stream)
    return stream.getvalue()


def layout_of(content: bytes) -> PlaneLayout:
    return make_layout(scan_fits(io.BytesIO(content), len(content))[1], "data", Container.PLAIN)


def read(content: bytes, layout: PlaneLayout, box: Box | None = None) -> Any:
    plan = plan_read(layout, box or Box(0, 0, layout.width, layout.height))
    return plan.decode(BytesInMemory(content).read_ranges(plan.ranges))


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("block", [16, 32])
def test_rice_gives_back_what_was_packed(size: int, block: int) -> None:
    data = RNG.integers(-100, 100, 1001).astype(f"i{size}")
    packed = compress_rice_1_c(data.tobytes(), block, size)
    got = codecs.decode_rice(packed, data.size, block_px=block, pixel_bytes=size)
    assert got.tobytes() == data.tobytes()


def test_plio_and_hcompress_give_back_what_was_packed() -> None:
    packed = np.frombuffer(compress_plio_1_c(MASK.tobytes(), MASK.size), "i2").astype(">i2").tobytes()
    assert np.array_equal(codecs.decode_plio(packed, MASK.size), MASK)
    data = RNG.integers(0, 900, (23, 37)).astype("i4")
    packed = compress_hcompress_1_c(data.astype("i8").tobytes(), 23, 37, 0, 8)
    assert np.array_equal(codecs.decode_hcompress(packed, 23, 37, scale=0, smooth=0).reshape(23, 37), data)


def test_gzip_is_bounded_and_verified() -> None:
    raw = RNG.bytes(5000)
    packed = gzip.compress(raw)
    assert codecs.inflate(packed, 5000) == raw
    assert codecs.inflate(gzip.compress(raw[:10]) + gzip.compress(raw[10:]), 5000) == raw
    for bad in (packed[:-1], packed[:-8] + bytes(8), b"", b"\x1f\x8b\x00", gzip.compress(raw + b"x")):
        with pytest.raises(CorruptFileError):
            codecs.inflate(bad, 5000)
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(CorruptFileError, match="more than 8000 bytes"):
        codecs.inflate(bomb, 8000)


def test_the_dither_is_that_of_the_standard() -> None:
    """Appendix I gives the last seed, 1043618065; what follows in a tile is told step by step in 10.2.1."""
    seed, table = 1, []
    for _ in range(10_000):
        seed = 16807 * seed % 2147483647
        table.append(np.float32(seed / 2147483647))
    assert seed == 1043618065
    for row in (1, 2, 777, 10_000, 10_001, 123_456):
        start = (row - 1) % 10_000
        at, want = int(table[start] * np.float32(500)), []
        for _ in range(25_000):
            want.append(table[at])
            at += 1
            if at == 10_000:
                start = (start + 1) % 10_000
                at = int(table[start] * np.float32(500))
        assert np.array_equal(codecs.dither(row, 25_000), np.array(want))


@pytest.mark.parametrize("count", [1, 2, 5000])
def test_numbers_are_packed_and_given_back(count: int) -> None:
    for high in (1, 200, 70_000, 2**40):
        numbers = RNG.integers(-high, high, count)
        assert np.array_equal(unpack(pack(numbers), count), numbers)
    for text in ("", "1", "9AAAA", pack(np.arange(count + 1)), pack(np.arange(count))[:-4]):
        with pytest.raises(CorruptFileError, match="ingest the file again"):
            unpack(text, count)


def test_lengths_of_rows_stay_short_in_the_registry() -> None:
    lengths = np.random.default_rng(1).normal(3500, 25, 4088).astype(np.int64)
    assert len(pack(lengths)) < 2.2 * lengths.size


def rebuild(content: bytes, change: Callable[[Any], list[fits.Column]], *drop: str) -> bytes:
    """Write a compressed image's table anew with other columns, its keywords kept save some."""
    with fits.open(io.BytesIO(content), disable_image_compression=True) as hdus:
        made = fits.BinTableHDU.from_columns(change(hdus[1].data))
        header = hdus[1].header
        keys = [k for k in header if k.startswith("Z") and k not in drop]
        made.header.update({k: header[k] for k in keys})
        return to_bytes(made)


def as_objects(arrays: list[Any]) -> Any:
    """Give arrays of different lengths as one column."""
    column = np.empty(len(arrays), dtype=object)
    column[:] = arrays
    return column


@pytest.mark.parametrize("pointer", ["P", "Q"])
def test_tiles_that_would_not_quantise_are_read_bare(pointer: str) -> None:
    """UNCOMPRESSED_DATA stands beside COMPRESSED_DATA; the table is made by hand, astropy is the oracle."""
    data = RNG.normal(100, 5, (8, 40)).astype("f4")
    odd = (2, 5)

    def change(table: Any) -> list[fits.Column]:
        tiles = [table["COMPRESSED_DATA"][n][: 0 if n in odd else None] for n in range(8)]
        bare = [data[n] if n in odd else data[n, :0] for n in range(8)]
        return [
            fits.Column("COMPRESSED_DATA", f"{pointer}B()", array=as_objects(tiles)),
            fits.Column("UNCOMPRESSED_DATA", f"{pointer}E()", array=as_objects(bare)),
            *(fits.Column(n, "D", array=table[n]) for n in ("ZSCALE", "ZZERO")),
        ]

    whole = fits.CompImageHDU(data, tile_shape=(1, 40), quantize_level=16, quantize_method=1)
    content = rebuild(to_bytes(whole), change)
    want = fits.getdata(io.BytesIO(content), 1)
    layout = layout_of(content)
    assert layout.tiles is not None
    assert layout.tiles.kinds
    assert np.array_equal(read(content, layout), want)
    assert np.array_equal(want[list(odd)], data[list(odd)])


@pytest.mark.parametrize("tile", [(1, 40), (4, 16)])
def test_each_tile_may_have_its_own_blank(tile: tuple[int, int]) -> None:
    """ZBLANK is a column here, and says another number for every second tile: their NaN are none there."""
    data = RNG.normal(100, 5, (8, 40)).astype("f4")
    data[3:6, 7:30] = np.nan
    options = {"tile_shape": tile, "quantize_level": 16, "quantize_method": 1}
    content = to_bytes(fits.CompImageHDU(data, **options))

    def change(table: Any) -> list[fits.Column]:
        blanks = np.full(len(table), -(2**31))
        blanks[1::2] = 12345
        tiles = as_objects([np.array(t) for t in table["COMPRESSED_DATA"]])
        return [
            fits.Column("COMPRESSED_DATA", "PB()", array=tiles),
            *(fits.Column(n, "D", array=table[n]) for n in ("ZSCALE", "ZZERO")),
            fits.Column("ZBLANK", "J", array=blanks),
        ]

    content = rebuild(content, change, "ZBLANK")
    want = fits.getdata(io.BytesIO(content), 1)
    layout = layout_of(content)
    assert layout.tiles is not None
    assert layout.tiles.blanks is not None
    assert 0 < np.isnan(want).sum() < np.isnan(data).sum()
    assert read(content, layout).tobytes() == want.astype("f4").tobytes()


@pytest.mark.parametrize("kind", ["i2", "i4"])
def test_blanks_of_whole_numbers_become_nan(kind: str) -> None:
    """BLANK is the image's; ZBLANK says the same in the table, and stands alone in some files."""
    data = RNG.integers(-50, 50, (20, 30)).astype(kind)
    header = fits.Header({"BLANK": -7})
    content = to_bytes(fits.CompImageHDU(data, header, compression_type="GZIP_1", tile_shape=(7, 9)))
    renamed = content.replace(b"BLANK   =", b"ZBLANK  =")
    assert renamed != content
    for file in (content, renamed):
        layout = layout_of(file)
        want = fits.getdata(io.BytesIO(file), 1)
        got = read(file, layout)
        assert np.isnan(got).sum() == (data == -7).sum() > 0
        assert got.dtype == want.dtype.newbyteorder("=")
        assert np.array_equal(got, want, equal_nan=True)


FUZZ = """
import sys, io
import numpy as np
from snapdb.errors import CorruptFileError
from snapdb.formats.layouts import make_layout
from snapdb.formats.plan import plan_read
from snapdb.formats.read import BytesInMemory
from snapdb.formats.scan import scan_fits
from snapdb.model.layout import Container
from snapdb.pixels.box import Box
content = sys.stdin.buffer.read()
frame = scan_fits(io.BytesIO(content), len(content))[1]
rng = np.random.default_rng(int(sys.argv[1]))
done = refused = 0
for round in range(400):
    bad = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        length = int(rng.choice([1, 4, 40, 400]))
        at = int(rng.integers(frame.data_offset, frame.data_offset + frame.data_size - length))
        fill = rng.choice(["noise", "zeros", "ones"])
        fills = {"noise": rng.bytes(length), "zeros": bytes(length), "ones": b"\\xff" * length}
        bad[at:at + length] = fills[fill]
    bad = bytes(bad)
    try:
        layout = make_layout(scan_fits(io.BytesIO(bad), len(bad))[1], "data", Container.PLAIN)
        plan = plan_read(layout, Box(0, 0, layout.width, layout.height))
        assert sum(n for _, n in plan.ranges) <= len(bad)
        plan.decode(BytesInMemory(bad).read_ranges(plan.ranges))
        done += 1
    except CorruptFileError as err:
        assert "decode" in str(err) or "end of the file" in str(err), err
        refused += 1
print(done, refused)
"""


@pytest.mark.parametrize("codec", ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1"])
def test_damaged_heaps_never_bring_the_process_down(codec: str) -> None:
    """The compiled decoders trust their input: a process of its own tries 400 damaged files."""
    data = np.random.default_rng(5).normal(1000, 50, (60, 60)).astype("f4")
    stored = (data > 1040).astype("i2") if codec == "PLIO_1" else data
    content = to_bytes(
        fits.CompImageHDU(stored, compression_type=codec, tile_shape=(20, 20), quantize_level=16)
    )
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, "11"], input=content, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    whole, refused = map(int, done.stdout.split())
    assert whole + refused == 400
    assert refused > 20


def test_settings_that_no_decoder_survives_are_refused() -> None:
    data = RNG.integers(0, 99, (20, 30)).astype("i4")
    layout = layout_of(to_bytes(fits.CompImageHDU(data, tile_shape=(20, 30))))
    content = to_bytes(fits.CompImageHDU(data, tile_shape=(20, 30)))
    assert layout.tiles is not None
    bad: list[dict[str, Any]] = [{"pixel_bytes": 8}, {"block_px": 0}, {"block_px": 10**6}, {"pixel_bytes": 0}]
    for changes in bad:
        with pytest.raises(CorruptFileError, match="cannot be"):
            read(content, replace(layout, tiles=replace(layout.tiles, **changes)))
    huge = replace(layout, width=10**6, height=10**6, tile_shape=(10**6, 10**6))
    with pytest.raises(CorruptFileError, match="a tile of 1000000000000 pixels"):
        read(content, huge, Box(5, 5, 3, 3))
    with pytest.raises(CorruptFileError, match="outside the heap"):
        read(content, replace(layout, tiles=replace(layout.tiles, heap_bytes=3)))


def test_threads_decode_the_same() -> None:
    """RICE and zlib run beside each other, HCOMPRESS in turn."""
    data = RNG.normal(500, 9, (200, 200)).astype("f4")
    for codec in ("RICE_1", "GZIP_2", "HCOMPRESS_1"):
        content = to_bytes(
            fits.CompImageHDU(data, compression_type=codec, tile_shape=(50, 50), quantize_level=16)
        )
        layout, want = layout_of(content), fits.getdata(io.BytesIO(content), 1)
        boxes = [Box(int(x), int(y), 41, 41) for x, y in RNG.integers(0, 159, (60, 2))]
        with ThreadPoolExecutor(6) as pool:
            got = list(pool.map(lambda b, c=content, la=layout: read(c, la, b), boxes))
        assert all(np.array_equal(g, want[b.slices]) for g, b in zip(got, boxes, strict=True))


def test_zlib_streams_without_a_gzip_head_are_refused() -> None:
    with pytest.raises(CorruptFileError):
        codecs.inflate(zlib.compress(b"abc"), 100)

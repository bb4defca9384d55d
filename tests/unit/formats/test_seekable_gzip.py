"""Boxes of gzip files by their seek index, against whole inflation by the standard library, and astropy."""

import gzip
import os
import random
import threading
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from snapdb.errors import CorruptFileError, StorageError
from snapdb.formats import kept
from snapdb.formats.describe import describe
from snapdb.formats.kept import KeptBlocks
from snapdb.formats.layouts import make_layout
from snapdb.formats.read import PlaneReader
from snapdb.formats.seekable import BLOCK_BYTES, SPACING, GzipIndex, SeekableGzip, make_index
from snapdb.formats.source import open_source
from snapdb.pixels.box import Box

SEED = 20261125
SIZE = 2 * SPACING + 12_345
"""Bytes of content: several places to inflate from, and a last block that is not full."""


@pytest.fixture(scope="module")
def content() -> bytes:
    """Numbers as detectors give them: they compress, and not too well."""
    rng = np.random.default_rng(SEED)
    return rng.normal(1000.0, 5.0, SIZE // 2 + 1).astype(">i2").tobytes()[:SIZE]


def write_packed(path: Path, content: bytes, kind: str) -> Path:
    """Write one member, three members, or stored blocks that compress nothing."""
    if kind == "members":
        third = len(content) // 3
        parts = [content[:third], content[third : 2 * third], content[2 * third :]]
        path.write_bytes(b"".join(gzip.compress(part, 1) for part in parts))
    else:
        path.write_bytes(gzip.compress(content, 0 if kind == "stored" else 4))
    return path


def open_seekable(path: Path, index: GzipIndex, limit: int = 2**30) -> SeekableGzip:
    fd = os.open(path, os.O_RDONLY)
    try:
        return SeekableGzip(fd, index, str(path), KeptBlocks(limit))
    finally:
        os.close(fd)  # the source has a descriptor of its own


@pytest.mark.parametrize("kind", ["one", "members", "stored"])
def test_any_range_is_what_whole_inflation_gives(tmp_path: Path, content: bytes, kind: str) -> None:
    path = write_packed(tmp_path / "a.gz", content, kind)
    index = GzipIndex.from_bytes(make_index(path).to_bytes())
    assert index is not None
    assert (index.size, index.packed_size) == (SIZE, path.stat().st_size)
    chance = random.Random(SEED)
    edges = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, SPACING - 1, SPACING, SIZE - 1, SIZE, SIZE + 5]
    begins = edges + [chance.randrange(SIZE) for _ in range(8)]
    lengths = [0, 1, 2880, BLOCK_BYTES, 2 * BLOCK_BYTES + 1, SIZE]
    source = open_seekable(path, index, limit=5 * BLOCK_BYTES)
    for begin in begins:
        length = chance.choice(lengths)
        assert source.read_ranges([(begin, length)]) == [content[begin : begin + length]]
    rows = sorted((chance.randrange(SIZE), 500) for _ in range(200))
    assert source.read_ranges(rows) == [content[b : b + n] for b, n in rows]
    source.close()


def test_an_empty_stream_has_no_index(tmp_path: Path) -> None:
    path = write_packed(tmp_path / "a.gz", b"", "one")
    with pytest.raises(CorruptFileError, match="holds nothing"):
        make_index(path)


def test_threads_share_a_source(tmp_path: Path, content: bytes) -> None:
    path = write_packed(tmp_path / "a.gz", content, "one")
    source = open_seekable(path, make_index(path), limit=2 * BLOCK_BYTES)
    wrong: list[int] = []

    def read_some(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(6):
            begin = chance.randrange(SIZE)
            if source.read_ranges([(begin, 5000)]) != [content[begin : begin + 5000]]:
                wrong.append(begin)

    threads = [threading.Thread(target=read_some, args=(SEED + n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    source.close()
    assert wrong == []


def test_kept_blocks_are_bounded_and_spare_inflation(tmp_path: Path, content: bytes) -> None:
    path = write_packed(tmp_path / "a.gz", content, "one")
    blocks = KeptBlocks(3 * BLOCK_BYTES)
    fd = os.open(path, os.O_RDONLY)
    source = SeekableGzip(fd, make_index(path), str(path), blocks)
    assert source.read_ranges([(0, SIZE)]) == [content]
    assert 0 < blocks.size <= 3 * BLOCK_BYTES
    source.read_ranges([(100, 10)])
    first, packed = bytearray(path.read_bytes()), path.stat()
    path.write_bytes(bytes(len(first)))  # in place: what is kept is not read again
    os.utime(path, ns=(packed.st_atime_ns, packed.st_mtime_ns))
    assert source.read_ranges([(100, 10)]) == [content[100:110]]
    source.close()
    os.close(fd)


def test_blocks_of_a_changed_file_are_not_the_old_ones(tmp_path: Path, content: bytes) -> None:
    blocks = KeptBlocks()
    other = content[::-1]
    path = tmp_path / "a.gz"
    for time, now in enumerate((content, other)):
        write_packed(path, now, "stored")
        os.utime(path, ns=(0, time))
        fd = os.open(path, os.O_RDONLY)
        source = SeekableGzip(fd, make_index(path), str(path), blocks)
        assert source.read_ranges([(7, 5000)]) == [now[7:5007]]
        source.close()
        os.close(fd)


@pytest.mark.parametrize("kind", ["one", "stored"])
def test_a_damaged_stream_never_gives_other_bytes(tmp_path: Path, content: bytes, kind: str) -> None:
    path = write_packed(tmp_path / "a.gz", content, kind)
    index = make_index(path)
    sound = path.read_bytes()
    chance = random.Random(SEED)
    noticed = 0
    for _ in range(4):
        broken = bytearray(sound)
        at = chance.randrange(100, len(sound) - 100)
        broken[at] ^= 1 << chance.randrange(8)
        path.write_bytes(broken)
        source = open_seekable(path, index)
        try:
            for begin in range(0, SIZE, BLOCK_BYTES):
                try:
                    assert source.read_ranges([(begin, 3000)]) == [content[begin : begin + 3000]]
                except CorruptFileError:
                    noticed += 1
        finally:
            source.close()
    assert noticed >= 4  # each flipped bit spoils a block at least


@pytest.mark.parametrize("damage", ["cut", "bit", "garbage"])
def test_a_damaged_stream_has_no_index(tmp_path: Path, content: bytes, damage: str) -> None:
    path = write_packed(tmp_path / "a.gz", content, "one")
    packed = bytearray(path.read_bytes())
    if damage == "cut":
        packed = packed[: len(packed) // 2]
    elif damage == "bit":
        packed[len(packed) // 2] ^= 4
    else:
        packed += b"no gzip member"
    path.write_bytes(packed)
    with pytest.raises(CorruptFileError, match="damaged or cut short"):
        make_index(path)


def test_a_stream_that_unwraps_to_too_much_has_no_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snapdb.formats.unwrap.FREE_UNWRAPPED_BYTES", 2**20)
    monkeypatch.setattr("snapdb.formats.unwrap.MAX_RATIO", 100)
    path = write_packed(tmp_path / "a.gz", bytes(2**23), "one")
    with pytest.raises(CorruptFileError, match="refused"):
        make_index(path)


def test_a_damaged_index_is_not_believed(tmp_path: Path) -> None:
    path = write_packed(tmp_path / "a.gz", bytes(range(256)) * 5000, "one")
    stored = make_index(path).to_bytes()
    assert GzipIndex.from_bytes(stored) is not None
    chance = random.Random(SEED)
    for _ in range(50):
        broken = bytearray(stored)
        broken[chance.randrange(len(stored))] ^= 1 << chance.randrange(8)
        assert GzipIndex.from_bytes(bytes(broken)) is None
        assert GzipIndex.from_bytes(stored[: chance.randrange(len(stored))]) is None
    assert GzipIndex.from_bytes(b"") is None


def test_an_index_of_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    one = write_packed(tmp_path / "a.gz", content, "one")
    other = write_packed(tmp_path / "b.gz", content, "stored")
    with pytest.raises(StorageError, match="seek index"):
        open_seekable(other, make_index(one))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A plane of 1200 x 1100 float32, one of scaled int16, and one in RICE tiles, gzipped as a whole."""
    rng = np.random.default_rng(SEED)
    cards = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": -5.0})
    cards.update({"CRPIX1": 600.0, "CRPIX2": 550.0, "CDELT1": -1e-4, "CDELT2": 1e-4})
    plane = rng.normal(100.0, 5.0, (1100, 1200)).astype(np.float32)
    scaled = fits.ImageHDU(plane, cards, name="B")
    scaled.scale("int16", bscale=0.01, bzero=100.0)
    tiled = fits.CompImageHDU(plane.astype(np.int32), cards, name="C", compression_type="RICE_1")
    path = tmp_path / "image.fits.gz"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(plane, cards, name="A"), scaled, tiled]).writeto(path)
    return path


def test_boxes_are_astropys(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> bytes:
        raise AssertionError(path)

    monkeypatch.setattr(kept.KEPT, "read", refuse)  # the file is never unwrapped whole
    index = make_index(image)
    source = open_source(image)
    layouts = [make_layout(source.frames[hdu], "data", source.container) for hdu in (1, 2, 3)]
    with fits.open(image) as hdus, PlaneReader(image, gzip_index=lambda: index) as reader:
        for hdu, layout in zip((1, 2, 3), layouts, strict=True):
            for box in (Box(0, 0, 64, 64), Box(1136, 1036, 64, 64), Box(500, 3, 1, 1097)):
                expected = hdus[hdu].data[box.slices]
                found = reader.read(layout, box)
                np.testing.assert_array_equal(found, expected)
                assert found.dtype == expected.dtype.newbyteorder("=")
            np.testing.assert_array_equal(reader.read_all(layout), hdus[hdu].data)


def test_without_an_index_the_file_is_unwrapped(image: Path) -> None:
    layout = describe(image)[0].planes[0].layout
    asked = []

    def none() -> None:
        asked.append(1)

    with fits.open(image) as hdus, PlaneReader(image, gzip_index=none) as reader:
        for _ in range(2):
            np.testing.assert_array_equal(reader.read_all(layout), hdus[layout.hdu].data)
    assert asked == [1]


def test_an_index_that_does_not_fit_is_passed_over(image: Path, tmp_path: Path, content: bytes) -> None:
    index = make_index(write_packed(tmp_path / "other.gz", content, "one"))
    layout = describe(image)[0].planes[0].layout
    with fits.open(image) as hdus, PlaneReader(image, gzip_index=lambda: index) as reader:
        np.testing.assert_array_equal(reader.read_all(layout), hdus[layout.hdu].data)
    with pytest.raises(StorageError, match="closed"):
        reader.read_all(layout)

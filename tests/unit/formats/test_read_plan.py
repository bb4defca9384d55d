"""Plans: which bytes a box needs, joined or apart, and what any source of bytes makes of them."""

import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from snapdb.errors import CorruptFileError, ShapeError, UsageError
from snapdb.formats.find_tiles import with_tiles
from snapdb.formats.layouts import make_layout
from snapdb.formats.plan import plan_read
from snapdb.formats.read import BytesInMemory, PlaneReader
from snapdb.formats.scan import scan_fits
from snapdb.formats.tile_grid import join_ranges
from snapdb.model.layout import Container, PlaneLayout
from snapdb.pixels.box import Box


def to_bytes(*hdus: Any) -> bytes:
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(stream)
    return stream.getvalue()


def layout_of(content: bytes, hdu: int = 1) -> PlaneLayout:
    return make_layout(scan_fits(io.BytesIO(content), len(content))[hdu], "data", Container.PLAIN)


DATA = np.random.default_rng(2).normal(100, 3, (60, 80)).astype("f4")
RAW = to_bytes(fits.ImageHDU(DATA))
TILED = to_bytes(fits.ImageHDU(DATA), fits.CompImageHDU(DATA, tile_shape=(10, 16), quantize_level=16))
BOX = Box(13, 7, 30, 22)


def carry_out(content: bytes, layout: PlaneLayout, box: Box, gap_bytes: int) -> Any:
    plan = plan_read(layout, box, gap_bytes=gap_bytes)
    return plan.decode(BytesInMemory(content).read_ranges(plan.ranges))


def test_rows_are_read_alone_or_together_as_the_gaps_have_it() -> None:
    layout = layout_of(RAW)
    gap = (layout.width - BOX.width) * 4
    apart = plan_read(layout, BOX, gap_bytes=gap - 1).ranges
    first = layout.offset + (BOX.y0 * 80 + BOX.x0) * 4
    assert apart == tuple((first + n * 80 * 4, BOX.width * 4) for n in range(BOX.height))
    assert plan_read(layout, BOX, gap_bytes=gap).ranges == ((first, 21 * 80 * 4 + BOX.width * 4),)
    assert len(plan_read(layout, Box(0, 3, 80, 20), gap_bytes=0).ranges) == 1
    assert plan_read(layout, Box(79, 59, 1, 1), gap_bytes=0).ranges == ((layout.offset + 4799 * 4, 4),)


@pytest.mark.parametrize("gap_bytes", [0, 64, 10**6])
@pytest.mark.parametrize("content", [RAW, TILED])
def test_a_plan_gives_the_pixels_of_astropy_whatever_it_joins(content: bytes, gap_bytes: int) -> None:
    hdu = 1 if content is RAW else 2
    want = fits.getdata(io.BytesIO(content), hdu)
    layout = layout_of(content, hdu)
    for box in (BOX, Box(0, 0, 80, 60), Box(0, 59, 1, 1), Box(79, 0, 1, 60)):
        got = carry_out(content, layout, box, gap_bytes)
        assert np.array_equal(got, want[box.slices])
        assert got.base is None
        assert got.dtype == np.float32
        assert got.flags.writeable


def test_tiles_are_read_without_those_that_the_box_does_not_touch() -> None:
    layout = layout_of(TILED, 2)
    whole = sum(n for _, n in plan_read(layout, Box(0, 0, 80, 60), gap_bytes=0).ranges)
    one = plan_read(layout, Box(17, 11, 3, 3), gap_bytes=0)
    assert len(one.ranges) == 2  # its row of the table, and itself
    assert sum(n for _, n in one.ranges) < whole / 20
    assert list(one.ranges) == sorted(one.ranges)


def test_stretches_are_joined_in_ascending_order_and_found_again() -> None:
    """Brute force: each stretch, taken from the bytes of its range, is what it was to be."""
    rng = np.random.default_rng(8)
    content = rng.bytes(5000)
    for gap in (0, 7, 300):
        wanted = [
            (int(a), int(n)) for a, n in zip(rng.integers(0, 4900, 40), rng.integers(0, 99, 40), strict=True)
        ]
        ranges, stretches = join_ranges(wanted, gap)
        parts = [content[a : a + n] for a, n in ranges]
        assert [s.take(parts) for s in stretches] == [content[a : a + n] for a, n in wanted]
        assert all(b[0] > a[0] + a[1] + gap for a, b in pairwise(ranges))


def test_boxes_beyond_the_plane_and_layouts_without_tiles_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"x\.fits: box .* reaches beyond"):
        plan_read(layout_of(RAW), Box(70, 0, 11, 1), where="x.fits")
    with pytest.raises(UsageError, match="no table of tiles"):
        plan_read(replace(layout_of(TILED, 2), tiles=None), BOX)


@pytest.mark.parametrize(("content", "hdu"), [(RAW, 1), (TILED, 2)])
def test_a_source_that_ends_too_early_is_named(content: bytes, hdu: int) -> None:
    layout = layout_of(content, hdu)
    for gap in (0, 10**6):
        plan = plan_read(layout, Box(0, 0, 80, 60), gap_bytes=gap, where="x.fits")
        short = BytesInMemory(content[: plan.ranges[-1][0] + plan.ranges[-1][1] - 5])
        with pytest.raises(CorruptFileError, match=r"x\.fits: plane 'data'.*end of the file"):
            plan.decode(short.read_ranges(plan.ranges))


def test_a_layout_without_its_table_gets_it_from_the_file() -> None:
    layout = layout_of(TILED, 2)
    older = PlaneLayout.from_dict({k: v for k, v in layout.to_dict().items() if k != "tiles"})
    assert older.tiles is None
    assert with_tiles(older, BytesInMemory(TILED)) == layout
    with pytest.raises(CorruptFileError, match="HDU 2 does not begin at byte 2880"):
        with_tiles(replace(older, offset=2880), BytesInMemory(TILED[:2880] * 3))


def test_short_system_reads_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may give less than was asked for; here it never gives more than 100 bytes."""
    import os

    path = tmp_path / "a.fits"
    path.write_bytes(RAW)
    whole = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: whole(fd, min(n, 100), at))
    with PlaneReader(path) as reader:
        assert np.array_equal(reader.read(layout_of(RAW), BOX), DATA[BOX.slices])


def test_unusual_tables_are_left_to_astropy(tmp_path: Path) -> None:
    """The method NONE, which astropy alone knows."""
    said, other = b"ZQUANTIZ= 'SUBTRACTIVE_DITHER_1'", b"ZQUANTIZ= 'NONE                '"
    content = to_bytes(fits.CompImageHDU(DATA, tile_shape=(10, 16), quantize_level=16, quantize_method=1))
    assert content.count(said) == 1
    odd = content.replace(said, other)
    layout = layout_of(odd)
    assert layout.tiles is not None
    assert not layout.tiles.lengths
    plan = plan_read(layout, BOX)
    assert len(plan.ranges) == 1
    want = fits.getdata(io.BytesIO(odd), 1)
    assert np.array_equal(carry_out(odd, layout, BOX, 0), want[BOX.slices])
    path = tmp_path / "odd.fits"
    path.write_bytes(odd)
    with PlaneReader(path) as reader:
        assert np.array_equal(reader.read(layout, BOX), want[BOX.slices])
        path.write_bytes(odd[:-4000])
        with pytest.raises(CorruptFileError, match="does not decode"):
            reader.read(layout, BOX)

"""Random boxes of random compressed images, bit for bit as ``astropy.io.fits`` delivers them."""

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snapdb.formats.layouts import make_layout
from snapdb.formats.plan import plan_read
from snapdb.formats.read import BytesInMemory
from snapdb.formats.scan import scan_fits
from snapdb.model.layout import Container, PlaneLayout
from snapdb.pixels.box import Box

CODECS = ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS")
KINDS = ("u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8")
HOLDS = {
    "PLIO_1": ("u1", "i2", "i4"),
    "RICE_1": ("u1", "i2", "u2", "i4", "u4", "f4", "f8"),
    "HCOMPRESS_1": ("u1", "i2", "u2", "i4", "f4", "f8"),
}
"""Types that a codec can hold, where it cannot hold all."""
NO_DITHER, DITHER_1, DITHER_2 = -1, 1, 2


def fit(length: int, tile: int) -> int:
    """Give a tile's length such that the last has 4 pixels or more."""
    return min(tile, length) if length % tile == 0 or length % tile >= 4 else length


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Draw an image and how it is compressed, both such that astropy can write it."""
    codec = draw(st.sampled_from(CODECS))
    kind = np.dtype(draw(st.sampled_from(HOLDS.get(codec, KINDS))))
    least = 8 if codec == "HCOMPRESS_1" else 1
    shape = draw(st.tuples(st.integers(least, 60), st.integers(least, 60)))
    tile = draw(st.tuples(st.integers(least, 70), st.integers(least, 70)))
    if codec == "HCOMPRESS_1":  # it takes no tile of fewer than 4 pixels
        tile = fit(shape[0], tile[0]), fit(shape[1], tile[1])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    options: dict[str, Any] = {"compression_type": codec, "tile_shape": tile}
    if kind.kind == "f":
        method = draw(st.sampled_from([NO_DITHER, DITHER_1, DITHER_2]))
        seed = draw(st.integers(1, 10000))
        level = draw(st.sampled_from([0.0, 4.0, 16.0, -0.01]))
        if codec in ("RICE_1", "HCOMPRESS_1", "PLIO_1") and level == 0.0:
            level = 16.0  # these hold no floats as they are
        if codec == "HCOMPRESS_1":
            level = abs(level) if level > 1 else 16.0
        options |= {"quantize_level": level, "quantize_method": method, "dither_seed": seed}
    return fill(draw, rng, kind, shape, codec), options


def fill(
    draw: st.DrawFn, rng: np.random.Generator, kind: np.dtype[Any], shape: tuple[int, int], codec: str
) -> np.ndarray[Any, Any]:
    """Draw pixels: noise, constant stretches, zeros, and where there can be, NaN and extremes."""
    if kind.kind == "f":
        mean, sigma = draw(st.sampled_from([0.0, 1e3, -1e-3])), draw(st.sampled_from([1e-3, 1.0, 1e4]))
        data = rng.normal(mean, sigma, shape)
        if codec == "HCOMPRESS_1":
            return data.astype(kind)  # astropy's writer overflows where values differ much
        data[rng.random(shape) < draw(st.sampled_from([0.0, 0.1]))] = np.nan
        data[rng.random(shape) < draw(st.sampled_from([0.0, 0.2]))] = 0.0
        data[: draw(st.integers(0, shape[0]))] = draw(st.sampled_from([0.0, 5.5]))
        return data.astype(kind)
    limits = np.iinfo(kind)
    # astropy's writer of PLIO overflows its buffer on noise beyond 12 bits
    low, high = (0, min(limits.max, 4000)) if codec == "PLIO_1" else (limits.min, limits.max)
    if codec == "HCOMPRESS_1" or draw(st.booleans()):
        low, high = max(low, 0), min(high, 200)
    data = rng.integers(low, high, shape, dtype=kind, endpoint=True)
    data[: draw(st.integers(0, shape[0]))] = low
    return data


def to_file(data: np.ndarray[Any, Any], options: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, **options)]).writeto(stream)
    return stream.getvalue()


def layout_in(content: bytes) -> PlaneLayout:
    return make_layout(scan_fits(io.BytesIO(content), len(content))[1], "data", Container.PLAIN)


def draw_box(draw: Callable[..., Any], width: int, height: int) -> Box:
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return Box(x0, y0, draw(st.integers(1, width - x0)), draw(st.integers(1, height - y0)))


@given(drawn=images(), random=st.data())
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_box_of_a_compressed_image_equals_astropy(
    drawn: tuple[np.ndarray[Any, Any], dict[str, Any]], random: st.DataObject
) -> None:
    data, options = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = to_file(data, options)
        want = fits.getdata(io.BytesIO(content), 1)
    layout = layout_in(content)
    assert layout.tiles is not None
    assert layout.tiles.lengths
    assert PlaneLayout.from_dict(layout.to_dict()) == layout
    for _ in range(4):
        box = draw_box(random.draw, layout.width, layout.height)
        plan = plan_read(layout, box, gap_bytes=random.draw(st.sampled_from([0, 100, 10**6])))
        got = plan.decode(BytesInMemory(content).read_ranges(plan.ranges))
        expected = np.ascontiguousarray(want[box.slices], dtype=want.dtype.newbyteorder("="))
        assert got.dtype == expected.dtype
        assert got.tobytes() == expected.tobytes()

"""Windows out of planes, against slicing of the arrays that the files were made of."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from snapdb import Image
from snapdb.bulk.cutting import plain_windows
from snapdb.bulk.cutting.plane_windows import cover
from snapdb.bulk.cutting.windows import bad_fraction, iter_runs, iter_windows
from snapdb.bulk.planning.placing import outside_fraction, place_windows, window_sizes
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.planning.sources import get_wcs, read_channels
from snapdb.errors import (
    ChangedFileError,
    CorruptFileError,
    MissingKeywordError,
    NotAnImageError,
    ObjectMissingError,
    UsageError,
)
from snapdb.types import PixelArray

WIDTH, HEIGHT = 300, 220
PLAIN = Recipe(convert_flux=False)


def make_wcs() -> WCS:
    """A tangent projection, turned a little."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [150.5, 110.5]
    turn, scale = np.radians(20.0), 0.2 / 3600
    wcs.wcs.cd = scale * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    wcs.wcs.cunit = ["deg", "deg"]
    return wcs


def make_file(path: Path, kind: str) -> PixelArray:
    """Write an image in one of FITS's ways; give its pixels as astropy reads them."""
    rng = np.random.default_rng(3)
    header = make_wcs().to_header()
    data = rng.normal(100.0, 10.0, (HEIGHT, WIDTH)).astype(np.float32)
    hdu: Any = fits.PrimaryHDU(data, header)
    if kind == "float64":
        hdu = fits.PrimaryHDU(data.astype(np.float64), header)
    elif kind == "uint16":
        hdu = fits.PrimaryHDU(data.astype(np.uint16), header)
    elif kind == "scaled":
        hdu = fits.PrimaryHDU((data * 10).astype(np.int16), header)
        hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = 0.1, 5.0, 1000
    elif kind == "rice":
        compressed = fits.CompImageHDU(data, header, compression_type="RICE_1", tile_shape=(50, 64))
        hdu = [fits.PrimaryHDU(), compressed]
    fits.HDUList(hdu).writeto(path, output_verify="silentfix")
    with fits.open(path) as hdus:
        read: PixelArray = hdus[-1].data.astype(np.float32)
    return read


KINDS = ("float32", "float64", "uint16", "scaled", "rice", "gzip")


@pytest.mark.parametrize("kind", KINDS)
def test_windows_are_slices_of_what_astropy_reads(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("image.fits.gz" if kind == "gzip" else "image.fits")
    data = make_file(path, "float32" if kind == "gzip" else kind)
    (channel,) = read_channels(str(path), PLAIN)
    rng = np.random.default_rng(4)
    x, y = rng.uniform(-20, WIDTH + 20, 200), rng.uniform(-20, HEIGHT + 20, 200)
    size = rng.integers(1, 60, 200)
    places = place_windows(x, y, size, channel.data.layout)
    padded = np.zeros((HEIGHT + 400, WIDTH + 400), np.float32)
    padded[200:-200, 200:-200] = data
    seen = 0
    for index, batch in iter_windows(channel.data, places):
        assert batch.dtype == np.float32
        for k, window in zip(index, batch, strict=True):
            x0, y0, n = places.x0[k] + 200, places.y0[k] + 200, size[k]
            np.testing.assert_array_equal(window, padded[y0 : y0 + n, x0 : x0 + n])
            seen += 1
    assert seen == places.touches.sum()
    assert 0 < seen < 200 or places.touches.all()


def test_windows_lie_where_cutout2d_lies_for_odd_sizes_and_are_centred_for_all(tmp_path: Path) -> None:
    path = tmp_path / "image.fits"
    data = make_file(path, "float32")
    (channel,) = read_channels(str(path), PLAIN)
    rng = np.random.default_rng(5)
    x, y, size = rng.uniform(60, 240, 100), rng.uniform(60, 160, 100), rng.integers(10, 60, 100)
    places = place_windows(x, y, size, channel.data.layout)
    # Cutana's windows are off by up to 1.5 pixels; these by no more than half of one.
    assert np.abs(x - (places.x0 + (size - 1) / 2)).max() <= 0.5
    assert np.abs(y - (places.y0 + (size - 1) / 2)).max() <= 0.5
    for index, batch in iter_windows(channel.data, places):
        for k, window in zip(index, batch, strict=True):
            other = Cutout2D(data, (x[k], y[k]), int(size[k]))
            if size[k] % 2:
                np.testing.assert_array_equal(window, other.data)


def test_positions_are_those_of_astropy(tmp_path: Path) -> None:
    path = tmp_path / "image.fits"
    make_file(path, "float32")
    (channel,) = read_channels(str(path), PLAIN)
    ra, dec = make_wcs().all_pix2world([10.0, 200.3], [20.0, 100.7], 0)
    x, y = get_wcs(channel).world_to_pixel(ra, dec)
    np.testing.assert_allclose(x, [10.0, 200.3], atol=1e-8)
    np.testing.assert_allclose(y, [20.0, 100.7], atol=1e-8)
    assert channel.scale_arcsec == pytest.approx(0.2, rel=1e-6)


def test_flags_keep_their_bits(tmp_path: Path) -> None:
    path = tmp_path / "image.fits"
    bits = np.random.default_rng(6).integers(0, 2**30, (HEIGHT, WIDTH)).astype(np.int32)
    fits.PrimaryHDU(bits, make_wcs().to_header()).writeto(path)
    (channel,) = read_channels(str(path), PLAIN)
    places = place_windows(np.array([100.0]), np.array([100.0]), np.array([31]), channel.data.layout)
    ((_, batch),) = iter_windows(channel.data, places, dtype=np.int64)
    np.testing.assert_array_equal(batch[0], bits[85:116, 85:116])


def test_float_flags_are_whole_numbers_in_windows_too(tmp_path: Path) -> None:
    """Oracle: the plane as an Image gives it; a cast makes good pixels of fractions, and anything of NaN."""
    path = tmp_path / "flagged.fits"
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[100, 150:154] = 0.3, np.nan, 1.2, 4.0
    image = fits.PrimaryHDU(np.ones((HEIGHT, WIDTH), np.float32), make_wcs().to_header())
    fits.HDUList([image, fits.ImageHDU(mask, name="MASK")]).writeto(path)
    (channel,) = read_channels(str(path), Recipe(convert_flux=False, planes=("flags",)))
    places = place_windows(np.array([151.0]), np.array([100.0]), np.array([11]), channel.data.layout)
    ((_, batch),) = iter_windows(channel.planes["flags"], places, dtype=np.int64)
    expected = Image(path).flags
    assert expected is not None
    np.testing.assert_array_equal(batch[0], expected[95:106, 146:157])
    assert batch[0, 5, 4:8].tolist() == [1, 1, 2, 4]


def test_a_file_that_was_cut_short_is_said(tmp_path: Path) -> None:
    path = tmp_path / "image.fits"
    make_file(path, "float32")
    (channel,) = read_channels(str(path), PLAIN)
    with path.open("r+b") as stream:
        stream.truncate(100_000)
    places = place_windows(np.array([100.0]), np.array([10.0]), np.array([31]), channel.data.layout)
    with pytest.raises(CorruptFileError, match="beyond the end"):
        list(iter_windows(channel.data, places))


@pytest.mark.parametrize("size", [3, 99])
def test_a_file_that_is_cut_short_meanwhile_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """And ends no process."""
    monkeypatch.setattr("snapdb.bulk.planning.placing.RUN_PX", 1)
    path = tmp_path / "image.fits"
    make_file(path, "float32")
    (channel,) = read_channels(str(path), PLAIN)
    places = place_windows(np.full(2, 100.0), np.array([20.0, 180.0]), np.full(2, size), channel.data.layout)
    runs = iter_runs(channel.data, places)
    first = next(runs)
    with path.open("r+b") as stream:
        stream.truncate(20_000)
    with pytest.raises((CorruptFileError, ChangedFileError)):
        for run in [first, *runs]:
            run.cut(slice(0, 1))


@pytest.mark.parametrize("kind", ["float32", "rice", "gzip"])
def test_a_file_that_is_written_anew_meanwhile_is_said(tmp_path: Path, kind: str) -> None:
    """In place, after windows were cut: they may be of either image."""
    path = tmp_path / ("image.fits.gz" if kind == "gzip" else "image.fits")
    make_file(path, kind)
    (channel,) = read_channels(str(path), PLAIN)
    places = place_windows(np.array([100.0]), np.array([10.0]), np.array([31]), channel.data.layout)
    runs = iter_runs(channel.data, places)
    next(runs).cut(slice(0, 1))
    content = path.read_bytes()
    os.utime(path, ns=(0, 0))
    path.write_bytes(content)
    with pytest.raises(ChangedFileError, match="has changed since the run began"):
        next(runs)


@pytest.mark.parametrize("kind", ["float32", "rice", "gzip"])
def test_a_file_that_was_replaced_is_said(tmp_path: Path, kind: str) -> None:
    """By a longer one, as a download that is repeated: its pixels lie elsewhere. That of before is cut."""
    path = tmp_path / ("image.fits.gz" if kind == "gzip" else "image.fits")
    make_file(path, kind)
    (channel,) = read_channels(str(path), PLAIN)
    places = place_windows(np.array([100.0]), np.array([10.0]), np.array([31]), channel.data.layout)
    assert len(list(iter_windows(channel.data, places))) == 1
    with fits.open(path) as hdus:
        hdus[-1].header.extend([(f"KEY{n}", n) for n in range(40)])
        hdus.writeto(tmp_path / f"other_{path.name}")
    (tmp_path / f"other_{path.name}").replace(path)
    with pytest.raises(ChangedFileError, match="has changed since the run began"):
        list(iter_windows(channel.data, places))
    path.unlink()
    with pytest.raises(ObjectMissingError):
        list(iter_windows(channel.data, places))


def test_sizes_in_arcseconds_follow_the_scale_and_pixels_count_first() -> None:
    pixels = np.array([10.0, np.nan, 70.0, np.nan, 0.4])
    arcsec = np.array([99.0, 10.0, np.nan, 0.01, np.nan])
    sizes = window_sizes(pixels, arcsec, 0.3, 1.0)
    np.testing.assert_array_equal(sizes, [10, 33, 70, 1, 1])
    # 0.7 * 70 is 48.99999999999999 in floating point: 49 pixels are meant.
    np.testing.assert_array_equal(window_sizes(pixels, arcsec, 0.3, 0.7), [7, 23, 49, 1, 1])


def test_fractions_are_counted_by_brute_force(tmp_path: Path) -> None:
    path = tmp_path / "image.fits"
    make_file(path, "float32")
    (channel,) = read_channels(str(path), PLAIN)
    x, y = np.array([0.0, 150.0, -40.0, 299.0]), np.array([0.0, 100.0, 50.0, 219.0])
    places = place_windows(x, y, np.array([20, 21, 22, 23]), channel.data.layout)
    inside = np.zeros((HEIGHT + 200, WIDTH + 200))
    inside[100:-100, 100:-100] = 1
    expected = [
        1.0 - inside[y0 + 100 : y0 + 100 + n, x0 + 100 : x0 + 100 + n].mean()
        for x0, y0, n in zip(places.x0, places.y0, places.width, strict=True)
    ]
    np.testing.assert_allclose(outside_fraction(places), expected, atol=1e-12)
    batch = np.random.default_rng(0).normal(size=(5, 8, 8)).astype(np.float32)
    batch[1, :4] = np.nan
    batch[3, 0, 0] = np.inf
    batch[4] = np.float32(3e38)  # the sum is beyond float32, the pixels are not
    np.testing.assert_allclose(
        bad_fraction(batch), np.isnan(batch).mean((1, 2)) + np.isinf(batch).mean((1, 2))
    )


def test_boxes_that_are_read_hold_all_windows() -> None:
    rng = np.random.default_rng(7)
    low = rng.integers(0, 900, (500, 2))
    boxes = np.concatenate((low, low + rng.integers(1, 100, (500, 2))), axis=1)
    boxes = boxes[np.argsort(boxes[:, 1])]
    for grain in ((1, 1), (1000, 1), (100, 100)):
        owner, outlines = cover(boxes, grain=grain, size=(1000, 1000))
        held = np.array(outlines)[owner]
        assert (held[:, :2] <= boxes[:, :2]).all()
        assert (held[:, 2:] >= boxes[:, 2:]).all()
        assert np.array(outlines).min() >= 0
        assert np.array(outlines).max() <= 1000
    assert len(outlines) < 500


def test_an_address_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"snapdb ingest https://host/a.fits\) and leave the column out"):
        read_channels("https://host/a.fits", PLAIN)


def test_a_missing_extension_and_a_missing_zero_point_are_said(tmp_path: Path) -> None:
    path = tmp_path / "image.fits"
    make_file(path, "float32")
    with pytest.raises(NotAnImageError, match="SCI"):
        read_channels(str(path), Recipe(convert_flux=False, extensions=("SCI",)))
    with pytest.raises(MissingKeywordError, match="MAGZERO"):
        read_channels(str(path), Recipe())


def test_flux_is_in_the_unit_of_the_zero_point(tmp_path: Path) -> None:
    path = tmp_path / "image.fits"
    make_file(path, "float32")
    fits.setval(path, "MAGZERO", value=31.4)
    (channel,) = read_channels(str(path), Recipe(flux_unit="nJy"))
    # One nanojansky is 31.4 mag AB but for the rounding of that number: 3631 Jy is 8.9 mag.
    assert channel.factor == pytest.approx(3631e9 * 10 ** (-0.4 * 31.4), rel=1e-9)


READERS = [plain_windows.read_boxes, plain_windows.ask_for_boxes]


@pytest.mark.parametrize("read_boxes", READERS)
@pytest.mark.parametrize("number", [1, 4, 900])
@pytest.mark.parametrize("width", [700, 40_000, 1_000_000])
def test_boxes_of_a_file(tmp_path: Path, read_boxes: Any, number: int, width: int) -> None:
    """Oracle: slices of what was written; few boxes of wide rows, many of narrow ones, one tall."""
    rng = np.random.default_rng(8)
    height = 10_000_000 // width
    plane = rng.integers(0, 256, (height, width)).astype(np.uint8)
    path = tmp_path / "file"
    path.write_bytes(bytes(17) + plane.tobytes() + bytes(100))
    sides = np.minimum(rng.integers(1, 60, (number, 2)), height)
    sides[0, 1] = height  # beside all others
    low = (rng.uniform(size=(number, 2)) * ([width, height] - sides + 1)).astype(np.int64)
    steps = rng.integers(60, 70, number)
    at = np.cumsum(steps * sides[:, 1])
    boxes = np.column_stack((low, low + sides, at - steps * sides[:, 1] + 5, steps))
    order = np.argsort(boxes[:, 1], kind="stable")
    out = np.zeros(at[-1] + 5, np.uint8)
    with path.open("rb") as stream:
        found = read_boxes(stream.fileno(), 17, width, boxes[order], out)
    assert found == sides.prod(axis=1).sum()
    expected = np.zeros_like(out)
    for left, bottom, right, top, at, step in boxes.tolist():
        for row in range(top - bottom):
            piece = plane[bottom + row, left:right]
            expected[at + row * step : at + row * step + len(piece)] = piece
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("read_boxes", READERS)
def test_boxes_where_a_file_ends(tmp_path: Path, read_boxes: Any) -> None:
    """What is missing is not counted, whether rows or pieces of them are read."""
    path = tmp_path / "file"
    path.write_bytes(bytes(100_000 * 9 + 50_030))
    boxes = np.array([[50_000, 5, 50_060, 12, 0, 60]])
    out = np.zeros(60 * 7, np.uint8)
    with path.open("rb") as stream:
        found = read_boxes(stream.fileno(), 0, 100_000, boxes, out)
        assert found == 4 * 60 + 30
        crowd = np.repeat(boxes, 50, axis=0)
        assert read_boxes(stream.fileno(), 0, 100_000, crowd, out) < 50 * 7 * 60
        assert read_boxes(stream.fileno(), 0, 100_000, boxes[:0], out) == 0
        closed = stream.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        read_boxes(closed, 0, 100_000, boxes, out)


def test_a_system_may_give_less_than_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = np.random.default_rng(10).integers(0, 256, 5000).astype(np.uint8)
    path = tmp_path / "file"
    path.write_bytes(content.tobytes())
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, room, at: preadv(fd, [room[0][:7]], at))
    boxes, out = np.array([[10, 3, 60, 43, 0, 50]]), np.zeros(2000, np.uint8)
    with path.open("rb") as stream:
        assert plain_windows.ask_for_boxes(stream.fileno(), 0, 100, boxes, out) == 2000
    np.testing.assert_array_equal(out.reshape(40, 50), content.reshape(50, 100)[3:43, 10:60])


BAD_BOXES = {
    "left": [-1, 0, 5, 5, 0, 10],
    "below": [0, -1, 5, 5, 0, 10],
    "beyond the row": [0, 0, 101, 5, 0, 101],
    "empty": [5, 5, 5, 9, 0, 10],
    "before the room": [0, 0, 5, 5, -1, 10],
    "after the room": [0, 0, 5, 5, 956, 10],
    "far after the room": [0, 0, 5, 5, 2**62, 10],
    "higher than the room": [0, 0, 5, 2**62, 0, 10],
    "rows on each other": [0, 0, 5, 5, 0, 4],
    "rows far apart": [0, 0, 5, 5, 0, 2**61],
}


@pytest.mark.skipif(plain_windows.read_boxes is plain_windows.ask_for_boxes, reason="there is no C compiler")
@pytest.mark.parametrize("name", BAD_BOXES)
def test_boxes_that_lie_nowhere_touch_no_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(10_000))
    out = np.zeros(1000, np.uint8)
    bad = np.array([BAD_BOXES[name]])
    good, lower = np.array([[[0, 9, 5, 12, 975, 10]], [[0, 8, 5, 11, 975, 10]]])
    with path.open("rb") as stream:
        for boxes in (bad, np.concatenate((bad, good)), np.concatenate((good, lower))):
            with pytest.raises(ValueError, match="beyond the rows or the room"):
                plain_windows.read_boxes(stream.fileno(), 0, 100, boxes, out)


def test_windows_over_the_edge_are_0_beyond_it_however_pixels_are_stored(tmp_path: Path) -> None:
    """Whatever the memory held before."""
    for kind in ("scaled", "float32"):
        path = tmp_path / f"{kind}.fits"
        data = make_file(path, kind)
        (channel,) = read_channels(str(path), PLAIN)
        x, y = np.array([0.0, WIDTH - 1.0, 100.0]), np.array([0.0, HEIGHT - 1.0, 100.0])
        places = place_windows(x, y, np.array([21, 31, 31]), channel.data.layout)
        for _ in range(2):
            (run,) = iter_runs(channel.data, places)
            first, second = run.split()
            (corner,) = run.cut(first)
            np.testing.assert_array_equal(corner[10:, 10:], data[:11, :11])
            assert not corner[:10].any()
            assert not corner[:, :10].any()
            _, other = run.cut(second)
            np.testing.assert_array_equal(other, data[85:116, 85:116])

"""Boxes of several raw planes at once, read without a plan: astropy's pixels, and the plan's refusals."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from snapdb.errors import CorruptFileError, ShapeError, StorageError
from snapdb.formats import rows
from snapdb.formats.layouts import make_layout
from snapdb.formats.read import PlaneReader
from snapdb.formats.source import open_source
from snapdb.model.layout import PlaneLayout
from snapdb.pixels.box import Box

WIDTH, HEIGHT = 3000, 80
BOXES = [
    Box(1000, 20, 64, 40),
    Box(0, 0, 3000, 80),
    Box(2999, 79, 1, 1),
    Box(5, 0, 1, 80),
    Box(0, 33, 3000, 1),
]
"""Rows of float32 lie 12 kB apart and are read alone; those of bytes 3 kB, and are read through."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Planes of four types, one of them scaled, one tiled."""
    rng = np.random.default_rng(12)
    shape = HEIGHT, WIDTH
    path = tmp_path_factory.mktemp("rows") / "planes.fits"
    scaled = fits.ImageHDU(rng.normal(100, 5, shape).astype("f4"))
    scaled.scale("int16", bscale=0.01, bzero=100.0)
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(rng.normal(0, 1, shape).astype("f4")),
        fits.ImageHDU(rng.integers(0, 255, shape).astype("u1")),
        fits.ImageHDU(rng.normal(0, 1, shape)),
        scaled,
        fits.CompImageHDU(rng.integers(0, 99, shape).astype("i4")),
    ]
    fits.HDUList(hdus).writeto(path)
    return path


def layouts_of(path: Path, *hdus: int) -> list[PlaneLayout]:
    source = open_source(path)
    return [make_layout(source.frames[n], f"plane {n}", source.container) for n in hdus]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What the system was told of, on a filesystem that cannot say what is in memory."""
    told: list[tuple[int, int]] = []

    def refuse(*_: Any) -> int:
        raise OSError

    monkeypatch.setattr(os, "preadv", refuse)
    monkeypatch.setattr(os, "posix_fadvise", lambda _fd, at, length, _advice: told.append((at, length)))
    return told


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("hdus", [(1, 2, 3, 4), (2,), (1, 5)], ids=str)
def test_planes_equal_astropy(file: Path, hdus: tuple[int, ...], box: Box) -> None:
    with PlaneReader(file) as reader:
        planes = reader.read_planes(layouts_of(file, *hdus), box)
    for number, plane in zip(hdus, planes, strict=True):
        want = fits.getdata(file, number, memmap=False)[box.slices]
        assert plane.dtype == want.dtype.newbyteorder("=")
        assert plane.tobytes() == want.astype(plane.dtype).tobytes(), "bit for bit"
        assert plane.base is None
        assert plane.flags.writeable
        assert plane.flags.c_contiguous


def test_a_file_that_ends_within_a_plane_is_named(file: Path, tmp_path: Path) -> None:
    layouts = layouts_of(file, 1, 3)
    short = tmp_path / "short.fits"
    box = Box(0, 40, 10, 30)
    short.write_bytes(file.read_bytes()[: layouts[1].offset + (69 * WIDTH + 9) * 8])
    with PlaneReader(short) as reader:
        with pytest.raises(CorruptFileError, match=r"short\.fits: plane 'plane 3' ends 8 bytes beyond"):
            reader.read_planes(layouts, box)
        assert len(reader.read_planes(layouts[:1], box)) == 1


@pytest.mark.parametrize("box", [Box(-1, 0, 3, 3), Box(0, -1, 3, 3), Box(2999, 0, 2, 1), Box(0, 79, 1, 2)])
def test_a_box_beyond_the_planes_is_refused(file: Path, box: Box) -> None:
    with PlaneReader(file) as reader, pytest.raises(ShapeError, match="reaches beyond plane 'plane 1'"):
        reader.read_planes(layouts_of(file, 1, 2), box)


def test_a_closed_reader_says_so(file: Path) -> None:
    reader = PlaneReader(file)
    reader.close()
    with pytest.raises(StorageError, match="after the reader was closed"):
        reader.read_planes(layouts_of(file, 1, 2), BOXES[0])


def test_a_disk_that_fails_is_told_of(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> bytes:
        raise OSError(5, "Input/output error")

    with PlaneReader(file) as reader:
        monkeypatch.setattr(os, "pread", fail)
        with pytest.raises(StorageError, match=r"planes\.fits.*Input/output error"):
            reader.read_planes(layouts_of(file, 1, 2), BOXES[0])


def test_what_is_not_in_memory_is_announced_of_all_planes(file: Path, asked: list[tuple[int, int]]) -> None:
    """Each plane's rows span less than 4 MB, and so are announced as one."""
    layouts, box = layouts_of(file, 1, 3), BOXES[0]
    with PlaneReader(file) as reader:
        reader.read_planes(layouts, box)
    expected = [
        (n.offset + (20 * WIDTH + 1000) * size, (39 * WIDTH + 64) * size)
        for n, size in zip(layouts, (4, 8), strict=True)
    ]
    assert asked == expected


def test_long_spans_are_announced_row_by_row(
    file: Path, asked: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ADVISED_BYTES", 100_000)
    (layout,) = layouts_of(file, 1)
    with PlaneReader(file) as reader:
        reader.read_planes([layout], BOXES[0])
    assert asked == [(layout.offset + ((20 + n) * WIDTH + 1000) * 4, 64 * 4) for n in range(40)]


def test_a_hint_that_the_system_refuses_does_no_harm(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(29, "Illegal seek")

    monkeypatch.setattr(os, "preadv", refuse)
    monkeypatch.setattr(os, "posix_fadvise", refuse)
    with PlaneReader(file) as reader:
        (plane,) = reader.read_planes(layouts_of(file, 1), BOXES[0])
    assert np.array_equal(plane, fits.getdata(file, 1)[BOXES[0].slices])

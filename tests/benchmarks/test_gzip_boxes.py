"""What a box of a gzipped file costs by the seek index, beside astropy's section and a whole inflation.

Page cache warm, medians; nothing inflated is kept between the boxes. The file is a
detector's three planes, of less than half its side: astropy inflates from the start for each
row that it goes back for.
"""

import gzip
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from astropy.io import fits  # the peer

from snapdb.formats import kept
from snapdb.formats.describe import describe
from snapdb.formats.read import PlaneReader
from snapdb.formats.seekable import make_index
from snapdb.pixels.box import Box

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]
SIDE, SIZE, BOXES = 1700, 64, 8
SEED = 20261125


def write_file(path: Path) -> None:
    """Write three planes, gzipped as a whole."""
    rng = np.random.default_rng(SEED)
    cards = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.1, "CRVAL2": 2.2})
    cards.update({"CRPIX1": 1022.5, "CRPIX2": 1022.5, "CDELT1": -3e-5, "CDELT2": 3e-5})
    data = rng.normal(100.0, 5.0, (SIDE, SIDE)).astype(np.float32)
    planes = {"SCI": data, "ERR": np.sqrt(data), "DQ": (rng.random(data.shape) < 0.01).astype(np.int32)}
    plain = path.with_suffix("")
    hdus = [fits.ImageHDU(plane, cards, name=name) for name, plane in planes.items()]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(plain)
    path.write_bytes(gzip.compress(plain.read_bytes(), 4))
    plain.unlink()


def clock(task: Callable[[], Any]) -> tuple[float, Any]:
    """Give the seconds that a task takes, and its answer."""
    started = time.perf_counter()
    answer = task()
    return time.perf_counter() - started, answer


def test_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "planes.fits.gz"
    write_file(path)
    monkeypatch.setattr(kept.BLOCKS, "_limit", 0)
    layout = describe(path)[0].planes[1].layout
    made, index = clock(lambda: make_index(path))
    stored = index.to_bytes()

    def by_index(box: Box) -> Any:
        with PlaneReader(path, gzip_index=lambda: type(index).from_bytes(stored)) as reader:
            return reader.read(layout, box)

    def by_section(box: Box) -> Any:
        with fits.open(path) as hdus:
            return hdus[layout.hdu].section[box.slices]

    def by_whole(box: Box) -> Any:
        monkeypatch.setattr("snapdb.formats.read.KEPT", kept.KeptBytes())
        with PlaneReader(path) as reader:
            return reader.read(layout, box)

    rng = np.random.default_rng(SEED)
    boxes = [Box(int(x), int(y), SIZE, SIZE) for x, y in rng.integers(0, SIDE - SIZE, (BOXES, 2))]
    ours = [clock(lambda box=box: by_index(box)) for box in boxes]  # type: ignore[misc]
    whole = [clock(lambda box=box: by_whole(box)) for box in boxes[:3]]  # type: ignore[misc]
    peer = [clock(lambda: by_section(boxes[0]))]
    for others in (whole, peer):
        for (_, expected), (_, found) in zip(others, ours, strict=False):
            np.testing.assert_array_equal(found, expected)
    index_ms, whole_ms, peer_ms = (1000 * median(t for t, _ in some) for some in (ours, whole, peer))
    sys.stdout.write(
        f"\nthree planes of {SIDE} x {SIDE}, {path.stat().st_size / 2**20:.0f} MB gzipped; "
        f"index made in {made:.2f} s, {len(stored) / 2**20:.2f} MB\n"
        f"box of {SIZE} x {SIZE} of the second: index {index_ms:.0f} ms; whole inflation {whole_ms:.0f} ms "
        f"({whole_ms / index_ms:.0f} x); astropy section {peer_ms:.0f} ms ({peer_ms / index_ms:.0f} x)\n"
    )

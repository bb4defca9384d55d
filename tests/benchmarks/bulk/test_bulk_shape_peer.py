"""Resampling and stretches beside cutana's own functions on the same stamps; the values are compared.

One process each, on as many threads as each takes by itself. The peer's functions are called as its
workers call them. Its log and linear know no percentile: 100 is where both agree.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from snapdb.bulk.shape.steps import shape_batch
from snapdb.bulk.shape.stretch import Stretch
from snapdb.types import PixelArray

pytestmark = pytest.mark.benchmark
STAMPS = int(os.environ.get("SNAPDB_BENCH_STAMPS", "400"))
HERE = Path(__file__).parent
SEED = 20261204


def _case(method: str, size: int, resolution: int, dtype: str = "float32", **more: Any) -> dict[str, Any]:
    """One case: names of the peer."""
    settings = {"percentile": 100.0 if method in ("linear", "log", "zscale") else 99.8, **more}
    interpolation = settings.pop("interpolation", "bilinear")
    settings.setdefault("a", {"asinh": 0.7, "log": 1000.0}.get(method, 0.1))
    more_of = "-crop" if "crop_enable" in settings else ""
    return {
        "name": f"{method}-{size}-{resolution}-{dtype}-{interpolation}{more_of}-{settings['a']}",
        "method": method,
        "size": size,
        "resolution": resolution,
        "dtype": dtype,
        "interpolation": interpolation,
        "normalisation": settings,
    }


_CROP = {"crop_enable": True, "crop_height": 24, "crop_width": 20}
CASES = [
    _case("none", 100, 64),
    _case("none", 48, 64, interpolation="bicubic"),
    _case("none", 48, 64, interpolation="lanczos"),
    _case("linear", 100, 64),
    _case("linear", 48, 64),
    _case("linear", 100, 64, "float32", **_CROP),
    _case("linear", 80, 256),
    _case("asinh", 100, 64),
    _case("asinh", 100, 64, a=0.1),
    _case("asinh", 100, 64, "float32", **_CROP),
    _case("asinh", 80, 256, "uint8"),
    _case("asinh", 128, 256, "uint8"),
    _case("log", 100, 64),
    _case("log", 100, 64, "float32", **_CROP),
    _case("zscale", 100, 64),
    _case("zscale", 80, 256),
    _case("linear", 80, 256, "uint8"),
]


def _make_stamps(size: int) -> NDArray[np.float32]:
    """Sky, a source in the middle, a brighter one near the border; shape (N, size, size, 1)."""
    rng = np.random.default_rng(SEED + size)
    y, x = np.mgrid[:size, :size]
    middle = np.exp(-((x - size / 2) ** 2 + (y - size / 2) ** 2) / 18.0)
    border = np.exp(-((x - 4) ** 2 + (y - 6) ** 2) / 8.0)
    scale = rng.uniform(5.0, 300.0, (STAMPS, 2, 1, 1))
    stamps = rng.normal(0.0, 1.0, (STAMPS, size, size)) + scale[:, 0] * middle + 2 * scale[:, 1] * border
    return np.asarray(stamps[..., None], dtype=np.float32)


def _make_ours(case: dict[str, Any], stamps: NDArray[np.float32]) -> tuple[PixelArray, float]:
    """Make a case's images, and give the seconds of the better of two."""
    settings = dict(case["normalisation"])
    if settings.pop("crop_enable", False):
        settings["crop"] = (settings.pop("crop_height"), settings.pop("crop_width"))
    how = Stretch(method=case["method"], **settings)
    channel, seconds = np.ascontiguousarray(stamps[..., 0]), []
    for _ in range(2):
        begin = time.perf_counter()
        made = shape_batch(
            [channel],
            case["resolution"],
            interpolation=case["interpolation"],
            stretch=how,
            dtype=case["dtype"],
        )
        seconds.append(time.perf_counter() - begin)
    return made, min(seconds)


def test_values_and_time(peer_python: Path, tmp_path: Path) -> None:
    """Oracle: the peer's images, to 1e-6 of the greatest value; or one grey level, in few pixels."""
    stamps = {size: _make_stamps(size) for size in sorted({case["size"] for case in CASES})}
    for size, batch in stamps.items():
        np.save(tmp_path / f"stamps_{size}.npy", batch)
    (tmp_path / "cases.json").write_text(json.dumps(CASES))
    subprocess.run([peer_python, HERE / "peer_shape.py", tmp_path], check=True, capture_output=True)
    spent = json.loads((tmp_path / "seconds.json").read_text())
    failed = []
    for case in CASES:
        made, seconds = _make_ours(case, stamps[case["size"]])
        theirs = np.load(tmp_path / f"{case['name']}.npy")
        assert made.shape == theirs.shape
        difference = np.abs(made.astype(np.float64) - theirs)
        if case["dtype"] == "uint8":
            fine = difference.max() <= 1 and (difference > 0).mean() < 1e-4
        else:
            # A crop stretches faint pixels so far that the rounding of resampling is seen.
            fine = difference.max() <= (4e-6 if "log" in case["name"] else 1e-6) * np.abs(theirs).max()
        ratio = spent[case["name"]] / seconds
        sys.stdout.write(
            f"\n{case['name']:48} {STAMPS / seconds:8.0f} stamps/s, {ratio:5.1f} times the peer's speed, "
            f"greatest difference {difference.max():.1e}"
        )
        if not fine:
            failed.append((case["name"], difference.max(), (difference > 0).mean()))
    assert not failed

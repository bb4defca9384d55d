"""Run by the peer's Python: its resampling and stretches of stamps, and the time they take.

Arguments: a folder with ``stamps_SIZE.npy`` and ``cases.json``; ``CASE.npy`` of each comes out.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from cutana import get_default_config  # type: ignore[import-not-found]
from cutana.image_processor import apply_normalisation, resize_batch_tensor  # type: ignore[import-not-found]


def run_case(folder: Path, case: dict[str, Any]) -> float:
    """Make and save the images of a case; give the seconds of the better of two."""
    config = get_default_config()
    config.data_type = case["dtype"]
    config.normalisation_method = case["method"]
    for name, value in case["normalisation"].items():
        config.normalisation[name] = value
    stamps = np.load(folder / f"stamps_{case['size']}.npy")
    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        channels = range(stamps.shape[3])
        sources = {str(n): {str(c): stamp[..., c] for c in channels} for n, stamp in enumerate(stamps)}
        target = (case["resolution"], case["resolution"])
        scales = {str(c): 0.1 for c in channels}
        sized = resize_batch_tensor(sources, target, case["interpolation"], False, scales)
        made = apply_normalisation(sized, config)
        seconds.append(time.perf_counter() - begin)
    np.save(folder / f"{case['name']}.npy", made)
    return min(seconds)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    cases = json.loads((place / "cases.json").read_text())
    spent = {case["name"]: run_case(place, case) for case in cases}
    (place / "seconds.json").write_text(json.dumps(spent))

"""A user's own conversion of flux, which is called for every window."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr

from snapdb.bulk.running.orchestrator import Orchestrator
from snapdb.bulk.settings.config import Config, get_default_config


def make_config(function: Any) -> Config:
    config = get_default_config()
    config.user_flux_conversion_function = function
    config.normalisation_method = "none"
    config.target_resolution = 16
    return config


def test_windows_are_given_with_the_header_of_their_image(tiles: Any, tmp_path: Path) -> None:
    """Oracle: the same run without conversion, multiplied by hand."""
    frame = tiles.frame.assign(diameter_pixel=16)
    plain = make_config(None)
    plain.apply_flux_conversion = False
    Orchestrator(plain, output=tmp_path / "plain.zarr").execute(frame)
    config = make_config(lambda pixels, header: pixels * header["MAGZERO"])
    Orchestrator(config, output=tmp_path / "own.zarr").execute(frame)
    first: Any = zarr.open_group(tmp_path / "plain.zarr", mode="r")["images"]
    second: Any = zarr.open_group(tmp_path / "own.zarr", mode="r")["images"]
    np.testing.assert_allclose(second[:], first[:] * np.float32(25.0), rtol=1e-6)


@pytest.mark.parametrize("function", [lambda pixels, _: pixels[:3], lambda *_: 1 / 0])
def test_a_function_that_fails_is_told_by_row(tiles: Any, tmp_path: Path, function: Any) -> None:
    frame = tiles.frame.assign(diameter_pixel=16)
    result = Orchestrator(make_config(function), output=tmp_path / "s.zarr").execute(frame)
    report = pd.read_csv(result["report"])
    assert result["failed"] == len(frame) == len(report)
    assert report["reason"].str.contains("user_flux_conversion_function failed").all()

"""Channels mixed, and matched by name."""

import numpy as np
import pytest

from snapdb.bulk.shape.mix import match_channel_weights, mix
from snapdb.errors import ShapeError, UsageError

_RNG = np.random.default_rng(20261202)
_STAMPS = _RNG.normal(size=(6, 9, 9, 3)).astype(np.float32)
_RGB = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.3], [0.0, 0.0, 0.8]])


@pytest.mark.parametrize(
    "weights",
    [
        _RGB,
        [[0.2], [0.3], [-1.0]],
        [[0, 1], [0, 0], [1, 0]],
        [[0.0], [0.0], [0.0]],
        np.eye(3),
        np.eye(3)[::-1],
    ],
)
def test_against_a_matrix_product(weights: object) -> None:
    """Oracle: the product in double precision."""
    expected = _STAMPS.astype(np.float64) @ np.asarray(weights, dtype=np.float64)
    before = _STAMPS.copy()
    assert mix(_STAMPS, weights) == pytest.approx(expected, abs=1e-6)  # type: ignore[arg-type]
    assert np.array_equal(_STAMPS, before)
    place = np.empty(expected.shape, dtype=np.float32)
    assert mix(_STAMPS, weights, place) is place  # type: ignore[arg-type]
    assert place == pytest.approx(expected, abs=1e-6)


def test_channels_pass_unchanged() -> None:
    assert mix(_STAMPS, np.eye(3)) is _STAMPS
    assert np.array_equal(mix(_STAMPS, [[0], [1], [0]])[..., 0], _STAMPS[..., 1])


def test_a_channel_without_weight_spoils_nothing() -> None:
    holed = _STAMPS.copy()
    holed[:, 2, 2, 0] = np.nan
    made = mix(holed, [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    assert np.isfinite(made[..., 0]).all()
    assert np.isnan(made[:, 2, 2, 1]).all()


@pytest.mark.parametrize(
    ("names", "labels", "order"),
    [
        (["VIS", "NIR_H", "NIR_J"], ["vis", "nir_h", "nir_j"], [0, 1, 2]),
        (["VIS", "NIR_H"], ["EUC_MER_NIR-H_TILE1", "EUC_MER_VIS_TILE1"], [1, 0]),
        (["nir-h", "VIS"], ["a.VIS.x", "a.NIR_H.x"], [1, 0]),
        (["PRIMARY"], ["tile_17"], [0]),
        (["red", "blue"], ["tile_1", "tile_2"], [0, 1]),
        (["PRIMARY", "SCI"], ["tile", "tile_SCI"], [0, 1]),
        (["H", "J"], ["NIR_HE", "NIR_J"], [0, 1]),  # H is within HE, but not between signs
        (["VIS", "VIS_2"], ["VIS_2", "VIS"], [1, 0]),  # the same goes before what merely holds it
        (["tile", "x"], ["tile_a", "tile_b"], [0, 1]),  # means both, and stands with the first
    ],
)
def test_names_find_their_channels(names: list[str], labels: list[str], order: list[int]) -> None:
    rows = {name: [float(place + 1), 0.5] for place, name in enumerate(names)}
    found = match_channel_weights(rows, labels)
    assert found[:, 0].tolist() == [place + 1.0 for place in order]


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        (["VIS"], ["vis", "nir"], "names 1 channels"),
        ([], [], "names 0 channels"),
        (["NIR", "VIS"], ["vis_a", "nir_b", "nir_c"], "names 2 channels"),
        (["x", "NIR", "VIS"], ["vis_a", "nir_b", "nir_c"], "not clear"),
        (["x_a", "a"], ["a_q", "x_a"], "not clear"),
    ],
)
def test_names_that_are_not_clear(names: list[str], labels: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        match_channel_weights({name: [1.0] for name in names}, labels)


def test_refusals() -> None:
    with pytest.raises(ShapeError, match="as many numbers"):
        match_channel_weights({"a": [1.0], "b": [1.0, 2.0]}, ["a", "b"])
    with pytest.raises(UsageError, match="finite"):
        mix(_STAMPS, [[np.nan], [1.0], [1.0]])
    for weights in ([[1.0], [1.0]], [1.0, 1.0, 1.0], np.empty((3, 0))):
        with pytest.raises(ShapeError):
            mix(_STAMPS, weights)
    with pytest.raises(ShapeError, match="place"):
        mix(_STAMPS, _RGB, np.empty((6, 9, 9, 2), dtype=np.float32))

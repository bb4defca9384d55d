"""Stored variances and weights as one sigma."""

import numpy as np
import pytest

from snapdb.errors import UsageError
from snapdb.pixels.noise import to_noise

_INF, _NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("meaning", "stored", "expected"),
    [
        ("variance", [4.0, 0.0, -1.0, _NAN, _INF], [2.0, 0.0, _NAN, _NAN, _INF]),
        ("inverse_variance", [4.0, 0.0, -1.0, _NAN, _INF], [0.5, _INF, _INF, _NAN, 0.0]),
        ("inverse_sigma", [4.0, 0.0, -1.0, _NAN, _INF], [0.25, _INF, _INF, _NAN, 0.0]),
        ("direct", [4.0, 0.0, -1.0, _NAN, _INF], [4.0, 0.0, -1.0, _NAN, _INF]),
    ],
)
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4"])
def test_closed_forms(meaning: str, stored: list[float], expected: list[float], dtype: str) -> None:
    """Oracle: sqrt(V), 1 / sqrt(W), 1 / S of squares, by hand."""
    array = np.array(stored, dtype=dtype)
    before = array.copy()
    np.testing.assert_array_equal(to_noise(array, meaning), np.array(expected, dtype=dtype))
    np.testing.assert_array_equal(array, before)


def test_direct_is_the_array_itself() -> None:
    array = np.ones((2, 2))
    assert to_noise(array, "direct") is array


@pytest.mark.parametrize(
    ("dtype", "result"), [("u1", "f4"), ("i2", "f4"), ("i4", "f8"), ("f2", "f4"), ("f4", "f4"), ("f8", "f8")]
)
def test_types(dtype: str, result: str) -> None:
    noise = to_noise(np.array([[9, 0]], dtype=dtype), "inverse_variance")
    assert noise.dtype == np.dtype(result)
    np.testing.assert_allclose(noise, [[1 / 3, _INF]], rtol=1e-7)


def test_variance_and_weight_agree() -> None:
    """Oracle: the two ways to store one noise, which NumPy's random numbers give."""
    sigma = np.random.default_rng(7).lognormal(size=(30, 40))
    for stored, meaning in (
        (sigma**2, "variance"),
        (sigma**-2, "inverse_variance"),
        (1 / sigma, "inverse_sigma"),
    ):
        np.testing.assert_allclose(to_noise(stored, meaning), sigma, rtol=1e-14)


def test_weight_whose_inverse_is_beyond_the_type() -> None:
    assert to_noise(np.array([1e-45], dtype="f4"), "inverse_sigma")[0] == _INF


def test_unknown_meaning() -> None:
    with pytest.raises(UsageError, match="expected one of direct, variance"):
        to_noise(np.ones(1), "weight")

"""Flag bits: which bit says "no data", and which pixels are bad."""

import numpy as np
import pytest

from snapdb.errors import UsageError
from snapdb.pixels.flags import NO_DATA, bad_mask, fraction_masked, no_data_bit


@pytest.mark.parametrize(
    ("bits", "dtype", "bit", "result"),
    [
        ({}, "u1", 1 << 7, "u1"),
        ({}, "i2", 1 << 14, "i2"),
        ({}, ">i4", 1 << 30, "i4"),
        ({}, "u8", 1 << 63, "u8"),
        ({}, "?", 1 << 7, "u1"),
        ({"SAT": 1 << 14, "COSMIC": 1 << 12}, "i2", 1 << 13, "i2"),
        ({"TWO": 0b11 << 6}, "u1", 1 << 5, "u1"),
        ({"ALL": 255}, "u1", 1 << 15, "u2"),
        ({"ALL": 127}, "i1", 1 << 14, "i2"),
        ({NO_DATA: 8, "SAT": 1}, "u1", 8, "u1"),
        ({NO_DATA: 256}, "u1", 256, "u2"),
        ({NO_DATA: 1 << 31}, "i4", 1 << 31, "i8"),
        ({"ALL": 2**63 - 1}, "i8", 1 << 63, "u8"),
    ],
)
def test_no_data_bit(bits: dict[str, int], dtype: str, bit: int, result: str) -> None:
    found, kept = no_data_bit(bits, np.dtype(dtype))
    assert (found, kept) == (bit, np.dtype(result))
    assert int(np.array([found], dtype=kept)[0]) == bit


def test_no_bit_left() -> None:
    with pytest.raises(UsageError, match="no bit left"):
        no_data_bit({"ALL": 2**64 - 1}, np.dtype("u8"))


def test_flags_must_be_integers() -> None:
    with pytest.raises(UsageError, match="expected integers"):
        no_data_bit({}, np.dtype("f4"))
    for bits in (0, 1):
        with pytest.raises(UsageError, match="expected integers"):
            bad_mask(np.zeros(3), bits)


@pytest.mark.parametrize("dtype", ["u1", "i1", ">i2", "<u2", "i4", ">u4", "i8", ">u8"])
@pytest.mark.parametrize("bad", [0, 1, 6, 0x80, 1 << 40, -1])
def test_bad_mask_against_python_integers(dtype: str, bad: int) -> None:
    """Oracle: Python's integers of any size, in two's complement of the type's width."""
    size = 8 * np.dtype(dtype).itemsize
    limits = np.iinfo(dtype)
    values = [0, 1, 2, 4, 8, limits.max, limits.min]
    low = (1 << size) - 1
    expected = [((v & low) & (bad & low if bad else low)) != 0 for v in values]
    np.testing.assert_array_equal(bad_mask(np.array(values, dtype=dtype), bad), expected)


def test_bad_mask_of_views_and_bools() -> None:
    flags = np.arange(24, dtype="i2").reshape(4, 6)[::2, ::3]
    np.testing.assert_array_equal(bad_mask(flags, 1), flags % 2 == 1)
    np.testing.assert_array_equal(bad_mask(np.array([True, False]), 1), [True, False])


def test_fraction() -> None:
    flags = np.zeros((4, 5), dtype="i4")
    flags[0, :3] = 1
    flags[1, :2] = 2
    assert fraction_masked(flags, 0) == 0.25
    assert fraction_masked(flags, 1) == 0.15
    assert fraction_masked(flags, 4) == 0.0
    assert fraction_masked(None, 1) == 0.0
    assert fraction_masked(np.zeros((0, 3), dtype="i4"), 0) == 0.0

"""Flags by number and by name; the oracle is astropy's ``interpret_bit_flags``."""

from typing import Any

import numpy as np
import pytest
from astropy.nddata.bitmask import BitFlagNameMap, bitfield_to_boolean_mask, interpret_bit_flags

from snapdb.errors import UsageError
from snapdb.pixels.flag_names import BadFlags, choose_flags, default_flags, saturation_flags

NAMES = {"BAD": 1, "SATURATED": 2, "HOT": 4, "WARM": 8, "REFERENCE": 1 << 31}
CODES = {"BAD": 1, "SATURATED": 3, "DIFFERENCE": 7}


class Map(BitFlagNameMap):  # type: ignore[misc]  # astropy has no types
    """The same names, as astropy has them."""

    BAD = 1
    SATURATED = 2
    HOT = 4
    WARM = 8
    REFERENCE = 1 << 31


@pytest.mark.parametrize(
    "spec",
    ["4,8", "~4,8", "~(4+8)", "4|8", "SATURATED,hot", "~HOT", "~BAD,WARM", [4, 8], [], 12, -9, 5],
)
def test_choices_are_astropy_s(spec: Any) -> None:
    flags = np.random.default_rng(1).integers(0, 1 << 32, 500, dtype=np.uint32) & 0x8000000F
    bits = interpret_bit_flags(spec, flag_name_map=Map)
    assert choose_flags(spec, NAMES).bits == bits
    # astropy lists what is good; the complement of what is bad.
    oracle = bitfield_to_boolean_mask(flags, ignore_flags=~bits, good_mask_value=False)
    np.testing.assert_array_equal(choose_flags(spec, NAMES).mask(flags), oracle)


def test_names_and_numbers_mix() -> None:
    assert choose_flags("HOT,8,0x10", NAMES).bits == 28
    assert choose_flags(["HOT", 8], NAMES).bits == 12


def test_zero_chooses_every_flag_and_an_empty_list_none() -> None:
    flags = np.array([0, 1, 64, -(2**15)], dtype=np.int16)
    assert choose_flags(0, NAMES).mask(flags).tolist() == [False, True, True, True]
    assert not choose_flags([], NAMES).mask(flags).any()
    assert not choose_flags([], NAMES)


def test_codes_are_values_not_bits() -> None:
    flags = np.arange(9, dtype=np.int32)

    def chosen(spec: Any) -> list[int]:
        return [int(flag) for flag in flags[choose_flags(spec, CODES, coded=True).mask(flags)]]

    assert chosen("SATURATED") == [3]
    assert chosen("~DIFFERENCE") == [1, 2, 3, 4, 5, 6, 8]
    assert chosen([1, "SATURATED"]) == [1, 3]
    assert chosen(3) == [3]
    assert chosen(0) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert chosen([]) == []
    assert flags[default_flags({}, 0, CODES, ["DIFFERENCE"]).mask(flags)].tolist() == [1, 2, 3, 4, 5, 6, 8]


def test_choices_join() -> None:
    flags = np.arange(9)
    pairs: list[tuple[BadFlags, BadFlags]] = [
        (choose_flags(a, NAMES), choose_flags(b, NAMES)) for a, b in ((4, 1), ("~4", 4), (0, []))
    ]
    pairs += [
        (choose_flags(a, CODES, coded=True), choose_flags(b, CODES, coded=True))
        for a, b in ((1, 3), ("~1,3", 3), ("~1", "~3"), ([], 0))
    ]
    for one, other in pairs:
        np.testing.assert_array_equal((one | other).mask(flags), one.mask(flags) | other.mask(flags))
        np.testing.assert_array_equal((other | one).mask(flags), one.mask(flags) | other.mask(flags))


def test_saturation_is_found_by_name() -> None:
    assert saturation_flags({"SAT": 2, "A": 4}).bits == 2
    assert saturation_flags({"SATURATED": 256, "AD_SATURATED": 2048, "NO_SAT_CHECK": 1}).bits == 2304
    assert saturation_flags(CODES, coded=True).codes == frozenset({3})
    assert not saturation_flags({"HOT": 1})


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("FOO", "no flag is named 'FOO'; there are BAD, SATURATED"),
        ("SATURATD", "did you mean SATURATED"),
        ([6], "6 in the list is not one bit"),
        (3.5, "it is a float"),
        (True, "it is a bool"),
        ({"a": 1}, "it is a dict"),
        ([None], "neither a number nor a name"),
        ("", "no flag is named ''"),
    ],
)
def test_what_is_no_choice_is_refused(spec: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        choose_flags(spec, NAMES)

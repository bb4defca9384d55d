"""Tables of measurements: made of arrays and single values, refused where they cannot be."""

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdb.errors import ShapeError, UsageError
from snapdb.model.measurement import (
    COLUMNS,
    empty_measurements,
    join_measurements,
    make_measurements,
    position_keys,
)

IMAGE, PROVENANCE = uuid4(), uuid4()
PLACE: dict[str, Any] = {"image_id": IMAGE, "provenance_id": PROVENANCE, "ra": 10.0, "dec": 20.0}


def test_single_values_hold_for_all_rows() -> None:
    table = make_measurements(**{**PLACE, "ra": [1.0, 2.0, 363.0]}, flux=[1, 2, 3], name="x", quality=4)
    assert len(table) == 3
    assert table.ra.tolist() == [1.0, 2.0, 3.0]
    assert table.name.tolist() == ["x"] * 3
    assert table.image_id.tolist() == [IMAGE] * 3
    assert table.quality.tolist() == [4, 4, 4]
    assert table.quality.dtype == np.dtype("int32")
    assert np.isnan(table.flux_err).all()
    assert table.method.tolist() == [None] * 3
    assert np.isnat(table.measured_at).all()
    assert len(make_measurements(**PLACE)) == 1


def test_what_is_masked_is_not_known() -> None:
    flux = np.ma.array([1.0, 2.0], mask=[False, True])
    name = np.ma.array(["a", "b"], mask=[True, False])
    table = make_measurements(**PLACE, flux=flux, name=name)
    np.testing.assert_array_equal(table.flux, [1.0, np.nan])
    assert table.name.tolist() == [None, "b"]


def test_times_are_taken_in_utc() -> None:
    moment = datetime(2024, 5, 1, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    table = make_measurements(**PLACE, measured_at=moment)
    expected = np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
    assert table.measured_at[0] == expected


def test_the_highest_flag_is_the_sign() -> None:
    flags = np.array([2**63, 1], dtype=np.uint64)
    assert make_measurements(**PLACE, flags=flags).flags.tolist() == [-(2**63), 1]


def test_rows_are_chosen_and_joined() -> None:
    table = make_measurements(**{**PLACE, "ra": np.arange(5.0)})
    assert table[1:3].ra.tolist() == [1.0, 2.0]
    assert table[table.ra > 2].ra.tolist() == [3.0, 4.0]
    assert join_measurements([table[:2], table[4:]]).ra.tolist() == [0.0, 1.0, 4.0]
    assert len(join_measurements([])) == len(empty_measurements()) == 0
    assert list(table.to_columns()) == list(COLUMNS)


@pytest.mark.parametrize(
    ("columns", "error", "said"),
    [
        ({"fluxx": 1.0}, UsageError, "no column is called 'fluxx'"),
        ({"ra": np.nan}, UsageError, "row 0: position"),
        ({"dec": [0.0, 91.0]}, UsageError, r"row 1: position \(10.0, 91.0\) is none"),
        ({"flux": "bright"}, UsageError, "column flux cannot be read as numbers"),
        ({"quality": 1.5}, UsageError, "expected whole numbers of 32 bits"),
        ({"quality": 2**40}, UsageError, "column quality cannot be read as numbers"),
        ({"n_pixels": np.nan}, UsageError, "expected whole numbers"),
        ({"measured_at": "yesterday"}, UsageError, "cannot be read as times"),
        ({"flux": [1.0, 2.0], "x": [1.0, 2.0, 3.0]}, ShapeError, "do not fit together"),
        ({"flux": np.zeros((2, 2))}, ShapeError, "has shape"),
    ],
)
def test_columns_that_cannot_be(columns: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        make_measurements(**{**PLACE, **columns})


def test_a_column_that_must_be_given() -> None:
    with pytest.raises(UsageError, match="column 'dec' is missing"):
        make_measurements(image_id=IMAGE, provenance_id=PROVENANCE, ra=1.0)


@given(st.floats(-720, 720), st.floats(-90, 90), st.integers(-2, 2))
def test_keys_are_the_nearest_ten_thousandth_of_an_arcsecond(ra: float, dec: float, turns: int) -> None:
    """Oracle: exact rational arithmetic; a key is off by no more than half a step and rounding."""
    ra_key, dec_key = (int(key) for key in position_keys(ra, dec))
    slack = Fraction(1, 2) + Fraction(1, 100_000)
    assert abs(Fraction(dec) * 36_000_000 - dec_key) <= slack
    assert 0 <= ra_key < 360 * 36_000_000
    if abs(dec_key) == 90 * 36_000_000:
        assert ra_key == 0
    else:
        off = (Fraction(ra) * 36_000_000 - ra_key) % (360 * 36_000_000)
        assert min(off, 360 * 36_000_000 - off) <= slack
        again = int(position_keys(ra + 360.0 * turns, dec)[0])
        assert min((again - ra_key) % (360 * 36_000_000), (ra_key - again) % (360 * 36_000_000)) <= 1


def test_ids_of_any_kind_are_kept_for_the_registry_to_judge() -> None:
    assert make_measurements(**{**PLACE, "image_id": [IMAGE, UUID(int=0)]}).image_id.tolist() == [
        IMAGE,
        UUID(int=0),
    ]

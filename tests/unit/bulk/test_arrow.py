"""Arrow columns made of buffers."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdb.bulk.catalogue.arrow import (
    find_runs,
    from_numbers,
    from_texts,
    is_all,
    repeat_text,
    take_texts,
    to_array,
    to_floats,
    to_strings,
)

TEXTS = [[], [""], ["a", "", "bcd"], ["\u00e4", "x", "\u65e5\u672c", ""], ["", "", ""]]


@pytest.mark.parametrize("texts", TEXTS)
def test_texts(texts: list[str]) -> None:
    """Oracle: Arrow's own conversion, there and back, of any part."""
    made = from_texts(texts)
    made.validate(full=True)
    assert made.equals(pa.array(texts, pa.string()))
    for start in range(len(texts) + 1):
        assert to_strings(made[start:]) == to_strings(pa.array(texts, pa.string())[start:]) == texts[start:]
        assert to_strings(made[:start]) == texts[:start]


@pytest.mark.parametrize("dtype", ["int32", "int64", "float64"])
def test_numbers(dtype: str) -> None:
    """Oracle: Arrow's own conversion."""
    values = np.arange(40, dtype=dtype)[::2]
    made = from_numbers(values)
    made.validate(full=True)
    assert made.equals(pa.array(values))
    assert np.array_equal(to_array(made[3:9], dtype), values[3:9])
    assert to_array(from_numbers(values[:0]), dtype).shape == (0,)


@pytest.mark.parametrize("count", [0, 1, 8, 9, 70])
def test_numbers_that_are_not_there(count: int) -> None:
    """Oracle: Arrow's own conversion."""
    values = np.where(np.arange(count) % 3 == 0, np.nan, np.arange(count) / 7)
    made = from_numbers(values, nan_is_null=True)
    made.validate(full=True)
    expected: Any = pa.array(values, from_pandas=True)
    assert made.equals(expected)
    assert made.null_count == expected.null_count


@pytest.mark.parametrize("count", [0, 1, 8, 9, 70])
def test_numbers_some_of_which_there_are(count: int) -> None:
    """Oracle: Arrow's own conversion."""
    values = np.arange(count)
    made = from_numbers(values, there=values % 3 > 0)
    made.validate(full=True)
    assert made.equals(pa.array(values, mask=values % 3 == 0))


@pytest.mark.parametrize("at_once", [3, 65_536])
def test_texts_taken_in_any_order(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: Arrow's own take."""
    monkeypatch.setattr("snapdb.bulk.catalogue.arrow._AT_ONCE", at_once)
    column = from_texts(["", "a", "Änne", "", "ein langer Text", "b", "☉", "z" * 40])
    for part in (column, column.slice(2, 5), column.slice(7), column.slice(0, 1)):
        for places in ([], [0], list(range(len(part)))[::-1], [len(part) - 1] * 4 + [0, 0]):
            made = take_texts(part, np.array(places, np.int64))
            made.validate(full=True)
            assert made.to_pylist() == part.take(pa.array(places, pa.int64())).to_pylist()


@given(st.lists(st.one_of(st.floats().map(repr), st.integers().map(str)), min_size=1))
def test_texts_of_numbers(texts: list[str]) -> None:
    """Oracle: Python's own reading."""
    found = to_floats(from_texts(["7", *texts]).slice(1))
    assert found is not None
    assert np.array_equal(found, np.array(list(map(float, texts))), equal_nan=True)


@given(st.lists(st.one_of(st.floats().map(repr), st.text(max_size=5)), min_size=1))
def test_texts_that_are_no_numbers(texts: list[str]) -> None:
    """None, or what Python reads, where it reads it."""
    found = to_floats(from_texts(texts))
    if found is not None:
        assert np.array_equal(found, np.array(list(map(float, texts))), equal_nan=True)


@pytest.mark.parametrize(
    "bad", ["", " ", "a", '"1"', "1,2", "1\n2", "1_0", "0x10", "1e", "1 2", "\N{MINUS SIGN}1"]
)
def test_one_text_that_is_no_number(bad: str) -> None:
    assert to_floats(from_texts(["1", bad, "3"])) is None


def test_a_mark_of_the_order_of_bytes_is_no_part_of_a_number() -> None:
    assert to_floats(from_texts(["\ufeff1", "2"])) is None


def test_empty_columns_have_no_numbers() -> None:
    assert to_floats(from_texts([])) is None


@pytest.mark.parametrize(("text", "count"), [("", 0), ("", 5), ("written", 1), ("Änne", 40)])
def test_one_text_again_and_again(text: str, count: int) -> None:
    made = repeat_text(text, count)
    made.validate(full=True)
    assert made.to_pylist() == [text] * count == from_texts([text] * count).to_pylist()
    assert is_all(made, text)
    assert is_all(from_texts(["x", *made.to_pylist()]).slice(1), text)
    assert not is_all(from_texts([*made.to_pylist(), text + "x"]), text)
    assert not is_all(from_texts(["x" + text, "", *made.to_pylist()]), text)


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "a", "b", "ab", "ba", "\u00e9", "tile_10"]), st.integers(1, 60)),
        max_size=8,
    ),
    st.integers(0, 3),
)
def test_runs_of_texts(runs: list[tuple[str, int]], skipped: int) -> None:
    """Oracle: the texts next to each other; all that differ are found, and few others."""
    texts = [text for text, count in runs for _ in range(count)]
    column = pa.array(texts, pa.string())[skipped:]
    starts = find_runs(column)
    kept = texts[skipped:]
    changes = [i for i, text in enumerate(kept) if i == 0 or text != kept[i - 1]]
    assert set(changes) <= set(starts.tolist())
    assert starts.tolist() == (sorted(set(changes)) if len(starts) < len(kept) else list(range(len(kept))))


def test_runs_where_texts_change_all_the_time_are_not_looked_for() -> None:
    assert find_runs(pa.array(["a", "bb"] * 50)).tolist() == list(range(100))

"""Arrow columns made of buffers.

Arrow's own conversions load pandas first of all, where it is installed, to tell its objects from others:
a fifth of a second; and its functions take as long to load as a catalogue of 20,000 sources to read.
Nothing here loads either.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from snapdb.types import BoolArray, FloatArray, IntArray, PixelArray

_AT_ONCE = 65_536
"""Texts that are taken at a time: each of their bytes has a number while they are."""
_FEW = 40
"""Rows for each change of length, on the average, where runs are looked for."""
_NEW_LINE, _SPACE, _TILDE = b"\n ~"
_OF_NUMBERS = np.isin(np.arange(256), list(b"0123456789+-.eEnaNifINFtyTYA "))


def from_numbers(values: Any, *, nan_is_null: bool = False, there: BoolArray | None = None) -> Any:
    """Make a column of numbers.

    Parameters
    ----------
    values : array, shape (n,)
        Of integers, floats or truth values.
    nan_is_null : bool
        Whether NaN means that there is none.
    there : array of bool, shape (n,), optional
        Which there are; the others become null.

    Returns
    -------
    pyarrow.Array
        Of the same type.
    """
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    plain: PixelArray = np.ascontiguousarray(values)
    kind = pa.from_numpy_dtype(plain.dtype)
    if nan_is_null:
        there = ~np.isnan(plain)
    bits = None if there is None else _pack(there)
    content = _pack(plain) if plain.dtype == np.bool_ else pa.py_buffer(plain)
    return pa.Array.from_buffers(kind, len(plain), [bits, content])


def _pack(values: BoolArray) -> Any:
    """Make a buffer of truth values, a bit each."""
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    return pa.py_buffer(np.packbits(values, bitorder="little").tobytes())


def from_texts(texts: Iterable[str]) -> Any:
    """Make a column of texts.

    Parameters
    ----------
    texts : iterable of str
        One a row.

    Returns
    -------
    pyarrow.StringArray
        Without nulls.
    """
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    items = list(texts)
    if items and items[0] == items[-1] and items.count(items[0]) == len(items):
        return repeat_text(items[0], len(items))
    joined = "".join(items)
    content: Sequence[str | bytes] = items if joined.isascii() else [text.encode() for text in items]
    offsets = np.zeros(len(items) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, content), np.int32, len(items)), out=offsets[1:])
    return pa.StringArray.from_buffers(len(items), pa.py_buffer(offsets), pa.py_buffer(joined.encode()))


def to_strings(column: Any) -> list[str]:
    """Give the texts of a column.

    Parameters
    ----------
    column : pyarrow.StringArray
        Without nulls.

    Returns
    -------
    list of str
        One a row.
    """
    _, places, content = column.buffers()
    if not len(column) or content is None:
        return [""] * len(column)
    offsets = np.frombuffer(places, np.int32, len(column) + 1, 4 * column.offset).tolist()
    first = offsets[0]
    held = content[first : offsets[-1]].to_pybytes()
    if held.isascii():
        text = held.decode()
        return [text[a - first : b - first] for a, b in pairwise(offsets)]
    return [held[a - first : b - first].decode() for a, b in pairwise(offsets)]


def to_floats(column: Any) -> FloatArray | None:
    """Give the numbers that texts say, as Arrow reads them: four times as quick as one by one.

    Parameters
    ----------
    column : pyarrow.StringArray
        Without nulls.

    Returns
    -------
    array, shape (n,)
        Each the float64 next to what is written; None where a text is no number.
    """
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    from pyarrow import csv  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    lengths, content = view_texts(column)
    if not len(column) or lengths.min() == 0 or not _OF_NUMBERS[content].all():
        return None  # there may be no line of it, or several, or what is a number to Arrow alone
    lines = np.insert(content, np.cumsum(lengths), _NEW_LINE)
    try:
        table = csv.read_csv(
            pa.BufferReader(pa.py_buffer(lines)),
            csv.ReadOptions(use_threads=False, column_names=["number"]),
            csv.ParseOptions(quote_char=False),
            csv.ConvertOptions(column_types={"number": pa.float64()}, null_values=[]),
        )
    except pa.ArrowInvalid:
        return None
    numbers = to_array(table["number"].combine_chunks(), np.float64).copy()
    return numbers if len(numbers) == len(column) else None


def view_texts(column: Any) -> tuple[IntArray, PixelArray]:
    """Give the lengths and the bytes of texts, which together are all that they say.

    Parameters
    ----------
    column : pyarrow.StringArray
        Without nulls.

    Returns
    -------
    lengths : array of int32, shape (n,)
        In bytes.
    content : array of uint8
        UTF-8, one text after another.
    """
    _, places, content = column.buffers()
    if not len(column) or content is None:
        return np.zeros(len(column), np.int32), np.empty(0, np.uint8)
    offsets = np.frombuffer(places, np.int32, len(column) + 1, 4 * column.offset)
    return np.diff(offsets), np.frombuffer(content, np.uint8)[offsets[0] : offsets[-1]]


def find_runs(column: Any) -> IntArray:
    """Find where a column says something else than the row before: few places in one that was sorted.

    Parameters
    ----------
    column : pyarrow.StringArray
        Without nulls.

    Returns
    -------
    array of int64
        Ascending, the first row among them. Rows of which that is not soon known count too.
    """
    lengths, content = view_texts(column)
    if not len(lengths):
        return np.empty(0, np.int64)
    ends = np.cumsum(lengths, dtype=np.int64)
    edges = np.flatnonzero(np.diff(lengths)) + 1
    if len(edges) > len(lengths) // _FEW:
        return np.arange(len(lengths))
    found = [np.zeros(1, np.int64), edges]
    for begin, end in pairwise([0, *edges.tolist(), len(lengths)]):
        own = content[ends[begin] - lengths[begin] : ends[end - 1]].reshape(end - begin, lengths[begin])
        found.append(np.flatnonzero((own[1:] != own[:-1]).any(axis=1)) + begin + 1)
    return np.sort(np.concatenate(found))


def has_spaces(column: Any) -> bool:
    """Say whether a text of a column may hold a space, or what else is none to the eye.

    Parameters
    ----------
    column : pyarrow.StringArray
        Without nulls.
    """
    _, content = view_texts(column)
    return bool(content.size and (content.min() <= _SPACE or content.max() > _TILDE))


def repeat_text(text: str, count: int) -> Any:
    """Make a column of one text.

    Parameters
    ----------
    text : str
        What each row says.
    count : int
        Rows.

    Returns
    -------
    pyarrow.StringArray
        Without nulls.
    """
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    content = text.encode()
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(len(content))
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(content * count))


def is_all(column: Any, text: str) -> bool:
    """Say whether all rows of a column are one text.

    Parameters
    ----------
    column : pyarrow.StringArray
        Without nulls.
    text : str
        Which.
    """
    return bool(column.equals(repeat_text(text, len(column))))


def take_texts(column: Any, places: IntArray) -> Any:
    """Give some texts of a column.

    Parameters
    ----------
    column : pyarrow.StringArray
        Without nulls.
    places : array of int, shape (n,)
        Which, in any order.

    Returns
    -------
    pyarrow.StringArray
        Of n texts.
    """
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    _, begins, content = column.buffers()
    if not len(places) or content is None:
        return repeat_text("", len(places))
    if places.min() == places.max():
        return repeat_text(column[int(places[0])].as_py(), len(places))
    bounds = np.frombuffer(begins, np.int32, len(column) + 1, 4 * column.offset)
    held = np.frombuffer(content, np.uint8)
    offsets = np.zeros(len(places) + 1, np.int32)
    np.cumsum(np.diff(bounds)[places], out=offsets[1:])
    taken = np.empty(int(offsets[-1]), np.uint8)
    for start in range(0, len(places), _AT_ONCE):
        ends = offsets[start : start + _AT_ONCE + 1]
        first = bounds[places[start : start + _AT_ONCE]]
        shift = np.repeat(first.astype(np.int64) - ends[:-1], np.diff(ends))
        taken[ends[0] : ends[-1]] = held[shift + np.arange(ends[0], ends[-1])]
    return pa.StringArray.from_buffers(len(places), pa.py_buffer(offsets), pa.py_buffer(taken))


def to_array(column: Any, dtype: DTypeLike) -> PixelArray:
    """Give the numbers of a column.

    Parameters
    ----------
    column : pyarrow.Array
        Without nulls.
    dtype : numpy type
        The column's.

    Returns
    -------
    array, shape (n,)
        Not to be written to: it looks into the column.
    """
    kind = np.dtype(dtype)
    content = column.buffers()[1]
    if content is None or not len(column):
        return np.empty(0, kind)
    return np.frombuffer(content, kind, len(column), kind.itemsize * column.offset)

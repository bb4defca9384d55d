"""Arrow columns made of buffers.

Arrow's own conversions load pandas first of all, where it is installed, to tell its objects from others:
a fifth of a second. Nothing here does.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from snapdb.types import PixelArray


def from_numbers(values: Any, *, nan_is_null: bool = False) -> Any:
    """Make a column of numbers.

    Parameters
    ----------
    values : array, shape (n,)
        Of integers or floats.
    nan_is_null : bool
        Whether NaN means that there is none.

    Returns
    -------
    pyarrow.Array
        Of the same type.
    """
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    plain: PixelArray = np.ascontiguousarray(values)
    kind = pa.from_numpy_dtype(plain.dtype)
    there = None
    if nan_is_null:
        there = pa.py_buffer(np.packbits(~np.isnan(plain), bitorder="little").tobytes())
    return pa.Array.from_buffers(kind, len(plain), [there, pa.py_buffer(plain)])


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
    joined = "".join(items)
    content: Sequence[str | bytes] = items if joined.isascii() else [text.encode() for text in items]
    offsets = np.zeros(len(items) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, content), np.int32, len(items)), out=offsets[1:])
    return pa.StringArray.from_buffers(len(items), pa.py_buffer(offsets), pa.py_buffer(joined.encode()))


def to_scalar(text: str) -> Any:
    """Make a text that Arrow compares a column with.

    Parameters
    ----------
    text : str
        What it says.
    """
    return from_texts([text])[0]


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

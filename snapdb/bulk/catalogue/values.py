"""Arrow columns as numpy arrays: numbers and texts."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snapdb.bulk.catalogue import arrow
from snapdb.types import BoolArray, FloatArray

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

_MISSING = ("", "na", "n/a", "nan", "none", "null", "--")


def to_floats(column: "pa.Array") -> tuple[FloatArray, BoolArray]:
    """Give a column as numbers.

    Parameters
    ----------
    column
        Numbers, or texts of numbers.

    Returns
    -------
    values : array, shape (rows,)
        NaN where there is nothing, or no number.
    bad : array, shape (rows,)
        Where there is something that is no number.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _parse_floats(column)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return np.array(values, dtype=np.float64), np.zeros(len(column), dtype=bool)
    bad = column.is_valid().to_numpy(zero_copy_only=False)
    return np.full(len(column), np.nan), np.asarray(bad, dtype=bool)


def _parse_floats(column: "pa.Array") -> tuple[FloatArray, BoolArray]:
    """Read numbers from texts: all in one go where all are sound."""
    import pyarrow as pa

    if pa.types.is_string(column.type) and not column.null_count:
        numbers = arrow.to_floats(column)
        if numbers is not None:
            return numbers, np.zeros(len(numbers), dtype=bool)
        texts = arrow.to_strings(column)
        joined = "".join(texts)
        if joined.isascii() and "_" not in joined:  # Python's numbers are then the usual ones
            try:
                return np.array(list(map(float, texts)), np.float64), np.zeros(len(texts), dtype=bool)
            except ValueError:
                pass  # some are empty, or no numbers
    return _parse_others(column)


def _parse_others(column: "pa.Array") -> tuple[FloatArray, BoolArray]:
    """Read numbers from texts some of which may be empty, or no numbers."""
    import pyarrow as pa
    from pyarrow import compute as pc  # which takes longer to load than a sound catalogue to read

    trimmed = pc.utf8_trim_whitespace(column)
    there = pc.invert(pc.is_in(pc.utf8_lower(trimmed), value_set=pa.array(_MISSING, type=trimmed.type)))
    kept = pc.if_else(pc.and_kleene(there, pc.is_valid(trimmed)), trimmed, None)
    try:
        numbers = pc.cast(kept, pa.float64())
    except pa.ArrowInvalid:
        return _parse_each(kept.to_pylist())
    values = np.array(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
    return values, np.zeros(len(column), dtype=bool)


def _parse_each(texts: list[str | None]) -> tuple[FloatArray, BoolArray]:
    """Read numbers one by one, where some are none."""
    values = np.full(len(texts), np.nan)
    bad = np.zeros(len(texts), dtype=bool)
    for i, text in enumerate(texts):
        if text is None:
            continue
        try:
            values[i] = float(text)
        except ValueError:
            bad[i] = True
        else:
            bad[i] = "_" in text  # which Python allows in numbers, and no catalogue means
    values[bad] = np.nan
    return values, bad


def to_texts(column: "pa.Array") -> NDArray[np.object_]:
    """Give a column as texts without spaces around them, empty where there is nothing.

    Parameters
    ----------
    column
        Texts or numbers; whole numbers that a table keeps as floats are written as integers.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) and not column.null_count:
        items = arrow.to_strings(column)
        if arrow.has_spaces(column):
            items = [text.strip() for text in items]
    elif pa.types.is_floating(column.type):
        items = [_write_number(v) for v in column.to_pylist()]
    else:
        items = [_decode(v) for v in column.to_pylist()]
    return np.array(items, dtype=object)


def _write_number(value: float | None) -> str:
    """Write a number, as an integer where it is one."""
    if value is None or value != value:  # noqa: PLR0124  # NaN
        return ""
    return str(int(value)) if value.is_integer() else repr(value)


def _decode(value: Any) -> str:
    """Write anything else."""
    if value is None:
        return ""
    return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value).strip()

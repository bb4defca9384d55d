"""One text for one meaning: JSON in the manner of RFC 8785, so that a hash of it is stable.

It differs from the RFC in one point: an integer, and a float with an integral
value, is written as the exact integer, so that ``1``, ``1.0``, ``1e16`` and
``10**16`` survive databases that normalise numbers.
"""

import json
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeAlias

import numpy as np

from snapdb.errors import ProvenanceError

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
"""What JSON can say."""

_DEPTH = 100
_BITS = 4096
_EXPECTED = "text, numbers, booleans, None, lists and dictionaries of these"


def to_json_value(value: object, path: str = "params", *, depth: int = 0) -> Json:
    """Copy a value into plain JSON types, refusing what JSON cannot say.

    Parameters
    ----------
    value : object
        Dictionaries with text keys, lists, tuples, text, numbers, booleans,
        None, paths, enumerations of text or integers, and numpy scalars and
        arrays of these.
    path : str
        Name of the value, for messages.
    depth : int
        How deep inside the whole the value lies.

    Returns
    -------
    Json
        A deep copy; floats stay floats.

    Raises
    ------
    ProvenanceError
        Naming the JSON path, for NaN, infinity, sets, bytes, other objects, keys
        that are not text, and what is nested too deep or in itself.
    """
    if depth > _DEPTH:
        raise _refused(path, f"is nested more than {_DEPTH} levels deep", "a finite tree")
    value = _unwrap(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _check_text(value, path)
    if isinstance(value, int | float):
        return _check_number(value, path)
    if isinstance(value, Mapping):
        return _copy_mapping(value, path, depth)
    if isinstance(value, list | tuple):
        return [to_json_value(v, f"{path}[{i}]", depth=depth + 1) for i, v in enumerate(value)]
    raise _refused(path, f"is {value!r:.80} of type {type(value).__name__}", _EXPECTED)


def _unwrap(value: object) -> object:
    """Give the plain Python value inside numpy scalars and arrays, enumerations and paths."""
    if isinstance(value, Enum) and isinstance(value, str | int):
        return value.value
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.dtype != object):
        return value.tolist()
    return value


def _copy_mapping(value: Mapping[Any, Any], path: str, depth: int) -> dict[str, Json]:
    """Copy a dictionary whose keys are text."""
    copied: dict[str, Json] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise _refused(path, f"has the key {key!r:.80} of type {type(key).__name__}", "text keys")
        name = _check_text(str(key.value) if isinstance(key, Enum) else str(key), path)
        copied[name] = to_json_value(item, f"{path}.{name}", depth=depth + 1)
    return copied


def _check_text(value: str, path: str) -> str:
    """Refuse text that UTF-8 or a database cannot hold."""
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise _refused(path, f"is {value!r:.80}", "text without NUL characters and lone surrogates")
    return str(value)


def _check_number(value: float, path: str) -> int | float:
    """Refuse numbers that JSON or a database cannot hold."""
    if isinstance(value, int):
        if value.bit_length() > _BITS:
            raise _refused(path, f"is an integer of {value.bit_length()} bits", f"at most {_BITS} bits")
        return int(value)
    if not math.isfinite(value):
        raise _refused(path, f"is {value}", "a finite number (None says that there is no value)")
    return float(value)


def _refused(path: str, what: str, expected: str) -> ProvenanceError:
    """Make the error for a value that JSON cannot say."""
    return ProvenanceError(f"{path} {what}; expected {expected}", path=path)


def to_canonical_json(value: Json) -> str:
    """Write plain JSON values in the one way that their meaning has.

    Keys are in the order of their UTF-16 code units, without spaces; numbers as
    the module's text says, otherwise in the shortest form of ECMAScript (RFC
    8785, section 3.2.2.3).

    Parameters
    ----------
    value : Json
        As :func:`to_json_value` gives it.

    Returns
    -------
    str
        The text.
    """
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{_quote(k)}:{to_canonical_json(value[k])}" for k in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(to_canonical_json(v) for v in value) + "]"
    if isinstance(value, float):
        return _write_float(value)
    return _quote(value) if isinstance(value, str) else json.dumps(value)


def _quote(text: str) -> str:
    """Write text as JSON, with no more escapes than the RFC has."""
    return json.dumps(text, ensure_ascii=False)


def _write_float(value: float) -> str:
    """Write a finite float: an exact integer, or ECMAScript's shortest form."""
    if value.is_integer():
        return str(int(value))
    text = repr(value)
    mantissa, _, power = text.partition("e")
    if not power:
        return text
    exponent = int(power)
    if exponent < -6:  # where ECMAScript goes over to exponents; Python does so at 1e-5
        return f"{mantissa}e{exponent}"
    sign = "-" if mantissa.startswith("-") else ""
    digits = mantissa.lstrip("-").replace(".", "")
    return f"{sign}0.{'0' * (-exponent - 1)}{digits}"

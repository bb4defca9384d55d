"""What is said of a cutout as JSON, and back, without loss and without running anything.

Numbers, text, lists and mappings are JSON's own; all else is an object with one key that
begins with ``$``: ``$float`` (not finite), ``$scalar`` and ``$array`` (numpy, with type and mask),
``$masked``, ``$time`` (two Julian days and a scale), ``$datetime``, ``$date``, ``$quantity``, ``$tuple``,
``$complex``, ``$bytes``.
"""

import datetime
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from snapdb.errors import CorruptFileError, UsageError


def to_json(value: Mapping[str, Any]) -> str:
    """Write a mapping as JSON of ASCII alone.

    Parameters
    ----------
    value : mapping
        With text as keys; values as the module's text says, nested as deep as they are.

    Raises
    ------
    UsageError
        If something in it cannot be kept; the message names its key.
    """
    return json.dumps(_encode(value, ""), allow_nan=False)


def from_json(text: str) -> dict[str, Any]:
    """Read what :func:`to_json` wrote.

    Raises
    ------
    CorruptFileError
        If it is no such text.
    """
    try:
        found = _decode(json.loads(text))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as err:
        msg = f"what is said of the cutout cannot be read: {err}"
        raise CorruptFileError(msg) from err
    if not isinstance(found, dict):
        msg = f"what is said of the cutout is a {type(found).__name__}; expected a mapping"
        raise CorruptFileError(msg)
    return found


def _encode(value: Any, where: str) -> Any:
    """Give a value as what JSON has."""
    if value is None or (isinstance(value, bool | int | str) and type(value).__module__ == "builtins"):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, Mapping):
        return _encode_mapping(value, where)
    if isinstance(value, list):
        return [_encode(v, f"{where}[{i}]") for i, v in enumerate(value)]
    return _encode_marked(value, where)


def _encode_marked(value: Any, where: str) -> dict[str, Any]:
    """Give a value that JSON has no form for as an object with one mark."""
    if isinstance(value, np.ndarray) and value is not np.ma.masked and not hasattr(value, "unit"):
        return {"$array": _encode_array(value, where)}
    for kinds, name, encode in _ENCODERS:
        if isinstance(value, kinds):
            return {name: encode(value, where)}
    return _encode_astropy(value, where)


def _encode_mapping(value: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Give a mapping; its keys must be text that is none of this module's marks."""
    for key in value:
        if not isinstance(key, str) or key.startswith("$"):
            msg = f"the key {key!r}{_in(where)} cannot be kept: expected text that does not begin with $"
            raise UsageError(msg, key=key)
    return {str(k): _encode(v, f"{where}.{k}" if where else str(k)) for k, v in value.items()}


def _encode_array(value: Any, where: str) -> dict[str, Any]:
    """Give an array with its type, and its mask where it has one."""
    data = np.ma.getdata(value)
    if data.dtype.kind not in "biufcSUMm":
        msg = f"an array of type {data.dtype}{_in(where)} cannot be kept; give numbers or text"
        raise UsageError(msg, where=where)
    plain = data.astype(np.int64) if data.dtype.kind in "Mm" else data
    kept = {
        "dtype": data.dtype.str,
        "shape": list(data.shape),
        "values": _encode(plain.ravel().tolist(), where),
    }
    if isinstance(value, np.ma.MaskedArray):
        kept["mask"] = np.ma.getmaskarray(value).ravel().tolist()
    return kept


def _decode_array(kept: Mapping[str, Any]) -> Any:
    """Build an array."""
    dtype = np.dtype(kept["dtype"])
    if dtype.kind == "O":
        msg = "an array of Python objects is not read"
        raise ValueError(msg)
    values = np.array(_decode(kept["values"]), dtype=np.int64 if dtype.kind in "Mm" else dtype)
    array = values.astype(dtype).reshape(kept["shape"])
    return np.ma.MaskedArray(array, mask=np.reshape(kept["mask"], kept["shape"])) if "mask" in kept else array


def _encode_astropy(value: Any, where: str) -> dict[str, Any]:
    """Give a time or a quantity of astropy's."""
    from astropy.time import Time
    from astropy.units import Quantity

    if isinstance(value, Time):
        parts = {"jd1": _encode(value.jd1, where), "jd2": _encode(value.jd2, where)}
        return {
            "$time": {**parts, "scale": value.scale, "format": value.format, "precision": value.precision}
        }
    if isinstance(value, Quantity):
        return {"$quantity": {"value": _encode(value.value, where), "unit": value.unit.to_string()}}
    what = "numbers, text, arrays, times or quantities"
    msg = f"a {type(value).__name__}{_in(where)} cannot be kept; give {what}"
    raise UsageError(msg, where=where)


def _decode_time(kept: Mapping[str, Any]) -> Any:
    """Build a Time."""
    from astropy.time import Time

    time = Time(_decode(kept["jd1"]), _decode(kept["jd2"]), format="jd", scale=kept["scale"])
    time.format, time.precision = kept["format"], kept["precision"]
    return time


def _decode_quantity(kept: Mapping[str, Any]) -> Any:
    """Build a Quantity."""
    from astropy.units import Quantity

    return Quantity(_decode(kept["value"]), kept["unit"], subok=True)


def _decode_scalar(kept: Mapping[str, Any]) -> Any:
    """Build a numpy scalar."""
    array = _decode_array(kept)
    return array[()] if isinstance(array, np.ma.MaskedArray) else array.reshape(())[()]


def _decode(value: Any) -> Any:
    """Build a value again."""
    if isinstance(value, list):
        return [_decode(v) for v in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((name, kept),) = value.items()
        if name.startswith("$"):
            return _DECODERS[name](kept)
    return {k: _decode(v) for k, v in value.items()}


def _in(where: str) -> str:
    """Say where in a mapping something is."""
    return f" in {where!r}" if where else ""


_ENCODERS: tuple[tuple[Any, str, Callable[[Any, str], Any]], ...] = (
    (tuple, "$tuple", lambda v, where: _encode(list(v), where)),
    (np.generic, "$scalar", lambda v, where: _encode_array(np.asarray(v), where)),
    (np.ma.core.MaskedConstant, "$masked", lambda _v, _where: True),
    (datetime.datetime, "$datetime", lambda v, _where: v.isoformat()),
    (datetime.date, "$date", lambda v, _where: v.isoformat()),
    (complex, "$complex", lambda v, where: [_encode(v.real, where), _encode(v.imag, where)]),
    (bytes, "$bytes", lambda v, _where: v.hex()),
)
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$float": float,
    "$scalar": _decode_scalar,
    "$array": _decode_array,
    "$masked": lambda _kept: np.ma.masked,
    "$time": _decode_time,
    "$datetime": datetime.datetime.fromisoformat,
    "$date": datetime.date.fromisoformat,
    "$quantity": _decode_quantity,
    "$tuple": lambda kept: tuple(_decode(v) for v in kept),
    "$complex": lambda kept: complex(*(_decode(v) for v in kept)),
    "$bytes": bytes.fromhex,
}

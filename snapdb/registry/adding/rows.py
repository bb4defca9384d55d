"""From images to rows: the values of each column as a driver takes them."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from types import NoneType
from typing import Any

import numpy as np

from snapdb.errors import ProvenanceError, UsageError
from snapdb.model.canonical import to_json_value
from snapdb.model.image import FACT_NAMES, NewImage
from snapdb.model.layout import PlaneLayout
from snapdb.registry.adding.checks import FLOATS, Columns, Problems

PLANE_COLUMNS = ("image_id", "number", "name", "file_id", "layout")
INPUT_COLUMNS = ("image_id", "number", "input_id")
JSON_FACTS = ("flag_bits", "properties")
_PLAIN = frozenset({str, int, float, bool, NoneType})
_NAME = frozenset({str})
_HUGE = 2**1000
_encode = json.JSONEncoder(allow_nan=False).encode
_facts_of = attrgetter(*FACT_NAMES)


def make_columns(images: Sequence[NewImage]) -> dict[str, Sequence[Any]]:
    """Give the facts of images, and ``hdu``, column by column, as Python's own numbers."""
    columns = zip(*map(_facts_of, (new.facts for new in images)), strict=True)
    named = dict(zip(FACT_NAMES, columns, strict=True), hdu=[new.planes[0].layout.hdu for new in images])
    return {name: _make_plain(values, floats=name in FLOATS) for name, values in named.items()}


def _make_plain(values: Sequence[Any], *, floats: bool) -> Sequence[Any]:
    """Give Python's numbers for numpy's, which SQLite would keep as blobs, and floats for integers."""
    kinds = set(map(type, values))
    if any(issubclass(kind, np.generic) for kind in kinds):
        values = [v.item() if isinstance(v, np.generic) else v for v in values]
    if floats and not kinds <= {float, NoneType}:
        values = [float(v) if type(v) is int and abs(v) < _HUGE else v for v in values]
    return values


def write_json(
    columns: Columns, paths: Sequence[str], numbers: Sequence[int], found: Problems
) -> dict[str, list[str]]:
    """Write the facts that are JSON as text.

    Parameters
    ----------
    columns : mapping
        Fact -> its values.
    paths : sequence of str
        Of each image's data, for messages.
    numbers : sequence of int
        Row of each.
    found : Problems
        Takes what cannot be written.

    Returns
    -------
    dict
        Fact -> its texts.
    """
    texts: dict[str, list[str]] = {}
    for name in JSON_FACTS:
        quick = _write_flat(columns[name])
        texts[name] = quick or _write_each(columns[name], name, paths, numbers, found)
    return texts


def _write_flat(values: Sequence[Any]) -> list[str] | None:
    """Write dictionaries of plain values all at once, which is quick; None for what has to be looked at."""
    if set(map(type, values)) != {dict}:
        return None
    if not (set(map(type, chain.from_iterable(values))) <= _NAME):
        return None
    if not (set(map(type, chain.from_iterable(map(dict.values, values)))) <= _PLAIN):
        return None
    try:
        text = _encode(values)
    except ValueError:
        return None
    # Between two dictionaries; where a text of theirs has it too, there are more parts than dictionaries.
    parts = text[2:-2].split("}, {")
    return None if "\\u" in text or len(parts) != len(values) else [f"{{{part}}}" for part in parts]


def _write_each(
    values: Sequence[Any], name: str, paths: Sequence[str], numbers: Sequence[int], found: Problems
) -> list[str]:
    """Write values one by one, and note those that cannot be."""
    written: dict[int, str] = {}
    texts: list[str] = []
    for number, path, value in zip(numbers, paths, values, strict=True):
        text = written.get(id(value))
        if text is None:
            try:
                text = _write_plain(value, name) or json.dumps(to_json_value(value, name))
            except ProvenanceError as err:
                found.add(number, UsageError, f"{path}: {err}", path=path)
                text = "{}"
            written[id(value)] = text
        texts.append(text)
    return texts


def _write_plain(values: Any, name: str) -> str | None:
    """Write a dictionary of plain values, which is quick; None for what has to be looked at."""
    if not isinstance(values, Mapping):
        msg = f"{name} is {values!r:.80}, expected a dictionary"
        raise ProvenanceError(msg, path=name)
    if not values:
        return "{}"
    if not (set(map(type, values)) <= _NAME and set(map(type, values.values())) <= _PLAIN):
        return None
    try:
        text = _encode(values)
    except ValueError:
        return None
    return None if "\\u" in text else text


def write_layouts(
    images: Sequence[NewImage], paths: Sequence[str], numbers: Sequence[int], found: Problems
) -> list[tuple[str, ...]]:
    """Write the layouts of images' planes as JSON; the parameters are those of :func:`write_json`."""
    texts: list[tuple[str, ...]] = []
    for number, path, new in zip(numbers, paths, images, strict=True):
        try:
            texts.append(tuple(_write_layout(plane.layout) for plane in new.planes))
        except ProvenanceError as err:
            found.add(number, UsageError, f"{path}: a plane's {err}", path=path)
            texts.append(())
    return texts


def _write_layout(layout: PlaneLayout) -> str:
    """Write a layout; thousands of planes share few."""
    try:
        return _write_shared(layout)
    except TypeError:  # it cannot be hashed
        return _write_any(layout)


def _write_any(layout: PlaneLayout) -> str:
    """Write a layout, seeing that JSON and databases can say it."""
    values = layout.to_dict()
    try:
        text = json.dumps(values, allow_nan=False)
    except (TypeError, ValueError):
        return json.dumps(to_json_value(values, "layout"))
    return json.dumps(to_json_value(values, "layout")) if "\\u" in text else text


_write_shared = lru_cache(maxsize=4096)(_write_any)

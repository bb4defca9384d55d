"""From images to rows: the values of each column as a driver takes them."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

from snapdb.errors import ProvenanceError, UsageError
from snapdb.model.canonical import to_json_value
from snapdb.model.image import FACT_NAMES, NewImage
from snapdb.model.layout import PlaneLayout
from snapdb.registry.adding.checks import Columns, Problems

IMAGE_COLUMNS = ("id", "provenance_id", "file_id", "hdu", *FACT_NAMES, "footprint", "registered_at")
PLANE_COLUMNS = ("image_id", "number", "name", "file_id", "layout")
INPUT_COLUMNS = ("image_id", "number", "input_id")
JSON_FACTS = ("flag_bits", "properties")
_PLAIN = frozenset({str, int, float, bool, type(None)})
_facts_of = attrgetter(*FACT_NAMES)


def make_columns(images: Sequence[NewImage]) -> dict[str, Sequence[Any]]:
    """Give the facts of images column by column."""
    return dict(
        zip(FACT_NAMES, zip(*map(_facts_of, (new.facts for new in images)), strict=True), strict=True)
    )


def write_json(columns: Columns, paths: Sequence[str], first: int, found: Problems) -> dict[str, list[str]]:
    """Write the facts that are JSON as text.

    Parameters
    ----------
    columns : mapping
        Fact -> its values.
    paths : sequence of str
        Of each image's data, for messages.
    first : int
        Row of the first of them.
    found : Problems
        Takes what cannot be written.

    Returns
    -------
    dict
        Fact -> its texts.
    """
    texts: dict[str, list[str]] = {}
    for name in JSON_FACTS:
        written: dict[int, str] = {}
        texts[name] = []
        for row, value in enumerate(columns[name]):
            text = written.get(id(value))
            if text is None:
                try:
                    text = _write_plain(value) or json.dumps(to_json_value(value, name))
                except ProvenanceError as err:
                    found.add(first + row, UsageError, f"{paths[row]}: {err}", path=paths[row])
                    text = "{}"
                written[id(value)] = text
            texts[name].append(text)
    return texts


def _write_plain(values: Mapping[str, Any]) -> str | None:
    """Write a dictionary of plain values, which is quick; None for what has to be looked at."""
    if not values:
        return "{}"
    if not all(type(k) is str for k in values) or not all(type(v) in _PLAIN for v in values.values()):
        return None
    try:
        text = json.dumps(values, allow_nan=False)
    except ValueError:
        return None
    return None if "\\u" in text else text


@lru_cache(maxsize=4096)
def write_layout(layout: PlaneLayout) -> str:
    """Write a layout as JSON; thousands of planes share few."""
    return json.dumps(layout.to_dict())

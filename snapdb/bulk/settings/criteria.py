"""The setting that says which images of the archive are used."""

from collections.abc import Mapping
from typing import Any

from snapdb.bulk.settings.setting import Setting
from snapdb.errors import SearchError

_OURS = ("ra", "dec", "radius", "limit", "offset", "after")
_EXPECTED = "a table of criteria as find_images takes them, without position and paging"


def search_criteria(text: str) -> Setting[dict[str, Any]]:
    """Make the setting.

    Parameters
    ----------
    text
        What the setting says.
    """
    return Setting({}, _take, _EXPECTED, text, effect="pixels")


def _take(value: Any) -> dict[str, Any]:
    """Take criteria that a search would take; the catalogue has the positions."""
    if not isinstance(value, Mapping):
        raise TypeError(value)
    if not value:  # as by default: a search need not be loaded for that
        return {}
    from snapdb.model.search import make_search

    for name in _OURS:
        if name in value:
            msg = f"{name} has no place among the criteria of a run, whose positions are the catalogue's"
            raise SearchError(msg, parameter=name)
    asked = {k: v for k, v in value.items() if k not in ("provenance", "provenance_tag", "process")}
    make_search(**asked)
    return dict(value)

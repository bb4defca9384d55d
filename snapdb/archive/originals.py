"""Searches for epochs: without kept cutouts, which count an exposure twice, unless kinds are asked for."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.model.image import ImageRecord
    from snapdb.model.search import Search

_CUTOUT = "cutout"


def find_originals(
    find: "Callable[[dict[str, Any]], list[ImageRecord]]", criteria: Mapping[str, Any]
) -> "list[ImageRecord]":
    """Find images without kept cutouts, of which ``limit`` and ``offset`` count none.

    Parameters
    ----------
    find : callable
        Gives the images of criteria, in order.
    criteria : mapping
        As :meth:`snapdb.Archive.find_images` takes them. With ``kind`` all that it names are given.

    Returns
    -------
    list of ImageRecord
        In the order of `find`.
    """
    if criteria.get("kind") is not None:
        return find(dict(criteria))
    rest = {name: value for name, value in criteria.items() if name not in ("limit", "offset")}
    found = [record for record in find(rest) if record.kind != _CUTOUT]
    skipped, limit = criteria.get("offset") or 0, criteria.get("limit")
    return found[skipped:] if limit is None else found[skipped : skipped + limit]


def find_nearest_originals(archive: "Archive", search: "Search", mjd: float) -> "list[ImageRecord]":
    """Find the images begun nearest to a time, without kept cutouts unless kinds are asked for.

    Parameters
    ----------
    archive : Archive
        Where to look.
    search : Search
        Which images, and in `limit` how many.
    mjd : float
        Days, UTC.

    Returns
    -------
    list of ImageRecord
        The nearest first.
    """
    wanted = search.limit
    if "kind" in search.equals or wanted is None:
        return archive.registry.find_nearest_in_time(search, mjd)
    asked = wanted
    while True:  # almost always once: only cutouts among the nearest ask for more
        found = archive.registry.find_nearest_in_time(replace(search, limit=asked), mjd)
        chosen = [record for record in found if record.kind != _CUTOUT]
        if len(chosen) >= wanted or len(found) < asked:
            return chosen[:wanted]
        asked *= 4


def search_originals(archive: "Archive", criteria: Mapping[str, Any]) -> "Search":
    """Make a search that finds no kept cutouts, unless kinds are asked for.

    Parameters
    ----------
    archive : Archive
        Where to look.
    criteria : mapping
        As :meth:`snapdb.Archive.find_images` takes them.

    Returns
    -------
    Search
        For the registry. Where there are cutouts among what is found, it asks for all other kinds.

    Raises
    ------
    SearchError
        If a criterion cannot be.
    """
    search = archive.make_search(**criteria)
    if "kind" in search.equals:
        return search
    cutouts = replace(search, equals={**search.equals, "kind": (_CUTOUT,)}, order_by=(), after=None)
    if not archive.registry.find_images(replace(cutouts, limit=1, offset=0)):
        return search
    others = tuple(kind for kind in archive.registry.values("kind") if kind != _CUTOUT)
    return replace(search, equals={**search.equals, "kind": others})

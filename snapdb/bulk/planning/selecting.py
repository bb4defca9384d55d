"""Which images of a source's files are its channels, where the settings select some."""

from collections.abc import Mapping, Sequence
from typing import Any

from snapdb.bulk.planning.sources import PRIMARY, Channel, say_what_there_is
from snapdb.errors import NotAnImageError
from snapdb.formats.source import open_source


def select_channels(channels: Sequence[Channel], selected: Sequence[Any]) -> list[Channel]:
    """Narrow the channels of a set of files to those that are selected.

    Where each file has one image alone, a name that none of them has is a label, as Cutana's users
    write it: it narrows nothing. In other files it asks for what is not there, as a number always does.

    Parameters
    ----------
    channels : sequence of Channel
        Of all files, in order.
    selected : sequence
        Names of extensions or of parts of file names, numbers of HDUs, or tables with
        ``name`` and ``ext``; where all are labels, all channels are taken.

    Raises
    ------
    NotAnImageError
        If an extension that is asked for is not there.
    """
    kept: set[int] = set()
    for one in selected:
        meant = _find_meant(channels, one)
        if not meant and not (_is_name(one) and all(c.is_alone for c in channels)):
            paths = list(dict.fromkeys(c.data.path for c in channels))
            there = "; ".join(f"{p}: {say_what_there_is(open_source(p).frames)}" for p in paths)
            msg = f"selected_extensions asks for {one!r}, which no image has as its number or name; {there}"
            raise NotAnImageError(msg, path=paths[0], extension=str(one))
        kept.update(meant)
    return [c for i, c in enumerate(channels) if not kept or i in kept]


def _find_meant(channels: Sequence[Channel], selector: Any) -> list[int]:
    """Give the places of the channels that a selector means."""
    names = [selector]
    if isinstance(selector, Mapping):
        names = [selector[k] for k in ("ext", "name") if selector.get(k) is not None]
    narrow = [n for n in names if not _is_primary(n)]
    found = [i for i, c in enumerate(channels) if any(_is_named(c, n) for n in narrow)]
    if found or len(narrow) == len(names):
        return found
    return [i for i, c in enumerate(channels) if c.is_first] or list(range(len(channels)))


def _is_name(selector: Any) -> bool:
    """Say whether a selector has no number."""
    given = selector.values() if isinstance(selector, Mapping) else [selector]
    return not any(isinstance(value, int) for value in given)


def _is_primary(name: Any) -> bool:
    """Say whether a file's first image is meant, whatever its HDU."""
    return str(name).upper() == PRIMARY


def _is_named(channel: Channel, name: Any) -> bool:
    """Say whether a channel has a number, or a name as its own or as a part of it."""
    if isinstance(name, int):
        return channel.data.layout.hdu == name
    return f"_{_plain(name)}_" in f"_{_plain(channel.label)}_"


def _plain(name: Any) -> str:
    """Give a name as names are compared."""
    return str(name).upper().replace("-", "_").replace(".", "_")

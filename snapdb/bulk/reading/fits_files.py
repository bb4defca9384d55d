"""Stamps in FITS files of a run: the extensions of one source, found by the HDU that the index names."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from snapdb.bulk.writing.fits import CHANNEL, PLANE
from snapdb.errors import CorruptFileError, NotFoundError
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from snapdb.model.layout import PlaneLayout

_KEPT_FILES = 16
"""Files whose extensions are remembered; a file of a part may have thousands."""


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension of a file."""

    plane: str
    """``data``, ``noise`` or ``flags``."""
    channel: int
    layout: "PlaneLayout"

    @property
    def begins_source(self) -> bool:
        """Whether it is the first of a source."""
        return self.plane == "data" and self.channel == 0


def read_source(path: Path, hdu: int, plane: str = "data", channel: int | None = None) -> list[PixelArray]:
    """Read the planes of one source.

    Parameters
    ----------
    path : Path
        File of the source, or of many.
    hdu : int
        The first HDU of the source.
    plane : str
        ``data``, ``noise`` or ``flags``.
    channel : int, optional
        The only one that is wanted.

    Returns
    -------
    list of array, shape (H, W)
        One a channel, in their order; flags have one for all channels, unless stamps are raw.

    Raises
    ------
    NotFoundError
        If the source has no such plane.
    CorruptFileError
        If no source begins at the HDU.
    ObjectMissingError, StorageError
        If the file cannot be read.
    """
    from snapdb.formats.read import PlaneReader

    found = [e for e in find_source(path, hdu) if e.plane == plane and channel in (None, e.channel)]
    if not found:
        of = "" if channel is None else f" of channel {channel}"
        msg = f"{path}: the source at HDU {hdu} has no {plane}{of}; the run's setting `planes` asks for it"
        raise NotFoundError(msg, path=str(path), hdu=hdu, plane=plane)
    with PlaneReader(path) as reader:
        return [reader.read_all(e.layout) for e in found]


def read_cards(path: Path, hdu: int, channel: int) -> str:
    """Read the header of a channel of one source.

    Parameters
    ----------
    path : Path
        File of the source, or of many.
    hdu : int
        The first HDU of the source.
    channel : int
        Which.

    Returns
    -------
    str
        Its cards, newlines between them.
    """
    from snapdb.formats.source import open_source

    wanted = {e.layout.hdu for e in find_source(path, hdu) if e.plane == "data" and e.channel == channel}
    frames = [f for f in open_source(path).frames if f.index in wanted]
    return "\n".join(frames[0].cards.lines)


def placing(cards: str) -> list[str]:
    """Give the cards that say where a channel lies.

    Parameters
    ----------
    cards : str
        Of a header, newlines between them.
    """
    return [c for c in cards.split("\n") if c.startswith(("CRVAL", "CRPIX", "CD", "NAXIS1", "NAXIS2"))]


def find_source(path: Path, hdu: int) -> list[Extension]:
    """List the extensions of one source.

    Parameters
    ----------
    path : Path
        File of the source, or of many.
    hdu : int
        The first HDU of the source.

    Raises
    ------
    CorruptFileError
        If no source begins there: the file is not the one that the run wrote.
    ObjectMissingError, StorageError
        If the file cannot be read.
    """
    every = _list_extensions(path, *_state(path))
    at = hdu - 1  # all HDUs but the primary are extensions of sources
    if not 0 <= at < len(every) or every[at].layout.hdu != hdu or not every[at].begins_source:
        msg = f"{path}: no source begins at HDU {hdu}, as the index says; the file was changed since the run"
        raise CorruptFileError(msg, path=str(path), hdu=hdu)
    stop = next((i for i in range(at + 1, len(every)) if every[i].begins_source), len(every))
    return list(every[at:stop])


def _state(path: Path) -> tuple[int, int]:
    """Give what changes when a file is written anew; zeros where there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=_KEPT_FILES)
def _list_extensions(path: Path, _size: int, _changed: int) -> tuple[Extension, ...]:
    """List the extensions of a file, in their order."""
    from snapdb.formats.layouts import make_layout
    from snapdb.formats.source import open_source

    source = open_source(path)
    return tuple(
        Extension(
            f.cards.get_text(PLANE) or "data",
            f.cards.get_int(CHANNEL) or 0,
            make_layout(f, "data", source.container),
        )
        for f in source.frames
        if f.is_plane
    )

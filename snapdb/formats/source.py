"""One file, FITS or ASDF, as its frames, the header map that reads it, and words for what it holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from snapdb.formats.asdf.blocks import MAGIC
from snapdb.formats.asdf.source import scan_asdf
from snapdb.formats.cards import Cards
from snapdb.formats.frame import HduFrame
from snapdb.formats.lookup import fits_test
from snapdb.formats.maps import GENERIC, STANDARD, HeaderMap, get_map
from snapdb.formats.scan import scan_fits
from snapdb.formats.unwrap import find_container, open_unwrapped
from snapdb.model.layout import Container


@dataclass(frozen=True, kw_only=True)
class FitsSource:
    """A scanned file."""

    path: Path
    container: Container
    frames: tuple[HduFrame, ...]

    @cached_property
    def primary(self) -> Cards:
        """Cards of the primary HDU."""
        return self.frames[0].cards if self.frames else Cards(b"")

    @property
    def is_own(self) -> bool:
        """Whether snapdb wrote the file, so that it holds what it holds by snapdb's own names."""
        return "SDBVERS" in self.primary

    @property
    def name(self) -> str:
        """Path with forward slashes, as file name patterns see it."""
        return self.path.as_posix()


def open_source(path: str | Path) -> FitsSource:
    """Scan a file; nothing of it stays open.

    Raises
    ------
    UnknownFormatError, CorruptFileError
        As :func:`snapdb.formats.scan.scan_fits`.
    ObjectMissingError, StorageError
        It cannot be opened.
    """
    path = Path(path)
    container = find_container(path)
    size = path.stat().st_size if container is Container.PLAIN else None
    with open_unwrapped(path) as stream:
        frames = scan_frames(stream, size, name=str(path))
    return FitsSource(path=path, container=container, frames=tuple(frames))


def scan_frames(stream: BinaryIO, size: int | None, *, name: str) -> list[HduFrame]:
    """Index a file of either format.

    Parameters
    ----------
    stream : binary file
        At its first byte; seekable where the size is known.
    size : int or None
        Bytes that it has; None for a compressed stream, which is FITS then.
    name : str
        What errors call it.
    """
    if size is not None:
        head = stream.read(len(MAGIC))
        stream.seek(0)
        if head == MAGIC:
            return scan_asdf(stream, size, name=name)
    return scan_fits(stream, size, name=name)


def choose_map(source: FitsSource, maps: Sequence[HeaderMap], instrument: str | None = None) -> HeaderMap:
    """Find the map that reads a file: the one named, else the first that recognises it.

    What snapdb wrote is read by its own map before all others: the original's cards
    stand in such a file too, and would lead another map astray.

    Raises
    ------
    ConfigError
        No map has the name.
    """
    if instrument is not None:
        return get_map(instrument, maps)
    for header_map in sorted(maps, key=lambda m: m.name != STANDARD) if source.is_own else maps:
        if any(_recognises(test, source) for test in header_map.recognise):
            return header_map
    return get_map(GENERIC, maps)


def _recognises(test: object, source: FitsSource) -> bool:
    return any(
        fits_test(test, frame.cards, source.primary, hdu=frame.index, filename=source.name)  # type: ignore[arg-type]  # a Test of the map
        for frame in source.frames[:20]
    )


def name_contents(frames: Iterable[HduFrame], *, celestial: bool = False) -> str:
    """Say in words what HDUs hold.

    Parameters
    ----------
    frames : iterable of HduFrame
        Of one file.
    celestial : bool
        True where two-dimensional images among them have celestial coordinates.

    Returns
    -------
    str
        Such as ``"HDU 1: a table of 15 rows"``.
    """
    known = list(frames)
    parts = [f"{_name_place(f)}: {_name_frame(f, celestial=celestial)}" for f in known if f.data_size]
    parts += [text for f in known for text in f.left_out]
    return "; ".join(parts[:6]) + (f"; and {len(parts) - 6} more" if len(parts) > 6 else "") or "headers only"


def _name_place(frame: HduFrame) -> str:
    """Say where a frame lies: its HDU, or its keys in an ASDF file."""
    return f"HDU {frame.index}" if frame.array is None else ".".join(frame.array.path)


def _name_frame(frame: HduFrame, *, celestial: bool) -> str:
    shape = "x".join(str(n) for n in frame.axes)
    if frame.kind == "table":
        rows = frame.axes[1] if len(frame.axes) > 1 else 0
        return f"a table of {rows} row{'' if rows == 1 else 's'}"
    if frame.kind == "groups":
        return f"random groups {shape} (visibilities)"
    if frame.is_plane:
        return f"an image {shape}" + ("" if celestial else " without celestial coordinates")
    return f"a vector of {shape}" if len(frame.axes) == 1 else f"a cube {shape}"

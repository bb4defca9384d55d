"""Files that are not on this machine: their headers are read range by range, their pixels never."""

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from snapdb.errors import NotAnImageError, ProjectionError, UnknownFormatError
from snapdb.formats.asdf.blocks import MAGIC
from snapdb.formats.assemble import PlaneSet, assemble, attach_companion, find_rule
from snapdb.formats.describe import Described, check_alone, describe_set, with_failures
from snapdb.formats.grouping import match_name, to_maps
from snapdb.formats.maps import Companion, HeaderMap
from snapdb.formats.plan import ByteSource
from snapdb.formats.scan import read_frame
from snapdb.formats.source import FitsSource, choose_map, name_contents, scan_frames
from snapdb.formats.unwrap import to_container
from snapdb.formats.wcs import needs_tables, to_header_text
from snapdb.model.layout import Container
from snapdb.model.url import Url

if TYPE_CHECKING:
    from pathlib import Path

    from astropy.io.fits import Header

AHEAD_BYTES = 64 * 1024
"""Bytes that are fetched at once: most headers are shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteGroup:
    """A remote file of images and the remote files that hold further planes of them."""

    primary: Url
    companions: tuple[Url, ...] = ()


class SourceStream(io.RawIOBase):
    """A source of bytes as a stream that goes anywhere.

    Parameters
    ----------
    source : ByteSource
        The file.
    begin : int
        Byte at which the stream stands.

    Attributes
    ----------
    size : int or None
        Bytes that the file has, once they are known.
    """

    def __init__(self, source: ByteSource, begin: int = 0) -> None:
        super().__init__()
        self.size: int | None = None
        self._source = source
        self._at = begin

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it goes anywhere."""
        return True

    def tell(self) -> int:
        """Give the byte at which it stands."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte, counted from the beginning, from here or from the end.

        Raises
        ------
        UnsupportedOperation
            It is to be counted from the end, and the size is not known.
        """
        if whence == io.SEEK_END and self.size is None:
            raise io.UnsupportedOperation
        begins = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size or 0}
        self._at = begins[whence] + offset
        return self._at

    def readinto(self, buffer: object) -> int:
        """Fill a buffer as far as the file goes."""
        view = memoryview(cast("bytearray", buffer)).cast("B")
        (part,) = self._source.read_ranges([(self._at, len(view))])
        view[: len(part)] = part
        self._at += len(part)
        return len(part)


def open_ranges(source: ByteSource, begin: int = 0) -> io.BufferedReader:
    """Open a source of bytes as a stream that reads ahead by :data:`AHEAD_BYTES`.

    Parameters
    ----------
    source : ByteSource
        The file.
    begin : int
        Byte to begin at.
    """
    return io.BufferedReader(SourceStream(source, begin), AHEAD_BYTES)


def scan_ranges(url: Url, stream: io.BufferedReader, size: int) -> FitsSource:
    """Scan a remote file.

    Parameters
    ----------
    url : Url
        Where it is.
    stream : io.BufferedReader
        From :func:`open_ranges`, at its first byte.
    size : int
        Bytes that the file has.

    Raises
    ------
    UnknownFormatError
        It is no FITS file, or gzip or bzip2 wraps it, so that no part of it can be read alone.
    CorruptFileError
        It is damaged.
    StorageError
        It cannot be read.
    """
    container = to_container(stream.peek(3)[:3])
    if container is not Container.PLAIN:
        msg = (
            f"{url}: a box of a {container}-compressed file cannot be read without the whole file; "
            "download it and ingest the copy"
        )
        raise UnknownFormatError(msg, path=str(url), found=str(container))
    cast("SourceStream", stream.raw).size = size
    frames = scan_frames(cast("BinaryIO", stream), size, name=str(url))
    return FitsSource(path=cast("Path", url), container=container, frames=tuple(frames))


def describe_remote(
    source: FitsSource, companions: Sequence[FitsSource] = (), *, instrument: str | None = None
) -> list[Described]:
    """Find every two-dimensional celestial image of a remote file that was scanned.

    Parameters
    ----------
    source : FitsSource
        From :func:`scan_ranges`.
    companions : sequence of FitsSource
        Files that hold further planes of its images.
    instrument : str, optional
        Name of the header map to read it with; found from the header by default.

    Returns
    -------
    list of Described
        As :func:`snapdb.formats.describe.describe` gives them for the file on this machine.

    Raises
    ------
    NotAnImageError
        It holds no two-dimensional celestial image.
    ProjectionError
        The coordinates of none can be evaluated, or need lookup tables of other HDUs.
    ConfigError
        No header map has the name.
    """
    maps = to_maps(None)
    header_map = choose_map(source, maps, instrument)
    sets = assemble(source, header_map)
    check_alone(source, sets, [str(c.path) for c in companions], maps)
    for other in companions:
        rules = (find_rule(m, source.path.name, other.path.name) for m in (header_map, *maps))
        rule = next((r for r in rules if r is not None), None)
        if rule is not None:
            attach_companion(sets, other, header_map, rule)
    found: list[Described] = []
    failures: list[ProjectionError] = []
    for planes in sets:
        try:
            found.append(_describe_alone(planes, source, header_map))
        except ProjectionError as err:
            failures.append(err)
    if found:
        return with_failures(found, failures)
    if failures:
        raise failures[0]
    contents = name_contents(source.frames)
    msg = f"{source.path}: no two-dimensional image of the sky in it; it holds {contents}"
    raise NotAnImageError(msg, path=str(source.path), contents=contents)


def _describe_alone(planes: PlaneSet, source: FitsSource, header_map: HeaderMap) -> Described:
    """Describe an image whose coordinates its own header holds."""
    if needs_tables(planes.data):
        msg = (
            f"{source.path}: HDU {planes.data.index}: its coordinates have lookup tables in other HDUs, "
            "which are read from local files only; download it and ingest the copy"
        )
        raise ProjectionError(msg, path=str(source.path), hdu=planes.data.index)
    return describe_set(planes, source, header_map)


def read_remote_header(url: Url, stream: io.BufferedReader, hdu: int, size: int) -> "Header":
    """Read the header of one HDU of a remote file, as :func:`snapdb.formats.header.read_header` does.

    Parameters
    ----------
    url : Url
        Where it is.
    stream : io.BufferedReader
        From :func:`open_ranges`, at its first byte.
    hdu : int
        Index of the HDU.
    size : int
        Bytes that the file has.

    Raises
    ------
    CorruptFileError
        There is no such HDU.
    StorageError
        It cannot be read.
    """
    from snapdb.formats.header import to_header

    if stream.peek(len(MAGIC)).startswith(MAGIC):
        return to_header(to_header_text(scan_ranges(url, stream, size).frames[hdu]))
    offset = 0
    for index in range(hdu + 1):
        stream.seek(offset)
        frame = read_frame(cast("BinaryIO", stream), index, offset, name=str(url))
        offset = frame.data_offset - (-frame.data_size // 2880) * 2880
    return to_header(to_header_text(frame))


def group_remote(urls: Iterable[Url]) -> list[RemoteGroup]:
    """Put each remote file that by its name holds planes of another with that one.

    Parameters
    ----------
    urls : iterable of Url
        All that there are: no folder is looked into.

    Returns
    -------
    list of RemoteGroup
        In the order in which their files first occur.
    """
    given = list(dict.fromkeys(urls))
    known = set(given)
    rules = [rule for header_map in to_maps(None) for rule in header_map.companions]
    primaries = {url: next(_primaries(url, rules, known), url) for url in given}
    groups: dict[Url, list[Url]] = {primary: [] for primary in primaries.values()}
    for url, primary in primaries.items():
        if url != primary:
            groups[primary].append(url)
    return [RemoteGroup(primary=p, companions=tuple(c)) for p, c in groups.items()]


def _primaries(url: Url, rules: Sequence[Companion], known: set[Url]) -> Iterator[Url]:
    """Give the files among those known whose companion a file is by its name."""
    for rule in rules:
        for template in rule.files:
            parts = match_name(template, url.name)
            if parts is not None:
                primary = url.with_name(rule.data.format_map(defaultdict(str, parts)))
                if primary != url and primary in known:
                    yield primary

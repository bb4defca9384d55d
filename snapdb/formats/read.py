"""From a layout to pixels: any box of a plane, without parsing its header.

Plain files are read row by row with positioned reads, which share no file
position and so may run in several threads at once. Wrapped files have no random
access: their bytes are unwrapped once, and kept in bounded memory.
"""

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from snapdb.errors import CorruptFileError, ObjectMissingError, ShapeError, StorageError
from snapdb.formats.kept import KEPT
from snapdb.model.layout import Codec, Container, Meaning, PlaneLayout
from snapdb.pixels.box import Box
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from snapdb.formats.tiles import TiledPlane

CONTIGUOUS_BYTES = 256 * 2**10
"""A span of rows up to this long is read in one go: cheaper than a call for each row."""


class PlaneReader:
    """The planes of one file, open for reading.

    Parameters
    ----------
    path : str or Path
        The file.

    Raises
    ------
    ObjectMissingError
        There is no such file.
    StorageError
        It cannot be opened.

    Notes
    -----
    Reads may come from several threads. What is kept until :meth:`close`: one
    file descriptor, the unwrapped bytes of a gzip or bzip2 file, and astropy's
    view of tile-compressed HDUs.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        self._fd: int | None = _open_descriptor(self._path)
        self._lock = threading.Lock()
        self._unwrapped: bytes | None = None
        self._tiles: dict[int, TiledPlane] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, layout: PlaneLayout, box: Box) -> PixelArray:
        """Read a box of a plane.

        Parameters
        ----------
        layout : PlaneLayout
            Where the plane lies in this file.
        box : Box
            Pixels wanted, wholly inside the plane.

        Returns
        -------
        ndarray
            Shape ``(box.height, box.width)``, type ``layout.dtype``, owned and in
            native byte order; scaled as the header says, bit for bit as astropy does.

        Raises
        ------
        ShapeError
            The box reaches beyond the plane.
        CorruptFileError
            The file ends before the pixels do, or a tile does not decode.
        StorageError
            The reader is closed, or the disk fails.
        """
        if box.x0 < 0 or box.y0 < 0 or box.x1 > layout.width or box.y1 > layout.height:
            msg = (
                f"{self._path}: box x {box.x0}..{box.x1}, y {box.y0}..{box.y1} reaches beyond plane "
                f"{layout.name!r} of {layout.width} x {layout.height} pixels"
            )
            raise ShapeError(msg, path=self._path, plane=layout.name)
        if layout.codec is Codec.FITS_TILES:
            data = self._read_tiles(layout, box)
        else:
            data = apply_scaling(self._read_rows(layout, box), layout)
        return finish_plane(data, layout)

    def read_all(self, layout: PlaneLayout) -> PixelArray:
        """Read a whole plane.

        Raises
        ------
        CorruptFileError, StorageError
            As :meth:`read`.
        """
        return self.read(layout, Box(0, 0, layout.width, layout.height))

    def close(self) -> None:
        """Let go of the file and of what was kept; a second call does nothing."""
        with self._lock:
            for plane in self._tiles.values():
                plane.close()
            self._tiles.clear()
            self._unwrapped = None
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _descriptor(self) -> int:
        if self._fd is None:
            msg = f"{self._path}: read after the reader was closed; open it again"
            raise StorageError(msg, path=self._path)
        return self._fd

    def _read_rows(self, layout: PlaneLayout, box: Box) -> PixelArray:
        """Read stored numbers row by row, or in one go where the span is short."""
        stored = np.dtype(layout.stored_dtype)
        stride = layout.width * stored.itemsize
        begin = layout.offset + box.y0 * stride + box.x0 * stored.itemsize
        length = box.width * stored.itemsize
        span = (box.height - 1) * stride + length
        if layout.container is not Container.PLAIN or span <= CONTIGUOUS_BYTES or length == stride:
            raw = self._get_bytes(layout, begin, span)
            view = np.ndarray(box.shape, stored, raw, strides=(stride, stored.itemsize))
            return np.array(view)
        rows = np.empty(box.shape, stored)
        os.posix_fadvise(self._descriptor(), begin, span, os.POSIX_FADV_WILLNEED)
        for number in range(box.height):
            raw = self._get_bytes(layout, begin + number * stride, length)
            rows[number] = np.frombuffer(raw, stored)
        return rows

    def _get_bytes(self, layout: PlaneLayout, begin: int, length: int) -> bytes:
        """Give bytes of the unwrapped file."""
        if layout.container is Container.PLAIN:
            raw = self._pread(begin, length)
        else:
            raw = self.unwrap()[begin : begin + length]
        if len(raw) < length:
            missing = length - len(raw)
            msg = f"{self._path}: plane {layout.name!r} ends {missing} bytes beyond the end of the file"
            raise CorruptFileError(msg, path=self._path, plane=layout.name)
        return raw

    def _pread(self, begin: int, length: int) -> bytes:
        """Read bytes at a place; the system gives at most 2 GB a call."""
        parts: list[bytes] = []
        while length > 0:
            try:
                part = os.pread(self._descriptor(), length, begin)
            except OSError as err:
                msg = f"{self._path}: reading {length} bytes at {begin} failed ({err.strerror})"
                raise StorageError(msg, path=self._path) from err
            if not part:
                break
            parts.append(part)
            begin += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def unwrap(self) -> bytes:
        """Give the unwrapped bytes of a gzip or bzip2 file, kept from the first call on.

        Raises
        ------
        CorruptFileError
            The stream is damaged, cut short or too large.
        StorageError
            The reader is closed.
        """
        with self._lock:
            if self._unwrapped is None:
                self._descriptor()
                self._unwrapped = KEPT.read(self._path)
            return self._unwrapped

    def _read_tiles(self, layout: PlaneLayout, box: Box) -> PixelArray:
        from snapdb.formats.tiles import TiledPlane

        source = self.unwrap() if layout.container is not Container.PLAIN else self._path
        with self._lock:
            self._descriptor()
            plane = self._tiles.get(layout.hdu)
            if plane is None:
                plane = self._tiles[layout.hdu] = TiledPlane(source, layout, self._path)
            return plane.read(box)


def open_planes(path: str | Path, layouts: Iterable[PlaneLayout] = ()) -> PlaneReader:
    """Open a file to read boxes of its planes.

    Parameters
    ----------
    path : str or Path
        The file.
    layouts : iterable of PlaneLayout
        Planes that will be read, if known; a wrapped file is unwrapped now then, not at the first read.

    Returns
    -------
    PlaneReader
        To be closed after use; a context manager.

    Raises
    ------
    ObjectMissingError, StorageError
        It cannot be opened.
    CorruptFileError
        A wrapped file is damaged, cut short or too large.
    """
    reader = PlaneReader(path)
    if any(layout.container is not Container.PLAIN for layout in layouts):
        reader.unwrap()
    return reader


def read_box(path: str | Path | PlaneReader, layout: PlaneLayout, box: Box) -> PixelArray:
    """Read a box of one plane, opening and closing its file if it is not open.

    Parameters
    ----------
    path : str, Path or PlaneReader
        The file, or an open reader of it.
    layout : PlaneLayout
        Where the plane lies.
    box : Box
        Pixels wanted, wholly inside the plane.

    Returns
    -------
    ndarray
        As :meth:`PlaneReader.read`.

    Raises
    ------
    ShapeError, CorruptFileError, StorageError, ObjectMissingError
        As :meth:`PlaneReader.read` and :class:`PlaneReader`.
    """
    if isinstance(path, PlaneReader):
        return path.read(layout, box)
    with PlaneReader(path) as reader:
        return reader.read(layout, box)


def apply_scaling(stored: PixelArray, layout: PlaneLayout) -> PixelArray:
    """Turn stored numbers into the header's: BSCALE, BZERO, BLANK (FITS Standard 4.0, 4.4.2.5).

    Parameters
    ----------
    stored : ndarray
        Owned, of ``layout.stored_dtype``.
    layout : PlaneLayout
        The plane.

    Returns
    -------
    ndarray
        In native byte order.
    """
    scale, zero = layout.bscale, layout.bzero
    native = stored.dtype.newbyteorder("=")
    if scale == 1.0 and zero == 0.0 and layout.blank is None:
        return stored.astype(native, copy=False)
    if stored.dtype.kind == "f":
        data = stored.astype(native)
    elif scale == 1.0 and layout.dtype.startswith(("uint", "int")) and zero != 0.0:
        return _shift_sign(stored, layout)
    else:
        data = stored.astype("float64" if stored.dtype.itemsize > 2 else "float32")
    if scale != 1.0:
        np.multiply(data, scale, data)
    if zero != 0.0:
        data += zero
    if layout.blank is not None:
        data[stored == layout.blank] = np.nan
    return data


def _shift_sign(stored: PixelArray, layout: PlaneLayout) -> PixelArray:
    """Undo the convention for the other sign by flipping the highest bit."""
    target = np.dtype(layout.dtype)
    unsigned = np.dtype(f"u{target.itemsize}")
    bits = stored.astype(stored.dtype.newbyteorder("="), copy=False).view(unsigned)
    flipped: PixelArray = (bits ^ unsigned.type(1 << (8 * target.itemsize - 1))).view(target)
    return flipped


def finish_plane(data: PixelArray, layout: PlaneLayout) -> PixelArray:
    """Linearise an asinh plane, turn weights into noise, and settle the type."""
    if layout.asinh is not None:
        data = to_linear(data, *layout.asinh)
    if layout.meaning is not Meaning.DIRECT:
        from snapdb.pixels.noise import to_noise

        data = to_noise(data, layout.meaning)
    owned = np.ascontiguousarray(data, dtype=layout.dtype)
    return owned if owned.base is None else owned.copy()


def to_linear(stored: PixelArray, soften: float, offset: float) -> PixelArray:
    """Undo the asinh scaling of Pan-STARRS1 images.

    Parameters
    ----------
    stored : ndarray
        Scaled values v.
    soften, offset : float
        BSOFTEN and BOFFSET.

    Returns
    -------
    ndarray
        ``offset + 2 soften sinh(v ln(10) / 2.5)``, float64 (Waters et al. 2020,
        ApJS 251, 4, section 3.3: magnitudes on an asinh scale).
    """
    linear: PixelArray = offset + 2.0 * soften * np.sinh(stored.astype(np.float64) * (np.log(10.0) / 2.5))
    return linear


def _open_descriptor(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as err:
        msg = f"{path}: there is no such file"
        raise ObjectMissingError(msg, path=path) from err
    except OSError as err:
        msg = f"{path}: cannot be opened ({err.strerror})"
        raise StorageError(msg, path=path) from err

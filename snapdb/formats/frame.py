"""One image or table of a file: where it lies, and its cards."""

from dataclasses import dataclass
from functools import cached_property

from snapdb.formats.cards import Cards


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block of bytes."""

    offset: int
    """Byte of the file at which its data begin."""
    used: int
    """Bytes of data in the file."""
    size: int
    """Bytes of data behind the compression."""
    compression: str = ""
    """``zlib``, ``bzp2``, ``lz4`` ...; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArray:
    """A two-dimensional array of numbers."""

    path: tuple[str, ...]
    """Keys that lead to it in the tree."""
    shape: tuple[int, int]
    kind: str
    """numpy type with byte order, such as ``<f4``."""
    block: Block
    begin: int
    """Byte of its first number in the block's data."""
    unit: str | None = None


@dataclass(frozen=True, kw_only=True)
class HduFrame:
    """Where one HDU lies in the (unwrapped) file, and the shape of what it holds."""

    index: int
    """0 for the primary."""
    kind: str
    """``image``, ``table`` or ``groups``; a tile-compressed image is an ``image``."""
    header_offset: int
    """Byte at which the header begins."""
    header: bytes
    """The header's cards, END and padding left out."""
    data_offset: int
    """Byte at which the data begin."""
    data_size: int
    """Bytes of data, padding left out."""
    axes: tuple[int, ...]
    """NAXIS1, NAXIS2, ... of the image (of the table: bytes a row, rows)."""
    bitpix: int
    """Of the image, behind the compression if there is one."""
    compression: str | None = None
    """ZCMPTYPE."""
    tile_shape: tuple[int, ...] | None = None
    """ZTILE1, ZTILE2, ... in the order of the axes."""
    table: tuple[int, int] | None = None
    """(bytes a row, rows) of the table that holds a compressed image."""
    rows: bytes = b""
    """The rows of that table, without its heap; empty where it is longer than any real one."""
    array: StoredArray | None = None
    """Where the numbers lie in an ASDF file; None in FITS."""
    left_out: tuple[str, ...] = ()
    """Of the first frame of an ASDF file: the arrays that make no frame, in words."""

    @cached_property
    def cards(self) -> Cards:
        """The header's cards."""
        return Cards(self.header)

    @property
    def name(self) -> str:
        """EXTNAME in the header's own case, empty where there is none."""
        return self.cards.get_text("EXTNAME") or ""

    @property
    def version(self) -> int:
        """EXTVER, 1 where there is none."""
        return self.cards.get_int("EXTVER") or 1

    @property
    def is_plane(self) -> bool:
        """Whether it is a two-dimensional image; further axes of length 1 do not count."""
        return (
            self.kind == "image"
            and len(self.axes) >= 2
            and all(n > 0 for n in self.axes)
            and all(n == 1 for n in self.axes[2:])
        )

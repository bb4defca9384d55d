"""Where the pixels of one plane lie: enough to read any box of it without its header."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Self

from snapdb.errors import ShapeError


class Container(StrEnum):
    """What wraps the whole file."""

    PLAIN = "plain"
    GZIP = "gzip"
    BZIP2 = "bzip2"


class Codec(StrEnum):
    """How the pixels are stored inside the file."""

    RAW = "raw"
    FITS_TILES = "fits-tiles"
    ASDF_BLOCK = "asdf-block"


class Meaning(StrEnum):
    """How stored numbers become the plane's: noise may be stored as a variance or a weight."""

    DIRECT = "direct"
    VARIANCE = "variance"
    INVERSE_VARIANCE = "inverse_variance"
    INVERSE_SIGMA = "inverse_sigma"


@dataclass(frozen=True, slots=True, kw_only=True)
class TileTable:
    """Where the tiles of a compressed plane lie, and how they were made (FITS Standard 4.0, section 10)."""

    hdu_bytes: int
    """Bytes of the HDU, header and data."""
    rows_at: int = 0
    """Byte of the table's first row in the unwrapped file; a row is a tile."""
    row_bytes: int = 0
    heap_at: int = 0
    """Byte of the heap in the unwrapped file."""
    heap_bytes: int = 0
    lengths: str = ""
    """Bytes of each tile, packed; empty where the plane is left to astropy."""
    places: str = ""
    """Byte of each tile in the heap, packed; empty where they follow one another."""
    kinds: str = ""
    """What each tile holds, packed: 0 what the compression says, 1 gzip, 2 bare numbers; empty for all 0."""
    scale: tuple[int, str] | None = None
    """Byte in the row, and numpy type, of ZSCALE; None where the plane is not quantised."""
    zero: tuple[int, str] | None = None
    """The same of ZZERO."""
    blanks: tuple[int, str] | None = None
    """The same of ZBLANK."""
    blank: int | None = None
    """Stored integer that means "no value" in every tile."""
    dither: int | None = None
    """1 or 2 for SUBTRACTIVE_DITHER_1 or _2, None for no dithering."""
    seed: int = 0
    """ZDITHER0."""
    bare: str = ""
    """numpy type of tiles of bare numbers."""
    block_px: int = 32
    """BLOCKSIZE of RICE_1."""
    pixel_bytes: int = 4
    """BYTEPIX of RICE_1."""
    hscale: int = 0
    """SCALE of HCOMPRESS_1."""
    smooth: int = 0
    """SMOOTH of HCOMPRESS_1."""

    def to_dict(self) -> dict[str, Any]:
        """Give the table as plain JSON values, without what is at its default."""
        values = ((f.name, getattr(self, f.name), f.default) for f in fields(self))
        return {name: value for name, value, default in values if value != default}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild a table from :meth:`to_dict`, after a trip through JSON."""
        given = dict(values)
        for name in ("scale", "zero", "blanks"):
            if name in given:
                given[name] = tuple(given[name])
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBlock:
    """A compressed block of an ASDF file, which is decoded as a whole."""

    used: int
    """Bytes in the file."""
    size: int
    """Bytes behind the compression."""
    begin: int
    """Byte of the plane's first number among these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneLayout:
    """One plane of an image, as bytes in a file."""

    name: str
    """``data``, ``noise``, ``flags`` or another name."""
    hdu: int
    """Index of the HDU in its file, 0 for the primary."""
    width: int
    """NAXIS1, pixels along x."""
    height: int
    """NAXIS2, pixels along y."""
    stored_dtype: str
    """numpy type of the stored numbers with byte order, such as ``>i2``."""
    dtype: str
    """numpy type of the delivered numbers in native order, such as ``float32`` or ``uint16``."""
    offset: int
    """Byte of the first pixel (raw), of the HDU's header (tiles) or of the block's data, unwrapped."""
    bscale: float = 1.0
    bzero: float = 0.0
    blank: int | None = None
    """Stored integer that means "no value"; it comes out as NaN."""
    container: Container = Container.PLAIN
    codec: Codec = Codec.RAW
    compression: str | None = None
    """Tile compression as FITS names it (``RICE_1`` ...), or a block's as ASDF does (``lz4`` ...)."""
    tile_shape: tuple[int, int] | None = None
    """Tile size ``(height, width)``."""
    meaning: Meaning = Meaning.DIRECT
    asinh: tuple[float, float] | None = None
    """(BSOFTEN, BOFFSET) of an asinh-scaled plane (Pan-STARRS1), else None."""
    tiles: TileTable | None = None
    """Where the tiles lie; None for a raw plane, and for one registered before this was kept."""
    block: PackedBlock | None = None
    """Of a compressed block."""

    def __post_init__(self) -> None:
        """Refuse sizes that no plane has."""
        if self.width < 1 or self.height < 1:
            msg = f"plane {self.name!r}: size {self.width} x {self.height}, expected at least 1 x 1"
            raise ShapeError(msg, plane=self.name)

    @property
    def shape(self) -> tuple[int, int]:
        """Array shape ``(height, width)``."""
        return self.height, self.width

    @property
    def stored_bytes(self) -> int:
        """Bytes of a stored number."""
        return int(self.stored_dtype[2:])

    @property
    def is_plain(self) -> bool:
        """Whether the stored numbers are the plane's own."""
        return (
            self.bscale == 1.0
            and self.bzero == 0.0
            and self.blank is None
            and self.meaning is _DIRECT
            and self.asinh is None
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the layout as plain JSON values, without what is at its default."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        found = {k: v for k, v in values if v != _DEFAULTS.get(k, _ABSENT)}
        if self.tiles is not None:
            found["tiles"] = self.tiles.to_dict()
        if self.block is not None:
            found["block"] = asdict(self.block)
        return found

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild a layout from :meth:`to_dict`, after a trip through JSON."""
        given = _DEFAULTS | values
        for name in _CONVERTED.keys() & values.keys():
            if values[name] is not None:
                given[name] = _CONVERTED[name](values[name])
        if given.keys() != _SLOTS.keys():
            return cls(**given)  # says what is missing or unknown
        # A frozen dataclass's constructor takes twice as long; three layouts are made for a cutout.
        made = object.__new__(cls)
        for name, put in _SLOTS.items():
            put(made, given[name])
        made.__post_init__()
        return made


_ABSENT = object()
_DIRECT = Meaning.DIRECT
_CONVERTED: dict[str, Callable[[Any], Any]] = {
    "tile_shape": tuple,
    "asinh": tuple,
    "container": Container,
    "codec": Codec,
    "meaning": Meaning,
    "tiles": TileTable.from_dict,
    "block": lambda values: PackedBlock(**values),
}
_SLOTS: dict[str, Callable[[Any, Any], None]] = {
    f.name: getattr(PlaneLayout, f.name).__set__ for f in fields(PlaneLayout)
}
_DEFAULTS: dict[str, Any] = {
    "bscale": 1.0,
    "bzero": 0.0,
    "blank": None,
    "container": Container.PLAIN,
    "codec": Codec.RAW,
    "compression": None,
    "tile_shape": None,
    "meaning": Meaning.DIRECT,
    "asinh": None,
    "tiles": None,
    "block": None,
}

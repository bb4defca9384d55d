"""The cutouts of one position from many images, as one array a plane."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from snapdb.archive.paths import PathLike
from snapdb.errors import ShapeError, UsageError
from snapdb.pixels.flags import bad_mask
from snapdb.sky.layer_cards import make_cards
from snapdb.sky.wcs import BaseWCS
from snapdb.types import BoolArray, FloatArray, PixelArray

if TYPE_CHECKING:
    from astropy.table import Table


@dataclass(kw_only=True)
class CutoutStack:
    """Layers of one size about one position, one an image, with a row of facts for each.

    Made by :meth:`CutoutSet.stack`; written by :meth:`write` and read back by :meth:`read`.
    """

    planes: dict[str, PixelArray]
    """Name -> array, shape (n, h, w)."""
    table: "Table"
    """A row a layer, in their order."""
    missing: "Table"
    """A row for each image that has no layer, with its reason."""
    wcs: Sequence[BaseWCS | None]
    """World coordinates of each layer."""
    flag_bits: dict[str, int] = field(default_factory=dict)
    """Names of flags that mean the same bit in every image, and NO_DATA."""
    ra: float
    """The position, ICRS degrees."""
    dec: float
    aligned: bool = False
    """Whether all layers are on one grid."""
    footprint: FloatArray | None = None
    """Of aligned layers: the share of each pixel that its image covers, shape (n, h, w)."""

    def __post_init__(self) -> None:
        """See that everything has the same number of layers."""
        shapes = {plane.shape for plane in self.planes.values()}
        if len(shapes) != 1 or {len(self.table), len(self.wcs)} != {next(iter(shapes))[0]}:
            msg = (
                f"planes of shapes {sorted(shapes)}, {len(self.table)} rows and {len(self.wcs)} "
                "coordinates: expected one shape (n, h, w), and n of each"
            )
            raise ShapeError(msg)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        layers, height, width = self.shape
        grid = ", aligned" if self.aligned else ""
        what = f"{layers} x {width} x {height} pixels, {', '.join(self.planes)}"
        return (
            f"<CutoutStack {what} at ra={self.ra:.6f} dec={self.dec:.6f}{grid}; {len(self.missing)} missing>"
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, rows, columns."""
        layers, height, width = next(iter(self.planes.values())).shape
        return layers, height, width

    @property
    def data(self) -> PixelArray:
        """The data, shape (n, h, w)."""
        if "data" not in self.planes:
            msg = f"this stack has {', '.join(self.planes)} and no data; ask for planes=('data', ...)"
            raise UsageError(msg, planes=tuple(self.planes))
        return self.planes["data"]

    @property
    def noise(self) -> PixelArray | None:
        """The noise, one standard deviation; NaN for an image without, None where none has any."""
        return self.planes.get("noise")

    @property
    def flags(self) -> PixelArray | None:
        """The flags; 0 for an image without (see the table's ``planes``), None where none has any."""
        return self.planes.get("flags")

    def make_wcs_cards(self) -> list[str]:
        """Write the world coordinates of each layer as FITS cards of 80 characters.

        Returns
        -------
        list of str
            A newline stands between two cards; empty text is a layer without coordinates, or
            with such as no cards follow to a hundredth of a pixel.
        """
        _, height, width = self.shape
        return [make_cards(wcs, width, height) for wcs in self.wcs]

    def bad_mask(self) -> BoolArray:
        """Say which pixels are of no use: a bad flag, or a value that is not finite.

        Returns
        -------
        array of bool, shape (n, h, w)
            An image's own ``bad_bits`` decide, and NO_DATA.
        """
        mask: BoolArray = ~np.isfinite(self.data)
        if self.flags is not None:
            no_data = self.flag_bits.get("NO_DATA", 0)
            for layer, bits in enumerate(self.table["bad_bits"]):
                mask[layer] |= bad_mask(self.flags[layer], int(bits) | no_data if bits else 0)
        return mask

    def write(self, path: PathLike, *, overwrite: bool = False) -> Path:
        """Write the stack to a file, which appears when it is complete.

        Parameters
        ----------
        path : path
            ``NAME.fits``: a table with a row an image, its layers in the columns DATA, NOISE,
            FLAGS ..., its world coordinates in WCS. ``NAME.zarr``: a folder in Zarr format 3.
        overwrite : bool
            Whether what is there is replaced; what an archive has registered never is.

        Returns
        -------
        Path
            Where it is.

        Raises
        ------
        UsageError
            If the suffix is another.
        ConfigError
            If the format needs a package that is not installed.
        ObjectExistsError
            If what is there must stay.
        """
        from snapdb.archive.epochs.stack_files import write_stack

        return write_stack(self, Path(path).absolute(), overwrite=overwrite)

    @classmethod
    def read(cls, path: PathLike) -> Self:
        """Read back what :meth:`write` wrote.

        Parameters
        ----------
        path : path
            ``NAME.fits`` or ``NAME.zarr``.

        Raises
        ------
        UnknownFormatError
            If it is no stack.
        ObjectMissingError
            If it is not there.
        """
        from snapdb.archive.epochs.stack_files import read_stack_parts

        return cls(**read_stack_parts(Path(path).absolute()))

"""How deep the sky is covered: epochs, or seconds, for each HEALPix cell and band."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from snapdb.archive.coverage.cells import cell_area, check_order, find_cells, find_centers
from snapdb.archive.guard import check_output
from snapdb.archive.paths import PathLike
from snapdb.errors import UsageError
from snapdb.storage import write_atomically
from snapdb.types import FloatArray, IntArray

if TYPE_CHECKING:
    from typing import BinaryIO

    from astropy.table import Table

Quantity = Literal["epochs", "exptime"]
Band = str | None
Depths = NDArray[Any]
"""Of int32 where images are counted, of float64 where seconds are added up."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthMap:
    """How often, or how long, cells of the sky were observed; a cell counts where its centre is."""

    order: int
    """Of the HEALPix cells; NSIDE is 2**order."""
    cells: IntArray
    """Nested numbers of the cells whose centre lies in an image, ascending."""
    bands: tuple[Band, ...]
    """Bands of the images, sorted; None, where the band is not known, is the last."""
    values: Depths
    """Shape (bands, cells)."""
    quantity: Quantity = "epochs"
    """``epochs``, the number of images, or ``exptime``, the sum of their exposure times in seconds."""
    images: int = 0
    """How many images were looked at."""
    missed: int = 0
    """Images so small, or cells so large, that no cell's centre lies in them."""
    left_out: int = 0
    """Images without an exposure time, which a map of seconds cannot count."""

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def area(self) -> float:
        """Area of the cells, square degrees."""
        return len(self.cells) * cell_area(self.order)

    @property
    def total(self) -> Depths:
        """Depth of each cell in all bands together."""
        return np.asarray(self.values.sum(axis=0))

    def centers(self) -> tuple[FloatArray, FloatArray]:
        """Give the centres of the cells, ICRS degrees."""
        return find_centers(self.cells, self.order)

    def at(self, ra: Any, dec: Any) -> Depths:
        """Look up the depth of the cells in which positions lie.

        Parameters
        ----------
        ra, dec : float or array, shape (n,)
            ICRS degrees.

        Returns
        -------
        array, shape (bands, n)
            0 where there is no image.
        """
        right, up = (np.atleast_1d(np.asarray(c, dtype=np.float64)) for c in (ra, dec))
        return look_up(self.cells, self.values, find_cells(right, up, self.order))

    def degrade(self, order: int) -> Self:
        """Make a map of larger cells, each as deep in a band as the deepest of its parts.

        Raises
        ------
        UsageError
            If the order is higher than the map's.
        """
        if check_order(order) > self.order:
            msg = f"order={order}: expected at most {self.order}, the map's; larger cells have lower orders"
            raise UsageError(msg, order=order)
        parents = self.cells >> (2 * (self.order - order))
        starts = np.flatnonzero(np.diff(parents, prepend=-1))
        values = np.maximum.reduceat(self.values, starts, axis=1) if len(starts) else self.values
        return replace(self, order=order, cells=parents[starts], values=values)

    def to_table(self) -> "Table":
        """Make an astropy table: ``cell``, ``ra``, ``dec``, and a column a band, ``unknown`` for None."""
        from astropy.table import Table

        ra, dec = self.centers()
        table = Table({"cell": self.cells, "ra": ra, "dec": dec}, units={"ra": "deg", "dec": "deg"})
        for band, values in zip(self.bands, self.values, strict=True):
            name = "unknown" if band is None else band
            while name in table.colnames:
                name += "_"
            table[name] = values
            table[name].unit = "s" if self.quantity == "exptime" else None
        table.meta.update({"ORDER": self.order, "ORDERING": "NESTED", "QUANTITY": self.quantity})
        return table

    def write(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write the map as FITS, as healpy and Aladin read it: nested cells with explicit numbers.

        Parameters
        ----------
        path : path
            Of the file; it appears when it is complete.
        overwrite : bool
            Whether a file that is there is replaced.

        Raises
        ------
        ObjectExistsError
            If the file must stay.
        """
        target = Path(path).absolute()
        check_output(target, overwrite=overwrite)
        with write_atomically(target, overwrite=overwrite) as out:
            self.write_fits(out)

    def write_fits(self, out: "BinaryIO") -> None:
        """Write the bytes of the file; see :meth:`write`."""
        from snapdb.formats.skymap import SkyColumns, write_skymap

        cards: dict[str, Any] = {
            "SDBWHAT": (self.quantity, "What the values are"),
            "SDBIMAGE": (self.images, "Images that were looked at"),
            "SDBMISS": (self.missed, "Images in which no cell's centre lies"),
        }
        if self.quantity == "exptime":
            cards["SDBLEFT"] = (self.left_out, "Images without exposure time")
        columns = SkyColumns(
            order=self.order,
            cells=self.cells,
            names=self.bands,
            values=self.values,
            cards=cards,
            unit="s" if self.quantity == "exptime" else None,
        )
        write_skymap(out, columns)

    @classmethod
    def read(cls, path: PathLike) -> Self:
        """Read a map that :meth:`write` wrote.

        Raises
        ------
        ObjectMissingError
            If there is no such file.
        FormatError
            If it is no such map, or damaged.
        """
        from snapdb.formats.skymap import read_skymap

        found = read_skymap(Path(path))
        return cls(
            order=found.order,
            cells=found.cells,
            bands=found.names,
            values=found.values,
            quantity=found.cards.get("SDBWHAT", "epochs"),
            images=int(found.cards.get("SDBIMAGE", 0)),
            missed=int(found.cards.get("SDBMISS", 0)),
            left_out=int(found.cards.get("SDBLEFT", 0)),
        )


def look_up(cells: IntArray, values: Depths, wanted: IntArray) -> Depths:
    """Look up values, shape (..., cells), by the cells' ascending numbers; 0 for cells that are not there."""
    if not len(cells):
        return np.zeros((*values.shape[:-1], len(wanted)), dtype=values.dtype)
    places = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
    return np.where(cells[places] == wanted, values[..., places], 0)

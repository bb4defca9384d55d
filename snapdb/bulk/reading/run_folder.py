"""The folder of a run: its tables, its arrays or files, and the planes of each stamp."""

from functools import cached_property
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.bulk.cutting.part_stamps import FAILED
from snapdb.bulk.reading.fits_files import find_source, read_source
from snapdb.bulk.writing.shards import check_shards
from snapdb.bulk.writing.table import IMAGES, INDEX
from snapdb.errors import ConfigError, NotFoundError, ObjectMissingError, UnknownFormatError, UsageError
from snapdb.types import BoolArray, IntArray, PixelArray

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

_ARRAYS = {"data": "images", "noise": "noise", "flags": "flags"}
"""Plane -> array of a zarr group."""


class NoSuchPlaceError(UsageError, IndexError):
    """There are not so many stamps."""

    code = "no_such_place"


class RunFolder:
    """The folder of a run, read as it is asked for.

    Parameters
    ----------
    path : path
        Of the folder.

    Raises
    ------
    ObjectMissingError
        If there is no such folder.
    UnknownFormatError
        If no complete run is in it.
    CorruptFileError
        If some of its stamps are gone.
    ConfigError
        If zarr or pyarrow is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            msg = f"{path}: there is no such folder"
            raise ObjectMissingError(msg, path=str(path))
        if not (self.path / INDEX).is_file():
            msg = f"{path} holds no {INDEX}: it is no run of bulk cutouts, or an unfinished one; resume it"
            raise UnknownFormatError(msg, path=str(path))
        check_shards(self.path)
        self._table = _read_parquet(self.path / INDEX)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @cached_property
    def table(self) -> "pd.DataFrame":
        """What is known of each stamp, row by row in their order."""
        return self._table.to_pandas()

    @cached_property
    def parents(self) -> "pd.DataFrame":
        """The images that stamps were cut from, by their numbers in the table's ``images``."""
        return _read_parquet(self.path / IMAGES).to_pandas()

    @property
    def is_zarr(self) -> bool:
        """Whether the stamps are one array, not files."""
        return (self.path / "zarr.json").is_file()

    @cached_property
    def images(self) -> Any:
        """The zarr array of all stamps, shape (n, H, W, C).

        Raises
        ------
        UsageError
            If the stamps are FITS files.
        """
        return self._array("images")

    def _array(self, name: str) -> Any:
        """Open an array of the group."""
        if not self.is_zarr:
            how = "" if name == "images" else f", '{name}'"
            msg = (
                f"{self.path} holds FITS files, not one array; "
                f"take stamps one by one: plane(i{how}), or plane('id'{how})"
            )
            raise UsageError(msg, path=str(self.path))
        try:
            import zarr  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
        except ImportError as err:
            msg = "reading stamps needs zarr; install it with: pip install 'snapdb[bulk]'"
            raise ConfigError(msg, package="zarr") from err
        group = zarr.open_group(str(self.path), mode="r")
        if name not in group:
            msg = f"{self.path} holds no {name}; ask for it with planes = ['data', '{name}'] in the settings"
            raise NotFoundError(msg, plane=name)
        return group[name]

    @cached_property
    def noise(self) -> Any:
        """The array of noise stamps.

        Raises
        ------
        NotFoundError
            If the run made none.
        """
        return self._array("noise")

    @cached_property
    def flags(self) -> Any:
        """The array of flags stamps.

        Raises
        ------
        NotFoundError
            If the run made none.
        """
        return self._array("flags")

    def find(self, source_id: str) -> int:
        """Give the place of a source's stamp, the first where it has several.

        Parameters
        ----------
        source_id : str
            As the catalogue has it.

        Raises
        ------
        NotFoundError
            If it has no stamp; the run's report says why.
        """
        row = self._rows.get(str(source_id))
        if row is None:
            msg = f"no stamp of source {source_id!r} in {self.path}; its report.csv says why"
            raise NotFoundError(msg, source_id=source_id)
        return row

    @cached_property
    def _rows(self) -> dict[str, int]:
        ids = self._table["source_id"].to_pylist()
        return dict(zip(reversed(ids), range(len(ids) - 1, -1, -1), strict=True))

    def plane(self, key: int | str, name: str = "data", *, channel: int | None = None) -> PixelArray:
        """Give the data, noise or flags of one stamp, whatever the run's format.

        Parameters
        ----------
        key : int or str
            Place, or the source's id.
        name : str
            ``data``, ``noise`` or ``flags``.
        channel : int, optional
            The only one that is wanted. Needed where each channel has a size of its own: raw
            stamps of images whose pixels differ.

        Returns
        -------
        array
            Shape (H, W, C); (H, W) of one channel, and of flags, which channels have in common but
            where stamps are raw.

        Raises
        ------
        UsageError
            If there is no such place, plane or channel, or channels differ in size.
        NotFoundError
            If there is no such source, the run made no such planes, or this stamp failed.
        """
        row = self._place(key)
        if name not in _ARRAYS:
            msg = f"plane {name!r}: expected one of {', '.join(_ARRAYS)}"
            raise UsageError(msg, plane=name)
        self._check_made(row)
        made = self._read_zarr(row, name) if self.is_zarr else self._read_fits(row, name, channel)
        if channel is None or name == "flags":
            return made
        at = channel if self.is_zarr else 0  # of a file, the channel alone is read
        if not 0 <= at < made.shape[-1]:
            raise self._no_channel(channel, made.shape[-1])
        return np.asarray(made[..., at])

    def _read_zarr(self, row: int, name: str) -> PixelArray:
        return np.asarray(getattr(self, _ARRAYS[name])[row])

    def _read_fits(self, row: int, name: str, channel: int | None) -> PixelArray:
        """Read planes of a stamp's file, of one channel or all."""
        path, hdu = self._file_of(row)
        if name == "flags":
            found = read_source(path, hdu, name)
            if len(found) > 1 and channel is None:
                msg = f"the channels of stamp {row} have flags of their own, being raw; name one, channel=0"
                raise UsageError(msg, row=row)
            if len(found) > 1:
                found = read_source(path, hdu, name, channel)
            return found[0].view(np.uint32)
        if channel is not None:
            count = sum(e.plane == "data" for e in find_source(path, hdu))
            if not 0 <= channel < count:
                raise self._no_channel(channel, count)
        planes = read_source(path, hdu, name, channel)
        if len({p.shape for p in planes}) > 1:
            sizes = ", ".join(f"{p.shape[1]}x{p.shape[0]}" for p in planes)
            msg = (
                f"the channels of stamp {row} have sizes of their own ({sizes}) and make no one array; "
                f"take them one by one, such as plane({row}, channel=0)"
            )
            raise UsageError(msg, row=row)
        return np.stack(planes, axis=-1)

    def _file_of(self, row: int) -> tuple[Path, int]:
        """Give the FITS file of a stamp, and the HDU at which it begins."""
        self._check_made(row)
        return self.path / self._value("file", row), self._value("hdu", row)

    def _check_made(self, row: int) -> None:
        """See that a stamp was made; in an array, the place of one that failed holds 0."""
        if self._value("status", row) == FAILED:
            source, reason = self._value("source_id", row), self._value("reason", row)
            msg = f"stamp {row}, of source {source!r}, failed: {reason}"
            raise NotFoundError(msg, row=row)

    @cached_property
    def _made(self) -> BoolArray:
        """Which stamps were made."""
        return np.array([one != FAILED for one in self._table["status"].to_pylist()], np.bool_)

    def _no_channel(self, channel: int, count: int) -> UsageError:
        msg = f"channel = {channel}: the stamps in {self.path} have {count}, counted from 0"
        return UsageError(msg, channel=channel)

    def _place(self, key: Any) -> int:
        """Give the place of a stamp by its id or its place, which may count from the end."""
        if isinstance(key, str):
            return self.find(key)
        try:
            place = index(key)
        except TypeError as err:
            msg = f"{key!r}: expected a place, counted from 0, or a source's id"
            raise UsageError(msg) from err
        if not -len(self) <= place < len(self):
            held = f"{len(self)}, places 0 to {len(self) - 1}" if len(self) else "none; report.csv says why"
            msg = f"there is no stamp {place}: {self.path} holds {held}"
            raise NoSuchPlaceError(msg, place=place)
        return place % len(self)

    def _places(self, key: Any) -> IntArray:
        """Give the places that a slice, a list or a mask takes."""
        if isinstance(key, slice):
            return np.arange(len(self))[key]
        try:
            wanted = np.asarray(key)
            if wanted.dtype == np.bool_ and wanted.shape == (len(self),):
                return np.flatnonzero(wanted)
            if wanted.ndim == 1 and (wanted.dtype.kind in "iuU" or not wanted.size):
                return np.array([self._place(k) for k in wanted.tolist()], dtype=np.int64)
        except (TypeError, ValueError) as err:
            if isinstance(err, NoSuchPlaceError):
                raise
        msg = f"{key!r}: expected a place, a source's id, a slice, or a list of places or ids"
        raise UsageError(msg)

    def _value(self, column: str, row: int) -> Any:
        return self._table[column][row].as_py()


def _read_parquet(path: Path) -> Any:
    """Read a table."""
    from snapdb.archive.positions import load_arrow

    load_arrow()
    from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    return parquet.read_table(path, memory_map=True).combine_chunks()

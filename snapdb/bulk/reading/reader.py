"""Stamps that a run wrote: by place, by id, by position, in batches, as cutouts."""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.bulk.writing.table import IMAGES, INDEX
from snapdb.errors import ConfigError, NotFoundError, ObjectMissingError, UnknownFormatError, UsageError
from snapdb.types import FloatArray, IntArray, PixelArray

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    from snapdb.archive.cutout import Cutout
    from snapdb.sky.wcs import BaseWCS


class Stamps:
    """The stamps of a run, in memory as they are asked for.

    Parameters
    ----------
    path : path
        Folder that the run wrote.

    Raises
    ------
    ObjectMissingError
        If there is no such folder.
    UnknownFormatError
        If no complete run is in it.
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
        self._table = _read_parquet(self.path / INDEX)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        return f"<{len(self)} stamps in {self.path}>"

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
            msg = f"{self.path} holds FITS files, not one array; take stamps one by one"
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

    def __getitem__(self, key: int | str) -> PixelArray:
        """Give one stamp by its place or by its source's id: shape (H, W, C)."""
        row = self.find(key) if isinstance(key, str) else range(len(self))[key]
        if self.is_zarr:
            return np.asarray(self.images[row])
        return _read_fits(self.path / self._value("file", row))

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
        row = self._rows.get(source_id)
        if row is None:
            msg = f"no stamp of source {source_id!r} in {self.path}; its report.csv says why"
            raise NotFoundError(msg, source_id=source_id)
        return row

    @cached_property
    def _rows(self) -> dict[str, int]:
        ids = self._table["source_id"].to_pylist()
        return dict(zip(reversed(ids), range(len(ids) - 1, -1, -1), strict=True))

    def find_near(self, ra: float, dec: float, radius_arcsec: float = 1.0) -> IntArray:
        """Give the places of the stamps of sources near a position, the nearest first.

        Parameters
        ----------
        ra, dec : float
            ICRS degrees.
        radius_arcsec : float
            How far they may be.
        """
        from snapdb.sky.vectors import to_vectors

        apart = np.linalg.norm(self._vectors - to_vectors(np.array([ra]), np.array([dec])), axis=1)
        distance = np.degrees(2.0 * np.arcsin(np.minimum(apart / 2.0, 1.0))) * 3600.0
        near = np.flatnonzero(distance <= radius_arcsec)
        return np.asarray(near[np.argsort(distance[near], kind="stable")])

    @cached_property
    def _vectors(self) -> FloatArray:
        from snapdb.sky.vectors import to_vectors

        return to_vectors(self._table["ra"].to_numpy(), self._table["dec"].to_numpy())

    def iter_batches(
        self, size: int = 256, *, shuffle: bool = False, seed: int = 0, torch: bool = False
    ) -> Iterator[tuple[Any, IntArray]]:
        """Go through all stamps once, in batches.

        Parameters
        ----------
        size : int
            Stamps of a batch; the last may have fewer.
        shuffle : bool
            Whether batches come in any order, and stamps within a few batches too: shards are
            read whole, so that this costs little.
        seed : int
            Of the order.
        torch : bool
            Whether to give tensors.

        Yields
        ------
        images : array or torch.Tensor, shape (n, H, W, C)
            Stamps.
        rows : array of int, shape (n,)
            Their places, of the table's rows.

        Raises
        ------
        ConfigError
            If tensors are asked for and torch is not installed.
        """
        to_tensor = _load_torch() if torch else None
        block = max(size, self._block() // size * size)
        starts = np.arange(0, len(self), block)
        random = np.random.default_rng(seed)
        if shuffle:
            random.shuffle(starts)
        for start in starts.tolist():
            rows = np.arange(start, min(start + block, len(self)))
            images = np.asarray(self.images[start : start + block])
            order = random.permutation(len(rows)) if shuffle else np.arange(len(rows))
            for at in range(0, len(rows), size):
                chosen = order[at : at + size]
                batch = images[chosen]
                yield (batch if to_tensor is None else to_tensor(batch)), rows[chosen]

    def _block(self) -> int:
        """Give the stamps that are read at once: those of a shard."""
        shards = self.images.shards
        return int(shards[0] if shards else self.images.chunks[0])

    def wcs_of(self, row: int) -> "BaseWCS":
        """Give the world coordinates of a stamp, with all distortions of its first image.

        Parameters
        ----------
        row : int
            Place of the stamp.

        Raises
        ------
        ProjectionError, ObjectMissingError
            If they belong to lookup tables in a file that is gone.
        """
        from snapdb.bulk.reading.stamp_wcs import StampWCS

        row = range(len(self))[row]
        parent = self._parent_wcs(self._value("images", row)[0])
        size = self._value("size", row)
        side = self.images.shape[1] if self.is_zarr else self[row].shape[0]
        return StampWCS(parent, self._value("x0", row), self._value("y0", row), side / size, side)

    def _parent_wcs(self, image: int) -> "BaseWCS":
        from snapdb.bulk.planning.sources import evaluate

        one = self.parents.iloc[image]
        return evaluate(str(one["wcs"]), str(one["path"]), int(one["hdu"]), bool(one["has_tables"]))

    def cutout(self, key: int | str, *, channel: int = 0) -> "Cutout":
        """Give a stamp as a cutout, with its world coordinates.

        Parameters
        ----------
        key : int or str
            Place, or the source's id.
        channel : int
            Which of its channels.

        Returns
        -------
        Cutout
            Its pixels are the stamp's, stretched as the run was asked to.
        """
        from snapdb.archive.cutout import Cutout

        row = self.find(key) if isinstance(key, str) else range(len(self))[key]
        made = Cutout(self[row][:, :, channel], self.wcs_of(row))
        made.src_id = self._value("source_id", row)
        return made

    def _value(self, column: str, row: int) -> Any:
        return self._table[column][row].as_py()


def open(path: str | Path) -> Stamps:  # noqa: A001  # snapdb.bulk.open, as zarr.open and Image.open are
    """Open the stamps that a run wrote.

    Parameters
    ----------
    path : path
        Folder of the run.

    Returns
    -------
    Stamps
        By place, id or position, in batches, as cutouts.

    Raises
    ------
    ObjectMissingError, UnknownFormatError, ConfigError
        As :class:`Stamps`.
    """
    return Stamps(path)


def _read_parquet(path: Path) -> Any:
    """Read a table."""
    from snapdb.archive.positions import load_arrow

    load_arrow()
    from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    return parquet.read_table(path, memory_map=True).combine_chunks()


@lru_cache(maxsize=16)
def _load_torch() -> Any:
    """Give torch's way to take an array, without a copy."""
    try:
        import torch  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    except ImportError as err:
        msg = "tensors need torch; install it, or take arrays"
        raise ConfigError(msg, package="torch") from err
    return torch.from_numpy


def _read_fits(path: Path) -> PixelArray:
    """Read the channels of a stamp's own file."""
    from snapdb.formats.layouts import make_layout
    from snapdb.formats.read import PlaneReader
    from snapdb.formats.source import open_source

    source = open_source(path)
    frames = [f for f in source.frames if f.is_plane and not f.name.startswith(("noise_", "flags"))]
    with PlaneReader(path) as reader:
        planes = [reader.read_all(make_layout(f, "data", source.container)) for f in frames]
    return np.stack(planes, axis=-1)

"""Stamps that a run wrote: by place, by id, by position, in batches, as cutouts."""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import compress
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from snapdb.bulk.reading.fits_files import placing, read_cards
from snapdb.bulk.reading.run_folder import RunFolder
from snapdb.errors import ConfigError, UsageError
from snapdb.types import FloatArray, IntArray, PixelArray

if TYPE_CHECKING:
    from snapdb.archive.cutout import Cutout
    from snapdb.sky.wcs import BaseWCS


_MIXED_BATCHES = 16
"""Batches whose stamps are mixed where they come from files."""


class Stamps(RunFolder):
    """The stamps of a run, in memory as they are asked for, by the folder that the run wrote."""

    def __repr__(self) -> str:
        return f"<{len(self)} stamps in {self.path}>"

    def __iter__(self) -> Iterator[PixelArray]:
        return (self[row] for row in range(len(self)))

    def __contains__(self, source_id: object) -> bool:
        """Whether a source, by its id, has a stamp."""
        return str(source_id) in self._there

    @cached_property
    def _there(self) -> frozenset[str]:
        """Ids of the sources that have a stamp."""
        ids = self._table["source_id"].to_pylist()
        return frozenset(compress(ids, self._made.tolist()))

    def __getitem__(self, key: Any) -> Any:
        """Give one stamp by its place or by its source's id, shape (H, W, C); several by a slice or a list.

        Several are an array of shape (n, H, W, C), or a list where their sizes differ.
        """
        if isinstance(key, str):
            return self.plane(key)
        if isinstance(key, SupportsIndex) and not isinstance(key, np.ndarray):  # which has __index__ too
            return self.plane(index(key))
        rows = self._places(key)
        if self.is_zarr:
            for row in rows[~self._made[rows]].tolist():
                self._check_made(row)
            return np.asarray(self.images.oindex[rows])
        stamps = [self.plane(row) for row in rows.tolist()]
        return np.stack(stamps) if len({s.shape for s in stamps}) == 1 else stamps

    def by_id(self, source_id: Any) -> PixelArray:
        """Give the stamp of a source whose id may be a number, shape (H, W, C).

        Parameters
        ----------
        source_id : str or int
            A number is looked for as the catalogue's text has it: 7 is ``"7"``, not place 7.

        Raises
        ------
        NotFoundError
            As :meth:`find`.
        """
        return self.plane(str(source_id))

    def find_near(self, ra: float, dec: float, radius_arcsec: float = 1.0) -> IntArray:
        """Give the places of the stamps of sources near a position, the nearest first.

        Parameters
        ----------
        ra, dec : float
            ICRS degrees.
        radius_arcsec : float
            How far they may be.

        Raises
        ------
        UsageError
            If the radius is below 0 or no number.
        """
        from snapdb.sky.vectors import to_vectors

        if not radius_arcsec >= 0:
            msg = f"radius_arcsec = {radius_arcsec}: expected 0 or more"
            raise UsageError(msg, name="radius_arcsec", value=radius_arcsec)
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
            Stamps of a batch; the last of a few batches may have fewer.
        shuffle : bool
            Whether batches come in any order, and stamps within a few batches too: shards are
            read whole, so that this costs little.
        seed : int
            Of the order.
        torch : bool
            Whether to give tensors.

        Returns
        -------
        iterator of tuple
            ``(images, rows)``: stamps, an array or torch.Tensor of shape (n, H, W, C), and their
            places, of the table's rows. Stamps that failed are left out.

        Raises
        ------
        UsageError
            If the size is below 1 or the seed below 0, or, in a batch, stamps differ in size.
        ConfigError
            If tensors are asked for and torch is not installed.
        """
        given: tuple[tuple[str, Any, int], ...] = (("size", size, 1), ("seed", seed, 0))
        for name, value, least in given:
            if not (isinstance(value, int | np.integer) and value >= least):
                msg = f"{name} = {value!r}: expected {least} or more"
                raise UsageError(msg, name=name, value=value)
        if shuffle not in (False, True):
            msg = f"shuffle = {shuffle}: expected True or False; the order is chosen by `seed`"
            raise UsageError(msg, name="shuffle", value=shuffle)
        to_tensor = _load_torch() if torch else None
        batches = self._batches(size, np.random.default_rng(seed) if shuffle else None)
        return ((images if to_tensor is None else to_tensor(images), rows) for images, rows in batches)

    def _batches(
        self, size: int, random: np.random.Generator | None
    ) -> Iterator[tuple[PixelArray, IntArray]]:
        """Give batches, stamps of a few of them mixed."""
        places = np.arange(len(self)) if self.is_zarr else np.flatnonzero(self._made)
        block = max(size, self._block() // size * size) if self.is_zarr else size * _MIXED_BATCHES
        starts = np.arange(0, len(places), block)
        if random is not None:
            random.shuffle(starts)
        for start in starts.tolist():
            rows = places[start : start + block]
            images = np.asarray(self.images[start : start + block]) if self.is_zarr else None
            made = np.flatnonzero(self._made[rows])
            order = made if random is None else random.permutation(made)
            for at in range(0, len(order), size):
                chosen = order[at : at + size]
                yield self._stack(rows[chosen]) if images is None else images[chosen], rows[chosen]

    def _stack(self, rows: IntArray) -> PixelArray:
        """Read stamps of one size."""
        stamps = self[rows]
        if isinstance(stamps, list):
            msg = f"the stamps in {self.path} have many sizes and make no batch; take them one by one"
            raise UsageError(msg, path=str(self.path))
        return np.asarray(stamps)

    def _block(self) -> int:
        """Give the stamps that are read at once: those of a shard."""
        shards = self.images.shards
        return int(shards[0] if shards else self.images.chunks[0])

    def wcs_of(self, key: int | str, *, channel: int = 0) -> "BaseWCS":
        """Give the world coordinates of a stamp, with all distortions of its first image.

        Parameters
        ----------
        key : int or str
            Place, or the source's id.
        channel : int
            Which of its channels. Further channels of raw stamps have the linear coordinates that
            stand in their files; all channels of others lie on the first.

        Raises
        ------
        UsageError
            If there is no such place or channel.
        ProjectionError, ObjectMissingError
            If they belong to lookup tables in a file that is gone.
        """
        return self._wcs_of(self._place(key), channel, self.plane(key, channel=channel).shape[0])

    def _wcs_of(self, row: int, channel: int, side: int) -> "BaseWCS":
        """Give the world coordinates of a channel of so many pixels a side."""
        from snapdb.bulk.reading.stamp_wcs import StampWCS

        if channel and not self.is_zarr:
            from snapdb.sky.wcs import AstropyWCS

            path, hdu = self._file_of(row)
            cards = read_cards(path, hdu, channel)
            if placing(cards) != placing(read_cards(path, hdu, 0)):
                return AstropyWCS.from_header(cards)
        parent = self._parent_wcs(self._value("images", row)[0])
        scale = side / self._value("size", row)
        return StampWCS(parent, self._value("x0", row), self._value("y0", row), scale, side)

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

        Raises
        ------
        UsageError
            If there is no such place or channel.
        NotFoundError
            If there is no such source.
        """
        from snapdb.archive.cutout import Cutout

        row = self._place(key)
        pixels = self.plane(row, channel=channel)
        made = Cutout(pixels, self._wcs_of(row, channel, pixels.shape[0]))
        made.src_id = self._value("source_id", row)
        return made


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


@lru_cache(maxsize=16)
def _load_torch() -> Any:
    """Give torch's way to take an array, without a copy."""
    try:
        import torch  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    except ImportError as err:
        msg = "tensors need torch; install it, or take arrays"
        raise ConfigError(msg, package="torch") from err
    return torch.from_numpy

"""The cutouts of one position from every image that has it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from snapdb.archive.cutout import Cutout
from snapdb.archive.cutting import cut
from snapdb.archive.epochs.plan import Ask, Epoch, plan_epochs
from snapdb.archive.epochs.reading import Parts, count_bytes, read_epochs
from snapdb.archive.epochs.table import make_epoch_table, write_epoch_table
from snapdb.archive.paths import PathLike
from snapdb.errors import UsageError

if TYPE_CHECKING:
    from astropy.table import Table

    from snapdb.archive.archive import Archive
    from snapdb.archive.epochs.stack import CutoutStack

KEPT_BYTES = 512 * 2**20
"""Cutouts that take up to this much memory together are kept; more are read anew each time."""


class CutoutSet(Sequence[Cutout]):
    """The cutouts of one position, one an image, and a table of how each image fared.

    Made by :meth:`snapdb.Archive.cutouts`. Nothing is read until something is asked for.
    Going through it reads ahead in blocks of bounded memory and passes over images that
    cannot be read; its length, an item and :attr:`table` read all of them first, so that they
    hold for good.

    Parameters
    ----------
    archive : Archive
        Where the images are.
    ask : Ask
        What is cut.
    epochs : sequence of Epoch
        As planned.
    """

    def __init__(self, archive: "Archive", ask: Ask, epochs: Sequence[Epoch]) -> None:
        self._archive = archive
        self._ask = ask
        self._epochs = tuple(epochs)
        self._kept: list[Cutout] | None = None
        self._known = False

    def __repr__(self) -> str:
        failed = sum(epoch.error is not None for epoch in self._epochs)
        where = f"ra={self._ask.ra:.6f} dec={self._ask.dec:.6f}"
        return f"<CutoutSet of {len(self._epochs)} images at {where}; {failed} failed so far>"

    @property
    def ra(self) -> float:
        """The position, ICRS degrees."""
        return self._ask.ra

    @property
    def dec(self) -> float:
        """The position, ICRS degrees."""
        return self._ask.dec

    @property
    def image_count(self) -> int:
        """How many images match, whether or not they give a cutout; nothing is read."""
        return len(self._epochs)

    @property
    def table(self) -> "Table":
        """A row an image, those without a cutout too: facts, place, ``status`` and ``reason``.

        The rows whose ``status`` is ``ok`` are the cutouts, in their order.
        """
        self._settle()
        return make_epoch_table(self._epochs)

    def write_table(self, path: PathLike, *, overwrite: bool = False) -> Path:
        """Write :attr:`table` to a file, ``.ecsv``, ``.csv``, ``.fits`` or ``.vot``."""
        return write_epoch_table(self.table, path, overwrite=overwrite)

    @property
    def missing(self) -> "Table":
        """The rows of :attr:`table` of images that give no cutout."""
        table = self.table
        return table[table["status"] != "ok"]

    def __len__(self) -> int:
        self._settle()
        return sum(epoch.error is None for epoch in self._epochs)

    def __iter__(self) -> Iterator[Cutout]:
        if self._kept is not None:
            yield from self._kept
            return
        yield from self._read()

    @overload
    def __getitem__(self, index: int) -> Cutout: ...
    @overload
    def __getitem__(self, index: slice) -> list[Cutout]: ...
    def __getitem__(self, index: int | slice) -> Cutout | list[Cutout]:
        """Give a cutout, or several, by their place among those that could be read."""
        self._settle()
        if self._kept is not None:
            return self._kept[index]
        sound = [epoch for epoch in self._epochs if epoch.error is None]
        some = sound[index] if isinstance(index, slice) else [sound[index]]
        cutouts = [self._make(some[n], parts) for n, parts in self._parts(some)]
        return cutouts if isinstance(index, slice) else cutouts[0]

    def stack(
        self,
        *,
        planes: Sequence[str] | None = None,
        align: bool = False,
        method: str = "interp",
        pixel_scale: float | None = None,
    ) -> "CutoutStack":
        """Read all cutouts into one array a plane.

        Parameters
        ----------
        planes : sequence of str, optional
            Which; those that the set was asked for by default.
        align : bool
            Whether the layers are resampled to one grid: a TAN projection about the position,
            north up. Otherwise each keeps the pixels, and the coordinates, of its image.
        method : str
            How pixels are resampled: ``interp`` (bilinear), ``adaptive`` (anti-aliased) or
            ``exact`` (by overlap of the pixels). Flags take those of the nearest pixel.
        pixel_scale : float, optional
            Arcseconds a pixel of the common grid; the median of the images' by default.

        Returns
        -------
        CutoutStack
            A layer for each image that gives a cutout.

        Raises
        ------
        NotFoundError
            If no image does.
        ShapeError
            If the cutouts differ in size and are not aligned.
        ConfigError
            If `align` is asked for and the package reproject is not installed.
        UsageError
            If a choice is unknown.
        """
        ask = self._ask if planes is None else self._with_planes(planes)
        if align:
            from snapdb.archive.epochs.aligning import read_aligned

            stack = read_aligned(self._archive, self._epochs, ask, method, pixel_scale)
            self._note_read(ask)
            return stack
        if method != "interp" or pixel_scale is not None:
            msg = "method and pixel_scale say how to resample; give align=True with them"
            raise UsageError(msg, method=method)
        from snapdb.archive.epochs.stacking import read_stack

        stack = read_stack(self._epochs, ask, self._archive.store)
        self._note_read(ask)
        return stack

    def write(self, path: PathLike, *, overwrite: bool = False, **options: Any) -> Path:
        """Write the cutouts to one file, whose suffix says what it is.

        Parameters
        ----------
        path : path
            ``.fits`` and ``.zarr``: the stack, see :meth:`CutoutStack.write`. ``.png``: a
            contact sheet. ``.gif``, ``.apng``, ``.webp``: an animation.
        overwrite : bool
            Whether what is there is replaced; what an archive has registered never is.
        **options : object
            As :meth:`stack`, :func:`~snapdb.archive.pictures.write_contact_sheet` or
            :func:`~snapdb.archive.epochs.animation.write_animation` take them.

        Raises
        ------
        UsageError
            If the suffix is another.
        ObjectExistsError
            If what is there must stay.
        NotFoundError
            If no image gives a cutout.
        """
        from snapdb.archive.epochs.files import write_cutouts

        return write_cutouts(self, Path(path).absolute(), overwrite=overwrite, **options)

    def write_each(self, folder: PathLike, *, overwrite: bool = False) -> list[Path]:
        """Write each cutout to a FITS file of its own, with all planes and its world coordinates.

        Parameters
        ----------
        folder : path
            Where; it is made. The names hold time, band and the image's id.
        overwrite : bool
            Whether files of these names are replaced.

        Returns
        -------
        list of Path
            In the order of the cutouts.

        Raises
        ------
        ObjectExistsError
            If a file is there, before any is written.
        """
        from snapdb.archive.epochs.files import write_each

        return write_each(self, Path(folder).absolute(), overwrite=overwrite)

    def _with_planes(self, planes: Sequence[str]) -> Ask:
        """Give what was asked, for other planes."""
        ask = replace(self._ask, planes=planes)
        ask.check()
        return ask

    def _note_read(self, ask: Ask) -> None:
        """Take note that all was read; what could not be is among the cutouts no more."""
        self._known = self._known or tuple(ask.planes) == tuple(self._ask.planes)
        if self._kept is not None and len(self._kept) != sum(e.error is None for e in self._epochs):
            self._kept = None

    def _settle(self) -> None:
        """Read all that is not read, so that it is known what can be."""
        if self._known:
            return
        if count_bytes(self._epochs, self._ask) <= KEPT_BYTES:
            self._kept = list(self._read())
        else:
            for _ in read_epochs(self._epochs, self._ask, self._archive.store):
                pass
        self._known = True

    def _read(self) -> Iterator[Cutout]:
        """Read the cutouts one after the other."""
        for index, parts in self._parts(self._epochs):
            yield self._make(self._epochs[index], parts)
        self._known = True

    def _parts(self, epochs: Sequence[Epoch]) -> Iterator[tuple[int, Parts]]:
        """Read what can be read of some epochs."""
        for index, parts in read_epochs(epochs, self._ask, self._archive.store):
            if parts is not None:
                yield index, parts

    def _make(self, epoch: Epoch, parts: Parts) -> Cutout:
        """Make the cutout of what was read."""
        parent = epoch.make_image(self._archive)
        read: Any = _WhatWasRead(parts, epoch.record.flag_bits)
        return Cutout.from_cut(parent, cut(read, epoch.place, self._ask.fill_value))


@dataclass(frozen=True, slots=True)
class _WhatWasRead:
    """The parts of an image's planes that exist, as cutting asks an image for them."""

    parts: Parts
    flag_bits: Mapping[str, int]

    @property
    def plane_names(self) -> tuple[str, ...]:
        """Names of the planes."""
        return tuple(self.parts)

    def read_box(self, names: Sequence[str], _box: object) -> Parts:
        """Give the parts."""
        return {name: self.parts[name] for name in names}


def find_cutouts(
    archive: "Archive", ra: Any, dec: Any, size: Any, ysize: Any, criteria: dict[str, Any], **rest: Any
) -> CutoutSet:
    """Plan the cutouts of a position; see :meth:`snapdb.Archive.cutouts`."""
    ask = Ask.make(ra, dec, size, ysize, **rest)
    return CutoutSet(archive, ask, plan_epochs(archive, ask, criteria))

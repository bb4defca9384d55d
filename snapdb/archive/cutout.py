"""A cutout: an image cut from another, with its parent and its place in it."""

import copy
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from snapdb.archive.array_source import (
    ArraySource,
    box_of_corners,
    check_mode,
    flagged,
    make_source,
)
from snapdb.archive.cutting import as_fill_value
from snapdb.archive.image import Image
from snapdb.archive.keyed import KeyedImage
from snapdb.archive.paths import ImagePaths
from snapdb.archive.stored_cutout import read_cutout, state_of
from snapdb.errors import UsageError
from snapdb.pixels.box import Placement
from snapdb.pixels.crops import as_whole, outside_mask
from snapdb.types import Header, PixelArray

if TYPE_CHECKING:
    from snapdb.archive.cutting import Cut

INHERITED = (
    "observation_id",
    "sca",
    "band",
    "mjd",
    "exptime",
    "sky_level",
    "zeropoint",
    "data_units",
    "instrument",
    "bad_bits",
    "release_date",
    "properties",
)
"""Facts of a cutout that are its parent's."""


class Cutout(KeyedImage):
    """An image in memory, cut from another image.

    It has its own pixels, WCS, header, corners, centre and position angle; band, time,
    exposure and zero point are its parent's. A cutout of a cutout is a cutout. It has
    no file until it is saved, so saving it can never write over its parent.

    Cutouts of images come from :meth:`snapdb.Image.get_cutout` and
    :meth:`snapdb.Image.get_ra_dec_cutout`; from arrays they are made so:

    Parameters
    ----------
    data : array or None
        Pixels ``[y, x]`` of the whole image. None, with `trc`, makes an image of `fillval`
        that ends at `trc`.
    wcs : astropy.wcs.WCS, BaseWCS or None
        Coordinates of the whole image.
    blc : tuple of int
        Bottom-left pixel ``(x, y)``, 0-based.
    trc : tuple of int, optional
        Top-right pixel ``(x, y)``, included; the image's last one by default.
    dq : array of int, optional
        Data quality flags of the whole image.
    weight : array, optional
        Weights of the whole image.
    src_id : object
        Whatever ties the source to a record of a catalogue.
    data_units : {'counts', 'rate'}
        What one unit of the data is.
    exptime : float
        Exposure time, seconds, more than 0.
    mode : {'strict', 'fill', 'partial', 'trim'}
        ``strict`` refuses a box that reaches beyond the image, ``fill`` and ``partial`` fill what
        lies outside, ``trim`` gives the part that exists.
    fillval : float
        For data outside the image. An integer image becomes floating-point when it cannot hold it.
    src_pos : tuple of float, optional
        Position ``(x, y)`` of the source in the image; the middle of the box by default.
    src_weight : float, optional
        Weight of the source.
    dqbitmask : int, str or list, optional
        Which bits of `dq` are good, as in :mod:`astropy.nddata.bitmask`: the other bits mask
        pixels, 0 lets every bit mask. None leaves `dq` out of the mask.

    Raises
    ------
    NoOverlapError
        If the box does not touch the image.
    PartialOverlapError
        If it reaches beyond the image in mode ``strict``.
    ShapeError
        If the box is ill-formed, or arrays differ in shape.
    UsageError
        If another parameter cannot be.

    Notes
    -----
    The names are subpixal's, and stdpipe's dictionary style works: ``cutout["image"]``,
    ``["mask"]``, ``["err"]``, ``["meta"]``, ``["header"]``, ``["wcs"]``, and planes of any name, with
    ``pop``, ``setdefault``, ``update`` and ``|``; it is no ``dict``. :meth:`snapdb.Archive.save` writes a
    cutout's file into the archive and registers it; `save` alone leaves `full_filepath` None. Where the
    originals are defective this differs: coordinates given are never changed in place; a
    position without a pixel is NaN and spoils no other; `blc` and `trc` move together, so that
    the size is always that of the pixels; flags outside the image carry the bit NO_DATA;
    integers are never filled with garbage; ``cutout["wcs"]`` is that of the cutout.
    """

    def __init__(
        self,
        data: PixelArray | None,
        wcs: Any,
        blc: Sequence[int] = (0, 0),
        trc: Sequence[int] | None = None,
        dq: PixelArray | None = None,
        weight: PixelArray | None = None,
        src_id: Any = 0,
        data_units: str = "rate",
        exptime: float = 1,
        mode: str = "strict",
        fillval: float = float("nan"),
        *,
        src_pos: Sequence[float] | None = None,
        src_weight: float | None = None,
        dqbitmask: Any = None,
    ) -> None:
        check_mode(mode)
        if data is None and trc is None:
            msg = "trc=None: without data, trc says where the image ends"
            raise UsageError(msg)
        shape = None if trc is None else (as_whole(trc[1], name="trc") + 1, as_whole(trc[0], name="trc") + 1)
        facts = {"data_units": data_units, "exptime": exptime}
        arrays = {"data": data, "flags": dq, "weight": weight}
        source = make_source(arrays, wcs, shape=shape, facts=facts)
        height, width = source.shape
        box = box_of_corners(blc, (width - 1, height - 1) if trc is None else trc, width, height)
        fill = as_fill_value(fillval) if mode != "strict" or data is None else 0.0
        self._take(source, source.place(box, mode), fill, dqbitmask=dqbitmask)
        self.src_id, self.src_pos, self.src_weight = src_id, src_pos, src_weight

    @classmethod
    def from_source(
        cls, source: ArraySource, placement: Placement, fill: float = float("nan"), *, dqbitmask: Any = None
    ) -> Self:
        """Make a cutout of arrays that were checked.

        Parameters
        ----------
        source : ArraySource
            The whole image.
        placement : Placement
            Where the cutout lies.
        fill : float
            For data outside the image.
        dqbitmask : int, str or list, optional
            As for the class.
        """
        cutout = cls.__new__(cls)
        cutout._take(source, placement, fill, dqbitmask=dqbitmask)
        return cutout

    def _take(self, source: ArraySource, placement: Placement, fill: float, *, dqbitmask: Any) -> None:
        """Set the state of a cutout of arrays; flags mask only where it is said which."""
        self._begin(ImagePaths())
        self.parent = source.parent
        if hasattr(source.wcs, "all_pix2world"):
            self._image_wcs = source.wcs
        self.box, self.source_box, self.target_box = placement.result, placement.source, placement.target
        self._own, flag_bits = source.cut(placement, fill)
        for name, value in source.facts.items():
            self.set_fact(name, value)
        self._facts |= {"kind": "cutout", "flag_bits": flag_bits}
        mask = outside_mask(self.box.shape, self.target_box)
        if self._own["data"].dtype.kind == "f":
            mask |= ~np.isfinite(self._own["data"])
        if "flags" in self._own and dqbitmask is not None:
            mask |= flagged(self._own["flags"], dqbitmask)
        if "mask" in self._own:
            mask |= self._own["mask"] != 0
        self._own["mask"] = mask

    @classmethod
    def from_cut(cls, parent: Image, cut: "Cut") -> "Cutout":
        """Make a cutout of what was cut.

        Parameters
        ----------
        parent : Image
            It was cut from.
        cut : Cut
            Planes and place.
        """
        cutout = cls.__new__(cls)
        cutout._begin(ImagePaths())
        cutout.parent = parent
        cutout.box = cut.placement.result
        cutout.source_box = cut.placement.source
        cutout.target_box = cut.placement.target
        cutout._archive = parent.archive
        cutout._own = dict(cut.planes)
        cutout._facts = {**_inherit(parent), "kind": "cutout", "flag_bits": cut.flag_bits}
        cutout._tidy()
        return cutout

    def _tidy(self) -> None:
        """Let a mask be of bools and a weight 0 outside the parent, whatever data are filled with there."""
        for name in ("mask", "weight"):
            if name in self._own:
                plane, outside = self._own[name], outside_mask(self.box.shape, self.target_box)
                plane[outside] = name == "mask"
                self._own[name] = plane.astype(bool) if name == "mask" else plane

    def copy(self) -> Self:
        """Make another of it whose planes, facts and meta are its own."""
        made = super().copy()
        made._said, made._extras = copy.deepcopy(self._said), copy.copy(self._extras)
        return made

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:  # noqa: FBT001  # numpy's protocol
        """Give the data, so that numpy and matplotlib take a cutout as it is."""
        return np.array(self.data, dtype=dtype, copy=copy)

    # Files

    def header_to_save(self) -> Header:
        """Give the header with the facts as they stand now, and the place, for a file of snapdb's own."""
        from snapdb.formats.stamp_files import STATE_CARD, to_card_text

        header = super().header_to_save()
        header[STATE_CARD] = to_card_text({**state_of(self), "meta": self.meta})
        return header

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a cutout from a file that :meth:`save`, :func:`snapdb.write_cutout` or stdpipe wrote.

        Parameters
        ----------
        path : Path or str
            The file.

        Returns
        -------
        Cutout
            With planes, mask, place, source and meta; its parent knows its size and coordinates,
            and has no pixels.

        Raises
        ------
        NotAnImageError
            If the file holds no image plane.
        CorruptFileError, UnknownFormatError, ObjectMissingError, StorageError
            If it cannot be read.
        """
        cutout = cls.__new__(cls)
        cutout._begin(ImagePaths())
        for name, value in read_cutout(Path(path)).items():
            setattr(cutout, name, value)
        return cutout


def _inherit(parent: Image) -> dict[str, Any]:
    """Give the facts that a cutout has from its parent; of a registered one all at once, which is quicker."""
    if parent.record is None:
        return {name: parent.fact(name) for name in INHERITED}
    found = dict(zip(INHERITED, _from_record(parent.record), strict=True))
    set_here = parent.facts_set
    return found | {name: set_here[name] for name in INHERITED if name in set_here} if set_here else found


_from_record = attrgetter(*INHERITED)

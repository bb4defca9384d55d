"""Images outside an archive: what their files and arrays say, found when first asked for."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from snapdb.archive.paths import PathLike
from snapdb.archive.planes import FilePlanes
from snapdb.errors import ProjectionError, ShapeError, UnitError, UsageError
from snapdb.model.image import ImageFacts, NewPlane, PlaneRecord
from snapdb.sky.fast.evaluator import FastWCS
from snapdb.sky.wcs import AstropyWCS, BaseWCS
from snapdb.storage import LocalStore
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from snapdb.formats.describe import Described


class FileLoader:
    """A file that is described on first use.

    Parameters
    ----------
    path : Path
        Of the data.
    hdu : int, optional
        Which image of the file.
    noisepath, flagspath : Path, optional
        Files of the other planes.
    instrument : str, optional
        Header map.
    """

    def __init__(
        self,
        path: Path,
        *,
        hdu: int | None = None,
        noisepath: Path | None = None,
        flagspath: Path | None = None,
        instrument: str | None = None,
    ) -> None:
        self.path = path
        self.hdu = hdu
        self.others = {"noise": noisepath, "flags": flagspath}
        self.instrument = instrument

    @classmethod
    def make(
        cls,
        path: Path | None,
        *,
        hdu: int | None,
        noisepath: PathLike | None,
        flagspath: PathLike | None,
        stem: bool,
        instrument: str | None,
    ) -> Self | None:
        """Make a loader from the parameters of an Image; None for an image in memory.

        Raises
        ------
        UsageError
            If they contradict each other.
        """
        if path is None:
            if noisepath or flagspath or stem:
                msg = (
                    "noisepath, flagspath and std_imagenames go with the path of an image; give full_filepath"
                )
                raise UsageError(msg)
            return None
        if stem:
            if noisepath or flagspath:
                msg = "std_imagenames=True names the noise and flags files; leave out noisepath and flagspath"
                raise UsageError(msg)
            path, noisepath, flagspath = (
                path.with_name(f"{path.name}_{part}.fits") for part in ("image", "noise", "flags")
            )
        noise, flags = (None if p is None else Path(p).absolute() for p in (noisepath, flagspath))
        return cls(path, hdu=hdu, noisepath=noise, flagspath=flags, instrument=instrument)

    @property
    def is_absent(self) -> bool:
        """Whether the file is not there and never was: one that may be written yet."""
        return "described" not in vars(self) and not self.path.exists()

    def file_of(self, name: str) -> Path:
        """Give the file that a plane is written to where the caller names none.

        Parameters
        ----------
        name : str
            The plane.
        """
        return self.others.get(name) or self.path

    def renewed(self) -> Self:
        """Make a loader of the same files, after they were written."""
        others = {name: p for name, p in self.others.items() if p is not None and p.exists()}
        return type(self)(self.path, noisepath=others.get("noise"), flagspath=others.get("flags"))

    @cached_property
    def described(self) -> "Described":
        """What the file says of the image."""
        from snapdb.formats.describe import describe, find_companions

        named = tuple(path for path in self.others.values() if path is not None)
        companions = named or find_companions(self.path)
        found = describe(self.path, companions=companions, instrument=self.instrument)
        if self.hdu is not None:
            found = [d for d in found if d.planes[0].layout.hdu == self.hdu]
        if len(found) == 1:
            return found[0]
        hdus = [d.planes[0].layout.hdu for d in describe(self.path, instrument=self.instrument)]
        msg = f"{self.path} holds images in HDUs {', '.join(map(str, hdus))}; choose one with imagehdu"
        raise UsageError(msg, path=str(self.path), hdus=hdus)

    @property
    def facts(self) -> ImageFacts:
        """What is known of the image."""
        return self.described.facts

    @cached_property
    def new_planes(self) -> tuple[NewPlane, ...]:
        """The planes with their files; files that the caller named win over what was found."""
        from snapdb.formats.describe import describe_plane

        planes = {p.layout.name: p for p in self.described.planes}
        for name, path in self.others.items():
            if path is not None:
                planes[name] = describe_plane(path, name=name, like=self.described)
        return tuple(planes.values())

    @cached_property
    def planes(self) -> FilePlanes:
        """Where the pixels are read from."""
        store = LocalStore(self.path.parent)
        records = []
        for plane in self.new_planes:
            key = store.key_of(plane.path)
            found = store.stat(key)
            record = PlaneRecord(
                layout=plane.layout, file_key=key, file_size=found.size, file_mtime_ns=found.mtime_ns
            )
            records.append(record)
        return FilePlanes(records, store)


def as_wcs(wcs: Any, header: Any) -> BaseWCS | None:
    """Give the WCS that a caller means: ours, astropy's, or a header's.

    Raises
    ------
    UsageError
        If `wcs` is none of these.
    """
    if wcs is None:
        if header is None or "CTYPE1" not in header:
            return None
        return AstropyWCS.from_header(header)
    if isinstance(wcs, BaseWCS):
        return wcs
    from astropy.wcs import WCS

    if isinstance(wcs, WCS):
        return AstropyWCS(wcs)
    msg = f"wcs is a {type(wcs).__name__}; expected snapdb's AstropyWCS or astropy.wcs.WCS"
    raise UsageError(msg)


def find_wcs(wcs_text: str, properties: Any, path: Path | None, hdu: int | None) -> BaseWCS:
    """Build the WCS of an image from what is known of it.

    Parameters
    ----------
    wcs_text : str
        Its WCS cards.
    properties : mapping
        With ``wcs_needs_file`` where tables in other HDUs belong to it.
    path : Path, optional
        Its file.
    hdu : int, optional
        HDU of its data.

    Raises
    ------
    ProjectionError
        If there is none.
    """
    if properties.get("wcs_needs_file") and path is not None and hdu is not None:
        from snapdb.formats.wcs import read_wcs

        return read_wcs(path, hdu)
    if not wcs_text:
        msg = "this image has no world coordinates; give Image(..., wcs=...) or a header with them"
        raise ProjectionError(msg, path=str(path))
    return FastWCS.from_text(wcs_text) or AstropyWCS.from_text(wcs_text)


def _as_plain(name: str, array: Any) -> Any:
    """Give an array without unit or mask; what they say must not be lost."""
    unit = getattr(array, "unit", None)
    if unit is not None and str(unit):
        numbers = "value" if hasattr(array, "value") else "data"
        msg = (
            f"{name} is in {unit}, which would be lost; give its numbers alone ({name}.{numbers}), "
            "and what a pixel of 1 means as zeropoint, its AB magnitude"
        )
        raise UnitError(msg, plane=name, unit=str(unit))
    if not np.ma.is_masked(array):
        return array
    if name == "flags":
        msg = "flags are a masked array, and a flag has no value for that; fill it: flags.filled(BIT)"
        raise UsageError(msg, plane=name)
    if not hasattr(array, "filled"):  # an NDData
        array = np.ma.MaskedArray(array.data, array.mask)
    kind = np.result_type(array.dtype, np.float32)
    return array.astype(kind).filled(np.nan)


def check_plane(name: str, array: Any, shape: tuple[int, int] | None) -> PixelArray:
    """See that an array can be a plane.

    Parameters
    ----------
    name : str
        Of the plane.
    array : array
        Its pixels.
    shape : tuple of int, optional
        Of the other planes.

    Returns
    -------
    array
        In native byte order. Masked pixels of a masked array are NaN.

    Raises
    ------
    ShapeError
        If it is not 2-D, of another shape than the other planes, or of a type that
        the plane cannot have (flags are integers, the others real numbers).
    UnitError
        If it has a unit, which would be lost.
    UsageError
        If flags are masked, which have no value for that.
    """
    plane = np.asarray(_as_plain(name, array))
    kinds = "iu" if name == "flags" else "fiu"
    if plane.ndim != 2 or plane.dtype.kind not in kinds or plane.size == 0:
        what = "integers" if name == "flags" else "real numbers"
        msg = f"{name} is an array of shape {plane.shape} and type {plane.dtype}; expected 2-D {what}"
        raise ShapeError(msg, plane=name)
    if shape is not None and plane.shape != shape:
        msg = f"{name} has shape {plane.shape}, but the image has {shape}"
        raise ShapeError(msg, plane=name, shape=plane.shape)
    return plane.astype(plane.dtype.newbyteorder("="), copy=False)

"""Images as astropy's own objects, and back: CCDData, NDData, Cutout2D, HDUList."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from snapdb.archive.loading import as_wcs
from snapdb.archive.planar import HEADER_FACTS, PLANES, PlanarImage
from snapdb.errors import FormatError, UnitError, UsageError
from snapdb.pixels.flags import bad_mask, no_data_bit
from snapdb.types import BoolArray, Header, PixelArray

if TYPE_CHECKING:
    from astropy.io.fits import HDUList  # noqa: TID251  # for type checkers alone
    from astropy.nddata import CCDData, Cutout2D, NDData, NDDataArray

MASKED = "MASKED"
"""Name of the bit of pixels that a mask marks and no flag explains."""
_READ = (*HEADER_FACTS, "properties", "release_date")
"""Facts that a header says, beside what follows from pixels and coordinates."""


class ConvertibleImage(PlanarImage):
    """An image that can be had as, and made of, astropy's objects."""

    def to_ccddata(self) -> "CCDData":
        """Give the image as a CCDData, all in memory and in arrays of its own.

        Returns
        -------
        astropy.nddata.CCDData
            `uncertainty` is the noise as StdDevUncertainty; `mask` is True where a bad
            flag is set; `flags` are the flags; `wcs` is an astropy WCS; `header` has the
            image's cards and facts, without coordinates; `unit` is that of the header's
            BUNIT, else adu, or adu/s where `data_units` is rate. Planes that the image
            does not have are None.
        """
        from astropy.nddata import CCDData

        return CCDData(**self._parts(), meta=self._meta())

    def to_nddata(self) -> "NDDataArray":
        """Give the image as an NDDataArray; its parts are those of :meth:`to_ccddata`.

        Returns
        -------
        astropy.nddata.NDDataArray
            `meta` is the header.
        """
        from astropy.nddata import NDDataArray

        return NDDataArray(**self._parts(), meta=self._meta())

    def to_hdulist(self) -> "HDUList":
        """Give the image as an HDUList in memory, as :meth:`Image.save` would write it.

        Returns
        -------
        astropy.io.fits.HDUList
            A primary HDU without data, then SCI, ERR, DQ and further planes by name.
        """
        from snapdb.formats.write import to_hdulist

        planes = {name: plane.copy() for name, plane in self._all_planes().items()}
        return to_hdulist(planes, self.header_to_save(), flag_bits=self.flag_bits)

    @classmethod
    def from_ccddata(cls, ccd: "NDData", **facts: Any) -> Self:
        """Make an image in memory of a CCDData, or of any NDData.

        Parameters
        ----------
        ccd : astropy.nddata.CCDData
            With 2-D data. Variances and inverse variances become noise; a mask becomes
            the flag MASKED where its pixels have no bad flag already.
        **facts : object
            Facts that win over what the header says.

        Returns
        -------
        Image
            Its arrays are copies.

        Raises
        ------
        UnitError
            If the uncertainty cannot become one standard deviation in the data's unit.
        UsageError
            If a fact cannot be, or the class is Cutout's.
        ShapeError
            If a part is not 2-D, or of another shape.
        """
        from snapdb.formats.exchange import from_meta, is_rate, split_own
        from snapdb.formats.header import with_facts

        _refuse_cutouts(cls)
        wcs = as_wcs(ccd.wcs, None)
        header, said, bits, bad = split_own(from_meta(ccd.meta, ccd.unit))
        if said is None:
            said = {"data_units": "rate"} if is_rate(ccd.unit) else {}
            said |= _describe(header, wcs, ccd.data.shape) if wcs is not None else {}
        flags, bits, bad = _merge_mask(ccd, bits or {}, bad)
        said |= {"flag_bits": bits, "bad_bits": bad, **facts}
        image: Any = cls
        made = image(data=np.array(ccd.data), noise=_noise_of(ccd), flags=flags, wcs=wcs, **said)
        made._header = with_facts(header, {}, made.wcs_header())  # noqa: SLF001  # of its own class
        return cast("Self", made)

    @classmethod
    def from_nddata(cls, data: "NDData", **facts: Any) -> Self:
        """Make an image in memory of any NDData; see :meth:`from_ccddata`.

        Parameters
        ----------
        data : astropy.nddata.NDData
            With 2-D data.
        **facts : object
            Facts that win over what `meta` says.
        """
        return cls.from_ccddata(data, **facts)

    @classmethod
    def from_hdulist(cls, hdus: "HDUList", *, hdu: int | None = None, instrument: str | None = None) -> Self:
        """Make an image in memory of an HDUList, as a file with the same HDUs would be read.

        Parameters
        ----------
        hdus : astropy.io.fits.HDUList
            Left as it is.
        hdu : int, optional
            Which HDU holds the data, when there are several images.
        instrument : str, optional
            Header map to read with; found from the header by default.

        Raises
        ------
        UsageError
            If there are several images, and `hdu` is not given.
        NotAnImageError, ProjectionError
            If none is an image of the sky.
        """
        from snapdb.formats.exchange import write_hdus

        _refuse_cutouts(cls)
        image: Any = cls
        with tempfile.TemporaryDirectory(prefix="snapdb-") as folder:
            path = Path(folder) / "hdus.fits"
            write_hdus(hdus, path)
            held = image(path, imagehdu=hdu, instrument=instrument)
            planes = held._all_planes()  # noqa: SLF001  # of its own class
            wcs, header = held.get_wcs(), held.header_to_save()
            facts = {name: held.fact(name) for name in (*_READ, "flag_bits")}
        facts["properties"] = {k: v for k, v in facts["properties"].items() if k != "wcs_needs_file"}
        three = {name: planes.pop(name, None) for name in PLANES}
        made = image(**three, wcs=wcs, header=header, **facts)
        for name, plane in planes.items():
            made._set_plane(name, plane)  # noqa: SLF001  # of its own class
        return cast("Self", made)

    def to_cutout2d(self) -> "Cutout2D":
        """Give a cutout as astropy's Cutout2D; an image that is none is the whole of itself.

        Returns
        -------
        astropy.nddata.Cutout2D
            Its `data` is a copy of the data; `origin_original`, `bbox_original`, the slices
            and so on are in pixels of the outermost image, which is not read. Its `wcs` is
            exact also where lookup tables belong to the coordinates, which Cutout2D's own
            are not; None without coordinates.
        """
        from astropy.nddata import Cutout2D

        outer: Any = self
        while getattr(outer, "parent", None) is not None:
            outer = outer.parent
        x0, y0 = getattr(self, "origin", (0, 0))
        whole = x0 >= 0 and y0 >= 0 and x0 + self.width <= outer.width and y0 + self.height <= outer.height
        stand_in = np.broadcast_to(np.zeros((), dtype=np.float32), outer.image_shape)  # takes no memory
        center = (x0 + (self.width - 1) / 2, y0 + (self.height - 1) / 2)
        made = Cutout2D(stand_in, center, self.image_shape, mode="strict" if whole else "partial", copy=True)
        made.data = self.data.copy()
        if self.has_wcs:
            made.wcs = self.get_wcs().get_astropy_wcs()
            made.wcs.array_shape = self.image_shape
        return made

    # The parts

    def _all_planes(self) -> dict[str, PixelArray]:
        """Give every plane by name."""
        names = self.plane_names
        return dict(zip(names, self.read_planes(names), strict=True))

    def _parts(self) -> dict[str, Any]:
        """Give what NDData is made of."""
        from astropy.nddata import StdDevUncertainty

        from snapdb.formats.exchange import find_unit

        planes = self._all_planes()
        noise, flags = planes.get("noise"), planes.get("flags")
        return {
            "data": planes["data"].copy() if "data" in planes else self.data.copy(),
            "uncertainty": None if noise is None else StdDevUncertainty(noise.copy()),
            "mask": None if flags is None else bad_mask(flags, self.bad_bits),
            "flags": None if flags is None else flags.copy(),
            "wcs": self.get_wcs().get_astropy_wcs() if self.has_wcs else None,
            "unit": find_unit(self.header, self.data_units),
        }

    def _meta(self) -> Header:
        """Give the header without coordinates, which the WCS holds, and with what flags mean."""
        from snapdb.formats.exchange import to_meta

        bits = self.flag_bits if "flags" in self.plane_names else None
        return to_meta(self.header_to_save(), bits, self.bad_bits)


def _refuse_cutouts(cls: type) -> None:
    """Refuse to make a cutout of what has no parent."""
    if hasattr(cls, "from_cut"):
        msg = f"a {cls.__name__} is cut from an image; make an Image, and cut from it with get_cutout"
        raise UsageError(msg)


def _describe(header: Header, wcs: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    """Read the facts of another program's header, as from a file that had it; none where it is no image."""
    from snapdb.formats.describe import describe
    from snapdb.formats.exchange import write_description

    with tempfile.TemporaryDirectory(prefix="snapdb-") as folder:
        path = Path(folder) / "described.fits"
        try:
            write_description(path, shape, header, wcs.to_fits_header())
            (found,) = describe(path)
        except FormatError:
            return {}
    return {name: getattr(found.facts, name) for name in _READ}


def _noise_of(ccd: "NDData") -> PixelArray | None:
    """Give an uncertainty as one standard deviation in the data's unit."""
    uncertainty = ccd.uncertainty
    if uncertainty is None:
        return None
    kind = uncertainty.uncertainty_type
    if kind not in _POWERS:
        msg = f"an uncertainty of type {kind!r} is no noise; expected {', '.join(_POWERS)}"
        raise UnitError(msg, kind=kind)
    array: PixelArray = np.array(uncertainty.array)
    if uncertainty.unit is not None and ccd.unit is not None:
        array = array * _scale(uncertainty.unit, ccd.unit ** _POWERS[kind])
    if kind == "std":
        return array
    with np.errstate(divide="ignore"):  # no weight is infinite noise
        return np.asarray(np.sqrt(array) if kind == "var" else 1.0 / np.sqrt(array))


_POWERS = {"std": 1, "var": 2, "ivar": -2}
"""Type of uncertainty -> power of the data's unit that it has."""


def _scale(unit: Any, wanted: Any) -> float:
    """Give the factor from one unit to another."""
    from astropy.units import UnitConversionError

    try:
        return float(unit.to(wanted))
    except UnitConversionError as err:
        msg = f"the uncertainty is in {unit}; expected a unit that converts to {wanted}"
        raise UnitError(msg, unit=str(unit)) from err


def _merge_mask(
    ccd: "NDData", bits: dict[str, int], bad: int
) -> tuple[PixelArray | None, dict[str, int], int]:
    """Give flags, their names and the bad bits, such that the bad pixels are those of the mask."""
    mask = None if ccd.mask is None else np.broadcast_to(np.asarray(ccd.mask, dtype=bool), ccd.data.shape)
    given = getattr(ccd, "flags", None)
    if given is None:
        if mask is None:
            return None, bits, bad
        return mask.astype(np.uint8), {MASKED: 1}, 1
    flags: PixelArray = np.array(given)
    if mask is None or np.array_equal(bad_mask(flags, bad), mask):
        return flags, bits, bad
    return _add_bit(flags, mask, bits)


def _add_bit(
    flags: PixelArray, mask: BoolArray, bits: dict[str, int]
) -> tuple[PixelArray, dict[str, int], int]:
    """Let a bit of its own say what a mask says, and be the only bad one."""
    used = int(np.bitwise_or.reduce(flags, axis=None))
    taken = {f"bit {i}": 1 << i for i in range(flags.dtype.itemsize * 8) if used >> i & 1}
    bit, dtype = no_data_bit(
        {**taken, **{name: b for name, b in bits.items() if name != "NO_DATA"}}, flags.dtype
    )
    wider = flags.astype(dtype)
    wider[mask] |= np.array(bit, dtype=dtype)
    return wider, {**bits, MASKED: bit}, bit

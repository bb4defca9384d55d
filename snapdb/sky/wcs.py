"""World coordinates: 0-based pixels to ICRS degrees and back."""

import re
import warnings
from abc import ABC, abstractmethod
from copy import copy, deepcopy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from snapdb.errors import ProjectionError
from snapdb.pixels.box import is_inside
from snapdb.sky.dialects import mend_header
from snapdb.sky.frames import find_frame
from snapdb.sky.invert import invert_distortion, same_place
from snapdb.sky.vectors import normalize, to_vectors, wrap_ra
from snapdb.types import BoolArray, Degrees, FloatArray

if TYPE_CHECKING:
    from astropy.io.fits import Header

_ROUND_TRIP_PX = 0.01
"""A pixel is believed when its own sky position lies this close to the one asked for."""


class BaseWCS(ABC):
    """What every kind of world coordinates can do.

    Pixels are 0-based with their centres at integers; sky positions are ICRS degrees,
    right ascension in [0, 360). Scalars give floats, everything else arrays of the
    same shape, of any size. A position that does not project is NaN and spoils no other.
    """

    __slots__ = ()

    @abstractmethod
    def pixel_to_world(self, x: ArrayLike, y: ArrayLike) -> tuple[Degrees, Degrees]:
        """Give the ICRS positions of pixels."""

    @abstractmethod
    def world_to_pixel(self, ra: ArrayLike, dec: ArrayLike) -> tuple[Degrees, Degrees]:
        """Give the pixels of ICRS positions, NaN where they do not project."""

    @abstractmethod
    def shifted(self, dx: int, dy: int) -> "BaseWCS":
        """Give the coordinates of a cutout whose pixel (0, 0) is this image's (dx, dy)."""

    @abstractmethod
    def to_general(self) -> "AstropyWCS":
        """Give the same coordinates as the general kind."""

    @abstractmethod
    def to_fits_header(self) -> "Header":
        """Give the coordinates as FITS cards."""

    @property
    def has_tables(self) -> bool:
        """Whether lookup tables, which header cards cannot hold, belong to the coordinates."""
        return False

    @abstractmethod
    def get_astropy_wcs(self) -> Any:
        """Give them as an astropy WCS, in the header's own frame."""

    def includes(self, ra: ArrayLike, dec: ArrayLike, width: int, height: int) -> bool | BoolArray:
        """Tell whether positions lie in an image, up to its pixels' outer edges.

        Parameters
        ----------
        ra, dec : float or array
            ICRS degrees.
        width, height : int
            Size of the image, pixels.

        Returns
        -------
        bool or array of bool
            False where a position does not project.
        """
        x, y = self.world_to_pixel(ra, dec)
        return is_inside(x, y, width, height)

    def pixel_scale_arcsec(self, x: float, y: float) -> float:
        """Measure a pixel: the root of its area on the sky, arcseconds."""
        corners = self._vectors_around(x, y)
        across, up = corners[1] - corners[0], corners[3] - corners[2]
        return float(np.degrees(np.sqrt(np.linalg.norm(np.cross(across, up)))) * 3600.0)

    def position_angle(self, width: int, height: int) -> float:
        """Measure the direction of +y at an image's centre, degrees east of north in [0, 360).

        Parameters
        ----------
        width, height : int
            Size of the image, pixels.
        """
        corners = self._vectors_around((width - 1) / 2, (height - 1) / 2)
        center = normalize(corners.sum(axis=0))
        up = corners[3] - corners[2]
        east = np.array([-center[1], center[0], 0.0])
        length = np.linalg.norm(east)
        east = east / length if length > 0 else np.array([0.0, 1.0, 0.0])
        north = np.cross(center, east)
        return float(wrap_ra(np.degrees(np.arctan2(up @ east, up @ north))))

    def _vectors_around(self, x: float, y: float) -> FloatArray:
        """Give the directions half a pixel left, right, below and above a pixel's centre."""
        ra, dec = self.pixel_to_world([x - 0.5, x + 0.5, x, x], [y, y, y - 0.5, y + 0.5])
        return to_vectors(ra, dec)


class AstropyWCS(BaseWCS):
    """World coordinates that astropy and wcslib evaluate, all distortions included.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        With two celestial axes; further axes are left out.
    origin : tuple of float
        The pixel (x, y) of `wcs` that is pixel (0, 0) here.

    Raises
    ------
    ProjectionError
        If they are not celestial, or cannot be evaluated.
    """

    def __init__(self, wcs: Any, *, origin: tuple[float, float] = (0, 0)) -> None:
        self._origin = origin
        with _translated():
            self._wcs = wcs if wcs.naxis == 2 else wcs.celestial
            self._wcs.wcs.set()
            if not self._wcs.has_celestial:
                types = ", ".join(t or "none" for t in self._wcs.wcs.ctype)
                msg = f"the axes are {types}: these are no positions on the sky"
                raise ProjectionError(msg)
            self._frame = find_frame(self._wcs)
            self._lng, self._lat = self._wcs.wcs.lng, self._wcs.wcs.lat
            self._distorted = self._wcs.has_distortion

    @classmethod
    def from_header(cls, header: "Header | str", *, fobj: Any = None) -> Self:
        """Read the coordinates of a header, mending its dialect.

        Parameters
        ----------
        header : astropy.io.fits.Header or str
            Of an image; text has 80-character cards with newlines between them.
        fobj : astropy.io.fits.HDUList, optional
            Where lookup tables that the header names (CPDIS, D2IM) are found.

        Raises
        ------
        ProjectionError
            If there are none, they are not celestial, or they cannot be evaluated.
        """
        from astropy.wcs import WCS

        with _translated():
            mended, notes = mend_header(_as_header(header))
            if "CTYPE1" not in mended:
                msg = "the header has no world coordinates (CTYPE1 is absent)"
                raise ProjectionError(msg)
            made = cls(WCS(mended, fobj=fobj, naxis=2))
        for note in notes:
            warnings.warn(note, stacklevel=2)
        return made

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read coordinates that :func:`wcs_text` wrote; its faults were told then."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cls.from_header(text)

    def pixel_to_world(self, x: ArrayLike, y: ArrayLike) -> tuple[Degrees, Degrees]:
        """Give the ICRS positions of pixels."""
        flat, shape = _flatten(x, y)
        ra, dec = self._to_icrs(flat + self._origin)
        return _shaped(ra, shape), _shaped(dec, shape)

    def world_to_pixel(self, ra: ArrayLike, dec: ArrayLike) -> tuple[Degrees, Degrees]:
        """Give the pixels of ICRS positions, NaN where they do not project.

        A projection may give a pixel to a position on the far side of the sky, and a
        polynomial may fold; so each pixel is mapped back, and dropped when it does not
        return to the position.
        """
        flat, shape = _flatten(ra, dec)
        pixel = self._to_pixel(flat)
        back = to_vectors(*self._to_icrs(pixel))
        size = np.radians(self._scale_deg) * _ROUND_TRIP_PX
        pixel[~same_place(back, to_vectors(flat[:, 0], flat[:, 1]), size)] = np.nan
        pixel -= self._origin
        return _shaped(pixel[:, 0], shape), _shaped(pixel[:, 1], shape)

    @property
    def _scale_deg(self) -> float:
        """Size of a pixel at the reference point, degrees."""
        matrix = self._wcs.pixel_scale_matrix
        return float(np.sqrt(abs(np.linalg.det(matrix))))

    def _to_icrs(self, pixel: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Map rows of pixels to ICRS."""
        if len(pixel) == 0:
            return np.empty(0), np.empty(0)
        world = self._wcs.all_pix2world(pixel, 0)
        ra, dec = self._frame.to_icrs(world[:, self._lng], world[:, self._lat])
        return wrap_ra(ra), np.asarray(dec)

    def _to_pixel(self, radec: FloatArray) -> FloatArray:
        """Map rows of ICRS positions to pixels, NaN where the projection has none."""
        world = np.full_like(radec, np.nan)
        good = np.isfinite(radec).all(axis=1) & (np.abs(np.nan_to_num(radec[:, 1])) <= 90.0)
        if not good.any():
            return world
        lon, lat = self._frame.from_icrs(radec[good, 0], radec[good, 1])
        world[good, self._lng], world[good, self._lat] = lon, lat
        focal = np.full_like(radec, np.nan)
        focal[good] = self._project(world[good])
        return invert_distortion(self._wcs, focal) if self._distorted else focal

    def _project(self, world: FloatArray) -> FloatArray:
        """Project rows of native positions, one by one where wcslib refuses the whole."""
        try:
            return np.asarray(self._wcs.wcs_world2pix(world, 0))
        except (ValueError, MemoryError):  # what wcslib raises, WcsError, is a ValueError
            if len(world) == 1:
                return np.full((1, 2), np.nan)
            return np.concatenate([self._project(row[None]) for row in world])

    def shifted(self, dx: int, dy: int) -> "AstropyWCS":
        """Give the coordinates of a cutout whose pixel (0, 0) is this image's (dx, dy).

        Every distortion stays exact: the full image's coordinates are asked at moved pixels.
        """
        moved = copy(self)
        moved._origin = (self._origin[0] + int(dx), self._origin[1] + int(dy))  # noqa: SLF001  # of its own class
        return moved

    def _moved_wcs(self) -> Any:
        """Give an astropy WCS of its own whose pixel (0, 0) is this one's."""
        moved = deepcopy(self._wcs)
        offset = np.array(self._origin, dtype=np.float64)
        moved.pixel_shape = None
        moved.wcs.name = ""  # for the plates of the Sky Survey, wcslib leaves stray bytes in it
        if not offset.any():
            return moved
        moved.wcs.crpix = moved.wcs.crpix - offset
        if moved.sip is not None:
            from astropy.wcs import Sip

            sip = moved.sip
            moved.sip = Sip(sip.a, sip.b, sip.ap, sip.bp, sip.crpix - offset)
        for table in (moved.cpdis1, moved.cpdis2, moved.det2im1, moved.det2im2):
            if table is not None:
                table.crval = tuple(np.array(table.crval) - offset)
        return moved

    @property
    def has_tables(self) -> bool:
        """Whether lookup tables, which header cards cannot hold, belong to the coordinates."""
        inner = self._wcs
        return any(t is not None for t in (inner.cpdis1, inner.cpdis2, inner.det2im1, inner.det2im2))

    def to_general(self) -> "AstropyWCS":
        """Give these coordinates themselves."""
        return self

    def to_fits_header(self) -> "Header":
        """Give the coordinates as FITS cards, SIP included; lookup tables have no cards.

        Raises
        ------
        ProjectionError
            If there are no cards for them that all readers know, as for plate polynomials.
        """
        with warnings.catch_warnings(), _translated():
            warnings.simplefilter("ignore")
            header = self._moved_wcs().to_header(relax=True)
        if any(re.match(r"C[PQ]DIS\d", keyword) for keyword in header):
            msg = "the coordinates have a distortion that is written in cards of wcslib's own alone"
            raise ProjectionError(msg)
        return header

    def get_astropy_wcs(self) -> Any:
        """Give a copy of the astropy WCS, in the header's own frame."""
        return self._moved_wcs()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._wcs, self._origin)

    def __repr__(self) -> str:
        ra, dec = self._wcs.wcs.crval[self._lng], self._wcs.wcs.crval[self._lat]
        return f"<AstropyWCS {self._wcs.wcs.ctype[0]} at ({ra:.5f}, {dec:.5f}) {self._wcs.wcs.radesys}>"


def _rebuild(wcs: Any, origin: tuple[float, float]) -> AstropyWCS:
    """Make coordinates again in another process."""
    return AstropyWCS(wcs, origin=origin)


def wcs_text(header: "Header | str") -> str:
    """Give the mended WCS cards of a header as text to be kept: 80 characters each, newlines between.

    Parameters
    ----------
    header : astropy.io.fits.Header or str
        Of an image.
    """
    mended, _ = mend_header(_as_header(header))
    text = mended.tostring(sep="", endcard=False, padding=False)
    return "\n".join(text[i : i + 80].rstrip() for i in range(0, len(text), 80))


def _as_header(header: "Header | str") -> "Header":
    """Give a header that may be text."""
    if not isinstance(header, str):
        return header
    from astropy.io.fits import Header

    return Header.fromstring("\n".join(line.ljust(80) for line in header.splitlines()), sep="\n")


def _flatten(a: ArrayLike, b: ArrayLike) -> tuple[FloatArray, tuple[int, ...] | None]:
    """Give coordinates as rows, and their shape; None for scalars."""
    first, second = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    rows = np.stack((first.ravel(), second.ravel()), axis=1)
    return rows, None if first.ndim == 0 else first.shape


def _shaped(values: FloatArray, shape: tuple[int, ...] | None) -> Degrees:
    """Give values the shape of what was asked."""
    return float(values[0]) if shape is None else values.reshape(shape)


class _translated:  # noqa: N801  # a context manager, used as a verb
    """Turn what astropy and wcslib raise for a header into ProjectionError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, ProjectionError) or not isinstance(error, Exception):
            return
        reason = " ".join(str(error).split()) or type(error).__name__
        msg = f"the world coordinates cannot be evaluated: {reason}"
        raise ProjectionError(msg) from error

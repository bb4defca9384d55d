"""An image that has a place in another: where it lies, and the sky through it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import numpy as np

from snapdb.archive.image import Image
from snapdb.errors import ProjectionError, ShapeError, UsageError
from snapdb.pixels.box import Box
from snapdb.pixels.crops import as_whole
from snapdb.sky.wcs import BaseWCS
from snapdb.types import FloatArray, Header


class PlacedImage(Image):
    """An image cut from another, with its place in that one's pixels.

    ``blc``, ``trc``, ``dx`` and all that follow are subpixal's names; corners are whole pixels,
    the upper one included.
    """

    DEFAULT_ACCURACY: ClassVar[float] = 1.0e-5
    """Pixels to which :meth:`world2pix` iterates."""
    DEFAULT_MAXITER: ClassVar[int] = 50
    """Rounds after which :meth:`world2pix` tries another method."""
    DEFAULT_QUIET: ClassVar[bool] = True
    """Whether positions without a pixel are NaN; otherwise :meth:`world2pix` refuses them."""

    parent: Image
    """The image that it was cut from."""
    box: Box
    """Where it lies in its parent's pixels; may reach beyond it in mode ``partial``."""
    source_box: Box
    """The part of the parent that its pixels were taken from."""
    target_box: Box
    """Where that part lies in this image's own pixels."""

    src_id: Any = None
    """Whatever ties the source to a record of a catalogue."""
    _dx: float = 0
    _dy: float = 0
    _src_pos: tuple[float, float] | None = None
    _src_weight: float | None = None
    _image_wcs: Any = None

    @property
    def parent_id(self) -> UUID | None:
        """Id of the nearest registered image that it was cut from; None where there is none."""
        return self.parent.parent_id if isinstance(self.parent, PlacedImage) else self.parent.id

    @property
    def origin(self) -> tuple[int, int]:
        """Pixel ``(x, y)`` of the outermost parent that is this cutout's pixel (0, 0)."""
        x0, y0 = self.box.x0, self.box.y0
        if isinstance(self.parent, PlacedImage):
            above = self.parent.origin
            return above[0] + x0, above[1] + y0
        return x0, y0

    @property
    def is_whole(self) -> bool:
        """Whether every pixel of it exists in the parent."""
        return self.target_box.shape == self.box.shape

    def all_source_paths(self) -> set[Path]:
        """Give the files that the parents' pixels are read from."""
        return self.parent.all_source_paths()

    # Place

    @property
    def blc(self) -> tuple[int, int]:
        """Pixel ``(x, y)`` of the parent that is the bottom-left one; setting it moves `trc` along."""
        return self.box.x0, self.box.y0

    @blc.setter
    def blc(self, corner: Sequence[int]) -> None:
        x0, y0 = (as_whole(v, name="blc") for v in _pair(corner, "blc"))
        self._move(x0, y0)

    @property
    def trc(self) -> tuple[int, int]:
        """Pixel ``(x, y)`` of the parent that is the top-right one, included; `blc` moves along."""
        return self.box.x1 - 1, self.box.y1 - 1

    @trc.setter
    def trc(self, corner: Sequence[int]) -> None:
        x1, y1 = (as_whole(v, name="trc") for v in _pair(corner, "trc"))
        self._move(x1 - self.box.width + 1, y1 - self.box.height + 1)

    def _move(self, x0: int, y0: int) -> None:
        """Move the whole box: its size follows from the pixels."""
        self.box = Box(x0, y0, self.box.width, self.box.height)
        self._forget_sky()

    @property
    def dx(self) -> float:
        """Displacement of the pixel grid along x, pixels: pixel x is ``x + blc[0] - dx`` of the parent."""
        return self._dx

    @dx.setter
    def dx(self, value: float) -> None:
        self._dx = _displacement(value, "dx")
        self._forget_sky()

    @property
    def dy(self) -> float:
        """Displacement of the pixel grid along y, pixels: pixel y is ``y + blc[1] - dy`` of the parent."""
        return self._dy

    @dy.setter
    def dy(self, value: float) -> None:
        self._dy = _displacement(value, "dy")
        self._forget_sky()

    def _forget_sky(self) -> None:
        """Let go of what followed from the place."""
        self._wcs = self._geometry = self._header = None

    @property
    def naxis(self) -> list[int]:
        """Width and height, as FITS has NAXIS1 and NAXIS2."""
        return [self.box.width, self.box.height]

    @property
    def naxis1(self) -> int:
        """Width, pixels."""
        return self.box.width

    @property
    def naxis2(self) -> int:
        """Height, pixels."""
        return self.box.height

    @property
    def extraction_slice(self) -> tuple[slice, slice]:
        """Slices ``(y, x)`` of the parent's array that its pixels were taken with."""
        return self.source_box.slices

    @property
    def insertion_slice(self) -> tuple[slice, slice]:
        """Slices ``(y, x)`` of its own array that they were put into; all of it unless it reaches beyond."""
        return self.target_box.slices

    def get_bbox(self, wrt: str = "orig") -> FloatArray:
        """Give the corners of the outer pixel edges.

        Parameters
        ----------
        wrt : {'orig', 'blc', 'world'}
            In pixels of the parent, in pixels of the cutout, or on the sky as
            :meth:`pix2world` has it. `dx` and `dy` count for ``world`` alone.

        Returns
        -------
        array, shape (4, 2)
            Bottom left, top left, top right, bottom right.

        Raises
        ------
        UsageError
            If `wrt` is none of the three.
        """
        if wrt not in ("orig", "blc", "world"):
            msg = f"wrt={wrt!r}: expected 'orig', 'blc' or 'world'"
            raise UsageError(msg, wrt=wrt)
        x0, y0 = self.blc if wrt == "orig" else (0, 0)
        low_x, low_y = x0 - 0.5, y0 - 0.5
        high_x, high_y = low_x + self.box.width, low_y + self.box.height
        corners = np.array([[low_x, low_y], [low_x, high_y], [high_x, high_y], [high_x, low_y]])
        return self.pix2world(corners) if wrt == "world" else corners

    # Source

    @property
    def src_pos(self) -> tuple[float, float]:
        """Position ``(x, y)`` of the source in the parent's pixels; the middle of the box unless set."""
        if self._src_pos is None:
            (x0, y0), (x1, y1) = self.blc, self.trc
            return 0.5 * (x0 + x1), 0.5 * (y0 + y1)
        return self._src_pos

    @src_pos.setter
    def src_pos(self, position: Sequence[float] | None) -> None:
        self._src_pos = None if position is None else _pair(position, "src_pos")

    @property
    def cutout_src_pos(self) -> tuple[float, float]:
        """Position ``(x, y)`` of the source in the cutout's own pixels."""
        x, y = self.src_pos
        return x - self.box.x0, y - self.box.y0

    @cutout_src_pos.setter
    def cutout_src_pos(self, position: Sequence[float] | None) -> None:
        if position is None:
            self._src_pos = None
            return
        x, y = _pair(position, "cutout_src_pos")
        self._src_pos = x + self.box.x0, y + self.box.y0

    @property
    def src_weight(self) -> float | None:
        """Weight of the source, 0 or more; None where it has none."""
        return self._src_weight

    @src_weight.setter
    def src_weight(self, weight: float | None) -> None:
        if weight is not None and not weight >= 0:
            msg = f"src_weight={weight!r}: expected 0 or more"
            raise UsageError(msg, src_weight=weight)
        self._src_weight = weight

    # Sky

    @property
    def has_wcs(self) -> bool:
        """Whether there are world coordinates: those of the parent, shifted."""
        return self.parent.has_wcs

    def _find_wcs(self) -> BaseWCS:
        """Shift the parent's WCS to this box."""
        if not (self._dx or self._dy):
            return self.parent.get_wcs().shifted(self.box.x0, self.box.y0)
        from snapdb.sky.native import displace

        return displace(self.parent.get_wcs(), self.box.x0 - self._dx, self.box.y0 - self._dy)

    @property
    def wcs(self) -> Any:
        """The astropy WCS of the parent, in the parent's pixels; None where there is none.

        That of the cutout's own pixels is ``get_wcs().get_astropy_wcs()``, or ``cutout["wcs"]``.
        """
        if self._image_wcs is None and self.parent.has_wcs:
            self._image_wcs = self.parent.get_wcs().get_astropy_wcs()
        return self._image_wcs

    def _celestial_wcs(self) -> Any:
        """Give the parent's astropy WCS with two axes."""
        wcs = self.wcs
        if wcs is None:
            msg = f"{self.label} has no world coordinates; give Cutout(data, wcs) or an image with them"
            raise ProjectionError(msg)
        return wcs if wcs.naxis == 2 else wcs.celestial

    @property
    def pscale(self) -> float:
        """Size of a pixel in the tangent plane at the reference point, degrees.

        Raises
        ------
        ProjectionError
            Where there are no world coordinates.
        """
        from snapdb.sky.native import pixel_scale_deg

        return pixel_scale_deg(self._celestial_wcs())

    def pix2world(self, *args: Any, origin: int = 0) -> Any:
        """Map pixels of the cutout to the sky, in the axes and the frame of `wcs`, all distortions included.

        :meth:`pixel_to_world` gives ICRS instead, whatever the frame of the WCS.

        Parameters
        ----------
        *args : array
            Columns x and rows y, or one array of shape (n, 2).
        origin : int
            What the first pixel is called: 0 or 1.

        Returns
        -------
        list or array
            ``[lon, lat]`` in degrees of the shape of x and y, or an array of shape (n, 2).

        Raises
        ------
        ShapeError
            If the arguments are neither two arrays nor one of shape (n, 2).
        ProjectionError
            Where there are no world coordinates.
        """
        rows, shape = _rows(args)
        offset = np.array([self.box.x0 - self._dx, self.box.y0 - self._dy])
        world = rows if len(rows) == 0 else self._celestial_wcs().all_pix2world(rows + offset, origin)
        return _as_given(world, shape)

    def world2pix(self, *args: Any, origin: int = 0) -> Any:
        """Map positions, in the axes and the frame of `wcs`, to pixels of the cutout.

        The inverse of :meth:`pix2world`; :meth:`world_to_pixel` takes ICRS instead.

        Parameters
        ----------
        *args : array
            Longitude and latitude in degrees, or one array of shape (n, 2).
        origin : int
            What the first pixel is called: 0 or 1.

        Returns
        -------
        list or array
            ``[x, y]`` of the shape of the arguments, or an array of shape (n, 2); NaN for a position
            that has no pixel, which spoils no other.

        Raises
        ------
        ShapeError, ProjectionError
            As :meth:`pix2world`; also ProjectionError for a position without a pixel where
            `DEFAULT_QUIET` is False.
        """
        from snapdb.sky.native import find_pixels

        rows, shape = _rows(args)
        pixel = find_pixels(
            self._celestial_wcs(),
            rows,
            origin,
            accuracy=self.DEFAULT_ACCURACY,
            maxiter=self.DEFAULT_MAXITER,
            quiet=self.DEFAULT_QUIET,
        )
        offset = np.array([self.box.x0 - self._dx, self.box.y0 - self._dy])
        return _as_given(pixel - offset, shape)

    def _own_header(self) -> Header:
        """Give the parent's header with this cutout's size, WCS and origin."""
        from snapdb.formats.header import crop_header
        from snapdb.formats.stamp_files import STATE_CARD

        header = crop_header(self.parent.header, self.wcs_header(), self.box)
        header.remove(STATE_CARD, ignore_missing=True)
        return header


def _pair(value: Sequence[float], name: str) -> tuple[float, float]:
    """Take the first two numbers of a sequence."""
    try:
        x, y = tuple(value)[:2]
        return (x.item() if isinstance(x, np.generic) else x), (y.item() if isinstance(y, np.generic) else y)
    except (TypeError, ValueError) as err:
        msg = f"{name}={value!r}: expected two numbers, (x, y)"
        raise ShapeError(msg, name=name) from err


def _displacement(value: float, name: str) -> float:
    """Take a displacement."""
    try:
        if np.isfinite(value):
            return value
    except TypeError:
        pass
    msg = f"{name}={value!r}: expected a finite number of pixels"
    raise UsageError(msg, name=name)


def _rows(args: tuple[Any, ...]) -> tuple[FloatArray, tuple[int, ...] | None]:
    """Give coordinates as rows of their own, and the shape of each where there are two; None for pairs."""
    try:
        arrays = [np.asarray(a, dtype=np.float64) for a in args]
        if len(arrays) == 2:
            first, second = np.broadcast_arrays(*arrays)
            return np.stack((first.ravel(), second.ravel()), axis=1), first.shape
    except (TypeError, ValueError) as err:
        msg = f"these are no coordinates: {err}"
        raise ShapeError(msg) from err
    if len(arrays) == 1 and arrays[0].ndim == 2 and arrays[0].shape[1] == 2:
        return arrays[0].copy(), None
    shapes = ", ".join(str(a.shape) for a in arrays)
    msg = f"{len(arrays)} arguments of shapes {shapes}: expected two of one shape, or one of shape (n, 2)"
    raise ShapeError(msg)


def _as_given(rows: FloatArray, shape: tuple[int, ...] | None) -> Any:
    """Give rows in the form in which coordinates came."""
    return rows if shape is None else [rows[:, 0].reshape(shape), rows[:, 1].reshape(shape)]

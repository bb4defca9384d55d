"""What the PSF models of this package have in common."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from snapdb.errors import UsageError
from snapdb.photometry.psf.protocol import centre_pixel, check_positions, check_size, to_whole
from snapdb.types import FloatArray

CHUNK_PIXELS = 100_000
"""Pixels of stamps that are drawn in one step, so that what they need stays in cache."""


class PSFModel(ABC):
    """A PSF that draws many stamps in one call.

    A model gives its stamp size and :meth:`_draw`; all else follows.

    Parameters
    ----------
    stamp_size : int
        Side of the stamps that :meth:`get_stamp` gives, in pixels; odd.
    x, y : float
        Position that :meth:`get_stamp` takes when it is given none, in pixels.

    Raises
    ------
    UsageError
        If the stamp size is not odd.
    """

    def __init__(self, *, stamp_size: int, x: float | None = None, y: float | None = None) -> None:
        self._stamp_size = check_size(stamp_size)
        self.x = 0.0 if x is None else float(x)
        self.y = 0.0 if y is None else float(y)

    @property
    def stamp_size(self) -> int:
        """Side of the square that :meth:`get_stamp` gives, in pixels; odd."""
        return self._stamp_size

    @property
    def clip_size(self) -> int:
        """The stamp size, by its older name."""
        return self._stamp_size

    def render(
        self,
        x: FloatArray,
        y: FloatArray,
        size: int,
        *,
        x0: FloatArray | None = None,
        y0: FloatArray | None = None,
    ) -> FloatArray:
        """Draw unit-flux stamps at many positions.

        Parameters
        ----------
        x, y : array
            Positions on the image, in pixels, 0-based, shape (N,).
        size : int
            Side of the stamps, in pixels; odd. It may be smaller or larger than the stamp size.
        x0, y0 : array, optional
            Centre pixels of the stamps; ``floor(x + 0.5)`` and ``floor(y + 0.5)`` when not given.

        Returns
        -------
        array
            float64, shape (N, size, size); NaN where the position is not finite.

        Raises
        ------
        ShapeError
            If `x` and `y` differ in shape or have another dimension than one.
        UsageError
            If `size` is not odd.
        """
        x, y = check_positions(x, y)
        size = check_size(size)
        dx = x - (centre_pixel(x) if x0 is None else np.asarray(x0))
        dy = y - (centre_pixel(y) if y0 is None else np.asarray(y0))
        stamps = np.empty((len(x), size, size))
        known = np.isfinite(dx) & np.isfinite(dy)
        stamps[~known] = np.nan
        rows = np.flatnonzero(known)
        step = max(1, CHUNK_PIXELS // size**2)
        for begin in range(0, len(rows), step):
            part = rows[begin : begin + step]
            stamps[part] = self._draw(x[part], y[part], dx[part], dy[part], size)
        return stamps

    def get_stamp(
        self,
        x: float | None = None,
        y: float | None = None,
        x0: int | None = None,
        y0: int | None = None,
        flux: float = 1.0,
    ) -> FloatArray:
        """Draw the image of one point source.

        Parameters
        ----------
        x, y : float, optional
            Position on the image, in pixels; the model's own when not given.
        x0, y0 : int, optional
            The image's pixel at the centre of the stamp; ``floor(x + 0.5)`` when not given.
        flux : float
            Flux of the source.

        Returns
        -------
        array
            Shape (stamp_size, stamp_size).

        Raises
        ------
        UsageError
            If the position is not finite, or the centre pixel is not a whole number.
        """
        at_x, at_y = self.x if x is None else float(x), self.y if y is None else float(y)
        if not (np.isfinite(at_x) and np.isfinite(at_y)):
            msg = f"PSF stamp at ({at_x}, {at_y}): expected finite pixel coordinates"
            raise UsageError(msg, x=at_x, y=at_y)
        stamp = self.render(
            np.array([at_x]),
            np.array([at_y]),
            self._stamp_size,
            x0=None if x0 is None else np.array([to_whole(x0, "centre pixel")]),
            y0=None if y0 is None else np.array([to_whole(y0, "centre pixel")]),
        )[0]
        return np.asarray(stamp * flux)

    def stamp(self, x: float, y: float, flux: float = 1.0) -> FloatArray:
        """Draw one point source on the stamp around its pixel.

        Parameters
        ----------
        x, y : float
            Position on the image, in pixels.
        flux : float
            Flux of the source.

        Returns
        -------
        array
            Shape (stamp_size, stamp_size).

        Raises
        ------
        UsageError
            If the position is not finite.
        """
        return self.get_stamp(x, y, flux=flux)

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Say what identifies the model, as JSON can hold it.

        Returns
        -------
        dict
            ``class`` and the numbers of the model; arrays are given as the SHA-256 of their
            bytes. Two models that draw the same stamps for the same reason give equal dicts.
        """

    @abstractmethod
    def _draw(self, x: FloatArray, y: FloatArray, dx: FloatArray, dy: FloatArray, size: int) -> FloatArray:
        """Draw sources at (x, y) of the image, which are (dx, dy) from the centre of their stamps."""

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self.parameters().items() if name != "class")
        return f"{type(self).__name__}({facts})"

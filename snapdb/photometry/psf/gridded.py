"""PSFs that change over an image, as a grid of effective PSFs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.photometry.psf.base import PSFModel
from snapdb.photometry.psf.digest import digest
from snapdb.photometry.psf.image import (
    check_image,
    check_oversampling,
    covering,
    middle,
    scale,
    spline_of,
    warn_if_coarse,
)
from snapdb.types import FloatArray, IntArray, PixelArray


class GriddedPSF(PSFModel):
    """PSFs at the nodes of a rectangular grid, and between them what is bilinear.

    Beyond the grid's edge the PSF is that of the edge.

    Parameters
    ----------
    data : array
        Images of the PSF ``[node, y, x]``, finite, at least 4 samples a side.
    positions : array
        The nodes' positions (x, y) on the image, in pixels, shape (G, 2). They fill a grid, of any
        spacing and in any order.
    oversampling : int or pair of int
        Samples along one pixel; a pair is (y, x).
    is_prf : bool
        Whether pixels are already integrated over, as in the grids of photutils and STPSF.
    captured : float, optional
        The part of a source's flux that falls on each image, to which all are scaled. None takes
        what the images say, as photutils does.
    x, y : float, optional
        Position that stamps are drawn at when none is asked for.
    stamp_size : int, optional
        Side of the stamps; by default the least odd number of pixels that covers an image.

    Raises
    ------
    ShapeError
        If the images are not a stack, or their number is not that of the positions.
    UsageError
        If the positions fill no rectangular grid, or an image cannot be used.

    Warns
    -----
    UndersampledPSFWarning
        If the PSF is too narrow for its samples.
    """

    def __init__(
        self,
        data: PixelArray,
        positions: Sequence[tuple[float, float]] | FloatArray,
        oversampling: int | Sequence[int],
        *,
        is_prf: bool = True,
        captured: float | None = None,
        x: float | None = None,
        y: float | None = None,
        stamp_size: int | None = None,
    ) -> None:
        stack = np.asarray(data)
        if stack.ndim != 3:
            msg = f"a grid of PSFs of shape {stack.shape}: expected (nodes, y, x)"
            raise ShapeError(msg, shape=stack.shape)
        self.oversampling = check_oversampling(oversampling)
        self.is_prf = bool(is_prf)
        images = [scale(check_image(image), self.oversampling, captured, is_prf=is_prf) for image in stack]
        self.grid_x, self.grid_y, order = _sort_nodes(positions, len(images))
        self.data = np.stack([images[node] for node in order])
        shape = self.data.shape[1:]
        super().__init__(stamp_size=stamp_size or covering(shape, self.oversampling), x=x, y=y)
        self._spline = spline_of(self.data, self.oversampling, middle(shape), is_prf=self.is_prf)
        warn_if_coarse(self.data[0], self.oversampling, is_prf=self.is_prf)

    @classmethod
    def from_photutils(cls, model: Any) -> "GriddedPSF":
        """Take over a grid from photutils.

        Parameters
        ----------
        model : photutils.psf.GriddedPSFModel or astropy.nddata.NDData
            Images, with ``grid_xypos`` and ``oversampling`` in `meta`.

        Returns
        -------
        GriddedPSF
            The same PSFs: stamps equal photutils' values.

        Raises
        ------
        UsageError
            If the object has no such images.
        """
        try:
            oversampling = model.meta["oversampling"]
            positions = np.asarray(model.meta["grid_xypos"], dtype=np.float64)
            # The model sorts its images, and what it sorts them by.
            positions = np.asarray(getattr(model, "grid_xypos", positions), dtype=np.float64)
            return cls(np.asarray(model.data), positions, oversampling)
        except (AttributeError, KeyError, TypeError) as err:
            kind = type(model).__name__
            msg = f"{kind} is no grid of PSFs: expected data, and grid_xypos and oversampling in meta"
            raise UsageError(msg, type=kind) from err

    def parameters(self) -> dict[str, Any]:
        """Say what identifies the model, as JSON can hold it.

        Returns
        -------
        dict
            The class, the grid, the sampling, and the SHA-256 of the scaled images.
        """
        return {
            "class": "GriddedPSF",
            "oversampling": list(self.oversampling),
            "is_prf": self.is_prf,
            "grid_x": self.grid_x.tolist(),
            "grid_y": self.grid_y.tolist(),
            "shape": list(self.data.shape),
            "sha256": digest(self.data),
        }

    def _draw(self, x: FloatArray, y: FloatArray, dx: FloatArray, dy: FloatArray, size: int) -> FloatArray:
        column, next_column, part_x = _between(self.grid_x, x)
        row, next_row, part_y = _between(self.grid_y, y)
        width = len(self.grid_x)
        which = np.stack(
            [
                row * width + column,
                row * width + next_column,
                next_row * width + column,
                next_row * width + next_column,
            ],
            axis=1,
        )
        weights = np.stack(
            [
                (1 - part_y) * (1 - part_x),
                (1 - part_y) * part_x,
                part_y * (1 - part_x),
                part_y * part_x,
            ],
            axis=1,
        )
        return self._spline.draw(which, weights, dx, dy, size)


def _sort_nodes(
    positions: Sequence[tuple[float, float]] | FloatArray, count: int
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Find the grid's columns and rows, and the order of its nodes by y, then x."""
    nodes = np.asarray(positions, dtype=np.float64)
    if nodes.shape != (count, 2):
        msg = f"positions of shape {nodes.shape} for {count} PSFs: expected ({count}, 2)"
        raise ShapeError(msg, shape=nodes.shape)
    if not np.isfinite(nodes).all():
        raise UsageError("the positions of a grid of PSFs are not finite: expected pixel coordinates")
    columns, rows = np.unique(nodes[:, 0]), np.unique(nodes[:, 1])
    order = np.lexsort((nodes[:, 0], nodes[:, 1]))
    filled = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    if len(filled) != count or not np.array_equal(nodes[order], filled):
        grid = f"{len(columns)} columns and {len(rows)} rows"
        msg = f"{count} positions do not fill a grid of {grid}: give one PSF for each of its nodes"
        raise UsageError(msg, columns=len(columns), rows=len(rows))
    return columns, rows, order


def _between(nodes: FloatArray, at: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Find the nodes below and above positions, and how far they are from one to the other."""
    if len(nodes) == 1:
        zero = np.zeros(len(at), dtype=np.int64)
        return zero, zero, np.zeros(len(at))
    below = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, len(nodes) - 2)
    part = (at - nodes[below]) / (nodes[below + 1] - nodes[below])
    return below, below + 1, np.clip(part, 0.0, 1.0)

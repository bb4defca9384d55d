"""Pictures of how deep the sky is covered, for people to look at."""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.coverage.cells import cell_area, find_cells
from snapdb.archive.coverage.depth import DepthMap, look_up
from snapdb.archive.coverage.graticule import draw_graticule
from snapdb.archive.coverage.projection import Gnomonic, Mollweide, Projection
from snapdb.archive.guard import check_output
from snapdb.archive.paths import PathLike
from snapdb.errors import ConfigError
from snapdb.sky.vectors import normalize, to_radec, to_vectors
from snapdb.storage import write_atomically
from snapdb.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from matplotlib.figure import (  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
        Figure,
    )

_WIDEST = 35.0
"""Degrees from the middle of what a gnomonic picture shows; the whole sky shows what is spread farther."""
_PIXELS = 1400
"""Width of the map, pixels."""
_MARGIN = 1.15
"""How much wider the picture is than what is on it."""
_LABELS = {"epochs": "epochs", "exptime": "exposure time (s)"}
_LEFT, _WIDTH, _RIGHT, _BELOW, _ABOVE = 1.1, 7.6, 1.6, 0.85, 0.75
"""Of the map, and about it, inches."""
_SPARSE = 0.01
"""Where less of the picture than this shows images, they are enlarged, so that they are seen."""
_DOT = 8.0
"""Least size of what is enlarged, pixels; on the whole sky, all is `_LEAST` at least."""
_LEAST = 3.0


@dataclass(frozen=True, slots=True)
class View:
    """What part of the sky a picture shows."""

    projection: Projection
    """From the sky to the plane."""
    width: float
    """Of the plane's part that is shown, in its units."""
    height: float
    """Likewise."""
    center: tuple[float, float] = (0.0, 0.0)
    """Of the part, in the plane."""

    @property
    def is_whole(self) -> bool:
        """Say whether this is the whole sky."""
        return isinstance(self.projection, Mollweide)


def draw_coverage(
    depth: DepthMap, path: PathLike, *, title: str | None = None, overwrite: bool = False
) -> Path:
    """Draw a depth map as PNG, all bands together: north is up, and east to the left.

    What lies within 35 degrees is shown by itself, in gnomonic projection; what is spread
    farther, on the whole sky (Mollweide). Cells smaller than a pixel are joined, and small
    images far apart enlarged until they can be seen; the deepest of the cells that are joined is shown.

    Parameters
    ----------
    depth : DepthMap
        From :func:`snapdb.archive.coverage.counting.compute_depth`.
    path : path
        Of the PNG.
    title : str, optional
        Above the map.
    overwrite : bool
        Whether a file that is there is replaced.

    Returns
    -------
    Path
        Of the PNG.

    Raises
    ------
    ObjectExistsError
        If the file must stay.
    ConfigError
        If matplotlib is not installed.
    """
    target = Path(path).absolute()
    data = make_picture(depth, title=title)
    check_output(target, overwrite=overwrite)
    with write_atomically(target, overwrite=overwrite) as out:
        out.write(data)
    return target


def make_picture(depth: DepthMap, *, title: str | None = None) -> bytes:
    """Give the PNG of :func:`draw_coverage` as bytes.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    figure_class = _load_figure()
    view = choose_view(depth)
    wide = _WIDTH * view.height / view.width
    height = wide + _BELOW + _ABOVE
    figure: Figure = figure_class(figsize=(_LEFT + _WIDTH + _RIGHT, height), dpi=150)
    total = _LEFT + _WIDTH + _RIGHT
    axes = figure.add_axes((_LEFT / total, _BELOW / height, _WIDTH / total, wide / height))
    raster, extent = paint(depth, view)
    shown, colours = np.ma.masked_equal(raster, 0), _choose_colours(raster)
    picture = axes.imshow(shown, origin="lower", extent=extent, interpolation="nearest", zorder=1, **colours)
    draw_graticule(axes, view.projection, extent, whole=view.is_whole)
    bar_axes = figure.add_axes(
        ((_LEFT + _WIDTH + 0.65) / total, (_BELOW + 0.1 * wide) / height, 0.18 / total, 0.8 * wide / height)
    )
    bar = figure.colorbar(picture, cax=bar_axes, label=_LABELS[depth.quantity])
    _set_ticks(bar, whole=depth.quantity == "epochs")
    figure.text(
        (_LEFT + _WIDTH / 2.0) / total,
        1.0 - 0.35 / height,
        title or "",
        ha="center",
        va="center",
        fontsize=12,
        wrap=True,
        parse_math=False,
    )
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor="white")
    return out.getvalue()


def choose_view(depth: DepthMap) -> View:
    """Choose what part of the sky shows all cells."""
    ra, dec = depth.centers()
    if not len(ra):
        return View(Mollweide(), 4.0, 2.0)
    vectors = to_vectors(ra, dec)
    mean = vectors.sum(axis=0)
    if float(np.linalg.norm(mean)) < 1e-6 * len(vectors):
        return View(Mollweide(), 4.0, 2.0)
    middle = normalize(mean)
    if float(np.min(vectors @ middle)) < np.cos(np.radians(_WIDEST)):
        return View(Mollweide(), 4.0, 2.0)
    lon, lat = to_radec(middle)
    projection = Gnomonic(float(lon), float(lat))
    x, y = projection.to_plane(ra, dec)
    cell = np.sqrt(cell_area(depth.order))
    width, height = (_MARGIN * (float(np.ptp(c)) + 2.0 * cell) for c in (x, y))
    size = max(width, height)
    # Not too slim a picture of a strip of the sky.
    return View(
        projection,
        max(width, 0.5 * size),
        max(height, 0.5 * size),
        (0.5 * float(x.min() + x.max()), 0.5 * float(y.min() + y.max())),
    )


def paint(depth: DepthMap, view: View) -> tuple[FloatArray, tuple[float, float, float, float]]:
    """Give the depth at each pixel of a picture, and the picture's left, right, lower and upper end.

    Parameters
    ----------
    depth : DepthMap
        All bands of it are added up.
    view : View
        What part of the sky.

    Returns
    -------
    raster : array, shape (height, width)
        ``[0, 0]`` is at the lower left; 0 where there is no image, and beside the sky.
    extent : tuple
        In the plane's units; the left end is the greater, as east is to the left.
    """
    columns = _PIXELS
    rows = max(1, round(columns * view.height / view.width))
    left, low = view.center[0] + view.width / 2.0, view.center[1] - view.height / 2.0
    x = left - (np.arange(columns) + 0.5) * view.width / columns
    y = low + (np.arange(rows) + 0.5) * view.height / rows
    ra, dec = view.projection.to_sky(*np.meshgrid(x, y))
    shown = np.isfinite(ra)
    pixel = view.width / columns * (90.0 if view.is_whole else 1.0)
    raster = _sample(depth, ra, dec, shown, pixel * (_LEAST if view.is_whole else 1.0))
    if np.count_nonzero(raster) < _SPARSE * np.count_nonzero(shown):
        raster = _sample(depth, ra, dec, shown, pixel * _DOT)
    return raster, (left, left - view.width, low, low + view.height)


def _sample(depth: DepthMap, ra: FloatArray, dec: FloatArray, shown: BoolArray, least: float) -> FloatArray:
    """Look the map up, in cells of a size at least (degrees), each as deep as the deepest in it."""
    order = depth.order
    while order and np.sqrt(cell_area(order)) < least:
        order -= 1
    together = replace(depth, bands=("all",), values=depth.total[None, :]).degrade(order)
    raster = np.zeros(ra.shape)
    found = find_cells(ra[shown], dec[shown], order)
    raster[shown] = look_up(together.cells, together.values[0], found)
    return raster


def _choose_colours(raster: FloatArray) -> dict[str, Any]:
    """Choose colours: from 1, and on a logarithmic scale where depths differ much."""
    from matplotlib.colors import (  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
        LogNorm,
        Normalize,
    )

    there = raster[raster > 0]
    low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 1.0)
    if len(there) and high > 30.0 * low and high > 30.0 * float(np.median(there)):
        return {"cmap": "viridis_r", "norm": LogNorm(low, high)}
    return {"cmap": "viridis_r", "norm": Normalize(0.0, high)}


def _set_ticks(bar: Any, *, whole: bool) -> None:
    """Put ticks at whole numbers, or at 1, 2 and 5 of each decade, written as plain numbers."""
    from matplotlib.colors import (  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
        LogNorm,
    )
    from matplotlib.ticker import (  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
        FormatStrFormatter,
        LogLocator,
        MaxNLocator,
        NullLocator,
    )

    if isinstance(bar.norm, LogNorm):
        bar.locator, bar.minorlocator = LogLocator(subs=(1.0, 2.0, 5.0)), NullLocator()
        bar.formatter = FormatStrFormatter("%g")
    elif whole:
        bar.locator = MaxNLocator(integer=True)
    bar.update_ticks()


def _load_figure() -> Any:
    """Load what draws, which is optional; nothing of it is global."""
    try:
        from matplotlib.figure import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
            Figure,  # optional
        )
    except ImportError as err:
        msg = "a picture needs the package matplotlib, which is not installed: pip install 'snapdb[plots]'"
        raise ConfigError(msg, package="matplotlib") from err
    return Figure

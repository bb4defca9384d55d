"""Pictures of light curves."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.guard import check_output
from snapdb.archive.paths import PathLike
from snapdb.errors import ConfigError, UsageError
from snapdb.photometry.calibration import NJY_ZEROPOINT
from snapdb.photometry.quality import Quality
from snapdb.storage import write_atomically

if TYPE_CHECKING:
    from astropy.table import QTable

SUFFIXES = (".png", ".pdf", ".svg")
_DOUBTED = Quality.MASKED_PEAK | Quality.LOW_COVERAGE | Quality.SATURATED
_COLOURS = {
    "u": "#6a3d9a",
    "g": "#1b9e5a",
    "r": "#d7301f",
    "i": "#b8860b",
    "z": "#5b4a42",
    "y": "#000000",
}
"""Usual bands; others take matplotlib's own colours."""
_MARKS = "osD^v<>p"


def draw_light_curve(
    table: "QTable", *, unit: str | None = None, sigma: float = 3.0, title: str | None = None
) -> Any:
    """Draw fluxes against time: a colour and a mark a band, arrows for limits.

    Parameters
    ----------
    table : QTable
        A light curve, or nights of one.
    unit : str, optional
        ``mag``, ``nJy`` or ``flux`` (units of the images' data); magnitudes by default, units of the
        data where no zero point is known.
    sigma : float
        In magnitudes, a flux below so many of its errors is drawn as an arrow at that limit.
    title : str, optional
        Above the drawing.

    Returns
    -------
    matplotlib.figure.Figure
        The drawing. Open marks are fluxes that their quality bits cast doubt on; rows without a time,
        a flux or an error are not drawn, and the title says how many those are.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    UsageError
        If the unit is another.
    """
    figure_class = _load_figure()
    calibrated = "flux_njy" in table.colnames and bool(np.isfinite(table["flux_njy"].value).any())
    unit = unit or ("mag" if calibrated or "flux" not in table.colnames else "flux")
    if unit not in ("mag", "nJy", "flux"):
        msg = f"unit={unit!r}: expected 'mag', 'nJy' or 'flux'"
        raise UsageError(msg, unit=unit)
    figure = figure_class(figsize=(9.0, 5.0), layout="constrained")
    axes = figure.add_subplot()
    bands = np.asarray(table["band"], dtype=str)
    for number, band in enumerate(dict.fromkeys(bands.tolist())):
        style = {"color": _COLOURS.get(band[:1].lower() if len(band) < 3 else "", f"C{number}")}
        style["marker"] = _MARKS[number % len(_MARKS)]
        _draw_band(axes, table[bands == band], band or "no band", unit, sigma, style)
    title = title or str(table.meta.get("name", ""))
    if missing := _count_not_drawn(table, unit):
        title = f"{title} ({missing} of {len(table)} rows not drawn)".strip()
    _label(axes, unit, title)
    return figure


def _draw_band(
    axes: Any, table: "QTable", label: str, unit: str, sigma: float, style: dict[str, Any]
) -> None:
    """Draw the points of one band."""
    mjd, flux, err = _take_values(table, unit)
    known = np.isfinite(mjd) & np.isfinite(flux) & (err > 0)
    doubted = np.zeros(len(mjd), dtype=bool)
    if "quality" in table.colnames:
        doubted = (np.asarray(table["quality"]) & int(_DOUBTED)) != 0
    sound = known
    if unit == "mag":
        sound = known & (flux >= sigma * err)
        faint = known & ~sound
        limits = NJY_ZEROPOINT - 2.5 * np.log10(sigma * err[faint])
        arrows = {"marker": r"$\downarrow$", "markersize": 11, "color": style["color"], "alpha": 0.6}
        axes.plot(mjd[faint], limits, linestyle="none", **arrows)
    for chosen, face in ((sound & ~doubted, style["color"]), (sound & doubted, "none")):
        values, errors = flux[chosen], err[chosen]
        if unit == "mag":
            errors = 2.5 / np.log(10.0) * errors / values
            values = NJY_ZEROPOINT - 2.5 * np.log10(values)
        drawn = {"linestyle": "none", "markersize": 5, "elinewidth": 0.9, "markerfacecolor": face}
        axes.errorbar(mjd[chosen], values, errors, **drawn, **style)
    axes.plot([], [], linestyle="none", label=f"{label} ({int(known.sum())})", **style)


def _take_values(table: "QTable", unit: str) -> tuple[Any, Any, Any]:
    """Give times, fluxes and their errors."""
    name = "flux" if unit == "flux" else "flux_njy"
    mjd, flux, err = (np.asarray(getattr(table[n], "value", table[n])) for n in ("mjd", name, f"{name}_err"))
    return mjd, flux, err


def _count_not_drawn(table: "QTable", unit: str) -> int:
    """Count the rows that lack a time, a flux or an error."""
    mjd, flux, err = _take_values(table, unit)
    return int(np.count_nonzero(~(np.isfinite(mjd) & np.isfinite(flux) & (err > 0))))


def _label(axes: Any, unit: str, title: str) -> None:
    """Name the axes."""
    axes.set_xlabel("MJD (UTC)")
    names = {"mag": "AB magnitude", "nJy": "flux / nJy", "flux": "flux / units of the data"}
    axes.set_ylabel(names[unit])
    axes.grid(visible=True, alpha=0.25)
    axes.ticklabel_format(axis="x", useOffset=False)
    if unit == "mag":
        axes.invert_yaxis()
    else:
        axes.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    if title:
        axes.set_title(title)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(title="band (images)", fontsize="small", title_fontsize="small")


def write_plot(figure: Any, path: PathLike, *, overwrite: bool = False) -> Path:
    """Write a drawing to a file, which appears when it is complete.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The drawing.
    path : path
        Its suffix is one of :data:`SUFFIXES`.
    overwrite : bool
        Whether a file that is there is replaced.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    UsageError
        If the suffix is another.
    ObjectExistsError
        If the file must stay.
    """
    target = Path(path).absolute()
    if target.suffix.lower() not in SUFFIXES:
        msg = f"{path}: a drawing is written as {', '.join(SUFFIXES)}; end the name so"
        raise UsageError(msg, path=str(path))
    check_output(target, overwrite=overwrite)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=target.suffix[1:].lower(), dpi=120)
    with write_atomically(target, overwrite=overwrite) as stream:
        stream.write(buffer.getvalue())
    return target


def _load_figure() -> Any:
    """Load what draws, which is optional; nothing of it is global."""
    try:
        from matplotlib.figure import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
            Figure,  # optional
        )
    except ImportError as err:
        msg = "a drawing needs the package matplotlib, which is not installed: pip install 'snapdb[plots]'"
        raise ConfigError(msg, package="matplotlib") from err
    return Figure

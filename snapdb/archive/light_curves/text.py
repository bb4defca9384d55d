"""Tables of fluxes as text: rows for JSON, lines for the eye."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astropy.table import Table

_SHOWN: dict[str, str] = {
    "row": "d",
    "name": "s",
    "mjd": ".5f",
    "band": "s",
    "flux": ".6g",
    "flux_err": ".3g",
    "flux_njy": ".6g",
    "flux_njy_err": ".3g",
    "mag": ".4f",
    "mag_err": ".4f",
    "mag_limit3": ".3f",
    "n": "d",
    "quality": "d",
    "reason": "s",
}
"""Column of the table for the eye -> how it is written."""


def make_rows(table: "Table") -> Iterator[dict[str, Any]]:
    """Give rows of plain values; None for what is not known.

    Parameters
    ----------
    table : QTable
        Of fluxes.

    Yields
    ------
    dict
        Column -> value, as JSON has it.
    """
    columns = {name: getattr(table[name], "value", table[name]).tolist() for name in table.colnames}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        yield {n: None if isinstance(v, float) and not math.isfinite(v) else v for n, v in row.items()}


def draw_lines(table: "Table") -> Iterator[str]:
    """Give the lines of a table for the eye.

    Parameters
    ----------
    table : QTable
        Of fluxes.

    Yields
    ------
    str
        The names, then a line a row.
    """
    names = [name for name in _SHOWN if name in table.colnames and not _is_blank(table, name)]
    columns = []
    for name in names:
        values = getattr(table[name], "value", table[name]).tolist()
        columns.append([name, *(_write_value(value, _SHOWN[name]) for value in values)])
    widths = [max(map(len, column)) for column in columns]
    for row in zip(*columns, strict=True):
        cells = (
            cell.ljust(width) if _SHOWN[name] == "s" else cell.rjust(width)
            for cell, width, name in zip(row, widths, names, strict=True)
        )
        yield "  ".join(cells).rstrip()


def _is_blank(table: "Table", name: str) -> bool:
    """Tell whether a column of text says nothing."""
    return _SHOWN[name] == "s" and not any(table[name].tolist())


def _write_value(value: Any, form: str) -> str:
    """Write a value; a dash for what is not known."""
    if isinstance(value, float) and not math.isfinite(value):
        return "-"
    return format(value, form)

"""The formats of a listing: a table for the eye, and what programs read."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click

from snapdb.archive.columns import UNITS, Row

from .outputs import write_pieces
from .session import printable

FORMATS = ("table", "json", "jsonl", "csv", "ecsv", "votable", "fits", "parquet")

_SUFFIXES = {
    ".txt": "table",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".ecsv": "ecsv",
    ".vot": "votable",
    ".xml": "votable",
    ".votable": "votable",
    ".fits": "fits",
    ".parquet": "parquet",
}
_WIDTHS: dict[str, tuple[str, int]] = {
    "id": ("<36", 36),
    "ra": (">10.5f", 10),
    "dec": (">9.5f", 9),
    "band": ("<4", 4),
    "mjd": (">11.5f", 11),
    "exptime": (">7.5g", 7),
    "observation_id": ("<14", 14),
    "sca": (">3", 3),
    "kind": ("<8", 8),
    "filepath": ("<1", 30),
}
"""Column of the table for the eye -> (format, width); as many are shown as fit."""


def choose_format(name: str | None, output: Path | None, suffixes: Mapping[str, str] | None = None) -> str:
    """Tell the format of a listing: the one named, else by the file's suffix, else a table.

    Parameters
    ----------
    name
        One of :data:`FORMATS`, or None.
    output
        The file, or None for standard output.
    suffixes
        Suffix -> format; those of listings by default.

    Raises
    ------
    click.UsageError
        The suffix says nothing.
    """
    if name is not None:
        return name
    if output is None:
        return "table"
    known = _SUFFIXES if suffixes is None else suffixes
    if output.suffix.lower() not in known:
        names = ", ".join(dict.fromkeys(known.values()))
        msg = f"the format of {output} is not known by its name; give --format, one of {names}"
        raise click.UsageError(msg)
    return known[output.suffix.lower()]


def write_listing(rows: Iterable[Row], form: str, output: Path | None) -> int:
    """Write rows to a file, which appears when it is complete, or to standard output.

    Parameters
    ----------
    rows
        As :func:`snapdb.archive.columns.make_row` gives them.
    form
        One of :data:`FORMATS`.
    output
        The file, or None for standard output.

    Returns
    -------
    int
        How many rows.

    Raises
    ------
    ConfigError
        The format needs a package that is not installed.
    """
    counted = _Counted(rows)
    pieces: Iterable[bytes]
    if form == "parquet":
        pieces = _encode_parquet(counted)
    elif form in ("ecsv", "votable", "fits"):
        pieces = _encode_table(list(counted), form)
    else:
        pieces = (piece.encode() for piece in _LINES[form](counted))
    write_pieces(output, pieces)
    return counted.count


class _Counted:
    """Rows that are counted as they pass."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self.rows:
            self.count += 1
            yield row


def _table_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield aligned lines with as many columns as the terminal is wide; nothing where there is no row."""
    room, shown = shutil.get_terminal_size((80, 24)).columns, list[str]()
    for name, (_, width) in _WIDTHS.items():
        room -= width + 1
        if room < -1:
            break
        shown.append(name)
    for number, row in enumerate(rows):
        if number == 0:
            yield _line([_align(name, name) for name in shown])
        yield _line([_format_cell(name, row[name]) for name in shown])


def _align(name: str, text: str) -> str:
    """Put a heading where its column's values stand."""
    form, width = _WIDTHS[name]
    return text.rjust(width) if form.startswith(">") else text.ljust(int(form[1:]))


def _format_cell(name: str, value: Any) -> str:
    """Write one value in its column's width, a dash where it is not known."""
    form, _ = _WIDTHS[name]
    if value is None:
        return _align(name, "-")
    return format(printable(value) if isinstance(value, str) else value, form)


def _line(cells: Sequence[str]) -> str:
    """Join cells to a line."""
    return " ".join(cells).rstrip() + "\n"


def _json_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield one JSON array, an image a line."""
    separator = "["
    for row in rows:
        yield separator + "\n" + json.dumps(row)
        separator = ","
    yield "[]\n" if separator == "[" else "\n]\n"


def _jsonl_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield one JSON object a line."""
    for row in rows:
        yield json.dumps(row) + "\n"


def _csv_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield a heading and one line an image, empty where a value is not known."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(UNITS), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


_LINES: dict[str, Callable[[Iterable[Row]], Iterator[str]]] = {
    "table": _table_lines,
    "json": _json_lines,
    "jsonl": _jsonl_lines,
    "csv": _csv_lines,
}


def _encode_table(rows: list[Row], form: str) -> Iterator[bytes]:
    """Encode rows through an astropy table, with units, masked where a value is not known."""
    from snapdb.archive.listing import make_table
    from snapdb.archive.table_files import write_text
    from snapdb.archive.votables import write_votable
    from snapdb.formats.table_fits import write_table_fits

    buffer = io.BytesIO()
    if form == "ecsv":
        write_text(make_table(rows), buffer, "ascii.ecsv")
    elif form == "fits":
        write_table_fits(make_table(rows), buffer)
    else:
        write_votable(make_table(rows), buffer)
    yield buffer.getvalue()


def _encode_parquet(rows: Iterable[Row]) -> Iterator[bytes]:
    """Encode rows as parquet, which is collected on disk: its writer has to know where it is."""
    from snapdb.archive.listing import write_parquet

    with TemporaryFile() as held:
        write_parquet(rows, held)
        held.seek(0)
        while piece := held.read(1 << 20):
            yield piece

"""Stacks of cutouts as folders in Zarr format 3.

Each plane is an array with dimensions (epoch, y, x), each numeric column of the table one
with dimension (epoch), NaN or the least integer, its ``_FillValue``, where it is not known. Text,
which Zarr has no settled type for, is in the group's attribute ``text``, column by column; the world
coordinates are the array ``wcs``, bytes of FITS cards of 80 characters. The images
without a layer are in the attribute ``missing``.
"""

import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.epochs.table import COLUMNS, fill_table
from snapdb.archive.guard import check_output
from snapdb.errors import (
    ConfigError,
    CorruptFileError,
    ObjectExistsError,
    ObjectMissingError,
    StorageError,
    UnknownFormatError,
)
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from astropy.table import Table

KIND = "snapdb cutouts"
_CHUNK_BYTES = 8 * 2**20
_CARD = 80


def write_stack_zarr(
    path: Path,
    planes: Mapping[str, PixelArray],
    table: "Table",
    missing: "Table",
    wcs_cards: Sequence[str],
    facts: Mapping[str, Any],
    *,
    overwrite: bool,
) -> None:
    """Write a folder that takes its name when it is complete.

    Parameters
    ----------
    path : Path
        Of the folder.
    planes, table, missing, wcs_cards, facts
        As :func:`snapdb.formats.stack_fits.write_stack_fits` takes them.
    overwrite : bool
        Whether a stack of that name is replaced; nothing else ever is.

    Raises
    ------
    ConfigError
        If zarr is not installed.
    ObjectExistsError
        If what is there must stay.
    StorageError
        If the disk refuses.
    """
    zarr = _load_zarr()
    check_output(path, overwrite=overwrite)
    if path.exists() and not _is_stack(path):
        msg = f"{path} is no stack of cutouts and is never written over; choose another name"
        raise ObjectExistsError(msg, path=str(path))
    temporary = path.with_name(f".{secrets.token_hex(6)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        group = zarr.open_group(store=str(temporary), mode="w-", zarr_format=3)
        _fill(group, planes, table, missing, wcs_cards, facts)
        _take_name(temporary, path)
    except OSError as err:
        msg = f"{path} cannot be written: {err.strerror or err}"
        raise StorageError(msg, path=str(path)) from err
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_stack_zarr(path: Path) -> dict[str, Any]:
    """Read what :func:`write_stack_zarr` wrote, as :func:`snapdb.formats.stack_fits.read_stack_fits` does.

    Parameters
    ----------
    path : Path
        Of the folder.

    Raises
    ------
    ConfigError
        If zarr is not installed.
    ObjectMissingError
        If it is not there.
    UnknownFormatError
        If it is no stack.
    CorruptFileError
        If parts of it are missing.
    """
    if not path.is_dir():
        msg = f"{path}: there is no such folder"
        raise ObjectMissingError(msg, path=str(path))
    if not _is_stack(path):
        msg = f"{path}: its attribute kind is not {KIND!r}; a stack of cutouts was expected"
        raise UnknownFormatError(msg, path=str(path))
    group = _load_zarr().open_group(store=str(path), mode="r")
    attributes = dict(group.attrs)
    try:
        rows = [dict(zip(attributes["text"], row, strict=True)) for row in _transpose(attributes)]
        for name in attributes["numbers"]:
            for row, value in zip(rows, _unmask(group[name][:]), strict=True):
                row[name] = value
        return {
            "planes": {name: group[name][:] for name in attributes["planes"]},
            "table": fill_table(rows),
            "missing": fill_table(attributes["missing"]),
            "wcs_cards": [_to_cards(row) for row in group["wcs"][:]],
            **attributes["facts"],
        }
    except KeyError as err:
        msg = f"{path}: {err} is missing from this stack"
        raise CorruptFileError(msg, path=str(path)) from err


def _fill(
    group: Any,
    planes: Mapping[str, PixelArray],
    table: "Table",
    missing: "Table",
    wcs_cards: Sequence[str],
    facts: Mapping[str, Any],
) -> None:
    """Write arrays and attributes."""
    for name, plane in planes.items():
        layer = max(1, int(plane[0].nbytes)) if len(plane) else 1
        chunks = (max(1, min(len(plane), _CHUNK_BYTES // layer)), *plane.shape[1:])
        group.create_array(name, data=plane, chunks=chunks, dimension_names=("epoch", "y", "x"))
    numbers = [name for name, (kind, _) in COLUMNS.items() if kind != "str"]
    for name in numbers:
        values, empty = _mask(table[name])
        group.create_array(name, data=values, dimension_names=("epoch",), fill_value=empty)
        group[name].attrs["unit"] = str(table[name].unit or "")
        if values.dtype.kind == "i":
            group[name].attrs["_FillValue"] = int(empty)
    texts = [cards.replace("\n", "").encode("ascii") for cards in wcs_cards]
    longest = max(_CARD, *map(len, texts))
    cards = np.frombuffer(b"".join(text.ljust(longest) for text in texts), dtype=np.uint8)
    group.create_array("wcs", data=cards.reshape(len(texts), longest), dimension_names=("epoch", "byte"))
    text = [name for name, (kind, _) in COLUMNS.items() if kind == "str"]
    group.attrs.update(
        {
            "kind": KIND,
            "facts": dict(facts),
            "planes": list(planes),
            "numbers": numbers,
            "text": {name: _to_json(table[name]) for name in text},
            "missing": [
                dict(zip(COLUMNS, row, strict=True))
                for row in zip(*(_to_json(missing[name]) for name in COLUMNS), strict=True)
            ],
        }
    )


def _transpose(attributes: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Give the text of each row."""
    return list(zip(*attributes["text"].values(), strict=True))


def _to_json(column: Any) -> list[Any]:
    """Give plain values, None for what is masked."""
    return [None if value is np.ma.masked else value for value in np.ma.asarray(column).tolist()]


def _mask(column: Any) -> tuple[PixelArray, float]:
    """Give the numbers of a column, and the one that stands for what is masked: NaN, or the least integer."""
    values = np.ma.asarray(column)
    empty = np.nan if values.dtype.kind == "f" else np.iinfo(values.dtype).min
    return np.asarray(values.filled(empty)), empty


def _unmask(values: PixelArray) -> list[Any]:
    """Give plain numbers, None for what is not known."""
    known = np.isfinite(values) if values.dtype.kind == "f" else values != np.iinfo(values.dtype).min
    return [value if there else None for value, there in zip(values.tolist(), known.tolist(), strict=True)]


def _to_cards(row: PixelArray) -> str:
    """Put newlines between cards."""
    text = row.tobytes().decode("ascii").rstrip()
    return "\n".join(text[at : at + _CARD].ljust(_CARD) for at in range(0, len(text), _CARD))


def _is_stack(path: Path) -> bool:
    """Say whether a folder is a stack that snapdb wrote."""
    try:
        meta = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(meta, dict) and meta.get("attributes", {}).get("kind") == KIND


def _take_name(temporary: Path, path: Path) -> None:
    """Rename a complete folder; what was there goes when its successor is in its place."""
    if not path.exists():
        temporary.rename(path)
        return
    former = path.with_name(f".{secrets.token_hex(6)}.part")
    path.rename(former)
    temporary.rename(path)
    shutil.rmtree(former, ignore_errors=True)


def _load_zarr() -> Any:
    """Load zarr, or say how to get it."""
    try:
        import zarr  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    except ImportError as err:
        msg = "a .zarr needs the package zarr, which is not installed: pip install 'snapdb[bulk]'"
        raise ConfigError(msg, package="zarr") from err
    return zarr

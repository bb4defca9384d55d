"""What is known of each stamp, as an Arrow table: part by part, and joined at the end as parquet."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from snapdb.bulk.catalogue.arrow import (
    from_numbers,
    from_texts,
    is_all,
    repeat_text,
    take_texts,
    to_array,
    to_strings,
)
from snapdb.bulk.cutting.part_stamps import FAILED, WRITTEN, PartStamps
from snapdb.bulk.planning.plan import Part, Plan
from snapdb.bulk.planning.sources import Channel
from snapdb.bulk.writing.files import writing
from snapdb.types import IntArray

INDEX, IMAGES, REPORT, MAPPING = "index.parquet", "images.parquet", "report.csv", "source_to_zarr_mapping.csv"
"""Files beside the stamps."""
_ROW_GROUP = 65_536
_CTYPES = ("RA---TAN", "DEC--TAN")
_UNITS = {
    **dict.fromkeys(("ra", "dec", "crval1", "crval2", "cd1_1", "cd1_2", "cd2_1", "cd2_2"), "deg"),
    **dict.fromkeys(("diameter_pixel", "size", "x0", "y0", "offset_x", "offset_y"), "pix"),
    **dict.fromkeys(("crpix1", "crpix2", "width", "height"), "pix"),
    "diameter_arcsec": "arcsec",
    "pixel_scale": "arcsec/pix",
    "zeropoint": "mag",
}
"""Column -> unit, which stands in the field's metadata."""


def make_table(part: Part, stamps: PartStamps) -> Any:
    """Make the rows of a part.

    Parameters
    ----------
    part : Part
        The sources.
    stamps : PartStamps
        What was made of them.

    Returns
    -------
    pyarrow.Table
        A row a stamp, in their order.
    """
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    columns, sources, count = stamps.columns, part.sources, len(part)
    own, failed = columns["images"], columns["failed"]
    tiles = [",".join(Path(c.data.path).name for c in channels) for channels in part.image_sets]
    ids = [",".join(c.image_id for c in channels if c.image_id) for channels in part.image_sets]
    given = sources.source_id
    found: dict[str, Any] = {
        "source_id": given if isinstance(given, pa.Array) else from_texts(given),
        "row": np.arange(part.start, part.start + count),
        "catalogue_row": sources.row,
        "ra": sources.ra,
        "dec": sources.dec,
        "diameter_pixel": from_numbers(sources.pixels, nan_is_null=True),
        "diameter_arcsec": from_numbers(sources.arcsec, nan_is_null=True),
        "size": columns["size"],
        "pixel_scale": columns["pixel_scale"],
        "images": _to_lists(part.image_numbers, own),
        "image_ids": take_texts(from_texts(ids), own),
        "tile": take_texts(from_texts(tiles), own),
    }
    found |= {n: columns[n] for n in ("x0", "y0", "offset_x", "offset_y")}
    found |= {f"ctype{i}": repeat_text(name, count) for i, name in enumerate(_CTYPES, 1)}
    found |= {n: columns[n] for n in ("crval1", "crval2", "crpix1", "crpix2")}
    found |= {n: columns[n] for n in ("cd1_1", "cd1_2", "cd2_1", "cd2_2")}
    found |= {n: columns[n] for n in ("outside_fraction", "masked_fraction")}
    hdus = columns.get("hdu", np.full(count, -1))
    found |= {"file": from_texts(columns["file"]), "hdu": np.asarray(hdus, np.int32)}
    found["status"] = take_texts(from_texts([WRITTEN, FAILED]), failed.astype(np.int64))
    found["reason"] = from_texts(columns["reason"])
    arrays = [from_numbers(c) if isinstance(c, np.ndarray) else c for c in found.values()]
    return _join(list(found), arrays)


def _join(names: Sequence[str], arrays: Sequence[Any]) -> Any:
    """Make a table of columns, with their units."""
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    fields = [
        pa.field(name, array.type, metadata={"unit": _UNITS[name]} if name in _UNITS else None)
        for name, array in zip(names, arrays, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _to_lists(groups: Sequence[Sequence[int]], own: IntArray) -> Any:
    """Make a column of lists of small whole numbers: in each row one of the groups."""
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    size = np.array([len(group) for group in groups], np.int64)
    offsets, begins = np.append(0, np.cumsum(size[own])), np.cumsum(size) - size
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], size[own])
    every = np.array([n for group in groups for n in group], np.int32)
    values = every[np.repeat(begins[own], size[own]) + within]
    return pa.ListArray.from_arrays(from_numbers(offsets.astype(np.int32)), from_numbers(values))


def make_images_table(images: Sequence[Channel]) -> Any:
    """Make the table of the images that stamps are cut from.

    Parameters
    ----------
    images : sequence of Channel
        In the order of their numbers.

    Returns
    -------
    pyarrow.Table
        With their whole world coordinates as cards, newlines between them; ``zeropoint`` is the AB
        magnitude that pixels were converted with (null where they were not), ``zeropoint_from`` its origin.
    """
    texts = {
        "label": [c.label for c in images],
        "image_id": [c.image_id for c in images],
        "path": [c.data.path for c in images],
        "wcs": [c.wcs_text for c in images],
        "flag_bits": [json.dumps(dict(c.flag_bits)) for c in images],
        "zeropoint_from": [c.zeropoint.origin if c.zeropoint else "" for c in images],
    }
    numbers = {
        "hdu": np.array([c.data.layout.hdu for c in images], np.int32),
        "width": np.array([c.size[0] for c in images], np.int32),
        "height": np.array([c.size[1] for c in images], np.int32),
        "pixel_scale": np.array([c.scale_arcsec for c in images], np.float64),
        "flux_factor": np.array([c.factor for c in images], np.float64),
        "bad_bits": np.array([c.bad_bits for c in images], np.int64),
    }
    found = {name: from_texts(column) for name, column in texts.items()}
    found |= {name: from_numbers(column) for name, column in numbers.items()}
    zeropoints = [c.zeropoint.value if c.zeropoint else np.nan for c in images]
    found["zeropoint"] = from_numbers(np.array(zeropoints, np.float64), nan_is_null=True)
    found["image"] = from_numbers(np.arange(len(images), dtype=np.int32))
    found["has_tables"] = from_numbers(np.array([c.has_tables for c in images], np.bool_))
    return _join(_IMAGE_COLUMNS, [found[name] for name in _IMAGE_COLUMNS])


_IMAGE_COLUMNS = (
    "image", "label", "image_id", "path", "hdu", "width", "height", "pixel_scale", "flux_factor",
    "zeropoint", "zeropoint_from", "wcs", "has_tables", "flag_bits", "bad_bits",
)  # fmt: skip


def write_parquet(path: Path, tables: Iterator[Any] | Sequence[Any]) -> int:
    """Write tables as one parquet file that takes its name when it is complete, and count their rows.

    Parameters
    ----------
    path : Path
        Of the file; one that is there is replaced.
    tables : iterable of pyarrow.Table
        One at least, of the same columns; small ones are joined.

    Returns
    -------
    int
        Rows.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    writer: Any = None
    waiting: list[Any] = []
    count = held = 0
    with writing(path) as temporary:
        for table in tables:
            writer = writer or _open_writer(temporary, table.schema.remove_metadata())
            waiting.append(table.replace_schema_metadata(None))
            count, held = count + table.num_rows, held + table.num_rows
            if held >= _ROW_GROUP:
                writer.write_table(pa.concat_tables(waiting), row_group_size=held)
                waiting, held = [], 0
        if waiting:
            writer.write_table(pa.concat_tables(waiting), row_group_size=max(held, 1))
        writer.close()
    return count


def _open_writer(path: Path, schema: Any) -> Any:
    """Open a parquet file, where columns that say the same again and again are numbers of their values."""
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    texts = [f.name for f in schema if pa.types.is_string(f.type) and f.name != "source_id"]
    return parquet.ParquetWriter(path, schema, use_dictionary=texts)


def write_report(path: Path, plan: Plan, failed: Sequence[tuple[int, str, str]]) -> int:
    """Write the sources of which there is no stamp as CSV, and count them.

    Parameters
    ----------
    path : Path
        Of the file; one that is there is replaced.
    plan : Plan
        With those that were refused.
    failed : sequence of (row, source_id, reason)
        Those that failed while they were made.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    import csv
    import io

    rows = [(r.row, r.source_id, r.code, r.text) for r in plan.refused]
    rows += [(row, source, FAILED, reason) for row, source, reason in failed]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "source_id", "code", "reason"))
    writer.writerows(sorted(rows))
    with writing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return len(rows)


@contextmanager
def open_mapping(path: Path, part_stamps: int, *, is_zarr: bool) -> Iterator[Callable[[Any], None]]:
    """Write which source is where, as CSV for readers of Cutana's mapping.

    ``zarr_file`` is a path below the ``output_dir`` of a run that was given no other: the zarr
    group, or the source's own FITS file; empty where there is no stamp. ``batch_index`` counts the
    parts of the run, ``idx_in_zarr`` is the place in the array ``images``.

    Parameters
    ----------
    path : Path
        Of the file, which takes its name when the block ends; one that is there is replaced.
    part_stamps : int
        Stamps of a part.
    is_zarr : bool
        Whether stamps are in one array.

    Yields
    ------
    callable
        Adds the rows of a table of stamps.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    from pyarrow import csv  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    text, number = pa.string(), pa.int64()
    columns_of = {"SourceID": text, "zarr_file": text, "batch_index": number, "idx_in_zarr": number}
    schema = pa.schema({**columns_of, "status": text})
    group = path.absolute().parent.name
    with writing(path) as temporary, csv.CSVWriter(temporary, schema) as writer:

        def add(table: Any) -> None:
            source, file, row, status = (
                table[n].combine_chunks() for n in ("source_id", "file", "row", "status")
            )
            rows, is_there = to_array(row, np.int64), np.zeros(len(table), np.bool_)
            if is_zarr and is_all(status, WRITTEN):
                is_there[:] = True
                file = repeat_text(group, len(table))
            elif is_zarr:
                is_there = np.array([one == WRITTEN for one in to_strings(status)], np.bool_)
                file = from_texts(group if there else "" for there in is_there.tolist())
            place = from_numbers(rows, there=is_there)
            columns = [source, file, from_numbers(rows // part_stamps), place, status]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))

        yield add

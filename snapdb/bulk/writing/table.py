"""What is known of each stamp, as an Arrow table: part by part, and joined at the end as parquet."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from snapdb.bulk.cutting.part_stamps import FAILED, WRITTEN, PartStamps
from snapdb.bulk.planning.plan import Part, Plan
from snapdb.bulk.planning.sources import Channel

INDEX, IMAGES, REPORT, MAPPING = "index.parquet", "images.parquet", "report.csv", "source_to_zarr_mapping.csv"
"""Files beside the stamps."""
_ARRAY = "images"
_ROW_GROUP = 65_536
_CTYPES = ("RA---TAN", "DEC--TAN")


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
    import numpy as np
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    columns, sources, count = stamps.columns, part.sources, len(part)
    sets = pa.array([list(numbers) for numbers in part.image_numbers], pa.list_(pa.int32()))
    tiles = [",".join(Path(c.data.path).name for c in channels) for channels in part.image_sets]
    ids = [",".join(c.image_id for c in channels if c.image_id) for channels in part.image_sets]
    own = pa.array(columns["images"])
    states = np.where(columns["failed"], FAILED, WRITTEN).tolist()
    found: dict[str, Any] = {
        "source_id": sources.source_id,
        "row": np.arange(part.start, part.start + count),
        "catalogue_row": sources.row,
        "ra": sources.ra,
        "dec": sources.dec,
        "diameter_pixel": pa.array(sources.pixels, from_pandas=True),
        "diameter_arcsec": pa.array(sources.arcsec, from_pandas=True),
        "size": columns["size"],
        "pixel_scale": columns["pixel_scale"],
        "images": sets.take(own),
        "image_ids": pa.array(ids).take(own),
        "tile": pa.array(tiles).take(own),
    }
    found |= {n: columns[n] for n in ("x0", "y0", "offset_x", "offset_y")}
    found |= {f"ctype{i}": [name] * count for i, name in enumerate(_CTYPES, 1)}
    found |= {n: columns[n] for n in ("crval1", "crval2", "crpix1", "crpix2")}
    found |= {n: columns[n] for n in ("cd1_1", "cd1_2", "cd2_1", "cd2_2")}
    found |= {n: columns[n] for n in ("outside_fraction", "masked_fraction")}
    hdus = columns.get("hdu", np.full(count, -1))
    found |= {"file": columns["file"], "hdu": pa.array(hdus, pa.int32())}
    found |= {"status": states, "reason": columns["reason"]}
    return pa.table({name: _plain(pa, values) for name, values in found.items()})


def _plain(pa: Any, values: Any) -> Any:
    """Give a column in Arrow; text repeats, and is written as a dictionary by parquet itself."""
    return values if isinstance(values, pa.Array) else pa.array(values)


def make_images_table(images: Sequence[Channel]) -> Any:
    """Make the table of the images that stamps are cut from.

    Parameters
    ----------
    images : sequence of Channel
        In the order of their numbers.

    Returns
    -------
    pyarrow.Table
        With their whole world coordinates as cards, newlines between them.
    """
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    rows = [
        {
            "image": number,
            "label": c.label,
            "image_id": c.image_id,
            "path": c.data.path,
            "hdu": c.data.layout.hdu,
            "width": c.size[0],
            "height": c.size[1],
            "pixel_scale": c.scale_arcsec,
            "flux_factor": c.factor,
            "wcs": c.wcs_text,
            "has_tables": c.has_tables,
            "flag_bits": json.dumps(dict(c.flag_bits)),
            "bad_bits": c.bad_bits,
        }
        for number, c in enumerate(images)
    ]
    schema = pa.schema(
        [
            ("image", pa.int32()), ("label", pa.string()), ("image_id", pa.string()), ("path", pa.string()),
            ("hdu", pa.int32()), ("width", pa.int32()), ("height", pa.int32()), ("pixel_scale", pa.float64()),
            ("flux_factor", pa.float64()), ("wcs", pa.string()), ("has_tables", pa.bool_()),
            ("flag_bits", pa.string()), ("bad_bits", pa.int64()),
        ]
    )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=schema)


def write_parquet(path: Path, tables: Iterator[Any] | Sequence[Any]) -> int:
    """Write tables as one parquet file that takes its name when it is complete, and count their rows.

    Parameters
    ----------
    path : Path
        Of the file; one that is there is replaced.
    tables : iterable of pyarrow.Table
        Of the same columns; small ones are joined.

    Returns
    -------
    int
        Rows.
    """
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    temporary = path.with_name(f".{path.name}.part")
    writer, count, waiting = None, 0, []
    held = 0
    for table in tables:
        writer = writer or parquet.ParquetWriter(temporary, table.schema.remove_metadata())
        waiting.append(table.replace_schema_metadata(None))
        count, held = count + table.num_rows, held + table.num_rows
        if held >= _ROW_GROUP:
            writer.write_table(pa.concat_tables(waiting), row_group_size=held)
            waiting, held = [], 0
    if writer is not None:
        if waiting:
            writer.write_table(pa.concat_tables(waiting), row_group_size=max(held, 1))
        writer.close()
        temporary.replace(path)
    return count


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
    """
    import csv
    import io

    rows = [(r.row, r.source_id, r.code, r.text) for r in plan.refused]
    rows += [(row, source, FAILED, reason) for row, source, reason in failed]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "source_id", "code", "reason"))
    writer.writerows(sorted(rows))
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text.getvalue(), encoding="utf-8")
    temporary.replace(path)
    return len(rows)


def write_mapping(path: Path, index: Path) -> None:
    """Write which source is where, as CSV for readers of Cutana's mapping.

    The file is the array's folder or the stamp's own file, below the folder of the output.

    Parameters
    ----------
    path : Path
        Of the file; one that is there is replaced.
    index : Path
        The table of all stamps.
    """
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    import pyarrow.compute as pc  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    from pyarrow import csv, parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    temporary = path.with_name(f".{path.name}.part")
    names = {"source_id": "SourceID", "file": "zarr_file", "row": "batch_index", "status": "status"}
    schema = pa.schema([(new, pa.int64() if old == "row" else pa.string()) for old, new in names.items()])
    with parquet.ParquetFile(index) as file, csv.CSVWriter(temporary, schema) as writer:
        for batch in file.iter_batches(columns=list(names)):
            own = batch["file"]
            where = pc.if_else(pc.and_(pc.equal(own, ""), pc.equal(batch["status"], WRITTEN)), _ARRAY, own)
            columns = [batch["source_id"], where, batch["row"], batch["status"]]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    temporary.replace(path)

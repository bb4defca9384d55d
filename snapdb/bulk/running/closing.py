"""The end of a run: the parts' tables joined, and what gave no stamp reported."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from snapdb.bulk.catalogue.arrow import is_all, to_strings
from snapdb.bulk.cutting.part_stamps import FAILED, WRITTEN
from snapdb.bulk.cutting.stamps import StampMaker
from snapdb.bulk.planning.plan import Plan
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.running.journal import Journal
from snapdb.bulk.writing.table import (
    INDEX,
    MAPPING,
    REPORT,
    make_table,
    open_mapping,
    write_parquet,
    write_report,
)

Failure = tuple[int, str, str]
"""Catalogue row, source id and reason of a source that failed."""


def finish_run(folder: Path, journal: Journal, plan: Plan, recipe: Recipe) -> list[Failure]:
    """Write index, mapping and report of a run whose parts are all done.

    Parameters
    ----------
    folder : Path
        Of its output.
    journal : Journal
        With the parts' tables.
    plan : Plan
        What was done.
    recipe : Recipe
        How.

    Returns
    -------
    list of (row, source_id, reason)
        The sources that failed.
    """
    failed: list[Failure] = []

    def tables(add: Callable[[Any], None]) -> Iterator[Any]:
        if not plan.part_count:
            part = plan.no_part()
            yield make_table(part, StampMaker(recipe).make(part))
        for table in journal.iter_tables(plan.part_count):
            failed.extend(_failed_rows(table))
            add(table)
            yield table

    is_zarr = recipe.output_format == "zarr"
    with open_mapping(folder / MAPPING, plan.part_stamps, is_zarr=is_zarr) as add:
        write_parquet(folder / INDEX, tables(add))
    write_report(folder / REPORT, plan, failed)
    journal.tidy()  # of what a worker had begun that died
    return failed


def read_failed(folder: Path) -> list[Failure]:
    """Give the sources that failed in a run that is complete.

    Parameters
    ----------
    folder : Path
        Of its output.
    """
    from pyarrow import parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    columns = ["catalogue_row", "source_id", "reason", "status"]
    return list(_failed_rows(parquet.read_table(folder / INDEX, columns=columns)))


def tell_reasons(plan: Plan, failed: Sequence[Failure], *, is_empty: bool) -> dict[str, Any]:
    """Say why sources gave no stamp, in short.

    Parameters
    ----------
    plan : Plan
        With those that were refused.
    failed : sequence of (row, source_id, reason)
        Those that failed.
    is_empty : bool
        Whether the run is over without a stamp.

    Returns
    -------
    dict
        ``reasons``: code -> how many, the most frequent first, with the codes of the report;
        ``example``: what was said of the first of the most frequent; empty where all gave stamps.
        With sources and no stamp also ``status``, ``failed``, and ``error``, as Cutana's users test them.
    """
    said = [(r.code, r.text) for r in plan.refused] + [(FAILED, reason) for _, _, reason in failed]
    counts = Counter(code for code, _ in said).most_common()
    example = next((text for code, text in said if code == counts[0][0]), "")
    told: dict[str, Any] = {"reasons": dict(counts), "example": example}
    if is_empty and counts:
        text = ", ".join(f"{count} {code}" for code, count in counts)
        told |= {"status": "failed", "error": f"no source gave a stamp: {text}; the first: {example}"}
    return told


def _failed_rows(table: Any) -> Iterator[Failure]:
    """Give the rows of a table that failed."""
    names, states = ("catalogue_row", "source_id", "reason"), table["status"].combine_chunks()
    if is_all(states, WRITTEN):
        return
    for at, status in enumerate(to_strings(states)):
        if status == FAILED:
            row, source_id, reason = (table[name][at].as_py() for name in names)
            yield row, source_id, reason

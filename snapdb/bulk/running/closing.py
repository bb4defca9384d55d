"""The end of a run: the parts' tables joined, and what gave no stamp reported."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snapdb.bulk.cutting.stamps import StampMaker
from snapdb.bulk.planning.plan import Plan
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.running.journal import Journal
from snapdb.bulk.writing.table import (
    INDEX,
    MAPPING,
    REPORT,
    make_table,
    write_mapping,
    write_parquet,
    write_report,
)


def finish_run(folder: Path, journal: Journal, plan: Plan, recipe: Recipe) -> list[tuple[int, str, str]]:
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
    failed: list[tuple[int, str, str]] = []

    def tables() -> Iterator[Any]:
        if not plan.part_count:
            part = plan.no_part()
            yield make_table(part, StampMaker(recipe).make(part))
        for table in journal.iter_tables(plan.part_count):
            failed.extend(_failed_rows(table))
            yield table

    write_parquet(folder / INDEX, tables())
    write_mapping(folder / MAPPING, folder / INDEX)
    write_report(folder / REPORT, plan, failed)
    return failed


def _failed_rows(table: Any) -> Iterator[tuple[int, str, str]]:
    """Give the rows of a table that failed."""
    import pyarrow.compute as pc  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    chosen = table.filter(pc.equal(table["status"], "failed")).select(
        ["catalogue_row", "source_id", "reason"]
    )
    for row in chosen.to_pylist():
        yield row["catalogue_row"], row["source_id"], row["reason"]

"""A contact sheet of some sources, as a run would show them, before anything is written."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.bulk.catalogue.configured import open_catalogue
from snapdb.bulk.cutting.stamps import StampMaker
from snapdb.bulk.planning.choosing import plan_run
from snapdb.bulk.planning.plan import Plan
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.running.workers import one_thread
from snapdb.errors import UsageError
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.bulk.settings.config import Config

MARGIN = 2
"""Pixels between stamps."""
_PAPER = 64
"""Grey of the margins, which tells them from an empty sky."""


def preview(
    config: "Config",
    catalogue: Any = None,
    n: int | None = None,
    archive: "Archive | None" = None,
    *,
    seed: int = 0,
) -> PixelArray:
    """Draw a contact sheet of some sources of a catalogue, as a run would make their stamps.

    Parameters
    ----------
    config : Config
        Settings; stamps have ``ui.preview_size`` pixels a side.
    catalogue : path or table, optional
        The sources; ``config.source_catalogue`` by default.
    n : int, optional
        How many; ``ui.preview_samples`` by default. All of a catalogue that has fewer.
    archive : Archive, optional
        Where images are looked for when the catalogue names no files.
    seed : int
        Of the sample.

    Returns
    -------
    array of uint8, shape (H, W) or (H, W, 3)
        A picture, its first row at the top: sources in the catalogue's order from the upper left,
        each with the image's +y axis up. Grey for one output channel, the first of two, colour for
        three.

    Raises
    ------
    UsageError
        If `n` is below 1, or no source has a stamp.
    SnapdbError
        As :meth:`snapdb.bulk.running.orchestrator.Orchestrator.execute`.
    """
    count = config.ui.preview_samples if n is None else n
    if count < 1:
        msg = f"n = {n}: expected how many sources to show, 1 or more"
        raise UsageError(msg, n=n)
    recipe = replace(_of_sheet(Recipe.from_config(config)), resolution=config.ui.preview_size)
    with one_thread(config.process_threads):
        plan = _sample(plan_run(open_catalogue(config, catalogue), recipe, archive), count, seed)
        stamps = np.concatenate([StampMaker(recipe).make(part).images for part in plan.parts()])
    return lay_out(stamps[np.argsort(plan.sources.row, kind="stable")])


def _of_sheet(recipe: Recipe) -> Recipe:
    """Give a run's recipe with what a picture needs instead."""
    return replace(recipe, dtype="uint8", raw=False, planes=(), output_format="zarr", chunk=None)


def _sample(plan: Plan, count: int, seed: int) -> Plan:
    """Keep some sources of a plan, in its order."""
    if not len(plan):
        reason = plan.refused[0].text if plan.refused else "the catalogue is empty"
        msg = f"there is no stamp to preview: {reason}"
        raise UsageError(msg)
    random = np.random.default_rng(seed)
    chosen = np.sort(random.choice(len(plan), min(count, len(plan)), replace=False))
    return replace(plan, sources=plan.sources.take(chosen))


def lay_out(stamps: PixelArray) -> PixelArray:
    """Put stamps side by side on a sheet that is about as wide as it is high.

    Parameters
    ----------
    stamps : array of uint8, shape (n, h, w, C)
        Their first row is the lowest.

    Returns
    -------
    array of uint8, shape (H, W) or (H, W, 3)
        Its first row is the highest.
    """
    count, height, width, channels = stamps.shape
    shown = stamps[:, ::-1, :, : 3 if channels >= 3 else 1]
    across = int(np.ceil(np.sqrt(count)))
    down = -(-count // across)
    step_y, step_x = height + MARGIN, width + MARGIN
    sheet = np.full((down * step_y - MARGIN, across * step_x - MARGIN, shown.shape[-1]), _PAPER, np.uint8)
    for i, stamp in enumerate(shown):
        y, x = i // across * step_y, i % across * step_x
        sheet[y : y + height, x : x + width] = stamp
    return sheet if sheet.shape[-1] == 3 else sheet[..., 0]

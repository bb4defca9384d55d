"""Stamps without a disk between: batches for training, made while the ones before are used."""

import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.bulk.catalogue.configured import open_catalogue
from snapdb.bulk.cutting.stamps import StampMaker
from snapdb.bulk.planning.choosing import plan_run
from snapdb.bulk.planning.plan import Part, Plan
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.running.workers import one_thread
from snapdb.bulk.writing.table import make_table
from snapdb.errors import UsageError
from snapdb.types import IntArray, PixelArray

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.bulk.settings.config import Config

PLANES = ("data", "noise", "flags")
MIXED_PARTS = 4
"""Parts whose stamps are shuffled together."""
RUNS = 4
"""Runs of neighbours in each of them: many come from many places, few are read and resampled together."""
Arrays = dict[str, PixelArray]


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """Stamps of a part, or some of them."""

    arrays: Arrays
    table: Any

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def cut(self, start: int, stop: int) -> "_Made":
        """Give a run of them, as views."""
        arrays = {name: one[start:stop] for name, one in self.arrays.items()}
        return _Made(arrays, self.table.slice(start, stop - start))


def iter_batches(
    config: "Config",
    catalogue: Any = None,
    archive: "Archive | None" = None,
    *,
    batch_size: int | None = None,
    shuffle: int | None = None,
    epochs: int | None = 1,
    planes: Sequence[str] | None = None,
    shard: tuple[int, int] = (0, 1),
    workers: int = 2,
) -> Iterator[tuple[Any, Any]]:
    """Make stamps in batches that touch no disk, a few parts ahead of the batch that is taken.

    Parameters
    ----------
    config : Config
        Settings; what says how stamps are written has no meaning.
    catalogue : path or table, optional
        The sources; ``config.source_catalogue`` by default.
    archive : Archive, optional
        Where images are looked for when the catalogue names no files.
    batch_size : int, optional
        Stamps of a batch; the last of an epoch may have fewer. ``N_batch_cutout_process`` or as
        many as have room by default.
    shuffle : int, optional
        Seed of the order: runs of neighbours come in any order, and the stamps of 16 of them are
        mixed. It is another order in each epoch, and the same whatever the number of workers. None
        is the order of a run.
    epochs : int, optional
        How many times all sources come; None is without end.
    planes : sequence of str, optional
        Of ``data``, ``noise``, ``flags``; a batch then has a dictionary of arrays.
    shard : tuple of int
        ``(i, n)``: only every n-th part, from the i-th. The n streams together give each source once.
    workers : int
        Threads that make stamps. What is held of them is ``workers + 4`` times 64 MB at most, or less
        as ``memory_limit`` says.

    Returns
    -------
    iterator of tuple
        ``(images, table)``: images an array of shape (n, H, W, C) as a run would write it, or a
        dictionary of arrays by plane; table a pyarrow.Table with a row a stamp, as a run's index.

    Raises
    ------
    UsageError
        If an argument is out of range, there is no catalogue, or stamps are raw and so of many sizes.
    SnapdbError
        As :meth:`snapdb.bulk.running.orchestrator.Orchestrator.execute`.

    Warns
    -----
    UserWarning
        If there are sources that give no stamp; it says how many and why the first does not.
    """
    _check(batch_size, shuffle, epochs, shard, workers)
    wanted = _check_planes(planes)
    recipe = Recipe.from_config(config)
    if recipe.raw:
        msg = "do_only_cutout_extraction: stamps of many sizes make no batch; set it to false"
        raise UsageError(msg, name="do_only_cutout_extraction")
    recipe = replace(recipe, planes=tuple(p for p in wanted if p != "data"))
    single = replace(recipe, chunk=1)
    size = batch_size or single.part_stamps
    threads = config.process_threads
    with one_thread(threads):
        plan = plan_run(open_catalogue(config, catalogue), recipe, archive)
    if shuffle is not None:
        room = replace(single, batch=sys.maxsize).part_stamps
        plan = replace(plan, part_stamps=min(single.part_stamps, max(room // MIXED_PARTS, 1)))
    _tell_refused(plan)
    stream = _Stream(plan, recipe, wanted, shuffle, shard, workers, threads)
    batches = stream.batches(epochs, size)
    if planes is None:
        return ((one.arrays["data"], one.table) for one in batches)
    return ((one.arrays, one.table) for one in batches)


@dataclass(frozen=True, slots=True, eq=False)
class _Stream:
    """The parts of a plan, again and again."""

    plan: Plan
    recipe: Recipe
    planes: tuple[str, ...]
    seed: int | None
    shard: tuple[int, int]
    workers: int
    threads: int | None

    def batches(self, epochs: int | None, size: int) -> Iterator[_Made]:
        """Give the batches of all epochs."""
        if not len(self.plan):
            return
        with ThreadPoolExecutor(self.workers, thread_name_prefix="snapdb-stream") as pool:
            for epoch in count() if epochs is None else range(epochs):
                yield from _rebatch(self._epoch(epoch, pool), size)

    def _epoch(self, epoch: int, pool: ThreadPoolExecutor) -> Iterator[_Made]:
        """Give all parts once, in the order of the epoch."""
        if self.seed is None:
            return self._make_ahead(np.arange(len(self.plan)), pool)
        random = np.random.default_rng((self.seed, epoch))
        on_disk = np.lexsort((self.plan.lines, self.plan.sources.image_set))
        order = on_disk[_shuffle_runs(len(self.plan), self.plan.part_stamps, random)]
        return _mix(self._make_ahead(order, pool), np.random.default_rng((self.seed, epoch, *self.shard)))

    def _make_ahead(self, order: IntArray, pool: ThreadPoolExecutor) -> Iterator[_Made]:
        """Make parts in threads; each thread has one while the first is waited for."""
        plan = replace(self.plan, sources=self.plan.sources.take(order))
        wanted = range(self.shard[0], plan.part_count, self.shard[1])
        waiting: deque[Future[_Made]] = deque()
        try:
            for part in plan.parts(wanted):
                waiting.append(pool.submit(self._make, part, order[part.start : part.start + len(part)]))
                if len(waiting) > self.workers:
                    yield self._await(waiting.popleft())
            while waiting:
                yield self._await(waiting.popleft())
        finally:
            for one in waiting:
                one.cancel()

    def _await(self, future: Future[_Made]) -> _Made:
        """Wait for a part; the limit of threads holds while this waits, not while a batch is used."""
        with one_thread(self.threads):
            return future.result()

    def _make(self, part: Part, rows: IntArray) -> _Made:
        """Make the stamps of a part and their table, whose rows are those of a run."""
        made = StampMaker(self.recipe).make(part)
        planes = {"data": made.images, "noise": made.noise, "flags": made.flags}
        arrays = {name: one for name, one in planes.items() if name in self.planes and one is not None}
        table = make_table(part, made)
        return _Made(arrays, table.set_column(table.column_names.index("row"), "row", [rows]))


def _shuffle_runs(count: int, part: int, random: np.random.Generator) -> IntArray:
    """Put runs of neighbours on disk in any order; each part is in the order in which it is read."""
    run = max(part // RUNS, 1)
    starts = np.arange(0, count, run)
    random.shuffle(starts)
    order = np.concatenate([np.arange(start, min(start + run, count)) for start in starts.tolist()])
    return np.concatenate([np.sort(order[at : at + part]) for at in range(0, count, part)])


def _mix(parts: Iterable[_Made], random: np.random.Generator) -> Iterator[_Made]:
    """Shuffle the stamps of a few parts together."""
    source = iter(parts)
    while held := list(islice(source, MIXED_PARTS)):
        mixed = _shuffle(held, random)
        held.clear()  # what waits for the next batch shall not keep them
        yield mixed


def _shuffle(parts: Sequence[_Made], random: np.random.Generator) -> _Made:
    """Join parts, their stamps in any order."""
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    table = pa.concat_tables([p.table for p in parts])
    places = random.permutation(table.num_rows)
    ends = np.cumsum([len(p) for p in parts])[:-1]
    arrays = {}
    for name, first in parts[0].arrays.items():
        arrays[name] = np.empty((table.num_rows, *first.shape[1:]), first.dtype)
        for part, own in zip(parts, np.split(places, ends), strict=True):
            arrays[name][own] = part.arrays[name]
    return _Made(arrays, table.take(np.argsort(places)))


def _rebatch(parts: Iterable[_Made], size: int) -> Iterator[_Made]:
    """Cut parts into batches of one size, the last of what is left."""
    held: list[_Made] = []
    missing = size
    for part in parts:
        at = 0
        while at < len(part):
            piece = part.cut(at, at + min(missing, len(part) - at))
            held.append(piece)
            at, missing = at + len(piece), missing - len(piece)
            if not missing:
                yield _join(held)
                held, missing = [], size
    if held:
        yield _join(held)


def _join(parts: Sequence[_Made]) -> _Made:
    """Make one of several; a single one is taken as it is."""
    import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    if len(parts) == 1:
        return parts[0]
    arrays = {name: np.concatenate([p.arrays[name] for p in parts]) for name in parts[0].arrays}
    return _Made(arrays, pa.concat_tables([p.table for p in parts]).combine_chunks())


def _check(
    batch_size: int | None, shuffle: int | None, epochs: int | None, shard: tuple[int, int], workers: int
) -> None:
    """Refuse numbers out of range."""
    least: dict[str, tuple[Any, int]] = {
        "batch_size": (batch_size, 1), "shuffle": (shuffle, 0), "epochs": (epochs, 1), "workers": (workers, 1)
    }  # fmt: skip
    for name, (value, low) in least.items():
        if value is not None and not (isinstance(value, int | np.integer) and value >= low):
            msg = f"{name} = {value!r}: expected {low} or more"
            raise UsageError(msg, name=name, value=value)
    if not 0 <= shard[0] < shard[1]:
        msg = f"shard = {shard}: expected (i, n) with i from 0 to n - 1, such as (0, 4) of four streams"
        raise UsageError(msg, name="shard", value=shard)


def _check_planes(planes: Sequence[str] | None) -> tuple[str, ...]:
    """Refuse planes that there are not."""
    wanted = ("data",) if planes is None else tuple(planes)
    unknown = [p for p in wanted if p not in PLANES]
    if unknown or not wanted or isinstance(planes, str):
        msg = f"planes = {planes!r}: expected a list of some of {', '.join(PLANES)}"
        raise UsageError(msg, name="planes", value=planes)
    return wanted


def _tell_refused(plan: Plan) -> None:
    """Warn of sources that are not in the stream."""
    if plan.refused:
        first = plan.refused[0]
        text = (
            f"{len(plan.refused)} of {plan.rows} sources give no stamp; the first is row {first.row}, "
            f"source {first.source_id!r}: {first.text}"
        )
        warnings.warn(text, stacklevel=3)

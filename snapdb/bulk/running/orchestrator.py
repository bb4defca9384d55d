"""Runs of bulk cutouts: from a catalogue and settings to a folder of stamps."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapdb.bulk.catalogue.configured import open_catalogue
from snapdb.bulk.planning.choosing import plan_run
from snapdb.bulk.planning.plan import Part, Plan
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.running.closing import Failure, finish_run, read_failed, tell_reasons
from snapdb.bulk.running.folder import check_archive, check_call, check_folder, choose_output
from snapdb.bulk.running.helpers import Helpers, count_cores, start_early
from snapdb.bulk.running.journal import Journal, describe_run
from snapdb.bulk.running.lock import lock_output
from snapdb.bulk.running.progress import OnProgress, Progress, ProgressReport, to_listener
from snapdb.bulk.running.work import PartResult
from snapdb.bulk.running.workers import (
    Outcome,
    choose_way,
    one_thread,
    run_here,
    run_in_processes,
    run_on_dask,
)
from snapdb.bulk.settings.config import Config
from snapdb.bulk.writing.shards import check_shards, write_group
from snapdb.bulk.writing.table import IMAGES, INDEX, MAPPING, REPORT, make_images_table, write_parquet
from snapdb.errors import SnapdbError

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

FEW = 2
"""Parts up to which this process works alone."""


class Orchestrator:
    """A run: plans, works, and says how far it is.

    Parameters
    ----------
    config : Config
        Settings; ``output_dir`` says where the stamps go.
    status_panel : callable or object, optional
        Called with a :class:`ProgressReport` after each part, or its method
        ``receive_status_UI_update``, as Cutana calls its panel's.
    archive : Archive, optional
        Where images are looked for when the catalogue names no files; of files that are registered in
        it, its zero points count. The run is registered there as a provenance.
    output : path, optional
        Folder of the stamps; else ``output_dir``, or a folder ``<name>.zarr`` in it for zarr
        where its own name has not that ending.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do the parts.
    helpers : Helpers, optional
        Processes that do parts beside this one, where they were started before; whoever started them
        ends them.

    Notes
    -----
    Parts are done in threads or processes; which, and how many, changes no byte of the output. It
    may be killed at any moment and resumed. Nothing that is there is written over unless it is
    asked for, and then only what a run wrote.
    """

    def __init__(
        self,
        config: Config,
        status_panel: Any = None,
        *,
        archive: "Archive | None" = None,
        output: str | Path | None = None,
        scheduler: str | None = None,
        helpers: Helpers | None = None,
    ) -> None:
        self.config = config
        self.archive = check_archive(archive)
        self.scheduler = scheduler
        self.output = choose_output(config, output)
        self._helpers = helpers
        self.seconds: Counter[str] = Counter()
        """Time of each stage, of all workers together."""
        self._panel = to_listener(status_panel)
        self._progress = Progress()
        self._unregistered = ""
        self._stop = threading.Event()
        self._running = threading.Event()

    def run(
        self,
        catalogue: Any = None,
        *,
        resume: bool = False,
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Run, and say how it ended; what fails is in the result, as Cutana's users know it.

        Parameters
        ----------
        catalogue : path or table, optional
            The sources; ``config.source_catalogue`` by default.
        resume : bool
            Go on where a run of the same settings and sources was stopped or killed.
        overwrite : bool
            Replace a run that is there.
        on_progress : callable, optional
            Called with a :class:`ProgressReport` after each part.

        Returns
        -------
        dict
            As :meth:`execute`; ``status`` is ``failed`` and ``error`` says why where that raises.
        """
        try:
            return self.execute(catalogue, resume=resume, overwrite=overwrite, on_progress=on_progress)
        except SnapdbError as err:
            return {"status": "failed", "error": str(err), "total_sources": self._progress.total_sources,
                    "completed_batches": self._progress.batches, "mapping_parquet": "", "mapping_csv": "",
                    "failed_processes": [], "reasons": {}}  # fmt: skip

    def start_processing(self, catalogue_data: Any, **options: Any) -> dict[str, Any]:
        """Run on a catalogue that is in memory.

        Parameters
        ----------
        catalogue_data : pandas.DataFrame or table
            The sources.
        **options : object
            As :meth:`run`.

        Returns
        -------
        dict
            As :meth:`run`.
        """
        return self.run(catalogue_data, **options)

    def execute(
        self,
        catalogue: Any = None,
        *,
        resume: bool = False,
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Run, and raise what stops it.

        Parameters
        ----------
        catalogue, resume, overwrite, on_progress
            As :meth:`run`.

        Returns
        -------
        dict
            ``status`` (``completed``, ``stopped``, or ``failed`` with an ``error`` where no source of
            those that there are gave a stamp), ``total_sources``, ``written``, ``failed``,
            ``refused``, ``reasons`` (code -> sources that it kept from a stamp), ``example`` (what was
            said of the first of them), ``completed_batches``, ``mapping_parquet``, ``mapping_csv``,
            ``failed_processes``, ``output``, ``report`` (CSV of refused and failed rows), ``unregistered``
            (why the archive does not know of the run; empty where it does, or there is none), ``seconds``.

        Raises
        ------
        ObjectExistsError
            If the output is there and neither resuming nor overwriting was asked for.
        ConflictError
            If what shall be resumed is another run, or a run is under way in the output.
        ConfigError
            If there is no catalogue, or ``write_to_disk`` is False.
        UsageError
            If there are no images for the catalogue, or it names files and settings have criteria.
        CatalogueValidationError
            If the catalogue lacks columns.
        StorageError
            If the output cannot be written.
        """
        self._stop.clear()
        check_call(self.config, resume=resume, overwrite=overwrite)
        recipe = Recipe.from_config(self.config)
        self._running.set()
        try:
            with self._helped(catalogue), one_thread(self.config.process_threads):
                plan = plan_run(open_catalogue(self.config, catalogue), recipe, self.archive)
                with lock_output(self.output):
                    return self._work(plan, recipe, on_progress, resume=resume, overwrite=overwrite)
        finally:
            self._running.clear()

    @contextmanager
    def _helped(self, catalogue: Any) -> Iterator[None]:
        """Have helpers for a run that is large."""
        if self._helpers is not None or self.scheduler is not None:
            yield
            return
        with start_early(self.config, catalogue) as helpers:
            self._helpers = helpers
            try:
                yield
            finally:
                self._helpers = None

    def stop_processing(self) -> dict[str, Any]:
        """Begin no more parts; those under way are finished, and the run can be resumed.

        Returns
        -------
        dict
            ``stopped_processes``: names of the workers that finish what they have.
        """
        active = self._progress.workers if self._running.is_set() else 0
        self._stop.set()
        return {"stopped_processes": [f"worker_{n:03d}" for n in range(active)]}

    def can_resume(self) -> bool:
        """Say whether the output holds a run of these settings that is not complete.

        Whether its catalogue and images are the same is seen when it is resumed.
        """
        journal = Journal(self.output)
        known = journal.read_run()
        is_open = known is not None and known["status"] != "completed"
        return is_open and journal.find_difference(describe_run(self.config)) is None

    def get_progress(self) -> dict[str, Any]:
        """Say how far the run is.

        Returns
        -------
        dict
            ``total_sources``, ``completed_sources``, ``failed_sources``, ``total_batches``,
            ``completed_batches``, ``progress_percent``, ``runtime_seconds``, ``rate`` (sources a second),
            ``eta_seconds``, ``active_workers``, ``is_processing``.
        """
        report = self._progress.report()
        names = (
            "total_sources", "completed_sources", "failed_sources", "total_batches", "completed_batches",
            "progress_percent", "runtime_seconds", "rate", "eta_seconds", "active_workers",
        )  # fmt: skip
        return {name: getattr(report, name) for name in names} | {"is_processing": self._running.is_set()}

    def get_progress_for_ui(self, completed_sources: int | None = None) -> ProgressReport:
        """Say how far the run is, with the machine's memory.

        Parameters
        ----------
        completed_sources : int, optional
            Taken instead of the run's own count.
        """
        from dataclasses import replace

        report = self._progress.report()
        return report if completed_sources is None else replace(report, completed_sources=completed_sources)

    def _work(
        self, plan: Plan, recipe: Recipe, on_progress: OnProgress | None, *, resume: bool, overwrite: bool
    ) -> dict[str, Any]:
        """Do what is planned, and join the tables at the end."""
        journal = Journal(self.output)
        facts: dict[str, Any] = describe_run(self.config) | {"plan": plan.digest(), "status": "running"}
        facts |= {"stamps": len(plan), "parts": plan.part_count, "parameters": self.config.parameters()}
        done = self._prepare(journal, facts, plan, recipe, resume=resume, overwrite=overwrite)
        if done is None:
            return self._summary(plan, read_failed(self.output), "completed")
        workers = self._count_workers(plan.part_count - len(done))
        self._progress = Progress(total_sources=len(plan), total_batches=plan.part_count, workers=workers)
        self._progress.skip(sum(_size_of(plan, i) for i in done), len(done))
        wanted = [i for i in range(plan.part_count) if i not in done]
        broken: list[tuple[Part, Exception]] = []
        for part, outcome in self._outcomes(plan.parts(wanted), recipe, workers):
            result = self._settle(part, outcome, recipe)
            if isinstance(result, ChildProcessError):
                continue  # of a worker that ended before the run, which was stopped
            if isinstance(result, Exception):
                broken.append((part, result))
                continue
            self.seconds.update(result.seconds)
            self._progress.add(result.stamps, len(result.failed), result.size)
            for tell in (on_progress, self._panel):
                if tell is not None:
                    tell(self._progress.report())
        return self._close(journal, facts, plan, recipe, broken)

    def _prepare(
        self,
        journal: Journal,
        facts: dict[str, Any],
        plan: Plan,
        recipe: Recipe,
        *,
        resume: bool,
        overwrite: bool,
    ) -> set[int] | None:
        """Make the folder, or see what is in it; None where all is done already."""
        known = journal.read_run() if resume else None
        if known is not None:
            journal.check(facts)
            journal.tidy()
            if known["status"] == "completed":
                journal.close(plan.part_count)  # which may have been killed in the middle of that
                check_shards(self.output)
                return None
            done = journal.done(plan.part_count)
        else:
            is_zarr = recipe.output_format == "zarr"
            check_folder(self.output, is_run=journal.is_there(), overwrite=overwrite, is_zarr=is_zarr)
            done = set()
        journal.write_run(facts)  # first, so that what is left of a run that was killed is known as one
        if recipe.output_format == "zarr":
            write_group(self.output, len(plan), recipe)
        write_parquet(self.output / IMAGES, [make_images_table(plan.images())])
        return done

    def _outcomes(self, parts: Iterator[Part], recipe: Recipe, workers: int) -> Iterator[Outcome]:
        """Let workers do the parts."""
        deadline = time.monotonic() + self.config.max_workflow_time_seconds
        stopped = partial(_is_over, self._stop, deadline)
        folder = str(self.output.absolute())
        if self.scheduler is not None:
            return run_on_dask(parts, recipe, folder, stopped, self.scheduler)
        if workers <= 1:
            return run_here(parts, recipe, folder, stopped)
        run = choose_way(recipe, self._progress.total_sources)
        if run is run_in_processes:
            return run_in_processes(parts, recipe, folder, stopped, workers, self._helpers)
        return run(parts, recipe, folder, stopped, workers)

    def _settle(self, part: Part, outcome: PartResult | Exception, recipe: Recipe) -> PartResult | Exception:
        """Do a part once more, here, where its worker failed."""
        if not isinstance(outcome, Exception) or self._stop.is_set():
            return outcome
        for _, again in run_here([part], recipe, str(self.output.absolute()), lambda: False):
            return again
        return outcome

    def _count_workers(self, parts: int) -> int:
        """Say how many workers there shall be."""
        if self.scheduler is None and parts <= FEW:
            return 1
        return max(1, min(self.config.max_workers, count_cores(), parts))

    def _close(
        self,
        journal: Journal,
        facts: dict[str, Any],
        plan: Plan,
        recipe: Recipe,
        broken: list[tuple[Part, Exception]],
    ) -> dict[str, Any]:
        """Join the tables where all is done; else say what is left."""
        complete = self._progress.batches == plan.part_count
        if not complete:
            journal.write_run(facts | {"status": "stopped"})
            if broken:
                raise broken[0][1]
            return self._summary(plan, [], "stopped")
        failed = finish_run(self.output, journal, plan, recipe)
        journal.write_run(facts | {"status": "completed"})
        journal.close(plan.part_count)
        if self.archive is not None:
            from snapdb.bulk.running.register import try_to_register

            self._unregistered = try_to_register(self.archive, self.config, plan)
        return self._summary(plan, failed, "completed")

    def _summary(self, plan: Plan, failed: list[Failure], status: str) -> dict[str, Any]:
        """Say how it ended."""
        there = status == "completed"
        written = (len(plan) if there else self._progress.completed) - len(failed)
        return {
            "status": status,
            "total_sources": plan.rows,
            "written": written,
            "failed": len(failed),
            "refused": len(plan.refused),
            **tell_reasons(plan, failed, is_empty=there and not written),
            "completed_batches": plan.part_count if there else self._progress.batches,
            "mapping_parquet": str(self.output / INDEX) if there else "",
            "mapping_csv": str(self.output / MAPPING) if there else "",
            "failed_processes": [],
            "output": str(self.output),
            "report": str(self.output / REPORT) if there else "",
            "unregistered": self._unregistered,
            "seconds": dict(self.seconds),
        }


def _is_over(stop: threading.Event, deadline: float) -> bool:
    return stop.is_set() or time.monotonic() > deadline


def _size_of(plan: Plan, index: int) -> int:
    return min(plan.part_stamps, len(plan) - index * plan.part_stamps)

"""Who does the parts of a run: this process, threads, processes, or a Dask cluster.

Whoever it is, only a few parts are under way at a time, so that memory is bounded, and results
come as they are ready.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from snapdb.bulk.planning.plan import Part
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.running.helpers import Helpers, is_large
from snapdb.bulk.running.work import PartResult, run_part
from snapdb.errors import ConfigError, SnapdbError

AHEAD = 2
"""Parts a worker that wait for it."""
Outcome = tuple[Part, PartResult | Exception]


def one_thread(count: int | None = None) -> AbstractContextManager[Any]:
    """Let numerical libraries use so many threads while a block runs, one by default.

    Stamps are small: sharing one product among threads costs more than it saves, and workers
    share the cores already.

    Parameters
    ----------
    count : int, optional
        Threads.
    """
    if not count and os.environ.get("OPENBLAS_NUM_THREADS") == "1":  # so it is from the start
        return nullcontext()
    try:
        from threadpoolctl import (  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
            threadpool_limits,
        )
    except ImportError:
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(count or 1, user_api="blas")
    return limits


def run_here(
    parts: Iterable[Part], recipe: Recipe, folder: str, stopped: Callable[[], bool]
) -> Iterator[Outcome]:
    """Do parts one after another in this process.

    Parameters
    ----------
    parts : iterable of Part
        What is to do.
    recipe, folder
        As :func:`~snapdb.bulk.running.work.run_part`.
    stopped : callable
        Says whether to begin no more.
    """
    for part in parts:
        if stopped():
            return
        yield part, _attempt(part, recipe, folder)


def choose_way(recipe: Recipe, count: int) -> Callable[..., Iterator[Outcome]]:
    """Choose how the workers of a run on this machine work; it changes no byte.

    Threads start at once, but share Python's lock, which binds them where there is much to shape.
    Files one a source are so much work of the system that a second thread only gets in the way.

    Parameters
    ----------
    recipe : Recipe
        What is made.
    count : int
        How many stamps.

    Returns
    -------
    callable
        :func:`run_in_processes`, :func:`run_in_threads` or :func:`run_alone`.
    """
    if is_large(count * recipe.resolution**2 * recipe.outputs):
        return run_in_processes
    return run_alone if recipe.output_format == "fits" else run_in_threads


def run_alone(
    parts: Iterable[Part],
    recipe: Recipe,
    folder: str,
    stopped: Callable[[], bool],
    workers: int,  # noqa: ARG001  # as its neighbours
) -> Iterator[Outcome]:
    """Do parts in this process, whatever the workers.

    Parameters
    ----------
    parts, recipe, folder, stopped
        As :func:`run_here`.
    workers : int
        Not used.
    """
    yield from run_here(parts, recipe, folder, stopped)


def run_in_threads(
    parts: Iterable[Part], recipe: Recipe, folder: str, stopped: Callable[[], bool], workers: int
) -> Iterator[Outcome]:
    """Do parts in threads of this process.

    Parameters
    ----------
    parts, recipe, folder, stopped
        As :func:`run_here`.
    workers : int
        Threads.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers, thread_name_prefix="snapdb-bulk") as pool:
        yield from _feed(pool.submit, parts, recipe, folder, stopped, lambda: workers)


def run_in_processes(
    parts: Iterable[Part],
    recipe: Recipe,
    folder: str,
    stopped: Callable[[], bool],
    workers: int,
    helpers: Helpers | None = None,
) -> Iterator[Outcome]:
    """Do parts in this process and in others beside it.

    Parameters
    ----------
    parts, recipe, folder, stopped
        As :func:`run_here`.
    workers : int
        Processes, this one among them.
    helpers : Helpers, optional
        The others, where they are there already.
    """
    own = None if helpers is not None else Helpers(max(workers - 1, 1))
    others = helpers or own
    assert others is not None  # noqa: S101  # for the type checker
    try:
        yield from _share(others, iter(parts), recipe, folder, stopped)
    finally:
        if own is not None:
            own.close()


def _share(
    helpers: Helpers, parts: Iterator[Part], recipe: Recipe, folder: str, stopped: Callable[[], bool]
) -> Iterator[Outcome]:
    """Give helpers as much as keeps them busy, and do the rest here, the last part among it."""
    given: dict[int, Part] = {}
    part = next(parts, None)
    while part is not None and not stopped():
        following = next(parts, None)
        yield from [(given.pop(n), outcome) for n, outcome in helpers.collect(wait=False)]
        if following is not None and helpers.give(part, recipe, folder):
            given[part.index] = part
        else:
            yield part, _attempt(part, recipe, folder)
        part = following
    while given:
        yield from [(given.pop(n), outcome) for n, outcome in helpers.collect(wait=True)]
    helpers.dismiss()


def run_on_dask(
    parts: Iterable[Part], recipe: Recipe, folder: str, stopped: Callable[[], bool], scheduler: str
) -> Iterator[Outcome]:
    """Do parts on the workers of a Dask cluster, which see the same files under the same names.

    Parameters
    ----------
    parts, recipe, folder, stopped
        As :func:`run_here`.
    scheduler : str
        Its address, such as ``tcp://host:8786``.

    Raises
    ------
    ConfigError
        If distributed is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    except ImportError as err:
        msg = "a scheduler needs distributed; install it with: pip install 'snapdb[dask]'"
        raise ConfigError(msg, package="distributed") from err
    try:
        client: Any = Client(scheduler, timeout=30, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as err:
        msg = f"no Dask scheduler answers at {scheduler}: {err}; start one with `dask scheduler`"
        raise ConfigError(msg, scheduler=scheduler) from err
    with client:

        def submit(function: Any, *args: Any) -> Any:
            return client.submit(function, *args, pure=False, retries=1)

        def count() -> int:
            return max(int(sum(client.nthreads().values())), 1)

        yield from _feed(submit, parts, recipe, folder, stopped, count)


def _feed(
    submit: Callable[..., Any],
    parts: Iterable[Part],
    recipe: Recipe,
    folder: str,
    stopped: Callable[[], bool],
    count_workers: Callable[[], int],
) -> Iterator[Outcome]:
    """Keep workers busy with few parts at a time; those under way are finished when it is stopped."""
    waiting: deque[tuple[Part, Any]] = deque()
    for part in parts:
        if stopped():
            break
        waiting.append((part, submit(run_limited, part, recipe, folder)))
        while len(waiting) > count_workers() * AHEAD:
            yield _take(waiting)
    while waiting:
        yield _take(waiting)


def _take(waiting: deque[tuple[Part, Any]]) -> Outcome:
    """Wait for the oldest part; a worker's death is an outcome too."""
    part, future = waiting.popleft()
    try:
        return part, future.result()
    except Exception as err:  # noqa: BLE001  # whatever ends a worker must not end the run
        return part, err


def run_limited(part: Part, recipe: Recipe, folder: str) -> PartResult:
    """Do a part with one thread of numerical libraries.

    Parameters
    ----------
    part, recipe, folder
        As :func:`~snapdb.bulk.running.work.run_part`.
    """
    return run_part(part, recipe, folder)


def _attempt(part: Part, recipe: Recipe, folder: str) -> PartResult | Exception:
    """Do a part here."""
    try:
        return run_part(part, recipe, folder)
    except (SnapdbError, OSError, MemoryError) as err:
        return err

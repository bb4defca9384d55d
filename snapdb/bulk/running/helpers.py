"""Processes that do parts beside this one.

They take half a second to start, for the most part with libraries to load: so they are started first of
all, and load those while this process reads the catalogue and plans. Nothing heavy is loaded here.

What is given to a process, and what it gives back, is pickled, its length in 8 bytes before it.
"""

import os
import pickle
import select
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snapdb.bulk.planning.plan import Part
    from snapdb.bulk.planning.recipe import Recipe
    from snapdb.bulk.settings.config import Config

LARGE_PX = 2 * 10**7
"""Pixels of all stamps from which processes gain more than they take to start."""
AHEAD = 2
"""Parts that a process has at a time: one that it does, and those that wait for it."""
_ROW_BYTES = {".parquet": 40, ".pq": 40}
"""What a source takes in a catalogue's file, about."""
_TEXT_ROW_BYTES = 80
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_BEGIN = "import sys; sys.path[:] = {path!r}; from snapdb.bulk.running.helping import serve; serve()"


def ask_one_thread() -> None:
    """Ask numerical libraries for one thread, where they are not loaded yet.

    Stamps are small: sharing one product among threads costs more than it saves, and processes
    share the cores already.
    """
    if "numpy" not in sys.modules:
        for name, value in _ONE_THREAD.items():
            os.environ.setdefault(name, value)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Start processes that take no SIGINT and no SIGTERM, from their first moment on.

    A terminal and a batch system send these to all processes of a run. The one that gives the parts stops
    in good order, or dies, and the others end with it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Helper:
    """One process, and the numbers of what it was given, in that order."""

    def __init__(self) -> None:
        code = _BEGIN.format(path=sys.path)
        pipe = subprocess.PIPE
        with _signals_held():
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter, with code of ours
                [sys.executable, "-c", code],
                bufsize=0,  # what waits in a buffer is not seen by select
                stdin=pipe,
                stdout=pipe,
                env={**os.environ, **_ONE_THREAD},
            )
        self.held: deque[int] = deque()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def fileno(self) -> int:
        """Give the descriptor that can be read when it has something to give."""
        return self._output.fileno()

    def give(self, number: int, task: bytes) -> None:
        """Give it something to do; it takes it at once, whatever it is at.

        Parameters
        ----------
        number : int
            Of the part.
        task : bytes
            Pickled arguments of :func:`~snapdb.bulk.running.work.run_part`.
        """
        self.held.append(number)
        with suppress(BrokenPipeError):  # that it has died is seen when its results are taken
            write_frame(self._input.fileno(), task)

    def take(self) -> Iterator[tuple[int, Any]]:
        """Take its next result; all that it was given has failed where it has died."""
        content = read_frame(self.fileno())
        if content is not None:
            yield self.held.popleft(), pickle.loads(content)  # noqa: S301  # of a process of ours
            return
        code = self._process.wait()
        while self.held:
            yield self.held.popleft(), ChildProcessError(f"a process that did parts of the run ended: {code}")

    def dismiss(self) -> None:
        """Let it end."""
        with suppress(BrokenPipeError):
            self._input.close()

    def close(self) -> None:
        """See that it has ended."""
        self.dismiss()
        self._output.close()
        self._process.wait()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101  # for the type checker
        return self._process.stdin

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101  # for the type checker
        return self._process.stdout


class Helpers:
    """Processes that do parts.

    Parameters
    ----------
    count : int
        How many.
    """

    def __init__(self, count: int) -> None:
        self._all = [Helper() for _ in range(count)]
        self._alive = list(self._all)

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes."""
        return [helper.pid for helper in self._all]

    def give(self, part: "Part", recipe: "Recipe", folder: str) -> bool:
        """Give a part to one of them, unless all have enough.

        Parameters
        ----------
        part, recipe, folder
            As :func:`~snapdb.bulk.running.work.run_part`.

        Returns
        -------
        bool
            Whether one took it.
        """
        helper = min(self._alive, key=lambda h: len(h.held), default=None)
        if helper is None or len(helper.held) >= AHEAD:
            return False
        helper.give(part.index, _pickle(part, recipe, folder))
        return True

    def collect(self, *, wait: bool) -> list[tuple[int, Any]]:
        """Take the results that are there.

        Parameters
        ----------
        wait : bool
            Whether to wait for one where there are none; something must be under way.

        Returns
        -------
        list of (number, result or exception)
            In no order.
        """
        busy = [helper for helper in self._alive if helper.held]
        found: list[tuple[int, Any]] = []
        for helper in select.select(busy, [], [], None if wait else 0.0)[0] if busy else ():
            results = list(helper.take())
            if isinstance(results[0][1], ChildProcessError):
                self._alive.remove(helper)
            found += results
        return found

    def dismiss(self) -> None:
        """Let them end, now that nothing is left to do."""
        for helper in self._all:
            helper.dismiss()

    def close(self) -> None:
        """End them; what they are at is given up."""
        self.dismiss()
        for helper in self._all:
            helper.close()


def _pickle(part: "Part", recipe: "Recipe", folder: str) -> bytes:
    """Pickle; a function of the user's own travels as its code, since it may be in a script."""
    if recipe.convert is None:
        return pickle.dumps((part, recipe, folder), protocol=pickle.HIGHEST_PROTOCOL)
    import cloudpickle  # type: ignore[import-untyped,unused-ignore]  # loky brings it

    return bytes(cloudpickle.dumps((part, recipe, folder)))


def write_frame(descriptor: int, content: bytes) -> None:
    """Write bytes with their length.

    Parameters
    ----------
    descriptor : int
        Where to.
    content : bytes
        What.
    """
    rest = memoryview(len(content).to_bytes(8, "little") + content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_frame(descriptor: int) -> bytes | None:
    """Read what :func:`write_frame` wrote, and nothing beyond it; None at the end.

    Parameters
    ----------
    descriptor : int
        Where from.
    """
    head = _read(descriptor, 8)
    return None if head is None else _read(descriptor, int.from_bytes(head, "little"))


def _read(descriptor: int, size: int) -> bytes | None:
    """Read so many bytes; None where there are not as many."""
    content = bytearray()
    while len(content) < size:
        piece = os.read(descriptor, size - len(content))
        if not piece:
            return None
        content += piece
    return bytes(content)


def is_large(pixels: float) -> bool:
    """Say whether there is so much to do that processes are worth their start.

    Parameters
    ----------
    pixels : float
        Of all stamps.
    """
    return bool(sys.executable) and pixels > LARGE_PX


def count_cores() -> int:
    """Say how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_early(config: "Config", source: Any) -> int:
    """Say how many helpers a run surely wants, before its catalogue is read.

    Parameters
    ----------
    config : Config
        Of the run.
    source : path or table
        The catalogue, whose size is looked at; None is the settings' own.

    Returns
    -------
    int
        0 where it may want none.
    """
    source = config.source_catalogue if source is None else source
    if isinstance(source, str | Path):
        path = Path(source)
        size = path.stat().st_size if path.is_file() else 0
        rows = size / _ROW_BYTES.get(path.suffix.lower(), _TEXT_ROW_BYTES)
    else:
        rows = len(source) if hasattr(source, "__len__") else 0
    outputs = max((len(w) for w in config.channel_weights.values()), default=1)
    pixels = rows * config.target_resolution**2 * outputs
    if not is_large(pixels):
        return 0
    return min(config.max_workers, count_cores()) - 1


@contextmanager
def start_early(config: "Config", source: Any = None) -> Iterator[Helpers | None]:
    """Start the helpers that a run surely wants, for a block.

    Parameters
    ----------
    config : Config
        Of the run.
    source : path or table, optional
        Its catalogue.

    Yields
    ------
    Helpers or None
        None where it may want none.
    """
    count = count_early(config, source)
    if count < 1:
        yield None
        return
    helpers = Helpers(count)
    try:
        yield helpers
    finally:
        helpers.close()

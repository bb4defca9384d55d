"""What a process does that does parts for another: see :mod:`~snapdb.bulk.running.helpers`."""

import gc
import os
import pickle
import threading
from queue import SimpleQueue
from typing import Any

from snapdb.bulk.running.helpers import read_frame, write_frame


def serve() -> None:
    """Do parts as they come, until the process that gives them closes the pipe, or dies."""
    output = os.dup(1)
    os.dup2(2, 1)  # what is printed must not come between results
    tasks: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=(0, tasks), daemon=True).start()
    gc.disable()
    load_libraries()
    gc.enable()
    gc.freeze()  # what is loaded stays: it need not be looked through again and again
    while True:
        write_frame(output, _do(tasks.get()))


def _receive(source: int, tasks: "SimpleQueue[bytes]") -> None:
    """Take what comes at once, so that nobody waits; end the process when nothing more can come."""
    while True:
        content = read_frame(source)
        if content is None:
            # At once: a run that was killed may be resumed at any moment.
            os._exit(0)
        tasks.put(content)


def load_libraries() -> None:
    """Load what parts need."""
    import snapdb.bulk.running.work
    import snapdb.bulk.shape.steps
    import snapdb.bulk.writing.fits  # noqa: F401

    try:
        import google_crc32c  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: F401  # optional
        import numcodecs.blosc  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: F401  # optional
    except ImportError:
        pass  # said where they are used


def _do(task: bytes) -> bytes:
    """Do a part; gives its result, or what it raised, pickled."""
    from snapdb.bulk.running.work import run_part

    try:
        result: Any = run_part(*pickle.loads(task))  # noqa: S301  # of the process that started this one
    except Exception as err:  # noqa: BLE001  # whatever it is, the run must not end by it
        result = err
    try:
        return pickle.dumps(result)
    except Exception:  # noqa: BLE001  # an exception with something in it that does not travel
        return pickle.dumps(RuntimeError(repr(result)))

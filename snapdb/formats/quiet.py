"""Warnings of astropy caught as text, by one thread at a time: Python's filters are shared by all."""

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.RLock()
_EMPTY = re.compile(r"^Verification reported|uses zero-based indexing|keyword is deprecated, use P[VC]i_")
"""Lines in which astropy frames a warning, and notes on old spellings that it reads all the same."""


@contextmanager
def caught_warnings() -> Iterator[list[str]]:
    """Catch warnings within a block.

    Yields
    ------
    list of str
        Filled when the block ends: each warning on one line.
    """
    import astropy  # noqa: F401  # on import it takes warnings over, and would take them from this block

    texts: list[str] = []
    with _LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield texts
        finally:
            lines = (_to_line(str(w.message)) for w in caught)
            texts += dict.fromkeys(line for line in lines if not _EMPTY.search(line))


def _to_line(message: str) -> str:
    """Put a warning on one line of bearable length."""
    return re.sub(r"\s+", " ", message).strip()[:300]

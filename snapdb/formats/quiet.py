"""Warnings of astropy caught as text, by one thread at a time: Python's filters are shared by all."""

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.RLock()
_EMPTY = ("Verification reported errors:", "Note: astropy.io.fits uses zero-based indexing.")
"""Lines in which astropy frames a warning, and which say nothing."""


@contextmanager
def caught_warnings() -> Iterator[list[str]]:
    """Catch warnings within a block.

    Yields
    ------
    list of str
        Filled when the block ends: each warning on one line.
    """
    texts: list[str] = []
    with _LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield texts
        finally:
            lines = (_to_line(str(w.message)) for w in caught)
            texts += dict.fromkeys(line for line in lines if line not in _EMPTY)


def _to_line(message: str) -> str:
    """Put a warning on one line of bearable length."""
    return re.sub(r"\s+", " ", message).strip()[:300]

"""How far a run is, how fast, and when it ends."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from snapdb.errors import UsageError

_SMOOTHING = 0.3
"""Weight of the newest rate (Cutana's)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressReport:
    """How far a run is."""

    total_sources: int = 0
    completed_sources: int = 0
    """Written and failed ones."""
    failed_sources: int = 0
    total_batches: int = 0
    completed_batches: int = 0
    runtime_seconds: float = 0.0
    rate: float = 0.0
    """Sources a second, of late."""
    eta_seconds: float | None = None
    """None while nothing is known of the rate."""
    active_workers: int = 0
    bytes_written: int = 0
    memory_used_gb: float = 0.0
    """Of this process."""
    memory_total_gb: float = 0.0
    """Of this machine."""

    @property
    def progress_percent(self) -> float:
        """0 to 100."""
        return 100.0 * self.completed_sources / self.total_sources if self.total_sources else 100.0


OnProgress = Callable[[ProgressReport], None]
"""Is told how far a run is."""


def to_listener(panel: Any) -> OnProgress | None:
    """Give what a status panel is told by: the panel itself, or its method of Cutana's name.

    Parameters
    ----------
    panel : object or None
        A callable, or an object with ``receive_status_UI_update``.

    Raises
    ------
    UsageError
        If it is neither.
    """
    found = getattr(panel, "receive_status_UI_update", panel)
    if found is None or callable(found):
        return found  # type: ignore[no-any-return]  # whatever can be called
    msg = (
        f"status_panel is of {type(panel)}: expected a function that takes a ProgressReport, or an object "
        "with a method receive_status_UI_update; an archive is given as archive=..."
    )
    raise UsageError(msg)


@dataclass(slots=True, kw_only=True)
class Progress:
    """Counts what is done."""

    total_sources: int = 0
    total_batches: int = 0
    workers: int = 0
    completed: int = 0
    failed: int = 0
    batches: int = 0
    written_bytes: int = 0
    rate: float = 0.0
    _begin: float = field(default_factory=time.monotonic)
    _last: float = field(default_factory=time.monotonic)

    def skip(self, sources: int, batches: int) -> None:
        """Count what was done before this run."""
        self.completed += sources
        self.batches += batches

    def add(self, sources: int, failed: int, size: int) -> None:
        """Count a part that is done now."""
        now = time.monotonic()
        self.completed, self.failed = self.completed + sources, self.failed + failed
        self.batches, self.written_bytes = self.batches + 1, self.written_bytes + size
        newest = sources / max(now - self._last, 1e-6)
        # Parts of several workers end in bursts: the mean is the better guess while they are few.
        mean = self.completed / max(now - self._begin, 1e-6)
        few = self.batches <= 2 * max(self.workers, 1)
        self.rate = mean if few else _SMOOTHING * newest + (1.0 - _SMOOTHING) * self.rate
        self._last = now

    def report(self) -> ProgressReport:
        """Say how far the run is."""
        left = self.total_sources - self.completed
        used, total = _memory_gb()
        return ProgressReport(
            total_sources=self.total_sources,
            completed_sources=self.completed,
            failed_sources=self.failed,
            total_batches=self.total_batches,
            completed_batches=self.batches,
            runtime_seconds=time.monotonic() - self._begin,
            rate=self.rate,
            eta_seconds=left / self.rate if self.rate else None,
            active_workers=self.workers,
            bytes_written=self.written_bytes,
            memory_used_gb=used,
            memory_total_gb=total,
        )


def _memory_gb() -> tuple[float, float]:
    """Give the most memory that this process has had, and the machine's."""
    import os
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        total = 0.0
    return used, total

"""Sources that give no cutout: noted, and never a reason to stop."""

import logging
from dataclasses import dataclass
from typing import Any

from snapdb.errors import SnapdbError

_log = logging.getLogger("snapdb.segments")


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedSource:
    """A source that gave no cutout."""

    src_id: Any
    """Its id."""
    step: str
    """``primary``, ``input`` or ``drizzled``: the image that it has no cutout of."""
    reason: str
    """Why."""


Report = list[SkippedSource]


class Skipper:
    """Notes the sources that are left out.

    Parameters
    ----------
    report : list or None
        Gets a :class:`SkippedSource` for each.
    step : str
        Which cutout they have not.
    """

    def __init__(self, report: Report | None, step: str) -> None:
        self._report, self.step = report, step
        self._src_id: Any = None

    def __call__(self, src_id: Any, reason: str) -> None:
        """Note a source."""
        _log.info("source %s has no %s cutout: %s", src_id, self.step, reason)
        if self._report is not None:
            self._report.append(SkippedSource(src_id=src_id, step=self.step, reason=reason))

    def if_refused(self, src_id: Any) -> "Skipper":
        """Let a block fail for one source alone.

        Parameters
        ----------
        src_id : object
            Its id.
        """
        self._src_id = src_id
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, SnapdbError):
            self(self._src_id, str(error))
        return isinstance(error, SnapdbError)

"""How one file of an ingest ended."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID


class OutcomeKind(StrEnum):
    """The four ends of a file."""

    REGISTERED = "registered"
    UNCHANGED = "unchanged"
    UPDATED = "updated"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One line of an ingest report."""

    path: str
    outcome: OutcomeKind
    reason: str | None = None
    """Why it was refused: the error's code, a colon and its message."""
    code: str | None = None
    """The error's code (``corrupt_file``, ``not_an_image`` ...) when refused."""
    image_ids: tuple[UUID, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give the line as JSON values."""
        return {
            "path": self.path,
            "outcome": str(self.outcome),
            "code": self.code,
            "reason": self.reason,
            "image_ids": [str(i) for i in self.image_ids],
            "warnings": list(self.warnings),
        }

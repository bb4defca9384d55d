"""What an ingest did, file by file."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from snapdb.model.outcome import Outcome, OutcomeKind
from snapdb.storage import write_atomically


@dataclass(slots=True)
class IngestReport:
    """The outcome of every file, in the order in which they ended."""

    progress: Callable[[Outcome], None] | None = None
    """Told each outcome as it comes."""
    outcomes: list[Outcome] = field(default_factory=list)
    stopped: bool = False
    """Whether ``on_error="stop"`` ended the run before all files were looked at."""

    def add(self, outcome: Outcome) -> None:
        """Note how a file ended."""
        self.outcomes.append(outcome)
        if self.progress is not None:
            self.progress(outcome)

    @property
    def counts(self) -> dict[str, int]:
        """Number of files by outcome, all four named."""
        found = Counter(str(o.outcome) for o in self.outcomes)
        return {str(kind): found[str(kind)] for kind in OutcomeKind}

    @property
    def refused(self) -> list[Outcome]:
        """The files that were refused, with their reasons."""
        return [o for o in self.outcomes if o.outcome is OutcomeKind.REFUSED]

    @property
    def image_ids(self) -> list[UUID]:
        """Ids of the images of all files, each once."""
        return list(dict.fromkeys(i for o in self.outcomes for i in o.image_ids))

    def write(self, path: Path | str) -> Path:
        """Write the report as JSON lines, one a file, and give its path."""
        target = Path(path)
        with write_atomically(target, overwrite=True) as out:
            for outcome in self.outcomes:
                out.write(json.dumps(outcome.to_dict(), ensure_ascii=False).encode() + b"\n")
        return target

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {kind}" for kind, n in self.counts.items() if n)
        return f"<IngestReport: {counts or 'no files'}>"

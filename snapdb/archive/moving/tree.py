"""A tree of files that nobody has registered: its headers, and what its paths say besides."""

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapdb.archive.expand import expand_paths
from snapdb.archive.ingest import Ingest, IngestPlan
from snapdb.archive.paths import PathLike
from snapdb.archive.reading import GroupReading
from snapdb.archive.report import IngestReport
from snapdb.archive.values import check_fact
from snapdb.errors import ObjectMissingError, UsageError
from snapdb.model.outcome import Outcome

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.formats.describe import Described
    from snapdb.model.provenance import Provenance
    from snapdb.registry import Registry
    from snapdb.storage import LocalStore

FROM_PATH = ("observation_id", "band", "sca")
"""What a path may say."""

_GAPS = {"band": "no band in the header"}
"""Warnings about a header that a path makes idle."""


@dataclass(frozen=True, slots=True)
class PathRule:
    """A pattern that finds facts in a path relative to the tree."""

    pattern: str
    """A regular expression, found anywhere in the path (``night1/r/a_07.fits``).

    Groups named ``observation_id``, ``band`` and ``sca`` give those; without named groups, its
    first group, or all that it matches, gives `fact`. UsageError if it cannot be."""
    fact: str
    """What a pattern without named groups gives."""
    compiled: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            compiled = re.compile(self.pattern)
        except re.error as err:
            msg = f"{self.pattern!r} is no regular expression: {err}"
            raise UsageError(msg, pattern=self.pattern) from err
        strange = [name for name in compiled.groupindex if name not in FROM_PATH]
        if strange:
            msg = f"{self.pattern!r} names the group {strange[0]!r}; expected {', '.join(FROM_PATH)}"
            raise UsageError(msg, pattern=self.pattern)
        object.__setattr__(self, "compiled", compiled)

    def find(self, path: str) -> dict[str, str]:
        """Find what a path says; nothing where the pattern is not in it."""
        match = self.compiled.search(path)
        if match is None:
            return {}
        named = match.groupdict() or {self.fact: match[1] if self.compiled.groups else match[0]}
        return {name: text for name, text in named.items() if text}


@dataclass(slots=True)
class TreeSummary:
    """What there is in a tree, counted."""

    images: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(header map, band, kind) -> images that were read."""
    refused: Counter[str] = field(default_factory=Counter)
    """Code of an error -> files that were refused."""
    unchanged: int = 0
    """Files that were registered before."""

    def lines(self) -> list[tuple[str, str, str, int]]:
        """Give (header map, band, kind, images), the most frequent first."""
        found = sorted(self.images.items(), key=lambda item: (-item[1], item[0]))
        return [(*names, count) for names, count in found]


class _TreeIngest(Ingest):
    """An ingest that asks the paths for what the headers do not say."""

    def __init__(
        self,
        registry: "Registry",
        store: "LocalStore",
        plan: IngestPlan,
        report: IngestReport,
        *,
        folder: Path,
        rules: Sequence[PathRule],
    ) -> None:
        super().__init__(registry, store, plan, report)
        self.folder = folder
        self.rules = rules
        self.summary = TreeSummary()

    def _register(self, batch: list[GroupReading]) -> None:
        """Fill in what paths say, and register."""
        for reading in batch:
            path = Path(reading.group.primary).relative_to(self.folder).as_posix()  # a tree has no addresses
            reading.images = [fill_from_path(d, path, self.rules) for d in reading.images]
            self.summary.images.update(_name(d) for d in reading.images)
        super()._register(batch)


def _name(described: "Described") -> tuple[str, str, str]:
    """Give what images are counted by."""
    facts = described.facts
    return facts.instrument or "-", facts.band or "-", facts.kind


def fill_from_path(described: "Described", path: str, rules: Sequence[PathRule]) -> "Described":
    """Let a path say what the header leaves open; each value that it gives is a warning.

    Parameters
    ----------
    described : Described
        An image; what is known of it stays.
    path : str
        Relative to the tree, with forward slashes.
    rules : sequence of PathRule
        The first that finds a fact gives it.
    """
    found: dict[str, Any] = {}
    warnings = list(described.warnings)
    for rule in rules:
        for name, text in rule.find(path).items():
            if name in found or getattr(described.facts, name) is not None:
                continue
            if name == "sca" and not text.isdecimal():
                warnings.append(f"the path gives {text!r} as sca, which is no number; it is left open")
                continue
            found[name] = check_fact(name, int(text) if name == "sca" else text)
    warnings = [w for w in warnings if w not in [_GAPS.get(name) for name in found]]
    warnings += [f"{name} was taken from the path" for name in found]
    return replace(described, facts=replace(described.facts, **found), warnings=tuple(warnings))


def import_tree(
    archive: "Archive",
    folder: PathLike,
    provenance: "Provenance",
    *,
    rules: Sequence[PathRule] = (),
    instrument: str | None = None,
    jobs: int = 1,
    dry_run: bool = False,
    progress: Callable[[Outcome], None] | None = None,
) -> tuple[IngestReport, TreeSummary]:
    """Register the images below a folder, where they lie; doing it twice changes nothing.

    Parameters
    ----------
    archive : Archive
        Where.
    folder : path
        The tree.
    provenance : Provenance
        Of its images; registered too.
    rules : sequence of PathRule
        What paths say where headers do not.
    instrument : str, optional
        Header map to read with; found from each header by default.
    jobs : int
        Processes that read headers.
    dry_run : bool
        Whether to look only.
    progress : callable, optional
        Told each file's outcome as it comes.

    Returns
    -------
    report : IngestReport
        How every file ended.
    summary : TreeSummary
        What there is, counted.

    Raises
    ------
    ObjectMissingError
        If there is no such folder.
    """
    tree = Path(os.path.abspath(Path(folder).expanduser()))  # noqa: PTH100  # resolve() follows links
    if not tree.is_dir():
        msg = f"{tree} is no folder; name the one that holds the files"
        raise ObjectMissingError(msg, path=str(tree))
    plan = IngestPlan(provenance_id=provenance.id, instrument=instrument, jobs=jobs, dry_run=dry_run)
    if not dry_run:
        archive.registry.add_provenance(provenance)
    report = IngestReport(progress)
    ingest = _TreeIngest(archive.registry, archive.store, plan, report, folder=tree, rules=rules)
    ingest.run(expand_paths(tree))
    ingest.summary.refused.update(o.code or "error" for o in report.refused)
    ingest.summary.unchanged = report.counts["unchanged"]
    return report, ingest.summary

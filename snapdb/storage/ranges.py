"""What a remote store is asked and answers: one range of one object, and which object it was."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from snapdb.model.url import Url
from snapdb.storage.local import FileFingerprint

_LONGEST_MARK = 64
_NS = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Bytes of an object, and what the store says of the object."""

    content: bytes
    """Fewer than were asked for where the object ends."""
    size: int
    """Bytes of the whole object."""
    etag: str = ""
    """As the store has it, quotes included; empty where it gives none."""
    modified_s: int = 0
    """Last-Modified, seconds since 1970; 0 where the store gives none."""

    @property
    def fingerprint(self) -> FileFingerprint:
        """What tells the object from a changed one.

        Nothing here is a digest of the bytes, which would have to be fetched for it. The time is
        Last-Modified, which has whole seconds, and in its nanoseconds a digest of the ETag, so
        that size and time alone tell a changed object. ``sha256`` is the ETag behind the mark
        ``etag:`` (its digest behind ``etag-sha256:`` where it is long), else Last-Modified behind
        ``modified:``, and empty where the store gives neither.
        """
        etag = self.etag.removeprefix("W/")
        digest = hashlib.sha256(etag.encode()).hexdigest()
        mark = f"etag:{etag}" if etag else f"modified:{self.modified_s}" if self.modified_s else ""
        if len(mark) > _LONGEST_MARK:
            mark = f"etag-sha256:{digest}"[:_LONGEST_MARK]
        fraction = int(digest[:12], 16) % _NS if etag else 0
        return FileFingerprint(size=self.size, mtime_ns=self.modified_s * _NS + fraction, sha256=mark)


class UnansweredError(Exception):
    """A request that may succeed when it is made again.

    Parameters
    ----------
    reason : str
        Why, without secrets.
    wait_s : float
        Seconds that the store asks to wait.
    """

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Transport(Protocol):
    """How objects of one kind of address are read."""

    async def fetch(self, url: Url, begin: int, length: int, etag: str) -> Answer:
        """Read one range once; an `etag` that is not empty must be the object's.

        Raises
        ------
        UnansweredError
            Asking again may help.
        ObjectMissingError
            There is no such object.
        ChangedFileError
            The object has another ETag.
        StorageError
            The store refuses.
        """

    async def close(self) -> None:
        """Let go of connections."""


def merge_ranges(
    ranges: Sequence[tuple[int, int]], gap_bytes: int
) -> tuple[list[tuple[int, int]], list[int]]:
    """Join ranges that lie near each other.

    Parameters
    ----------
    ranges : sequence of (begin, length)
        In any order.
    gap_bytes : int
        Gaps up to this long are read too.

    Returns
    -------
    merged : list of (begin, length)
        Ascending.
    where : list of int
        For each range given, the number of the merged one that holds it.
    """
    merged: list[tuple[int, int]] = []
    where = [0] * len(ranges)
    for number in sorted(range(len(ranges)), key=ranges.__getitem__):
        begin, length = ranges[number]
        if merged and begin <= sum(merged[-1]) + gap_bytes:
            first = merged[-1][0]
            merged[-1] = (first, max(sum(merged[-1]), begin + length) - first)
        else:
            merged.append((begin, length))
        where[number] = len(merged) - 1
    return merged, where

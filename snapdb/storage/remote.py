"""Remote files: ranges of their bytes over HTTP and S3, few, at once, counted, and tried again.

Nothing is kept between reads but connections. Requests run in one thread's event loop,
fsspec's, so that any number of them wait together while callers stay synchronous.
"""

import asyncio
import atexit
import importlib
import os
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

from snapdb.errors import ChangedFileError, ConfigError, StorageError, StoreUnavailableError
from snapdb.model.url import Url, is_url, to_url
from snapdb.storage.local import FileFingerprint
from snapdb.storage.ranges import Answer, Transport, UnansweredError, merge_ranges

__all__ = [
    "RemoteFile",
    "RetryPolicy",
    "Traffic",
    "Url",
    "close_connections",
    "is_url",
    "look_at",
    "read_together",
    "to_url",
    "traffic",
]

GAP_BYTES = 64 * 1024
"""Gap up to which two ranges of a file are read as one: some milliseconds of a slow line."""
ROW_GAP_BYTES = 1024 * 1024
"""The same between rows of a plane, each of which would be a request."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a store that does not answer is asked."""

    attempts: int = 5
    first_wait_s: float = 0.2
    """Before the second attempt; twice as long before each further one, varied by a half."""
    longest_wait_s: float = 10.0
    timeout_s: float = 30.0
    """How long a connection may take, and how long it may be silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What went over the network since the process began."""

    requests: int = 0
    """Attempts that failed are counted too."""
    bytes_received: int = 0
    """Of the bodies that were read whole."""
    retries: int = 0

    def __sub__(self, earlier: "Traffic") -> "Traffic":
        """Give what happened since an earlier count."""
        return Traffic(
            requests=self.requests - earlier.requests,
            bytes_received=self.bytes_received - earlier.bytes_received,
            retries=self.retries - earlier.retries,
        )


class RemoteFile:
    """The bytes of one remote file, of which each answer must be of the same object.

    Parameters
    ----------
    url : Url
        Where it is.
    stamp : (int, int), optional
        Size and time that were registered (see :class:`snapdb.storage.ranges.Answer`); those of
        the first answer by default.
    policy : RetryPolicy, optional
        How often it is tried.
    """

    def __init__(
        self, url: Url, *, stamp: tuple[int, int] | None = None, policy: RetryPolicy | None = None
    ) -> None:
        self.url = url
        self._stamp = stamp
        self._etag = ""
        self._policy = policy or RetryPolicy()
        self._found: FileFingerprint | None = None

    def __repr__(self) -> str:
        return f"RemoteFile({str(self.url)!r})"

    def fingerprint(self) -> FileFingerprint:
        """Look at the object; one byte is read where nothing was before.

        Raises
        ------
        ObjectMissingError, ChangedFileError, StoreUnavailableError, StorageError, ConfigError
            As :func:`read_together`.
        """
        if self._found is None:
            self.read_ranges([(0, 1)])
        assert self._found is not None  # noqa: S101  # every answer sets it
        return self._found

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read bytes, all ranges at once.

        Parameters
        ----------
        ranges : sequence of (begin, length)
            In any order.

        Returns
        -------
        list of bytes
            One for each range; shorter where the file ends.

        Raises
        ------
        ObjectMissingError, ChangedFileError, StoreUnavailableError, StorageError, ConfigError
            As :func:`read_together`.
        """
        return read_together([(self, ranges)])[0]

    async def look(self) -> FileFingerprint | StorageError:
        """Look at the object inside the loop; a failure is an answer too."""
        try:
            await self.fetch(0, 1)
        except StorageError as err:
            return err
        assert self._found is not None  # noqa: S101  # every answer sets it
        return self._found

    async def fetch(self, begin: int, length: int) -> bytes:
        """Read one range inside the loop, trying again where that may help."""
        if length <= 0:
            return b""
        answer = await _persist(self.url, begin, length, self._etag, self._policy)
        self._check(answer)
        return answer.content

    def _check(self, answer: Answer) -> None:
        """See that an answer is of the object that was registered, or that answered first."""
        found = answer.fingerprint
        if self._stamp is None:
            self._stamp = (found.size, found.mtime_ns)
            self._etag = answer.etag
        if (found.size, found.mtime_ns) != self._stamp:
            msg = (
                f"{self.url} has changed since it was registered ({self._stamp[0]} bytes then, {found.size} "
                f"now, or another ETag or time); index it again with `snapdb ingest --update {self.url}`"
            )
            raise ChangedFileError(msg, url=self.url)
        self._found = found


def read_together(asked: Sequence[tuple[RemoteFile, Sequence[tuple[int, int]]]]) -> list[list[bytes]]:
    """Read ranges of several files in one batch of concurrent requests.

    Parameters
    ----------
    asked : sequence of (RemoteFile, ranges)
        Ranges are ``(begin, length)``. Those of one file that lie near each other become one request.

    Returns
    -------
    list of list of bytes
        For each file the bytes of its ranges; shorter where it ends.

    Raises
    ------
    ObjectMissingError
        A file is not there.
    ChangedFileError
        A file is not the one that was registered, or changed meanwhile.
    StoreUnavailableError
        A store did not answer, however often it was asked; transient.
    StorageError
        A store refuses, or ignores ranges and would send whole files.
    ConfigError
        A package for such addresses is not installed.
    """
    merged = [merge_ranges(ranges, GAP_BYTES) for _, ranges in asked]
    jobs = [(file, place) for (file, _), (places, _) in zip(asked, merged, strict=True) for place in places]
    parts = iter(_run(_gather([file.fetch(*place) for file, place in jobs])))
    results = []
    for (_, ranges), (places, where) in zip(asked, merged, strict=True):
        mine = [(begin, next(parts)) for begin, _ in places]
        results.append([_slice(*mine[n], *place) for n, place in zip(where, ranges, strict=True)])
    return results


def look_at(urls: Sequence[Url]) -> dict[Url, FileFingerprint | StorageError]:
    """Look at several files at once, reading one byte of each.

    Parameters
    ----------
    urls : sequence of Url
        Where they are.

    Returns
    -------
    dict
        For each what tells it from a changed one, or why it cannot be looked at.

    Raises
    ------
    ConfigError
        A package for such addresses is not installed.
    """
    if not urls:
        return {}
    return dict(zip(urls, _run(_gather([RemoteFile(url).look() for url in urls])), strict=True))


def _slice(at: int, content: bytes, begin: int, length: int) -> bytes:
    """Take a range out of the merged one that holds it."""
    return content if (at, len(content)) == (begin, length) else content[begin - at : begin - at + length]


# Counting

_lock = Lock()
_counts = {"requests": 0, "bytes_received": 0, "retries": 0}


def traffic() -> Traffic:
    """Count what this process has asked of remote stores and received; take the difference of two."""
    with _lock:
        return Traffic(**_counts)


def _count(**more: int) -> None:
    """Add to the counts."""
    with _lock:
        for name, number in more.items():
            _counts[name] += number


# Asking


async def _persist(url: Url, begin: int, length: int, etag: str, policy: RetryPolicy) -> Answer:
    """Ask until there is an answer, a refusal, or no attempt left."""
    transport = _transport(url, policy.timeout_s)
    reasons: list[str] = []
    for attempt in range(policy.attempts):
        try:
            _count(requests=1, retries=int(attempt > 0))
            answer = await transport.fetch(url, begin, length, etag)
        except UnansweredError as err:
            reasons.append(str(err))
            wait_s = max(err.wait_s, policy.first_wait_s * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
            if attempt + 1 < policy.attempts:
                await asyncio.sleep(min(wait_s, policy.longest_wait_s))
        else:
            _count(bytes_received=len(answer.content))
            return answer
    why = ", ".join(dict.fromkeys(reasons))
    msg = f"{url} did not answer in {policy.attempts} attempts ({why}); try again later"
    raise StoreUnavailableError(msg, url=url, attempts=policy.attempts, reasons=reasons)


_transports: dict[tuple[int, str, float], Transport] = {}
"""(Process, kind, timeout) -> what keeps its connections; a fork must not use its parent's."""


def _transport(url: Url, timeout_s: float) -> Transport:
    """Give what reads such addresses; runs inside the loop."""
    kind = "s3" if url.scheme == "s3" else "http"
    key = (os.getpid(), kind, timeout_s)
    if key not in _transports:
        if kind == "s3":
            _import("s3fs", extra="s3")
            from snapdb.storage.s3_ranges import S3Transport

            _transports[key] = S3Transport(timeout_s)
        else:
            _import("aiohttp", extra="remote")
            from snapdb.storage.http_ranges import HttpTransport

            _transports[key] = HttpTransport(timeout_s)
    return _transports[key]


async def _gather(coroutines: "Sequence[Coroutine[Any, Any, _T]]") -> list[_T]:
    """Run all at once; when one fails, the others stop."""
    tasks = [asyncio.ensure_future(c) for c in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _run(coroutine: "Coroutine[Any, Any, _T]") -> _T:
    """Run in fsspec's loop, and wait."""
    try:
        asyn = _import("fsspec.asyn", extra="remote")
    except ConfigError:
        coroutine.close()
        raise
    result: _T = asyn.sync(asyn.get_loop(), lambda: coroutine)
    return result


def _import(name: str, *, extra: str) -> Any:
    """Import a package that not everybody has, or say how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as err:
        package = name.partition(".")[0]
        msg = f"reading remote files needs {package}; install it with pip install 'snapdb[{extra}]'"
        raise ConfigError(msg, package=package, extra=extra) from err


def close_connections() -> None:
    """Let go of this process's connections; the next read opens new ones."""
    mine = [_transports.pop(key) for key in list(_transports) if key[0] == os.getpid()]
    if mine:
        _run(_gather([transport.close() for transport in mine]))


atexit.register(close_connections)

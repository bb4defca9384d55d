"""Ranges of files over HTTP."""

import asyncio
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from snapdb.errors import ChangedFileError, ObjectMissingError, StorageError
from snapdb.model.url import Url
from snapdb.storage.ranges import Answer, UnansweredError

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

CONNECTIONS = 64
"""Connections open at a time."""
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")
_LATEST_S = 9_000_000_000
"""Later times do not fit into nanoseconds of 64 bits."""
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which asking again may help (RFC 9110, section 15)."""


class HttpTransport:
    """Reads ranges with GET (RFC 9110, section 14); user and password come from ``~/.netrc``.

    Parameters
    ----------
    timeout_s : float
        How long a connection may take, and how long it may be silent.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._session: ClientSession | None = None

    async def fetch(self, url: Url, begin: int, length: int, etag: str) -> Answer:
        """Read one range once.

        Raises
        ------
        UnansweredError, ObjectMissingError, ChangedFileError, StorageError
            As :meth:`snapdb.storage.ranges.Transport.fetch`.
        """
        import aiohttp

        headers = {"Range": f"bytes={begin}-{begin + length - 1}", "Accept-Encoding": "identity"}
        if etag and not etag.startswith("W/"):
            headers["If-Match"] = etag
        try:
            async with self._open().get(url, headers=headers) as response:
                _check_status(url, response)
                return await _read(url, response, begin, length)
        except (aiohttp.ClientSSLError, aiohttp.InvalidURL, aiohttp.TooManyRedirects) as err:
            msg = f"{url} cannot be read ({type(err).__name__}); check the address and its certificate"
            raise StorageError(msg, url=url) from err
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as err:
            kind = "timeout" if isinstance(err, asyncio.TimeoutError) else type(err).__name__
            raise UnansweredError(kind) from err

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> "ClientSession":
        """Give the session, made on first use inside the loop."""
        if self._session is None:
            import aiohttp

            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=self._timeout_s, sock_read=self._timeout_s
            )
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                timeout=timeout,
                trust_env=True,
                auto_decompress=False,
            )
        return self._session


def _check_status(url: Url, response: "ClientResponse") -> None:
    """Turn a refusal into an error that says what to do."""
    status = response.status
    if status in (200, 206, 416):
        return
    if status in _AGAIN:
        reason = f"status {status}"
        raise UnansweredError(reason, _wait_asked(response))
    if status in (404, 410):
        msg = f"{url} does not exist (status {status}); check the address, or ingest it from its new one"
        raise ObjectMissingError(msg, url=url, status=status)
    if status == 412:
        msg = f"{url} changed while it was read; ingest it again"
        raise ChangedFileError(msg, url=url)
    if status in (401, 403):
        msg = f"{url}: access refused (status {status}); put user and password for the host into ~/.netrc"
        raise StorageError(msg, url=url, status=status)
    msg = f"{url} cannot be read: status {status}, expected 206; check the address"
    raise StorageError(msg, url=url, status=status)


def _wait_asked(response: "ClientResponse") -> float:
    """Give the seconds of Retry-After, 0 without."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0


async def _read(url: Url, response: "ClientResponse", begin: int, length: int) -> Answer:
    """Take a body that is the range asked for; no other body is read."""
    headers = response.headers
    if headers.get("Content-Encoding", "identity") != "identity":
        encoding = headers["Content-Encoding"]
        response.close()
        msg = f"{url} comes {encoding}-encoded, so that its bytes have no place; ingest a downloaded copy"
        raise StorageError(msg, url=url)
    size, expected = _extent(url, response, begin, length)
    if expected and response.content_length not in (None, expected):
        response.close()
        reason = f"{response.content_length} bytes instead of {expected}"
        raise UnansweredError(reason)
    content = await _read_body(response, expected) if expected else b""
    return Answer(
        content=content,
        size=size,
        etag=headers.get("ETag", ""),
        modified_s=_to_seconds(headers.get("Last-Modified", "")),
    )


async def _read_body(response: "ClientResponse", expected: int) -> bytes:
    """Read as much as shall come, however much comes."""
    if response.content_length is not None:
        return await response.read()
    try:
        return await response.content.readexactly(expected)
    except asyncio.IncompleteReadError as err:
        reason = f"{len(err.partial)} bytes instead of {expected}"
        raise UnansweredError(reason) from err


def _extent(url: Url, response: "ClientResponse", begin: int, length: int) -> tuple[int, int]:
    """Give the size of the file and the bytes that shall come; refuse a file that would come whole."""
    said = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status == 416 and said is not None and int(said[3]) <= begin:
        return int(said[3]), 0
    if response.status == 206 and said is not None and said[1] is not None:
        first, last, size = int(said[1]), int(said[2]), int(said[3])
        if first == begin and last == min(begin + length, size) - 1:
            return size, last - first + 1
    whole = response.content_length
    if response.status == 200 and begin == 0 and whole is not None and whole <= length:
        return whole, whole
    response.close()
    if response.status == 200:
        size_said = "its size unsaid" if whole is None else f"{whole} bytes"
        msg = (
            f"{url}: the server ignores ranges and would send the whole file ({size_said}); "
            "download it and ingest the copy"
        )
    else:
        given = response.headers.get("Content-Range")
        msg = f"{url}: asked for bytes {begin} to {begin + length - 1}, the server answers with {given!r}"
    raise StorageError(msg, url=url, status=response.status)


def _to_seconds(date: str) -> int:
    """Turn an HTTP date into seconds since 1970, 0 where it is none."""
    try:
        seconds = int(parsedate_to_datetime(date).timestamp())
    except (TypeError, ValueError, OverflowError):
        return 0
    return seconds if 0 <= seconds < _LATEST_S else 0

"""A small HTTP server of files with ranges, ETags, delay and failures on demand, which counts."""

import hashlib
import time
from collections import deque
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

_PIECE = 256 * 1024
_STALL_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that came."""

    path: str
    range: tuple[int, int] | None
    """First and last byte asked for; None for the whole file."""
    status: int
    """0 where the connection was dropped."""
    sent: int
    """Bytes of the body."""
    headers: dict[str, str] = field(default_factory=dict)
    """Those of the request, names in lower case."""


class RangeServer:
    """Serves the files of a folder on the loopback; use it in a ``with`` block.

    Parameters
    ----------
    folder : Path
        What is served.
    latency_s : float
        Waited before each answer.
    ranges : bool
        False for a server that ignores ranges and sends whole files.
    validators : bool
        False for a server that says neither ETag nor Last-Modified.
    """

    def __init__(
        self, folder: Path, *, latency_s: float = 0.0, ranges: bool = True, validators: bool = True
    ) -> None:
        self.folder = folder
        self.latency_s = latency_s
        self.ranges = ranges
        self.validators = validators
        self.failures: deque[int | str] = deque()
        """What happens to the next requests: a status, ``"drop"`` (no answer), ``"cut"`` (half a body),
        ``"stall"`` (silence); ``"ok"`` for none."""
        self._requests: list[Request] = []
        self.most_at_once = 0
        """The most requests that were being answered at a time."""
        self._now = 0
        self._lock = Condition()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url_of(self, name: str) -> str:
        """Give the address of a file by its path below the folder."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{name}"

    @property
    def requests(self) -> list[Request]:
        """What came so far, each answer done; clients may have theirs before the server notes it."""
        with self._lock:
            self._lock.wait_for(lambda: self._now == 0, timeout=10.0)
            return list(self._requests)

    @property
    def bytes_sent(self) -> int:
        """Bytes of all bodies."""
        return sum(r.sent for r in self.requests)

    def note(self, request: Request) -> None:
        """Keep what a request was."""
        with self._lock:
            self._requests.append(request)

    def count(self, step: int) -> None:
        """Note that a request came, or that its answer is done."""
        with self._lock:
            self._now += step
            self.most_at_once = max(self.most_at_once, self._now)
            self._lock.notify_all()

    def next_failure(self) -> int | str:
        """Give what shall happen to a request."""
        with self._lock:
            return self.failures.popleft() if self.failures else "ok"


class _Server(ThreadingHTTPServer):
    """Answers each connection in a thread of its own."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    owner: RangeServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Say nothing."""

    def do_GET(self) -> None:  # the base's name
        """Send a file, a range of it, or a refusal."""
        self.server.owner.count(1)
        try:
            self._answer()
        finally:
            self.server.owner.count(-1)

    def _answer(self) -> None:
        """Answer one request."""
        owner = self.server.owner
        time.sleep(owner.latency_s)
        failure = owner.next_failure()
        if isinstance(failure, int):
            self._finish(failure, {}, b"")
            return
        if failure in ("drop", "stall"):
            self._note(0, None, 0)
            self.close_connection = True
            if failure == "stall":
                self._stall()
            return
        path = owner.folder / unquote(urlsplit(self.path).path).lstrip("/")
        if not path.is_file():
            self._finish(404, {}, b"")
            return
        self._send(path, cut=failure == "cut")

    do_HEAD = do_GET  # noqa: N815  # the base's name

    def _stall(self) -> None:
        """Keep a connection open in silence; nobody waits for its answer to be done."""
        self.server.owner.count(-1)
        time.sleep(_STALL_S)
        self.server.owner.count(1)

    def _send(self, path: Path, *, cut: bool) -> None:
        """Send what is asked for of a file."""
        owner = self.server.owner
        found = path.stat()
        etag = (
            '"'
            + hashlib.md5(f"{found.st_mtime_ns}-{found.st_size}".encode(), usedforsecurity=False).hexdigest()
            + '"'
        )
        headers = {"ETag": etag, "Last-Modified": formatdate(found.st_mtime, usegmt=True)}
        if not owner.validators:
            headers = {}
        if self.headers.get("If-Match", etag) != etag or self._is_newer(found.st_mtime):
            self._finish(412, headers, b"")
            return
        asked = _parse_range(self.headers.get("Range"), found.st_size) if owner.ranges else None
        if asked is not None and asked[0] >= found.st_size:
            self._finish(416, headers | {"Content-Range": f"bytes */{found.st_size}"}, b"", asked)
            return
        first, last = asked or (0, found.st_size - 1)
        if owner.ranges:
            headers["Accept-Ranges"] = "bytes"
        if asked is not None:
            headers["Content-Range"] = f"bytes {first}-{last}/{found.st_size}"
        self._begin(206 if asked else 200, headers, last - first + 1)
        sent = (
            0 if self.command == "HEAD" else self._copy(path, first, (last - first + 1) // (2 if cut else 1))
        )
        self.close_connection |= cut
        self._note(206 if asked else 200, asked, sent)

    def _is_newer(self, mtime: float) -> bool:
        """Tell whether the file changed after the time that the client names."""
        said = self.headers.get("If-Unmodified-Since")
        return said is not None and int(mtime) > parsedate_to_datetime(said).timestamp()

    def _copy(self, path: Path, first: int, length: int) -> int:
        """Send bytes of a file, and give how many went."""
        sent = 0
        with path.open("rb") as stream:
            stream.seek(first)
            while sent < length:
                piece = stream.read(min(_PIECE, length - sent))
                try:
                    self.wfile.write(piece)
                    self.wfile.flush()
                except OSError:  # the client has seen enough
                    self.close_connection = True
                    break
                sent += len(piece)
        return sent

    def _begin(self, status: int, headers: dict[str, str], length: int) -> None:
        """Send the head of an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _finish(
        self, status: int, headers: dict[str, str], body: bytes, asked: tuple[int, int] | None = None
    ) -> None:
        """Send a short answer."""
        self._begin(status, headers, len(body))
        self.wfile.write(body)
        self._note(status, asked, len(body))

    def _note(self, status: int, asked: tuple[int, int] | None, sent: int) -> None:
        """Tell the server what came and what went."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.owner.note(
            Request(path=self.path, range=asked, status=status, sent=sent, headers=headers)
        )


def _parse_range(text: str | None, size: int) -> tuple[int, int] | None:
    """Give first and last byte of a header such as ``bytes=0-99``; None without one."""
    if text is None or not text.startswith("bytes=") or "," in text:
        return None
    first, _, last = text.removeprefix("bytes=").partition("-")
    if not first:
        return max(size - int(last), 0), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1

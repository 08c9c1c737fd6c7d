"""A hub on loopback, for the hub's real client: it counts what it sends, and misbehaves."""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REVISION = "0123456789abcdef0123456789abcdef01234567"
HANG = 0  # in place of a status: no answer at all


def sha(data: bytes) -> str:
    """The sha256 of a file's bytes."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Seen:
    """A request."""

    method: str
    path: str
    start: int | None  # of the Range header
    token: str | None


@dataclass
class Hub:
    """What the hub on loopback has, how it misbehaves, and what it was asked."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    statuses: Iterator[int] = field(default_factory=lambda: iter(()))  # then 200 or 404
    cuts: Iterator[int] = field(default_factory=lambda: iter(()))  # close after this offset
    headers: dict[str, str] = field(default_factory=dict)  # of every error
    seen: list[Seen] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)  # bytes of each file's body
    release: threading.Event = field(default_factory=threading.Event)
    answer: "Callable[[Handler, Seen], bool] | None" = None  # True: it has answered itself

    def gets(self, path: str) -> list[int | None]:
        """Where each download of the file started; None is a request for the whole."""
        return [s.start for s in self.seen if s.method == "GET" and s.path == path]


class Handler(BaseHTTPRequestHandler):
    """Answers one request after another of a connection."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self._answer(with_body=False)

    def do_GET(self) -> None:
        """Answer with one."""
        self._answer(with_body=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""

    def _answer(self, with_body: bool) -> None:
        if "/resolve/" not in self.path:  # the client asks for things of its own, once a process
            self.send(404, {}, b"")
            return
        asked = self.headers["Range"]
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else None
        token = self.headers["Authorization"]
        self.hub.seen.append(seen := Seen(self.command, self.path, start, token))
        if self.hub.answer and self.hub.answer(self, seen):
            return
        data = self.hub.files.get(self.path)
        status = next(self.hub.statuses, 404 if data is None else 200)
        if status == HANG:
            self.hub.release.wait(10)
        if status != 200 or data is None:
            self.send(status or 500, self.hub.headers, b"")
            return
        head = {"ETag": f'"{sha(data)}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
        if start is not None:
            head["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        end = next(self.hub.cuts, len(data)) if with_body else 0
        length = len(data) - (start or 0)
        self.send(200 if start is None else 206, head, data[start or 0 : end], length)

    def send(
        self, status: int, headers: dict[str, str], body: bytes, length: int | None = None
    ) -> None:
        """Answer; a length that is not the body's cuts the connection after it."""
        length = len(body) if length is None else length
        self.close_connection = len(body) != length  # also what cuts a download off
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)
        self.hub.sent[self.path] += len(body)


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that serves while the block runs."""

    class OwnHandler(Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), OwnHandler)
    OwnHandler.hub = hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield hub
    hub.release.set()
    server.shutdown()
    server.server_close()
    thread.join(10)

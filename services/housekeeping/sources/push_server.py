"""The HTTP server of `push`: bounded, authenticated, and silent until the rows are safe."""

from __future__ import annotations

import contextlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

_PRECISIONS: Final = {"ns": 1, "n": 1, "us": 1000, "u": 1000, "ms": 10**6, "s": 10**9}
_MOST_CONNECTIONS: Final = 128


@dataclass
class Pushed:
    """A request that waits for its answer: `safe` is set when its rows are, `refused` says why they are not taken."""

    body: bytes
    form: str  # line or json
    step_ns: int
    address: str
    safe: threading.Event = field(default_factory=threading.Event)
    refused: str = ""


class PushServer(ThreadingHTTPServer):
    """Listens on one address; every request that is let in goes to `take`, which is False when there are too many."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        token: str,
        max_bytes: int,
        timeout_s: float,
        take: Callable[[Pushed], bool],
    ) -> None:
        self.token = token
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.take = take
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._unheard: dict[Any, float] = {}
        self._connections = 0
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for each connection, but not for any number of them."""
        with self._lock:
            full = self._connections >= _MOST_CONNECTIONS
            self._connections += not full
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """As above; gives its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.has_heard(request)
            with self._lock:
                self._connections -= 1

    def listens_to(self, request: Any) -> None:
        """A request begins: it is to be here within `timeout_s`, however slowly its bytes drip."""
        with self._lock:
            self._unheard[request] = time.monotonic()

    def has_heard(self, request: Any) -> None:
        """The request is here as a whole."""
        with self._lock:
            self._unheard.pop(request, None)

    def service_actions(self) -> None:
        """Send away who has been speaking for too long; called several times a second."""
        latest = time.monotonic() - self.timeout_s
        with self._lock:
            slow = [request for request, since in self._unheard.items() if since < latest]
            for request in slow:
                del self._unheard[request]
        for request in slow:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in mid-sentence is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "nightferry"
    sys_version = ""
    server: PushServer

    def setup(self) -> None:
        self.request.settimeout(self.server.timeout_s)  # who sends nothing is sent away
        super().setup()

    def handle_one_request(self) -> None:
        self.server.listens_to(self.request)
        super().handle_one_request()

    def do_POST(self) -> None:
        address = urlsplit(self.path)
        form = {"/write": "line", "/api/v2/write": "line", "/json": "json"}.get(address.path)
        given = self.headers.get("Authorization", "").partition(" ")[2].strip()
        if not hmac.compare_digest(given.encode(), self.server.token.encode()):
            return self._answer(401, "the token is missing or wrong", close=True)
        if form is None:
            return self._answer(404, "POST /write (line protocol) or /json", close=True)
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or len(self.headers.get_all("Content-Length", ())) > 1:
            return self._answer(400, "one Content-Length and no Transfer-Encoding", close=True)
        if not length.isascii() or not length.isdigit() or len(length) > 12:
            return self._answer(411, "Content-Length is missing", close=True)
        if int(length) > self.server.max_bytes:
            return self._answer(413, f"more than {self.server.max_bytes} bytes", close=True)
        if self.headers.get("Content-Encoding", "identity") != "identity":
            return self._answer(415, "send it as it is, not packed", close=True)
        precision = parse_qs(address.query).get("precision", ["ns"])[0]
        if precision not in _PRECISIONS:
            return self._answer(400, f"precision is one of {', '.join(_PRECISIONS)}", close=True)
        body = self.rfile.read(int(length))
        self.server.has_heard(self.request)
        if len(body) < int(length):
            self.close_connection = True
            return None
        return self._wait(Pushed(body, form, _PRECISIONS[precision], self.client_address[0]))

    def _wait(self, pushed: Pushed) -> None:
        if not self.server.take(pushed):
            return self._answer(503, "too many requests wait; come again")
        if not pushed.safe.wait(self.server.timeout_s):
            return self._answer(503, "not safe yet; send it again, it will not be taken twice")
        if pushed.refused:
            return self._answer(400, pushed.refused)
        return self._answer(204, "")

    def do_GET(self) -> None:
        close = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers  # a body is not read here
        if self.path == "/health":
            return self._answer(200, "ok", close=close)
        return self._answer(405, "POST /write (line protocol) or /json", close=close)

    def _answer(self, status: int, words: str, *, close: bool = False) -> None:
        body = b"" if status == 204 else json.dumps({"message": words}).encode()
        self.close_connection = self.close_connection or close
        self.send_response(status)
        if body:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", "5")
        if close:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """What comes in is counted by the housekeeper, not logged line by line."""

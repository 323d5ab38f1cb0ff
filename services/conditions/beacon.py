"""A service outside that misses us: its address is asked for every minute, and it tells people when that ends."""

from __future__ import annotations

import threading
import time
import urllib.request
from typing import Final
from urllib.parse import urlsplit

from services.conditions.base import Finding, words_of_time
from services.core.errors import BadSettings
from services.core.log import get_logger
from services.core.secret import Secret

_EVERY_S: Final = 60.0
_TIMEOUT_S: Final = 10.0


class Beacon:
    """Asks in a thread of its own: a service that does not answer keeps nobody waiting."""

    def __init__(self, url: Secret, every_s: float = _EVERY_S) -> None:
        self._url = url
        self._every_s = every_s
        self._asked = float("-inf")
        self._worked = time.monotonic()
        self._reason = ""
        self._thread: threading.Thread | None = None

    def findings(self, host: str, silent_s: float) -> list[Finding]:
        """Ask when it is time to, and say when that has failed for too long."""
        busy = self._thread is not None and self._thread.is_alive()
        if not busy and time.monotonic() - self._asked >= self._every_s:
            self._asked = time.monotonic()
            self._thread = threading.Thread(target=self._ask, name="beacon", daemon=True)
            self._thread.start()
        quiet_s = time.monotonic() - self._worked
        if quiet_s <= silent_s:
            return []
        text = f"the service that misses {host} could not be reached for {words_of_time(quiet_s)}: {self._reason}"
        return [Finding(f"heartbeat:url/{host}:unreachable", text, 1)]

    def join(self, timeout_s: float) -> None:
        """Wait for the answer that is due."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _ask(self) -> None:
        try:
            url = self._url.read()
            if urlsplit(url).scheme not in ("http", "https"):
                raise BadSettings(("conditions.heartbeat.url: expected http://… or https://…",))
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
                answer.read(4096)
        except (OSError, ValueError, BadSettings) as error:
            # Never the address itself: whoever knows it can speak for us.
            self._reason = " ".join(str(error).split())[:200]
            get_logger().warning("the service that misses us does not answer", reason=self._reason)
            return
        self._worked = time.monotonic()

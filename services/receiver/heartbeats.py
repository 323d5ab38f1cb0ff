"""Heartbeats of the sites that ship here, as they lie in the inbox: untrusted until the signature says otherwise.

A thread of its own takes them, so that a large bundle, which takes minutes to file, is not taken for silence.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from services.core.errors import LedgerUnreachable, ServiceError
from services.core.ledger.engine import Ledger, now
from services.core.ledger.heartbeats import hear_site, listen, refuse_heartbeat
from services.core.log import get_logger
from transfer.errors import BadDocument, Corrupt
from transfer.heartbeat import MAX_BYTES, SUFFIX, Heartbeat, file_name, open_heartbeat, plain, site_of
from transfer.inbox import open_regular, set_aside
from transfer.signature import load_public

_AT_ONCE: Final = 100  # more lie there only when somebody wants to keep us busy
_LISTEN_S: Final = 30.0
_ERRORS: Final = (OSError, SQLAlchemyError, LedgerUnreachable)


class Heartbeats:
    """Takes heartbeats until the stop event. `take_all` does what waits, once, in the caller's thread."""

    def __init__(
        self, root: Path, ledger: Ledger, keys: Mapping[str, Path], stop: threading.Event, poll_s: float = 2.0
    ) -> None:
        self._inbox = root / "inbox"
        self._quarantine = root / "quarantine"
        self._ledger = ledger
        self._keys = dict(keys)
        self._sites = set(keys)
        self._stop = stop
        self._poll_s = poll_s
        self._listened = float("-inf")
        self._log = get_logger()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def check(self) -> None:
        """ServiceError when the thread has died; called from the daemon's loop."""
        if not self._thread.is_alive() and not self._stop.is_set():
            raise ServiceError("the thread that hears heartbeats stopped by itself: see the log")

    def join(self, timeout_s: float) -> None:
        """Wait for the end, after the stop event."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.take_all(now())
            except _ERRORS as error:
                self._log.warning("heartbeats wait", reason=" ".join(str(error).split())[:500])
            self._stop.wait(self._poll_s)

    def take_all(self, at: float) -> list[Heartbeat]:
        """Take every heartbeat that waits, `at` seconds since 1970 UTC; those that were believed."""
        if time.monotonic() - self._listened >= _LISTEN_S:
            with self._ledger.begin() as conn:
                listen(conn, f"listener:{socket.gethostname()}", at)
            self._listened = time.monotonic()
        # Those that were believed before come first: a flood of others does not make their sites silent.
        known = [self._inbox / file_name(site) for site in sorted(self._sites)]
        others = (path for path in self._inbox.glob(f"*{SUFFIX}") if path not in known)
        believed = []
        for path in itertools.chain(known, itertools.islice(others, _AT_ONCE)):
            heartbeat = self._take(path, at)
            if heartbeat is not None:
                believed.append(heartbeat)
                self._sites.add(heartbeat.site)
        return believed

    def _take(self, path: Path, at: float) -> Heartbeat | None:
        site = site_of(path.name)
        heartbeat, refusal = None, "not named SITE.heartbeat"
        if site is not None:
            try:
                heartbeat, refusal = self._read(path, site), ""
            except FileNotFoundError:
                return None  # its sender is just putting the next one in its place
            except (BadDocument, Corrupt, OSError) as error:
                refusal = str(error)  # the next one comes soon: nothing is lost with one that cannot be read
        with self._ledger.begin() as conn:
            if heartbeat is not None:
                refusal = hear_site(conn, plain(heartbeat), at) or ""
            if refusal:
                refuse_heartbeat(conn, site or "", refusal, at)
        if refusal:
            name = path.name.encode(errors="backslashreplace").decode()  # whoever put it there chose its name
            self._log.error("heartbeat refused", name=name, reason=refusal)
        # Nothing in it is worth keeping; what is no file at all is treated as in a bundle.
        if path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)
        else:
            set_aside(path, self._quarantine)
        return heartbeat if not refusal else None

    def _read(self, path: Path, site: str) -> Heartbeat:
        with open_regular(path) as file:
            data = file.read(2 * MAX_BYTES + 1)
        key = load_public(self._keys[site]) if site in self._keys else None
        return open_heartbeat(data, site, key)

"""The end of night: disk against ledger, what is missing shipped, the night sealed, its manifest answered.

The watcher and shipper daemons do the work; this asks them, waits for them, and writes down what came of it. All of it
may be done again after a crash at any point.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from processors.instrument import Instruments
from services.core.errors import ServiceError
from services.core.ledger import nights
from services.core.ledger.alerts import raise_alert, resolve_alert
from services.core.ledger.engine import Ledger, now
from services.core.ledger.route_values import set_value
from services.core.ledger.shipping import release_held
from services.core.settings import Settings
from services.nights.compose import draft, night_frames
from services.nights.delivery import Delivery, deliveries
from services.nights.disk import Reconciled, Unrecorded, of_the_night, reconcile, set_aside
from services.nights.exchange import Reply, answers_text, connect, exchange, revisions_taken, state_of
from services.nights.seal import Sealed, seal
from services.routes.book import RouteBook
from services.watcher.intake import Stopped
from transfer.errors import TransferError
from transfer.signature import load_private

_POLL_S = 1.0
_QUIET_S = 120.0  # without any move for so long: are the daemons running?


class Watch(Protocol):
    """Whoever watches: a person at a terminal, or nobody."""

    def note(self, text: str) -> None:
        """Something that a person should know now."""

    def delivered(self, done: int, total: int) -> None:
        """How many frames, on all routes, are where they shall be."""


@dataclass(frozen=True)
class Outcome:
    """What an end of night came to."""

    night: str
    frames: Sequence[Any]
    taken: tuple[str, ...]
    broken: tuple[Unrecorded, ...]
    released: int
    deliveries: tuple[Delivery, ...]
    sealed: Sealed
    replies: dict[str, Reply]

    @property
    def by_route(self) -> dict[str, Counter[str]]:
        """Frames by state, on every route that wants some."""
        found: dict[str, Counter[str]] = {}
        for delivery in self.deliveries:
            found.setdefault(delivery.route, Counter())[delivery.state] += 1
        return found

    @property
    def exit_code(self) -> int:
        """0 everything delivered and verified, 1 a hole, 3 unreachable or not in time."""
        verdicts = {reply.answer.verdict for reply in self.replies.values() if reply.answer is not None}
        states = {delivery.state for delivery in self.deliveries}
        if "stuck" in states or self.broken or verdicts & {"holes", "refused"}:
            return 1
        if "moving" in states or any(reply.answer is None for reply in self.replies.values()):
            return 3
        return 0


class EndOfNight:
    """One end of night at a telescope."""

    def __init__(
        self, settings: Settings, ledger: Ledger, instruments: Instruments, watch: Watch, stop: threading.Event
    ) -> None:
        assert settings.night is not None and settings.watch is not None
        self._settings = settings
        self._night = settings.night
        self._camera = settings.watch
        self._ledger = ledger
        self._instruments = instruments
        self._watch = watch
        self._stop = stop
        self._book = RouteBook(settings, ledger)
        self._key = load_private(settings.night.key_file)

    def reconcile(self) -> Reconciled:
        """Take in what the camera's disk has and the ledger has not."""
        try:
            return reconcile(self._camera, self._ledger, self._instruments, self._stop)
        except Stopped:
            raise _stopped() from None

    def run(self, night: str, found: Reconciled, *, wait_s: float) -> Outcome:
        """Everything after the comparison of disk and ledger; `wait_s` 0 asks once and does not wait.

        Raises
        ------
        TransferError
            The night manifest cannot be written.
        ServiceError
            It was stopped before the night was sealed.
        """
        with self._ledger.begin() as conn:
            released = release_held(conn, now())
            for route in self._settings.routes:
                set_value(conn, route, "drain", now(), now())
        state = self._wait(night, wait_s)
        if self._stop.is_set():
            raise _stopped()
        with self._ledger.read() as conn:
            frames = nights.frames_of_night(conn, night)
            aside = list(set_aside(nights.file_rows(conn).values()))
        broken = of_the_night({file.path: file for file in (*aside, *found.broken)}.values(), frames)
        sealed = self._seal(night, broken)
        replies = self._send(sealed, wait_s)
        outcome = Outcome(night, frames, found.taken, broken, released, state, sealed, replies)
        self._tell(outcome)
        return outcome

    def _tell(self, outcome: Outcome) -> None:
        """A night that is not whole is a person's business until a later run finds it whole."""
        alert = f"night:{outcome.night}"
        with self._ledger.begin() as conn:
            if outcome.exit_code == 0:
                resolve_alert(conn, alert, now())
            elif outcome.exit_code == 1:
                message = (
                    f"night {outcome.night} is not whole: nightferry endofnight {outcome.night} says what is missing"
                )
                raise_alert(conn, alert, message, now())

    def _wait(self, night: str, wait_s: float) -> tuple[Delivery, ...]:
        """Wait until nothing of the night is under way; where every frame is then."""
        deadline = time.monotonic() + wait_s
        quiet = _Quiet(_QUIET_S)
        while True:
            began = time.monotonic()
            state, event = self._state(night)
            pause_s = max(_POLL_S, 10.0 * (time.monotonic() - began))  # a big night's ledger is left to the daemons
            moving = sum(delivery.state == "moving" for delivery in state)
            self._watch.delivered(sum(delivery.state == "delivered" for delivery in state), len(state))
            if not moving or time.monotonic() + pause_s > deadline or self._stop.is_set():
                return state
            if quiet.too_long(event, time.monotonic()):
                self._watch.note(
                    f"nothing has moved for {_QUIET_S:.0f} s, {moving} to go: are nightferry-watch and nightferry-ship "
                    "running? `nightferry status` and their logs say what they wait for"
                )
            self._stop.wait(pause_s)

    def _state(self, night: str) -> tuple[tuple[Delivery, ...], int]:
        with self._ledger.read() as conn:
            frames = nights.frames_of_night(conn, night)
            carried = nights.carried(conn, night)
            event = nights.event_count(conn)
        wanting = self._book.wanting()
        wanted = {frame.sha256: wanting(frame) for frame in frames}
        return deliveries(frames, wanted, carried), event

    def _seal(self, night: str, broken: Sequence[Unrecorded]) -> Sealed:
        site = self._settings.site
        with self._ledger.read() as conn:
            known = nights.newest_manifest(conn, site, night) is not None
        taken = 0 if known else self._revisions_taken(night)
        with self._ledger.begin() as conn:
            frames = nights.frames_of_night(conn, night)
            carried = nights.carried(conn, night)
            receipts = nights.receipt_rows(conn, {row.bundle for row in carried})
            heads = nights.route_heads(conn, self._settings.routes)
        made = night_frames(frames, carried, receipts)
        manifest = draft(site, night, frames, made, heads, broken, now())
        return seal(self._ledger, manifest, self._key, self._settings.state_dir / "nights", taken)

    def _complete(self) -> list[str]:
        return [name for name in self._settings.routes if self._book.get(name).complete]

    def _revisions_taken(self, night: str) -> int:
        """Revisions that a receiver has answered before this ledger began; 0 when nobody can be asked."""
        most = 0
        for name in self._complete():
            remote = connect(self._book.get(name))
            try:
                most = max(most, revisions_taken(remote, self._settings.site, night))
            except TransferError:
                continue  # what is wrong with the route is said when the manifest is sent
            finally:
                remote.close()
        return most

    def _send(self, sealed: Sealed, wait_s: float) -> dict[str, Reply]:
        """Send the manifest on every complete route, side by side, and write the answers down."""
        routes = {name: self._book.get(name) for name in self._complete()}
        if not routes:
            return {}
        quiet = {name: _Quiet(_QUIET_S) for name in routes}

        def waiting(name: str) -> Callable[[str], None]:
            def say(text: str) -> None:
                if quiet[name].too_long(text, time.monotonic()):
                    self._watch.note(f"{text}: is nightferry-receive running there?")

            return say

        with ThreadPoolExecutor(len(routes)) as pool:
            jobs = {
                name: pool.submit(exchange, sealed, name, route, wait_s=wait_s, stop=self._stop, on_wait=waiting(name))
                for name, route in routes.items()
            }
            replies = {name: job.result() for name, job in jobs.items()}
        with self._ledger.begin() as conn:
            nights.settle_manifest(conn, sealed.sha256, state_of(replies), now(), answers_text(replies))
        return replies


def _stopped() -> ServiceError:
    return ServiceError("stopped before the night was sealed: nothing is lost, run it again")


class _Quiet:
    """Notices that something has been the same for too long; says so once per that time."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._last: object = None
        self._since = 0.0

    def too_long(self, value: object, clock_s: float) -> bool:
        """Whether the value has not changed for the time (since the last time that was said)."""
        if value != self._last:
            self._last, self._since = value, clock_s
        if clock_s - self._since < self._after_s:
            return False
        self._since = clock_s
        return True

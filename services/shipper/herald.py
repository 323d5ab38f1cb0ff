"""Signs of life of a route, by its settling thread: ours goes into the receiver's inbox, the receiver's is fetched."""

from __future__ import annotations

import contextlib
import time
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.conditions.vitals import Vitals
from services.core.errors import LedgerUnreachable
from services.core.ledger.engine import Ledger, now
from services.core.ledger.heartbeats import forget_heartbeat, hear_centre, hear_receiver, refuse_centre
from services.core.log import get_logger
from services.core.settings import Settings
from transfer.durable import write_whole
from transfer.errors import BadDocument, TransferError, Unreachable
from transfer.heartbeat import MAX_BYTES, RECEIVER_NAME, Heartbeat, file_name, plain, seal
from transfer.remotes.base import Remote
from transfer.signature import load_private
from transfer.status import ReceiverStatus

_TRIED_S: Final = 30.0
_LOOK_S: Final = 30.0


class Herald:
    """One route's heartbeats. A heartbeat that the receiver does not take stops no receipt."""

    def __init__(self, route: str, settings: Settings, ledger: Ledger) -> None:
        self._route = route
        self._settings = settings
        self._ledger = ledger
        self._log = get_logger()
        self._called = float("-inf")
        self._tried = float("-inf")
        self._vitals = Vitals(settings, ledger, "run/heartbeat.number")
        self._complaint = ""
        self._disbelief = ""

    def due(self) -> bool:
        """Whether it is time for one."""
        heartbeat = self._settings.conditions.heartbeat
        return heartbeat is not None and time.monotonic() - self._called >= heartbeat.every_s

    @property
    def listens(self) -> bool:
        """Whether the receiver's own sign of life is looked for."""
        return self._settings.conditions.heartbeat is not None

    @property
    def look_s(self) -> float:
        """Seconds between two looks at the receiver: no rarer than our own sign of life."""
        heartbeat = self._settings.conditions.heartbeat
        return _LOOK_S if heartbeat is None else min(_LOOK_S, heartbeat.every_s)

    def heard(self, status: ReceiverStatus | None) -> None:
        """What the receiver's status said when it was looked at: it is alive when that has changed."""
        if self.listens:
            with self._ledger.begin() as conn:
                hear_receiver(conn, self._route, None if status is None else status.written.timestamp(), now())

    def listen(self, remote: Remote) -> None:
        """What the receiver says of its site; called when there is a status, so that the receiver's disk is there.

        One that says nothing is an older one. What cannot be believed is a warning and a row, and what cannot be had is
        asked for again at the next look: neither stops a receipt.
        """
        if not self.listens:
            return
        said, refusal = None, ""
        try:
            data = remote.get_small(RECEIVER_NAME, MAX_BYTES)
            said = plain(Heartbeat.from_json(data)) if data is not None else None
        except Unreachable:
            return
        except TransferError as error:
            refusal = str(error)
        at, who = now(), f"centre:{self._route}"
        with self._ledger.begin() as conn:
            if said is not None:
                refusal = hear_centre(conn, self._route, said, at) or ""
            elif not refusal:
                forget_heartbeat(conn, who, at, "the receiver says nothing of its site any more")
            if refusal:
                refuse_centre(conn, self._route, refusal, at)
        if refusal and refusal != self._disbelief:
            self._log.warning("heartbeat refused", name=RECEIVER_NAME, reason=refusal)
        self._disbelief = refusal

    def in_vain(self) -> None:
        """The receiver could not be asked: it is being listened for all the same."""
        if time.monotonic() - self._tried < _TRIED_S:
            return
        self._tried = time.monotonic()
        with contextlib.suppress(LedgerUnreachable):
            self.heard(None)

    def call(self, remote: Remote) -> None:
        """Put a heartbeat into the receiver's inbox.

        Raises
        ------
        Unreachable
            Nobody answers.
        """
        site, state = self._settings.site, self._settings.state_dir
        try:
            data = seal(self._vitals.heartbeat(self._every_s), self._key())
            local = state / "run" / f"{self._route}.heartbeat"
            local.parent.mkdir(parents=True, exist_ok=True)
            write_whole(local, data)
            remote.put(local, f"inbox/{file_name(site)}")
            self._complaint = ""
        except Unreachable:
            raise
        except (TransferError, OSError) as error:
            if str(error) != self._complaint:
                self._log.error("no heartbeat", reason=str(error))
            self._complaint = str(error)
        self._called = time.monotonic()

    @property
    def _every_s(self) -> float:
        heartbeat = self._settings.conditions.heartbeat
        return 0.0 if heartbeat is None else heartbeat.every_s

    def _key(self) -> Ed25519PrivateKey | None:
        night = self._settings.night
        if night is None:
            return None
        try:
            return load_private(night.key_file)
        except BadDocument:
            if night.key_file.exists():
                raise
            return None  # not made yet: `config check` and the end of night say so

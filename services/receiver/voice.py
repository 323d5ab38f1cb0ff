"""The receiver's word for its whole site, laid out beside its status for the shippers to fetch."""

from __future__ import annotations

from services.conditions.vitals import Vitals
from services.core.errors import LedgerUnreachable
from services.core.ledger.engine import Ledger
from services.core.log import get_logger
from services.core.settings import Settings
from transfer.durable import write_whole
from transfer.errors import TransferError
from transfer.heartbeat import RECEIVER_NAME


class Voice:
    """Writes `receipts/receiver.heartbeat`. One that cannot be written stops nothing else."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        assert settings.receive is not None
        self._path = settings.receive.root / RECEIVER_NAME
        self._every_s = settings.receive.status_s
        self._spoken = settings.conditions.heartbeat is not None
        self._vitals = Vitals(settings, ledger, "run/receiver.number")
        self._complaint = ""
        self._log = get_logger()

    def speak(self) -> None:
        """Say how the site is; where heartbeats are switched off, take back what was said."""
        try:
            if self._spoken:
                write_whole(self._path, self._vitals.heartbeat(self._every_s).to_json())
            else:
                self._path.unlink(missing_ok=True)
            self._complaint = ""
        except (TransferError, OSError, LedgerUnreachable) as error:
            if str(error) != self._complaint:
                self._log.error("no heartbeat", reason=str(error))
            self._complaint = str(error)

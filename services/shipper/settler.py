"""The thread that asks for receipts, and empties the outbox on the receiver's word."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from services.core.daemon import Backoff
from services.core.errors import LedgerUnreachable
from services.core.ledger import shipping
from services.core.ledger.engine import now
from services.core.ledger.states import advance
from services.core.log import bound
from services.routes.pressure import Word
from services.shipper.context import RouteContext, as_opened
from services.shipper.readback import read_back
from services.shipper.undo import finish_all, undo
from transfer.bundle import Bundle, open_bundle
from transfer.errors import BadDocument, HostKeyMismatch, TransferError
from transfer.manifest import GOOD, Receipt
from transfer.remotes.base import Remote
from transfer.ship import fetch_receipts, release
from transfer.status import STATUS_NAME, ReceiverStatus

AT_ONCE: Final = 200  # receipts asked for in one go
SWEEP_S: Final = 60.0  # between two looks for what a crash left in the outbox
SOON_S: Final = 0.25  # while bundles wait for their receipts
AT_FIRST_S: Final = 0.02  # just after one was sent; doubles up to SOON_S
TURN_S: Final = (
    1.0  # so long answers are settled before it is asked again: the newest bundle shall not wait for the oldest
)


class Settler:
    """One route's receipts. The ledger and the outbox are its only memory."""

    def __init__(self, ctx: RouteContext) -> None:
        self._ctx = ctx
        self._remote: Remote | None = None
        self._opened_for: tuple[object, ...] = ()
        self._backoff = Backoff(1.0, 60.0)
        self._status_at = float("-inf")
        self._swept_at = float("-inf")
        self._soon_s = SOON_S
        self.status = ""

    def run(self) -> None:
        """Settle until the stop signal; a failure is a pause, never an end."""
        ctx = self._ctx
        with bound(route=ctx.name):
            while not ctx.stop.is_set():
                try:
                    pause_s = self._round()
                    self._backoff.reset()
                    if self.status:
                        ctx.resolve("host_key")  # the sender may be idle, and not find out itself
                    self.status = ""
                except Exception as error:
                    if not isinstance(error, TransferError | LedgerUnreachable | OSError):
                        ctx.log.exception("defect")
                    self._close()
                    ctx.herald.in_vain()
                    if isinstance(error, HostKeyMismatch):
                        ctx.alert("host_key", f"{error}: no receipts until known_hosts changes", severity=2)
                    pause_s = min(self._backoff.next_s(), ctx.route.backoff_max_s)
                    self.status = f"no receipts: {error}"
                    ctx.log.warning("no receipts", reason=str(error), pause_s=round(pause_s, 1))
                    ctx.stop.wait(pause_s)
                    continue
                if ctx.sent.wait(pause_s):
                    ctx.sent.clear()
                    self._soon_s = AT_FIRST_S
            self._close()

    def _close(self) -> None:
        if self._remote is not None:
            self._remote.close()
            self._remote = None

    def _round(self) -> float:
        ctx = self._ctx
        finish_all(ctx)
        with ctx.ledger.read() as conn:
            sent = shipping.bundles_of(conn, ctx.name, "sent")
            # A receiver that was away for long answers at last what was given up here meanwhile.
            held = shipping.bundles_of(conn, ctx.name, "held")
        if time.monotonic() - self._swept_at > SWEEP_S:
            self._release_accepted()
        if ctx.route.receipts == "readback":
            self._read_back(_to_ask(sent))
            return ctx.route.poll_s
        asked = _to_ask([*sent, *held])
        if asked or self._status_due() or ctx.herald.due():
            remote = self._connected()
            if ctx.herald.due():
                ctx.herald.call(remote)
            self._hear_status(remote)
            answers = fetch_receipts(remote, [row.bundle for row in asked]) if asked else {}
            until = time.monotonic() + TURN_S
            for row in asked:
                self._answered(row, answers.get(row.bundle))
                if time.monotonic() > until:
                    break
        self._soon_s = min(2 * self._soon_s, SOON_S)
        return min(self._soon_s, ctx.route.poll_s) if sent else ctx.route.poll_s

    def _connected(self) -> Remote:
        route = self._ctx.route
        if self._remote is None or self._opened_for != as_opened(route):
            self._close()
            self._remote = self._ctx.open(1)
            self._opened_for = as_opened(route)
        return self._remote

    def _read_back(self, sent: Sequence[Any]) -> None:
        for row in sent:
            try:
                receipt = read_back(self._ctx, row.bundle)
            except BadDocument as error:  # our own manifest: the others shall not wait for it
                undo(self._ctx, row.bundle, f"the packed copy is spoilt: {error}")
                continue
            self._settle(row.bundle, receipt)

    def _status_due(self) -> bool:
        if not self._ctx.route.pressure and not self._ctx.herald.listens:
            return False
        every_s = self._ctx.herald.look_s
        return time.monotonic() - self._status_at >= (min(5.0, every_s) if self._ctx.pressure().pause else every_s)

    def _hear_status(self, remote: Remote) -> None:
        if not self._status_due():
            return
        self._status_at = time.monotonic()
        try:
            data = remote.get_small(STATUS_NAME)
            status = ReceiverStatus.from_json(data) if data is not None else None
        except BadDocument as error:
            self._ctx.log.error("the receiver's status is not readable", reason=str(error))
            return
        self._ctx.herald.heard(status)
        if status is not None and self._ctx.route.pressure:
            self._ctx.word = Word(now(), status.free_bytes, status.queue_depth, status.oldest_task_s)
            self._ctx.news.set()
        if status is not None:
            self._ctx.herald.listen(remote)

    def _answered(self, row: Any, receipt: Receipt | BadDocument | None) -> None:
        ctx = self._ctx
        if isinstance(receipt, BadDocument):
            ctx.alert(f"receipt:{row.bundle}", f"the receipt of {row.bundle} is not readable: {receipt}")
            receipt = None  # shipped again when its time is over, it is answered anew
        if receipt is not None and receipt.manifest_sha256 == row.manifest_sha256:
            self._settle(row.bundle, receipt)
        elif row.state == "sent" and now() - row.updated_at > ctx.route.receipt_overdue_s:
            reason = "no receipt in time: to be shipped again"
            ctx.log.warning("no receipt: shipping again", bundle=row.bundle)
            with ctx.ledger.begin() as conn:
                advance(conn, "bundle", row.bundle, "packed", now=now(), reason=reason)
                held = shipping.count_attempt(conn, row.bundle, ctx.route.max_attempts, now(), reason)
            if held:
                ctx.alert(f"held:{row.bundle}", f"bundle {row.bundle} waits in the outbox: {reason}; nightferry retry")
            ctx.news.set()

    def _settle(self, name: str, receipt: Receipt) -> None:
        """The receiver's word: first the ledger, then the outbox (`_release_accepted` mends a crash in between)."""
        ctx = self._ctx
        reasons = "; ".join(f"{frame.name}: {frame.reason}" for frame in receipt.frames if frame.reason)
        wanting = ctx.book.wanting()
        with ctx.ledger.begin() as conn:
            row = shipping.bundle_row(conn, name)
            if row is None or row.state not in ("sent", "held"):
                return
            document = receipt.to_json().decode()
            shipping.settle_bundle(conn, name, receipt.verdict, document, wanting, now(), reasons or None)
            refusals = shipping.refusals(conn, name)
        latency = now() - row.created_at
        ctx.word = Word(now(), receipt.free_bytes, receipt.queue_depth, receipt.oldest_task_s)
        ctx.news.set()
        fields = {"frames": len(receipt.frames), "seconds": latency, "free_bytes": receipt.free_bytes}
        ctx.spool.write("receipt", fields, {"route": ctx.name, "verdict": receipt.verdict})
        if receipt.verdict in GOOD:
            self._release(ctx.outbox / f"{name}.json", receipt)
            for about in ("bundle", "held", "receipt"):
                ctx.resolve(f"{about}:{name}")
            ctx.log.info("bundle accepted", bundle=name, verdict=receipt.verdict, seconds=round(latency, 2))
            return
        ctx.log.error("bundle not accepted", bundle=name, verdict=receipt.verdict, reason=reasons)
        if receipt.verdict == "corrupt" and refusals == 1:
            undo(ctx, name, "the receiver found it corrupt: once more from the raw frames")
        else:
            ctx.alert(f"bundle:{name}", f"bundle {name} is {receipt.verdict}: {reasons}; nightferry retry", severity=2)

    def _release_accepted(self) -> None:
        """In the outbox but accepted in the ledger: a crash came between the two."""
        self._swept_at = time.monotonic()
        for path in sorted(self._ctx.outbox.glob("*.json")):
            with self._ctx.ledger.read() as conn:
                row = shipping.bundle_row(conn, path.stem)
                document = shipping.receipt_document(conn, path.stem)
            if row is not None and row.state == "accepted" and document is not None:
                self._release(path, Receipt.from_json(document.encode()))

    def _release(self, manifest: Path, receipt: Receipt) -> None:
        try:
            bundle: Bundle = open_bundle(manifest)
            release(bundle, receipt, self._ctx.shipped)
        except (TransferError, OSError) as error:
            self._ctx.log.error("outbox needs a look", manifest=str(manifest), reason=str(error))


def _to_ask(sent: Sequence[Any]) -> list[Any]:
    """Of many bundles the newest first, then the oldest: neither live frames nor the backlog wait for the other."""
    by_time = sorted(sent, key=lambda row: (row.updated_at, row.bundle))
    half = AT_ONCE // 2
    newest = by_time[-half:][::-1]
    return newest + by_time[: max(0, min(half, len(by_time) - half))]

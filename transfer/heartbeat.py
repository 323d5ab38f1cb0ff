"""A site's sign of life (docs/formats.md section 7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from transfer.documents import Fields, dump, load, time_text
from transfer.errors import BadDocument
from transfer.signature import open_signed, sign, signed_body

VERSION: Final = 1
SUFFIX: Final = ".heartbeat"
RECEIVER_NAME: Final = "receipts/receiver.heartbeat"
MAX_BYTES: Final = 256 << 10
MAX_NUMBER: Final = 1 << 53
MAX_DAEMONS: Final = 64
MAX_ALERTS: Final = 50
MAX_TEXT: Final = 500
STATES: Final = ("running", "starting", "hung", "dead", "missing")
_SITE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")


@dataclass(frozen=True, slots=True)
class DaemonSaid:
    """A daemon of the sender's host."""

    name: str
    state: str
    status: str


@dataclass(frozen=True, slots=True)
class AlertSaid:
    """An open alert of severity 2."""

    alert: str
    message: str
    raised: datetime


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a site says of itself; see the table in docs/formats.md."""

    site: str
    host: str
    number: int
    written: datetime
    every_s: float
    software: str
    daemons: tuple[DaemonSaid, ...] = ()
    alerts: tuple[AlertSaid, ...] = ()
    tells: bool = True

    def to_json(self) -> bytes:
        """The document; what is too long or too many for a reader is cut."""
        alerts = [
            {"alert": each.alert[:200], "message": each.message[:MAX_TEXT], "raised": time_text(each.raised)}
            for each in self.alerts[:MAX_ALERTS]
        ]
        daemons = [
            {"name": each.name[:64], "state": each.state, "status": each.status[:MAX_TEXT]}
            for each in self.daemons[:MAX_DAEMONS]
        ]
        plain: dict[str, Any] = {**asdict(self), "alerts": alerts, "daemons": daemons}
        plain["written"] = time_text(self.written)
        return dump({"kind": "heartbeat", "version": VERSION, **plain})

    @classmethod
    def from_json(cls, data: bytes) -> Heartbeat:
        """The heartbeat in a document; BadDocument names the path of what is wrong."""
        if len(data) > MAX_BYTES:
            raise BadDocument(f"heartbeat: {len(data)} bytes, expected at most {MAX_BYTES}")
        fields = load(data, "heartbeat", VERSION)
        site = fields.text("site", 32)
        if not _SITE.match(site):
            fields.refuse("site", "a site's name", site)
        heartbeat = cls(
            site=site,
            host=fields.text("host", 255),
            number=fields.integer("number", 1, MAX_NUMBER),
            written=fields.time("written"),
            every_s=fields.number("every_s"),
            software=fields.text("software", 100),
            daemons=tuple(_daemon(index, each) for index, each in fields.many("daemons", 0, MAX_DAEMONS)),
            alerts=tuple(_alert(index, each) for index, each in fields.many("alerts", 0, MAX_ALERTS)),
            tells=fields.boolean("tells"),
        )
        fields.done()
        return heartbeat


def file_name(site: str) -> str:
    """Its name in the inbox."""
    return f"{site}{SUFFIX}"


def site_of(name: str) -> str | None:
    """The site that a file's name speaks of; None when it is no heartbeat's name."""
    site = name.removesuffix(SUFFIX)
    return site if name.endswith(SUFFIX) and _SITE.match(site) else None


def seal(heartbeat: Heartbeat, key: Ed25519PrivateKey | None) -> bytes:
    """The bytes that go to the receiver: signed where the site has a key."""
    body = heartbeat.to_json()
    return body if key is None else sign(body, key)


def open_heartbeat(data: bytes, site: str, key: Ed25519PublicKey | None) -> Heartbeat:
    """The heartbeat in a file of the inbox.

    Parameters
    ----------
    site
        Whom the file's name speaks of.
    key
        The site's public key: with it only a signed document is believed. Without it, signed or not is the same.

    Raises
    ------
    BadDocument
        It is none, or another site's, or not signed though the site has a key.
    Corrupt
        Its signature does not fit.
    """
    if len(data) > 2 * MAX_BYTES:
        raise BadDocument(f"heartbeat: {len(data)} bytes, expected at most {2 * MAX_BYTES}")
    if key is not None:
        body = open_signed(data, key)
    else:
        try:
            body = signed_body(data)
        except BadDocument:
            body = data
    heartbeat = Heartbeat.from_json(body)
    if heartbeat.site != site:
        raise BadDocument(f"heartbeat.site: expected {site}, as its file is called, got {heartbeat.site}")
    return heartbeat


def plain(heartbeat: Heartbeat) -> Mapping[str, Any]:
    """Its fields as JSON values, for a ledger's row."""
    values = asdict(heartbeat)
    values["written"] = heartbeat.written.timestamp()
    values["alerts"] = [{**asdict(each), "raised": each.raised.timestamp()} for each in heartbeat.alerts]
    return values


def _daemon(index: int, value: Any) -> DaemonSaid:
    fields = Fields(value, f"heartbeat.daemons[{index}]")
    found = DaemonSaid(fields.text("name", 64), fields.choice("state", STATES), fields.text("status", MAX_TEXT))
    fields.done()
    return found


def _alert(index: int, value: Any) -> AlertSaid:
    fields = Fields(value, f"heartbeat.alerts[{index}]")
    found = AlertSaid(fields.text("alert", 200), fields.text("message", MAX_TEXT), fields.time("raised"))
    fields.done()
    return found

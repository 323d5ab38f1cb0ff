"""Signs of life in the ledger: the last word of every site and host, and who listens for them.

| who | written by | `at` |
|---|---|---|
| `site:SITE` | the receiver | when the site's last heartbeat came |
| `refused:SITE` | the receiver | when one came that was not believed (`refused:` of an unknown one) |
| `listener:HOST` | the receiver | when it last looked for heartbeats |
| `receiver:ROUTE` | the shipper | when the receiver's status was last seen to change |
| `centre:ROUTE` | the shipper | when what the receiver says of its site was last seen to change |
| `refused:route/ROUTE` | the shipper | when that could not be believed |
| `notify:SITE:HOST` | the notify daemon | its last sweep |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, select

from services.core.ledger.alert_schema import heartbeats
from services.core.ledger.rows import upsert
from services.core.ledger.states import record

MOST_SITES: Final = 32
AHEAD_S: Final = 86_400.0
LAGS: Final = 10
_GAP_S: Final = 300.0  # who has not listened for so long begins anew: what came meanwhile was not heard


def heartbeat_rows(conn: Connection) -> dict[str, Row]:
    """Every sign of life, by who gave it."""
    return {row.who: row for row in conn.execute(select(heartbeats))}


def hear_site(conn: Connection, said: Mapping[str, Any], now: float) -> str | None:
    """Record a site's heartbeat (its fields as JSON values); or say why it is none, and record nothing.

    `lags` in the row are the last differences between our clock when it came and the site's when it was written.
    """
    who = f"site:{said['site']}"
    before = conn.execute(select(heartbeats).where(heartbeats.c.who == who).with_for_update()).one_or_none()
    if before is None:
        sites = (
            select(func.count()).select_from(heartbeats).where(heartbeats.c.who.startswith("site:", autoescape=True))
        )
        if conn.execute(sites).scalar_one() >= MOST_SITES:
            return f"{MOST_SITES} sites are on record already"
    elif said["number"] <= before.document["number"]:
        return f"a replay: number {said['number']} after {before.document['number']}"
    if said["number"] > (now + AHEAD_S) * 1000.0:
        return f"its number {said['number']} is more than a day ahead"
    if said["written"] > now + AHEAD_S:
        return "it was written more than a day ahead of our clock"
    lags = [] if before is None else list(before.document.get("lags", []))
    lags = [*lags, now - said["written"]][-LAGS:]
    upsert(conn, heartbeats, {"who": who, "at": now, "document": {**said, "lags": lags}})
    if before is None:
        record(conn, "heartbeat", who, "heard", now=now)
    return None


def refuse_heartbeat(conn: Connection, site: str, reason: str, now: float) -> None:
    """Record one that was not believed; one that names no known site has no row of its own."""
    known = conn.execute(select(heartbeats.c.who).where(heartbeats.c.who == f"site:{site}")).one_or_none() is not None
    who = f"refused:{site if known else ''}"
    upsert(conn, heartbeats, {"who": who, "at": now, "document": {"site": site, "reason": reason[:500]}})


def listen(conn: Connection, who: str, now: float, **more: Any) -> None:
    """Record that somebody listens: `since` when, without a gap."""
    before = conn.execute(select(heartbeats).where(heartbeats.c.who == who)).one_or_none()
    since = now if before is None or now - before.at > _GAP_S else before.document.get("since", now)
    upsert(conn, heartbeats, {"who": who, "at": now, "document": {"since": since, **more}})


def hear_receiver(conn: Connection, route: str, written: float | None, now: float) -> None:
    """Record a look at the receiver's status: it is alive when `written` has changed. None: there is no status."""
    who = f"receiver:{route}"
    before = conn.execute(select(heartbeats).where(heartbeats.c.who == who)).one_or_none()
    if before is None:
        if written is None:
            return  # no receiver that says anything: nothing is to be missed
        before_doc: dict[str, Any] = {"since": now, "written": None}
        at = now
    else:
        before_doc, at = dict(before.document), before.at
    since = now if now - before_doc.get("tried_at", now) > _GAP_S else before_doc.get("since", now)
    if written is not None and written != before_doc.get("written"):
        at = now
    document = {"since": since, "tried_at": now, "written": written if written is not None else before_doc["written"]}
    upsert(conn, heartbeats, {"who": who, "at": at, "document": document})


def hear_centre(conn: Connection, route: str, said: Mapping[str, Any], now: float) -> str | None:
    """Record what a receiver says of its site (a heartbeat's fields as JSON values); or say why it is not believed.

    Nothing is written when it is what was heard already.
    """
    if said["written"] > now + AHEAD_S:
        return "it was written more than a day ahead of our clock"
    who = f"centre:{route}"
    before = conn.execute(select(heartbeats).where(heartbeats.c.who == who)).one_or_none()
    if before is None:
        record(conn, "heartbeat", who, "heard", now=now)
    elif (before.document["site"], before.document["number"]) == (said["site"], said["number"]):
        return None
    upsert(conn, heartbeats, {"who": who, "at": now, "document": dict(said)})
    return None


def refuse_centre(conn: Connection, route: str, reason: str, now: float) -> None:
    """Record that what a receiver says of its site is not believed."""
    who = f"refused:route/{route}"
    upsert(conn, heartbeats, {"who": who, "at": now, "document": {"site": "", "reason": reason[:500]}})


def say_alive(conn: Connection, who: str, document: Mapping[str, Any], now: float) -> None:
    """A host's notify daemon is alive."""
    upsert(conn, heartbeats, {"who": who, "at": now, "document": dict(document)})


def forget_heartbeat(conn: Connection, who: str, now: float, reason: str) -> bool:
    """Nobody is to be missed under this name any more; False when nobody was."""
    if not conn.execute(delete(heartbeats).where(heartbeats.c.who == who)).rowcount:
        return False
    record(conn, "heartbeat", who, "forgotten", now=now, reason=reason)
    return True

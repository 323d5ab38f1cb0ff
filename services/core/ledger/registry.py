"""The calibration registry: which masters there are, for which nights persons have certified them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, or_, select, update

from services.core.ledger.affected import nights_using, spoilt
from services.core.ledger.registry_schema import certifications, reviews
from services.core.ledger.rows import insert_new, upsert
from services.core.ledger.schema import calibrations, frames, tasks
from services.core.ledger.states import record

OPEN_END: Final = "99999999"


@dataclass(frozen=True)
class Certified:
    """Nights for which a master is certified, both included; `last` is OPEN_END where there is no end.

    A `copied` one lends the master to these nights, any other one also takes it from all others.
    """

    first: str
    last: str
    copied: bool


@dataclass(frozen=True)
class StoredMaster:
    """A master on record. `task` is None when it was made outside of the daemons."""

    sha256: str
    path: str
    kind: str
    production: str
    night: str
    date_obs: str
    key: Mapping[str, Any]
    task: str | None
    temperature_c: float | None
    withdrawn: bool
    certified: tuple[Certified, ...]


def masters_of(conn: Connection, production: str, first: str = "", last: str = OPEN_END) -> list[StoredMaster]:
    """The masters that matter to nights from `first` to `last`, in a fixed order.

    These are the newest one of every task of these nights, all that are certified for one of them, and all that were
    withdrawn.
    """
    lent = select(certifications.c.sha256).where(
        certifications.c.production == production,
        certifications.c.first_night <= last,
        certifications.c.last_night >= first,
    )
    taken = calibrations.c.night.between(first, last)
    query = select(calibrations).where(
        calibrations.c.production == production,
        or_(taken, calibrations.c.sha256.in_(lent), calibrations.c.withdrawn_at.is_not(None)),
    )
    found = _with_certifications(conn, conn.execute(query.order_by(calibrations.c.created_at, calibrations.c.sha256)))
    newest = {master.task or master.sha256: master.sha256 for master in found}
    kept = [
        master
        for master in found
        if master.certified or master.withdrawn or newest[master.task or master.sha256] == master.sha256
    ]
    return sorted(kept, key=lambda master: (master.task or "", master.sha256))


def find_masters(conn: Connection, production: str, text: str) -> list[StoredMaster]:
    """Masters that a person means by a path, a file name (also of before), or 6 or more digits of a sha256."""
    query = select(calibrations).where(calibrations.c.production == production).order_by(calibrations.c.path)
    if "/" in text:
        return _with_certifications(conn, conn.execute(query.where(calibrations.c.path == str(Path(text).absolute()))))
    stem = text.removesuffix(".fits")
    rows = conn.execute(query.where(calibrations.c.path.contains(f"/{stem}", autoescape=True)))
    # one from outside is kept under its name and its sha256 (`services.registry.register`)
    named = [
        master
        for master in _with_certifications(conn, rows)
        if master.path.endswith((f"/{text}", f"/{stem}-{master.sha256[:8]}.fits"))
    ]
    if named or not re.fullmatch(r"[0-9a-f]{6,64}", text):
        return named
    return _with_certifications(conn, conn.execute(query.where(calibrations.c.sha256.startswith(text))))


def certify(
    conn: Connection, master: StoredMaster, first: str, last: str, now: float, *, copied: bool = False
) -> list[str] | None:
    """Declare a master valid for nights; what was withdrawn counts again.

    Returns
    -------
    The nights on record that are looked at again because of it; None when all of that was said before, or when a
    master was to be lent that somebody has withdrawn since it was looked at.
    """
    master = _locked(conn, master)
    if copied and master.withdrawn:
        return None
    covered = any(said.first <= first and last <= said.last for said in master.certified)
    if not master.withdrawn and (Certified(first, last, copied) in master.certified or (copied and covered)):
        return None
    row: dict[str, Any] = {"sha256": master.sha256, "production": master.production, "created_at": now}
    upsert(conn, certifications, {**row, "first_night": first, "last_night": last, "copied": copied})
    conn.execute(update(calibrations).where(_row_of(master)).values(withdrawn_at=None))
    nights = span(first, last)
    record(
        conn, "calibration", master.sha256, "certified", now=now, reason=f"{'lent to' if copied else 'for'} {nights}"
    )
    reason = f"{master.kind} {Path(master.path).name} was certified for {nights}"
    again = _nights_of(conn, master, first, last)
    add_reviews(conn, master.production, again, reason, now)
    return again


def decertify(conn: Connection, master: StoredMaster, now: float, *, keep: bool = False) -> bool:
    """Take every certification of a master back, and withdraw it from use unless it is to be kept as any other.

    False when there was nothing to take back.
    """
    master = _locked(conn, master)
    if not master.certified and (keep or master.withdrawn):
        return False
    said_of = (certifications.c.sha256 == master.sha256) & (certifications.c.production == master.production)
    conn.execute(delete(certifications).where(said_of))
    if not keep:
        conn.execute(update(calibrations).where(_row_of(master)).values(withdrawn_at=now))
    record(conn, "calibration", master.sha256, "uncertified" if keep else "withdrawn", now=now)
    nights = nights_using(conn, master.sha256, master.production)
    for certified in master.certified:
        nights.update(_nights_of(conn, master, certified.first, certified.last))
    said = "is no longer certified" if keep else "was withdrawn"
    add_reviews(conn, master.production, nights, f"{master.kind} {Path(master.path).name} {said}", now)
    return True


def span(first: str, last: str) -> str:
    """Nights in words."""
    if last == OPEN_END:
        return f"{first} and later"
    return first if first == last else f"{first} to {last}"


def add_reviews(conn: Connection, production: str, nights: Iterable[str], reason: str, now: float) -> None:
    """Have the finished reductions of nights compared with the registry again."""
    for night in sorted(set(nights)):
        row = {"production": production, "night": night, "reason": reason, "added_at": now, "looked_at": 0.0}
        upsert(conn, reviews, row)


def due_reviews(conn: Connection, production: str, most: int) -> list[Row]:
    """Nights to be looked at again: those that nobody has looked at first."""
    query = select(reviews).where(reviews.c.production == production)
    return list(conn.execute(query.order_by(reviews.c.looked_at, reviews.c.night).limit(most)))


def settle_review(conn: Connection, due: Row, now: float, *, held: bool) -> None:
    """A night was looked at: done, unless it is held because a master is being rebuilt, or was asked for once more."""
    this = (reviews.c.production == due.production) & (reviews.c.night == due.night)
    this &= reviews.c.added_at == due.added_at
    conn.execute(update(reviews).where(this).values(looked_at=now) if held else delete(reviews).where(this))


def masters_being_built(conn: Connection, production: str) -> list[Mapping[str, Any]]:
    """Keys of the masters whose task is under way."""
    query = select(tasks.c.parameters).where(
        tasks.c.production == production,
        tasks.c.queue == "calibrations",
        tasks.c.state.in_(("ready", "queued", "running")),
    )
    return [parameters["key"] for parameters in conn.execute(query).scalars() if "key" in parameters]


def in_use(conn: Connection, production: str, names: Iterable[str]) -> set[str]:
    """Those of these masters that nobody has withdrawn; nobody does before this transaction ends."""
    wanted, found = sorted(set(names)), set[str]()
    for first in range(0, len(wanted), 500):
        query = select(calibrations.c.sha256).where(calibrations.c.sha256.in_(wanted[first : first + 500]))
        query = query.where(calibrations.c.production == production, calibrations.c.withdrawn_at.is_(None))
        found.update(conn.execute(query.order_by(calibrations.c.sha256).with_for_update(read=True)).scalars())
    return found


def review_after(conn: Connection, production: str, task: str, built: str, now: float) -> None:
    """A task has built its master: what was made with an older, spoilt one of it is to be looked at again."""
    for sha256 in sorted(spoilt(conn, production, task) - {built}):
        nights = nights_using(conn, sha256, production)
        add_reviews(conn, production, nights, f"{task} was built again without a withdrawn master", now)


def add_outside_master(conn: Connection, row: Mapping[str, Any]) -> bool:
    """Record a master that was made outside of the daemons; False when the same bytes are on record."""
    if not insert_new(conn, calibrations, [row]):
        return False
    record(conn, "calibration", row["sha256"], "registered", now=row["created_at"], reason=row["path"])
    return True


def _row_of(master: StoredMaster) -> ColumnElement[bool]:
    return (calibrations.c.sha256 == master.sha256) & (calibrations.c.production == master.production)


def _locked(conn: Connection, master: StoredMaster) -> StoredMaster:
    """A master as it is now: somebody else may have spoken of it since it was looked at."""
    (found,) = _with_certifications(conn, conn.execute(select(calibrations).where(_row_of(master)).with_for_update()))
    return found


def _nights_of(conn: Connection, master: StoredMaster, first: str, last: str) -> list[str]:
    """Nights in which frames of the master's instrument were taken."""
    query = select(frames.c.night).where(frames.c.instrument == master.key["instrument"])
    return list(conn.execute(query.where(frames.c.night.between(first, last)).distinct()).scalars())


def _with_certifications(conn: Connection, rows: Iterable[Row]) -> list[StoredMaster]:
    found = list(rows)
    nights: dict[str, list[Certified]] = {}
    for first in range(0, len(found), 500):
        names = [row.sha256 for row in found[first : first + 500]]
        query = select(certifications).where(
            certifications.c.sha256.in_(names), certifications.c.production == found[0].production
        )
        for row in conn.execute(query.order_by(certifications.c.first_night, certifications.c.last_night)):
            nights.setdefault(row.sha256, []).append(Certified(row.first_night, row.last_night, row.copied))
    return [
        StoredMaster(
            sha256=row.sha256,
            path=row.path,
            kind=row.kind,
            production=row.production,
            night=row.night,
            date_obs=row.date_obs,
            key=row.key,
            task=row.task,
            temperature_c=row.temperature_c,
            withdrawn=row.withdrawn_at is not None,
            certified=tuple(nights.get(row.sha256, ())),
        )
        for row in found
    ]

"""The dead man's switch: sites that ship here, the receivers that we ship to, the other hosts of this ledger.

Silence is told by whoever is left. It is measured on our own clock, and only for as long as somebody has listened: a
receiver that was down for an hour has not heard the telescope, which is another condition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from services.conditions.base import Eye, Finding, IsOpen, Report, above, is_sole, words_of_time
from services.conditions.beacon import Beacon
from services.conditions.relay import daemons_of, last_word, relayed
from services.core.condition_settings import ConditionSettings, HeartbeatConditions
from services.core.ledger.heartbeats import heartbeat_rows
from services.core.metrics.spool import Point
from services.core.settings import Settings

_REFUSED_S = 3600.0


@dataclass(frozen=True)
class Word:
    """The last word of somebody: when it came on our clock, and since when somebody has listened for it.

    `listened_at` is when that was last done; `said` what it said (`Heartbeat`'s fields as JSON values).
    """

    who: str
    at: float | None
    since: float
    listened_at: float
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """Everybody who is to be heard of. `refused` are (site, when, reason) of heartbeats that were not believed.

    `routes` are receivers by their status, `centres` what they say of their sites: an older one says nothing.
    """

    sites: tuple[Word, ...] = ()
    routes: tuple[Word, ...] = ()
    centres: tuple[Word, ...] = ()
    hosts: tuple[Word, ...] = ()
    refused: tuple[tuple[str, float, str], ...] = ()


def gather(conn: Connection, settings: Settings, host: str, expect: Sequence[str], now: float) -> Facts:
    """Who is to be heard of, from the ledger."""
    rows = heartbeat_rows(conn)
    listeners = [row for who, row in rows.items() if who.startswith("listener:")]
    listener = max(listeners, key=lambda row: row.at, default=None)
    sites: list[Word] = []
    if listener is not None or settings.receive is not None:
        since, listened = (now, now) if listener is None else (listener.document.get("since", 0.0), listener.at)
        named = {who.removeprefix("site:"): row for who, row in rows.items() if who.startswith("site:")}
        for site in sorted({*named, *expect}):
            row = named.get(site)
            said = row.document if row is not None else {}
            sites.append(Word(site, row.at if row is not None else None, since, listened, said))
    routes, centres = [], []
    for name, route in sorted(settings.routes.items()):
        row, spoken = rows.get(f"receiver:{name}"), rows.get(f"centre:{name}")
        if row is not None and route.receipts != "readback":
            document = row.document
            word = Word(name, row.at, document.get("since", row.at), document.get("tried_at", row.at))
            routes.append(word)
            if spoken is not None:
                centres.append(replace(word, at=spoken.at, said=spoken.document))
    mine = f"notify:{settings.site}:"
    hosts = [
        Word(who.removeprefix(mine), row.at, row.at, now, row.document)
        for who, row in sorted(rows.items())
        if who.startswith(mine) and who != mine + host
    ]
    refused = tuple(
        (who.removeprefix("refused:"), row.at, str(row.document.get("reason", "")))
        for who, row in sorted(rows.items())
        if who.startswith("refused:")
    )
    return Facts(tuple(sites), tuple(routes), tuple(centres), tuple(hosts), refused)


def silence_s(word: Word, now: float) -> float:
    """For how long somebody has not been heard though somebody listened, seconds."""
    return max(0.0, now - max(word.at if word.at is not None else word.since, word.since))


def decide(
    facts: Facts, settings: HeartbeatConditions, conditions: ConditionSettings, now: float, is_open: IsOpen
) -> list[Finding]:
    """Findings about everybody who is to be heard of."""
    findings: list[Finding] = []
    for word in facts.sites:
        findings += _site(word, settings, conditions, now, is_open)
    for word in facts.routes:
        alert, quiet_s = f"heartbeat:route/{word.who}", silence_s(word, now)
        if now - word.listened_at > settings.silent_s:
            text = f"nobody listens for the receiver of route {word.who}: nightferry ship has not asked it"
            findings.append(Finding(f"{alert}:unheard", f"{text} for {words_of_time(now - word.listened_at)}", 1))
        elif quiet_s > settings.silent_s:
            text = f"the receiver of route {word.who} has been silent for {words_of_time(quiet_s)}"
            findings.append(
                Finding(f"{alert}:silent", f"{text}: it, or the link to it, is down", 2, _details(quiet_s, settings))
            )
    findings += _centres(facts, settings, now, is_open)
    for word in facts.hosts:
        quiet_s = silence_s(word, now)
        if quiet_s > settings.silent_s:
            text = f"host {word.who} has been silent for {words_of_time(quiet_s)}: its nightferry notify does not sweep"
            known = f"; its daemons then: {daemons_of(word.said)}"
            findings.append(Finding(f"heartbeat:host/{word.who}:silent", text + known, 2, _details(quiet_s, settings)))
    for site, reason in _disbelieved(facts, now).items():
        text = f"a heartbeat {f'of {site} ' if site else ''}was refused: {reason}"
        findings.append(Finding(f"heartbeat:{site or 'unknown'}:refused", text, 1))
    return findings


def _disbelieved(facts: Facts, now: float) -> dict[str, str]:
    """Whose heartbeats were refused lately, without a good one since, and why."""
    good = {word.who: word.at for word in facts.sites} | {f"route/{word.who}": word.at for word in facts.centres}
    return {
        site: reason
        for site, at, reason in facts.refused
        if now - at < _REFUSED_S and ((heard := good.get(site)) is None or heard < at)
    }


def _site(
    word: Word, settings: HeartbeatConditions, conditions: ConditionSettings, now: float, is_open: IsOpen
) -> list[Finding]:
    alert, quiet_s = f"heartbeat:{word.who}", silence_s(word, now)
    limit_s = max(settings.silent_s, 3 * float(word.said.get("every_s", 0.0)))
    if now - word.listened_at > settings.silent_s:
        text = f"nobody listens for {word.who}: no nightferry receive has looked for its heartbeats"
        return [Finding(f"{alert}:unheard", f"{text} for {words_of_time(now - word.listened_at)}", 2)]
    findings = []
    silent = quiet_s > limit_s
    if silent:
        text = f"{word.who} has been silent for {words_of_time(quiet_s)}: it, or the link from it, is down"
        findings.append(Finding(f"{alert}:silent", f"{text}; {last_word(word.said)}", 2, _details(quiet_s, settings)))
    findings += relayed(word.said, word.who, alert, is_open, silent=silent)
    limit = conditions.clock.other_site_s if conditions.clock is not None else None
    lags = [float(lag) for lag in word.said.get("lags", ())]
    # A heartbeat comes after it was written: the smallest difference is the clocks', and the fastest transfer's.
    if limit is not None and lags and above(abs(min(lags)), limit, is_open=is_open(f"{alert}:clock")):
        off = min(lags)
        side = "behind" if off > 0 else "ahead of"
        more = " (or heartbeats take so long)" if off > 0 else ""
        text = f"the clock of {word.who} is {abs(off):.0f} s {side} ours{more}"
        findings.append(Finding(f"{alert}:clock", text, 1, {"value": -off, "limit": limit, "unit": "s"}))
    return findings


def _centres(facts: Facts, settings: HeartbeatConditions, now: float, is_open: IsOpen) -> list[Finding]:
    """What receivers say of their sites. Several routes to one receiver say the same: the first of them is enough."""
    findings: list[Finding] = []
    told: set[tuple[str, str]] = set()
    alive = {word.who for word in facts.routes if silence_s(word, now) <= settings.silent_s}
    alive -= {site.removeprefix("route/") for site in _disbelieved(facts, now)}  # that is told already
    for word in facts.centres:
        alert, said, quiet_s = f"heartbeat:route/{word.who}", word.said, silence_s(word, now)
        receiver = (said["site"], said["host"])
        heard = now - word.listened_at <= settings.silent_s
        silent = not heard or quiet_s > max(settings.silent_s, 3 * float(said["every_s"]))
        if silent and heard and word.who in alive:
            text = f"the receiver of route {word.who} lives, but has said nothing of {said['site']} for"
            text += f" {words_of_time(quiet_s)}; {last_word(said)}"
            findings.append(Finding(f"{alert}:speechless", text, 1, _details(quiet_s, settings)))
        if receiver not in told:
            findings += relayed(said, f"{said['site']} (route {word.who})", alert, is_open, silent=silent)
        if not silent:
            told.add(receiver)
    return findings


def _details(quiet_s: float, settings: HeartbeatConditions) -> dict[str, Any]:
    return {"value": quiet_s, "limit": settings.silent_s, "unit": "s"}


def measure(facts: Facts, now: float) -> list[Point]:
    """One point for everybody who was ever heard."""
    named = [(word.who, word) for word in facts.sites]
    named += [(f"route/{word.who}", word) for word in facts.routes]
    named += [(f"host/{word.who}", word) for word in facts.hosts]
    return [
        Point("heartbeat", {"age_s": max(0.0, now - word.at)}, {"from": name})
        for name, word in named
        if word.at is not None
    ]


def look(eye: Eye) -> Report:
    """See the module."""
    conditions = eye.settings.conditions
    settings = conditions.heartbeat
    if settings is None:
        return Report(("heartbeat:",))
    with eye.ledger.read() as conn:
        facts = gather(conn, eye.settings, eye.host, settings.expect, eye.now)
    findings = decide(_believed(facts, eye), settings, conditions, eye.now, eye.is_open)
    if settings.url is not None:
        beacon: Beacon = eye.memory.setdefault("beacon", Beacon(settings.url))
        findings += beacon.findings(eye.host, settings.silent_s)
    return Report(_owned(eye, facts), tuple(findings), tuple(measure(facts, eye.now)))


def _believed(facts: Facts, eye: Eye) -> Facts:
    """A clock that was set makes nobody silent; nor does one that is set back hide who is."""

    def word(each: Word) -> Word:
        since, listened = eye.steady.when(each.since, eye.now), eye.steady.when(each.listened_at, eye.now)
        return replace(each, at=eye.when(each.at), since=since, listened_at=listened)

    groups = (facts.sites, facts.routes, facts.centres, facts.hosts)
    sites, routes, centres, hosts = (tuple(map(word, group)) for group in groups)
    return Facts(sites, routes, centres, hosts, facts.refused)


def _owned(eye: Eye, facts: Facts) -> tuple[str, ...]:
    """The open alerts that this host answers for: others of its ledger may have routes and a service of their own."""
    mine = [f"heartbeat:route/{word.who}:" for word in facts.routes] + [f"heartbeat:url/{eye.host}:"]
    if is_sole(eye.settings):
        return ("heartbeat:",)
    shared = [name for name in eye.open if name.startswith("heartbeat:")]
    return (*mine, *(name for name in shared if not name.startswith(("heartbeat:route/", "heartbeat:url/"))))

"""Sequences and exposures: what fell quiet before it was complete, and what is complete and bad."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, select

from services.conditions.base import Eye, Finding, IsOpen, Report, listed, words_of_time
from services.core.condition_settings import SequenceConditions
from services.core.ledger import planning
from services.core.ledger.identities import identity_of
from services.core.ledger.schema import frames, qa, tasks

_CHUNK: Final = 500
_LONGEST_S: Final = 86_400.0  # from the first to the last frame of a sequence
_MOST: Final = 10_000  # exposures of a sequence that are looked for: a header may say anything


@dataclass
class SequenceFacts:
    """What is there of a sequence.

    `detectors` holds the detectors of every number that is there, `expected` how many an exposure has, `bad` the
    numbers with a verdict `error`. A lone exposure is a sequence of one. `newest_at` is when its last frame came.
    """

    instrument: str
    night: str
    name: str
    total: int
    obstype: str
    lone: bool
    newest_at: float = 0.0
    expected: int = 1
    detectors: dict[int, set[str]] = field(default_factory=dict)
    expids: dict[int, int] = field(default_factory=dict)
    bad: set[int] = field(default_factory=set)

    @property
    def missing(self) -> list[int]:
        """Numbers of which there is nothing."""
        return [number for number in range(1, min(self.total, _MOST) + 1) if number not in self.detectors]

    @property
    def partial(self) -> list[int]:
        """Numbers of which some detectors are missing (MISSDATA)."""
        return sorted(number for number, there in self.detectors.items() if len(there) < self.expected)


def gather(conn: Connection, production: str, forget_s: float, now: float) -> list[SequenceFacts]:
    """Every sequence of which a frame has come lately, and every lone exposure."""
    recent = select(frames.c.sha256, frames.c.identity, frames.c.created_at).where(
        frames.c.created_at > now - forget_s - _LONGEST_S, frames.c.state.in_(("arrived", "checked", "reduced"))
    )
    found: dict[tuple[str, str, str], SequenceFacts] = {}
    member: dict[str, tuple[SequenceFacts, int]] = {}
    for row in conn.execute(recent.order_by(frames.c.created_at)):
        identity = identity_of(row.identity)
        sequence = identity.sequence
        name = sequence.id if sequence is not None else f"exposure {identity.expid}"
        number, total = (sequence.num, sequence.total) if sequence is not None else (1, 1)
        key = (identity.instrument, identity.night, name)
        facts = found.setdefault(key, SequenceFacts(*key, total, identity.obstype, sequence is None))
        facts.newest_at = max(facts.newest_at, row.created_at)
        facts.total, facts.expected = max(facts.total, total), max(facts.expected, identity.expected_detectors)
        facts.detectors.setdefault(number, set()).update(identity.detectors)
        facts.expids[number] = identity.expid
        member[row.sha256] = (facts, number)
    names = sorted(member)
    for start in range(0, len(names), _CHUNK):
        query = select(qa.c.sha256).distinct().join(tasks, tasks.c.task == qa.c.task)
        query = query.where(qa.c.sha256.in_(names[start : start + _CHUNK]), qa.c.verdict == "error")
        for sha256 in conn.execute(query.where(tasks.c.production == production, tasks.c.kind == "check")).scalars():
            facts, number = member[sha256]
            facts.bad.add(number)
    return list(found.values())


def decide(
    found: Sequence[SequenceFacts], settings: SequenceConditions, now: float, is_open: IsOpen, *, cut_off: bool
) -> list[Finding]:
    """One finding per sequence, and one per instrument and night for all lone exposures.

    Parameters
    ----------
    cut_off : bool
        The telescope is silent: what has not come says nothing about the camera. What is told already stays so.
    """
    findings = []
    lone: dict[tuple[str, str], list[SequenceFacts]] = {}
    for facts in found:
        quiet_s = now - facts.newest_at
        if quiet_s > settings.forget_s:
            continue
        holes = facts.missing or facts.partial
        if facts.lone:
            alert = f"sequence:{facts.instrument}:{facts.night}:exposures"
            if holes and quiet_s > settings.quiet_s and (not cut_off or is_open(alert)):
                lone.setdefault((facts.instrument, facts.night), []).append(facts)
        elif holes:
            if quiet_s > settings.quiet_s and (not cut_off or is_open(_alert(facts))):
                findings.append(_quiet(facts, quiet_s))
        elif settings.bad_fraction is not None and len(facts.bad) >= settings.bad_fraction * facts.total:
            text = f"{_name(facts)} is complete, and {len(facts.bad)} of its {facts.total} exposures are bad"
            findings.append(Finding(_alert(facts), f"{text}: {_numbers(facts.bad)}", 1, _details(facts)))
    for (instrument, night), members in sorted(lone.items()):
        each = [f"{facts.expids[1]} ({len(facts.detectors[1])} of {facts.expected})" for facts in members]
        text = f"{instrument} {night}: detectors are missing [MISSDATA] of exposure {listed(each)}"
        findings.append(Finding(f"sequence:{instrument}:{night}:exposures", text, 1, {"value": len(each)}))
    return findings


def _quiet(facts: SequenceFacts, quiet_s: float) -> Finding:
    parts = []
    if facts.missing:
        parts.append(f"{len(facts.missing)} of {facts.total} exposures are missing ({_numbers(facts.missing)})")
    if facts.partial:
        parts.append(f"detectors are missing [MISSDATA] of {_numbers(facts.partial)}")
    text = f"{_name(facts)} fell quiet {words_of_time(quiet_s)} ago: {' and '.join(parts)}"
    return Finding(_alert(facts), text, 1, _details(facts))


def _alert(facts: SequenceFacts) -> str:
    return f"sequence:{facts.instrument}:{facts.night}:{facts.name}"


def _name(facts: SequenceFacts) -> str:
    return f"{facts.instrument} {facts.night}: {facts.obstype} sequence {facts.name}"


def _numbers(numbers: Iterable[int]) -> str:
    return "number " + listed([str(number) for number in sorted(numbers)])


def _details(facts: SequenceFacts) -> Mapping[str, Any]:
    there = facts.total - len(facts.missing) - len(facts.partial)
    return {"parameter": facts.name, "source": facts.instrument, "value": there, "limit": facts.total}


def look(eye: Eye) -> Report:
    """See the module; only where the conductor runs, or frames arrive and nobody conducts.

    Nothing is read again while nothing has moved in the ledger.
    """
    settings, conduct = eye.settings.conditions.sequences, eye.settings.conduct
    if conduct is None and (eye.settings.receive is None or eye.settings.redis is not None):
        return Report(())
    owned = ("sequence:",)
    if settings is None:
        return Report(owned)
    production = conduct.production if conduct is not None else "live"
    with eye.ledger.read() as conn:
        newest = planning.last_event(conn)
        if eye.memory.get("event") != newest:
            eye.memory["found"] = gather(conn, production, settings.forget_s, eye.now)
            eye.memory["event"] = newest
    cut_off = any(name.startswith("heartbeat:") and name.endswith(":silent") for name in eye.open)
    return Report(owned, tuple(decide(eye.memory["found"], settings, eye.now, eye.is_open, cut_off=cut_off)))

"""Daemons of this host: dead, hanging, missing, or started again and again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from services.conditions.base import Eye, Finding, IsOpen, Report, above, words_of_time
from services.core.condition_settings import DaemonConditions
from services.core.metrics.spool import Point
from services.core.process import ProcessFacts, boot_id, process_facts
from services.core.pulse import PulseFile, is_alive, read_pulses

State = Literal["running", "starting", "hung", "dead", "missing"]
BAD: Final[frozenset[State]] = frozenset({"hung", "dead", "missing"})


@dataclass(frozen=True)
class DaemonFacts:
    """A daemon's file, whether its process is there, and for how long it has been silent, seconds."""

    pulse: PulseFile
    alive: bool
    silent_s: float
    process: ProcessFacts | None = None


@dataclass(frozen=True)
class DaemonWord:
    """What is to be said of a daemon. `age_s` is the time since its last beat."""

    instance: str
    daemon: str
    state: State
    status: str
    pid: int | None = None
    started_at: float | None = None
    age_s: float | None = None


def gather(run_dir: Path) -> list[DaemonFacts]:
    """The daemons of this host. Silence is measured on the monotonic clock: a clock that jumps alarms nobody."""
    boot, mono = boot_id(), time.monotonic()
    found = []
    for pulse in read_pulses(run_dir):
        alive = is_alive(pulse, boot)
        silent_s = mono - pulse.beat_mono if pulse.boot == boot else time.time() - pulse.beat_at
        found.append(DaemonFacts(pulse, alive, max(0.0, silent_s), process_facts(pulse.pid) if alive else None))
    return found


def judge(facts: Sequence[DaemonFacts], settings: DaemonConditions) -> list[DaemonWord]:
    """The state of every daemon that has left a word, and of those that are expected and have not."""
    words = [
        DaemonWord(
            instance=each.pulse.instance,
            daemon=each.pulse.daemon,
            state=_state(each, settings),
            status=each.pulse.ended or each.pulse.status,
            pid=each.pulse.pid,
            started_at=each.pulse.started_at,
            age_s=each.silent_s,
        )
        for each in facts
    ]
    seen = {word.daemon for word in words}
    missing = [name for name in sorted(set(settings.expect)) if name not in seen]
    return words + [DaemonWord(name, name, "missing", "was stopped, or has never been started") for name in missing]


def _state(facts: DaemonFacts, settings: DaemonConditions) -> State:
    if not facts.alive:
        return "dead"
    patience_s = settings.silent_s if facts.pulse.ready else max(settings.silent_s, settings.starting_s)
    if facts.silent_s > max(patience_s, 3 * facts.pulse.every_s):
        return "hung"
    return "running" if facts.pulse.ready else "starting"


def decide(
    facts: Sequence[DaemonFacts], settings: DaemonConditions, host: str, now: float, is_open: IsOpen
) -> list[Finding]:
    """One finding per daemon that does not do its work, and one per daemon that cannot be kept alive."""
    findings = []
    for word in judge(facts, settings):
        alert, name = f"daemon:{host}:{word.instance}", f"nightferry {word.daemon} ({word.instance}) on {host}"
        if word.state == "dead":
            findings.append(Finding(f"{alert}:dead", f"{name} is dead: {_last(word)}", 2))
        elif word.state == "hung":
            findings.append(Finding(f"{alert}:hung", f"{name} hangs: {_last(word)}", 2))
        elif word.state == "missing":
            findings.append(Finding(f"{alert}:missing", f"{name} does not run: it {word.status}", 2))
    for each in facts:
        alert = f"daemon:{host}:{each.pulse.instance}:restarts"
        starts = sum(now - 3600.0 < start <= now for start in each.pulse.starts)
        limit = settings.restarts_per_hour
        # One start fewer is no cure yet: it must have run for a while without.
        if limit is not None and above(starts, limit - 1, is_open=is_open(alert), back=0.5):
            text = f"{each.pulse.instance} on {host} was started {starts} times within an hour"
            findings.append(Finding(alert, f"{text}: {each.pulse.ended or each.pulse.status}", 2, {"value": starts}))
    return findings


def _last(word: DaemonWord) -> str:
    ago = f", {words_of_time(word.age_s)} ago," if word.age_s is not None else ""
    return f"its last word{ago} was {word.status!r} (process {word.pid})"


def measure(facts: Sequence[DaemonFacts], settings: DaemonConditions, host: str, now: float) -> list[Point]:
    """One point per daemon. One that hangs is not up, though its process is there."""
    points = []
    for each in facts:
        fields: dict[str, float | int | bool | str] = {
            "up": int(_state(each, settings) not in BAD),
            "age_s": each.silent_s,
        }
        fields["uptime_s"] = max(0.0, now - each.pulse.started_at) if each.alive else 0.0
        if each.process is not None:
            fields |= {"rss_bytes": each.process.rss_bytes, "cpu_s": each.process.cpu_s}
        points.append(Point("daemon", fields, {"daemon": each.pulse.instance, "host": host}))
    return points


def lasting(
    findings: Sequence[Finding], seen: dict[str, float], mono: float, after_s: float, is_open: IsOpen
) -> list[Finding]:
    """Findings without those of daemons that have been dead or missing for less than `after_s`.

    When a host starts, its daemons start in any order, and one that died is started again by systemd within seconds:
    neither wakes a person. `seen` holds, on the monotonic clock, since when each is known to be down; it is kept up to
    date. One that keeps dying is another finding, which does not wait.
    """
    brief = {finding.alert for finding in findings if finding.alert.endswith((":dead", ":missing"))}
    for alert in set(seen) - brief:
        del seen[alert]
    for alert in brief:
        seen.setdefault(alert, mono)
    return [
        finding
        for finding in findings
        if finding.alert not in brief or is_open(finding.alert) or mono - seen[finding.alert] >= after_s
    ]


def look(eye: Eye) -> Report:
    """See the module."""
    owned = (f"daemon:{eye.host}:",)
    settings = eye.settings.conditions.daemons
    if settings is None:
        return Report(owned)
    facts = gather(eye.settings.state_dir / "run")
    found = decide(facts, settings, eye.host, eye.now, eye.is_open)
    findings = lasting(found, eye.memory, time.monotonic(), settings.dead_s, eye.is_open)
    return Report(owned, tuple(findings), tuple(measure(facts, settings, eye.host, eye.now)))

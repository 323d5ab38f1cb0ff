"""Checks of frames: what stays bad over several exposures, one alert per instrument and check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from sqlalchemy import Connection, func, select

from services.conditions.base import Eye, Finding, OpenAlert, Report, listed
from services.core.condition_settings import CheckConditions
from services.core.ledger import planning
from services.core.ledger.schema import frames, qa, tasks

_CHUNK: Final = 500
Place = tuple[str, str, str]  # obstype, detector, amplifier


@dataclass(frozen=True)
class BadValue:
    """A verdict that is not good. `age` counts exposures of its instrument and obstype: 0 is the newest."""

    instrument: str
    obstype: str
    check: str
    detector: str
    amplifier: str
    age: int
    verdict: str
    flag: str
    value: float | None
    unit: str
    message: str


def read_bad(conn: Connection, production: str, settings: CheckConditions, now: float) -> list[BadValue]:
    """What is bad in the last exposures of every instrument and obstype of the night that is going on."""
    recent = select(frames.c.sha256, frames.c.instrument, frames.c.obstype, frames.c.night, frames.c.expid).where(
        frames.c.created_at > now - settings.night_s, frames.c.state.in_(("checked", "reduced"))
    )
    rows = conn.execute(recent.order_by(frames.c.night.desc(), frames.c.expid.desc())).all()
    ages: dict[tuple[str, str], dict[tuple[str, int], int]] = {}
    place: dict[str, tuple[str, str, int]] = {}
    for row in rows:
        exposures = ages.setdefault((row.instrument, row.obstype), {})
        age = exposures.setdefault((row.night, row.expid), len(exposures))
        if age < settings.of_last:
            place[row.sha256] = (row.instrument, row.obstype, age)
    wanted = [word for word, severity in (("error", settings.error), ("warning", settings.warning)) if severity]
    found: list[BadValue] = []
    for names in _chunks(sorted(place)):
        query = select(qa).join(tasks, tasks.c.task == qa.c.task)
        query = query.where(qa.c.sha256.in_(names), qa.c.verdict.in_(wanted), tasks.c.production == production)
        for row in conn.execute(query.where(tasks.c.kind == "check").order_by(qa.c.id)):
            if any(fnmatchcase(row.check, pattern) for pattern in settings.ignore):
                continue
            instrument, obstype, age = place[row.sha256]
            where = (row.check, row.detector, row.amplifier)
            found.append(
                BadValue(instrument, obstype, *where, age, row.verdict, row.flag, row.value, row.unit, row.message)
            )
    return found


def decide(bad: Sequence[BadValue], settings: CheckConditions, open_: Mapping[str, OpenAlert]) -> list[Finding]:
    """One finding per instrument and check with a place that stays bad.

    A place becomes bad with `settings.bad` bad exposures of the last `of_last`, and is good again with two fewer (but
    none at all when that would be less), so that every other exposure being bad is one alert and not many.
    """
    by_check: dict[tuple[str, str], dict[Place, list[BadValue]]] = {}
    for value in bad:
        places = by_check.setdefault((value.instrument, value.check), {})
        places.setdefault((value.obstype, value.detector, value.amplifier), []).append(value)
    findings = []
    for (instrument, check), places in sorted(by_check.items()):
        alert = f"check:{instrument}:{check}"
        before = {tuple(each) for each in _places_of(open_.get(alert))}
        stays = {
            place: values
            for place, values in sorted(places.items())
            if len({value.age for value in values}) >= (max(1, settings.bad - 1) if place in before else settings.bad)
        }
        if stays:
            findings.append(_finding(alert, instrument, check, stays, settings))
    return findings


def _finding(
    alert: str, instrument: str, check: str, places: Mapping[Place, list[BadValue]], settings: CheckConditions
) -> Finding:
    newest = [min(values, key=lambda value: value.age) for values in places.values()]
    severities = {"error": settings.error, "warning": settings.warning}
    severity = max(severities[value.verdict] or 1 for value in newest)
    names = [_words(value) for value in newest]
    worst = newest[0]
    shown = f" ({worst.message})" if worst.message else ""
    text = f"{instrument}: check {check} stays bad [{worst.flag}] on {listed(names)}{shown}"
    details: dict[str, Any] = {"parameter": check, "source": instrument, "places": [list(place) for place in places]}
    if worst.value is not None:
        details |= {"value": worst.value, "unit": worst.unit}
    return Finding(alert, text, severity, details)


def _words(value: BadValue) -> str:
    where = "/".join(filter(None, (value.detector, value.amplifier)))
    return f"{value.obstype} {where}".strip()


def _places_of(alert: OpenAlert | None) -> Iterable[tuple[str, ...]]:
    places = alert.details.get("places", []) if alert is not None else []
    return [tuple(place) for place in places if isinstance(place, list)]


def _chunks(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK))


def look(eye: Eye) -> Report:
    """See the module; only where the conductor runs. Nothing is read again while nothing has moved in the ledger."""
    settings, conduct = eye.settings.conditions.checks, eye.settings.conduct
    if conduct is None:
        return Report(())
    owned = ("check:",)
    if settings is None:
        return Report(owned)
    with eye.ledger.read() as conn:
        oldest = select(func.min(frames.c.created_at)).where(frames.c.created_at > eye.now - settings.night_s)
        key = (planning.last_event(conn), conn.execute(oldest).scalar_one())
        if eye.memory.get("key") != key:
            eye.memory["bad"] = read_bad(conn, conduct.production, settings, eye.now)
            eye.memory["key"] = key
    return Report(owned, tuple(decide(eye.memory["bad"], settings, eye.open)))

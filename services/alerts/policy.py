"""Who is to be told what, now: a pure function of what is on record, the settings and the time.

An alert's episode is told to the first person on call; as severity 2 unacknowledged it goes down the chain, and at its
end to everybody. Whoever was told is told again from time to time until somebody acknowledges, and at the end that it
is over. Nothing is remembered between two rounds: what was told is on record, so that a crash, or a second daemon on
the same ledger, changes nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.alerts.flapping import flap_of, still_flapping
from services.alerts.grouping import messages
from services.alerts.oncall import audience, quiet_at
from services.alerts.situation import Condition, Decision, Flap, Need, Situation, Telling, What
from services.core.alert_settings import AlertSettings
from services.core.ledger.alert_words import fits

RECENT_S: Final = 86_400.0  # what is over for longer is told to nobody any more
_AHEAD_S: Final = 60.0  # how far clocks of hosts may lie apart; beyond it a clock has been set back


@dataclass(frozen=True)
class _Case:
    """One condition with what was told of its episode; `mute_over` is when the last mute of it ended, 0 for none."""

    condition: Condition
    episode: int
    tellings: tuple[Telling, ...]
    active: bool
    mute_over: float

    def told(self, person: str) -> list[Telling]:
        return [telling for telling in self.tellings if telling.person == person]


def decide(situation: Situation, settings: AlertSettings) -> Decision:
    """Messages to make now, and which alerts came to flap or calmed down."""
    by_alert: dict[tuple[str, int], list[Telling]] = defaultdict(list)
    situation = _without_times_to_come(situation)
    for telling in situation.tellings:
        by_alert[telling.alert, telling.episode].append(telling)
    flaps: list[Flap] = []
    needs: list[Need] = []
    for known in situation.conditions:
        condition = known
        flap = flap_of(known, situation.now, settings.flap_count, settings.flap_window_s)
        if flap is not None:
            flaps.append(flap)
            condition = replace(known, flapping=flap.episode, acked_at=ack_after(flap, known.acked_at, known.raised_at))
        episode = condition.flapping or condition.episode
        case = _Case(
            condition,
            episode,
            tuple(by_alert[condition.alert, episode]),
            condition.open or still_flapping(condition, situation.now, settings.flap_window_s),
            _mute_over(condition, situation),
        )
        needs += _needs(case, situation, settings)
    return Decision(tuple(messages(needs, situation, settings)), tuple(flaps))


def _without_times_to_come(situation: Situation) -> Situation:
    """What was told at a time that is yet to come was told long ago: the clock has been set back since.

    Else nothing new would be told, and nothing repeated, until the clock is there again.
    """
    latest = situation.now + _AHEAD_S
    if all(telling.at <= latest for telling in situation.tellings):
        return situation
    return replace(
        situation,
        tellings=tuple(
            telling if telling.at <= latest else replace(telling, at=-math.inf) for telling in situation.tellings
        ),
    )


def ack_after(flap: Flap, acked_at: float | None, raised_at: float) -> float | None:
    """An acknowledgement of the coming and going does not hold for what stays, or comes, after it."""
    over = flap.episode is None and acked_at is not None and acked_at < raised_at
    return None if over else acked_at


def _needs(case: _Case, situation: Situation, settings: AlertSettings) -> Iterator[Need]:
    condition, now = case.condition, situation.now
    if any(mute.holds(condition.alert, now) for mute in situation.mutes):
        return
    if condition.severity < 2 and quiet_at(settings.oncall, now):
        return
    if not case.active:
        yield from _over(case, situation, settings)
    elif condition.acked_at is None:
        for person in audience(settings, now, _level(case, now, settings), _deaf(case)):
            need = _open(case, person, now, settings)
            if need is not None and need.kinds:
                yield need


def _open(case: _Case, person: str, now: float, settings: AlertSettings) -> Need | None:
    """What a person is to be told of a condition that lasts."""
    condition = case.condition
    told = case.told(person)
    kinds = wanted_kinds(settings, person, condition.severity)
    since = max(_began(condition), case.mute_over)
    if not told:
        what: What = "flapping" if condition.flapping is not None else "escalated" if case.tellings else "raised"
        return Need(condition, case.episode, what, what, person, kinds, since)
    if condition.severity >= 2 and all(telling.severity < 2 for telling in told):
        return Need(condition, case.episode, "worse", "worse", person, kinds, since)
    if condition.flapping is not None and (condition.severity < 2 or not condition.open):
        return None  # what is over for the moment is not repeated: it may have calmed down
    last = max(telling.at for telling in told)
    every_s = settings.repeat_after_s(condition.severity)
    due_at = case.mute_over if case.mute_over > last else last + every_s
    if now < due_at - every_s / 2:
        return None
    number = 1 + len({telling.step for telling in told if telling.step.startswith("repeat-")})
    step = f"repeat-{number}"
    return Need(condition, case.episode, step, "repeat", person, kinds, due_at, early=now < due_at)


def _over(case: _Case, situation: Situation, settings: AlertSettings) -> Iterator[Need]:
    """Who is to be told that a condition is over: whoever was told of it, the person on call when nobody was."""
    condition = case.condition
    ended = condition.resolved_at if condition.resolved_at is not None else condition.raised_at
    if condition.flapping is not None:
        ended = max(ended, condition.raised_at + settings.flap_window_s)
    if situation.now - ended >= RECENT_S:
        return
    if case.tellings:
        for person in dict.fromkeys(telling.person for telling in case.tellings) if settings.resolve_messages else ():
            told = case.told(person)
            kinds = tuple(kind for kind in settings.kinds_of(person) if any(t.kind == kind for t in told))
            if kinds and all(telling.step != "resolved" for telling in told):
                yield Need(condition, case.episode, "resolved", "resolved", person, kinds, ended)
    elif _missed(condition, ended, situation, settings):
        first = audience(settings, situation.now, 0, frozenset())[0]
        yield Need(condition, case.episode, "resolved", "resolved", first, wanted_kinds(settings, first, 1), ended)


def _missed(condition: Condition, ended: float, situation: Situation, settings: AlertSettings) -> bool:
    """Nobody heard of it, though it lasted: the daemon was away, or had to wait."""
    meant = any(mute.holds(condition.alert, ended) for mute in situation.mutes)
    meant |= condition.severity < 2 and quiet_at(settings.oncall, ended)
    return not meant and condition.acked_at is None and ended - condition.raised_at >= max(settings.group_s, 1e-9)


def wanted_kinds(settings: AlertSettings, person: str, severity: int) -> tuple[str, ...]:
    """Severity 1 mails, severity 2 adds SMS; who cannot be reached that way is told by what they have."""
    have = settings.kinds_of(person)
    return have if severity >= 2 or "mail" not in have else ("mail",)


def _level(case: _Case, now: float, settings: AlertSettings) -> int:
    grave = [telling.at for telling in case.tellings if telling.severity >= 2 and telling.at > -math.inf]
    if case.condition.severity < 2 or not grave:
        return 0
    return int(max(0.0, now - max(min(grave), case.mute_over)) // settings.escalate_after_s)


def _deaf(case: _Case) -> frozenset[str]:
    """People whom nothing about this episode reached, for good."""
    heard: dict[str, bool] = defaultdict(bool)
    for telling in case.tellings:
        heard[telling.person] |= not telling.failed
    return frozenset(person for person, reached in heard.items() if not reached)


def _began(condition: Condition) -> float:
    """When the episode that is told began: for what comes and goes, when it began to do so."""
    if condition.flapping is None or not condition.raises:
        return condition.raised_at
    return condition.raises[max(-len(condition.raises), condition.flapping - condition.episode - 1)]


def _mute_over(condition: Condition, situation: Situation) -> float:
    now = situation.now
    ended: Sequence[float] = [
        mute.until
        for mute in situation.mutes
        if condition.raised_at < mute.until <= now and fits(condition.alert, mute.pattern)
    ]
    return max(ended, default=0.0)

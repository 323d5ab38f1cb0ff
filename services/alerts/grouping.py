"""Needs become messages: many at once are one message, and a storm is told at a growing pace."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from services.alerts.situation import Need, Planned, Situation, What
from services.core.alert_settings import AlertSettings

PACE_WINDOW_S: Final = 3600.0  # messages to a person within this time make the next one wait for more company
_CATEGORY: Final[dict[str, str]] = {"repeat": "repeat", "resolved": "resolved"}  # all other steps: something new


def messages(needs: Iterable[Need], situation: Situation, settings: AlertSettings) -> list[Planned]:
    """Messages to make now; needs that wait for company come again with the next round."""
    told: dict[tuple[str, str, bool], set[float]] = defaultdict(set)
    for telling in situation.tellings:
        if telling.at > situation.now - PACE_WINDOW_S:
            category = _category(telling.step.split("-")[0])
            for grave in {False, telling.severity >= 2}:
                told[telling.person, category, grave].add(telling.at)
    waiting: dict[tuple[str, str], list[Need]] = defaultdict(list)
    for need in needs:
        waiting[need.person, _category(need.what)].append(need)
    made: list[Planned] = []
    for (person, category), group in sorted(waiting.items()):
        # What is grave keeps the pace of what is grave: it does not wait because of many mails of severity 1.
        grave = any(need.condition.severity >= 2 for need in group)
        if _due(group, sorted(told[person, category, grave]), situation.now, settings, category):
            most = settings.group_more_than if category == "new" else 1
            made += _messages(person, group, most)
    return made


def pause_s(sent: int, settings: AlertSettings) -> float:
    """How long a person is left alone after the last of `sent` messages of the last hour, in seconds."""
    return min(settings.group_max_s, settings.group_s * 2.0 ** min(sent - 1, 30)) if sent else 0.0


def _due(group: Sequence[Need], told: Sequence[float], now: float, settings: AlertSettings, category: str) -> bool:
    ripe = [need for need in group if not need.early]
    if not ripe:
        return False
    if category == "repeat":  # it has waited for its time, and takes with it what is due soon
        # What comes and goes is due whenever it comes: many of those together are told no more often than that either.
        every_s = settings.repeat_after_s(max(need.condition.severity for need in ripe))
        return not told or now - told[-1] >= every_s / 2
    # What is new, or over, waits for what comes with it.
    since = min(need.since for need in ripe)
    # What began at a time that is yet to come (another host's clock, or ours was set back) waits for nothing.
    waited = not -settings.group_s <= now - since < settings.group_s
    return waited and (not told or now - told[-1] >= pause_s(len(told), settings))


def _messages(person: str, group: Sequence[Need], most: int) -> list[Planned]:
    made = []
    for kind in ("mail", "sms"):
        of_kind = sorted((need for need in group if kind in need.kinds), key=_gravest_first)
        if len(of_kind) > most:
            made.append(Planned(_what(of_kind), person, kind, tuple(of_kind)))
        else:
            made += [Planned(need.what, person, kind, (need,)) for need in of_kind]
    return made


def _gravest_first(need: Need) -> tuple[int, float, str]:
    return -need.condition.severity, need.condition.raised_at, need.condition.alert


def _what(needs: Sequence[Need]) -> What:
    """The word over several: what most of them are."""
    return Counter(need.what for need in needs).most_common(1)[0][0]


def _category(what: str) -> str:
    return _CATEGORY.get(what, "new")

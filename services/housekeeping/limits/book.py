"""The book of limits: a limits file read, checked, and asked for the rule of a parameter at a time."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from services.core.errors import BadSettings
from services.core.mistakes import mistakes_in
from services.core.yamlfile import YamlFile
from services.housekeeping.limits.rule import OPEN, Rule
from services.housekeeping.limits.rulesettings import LimitsFile, RuleSettings, SourceSettings
from services.housekeeping.limits.units import same_unit

_BEFORE: Final = -(2**63)  # ns: before every date


@dataclass(frozen=True)
class Entry:
    """The rules of one name or pattern: `rules[i]` holds from `dates[i]` (ns since 1970, UTC) on.

    `where` is the place in the file, `FILE:LINE: path.in.file`.
    """

    name: str
    where: str
    dates: tuple[int, ...]
    rules: tuple[Rule, ...]

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for several parameters."""
        return any(sign in self.name for sign in "*?[")

    def at(self, time_ns: int) -> Rule:
        """The rule in force."""
        return self.rules[bisect.bisect_right(self.dates, time_ns) - 1]


@dataclass(frozen=True)
class SourceBook:
    """The limits of one source; `silent_s` without any row is an alert about the source."""

    silent_s: float | None
    entries: tuple[Entry, ...]
    commanded: Mapping[str, float]

    def rule(self, parameter: str, time_ns: int) -> Rule | None:
        """The rule of a parameter in force at a time, with its commanded value from the table where it has no other."""
        entry = self.entry(parameter)
        if entry is None:
            return None
        rule = entry.at(time_ns)
        if rule.mode == "relative" and rule.commanded is None:
            return replace(rule, commanded=_from_table(self.commanded, parameter))
        return rule

    def entry(self, parameter: str) -> Entry | None:
        """Its own name goes before patterns, and the first pattern that fits goes before the rest."""
        own = (entry for entry in self.entries if entry.name == parameter)
        fits = (entry for entry in self.entries if entry.is_pattern and fnmatchcase(parameter, entry.name))
        return next(own, None) or next(fits, None)


@dataclass(frozen=True)
class LimitBook:
    """All limits, by source (a name, or a pattern of names).

    Attributes
    ----------
    path : Path
        The file that it was read from.
    sources : mapping of source to SourceBook
    """

    path: Path
    sources: Mapping[str, SourceBook]

    def source(self, name: str) -> SourceBook | None:
        """The limits of a source, or None when the file has none for it."""
        if name in self.sources:
            return self.sources[name]
        return next((book for pattern, book in self.sources.items() if fnmatchcase(name, pattern)), None)

    def rule(self, source: str, parameter: str, time_ns: int) -> Rule | None:
        """The rule of a parameter that is in force at a time."""
        book = self.source(source)
        return None if book is None else book.rule(parameter, time_ns)

    def unit_mistakes(self, source: str, units: Mapping[str, str], time_ns: int) -> Iterator[str]:
        """One line for every parameter whose limit is in another unit than the source's."""
        book = self.source(source)
        for parameter, unit in units.items():
            entry = book.entry(parameter) if book is not None else None
            ours = entry.at(time_ns).unit if entry is not None else None
            if entry is not None and ours is not None and unit and not same_unit(ours, unit):
                yield f"{entry.where}: the limit of {parameter} is in {ours}, the source gives {unit}"


def load_limits(path: Path) -> LimitBook:
    """Read and check a limits file.

    Raises
    ------
    BadSettings
        With every mistake at once, each as `FILE:LINE: path.in.file: what was expected`.
    """
    file = YamlFile(path)
    try:
        said = LimitsFile.model_validate(file.data)
    except ValidationError as error:
        raise BadSettings(mistakes_in(error, file, LimitsFile)) from None
    mistakes: list[str] = []
    books = {name: _book(name, source, said.defaults, file, mistakes) for name, source in said.sources.items()}
    if mistakes:
        raise BadSettings(tuple(dict.fromkeys(mistakes)))
    return LimitBook(path, books)


def _book(name: str, source: SourceSettings, defaults: RuleSettings, file: YamlFile, mistakes: list[str]) -> SourceBook:
    entries = []
    above = _merged(_merged(_values(RuleSettings()), defaults), source.defaults)
    for parameter, given in source.parameters.items():
        place = ("sources", name, "parameters", parameter)
        base = _merged(above, given)
        rules = [_rule(base), *(_rule(_merged(base, entry)) for entry in given.dated)]
        places: list[tuple[str | int, ...]] = [place, *((*place, "dated", index) for index in range(len(given.dated)))]
        entry = Entry(parameter, file.where(place), (_BEFORE, *(dated.from_ for dated in given.dated)), tuple(rules))
        table = bool(source.commanded) if entry.is_pattern else _from_table(source.commanded, parameter) is not None
        # What stands beside 'dated' may be only what the entries share; then nothing is asked before the first date.
        if given.dated and any(True for _ in rules[0].mistakes(table)):
            rules[0] = replace(_rule(_values(RuleSettings(nan=None))), unit=rules[0].unit, stale_s=None)
        for where, rule in zip(places, rules, strict=True):
            mistakes.extend(f"{file.where(where)}: {mistake}" for mistake in rule.mistakes(table))
        entries.append(replace(entry, rules=tuple(rules)))
    stale = [rule.stale_s for entry in entries for rule in entry.rules if rule.stale_s is not None]
    if source.silent_s is not None and stale and source.silent_s > min(stale):
        mistakes.append(
            f"{file.where(('sources', name, 'silent_s'))}: expected up to {min(stale):g}, the shortest stale_s: "
            "else every parameter tells of the silence singly"
        )
    silent_s = source.silent_s or (min(stale) if stale else None)
    return SourceBook(silent_s, tuple(entries), dict(source.commanded))


def watched(stale_s: float | None) -> Rule:
    """The rule of a parameter that has none of its own, but decides whether others are asked: it must be there."""
    return replace(_rule(_values(RuleSettings())), stale_s=stale_s)


def _values(settings: RuleSettings) -> dict[str, Any]:
    return {key: getattr(settings, key) for key in RuleSettings.model_fields if key not in ("performance", "safe")}


def _merged(above: Mapping[str, Any], settings: RuleSettings) -> dict[str, Any]:
    """What stands above, replaced by what is said here; severities kind by kind."""
    said = settings.said()
    if "severity" in said:
        said["severity"] = said["severity"].below(above["severity"])
    return {**above, **said}


def _rule(values: Mapping[str, Any]) -> Rule:
    ranges = {key: values[key] or OPEN for key in ("warning", "error", "converter")}
    return Rule(**{**values, **ranges, "equal": values["equal"] or ()})


def _from_table(table: Mapping[str, float], parameter: str) -> float | None:
    if parameter in table:
        return table[parameter]
    return next((value for pattern, value in table.items() if fnmatchcase(parameter, pattern)), None)

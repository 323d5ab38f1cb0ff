"""The limits once more: one parameter and one sample at a time, slow and obvious; what the engine must agree with."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.housekeeping.limits.book import LimitBook
from services.housekeeping.limits.rule import Rule
from services.housekeeping.samples import Samples

Said = tuple[int, str, bool, int]  # time, alert, opened, severity
S = 1_000_000_000


@dataclass
class Condition:
    """One boolean condition: persistence, hysteresis, time before it is over."""

    on: bool = False
    hits: list[bool] = field(default_factory=list)
    since: int | None = None
    clear_since: int | None = None

    def sample(self, breach: bool, clear: bool, elapsed: int, k: int, n: int, seconds: float, resolve: float) -> None:
        self.hits = [*self.hits, breach][-n:]
        if breach:
            self.since = elapsed if self.since is None else self.since
        else:
            self.since = None
        if not self.on:
            long = self.since is not None and elapsed - self.since >= seconds * S
            self.on = breach and sum(self.hits) >= k and long
            self.clear_since = None
        elif clear:
            self.clear_since = elapsed if self.clear_since is None else self.clear_since
            if elapsed - self.clear_since >= resolve * S:
                self.on, self.hits, self.since, self.clear_since = False, [], None, None
        else:
            self.clear_since = None


@dataclass
class Parameter:
    """What is remembered of one parameter."""

    elapsed: int = 0
    last: int | None = None
    value: float = math.nan
    same_from: int = 0
    when_since: int | None = None
    window: list[tuple[int, float]] = field(default_factory=list)
    conditions: dict[str, Condition] = field(default_factory=dict)
    severity: dict[str, int] = field(default_factory=dict)


class Reference:
    """Judges as the engine does, in Python's own words."""

    def __init__(self, book: LimitBook) -> None:
        self.book = book
        self.parameters: dict[str, Parameter] = {}
        self.known: dict[str, float] = {}

    def feed(self, samples: Samples) -> list[Said]:
        said: list[Said] = []
        names = [*samples.parameters, *samples.texts]
        for row, time in enumerate(samples.times_ns.tolist()):
            values: dict[str, float] = dict(zip(samples.parameters, samples.values[row].tolist(), strict=True))
            words = {name: column[row] for name, column in samples.texts.items()}
            self.known.update({name: value for name, value in values.items() if math.isfinite(value)})
            for name in names:
                rule = self.book.rule(samples.source, name, time)
                if rule is not None:
                    said += self._judge(samples.source, name, rule, time, values.get(name), words.get(name))
        return said

    def _judge(
        self, source: str, name: str, rule: Rule, time: int, value: float | None, word: str | None
    ) -> list[Said]:
        p = self.parameters.setdefault(name, Parameter())
        p.elapsed += max(0, time - p.last) if p.last is not None else 0
        p.last = time
        number = (0.0 if word else math.nan) if word is not None else value
        assert number is not None
        if number != p.value:
            p.same_from = p.elapsed
        p.value = number
        active = self._active(rule, p)
        commanded = 0.0
        if rule.mode == "relative":
            at = rule.commanded
            commanded = (
                self.known.get(at, math.nan) if isinstance(at, str) else float(at if at is not None else math.nan)
            )
        known = math.isfinite(number) and math.isfinite(commanded)
        asked = list(self._channels(rule, p, number, word, commanded, known, active))
        # a limit that the date took away is clear
        gone = [(channel, False, True, True) for channel in p.conditions if channel not in {one[0] for one in asked}]
        for channel, *signs in [*asked, *gone]:
            condition = p.conditions.setdefault(channel, Condition())
            breach, clear, valid = signs if active else (False, True, True)
            if valid:
                persist = rule.nan if channel == "nan" and rule.nan else rule.persist
                k, n = persist.samples, persist.of or persist.samples
                condition.sample(breach, clear, p.elapsed, k, n, persist.seconds or 0, rule.resolve_after_s)
        return list(self._changes(source, name, rule, p, time))

    def _active(self, rule: Rule, p: Parameter) -> bool:
        if rule.when is None:
            return True
        state = self.known.get(rule.when.parameter)
        holds = state is None or (
            (rule.when.above is None or state > rule.when.above)
            and (rule.when.below is None or state < rule.when.below)
        )
        p.when_since = (p.elapsed if p.when_since is None else p.when_since) if holds else None
        return p.when_since is not None and p.elapsed - p.when_since >= rule.when.settle_s * S

    def _channels(  # noqa: C901
        self, rule: Rule, p: Parameter, v: float, word: str | None, cmd: float, known: bool, active: bool
    ) -> Any:
        measured = known and v not in rule.rails
        for level, pair in (("warning", rule.warning), ("error", rule.error)):
            for side, end in (("low", pair[0]), ("high", pair[1])):
                if math.isfinite(end):
                    margin = rule.margin(pair, end)
                    limit, slack = end + cmd, 1e-9 * abs(end + cmd)
                    if side == "low":
                        yield f"{level}_low", v < limit - slack, v >= end + margin + cmd - slack, measured
                    else:
                        yield f"{level}_high", v > limit + slack, v <= end - margin + cmd + slack, measured
        if rule.rate is not None:
            rate = self._rate(rule, p, v, active)
            per = {"second": 1, "minute": 60, "hour": 3600}[rule.rate.per]
            for way, of_rate in (("rate", abs), ("rise", lambda rate: rate), ("fall", lambda rate: -rate)):
                for level, limit in zip(("warning", "error"), self._limits(rule.rate, way), strict=True):
                    if limit is not None:
                        fast = rate is not None and of_rate(rate) > limit / per
                        slow = rate is not None and of_rate(rate) < 0.9 * limit / per
                        yield f"{way}_{level}", fast, slow, rate is not None and measured
        if rule.mode == "identity":
            wrong = (word not in rule.equal) if word is not None else all(v != one for one in rule.equal)
            yield "identity", wrong and known, not wrong, known
        if rule.nan is not None:
            yield "nan", not known, known, True
        ends = math.isfinite(rule.converter[0]) or math.isfinite(rule.converter[1])
        if rule.mode != "identity" and (rule.rails or rule.stuck_s or ends):
            stuck = rule.stuck_s is not None and p.elapsed - p.same_from >= rule.stuck_s * S
            railed = v in rule.rails or v <= rule.converter[0] or v >= rule.converter[1] or stuck
            yield "railed", railed, not railed, known

    @staticmethod
    def _limits(rate: Any, way: str) -> tuple[float | None, float | None]:
        """Written as a person reads the YAML."""
        said = rate.model_fields_set
        if (way == "rate") == bool({"rise", "fall"} & said):
            return None, None
        own = getattr(rate, way) if way in said else rate
        if own is None:
            return None, None
        levels = [(own if level in own.model_fields_set else rate) for level in ("warning", "error")]
        return levels[0].warning, levels[1].error

    def _rate(self, rule: Rule, p: Parameter, v: float, active: bool) -> float | None:
        assert rule.rate is not None
        over = round(rule.rate.over_s * S)
        if not active:
            p.window = []
            return None
        if not math.isfinite(v) or v in rule.rails or (p.window and (p.elapsed - p.window[-1][0]) * 32 < over):
            return None
        p.window = [*p.window, (p.elapsed, v)][-34:]
        inside = [(p.elapsed - at, held) for at, held in p.window if p.elapsed - at <= over]
        late = [pair for pair in inside if 2 * pair[0] < over]
        early = [pair for pair in inside if 2 * pair[0] >= over]
        if not late or not early:
            return None
        change = statistics.median(held for _, held in late) - statistics.median(held for _, held in early)
        seconds = (np.mean([age for age, _ in early]) - np.mean([age for age, _ in late])) / S
        return 0.0 if abs(change) <= rule.rate.resolution else float(change / seconds)

    @staticmethod
    def _severity(rule: Rule, channel: str) -> int:
        said: int | None = getattr(rule.severity, channel)
        return (
            {"warning": rule.severity.rate_warning, "error": rule.severity.rate_error}[channel.partition("_")[2]]
            if said is None
            else said
        )

    def _changes(self, source: str, name: str, rule: Rule, p: Parameter, time: int) -> Any:
        kinds = {
            "low": ("warning_low", "error_low"), "high": ("warning_high", "error_high"),
            "rate": ("rate_warning", "rate_error"), "rise": ("rise_warning", "rise_error"),
            "fall": ("fall_warning", "fall_error"), "identity": ("identity",), "nan": ("nan",), "railed": ("railed",),
        }  # fmt: skip
        for kind, channels in kinds.items():
            lit = [channel for channel in channels if channel in p.conditions and p.conditions[channel].on]
            new = max((self._severity(rule, channel) for channel in lit), default=0)
            old = p.severity.get(kind, 0)
            if new != old:
                p.severity[kind] = new
                yield time, f"housekeeping:{source}:{name}:{kind}", new > 0, new or old

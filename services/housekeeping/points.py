"""Housekeeping as points of the metrics: a line of line protocol for each value, made row by row in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from services.core.metrics.line import line
from services.housekeeping.samples import Samples


class PointMaker:
    """Makes lines; the heads of the series (escaped measurement and tags) are made once."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._heads: dict[tuple[str, tuple[str, ...]], list[str]] = {}

    def lines(self, samples: Samples) -> list[str]:
        """`housekeeping` of every number and word; there is no point for what is no number."""
        times = samples.times_ns.tolist()
        heads = self._of(samples.source, samples.parameters)
        made: list[str] = []
        if np.isfinite(samples.values).all():
            for time_ns, row in zip(times, samples.values.tolist(), strict=True):
                made += [f"{head}{value!r} {time_ns}" for head, value in zip(heads, row, strict=True)]
        else:
            there = np.isfinite(samples.values).tolist()
            for time_ns, row, good in zip(times, samples.values.tolist(), there, strict=True):
                both = zip(heads, row, good, strict=True)
                made += [f"{head}{value!r} {time_ns}" for head, value, is_there in both if is_there]
        for parameter, words in samples.texts.items():
            tags = {"site": self._site, "source": samples.source, "parameter": parameter}
            texts = (line("housekeeping", tags, {"text": word}, time) for word, time in zip(words, times, strict=True))
            made += [text for text in texts if text is not None]
        return made

    def limits(self, source: str, parameter: str, limits: Mapping[str, float | None], time_ns: int) -> str | None:
        """`housekeeping_limit`; a side that is open has no field."""
        tags = {"site": self._site, "source": source, "parameter": parameter}
        fields = {name: float(value) for name, value in limits.items() if value is not None}
        return line("housekeeping_limit", tags, fields, time_ns)

    def _of(self, source: str, parameters: tuple[str, ...]) -> list[str]:
        known = self._heads.get((source, parameters))
        if known is None:
            known = self._heads[source, parameters] = list(self._make(source, parameters))
        return known

    def _make(self, source: str, parameters: Iterable[str]) -> Iterable[str]:
        for parameter in parameters:
            tags = {"site": self._site, "source": source, "parameter": parameter}
            made = line("housekeeping", tags, {"value": 0.0}, 0)
            assert made is not None
            yield made.removesuffix("0.0 0")

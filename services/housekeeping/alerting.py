"""What the limits and the sources say → alerts in the ledger, each step once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, select

from services.core.ledger.alert_schema import alerts
from services.core.ledger.alert_words import name_of
from services.core.ledger.alerts import raise_alert, resolve_alert
from services.housekeeping.limits.transition import FLAGS, Transition
from services.housekeeping.samples import Samples
from services.housekeeping.store import Store

TREND_S: Final = 3600.0
TREND_PAIRS: Final = 240
_UNREACHABLE: Final = "unreachable"
_MISDATED: Final = "misdated"


def unreachable(source: str) -> str:
    """Name of the alert of a source that does not answer."""
    return f"housekeeping:{source}:-:{_UNREACHABLE}"


def misdated(source: str) -> str:
    """Name of the alert of a source whose rows are of the past although they come now."""
    return f"housekeeping:{source}:-:{_MISDATED}"


class AlertClerk:
    """Writes alerts, and remembers how many steps of each it wrote.

    A process that dies after the ledger's transaction and before its own is fed the same rows again, and says the same
    steps again: the number of the step, which stands in the alert's details, tells that the ledger has it. `counts`
    is stored together with the positions.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._identity = store.identity
        self.counts: dict[str, int] = store.state("alerts") or {}

    def write(
        self,
        conn: Connection,
        transitions: Sequence[Transition],
        limits: Mapping[tuple[str, str], Mapping[str, float | None]],
        samples: Sequence[Samples],
        now: float,
    ) -> dict[str, int]:
        """Raise and resolve; the counts as they are when the caller has stored them."""
        counts = dict(self.counts)
        for step in transitions:
            name = name_of(step.alert)
            counts[name] = number = counts.get(name, 0) + 1
            if number <= self._in_ledger(conn, name):
                continue
            details = self._details(step, limits.get((step.source, step.parameter)), samples)
            details |= {"step": number, "store": self._identity}
            if step.opened:
                raise_alert(conn, step.alert, step.message, now, step.severity, details)
            else:
                resolve_alert(conn, step.alert, now, step.message, details)
        return counts

    def _in_ledger(self, conn: Connection, alert: str) -> int:
        details = conn.execute(select(alerts.c.details).where(alerts.c.alert == alert)).scalar_one_or_none() or {}
        return int(details.get("step", 0)) if details.get("store") == self._identity else 0

    def settle(self, conn: Connection, sources: Mapping[str, bool], held: Collection[str], now: float) -> list[str]:
        """Resolve alerts that are open in the ledger and that nobody holds any more; their names.

        A process may have died with an alert in the ledger that the rows read since then do not say again; or a
        source, or all limits, were taken out of the settings.

        Parameters
        ----------
        sources
            Those of the settings, and whether they answer: of one that does not, nothing is settled.
        """
        query = select(alerts.c.alert, alerts.c.details).where(
            alerts.c.open & alerts.c.alert.startswith("housekeeping:", autoescape=True)
        )
        names = {name_of(name) for name in held}
        over: list[str] = []
        for name, details in conn.execute(query).all():
            parts = name.split(":")
            if len(parts) < 4 or parts[1] == "-":
                continue
            self.counts[name] = max(self.counts.get(name, 0), self._in_ledger(conn, name))
            ours = (details or {}).get("store") == self._identity  # another host may have sources that we do not know
            lost = parts[-1] not in (_UNREACHABLE, _MISDATED) and sources.get(parts[1], False)
            if name not in names and (lost or (parts[1] not in sources and ours)):
                resolve_alert(conn, name, now)
                over.append(name)
        return over

    def _details(
        self, step: Transition, limits: Mapping[str, float | None] | None, samples: Sequence[Samples]
    ) -> dict[str, Any]:
        times, values = self._trend(step.source, step.parameter, samples)
        return {
            "value": step.value,
            "limit": step.limit,
            "unit": step.unit,
            "flag": step.flag,
            "source": step.source,
            "parameter": step.parameter,
            "limits": dict(limits) if limits is not None else None,
            "trend_unit": _unit_of_trend(step),
            "trend": [[round(when / 1e9, 3), float(f"{value:.7g}")] for when, value in zip(times, values, strict=True)],
        }

    def _trend(self, source: str, parameter: str, samples: Sequence[Samples]) -> tuple[list[int], list[float]]:
        """The last hour, with the rows that are not stored yet."""
        times, values = self._store.trend(source, parameter, TREND_S)
        for one in samples:
            if one.source == source and parameter in one.parameters:
                times = np.concatenate([times, one.times_ns])
                values = np.concatenate([values, one.values[:, one.parameters.index(parameter)]])
        good = np.isfinite(values)
        if not good.any():
            return [], []
        times, values = times[good], values[good]
        young = times >= times.max() - round(TREND_S * 1e9)
        order = np.argsort(times[young], kind="stable")
        when, what = thinned(times[young][order], values[young][order], TREND_PAIRS)
        return when.tolist(), what.tolist()


def _unit_of_trend(step: Transition) -> str:
    """The parameter's own unit: of a rate the value is in degC/min, of a silence in seconds."""
    if step.flag == FLAGS["rate"]:
        return step.unit.rpartition("/")[0]
    return "" if step.kind == "stale" else step.unit


def thinned(
    times: npt.NDArray[np.int64], values: npt.NDArray[np.float64], most: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """At most so many of the points: the least and the greatest of each stretch, so that no peak is lost."""
    if len(times) <= most:
        return times, values
    chosen = {0, len(times) - 1}
    for stretch in np.array_split(np.arange(len(times)), most // 2 - 1):
        chosen |= {int(stretch[np.argmin(values[stretch])]), int(stretch[np.argmax(values[stretch])])}
    rows = np.array(sorted(chosen))
    return times[rows], values[rows]

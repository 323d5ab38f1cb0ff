"""Where every frame of a night is, on every route that wants it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Delivery:
    """A frame on a route. `state` is delivered, moving (the daemons are at it) or stuck (a person must look)."""

    sha256: str
    name: str
    route: str
    state: str
    detail: str


def deliveries(
    frames: Sequence[Any], wanted: Mapping[str, Mapping[str, bool]], carried: Iterable[Any]
) -> tuple[Delivery, ...]:
    """Every frame on every route that wants it.

    Parameters
    ----------
    frames
        Rows of the ledger.
    wanted
        Per frame (sha256) the routes that want it, and whether they need it losslessly.
    carried
        Rows of `ledger.nights.carried`.
    """
    bundles: dict[tuple[str, str], list[Any]] = {}
    for row in carried:
        bundles.setdefault((row.sha256, row.route), []).append(row)
    return tuple(
        Delivery(frame.sha256, frame.name, route, *_state(frame, bundles.get((frame.sha256, route), []), lossless))
        for frame in frames
        for route, lossless in sorted(wanted[frame.sha256].items())
    )


def _state(frame: Any, bundles: Sequence[Any], lossless: bool) -> tuple[str, str]:
    useful = [row for row in bundles if row.lossless or not lossless]
    states = {row.state: row for row in useful}
    if accepted := states.get("accepted"):
        return "delivered", f"in bundle {accepted.bundle}"
    if frame.state == "quarantined":
        return "stuck", f"set aside: {frame.reason}"
    for state, words in (("sent", "sent, no receipt yet"), ("packed", "packed, not sent yet")):
        if state in states:
            return "moving", f"{words} (bundle {states[state].bundle})"
    for state, words in (("refused", "refused"), ("held", "attempts used up")):
        if row := states.get(state):
            return "stuck", f"{words}: {row.reason or 'no reason on record'} (bundle {row.bundle})"
    if frame.state in ("unrouted", "shipped"):
        return "stuck", "the route did not want it when it was taken: nightferry ship --again"
    return "moving", "not packed yet" if not bundles else "the lossless copy is not packed yet"

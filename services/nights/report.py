"""An end of night in words and in JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from services.nights.endofnight import Outcome
from services.nights.exchange import Reply
from services.nights.gaps import range_text


def as_record(site: str, outcome: Outcome) -> dict[str, Any]:
    """The outcome as one JSON object."""
    manifest = outcome.sealed.manifest
    undelivered = [asdict(delivery) for delivery in outcome.deliveries if delivery.state != "delivered"]
    answers = {name: _reply(reply) for name, reply in outcome.replies.items()}
    return {
        "site": site,
        "night": outcome.night,
        "frames": len(outcome.frames),
        "taken_in": outcome.taken,
        "released": outcome.released,
        "routes": {name: dict(states) for name, states in outcome.by_route.items()},
        "undelivered": undelivered,
        "gaps": [asdict(gap) for gap in manifest.gaps],
        "partial": [asdict(exposure) for exposure in manifest.partial],
        "quarantined": [asdict(each) for each in manifest.quarantined],
        "manifest": {
            "file": str(outcome.sealed.path),
            "sha256": outcome.sealed.sha256,
            "revision": manifest.revision,
            "new": outcome.sealed.new,
        },
        "answers": answers,
        "exit_code": outcome.exit_code,
    }


def _reply(reply: Reply) -> dict[str, Any]:
    record: dict[str, Any] = {"sent": reply.sent, "trouble": reply.trouble}
    if (answer := reply.answer) is not None:
        holes = [asdict(hole) for hole in answer.holes]
        record |= {"verdict": answer.verdict, "reason": answer.reason, "warnings": answer.warnings, "holes": holes}
    return record


def lines(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """What a person reads of an end of night: what, and its value."""
    manifest = outcome.sealed.manifest
    taken = f", {len(outcome.taken)} files taken in now" if outcome.taken else ""
    exposures = len({(frame.instrument, frame.expid) for frame in outcome.frames})
    yield "frames", f"{len(outcome.frames)} of {exposures} exposures{taken}"
    for name, states in outcome.by_route.items():
        others = "".join(f", {states[state]} {state}" for state in ("moving", "stuck") if states[state])
        yield f"route {name}", f"{states['delivered']} of {states.total()} delivered{others}"
    if outcome.released:
        yield "released", f"{outcome.released} bundles whose attempts were used up"
    yield "missing numbers", range_text(manifest.gaps) or "none"
    if manifest.partial:
        yield "partial exposures", str(len(manifest.partial))
    yield "set aside", str(len(manifest.quarantined)) if manifest.quarantined else "none"
    again = "" if outcome.sealed.new else ", as before"
    yield "night manifest", f"{manifest.stem}{again}"
    yield "its sha256", outcome.sealed.sha256
    if not outcome.replies:
        yield "receiver", "no route takes night manifests"
    for name, reply in outcome.replies.items():
        if reply.answer is not None:
            yield f"answer of {name}", f"{reply.answer.verdict}, {reply.answer.frames} frames read again"
        else:
            yield f"answer of {name}", "none yet" if reply.sent else "not sent"


def troubles(outcome: Outcome) -> Iterator[str]:
    """One line for everything that is not as it should be."""
    manifest = outcome.sealed.manifest
    for delivery in outcome.deliveries:
        if delivery.state != "delivered":
            yield f"{delivery.name}: {delivery.state} on {delivery.route}: {delivery.detail}"
    for exposure in manifest.partial:
        there = len(exposure.detectors)
        yield f"{exposure.instrument} {exposure.expid}: {there} of {exposure.expected} detectors"
    for each in manifest.quarantined:
        yield f"{each.name}: {each.reason}"
    for name, reply in outcome.replies.items():
        if reply.trouble is not None and reply.answer is None:
            yield f"{name}: {reply.trouble}"
        if reply.answer is None:
            continue
        if reply.answer.reason is not None:
            yield f"{name}: refused: {reply.answer.reason}"
        yield from (f"{name}: {hole.name}: {hole.reason}" for hole in reply.answer.holes)
        yield from (f"{name}: warning: {warning}" for warning in reply.answer.warnings)


def closing(outcome: Outcome) -> str:
    """The last line: how the night stands."""
    words = {
        0: "delivered" + (", signed and verified" if outcome.replies else " and signed"),
        1: "not whole: a person must look",
        3: "not finished: run it again",
    }
    missing = sum(gap.last - gap.first + 1 for gap in outcome.sealed.manifest.gaps)
    gaps = f"; {missing} exposure numbers are missing from what the camera wrote" if missing else ""
    return f"Night {outcome.night}: {words[outcome.exit_code]}{gaps}"

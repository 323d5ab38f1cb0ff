"""Is the chain of a frame whole, raw → packed → received → archived? Pure decisions over what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transfer.manifest import GOOD


@dataclass(frozen=True)
class Step:
    """One step of a frame's chain. `ok` is None where there is nothing to prove (yet); that is no hole.

    `waits`: it is not proven yet, because the frame is on its way; that is a hole which closes by itself.
    """

    step: str
    ok: bool | None
    detail: str
    route: str | None = None
    waits: bool = False


@dataclass(frozen=True)
class Chain:
    """What is known of a frame, step by step."""

    name: str
    sha256: str
    instrument: str
    expid: int
    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        """Whether no step is broken."""
        return all(step.ok is not False for step in self.steps)

    @property
    def waits(self) -> bool:
        """Whether nothing is broken but what is on its way."""
        broken = [step for step in self.steps if step.ok is False]
        return bool(broken) and all(step.waits for step in broken)


@dataclass(frozen=True)
class Odd:
    """A file that has something to do with the night, and that no frame explains."""

    path: str
    problem: str


@dataclass(frozen=True)
class Audit:
    """What an audit found; `side` is telescope or centre, `notes` are words on the whole night."""

    night: str
    side: str
    chains: tuple[Chain, ...]
    odd: tuple[Odd, ...]
    notes: tuple[str, ...]

    @property
    def holes(self) -> int:
        """Frames whose chain is broken."""
        return sum(not chain.ok for chain in self.chains)

    @property
    def waiting(self) -> int:
        """Frames among them that are on their way."""
        return sum(chain.waits for chain in self.chains)

    @property
    def clean(self) -> bool:
        """Whether there is no hole and nothing odd."""
        return not self.holes and not self.odd


@dataclass(frozen=True)
class BundleFacts:
    """What is found of one bundle that carries a frame. Hashes are None where there is nothing.

    Attributes
    ----------
    manifest
        sha256 of the manifest that was kept; `entry_packed` the frame's packed sha256 in it.
    recorded_manifest, recorded_packed
        The same as the ledger has them.
    linked : bool or None
        Whether the manifest before it in the chain is on record; None when that one was undone with its bundle.
    receipt_manifest, receipt_verdict
        The manifest that the receipt answers, and its word on the frame.
    """

    bundle: str
    route: str
    state: str
    manifest: str | None
    entry_packed: str | None
    recorded_manifest: str
    recorded_packed: str | None
    linked: bool | None
    receipt_manifest: str | None
    receipt_verdict: str | None


def packed_step(facts: BundleFacts) -> Step:
    """Whether the kept manifest is the recorded one, names the frame as it was recorded, and hangs in its chain."""
    if facts.manifest is None:
        problem = "its manifest is gone"
    elif facts.manifest != facts.recorded_manifest:
        problem = "its manifest is not the one on record"
    elif facts.entry_packed is None:
        problem = "its manifest does not name the frame"
    elif facts.recorded_packed not in (None, facts.entry_packed):
        problem = "its manifest names another packed sha256 than the ledger"
    elif facts.linked is False:
        problem = "its manifest names one before it that is not on record"
    else:
        return Step("packed", True, f"{facts.entry_packed} in {facts.bundle}", facts.route)
    return Step("packed", False, f"{facts.bundle}: {problem}", facts.route)


def received_step(facts: BundleFacts) -> Step:
    """Whether a receiver has taken the frame with this very manifest."""
    if facts.receipt_verdict is None:
        return Step("received", False, f"{facts.bundle} is {facts.state}, there is no receipt", facts.route)
    if facts.receipt_manifest != facts.recorded_manifest:
        return Step("received", False, f"{facts.bundle}: its receipt answers another manifest", facts.route)
    good = facts.receipt_verdict in GOOD
    return Step("received", good, f"{facts.receipt_verdict} in {facts.bundle}", facts.route)


def route_steps(route: str, bundles: Sequence[BundleFacts]) -> tuple[Step, ...]:
    """The steps of a frame on a route that wants it: of the bundle that was accepted, else of the newest."""
    if not bundles:
        return (Step("packed", False, "in no bundle yet", route, waits=True),)
    facts = next((each for each in bundles if each.state == "accepted"), bundles[-1])
    if facts.state in ("packed", "sent") and facts.receipt_verdict is None:
        return (Step("received", False, f"on its way: {facts.bundle} is {facts.state}", route, waits=True),)
    return packed_step(facts), received_step(facts)


@dataclass(frozen=True)
class NightFacts:
    """What the newest night manifest and its answers say: `verdicts` and `holes` (sha256 → reason) by route."""

    stem: str
    named: frozenset[str]
    verdicts: Mapping[str, str]
    holes: Mapping[str, Mapping[str, str]]


def archived_step(sha256: str, facts: NightFacts | None) -> Step:
    """Whether the data centre has read the frame again in its archive."""
    if facts is None:
        return Step("archived", None, "no night manifest yet: nightferry endofnight")
    if sha256 not in facts.named:
        return Step("archived", False, f"not in night manifest {facts.stem}: nightferry endofnight")
    for route, holes in facts.holes.items():
        if sha256 in holes:
            return Step("archived", False, holes[sha256], route)
    refused = [route for route, verdict in facts.verdicts.items() if verdict == "refused"]
    if refused:
        return Step("archived", False, f"night manifest {facts.stem} was refused", refused[0])
    if not facts.verdicts:
        return Step("archived", None, f"night manifest {facts.stem} is not answered yet")
    return Step("archived", True, f"read again for {facts.stem} by {', '.join(sorted(facts.verdicts))}")

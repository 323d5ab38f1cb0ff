"""The demo's account: every frame on the camera's disk, and what both ledgers and the archive say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Row, func, select

from processors.masters.associate import REDUCED
from services.core.ledger import telescope
from services.core.ledger.engine import Ledger
from services.core.ledger.schema import frames, products, qa, tasks
from services.demo.layout import Layout
from services.demo.watchmen import Told
from services.watcher.events import Matcher, walk
from transfer.checksum import sha256_file


@dataclass(frozen=True)
class Counts:
    """Where the night stands."""

    written: int
    seen: int
    shipped: int
    arrived: int
    checked: int
    to_reduce: int
    reduced: int
    masters: int
    open_tasks: int
    quarantined: int

    def settled(self, expected: int) -> bool:
        """Whether nothing is left to happen to the `expected` frames."""
        through = self.written == expected and self.seen + self.quarantined >= expected
        return through and self.shipped == self.seen == self.arrived == self.checked and self.open_tasks == 0


@dataclass(frozen=True)
class Account:
    """The final word. `faults` is empty only if every frame is accounted for and verified."""

    counts: Counts
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    faults: tuple[str, ...]
    frames: tuple[dict[str, Any], ...] = field(repr=False)
    verdicts: tuple[tuple[str, str, int], ...] = ()  # check, verdict, how many
    told: Told | None = None

    @property
    def last_line(self) -> str:
        """What the demo ends with."""
        counts = self.counts
        text = (
            f"{counts.seen} frames seen, {counts.shipped} shipped, {counts.arrived} arrived, {counts.checked} checked, "
            f"{counts.reduced} reduced, {len(self.lost)} lost, {len(self.duplicated)} duplicated"
        )
        return f"NIGHT FAILED: {text}; {'; '.join(self.faults)}" if self.faults else f"NIGHT OK: {text}"


def count(layout: Layout, summit: Ledger, centre: Ledger, patterns: Sequence[str]) -> Counts:
    """Count, cheaply: called several times a second while the night is played."""
    with summit.read() as conn:
        states = telescope.count_states(conn)
        quarantined = len(telescope.quarantined_files(conn))
    with centre.read() as conn:
        query = select(frames.c.obstype, func.count()).group_by(frames.c.obstype)
        obstypes: dict[str, int] = {obstype: number for obstype, number in conn.execute(query)}
        task_states = Counter({(kind, state): n for kind, state, n in conn.execute(_BY_STATE)})
    return Counts(
        written=sum(1 for _ in walk(layout.camera, Matcher(patterns))),
        seen=sum(n for state, n in states.items() if state != "quarantined"),
        shipped=states.get("shipped", 0),
        arrived=sum(obstypes.values()),
        checked=task_states["check", "done"],
        to_reduce=sum(n for obstype, n in obstypes.items() if obstype in REDUCED),
        reduced=task_states["reduce", "done"],
        masters=sum(task_states[kind, "done"] for kind in ("bias", "flat", "skyflat")),
        open_tasks=sum(n for (_, state), n in task_states.items() if state not in ("done", "failed")),
        quarantined=quarantined,
    )


_BY_STATE = select(tasks.c.kind, tasks.c.state, func.count()).group_by(tasks.c.kind, tasks.c.state)


def settle_account(layout: Layout, summit: Ledger, centre: Ledger, patterns: Sequence[str]) -> Account:
    """Read every file again, on the camera's disk and in the archive, and compare: the slow, final truth."""
    counts = count(layout, summit, centre, patterns)
    with summit.read() as conn:
        quarantined = telescope.quarantined_files(conn)
    with centre.read() as conn:
        rows = {row.sha256: row for row in conn.execute(select(frames))}
        failed = conn.execute(select(tasks.c.task, tasks.c.reason).where(tasks.c.state == "failed")).all()
        made = conn.execute(select(products.c.path, products.c.sha256)).all()
        verdicts = conn.execute(
            select(qa.c.check, qa.c.verdict, func.count()).group_by(qa.c.check, qa.c.verdict).order_by(qa.c.check)
        ).all()
    on_disk = {Path(entry.path).name: sha256_file(Path(entry.path)) for entry in walk(layout.camera, Matcher(patterns))}
    archived = _archived(layout)
    lost = tuple(sorted(name for name, sha256 in on_disk.items() if sha256 not in archived))
    duplicated = tuple(sorted(names[0] for names in archived.values() if len(names) > 1))
    faults = [
        *(f"{name} is not in the archive" for name in lost),
        *(f"{name} is in the archive twice" for name in duplicated),
        *(f"{Path(row.path).name} quarantined: {row.reason}" for row in quarantined),
        *(f"task {row.task} failed: {row.reason}" for row in failed),
        *_product_faults(made),
    ]
    if counts.reduced != counts.to_reduce:
        faults.append(f"{counts.to_reduce - counts.reduced} frames not reduced")
    if not counts.seen == counts.shipped == counts.arrived == counts.checked:
        faults.append("not every frame went all the way")
    if not on_disk:
        faults.append("the camera wrote nothing")
    return Account(
        counts=counts,
        lost=lost,
        duplicated=duplicated,
        faults=tuple(faults),
        frames=tuple(_line(row) for row in sorted(rows.values(), key=lambda row: (row.night, row.expid, row.name))),
        verdicts=tuple((check, verdict, n) for check, verdict, n in verdicts),
    )


def _archived(layout: Layout) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(layout.archive.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(layout.archive).parts):
            found.setdefault(sha256_file(path), []).append(path.name)
    return found


def _product_faults(made: Sequence[Row]) -> list[str]:
    faults = []
    for path, sha256 in made:
        if not Path(path).is_file():
            faults.append(f"product {Path(path).name} is gone")
        elif sha256_file(Path(path)) != sha256:
            faults.append(f"product {Path(path).name} is not what the ledger says")
    return faults


def _line(row: Row) -> dict[str, Any]:
    identity = dict(row.identity)
    keys = ("instrument", "night", "expid", "obstype", "exptime_s", "filter", "object")
    return {"name": row.name, "state": row.state, "sha256": row.sha256, **{key: identity.get(key) for key in keys}}

"""What was given up is tried again, at a person's word."""

from __future__ import annotations

from sqlalchemy import select

from services.core.ledger import shipping
from services.core.ledger.alerts import open_alerts, resolve_alert
from services.core.ledger.engine import Ledger, now
from services.core.ledger.schema import bundles, tasks
from services.core.ledger.states import advance, record
from services.core.settings import Settings
from services.watcher.outbox import outbox_dir
from services.watcher.recovery import UNDO


def retry_all(settings: Settings, ledger: Ledger, names: set[str] | None) -> list[tuple[str, str]]:
    """Held bundles, refused bundles and failed tasks (all, or these names) again; what was done, by name."""
    done: list[tuple[str, str]] = []
    with ledger.begin() as conn:
        held = conn.execute(select(bundles.c.bundle).where(bundles.c.state == "held")).scalars().all()
        refused = conn.execute(select(bundles.c.bundle, bundles.c.route).where(bundles.c.state == "refused")).all()
        failed = conn.execute(select(tasks.c.task).where(tasks.c.state == "failed")).scalars().all()
        chosen = [name for name in sorted(held) if names is None or name in names]
        shipping.release_held(conn, now(), chosen)
        done += [(name, "to be shipped again") for name in chosen]
        for task in sorted(failed):
            if names is None or task in names:
                advance(conn, "task", task, "ready", now=now(), reason="asked again", attempts=0, not_before=0.0)
                done.append((task, "ready again"))
        again = [row for row in refused if names is None or row.bundle in names]
        for row in again:
            record(conn, "bundle", row.bundle, "asked_again", now=now())
    for row in sorted(again):
        if row.route not in settings.routes:
            continue
        mark_for_undoing(settings, row.route, row.bundle)
        done.append((row.bundle, "to be packed again from the raw frames"))
    _resolve(ledger, {name for name, _ in done})
    return done


def mark_for_undoing(settings: Settings, route: str, bundle: str) -> None:
    """The shipper finds the mark, throws the packed copy away, and the watcher packs the frames again."""
    directory = outbox_dir(settings, route)
    directory.mkdir(parents=True, exist_ok=True)
    manifest, mark = directory / f"{bundle}.json", directory / f"{UNDO}{bundle}"
    if manifest.exists():
        manifest.rename(mark)
    else:
        mark.touch()


def _resolve(ledger: Ledger, names: set[str]) -> None:
    with ledger.begin() as conn:
        for row in open_alerts(conn):
            if row.alert.split(":")[-1] in names:
                resolve_alert(conn, row.alert, now())

"""Conductor and worker with a real Redis: tasks are done once, whatever Redis or a worker does."""

from __future__ import annotations

import contextlib
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import select

from services.core.ledger.schema import calibrations, events, products, qa, tasks
from tests.night_site import NightSite
from tests.site import Site

FRAMES = {"bias": 3, "flat": 3, "science": 2}
TASKS = Counter({("check", "done"): 8, ("bias", "done"): 1, ("flat", "done"): 1, ("reduce", "done"): 2})


@pytest.fixture
def site(
    request: pytest.FixtureRequest, tmp_path: Path, valkey_url: str, redis_client: Redis, frames: list[Path]
) -> Iterator[Site]:
    """A site whose archive holds the night already, and nothing is planned yet; its centre on SQLite or PostgreSQL."""
    ledger = request.getfixturevalue(request.param) if hasattr(request, "param") else None
    made = NightSite(tmp_path / "site", redis_url=valkey_url, centre_ledger=ledger)
    with contextlib.closing(made.site):
        made.write(frames)
        made.take_in()
        made.carry(made.pack())
        assert made.site.count("centre", "arrived") == len(frames)
        yield made.site


def task_states(site: Site) -> Counter[tuple[str, str]]:
    with site.ledger("centre").begin() as conn:
        return Counter((kind, state) for kind, state in conn.execute(select(tasks.c.kind, tasks.c.state)))


def check_products(site: Site) -> None:
    with site.ledger("centre").begin() as conn:
        kinds = Counter(conn.execute(select(products.c.kind)).scalars())
        masters = conn.execute(select(calibrations.c.kind)).scalars().all()
        verdicts = Counter(conn.execute(select(qa.c.verdict)).scalars())
    assert kinds == {"bias": 1, "flat": 1, "reduced": 2, "preview": 4}
    assert sorted(masters) == ["bias", "flat"]
    assert verdicts["ok"] > 50
    assert Counter(site.states("centre").values()) == {"checked": 6, "reduced": 2}
    assert len(list((site.centre / "tasklogs").rglob("*.log"))) == 12


def test_a_night_is_checked_and_reduced_whatever_the_hints_say(site: Site, redis_client: Redis) -> None:
    redis_client.lpush("nightferry:arrivals", b"\xff no JSON", b"{}")
    for verb in ("conduct", "work"):
        site.start(verb)
    site.wait(lambda: task_states(site) == TASKS, "done tasks", timeout_s=60.0)
    check_products(site)
    for verb in ("conduct", "work"):
        assert site.stop(verb) == 0, site.log(verb)


def test_an_emptied_redis_loses_no_task(site: Site, redis_client: Redis) -> None:
    site.start("conduct")
    site.wait(lambda: task_states(site)["check", "queued"] == 8, "queued tasks")
    redis_client.flushall()
    site.start("work")
    site.wait(lambda: task_states(site)["check", "done"] >= 4, "some checks done", timeout_s=60.0)
    redis_client.flushall()
    site.wait(lambda: task_states(site) == TASKS, "done tasks", timeout_s=60.0)
    check_products(site)


@pytest.mark.parametrize("site", ["postgres_url"], indirect=True)
def test_two_workers_on_postgresql_do_every_task_once(site: Site) -> None:
    for verb in ("conduct", "work"):
        site.start(verb)
    site.daemons["first"] = site.daemons.pop("work")
    site.start("work")
    site.wait(lambda: task_states(site) == TASKS, "done tasks", timeout_s=60.0)
    check_products(site)
    with site.ledger("centre").begin() as conn:
        done = conn.execute(select(events.c.name).where(events.c.to_state == "done")).scalars().all()
    assert len(done) == len(set(done)) == TASKS.total()


def test_a_worker_killed_again_and_again_finishes_the_night(site: Site) -> None:
    site.start("conduct")
    for done in (1, 5, 9):
        site.start("work")
        site.wait(lambda limit=done: _done(site) >= limit, f"{done} done", 60.0)
        site.stop("work", signal.SIGKILL)
    site.start("work")
    site.wait(lambda: task_states(site) == TASKS, "done tasks", timeout_s=60.0)
    check_products(site)


def _done(site: Site) -> int:
    return sum(number for (_, state), number in task_states(site).items() if state == "done")


def test_a_frame_that_cannot_be_read_fails_with_its_reason_and_stops_nobody(site: Site, frames: list[Path]) -> None:
    victim = next(site.archive.rglob(frames[-1].name))
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:3000])
    for verb in ("conduct", "work"):
        site.start(verb)
    site.wait(lambda: task_states(site)["reduce", "done"] == 1, "the other frame reduced", timeout_s=60.0)
    site.wait(lambda: task_states(site)["reduce", "failed"] == 1, "the spoilt frame given up")
    with site.ledger("centre").begin() as conn:
        failed = conn.execute(select(tasks).where(tasks.c.state == "failed")).all()
    assert sorted(row.kind for row in failed) == ["check", "reduce"]
    for row in failed:
        assert row.reason and "Traceback" not in row.reason
        log = next((site.centre / "tasklogs").rglob(f"{row.task}.log")).read_text()
        assert "BadFrame" in log and "Traceback" not in log


def test_without_redis_the_daemons_wait_for_it(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", redis_url="redis://127.0.0.1:1/0")
    try:
        for verb in ("conduct", "work"):
            site.start(verb)
            site.wait(lambda name=verb: "redis away" in site.log(name), f"{verb} saying so")
            assert site.stop(verb) == 0, site.log(verb)
    finally:
        site.close()

"""A worker that stood still for too long wakes up beside another one's products, and leaves them alone."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import create_engine, select, update

from processors.instrument import load_instruments
from processors.publish import asking, publish
from services.core.errors import LeaseLost, LedgerUnreachable
from services.core.ledger import centre
from services.core.ledger.engine import Ledger, now
from services.core.ledger.registry_schema import made_from
from services.core.ledger.schema import calibrations, frames, products, task_inputs
from services.core.ledger.states import advance
from services.core.queues import Queues
from services.worker import job
from services.worker.lease import Lease
from tests.night_site import NIGHT, NightSite
from tests.site import Site
from tests.spooled import spooled

HELD_S = 600.0
STALL = "processors.publish:ask:before:1:SIGSTOP"


@pytest.fixture
def site(tmp_path: Path, frames: list[Path]) -> Iterator[NightSite]:
    """A data centre whose archive holds three biases and a science frame, and nothing is planned."""
    made = NightSite(tmp_path / "site", redis_url="redis://127.0.0.1:1/0")
    with contextlib.closing(made.site):
        made.edit("centre", work={"lease_s": HELD_S})
        made.write([*frames[:3], frames[-1]])
        made.take_in()
        made.carry(made.pack())
        yield made


def planned(site: Site, task: str, kind: str, obstype: str) -> None:
    """A task of all frames of a type, without calibrations, ready to be claimed."""
    with site.ledger("centre").begin() as conn:
        found = {row.sha256: row.identity["obstype"] for row in conn.execute(select(frames))}
        inputs = tuple((sha256, "frame") for sha256, type_ in found.items() if type_ == obstype)
        centre.add_task(conn, centre.NewTask(task, kind, "reductions", NIGHT, "ready", {}, inputs), "live", now())
        conn.execute(update(frames).where(frames.c.state == "arrived").values(state="checked"))


def row_of(site: Site, task: str) -> Any:
    with site.ledger("centre").read() as conn:
        return centre.task_row(conn, task)


def stands_still(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def as_the_ledger_says(site: Site) -> dict[str, str]:
    """Every file among the products, with its sha256, is one that the ledger knows, and the other way round."""
    root = site.centre / "products"
    there = {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()}
    with site.ledger("centre").read() as conn:
        known = {row.path: row.sha256 for row in conn.execute(select(products))}
    assert there == known
    return there


def running(ledger: Ledger, worker: str) -> None:
    with ledger.begin() as conn:
        centre.add_task(conn, centre.NewTask("t", "reduce", "q", NIGHT, "ready", {}, ()), "live", 1.0)
        assert centre.claim(conn, "t", worker, HELD_S, 2.0) is not None


def test_a_lease_is_held_until_another_has_the_task(ledger: Ledger) -> None:
    running(ledger, "first")
    first, second = Lease(ledger, "t", "first", HELD_S), Lease(ledger, "t", "second", HELD_S)
    # it ran out long ago, and nobody wanted the task
    first.hold()
    with ledger.begin() as conn:
        row = centre.task_row(conn, "t")
        assert row is not None and row.lease_until > now() + HELD_S / 2
        assert centre.take_back(conn, "t", row.lease_until + 1.0, 10, "fell silent")
    with pytest.raises(LeaseLost, match="another worker"):
        first.hold()
    with ledger.begin() as conn:
        assert centre.claim(conn, "t", "second", HELD_S, now()) is not None
    second.hold()
    with pytest.raises(LeaseLost):
        first.hold()
    with ledger.begin() as conn:
        advance(conn, "task", "t", "done", now=now())
    with pytest.raises(LeaseLost):
        second.hold()


def test_a_ledger_that_does_not_answer_lets_nobody_publish(tmp_path: Path) -> None:
    away = Ledger(create_engine("postgresql+psycopg://nobody@127.0.0.1:1/nowhere"))
    with (
        contextlib.closing(away),
        asking(Lease(away, "t", "first", HELD_S).hold),
        pytest.raises(LedgerUnreachable),
        publish(tmp_path / "a") as file,
    ):
        file.write(b"mine")
    assert list(tmp_path.iterdir()) == []


def test_who_lost_the_task_before_its_product_took_its_name_leaves_no_trace(
    site: NightSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "CONTEXT", job.Context(site.settings("centre"), load_instruments()))
    planned(site.site, "r", "reduce", "science")
    theirs: list[Path] = []

    def given_to_another() -> None:
        (mine,) = (site.centre / "products").rglob(".*.tmp")
        theirs.append(mine.with_name(mine.name[1:].rsplit(".", 2)[0]))
        theirs[0].write_text("the other's")
        with site.site.ledger("centre").begin() as conn:
            assert centre.take_back(conn, "r", now() + 2 * HELD_S, 10, "fell silent")
            assert centre.claim(conn, "r", "other", HELD_S, now()) is not None

    with asking(given_to_another):
        job.run_task("r")
    assert [path for path in (site.centre / "products").rglob("*") if path.is_file()] == theirs
    assert theirs[0].read_text() == "the other's"
    row = row_of(site.site, "r")
    assert (row.state, row.worker, row.attempts) == ("running", "other", 2)
    assert "LeaseLost: the lease of r was lost" in (site.centre / "tasklogs" / NIGHT / "r.log").read_text()
    assert not any(line.startswith(("task_", "reduced")) for line in spooled(site.settings("centre").metrics_spool))


@pytest.mark.slow
def test_a_worker_that_stood_still_past_its_lease_publishes_nothing(
    site: NightSite,
    valkey_url: str,
    redis_client: Redis,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    site.edit("centre", redis={"url": valkey_url})
    monkeypatch.setattr(job, "CONTEXT", job.Context(site.settings("centre"), load_instruments()))
    site.site.start("work", crash_at=STALL)
    planned(site.site, "b", "bias", "bias")
    job.run_task("b")
    # given a worker that stands still with its product complete, just before it takes its name
    planned(site.site, "r", "reduce", "science")
    Queues(redis_client, 600.0).enqueue("r", "reductions", 0)
    site.site.wait(lambda: row_of(site.site, "r").state == "running", "the task claimed")
    stalled = row_of(site.site, "r").worker
    pid = int(stalled.rpartition("-")[2])
    request.addfinalizer(lambda: end(pid))
    site.site.wait(lambda: stands_still(pid), "the worker standing still")
    (temporary,) = (site.centre / "products").rglob(".*-reduced.fits.*.tmp")
    # when its task is given to another one, with a bias
    with site.site.ledger("centre").begin() as conn:
        bias = conn.execute(select(calibrations.c.sha256)).scalar_one()
        frame = conn.execute(select(task_inputs.c.sha256).where(task_inputs.c.task == "r")).scalar_one()
        assert centre.take_back(conn, "r", now() + 2 * HELD_S, 10, "fell silent")
        centre.set_inputs(conn, "r", [(frame, "frame"), (bias, "bias")])
    job.run_task("r")
    assert (row_of(site.site, "r").state, row_of(site.site, "r").attempts) == ("done", 2)
    assert len(list((site.centre / "products").rglob("*-reduced.fits"))) == 1
    # and then the first wakes up
    os.kill(pid, signal.SIGCONT)
    site.site.wait(lambda: not Path(f"/proc/{pid}").exists(), "the end of the job's process", timeout_s=60.0)
    # then file and ledger agree on what the other made, and nothing else is left
    assert not temporary.exists()
    assert len(as_the_ledger_says(site.site)) == 4
    with site.site.ledger("centre").read() as conn:
        roles = conn.execute(select(made_from.c.role).where(made_from.c.path.like("%-reduced.fits"))).scalars().all()
    assert sorted(roles) == ["bias", "frame"]
    assert "LeaseLost" in (site.centre / "tasklogs" / NIGHT / "r.log").read_text()
    row = row_of(site.site, "r")
    assert (row.state, row.attempts, row.reason) == ("done", 2, None) and row.worker != stalled
    told = spooled(site.settings("centre").metrics_spool)
    assert sum("kind=reduce" in line for line in told) == 1 and not any("task_failed" in line for line in told)

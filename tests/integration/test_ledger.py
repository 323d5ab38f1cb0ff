"""The ledger, the same tests against SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from services.core.errors import IllegalMove, LedgerUnreachable
from services.core.ledger import arrivals, centre, planning, registry, telescope
from services.core.ledger.centre import NewTask, Product
from services.core.ledger.engine import HEAD, Ledger, open_ledger
from services.core.ledger.schema import events, frames, metadata, qa, tasks
from services.core.ledger.states import ALLOWED, advance
from services.core.settings import LedgerSettings
from tests.builders import seen_frame


def task(name: str, *inputs: str) -> NewTask:
    return NewTask(name, "check", "checks", "20260101", "ready", {}, tuple((sha, "frame") for sha in inputs))


def test_the_migrations_make_exactly_the_schema(ledger: Ledger) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with ledger.engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
        assert conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == HEAD


def test_many_daemons_may_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    settings = LedgerSettings(url=f"sqlite:///{tmp_path}/new.sqlite")
    failures: list[BaseException] = []

    def start() -> None:
        try:
            open_ledger(settings).close()
        except LedgerUnreachable as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_reader_waits_for_nobody_and_cannot_write(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        telescope.add_seen(conn, seen_frame("a"), 1.0)
    with ledger.begin() as writing:
        telescope.add_seen(writing, seen_frame("b"), 2.0)
        with ledger.read() as reading:  # would wait for thirty seconds and fail if it took a writer's turn
            assert telescope.count_states(reading) == {"seen": 1}
    with ledger.read() as reading:
        assert telescope.count_states(reading) == {"seen": 2}
        if ledger.engine.dialect.name == "sqlite":
            with pytest.raises(OperationalError, match="readonly"):
                telescope.forget_file(reading, "/no/such/file")
    with ledger.begin() as conn:
        assert telescope.add_seen(conn, seen_frame("c"), 3.0)


def test_a_ledger_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    settings = LedgerSettings(url=f"sqlite:///{tmp_path}/ledger.sqlite")
    ledger = open_ledger(settings)
    with ledger.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    ledger.close()
    with pytest.raises(LedgerUnreachable, match="not known to this program"):
        open_ledger(settings)
    held = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert tmp_path / "ledger.sqlite" not in held


def test_a_frame_is_recorded_once(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        assert telescope.add_seen(conn, seen_frame("a"), 10.0)
        assert not telescope.add_seen(conn, seen_frame("a"), 11.0)
    with ledger.begin() as conn:
        assert telescope.count_states(conn) == {"seen": 1}
        assert conn.execute(select(frames.c.name)).scalar_one() == "a.fits"


def test_an_illegal_move_is_refused_and_leaves_no_trace(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        telescope.add_seen(conn, seen_frame("a"), 1.0)
    with pytest.raises(IllegalMove, match="cannot go from seen to reduced"), ledger.begin() as conn:
        advance(conn, "frame", seen_frame("a").sha256, "reduced", now=2.0)
    with pytest.raises(IllegalMove, match="not in the ledger"), ledger.begin() as conn:
        advance(conn, "frame", "0" * 64, "packed", now=2.0)
    with ledger.begin() as conn:
        assert [row.to_state for row in conn.execute(select(events))] == ["seen"]


def test_every_state_in_the_table_of_moves_can_be_reached_or_is_a_start() -> None:
    starts = {"frame": {"seen", "arrived"}, "bundle": {"packed"}, "task": {"waiting", "ready"}}
    for subject, moves in ALLOWED.items():
        reached = set().union(*moves.values()) | starts[subject]
        assert reached == set(moves)


def test_a_move_is_an_event_with_its_duration(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        centre.add_task(conn, task("t1"), "live", 10.0)
        advance(conn, "task", "t1", "queued", now=12.5, reason="because")
        event = conn.execute(select(events).order_by(events.c.id.desc())).first()
    assert event is not None
    assert (event.from_state, event.to_state, event.seconds, event.reason) == ("ready", "queued", 2.5, "because")


def test_only_one_of_many_workers_gets_a_task(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        centre.add_task(conn, task("t1"), "live", 1.0)
    claimed: list[str] = []

    def work(name: str) -> None:
        with ledger.begin() as conn:
            if centre.claim(conn, "t1", name, 60.0, 2.0) is not None:
                claimed.append(name)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == 1
    with ledger.begin() as conn:
        row = centre.task_row(conn, "t1")
        assert row is not None and (row.state, row.worker, row.attempts, row.lease_until) == (
            "running",
            claimed[0],
            1,
            62.0,
        )
        assert not centre.renew_lease(conn, "t1", "somebody else", 99.0)
        assert centre.renew_lease(conn, "t1", claimed[0], 99.0)


def test_a_task_that_somebody_else_moved_is_left_alone(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        centre.add_task(conn, task("t1"), "live", 1.0)
        assert centre.move_if(conn, "t1", "ready", "queued", 2.0)
        assert not centre.move_if(conn, "t1", "ready", "queued", 2.0)
        centre.claim(conn, "t1", "w1", 10.0, 3.0)
        assert not centre.take_back(conn, "t1", 12.9, 3, "lease still held")
        assert not centre.take_back(conn, "t1", 5.0, 3, "not its worker", worker="w2")
        assert centre.take_back(conn, "t1", 13.1, 3, "lease over")
        advance(conn, "task", "t1", "running", now=14.0, worker="w2", attempts=3)
        advance(conn, "task", "t1", "done", now=15.0)
        assert not centre.take_back(conn, "t1", 99.0, 3, "done is done")
        assert not centre.move_if(conn, "t1", "queued", "ready", 99.0)


def test_a_frame_moved_on_the_cameras_disk_is_followed(ledger: Ledger, tmp_path: Path) -> None:
    here, there = seen_frame("a"), replace(seen_frame("a"), path=str(tmp_path / "a.fits"))
    with ledger.begin() as conn:
        telescope.add_seen(conn, here, 1.0)
        assert not telescope.add_seen(conn, there, 2.0)
        assert conn.execute(select(frames.c.path)).scalar_one() == there.path
        advance(conn, "frame", here.sha256, "quarantined", now=3.0, reason="gone")
        assert not telescope.add_seen(conn, there, 4.0)
        assert telescope.count_states(conn) == {"seen": 1}


def test_a_night_with_a_task_that_waits_stays_in_view(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        arrivals.add_arrival(conn, seen_frame("old", night="20250101"), 10.0)
        assert planning.active_nights(conn, 500.0) == ["20250101"]  # not planned yet
        waiting = replace(task("t1", seen_frame("old").sha256), night="20250101", state="waiting")
        centre.add_task(conn, waiting, "live", 11.0)
        assert planning.active_nights(conn, 500.0) == ["20250101"]
        advance(conn, "task", "t1", "ready", now=12.0)
        assert planning.active_nights(conn, 500.0) == []


def test_a_task_runs_again_without_doubling_what_it_left(ledger: Ledger) -> None:
    frame = seen_frame("a")
    found = {
        "sha256": frame.sha256,
        "check": "read_noise",
        "detector": "1",
        "amplifier": "A",
        "value": float("nan"),
        "unit": "adu",
        "verdict": "error",
        "flag": "RON_OOL",
        "limits": None,
        "message": "",
    }
    with ledger.begin() as conn:
        arrivals.add_arrival(conn, frame, 1.0)
        assert not arrivals.add_arrival(conn, frame, 1.5)
        centre.add_task(conn, task("t1", frame.sha256), "live", 2.0)
        assert not centre.add_task(conn, task("t1", frame.sha256), "live", 2.0)
        for now in (3.0, 4.0):
            centre.set_qa(conn, "t1", [found])
            centre.add_products(conn, "t1", [Product("/p/x.fits", "f" * 64, "reduced")], now)
            centre.add_calibration(
                conn,
                Product("/p/bias.fits", f"{now:.0f}" * 64, "bias"),
                production="live",
                night="20260101",
                date_obs="2026-01-01T20:00:00",
                key={"kind": "bias"},
                task="t1",
                now=now,
            )
        assert len(conn.execute(select(qa)).all()) == 1
        assert [row.sha256 for row in registry.masters_of(conn, "live")] == ["4" * 64]
        assert registry.masters_of(conn, "live", "20260102", "20260109") == []
        assert planning.inputs_of(conn, "live", ["20260101"]) == {"t1": [(frame.sha256, "frame")]}


def test_planning_sees_the_nights_in_which_something_moved(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        arrivals.add_arrival(conn, seen_frame("old", night="20250101"), 10.0)
        advance(conn, "frame", seen_frame("old").sha256, "checked", now=11.0)
        arrivals.add_arrival(conn, seen_frame("new", night="20260101"), 1000.0)
        assert planning.active_nights(conn, 500.0) == ["20260101"]
        assert planning.active_nights(conn, 5.0) == ["20250101", "20260101"]
        assert [row.name for row in planning.frames_of(conn, ["20250101"])] == ["old.fits"]


def test_a_ledger_that_does_not_answer_is_a_named_error() -> None:
    with pytest.raises(LedgerUnreachable, match="ledger"):
        open_ledger(LedgerSettings(url="postgresql://nobody@127.0.0.1:1/none"))


def test_sqlite_is_durable_and_shared(tmp_path: Path) -> None:
    ledger = open_ledger(LedgerSettings(url=f"sqlite:///{tmp_path}/ledger.sqlite"))
    with ledger.begin() as conn:
        assert conn.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert conn.execute(text("PRAGMA synchronous")).scalar_one() == 2
        assert conn.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        assert conn.execute(select(tasks)).all() == []
    ledger.close()

"""What a check reads from the ledger, on SQLite and PostgreSQL: values of earlier frames, the last good master."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select, update

from processors.check_frame import open_frame
from processors.instrument import load_instruments
from processors.masters.build import build_master
from processors.masters.ref import calibration_key
from services.core.ledger import arrivals, centre, history
from services.core.ledger.centre import NewTask, Product
from services.core.ledger.engine import Ledger, open_ledger
from services.core.ledger.schema import calibrations, frames, qa
from services.core.ledger.states import advance
from services.core.settings import LedgerSettings
from services.worker.check import check
from services.worker.tasks import Input
from tests.builders import digest, identity, seen_frame
from tests.site import tiny_night

CHECKS = ("overscan_level", "read_noise")


def add(ledger: Ledger, name: str, value: float | None, verdict: str = "ok", kind: str = "check", **more: Any) -> None:
    """A frame, and what was found out about its overscan."""
    with ledger.begin() as conn:
        arrivals.add_arrival(conn, seen_frame(name, **more), 0.0)
        centre.add_task(conn, NewTask(name, kind, "quick", "20260101", "ready", {}, ()), "live", 0.0)
        row = {
            "sha256": digest(name), "check": "overscan_level", "detector": "1", "amplifier": "A", "value": value,
            "unit": "adu", "verdict": verdict, "flag": "", "limits": None, "message": "",
        }  # fmt: skip
        centre.set_qa(conn, name, [row, {**row, "check": "saturation"}])


def before(ledger: Ledger, last: int = 20, **changes: Any) -> history.History:
    with ledger.read() as conn:
        return history.values_before(conn, "live", asdict(identity(**changes)), CHECKS, last)


def test_the_last_values_of_the_same_kind_of_frame(ledger: Ledger) -> None:
    for number in range(1, 7):
        add(ledger, f"bias{number}", 100.0 + number, expid=number)
    add(ledger, "yesterday", 90.0, expid=900, night="20251231")
    add(ledger, "flat", 50.0, obstype="flat", filter="g", expid=7)
    add(ledger, "slow", 51.0, readout="slow", expid=8)
    add(ledger, "other", 52.0, detectors=("2",), expid=9)
    add(ledger, "camera", 53.0, instrument="decam", expid=10)
    add(ledger, "spoilt", 54.0, verdict="error", expid=11)
    add(ledger, "none", None, expid=12)
    add(ledger, "master", 55.0, kind="bias", expid=13)
    place = ("overscan_level", "1", "A")
    assert before(ledger, expid=20) == {place: [106.0, 105.0, 104.0, 103.0, 102.0, 101.0, 90.0]}
    assert before(ledger, expid=4) == {place: [103.0, 102.0, 101.0, 90.0]}
    assert before(ledger, 2, expid=4) == {place: [103.0, 102.0]}
    assert before(ledger, expid=1, night="20250101") == {}
    assert before(ledger, expid=20, obstype="flat", filter="g") == {place: [50.0]}
    assert before(ledger, expid=20, detectors=("2",)) == {place: [52.0]}
    with ledger.read() as conn:
        assert history.values_before(conn, "second", asdict(identity(expid=20)), CHECKS, 20) == {}


def test_a_long_history_is_found_by_the_index(tmp_path: Path) -> None:
    """On SQLite: PostgreSQL's plan of a small table says nothing."""
    ledger = open_ledger(LedgerSettings(url=f"sqlite:///{tmp_path}/ledger.sqlite"))
    query = select(frames.c.sha256).where(frames.c.instrument == "simcam", frames.c.night < "20260101")
    query = query.order_by(frames.c.night.desc(), frames.c.expid.desc()).limit(20)
    text = str(query.compile(ledger.engine, compile_kwargs={"literal_binds": True}))
    with ledger.read() as conn:
        plan = " ".join(str(row) for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
    assert "ix_frames_night" in plan
    assert "TEMP B-TREE" not in plan
    ledger.close()


def test_the_last_master_that_counts(ledger: Ledger) -> None:
    def add_master(name: str, date: str, **changes: Any) -> None:
        key = calibration_key(identity(**changes))
        assert key is not None
        made = Product(f"/products/{name}.fits", digest(name), key.kind)
        with ledger.begin() as conn:
            centre.add_calibration(
                conn, made, production="live", night=key.night, date_obs=date, key=asdict(key), task=None, now=0.0
            )

    def newest(date: str) -> tuple[str, str] | None:
        key = calibration_key(identity())
        assert key is not None
        with ledger.read() as conn:
            return history.newest_master(conn, "live", asdict(key), date)

    add_master("first", "2025-12-01T00:00:00", night="20251201")
    add_master("second", "2025-12-20T00:00:00", night="20251220")
    add_master("slow", "2025-12-25T00:00:00", readout="slow")
    add_master("flat", "2025-12-25T00:00:00", obstype="flat")
    assert newest("2026-01-01T20:00:00") == ("/products/second.fits", digest("second"))
    assert newest("2025-12-10T00:00:00") == ("/products/first.fits", digest("first"))
    assert newest("2025-11-10T00:00:00") is None
    with ledger.begin() as conn:
        this = calibrations.c.sha256 == digest("second")
        conn.execute(update(calibrations).where(this).values(withdrawn_at=1.0))
    assert newest("2026-01-01T20:00:00") == ("/products/first.fits", digest("first"))


def test_the_task_compares_with_both(ledger: Ledger, tmp_path: Path) -> None:
    known = load_instruments()
    biases = [path for path in tiny_night(tmp_path / "night", biases=8, flats=0, targets=0) if "simcam" in path.name][
        :8
    ]
    frames_ = [open_frame(path, known) for path in biases]
    master = build_master("bias", frames_[:3], tmp_path / "bias.fits")
    url = ledger.engine.url.render_as_string(hide_password=False).replace("postgresql+psycopg", "postgresql")
    settings: Any = SimpleNamespace(ledger=LedgerSettings(url=url))
    with ledger.begin() as conn:
        centre.add_calibration(
            conn, Product(str(master.path), master.sha256, "bias"), production="live", night=master.key.night,
            date_obs=master.date_obs, key=asdict(master.key), task=None, now=0.0,
        )  # fmt: skip
    rows = []
    for number, (path, frame) in enumerate(zip(biases, frames_, strict=True)):
        with ledger.begin() as conn:
            arrivals.add_arrival(conn, seen_frame(f"b{number}", **asdict(frame.identity)), 0.0)
            centre.add_task(conn, NewTask(f"t{number}", "check", "quick", frame.identity.night, "ready", {}, ()),
                            "live", 0.0)  # fmt: skip
            row = centre.task_row(conn, f"t{number}")
        assert row is not None
        outcome = check(row, [Input(digest(f"b{number}"), "frame", path)], settings, known, logging.getLogger("t"))
        with ledger.begin() as conn:
            outcome.settle(conn, 1.0)
        with ledger.read() as conn:
            rows.append({(r.check, r.amplifier): r for r in conn.execute(select(qa).where(qa.c.task == row.task))})
    assert [("drift", "A") in found for found in rows] == [False] * 5 + [True] * 3
    assert rows[-1]["drift", "A"].verdict == "ok"
    assert [("master_level", "B") in found for found in rows] == [False] * 2 + [True] * 6
    assert abs(rows[-1]["master_level", "B"].value) < 2


def test_a_master_that_is_gone_is_no_reason_not_to_check(ledger: Ledger, tmp_path: Path) -> None:
    known = load_instruments()
    path = tiny_night(tmp_path / "night", biases=1, flats=0, targets=0)[0]
    frame = open_frame(path, known)
    key = calibration_key(frame.identity)
    assert key is not None
    url = ledger.engine.url.render_as_string(hide_password=False).replace("postgresql+psycopg", "postgresql")
    with ledger.begin() as conn:
        centre.add_calibration(
            conn, Product(str(tmp_path / "gone.fits"), digest("gone"), "bias"), production="live", night=key.night,
            date_obs="2000-01-01T00:00:00", key=asdict(key), task=None, now=0.0,
        )  # fmt: skip
        arrivals.add_arrival(conn, seen_frame("b", **asdict(frame.identity)), 0.0)
        centre.add_task(conn, NewTask("t", "check", "quick", key.night, "ready", {}, ()), "live", 0.0)
        row = centre.task_row(conn, "t")
    assert row is not None
    settings: Any = SimpleNamespace(ledger=LedgerSettings(url=url))
    outcome = check(row, [Input(digest("b"), "frame", path)], settings, known, logging.getLogger("t"))
    with ledger.begin() as conn:
        outcome.settle(conn, 1.0)
        advance(conn, "frame", digest("b"), "reduced", now=2.0)  # it was checked

"""The recorder: what it was given is on record in order; an unreachable ledger ends the watcher, not only a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from processors.instrument import load_instruments
from services.core.errors import LedgerUnreachable
from services.core.ledger import telescope
from services.core.ledger.engine import Ledger, open_ledger
from services.core.ledger.schema import frames
from services.core.metrics.drainage import waiting_lines
from services.core.metrics.spool import Spool
from services.core.settings import LedgerSettings
from services.watcher.notes import Notes
from services.watcher.recorder import Job, Outcome, Recorder
from tests.ledgers import lay_sqlite
from tests.site import tiny_night


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = open_ledger(LedgerSettings(url=lay_sqlite(tmp_path / "ledger.sqlite")))
    yield made
    made.close()


class Desk:
    """A recorder with everything it needs."""

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self.stop = threading.Event()
        self.news = threading.Event()
        self.spool = Spool(root / "metrics.sqlite", "site")
        self.recorder = Recorder(
            ledger, self.spool, load_instruments(), Notes(root / "quarantine"), self.stop, self.news.set
        )

    def outcomes(self, number: int) -> list[Outcome]:
        found: list[Outcome] = []
        while len(found) < number:
            assert self.news.wait(20)
            self.news.clear()
            while outcome := self.recorder.take():
                found.append(outcome)
        return found

    def close(self) -> None:
        self.stop.set()
        self.recorder.join(10)
        self.spool.close()


def job(path: Path, reason: str | None = None) -> Job:
    stat = path.stat()
    return Job(str(path), (stat.st_size, stat.st_mtime_ns), reason)


def test_frames_faults_and_quarantines_come_back_as_what_they_are(tmp_path: Path, ledger: Ledger) -> None:
    night = tiny_night(tmp_path / "night")
    broken = tmp_path / "broken.fits"
    broken.write_bytes(night[0].read_bytes()[:-1])
    desk = Desk(tmp_path, ledger)
    try:
        for each in night:
            desk.recorder.submit(job(each))
        desk.recorder.submit(job(broken))
        desk.recorder.submit(job(broken, "incomplete: bytes are missing"))
        desk.recorder.start()
        outcomes = desk.outcomes(len(night) + 2)
        faults = {outcome.path: outcome.fault for outcome in outcomes if outcome.fault is not None}
        assert list(faults) == [str(broken)] and "incomplete" in faults[str(broken)]
        assert [Path(each.path) for each in outcomes if each.fault is None] == [*night, broken]
        with ledger.begin() as conn:
            assert set(conn.execute(select(frames.c.path)).scalars()) == {str(path) for path in night}
            assert telescope.known_files(conn) == {each.path: each.stamp for each in outcomes}
            (row,) = telescope.quarantined_files(conn)
        assert (row.path, row.reason) == (str(broken), "incomplete: bytes are missing")
        measured = [line.split(",")[0] for line in waiting_lines(desk.spool, 100)]
        assert measured.count("frame_seen") == len(night) and measured.count("file_quarantined") == 1
    finally:
        desk.close()


def test_a_ledger_that_is_away_is_raised_in_the_loop(tmp_path: Path, ledger: Ledger) -> None:
    with ledger.begin() as conn:
        conn.exec_driver_sql("DROP TABLE files")
    desk = Desk(tmp_path, ledger)
    try:
        desk.recorder.submit(job(tiny_night(tmp_path / "night")[0]))
        desk.recorder.start()
        with pytest.raises(LedgerUnreachable):
            desk.outcomes(1)
    finally:
        desk.close()

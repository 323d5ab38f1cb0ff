"""What is told without the ledger stands in a file: whoever is started again goes on from there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from services.alerts.delivery import Job, Outcome, Try
from services.alerts.lastresort import LastResort
from tests.unit.alerts.world import settings_of

T0 = 1_000_000.0
SETTINGS = settings_of()


def started(tmp_path: Path) -> LastResort:
    return LastResort(tmp_path / "notify.json", SETTINGS)


def settle(resort: LastResort, jobs: Sequence[Job], answer: Literal["sent", "unreachable"], now: float) -> None:
    for job in jobs:
        resort.settle(Outcome(job, (Try("c", answer, 0.1, "no route"),)), now)


def told(jobs: Sequence[Job]) -> list[str]:
    return sorted(f"{job.what} {job.person} {job.kind} {job.attempt}" for job in jobs)


def test_what_was_sent_is_not_sent_again_by_the_next_process(tmp_path: Path) -> None:
    first = started(tmp_path)
    jobs = first.away("locked", T0, T0 + 60)
    assert told(jobs) == ["raised anna mail 1", "raised anna sms 1"]
    settle(first, jobs, "sent", T0 + 61)
    again = started(tmp_path)
    assert again.open and again.away("locked", T0, T0 + 120) == []
    assert told(again.back(T0 + 130)) == ["resolved anna mail 1", "resolved anna sms 1"]


def test_what_was_not_sent_is_tried_again_after_its_pause_by_the_next_process_too(tmp_path: Path) -> None:
    first = started(tmp_path)
    settle(first, first.away("locked", T0, T0 + 60), "unreachable", T0 + 61)
    again = started(tmp_path)
    assert again.away("locked", T0, T0 + 61 + SETTINGS.retry_s / 2) == []
    jobs = again.away("locked", T0, T0 + 62 + SETTINGS.retry_s)
    assert told(jobs) == ["raised anna mail 2", "raised anna sms 2"]


def test_killed_while_it_sends_the_next_process_sends_the_same_message_once_more(tmp_path: Path) -> None:
    jobs = started(tmp_path).away("locked", T0, T0 + 60)
    again = started(tmp_path).away("locked", T0, T0 + 90)
    assert [(job.key, job.attempt) for job in again] == [(job.key, 2) for job in jobs]


def test_what_is_on_its_way_is_not_handed_out_twice(tmp_path: Path) -> None:
    resort = started(tmp_path)
    assert len(resort.away("locked", T0, T0 + 60)) == 2
    assert resort.away("locked", T0, T0 + 90) == []


def test_when_the_end_was_told_nothing_is_left_of_it(tmp_path: Path) -> None:
    resort = started(tmp_path)
    settle(resort, resort.away("locked", T0, T0 + 60), "sent", T0 + 61)
    settle(resort, resort.back(T0 + 130), "sent", T0 + 131)
    assert resort.back(T0 + 132) == []
    assert not resort.open and list(tmp_path.iterdir()) == []

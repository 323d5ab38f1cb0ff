"""Alerts in the ledger, on SQLite and PostgreSQL: episodes, acknowledgements, mutes, the queue of messages."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select

from services.alerts.account import account_of, acknowledge_all, history_of
from services.alerts.delivery import Outcome, Try
from services.alerts.outbox import claim_jobs, settle_outcomes
from services.alerts.points import event_points, open_point, repeat_points
from services.alerts.reading import read_situation
from services.alerts.rounds import decide_round
from services.core.errors import IllegalMove
from services.core.ledger.alert_schema import alerts, notifications
from services.core.ledger.alerts import acknowledge, note, raise_alert, resolve_alert, set_flapping
from services.core.ledger.engine import Ledger
from services.core.ledger.mutes import mute, mutes_in_force, unmute
from services.core.ledger.notifications import give_back
from services.core.ledger.states import record
from tests.unit.alerts.world import settings_of

FREE = {"mail": 10, "sms": 10}
SETTINGS = settings_of(group_s=0, flap_count=3, flap_window_s=600)


def row_of(ledger: Ledger, alert: str) -> Any:
    with ledger.read() as conn:
        return conn.execute(select(alerts).where(alerts.c.alert == alert)).one()


def test_an_acknowledgement_ends_with_the_episode_and_when_it_gets_worse(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:a", "90 %", 10.0)
        assert acknowledge(conn, "disk:a", 11.0, "anna", "moving nights")
        assert not acknowledge(conn, "disk:a", 12.0, "ben")
        raise_alert(conn, "disk:a", "91 %", 13.0)
    assert row_of(ledger, "disk:a").acked_by == "anna"
    with ledger.begin() as conn:
        raise_alert(conn, "disk:a", "98 %", 14.0, severity=2)
    assert row_of(ledger, "disk:a").acked_at is None
    with ledger.begin() as conn:
        acknowledge(conn, "disk:a", 15.0, "ben")
        resolve_alert(conn, "disk:a", 16.0)
        raise_alert(conn, "disk:a", "90 %", 17.0)
        steps = [(step["step"], step["text"]) for step in history_of(conn, "disk:a")]
    row = row_of(ledger, "disk:a")
    assert (row.episode, row.acked_at, list(row.raises)) == (2, None, [10.0, 17.0])
    assert steps == [
        ("raised", "90 %"),
        ("acknowledged", "by anna: moving nights"),
        ("worse", "98 %"),
        ("acknowledged", "by ben"),
        ("resolved", ""),
        ("raised", "90 %"),
    ]


def test_the_history_of_an_alert_is_its_own(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        for name in ("disk:a", "disk:b"):
            raise_alert(conn, name, "full", 100.0)
        record(conn, "heartbeat", "disk:a", "heard", now=100.0)  # another subject may have the name of an alert
    decide_round(ledger, SETTINGS, 200.0)
    with ledger.begin() as conn:
        steps = [step["step"] for step in history_of(conn, "disk:a")]
    assert steps == ["raised", "told raised"]


def test_an_illegal_step_is_refused(ledger: Ledger) -> None:
    with ledger.begin() as conn, pytest.raises(IllegalMove):
        note(conn, "disk:a", "worse", 1.0, came_from="resolved")


def test_a_mute_is_on_record_and_can_be_ended(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:a", "90 %", 10.0)
        assert mute(conn, "disk:*", 100.0, 11.0, "anna", "new disk") == ["disk:a"]
        assert [row["state"] for row in account_of(conn, 12.0)[0]] == ["muted"]
        assert unmute(conn, "disk:*", 13.0, "anna")
        assert not unmute(conn, "disk:*", 14.0, "anna")
        assert not mutes_in_force(conn, 14.0)
        steps = [step["step"] for step in history_of(conn, "disk:a")]
    assert steps == ["raised", "muted", "unmuted"]


def test_daemons_that_decide_at_the_same_moment_make_each_message_once(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        for number in range(40):
            raise_alert(conn, f"check:frame{number}", "bad", 100.0 + number, severity=2)
    begin = threading.Barrier(4)
    made: list[int] = []

    def decide() -> None:
        begin.wait()
        made.append(decide_round(ledger, SETTINGS, 200.0))

    threads = [threading.Thread(target=decide) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [0, 0, 0, 2]
    with ledger.read() as conn:
        assert len(conn.execute(select(notifications)).all()) == 2


def test_senders_that_claim_at_the_same_moment_share_the_messages(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        for number in range(3):
            raise_alert(conn, f"check:frame{number}", "bad", 100.0, severity=2)
    decide_round(ledger, SETTINGS, 200.0)
    begin = threading.Barrier(4)
    claimed: list[str] = []

    def claim() -> None:
        begin.wait()
        claimed.extend(job.key for job in claim_jobs(ledger, SETTINGS, 200.0, FREE))

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One by each kind to the one person: the others follow when it is sent.
    assert len(claimed) == len(set(claimed)) == 2


def test_who_lost_the_lease_writes_nothing_down(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:a", "90 %", 100.0)
    decide_round(ledger, SETTINGS, 200.0)
    (slow,) = claim_jobs(ledger, SETTINGS, 200.0, FREE)
    assert claim_jobs(ledger, SETTINGS, 201.0, FREE) == []
    (quick,) = claim_jobs(ledger, SETTINGS, 100_000.0, FREE)
    assert (quick.key, quick.attempt) == (slow.key, 2)
    settle_outcomes(ledger, [Outcome(quick, (Try("smtp", "sent", 0.1),))], SETTINGS, 100_001.0)
    settle_outcomes(ledger, [Outcome(slow, (Try("smtp", "unreachable", 9.0, "late"),))], SETTINGS, 100_002.0)
    with ledger.read() as conn:
        states = [(row.key, row.state) for row in conn.execute(select(notifications))]
    assert states == [(slow.key, "sent")]


def test_no_message_overtakes_another_and_a_sender_that_begins_anew_has_its_own_back(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        for number in range(3):
            raise_alert(conn, f"check:frame{number}", "bad", 100.0 + number)
    decide_round(ledger, SETTINGS, 200.0)
    told = []
    for number in range(3):
        (job,) = claim_jobs(ledger, SETTINGS, 201.0 + number, FREE, "host:state")
        assert claim_jobs(ledger, SETTINGS, 201.0 + number, FREE, "other:state") == []
        with ledger.begin() as conn:
            assert give_back(conn, "other:state", 201.0 + number) == 0
            assert give_back(conn, "host:state", 201.0 + number) == 1
        (again,) = claim_jobs(ledger, SETTINGS, 201.5 + number, FREE, "host:state")
        assert (again.key, again.attempt) == (job.key, 2)
        settle_outcomes(ledger, [Outcome(again, (Try("smtp", "sent", 0.1),))], SETTINGS, 201.6 + number)
        told += [document["alert"] for document in again.documents]
    assert sorted(told) == ["check:frame0", "check:frame1", "check:frame2"]


def test_hours_without_network_are_one_waiting_message_by_each_kind(ledger: Ledger) -> None:
    now = 1000.0
    for number in range(12):
        now += 400.0
        with ledger.begin() as conn:
            raise_alert(conn, f"disk:{number}", "full", now, severity=2)
            if number:
                resolve_alert(conn, f"disk:{number - 1}", now)
        decide_round(ledger, SETTINGS, now + 1)
        jobs = claim_jobs(ledger, SETTINGS, now + 2, FREE)
        down = [Outcome(job, (Try("c", "unreachable", 1.0, "no route"),)) for job in jobs]
        settle_outcomes(ledger, down, SETTINGS, now + 3)
        with ledger.read() as conn:
            waiting = conn.execute(select(notifications).where(notifications.c.state == "waiting")).all()
        assert len([row for row in waiting if row.person == "anna"]) <= 6
    jobs = [job for job in claim_jobs(ledger, SETTINGS, now + 400, FREE) if job.person == "anna"]
    assert [(job.what, job.kind) for job in jobs] == [("summary", "mail"), ("summary", "sms")]
    told = {document["alert"]: document for document in jobs[0].documents}
    assert {f"disk:{number}" for number in range(12)} <= told.keys()
    assert sum(told[f"disk:{number}"]["resolved_at"] is not None for number in range(12)) == 11


def test_a_refused_address_is_told_and_the_next_one_is_brought_in(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:a", "full", 100.0, severity=2)
    decide_round(ledger, SETTINGS, 101.0)
    jobs = claim_jobs(ledger, SETTINGS, 101.0, FREE)
    no = [Outcome(job, (Try("c", "refused", 0.1, "no such user"),)) for job in jobs]
    settle_outcomes(ledger, no, SETTINGS, 102.0)
    decide_round(ledger, SETTINGS, 103.0)
    with ledger.read() as conn:
        rows, _ = account_of(conn, 104.0)
        people = {row.person for row in conn.execute(select(notifications).where(notifications.c.what == "escalated"))}
        assert any(step["step"] == "escalated" and step["text"] == "to ben" for step in history_of(conn, "disk:a"))
    assert people == {"ben"}
    assert [row["alert"] for row in rows if row["about"] == "queue"] == [
        "queue:notifications:mail:anna",
        "queue:notifications:sms:anna",
    ]


def test_flapping_is_marked_in_the_ledger_and_an_acknowledgement_holds_while_it_lasts(ledger: Ledger) -> None:
    for number in range(6):
        with ledger.begin() as conn:
            raise_alert(conn, "clock:offset", "off", 1000.0 + 20 * number)
        decide_round(ledger, SETTINGS, 1001.0 + 20 * number)
        with ledger.begin() as conn:
            if number == 3:
                assert acknowledge_all(conn, ["clock:*"], 1002.0 + 20 * number, "anna", None)[0] == ["clock:offset"]
            resolve_alert(conn, "clock:offset", 1010.0 + 20 * number)
    row = row_of(ledger, "clock:offset")
    assert (row.flapping, row.episode, row.acked_by) == (3, 6, "anna")
    with ledger.begin() as conn:
        raise_alert(conn, "clock:offset", "off", 5000.0)
    decide_round(ledger, SETTINGS, 5001.0)
    row = row_of(ledger, "clock:offset")
    assert (row.flapping, row.acked_at) == (None, None)


def test_steps_and_repeats_are_points_and_the_same_ones_whoever_writes_them(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:a", "full", 100.0, severity=2)
        acknowledge(conn, "disk:a", 5000.0, "anna")
    with ledger.read() as conn:
        points, event = event_points(conn, 0)
        assert event_points(conn, 0)[0] == points
        assert event_points(conn, event) == ([], event)
        number = open_point(conn, 5001.0)
    assert [(point.tags["what"], point.tags["about"], (point.time_ns or 0) // 1000) for point in points] == [
        ("raised", "disk", 100_000_000),
        ("acknowledged", "disk", 5_000_000_000),
    ]
    assert number.fields == {"total": 1, "severity1": 0, "severity2": 1, "acked": 1, "muted": 0}


def test_an_alert_that_is_escalated_to_two_people_at_once_is_two_points(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        for person in ("anna", "ben"):
            note(conn, "disk:a", "escalated", 100.0, reason=f"to {person}")
    with ledger.read() as conn:
        points, _ = event_points(conn, 0)
    assert [point.tags["what"] for point in points] == ["escalated", "escalated"]
    assert len({point.time_ns for point in points}) == 2


def test_repeats_are_points(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:a", "full", 100.0, severity=2)
    decide_round(ledger, SETTINGS, 101.0)
    decide_round(ledger, SETTINGS, 1101.0)
    with ledger.read() as conn:
        (point,) = repeat_points(conn, 0.0, 2000.0)
        assert repeat_points(conn, 1101.0, 2000.0) == repeat_points(conn, 0.0, 1100.0) == []
    assert point.tags == {"alert": "disk:a", "about": "disk", "what": "repeat"}


def test_what_was_told_of_an_alert_that_is_long_over_is_not_read_again(ledger: Ledger) -> None:
    # given an alert that was told and is over for days, and another one that is told now
    later = 100.0 + 5 * 86_400
    for alert, at in (("disk:a", 100.0), ("disk:b", later)):
        with ledger.begin() as conn:
            raise_alert(conn, alert, "full", at, severity=2)
        decide_round(ledger, SETTINGS, at + 1)
        with ledger.begin() as conn:
            resolve_alert(conn, alert, at + 2)
    # then only what can still matter is read
    with ledger.read() as conn:
        situation = read_situation(conn, SETTINGS, later + 3)
    assert {telling.alert for telling in situation.tellings} == {"disk:b"}


def test_that_it_comes_and_goes_is_on_record_once(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:a", "full", 100.0)
        for now in (101.0, 102.0):
            set_flapping(conn, "disk:a", 1, now, "3 times within 600 s")
            set_flapping(conn, "disk:that-nobody-knows", 1, now, "3 times within 600 s")
        assert [step["step"] for step in history_of(conn, "disk:a")] == ["raised", "flapping"]


def test_a_message_that_had_to_wait_tells_the_alert_as_it_stands_now(ledger: Ledger) -> None:
    with ledger.begin() as conn:
        raise_alert(conn, "disk:a", "90 % full", 100.0)
    decide_round(ledger, SETTINGS, 101.0)
    (first,) = claim_jobs(ledger, SETTINGS, 101.0, FREE)
    settle_outcomes(ledger, [Outcome(first, (Try("c", "unreachable", 1.0, "no route"),))], SETTINGS, 102.0)
    with ledger.begin() as conn:
        raise_alert(conn, "disk:a", "95 % full", 103.0)
    again = [job for job in claim_jobs(ledger, SETTINGS, 1000.0, FREE) if job.key == first.key]
    assert [job.documents[0]["message"] for job in (first, *again)] == ["90 % full", "95 % full"]

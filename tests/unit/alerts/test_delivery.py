"""What becomes of a message: back-off, giving up, one summary of what waits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Literal

from services.alerts.delivery import Job, Outcome, Try, fields_after, summary_of
from tests.unit.alerts.world import settings_of

SETTINGS = settings_of(retry_s=10, retry_max_s=300, give_up_s=3600)


def outcome(*answers: Literal["sent", "unreachable", "refused"], attempt: int = 1) -> Outcome:
    job = Job("key", "raised", "anna", "sms", attempt, 1000.0, ())
    return Outcome(job, tuple(Try(f"c{i}", answer, 0.1, "why") for i, answer in enumerate(answers)))


def test_the_channel_that_took_it_is_on_record_with_what_the_others_said() -> None:
    assert fields_after(outcome("refused", "sent"), SETTINGS, 1001.0) == {
        "state": "sent",
        "channel": "c1",
        "reason": "c0: why",
    }


def test_pauses_grow_to_their_longest() -> None:
    pauses = [
        fields_after(outcome("unreachable", attempt=n), SETTINGS, 1000.0)["not_before"] - 1000 for n in range(1, 9)
    ]
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300]


def test_one_no_among_silence_is_tried_again_but_nothing_but_no_is_not() -> None:
    assert fields_after(outcome("refused", "unreachable"), SETTINGS, 1001.0)["state"] == "waiting"
    assert fields_after(outcome("refused", "refused"), SETTINGS, 1001.0)["state"] == "failed"
    assert fields_after(outcome(), SETTINGS, 1001.0)["state"] == "failed", "no channel, or no address"


def test_it_is_given_up_some_time() -> None:
    fields = fields_after(outcome("unreachable", attempt=20), SETTINGS, 4600.0)
    assert fields["state"] == "failed" and "given up after 3600 s" in fields["reason"]


def test_only_what_waits_behind_a_message_that_could_not_be_sent_is_merged() -> None:
    def row(person: str, kind: str, attempts: int, what: str = "raised") -> SimpleNamespace:
        return SimpleNamespace(person=person, kind=kind, attempts=attempts, what=what)

    fresh = [row("anna", "mail", 0), row("anna", "mail", 0)]
    behind = [row("anna", "sms", 2), row("anna", "sms", 0), row("anna", "sms", 1, "test")]
    alone = [row("ben", "sms", 3)]
    assert summary_of([*fresh, *behind, *alone]) == [behind[:2]]

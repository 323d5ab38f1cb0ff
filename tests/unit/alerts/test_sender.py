"""Threads that send, and settings that are read again: what goes wrong once must not be silence for ever."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import pytest

from services.alerts.delivery import Job, Outcome
from services.alerts.message_templates import load_templates
from services.alerts.sender import Sender, Words, message_of
from services.core.errors import BadSettings
from tests.unit.alerts.world import settings_of


def test_a_worker_outlives_what_it_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of()
    sender = Sender(settings, Words.of("here", settings), lambda: None)

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    for number in range(6):  # more than there are workers
        sender.submit(Job(f"key-{number}", "raised", "anna", "mail", 1, 0.0, ()), outcomes)
        outcome = outcomes.get(timeout=30)
        assert not outcome.refused
        assert "start new thread" in (outcome.reason or "")
    assert sender.wait_until_idle(30)


def test_a_message_is_written_before_the_time_of_its_channel_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    # given a channel, and a note of the thread in which a message is written
    settings = settings_of()
    sender = Sender(settings, Words.of("here", settings), lambda: None)
    written_in: list[threading.Thread] = []

    def note(job: Job, words: Words) -> object:
        written_in.append(threading.current_thread())
        return message_of(job, words)

    monkeypatch.setattr("services.alerts.sender.message_of", note)

    # when the channel is asked (it is none that anybody answers)
    name, channel = next(iter(settings.channels_of("mail").items()))
    sender.ask(name, channel, "nobody at all", Job("key", "raised", "anna", "mail", 1, 0.0, ()))

    # then the thread that may be given up has only sent
    assert written_in == [threading.current_thread()]


def test_a_channel_that_hangs_does_not_keep_the_process_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of()
    sender = Sender(settings, Words.of("here", settings), lambda: None)
    asked_in: list[threading.Thread] = []
    monkeypatch.setattr(
        "services.alerts.channels.registry.send", lambda *_: asked_in.append(threading.current_thread())
    )
    name, channel = next(iter(settings.channels_of("mail").items()))
    assert (
        sender.ask(name, channel, "anna@example.org", Job("key", "raised", "anna", "mail", 1, 0.0, ())).answer == "sent"
    )
    assert [thread.daemon for thread in asked_in] == [True]


def test_no_picture_is_drawn_for_an_sms() -> None:
    settings = settings_of()
    trend = [[float(minute), 60.0 * minute] for minute in range(5)]
    document = {"alert": "a:b", "severity": 2, "message": "m", "raised_at": 0.0, "details": {"trend": trend}}
    jobs = {kind: Job("key", "raised", "anna", kind, 1, 0.0, (document,)) for kind in ("mail", "sms")}
    messages = {kind: message_of(job, Words.of("here", settings)) for kind, job in jobs.items()}
    assert messages["mail"].png is not None and messages["sms"].png is None


def test_messages_of_two_sites_are_told_apart_though_their_alerts_have_one_name() -> None:
    settings = settings_of()
    job = Job("raised-anna-sms-0123", "raised", "anna", "sms", 1, 0.0, ())
    keys = {message_of(job, Words.of(site, settings)).key for site in ("summit", "centre", "summit")}
    assert len(keys) == 2


def test_templates_that_cannot_be_read_are_a_mistake_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "gone"):
        with pytest.raises(BadSettings, match="expected a directory of templates"):
            load_templates(place)

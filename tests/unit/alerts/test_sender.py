"""Threads that send, and settings that are read again: what goes wrong once must not be silence for ever."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import pytest

from services.alerts.delivery import Job, Outcome
from services.alerts.message_templates import load_templates
from services.alerts.sender import Sender, Words
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


def test_templates_that_cannot_be_read_are_a_mistake_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "gone"):
        with pytest.raises(BadSettings, match="expected a directory of templates"):
            load_templates(place)

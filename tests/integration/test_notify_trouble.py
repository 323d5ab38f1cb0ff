"""The notify daemon on a host in trouble: it is the one that must speak then."""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path

import pytest

from tests.desk import Desk
from tests.fixtures.disk import small_disk_at
from tests.fixtures.smtp import SmtpServer
from tests.fixtures.twilio import Cloud


@pytest.mark.slow
def test_it_starts_and_tells_when_its_disk_is_full(tmp_path: Path, smtp: SmtpServer, cloud: Cloud) -> None:
    (tmp_path / "state").mkdir()
    with small_disk_at(tmp_path / "state", "400k") as disk:
        with contextlib.suppress(OSError), (disk / "night.fits").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        desk = Desk(tmp_path, smtp.url, cloud.twilio_url)
        try:
            desk.start()
            desk.raised("disk:state", severity=2)
            desk.wait(lambda: len(smtp.mails) == 1 and len(cloud.texts) == 1, "messages")
        finally:
            desk.close()


@pytest.mark.slow
def test_settings_without_alerts_are_not_taken(tmp_path: Path, smtp: SmtpServer, cloud: Cloud) -> None:
    desk = Desk(tmp_path, smtp.url, cloud.twilio_url)
    try:
        daemon = desk.start()
        desk.raised("disk:a", severity=1)
        desk.wait(lambda: len(smtp.mails) == 1, "the mail")
        good = desk.file.read_text()
        desk.file.write_text(good.split("alerts:")[0])
        daemon.send_signal(signal.SIGHUP)
        desk.wait(lambda: "the old ones hold" in (tmp_path / "notify.log").read_text(), "a word in the log")
        desk.raised("disk:b", severity=1)
        desk.wait(lambda: len(smtp.mails) == 2, "the next mail")
        time.sleep(0.2)
        assert daemon.poll() is None
    finally:
        desk.close()

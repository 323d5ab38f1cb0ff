"""What a restarted watcher says of its outbox while the shipper goes on."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from services.watcher.recovery import recover
from tests.site import Site


def test_a_bundle_that_is_shipped_meanwhile_needs_nobody(tmp_path: Path) -> None:
    # given an outbox in which one manifest is spoilt, and one goes while the outbox is looked through
    site = Site(tmp_path / "site")
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    (outbox / "gone.json").symlink_to(tmp_path / "shipped.json")  # listed, and not there when it is opened
    (outbox / "spoilt.json").write_text("{")

    # when the watcher puts its outbox in order
    with capture_logs() as said:
        recover("centre", outbox, tmp_path / "quarantine", site.ledger("summit"), lambda *_: None)
    site.close()

    # then a person hears only of the spoilt one
    assert [Path(line["manifest"]).name for line in said] == ["spoilt.json"]

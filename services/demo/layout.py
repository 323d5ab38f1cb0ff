"""Where the demo's two hosts live, and the settings each of them would have on a real host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Layout:
    """The demo's directories below one root."""

    root: Path

    @property
    def camera(self) -> Path:
        """The camera's disk."""
        return self.root / "telescope" / "camera"

    @property
    def telescope_state(self) -> Path:
        """State of the telescope's daemons."""
        return self.root / "telescope" / "state"

    @property
    def centre(self) -> Path:
        """The data centre: inbox, receipts, archive, products."""
        return self.root / "centre"

    @property
    def archive(self) -> Path:
        """Raw frames as filed by the receiver."""
        return self.centre / "archive"

    @property
    def products(self) -> Path:
        """What the workers make."""
        return self.centre / "products"

    @property
    def truth(self) -> Path:
        """What the simulator knows, out of the watcher's sight."""
        return self.root / "truth"

    @property
    def limits(self) -> Path:
        """Limits of the housekeeping."""
        return self.root / "limits.yaml"

    @property
    def mail(self) -> Path:
        """Every message that the mail server has taken."""
        return self.root / "mail"

    @property
    def logs(self) -> Path:
        """One log per daemon."""
        return self.root / "logs"

    @property
    def telescope_config(self) -> Path:
        """Settings of the telescope's host."""
        return self.root / "telescope.yaml"

    @property
    def centre_config(self) -> Path:
        """Settings of the data centre's host."""
        return self.root / "centre.yaml"

    def make(self) -> None:
        """Create the directories."""
        for directory in (self.camera, self.telescope_state, self.centre, self.truth, self.logs):
            directory.mkdir(parents=True, exist_ok=True)


def write_settings(
    layout: Layout,
    *,
    remote: dict[str, Any],
    redis_url: str,
    summit: dict[str, Any] | None = None,
    catalogue: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    """Write both hosts' settings files. Waiting times are those of a night that lasts a minute.

    Parameters
    ----------
    summit, extra
        More sections: of the telescope, and of both hosts.
    catalogue
        The workers' reference catalogue.
    """
    telescope = {
        "site": "summit",
        "state_dir": str(layout.telescope_state),
        "ledger": {"url": f"sqlite:///{layout.telescope_state / 'ledger.sqlite'}"},
        "watch": {
            "dirs": [str(layout.camera)],
            "rescan_s": 5.0,
            "settle_s": 0.3,
            "incomplete_after_s": 20.0,
        },
        "routes": {"centre": {**remote, "batch_frames": 4, "flush_s": 1.5, "poll_s": 0.3, "receipt_overdue_s": 30.0}},
        **(summit or {}),
        **(extra or {}),
    }
    centre = {
        "site": "centre",
        "state_dir": str(layout.centre / "state"),
        "ledger": {"url": f"sqlite:///{layout.centre / 'state' / 'ledger.sqlite'}"},
        "archive_dir": str(layout.archive),
        "receive": {"root": str(layout.centre), "poll_s": 0.5},
        "redis": {"url": redis_url},
        "conduct": {
            "poll_s": 0.3,
            "sweep_s": 2.0,
            "sequence_quiet_s": 8.0,
            "calibration_wait_s": 15.0,
        },
        "work": {
            "products_dir": str(layout.products),
            "log_dir": str(layout.centre / "tasklogs"),
            "lease_s": 10.0,
            "retry_backoff_s": 1.0,
            "catalogue": catalogue,
        },
        **(extra or {}),
    }
    for path, document in ((layout.telescope_config, telescope), (layout.centre_config, centre)):
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

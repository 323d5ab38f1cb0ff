"""Settings of both hosts in time-lapse: minutes are seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.soak.servers import Servers
from transfer.signature import write_key_pair

PUSH_TOKEN = "sesame"
LIMITS: dict[str, Any] = {
    "defaults": {"stale_s": 12, "persist": {"samples": 2}, "resolve_after_s": 2},
    "sources": {
        "bench": {
            "parameters": {
                "mail": {"warning": [None, 50]},
                "sms": {"error": [None, 50]},
                "muted": {"error": [None, 50]},
                "flap": {"warning": [None, 50]},
                "p*": {
                    "warning": [-50, 50],
                    "rate": {"warning": 1000, "per": "second", "over_s": 5},
                    "stuck_s": 60,
                    "envelope": {"warning": 60, "nights": 3, "min_nights": 2},
                },
            }
        },
        "dome": {"parameters": {"*": {"warning": [-50, 50]}}},
        "weather": {"parameters": {"*": {"warning": [-50, 50]}}},
    },
}


def write_settings(root: Path, servers: Servers, push_port: int) -> None:
    """`telescope.yaml`, `centre.yaml`, `limits.yaml` and the secrets they name."""
    for name, text in (("smtp.url", servers.smtp.url), ("push.token", PUSH_TOKEN)):
        (root / name).touch(mode=0o600)
        (root / name).write_text(text)
    write_key_pair(root / "night_key", "soak")
    both = {
        "alerts": _alerts(root),
        "metrics": {
            "influxdb": {"version": 1, "url": servers.influx.native, "database": "nightferry", "timeout_s": 3.0},
            "poll_s": 0.25,
        },
    }
    documents = {
        "telescope": {**_telescope(root, servers, push_port), **both},
        "centre": {**_centre(root, servers), **both},
        "limits": LIMITS,
    }
    for name, document in documents.items():
        (root / f"{name}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def _alerts(root: Path) -> dict[str, Any]:
    return {
        "channels": {
            "smtp": {"kind": "mail", "url": {"file": f"{root}/smtp.url"}},
            "modem": {"kind": "sms", "smstools": f"{root}/sms"},
        },
        "people": {
            "anna": {"mail": "anna@example.org", "sms": "+56911111111"},
            "ben": {"mail": "ben@example.org", "sms": "+56922222222"},
        },
        "oncall": {"default": ["anna", "ben"]},
        **{"poll_s": 0.25, "group_s": 0.5, "group_max_s": 3.0, "retry_s": 0.5, "retry_max_s": 2.0},
        **{"send_timeout_s": 20.0, "escalate_after_s": 6.0, "flap_window_s": 20.0, "flap_count": 3},
        "repeat_s": {1: 3600.0, 2: 8.0},
    }


def _conditions() -> dict[str, Any]:
    """What could not heal before the end (an hour without a lost lease) is left out."""
    return {
        "poll_s": 0.5,
        "backlog": {"age_s": 15.0, "grave_age_s": 1800.0},
        "queues": {"oldest_s": 60.0, "no_worker_s": 5.0, "leases_lost_per_hour": None},
        "disks": {"full_within_h": None},
        "daemons": {"dead_s": 3.0, "silent_s": 30.0, "restarts_per_hour": None},
        "clock": {"unsynchronised_s": None},
        "metrics": {"undelivered_s": 10.0},
        "heartbeat": {"every_s": 0.5, "silent_s": 75.0},
        "sequences": {"quiet_s": 60.0},
    }


def _telescope(root: Path, servers: Servers, push_port: int) -> dict[str, Any]:
    state = root / "telescope" / "state"
    weather = {"query": "SELECT * FROM weather WHERE {time} GROUP BY *", "parameter": "{field}", "overlap_s": 60.0}
    all_day = [{"start": "00:00", "end": "12:00"}, {"start": "12:00", "end": "00:00"}]
    route = {"batch_frames": 4, "flush_s": 0.5, "poll_s": 0.2, "backoff_max_s": 1.0, "receipt_overdue_s": 30.0}
    return {
        "site": "summit",
        "state_dir": str(state),
        "ledger": {"url": f"sqlite:///{state}/ledger.sqlite"},
        "watch": {"dirs": [str(root / "camera")], "rescan_s": 2.0, "settle_s": 0.2, "incomplete_after_s": 8.0},
        "routes": {"centre": {**servers.sshd.route(root / "centre"), **route}},
        "night": {"key_file": str(root / "night_key"), "wait_s": 60.0},
        "conditions": {**_conditions(), "no_frame": {"after_s": 20.0, "hours": all_day}},
        "housekeep": {
            "limits": str(root / "limits.yaml"),
            "poll_s": 0.25,
            "keep_s": 300.0,
            "sources": {
                "bench": {"kind": "csv", "dir": str(root / "hk"), "time_format": "unix_s", "unreachable_after_s": 5.0},
                "dome": {"kind": "push", "port": push_port, "token": {"file": str(root / "push.token")}},
                "weather": {
                    **{"kind": "influxdb", "url": servers.influx.native, "database": "site", **weather},
                    **{"unreachable_after_s": 5.0, "timeout_s": 3.0},
                },
            },
        },
    }


def _centre(root: Path, servers: Servers) -> dict[str, Any]:
    centre = root / "centre"
    state = centre / "state"
    keys = {"summit": str(root / "night_key.pub")}
    return {
        "site": "centre",
        "state_dir": str(state),
        "ledger": {"url": f"sqlite:///{state}/ledger.sqlite"},
        "archive_dir": str(centre / "archive"),
        "receive": {"root": str(centre), "poll_s": 0.2, "status_s": 0.5, "night_keys": keys},
        "redis": {"url": f"redis://127.0.0.1:{servers.redis_port}/0"},
        "conduct": {"poll_s": 0.2, "sweep_s": 1.0, "sequence_quiet_s": 3.0, "calibration_wait_s": 10.0},
        "work": {
            "products_dir": str(centre / "products"),
            "log_dir": str(centre / "tasklogs"),
            **{"lease_s": 6.0, "retry_backoff_s": 0.3, "max_attempts": 20},
        },
        "conditions": {**_conditions(), "no_frame": None},
    }

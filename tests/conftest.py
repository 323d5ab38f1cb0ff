"""Fixtures for every test: real servers, the real data beside the project, a frozen place in time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog

from services.core.metrics.spool import Spool

pytest_plugins = [
    "tests.fixtures.chroot_sshd",
    "tests.fixtures.chrony",
    "tests.fixtures.influx",
    "tests.fixtures.ledger",
    "tests.fixtures.mosquitto",
    "tests.fixtures.postgres",
    "tests.fixtures.redis",
    "tests.fixtures.smstools",
    "tests.fixtures.smtp",
    "tests.fixtures.sshd",
    "tests.fixtures.twilio",
    "tests.fixtures.two_sites",
]

# The same examples in every run, however slow the host: what CI says of a commit shall be said again of it. Others are
# drawn by `make fuzz`.
_CHECKS = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture]
_PATIENT: dict[str, Any] = {"deadline": None, "suppress_health_check": _CHECKS}
hypothesis.settings.register_profile("seeded", derandomize=True, **_PATIENT)
hypothesis.settings.register_profile("drawn", **_PATIENT)
hypothesis.settings.load_profile("seeded")

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real frames that lie beside the project and never in it."""
    path = REPOSITORY.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("the real data (../shared/data) are not on this host")
    return path


@pytest.fixture(autouse=True)
def _fresh_log() -> Iterator[None]:
    """A verb that ran in this process has sent the log to a stream that is closed now."""
    handlers = list(logging.getLogger().handlers)
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers = handlers


@pytest.fixture(autouse=True)
def _spools_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the metrics spools that a test has opened: Python 3.13 warns of a database that is left open."""
    opened: list[Spool] = []
    begin = Spool.__init__

    def remember(spool: Spool, *arguments: Any, **more: Any) -> None:
        begin(spool, *arguments, **more)
        opened.append(spool)

    monkeypatch.setattr(Spool, "__init__", remember)
    yield
    for spool in opened:
        spool.close()

"""Fixtures for every test: real servers, the real data beside the project, a frozen place in time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

pytest_plugins = [
    "tests.fixtures.chroot_sshd",
    "tests.fixtures.influx",
    "tests.fixtures.ledger",
    "tests.fixtures.mosquitto",
    "tests.fixtures.postgres",
    "tests.fixtures.redis",
    "tests.fixtures.smstools",
    "tests.fixtures.smtp",
    "tests.fixtures.sshd",
    "tests.fixtures.twilio",
]

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

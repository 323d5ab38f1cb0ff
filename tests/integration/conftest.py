"""What the tests of the daemons share: a short night of tiny frames, and a site that has had none yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.night_site import NightSite
from tests.site import tiny_night


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A whole night."""
    return tiny_night(tmp_path_factory.mktemp("night"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[NightSite]:
    """A telescope and a data centre with a night key; nothing has been observed."""
    made = NightSite(tmp_path / "site")
    yield made
    made.site.close()

"""Settings of the metrics: how much the spool keeps, and where it is drained to."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from services.core.secret import Secret, Section
from services.core.setting_types import PositiveSeconds
from services.core.tls_settings import TlsFiles


def http_url(url: str) -> str:
    """An address as the settings write it.

    Raises
    ------
    ValueError
        It is none of HTTP, or a password stands in it.
    """
    if not re.match(r"https?://[^/@]+(/[^@?#]*)?$", url):
        raise ValueError("expected http://host[:port][/path] or https://host[:port][/path], without user and password")
    return url.rstrip("/")


Version = Literal[1, 2, 3, "victoriametrics"]

# What each kind of server must be told, and what it knows nothing of.
_NEEDS: Final[dict[Version, tuple[str, ...]]] = {
    1: ("database",),
    2: ("org", "bucket", "token"),
    3: ("bucket", "token"),
    "victoriametrics": (),
}
_KNOWS: Final[dict[Version, frozenset[str]]] = {
    1: frozenset({"database", "user", "password", "retention_policy"}),
    2: frozenset({"org", "bucket", "token"}),
    3: frozenset({"org", "bucket", "token"}),
    "victoriametrics": frozenset({"token", "user", "password"}),
}


class InfluxSettings(TlsFiles):
    """One server that takes line protocol.

    `version` 2 (org, bucket, token), 3 (bucket, which is its database, and token), 1 (database, and user and password
    where it asks for them), or `victoriametrics` (no more than an address; token, or user and password, when a proxy
    before it asks for them).
    """

    version: Version = 2
    url: Annotated[str, AfterValidator(http_url)]
    org: str | None = None
    bucket: str | None = None
    token: Secret | None = None
    database: str | None = None
    user: str | None = None
    password: Secret | None = None
    retention_policy: str | None = None
    timeout_s: PositiveSeconds = 10.0

    @model_validator(mode="after")
    def _what_this_version_asks_for(self) -> InfluxSettings:
        given: dict[str, Any] = {key: getattr(self, key) for key in frozenset().union(*_KNOWS.values())}
        for key in _NEEDS[self.version]:
            if not given[key]:
                raise ValueError(f"version {self.version} needs '{key}'")
        for key in sorted(key for key, value in given.items() if value is not None):
            if key not in _KNOWS[self.version]:
                known = ", ".join(sorted(_KNOWS[self.version]))
                raise ValueError(f"version {self.version} has no '{key}'; it knows {known}")
        if (self.user is None) != (self.password is None):
            raise ValueError("'user' and 'password' go together")
        return self

    @property
    def secrets(self) -> dict[str, Secret]:
        """The secrets that are named, by their key."""
        named = {"token": self.token, "password": self.password}
        return {key: secret for key, secret in named.items() if secret is not None}


class MetricsSettings(Section):
    """The metrics spool, and where it is drained to (nowhere, until a server is configured).

    When the server stays away for longer than `keep_points` or `keep_bytes` can hold, the oldest points go.
    """

    batch_points: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    poll_s: PositiveSeconds = 2.0
    keep_points: Annotated[int, Field(ge=1000)] = 100_000_000
    keep_bytes: Annotated[int, Field(ge=1_000_000)] = 2_000_000_000
    influxdb: InfluxSettings | None = None

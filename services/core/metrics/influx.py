"""The way to a server that takes line protocol: one post, one answer.

Versions 2 and 3 and VictoriaMetrics go through influxdb-client, version 1 through its own `/write`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from services.core.errors import BadSettings, ServiceError
from services.core.metrics_settings import InfluxSettings
from services.core.tls import context_of, words_of

_PLAIN: Final = "text/plain; charset=utf-8"


class InfluxUnreachable(ServiceError):
    """InfluxDB does not answer, or will not let us in: points wait in the spool.

    `retry_after_s` is what the server asks for, 0 when it does not say.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Answer:
    """What the server said to a post: its status, its words, and how long to wait if it says that."""

    status: int
    body: bytes
    retry_after_s: float = 0.0


class Post(Protocol):
    """A way to post one gzip member of lines; may be repeated, the same points overwrite themselves."""

    def post(self, body: bytes) -> Answer:
        """Post.

        Raises
        ------
        InfluxUnreachable
            No answer came; the points may or may not have been taken.
        """
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...


def post_to(settings: InfluxSettings) -> Post:
    """The way to the server of the settings.

    Raises
    ------
    BadSettings
        A secret, or the file of the certificate authority, cannot be read.
    """
    login_of(settings)
    return VersionOne(settings) if settings.version == 1 else ByClient(settings)


class ByClient:
    """Version 2's `/api/v2/write` by influxdb-client."""

    def __init__(self, settings: InfluxSettings) -> None:
        from influxdb_client import InfluxDBClient
        from influxdb_client.service.write_service import WriteService

        self._url = settings.url
        self._org = settings.org or ""
        self._bucket = settings.bucket or ""
        # The client's own gzip is not asked for: it packs at level 9, and what lies in the spool is packed already.
        self._client = InfluxDBClient(
            url=settings.url,
            token=None,
            org=self._org,
            timeout=int(settings.timeout_s * 1000),
            ssl_context=context_of(settings),
        )
        self._settings = settings
        self._service = WriteService(self._client.api_client)

    def post(self, body: bytes) -> Answer:
        """As the protocol says."""
        from influxdb_client.rest import ApiException
        from urllib3.exceptions import HTTPError

        self._client.api_client.default_headers.update(_login_now(self._settings))
        try:
            # The answer as it came: the client takes every 2xx for a yes, and trips over words that are no UTF-8.
            answer = self._service.post_write(
                org=self._org,
                bucket=self._bucket,
                body=body,
                precision="ns",
                content_encoding="gzip",
                content_type=_PLAIN,
                _preload_content=False,
                urlopen_kw={"redirect": False},
            )
            return _answer(answer.status, answer.data, answer.headers)
        except ApiException as error:
            if not error.status:  # the client's word for TLS that failed
                raise InfluxUnreachable(f"InfluxDB {self._url}: {words_of(error)}") from error
            return _answer(error.status, error.body, error.headers)
        except (HTTPError, OSError) as error:
            raise InfluxUnreachable(f"InfluxDB {self._url}: {words_of(error)}") from error

    def close(self) -> None:
        """As the protocol says."""
        self._client.close()


class VersionOne:
    """Version 1's `/write`."""

    def __init__(self, settings: InfluxSettings) -> None:
        import urllib3

        query = {"db": settings.database, "precision": "ns"}
        if settings.retention_policy is not None:
            query["rp"] = settings.retention_policy
        self._url = settings.url
        self._write = f"{settings.url}/write?{urlencode(query)}"
        self._settings = settings
        context = context_of(settings)
        self._pool = urllib3.PoolManager(timeout=settings.timeout_s, retries=False, ssl_context=context)

    def post(self, body: bytes) -> Answer:
        """As the protocol says."""
        from urllib3.exceptions import HTTPError

        headers = {"Content-Encoding": "gzip", "Content-Type": _PLAIN, **_login_now(self._settings)}
        try:
            answer = self._pool.request("POST", self._write, body=body, headers=headers)
        except (HTTPError, OSError) as error:
            raise InfluxUnreachable(f"InfluxDB {self._url}: {words_of(error)}") from error
        return _answer(answer.status, answer.data, answer.headers)

    def close(self) -> None:
        """As the protocol says."""
        self._pool.clear()


def _login_now(settings: InfluxSettings) -> dict[str, str]:
    """The header for each post: a token that was renewed in its file needs no new start."""
    try:
        return login_of(settings)
    except BadSettings as error:
        raise InfluxUnreachable(f"InfluxDB {settings.url}: {error}") from error


def login_of(settings: InfluxSettings) -> dict[str, str]:
    """The header that lets us in, if the settings name a token, or user and password.

    Raises
    ------
    BadSettings
        A secret cannot be read.
    """
    if settings.token is not None:
        return {"Authorization": f"Token {settings.token.read()}"}
    if settings.user is not None and settings.password is not None:
        return {"Authorization": _basic(settings.user, settings.password.read())}
    return {}


def _basic(username: str, password: str) -> str:
    import base64

    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _answer(status: Any, body: Any, headers: Any) -> Answer:
    data = body if isinstance(body, bytes) else str(body or "").encode()
    try:
        wait_s = float((headers or {}).get("Retry-After", 0.0))
    except ValueError:
        wait_s = 0.0  # a date: our own pauses will do
    return Answer(int(status or 0), data, wait_s if math.isfinite(wait_s) else 0.0)

"""Ask the database whether a point is there: what other hosts recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from services.core.errors import BadSettings
from services.core.metrics.influx import InfluxUnreachable, login_of
from services.core.metrics.line import escaped_key
from services.core.metrics_settings import InfluxSettings
from services.core.tls import context_of, words_of

if TYPE_CHECKING:
    from services.core.settings import Settings


class Elsewhere:
    """InfluxQL's `/query` of a server."""

    def __init__(self, settings: InfluxSettings) -> None:
        import urllib3

        self._url = settings.url
        self._database = settings.database or settings.bucket or ""
        self._headers = login_of(settings)
        context = context_of(settings)
        self._pool = urllib3.PoolManager(timeout=settings.timeout_s, retries=False, ssl_context=context)

    @classmethod
    def of(cls, settings: Settings) -> Elsewhere:
        """The server of the settings.

        Raises
        ------
        BadSettings
            There is none, or it speaks no InfluxQL.
        """
        server = settings.metrics.influxdb
        if server is None or server.version == "victoriametrics":
            raise BadSettings(("metrics.influxdb: an InfluxDB is needed to ask what other hosts recorded",))
        return cls(server)

    def has(self, measurement: str, tags: Mapping[str, str]) -> bool:
        """Whether a measurement has a point with these tags.

        Raises
        ------
        InfluxUnreachable
            No answer, or none that makes sense.
        """
        from urllib3.exceptions import HTTPError

        wanted = " AND ".join(f"{_name(key)} = {_text(value)}" for key, value in sorted(tags.items()))
        query = f"SELECT points FROM {_name(measurement)} WHERE {wanted} LIMIT 1"
        try:
            answer = self._pool.request(
                "GET", f"{self._url}/query?" + urlencode({"db": self._database, "q": query}), headers=self._headers
            )
            told = json.loads(answer.data)
        except (HTTPError, OSError, ValueError) as error:
            raise InfluxUnreachable(f"InfluxDB {self._url}: {words_of(error)}") from error
        results = told.get("results") if isinstance(told, dict) else None
        result = results[0] if isinstance(results, list) and results else None
        if answer.status != 200 or not isinstance(result, dict) or "error" in result:
            raise InfluxUnreachable(f"InfluxDB {self._url}: {answer.status} {str(told)[:200]}")
        return bool(result.get("series"))


def _name(text: str) -> str:
    return '"' + _stored(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(text: str) -> str:
    return "'" + _stored(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _stored(text: str) -> str:
    """A name or tag as the server has it: line protocol cannot say every character, see `line`."""
    written = escaped_key(text)
    for character in ",= ":
        written = written.replace(f"\\{character}", character)
    return written

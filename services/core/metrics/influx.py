"""The writer that drains the spool into InfluxDB. Replays are harmless: same series and same nanosecond overwrite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.core.errors import ServiceError
from services.core.metrics.spool import Spool
from services.core.settings import InfluxSettings

_OURS_TO_MEND: Final = frozenset({400, 413, 422})


class InfluxUnreachable(ServiceError):
    """InfluxDB does not answer, or will not let us in: points wait in the spool."""


class InfluxWriter:
    """Drains one spool into one bucket."""

    def __init__(self, settings: InfluxSettings, batch_points: int) -> None:
        from influxdb_client import InfluxDBClient
        from influxdb_client.client.write_api import SYNCHRONOUS

        self._settings = settings
        self._batch = batch_points
        self._client = InfluxDBClient(
            url=settings.url,
            token=settings.token.read(),
            org=settings.org,
            timeout=int(settings.timeout_s * 1000),
            enable_gzip=True,
        )
        self._api = self._client.write_api(write_options=SYNCHRONOUS)

    def drain(self, spool: Spool) -> int:
        """Deliver one batch, oldest first; how many points left the spool (0: nothing was waiting).

        Raises
        ------
        InfluxUnreachable
            Nothing was delivered; try again later.
        """
        rows = spool.oldest(self._batch)
        if rows:
            self._deliver(spool, rows)
        return len(rows)

    def _deliver(self, spool: Spool, rows: Sequence[tuple[int, str]]) -> None:
        """Deliver rows; a batch that is rejected is halved until the one bad point stands alone and is set aside."""
        reason = self._post([text for _, text in rows])
        if reason is None:
            spool.forget([point for point, _ in rows])
        elif len(rows) == 1:
            spool.set_aside(*rows[0], reason)
        else:
            middle = len(rows) // 2
            self._deliver(spool, rows[:middle])
            self._deliver(spool, rows[middle:])

    def _post(self, lines: Sequence[str]) -> str | None:
        """Post lines; None when taken, the reason when InfluxDB says that they are wrong."""
        from influxdb_client.rest import ApiException
        from urllib3.exceptions import HTTPError

        settings = self._settings
        try:
            self._api.write(bucket=settings.bucket, org=settings.org, record="\n".join(lines), write_precision="ns")
        except ApiException as error:
            if error.status in _OURS_TO_MEND:
                return f"{error.status} {error.reason}: {error.body}"[:500]
            raise InfluxUnreachable(f"InfluxDB {settings.url}: {error.status} {error.reason}") from error
        except (HTTPError, OSError) as error:
            raise InfluxUnreachable(f"InfluxDB {settings.url}: {error}") from error
        return None

    def close(self) -> None:
        """Close the connections."""
        self._api.close()
        self._client.close()

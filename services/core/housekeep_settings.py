"""Settings of the housekeeper: where housekeeping comes from, and its limits."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from services.core.secret import AbsolutePath, Secret, Section
from services.core.setting_types import PositiveSeconds, TimeZone
from services.core.tls_settings import TlsFiles

WORDS_OF_TIME = "expected iso, unix_s, unix_ms, unix_us, unix_ns, mjd or strptime:FORMAT"


def _time_format(text: str) -> str:
    if text not in ("iso", "unix_s", "unix_ms", "unix_us", "unix_ns", "mjd") and not text.startswith("strptime:"):
        raise ValueError(WORDS_OF_TIME)
    return text


def _file_pattern(text: str) -> str:
    if not text or "/" in text:
        raise ValueError("expected a pattern of file names such as *.csv, without directories")
    return text


def _http_url(url: str) -> str:
    if not re.match(r"https?://[^/@]+(/|$)", url):
        raise ValueError("expected http://host[:port] or https://host[:port], without a password")
    return url


def _source_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", text):
        raise ValueError("expected a short name of lower-case letters, digits, '_' and '-'")
    return text


TimeFormat = Annotated[str, AfterValidator(_time_format)]
FilePattern = Annotated[str, AfterValidator(_file_pattern)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Port = Annotated[int, Field(ge=1, le=65535)]


class AnySource(Section):
    """What every source has.

    `poll_s`: how often it is looked at (default: `housekeep.poll_s`). `future_s`: rows that lie farther ahead of our
    clock are set aside. `unreachable_after_s`: a source away for so long is an alert. `past_s`: rows older than that
    raise no alert until newer ones come (null: they do; for rows that are played again).
    """

    poll_s: PositiveSeconds | None = None
    future_s: PositiveSeconds = 86_400.0
    unreachable_after_s: PositiveSeconds = 60.0
    past_s: PositiveSeconds | None = 172_800.0


class FileSource(AnySource):
    """Files of one directory that grow. `units`: by column; `text`: columns that are words.

    `max_age_days`: files that nobody has written to for longer are not begun (default: every file is read).
    """

    dir: AbsolutePath
    pattern: FilePattern
    units: dict[str, str] = Field(default_factory=dict)
    text: tuple[str, ...] = ()
    max_age_days: Annotated[float, Field(gt=0, le=36_500)] | None = None


class VisonSource(FileSource):
    """Euclid's tab-separated files, whose date is only in their names."""

    kind: Literal["vison"]
    pattern: FilePattern = "HK_*_ROE*.txt"
    time_zone: TimeZone = "UTC"


class CsvSource(FileSource):
    """Tables of text. `columns`: column → parameter, to rename and to choose; empty takes every column."""

    kind: Literal["csv"]
    pattern: FilePattern = "*.csv"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    comment: Annotated[str, Field(max_length=8)] = "#"
    header: tuple[str, ...] = ()  # names of the columns of files that do not say them
    time: Annotated[tuple[str, ...], Field(min_length=1)] = ("time",)
    time_format: TimeFormat = "iso"
    time_zone: TimeZone = "UTC"
    columns: dict[str, str] = Field(default_factory=dict)
    ignore: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _time_is_a_column(self) -> CsvSource:
        lost = [name for name in self.time if self.header and name not in self.header]
        if lost:
            raise ValueError(f"'time' names {lost[0]!r}, which is not in 'header'")
        return self


class FitsSource(FileSource):
    """Binary tables of FITS files, that grow or are written anew. `hdu`: EXTNAME or number; default the first table."""

    kind: Literal["fits"]
    pattern: FilePattern = "*.fits"
    hdu: str | int | None = None
    time: str = "Time"
    time_format: Literal["auto", "unix_s", "unix_ms", "mjd", "jd"] = "auto"  # auto: MJDREF, TIMEUNIT and TUNIT say it
    columns: dict[str, str] = Field(default_factory=dict)
    ignore: tuple[str, ...] = ()


class InfluxSource(AnySource, TlsFiles):
    """An InfluxQL query of InfluxDB 1.x (or what speaks its language), polled by time.

    `query` holds `{time}` where the condition on the time goes. `parameter` names each series: `{measurement}`,
    `{field}` and the tags that the query groups by. Points that come up to `overlap_s` late are found.
    """

    kind: Literal["influxdb"]
    url: HttpUrl
    database: str
    user: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    query: str
    parameter: str = "{measurement}.{field}"
    units: dict[str, str] = Field(default_factory=dict)
    overlap_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    window_s: PositiveSeconds = 3600.0  # of one query, when there is much to catch up
    begin_s: Annotated[float, Field(ge=0, le=86_400 * 366)] = 3600.0  # how far back the first query of all reaches
    timeout_s: PositiveSeconds = 10.0

    @model_validator(mode="after")
    def _has_time(self) -> InfluxSource:
        if self.query.count("{time}") != 1 or not self.query.lstrip().lower().startswith("select "):
            raise ValueError("'query' is expected to be a SELECT with {time} once, where the condition on time goes")
        if ";" in self.query:
            raise ValueError("'query' is expected to be one statement, without ';'")
        return self

    @model_validator(mode="after")
    def _who_speaks(self) -> InfluxSource:
        if (self.user is None) != (self.password is None):
            raise ValueError("'user' and 'password' go together")
        if self.token is not None and self.user is not None:
            raise ValueError("expected 'token', or 'user' and 'password', not both")
        return self


class MqttSource(AnySource, TlsFiles):
    """Messages of an MQTT broker, taken with QoS 1 in a session that the broker keeps while we are away.

    `topics`: filter → name of the parameter, `{topic}` (with dots for slashes) or `{1}`, `{2}`: the levels that stand
    for `+`. A payload is a number, or a JSON object whose numbers become `NAME.key`. With `tls` the port is 8883.
    """

    TLS_BY = "'tls: true'"
    kind: Literal["mqtt"]
    host: str
    port: Port = 1883
    tls: bool = False
    client_id: Annotated[str, Field(min_length=1, max_length=64)]
    user: str | None = None
    password: Secret | None = None
    topics: Annotated[dict[str, str], Field(min_length=1)]
    units: dict[str, str] = Field(default_factory=dict)
    time_key: str = "time"
    time_format: TimeFormat = "iso"
    time_zone: TimeZone = "UTC"
    max_waiting: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000

    @model_validator(mode="before")
    @classmethod
    def _port_of_tls(cls, given: Any) -> Any:
        return {"port": 8883, **given} if isinstance(given, dict) and given.get("tls") is True else given

    @model_validator(mode="after")
    def _who_speaks(self) -> MqttSource:
        if self.password is not None and self.user is None:
            raise ValueError("'password' needs 'user'")
        return self

    @property
    def speaks_tls(self) -> bool:
        """As `TlsFiles.speaks_tls`."""
        return self.tls


class PushSource(AnySource):
    """A small HTTP server that takes line protocol or JSON; it answers when the rows are safe."""

    kind: Literal["push"]
    host: str = "127.0.0.1"
    port: Port
    token: Secret
    parameter: str = "{measurement}.{field}"
    units: dict[str, str] = Field(default_factory=dict)
    max_bytes: Annotated[int, Field(ge=1024, le=64 << 20)] = 1 << 20
    max_requests: Annotated[int, Field(ge=1, le=1000)] = 16  # waiting at one time; more are asked to come again
    timeout_s: PositiveSeconds = 30.0


HousekeepingSource = Annotated[
    VisonSource | CsvSource | FitsSource | InfluxSource | MqttSource | PushSource, Field(discriminator="kind")
]


class HousekeepSettings(Section):
    """The housekeeper: sources by name, the file of their limits, and how much history is at hand."""

    sources: Annotated[dict[Annotated[str, AfterValidator(_source_name)], HousekeepingSource], Field(min_length=1)]
    limits: AbsolutePath | None = None
    poll_s: PositiveSeconds = 1.0
    keep_s: PositiveSeconds = 7200.0

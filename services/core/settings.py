"""Settings of one host: a YAML file, checked whole before any daemon starts.

Units stand in the names. Secrets never stand in the file: a `Secret` names the file or the environment variable that
holds it. Every section has defaults that suit one host; a host only writes the sections of the daemons it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, model_validator

from services.core.alert_settings import AlertSettings
from services.core.condition_settings import ConditionSettings
from services.core.errors import BadSettings
from services.core.housekeep_settings import HousekeepSettings
from services.core.metrics_settings import MetricsSettings
from services.core.mistakes import mistakes_in
from services.core.route_settings import RouteSettings
from services.core.secret import AbsolutePath, Secret, Section
from services.core.setting_types import Name, PositiveSeconds
from services.core.yamlfile import YamlFile


def _ledger_url(url: str) -> str:
    if not url.startswith(("sqlite:////", "postgresql://", "postgresql+psycopg://")):
        raise ValueError("expected sqlite:////absolute/path or postgresql://user@host/database")
    if urlsplit(url).password is not None:
        raise ValueError("a password in the address is not allowed; name it under ledger.password")
    return url


def _redis_url(url: str) -> str:
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("expected redis://host:port/0, rediss://… or unix:///path/to/socket")
    if urlsplit(url).password is not None:
        raise ValueError("a password in the address is not allowed; name it under redis.password")
    return url


class LogSettings(Section):
    """How the daemons log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class LedgerSettings(Section):
    """The SQL record of everything: SQLite on a local disk, or PostgreSQL for several hosts."""

    url: Annotated[str, AfterValidator(_ledger_url)]
    password: Secret | None = None


class WatchSettings(Section):
    """The watcher at the camera's disk."""

    dirs: Annotated[tuple[AbsolutePath, ...], Field(min_length=1)]
    patterns: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "*.fits",
        "*.fit",
        "*.fits.fz",
        "*.fits.gz",
        "*.fit.gz",
    )
    rescan_s: PositiveSeconds = 60.0
    settle_s: Annotated[float, Field(ge=0, le=3600)] = 1.0
    incomplete_after_s: PositiveSeconds = 600.0
    events: Literal["auto", "inotify", "polling"] = "auto"
    poll_s: PositiveSeconds = 2.0


class ReceiveSettings(Section):
    """The receiver at the data centre; all directories on one file system, so that a rename publishes."""

    root: AbsolutePath
    poll_s: PositiveSeconds = 2.0
    status_s: PositiveSeconds = 30.0
    part_max_age_s: PositiveSeconds = 86_400 * 7.0
    night_keys: dict[Name, AbsolutePath] = Field(default_factory=dict)


class NightSettings(Section):
    """The end of night: the key that signs its manifest, and how long to wait until everything is delivered."""

    key_file: AbsolutePath
    wait_s: PositiveSeconds = 14_400.0


class RedisSettings(Section):
    """The queues."""

    url: Annotated[str, AfterValidator(_redis_url)]
    password: Secret | None = None


class ConductSettings(Section):
    """The conductor: when is what ready."""

    production: Name = "live"
    poll_s: PositiveSeconds = 1.0
    sweep_s: PositiveSeconds = 30.0
    sequence_quiet_s: PositiveSeconds = 600.0
    calibration_wait_s: PositiveSeconds = 3600.0
    calibration_max_age_days: Annotated[int, Field(ge=0, le=3650)] = 7
    min_bias: Annotated[int, Field(ge=1)] = 3
    min_dark: Annotated[int, Field(ge=0)] = 3  # 0: no master darks
    min_flat: Annotated[int, Field(ge=1)] = 3
    reduce_without: tuple[Literal["bias", "dark", "flat"], ...] = ("bias", "dark", "flat")
    # What frames of an instrument are reduced with, by its name. Fringes and bad pixels are used where there are any.
    calibrate: dict[Name, tuple[Literal["bias", "dark", "flat", "fringe", "badpix"], ...]] = Field(default_factory=dict)
    temperature_tolerance_c: Annotated[float, Field(gt=0)] = 5.0


class CatalogueSettings(Section):
    """Reference stars for places on the sky and zero points.

    `columns` names columns without common names (`ra: RA_ICRS`, `g: phot_g`), `bands` the catalogue's band for a filter
    whose name is another; `search_arcsec` is how far a header's solution may be off.
    """

    place: AbsolutePath
    columns: dict[str, str] = Field(default_factory=dict)
    bands: dict[str, str] = Field(default_factory=dict)
    search_arcsec: Annotated[float, Field(gt=0, le=7200)] = 300.0


class WorkSettings(Section):
    """The workers. `threads`: detectors of an exposure that a worker reduces at once."""

    products_dir: AbsolutePath
    log_dir: AbsolutePath
    queues: Annotated[tuple[Literal["checks", "reductions", "calibrations"], ...], Field(min_length=1)] = (
        "checks",
        "calibrations",
        "reductions",
    )
    lease_s: Annotated[float, Field(ge=2, le=86_400)] = 60.0
    job_timeout_s: PositiveSeconds = 3600.0
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    retry_backoff_s: PositiveSeconds = 30.0
    preview: bool = True
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    cosmics: bool = True
    quality: bool = True
    catalogue: CatalogueSettings | None = None


class Settings(Section):
    """Everything one host needs to know."""

    site: Name
    state_dir: AbsolutePath
    archive_dir: AbsolutePath | None = None
    ledger: LedgerSettings
    log: LogSettings = LogSettings()
    instruments_dirs: tuple[AbsolutePath, ...] = ()
    watch: WatchSettings | None = None
    routes: dict[Name, RouteSettings] = Field(default_factory=dict)
    receive: ReceiveSettings | None = None
    night: NightSettings | None = None
    redis: RedisSettings | None = None
    conduct: ConductSettings | None = None
    work: WorkSettings | None = None
    metrics: MetricsSettings = MetricsSettings()
    housekeep: HousekeepSettings | None = None
    alerts: AlertSettings | None = None
    conditions: ConditionSettings = ConditionSettings()

    @model_validator(mode="after")
    def _parts_fit(self) -> Settings:
        if self.watch is not None and not self.routes:
            raise ValueError("'watch' needs at least one destination under 'routes'")
        if self.watch is not None and self.receive is not None:
            raise ValueError("'watch' and 'receive' need a ledger each: write two settings files")
        if self.conduct is not None and self.work is None:
            raise ValueError("'conduct' needs 'work': the conductor must know leases and attempts")
        if (self.receive is not None or self.work is not None) and self.archive_dir is None:
            raise ValueError("'receive' and 'work' need 'archive_dir'")
        if (self.conduct is not None or self.work is not None) and self.redis is None:
            raise ValueError("'conduct' and 'work' need 'redis'")
        return self

    @property
    def metrics_spool(self) -> Path:
        """The SQLite file of the metrics spool."""
        return self.state_dir / "metrics.sqlite"


def load_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises
    ------
    BadSettings
        With every mistake at once, each as `FILE:LINE: path.in.file: what was expected`.
    """
    file = YamlFile(path)
    try:
        return Settings.model_validate(file.data)
    except ValidationError as error:
        raise BadSettings(mistakes_in(error, file, Settings)) from None

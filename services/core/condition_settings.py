"""Settings of the conditions of a site that raise alerts: transfer, queues, disks, daemons, clock, checks, heartbeats.

Every group may be `null`: then nobody looks. A limit within a group that may be `null` is left out alone.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from services.core.secret import AbsolutePath, Secret, Section
from services.core.setting_types import PositiveSeconds, TimeOfDay, TimeZone

Fraction = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
KEPT_STARTS: Final = 50  # what a daemon's heartbeat file remembers: no limit of starts can be higher
Severity = Literal[1, 2]
# The daemons' names, as their verbs.
DaemonName = Literal["watch", "ship", "receive", "conduct", "work", "housekeep", "notify", "metrics"]


class HoursOfDay(Section):
    """A part of the day in which frames are expected; it may span midnight."""

    start: TimeOfDay
    end: TimeOfDay


class Place(Section):
    """Where the telescope stands: east longitude, latitude, degrees."""

    longitude_deg: Annotated[float, Field(ge=-180, le=360, allow_inf_nan=False)]
    latitude_deg: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]


class BacklogCondition(Section):
    """Frames that were seen and that a route's receiver has not accepted."""

    age_s: PositiveSeconds | None = 1800.0
    grave_age_s: PositiveSeconds | None = 14_400.0  # severity 2
    frames: Count | None = None


class NoFrameCondition(Section):
    """No frame for `after_s` while the plan expects some.

    The plan is the first that is given of: `plan`, a file with lines `START END` (UTC, ISO 8601); `hours` of the day in
    `time_zone`; the sun lower than `sun_below_deg` at `place`. Besides, a sequence in progress always expects its next
    exposure.
    """

    after_s: PositiveSeconds = 1800.0
    severity: Severity = 2
    plan: AbsolutePath | None = None
    hours: tuple[HoursOfDay, ...] = ()
    time_zone: TimeZone = "UTC"
    place: Place | None = None
    sun_below_deg: Annotated[float, Field(ge=-18, le=0)] = -12.0


class QueueConditions(Section):
    """Tasks that wait, fail, or lose their worker."""

    oldest_s: PositiveSeconds | None = 3600.0
    depth: Count | None = None
    no_worker_s: PositiveSeconds | None = 120.0
    failed_within_s: PositiveSeconds | None = 86_400.0
    leases_lost_per_hour: Count | None = 3


class DiskConditions(Section):
    """Disks that are full, or soon will be."""

    free_fraction: Fraction | None = 0.1
    grave_free_fraction: Fraction | None = 0.03  # severity 2
    free_gb: Annotated[float, Field(gt=0, le=1e6)] | None = None
    full_within_h: Annotated[float, Field(gt=0, le=240)] | None = 6.0
    free_inodes_fraction: Fraction | None = 0.05


class DaemonConditions(Section):
    """Daemons that are dead, hang, or are started again and again.

    `expect` names those that shall run on this host. Without it a daemon is missed when it ended without having been
    stopped; with it also when it was stopped, or has never run here. Either counts after `dead_s`: what systemd starts
    again at once needs nobody.
    """

    expect: tuple[DaemonName, ...] = ()
    dead_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 60.0
    silent_s: PositiveSeconds = 120.0
    starting_s: PositiveSeconds = 900.0  # the first start compiles
    restarts_per_hour: Annotated[int, Field(ge=1, le=KEPT_STARTS)] | None = 5


class MetricsConditions(Section):
    """Points that nobody takes out of the metrics spool of this host."""

    undelivered_s: PositiveSeconds = 3600.0


class ClockConditions(Section):
    """This host's clock against NTP, against itself, and against the other site."""

    offset_s: PositiveSeconds | None = 0.5
    unsynchronised_s: PositiveSeconds | None = 3600.0
    jump_s: PositiveSeconds | None = 2.0
    other_site_s: PositiveSeconds | None = 30.0


class CheckConditions(Section):
    """Verdicts of the newest frames, one alert per instrument and check.

    A place (detector, amplifier) is bad when `bad` of its last `of_last` exposures of an obstype are; `error` and
    `warning` are the severities of these verdicts, null for none.
    """

    bad: Annotated[int, Field(ge=1, le=100)] = 3
    of_last: Annotated[int, Field(ge=1, le=100)] = 5
    error: Severity | None = 1
    warning: Severity | None = None
    ignore: tuple[str, ...] = ()  # patterns of checks, as in a shell
    night_s: PositiveSeconds = 50_400.0  # frames older than this belong to a night that is over

    @model_validator(mode="after")
    def _fit(self) -> CheckConditions:
        if self.bad > self.of_last:
            raise ValueError("'bad' cannot be more than 'of_last'")
        return self


class SequenceConditions(Section):
    """Sequences that fell quiet before they were complete, or are complete and bad."""

    quiet_s: PositiveSeconds = 1800.0
    bad_fraction: Annotated[float, Field(gt=0, le=1)] | None = 0.5
    forget_s: PositiveSeconds = 86_400.0


class HeartbeatConditions(Section):
    """The other side's sign of life: one every `every_s`; `silent_s` without is an alert.

    `expect` names sites that are missed though they were never heard. `url` is asked for (GET) every minute: a service
    outside that tells people when this site falls silent. A notify daemon that does not run for `away_s` is not being
    started again: the other side is to tell in its place.
    """

    every_s: PositiveSeconds = 60.0
    silent_s: PositiveSeconds = 600.0
    away_s: PositiveSeconds = 120.0
    expect: tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")], ...] = ()
    url: Secret | None = None

    @model_validator(mode="after")
    def _fit(self) -> HeartbeatConditions:
        if self.silent_s < 2 * self.every_s:
            raise ValueError("'silent_s' must be at least twice 'every_s': one lost sign is no silence")
        return self


class ConditionSettings(Section):
    """Beyond which values a condition is an alert."""

    poll_s: PositiveSeconds = 30.0
    backlog: BacklogCondition | None = BacklogCondition()
    no_frame: NoFrameCondition | None = NoFrameCondition()
    quarantined: Count | None = 1
    queues: QueueConditions | None = QueueConditions()
    disks: DiskConditions | None = DiskConditions()
    daemons: DaemonConditions | None = DaemonConditions()
    clock: ClockConditions | None = ClockConditions()
    metrics: MetricsConditions | None = MetricsConditions()
    checks: CheckConditions | None = CheckConditions()
    sequences: SequenceConditions | None = SequenceConditions()
    heartbeat: HeartbeatConditions | None = HeartbeatConditions()

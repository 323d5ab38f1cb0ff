"""Settings of the conditions of a site that raise alerts: backlog, silence, disks, queues, daemons, clock."""

from __future__ import annotations

from services.core.route_settings import PositiveSeconds
from services.core.secret import Section


class ConditionSettings(Section):
    """Beyond which values a condition is an alert."""

    poll_s: PositiveSeconds = 30.0

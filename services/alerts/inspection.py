"""What `config check` says of alerts beyond the settings' own rules: channels on this host, and who hears what."""

from __future__ import annotations

from collections.abc import Iterator

from services.alerts.oncall import overlaps
from services.core.alert_settings import AlertSettings
from services.core.errors import BadSettings


def mistakes_in_alerts(settings: AlertSettings) -> Iterator[str]:
    """Templates and channels that cannot work as they are; a secret that cannot be read is told elsewhere."""
    from services.alerts.channels.registry import mistakes_in_channel
    from services.alerts.message_templates import load_templates

    try:
        load_templates(settings.templates)
    except BadSettings as error:
        yield from (f"alerts.templates: {line}" for line in error.mistakes)

    for name, channel in settings.channels.items():
        for mistake in mistakes_in_channel(channel):
            yield f"alerts.channels.{name}.{mistake}"


def remarks_on_alerts(settings: AlertSettings) -> Iterator[str]:
    """What is allowed and may not be meant."""
    for line in overlaps(settings.oncall):
        yield f"alerts.oncall: {line}"
    for kind in ("mail", "sms"):
        if not settings.channels_of(kind):
            yield f"alerts.channels: there is none of kind {kind}: {_without(kind)}"
    chains = [settings.oncall.default, *(shift.chain for shift in settings.oncall.shifts)]
    for person in dict.fromkeys(person for chain in chains for person in chain):
        missing = [
            kind for kind in ("mail", "sms") if settings.channels_of(kind) and kind not in settings.kinds_of(person)
        ]
        for kind in missing:
            yield f"alerts.people.{person}: is on call and has no address for {kind}: {_without(kind)}"
    if settings.repeat_after_s(2) > settings.repeat_after_s(1):
        yield "alerts.repeat_s: severity 2 is repeated less often than severity 1"


def _without(kind: str) -> str:
    return "severity 2 is a mail only" if kind == "sms" else "severity 1 is an SMS"

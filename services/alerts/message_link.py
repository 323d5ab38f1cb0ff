"""The way from a message to the dashboard: the same thing at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from services.alerts.message_facts import Facts

_BEFORE_S: Final = 3600.0


def dashboard_link(url: str | None, site: str, facts: Sequence[Facts], now: float) -> str:
    """Address of the dashboard with its variables and the time range; empty without a dashboard.

    The range begins an hour before the oldest alert was raised and ends now. `var-source` and `var-parameter` are set
    when the message tells of one parameter only.
    """
    if not url:
        return ""
    parts = urlsplit(url)
    start = min((item.raised_at for item in facts), default=now) - _BEFORE_S
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("var-site", site)]
    names = {(item.source, item.parameter) for item in facts}
    if len(names) == 1:
        source, parameter = names.pop()
        parameter = "" if parameter in ("*", "-") else parameter
        query += [(key, value) for key, value in (("var-source", source), ("var-parameter", parameter)) if value]
    query += [("from", str(int(start * 1000))), ("to", str(int(now * 1000)))]
    return urlunsplit(parts._replace(query=urlencode(query)))

"""Messages to people: what a mail, a short message and a chat say of one alert or of several."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.alerts.message_facts import AlertView, Facts, facts_of, one_line
from services.alerts.message_kinds import SUBJECT_WORD, What
from services.alerts.message_link import dashboard_link
from services.alerts.message_plot import trend_png
from services.alerts.message_sms import sms_text
from services.alerts.message_templates import Templates, load_templates

TREND_NAME: Final = "trend.png"
_SUBJECT_LENGTH: Final = 150
_MOST_ALERTS: Final = 20
_COLORS: Final = {1: "#e69f00", 2: "#d55e00"}
_RESOLVED_COLOR: Final = "#009e73"
_HINT: Final = "An alert that somebody has acknowledged is not repeated and not escalated."


@dataclass(frozen=True)
class Message:
    """One message, in every form that a channel may want.

    Attributes
    ----------
    subject : str
        One line.
    text, html : str
        The whole message; the HTML refers to the picture as `cid:trend.png`.
    sms : str
        At most 160 characters of the GSM alphabet.
    png : bytes or None
        The trend of the last hour.
    key : str
        The same for each attempt to send this message; goes into `X-Nightferry-Key`.
    """

    subject: str
    text: str
    html: str
    sms: str
    png: bytes | None = None
    key: str = ""


def compose(
    what: What,
    person: str,
    alerts: Sequence[AlertView],
    site: str,
    dashboard_url: str | None,
    now: float,
    templates: Templates | None = None,
    key: str = "",
    picture: bool = True,
) -> Message:
    """The message about some alerts.

    Parameters
    ----------
    what
        Why it is sent.
    alerts
        What it tells of; empty for a test. Those that are open come first, the gravest before others; the first twenty
        are told in full.
    now : float
        Seconds since 1970: when it is written.
    templates
        Those of the site; ours without.
    picture
        Whether the trend is drawn; an SMS has no use for it.
    """
    templates = templates or load_templates()
    # What is over does not stand before what is open, however grave it was.
    ordered = sorted(
        alerts, key=lambda view: (view.resolved_at is not None, -view.severity, view.raised_at, view.alert)
    )
    facts = [facts_of(view) for view in ordered]
    png = trend_png(facts, now) if picture and what not in ("acknowledged", "test") else None
    words = _words(what, person, facts, site, dashboard_url, now) | {"trend": TREND_NAME if png else ""}
    told = [_alert_words(what, view, item, now) for view, item in zip(ordered, facts, strict=True)][:_MOST_ALERTS]
    bodies = {}
    for form, between in (("txt", "\n\n"), ("html", "\n")):
        blocks = between.join(templates.fill(f"alert.{form}", item) for item in told)
        bodies[form] = templates.fill(f"mail.{form}", words, blocks)
    subject = one_line(templates.fill("subject.txt", words), _SUBJECT_LENGTH)
    return Message(subject, bodies["txt"], bodies["html"], sms_text(what, facts, site, now), png, key)


def _words(
    what: What, person: str, facts: Sequence[Facts], site: str, dashboard_url: str | None, now: float
) -> dict[str, str]:
    others = len(facts) - 1
    return {
        "site": one_line(site, 64),
        "person": one_line(person, 64),
        "what": SUBJECT_WORD[what],
        "severity": f"severity {max(item.severity for item in facts)}" if facts else "",
        "count": str(len(facts)),
        "headline": _headline(what, facts),
        "more": f" and {others} more" if others > 0 else "",
        "dashboard": dashboard_link(dashboard_url, site, facts, now),
        "hint": _HINT if what in ("raised", "worse", "flapping", "repeat", "escalated", "summary") and facts else "",
        "now": _date(now),
    }


def _headline(what: What, facts: Sequence[Facts]) -> str:
    if not facts:
        return "this is a test message" if what == "test" else "nothing is open"
    first = facts[0]
    # Of other conditions than a parameter the name says less than their words: "summit has been silent for 104 s".
    return f"{first.label} {first.reading}" if first.parameter and first.reading else one_line(first.message, 120)


def _alert_words(what: What, view: AlertView, item: Facts, now: float) -> dict[str, str]:
    over = what == "resolved" or view.resolved_at is not None
    end = view.resolved_at if view.resolved_at is not None else now
    when = f"{_date(item.raised_at)} to {_date(end)}" if over else f"since {_date(item.raised_at)}"
    return {
        "alert": item.alert,
        "label": item.label,
        "source": item.source,
        "parameter": item.parameter,
        "message": item.message,
        "title": item.message if item.label.casefold() in item.message.casefold() else f"{item.label}: {item.message}",
        "severity": str(item.severity),
        "color": _RESOLVED_COLOR if over else _COLORS.get(item.severity, _COLORS[2]),
        "value": item.value,
        "limit": item.limit,
        "unit": item.unit,
        "reading": "" if item.value and item.value in item.message else item.reading,  # the words say it
        "when": f"{when} ({_duration(end - item.raised_at)})",
        "acked": f"Acknowledged by {item.acked_by}" if item.acked_by else "",
        "ack": "" if over or item.acked_by or what == "test" else item.ack_command,
    }


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def _duration(seconds: float) -> str:
    minutes = max(0, round(seconds / 60))
    if minutes < 1:
        return "just now"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if hours else f"{minutes} min"
    return f"{hours // 24} days"

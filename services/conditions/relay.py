"""What another site cannot tell its own people, told to ours in its place.

The rules are the same for a telescope that ships here and for the data centre that we ship to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.conditions.base import Finding, IsOpen, listed
from services.conditions.daemons import BAD
from services.core.ledger.alert_words import name_of


def is_passed_on(alert: str) -> bool:
    """Whether an alert only repeats what another site said of itself.

    Such a one is never passed on again: between two sites that can both tell nobody it would come back under an ever
    longer name.
    """
    return alert.startswith("heartbeat:") and (":relay:" in alert or alert.endswith(":daemons"))


def relayed(said: Mapping[str, Any], name: str, alert: str, is_open: IsOpen, *, silent: bool) -> list[Finding]:
    """Findings in the place of a site.

    Parameters
    ----------
    said
        Its last heartbeat's fields as JSON values; nothing at all is told for one that was never heard.
    name
        What our people call it.
    alert
        How the alerts about it begin, without a colon at the end.
    silent
        It has not been heard for too long: what is told already is not over, and nothing is added.
    """
    if not said or said.get("tells", True):
        return []
    findings = []
    for each in said.get("alerts", ()):
        about = _plain(str(each["alert"]))
        ours = name_of(f"{alert}:relay:{about}")
        if not is_passed_on(about) and (not silent or is_open(ours)):
            findings.append(Finding(ours, f"{name} cannot reach its people, and says: {_plain(each['message'])}", 2))
    down = [f"{_plain(each['name'])} {each['state']}" for each in said.get("daemons", ()) if each["state"] in BAD]
    if down and not silent:
        text = f"daemons of {name} do not run, and it can tell nobody: {listed(down)}"
        findings.append(Finding(f"{alert}:daemons", text, 2))
    return findings


def last_word(said: Mapping[str, Any]) -> str:
    """What a site said before it fell silent."""
    if not said:
        return "it has never been heard"
    alerts = [_plain(str(each["message"])) for each in said.get("alerts", ())]
    grave = f"; it said: {listed(alerts)}" if alerts else ""
    return f"its daemons then: {daemons_of(said)}{grave}"


def daemons_of(said: Mapping[str, Any]) -> str:
    """Its daemons and their states, in one line."""
    return listed([f"{_plain(each['name'])} {each['state']}" for each in said.get("daemons", ())]) or "none"


def _plain(text: str) -> str:
    """One line without control characters: whoever wrote it is not one of us."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())

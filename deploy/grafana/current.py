"""Brings what the SDK writes (the form of Grafana 10.1) up to the form of today's Grafana.

Grafana migrates old dashboards when it loads them; here the few differences are made by hand, so that the committed
JSON holds to the types of the newest `@grafana/schema`. `schemaVersion` stays as the SDK has it: older Grafana reads it
too.
"""

from __future__ import annotations

from typing import Any, Final

_GONE: Final = frozenset({"style"})
_GONE_VARIABLE: Final = frozenset({"auto", "auto_count", "auto_min", "id"})
_STAT: Final = {"percentChangeColorMode": "standard", "showPercentChange": False, "wideLayout": True}
_CELLS: Final = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}


def bring_up_to_date(document: dict[str, Any]) -> dict[str, Any]:
    """The dashboard without what Grafana dropped since, and with what it asks for now."""
    document = {key: value for key, value in document.items() if key not in _GONE}
    for variable in document["templating"]["list"]:
        for key in _GONE_VARIABLE & variable.keys():
            del variable[key]
    for panel in document["panels"]:
        if panel["type"] == "stat":
            panel["options"] |= _STAT
        elif panel["type"] == "table":
            panel["options"].pop("footer", None)
            panel["fieldConfig"]["defaults"]["custom"] = {
                **_CELLS,
                **panel["fieldConfig"]["defaults"].get("custom", {}),
            }
    return document

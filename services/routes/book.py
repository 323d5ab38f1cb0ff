"""The routes of a site as they are now: the settings file, and over it what was set while running."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from services.core.errors import BadSettings, LedgerUnreachable
from services.core.ledger.engine import Ledger
from services.core.ledger.route_values import values
from services.core.ledger.shipping import Wanting
from services.core.log import get_logger
from services.core.mistakes import words_of
from services.core.route_settings import CHANGEABLE, RouteSettings
from services.core.settings import Settings, load_settings

FRESH_S: Final = 0.5


def effective(route: RouteSettings, changes: Mapping[str, Any]) -> RouteSettings:
    """A route with what was set while running; in mode `auto` also with what that has chosen.

    Raises
    ------
    BadSettings
        A value does not fit.
    """
    over = {key: value for key, value in changes.items() if key in CHANGEABLE}
    if over.get("mode", route.mode) == "auto":
        for key in ("batch_frames", "streams"):
            if f"auto_{key}" in changes:
                over[key] = changes[f"auto_{key}"]
    if not over:
        return route
    try:
        return RouteSettings.model_validate({**route.model_dump(), **over})
    except ValidationError as error:
        mistakes = [(".".join(map(str, item["loc"])) or "route", words_of(item)) for item in error.errors()]
        raise BadSettings(tuple(f"{place}: {words}" for place, words in mistakes)) from None


class RouteBook:
    """Shared by the threads of a daemon. The ledger is asked at most every half second."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._routes = dict(settings.routes)
        self._ledger = ledger
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._values: dict[str, dict[str, Any]] = {}
        self.generation = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Every route."""
        return tuple(self._routes)

    def get(self, name: str) -> RouteSettings:
        """A route as it is now; a value that does not fit is passed over with a line in the log."""
        try:
            return effective(self._routes[name], self.values(name))
        except BadSettings as error:
            get_logger().error("route value passed over", route=name, reason=str(error))
            return self._routes[name]

    def values(self, name: str) -> Mapping[str, Any]:
        """What was set while running."""
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_S:
                try:
                    with self._ledger.read() as conn:
                        self._values = values(conn)
                except LedgerUnreachable as error:
                    get_logger().warning("routes as they were", reason=str(error))
                self._read_at = time.monotonic()
            return self._values.get(name, {})

    def wanting(self) -> Wanting:
        """A function from a frame's row to the routes that want it, and whether each needs it losslessly.

        It asks the ledger now and not when it is called, which may be inside a transaction.
        """
        routes = {name: self.get(name) for name in self._routes}

        def wanted(frame: Any) -> dict[str, bool]:
            identity = {**frame.identity, "obstype": frame.obstype, "instrument": frame.instrument}
            return {name: route.needs_lossless for name, route in routes.items() if route.wants(identity)}

        return wanted

    def reload(self, path: Path) -> None:
        """Take the routes' settings from the file again (SIGHUP); with a mistake in it the old ones stay.

        Routes that came or went need a start of the daemon.
        """
        log = get_logger()
        try:
            fresh = load_settings(path).routes
        except BadSettings as error:
            log.error("settings not taken", mistakes=list(error.mistakes))
            return
        for name in set(fresh) ^ set(self._routes):
            log.warning("route came or went: start the daemon again", route=name)
        self._routes = {name: fresh.get(name, route) for name, route in self._routes.items()}
        self.generation += 1
        log.info("routes taken again", routes=sorted(self._routes))

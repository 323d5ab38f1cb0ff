"""`nightferry notify`: the daemon that tells people."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.daemons import config_option

if TYPE_CHECKING:
    from services.core.metrics.spool import Spool
    from services.core.settings import Settings

EPILOG = """\b
Examples:
  nightferry notify -c /etc/nightferry/centre.yaml
  nightferry alerts test -c centre.yaml                 (does every channel work? no daemon needed)
\b
After an edit of `alerts` in the settings file: systemctl reload nightferry-notify   (SIGHUP)"""


@click.command(epilog=EPILOG)
@config_option
def notify(config: Path) -> None:
    """Tell people of alerts: by mail and SMS, once for every step, until somebody acknowledges.

    Starts without the ledger too: when it stays away, people are told that.
    """
    from services.alerts.daemon import Notifier
    from services.core.daemon import Daemon
    from services.core.errors import BadSettings, ServiceError
    from services.core.lockfile import locked
    from services.core.log import set_up_logging
    from services.core.settings import load_settings

    settings = load_settings(config)
    if settings.alerts is None:
        raise BadSettings((f"{config}: alerts: is missing; `nightferry notify` needs it",))
    set_up_logging(settings.log, daemon="notify", site=settings.site)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    daemon = Daemon("notify", settings.state_dir / "run")
    with contextlib.ExitStack() as stack:
        stack.enter_context(daemon.running())
        if not stack.enter_context(locked(settings.state_dir / ".notify.lock")):
            raise ServiceError(f"another `nightferry notify` works on {settings.state_dir}")
        spool = _spool_or_none(settings, stack)
        stack.callback(spool.close)
        spool.write("daemon_start", {"started": True}, {"daemon": "notify"})
        Notifier(daemon, settings, settings.alerts, spool, config).run()


def _spool_or_none(settings: Settings, stack: contextlib.ExitStack) -> Spool:
    """The metrics spool; in its place one that nobody reads when it cannot be opened: that is what people must hear."""
    import sqlite3
    import tempfile

    from services.core.log import get_logger
    from services.core.metrics.spool import Spool, open_spool

    try:
        return open_spool(settings)
    except (OSError, sqlite3.Error) as error:
        get_logger().error("no metrics until the next start", path=str(settings.metrics_spool), reason=str(error))
        memory = Path("/dev/shm")  # every disk may be full
        directory = stack.enter_context(tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None))
        return Spool(Path(directory) / "metrics.sqlite", settings.site, keep_points=10_000)

"""The daemons, in the foreground, as systemd runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.core.errors import BadSettings

if TYPE_CHECKING:
    from services.core.daemon import Daemon
    from services.core.ledger.engine import Ledger
    from services.core.metrics.spool import Spool
    from services.core.settings import Settings

Body = Callable[["Daemon", "Settings", "Ledger", "Spool"], None]

config_option = click.option(
    "-c",
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Settings of this host (YAML); `nightferry config check FILE` checks them.",
)


def run_daemon(name: str, config: Path, section: str, body: Body) -> None:
    """Settings, log, ledger and spool up; the body until the stop signal; everything down again."""
    from services.core.daemon import Daemon
    from services.core.ledger.engine import open_ledger
    from services.core.log import set_up_logging
    from services.core.metrics.spool import Spool
    from services.core.settings import load_settings

    settings = load_settings(config)
    if not getattr(settings, section):
        raise BadSettings((f"{config}: {section}: is missing; `nightferry {name}` needs it",))
    set_up_logging(settings.log, daemon=name, site=settings.site)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    daemon = Daemon(name)
    with daemon.running():
        ledger = open_ledger(settings.ledger)
        spool = Spool(settings.metrics_spool, settings.site, settings.metrics.keep_points)
        try:
            spool.write("daemon_start", {"started": True}, {"daemon": name})
            body(daemon, settings, ledger, spool)
        except Exception as error:
            # One line in the journal for the person; the exit code (one per class) for systemd.
            daemon.log.error("stopped by an error", error=type(error).__name__, reason=str(error))
            spool.write("daemon_error", {"reason": str(error)}, {"daemon": name, "error": type(error).__name__})
            raise
        finally:
            spool.close()
            ledger.close()


@click.command(epilog="\b\nExample:\n  nightferry watch -c /etc/nightferry/summit.yaml")
@config_option
def watch(config: Path) -> None:
    """Watch the camera's disk and pack every whole frame into the outbox."""
    from services.watcher.daemon import Watcher

    run_daemon("watch", config, "watch", lambda *parts: Watcher(*parts).run())


@click.command(epilog="\b\nExample:\n  nightferry ship -c /etc/nightferry/summit.yaml")
@config_option
def ship(config: Path) -> None:
    """Ship the outbox of every route, and empty it on the receiver's word."""
    from services.shipper.daemon import Shipper

    run_daemon("ship", config, "routes", lambda *parts: Shipper(*parts).run())


@click.command(epilog="\b\nExample:\n  nightferry receive -c /etc/nightferry/centre.yaml")
@config_option
def receive(config: Path) -> None:
    """Verify what arrives, file it into the archive, and answer with a receipt."""
    from services.receiver.daemon import Receiver

    run_daemon("receive", config, "receive", lambda *parts: Receiver(*parts).run())


@click.command(epilog="\b\nExample:\n  nightferry conduct -c /etc/nightferry/centre.yaml")
@config_option
def conduct(config: Path) -> None:
    """Decide what is ready, and put it into the queues."""
    from services.conductor.daemon import Conductor

    run_daemon("conduct", config, "conduct", lambda *parts: Conductor(*parts).run())


@click.command(
    epilog="\b\nExample:\n  nightferry work -c /etc/nightferry/centre.yaml   (start as many as there are cores)"
)
@config_option
def work(config: Path) -> None:
    """Work on the queues: checks, masters, reductions."""
    from services.worker.daemon import WorkerDaemon

    run_daemon("work", config, "work", lambda daemon, settings, ledger, _: WorkerDaemon(daemon, settings, ledger).run())


@click.command(epilog="\b\nExample:\n  nightferry metrics -c /etc/nightferry/centre.yaml")
@config_option
def metrics(config: Path) -> None:
    """Drain the metrics spool into InfluxDB."""
    from services.metrics_writer import drain_until_stopped

    run_daemon(
        "metrics", config, "metrics", lambda daemon, settings, _, spool: drain_until_stopped(daemon, settings, spool)
    )

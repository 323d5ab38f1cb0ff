"""The daemons, in the foreground, as systemd runs them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from services.cli.common import json_option
from services.core.errors import BadSettings, ServiceError

if TYPE_CHECKING:
    from services.core.daemon import Daemon
    from services.core.ledger.engine import Ledger
    from services.core.metrics.spool import Spool
    from services.core.settings import Settings

SHIP_EXAMPLES = """\b
Examples:
  nightferry ship -c /etc/nightferry/summit.yaml
  nightferry ship --again 20260115 -c summit.yaml                      (a whole night, on every route)
  nightferry ship --again DECam_00154069.fits.fz --route backup -c summit.yaml"""

RECEIVE_EXAMPLES = """\b
Examples:
  nightferry receive -c /etc/nightferry/centre.yaml
  nightferry receive --import /mnt/courier -c /etc/nightferry/centre.yaml"""

Body = Callable[["Daemon", "Settings", "Ledger", "Spool"], None]

# Where the units of systemd look too: a command of a message ("nightferry alerts ack …") works as it is typed.
SITE_FILE = Path("/etc/nightferry/site.yaml")


def given_or_of_the_site(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path:
    """A settings file that was named, or the one of this host."""
    if value is not None:
        return value
    if SITE_FILE.is_file():
        return SITE_FILE
    hint = f"Name the settings file, or let {SITE_FILE} be a link to it."
    raise click.MissingParameter(hint, ctx=context, param=parameter)


config_option = click.option(
    "-c",
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=given_or_of_the_site,
    envvar="NIGHTFERRY_CONFIG",
    show_envvar=True,
    help=f"Settings of this host (YAML); `nightferry config check FILE` checks them. Without: {SITE_FILE}.",
)


def run_daemon(name: str, config: Path, section: str, body: Body) -> None:
    """Settings, log, ledger and spool up; the body until the stop signal; everything down again."""
    from services.core.daemon import Daemon
    from services.core.ledger.engine import open_ledger
    from services.core.lockfile import locked
    from services.core.log import set_up_logging
    from services.core.metrics.spool import open_spool
    from services.core.settings import load_settings

    settings = load_settings(config)
    if not getattr(settings, section):
        raise BadSettings((f"{config}: {section}: is missing; `nightferry {name}` needs it",))
    set_up_logging(settings.log, daemon=name, site=settings.site)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    daemon = Daemon(name, settings.state_dir / "run")
    with contextlib.ExitStack() as stack:
        stack.enter_context(daemon.running())
        lock = settings.state_dir / f".{name}.lock"
        if name in ("watch", "ship", "housekeep") and not stack.enter_context(locked(lock)):
            raise ServiceError(f"another `nightferry {name}` works on {settings.state_dir}")
        ledger = open_ledger(settings.ledger)
        spool = open_spool(settings)
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

    run_daemon("watch", config, "watch", lambda d, s, ledger, spool: Watcher(d, s, ledger, spool, config).run())


@click.command(epilog=SHIP_EXAMPLES)
@config_option
@click.argument("what", metavar="[FRAME|NIGHT]...", nargs=-1)
@click.option("--again", is_flag=True, help="No daemon: let the frames that are named be shipped again.")
@click.option("--route", "routes", multiple=True, metavar="NAME", help="With --again: on this route only.")
@json_option
def ship(config: Path, what: tuple[str, ...], again: bool, routes: tuple[str, ...], as_json: bool) -> int:
    """Ship the outbox of every route, and empty it on the receiver's word.

    With --again no daemon is started: the frames (by name, path or sha256) or all frames of a night wait once more,
    and the running daemons pack and ship them from the raw files. What is in the archive already comes back as
    `duplicate`.
    """
    if again != bool(what):
        raise click.UsageError("--again and the frames or nights to be shipped again go together")
    if again:
        from services.cli.again import ship_again

        return ship_again(config, what, routes, as_json)
    if routes:
        raise click.UsageError("--route belongs to --again")
    from services.shipper.daemon import Shipper

    run_daemon("ship", config, "routes", lambda d, s, ledger, spool: Shipper(d, s, ledger, spool, config).run())
    return 0


@click.command(epilog=RECEIVE_EXAMPLES)
@config_option
@click.option(
    "--import",
    "directory",
    default=None,
    type=click.Path(path_type=Path, file_okay=False),
    help="No daemon: take the bundles and night manifests of a disk (in any depth; the disk is only read).",
)
@json_option
def receive(config: Path, directory: Path | None, as_json: bool) -> int:
    """Verify what arrives, file it into the archive, and answer with a receipt.

    With --import the exit code is 4 when a bundle or night manifest of the disk is bad.
    """
    if directory is not None:
        from services.cli.importing import run_import

        return run_import(config, directory, as_json)
    from services.receiver.daemon import Receiver

    run_daemon("receive", config, "receive", lambda *parts: Receiver(*parts).run())
    return 0


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

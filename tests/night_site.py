"""A telescope and a data centre that share a night: bundles are carried by hand, so that tests choose what fails."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import yaml

from processors.instrument import load_instruments
from services.core.ledger import shipping
from services.core.ledger.engine import now
from services.core.ledger.nights import frames_of_night
from services.core.ledger.shipping import NewBundle
from services.core.metrics.spool import Spool
from services.core.settings import Settings, load_settings
from services.core.version import SOFTWARE
from services.nights.disk import reconcile
from services.receiver.filing import Filing
from services.receiver.nights import Nights
from services.routes.book import RouteBook
from tests.site import Site
from transfer.codecs.registry import codec_named
from transfer.pack import Bundle, RawFrame, pack
from transfer.remotes.file import FileRemote
from transfer.ship import fetch_receipt, release, ship
from transfer.signature import write_key_pair

NIGHT = "20260115"


class NightSite:
    """Both hosts with a night key, and their parts called by hand."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.site = Site(root, **options)
        self.root = root
        self.camera, self.centre, self.state = self.site.camera, self.site.centre, self.site.state
        self.state.mkdir(exist_ok=True)
        write_key_pair(root / "night_key", "test")
        self.edit("summit", watch={"settle_s": 0.0}, night={"key_file": str(root / "night_key"), "wait_s": 20.0})
        self.edit("centre", receive={"night_keys": {"summit": str(root / "night_key.pub")}})

    def edit(self, host: str, **sections: dict[str, Any]) -> None:
        """Change the settings file of a host."""
        path = self.root / f"{host}.yaml"
        settings = yaml.safe_load(path.read_text())
        for name, values in sections.items():
            settings[name] = {**settings.get(name, {}), **values}
        path.write_text(yaml.safe_dump(settings))

    def settings(self, host: str) -> Settings:
        return load_settings(self.root / f"{host}.yaml")

    def write(self, paths: Sequence[Path]) -> None:
        """The camera writes frames, a while ago."""
        for path in paths:
            shutil.copy2(path, self.camera)

    def take_in(self) -> None:
        """The watcher's work."""
        watch = self.settings("summit").watch
        assert watch is not None
        found = reconcile(watch, self.site.ledger("summit"), load_instruments(), threading.Event())
        assert found.broken == ()

    def pack(self, *, codec: str = "nfz", route: str = "centre", count: int | None = None) -> Bundle:
        """One bundle of frames that wait, in the outbox and the ledger."""
        ledger = self.site.ledger("summit")
        with ledger.begin() as conn:
            rows = shipping.waiting_for_route(conn, route, lossless=True)[:count]
            previous = shipping.last_manifest(conn, route)
        raws = [RawFrame(Path(r.path), r.name, r.size, r.sha256, r.mtime, r.identity) for r in rows]
        bundle = pack(
            raws,
            self.state / "outbox" / route,
            bundle=f"summit-{route}-{NIGHT}-{rows[0].sha256[:16]}",
            site="summit",
            route=route,
            codec=codec_named(codec),
            created=datetime.now(UTC),
            previous=previous,
            software=SOFTWARE,
        )
        manifest = bundle.manifest
        members = tuple((entry.sha256, entry.packed_sha256) for entry in manifest.frames)
        new = NewBundle(manifest.bundle, route, bundle.manifest_sha256, manifest.size, 0, True, members)
        wanting = self._wanting()
        with ledger.begin() as conn:
            shipping.add_bundle(conn, new, wanting, now())
        return bundle

    def carry(self, bundle: Bundle) -> None:
        """A bundle to the data centre, filed there, and its receipt back."""
        remote = FileRemote(self.centre)
        ship(bundle, remote)
        with self.site.ledger("summit").begin() as conn:
            shipping.advance(conn, "bundle", bundle.manifest.bundle, "sent", now=now())
        self.file(bundle.manifest.bundle)
        receipt = fetch_receipt(remote, bundle.manifest.bundle)
        assert receipt is not None
        wanting = self._wanting()
        with self.site.ledger("summit").begin() as conn:
            document = receipt.to_json().decode()
            shipping.settle_bundle(conn, receipt.bundle, receipt.verdict, document, wanting, now(), None)
        release(bundle, receipt, self.state / "shipped" / bundle.manifest.route)

    def file(self, bundle: str) -> None:
        """The receiver's work on one bundle."""
        settings = self.settings("centre")
        spool = Spool(settings.metrics_spool, "centre")
        Filing(settings, self.site.ledger("centre"), spool, lambda: None).take(bundle)
        spool.close()

    def nights(self, stop: threading.Event | None = None) -> Nights:
        """The receiver's verification of nights."""
        receive = self.settings("centre").receive
        assert receive is not None
        ledger = self.site.ledger("centre")
        stop = stop or threading.Event()
        return Nights(self.centre, self.site.archive, ledger, receive.night_keys, stop, poll_s=0.05)

    @contextlib.contextmanager
    def verifying(self) -> Iterator[None]:
        """The verification of nights runs meanwhile, in its thread, as in the receiver."""
        (self.centre / "inbox").mkdir(exist_ok=True)
        stop = threading.Event()
        nights = self.nights(stop)
        nights.start()
        try:
            yield
            nights.check()
        finally:
            stop.set()
            nights.join(10.0)

    def frames(self, host: str) -> Sequence[Any]:
        with self.site.ledger(host).begin() as conn:
            return frames_of_night(conn, NIGHT)

    def run(self, command: click.Command, *arguments: str, host: str = "summit") -> int:
        """A verb, as the command line calls it; its exit code."""
        code = command.main([*arguments, "-c", str(self.root / f"{host}.yaml")], standalone_mode=False)
        assert isinstance(code, int)
        return code

    def _wanting(self) -> Any:
        return RouteBook(self.settings("summit"), self.site.ledger("summit")).wanting()

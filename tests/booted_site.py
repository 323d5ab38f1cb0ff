"""A telescope and a data centre that are booted, and set up as systemd/README.md tells an administrator to.

The settings are those of deploy/config, with what a test cannot have taken out and waiting times cut; the servers
about them (sshd, Redis, InfluxDB, SMTP, smsd with a modem) are units of the same hosts.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.booted_servers import ASK, MAIL, MODEM, REDIS, SMSD, UNIT
from tests.fixtures.systemd import Machine, until

REPOSITORY: Final = Path(__file__).parents[1]
ETC: Final = "/etc/nightferry"
NIGHTFERRY: Final = "/usr/local/bin/nightferry"
TELESCOPE: Final = ("watch", "ship", "housekeep", "notify", "metrics")
CENTRE: Final = ("receive", "conduct", "work@1", "notify", "metrics")

_PACKAGES: Final = ("services", "processors", "transfer")
_PROGRAM: Final = "#!/opt/nightferry/bin/python\nimport sys\nfrom services.cli.main import main\nsys.exit(main())\n"
LIMITS: Final = {
    "defaults": {"stale_s": False, "persist": {"samples": 2}},
    "sources": {"cryostat": {"parameters": {"t_cold": {"unit": "K", "safe": [80, 120]}}}},
}


def install_program(place: Path) -> dict[str, Path]:
    """What pip makes of this repository, in `place`; gives the directories that a machine must see of this host.

    The libraries are those of the Python that runs the tests.
    """
    venv.create(place, with_pip=False, symlinks=True)
    site = place / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for name in _PACKAGES:
        shutil.copytree(REPOSITORY / name, site / name, ignore=shutil.ignore_patterns("__pycache__"))
    (site / "libraries.pth").write_text("/opt/libraries\n")
    program = place / "bin" / "nightferry"
    program.write_text(_PROGRAM)
    program.chmod(0o755)
    platlib = Path(sysconfig.get_path("platlib"))
    binds = {"/opt/nightferry": place, "/opt/libraries": platlib, "/mnt/repository": REPOSITORY}
    if sys.base_prefix != "/usr":
        binds[sys.base_prefix] = Path(sys.base_prefix)
    return binds


def _example(name: str) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((REPOSITORY / "deploy" / "config" / name).read_text())
    settings["alerts"] |= {"poll_s": 0.5, "group_s": 0.5}
    settings["metrics"] |= {"poll_s": 0.5}
    settings["metrics"]["influxdb"] = {
        "version": 1,
        "url": "http://influx.example.org:8086",
        "database": "nightferry",
        "user": "nightferry",
        "password": {"file": f"{ETC}/influx.password"},
    }
    settings["conditions"]["poll_s"] = 2
    return settings


def telescope_settings() -> dict[str, Any]:
    """summit.yaml without the disk, the partner, the broker and the database that are not there."""
    settings = _example("summit.yaml")
    settings["watch"] |= {"rescan_s": 5, "settle_s": 0.2}
    settings["routes"] = {"centre": settings["routes"]["centre"] | {"flush_s": 0.5, "poll_s": 0.3, "pressure": []}}
    for away in ("dome", "weather"):
        del settings["housekeep"]["sources"][away]
    return settings


def centre_settings() -> dict[str, Any]:
    """centre.yaml with a ledger of its own and the waiting times of a night that lasts a minute."""
    settings = _example("centre.yaml")
    settings["ledger"] = {"url": "sqlite:////var/lib/nightferry/ledger.sqlite"}
    settings["receive"] |= {"poll_s": 0.3, "status_s": 2}
    settings["conduct"] |= {"poll_s": 0.3, "sweep_s": 2, "sequence_quiet_s": 3, "calibration_wait_s": 6}
    settings["conduct"] |= {"min_dark": 0}
    for away in ("twilio", "modem"):
        del settings["alerts"]["channels"][away]
    settings["conditions"]["daemons"] = {"expect": ["receive", "conduct", "work", "notify", "metrics"]}
    return settings


class BootedSite:
    """Both hosts, up and set up; daemons are not enabled yet."""

    def __init__(self, telescope: Machine, centre: Machine) -> None:
        self.telescope = telescope
        self.centre = centre

    def set_up(self) -> None:
        """What the administrators of both hosts do, to the point at which `systemctl enable` comes."""
        for host in (self.telescope, self.centre):
            _open_way(host, Path(sys.base_prefix))
            hosts = host.root / "etc" / "hosts"
            hosts.write_text("127.0.0.1 localhost centre.example.org influx.example.org mail.example.org\n")
        self._servers()
        self.centre.run("/mnt/repository/deploy/install/install.sh", "centre")
        self.telescope.run("/mnt/repository/deploy/install/install.sh", "telescope")
        self._settings()
        self._keys()
        for host, role in ((self.telescope, "telescope"), (self.centre, "centre")):
            host.run("/mnt/repository/deploy/install/install.sh", role)  # which shuts the secrets

    def _servers(self) -> None:
        for host, name, code, more in (
            (self.centre, "redis-server", REDIS, ""),
            (self.centre, "mail", MAIL, ""),
            (self.telescope, "modem", MODEM, ""),
        ):
            (host.root / "opt" / f"{name}.py").write_text(code)
            unit = UNIT.format(code=f'exec(open("/opt/{name}.py").read())', more=more)
            (host.root / "etc/systemd/system" / f"{name}.service").write_text(unit)
        self.telescope.run("systemctl", "enable", "--now", "modem.service")
        (self.telescope.root / "etc/smsd.conf").write_text(SMSD)
        self.telescope.run("systemctl", "restart", "smstools.service")
        self.centre.run("ssh-keygen", "-A")
        self.centre.run("systemctl", "enable", "--now", "redis-server", "mail", "ssh", "influxdb")
        until(lambda: self.ask_influx("SHOW DATABASES"), 30, "no InfluxDB")
        for words in ("DATABASE nightferry", "USER nightferry WITH PASSWORD 'flux secret'"):
            self.ask_influx(f"CREATE {words}")
        self.ask_influx("GRANT ALL ON nightferry TO nightferry")

    def _settings(self) -> None:
        for host, name, settings in (
            (self.telescope, "summit", telescope_settings()),
            (self.centre, "centre", centre_settings()),
        ):
            etc = host.root / "etc/nightferry"
            (etc / f"{name}.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
            (etc / "smtp.url").write_text("mailto://mail.example.org:1025/?from=nf@example.org&to={to}&mode=insecure\n")
            (etc / "influx.password").write_text("flux secret\n")
        (self.telescope.root / "etc/nightferry/limits.yaml").write_text(yaml.safe_dump(LIMITS, sort_keys=False))
        (self.telescope.root / "etc/nightferry/push.token").write_text("push secret\n")
        for directory in ("raw", "housekeeping", "cryostat", "aux"):
            (self.telescope.root / "data" / directory).mkdir(parents=True)

    def _keys(self) -> None:
        here, there = self.telescope.root / "etc", self.centre.root / "etc"
        host_key = (there / "ssh/ssh_host_ed25519_key.pub").read_text().split(maxsplit=2)[:2]
        (here / "nightferry/known_hosts").write_text(f"centre.example.org {' '.join(host_key)}\n")
        key = (here / "nightferry/id_ed25519.pub").read_text()
        with (there / "ssh/nightferry/authorized_keys.nightferry-in").open("a") as keys:
            keys.write(f"restrict {key}")
        shutil.copyfile(here / "nightferry/night_key.pub", there / "nightferry/summit.pub")
        self.centre.run("systemctl", "reload", "ssh")

    def ask_influx(self, query: str) -> str:
        """InfluxQL in, JSON out; empty when there is no answer."""
        done = self.centre.attempt("/opt/nightferry/bin/python", "-c", ASK, query)
        return "" if done.returncode else done.stdout

    def start(self) -> None:
        """`systemctl enable --now` on both hosts, without waiting: a worker compiles for a minute or more."""
        for host, names in ((self.centre, CENTRE), (self.telescope, (*TELESCOPE, "endofnight"))):
            wanted = [name.replace("endofnight.service", "endofnight.timer") for name in units(names)]
            host.run("systemctl", "enable", *wanted)
            host.run("systemctl", "start", "--no-block", *wanted)


def units(names: tuple[str, ...]) -> list[str]:
    """The units of some daemons."""
    return [f"nightferry-{name}.service" for name in names]


def _open_way(host: Machine, place: Path) -> None:
    """A Python below /root is of use to nobody else."""
    for parent in place.parents:
        host.run("chmod", "o+x", str(parent))


@contextmanager
def booted_site(directory: Path) -> Iterator[BootedSite]:
    """Boot both hosts; they share a network that nobody else is in.

    Raises
    ------
    CannotBoot
        This host cannot.
    """
    binds = install_program(directory / "program")
    with (
        Machine("centre", directory / "centre", binds) as centre,
        Machine("summit", directory / "summit", binds, network=centre) as telescope,
    ):
        site = BootedSite(telescope, centre)
        site.set_up()
        yield site

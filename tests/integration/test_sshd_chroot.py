"""The receiving host as deploy/sshd/ sets it up: what the telescope's account can do, and everything that it cannot."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest

from tests.fixtures.chroot_sshd import ACCOUNT, DEPLOY, PASSWORD, RECEIVER, ChrootSshd
from tests.unit.transfer.bundles import bundle_of, camera
from transfer.errors import Refused
from transfer.remotes.base import Remote
from transfer.ship import fetch_receipt, ship

RECEIVE = """
import sys
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from transfer.receive import accept, clear_inbox, receipt_for, waiting_bundles, write_receipt
root, archive = Path("/srv/nightferry/incoming"), Path("/srv/nightferry/archive")
for bundle in waiting_bundles(root):
    accepted = accept(root, archive, bundle, place=lambda path, entry: PurePosixPath("toy/20260102"))
    receipt = receipt_for(accepted, received=datetime.now(UTC), free_bytes=1, queue_depth=0)
    write_receipt(root, receipt)
    clear_inbox(root, bundle)
    print(bundle, receipt.verdict)
"""


HOLD = """
from pathlib import Path
from services.receiver.lock import inbox_lock
with inbox_lock(Path("/srv/nightferry/incoming")) as mine:
    print(mine)
"""


@pytest.fixture(autouse=True)
def empty_inbox(chroot_sshd: ChrootSshd) -> None:
    """What a test before left there."""
    for path in (chroot_sshd.incoming / "inbox").iterdir():
        path.unlink()


@pytest.fixture
def remote(chroot_sshd: ChrootSshd) -> Iterator[Remote]:
    with chroot_sshd.remote() as remote:
        yield remote


@pytest.fixture
def raw_sftp(chroot_sshd: ChrootSshd) -> Iterator[paramiko.SFTPClient]:
    """A client that sends whatever it is told to."""
    with _connected(chroot_sshd) as ssh, ssh.open_sftp() as sftp:
        yield sftp


@pytest.fixture
def receipt(chroot_sshd: ChrootSshd) -> Iterator[Path]:
    """A receipt, as the receiver leaves it."""
    path = chroot_sshd.incoming / "receipts" / "R-1.receipt.json"
    done = chroot_sshd.inside(
        "sh", "-c", "umask 022; echo word > /srv/nightferry/incoming/receipts/R-1.receipt.json", user=RECEIVER
    )
    assert done.returncode == 0, done.stderr
    yield path
    assert path.read_text() == "word\n"
    path.unlink()


def _connected(host: ChrootSshd) -> paramiko.SSHClient:
    ssh = paramiko.SSHClient()
    ssh.load_host_keys(str(host.known_hosts))
    ssh.connect(
        "127.0.0.1",
        host.port,
        ACCOUNT,
        key_filename=str(host.key_file),
        allow_agent=False,
        look_for_keys=False,
        timeout=10,
    )
    return ssh


def test_bundles_go_in_and_their_receipts_come_back(chroot_sshd: ChrootSshd, remote: Remote, tmp_path: Path) -> None:
    """The telescope's account ships, the receiver's own user takes, publishes, answers and clears."""
    frames = camera(tmp_path / "camera")
    good, bad = (bundle_of(frames, tmp_path / "outbox", bundle=name) for name in ("C-1", "C-2"))
    bad.path.write_bytes(bad.path.read_bytes()[:-1] + b"x")
    free = remote.free_bytes()
    assert free is not None
    assert free > 0
    assert fetch_receipt(remote, "C-1") is None
    for bundle in (good, bad, good):  # once more, after an answer that was lost on the way
        ship(bundle, remote)
    assert remote.list("inbox") == ("C-1.json", "C-1.nfb", "C-2.json", "C-2.nfb")

    done = chroot_sshd.python(RECEIVE, user=RECEIVER)

    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["C-1 accepted", "C-2 corrupt"]
    assert remote.list("inbox") == ()
    for name, verdict in (("C-1", "accepted"), ("C-2", "corrupt")):
        answer = fetch_receipt(remote, name)
        assert answer is not None
        assert answer.verdict == verdict
    for frame in frames:
        published = chroot_sshd.base / "archive" / "toy" / "20260102" / frame.name
        assert published.read_bytes() == frame.path.read_bytes()
        assert stat.S_IMODE(published.stat().st_mode) == 0o444
    kept = chroot_sshd.incoming / "quarantine" / "C-2"
    assert {path.name for path in kept.iterdir()} == {"C-2.json", "C-2.nfb", "reason.txt"}


def test_every_call_of_a_remote_is_allowed(chroot_sshd: ChrootSshd, remote: Remote, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(os.urandom(300_000))
    inbox = chroot_sshd.incoming / "inbox"
    remote.put(local, "inbox/X.nfb")
    os.truncate(inbox / "X.nfb", 100_000)
    (inbox / "X.nfb").rename(inbox / "X.nfb.part")  # as if the transfer had been cut
    remote.put(local, "inbox/X.nfb")
    remote.put(local, "inbox/X.nfb")  # in place of the first
    assert (inbox / "X.nfb").read_bytes() == local.read_bytes()
    there = remote.stat("inbox/X.nfb")
    assert there is not None
    assert there.size == 300_000
    assert remote.get_small("inbox/X.nfb") == local.read_bytes()
    remote.remove("inbox/X.nfb")
    remote.remove("inbox/X.nfb")
    remote.put(local, "inbox/X.nfb")
    status = (inbox / "X.nfb").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o640, inbox.stat().st_gid)
    remote.remove("inbox/X.nfb")
    assert remote.list("inbox") == ()
    assert remote.list("nothing") == ()


def test_what_a_remote_may_not_do_is_refused_by_name(remote: Remote, receipt: Path, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"mine")
    for name in ("receipts/R-1.receipt.json", "receipts/new", "outside", "other/deep", "quarantine/x"):
        with pytest.raises(Refused):
            remote.put(local, name)
    with pytest.raises(Refused):
        remote.remove("receipts/R-1.receipt.json")
    assert remote.get_small("receipts/R-1.receipt.json") == b"word\n"


@pytest.mark.parametrize(
    "line",
    [
        "ln -s /etc/passwd inbox/L.json",
        "ln -s ../receipts/R-1.receipt.json inbox/L.json",
        "ln receipts/R-1.receipt.json inbox/L.json",
        "mkdir inbox/L.json",
        "mkdir L",
        "rmdir inbox",
        "chmod 666 inbox",
        "chmod 600 inbox/mine",
        "rename inbox/mine receipts/mine",
        "rename inbox L",
        "rename receipts L",
        "rename receipts/R-1.receipt.json inbox/L.json",
        "rm receipts/R-1.receipt.json",
        "put /etc/hostname receipts/R-1.receipt.json",
        "put /etc/hostname receipts/L",
        "put /etc/hostname L",
        "put /etc/hostname ../L",
        "put /etc/hostname inbox/../../L",
        "get /etc/passwd {tmp}/L",
        "get ../../../etc/passwd {tmp}/L",
        "get ../archive {tmp}/L",
        "ls -l quarantine",
        "put -p /etc/hostname inbox/../receipts/L",
        "cp inbox/mine inbox/L",
    ],
)
def test_an_sftp_client_is_refused(chroot_sshd: ChrootSshd, receipt: Path, tmp_path: Path, line: str) -> None:
    done = chroot_sshd.sftp("put /etc/hostname inbox/mine", line.format(tmp=tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    inbox = chroot_sshd.incoming / "inbox"
    assert sorted(path.name for path in chroot_sshd.incoming.iterdir()) == ["inbox", "quarantine", "receipts"]
    assert [path.name for path in inbox.iterdir()] == ["mine"]
    assert not (receipt.parent / "L").exists()
    assert stat.S_IMODE(inbox.stat().st_mode) == 0o2770
    assert list(tmp_path.iterdir()) == []
    assert not (chroot_sshd.base / "L").exists()


def test_the_root_of_the_account_is_the_chroot(chroot_sshd: ChrootSshd, raw_sftp: paramiko.SFTPClient) -> None:
    assert raw_sftp.normalize(".") == "/"
    assert raw_sftp.normalize("../../..") == "/"
    names = ["inbox", "quarantine", "receipts"]
    assert sorted(raw_sftp.listdir("/")) == sorted(raw_sftp.listdir("/../..")) == names
    for path in ("/etc/passwd", "../../etc/passwd", "/srv/nightferry/archive", "../archive", "/proc/self/root"):
        with pytest.raises(FileNotFoundError):
            raw_sftp.stat(path)


def test_requests_that_no_client_of_ours_sends_are_refused(raw_sftp: paramiko.SFTPClient, receipt: Path) -> None:
    with raw_sftp.open("inbox/mine", "wb") as file:
        file.write(b"mine")
    for name in ("inbox", "receipts", "receipts/R-1.receipt.json"):  # by their handles, which is allowed for own files
        with raw_sftp.open(name, "rb") as file, pytest.raises(PermissionError):
            file.chmod(0o777)
    refused: list[Callable[[], object]] = [
        lambda: raw_sftp.symlink("/etc/passwd", "inbox/L.json"),
        lambda: raw_sftp.readlink("inbox/mine"),
        lambda: raw_sftp.rename("inbox/mine", "inbox/L"),  # this one makes a hard link
        lambda: raw_sftp.chmod("inbox/mine", 0o777),
        lambda: raw_sftp.chown("inbox/mine", 0, 0),
        lambda: raw_sftp.truncate("inbox/mine", 1 << 40),
        lambda: raw_sftp.utime("inbox/mine", (0, 0)),
        lambda: raw_sftp.mkdir("inbox/L"),
        lambda: raw_sftp.rmdir("inbox"),
        lambda: raw_sftp.posix_rename("receipts/R-1.receipt.json", "inbox/L"),
        lambda: raw_sftp.open("receipts/R-1.receipt.json", "r+b"),
        lambda: raw_sftp.open("receipts/R-1.receipt.json", "ab"),
        lambda: raw_sftp.listdir("quarantine"),
    ]
    for attempt in refused:
        with pytest.raises(PermissionError):
            attempt()
    assert raw_sftp.listdir("inbox") == ["mine"]


@pytest.mark.parametrize("options", [[], ["-tt"]])
@pytest.mark.parametrize("command", [[], ["id"], ["touch", "/inbox/ran"], ["/bin/sh", "-c", "id"]])
def test_no_shell_and_no_command(chroot_sshd: ChrootSshd, options: list[str], command: list[str]) -> None:
    done = chroot_sshd.ssh(options, *command)
    assert "uid=" not in done.stdout + done.stderr
    assert not (chroot_sshd.incoming / "inbox" / "ran").exists()
    if options:
        assert "PTY allocation request failed" in done.stderr


def test_no_scp_of_the_old_kind(chroot_sshd: ChrootSshd, tmp_path: Path) -> None:
    where = ["-P", str(chroot_sshd.port), f"{ACCOUNT}@127.0.0.1:/etc/passwd", str(tmp_path)]
    done = subprocess.run(["scp", "-O", *chroot_sshd.options(), *where], check=False, capture_output=True, timeout=30)
    assert done.returncode != 0
    assert list(tmp_path.iterdir()) == []


def test_no_tcp_forwarding(chroot_sshd: ChrootSshd) -> None:
    with _connected(chroot_sshd) as ssh, socket.create_server(("127.0.0.1", 0)) as listening:
        transport = ssh.get_transport()
        assert transport is not None
        with pytest.raises(paramiko.ChannelException, match="prohibited"):
            transport.open_channel("direct-tcpip", listening.getsockname(), ("127.0.0.1", 1), timeout=10)
        with pytest.raises(paramiko.SSHException):
            transport.request_port_forward("127.0.0.1", 0)


@pytest.mark.parametrize("way", ["-Rlocalhost:0:127.0.0.1:22", "-R/inbox/s:127.0.0.1:22"])
def test_no_listening_for_us(chroot_sshd: ChrootSshd, way: str) -> None:
    done = chroot_sshd.ssh(["-N", "-o", "ExitOnForwardFailure=yes", way])
    assert done.returncode == 255
    assert "forwarding failed" in done.stderr or "forwarding request failed" in done.stderr


def test_no_way_to_a_socket_of_the_host(chroot_sshd: ChrootSshd, tmp_path: Path) -> None:
    """Local forwarding fails when it is used: nobody ever connects to the listening side."""
    control, near = tmp_path / "control", tmp_path / "near"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(chroot_sshd.base / "socket"))
        (chroot_sshd.base / "socket").chmod(0o777)
        listening.listen()
        master = ["-f", "-N", "-M", "-S", str(control), "-E", str(tmp_path / "log")]
        started = chroot_sshd.ssh([*master, f"-L{near}:/srv/nightferry/socket"])
        assert started.returncode == 0, started.stderr
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(str(near))
                assert client.recv(100) == b""
        finally:
            chroot_sshd.ssh(["-S", str(control), "-O", "exit"])
        assert "open failed" in (tmp_path / "log").read_text(encoding="utf-8")
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
    (chroot_sshd.base / "socket").unlink()


def test_no_agent_no_x11_no_environment(chroot_sshd: ChrootSshd) -> None:
    with _connected(chroot_sshd) as ssh:
        transport = ssh.get_transport()
        assert transport is not None
        channel = transport.open_session(timeout=10)
        with pytest.raises(paramiko.SSHException):
            channel.request_x11()
    effective = _effective(chroot_sshd, ACCOUNT)
    assert effective["allowagentforwarding"] == effective["x11forwarding"] == effective["permittunnel"] == "no"
    assert effective["permituserenvironment"] == effective["permituserrc"] == "no"


def test_no_password(chroot_sshd: ChrootSshd) -> None:
    for method in ("auth_password", "auth_interactive"):
        with paramiko.Transport(("127.0.0.1", chroot_sshd.port)) as transport:
            transport.start_client(timeout=10)
            with pytest.raises(paramiko.BadAuthenticationType) as refused:
                if method == "auth_password":
                    transport.auth_password(ACCOUNT, PASSWORD, fallback=False)
                else:
                    transport.auth_interactive(ACCOUNT, lambda *_: [PASSWORD])
            assert refused.value.allowed_types == ["publickey"]


def test_no_other_key_and_no_other_user_by_this_key(chroot_sshd: ChrootSshd) -> None:
    with chroot_sshd.remote(RECEIVER) as remote, pytest.raises(Refused):
        remote.list("inbox")
    with chroot_sshd.remote("root") as remote, pytest.raises(Refused):
        remote.list("inbox")


def test_the_account_can_change_neither_its_keys_nor_its_directories(chroot_sshd: ChrootSshd) -> None:
    for command in (
        "echo x >> /etc/ssh/nightferry/authorized_keys.nightferry-in",
        "touch /etc/ssh/nightferry/x",
        "touch /srv/nightferry/incoming/x",
        "touch /srv/nightferry/incoming/receipts/x",
        "ls /srv/nightferry/incoming/quarantine",
        "touch /srv/nightferry/archive/x",
    ):
        assert chroot_sshd.inside("sh", "-c", command, user=ACCOUNT).returncode != 0, command


def test_the_drop_in_binds_its_account_and_nobody_else(chroot_sshd: ChrootSshd) -> None:
    ours, others = _effective(chroot_sshd, ACCOUNT), _effective(chroot_sshd, "root")
    assert ours["chrootdirectory"] == "/srv/nightferry/incoming"
    assert ours["authenticationmethods"] == "publickey"
    assert (others["chrootdirectory"], others["forcecommand"], others["maxauthtries"]) == ("none", "none", "5")
    assert others["allowtcpforwarding"] == "yes"
    installed = chroot_sshd.inside("cat", "/etc/ssh/sshd_config.d/nightferry.conf").stdout
    assert installed == (DEPLOY / "nightferry.conf").read_text(encoding="utf-8")


def test_installing_again_changes_nothing_and_a_dry_run_never_does(chroot_sshd: ChrootSshd) -> None:
    again = (chroot_sshd.root / "install-again.log").read_text(encoding="utf-8")
    changes = [line for line in again.splitlines() if line.startswith("+ ")]
    assert len(changes) == 2
    assert all("sshd" in line for line in changes)  # it only asks sshd what holds
    host = subprocess.run(
        [str(DEPLOY / "install.sh"), "--dry-run"], check=False, capture_output=True, text=True, timeout=30
    )
    assert host.returncode == 0, host.stderr
    first = (chroot_sshd.root / "install.log").read_text(encoding="utf-8")
    assert "+ useradd --system --gid nightferry-in" in first
    assert subprocess.run([str(DEPLOY / "install.sh"), "--fast"], check=False, capture_output=True).returncode == 1


def test_a_drop_in_that_sshd_does_not_obey_is_said(chroot_sshd: ChrootSshd, tmp_path: Path) -> None:
    """A main file that includes nothing: install.sh must not end as if all were well."""
    edited = 'sed 1d /etc/ssh/sshd_config > "$1"; mount --bind "$1" /etc/ssh/sshd_config; exec "$2"'
    done = chroot_sshd.inside(
        *("unshare", "--mount", "--propagation", "private", "sh", "-euc", edited),
        *("sh", str(tmp_path / "edited"), str(DEPLOY / "install.sh")),
    )
    assert done.returncode == 1
    assert "does not obey nightferry.conf" in done.stderr


def _effective(host: ChrootSshd, user: str) -> dict[str, str]:
    done = host.inside("/usr/sbin/sshd", "-T", "-C", f"user={user},host=localhost,addr=127.0.0.1")
    assert done.returncode == 0, done.stderr
    lines = (line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    return {key: value for key, value in lines}


def test_the_receiver_holds_the_inbox_of_a_root_that_is_not_its_own(chroot_sshd: ChrootSshd) -> None:
    done = chroot_sshd.python(HOLD, user=RECEIVER)
    assert done.stdout == "True\n", done.stderr

"""SMS through a modem of our own: the spool directory of smstools3 (smsd), without network or foreign service.

A message is a file: smsd moves it from `outgoing` to `checked`, a modem's process sends it from there and files it in
`sent` or `failed`. Who works on `checked/NAME` holds `checked/NAME.LOCK`, made with O_EXCL; we keep to that, so that a
message is either sent by smsd or taken back by us, never both.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import struct
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from services.alerts.channels.errors import ChannelRefused, ChannelUnreachable
from services.alerts.message import Message

_DIRECTORIES: Final = ("outgoing", "checked", "sent", "failed")
_POLL_S: Final = 0.1
_BEGUN: Final = 2 / 3  # of the time limit, in which a modem must have begun; then it has the rest to end
# +CMS ERROR numbers (3GPP TS 24.011, annex E-2) that say no to the receiver or the subscription, not to the moment.
_NO: Final = frozenset((1, 8, 10, 21, 28, 29, 30, 50, 69))
Place = Literal["outgoing", "checked", "sent", "failed", "nowhere"]


def missing_directories(spool: Path) -> Iterator[Path]:
    """Directories of the spool that are not there, or into which we may not write."""
    for name in _DIRECTORIES:
        path = spool / name
        if not (path.is_dir() and os.access(path, os.R_OK | os.W_OK | os.X_OK)):
            yield path


def stuck_directories(spool: Path) -> Iterator[Path]:
    """Directories in which the sticky bit keeps us from removing what smsd, another user, has put there."""
    for name in ("checked", "failed"):
        with contextlib.suppress(OSError):
            path = spool / name
            found = path.stat()
            if found.st_mode & stat.S_ISVTX and os.geteuid() not in (0, found.st_uid):
                yield path


def send_by_smstools(spool: Path, address: str, message: Message, timeout_s: float) -> None:
    """Hand an SMS to smsd and wait until a modem has sent it.

    A message with a key that smsd has sent already, or still holds, is not handed over again.

    Raises
    ------
    ChannelRefused
        smsd or the network said no to the message or its receiver.
    ChannelUnreachable
        No modem began with the message within two thirds of `timeout_s` seconds: it has been taken back. Or a modem
        has begun and has not ended in time, or could not send it. Or the spool is not there.
    """
    missing = [str(path) for path in missing_directories(spool)]
    if missing:
        raise ChannelUnreachable(f"smstools: expected directories that we may write to: {', '.join(missing)}")
    if not re.fullmatch(r"\+?\d{5,15}", address):
        raise ChannelRefused("the person's address is no phone number")
    name = f"nightferry-{hashlib.sha256(message.key.encode()).hexdigest()[:24] if message.key else uuid.uuid4().hex}"
    try:
        if _place(spool, name) in ("nowhere", "failed"):
            _set_aside(spool, name)
            _write(spool, name, address, message.sms)
        _follow(spool, name, timeout_s)
    except OSError as error:
        raise ChannelUnreachable(f"smstools: {error.strerror}: {error.filename}") from None


def _write(spool: Path, name: str, address: str, text: str) -> None:
    # smsd passes over whatever ends in .LOCK, so it never sees half of a message.
    half = spool / "outgoing" / f"{name}.LOCK"
    half.write_text(f"To: {address.removeprefix('+')}\nAlphabet: UTF-8\n\n{text}", encoding="utf-8")
    half.chmod(0o660)  # smsd may be another user of the same group,
    _let_in(half, (spool / "outgoing").stat().st_uid)  # ... or of none of its groups, as on Debian
    half.rename(spool / "outgoing" / name)


def _let_in(path: Path, uid: int) -> None:
    """Let one more user read and write a file of ours; on a file system without access lists nothing changes.

    The list is the kernel's (linux/posix_acl_xattr.h): a version, then tag, rights and id of every entry.
    """
    nobody = 0xFFFFFFFF
    entries = ((0x01, 6, nobody), (0x02, 6, uid), (0x04, 6, nobody), (0x10, 6, nobody), (0x20, 0, nobody))
    if uid in (0, os.geteuid()):
        return
    with contextlib.suppress(OSError):
        listed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + listed)


def _follow(spool: Path, name: str, timeout_s: float) -> None:
    begin = time.monotonic()
    pause = threading.Event()
    while True:
        place = _place(spool, name)
        if place == "sent":
            return
        if place == "failed" and not _locked(spool / "failed" / name):
            _fail(spool, name)
        waited = time.monotonic() - begin
        if waited >= timeout_s * _BEGUN and _taken_back(spool, name):
            raise ChannelUnreachable(f"smstools: no modem took the message within {waited:.0f} s; taken back")
        if waited >= timeout_s:
            state = "a modem holds the message" if place == "checked" else f"the message is {place} in the spool"
            raise ChannelUnreachable(f"smstools: {state} after {waited:.0f} s; it may go out yet")
        pause.wait(_POLL_S)


def _place(spool: Path, name: str) -> Place:
    """Where the message is; looked for in the order of its way, so that it cannot slip past."""
    places: tuple[Place, ...] = ("outgoing", "checked", "sent", "failed")
    return next((place for place in places if (spool / place / name).exists()), "nowhere")


def _locked(path: Path) -> bool:
    return path.with_name(f"{path.name}.LOCK").exists()


def _taken_back(spool: Path, name: str) -> bool:
    """Take the message out of smsd's hands; False when it is being moved or sent, or is through already.

    smsd locks the place in `checked` before it opens the file in `outgoing`, and copies it. So the file in `outgoing`
    goes first; when the lock is free after that, no copy is on its way.
    """
    ours = _removed(spool / "outgoing" / name)
    checked = spool / "checked" / name
    lock = checked.with_name(f"{name}.LOCK")
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    except FileExistsError:
        return False
    try:
        ours = _removed(checked) or ours
    finally:
        lock.unlink(missing_ok=True)
    return ours and _place(spool, name) == "nowhere"


def _removed(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError, PermissionError):  # see stuck_directories
        path.unlink()
        return True
    return False


def _set_aside(spool: Path, name: str) -> None:
    """An earlier attempt that failed keeps its file, under a name of its own."""
    failed = spool / "failed" / name
    if failed.exists():
        failed.rename(failed.with_name(f"{name}-{failed.stat().st_mtime_ns}"))


def _fail(spool: Path, name: str) -> None:
    head = (spool / "failed" / name).read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    found = re.search(r"^Fail_reason:\s*(.+)$", head, re.MULTILINE)
    reason = found[1].strip()[:200] if found else "no reason given"
    by_modem = re.search(r"^Modem:", head, re.MULTILINE) is not None
    number = re.search(r"\+CMS ERROR: (\d+)", reason)
    refused = int(number[1]) in _NO if number else not by_modem
    raise (ChannelRefused if refused else ChannelUnreachable)(f"smstools: {reason}")

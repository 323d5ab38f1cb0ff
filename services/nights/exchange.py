"""A night manifest to the receivers of all complete routes, and their answers back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from services.core.daemon import Backoff
from services.core.route_settings import RouteSettings
from services.nights.seal import Sealed
from transfer.errors import BadDocument, TransferError, Unreachable
from transfer.night import night_stem
from transfer.night_answer import NightAnswer
from transfer.remotes.base import Remote
from transfer.remotes.open import open_remote

Connect = Callable[[RouteSettings], Remote]


def connect(route: RouteSettings) -> Remote:
    """The remote of a route; nothing is connected yet."""
    return open_remote(route.url, key_file=route.key_file, known_hosts=route.known_hosts, timeout_s=route.timeout_s)


@dataclass(frozen=True)
class Reply:
    """What came of sending a night manifest on a route: the answer, or why there is none (yet)."""

    route: str
    sent: bool
    answer: NightAnswer | None
    trouble: str | None = None


def look(remote: Remote, sealed: Sealed) -> tuple[bool, NightAnswer | None]:
    """Whether this very night manifest is still in the inbox, and if not, its answer.

    The receiver takes the manifest out of its inbox when its answer is written, so one that is still there is being
    verified, and an answer beside it would be of an earlier time. Errors of `Remote`; BadDocument for a bad answer.
    """
    stem = sealed.manifest.stem
    if remote.stat(f"inbox/{stem}.night") is not None:
        return True, None
    data = remote.get_small(f"receipts/{stem}.night.json")
    answer = None if data is None else NightAnswer.from_json(data)
    return False, answer if answer is not None and answer.night_sha256 == sealed.sha256 else None


def revisions_taken(remote: Remote, site: str, night: str) -> int:
    """How many revisions of a night the receiver has answered: asked when this ledger has none on record."""
    revision = 0
    while remote.stat(f"receipts/{night_stem(site, night, revision + 1)}.night.json") is not None:
        revision += 1
    return revision


def exchange(
    sealed: Sealed,
    route: str,
    settings: RouteSettings,
    *,
    wait_s: float,
    stop: threading.Event,
    on_wait: Callable[[str], None] = lambda _: None,
) -> Reply:
    """Send a night manifest on one route and wait for its answer, for at most `wait_s` (0: send, and ask once).

    One that was sent by an earlier run and is still in the inbox, or answered since, is not sent again.
    """
    reply = Reply(route, False, None)
    deadline = time.monotonic() + wait_s
    backoff = Backoff(1.0, 30.0)
    remote = connect(settings)
    try:
        while True:
            pause_s = settings.poll_s
            try:
                reply = _step(remote, sealed, reply)
                backoff.reset()
            except TransferError as error:
                reply = replace(reply, trouble=f"{type(error).__name__}: {error}")
                remote.close()
                if not isinstance(error, Unreachable | BadDocument):
                    return reply  # only a person helps: a key, a permission, a full disk
                pause_s = backoff.next_s()
            if reply.answer is not None or time.monotonic() + pause_s > deadline or stop.wait(pause_s):
                return reply
            on_wait(reply.trouble or f"{route}: sent, no answer yet")
    finally:
        remote.close()


def _step(remote: Remote, sealed: Sealed, reply: Reply) -> Reply:
    if reply.sent or sealed.state == "sent":
        waiting, answer = look(remote, sealed)
        if waiting or answer is not None:
            return Reply(reply.route, True, answer)
        if reply.sent:
            return replace(reply, trouble="it was taken from the inbox without an answer: see the receiver's log")
    remote.put(sealed.path, f"inbox/{sealed.path.name}")
    return Reply(reply.route, True, look(remote, sealed)[1])


def state_of(replies: Mapping[str, Reply]) -> str:
    """The state of a night manifest, by what the receivers said: the worst word counts, silence before `verified`."""
    verdicts = {reply.answer.verdict for reply in replies.values() if reply.answer is not None}
    for worst in ("refused", "holes"):
        if worst in verdicts:
            return worst
    if replies and all(reply.answer is not None for reply in replies.values()):
        return "verified"
    return "sent" if any(reply.sent for reply in replies.values()) else "sealed"


def answers_text(replies: Mapping[str, Reply]) -> str | None:
    """The answers as the ledger keeps them: a JSON object by route; None when there are none."""
    answers = {
        route: json.loads(reply.answer.to_json()) for route, reply in replies.items() if reply.answer is not None
    }
    return json.dumps(answers, sort_keys=True) if answers else None


def read_answers(text: str | None) -> dict[str, NightAnswer]:
    """The inverse of `answers_text`; answers that cannot be read are left out."""
    found = {}
    for route, document in (json.loads(text) if text else {}).items():
        try:
            found[route] = NightAnswer.from_json(json.dumps(document).encode())
        except BadDocument:
            continue
    return found

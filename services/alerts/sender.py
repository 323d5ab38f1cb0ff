"""Messages go out in threads of their own, each attempt with a time limit: a channel that hangs holds up nobody."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.alerts.delivery import KINDS, Answer, Job, Outcome, Try
from services.alerts.message_templates import Templates, load_templates
from services.core.alert_settings import AlertSettings, Channel
from services.core.log import get_logger

_WORKERS: Final = 2  # of each kind: mails that hang do not hold up an SMS
_MOST_STUCK: Final = 2  # attempts of a channel that may hang before nobody asks it any more
_SPARE_S: Final = 5.0  # a channel bounds itself by the time limit; the thread is left behind only when that fails


_Jobs = queue.SimpleQueue[tuple[Job, queue.SimpleQueue[Outcome]]]


@dataclass(frozen=True)
class Words:
    """What every message of a site says, and where its link leads."""

    site: str
    dashboard_url: str | None
    templates: Templates

    @classmethod
    def of(cls, site: str, settings: AlertSettings) -> Words:
        """The words of a site's settings.

        Raises
        ------
        BadSettings
            A template of the site's own is wrong.
        """
        return cls(site, settings.dashboard_url, load_templates(settings.templates))


class Sender:
    """Takes jobs and gives outcomes; never blocks its caller.

    Failover happens within one attempt: the channels of the message's kind are asked in the order of the settings until
    one takes it.
    """

    def __init__(self, settings: AlertSettings, words: Words, on_outcome: Callable[[], None]) -> None:
        self._settings = settings
        self._words = words
        self._on_outcome = on_outcome
        self._jobs: dict[str, _Jobs] = {kind: queue.SimpleQueue() for kind in KINDS}
        self._stuck: dict[str, list[threading.Thread]] = {}
        self._open = dict.fromkeys(KINDS, 0)
        self._lock = threading.Condition()
        for kind in KINDS:
            for number in range(_WORKERS):
                threading.Thread(target=self._work, args=(kind,), name=f"{kind}-{number}", daemon=True).start()

    def submit(self, job: Job, outcomes: queue.SimpleQueue[Outcome]) -> None:
        """Send a message; what becomes of it is put into `outcomes`."""
        with self._lock:
            self._open[job.kind] += 1
        self._jobs[job.kind].put((job, outcomes))

    def use(self, settings: AlertSettings, words: Words) -> None:
        """Other settings from the next message on."""
        self._settings, self._words = settings, words

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait for what is on its way; False when something still is."""
        with self._lock:
            return self._lock.wait_for(lambda: not any(self._open.values()), timeout_s)

    def free(self) -> dict[str, int]:
        """How many more messages of each kind would be sent at once."""
        with self._lock:
            return {kind: max(0, _WORKERS - number) for kind, number in self._open.items()}

    def _work(self, kind: str) -> None:
        while True:
            job, outcomes = self._jobs[kind].get()
            try:
                outcome = self.deliver(job)
            except Exception as error:  # noqa: BLE001  no thread, no memory: a worker that died would send nothing more
                get_logger().exception("message not sent", key=job.key)
                outcome = Outcome(job, (Try("-", "unreachable", 0.0, f"{type(error).__name__}: {error}"),))
            outcomes.put(outcome)
            with self._lock:
                self._open[kind] -= 1
                self._lock.notify_all()
            self._on_outcome()

    def deliver(self, job: Job) -> Outcome:
        """Ask one channel after the other to take a message; any error is an answer."""
        person = self._settings.people.get(job.person)
        address = person.address(job.kind) if person is not None else None
        tries: list[Try] = []
        for name, channel in self._settings.channels_of(job.kind).items() if address else ():
            tries.append(self.ask(name, channel, str(address), job))
            if tries[-1].answer == "sent":
                break
        return Outcome(job, tuple(tries))

    def ask(self, name: str, channel: Channel, address: str, job: Job) -> Try:
        """Ask one channel; it is unreachable when it has not answered in time.

        The message is written before the time runs: a picture that takes long on a busy host is no channel that hangs.
        A message given up while it was written would go out later all the same, and its repeat too.
        """
        limit_s = self._settings.send_timeout_s
        stuck = [thread for thread in self._stuck.get(name, []) if thread.is_alive()]
        self._stuck[name] = stuck
        if len(stuck) >= _MOST_STUCK:
            return Try(name, "unreachable", 0.0, f"{len(stuck)} messages hang in it")
        message = message_of(job, self._words)
        started = time.monotonic()
        answers: queue.SimpleQueue[tuple[Answer, str]] = queue.SimpleQueue()
        thread = threading.Thread(
            target=lambda: answers.put(_send(channel, address, job, message, limit_s)), daemon=True
        )
        thread.start()
        answer: Answer
        try:
            answer, reason = answers.get(timeout=limit_s + _SPARE_S)
        except queue.Empty:
            self._stuck[name] = [*stuck, thread]
            answer, reason = "unreachable", f"no answer within {limit_s + _SPARE_S:g} s"
        seconds = round(time.monotonic() - started, 3)
        get_logger().info(
            "message", key=job.key, channel=name, answer=answer, reason=reason, seconds=seconds, attempt=job.attempt
        )
        return Try(name, answer, seconds, reason)


def _send(channel: Channel, address: str, job: Job, message: Any, limit_s: float) -> tuple[Answer, str]:
    from services.alerts.channels.errors import ChannelRefused, ChannelUnreachable
    from services.alerts.channels.registry import send

    try:
        send(channel, job.kind, address, message, limit_s)
    except ChannelUnreachable as error:
        return "unreachable", str(error)
    except ChannelRefused as error:
        return "refused", str(error)
    except Exception as error:  # noqa: BLE001  a defect in one channel must not silence the others
        get_logger().exception("channel failed", key=job.key)
        return "unreachable", f"{type(error).__name__}: {error}"
    return "sent", ""


def message_of(job: Job, words: Words) -> Any:
    """The message of a job in all its forms."""
    from services.alerts.message import compose
    from services.alerts.message_facts import AlertView
    from services.alerts.message_kinds import SUBJECT_WORD

    now = time.time()
    what: Any = job.what if job.what in SUBJECT_WORD else "raised"
    if (
        what in ("raised", "worse", "repeat", "escalated")
        and job.documents
        and all(_over(item) for item in job.documents)
    ):
        what = "resolved"  # it waited for so long that all of it is over
    picture = job.kind == "mail"
    # Two sites may have an alert of the same name, and share a receiver, or a modem's spool.
    rest = (words.site, words.dashboard_url, now, words.templates, f"{words.site}:{job.key}", picture)
    try:
        return compose(what, job.person, [AlertView.of(document) for document in job.documents], *rest)
    except Exception:  # noqa: BLE001  details that break the writing of a message: the plain words go out all the same
        get_logger().exception("message written without details", key=job.key)
        plain = [AlertView.of({**document, "details": {}}) for document in job.documents]
        return compose(what, job.person, plain, *rest)


def _over(document: Mapping[str, Any]) -> bool:
    return document.get("resolved_at") is not None

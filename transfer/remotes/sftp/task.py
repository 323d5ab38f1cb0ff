"""Scripts: what is asked of a server step by step, written as generators, and what drives them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from transfer.errors import TransferError
from transfer.remotes.sftp import wire

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Until:
    """What a script waits for when it does not wait for replies."""

    ready: Callable[[], bool]


Step = Sequence[wire.Request] | Until
Script = Generator[Step, list[wire.Reply], T]  # yields flights of requests, gets their replies; never blocks


class Asked(Protocol):
    """What takes requests: a session."""

    def begin(self, request: wire.Request, answered: Callable[[wire.Reply], None]) -> None: ...


class Task(Generic[T]):
    """A script that runs on a session (every call with the board's lock held)."""

    def __init__(
        self, session: Asked, script: Script[T], ended: Callable[[T | None, TransferError | OSError | None], None]
    ) -> None:
        self._session = session
        self._script = script
        self._ended = ended
        self._until: Until | None = None
        self._cancelled = False

    def start(self) -> None:
        """Take the first step."""
        self._step(None)

    def poke(self) -> None:
        """Something happened that the script may be waiting for."""
        if self._until is not None and self._until.ready():
            self._until = None
            self._step([])

    def cancel(self) -> None:
        """Go no further."""
        self._cancelled = True

    def _step(self, replies: list[wire.Reply] | None) -> None:
        if self._cancelled:
            return
        try:
            step = next(self._script) if replies is None else self._script.send(replies)
        except StopIteration as end:
            self._ended(end.value, None)
        except (TransferError, OSError) as error:
            self._ended(None, error)
        else:
            if isinstance(step, Until):
                self._until = step
                self.poke()
            else:
                self._fly(step)

    def _fly(self, flight: Sequence[wire.Request]) -> None:
        replies: dict[int, wire.Reply] = {}

        def answer_to(place: int) -> Callable[[wire.Reply], None]:
            def answered(reply: wire.Reply) -> None:
                replies[place] = reply
                if len(replies) == len(flight):
                    self._step([replies[each] for each in range(len(flight))])

            return answered

        for place, request in enumerate(flight):
            self._session.begin(request, answer_to(place))

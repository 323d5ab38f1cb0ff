"""Asking what may never answer: a disk of a server that is gone, an address of another host."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Silent(Exception):
    """No answer in time; the question still hangs, and is not asked again before it is answered."""


class Patience(Generic[T]):
    """Questions by name, each in a thread of its own: one that hangs (a dead NFS server) stops nobody."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._hanging: dict[str, threading.Thread] = {}

    def ask(self, name: str, question: Callable[[], T]) -> T:
        """The answer.

        Raises
        ------
        Silent
            There is none in time.
        Exception
            Whatever the question raises.
        """
        before = self._hanging.get(name)
        if before is not None and before.is_alive():
            raise Silent(f"has not answered for more than {self._timeout_s:.0f} s")
        answer: list[Any] = []

        def run() -> None:
            try:
                answer.append((question(), None))
            except Exception as error:  # noqa: BLE001  raised in the asking thread below
                answer.append((None, error))

        thread = self._hanging[name] = threading.Thread(target=run, name=f"ask-{name}", daemon=True)
        thread.start()
        thread.join(self._timeout_s)
        if not answer:
            raise Silent(f"has not answered for {self._timeout_s:.0f} s")
        value, error = answer[0]
        if error is not None:
            raise error
        found: T = value
        return found

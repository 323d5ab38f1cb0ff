"""Signals, heard without a lock."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Iterable


def listen(numbers: Iterable[int], tell: Callable[[int], None]) -> Callable[[], None]:
    """Call `tell(number)` for every signal of these that arrives, in a thread of its own.

    Python runs a handler in the main thread between any two of its steps, also while that thread is inside
    `Event.set`, `Event.clear` or the beginning of `Event.wait` and holds the event's lock. A handler that sets this
    event waits for itself then, for ever. So the handler only puts the number into a `SimpleQueue`, the one queue of
    the standard library that may be interrupted by itself.

    Returns
    -------
    Callable[[], None]
        Ends the thread, and brings back the handlers of before.
    """
    arrived: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def work() -> None:
        while (number := arrived.get()) is not None:
            tell(number)

    threading.Thread(target=work, name="signals", daemon=True).start()
    before = {number: signal.signal(number, lambda number, _: arrived.put(number)) for number in numbers}

    def undo() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        arrived.put(None)

    return undo

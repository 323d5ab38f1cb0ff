"""A daemon that kills itself with SIGKILL at a named step: `python -m tests.crash MODULE:NAME:WHEN:COUNT VERB -c FILE`.

NAME is a function or `Class.method` of MODULE, WHEN `before` or `after`, COUNT the number of the call that is the last.
With `:SIGSTOP` behind COUNT it stands still there, all its threads, until somebody sends SIGCONT.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from typing import Any


def arm(point: str) -> None:
    """Let the process die at the step."""
    module_name, name, when, count, *other = point.split(":")
    fate = signal.Signals[other[0]] if other else signal.SIGKILL
    owner: Any = importlib.import_module(module_name)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    real = getattr(owner, last)
    lock = threading.Lock()
    calls = 0

    def dies(*args: Any, **more: Any) -> Any:
        nonlocal calls
        with lock:
            calls += 1
            fatal = calls == int(count)
        if fatal and when == "before":
            os.kill(os.getpid(), fate)
        result = real(*args, **more)
        if fatal and when == "after":
            os.kill(os.getpid(), fate)
        return result

    setattr(owner, last, dies)


if __name__ == "__main__":
    arm(sys.argv.pop(1))
    from services.cli.main import main

    main()

"""Every kind of task, by name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from sqlalchemy import Row

from processors.instrument import Instruments
from services.core.settings import Settings
from services.worker.check import check
from services.worker.master import master
from services.worker.reduction import reduction
from services.worker.tasks import Input, Outcome

Perform = Callable[[Row, list[Input], Settings, Instruments, logging.Logger], Outcome]

KINDS: Final[dict[str, Perform]] = {
    "check": check,
    "bias": master,
    "dark": master,
    "flat": master,
    "skyflat": master,
    "reduce": reduction,
}

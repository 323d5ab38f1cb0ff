"""The limits as the housekeeper begins with them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from services.core.log import get_logger
from services.housekeeping.limits.book import load_limits
from services.housekeeping.limits.codec import BadState
from services.housekeeping.limits.engine import Engine


def first_engine(path: Path, state: dict[str, Any] | None, sources: Iterable[str]) -> Engine:
    """The engine of a limits file, with what was remembered; a memory that cannot be read is none.

    Raises
    ------
    BadSettings
        The file has mistakes.
    """
    book = load_limits(path)
    try:
        engine = Engine(book, state)
    except BadState as error:
        get_logger().error("the state of the limits is lost, they begin anew", reason=str(error))
        engine = Engine(book)
    engine.expect(sources)
    return engine

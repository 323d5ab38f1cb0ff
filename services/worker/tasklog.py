"""One log file per task, kept beside the products: what was done, with what, and why it failed."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def task_log(log_dir: Path, night: str, task: str) -> Iterator[logging.Logger]:
    """A logger that appends to `LOG_DIR/NIGHT/TASK.log` (UTC times); a repeated task appends to the same file."""
    directory = log_dir / night
    directory.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(directory / f"{task}.log", encoding="utf-8")
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logger = logging.Logger(task, level=logging.INFO)  # its own, below no root: nothing is said twice
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        handler.close()

"""Logs: one JSON object a line on standard error (the journal takes it from there), context bound once per unit."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

from services.core.settings import LogSettings

bound = structlog.contextvars.bound_contextvars


def set_up_logging(settings: LogSettings, stream: TextIO | None = None, **context: Any) -> None:
    """Configure the process's log once; `context` (daemon, site) goes on every line."""
    stream = stream or sys.stderr
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )

    def add_context(_logger: Any, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        return {**context, **event}

    processors: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_context,  # not a context variable: threads of the process must say it too
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    # Libraries that log in the standard way (paramiko, rq, alembic) come out in the same form.
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    # It logs a traceback line by line for every line that is cut; what happened is told by our own errors.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)


def get_logger() -> Any:
    """A logger; fields are given as keywords: `log.info("frame packed", frame=name, seconds=0.2)`."""
    return structlog.get_logger()

"""What RQ runs: claim a task in the ledger, do it, settle it. The ledger decides; Redis only carries the id here.

The worker process sets `CONTEXT` before it forks, so that a job finds settings, instruments and compiled kernels
already loaded.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass

from rq.timeouts import JobTimeoutException
from sqlalchemy import Row

from processors.errors import ProcessorError
from processors.instrument import Instruments
from processors.publish import asking
from services.core.errors import LeaseLost, LedgerUnreachable
from services.core.ledger import centre
from services.core.ledger.engine import Ledger, now, open_ledger
from services.core.ledger.states import advance
from services.core.log import bound, get_logger
from services.core.metrics.spool import Spool, open_spool
from services.core.settings import Settings, WorkSettings
from services.worker.kinds import KINDS
from services.worker.lease import Lease
from services.worker.tasklog import task_log
from services.worker.tasks import Outcome, inputs_of


@dataclass
class Context:
    """What a worker loads once."""

    settings: Settings
    instruments: Instruments


CONTEXT: Context | None = None


def worker_name(pid: int) -> str:
    """How a job's process signs in the ledger."""
    return f"{socket.gethostname()}-{pid}"


def run_task(task: str) -> None:
    """Entry point of a job. Never raises for a failed task: the verdict stands in the ledger."""
    assert CONTEXT is not None, "the worker sets the context before it takes a job"
    context = CONTEXT
    work = context.settings.work
    assert work is not None
    # Opened in the job's own process: connections do not survive a fork.
    ledger = open_ledger(context.settings.ledger)
    spool = open_spool(context.settings)
    try:
        with bound(task=task):
            _claimed(task, context, work, ledger, spool)
    finally:
        spool.close()
        ledger.close()


def _claimed(task: str, context: Context, work: WorkSettings, ledger: Ledger, spool: Spool) -> None:
    worker = worker_name(os.getpid())
    with ledger.begin() as conn:
        row = centre.claim(conn, task, worker, work.lease_s, now())
    if row is None:
        get_logger().info("already taken or settled")
        return
    started = time.monotonic()
    lease = Lease(ledger, task, worker, work.lease_s)
    with lease, task_log(work.log_dir, row.night, task) as log:
        try:
            with ledger.begin() as conn:
                inputs = inputs_of(conn, task, context.settings)
            with asking(lease.hold):  # a product takes its name only while the task is ours
                outcome = KINDS[row.kind](row, inputs, context.settings, context.instruments, log)
            with ledger.begin() as conn:
                lease.hold_in(conn)
                outcome.settle(conn, now())
                advance(conn, "task", task, "done", now=now())
        except ProcessorError as error:
            log.error(f"{type(error).__name__}: {error}")
            _settle_failure(ledger, spool, row, str(error), final=True, work=work)
            return
        except (OSError, MemoryError, JobTimeoutException) as error:
            log.error(f"{type(error).__name__}: {error}")
            _settle_failure(ledger, spool, row, f"{type(error).__name__}: {error}", final=False, work=work)
            return
        except (LeaseLost, LedgerUnreachable) as error:
            # Nothing may, or can, be written down now: the task is another's, or the lease runs out and it comes again.
            log.error(f"{type(error).__name__}: {error}")
            return
        except Exception as error:
            # A defect of ours: the whole story goes into the task's log, one line into the ledger.
            log.exception("defect")
            reason = f"defect, see the task's log: {type(error).__name__}: {error}"
            _settle_failure(ledger, spool, row, reason, final=True, work=work)
            return
        seconds = time.monotonic() - started
        log.info(f"done in {seconds:.3f} s")
    _tell(spool, row, outcome, seconds)


def _settle_failure(ledger: Ledger, spool: Spool, row: Row, reason: str, *, final: bool, work: WorkSettings) -> None:
    again = not final and row.attempts < work.max_attempts
    pause_s = work.retry_backoff_s * 2.0 ** (row.attempts - 1) if again else 0.0
    with ledger.begin() as conn:
        if not centre.renew_lease(conn, row.task, row.worker, now() + work.lease_s):
            get_logger().error("task failed, but it is another worker's now", reason=reason)
            return
        state = "ready" if again else "failed"
        advance(conn, "task", row.task, state, now=now(), reason=reason[:2000], not_before=now() + pause_s)
    get_logger().error("task failed", reason=reason, again=again)
    spool.write("task_failed", {"attempt": row.attempts, "again": again, "reason": reason[:500]}, {"kind": row.kind})


def _tell(spool: Spool, row: Row, outcome: Outcome, seconds: float) -> None:
    fields = {"seconds": seconds, "attempt": row.attempts, "waited_s": max(0.0, row.updated_at - row.created_at)}
    spool.write("task_done", fields, {"kind": row.kind, "production": row.production, **outcome.tags})
    spool.write_points(outcome.points)

"""Which failures count against a bundle, and what happens when there were too many."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.errors import LedgerUnreachable
from services.core.ledger import shipping
from services.core.ledger.engine import now
from services.shipper.context import RouteContext
from transfer.errors import NoSpace, Refused, Unreachable


def in_vain(error: Exception, *, moved: int, through: bool) -> bool:
    """Whether the bundles that were on their way have themselves failed.

    Parameters
    ----------
    moved
        Bytes that went before the failure: with none, an unreachable remote was simply not there.
    through
        Whether some bundle got through, or any got further than the last time. What is refused while others get
        through is refused for its own sake. A full disk is no bundle's fault, however long it lasts.
    """
    if isinstance(error, NoSpace | LedgerUnreachable) or (isinstance(error, Unreachable) and not moved):
        return False
    return isinstance(error, Refused) or not through


def count_attempts(ctx: RouteContext, names: Sequence[str], error: Exception) -> None:
    """Count one attempt for each of these bundles; those that reach the cap are held, with an alert."""
    limit = ctx.route.max_attempts
    reason = f"not shipped after {limit} attempts: {error}"
    try:
        with ctx.ledger.begin() as conn:
            held = [name for name in names if shipping.count_attempt(conn, name, limit, now(), reason)]
    except LedgerUnreachable as away:
        ctx.log.warning("attempt not counted", reason=str(away))
        return
    for name in held:
        ctx.alert(f"held:{name}", f"bundle {name} waits in the outbox: {reason}; nightferry retry {name}")

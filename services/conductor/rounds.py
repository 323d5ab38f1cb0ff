"""One round of planning: read the ledger, decide, write down what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from processors.masters.associate import ROLES
from services.conductor.plan import plan
from services.conductor.reading import read_view
from services.conductor.view import Plan, Rules, View
from services.core.ledger import centre, registry
from services.core.ledger.engine import Ledger

_OF_MASTERS: Final = frozenset(ROLES.values())
_REVIEWS = 8  # nights whose finished reductions are compared with the registry in one round


@dataclass(frozen=True)
class Round:
    """What was looked at and decided. `reviewed_all` is False while nights on record have not been looked at again."""

    view: View
    made: Plan
    reviewed_all: bool


def plan_round(ledger: Ledger, rules: Rules, now: float) -> Round:
    """Plan once.

    It is decided outside of any transaction, so that the ledger is not kept waiting: there is one conductor, and what
    it writes may be written twice. A task that somebody else has moved meanwhile stays as it is, and the nights are
    looked at again.
    """
    with ledger.read() as conn:
        due = registry.due_reviews(conn, rules.production, _REVIEWS)
        view = read_view(conn, rules, [row.night for row in due], now)
    made = plan(view, rules, now)
    with ledger.begin() as conn:
        as_decided = True
        # What a person has withdrawn while it was decided is given to nobody: its nights would not be looked at again.
        given = [*(task.inputs for task in made.new), *(freed.inputs for freed in made.freed)]
        asked = {sha for inputs in given for sha, role in inputs if role in _OF_MASTERS}
        gone = asked - registry.in_use(conn, rules.production, asked)
        for task in made.new:
            if gone.isdisjoint(sha for sha, _ in task.inputs):
                centre.add_task(conn, task, rules.production, now)
        for freed in made.freed:
            if not gone.isdisjoint(sha for sha, _ in freed.inputs):
                as_decided = False
                continue
            move = (freed.came_from, freed.to, freed.parameters, freed.inputs)
            as_decided &= centre.free_task(conn, freed.task, *move, now, freed.reason)
        for row in sorted(
            due, key=lambda row: row.night
        ):  # as whoever adds them: two that wait for each other are none
            registry.settle_review(conn, row, now, held=row.night in made.held or not as_decided)
    return Round(view, made, all(row.looked_at for row in due))

"""What was made with a master, directly or through another master."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select

from services.core.ledger.registry_schema import made_from
from services.core.ledger.schema import calibrations, products, task_inputs, tasks


@dataclass(frozen=True)
class Affected:
    """A product made with a master. `through` names the masters in between.

    `task` and `state` are those of the task that made it, None for a master from outside of the daemons; a task that is
    not `done` is about to make the product again.
    """

    path: str
    sha256: str
    kind: str
    night: str
    task: str | None
    state: str | None
    role: str
    through: tuple[str, ...] = ()


def affected_by(conn: Connection, sha256: str, production: str) -> list[Affected]:
    """Every product of a production that was made with a master, in order of night, kind and path."""
    found: dict[str, Affected] = {}
    todo: list[tuple[str, tuple[str, ...]]] = [(sha256, ())]
    while todo:
        name, through = todo.pop(0)
        made = [product for product in _made_with(conn, name, production, through) if product.path not in found]
        found.update((product.path, product) for product in made)
        masters = _masters_among(conn, [product.sha256 for product in made])
        todo += [(p.sha256, (*through, Path(p.path).name)) for p in made if p.sha256 in masters]
    return sorted(found.values(), key=lambda product: (product.night, product.kind, product.path))


def nights_using(conn: Connection, sha256: str, production: str) -> set[str]:
    """Nights of the tasks that have made, or are to make, something with a master or with a master made with it."""
    made = affected_by(conn, sha256, production)
    nights = {product.night for product in made}
    masters = [sha256, *sorted(_masters_among(conn, [product.sha256 for product in made]))]
    for part in _parts(masters):
        query = select(tasks.c.night).join(task_inputs, task_inputs.c.task == tasks.c.task)
        query = query.where(tasks.c.production == production)
        nights.update(conn.execute(query.where(task_inputs.c.sha256.in_(part))).scalars())
    return nights


def spoilt(conn: Connection, production: str, task: str | None = None) -> set[str]:
    """Masters (or those of one task) that were made with one that is withdrawn now, directly or through others."""
    mine = calibrations.c.production == production
    withdrawn = select(calibrations.c.sha256).where(mine, calibrations.c.withdrawn_at.is_not(None))
    made = select(calibrations.c.sha256, calibrations.c.task).join(made_from, made_from.c.path == calibrations.c.path)
    chain = made.where(mine, made_from.c.sha256.in_(withdrawn)).cte("spoilt", recursive=True)
    chain = chain.union(made.join(chain, chain.c.sha256 == made_from.c.sha256).where(mine))
    query = select(chain.c.sha256)
    return set(conn.execute(query if task is None else query.where(chain.c.task == task)).scalars())


def _masters_among(conn: Connection, names: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for part in _parts(names):
        found.update(conn.execute(select(calibrations.c.sha256).where(calibrations.c.sha256.in_(part))).scalars())
    return found


def _made_with(conn: Connection, sha256: str, production: str, through: tuple[str, ...]) -> list[Affected]:
    query = (
        select(products, made_from.c.role, tasks.c.night, tasks.c.state)
        .join(made_from, made_from.c.path == products.c.path)
        .join(tasks, tasks.c.task == products.c.task)
        .where(made_from.c.sha256 == sha256, tasks.c.production == production)
    )
    made = [
        Affected(row.path, row.sha256, row.kind, row.night, row.task, row.state, row.role, through)
        for row in conn.execute(query)
    ]
    # Masters from outside have no task, and are no products of ours.
    outside = (
        select(calibrations, made_from.c.role)
        .join(made_from, made_from.c.path == calibrations.c.path)
        .where(made_from.c.sha256 == sha256, calibrations.c.task.is_(None), calibrations.c.production == production)
    )
    made += [
        Affected(row.path, row.sha256, row.kind, row.night, None, None, row.role, through)
        for row in conn.execute(outside)
    ]
    return made


def _parts(names: Sequence[str], most: int = 500) -> Iterator[Sequence[str]]:
    """Few enough names at a time for an IN of any database."""
    for first in range(0, len(names), most):
        yield names[first : first + most]

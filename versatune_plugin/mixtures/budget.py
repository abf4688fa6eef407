"""How often the weights move and how many held-out rows are measured, so that measuring stays within a budget.

One measurement costs ``k n`` forward passes of a row, one optimizer step ``B`` forward and backward passes, and a
backward pass costs about two forward ones. A run of T steps with U updates measures U + 2 times (before the first step
and after the last too), so the share of training compute is ``(U + 2) k n / (3 B T)``.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_ROWS, MOST_ROWS = 16, 128
USUAL_UPDATES = 20
ENDS = 2


@dataclass(frozen=True)
class Measuring:
    """What is measured, and when.

    Attributes:
        heldout: held-out rows of each domain.
        update_steps: optimizer steps between two updates; None where the weights do not move.
        updates: updates in the run.
        cost: share of training compute spent measuring, estimated in rows.
        chosen: the names of those options that followed from the budget.
    """

    heldout: int
    update_steps: int | None
    updates: int
    cost: float
    chosen: tuple[str, ...]


def measuring(
    *,
    domains: int,
    batch_size: float,
    total_steps: int,
    budget: float,
    heldout: int | None,
    update_steps: int | None,
    measures: bool,
    between_stages: int = 0,
) -> Measuring:
    """Choose ``heldout`` and ``update_steps``, where the user left them open, from the budget.

    Args:
        domains: number of domains, k.
        batch_size: rows of a global batch, B, on average.
        total_steps: optimizer steps of the run, T.
        budget: the share of training compute that measuring may take.
        heldout: rows held out of each domain, or None to have it chosen.
        update_steps: optimizer steps between updates, or None to have it chosen.
        measures: whether the updates of the mixture call for measuring.
        between_stages: measurements between stages.
    """
    chosen = []
    # Rows of one domain that all measurements of the run may read together.
    affordable = 3 * batch_size * total_steps * budget / domains
    if heldout is None:
        if update_steps is not None:
            planned_updates = max((total_steps - 1) // update_steps, 0)
        else:
            planned_updates = USUAL_UPDATES if measures else 0
        heldout = min(max(int(affordable / (planned_updates + between_stages + ENDS)), LEAST_ROWS), MOST_ROWS)
        chosen.append("heldout")
    if update_steps is None and measures:
        updates = max(int(affordable / max(heldout, 1)) - between_stages - ENDS, 1)
        update_steps = max(-(-total_steps // (updates + 1)), 1)
        chosen.append("update_steps")
    updates = (total_steps - 1) // update_steps if update_steps else 0
    measurements = (updates + between_stages + ENDS) if heldout else 0
    cost = measurements * domains * heldout / (3 * batch_size * total_steps)
    return Measuring(heldout, update_steps, updates, cost, tuple(chosen))

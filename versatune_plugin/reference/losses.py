"""Which of the losses that a reference run measured can be a mastery ceiling, and what to do where none can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from versatune_plugin.artifacts.reference import HIGHEST_LOSS


def best_epoch(measured: Mapping[str, Any]) -> int | None:
    """The epoch of the lowest usable loss, from 0; None where no epoch has one.

    Args:
        measured: of one domain, as `versatune_plugin.reference.fine_tune.DomainRuns.fine_tune` gives it.
    """
    losses, lost = measured["epochs"], lost_epochs(measured)
    usable = [index for index in range(len(losses)) if index + 1 not in lost]
    return min(usable, key=losses.__getitem__, default=None)


def lost_epochs(measured: Mapping[str, Any]) -> list[int]:
    """The epochs, from 1, after which a loss was not finite, or higher than a reference file may hold.

    Args:
        measured: as for `best_epoch`.
    """
    by_epoch = zip(measured["epochs"], measured["bits_per_byte"], strict=True)
    return [
        number
        for number, losses in enumerate(by_epoch, start=1)
        if any(loss is None or loss > HIGHEST_LOSS for loss in losses)
    ]


def without_loss(name: str, measured: Mapping[str, Any], settings: Mapping[str, Any], kept: Sequence[str]) -> str:
    """What to tell a user of a domain that has no usable loss.

    Args:
        name: the domain.
        measured: as for `best_epoch`; its ``start`` is the loss before the first step.
        settings: of the run.
        kept: the domains that were measured before it.
    """
    if measured["start"] is None:
        return (
            f"domain {name!r}: its held-out loss is not finite before the first step, so it is the model and not the "
            f"training: look at the weights of {settings['base_model']} (a cut-off download, a failed merge), and at "
            "`bf16` and `fp16`"
        )
    first = measured["epochs"][0]
    what = "not finite" if first is None else f"{first:.4g} nats per token, beyond all measure,"
    told = (
        f"domain {name!r}: its held-out loss is {what} from epoch 1 on, and was {measured['start']:.4f} before the "
        f"first step: the training diverges. Set `learning_rate` lower ({settings.get('learning_rate')} now), warm up "
        "for longer (`warmup_steps`), or set `max_grad_norm`; and look at the rows of that domain"
    )
    return told + (f". What was measured of {', '.join(kept)} is kept" if kept else "")

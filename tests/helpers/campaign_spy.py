"""An Axolotl plugin that writes down what the model itself is given, knowing nothing of how it was chosen."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from axolotl.integrations.base import BasePlugin

MARK = r"Q[A-Z]\d{4}Q"


class CampaignSpyPlugin(BasePlugin):
    """Appends to the file ``CAMPAIGN_SPY``, for every forward pass, its rows: mark and supervised tokens of each.

    The phase is ``train``, ``evaluate`` (the trainer's own evaluation) or ``measure`` (any other pass).
    """

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        file, phase = Path(os.environ["CAMPAIGN_SPY"]), {"evaluates": False}
        evaluation_loop = trainer.evaluation_loop

        def evaluated(*args: Any, **kwargs: Any) -> Any:
            phase["evaluates"] = True
            try:
                return evaluation_loop(*args, **kwargs)
            finally:
                phase["evaluates"] = False

        trainer.evaluation_loop = evaluated

        def write(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            where = "train" if module.training else "evaluate" if phase["evaluates"] else "measure"
            rows = list(_rows(kwargs, trainer.processing_class))
            with file.open("a") as out:
                out.write(json.dumps({"phase": where, "step": trainer.state.global_step, "rows": rows}) + "\n")

        trainer.model.register_forward_pre_hook(write, with_kwargs=True)


def _rows(inputs: dict[str, Any], tokenizer: Any) -> Any:
    ids, labels, places = (inputs.get(name) for name in ("input_ids", "labels", "position_ids"))
    for number in range(ids.shape[0]):
        tokens = ids[number].tolist()
        learnt = [-100] * len(tokens) if labels is None else labels[number].tolist()
        starts = [0]
        if places is not None:
            restarts = places[number].tolist()
            starts += [at for at in range(1, len(tokens)) if restarts[at] == 0 and restarts[at - 1] != 0]
        for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True):
            own = tokens[start:end]
            if any(token != tokenizer.pad_token_id for token in own):
                # A long text of `completion` is cut into several rows, of which the first has the mark.
                mark = re.search(MARK, tokenizer.decode(own))
                yield [mark and mark.group(), sum(label != -100 for label in learnt[start + 1 : end])]

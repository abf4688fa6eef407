"""lm-eval's command line with a stand-in for a model: ``python -m tests.helpers.stand_in gold --tasks ...``.

``gold`` answers with the reference, ``random`` at random (seeded by the question), ``nothing`` not at all.
"""

from __future__ import annotations

import random
import sys
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model


@register_model("stand-in")
class StandIn(LM):
    """Answers from the row itself.

    Multiple choice: the row's ``gold``. Generation: the row's ``reference`` (what a perfect model would print), and at
    random one of its ``guesses``, where the row has any.
    """

    def __init__(self, kind: str = "gold", **_: Any) -> None:
        super().__init__()
        self.kind = kind

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: Any = None) -> StandIn:
        return cls(arg_string.partition("=")[2] or "gold")

    @classmethod
    def create_from_arg_obj(cls, arg_dict: dict[str, Any], additional_config: Any = None) -> StandIn:
        return cls(**arg_dict)

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        answers = []
        for request in requests:
            if self.kind == "nothing":
                answers.append((0.0, False))
            elif self.kind == "gold":
                gold = request.doc["gold"]
                right = request.idx in (gold if isinstance(gold, list) else [gold])
                # Far apart, so that no normalisation by length turns the order round.
                answers.append((-1.0 - request.idx, True) if right else (-1e6, False))
            else:
                answers.append((-random.Random(f"{request.args}").random() * 1e6, False))
        return answers

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        answers = []
        for request in requests:
            if self.kind == "nothing":
                answers.append("")
            elif self.kind == "gold":
                answers.append(request.doc["reference"])
            else:
                guesses = request.doc.get("guesses") or ["?"]
                answers.append(random.Random(request.args[0]).choice(guesses))
        return answers

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        raise NotImplementedError


def main() -> None:
    """Run lm-eval's own command line; the first argument is the kind of the stand-in."""
    from lm_eval.__main__ import cli_evaluate

    kind, *arguments = sys.argv[1:]
    sys.argv = ["lm_eval", "--model", "stand-in", "--model_args", f"kind={kind}", *arguments]
    cli_evaluate()


if __name__ == "__main__":
    main()

"""Scores by log-likelihood, against those of lm-eval."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import Dataset
from lm_eval.api.task import ConfigurableTask

from tests.helpers.runs import ours
from versatune_plugin.evaluation.choices import choice_row, choice_score, length_normalised_score

ENDINGS = ["ab", "a" * 10]


@pytest.mark.parametrize(
    ("values", "best"),
    # By length -1 and -0.9; with the blank before it -0.67 and -0.82.
    [((-2.0, -9.0), 1), ((-2.0, -10.5), 0), ((-2.0, -8.0), 1)],
)
def test_the_length_is_that_of_lm_evals_acc_norm(values: tuple[float, float], best: int) -> None:
    def theirs(**_: Any) -> dict[str, Dataset]:
        return {"test": Dataset.from_list([{"query": "Q", "choices": ENDINGS, "gold": best}])}

    task = ConfigurableTask(
        config={
            "task": "theirs",
            "custom_dataset": theirs,
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "query",
            "doc_to_choice": "choices",
            "doc_to_target": "gold",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        }
    )
    results = [(value, False) for value in values]
    assert task.process_results(task.dataset["test"][0], results)["acc_norm"] == 1
    row = choice_row("Q", ENDINGS, best, ENDINGS)
    found = length_normalised_score(row, results)
    assert ours(found) == {"vt_score": 1.0, "vt_unparsed": 0.0}
    assert {name: task.process_results(row, results)[name] for name in ("acc", "acc_norm")} == {
        "acc": found["acc"],
        "acc_norm": found["acc_norm"],
    }


def test_the_length_counts_only_where_it_is_asked_for() -> None:
    results = [(-2.0, False), (-9.0, False)]
    assert choice_score(choice_row("Q", ENDINGS, 0, ENDINGS), results)["vt_score"] == 1

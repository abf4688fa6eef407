"""HumanEval and MBPP: rows, what is cut out of a completion, and scores; on real rows where there are any."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.eval_tasks.humaneval import utils as humaneval
from versatune_plugin.eval_tasks.mbpp import utils as mbpp
from versatune_plugin.evaluation.benchmark_files import BenchmarkFiles
from versatune_plugin.evaluation.sandbox.executor import CONSENT

MODULES = {"humaneval": humaneval, "mbpp": mbpp}
TASKS = Path(__file__).resolve().parents[2] / "eval_tasks"
PASSED, FAILED, UNPARSED = (
    {"vt_score": score, "vt_unparsed": unparsed, "pass@1": score}
    for score, unparsed in ((1.0, 0.0), (0.0, 0.0), (0.0, 1.0))
)
HEAD = 'def double(x):\n    """Twice x."""\n'
COMPLETE = {"head": HEAD, "tests": "def check(f):\n    assert f(2) == 4\n\ncheck(double)\n"}
WRITE = {"head": "", "tests": "\nassert double(2) == 4\n"}
Score = Callable[[dict[str, Any], list[str]], dict[str, float]]


@pytest.fixture
def consent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONSENT, "1")


@pytest.fixture
def rows() -> dict[str, list[dict[str, Any]]]:
    if not os.environ.get("VERSATUNE_EVAL_DATA"):
        pytest.skip("VERSATUNE_EVAL_DATA does not name a folder with humaneval/ and mbpp/")
    return {
        name: module.read_rows(BenchmarkFiles(name, module.REPOSITORY, module.REVISION))
        for name, module in MODULES.items()
    }


@pytest.mark.parametrize(
    ("completion", "body"),
    [
        ("    return 2 * x\n", "    return 2 * x\n"),
        ("    return 2 * x\n\n\ndef other():\n    pass\n", "    return 2 * x\n\n"),
        ("    return 2 * x\n# Next\n", "    return 2 * x"),
        ("    return 2 * x\nif True:\n    pass\nclass A: pass\nprint(1)", "    return 2 * x"),
        ("    if x:\n        return 2 * x\n    # no comment\n", "    if x:\n        return 2 * x\n    # no comment\n"),
        ("    return 2 * x\r\nprint(double(1))\r\n", "    return 2 * x"),
        # One blank lost by the tokenizer, and what only looks like it.
        ("   y = 2 * x\n    return y\n", "    y = 2 * x\n    return y\n"),
        ("  return 2 * x\n", "  return 2 * x\n"),
        ("\n    return 2 * x\n", "\n    return 2 * x\n"),
        ("   \n    return 2 * x\n", "   \n    return 2 * x\n"),
        # Fences.
        ("    return 2 * x\n```\nIt doubles x.", "    return 2 * x\n"),
        ("```python\n    return 2 * x\n```\n", "    return 2 * x\n"),
        ("Sure:\n```python\ndef helper():\n    pass\n\ndef double(x):\n    return x + x\n```\n", None),
        (" Here is a solution:\n```python\n    return 2 * x\n```\n", "    return 2 * x\n"),
        ("   y = 2 * x\n    return y\n```\nIt doubles x.", "    y = 2 * x\n    return y\n"),
        ("```", ""),
        ("", ""),
    ],
)
def test_what_completes_a_function(completion: str, body: str | None) -> None:
    block = "def helper():\n    pass\n\ndef double(x):\n    return x + x\n"
    assert humaneval.body(HEAD, completion) == (block if body is None else body)


@pytest.mark.parametrize(
    ("completion", "program"),
    [
        ("def f():\n    pass\n\ndef g():\n    pass\n", "def f():\n    pass\n\ndef g():\n    pass\n"),
        ('def f():\n    """One."""\n\n"""\nThe next task\n', 'def f():\n    """One."""\n'),
        ("import re\nclass A:\n    pass\n# done\nassert f() == 1\n", "import re\nclass A:\n    pass\n# done"),
        ("f = 1\nif __name__ == '__main__':\n    f()\n", "f = 1"),
        ("f = 1\r\nprint(f)", "f = 1"),
        ("Here it is:\n\n```python\nf = 1\n```\nand more ```x```", "f = 1\n"),
        ("```\nf = 1\n", "f = 1\n"),
        ("def f():\n    pass\n```\n\nThis function", "def f():\n    pass\n"),
        ("x = 1\n```\n\nThis", "x = 1\n"),
        (" Here is a solution:\n```python\ndef f():\n    pass\n```\n", "def f():\n    pass\n"),
        ("from the sum:\n```\nf = 1\n```\n", "f = 1\n"),
        (" Solution\n```\nf = 1\n```\n", "f = 1\n"),
        ('f = 1\n"""\nThe next task:\n```\nf = 2\n```\n', "f = 1"),
        ("def f(:\x00\n```\nf = 1\n```\n", "f = 1\n"),
        ("It is `f`, and ``` is a fence", "It is `f`, and "),
        ("```python\n```\n", ""),
    ],
)
def test_what_is_a_program(completion: str, program: str) -> None:
    assert mbpp.program(completion) == program


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("    return 2 * x\n", PASSED),
        ("   y = 2 * x\n    return y\n", PASSED),
        ("```python\ndef double(x):\n    return 2 * x\n```", PASSED),
        ("    return x\n", FAILED),
        ("    pass\n", FAILED),
        ("    import sys\n    sys.exit(0)\n", FAILED),
        ("", UNPARSED),
        ("  \n\n", UNPARSED),
        ("\ndef other():\n    pass", UNPARSED),
        ("    return 2 *\n", UNPARSED),
        ("    return '''\n", UNPARSED),
        ("The answer is 4.", UNPARSED),
    ],
)
def test_scores_of_a_function(consent: None, completion: str, expected: dict[str, float]) -> None:
    assert humaneval.score(COMPLETE, [completion]) == expected


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("def double(x):\n    return 2 * x\nassert double(1) == 3", PASSED),
        ("Here:\n```\ndef double(x):\n    return 2 * x\n```", PASSED),
        ("def double(x):\n    return x\n", FAILED),
        ("def twice(x):\n    return 2 * x\n", FAILED),
        ("import os\nos._exit(0)", FAILED),
        ("", UNPARSED),
        ('"""\n', UNPARSED),
        ("def double(x): return (", UNPARSED),
        ("I do not know.", UNPARSED),
    ],
)
def test_scores_of_a_program(consent: None, completion: str, expected: dict[str, float]) -> None:
    assert mbpp.score(WRITE, [completion]) == expected


def test_no_consent_no_rows_for_an_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONSENT, raising=False)
    for load in (humaneval.load, mbpp.load):
        with pytest.raises(VersaTuneError, match=CONSENT):
            load()
    with pytest.raises(VersaTuneError, match=CONSENT):
        humaneval.score(COMPLETE, ["    return 2 * x\n"])


@pytest.mark.parametrize(("name", "stops"), [("humaneval", humaneval.STOPS), ("mbpp", mbpp.STOPS)])
def test_the_task_stops_where_the_score_cuts_and_asks_for_consent(name: str, stops: tuple[str, ...]) -> None:
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: node.value)
    task = yaml.load((TASKS / name / f"versatune_{name}.yaml").read_text(encoding="utf-8"), Loader)  # noqa: S506
    assert task["generation_kwargs"]["until"] == list(stops)
    assert task["unsafe_code"] is True
    assert ("num_fewshot" in task, task["task"]) == (False, f"versatune_{name}")


def test_counts_and_prompts(consent: None, rows: dict[str, list[dict[str, Any]]]) -> None:
    # Table 3 of the paper has the same counts.
    assert {name: len(found) for name, found in rows.items()} == {"humaneval": 164, "mbpp": 974}
    assert humaneval.load()["test"].num_rows == 164
    assert mbpp.load()["test"].num_rows == 974
    assert [row["task_id"] for row in rows["mbpp"]] == [str(number) for number in range(1, 975)]
    assert rows["humaneval"][23] == {
        "task_id": "HumanEval/23",
        "query": '\n\ndef strlen(string: str) -> int:\n    """ Return length of given string\n'
        "    >>> strlen('')\n    0\n    >>> strlen('abc')\n    3\n    \"\"\"\n",
        "chat_query": "Complete this function, and write all of it in one block.\n\n```python\n"
        f"{rows['humaneval'][23]['query'].strip()}\n```\n",
        "head": rows["humaneval"][23]["query"],
        "name": "strlen",
        "tests": "\n\nMETADATA = {\n    'author': 'jt',\n    'dataset': 'test'\n}\n\n\ndef check(candidate):\n"
        "    assert candidate('') == 0\n    assert candidate('x') == 1\n    assert candidate('asdasnakj') == 9\n\n"
        "check(strlen)\n",
        "reference": "    return len(string)\n",
        "guesses": ["    return None\n", "    return True\n", "    return 0\n", "    return []\n"],
    }
    assert rows["mbpp"][2]["query"] == (
        '"""\nWrite a python function to identify non-prime numbers.\nassert is_not_prime(2) == False\n'
        'assert is_not_prime(10) == True\nassert is_not_prime(35) == True\n"""\n'
    )
    assert rows["mbpp"][2]["name"] == "is_not_prime"
    assert all(row["name"] for row in rows["mbpp"])
    assert rows["mbpp"][2]["chat_query"] == (
        "Write a python function to identify non-prime numbers.\n\n"
        "The program has to pass these tests; write it in one block.\n\n```python\nassert is_not_prime(2) == False\n"
        "assert is_not_prime(10) == True\nassert is_not_prime(35) == True\n```\n"
    )
    assert rows["mbpp"][2]["guesses"][1] == "def is_not_prime(*_):\n    return True\n"
    assert rows["mbpp"][366]["tests"].startswith("root = Node(1) \nroot.left = Node(2)")


def test_references_are_not_cut(rows: dict[str, list[dict[str, Any]]]) -> None:
    for row in rows["humaneval"]:
        assert humaneval.body(row["head"], row["reference"]) == row["reference"]
        ast.parse(row["head"] + row["reference"])
    for row in rows["mbpp"]:
        assert mbpp.program(row["reference"]) == row["reference"]
        assert row["guesses"], row["task_id"]


@pytest.mark.parametrize(("name", "score"), [("humaneval", humaneval.score), ("mbpp", mbpp.score)])
@pytest.mark.parametrize("all_rows", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["some", "all"])
def test_references_pass(
    consent: None, rows: dict[str, list[dict[str, Any]]], name: str, score: Score, all_rows: bool
) -> None:
    chosen = rows[name]
    if not all_rows:
        # With those two that need code of theirs between program and tests.
        chosen = chosen[:: len(chosen) // 29] + (chosen[366:367] + chosen[926:927] if name == "mbpp" else [])
    found = {row["task_id"]: score(row, [row["reference"]]) for row in chosen}
    assert {task: scores for task, scores in found.items() if scores != PASSED} == {}


@pytest.mark.parametrize(("name", "score"), [("humaneval", humaneval.score), ("mbpp", mbpp.score)])
def test_wrong_answers_fail(consent: None, rows: dict[str, list[dict[str, Any]]], name: str, score: Score) -> None:
    chosen = rows[name][5 :: len(rows[name]) // 12]
    assert [score(row, [""]) for row in chosen] == [UNPARSED] * len(chosen)
    guessed = [score(row, [row["guesses"][0]]) for row in chosen]
    assert guessed == [FAILED] * len(chosen)

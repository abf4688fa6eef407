"""HumanEval (Chen et al., 2021) and MBPP (Austin et al., 2021): pass@1 of one greedy completion, 0-shot."""

from __future__ import annotations

import ast
import gzip
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from versatune_plugin.evaluation.files import Files
from versatune_plugin.evaluation.reading import programs
from versatune_plugin.evaluation.reading.text import answer
from versatune_plugin.evaluation.sandbox.executor import execute, require_protection

HUMANEVAL = ("openai/openai_humaneval", "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544")
MBPP = ("google-research-datasets/mbpp", "4bb6404fdc6cacfda99d4ac4205087b89d32030c")
# In the order of their task numbers, which is that of the original file.
MBPP_SPLITS = ("prompt", "test", "validation", "train")

# Where a completion has left the function or the program that was asked for; the same as in the YAML.
HUMANEVAL_STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
MBPP_STOPS = ('\n"""', "\nassert", "\nprint", "\nif __name__")

FENCE = "```"
FENCED = re.compile(r"^[ \t]*```[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
# A first line that may be code and not a remark before a fenced block.
CODE = re.compile(r"[ \t]+\S|(?:def|class|import|from|@)\b|@|\w+ *=")
CONSTANTS = ("None", "True", "0", "[]")


def load_humaneval(
    versatune_eval_data: str | None = None, source: dict[str, str] | None = None, **_: Any
) -> dict[str, Dataset]:
    """All 164 rows, as split ``test``.

    Raises:
        VersaTuneError: no consent to run code, or no protection from it, which is said here, before a model has
            generated anything; or no rows.
    """
    require_protection()
    files = Files("humaneval", *HUMANEVAL, versatune_eval_data, source)
    return files.datasets({"test": humaneval_rows(files)})


def load_mbpp(
    versatune_eval_data: str | None = None, source: dict[str, str] | None = None, **_: Any
) -> dict[str, Dataset]:
    """All 974 rows, as split ``test``; raises as `load_humaneval`."""
    require_protection()
    files = Files("mbpp", *MBPP, versatune_eval_data, source)
    return files.datasets({"test": mbpp_rows(files)})


def humaneval_rows(files: Files) -> list[dict[str, Any]]:
    """The rows of HumanEval, which nobody needs consent to look at.

    Each has ``query`` (the head of the function), ``chat_query`` (the same, asked for in words), ``head`` (the head
    again: it belongs to the program), ``name`` of the function, ``tests``, ``reference``, ``guesses`` and ``task_id``.
    """
    if files.local is not None:
        with gzip.open(files.get("", "HumanEval.jsonl.gz"), "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
    else:
        rows = files.rows("test", "HumanEval.jsonl.gz", "openai_humaneval")
    return [
        {
            "task_id": row["task_id"],
            "query": row["prompt"],
            "chat_query": f"Complete this function, and write all of it in one block.\n\n{_fenced(row['prompt'])}",
            "head": row["prompt"],
            "name": row["entry_point"],
            "tests": f"{row['test']}\ncheck({row['entry_point']})\n",
            "reference": row["canonical_solution"],
            "guesses": [f"    return {constant}\n" for constant in CONSTANTS],
        }
        for row in rows
    ]


def mbpp_rows(files: Files) -> list[dict[str, Any]]:
    """The rows of MBPP, in the shape of `humaneval_rows`; ``head`` is empty."""
    splits = (None,) if files.local is not None else MBPP_SPLITS
    return [_mbpp_row(row) for split in splits for row in files.rows(split or "", "mbpp.jsonl", "full")]


def _mbpp_row(row: Mapping[str, Any]) -> dict[str, Any]:
    asserts = "\n".join(test.strip() for test in row["test_list"])
    reference = _unix(row["code"])
    defined = re.findall(r"^def\s+(\w+)", reference, re.MULTILINE)
    called = [name for name in defined if re.search(rf"\b{name}\s*\(", asserts)]
    task = row["text"].strip()
    return {
        "task_id": str(row["task_id"]),
        "query": f'"""\n{task}\n{asserts}\n"""\n',
        "chat_query": f"{task}\n\nThe program has to pass these tests; write it in one block.\n\n{_fenced(asserts)}",
        "head": "",
        "name": called[-1] if called else "",
        "tests": f"{_unix(row['test_setup_code'])}\n{asserts}\n",
        "reference": reference,
        "guesses": [f"def {called[-1]}(*_):\n    return {constant}\n" for constant in CONSTANTS] if called else [],
    }


def humaneval_body(head: str, completion: str) -> str:
    """What goes behind the head of the function.

    A fenced block is taken as it is, unless there is code before it. Else the completion ends at the first of
    `HUMANEVAL_STOPS`. Where its first line is indented by one blank less than the head's last, the blank is put back:
    tokenizers of the SentencePiece kind lose it when they decode a completion by itself.

    Args:
        head: the prompt.
        completion: what the model wrote.
    """
    before, block = _unfenced(_unix(completion))
    body = _indented(head, _cut(before, HUMANEVAL_STOPS))
    return body if block is None or _is_code(before, head + body) else _indented(head, block)


def mbpp_program(completion: str) -> str:
    """The program in a completion: its fenced block, or the code before it, up to the first of `MBPP_STOPS`."""
    before, block = _unfenced(_unix(completion))
    program = _cut(before, MBPP_STOPS)
    return program if block is None or _is_code(before, program) else _cut(block, MBPP_STOPS)


def _fenced(program: str) -> str:
    return f"{FENCE}python\n{program.strip()}\n{FENCE}\n"


def score_humaneval(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """``vt_score`` 1.0 if the completed function passes its tests; ``vt_unparsed`` 1.0 if it is empty or no Python."""
    return _score(doc, humaneval_body(doc["head"], results[0]))


def score_mbpp(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """As `score_humaneval`, for the program in the completion."""
    return _score(doc, mbpp_program(results[0]))


def chat_score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """As `score_humaneval`, for the last whole program in the answer that defines the function asked for."""
    return _run(doc, programs.program(answer(results[0]), doc["name"], doc["head"]))


def _score(doc: Mapping[str, Any], text: str) -> dict[str, float]:
    return _run(doc, doc["head"] + text if text.strip() else None)


def _run(doc: Mapping[str, Any], written: str | None) -> dict[str, float]:
    if written is None:
        return {"vt_score": 0.0, "vt_unparsed": 1.0, "pass@1": 0.0}
    verdict = execute(written, doc["tests"]).verdict
    passed = float(verdict == "passed")
    return {"vt_score": passed, "vt_unparsed": float(verdict == "not compiled"), "pass@1": passed}


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _cut(text: str, stops: Sequence[str]) -> str:
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


def _indented(head: str, text: str) -> str:
    first, margin = text.split("\n", 1)[0], _margin(head.rstrip().rsplit("\n", 1)[-1])
    return f" {text}" if first.strip() and margin and _margin(first) == margin - 1 else text


def _unfenced(text: str) -> tuple[str, str | None]:
    """The text before the first fence, and the first block between fences."""
    block = FENCED.search(text)
    return text.partition(FENCE)[0], block.group(1) if block else None


def _is_code(before: str, program: str) -> bool:
    """Whether what stands before a fence is code, and not a remark; the program is what would become of it.

    A lone fence at the end of code closes one that the model took as opened before its answer.
    """
    if not CODE.match(before.lstrip("\n")):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(program)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True

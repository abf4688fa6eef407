"""Standard errors of the law domain, through lm-eval's own command line and `axolotl versatune scores`."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.helpers.runs import evaluate
from versatune_plugin.cli import versatune
from versatune_plugin.eval_tasks.legalbench.rows import KNOWN, ZERO_SHOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """LawBench, and LegalBench with three copies of its train rows as the test split of every sub-task."""
    if not os.environ.get("VERSATUNE_EVAL_DATA"):
        pytest.skip("VERSATUNE_EVAL_DATA does not name a folder with lawbench and legalbench/tasks")
    real, made = Path(os.environ["VERSATUNE_EVAL_DATA"]), tmp_path / "rows"
    made.mkdir()
    (made / "lawbench").symlink_to(real / "lawbench")
    for subtask in KNOWN.values():
        home = made / "legalbench" / "tasks" / subtask.name
        home.mkdir(parents=True)
        if subtask.name == ZERO_SHOT:
            (home / "test.tsv").write_text(
                "question\tchoice_0\tchoice_1\tchoice_2\tchoice_3\tchoice_4\tanswer\n"
                + "".join(f"q {answer}\ta\tb\tc\td\te\t{answer}\n" for answer in range(5))
            )
            continue
        train = real / "legalbench" / "tasks" / subtask.name / "train.tsv"
        shutil.copy(train, home / "train.tsv")
        header, _, rows = train.read_text(encoding="utf-8").partition("\n")
        (home / "test.tsv").write_text("\n".join([header, *[rows.rstrip("\n")] * 3]) + "\n", encoding="utf-8")
    return made


def test_every_subtask_of_law_has_a_standard_error_and_so_has_the_domain(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "results" / "random"
    found = evaluate("random", out, "--limit", "4", tasks="versatune-law", env={"VERSATUNE_EVAL_DATA": str(folder)})
    leaves = {name: found.leaves(name) for name in ("legalbench", "lawbench")}
    assert [len(names) for names in leaves.values()] == [161, 19]
    errors = {
        name: [float(found.results[leaf]["vt_score_stderr,none"]) for leaf in names] for name, names in leaves.items()
    }
    assert sum(error > 0 for error in errors["legalbench"]) > 80
    law = math.hypot(*(math.hypot(*values) / len(values) for values in errors.values())) / 2
    shown = CliRunner().invoke(versatune, ["scores", str(out)])
    assert shown.exit_code == 0, shown.output
    (line,) = (line for line in shown.output.splitlines() if line.strip(" │┃").startswith("law "))
    assert f"± {100 * law:.2f} (" in line

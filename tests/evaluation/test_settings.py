"""Results of different settings: not merged, marked side by side, and no gain over them."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.test_after_training import write_medicine
from tests.evaluation.test_scores import all_at, scores, write_results
from tests.helpers.runs import ROOT
from versatune_plugin.evaluation.results import read_runs

TASKS = "versatune_medqa,versatune_medmcqa,versatune_mbpp"
PROGRAM = {"code": "def two():\n    return 2", "test_list": ["assert two() == 2"], "test_setup_code": ""}
# lm-eval's command line several times in one process, since its imports take most of the time.
LM_EVAL = """
import json, sys
from tests.helpers import stand_in
for call in json.loads(sys.argv[1]):
    sys.argv = ["stand_in", *call]
    stand_in.main()
"""


@dataclass
class Real:
    """Folders of what lm-eval wrote with a stand-in for one model."""

    plain: Path
    other: Path

    def payload(self, folder: Path) -> Any:
        (file,) = folder.rglob("results*.json")
        return json.loads(file.read_text())


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    """As the tasks say, and with other shots, an instruction and another generation."""
    folder = tmp_path_factory.mktemp("real")
    rows = write_medicine(folder / "rows")
    (rows / "mbpp").mkdir()
    program = {"task_id": 1, "text": "Return two.", "challenge_test_list": [], **PROGRAM}
    (rows / "mbpp" / "mbpp.jsonl").write_text(json.dumps(program) + "\n")
    changed = ["--num_fewshot", "0", "--system_instruction", "Be brief.", "--gen_kwargs", "max_gen_toks=7"]
    common = ["gold", "--model_args", "kind=gold,pretrained=org/model", "--tasks", TASKS, "--confirm_run_unsafe_code"]
    calls = [[*common, "--output_path", str(folder / "plain")]]
    calls += [[*common, *changed, "--output_path", str(folder / "other")]]
    env = os.environ | {"HF_HUB_OFFLINE": "1", "HF_ALLOW_CODE_EVAL": "1", "VERSATUNE_EVAL_DATA": str(rows)}
    command = [sys.executable, "-c", LM_EVAL, json.dumps(calls)]
    finished = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-4000:]
    return Real(folder / "plain", folder / "other")


MESSAGES = (
    "gen_kwargs.max_gen_toks is 7, but not set in ",
    'system_instruction is "Be brief. (sha ',
    "num_fewshot is 0, but 1 in ",
    "generation_kwargs.max_gen_toks is 7, but 512 in ",
)


def test_real_results_side_by_side_are_marked_and_what_differs_is_named(real: Real, tmp_path: Path) -> None:
    files = {kind: tmp_path / f"scores.{kind}" for kind in ("json", "csv")}
    shown = scores(real.plain, real.other, "--json", files["json"], "--csv", files["csv"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("†:") == 1
    assert "†: other was measured under other settings than plain" in shown.output
    for message in MESSAGES:
        assert message in shown.output
    assert "num_fewshot is 0, but 1 in plain (versatune_medqa, versatune_medmcqa)" in shown.output
    assert "generation_kwargs.max_gen_toks is 7, but 512 in plain (versatune_mbpp)" in shown.output
    marked = {line.split("│")[1].strip() for line in shown.output.splitlines() if "†" in line and "│" in line}
    assert marked == {"medqa", "medmcqa", "medicine", "mbpp"}
    payload = json.loads(files["json"].read_text())
    assert {one["setting"] for one in payload["different_settings"] if one["benchmark"] == "medmcqa"} == {
        "gen_kwargs.max_gen_toks",
        "num_fewshot",
        "system_instruction",
    }
    assert {(one["run"], one["reference"]) for one in payload["different_settings"]} == {("other", "plain")}
    digests = [payload["runs"][name]["settings"]["medqa"] for name in ("plain", "other")]
    assert digests[0] != digests[1]
    with files["csv"].open() as file:
        rows = {(row["model"], row["figure"]): row for row in csv.DictReader(file)}
    assert "num_fewshot is 0, but 1 in plain" in rows["other", "medqa"]["differs"]
    assert rows["other", "domain:medicine"]["differs"] == "medqa, medmcqa"
    assert rows["plain", "medqa"]["differs"] == ""
    # A table holds digests: it still tells, though not what.
    again = scores(files["csv"])
    assert "the digest of all settings is" in again.output
    assert again.output.count("†") == shown.output.count("†")
    plain = shutil.copytree(real.plain, tmp_path / "the same")
    assert "†" not in scores(real.plain, plain).output


def test_real_results_of_other_settings_in_one_directory_are_no_run(real: Real, tmp_path: Path) -> None:
    both = shutil.copytree(real.plain, tmp_path / "both")
    shutil.copytree(real.other, both, dirs_exist_ok=True)
    first, second = sorted(path.relative_to(both) for path in both.rglob("results*.json"))
    shown = scores(both)
    assert shown.exit_code == 2
    for message in MESSAGES:
        assert f"  {second}: {message}" in shown.output
    assert f"but 1 in {first} (versatune_medqa, versatune_medmcqa)" in shown.output
    assert "give each of them a directory of its own" in shown.output


def write(folder: Path, payload: Any, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(payload))
    return folder


def places(value: Any, *within: str) -> Iterator[tuple[str, ...]]:
    """Every value of a result file that is no container, but a list counts as a value."""
    if isinstance(value, dict) and value:
        for name, one in value.items():
            yield from places(one, *within, name)
    else:
        yield within


def changed(payload: Any, place: tuple[str, ...]) -> Any:
    copy = deepcopy(payload)
    holder = copy
    for name in place[:-1]:
        holder = holder[name]
    old = holder[place[-1]]
    if isinstance(old, bool) or old is None or old == {}:
        holder[place[-1]] = "other" if place[-1] == "model_args" or not old else False
    elif isinstance(old, int | float):
        holder[place[-1]] = old + 1
    elif isinstance(old, list):
        holder[place[-1]] = [*old, "other"]
    else:
        is_code = old.startswith("def ")
        holder[place[-1]] = old.replace("return", "return not", 1) if is_code else f"{old} other"
    return copy


# What a model of Hugging Face adds to the file of a stand-in.
OF_A_MODEL = {
    "max_length": 2048,
    "eot_token_id": 2,
    "tokenizer_pad_token": ["<pad>", "0"],
    "tokenizer_eos_token": ["</s>", "2"],
    "tokenizer_bos_token": ["<s>", "1"],
    "chat_template": "{{ messages }}",
    "chat_template_sha": "1f",
    "fewshot_as_multiturn": True,
}
FACTS = {
    "model_num_parameters": 9,
    "model_dtype": "torch.bfloat16",
    "model_revision": "main",
    "model_sha": "a",
    "peft_sha": "",
}
ARGUMENTS = {"dtype": "auto", "max_length": 2048, "revision": "main", "parallelize": False, "add_bos_token": False}
# Dates, machines, the folder and commit that lm_eval was started in, the scores themselves, names, folders.
IRRELEVANT = {"date", "git_hash", "pretty_env_info", "upper_git_hash", "total_evaluation_time_seconds", "model_source"}
IRRELEVANT |= {"results", "higher_is_better", "task_hashes", "model_name_sanitized", "groups"}
IRRELEVANT_CONFIG = {"batch_size", "batch_sizes", "device", "use_cache", "bootstrap_iters", "model_args.parallelize"}
IRRELEVANT_TASK = {"task", "tag", "metadata.kind", "metadata.pretrained", "dataset_kwargs.source.folder"}
OF_THE_MODEL = {"eot_token_id", "tokenizer_pad_token", "tokenizer_eos_token", "tokenizer_bos_token"}
OF_THE_MODEL_CONFIG = {"model_num_parameters", "model_revision", "model_sha", "peft_sha", "model_args.pretrained"}
OF_THE_MODEL_CONFIG |= {"model_args.revision"}


def kind(place: tuple[str, ...]) -> str:
    """What the value at a place of a result file is: a `setting`, of the `model`, or `irrelevant`."""
    top, rest = place[0], ".".join(place[1:])
    if top == "config":
        if rest in IRRELEVANT_CONFIG:
            return "irrelevant"
        return "model" if rest in OF_THE_MODEL_CONFIG else "setting"
    if top == "configs":
        task_setting = ".".join(place[2:])
        return "irrelevant" if task_setting in IRRELEVANT_TASK else "setting"
    if top in IRRELEVANT:
        return "irrelevant"
    return "model" if top in OF_THE_MODEL else "setting"


def test_every_value_of_a_result_file_is_a_setting_unless_listed(real: Real, tmp_path: Path) -> None:
    payload = real.payload(real.other) | OF_A_MODEL
    payload["config"] |= FACTS
    payload["config"]["model_args"] |= ARGUMENTS
    (base,) = read_runs([write(tmp_path / "base", payload, "results_1.json")])
    seen = {"setting": 0, "model": 0, "irrelevant": 0}
    skipped = {("group_subtasks",), ("model_name",), ("config", "limit")}
    for number, place in enumerate(places(payload)):
        if place[:1] in skipped:
            continue
        variant = changed(payload, place)
        (run,) = read_runs([write(tmp_path / f"v{number}", variant, "results_2.json")])
        named = {one.setting for unlike in run.unlike(base).values() for one in unlike}
        expected = kind(place)
        seen[expected] += 1
        assert bool(named) is (expected == "setting"), (place, named)
        together = write(write(tmp_path / f"t{number}", payload, "results_1.json"), variant, "results_2.json")
        shown = scores(together)
        assert shown.exit_code == 2 * (expected != "irrelevant"), (place, shown.output)
        if expected == "setting":
            # Named by the words of lm-eval's file.
            word = place[-1].removesuffix("_sha").removeprefix("model_")
            assert word in shown.output or place[0] in ("versions", "n-shot"), (place, shown.output)
    assert seen["setting"] > 60, seen
    assert seen["model"] == 10, seen
    assert seen["irrelevant"] > 20, seen


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"dtype": "auto"}, {"dtype": "bfloat16"}, True),
        ({"dtype": "auto"}, {"dtype": "float32"}, False),
        ({}, {"max_length": 2048}, True),
        ({}, {"max_length": 1024}, False),
        ("pretrained=a,add_bos_token=True", {"pretrained": "b", "add_bos_token": True}, True),
        ("pretrained=a,load_in_4bit=True", {"pretrained": "b"}, False),
        ({"tensor_parallel_size": 2}, {"tensor_parallel_size": 4}, True),
    ],
)
def test_arguments_of_the_model(tmp_path: Path, first: Any, second: Any, same: bool) -> None:
    runs = []
    for name, arguments in (("first", first), ("second", second)):
        config = {"limit": None, "model_dtype": "torch.bfloat16", "model_args": arguments}
        result = {"vt_score,none": 0.5, "vt_score_stderr,none": 0.1, "vt_unparsed,none": 0.0}
        payload = {"results": {"versatune_medqa": result}, "group_subtasks": {}, "config": config, "max_length": 2048}
        runs += read_runs([write(tmp_path / name, payload, "results_1.json")])
    assert (runs[1].unlike(runs[0]) == {}) is same


def test_a_comment_in_the_code_of_a_task_is_no_difference(real: Real, tmp_path: Path) -> None:
    payload = real.payload(real.plain)
    variant = deepcopy(payload)
    source = variant["configs"]["versatune_medqa"]["process_results"]
    head, rest = source.split("\n    values =", 1)
    variant["configs"]["versatune_medqa"]["process_results"] = f"{head}\n    # as before\n    values ={rest}"
    one, other = (write(tmp_path / name, what, "results_1.json") for name, what in (("a", payload), ("b", variant)))
    assert "†" not in scores(one, other).output


def test_no_gain_over_other_settings(tmp_path: Path) -> None:
    write_results(tmp_path / "mine", all_at(0.5))
    write_results(tmp_path / "base", all_at(0.4), limit=10)
    gain = ("--gain", "mine", "base")
    shown = scores(tmp_path / "mine", tmp_path / "base", *gain)
    assert shown.exit_code == 2
    assert "no gain of mine over base, which were measured under different settings" in shown.output
    assert "limit is not set, but 10 in base" in shown.output
    assert "measure one of the two again" in shown.output


def test_a_gain_over_published_figures_says_that_their_settings_are_not_known(tmp_path: Path) -> None:
    write_results(tmp_path / "mine", all_at(0.5))
    table = tmp_path / "paper.csv"
    table.write_text(",".join(["model", *all_at(0)]) + "\nbase" + ",40" * 12 + "\n")
    files = {kind: tmp_path / f"scores.{kind}" for kind in ("json", "csv")}
    shown = scores(tmp_path / "mine", table, "--gain", "mine", "base", "--json", files["json"], "--csv", files["csv"])
    assert shown.exit_code == 0, shown.output
    assert "it is not known how base was measured: a plain table does not say" in shown.output
    assert "+25.00 % (settings of base not known)" in shown.output
    assert json.loads(files["json"].read_text())["relative_gains"][0]["settings_not_known"] == ["base"]
    assert "the settings of base are not known" in files["csv"].read_text()
    # A table of ours that was made before settings were noted.
    old = tmp_path / "old.csv"
    old.write_text("model,figure,over,percent,stderr,unparsed,partial\nolder,medqa,,40,,,0\n")
    assert "it is not known how older was measured" in scores(tmp_path / "mine", old).output


def test_names_and_values_are_shown_as_they_are(tmp_path: Path) -> None:
    write_results(tmp_path / "[/]mine", {"medqa": 0.5})
    folder = write_results(tmp_path / "[red]base", {"medqa": 0.4}, name="results_2.json")
    (file,) = folder.rglob("results*.json")
    payload = json.loads(file.read_text()) | {"system_instruction": "[/x]\x1b[2J"}
    file.write_text(json.dumps(payload))
    shown = scores(tmp_path / "[/]mine", folder)
    assert shown.exit_code == 0, shown.output
    assert 'system_instruction is "[/x]\\u001b[2J' in shown.output
    assert "[red]base" in shown.output
    assert "\x1b[2J" not in shown.output

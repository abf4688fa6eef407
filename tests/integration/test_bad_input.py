"""Every bad input ends Axolotl's command line with a status of its own, a message that helps, and nothing half done."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Axolotl, Tiny
from tests.helpers.tiny import write_model, write_rows
from versatune_plugin.artifacts.fingerprint import tokenizer_fingerprint

GOOD = {"mixture": "constant", "knowledge": "uniform", "heldout": 4}
MOVING = {
    "mixture": "versatune",
    "knowledge": "uniform",
    "reference": {"law": 1.0, "code": 2.0, "medicine": 0.5},
    "heldout": 4,
    "update_steps": 5,
}


def refused(axolotl: Axolotl, cfg: dict[str, Any], *told: str) -> None:
    finished = axolotl.train(cfg)
    assert finished.status == 2, finished.output
    # Alone and last.
    assert finished.message, finished.output
    for text in told:
        assert text in finished.message, finished.output
    out = Path(cfg["output_dir"])
    # Axolotl's own log file may be there; a record, a checkpoint or a model may not.
    assert not out.exists() or {path.name for path in out.iterdir()} <= {"debug.log"}


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({**GOOD, "mixture": "versatun"}, ["unknown mixture 'versatun' (did you mean 'versatune'?)"]),
        ({**MOVING, "update_steps": 0}, ["versatune.update_steps: is 0, but should be greater than or equal to 1"]),
        ({**GOOD, "floor": 0.34}, ["versatune.floor: 0.34 x 3 domains leaves nothing to move; set it under 0.3333"]),
        ({**GOOD, "cap": 0.3}, ["versatune.cap: 0.3 x 3 domains cannot sum to one"]),
        ({**GOOD, "sigma": 1.0}, ["versatune.sigma: not an option of the mixture 'constant'; it belongs to versatune"]),
        ({**GOOD, "hedlout": 3}, ["versatune.hedlout: not an option", "did you mean 'heldout'?"]),
        (
            {"mixture": "versatune", "heldout": 4},
            ["versatune.knowledge:", "versatune.reference:", "detect", "reference"],
        ),
        ({**GOOD, "update_steps": 3, "updates_per_epoch": 2}, ["say the same twice"]),
        ({**MOVING, "heldout": 0}, ["versatune.heldout: the mixture 'versatune' moves by held-out losses"]),
        (
            {**GOOD, "knowledge": {"law": -1, "code": math.nan, "poetry": 1}},
            ["law is -1", "code is nan", "unknown domain 'poetry'", "no entry for domain 'medicine'"],
        ),
        ({**GOOD, "knowledge": {"law": 0, "code": 0, "medicine": 0}}, ["every entry is zero"]),
        ({**MOVING, "reference": {"law": 1, "code": 0, "medicine": 1}}, ["code is 0; a loss of zero is memorised"]),
        (None, ["has no section `versatune:`"]),
    ],
)
def test_sections(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, section: dict[str, Any] | None, told: list[str]
) -> None:
    cfg = tiny.config(tmp_path / "out")
    refused(axolotl, cfg if section is None else {**cfg, "versatune": section}, *told)


def test_all_problems_come_in_one_message(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", streaming=True, curriculum_sampling=True, group_by_length=True)
    del cfg["datasets"][1]["domain"]
    cfg |= {"batch_flattening": True, "plugins": ["versatune", *cfg["plugins"]], "versatune": {"mixture": "other"}}
    told = [f"{name}: True" for name in ("streaming", "curriculum_sampling", "group_by_length", "batch_flattening")]
    refused(axolotl, cfg, *told, "has no `domain`", "unknown mixture", "are the same plugin")


KNOWLEDGE = {
    "kind": "versatune.knowledge",
    "schema": 1,
    "probabilities": {"law": 0.2, "code": 0.3, "medicine": 0.5},
    "interval95": {"law": [0.1, 0.3], "code": [0.2, 0.4], "medicine": [0.4, 0.6]},
    "iterations": [{"law": 0.2, "code": 0.3, "medicine": 0.5}],
    "texts": 10,
    "unparsed": 0,
}


@pytest.mark.parametrize(
    ("probabilities", "told"),
    [
        ({"law": 0.5, "poetry": 0.5}, ["'poetry'", "'code'", "'medicine'"]),
        ({"law": -0.5, "code": 1.0, "medicine": 0.5}, ["law"]),
        ({"law": math.nan, "code": 0.5, "medicine": 0.5}, ["law"]),
        ({"law": 0.0, "code": 0.0, "medicine": 0.0}, ["every entry is 0"]),
    ],
)
def test_knowledge_files(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, probabilities: dict[str, float], told: list[str]
) -> None:
    file = tmp_path / "knowledge.json"
    file.write_text(json.dumps({**KNOWLEDGE, "probabilities": probabilities}))
    cfg = tiny.config(tmp_path / "out", versatune={**GOOD, "knowledge": str(file)})
    refused(axolotl, cfg, str(file), *told)


def test_files_that_are_missing_cut_off_or_something_else(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cut, other = tmp_path / "cut.json", tmp_path / "other.json"
    cut.write_text(json.dumps(KNOWLEDGE)[:80])
    other.write_text(json.dumps({"kind": "something", "schema": 1}))
    section = {**MOVING, "knowledge": str(cut), "reference": str(tmp_path / "nowhere.json")}
    refused(
        axolotl,
        tiny.config(tmp_path / "out", versatune=section),
        f"{cut}: not complete JSON",
        "nowhere.json: no such file; make it with `axolotl versatune reference CONFIG`",
    )
    refused(
        axolotl, tiny.config(tmp_path / "out", versatune={**GOOD, "knowledge": str(other)}), "its kind is 'something'"
    )


def test_a_good_knowledge_file_is_the_prior(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    file = tmp_path / "knowledge.json"
    file.write_text(json.dumps(KNOWLEDGE))
    finished = axolotl.train(tiny.config(tmp_path / "out", max_steps=2, versatune={**GOOD, "knowledge": str(file)}))
    assert finished.status == 0, finished.output
    start = json.loads((tmp_path / "out" / "versatune.jsonl").read_text().splitlines()[0])
    assert start["weights"] == pytest.approx(KNOWLEDGE["probabilities"])


def test_a_domain_with_too_few_rows(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    refused(
        axolotl,
        tiny.config(tmp_path / "out", versatune={**GOOD, "heldout": 30}),
        "domain 'medicine' has 30 rows with a token to learn, and `heldout` takes 30 of them",
    )


def test_a_domain_whose_rows_are_all_too_long(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    long = tmp_path / "long.jsonl"
    long.write_text(json.dumps({"instruction": "x " * 400, "input": "", "output": "y"}) + "\n")
    cfg = tiny.config(tmp_path / "out", versatune=GOOD)
    cfg["datasets"].append({**cfg["datasets"][0], "path": str(long), "domain": "novel"})
    finished = axolotl.train(cfg)
    assert finished.status != 0
    assert "domain 'novel'" in finished.output


def reference_file(path: Path, tiny: Tiny, **changes: Any) -> str:
    from transformers import AutoTokenizer

    payload = {
        "kind": "versatune.reference",
        "schema": 1,
        "nats_per_token": {"law": 1.0, "code": 1.0, "medicine": 1.0},
        "bits_per_byte": {"law": 1.0, "code": 1.0, "medicine": 1.0},
        "epochs": {"law": [1.0], "code": [1.0], "medicine": [1.0]},
        "tokenizer": tokenizer_fingerprint(AutoTokenizer.from_pretrained(tiny.model)),
        "heldout": 4,
        "heldout_digests": {"law": "0", "code": "0", "medicine": "0"},
        "seed": 7,
    }
    payload |= changes
    path.write_text(json.dumps({key: value for key, value in payload.items() if value is not None}))
    return str(path)


def test_a_reference_file_of_another_tokenizer_without_bits_per_byte(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path
) -> None:
    file = reference_file(tmp_path / "reference.json", tiny, tokenizer="0123456789abcdef", bits_per_byte=None)
    cfg = tiny.config(tmp_path / "out", versatune={**MOVING, "reference": file})
    refused(axolotl, cfg, "per token of another tokenizer (0123456789abcdef)", "`bits_per_byte`")


def test_a_reference_file_that_lacks_keys(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    file = reference_file(tmp_path / "reference.json", tiny, tokenizer=None, heldout=None)
    section = {name: value for name, value in MOVING.items() if name != "heldout"}
    cfg = tiny.config(tmp_path / "out", versatune={**section, "reference": file})
    refused(
        axolotl,
        cfg,
        f"{file} cannot be used",
        "tokenizer: must be given",
        "heldout: must be given",
        "or write the losses into",
    )


def test_a_reference_file_measured_on_other_rows(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    file = reference_file(tmp_path / "reference.json", tiny)
    cfg = tiny.config(tmp_path / "out", versatune={**MOVING, "reference": file})
    refused(axolotl, cfg, "were measured on other held-out rows than this run holds out")


@pytest.fixture(scope="module")
def interrupted(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A checkpoint after six steps of ten."""
    out = tmp_path_factory.mktemp("interrupted") / "out"
    cfg = tiny.config(out, max_steps=10, save_strategy="steps", save_steps=6, versatune=MOVING)
    finished = axolotl.train(cfg)
    assert finished.status == 0, finished.output
    return out / "checkpoint-6", cfg


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"sigma": 0.7}, "versatune.options.sigma: 1.0 in the checkpoint, 0.7 now"),
        ({"knowledge": {"law": 2, "code": 1, "medicine": 1}}, "versatune.prior.law"),
        ({"update_steps": 4}, "versatune.update_steps: 5 in the checkpoint, 4 now"),
        ({"mixture": "constant"}, "versatune.mixture: 'versatune' in the checkpoint, 'constant' now"),
        ({"samples_per_epoch": 40}, "steps_per_epoch: 30 in the checkpoint, 10 now"),
    ],
)
def test_resume_after_the_section_changed(
    axolotl: Axolotl,
    interrupted: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    section: dict[str, Any],
    told: str,
) -> None:
    checkpoint, cfg = interrupted
    changed = {**cfg, "output_dir": str(tmp_path / "out"), "resume_from_checkpoint": str(checkpoint)}
    changed["versatune"] = {**MOVING, **section}
    finished = axolotl.train(changed)
    assert finished.status != 0
    assert told in finished.output, finished.output
    assert not (tmp_path / "out" / "versatune.jsonl").exists()


def test_accepted_changes_go_on(axolotl: Axolotl, interrupted: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    checkpoint, cfg = interrupted
    section = {**MOVING, "sigma": 0.7, "accept_changes": True}
    changed = {**cfg, "output_dir": str(tmp_path / "out"), "resume_from_checkpoint": str(checkpoint)}
    finished = axolotl.train({**changed, "versatune": section})
    assert finished.status == 0, finished.output
    assert json.loads((tmp_path / "out" / "versatune.jsonl").read_text().splitlines()[-1])["step"] == 10


def test_resume_after_the_data_or_the_domains_changed(
    axolotl: Axolotl, tiny: Tiny, interrupted: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    checkpoint, cfg = interrupted
    changed = {**cfg, "output_dir": str(tmp_path / "out"), "resume_from_checkpoint": str(checkpoint)}
    other = write_rows(tmp_path / "rows", {"law": 60}, seed=5)["law"]
    entries = [{**entry, "path": str(other)} if entry["domain"] == "law" else entry for entry in cfg["datasets"]]
    finished = axolotl.train({**changed, "datasets": entries})
    assert finished.status != 0
    assert "domains.law.content" in finished.output
    renamed = [{**entry, "domain": "rights"} if entry["domain"] == "law" else entry for entry in cfg["datasets"]]
    section = {**MOVING, "reference": {"rights": 1.0, "code": 2.0, "medicine": 0.5}, "accept_changes": True}
    finished = axolotl.train({**changed, "datasets": renamed, "versatune": section})
    assert finished.status != 0
    assert "domains.rights: not in the checkpoint" in finished.output
    assert "Start a new run" in finished.output


def test_resume_from_a_checkpoint_without_or_with_half_a_state(
    axolotl: Axolotl, interrupted: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    checkpoint, cfg = interrupted
    copy = tmp_path / "checkpoint-6"
    shutil.copytree(checkpoint, copy)
    changed = {**cfg, "output_dir": str(tmp_path / "out"), "resume_from_checkpoint": str(copy)}
    state = (copy / "versatune_state.json").read_text()
    (copy / "versatune_state.json").write_text(state[: len(state) // 2])
    finished = axolotl.train(changed)
    assert finished.status != 0
    assert "was not saved to its end: versatune_state.json is cut off" in finished.output
    (copy / "versatune_state.json").unlink()
    finished = axolotl.train(changed)
    assert finished.status != 0
    assert "has no versatune_state.json" in finished.output


def test_the_tokenizer_fingerprint_tells_vocabularies_apart(tmp_path: Path, tiny: Tiny) -> None:
    from transformers import AutoTokenizer

    one = AutoTokenizer.from_pretrained(tiny.model)
    same = AutoTokenizer.from_pretrained(write_model(tmp_path / "same", seed=3))
    assert tokenizer_fingerprint(one) == tokenizer_fingerprint(same)
    same.add_tokens(["versatune"])
    assert tokenizer_fingerprint(one) != tokenizer_fingerprint(same)

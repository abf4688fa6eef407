"""A record that is not the one that a checkpoint was saved with: recognised, kept, and the run ends as undisturbed."""

from __future__ import annotations

import copy
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Axolotl, Tiny
from tests.integration.test_run import SECTION, digest, updates
from versatune_plugin.artifacts.record import RunRecord, read_record
from versatune_plugin.console.plots import plot_weights
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.mixtures.playback import record_problems

STEPS, SAVED = 12, 8
NAMES = ("code", "law", "medicine")
FACTS = {"mixture": "versatune", "total_steps": STEPS, "weights": dict.fromkeys(NAMES, 1 / 3)}


@dataclass
class Run:
    out: Path
    config: dict[str, Any]
    lines: list[bytes]
    so_far: dict[str, Any]
    before: int


@pytest.fixture(scope="module")
def run(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Twelve steps, an update every two, a checkpoint every four; that of step 8 and what it says of the record."""
    cfg = tiny.config(
        tmp_path_factory.mktemp("record") / "out",
        max_steps=STEPS,
        save_strategy="steps",
        save_steps=4,
        auto_resume_from_checkpoints=True,
        versatune={**SECTION, "update_steps": 2},
    )
    finished = axolotl.train(cfg)
    assert finished.status == 0, finished.output
    out = Path(cfg["output_dir"])
    so_far = json.loads((out / f"checkpoint-{SAVED}" / "versatune_state.json").read_text())["record"]
    lines = (out / "versatune.jsonl").read_bytes().splitlines(keepends=True)
    before = [sum(map(len, lines[:number])) for number in range(len(lines) + 1)].index(so_far["bytes"])
    return Run(out, cfg, lines, so_far, before)


def test_a_checkpoint_knows_the_lines_until_its_step(run: Run) -> None:
    start, *lines = [json.loads(line) for line in run.lines]
    assert start["run"] == run.so_far["run"]
    assert [line["kind"] for line in lines] == ["measure", *["update"] * 5, "measure", "end"]
    assert lines[run.before - 2]["step"] == SAVED
    assert lines[run.before - 1]["step"] > SAVED


def changed_value(line: bytes) -> bytes:
    """The last digit of the line is another, and all of it still JSON."""
    number = max(line.rindex(b"%d" % digit) for digit in range(1, 10) if b"%d" % digit in line)
    return line[:number] + (b"%d" % (int(line[number : number + 1]) % 9 + 1)) + line[number + 1 :]


FOREIGN = b'{"kind": "update", "step": 4, "weights": {"poetry": 1.0}}\n'
DAMAGES: dict[str, Callable[[list[bytes], int], list[bytes]]] = {
    "cut": lambda lines, at: [*lines[:at], lines[at][: len(lines[at]) // 2], *lines[at + 1 :]],
    "cut at its end": lambda lines, at: [*lines[:at], lines[at][:-2], *lines[at + 1 :]],
    "lost": lambda lines, at: [*lines[:at], *lines[at + 1 :]],
    "doubled": lambda lines, at: [*lines[: at + 1], *lines[at:]],
    "foreign": lambda lines, at: [*lines[:at], FOREIGN, *lines[at + 1 :]],
    "foreign before it": lambda lines, at: [*lines[:at], FOREIGN, *lines[at:]],
    "changed": lambda lines, at: [*lines[:at], changed_value(lines[at]), *lines[at + 1 :]],
    "not text": lambda lines, at: [*lines[:at], b"\xff\xfe" + lines[at], *lines[at + 1 :]],
    "the end from there": lambda lines, at: lines[:at],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_line_of_a_record(run: Run, tmp_path: Path, damage: str) -> None:
    """Before the checkpoint each damage begins a new record; after it the lines are done again anyway."""
    for at in range(len(run.lines)):
        out = tmp_path / str(at)
        out.mkdir()
        damaged = b"".join(DAMAGES[damage](run.lines, at))
        (out / "versatune.jsonl").write_bytes(damaged)
        record = RunRecord(out)
        record.resume(SAVED, run.so_far, FACTS)
        lines = read_record(out)
        # Whether the line after the last one known is a doubled one makes no difference.
        if at >= run.before or (damage == "doubled" and at == run.before - 1):
            assert (out / "versatune.jsonl").read_bytes().startswith(b"".join(run.lines[: run.before]))
            assert [line["kind"] for line in lines[run.before :]] == ["resume"]
            assert not (out / "versatune.1.jsonl").exists()
        else:
            assert [(line["kind"], line["resumed_at"], line["run"]) for line in lines] == [
                ("start", SAVED, run.so_far["run"])
            ]
            assert lines[0]["why"]
            assert (out / "versatune.1.jsonl").read_bytes() == damaged
        # The next checkpoint knows this record.
        assert record.so_far is not None
        record.add("measure", {"step": 10, "weights": FACTS["weights"]})
        known = copy.deepcopy(record.so_far)
        whole = (out / "versatune.jsonl").read_bytes()
        record.add("end", {"step": STEPS})
        RunRecord(out).resume(10, known, FACTS)
        assert (out / "versatune.jsonl").read_bytes().startswith(whole)
        assert len(read_record(out)) == len(lines) + 2


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_reader_fails_at_a_damaged_line(run: Run, tmp_path: Path, damage: str) -> None:
    """Each reads what is left, or says in one message which line is wrong."""
    for at in range(len(run.lines)):
        file = tmp_path / f"{at}.jsonl"
        file.write_bytes(b"".join(DAMAGES[damage](run.lines, at)))
        complaints = record_problems("schedule", file, NAMES)
        problem = None
        try:
            plot_weights(read_record(file), tmp_path / "weights.svg")
        except VersaTuneError as error:
            problem = f"schedule: {error}"
        assert complaints == ([problem] if problem else [])
        assert problem or damage not in ("doubled", "foreign", "foreign before it", "not text")
        assert problem is None or str(file) in problem


WRONG: list[Any] = [None, True, -1, 1.5, "1", [], {}, [1], {"law": None}, {"law": "much"}, {"law": -1.0}]


@pytest.mark.parametrize("key", ["kind", "step", "weights", "loss", "mixture", "total_steps", "resumed_at"])
def test_a_value_of_a_wrong_type_is_told(run: Run, tmp_path: Path, key: str) -> None:
    lines = [json.loads(line) for line in run.lines]
    number = 0 if key in ("mixture", "total_steps", "resumed_at") else 2
    for value in WRONG:
        # Losses may be missing, and a mixture have any name.
        if (key, value) in (("loss", None), ("mixture", "1")):
            continue
        wrong = [*lines[:number], {**lines[number], key: value}, *lines[number + 1 :]]
        file = tmp_path / "versatune.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in wrong))
        with pytest.raises(VersaTuneError, match=rf"versatune\.jsonl, line {number + 1} is not of a run's record"):
            read_record(file)
    for line in WRONG:
        file.write_text("".join(json.dumps(one) + "\n" for one in (lines[0], line)))
        with pytest.raises(VersaTuneError, match="line 2( is not of a run's record|: .* is no mapping)"):
            read_record(file)
        file.write_text(json.dumps(line) + "\n")
        with pytest.raises(VersaTuneError, match="no record of a run|is no mapping"):
            read_record(file)


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (None, "it is not there"),
        (b"", "it is empty"),
        (b'{"kind": "start", "run": "another"}\n', "it is of another run (another; the checkpoint is of "),
        (b'{"kind": "update"}\n', "its first line is not that of a run"),
        (b"17\n", "its first line is not that of a run"),
    ],
)
def test_why_a_new_record_begins(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, held: bytes | None, why: str
) -> None:
    file = tmp_path / "versatune.jsonl"
    if held is not None:
        file.write_bytes(held)
    with caplog.at_level(logging.WARNING, "axolotl.versatune"):
        RunRecord(tmp_path).resume(SAVED, run.so_far, FACTS)
    (line,) = read_record(file)
    assert line["why"].startswith(why)
    assert f"{file}: {why}" in caplog.text
    assert "what it was told before step 8 is not in the new record" in caplog.text
    assert (f"It is kept as {tmp_path / 'versatune.1.jsonl'}" in caplog.text) == (held is not None)
    # Stopped before its next checkpoint, the run goes on from here once more: nothing is lost, so nothing is kept.
    RunRecord(tmp_path).resume(SAVED, run.so_far, FACTS)
    assert [line["kind"] for line in read_record(file)] == ["start", "resume"]
    assert not (tmp_path / "versatune.2.jsonl").exists()


@pytest.mark.parametrize("held", ["nothing", "no bytes", "all but the first line", "another run's"])
def test_a_run_goes_on_with_a_new_record_and_ends_the_same(
    run: Run, axolotl: Axolotl, tmp_path: Path, held: str
) -> None:
    out = tmp_path / "out"
    shutil.copytree(run.out, out)
    shutil.rmtree(out / f"checkpoint-{STEPS}")
    file = out / "versatune.jsonl"
    another = b"".join(run.lines).replace(run.so_far["run"].encode(), b"0" * 32)
    left = {"no bytes": b"", "all but the first line": b"".join(run.lines[1:]), "another run's": another}
    file.unlink()
    if held in left:
        file.write_bytes(left[held])
    finished = axolotl.train({**run.config, "output_dir": str(out)})
    assert finished.status == 0, finished.output
    assert "The run goes on, and what it was told before step 8 is not in the new record" in finished.output
    start, *_ = read_record(file)
    assert (start["resumed_at"], start["run"]) == (SAVED, run.so_far["run"])
    assert start["why"] in finished.output
    if held in left:
        assert (out / "versatune.1.jsonl").read_bytes() == left[held]
    assert updates(out) == [line for line in updates(run.out) if line["step"] > SAVED]
    assert digest(out) == digest(run.out)

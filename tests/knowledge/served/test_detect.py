"""`axolotl versatune detect` and `judge-check` through servers that fail, are killed for, and see a key."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Axolotl, Finished, Tiny
from tests.helpers import faulty_server
from tests.helpers.faulty_server import CANARY, FAULTS, Server
from tests.helpers.under_fire import killed_at_random

SECTION = {
    "mixture": "versatune",
    "knowledge": "knowledge.json",
    "reference": "reference.json",
    "descriptions": {"law": "courts and statutes", "medicine": "patients"},
}
PLUGINS = ["versatune_plugin.VersaTunePlugin", "tests.helpers.fire_plugin.FirePlugin"]
SIZES = {"texts": 40, "iterations": 2, "batch-size": 4, "max-new-tokens": 24, "tolerance": 0, "max-unparsed": 0}
FILES = ("knowledge.texts.jsonl", "knowledge.judgements.jsonl")
HARMLESS = [name for name in FAULTS if name != "half"]


@pytest.fixture
def server() -> Iterator[Server]:
    with faulty_server.serving() as running:
        yield running


def run(
    axolotl: Axolotl, tiny: Tiny, folder: Path, command: str, *argv: str, env: dict[str, str] | None = None
) -> Finished:
    folder.mkdir(exist_ok=True)
    cfg = tiny.config(folder / "out", plugins=PLUGINS, versatune=SECTION)
    (folder / "cfg.yml").write_text(yaml.safe_dump(cfg))
    return axolotl.run("axolotl.cli.main", "versatune", command, "cfg.yml", *argv, cwd=folder, env=env)


def detect(
    axolotl: Axolotl, tiny: Tiny, folder: Path, server: Server, *argv: str, env: dict[str, str] | None = None
) -> Finished:
    sizes = [part for name, value in SIZES.items() for part in (f"--{name}", str(value))]
    served = ["--judge", "http", "--judge-url", server.url, "--server-url", server.url]
    return run(axolotl, tiny, folder, "detect", *sizes, *served, *argv, env=env)


def contents(folder: Path) -> list[Any]:
    """Everything but the time, the addresses, and the order in which answers came."""
    knowledge = json.loads((folder / "knowledge.json").read_text())
    for name in ("finished", "command"):
        del knowledge[name]
    del knowledge["written_by"]["addresses"], knowledge["judge"]["addresses"]
    answers = sorted((folder / "knowledge.answers.jsonl").read_text().splitlines())
    return [knowledge, answers, *((folder / name).read_bytes() for name in FILES), sorted(folder.glob("*.tmp"))]


def questions(server: Server) -> dict[str, int]:
    return {question: count for question, count in server.answered.items() if "chat/completions" in question}


@pytest.fixture(scope="module")
def whole(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an undisturbed run makes."""
    folder = tmp_path_factory.mktemp("served")
    with faulty_server.serving() as running:
        finished = detect(axolotl, tiny, folder, running, "--judge-price", "1", "2")
        assert finished.status == 0, finished.output
        assert "at the pace of the first batch all iterations take: 80 texts of at most 24 tokens" in finished.output
        assert re.search(r"the judge reads about [\d,]+ tokens and writes \d+, which costs about 0\.0", finished.output)
        # Each text under each of three orders, and the text that shows whether log-probabilities are there.
        assert set(questions(running).values()) == {1}
        assert len(questions(running)) == 80 * 3 + 1
    return folder


def test_everything_is_asked_explicitly_and_recorded(whole: Path, axolotl: Axolotl, tiny: Tiny, server: Server) -> None:
    folder = whole.parent / "explicit"
    assert detect(axolotl, tiny, folder, server).status == 0
    written = [body for path, body in server.asked if path == "/v1/completions"]
    assert {json.dumps(body["prompt"]) for body in written} == {"[0]"}
    sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
    assert all(sampling.items() <= body.items() for body in written)
    # No two of the 80 texts have a seed in common.
    seeds = [body["seed"] + number for body in written for number in range(body["n"])]
    assert len(set(seeds)) == len(seeds) == 80
    judged = [body for path, body in server.asked if path != "/v1/completions"]
    assert all(body["temperature"] == 0 and body["logprobs"] and body["max_tokens"] == 1 for body in judged)
    prompts = [body["messages"][0]["content"] for body in judged]
    assert all("law: courts and statutes" in prompt and ") code\n" in prompt for prompt in prompts)
    knowledge = json.loads((folder / "knowledge.json").read_text())
    assert knowledge["written_by"]["kind"] == "vLLM"
    assert knowledge["written_by"]["version"] == "0.11.0"
    assert knowledge["server"]["request"]["top_k"] == 0
    judge = knowledge["judge"]
    assert (judge["model"], judge["rotations"], judge["answers"], judge["verbalised"]) == (
        "judge",
        3,
        "logprobs",
        False,
    )
    assert judge["tokens_read"] > 80 * 3 * 50
    assert knowledge["probabilities"]["medicine"] > 0.4 > knowledge["probabilities"]["code"]
    assert contents(folder) == contents(whole)


def test_faults_change_nothing_and_nothing_is_answered_twice(
    whole: Path, axolotl: Axolotl, tiny: Tiny, tmp_path: Path, server: Server
) -> None:
    names = [*FAULTS, "hang up"]

    def faults(path: str, body: dict[str, Any]) -> list[str]:
        draw = random.Random(json.dumps(body, sort_keys=True))
        return [draw.choice(names) for _ in range(draw.choice((0, 0, 0, 0, 1, 2)))]

    server.faults = faults
    with faulty_server.serving() as other:
        other.faults = faults
        finished = detect(axolotl, tiny, tmp_path, server, "--judge-url", other.url, "--server-url", other.url)
        assert finished.status == 0, finished.output
        both = questions(server) | questions(other)
        assert len(both) == 80 * 3 + 1
        assert sum(questions(server).values()) + sum(questions(other).values()) == 80 * 3 + 1
        assert min(sum(questions(one).values()) for one in (server, other)) > 40
    assert contents(tmp_path) == contents(whole)


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(
    whole: Path, axolotl: Axolotl, tiny: Tiny, tmp_path: Path, server: Server, kills: int
) -> None:
    server.latency = 0.01
    began = time.monotonic()
    assert detect(axolotl, tiny, tmp_path / "timed", server).status == 0
    length = time.monotonic() - began
    server.answered.clear()
    folder = tmp_path / "killed"
    finished = killed_at_random(20, 0, length, tmp_path, lambda env: detect(axolotl, tiny, folder, server, env=env))
    assert finished.status == 0, finished.output
    assert contents(folder) == contents(whole)
    # What was answered while the process died, at most as many as are open at once, is all that was asked again.
    assert sum(count - 1 for count in questions(server).values()) <= kills * 16
    assert len(questions(server)) == 80 * 3 + 1


def test_a_finished_detection_asks_nothing_again(
    whole: Path, axolotl: Axolotl, tiny: Tiny, tmp_path: Path, server: Server
) -> None:
    assert detect(axolotl, tiny, tmp_path, server).status == 0
    before = len(server.asked)
    assert detect(axolotl, tiny, tmp_path, server).status == 0
    assert len(server.asked) == before
    # Without the judgements, from the answers alone.
    (tmp_path / "knowledge.judgements.jsonl").unlink()
    assert detect(axolotl, tiny, tmp_path, server).status == 0
    assert len(server.asked) == before
    assert contents(tmp_path) == contents(whole)


def test_only_an_estimate(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, server: Server) -> None:
    finished = detect(axolotl, tiny, tmp_path, server, "--only-estimate")
    assert finished.status == 0, finished.output
    assert "at the pace of the first batch all iterations take: 80 texts" in finished.output
    assert not (tmp_path / "knowledge.json").exists()
    texts = (tmp_path / "knowledge.texts.jsonl").read_text().splitlines()
    assert len(texts) == 1 + 16
    assert detect(axolotl, tiny, tmp_path, server).status == 0
    assert set(questions(server).values()) == {1}


def test_a_server_without_log_probabilities_is_asked_for_json(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, server: Server
) -> None:
    server.listed = False
    finished = detect(axolotl, tiny, tmp_path, server)
    assert finished.status == 0, finished.output
    judge = json.loads((tmp_path / "knowledge.json").read_text())["judge"]
    assert (judge["answers"], judge["verbalised"]) == ("json", True)
    assert "those that it wrote as JSON, rounded and over-confident" in " ".join(finished.output.split())
    formats = [body["response_format"] for _, body in server.asked if "response_format" in body]
    assert len(formats) == 80 * 3
    assert formats[0]["json_schema"]["schema"]["required"] == ["A", "B", "C"]
    refused = detect(axolotl, tiny, tmp_path / "strict", server, "--judge-answers", "logprobs")
    assert refused.status == 2
    assert "it lists no log-probabilities: give --judge-answers json" in refused.output


WRONG = {
    "wrong JSON": '{"A": 0.5, "B"',
    "wrong labels": '{"law": 1}',
    "negative": '{"A": -1, "B": 1, "C": 1}',
    "all zero": '{"A": 0, "B": 0, "C": 0}',
    "words": "The text is about law.",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_answers_that_cannot_be_used_end_it_and_are_kept(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, server: Server, wrong: str
) -> None:
    server.words = lambda body: WRONG[wrong]
    finished = detect(axolotl, tiny, tmp_path, server, "--judge-answers", "json")
    assert finished.status == 2
    assert "4 of 4 texts (100.0%) have no usable judgement (0 of them are blank)" in finished.output
    assert "another --judge-answers" in finished.output
    kept = [json.loads(line) for line in (tmp_path / "knowledge.answers.jsonl").read_text().splitlines()[1:]]
    problem = "off-list" if wrong == "wrong labels" else "unparsed"
    assert [line["problem"] for line in kept] == [problem] * 12
    server.asked.clear()
    again = detect(axolotl, tiny, tmp_path, server, "--judge-answers", "json")
    assert again.status == 2
    assert not [body for path, body in server.asked if "chat" in path]


def test_probabilities_that_do_not_sum_to_one_are_divided_by_their_sum(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, server: Server
) -> None:
    server.words = lambda body: '{"A": 40, "B": 40, "C": 80}'
    assert detect(axolotl, tiny, tmp_path, server, "--judge-answers", "json").status == 0
    knowledge = json.loads((tmp_path / "knowledge.json").read_text())
    # Over the three orders every domain stands once in each place.
    assert knowledge["probabilities"] == pytest.approx(dict.fromkeys(("code", "law", "medicine"), 1 / 3))
    assert knowledge["judge"]["answers_renormalised"] == 240


def test_a_server_that_passes_over_the_seed_is_found_out(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, server: Server
) -> None:
    server.write = lambda seed, body: faulty_server.written(1, body)
    finished = detect(axolotl, tiny, tmp_path, server)
    assert finished.status == 2
    assert "of 16 texts with seeds of their own only 1 differ" in finished.output
    server.write = lambda seed, body: "the court the court" if seed % 4 else faulty_server.written(seed, body)
    assert detect(axolotl, tiny, tmp_path / "some", server).status == 2


@pytest.mark.parametrize("failing", ["accepted", "not accepted", "500", "html", "400", "in the name", "gone"])
def test_the_key_is_nowhere(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, server: Server, failing: str) -> None:
    server.key = CANARY if failing != "not accepted" else "another"
    echo = json.dumps({"error": {"message": f"Bearer {CANARY} was sent"}}).encode()
    at_once = {"Retry-After": "0"}
    page = f"<p>{CANARY}</p>".encode()
    faults = {"500": (500, at_once, echo), "html": (502, at_once, page), "400": (400, {}, echo)}
    with pytest.MonkeyPatch.context() as patch:
        if failing in faults:
            patch.setitem(FAULTS, "500", faults[failing])
            server.faults = lambda path, body: ["500"] * 50 if "chat" in path else []
        name = CANARY if failing == "in the name" else "JUDGE_KEY"
        env = {"VERSATUNE_DEBUG": "1", "LOG_LEVEL": "DEBUG", "AXOLOTL_LOG_LEVEL": "DEBUG"}
        env |= {} if failing == "gone" else {"JUDGE_KEY": CANARY}
        finished = detect(axolotl, tiny, tmp_path, server, "--judge-key-env", name, "--server-key-env", name, env=env)
    assert finished.status == (0 if failing == "accepted" else 2), finished.output
    assert CANARY not in finished.output
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


def test_judge_check_measures_calibrates_and_corrects(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, server: Server
) -> None:
    judged = ("--judge", "http", "--judge-url", server.url, "--max-new-tokens", "24")
    finished = run(axolotl, tiny, tmp_path, "judge-check", *judged, "--plot", "check.png")
    assert finished.status == 0, finished.output
    assert "accuracy" in finished.output
    assert "expected calibration error" in finished.output
    assert "written to knowledge.judge.json" in finished.output
    assert (tmp_path / "check.png").read_bytes().startswith(b"\x89PNG")
    check = json.loads((tmp_path / "knowledge.judge.json").read_text())
    assert check["quality"]["accuracy"] > 0.6
    assert check["quality"]["temperature"] > 0
    assert set(check["labelled_rows"]) == {"code", "law", "medicine"}
    assert check["tokens_read"] > 0
    asked = len(server.asked)
    assert run(axolotl, tiny, tmp_path, "judge-check", *judged).status == 0
    assert len(server.asked) == asked
    finished = detect(axolotl, tiny, tmp_path, server, "--estimator", "em")
    assert finished.status == 0, finished.output
    knowledge = json.loads((tmp_path / "knowledge.json").read_text())
    assert set(knowledge["estimates"]) == {"mean", "label", "adjusted", "em"}
    assert knowledge["estimator"] == "em"
    assert knowledge["probabilities"] == knowledge["estimates"]["em"]["probabilities"]
    # Another judge than the one that was checked.
    refused = detect(axolotl, tiny, tmp_path, server, "--judge-rotations", "1")
    assert refused.status == 2
    assert "checks another judge" in refused.output
    assert "judge.rotations: 3 in the file, 1 now" in refused.output
    (tmp_path / "knowledge.judge.json").unlink()
    refused = detect(axolotl, tiny, tmp_path, server, "--estimator", "em")
    assert refused.status == 2
    assert "run `axolotl versatune judge-check` with the same judge first" in refused.output

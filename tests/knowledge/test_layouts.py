"""The judge `classifier` judges what rows say: the same rows in any format give the same shares."""

from __future__ import annotations

import json
import random

import pytest
import yaml

from tests.conftest import Axolotl, Tiny
from tests.helpers import faulty_server
from tests.helpers.embedding import model as embedding_model
from tests.helpers.layouts import Row, entry
from tests.helpers.tiny import WORDS

DOMAINS = ("code", "law", "medicine")
ASSIGNMENTS = (
    ("alpaca", "alpaca", "alpaca"),
    ("chat", "chat", "chat"),
    ("completion", "completion", "completion"),
    ("completion", "alpaca", "chat"),
    ("chat", "completion", "alpaca"),
    ("alpaca", "chat", "completion"),
    ("sharegpt", "alpaca", "gemma"),
    ("segments", "preamble", "alpaca"),
    ("tokens", "custom", "completion"),
    ("preamble", "tokens", "sharegpt"),
)


def sentence(draw: random.Random, domain: str, length: int) -> str:
    """Words of which half could be of any domain."""
    common = " ".join(WORDS.values()).split()
    return " ".join(draw.choice(common if draw.random() < 0.5 else WORDS[domain].split()) for _ in range(length))


def rows(domain: str, size: int, seed: str = "") -> list[Row]:
    draw = random.Random(seed + domain)
    return [(sentence(draw, domain, draw.randint(3, 6)) + "?", sentence(draw, domain, 8) + ".") for _ in range(size)]


@pytest.fixture(scope="module")
def judged(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:  # type: ignore[type-arg]
    """What the judge says under each configuration; all in one process, which imports Axolotl once."""
    folder = tmp_path_factory.mktemp("layouts")
    draw = random.Random(1)
    texts = [
        sentence(draw, name, 14) for name, size in (("code", 20), ("law", 60), ("medicine", 40)) for _ in range(size)
    ]
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    paths = []

    def configuration(name: str, datasets: list[dict[str, object]]) -> None:
        cfg = tiny.config(folder / "out", versatune={"mixture": "uniform"}, datasets=datasets)
        paths.append(folder / f"{name}.yml")
        paths[-1].write_text(
            yaml.safe_dump(cfg | {"dataset_prepared_path": str(folder / "prepared")}), encoding="utf-8"
        )

    for assignment in ASSIGNMENTS:
        datasets = [
            entry(layout, name, rows(name, 120), folder) for name, layout in zip(DOMAINS, assignment, strict=True)
        ]
        configuration(" ".join(assignment), datasets)
    talk = [*rows("law", 80, "more"), *rows("medicine", 80, "more")]
    others = [entry("alpaca", name, rows(name, 120), folder) for name in DOMAINS]
    configuration("talk", [*others, entry("chat", "talk", talk, folder)])
    more = folder / "more"
    more.mkdir()
    # Only the first half of a file, and two files of one domain.
    halves = [others[0] | {"split": "train[:50%]"}, others[1], others[2]]
    configuration("halves", [*halves, entry("chat", "law", rows("law", 30, "more"), more) | {"shards": 2}])
    with faulty_server.serving() as server:
        readers = {
            "http": {"judge_url": [server.url], "judge_rotations": 1},
            "embedding": {"judge_model": embedding_model()},
            "model": {"judge_model": str(tiny.model)},
        }
        finished = axolotl.run(
            "tests.helpers.layouts_job",
            str(folder / "texts.json"),
            *map(str, paths),
            cwd=folder,
            env={"OTHER_JUDGES": json.dumps(readers)},
        )
    assert finished.status == 0, finished.output
    return {path.stem: json.loads(path.with_suffix(".json").read_text()) for path in paths} | {
        "output": {"text": finished.output}
    }


def test_shares_do_not_depend_on_the_formats(judged: dict[str, dict]) -> None:  # type: ignore[type-arg]
    reference = judged[" ".join(ASSIGNMENTS[0])]["shares"]
    assert 0.1 < reference[0] < 0.3 < reference[2] < reference[1] < 0.6
    for assignment in ASSIGNMENTS:
        found = judged[" ".join(assignment)]
        assert found["shares"] == pytest.approx(reference, abs=1e-9), assignment
        assert found["judge"]["training_rows"] == dict.fromkeys(DOMAINS, 96)
        assert found["judge"]["warnings"] == []


@pytest.mark.parametrize("judge", ["http", "embedding", "model"])
def test_no_judge_sees_a_format(judged: dict[str, dict], judge: str) -> None:  # type: ignore[type-arg]
    plain, _, rows = judged[" ".join(ASSIGNMENTS[0])]["others"][judge]
    assert max(plain) - min(plain) > 1e-4
    for assignment in ASSIGNMENTS:
        found = judged[" ".join(assignment)]["others"][judge]
        assert found[0] == pytest.approx(plain, abs=1e-6), assignment
        assert found[1] == pytest.approx(plain, abs=1e-6), assignment
        # The labelled rows that a judge is checked on are the same ones, and say the same.
        assert found[2] == pytest.approx(rows, abs=1e-6), assignment


def test_a_domain_that_is_only_a_format_is_named(judged: dict[str, dict]) -> None:  # type: ignore[type-arg]
    warnings = judged["talk"]["judge"]["warnings"]
    assert len(warnings) == 1
    assert "domain 'talk' is hardly told from others by what its rows say" in warnings[0]
    for name, among in (("law", True), ("medicine", True), ("code", False)):
        assert (f"{name!r} (" in warnings[0]) == among
    assert warnings[0] in judged["output"]["text"].replace("\n", "")


def test_rows_are_those_of_the_run(judged: dict[str, dict]) -> None:  # type: ignore[type-arg]
    judge = judged["halves"]["judge"]
    rows_of = {name: judge["training_rows"][name] + judge["test_rows"][name] for name in DOMAINS}
    assert rows_of == {"code": 60, "law": 135, "medicine": 120}

"""The judge behind a server: its contract, its orders, and the answers that it keeps."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import faulty_server
from tests.helpers.faulty_server import Server, shares
from versatune_plugin.errors import ArtifactError, ConfigurationError
from versatune_plugin.knowledge.judges.answers import KeptAnswers
from versatune_plugin.knowledge.judges.chat import ChatJudge
from versatune_plugin.knowledge.judges.domain_rows import DomainRows
from versatune_plugin.knowledge.judges.question import Questions
from versatune_plugin.knowledge.judges.registry import JudgeContext
from versatune_plugin.knowledge.options import JudgeOptions
from versatune_plugin.testing import JudgeContract

DOMAINS = ("code", "law", "medicine")
TEXTS = ["the court and the judge", "def f return", "court patient", "nothing of any"]


@pytest.fixture(scope="class")
def served() -> Iterator[Server]:
    with faulty_server.serving() as running:
        yield running


def made(server: Server, answers: Path | None = None, domains: tuple[str, ...] = DOMAINS, **options: Any) -> ChatJudge:
    chosen = JudgeOptions(judge="http", judge_url=(server.url,), **options)
    context = JudgeContext(domains=domains, descriptions={}, options=chosen, rows=DomainRows({}, {}), answers=answers)
    return ChatJudge.from_context(context)


class TestContract(JudgeContract):
    @pytest.fixture(autouse=True)
    def _server(self, served: Server) -> None:
        TestContract.server = served  # type: ignore[attr-defined]

    def judge(self) -> ChatJudge:
        return made(self.server)  # type: ignore[attr-defined]


class TestContractInJson(TestContract):
    def judge(self) -> ChatJudge:
        return made(self.server, judge_answers="json")  # type: ignore[attr-defined]


class TestJudge:
    def test_the_mean_over_the_orders(self, served: Server) -> None:
        found = made(served).probabilities(TEXTS)
        questions = Questions(DOMAINS, {}, as_json=False)
        for text, row in zip(TEXTS, found, strict=True):
            expected = np.zeros(3)
            for rotation in range(3):
                given = np.array(list(shares(questions.prompt(text, rotation)).values()))
                expected[questions.order(rotation)] += given / given.sum() / 3
            assert row == pytest.approx(expected)
        assert found.argmax(axis=1).tolist()[:2] == [1, 0]
        # The server's leaning to the first option is gone where nothing else speaks.
        assert found[3] == pytest.approx(np.full(3, 1 / 3))
        one = made(served, judge_rotations=1).probabilities(TEXTS)
        assert one[3, 0] > 0.4

    def test_equal_texts_are_asked_once_and_answers_are_asked_never_again(self, served: Server, tmp_path: Path) -> None:
        served.asked.clear()
        kept = tmp_path / "answers.jsonl"
        first = made(served, kept).probabilities([*TEXTS, TEXTS[0]])
        assert np.array_equal(first[0], first[4])
        assert len(served.asked) == 3 * len(TEXTS) + 1
        again = made(served, kept)
        assert np.array_equal(again.probabilities(TEXTS), first[:4])
        assert len(served.asked) == 3 * len(TEXTS) + 1
        counted = again.tokens()
        del again
        assert counted == made(served, kept).tokens() > (0, 0)
        # Another question, another answer.
        made(served, kept, judge_answers="json").probabilities(TEXTS[:1])
        assert len(served.asked) == 3 * len(TEXTS) + 1 + 3

    def test_a_file_cut_off_anywhere_loses_its_last_line_alone(self, served: Server, tmp_path: Path) -> None:
        kept = tmp_path / "answers.jsonl"
        first = made(served, kept).probabilities(TEXTS)
        whole = kept.read_bytes()
        for length in range(len(whole) - 400, len(whole), 13):
            kept.write_bytes(whole[:length])
            served.asked.clear()
            assert np.array_equal(made(served, kept).probabilities(TEXTS), first)
            assert len(served.asked) <= 3
            assert sorted(kept.read_bytes().splitlines()) == sorted(whole.splitlines())

    def test_two_at_once_do_not_pay_twice(self, served: Server, tmp_path: Path) -> None:
        kept = tmp_path / "answers.jsonl"
        first = made(served, kept)
        with pytest.raises(ArtifactError, match="another command keeps its judge's answers there; wait for it"):
            made(served, kept)
        first.probabilities(TEXTS)
        del first
        made(served, kept).probabilities(TEXTS)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (b'"rotation": 0', b'"rotation": "0"'),
            (b'"read": ', b'"read": -'),
            (b'"problem": null', b'"problem": "odd"'),
            (b"versatune.knowledge_answers", b"something.else"),
        ],
    )
    def test_what_was_edited_is_refused(self, served: Server, tmp_path: Path, change: bytes, said: bytes) -> None:
        kept = tmp_path / "answers.jsonl"
        made(served, kept).probabilities(TEXTS)
        kept.write_bytes(kept.read_bytes().replace(change, said, 1))
        with pytest.raises(ArtifactError, match="remove it: its texts are asked about anew"):
            KeptAnswers(kept)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ([1.0, 0.0, 0.5], "probabilities that sum to 1.5, not to 1"),
            (None, "has probabilities and a problem, or neither"),
            ([0.5, 0.5], "has an answer that is not of 3 domains; remove it"),
        ],
    )
    def test_probabilities_that_were_edited_are_refused(
        self, served: Server, tmp_path: Path, change: list[float] | None, said: str
    ) -> None:
        kept = tmp_path / "answers.jsonl"
        made(served, kept).probabilities(TEXTS)
        header, *lines = map(json.loads, kept.read_text().splitlines())
        lines[-1]["probabilities"] = change
        kept.write_text("".join(json.dumps(line) + "\n" for line in [header, *lines]))
        with pytest.raises(ArtifactError, match=said):
            made(served, kept).probabilities(TEXTS)

    def test_what_a_full_disk_cut_off_is_not_continued(self, served: Server, tmp_path: Path) -> None:
        kept = tmp_path / "answers.jsonl"
        judge = made(served, kept)
        judge.probabilities(TEXTS[:1])
        before = kept.read_bytes()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, limits[1]))
        try:
            with pytest.raises(ArtifactError, match="cannot be written"):
                judge.probabilities(TEXTS)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert kept.read_bytes() == before
        # It still has the file for itself, as a command of its own would not.
        assert judge.probabilities(TEXTS).shape == (4, 3)

    def test_more_orders_than_there_are(self, served: Server) -> None:
        with pytest.raises(ConfigurationError, match="--judge-rotations is 4, but 3 domains have 3 cyclic orders"):
            made(served, judge_rotations=4)

    def test_more_domains_than_a_server_lists(self, served: Server) -> None:
        many = tuple(f"domain {number:02}" for number in range(21))
        with pytest.raises(ConfigurationError, match="servers list 20 tokens at most, but there are 21 domains"):
            made(served, domains=many, judge_answers="logprobs")
        judge = made(served, domains=many, judge_rotations=2)
        assert judge.settings()["answers"] == "json"
        assert judge.probabilities(["court"]).shape == (1, 21)

    def test_a_judge_that_would_sooner_say_something_else_is_warned_of(
        self, served: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unsure = {"A": 0.2, "B": 0.1, "C": 0.1}
        monkeypatch.setattr(faulty_server, "shares", lambda prompt: unsure)
        judge = made(served)
        judge.probabilities(TEXTS)
        described = judge.describe()
        assert described["on_labels"] == pytest.approx(0.36)
        assert "answers with a letter in 36% of its probability" in described["warnings"][0]

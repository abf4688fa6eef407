"""What the rest of a detection takes, said after its first batch."""

from __future__ import annotations

import pytest

from versatune_plugin.knowledge.forecast import Pace, duration, forecast
from versatune_plugin.knowledge.options import DetectionOptions
from versatune_plugin.knowledge.served.server import LLAMA_CPP, OTHER, SGLANG, VLLM, Server, sampling


def test_time_tokens_and_money_of_all_iterations() -> None:
    options = DetectionOptions(judge="http", judge_price=(0.5, 2.0), tolerance=0.02)
    pace = Pace(written=250, writing=5.0, judged=50, judging=2.0, read=60_000, answered=300)
    assert forecast(pace, options) == (
        "at the pace of the first batch all iterations take: 10,000 texts of at most 128 tokens, about 3 min to write, "
        "about 7 min to judge, the judge reads about 12.0 million tokens and writes 60,000, which costs about 6.12; it "
        "ends earlier once every half width is within 0.02"
    )


def test_what_was_not_measured_is_not_said() -> None:
    options = DetectionOptions(tolerance=0.0, texts=5, iterations=1)
    assert forecast(Pace(0, 0.0, 5, 1.0), options) == (
        "at the pace of the first batch all iterations take: 5 texts of at most 128 tokens, about 1 s to judge"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (119, "119 s"), (121, "2 min"), (7300, "2 h"), (200_000, "2 days")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("kind", [VLLM, SGLANG, LLAMA_CPP, OTHER])
def test_nothing_of_the_sampling_is_left_to_a_server(kind: str) -> None:
    sent = sampling(Server(kind, "m", {}), 1.0)
    assert (sent["temperature"], sent["top_p"], sent["min_p"]) == (1.0, 1.0, 0.0)
    assert sent["top_k"] == (-1 if kind in (SGLANG, OTHER) else 0)
    assert sent["repeat_penalty" if kind == LLAMA_CPP else "repetition_penalty"] == 1.0
    assert sent["presence_penalty"] == sent["frequency_penalty"] == 0.0

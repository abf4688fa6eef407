"""What servers answer that was not asked for: read as it is meant, or refused with what to do; never taken for more."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from transformers import AutoTokenizer

from tests.conftest import Tiny
from tests.helpers import faulty_server
from tests.helpers.faulty_server import FAULTS, Server
from tests.knowledge.judges.test_chat import TEXTS, made
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.knowledge.generation import TextBatch
from versatune_plugin.knowledge.options import DetectionOptions
from versatune_plugin.knowledge.served import client
from versatune_plugin.knowledge.served.address import address_problems
from versatune_plugin.knowledge.served.client import Servers
from versatune_plugin.knowledge.served.server import served_model
from versatune_plugin.knowledge.served_generation import ServedSampler

Alter = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture
def server() -> Iterator[Server]:
    with faulty_server.serving() as running:
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_WAIT", 0.01)


def altered(server: Server, alter: Alter) -> None:
    """Let the server change the choices of its answers."""
    server.altered = lambda path, answer: answer | {"choices": alter(answer["choices"])}


def texts(server: Server, tiny: Tiny, batches: int = 1, **options: Any) -> list[str]:
    """What a sampler makes of the server's answers."""
    chosen = DetectionOptions(server_url=(server.url,), **options)
    sampler = ServedSampler.from_options(AutoTokenizer.from_pretrained(tiny.model), chosen)
    asked = [TextBatch(16 * number, 16, 0) for number in range(batches)]
    return [one.text for batch in sampler.write(asked) for one in batch]


class TestTexts:
    def test_the_order_of_the_choices_is_that_of_their_numbers(self, server: Server, tiny: Tiny) -> None:
        expected = texts(server, tiny)
        altered(server, lambda choices: choices[::-1])
        assert texts(server, tiny) == expected

    def test_one_seed_for_all_texts_of_a_request(self, server: Server, tiny: Tiny) -> None:
        altered(server, lambda choices: [one | {"text": choices[0]["text"]} for one in choices])
        for most in (2, 3):
            with pytest.raises(ConfigurationError, match="texts with seeds of their own only .* differ"):
                texts(server, tiny, texts_per_request=most)

    def test_the_same_texts_in_every_request(self, server: Server, tiny: Tiny) -> None:
        server.write = lambda seed, body: faulty_server.written(1000 * (seed - body["seed"]), body)
        with pytest.raises(ConfigurationError, match="of 32 texts with seeds of their own only 16 differ"):
            texts(server, tiny, batches=4, texts_per_request=16)

    @pytest.mark.parametrize("read", [2, 16])
    def test_a_start_that_was_not_taken_as_it_is(self, server: Server, tiny: Tiny, read: int) -> None:
        server.altered = lambda path, answer: answer | {"usage": {"prompt_tokens": read}}
        with pytest.raises(ConfigurationError, match=f"read {read} tokens, where it was given the start token"):
            texts(server, tiny)

    @pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": 0}, {"prompt_tokens": 8}])
    def test_what_servers_count_otherwise(self, server: Server, tiny: Tiny, usage: Any) -> None:
        server.altered = lambda path, answer: answer | {"usage": usage}
        assert len(texts(server, tiny)) == 16

    @pytest.mark.parametrize("wrote", [16 * 8, 2000])
    def test_a_limit_that_is_not_the_one_asked_for(self, server: Server, tiny: Tiny, wrote: int) -> None:
        server.altered = lambda path, answer: answer | {"usage": {"completion_tokens": wrote}}
        with pytest.raises(ConfigurationError, match=f"it wrote {wrote:,} tokens for 8 texts cut at 128 tokens"):
            texts(server, tiny)
        # Where texts end by themselves they may be short.
        altered(server, lambda choices: [one | {"finish_reason": "stop"} for one in choices])
        assert len(texts(server, tiny)) == 16

    def test_texts_that_are_left_out_for_what_they_say(self, server: Server, tiny: Tiny) -> None:
        altered(server, lambda choices: [choices[0] | {"finish_reason": "content_filter"}, *choices[1:]])
        with pytest.raises(ConfigurationError, match=r"leaves texts out for what they say \(content_filter\)"):
            texts(server, tiny)

    @pytest.mark.parametrize(
        "broken", [{"finish_reason": "abort"}, {"finish_reason": "error"}, {"error": {"code": 502}}]
    )
    def test_what_the_server_broke_off_is_asked_again(self, server: Server, tiny: Tiny, broken: Any) -> None:
        expected = texts(server, tiny)
        answers = iter(range(100))
        altered(server, lambda choices: [choices[0] | (broken if next(answers) < 3 else {}), *choices[1:]])
        assert texts(server, tiny) == expected
        altered(server, lambda choices: [choices[0] | broken])
        with pytest.raises(ConfigurationError, match="no answer after 8 attempts; .*: it broke off its answer"):
            texts(server, tiny)


def listing(server: Server, tokens: dict[str, float]) -> None:
    """Let the server list these tokens, with these logarithms."""
    listed = [{"token": token, "logprob": score} for token, score in tokens.items()]
    altered(server, lambda choices: [one | {"logprobs": {"content": [{"top_logprobs": listed}]}} for one in choices])


class TestJudgements:
    def test_a_server_that_lists_fewer_tokens_than_there_are_domains(self, server: Server) -> None:
        listing(server, {"A": -0.2, "B": -2.0})
        judge = made(server)
        assert judge.settings()["answers"] == "json"
        with pytest.raises(ConfigurationError, match="the log-probabilities of 2 tokens, and there are 3 domains"):
            made(server, judge_answers="logprobs").probabilities(TEXTS)

    def test_labels_that_are_not_listed_and_may_be_probable(self, server: Server) -> None:
        listing(server, {"A": math.log(0.3), "the": math.log(0.3), "It": math.log(0.2)})
        judge = made(server, judge_answers="logprobs")
        assert np.isnan(judge.probabilities(TEXTS)).all()
        assert judge.describe()["answers_off_list"] == 3 * len(TEXTS)

    def test_labels_that_are_not_listed_and_are_improbable(self, server: Server) -> None:
        listing(server, {"A": math.log(0.7), "the": math.log(0.2), "It": math.log(0.01)})
        assert made(server, judge_rotations=1).probabilities(TEXTS)[0].tolist() == [1, 0, 0]

    @pytest.mark.parametrize("tokens", [{"A": 0.0, "B": 0.0, "C": 0.0}, {"A": -0.1, "B": -0.5, "C": -1}])
    def test_figures_that_are_no_probabilities(self, server: Server, tokens: dict[str, float]) -> None:
        listing(server, tokens)
        judge = made(server)
        assert np.isnan(judge.probabilities(TEXTS)).all()
        assert judge.describe()["answers_unparsed"] == 3 * len(TEXTS)

    def test_numbers_beyond_all_bounds(self, server: Server) -> None:
        listing(server, {"A": -(10**400), "B": -0.1, "C": -math.inf})
        assert made(server, judge_rotations=1).probabilities(TEXTS)[0].tolist() == [0, 1, 0]
        server.words = lambda body: json.dumps({"A": 1e308, "B": 1e308, "C": 1e308})
        judge = made(server, judge_answers="json")
        assert np.isnan(judge.probabilities(TEXTS)).all()

    def test_a_text_that_a_filter_holds_back_has_no_judgement(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = {"message": "The response was filtered", "code": "content_filter"}
        monkeypatch.setitem(FAULTS, "500", (400, {}, json.dumps({"error": said}).encode()))
        server.faults = lambda path, body: ["500"] if "def f return" in str(body) else []
        found = made(server).probabilities(TEXTS)
        assert np.isnan(found).any(axis=1).tolist() == [False, True, False, False]
        filtered = {"finish_reason": "content_filter", "logprobs": None, "message": {"content": None}}
        server.faults = lambda path, body: []
        judge = made(server)
        altered(server, lambda choices: [one | filtered for one in choices])
        assert np.isnan(judge.probabilities(TEXTS)).all()

    @pytest.mark.parametrize(("owner", "sent"), [("vllm", True), ("sglang", True), ("openai", False)])
    def test_penalties_of_the_models_own_settings_are_not_left_to_known_servers(
        self, server: Server, owner: str, sent: bool
    ) -> None:
        server.owner = owner
        made(server, judge_answers="json").probabilities(TEXTS[:1])
        (body,) = {json.dumps(body | {"messages": []}) for _, body in server.asked}
        assert ("repetition_penalty" in json.loads(body)) == sent
        assert json.loads(body)["temperature"] == 0


class TestWeights:
    def test_other_weights_of_one_name_do_not_share_the_work(self, server: Server) -> None:
        with faulty_server.serving() as other:
            server.facts = {"root": "meta-llama/Llama-3.1-8B"}
            other.facts = {"root": "/data/models/Llama-3.1-8B/"}
            served_model(Servers([server.url, other.url], None, 1), None, "--judge-model")
            other.facts = {"root": "meta-llama/Llama-3.1-70B"}
            with pytest.raises(ConfigurationError, match=r"root: Llama-3.1-8B\), but .*root: Llama-3.1-70B\): servers"):
                served_model(Servers([server.url, other.url], None, 1), None, "--judge-model")

    def test_answers_of_other_weights_are_not_used_again(self, server: Server, tmp_path: Any) -> None:
        server.facts = {"root": "a/small"}
        first = made(server, tmp_path / "answers.jsonl")
        first.probabilities(TEXTS)
        before, settings = len(server.asked), first.settings()
        del first
        server.facts = {"root": "a/large"}
        second = made(server, tmp_path / "answers.jsonl")
        second.probabilities(TEXTS)
        assert len(server.asked) == 2 * before
        assert settings != second.settings()


class TestGateways:
    @pytest.mark.parametrize(
        "odd", ["\ud800", -math.inf, math.nan, 10**50, {"n": "\udfff"}, json.loads('{"a":' * 99 + "1" + "}" * 99)]
    )
    def test_what_no_file_can_hold_is_left_out(self, server: Server, odd: Any) -> None:
        server.facts = {"root": odd, "max_model_len": odd, "meta": odd}
        server.altered = lambda path, answer: answer | {"usage": {"prompt_tokens": 10**50, "completion_tokens": -1}}
        judge = made(server)
        assert judge.probabilities(TEXTS).shape == (4, 3)
        assert (judge.tokens(), judge.settings()["weights"]) == ((0, 0), {})
        assert not {"root", "max_model_len", "meta"} & set(judge.describe()["server"])

    @pytest.mark.parametrize("status", [401, 403, 302])
    def test_what_lets_nothing_but_the_api_through(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        get = faulty_server.Handler.do_GET

        def guarded(handler: Any) -> None:
            if handler.path.startswith("/v1/"):
                get(handler)
            else:
                handler.send(status, {"Location": "/login"} if status == 302 else {}, b"{}")

        monkeypatch.setattr(faulty_server.Handler, "do_GET", guarded)
        found = served_model(Servers([server.url], None, 1), None, "--judge-model")
        assert (found.kind, found.facts.get("version")) == ("vLLM", None)

    @pytest.mark.parametrize("charset", ["base64", "utf-16", "rot13", "no-such-thing"])
    def test_pages_in_odd_encodings(self, server: Server, monkeypatch: pytest.MonkeyPatch, charset: str) -> None:
        odd = {"Content-Type": f"text/html; charset={charset}", "Retry-After": "0"}
        monkeypatch.setitem(FAULTS, "503", (503, odd, b"<h1>\xff</h1>"))
        server.faults = lambda path, body: ["503"]
        assert Servers([server.url], None, 1).ask("completions", {"n": 1, "seed": 5})["choices"]

    @pytest.mark.parametrize("key", ['sk/a"b', "sk-<a&b>+c="])
    def test_a_key_is_not_shown_however_it_is_spelled(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, key: str
    ) -> None:
        monkeypatch.setenv("JUDGE_KEY", key)
        spelled = {key, json.dumps(key)[1:-1], json.dumps(key)[1:-1].replace("/", "\\/"), html.escape(key)}
        for page in spelled:
            monkeypatch.setitem(FAULTS, "500", (400, {}, f'["{page}"]'.encode()))
            server.faults = lambda path, body: ["500"] * 9
            with pytest.raises(ConfigurationError, match=r"\[key\]"):
                Servers([server.url], "JUDGE_KEY", 1).ask("completions", {"n": 1, "page": page})

    def test_a_server_that_says_nothing_is_told_of(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(client, "TIMEOUT", httpx.Timeout(0.2))
        monkeypatch.setattr(client.LOG, "propagate", True)
        server.faults = lambda path, body: ["slow"]
        Servers([server.url], None, 1).ask("completions", {"n": 1, "seed": 5})
        assert "no answer of a server (ReadTimeout" in caplog.text

    def test_a_server_is_not_waited_for_long_before_anything_is_asked(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client, "FIRST_TIMEOUT", httpx.Timeout(0.1))
        monkeypatch.setattr(faulty_server.Handler, "do_GET", lambda handler: faulty_server.time.sleep(1))
        with pytest.raises(ConfigurationError, match="no answer after 3 attempts; the last one, .*: ReadTimeout"):
            served_model(Servers([server.url], None, 1), None, "--judge-model")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "ftp://u:secret@h"),
        ("ALL_PROXY", "http://u:secret@[::1"),
        ("SSL_CERT_FILE", "/no/such/file"),
        ("NO_PROXY", "[::1"),
    ],
)
def test_an_environment_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="what the environment says of proxies or certificates") as no:
        Servers(["http://127.0.0.1:1"], None, 1)
    assert "secret" not in str(no.value)


@pytest.mark.parametrize(
    "url",
    [
        "user:secret@host:80",
        "http:/user:secret@host",
        "http://user:secret/more@host",
        "http://user:secret\u2100@host",
        "http://host/v1?key=secret",
        "http://host/#secret",
    ],
)
def test_a_secret_in_an_address_is_not_repeated(url: str) -> None:
    (problem,) = address_problems("--judge-url", [url])
    assert "secret" not in problem


@pytest.mark.parametrize(
    "url",
    ["http://a..b", f"http://{'a' * 64}.com", "http://ho\u200bst", "http://h/\x00", "http://%41", "http://[v1.x]"],
)
def test_addresses_of_no_host(url: str) -> None:
    assert "should be like http://127.0.0.1:8000" in address_problems("--judge-url", [url])[0]


@pytest.mark.parametrize("url", ["http://[::1]:80", "http://h_1.svc.local.:8000/v1", "https://10.0.0.1"])
def test_addresses_of_a_host(url: str) -> None:
    assert not address_problems("--judge-url", [url])

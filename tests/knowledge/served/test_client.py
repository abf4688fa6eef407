"""Questions to servers that fail: asked again where that helps, given up with a message where it does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from tests.helpers import faulty_server
from tests.helpers.faulty_server import CANARY, FAULTS, Server
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.knowledge.served import client
from versatune_plugin.knowledge.served.address import base_address, root_address
from versatune_plugin.knowledge.served.client import Refused, Servers
from versatune_plugin.knowledge.served.server import served_model

BODY = {"model": "judge", "prompt": [0], "n": 1, "seed": 5}


@pytest.fixture
def server() -> Iterator[Server]:
    with faulty_server.serving() as running:
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_WAIT", 0.01)
    monkeypatch.setattr(client, "TIMEOUT", httpx.Timeout(1.0))


@pytest.mark.parametrize("fault", [*FAULTS, "slow", "hang up"])
def test_asks_again_after_every_fault_that_may_pass(server: Server, fault: str) -> None:
    server.faults = lambda path, body: [fault, fault]
    answer = Servers([server.url], None, 2).ask("completions", BODY)
    assert answer["choices"][0]["text"] == faulty_server.written(5, {})
    assert list(server.attempts.values()) == [3]
    assert list(server.answered.values()) == [1]


def test_gives_up_after_all_attempts_and_says_what_the_last_one_was(server: Server) -> None:
    server.faults = lambda path, body: ["500"] * 50
    with pytest.raises(ConfigurationError) as given_up:
        Servers([server.url], None, 1, attempts=4).ask("completions", BODY)
    assert f"no answer after 4 attempts; the last one, {server.url}: answers 500: internal" in str(given_up.value)
    assert "Everything so far is kept: run the same command again" in str(given_up.value)
    assert list(server.attempts.values()) == [4]


@pytest.mark.parametrize("as_date", [False, True])
def test_waits_as_long_as_it_is_told(server: Server, monkeypatch: pytest.MonkeyPatch, as_date: bool) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True) if as_date else "1.5"
    monkeypatch.setitem(FAULTS, "429", (429, {"Retry-After": when}, b"{}"))
    server.faults = lambda path, body: ["429"]
    began = time.monotonic()
    Servers([server.url], None, 1).ask("completions", BODY)
    assert time.monotonic() - began > 1.4


def test_does_not_wait_for_hours(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, "429", (429, {"Retry-After": "7200"}, b'{"error": {"message": "daily limit"}}'))
    server.faults = lambda path, body: ["429"]
    with pytest.raises(ConfigurationError, match=r"answers 429: daily limit. It asks to wait for 7200 s"):
        Servers([server.url], None, 1).ask("completions", BODY)
    assert sum(server.attempts.values()) == 1


def test_an_account_without_quota_is_not_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    said = b'{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}'
    monkeypatch.setitem(FAULTS, "429", (429, {}, said))
    server.faults = lambda path, body: ["429"]
    with pytest.raises(ConfigurationError, match="You exceeded your quota. The account has no quota left"):
        Servers([server.url], None, 1).ask("completions", BODY)
    assert sum(server.attempts.values()) == 1


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_refusal_is_final(server: Server, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setitem(FAULTS, "500", (status, {}, b'{"error": {"message": "top_k is not known"}}'))
    server.faults = lambda path, body: ["500"]
    with pytest.raises(Refused, match=f"/v1/completions answers {status}: top_k is not known") as refused:
        Servers([server.url], None, 1).ask("completions", BODY)
    assert refused.value.status == status
    assert sum(server.attempts.values()) == 1


def test_a_redirection_is_not_followed_with_a_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, "500", (307, {"Location": "http://elsewhere.invalid/"}, b""))
    server.faults = lambda path, body: ["500"]
    with pytest.raises(ConfigurationError, match="has moved"):
        Servers([server.url], None, 1).ask("completions", BODY)


def test_answers_come_in_order_and_no_more_are_open_than_allowed(server: Server) -> None:
    server.latency = 0.02
    servers = Servers([server.url], None, 5)
    seeds = list(range(60))

    def ask(seed: int) -> str:
        return str(servers.ask("completions", BODY | {"seed": seed})["choices"][0]["text"])

    assert list(servers.ask_each(seeds, ask)) == [faulty_server.written(seed, {}) for seed in seeds]
    assert 2 <= server.most_open <= 5


def test_servers_share_the_work_and_one_that_is_gone_is_passed_over(server: Server) -> None:
    with faulty_server.serving() as other:
        gone = other.url
    with faulty_server.serving() as second:
        server.latency = second.latency = 0.02
        servers = Servers([server.url, gone, second.url], None, 4)
        found = list(
            servers.ask_each(range(60), lambda seed: servers.ask("completions", BODY | {"seed": seed})["choices"])
        )
        assert len(found) == 60
        both = [sum(one.answered.values()) for one in (server, second)]
        assert sum(both) == 60
        assert min(both) >= 15


def test_one_failure_ends_the_others_at_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT", httpx.Timeout(60.0))
    monkeypatch.setitem(FAULTS, "429", (429, {"Retry-After": "500"}, b"{}"))
    monkeypatch.setitem(FAULTS, "500", (400, {}, b'{"error": {"message": "bad seed"}}'))
    server.faults = lambda path, body: ["500"] if body["seed"] == 7 else ["429"]
    servers = Servers([server.url], None, 16)
    began = time.monotonic()
    with pytest.raises(Refused, match="bad seed"):
        list(servers.ask_each(range(200), lambda seed: servers.ask("completions", BODY | {"seed": seed})))
    assert time.monotonic() - began < 20
    assert sum(server.answered.values()) == 0


def test_a_failure_does_not_wait_for_a_server_that_takes_its_time(server: Server) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "TIMEOUT", httpx.Timeout(60.0))
        patch.setitem(FAULTS, "500", (400, {}, b'{"error": {"message": "bad seed"}}'))
        server.faults = lambda path, body: ["500"] if body["seed"] == 3 else ["slowest"]
        servers = Servers([server.url], None, 8)
        began = time.monotonic()
        with pytest.raises(Refused, match="bad seed"):
            list(servers.ask_each(range(50), lambda seed: servers.ask("completions", BODY | {"seed": seed})))
        assert time.monotonic() - began < 5


def test_after_a_failure_others_may_be_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, "500", (400, {}, b'{"error": {"message": "bad seed"}}'))
    server.faults = lambda path, body: ["500"] if body["seed"] == 3 else []
    servers = Servers([server.url], None, 2)

    def ask(seed: int) -> str:
        return str(servers.ask("completions", BODY | {"seed": seed})["choices"][0]["text"])

    with pytest.raises(Refused, match="bad seed"):
        list(servers.ask_each(range(9), ask))
    found: list[str] = []
    again = threading.Thread(target=lambda: found.extend(servers.ask_each(range(10, 19), ask)), daemon=True)
    again.start()
    again.join(10)
    assert found == [faulty_server.written(seed, {}) for seed in range(10, 19)]


def test_threads_end_with_their_questions(server: Server) -> None:
    servers = Servers([server.url], None, 4)
    before = {thread for thread in threading.enumerate() if thread.name == "asking"}
    assert len(list(servers.ask_each(range(9), lambda seed: servers.ask("completions", BODY | {"seed": seed})))) == 9
    assert {thread for thread in threading.enumerate() if thread.name == "asking"} <= before


def test_an_error_that_is_sent_as_an_answer_is_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, "500", (200, {}, b'{"error": {"message": "no capacity"}}'))
    server.faults = lambda path, body: ["500", "500"]
    assert Servers([server.url], None, 1).ask("completions", BODY)["choices"]
    server.faults = lambda path, body: ["500"] * 9
    with pytest.raises(ConfigurationError, match=r"has no `choices`: .*no capacity"):
        Servers([server.url], None, 1, attempts=3).ask("completions", BODY | {"seed": 6})


def test_a_server_that_is_not_there_is_said_soon(server: Server) -> None:
    with faulty_server.serving() as other:
        gone = other.url
    with pytest.raises(ConfigurationError, match=f"no answer after 3 attempts; the last one, {gone}: ConnectError"):
        served_model(Servers([gone], None, 1), "judge", "--judge-model")


def test_the_key_is_sent_and_is_in_no_message(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.key = CANARY
    monkeypatch.setenv("JUDGE_KEY", CANARY)
    servers = Servers([server.url], "JUDGE_KEY", 1)
    assert servers.ask("completions", BODY)["choices"]
    server.key = "another"
    with pytest.raises(ConfigurationError, match=r"Incorrect API key provided: \[key\]. The key is not accepted") as no:
        servers.ask("completions", BODY)
    assert CANARY not in str(no.value)
    with pytest.raises(ConfigurationError, match="The key is missing: name its environment variable"):
        Servers([server.url], None, 1).ask("completions", BODY)


def test_addresses() -> None:
    assert (
        base_address("http://h:1") == base_address("http://h:1/") == base_address("http://h:1/v1/") == "http://h:1/v1"
    )
    assert base_address("https://h/api/v1beta/openai") == "https://h/api/v1beta/openai"
    assert root_address("http://h:1") == root_address("http://h:1/v1") == "http://h:1"


def test_what_is_served_is_asked_and_must_be_one_thing(server: Server, tmp_path: Path) -> None:
    found = served_model(Servers([server.url], None, 1), None, "--judge-model")
    assert (found.kind, found.model) == ("vLLM", "judge")
    assert found.facts == {"kind": "vLLM", "model": "judge", "max_model_len": 512, "version": "0.11.0"}
    server.models = ["one", "two"]
    with pytest.raises(ConfigurationError, match=r"serves 2 models \(one, two\): name the model with --judge-model"):
        served_model(Servers([server.url], None, 1), None, "--judge-model")
    with pytest.raises(ConfigurationError, match="--judge-model is 'three': name one that it serves"):
        served_model(Servers([server.url], None, 1), "three", "--judge-model")
    with faulty_server.serving() as other:
        other.models, other.owner = ["one"], "sglang"
        with pytest.raises(ConfigurationError, match="servers that share the work serve one model"):
            served_model(Servers([server.url, other.url], None, 1), "one", "--judge-model")

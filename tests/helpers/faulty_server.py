"""An OpenAI-compatible server that answers by rule and fails on demand, and remembers what it was asked.

A judge's question is answered by what words of the text are in `WORDS`; a text is written from its seed alone. Faults
come before the answer of a question, in the order in which they are given.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = {"code": "def return import", "law": "court appeal judge", "medicine": "patient dose fever"}
CANARY = "sk-canary-5f0e1d2c3b4a"
HTML = b"<html><body><h1>502 Bad Gateway</h1><p>nginx</p></body></html>"
# What a fault sends: status, headers, body; a body that is cut off announces more than it sends.
FAULTS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "429": (429, {"Retry-After": "0"}, b'{"error": {"message": "slow down", "type": "rate_limit"}}'),
    "500": (500, {"Retry-After": "0"}, b'{"error": {"message": "internal"}}'),
    "503": (503, {"Content-Type": "text/html", "Retry-After": "0"}, HTML),
    "html": (200, {"Content-Type": "text/html"}, HTML),
    "half": (200, {"Content-Length": "5000"}, b'{"choices": [{"index": 0, "mess'),
    "no json": (200, {}, b'{"choices": [{"index": 0,'),
    "a list": (200, {}, b"[]"),
}
# Seconds before a connection is closed without an answer.
SLOW = {"slow": 1.5, "slowest": 8.0}


class Server(ThreadingHTTPServer):
    """With what it was asked and answered.

    Attributes:
        answered: how often each question (path and body) was answered without a fault.
        asked: paths and bodies, in order.
        faults: of a question: names of `FAULTS`, of `SLOW`, or ``hang up``, for its first attempts.
        listed: whether it gives log-probabilities.
        words: the words of a judge, instead of those by rule.
        owner: what `/v1/models` says of who made the server.
        key: needed in each request, or None.
        latency: seconds before an answer.
        facts: what `/v1/models` says of the weights (``root``), and of anything else.
        altered: makes of an answer to a path what is sent.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answered: Counter[str] = Counter()
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.attempts: Counter[str] = Counter()
        self.faults: Callable[[str, dict[str, Any]], Sequence[str]] = lambda path, body: ()
        self.listed = True
        self.words: Callable[[dict[str, Any]], str] | None = None
        self.write: Callable[[int, dict[str, Any]], str] = written
        self.owner = "vllm"
        self.models: list[str] = ["judge"]
        self.key: str | None = None
        self.latency = 0.0
        self.facts: dict[str, Any] = {}
        self.altered: Callable[[str, dict[str, Any]], dict[str, Any]] = lambda path, answer: answer
        self.open = self.most_open = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are sent apart; with Nagle's algorithm the body waits for a delayed acknowledgement, 40 ms.
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        if not self.allowed():
            return
        if self.path == "/v1/models":
            cards = [{"id": name, "owned_by": self.server.owner, "max_model_len": 512} for name in self.server.models]
            cards = [card | self.server.facts for card in cards]
            self.send(200, {}, json.dumps({"object": "list", "data": cards}).encode())
        elif self.path == "/version":
            self.send(200, {}, b'{"version": "0.11.0"}')
        else:
            self.send(404, {}, b'{"detail": "Not Found"}')

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return
        if self.path not in ("/v1/completions", "/v1/chat/completions"):
            self.send(404, {}, b'{"detail": "Not Found"}')
            return
        question = json.dumps([self.path, body], sort_keys=True)
        with self.server.lock:
            self.server.asked.append((self.path, body))
            attempt = self.server.attempts[question]
            self.server.attempts[question] += 1
            self.server.open += 1
            self.server.most_open = max(self.server.most_open, self.server.open)
        try:
            self.answer(question, body, attempt)
        finally:
            with self.server.lock:
                self.server.open -= 1

    def answer(self, question: str, body: dict[str, Any], attempt: int) -> None:
        time.sleep(self.server.latency)
        faults = self.server.faults(self.path, body)
        if attempt < len(faults):
            fault = faults[attempt]
            if fault in SLOW:
                time.sleep(SLOW[fault])
            if fault in (*SLOW, "hang up"):
                self.close_connection = True
                return
            status, headers, data = FAULTS[fault]
            self.send(status, headers, data)
            return
        answer = completion(self.server, body) if self.path == "/v1/completions" else judgement(self.server, body)
        with self.server.lock:
            self.server.answered[question] += 1
        self.send(200, {}, json.dumps(self.server.altered(self.path, answer)).encode())

    def allowed(self) -> bool:
        if self.server.key is None or self.headers.get("Authorization") == f"Bearer {self.server.key}":
            return True
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.send(401, {}, json.dumps({"error": {"message": f"Incorrect API key provided: {given}"}}).encode())
        return False

    def send(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(data))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        if "Content-Length" in headers:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def completion(server: Server, body: dict[str, Any]) -> dict[str, Any]:
    texts = [server.write(body["seed"] + number, body) for number in range(body["n"])]
    choices = [{"index": number, "text": text, "finish_reason": "length"} for number, text in enumerate(texts)]
    usage = {"prompt_tokens": 1, "completion_tokens": body.get("max_tokens", 8) * body["n"]}
    return {"choices": choices, "usage": usage}


def written(seed: int, body: dict[str, Any]) -> str:
    """Ten words of one domain, and of all."""
    draw = random.Random(seed)
    domain = draw.choices(sorted(WORDS), weights=(1, 2, 5))[0]
    return " ".join(draw.choice(WORDS[domain].split()) for _ in range(10)) + f" {draw.randrange(10**6)}"


def shares(prompt: str) -> dict[str, float]:
    """Of each label in a question: by words of the text, and a little by the order of the options."""
    options = re.findall(r"^([A-Z]|\d+)\) ([^:\n]+)", prompt, re.MULTILINE)
    text = prompt.split("----------\n")[1]
    counts = {label: 1 + sum(text.count(word) for word in WORDS.get(name, "").split()) for label, name in options}
    counts[options[0][0]] += 2
    jitter = int(hashlib.sha256(text.encode()).hexdigest()[:4], 16) / 65536
    total = sum(counts.values()) + jitter
    return {label: count / total for label, count in counts.items()}


def judgement(server: Server, body: dict[str, Any]) -> dict[str, Any]:
    prompt = body["messages"][0]["content"]
    found = shares(prompt)
    as_json = "response_format" in body
    words = json.dumps(found) if as_json else max(found, key=lambda label: found[label])
    if server.words is not None:
        words = server.words(body)
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
    if server.listed and body.get("logprobs"):
        listed = [{"token": f" {label}", "logprob": math.log(share * 0.9)} for label, share in found.items()]
        choice["logprobs"] = {"content": [{"token": words, "logprob": -0.1, "top_logprobs": listed}]}
    return {"choices": [choice], "usage": {"prompt_tokens": len(prompt) // 4, "completion_tokens": 1}}


@contextmanager
def serving() -> Iterator[Server]:
    """A running server."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

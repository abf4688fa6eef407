"""A server of completions and chat completions on this machine that answers every question alike."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = "<think>\nHm.\n</think>\n\nThe answer is **A**."


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, asked))  # type: ignore[attr-defined]
        body = json.dumps({"choices": list(choices(asked))}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def choices(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "messages" in asked:
        yield {"index": 0, "message": {"role": "assistant", "content": ANSWER}}
        return
    for index, tokens in enumerate(asked["prompt"]):
        # Prompts are lists of tokens; with `echo` their log-probabilities come back, and those of one token more.
        values = [-1.0 - token / 1000 for token in tokens] + [-1.0]
        logprobs = {"token_logprobs": values, "top_logprobs": [{"x": value} for value in values]}
        yield {"index": index, "text": " A", "logprobs": logprobs if asked.get("echo") else None}


@contextmanager
def serving() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """Its address, and what it has been asked: paths and bodies."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Questions to servers: many at once, spread over several, and asked again where that helps."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from versatune_plugin.errors import ConfigurationError, printable
from versatune_plugin.knowledge.served.address import base_address, key_of, root_address
from versatune_plugin.knowledge.served.words import error_of, retry_after, spellings

LOG = logging.getLogger("axolotl.versatune")
ATTEMPTS = 8
# Seconds. An answer may take long: a judge that thinks, a queue.
TIMEOUT = httpx.Timeout(300.0, connect=10.0)
# What a server says about itself comes at once, or not at all.
FIRST_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
LONGEST_WAIT = 60.0
# A server that asks for more than this is told apart from one that is busy.
LONGEST_RETRY_AFTER = 600.0
# Seconds after which it is noticed that another question failed for good.
NOTICE = 0.2
# So often a server is asked what it is: one that is not there is better said soon.
FIRST_ATTEMPTS = 3
# Of a wait of so many seconds the user is told.
LONG = 10.0
# For so long a server that could not be reached is passed over, where there is another.
PAUSE = 30.0
LONGEST_SAID = 300
_BUSY = (408, 425, 429)
# How a text ends that the server itself broke off (vLLM and SGLang; OpenRouter).
_BROKEN_OFF = ("abort", "error")
Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Refused(ConfigurationError):
    """A server answered that it cannot take the question; asking again would not help.

    Attributes:
        status: of HTTP.
        code: what the server calls it, or "".
    """

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class _NoEntry(ConfigurationError):
    """A server wants another key, or has moved."""


class _Again(Exception):
    """No answer this time, perhaps after a long wait; the server may have said after how many seconds to ask again."""

    def __init__(self, said: str, after: float | None = None, was_slow: bool = False) -> None:
        super().__init__(said)
        self.after = after
        self.was_slow = was_slow


class _Stopped(Exception):
    """Another question failed for good, so this one is not asked any more."""


class Servers:
    """Servers of one model. Safe to be used by several threads.

    A question goes to the server with the fewest open ones. On 429, 408, 5xx, time-outs, a broken connection and what
    is no JSON it is asked again, `ATTEMPTS` times in all: after the seconds that ``Retry-After`` says, and otherwise
    after a random time that doubles, up to `LONGEST_WAIT`.

    Args:
        urls: base addresses.
        key_variable: the environment variable with the key, or None. The key is in no message: what servers say is
            searched for it.
        concurrency: open questions to each server at most.
        attempts: how often a question is asked at most.

    Raises:
        ConfigurationError: the key's variable is gone, or those of a proxy or of certificates cannot be used.
    """

    def __init__(
        self, urls: Sequence[str], key_variable: str | None, concurrency: int, attempts: int = ATTEMPTS
    ) -> None:
        self.urls = tuple(urls)
        self.at_once = concurrency * len(self.urls)
        self._key = key_of(key_variable)
        self._attempts = attempts
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=self.at_once)
        try:
            self._http = httpx.Client(timeout=TIMEOUT, limits=limits)
        except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
            # The address of a proxy may hold a password.
            said = f": {error}" if isinstance(error, ImportError | OSError) else ""
            raise ConfigurationError(
                f"what the environment says of proxies or certificates cannot be used ({type(error).__name__}{said}): "
                "mend or unset HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE"
            ) from None
        self._lock = threading.Lock()
        self._open = dict.fromkeys(self.urls, 0)
        self._paused = dict.fromkeys(self.urls, 0.0)
        self._stopped = threading.Event()

    def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one question.

        Args:
            path: of the API, for example ``completions``.
            body: the question.

        Raises:
            Refused: the server cannot take the question.
            ConfigurationError: no answer after all attempts, or the key is not accepted.
        """

        def once(url: str) -> dict[str, Any]:
            answer = self._once("POST", f"{base_address(url)}/{path}", url, body)
            choices = answer.get("choices")
            if not isinstance(choices, list) or not choices:
                # Some gateways send their errors as answers.
                raise _Again(f"what it answers has no `choices`: {self.without_key(json.dumps(answer))}")
            for one in choices:
                if isinstance(one, dict) and (one.get("error") or one.get("finish_reason") in _BROKEN_OFF):
                    raise _Again(f"it broke off its answer: {self.without_key(json.dumps(one))}")
            return answer

        return self._with_patience(once)

    def ask_each(
        self, questions: Iterable[Asked], answer: Callable[[Asked], Answered], ahead: int | None = None
    ) -> Iterator[Answered]:
        """Answers in the order of the questions, many of them asked at once.

        Args:
            questions: are taken as there is room.
            answer: asks one, in a thread of its own.
            ahead: questions in work before the first answer is taken, by default twice as many as are open at once.

        Raises:
            VersaTuneError: the first that a question raised; those not yet asked are dropped.
        """
        waiting: deque[Future[Answered]] = deque()
        jobs: SimpleQueue[tuple[Asked, Future[Answered]] | None] = SimpleQueue()
        failures: list[BaseException] = []
        # Of these questions alone: who catches their failure may ask others.
        stopped = self._stopped = threading.Event()

        def work() -> None:
            while (job := jobs.get()) is not None and not stopped.is_set():
                question, future = job
                try:
                    future.set_result(answer(question))
                except BaseException as error:
                    if not isinstance(error, _Stopped):
                        failures.append(error)
                    stopped.set()

        def next_answer() -> Answered:
            while True:
                try:
                    return waiting[0].result(NOTICE)
                except TimeoutError:
                    if failures:
                        raise failures[0] from None

        # Not those of an executor, which the interpreter waits for, however long a server takes.
        threads = [threading.Thread(target=work, name="asking", daemon=True) for _ in range(self.at_once)]
        for thread in threads:
            thread.start()
        ended = False
        try:
            for question in questions:
                waiting.append(Future())
                jobs.put((question, waiting[-1]))
                if len(waiting) >= (ahead or 2 * self.at_once):
                    yield next_answer()
                    waiting.popleft()
            while waiting:
                yield next_answer()
                waiting.popleft()
            ended = True
        finally:
            if not ended:
                stopped.set()
            for _ in threads:
                jobs.put(None)
            for thread in threads if ended else ():
                thread.join()

    def tell(self, url: str, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer of one of the servers to a question below its root, or None where there is no way in.

        Args:
            url: one of `urls`.
            path: below the root.
            body: the question.

        Raises:
            ConfigurationError: no answer after all attempts.
        """

        def once(_: str) -> dict[str, Any] | None:
            try:
                return self._once("POST", f"{root_address(url)}/{path}", url, body, FIRST_TIMEOUT)
            except (Refused, _NoEntry):
                return None

        return self._with_patience(once, url, FIRST_ATTEMPTS)

    def look(self, url: str, path: str, of_api: bool = True) -> tuple[dict[str, Any] | None, httpx.Headers]:
        """What a server says about itself at a path, or None where it has no such path; and the headers.

        Args:
            url: one of `urls`.
            path: below the API, or below the root.
            of_api: which of the two.

        Raises:
            ConfigurationError: no answer after all attempts, or the key is not accepted.
        """
        headers = httpx.Headers()

        def once(_: str) -> dict[str, Any] | None:
            try:
                address = base_address(url) if of_api else root_address(url)
                return self._once("GET", f"{address}/{path}", url, None, FIRST_TIMEOUT, headers)
            except Refused:
                return None
            except _NoEntry:
                # Some gateways let nothing but the API through.
                if of_api:
                    raise
                return None

        return self._with_patience(once, url, FIRST_ATTEMPTS), headers

    def without_key(self, text: str) -> str:
        """A server's words without the key, should they have it, in one line."""
        for spelled in spellings(self._key) if self._key is not None else ():
            text = text.replace(spelled, "[key]")
        line = " ".join(printable(text[: 4 * LONGEST_SAID]).split())
        return line if len(line) <= LONGEST_SAID else f"{line[: LONGEST_SAID - 3]}..."

    def _with_patience(
        self, once: Callable[[str], Answered], only: str | None = None, attempts: int | None = None
    ) -> Answered:
        before: list[str] = []

        def attempt() -> Answered:
            if self._stopped.is_set():
                raise _Stopped
            url = only or self._taken(before[-1:])
            before.append(url)
            try:
                return once(url)
            finally:
                if only is None:
                    with self._lock:
                        self._open[url] -= 1

        retrying = Retrying(
            retry=retry_if_exception_type(_Again),
            wait=_seconds,
            stop=stop_after_attempt(min(attempts or self._attempts, self._attempts)),
            before_sleep=_tell_of_a_long_wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except _Again as error:
            raise ConfigurationError(
                f"no answer after {len(before)} attempts; the last one, {before[-1]}: {error}. Everything so far is "
                "kept: run the same command again when the server answers"
            ) from None

    def _sleep(self, seconds: float) -> None:
        self._stopped.wait(seconds)

    def _taken(self, last: Sequence[str]) -> str:
        """The server with the fewest open questions, if possible another than the last, and none that is paused."""
        with self._lock:
            now = time.monotonic()
            able = [url for url in self.urls if self._paused[url] <= now] or list(self.urls)
            able = [url for url in able if url not in last] or able
            chosen = min(able, key=lambda url: self._open[url])
            self._open[chosen] += 1
            return chosen

    def _once(
        self,
        method: str,
        address: str,
        url: str,
        body: Mapping[str, Any] | None,
        timeout: httpx.Timeout | None = None,
        seen: httpx.Headers | None = None,
    ) -> dict[str, Any]:
        headers = {} if self._key is None else {"Authorization": f"Bearer {self._key}"}
        try:
            answer = self._http.request(method, address, json=body, headers=headers, timeout=timeout or TIMEOUT)
        except (httpx.TransportError, httpx.DecodingError, RuntimeError) as error:
            if self._stopped.is_set():
                raise _Stopped from None
            if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                self._pause(url)
            slow = isinstance(error, httpx.TimeoutException)
            raise _Again(f"{type(error).__name__}: {self.without_key(str(error))}", was_slow=slow) from None
        if seen is not None:
            seen.update(answer.headers)
        said, code = error_of(answer)
        said = self.without_key(said)
        if answer.status_code in _BUSY or answer.status_code >= 500:
            if b"insufficient_quota" in answer.content:
                raise ConfigurationError(f"{url} answers {answer.status_code}: {said}. The account has no quota left")
            raise self._later(answer, f"answers {answer.status_code}: {said}")
        if answer.status_code in (401, 403):
            given = "is not accepted" if self._key is not None else "is missing: name its environment variable"
            raise _NoEntry(f"{url} answers {answer.status_code}: {said}. The key {given}")
        if answer.is_redirect:
            raise _NoEntry(f"{url} answers that it has moved: give the address that it moved to")
        if not answer.is_success:
            raise Refused(f"{address} answers {answer.status_code}: {said}", answer.status_code, code)
        try:
            parsed = json.loads(answer.content)
        except (ValueError, RecursionError):
            raise _Again(f"what it answers is no JSON: {said}") from None
        if not isinstance(parsed, dict):
            raise _Again(f"what it answers is no JSON object: {said}")
        return parsed

    def _later(self, answer: httpx.Response, said: str) -> _Again:
        after = retry_after(answer.headers.get("retry-after"))
        if after is not None and after > LONGEST_RETRY_AFTER:
            raise ConfigurationError(
                f"{answer.url.host} {said}. It asks to wait for {after:.0f} s: everything so far is kept, run the same "
                "command again then"
            )
        return _Again(said, after)

    def _pause(self, url: str) -> None:
        with self._lock:
            now = time.monotonic()
            first = self._paused[url] <= now
            self._paused[url] = now + PAUSE
        if first and len(self.urls) > 1:
            LOG.warning("%s cannot be reached; the other servers take its questions", url)


def _tell_of_a_long_wait(state: RetryCallState) -> None:
    seconds = state.next_action.sleep if state.next_action is not None else 0.0
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, _Again) and (seconds >= LONG or error.was_slow):
        LOG.warning("no answer of a server (%s); it is asked again in %.0f s", error, seconds)


def _seconds(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, _Again) and error.after is not None:
        # Not all of those that were told to wait at the same moment.
        return error.after + random.random() * 0.1
    return random.uniform(0, min(LONGEST_WAIT, 0.5 * 2**state.attempt_number))

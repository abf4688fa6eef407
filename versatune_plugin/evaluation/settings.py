"""How lm-eval measured a benchmark, as its result files say it, and what two measurements do not share.

Read from the files of lm-eval 0.4.11 to 0.4.13. Whatever they say of a task, of the arguments of the model and of the
run counts as a setting, except what is listed here: what says which model it was, and what cannot change a score.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from versatune_plugin.evaluation.benchmarks import CHAT, PREFIXES

# fmt: off
# Which model it was: arguments, what lm-eval found out about it, and its tokenizer.
MODEL_ARGS = frozenset((
    "pretrained", "model", "path", "engine", "peft", "delta", "lora_local_path", "revision", "subfolder", "gguf_file",
    "tokenizer", "tokenizer_revision",
))
MODEL_FACTS = frozenset(("model_num_parameters", "model_revision", "model_sha", "peft_sha", "delta_sha"))
TOKENIZER_FACTS = ("tokenizer_pad_token", "tokenizer_eos_token", "tokenizer_bos_token", "eot_token_id")
# Where and how fast it ran. A batch size moves a log-likelihood by rounding only, and `auto` depends on free memory.
HARDWARE_ARGS = frozenset((
    "device", "batch_size", "max_batch_size", "parallelize", "gpus", "device_map", "device_map_option",
    "max_memory_per_gpu", "max_cpu_memory", "offload_folder", "low_cpu_mem_usage", "logits_cache",
    "tensor_parallel_size", "data_parallel_size", "pipeline_parallel_size", "gpu_memory_utilization", "swap_space",
    "cpu_offload_gb", "max_num_seqs", "enforce_eager", "disable_log_stats", "base_url", "num_concurrent", "timeout",
    "max_retries", "trust_remote_code", "token",
))
HARDWARE_FACTS = frozenset(("batch_size", "batch_sizes", "device", "use_cache", "bootstrap_iters"))
# fmt: on
# Of the top of a file; the rest there is dates, machines, the caller's folder and git commit, and the results.
RUN = ("fewshot_as_multiturn", "max_length", "lm_eval_version", "transformers_version")
TEXTS = ("chat_template", "system_instruction")
# Names of a task, and metadata: lm-eval puts the model's arguments there, and folders.
TASK_NAMES = frozenset(("task", "task_alias", "tag", "group", "metadata"))
NOT_SAID = "not set"


@dataclass(frozen=True)
class Settings:
    """How a benchmark was measured.

    Attributes:
        task: lm-eval's name of the benchmark, which says its variant; empty for `read_model`.
        digest: 16 hexadecimal digits, the same where all settings are.
        said: value, as JSON, by task (empty: of the whole run) and setting; None where only the digest is known.
    """

    task: str
    digest: str
    said: Mapping[tuple[str, str], str] | None = None

    @property
    def for_chat(self) -> bool:
        """Whether it is the variant for chat models."""
        return self.task.startswith(PREFIXES[CHAT])

    @property
    def templated(self) -> bool | None:
        """Whether the model was asked under its chat template; None where nothing says so."""
        if self.said is None:
            return None
        # A server of chat completions has a template of its own.
        served = "chat-completions" in self.said.get(("", "model"), "")
        return served or ("", "chat_template") in self.said


@dataclass(frozen=True)
class Source:
    """Which rows of a benchmark were scored.

    Attributes:
        where: the local folder, or repository and commit, which may be several.
        rows: 16 hexadecimal digits, the same where all rows are.
    """

    where: str
    rows: str


@dataclass(frozen=True)
class Difference:
    """A setting that two measurements do not share.

    Attributes:
        task: which it belongs to; empty where it belongs to the whole run.
        setting: its name, with dots, as in lm-eval's file.
        value: of the one, as JSON.
        other: of the other.
    """

    task: str
    setting: str
    value: str
    other: str


def read_settings(payload: Mapping[str, Any], benchmark: str, leaves: Sequence[str]) -> Settings:
    """The settings of one benchmark in a result file.

    Args:
        payload: the file.
        benchmark: the task of lm-eval's that it is.
        leaves: its sub-tasks; itself where it has none.
    """
    said = {("", name): value for name, value in _run(payload).items()}
    for task in {benchmark, *leaves}:
        said |= {(task, name): value for name, value in _task(payload, task, task in leaves).items()}
    said[benchmark, "sub-tasks"] = _json(sorted(leaves))
    text = json.dumps(sorted([*place, value] for place, value in said.items()))
    return Settings(benchmark, hashlib.sha256(text.encode()).hexdigest()[:16], said)


def read_model(payload: Mapping[str, Any]) -> Settings:
    """Which model a result file is of, beyond its name: what may differ between models, but not within one run."""
    config = payload["config"]
    facts = {name: config.get(name) for name in sorted(MODEL_FACTS)}
    facts |= {name: payload.get(name) for name in TOKENIZER_FACTS}
    facts |= {f"model_args.{name}": value for name, value in _model_args(config).items() if name in MODEL_ARGS}
    return Settings("", "", {("", name): value for name, value in _flat(facts)})


def read_source(payload: Mapping[str, Any], leaves: Sequence[str]) -> Source | None:
    """Which rows of a benchmark a result file is of; None in files of VersaTune's earlier versions.

    Args:
        payload: the file.
        leaves: as of `read_settings`.
    """
    found = [_kwargs(payload.get("configs", {}).get(leaf, {})).get("source") for leaf in leaves]
    known = [source for source in found if source]
    if not known or len(known) < len(found):
        return None
    places = [source.get("folder") or f"{source['repository']}@{source['revision']}" for source in known]
    first, *more = sorted(set(places))
    digests = [source["rows"] for source in known]
    whole = digests[0] if len(digests) == 1 else hashlib.sha256(_json(sorted(digests)).encode()).hexdigest()[:16]
    return Source(f"{first} and {len(more)} more" if more else first, whole)


def differences(settings: Settings, other: Settings, whole_run: bool = False) -> list[Difference]:
    """What two measurements do not share.

    Args:
        settings: of one measurement.
        other: of another one of the same benchmark.
        whole_run: leave out what belongs to tasks, since the two are of different benchmarks.
    """
    if settings.said is None or other.said is None:
        same = settings.digest == other.digest
        return [] if same else [Difference(settings.task, "the digest of all settings", settings.digest, other.digest)]
    if settings.for_chat != other.for_chat and not whole_run:
        return [Difference("", "task", settings.task, other.task)]
    found = []
    for place in sorted({*settings.said, *other.said}):
        value, another = settings.said.get(place, NOT_SAID), other.said.get(place, NOT_SAID)
        if value != another and not (whole_run and place[0]):
            found.append(Difference(*place, value, another))
    return found


def grouped(found: Sequence[Difference]) -> list[tuple[Difference, str]]:
    """One difference for all tasks that have it, and these tasks in words: ``" (a, b and 3 more)"``, or nothing."""
    tasks: dict[tuple[str, str, str], list[str]] = {}
    for one in found:
        known = tasks.setdefault((one.setting, one.value, one.other), [])
        if one.task and one.task not in known:
            known.append(one.task)
    groups = []
    for (setting, value, other), names in tasks.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        where = f" ({', '.join(names[:3])}{more})" if names else ""
        groups.append((Difference("", setting, *_short(value, other)), where))
    return groups


def _run(payload: Mapping[str, Any]) -> dict[str, str]:
    """What holds for every task of a file."""
    config = payload["config"]
    said: dict[str, Any] = {name: payload.get(name) for name in RUN}
    for name in TEXTS:
        text, sha = payload.get(name), payload.get(f"{name}_sha")
        said[name] = f"{text} (sha {sha})" if text or sha else None
    said |= {name: value for name, value in config.items() if name not in HARDWARE_FACTS | MODEL_FACTS}
    arguments = {name: value for name, value in _model_args(config).items() if name not in HARDWARE_ARGS | MODEL_ARGS}
    # Where lm-eval says what an argument came to, it need not be said twice: `auto` may stand for it.
    if "model_dtype" in config and arguments.get("dtype") in (
        "auto",
        str(config["model_dtype"]).removeprefix("torch."),
    ):
        del arguments["dtype"]
    if arguments.get("max_length") == str(payload.get("max_length")):
        del arguments["max_length"]
    said["model_args"] = arguments
    return dict(_flat(said))


def _task(payload: Mapping[str, Any], task: str, leaf: bool) -> dict[str, str]:
    """What a file says of one task, or of the mean over its sub-tasks."""
    config = payload.get("configs", {}).get(task, {})
    version = (payload.get("versions", {}).get(task), config.get("metadata", {}).get("version"))
    said: dict[str, Any] = {name: value for name, value in config.items() if name not in TASK_NAMES}
    if source := _kwargs(config).get("source"):
        # The same rows from another place are the same rows.
        said["dataset_kwargs"] = {**_kwargs(config), "source": {"rows": source["rows"]}}
    # lm-eval 0.4.13 writes the version of a group as text.
    said["version"] = " / ".join(sorted({str(one) for one in version if one is not None}))
    if leaf:
        shots = payload.get("n-shot", {}).get(task)
        said |= {"n-shot": None if shots == config.get("num_fewshot") else shots}
        said |= {"n-samples": payload.get("n-samples", {}).get(task)}
    return dict(_flat(said))


def _kwargs(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("dataset_kwargs") or {}


def _model_args(config: Mapping[str, Any]) -> dict[str, str]:
    """Arguments of the model as text, which older versions of lm-eval do not take apart."""
    given = config.get("model_args") or {}
    if isinstance(given, str):
        given = dict(pair.partition("=")[::2] for pair in given.split(",") if pair)
    return {str(name): str(value) for name, value in given.items()}


def _flat(said: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """Settings with dots in their names, as JSON; what is empty is not said."""
    for name, value in said.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        elif value is not None and value != "" and value != []:
            yield f"{within}{name}", _json(value)


def _json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, sort_keys=True)


def _plain(value: Any) -> Any:
    """A value without what differs from writing to writing."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.lstrip().startswith(("def ", "@")):
        return _code(value)
    return re.sub(r" at 0x[0-9a-f]+", "", value) if isinstance(value, str) else value


@cache
def _code(source: str) -> str:
    """A function of a task, of which lm-eval writes the source: its name, and a digest that no comment changes."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return f"source {hashlib.sha256(source.encode()).hexdigest()[:8]}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return f"{', '.join(names)} {hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:8]}"


def _short(value: str, other: str) -> tuple[str, str]:
    """Both on half a line each, and still different."""
    shown = [one if len(one) <= 80 else f"{one[:50]}...{one[-25:]}" for one in (value, other)]
    if shown[0] == shown[1]:
        shown = [f"{one[:50]}... (sha {hashlib.sha256(one.encode()).hexdigest()[:8]})" for one in (value, other)]
    return shown[0], shown[1]

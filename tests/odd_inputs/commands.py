"""Odd values on the command line, and the files that commands write, or read beside a YAML."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from tests.odd_inputs.artifacts import KNOWLEDGE, REFERENCE
from tests.odd_inputs.case import ACCEPTED, Bench, Case, label
from versatune_plugin.evaluation.benchmarks import BENCHMARKS

UNIFORM = {"mixture": "uniform", "heldout": 4}
QUICK = ["--texts", "4", "--iterations", "1", "--max-new-tokens", "4", "--max-unparsed", "0.9", "--training-rows", "10"]


def command(name: str, made: Callable[[Bench], list[str]], *verdict: str) -> Case:
    return Case(name, made, verdict)


def detect() -> Iterator[Case]:
    """Options of ``detect``."""
    odd: list[tuple[list[str], str]] = [
        (["--texts", "0"], "--texts is 0, but must be"),
        (["--texts", "-1"], "--texts is -1"),
        (["--texts", "1000000000000"], "--texts is 1000000000000"),
        (["--iterations", "0"], "--iterations is 0"),
        (["--iterations", "1000000000"], "--iterations is 1000000000"),
        (["--tolerance", "1"], "--tolerance is 1.0"),
        (["--tolerance", "-0.1"], "--tolerance is -0.1"),
        (["--tolerance", "nan"], "--tolerance is nan"),
        (["--max-unparsed", "2"], "--max-unparsed is 2.0"),
        (["--max-unparsed", "inf"], "--max-unparsed is inf"),
        (["--max-new-tokens", "0"], "--max-new-tokens is 0"),
        (["--max-new-tokens", "10000000000"], "--max-new-tokens is 10000000000"),
        (["--batch-size", "0"], "--batch-size is 0"),
        (["--batch-size", "100000000000"], "--batch-size is 100000000000"),
        (["--temperature", "0"], "--temperature is 0.0"),
        (["--temperature", "nan"], "--temperature is nan"),
        (["--temperature", "inf"], "--temperature is inf"),
        (["--seed", "-1"], "--seed is -1"),
        (["--seed", str(2**70)], f"--seed is {2**70}"),
        (["--training-rows", "1"], "--training-rows is 1"),
        (["--judge", "nobody"], "nobody"),
        (["--judge", ""], "judge"),
        (["--judge", "model"], "--judge-model"),
        (["--preset", "odd"], "--preset is 'odd'"),
    ]
    for argv, said in odd:
        yield command(f"detect {' '.join(argv)}", _detect(argv), said)
    usage: list[tuple[list[str], str]] = [
        (["--texts", "many"], "'many' is not a valid integer"),
        (["--texts", "4.5"], "'4.5' is not a valid integer"),
        (["--tolerance", "0,1"], "'0,1' is not a valid float"),
        (["--text", "4"], "No such option '--text'"),
    ]
    for argv, said in usage:
        yield command(f"detect {' '.join(argv)}", _detect(argv), said)
    outs: list[tuple[str, str]] = [
        ("cfg.yml", "was not made by `axolotl versatune detect`"),
        ("hand.json", "was written by hand"),
        ("other.json", "was not made by"),
        ("k" * 260, "too long a name"),
        ("k" * 240, "too long a name"),
        ("cfg.yml/k.json", "cannot be written"),
        (".", "is a directory"),
    ]
    for out, said in outs:
        yield command(f"detect --out {label(out)}", _detect_to(out), said)


def _detect(argv: list[str]) -> Callable[[Bench], list[str]]:
    return lambda bench: ["detect", str(bench.config(UNIFORM)), *argv]


def _detect_to(out: str) -> Callable[[Bench], list[str]]:
    def argv(bench: Bench) -> list[str]:
        bench.write("hand.json", {key: KNOWLEDGE[key] for key in ("kind", "schema", "probabilities")})
        bench.write("other.json", REFERENCE)
        return ["detect", str(bench.config(UNIFORM)), *QUICK, "--out", out]

    return argv


def configurations() -> Iterator[Case]:
    """What stands where a YAML should."""
    odd: list[tuple[str, str | bytes, str]] = [
        ("empty", "", "cfg.yml"),
        ("a list", "- a\n- b\n", "cfg.yml"),
        ("a text", "just words", "cfg.yml"),
        ("no YAML", "a: [1, 2\nb: }", "cfg.yml"),
        ("a tab", "a:\n\tb: 1\n", "cfg.yml"),
        ("binary", bytes(range(256)), "cfg.yml"),
        ("UTF-16", "base_model: x\n".encode("utf-16"), "cfg.yml"),
        ("cp1252", b"base_model: caf\xe9\n", "cfg.yml"),
        ("an object of Python", "a: !!python/object/apply:os.system ['touch hacked']\n", "cfg.yml"),
        ("nested deep", "[" * 20_000, "cfg.yml"),
        ("a date that is none", "a: 2026-13-45\n", "month must be in 1..12"),
        ("a number of 5,000 digits", "a: " + "9" * 5_000 + "\n", "cfg.yml"),
        (
            "a key twice",
            "base_model: x\nbase_model: y\nplugins: [versatune]\nversatune: {mixture: uniform}\n",
            "cfg.yml, line 2: the key 'base_model' is there twice, and Axolotl would take the last",
        ),
    ]
    for name, content, said in odd:
        for verb in ("plan", "detect", "reference"):
            yield command(f"{verb} of a YAML that is {name}", _of_yaml(verb, content), said)
    for verb in ("plan", "detect", "reference"):
        yield command(
            f"{verb} of nothing", lambda bench, verb=verb: [verb, "nowhere.yml"], "'nowhere.yml' does not exist"
        )
        yield command(f"{verb} of a folder", lambda bench, verb=verb: [verb, "."], "is a directory")
        yield command(f"{verb} without the plugin", _without(verb), "add `plugins: [versatune]`")


def _of_yaml(verb: str, content: str | bytes) -> Callable[[Bench], list[str]]:
    return lambda bench: [verb, str(bench.write("cfg.yml", content))]


def _without(verb: str) -> Callable[[Bench], list[str]]:
    return lambda bench: [verb, str(bench.config(None, plugins=None))]


def scores() -> Iterator[Case]:
    """Tables and result files of ``scores``."""
    some = next(iter(BENCHMARKS))
    odd: list[tuple[str, str, str | bytes, str]] = [
        ("an empty table", "t.csv", "", "t.csv: a table needs a column `model`"),
        ("a header alone", "t.csv", f"model,{some}\n", "t.csv"),
        ("no model", "t.csv", f"name,{some}\na,1\n", "a column `model`"),
        ("an unknown column", "t.csv", "model,odd\na,1\n", "unknown columns odd"),
        ("more cells", "t.csv", f"model,{some}\na,1,2\n", "line 2: more cells than columns"),
        ("a word", "t.csv", f"model,{some}\na,good\n", "line 2"),
        ("over 100", "t.csv", f"model,{some}\na,101\n", "line 2"),
        ("below zero", "t.csv", f"model,{some}\na,-1\n", "line 2"),
        ("nan", "t.csv", f"model,{some}\na,nan\n", "line 2"),
        ("inf", "t.csv", f"model,{some}\na,inf\n", "line 2"),
        ("a comma for a point", "t.csv", f'model,{some}\na,"1,5"\n', "line 2"),
        ("two of one name", "t.csv", f"model,{some}\na,1\na,2\n", "several runs are named a"),
        ("no name", "t.csv", f"model,{some}\n,1\n", "line 2"),
        ("cp1252", "t.csv", f"model,{some}\ncaf\u00e9,1\n".encode("cp1252"), "t.csv: line 2 is not UTF-8"),
        ("UTF-16", "t.csv", f"model,{some}\na,1\n".encode("utf-16"), "t.csv: it is UTF-16"),
        ("a zero byte", "t.csv", f"model,{some}\na\0,1\n", "t.csv, line 2: model"),
        ("a huge cell", "t.csv", f"model,{some}\n{'a' * 200_000},1\n", "t.csv: no table"),
        ("nothing", "results.json", "", "results.json: not a result file of lm-eval"),
        ("a list", "results.json", "[]", "results.json: not a result file of lm-eval"),
        ("no results", "results.json", "{}", "results.json: not a result file of lm-eval"),
        ("results that are a list", "results.json", '{"results": [], "group_subtasks": {}}', "results.json"),
        ("nested deep", "results.json", "[" * 100_000, "results.json: not a result file of lm-eval"),
        ("many digits", "results.json", '{"results": ' + "9" * 5_000 + "}", "results.json: not a result file"),
        ("UTF-16 JSON", "results.json", "{}".encode("utf-16"), "results.json: not a result file of lm-eval"),
    ]
    for name, file, content, said in odd:
        yield command(f"scores of {name}", _scores(file, content), said)
    for size in ("100", "0", "1e1"):
        yield command(f"scores of {size}", _scores("t.csv", f"model,{some}\na,{size}\n"), *ACCEPTED)
    yield command("scores after a mark", _scores("t.csv", f"\ufeffmodel,{some}\na,1\n"), *ACCEPTED)
    yield command("scores of an odd name", _scores("t.csv", f"model,{some}\n[/] {{}} %s \u6cd5,1\n"), *ACCEPTED)
    yield command("scores of a name with an escape", _scores("t.csv", f"model,{some}\n\x1b[31m,1\n"), "t.csv, line 2")
    yield command("scores of no folder", lambda bench: ["scores", "nowhere"], "'nowhere' does not exist")
    yield command("scores of an empty folder", lambda bench: ["scores", "."], "no results of lm-eval")
    table = f"model,{some}\na,1\nb,2\n"
    yield command("a gain over nobody", _scores("t.csv", table, "--gain", "a", "nobody"), "--gain names nobody")
    yield command("a picture of no kind", _scores("t.csv", table, "--plot", "x.odd"), "x.odd")
    yield command("a picture of no domain", _scores("t.csv", table, "--plot", "x.png"), "a lacks lawbench")
    yield command("a gain of no average", _scores("t.csv", table, "--gain", "a", "b"), "no gain of a over b")
    yield command("a table in a new folder", _scores("t.csv", table, "--csv", "no/where/x.csv"), *ACCEPTED)
    yield command(
        "a table below a file", _scores("t.csv", table, "--csv", "t.csv/x.csv"), "t.csv/x.csv cannot be written"
    )
    yield command("JSON into a folder", _scores("t.csv", table, "--json", "."), "is a directory")


def _scores(name: str, content: str | bytes, *argv: str) -> Callable[[Bench], list[str]]:
    return lambda bench: ["scores", str(bench.write(name, content)), *argv]


def others() -> Iterator[Case]:
    """``plan``, ``reference``, ``mixtures``, ``quickstart``."""
    for processes, said in (("0", "0 is not in the range"), ("-1", "not in the range"), ("two", "not a valid integer")):
        yield command(f"plan --processes {processes}", lambda bench, p=processes: _plan(bench, p), said)
    yield command("plan --processes 1000000", lambda bench: _plan(bench, "1000000"), *ACCEPTED)
    for epochs, said in (
        ("0", "0 is not in the range"),
        ("x", "not a valid integer"),
        (str(10**9), "not in the range"),
    ):
        made = lambda bench, e=epochs: ["reference", str(bench.config(UNIFORM)), "--epochs", e]  # noqa: E731
        yield command(f"reference --epochs {epochs}", made, said)
    for out, said in (("cfg.yml", "was not made by `axolotl versatune reference`"), ("k" * 260, "too long a name")):
        made = lambda bench, o=out: ["reference", str(bench.config(UNIFORM)), "--out", o]  # noqa: E731
        yield command(f"reference --out {label(out)}", made, said)
    model = lambda bench: ["reference", str(bench.config(UNIFORM)), "--model", "./nowhere"]  # noqa: E731
    yield command("reference --model ./nowhere", model, "./nowhere")
    yield command("mixtures odd", lambda bench: ["mixtures", "odd"], "odd")
    yield command("mixtures [/]", lambda bench: ["mixtures", "[/]"], "[/]")
    yield command("no command", lambda bench: ["odd"], "No such command 'odd'")
    yield command("quickstart --preset odd", lambda bench: ["quickstart", "--preset", "odd"], "--preset is 'odd'")
    yield command("quickstart --seed -1", lambda bench: ["quickstart", "--seed", "-1"], "not in the range")
    yield command("quickstart --rows nowhere", _quickstart({}), "law.jsonl: no such file")
    rows = {"a list": "[1]\n", "a number": "7\n", "no JSON": "{", "a key less": '{"instruction": "a"}\n'}
    for name, content in rows.items():
        yield command(f"quickstart --rows with {name}", _quickstart({"law": content}), "law.jsonl, ")
    number = json.dumps({"instruction": 7, "input": "", "output": "a"}) + "\n"
    yield command("quickstart --rows with a number for text", _quickstart({"law": number}), "instruction: is 7")


def _plan(bench: Bench, processes: str) -> list[str]:
    return ["plan", str(bench.config(UNIFORM)), "--processes", processes]


def _quickstart(files: dict[str, str]) -> Callable[[Bench], list[str]]:
    def argv(bench: Bench) -> list[str]:
        (bench.folder / "mine").mkdir()
        for name, content in files.items():
            bench.write(f"mine/{name}.jsonl", content)
        return ["quickstart", "--preset", "short", "--rows", "mine", "--out", "out"]

    return argv


def cases() -> Iterator[Case]:
    """All of them."""
    yield from detect()
    yield from configurations()
    yield from scores()
    yield from others()

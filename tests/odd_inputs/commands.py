"""Odd values on the command line, and the files that commands write, or read beside a YAML."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator

from tests.odd_inputs.artifacts import KNOWLEDGE, NO_FILES, REFERENCE
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
        (["--estimator", "odd"], "--estimator is 'odd'"),
        (["--estimator", ""], "--estimator is ''"),
        (["--server-url", "localhost:8000"], "--server-url is 'localhost:8000', but should be like http"),
        (["--server-url", "http://"], "--server-url is 'http://'"),
        (["--server-url", "http://h:0"], "--server-url is 'http://h:0'"),
        (["--server-url", "http://[::1"], "--server-url is no address"),
        (["--server-url", "http://h\n"], "--server-url is"),
        (["--server-url", "http://u:p@h"], "an address has no user, password, query or fragment"),
        (["--server-url", "http://h", "--server-url", "http://h/"], "names one server twice"),
        (["--server-model", "m"], "no --server-url"),
        (["--server-key-env", "K"], "--server-key-env names is not set"),
        (["--server-key-env", "sk-12"], "and not the key itself"),
        (["--server-concurrency", "0"], "--server-concurrency is 0"),
        (["--texts-per-request", "0"], "--texts-per-request is 0"),
        (["--judge", "http"], "--judge http needs --judge-url"),
        (["--judge", "embedding"], "--judge embedding needs --judge-model"),
        (["--judge", "http", "--judge-url", "h"], "--judge-url is 'h'"),
        (["--judge-url", "http://h"], "--judge classifier asks no server"),
        (["--judge-answers", "odd"], "--judge-answers is 'odd'"),
        (["--judge-rotations", "0"], "--judge-rotations is 0"),
        (["--judge-concurrency", "0"], "--judge-concurrency is 0"),
        (["--judge-price", "-1", "0"], "--judge-price is (-1.0, 0.0)"),
        (["--judge-price", "nan", "0"], "--judge-price is (nan, 0.0)"),
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


def judge_check() -> Iterator[Case]:
    """Options of ``judge-check``."""
    odd: list[tuple[list[str], str]] = [
        (["--rows", "0"], "--rows is 0, but must be between 10 and 200"),
        (["--rows", "201"], "--rows is 201"),
        (["--plot", "check.odd"], "a picture is a .png, .svg, .pdf file"),
        (["--judge", "nobody"], "--judge is 'nobody'"),
        (["--out", "cfg.yml"], "was not made by `axolotl versatune judge-check`"),
        (["--max-unparsed", "nan"], "--max-unparsed is nan"),
    ]
    for argv, said in odd:
        yield command(f"judge-check {' '.join(argv)}", _judge_check(argv), said)


def _judge_check(argv: list[str]) -> Callable[[Bench], list[str]]:
    return lambda bench: ["judge-check", str(bench.config(UNIFORM)), *argv]


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


def knowledge() -> Iterator[Case]:
    """``knowledge show``, ``compare`` and ``from-counts``."""
    for name, content, said in NO_FILES:
        yield command(f"knowledge show of {name}", _show(content), "k.json", said)
    odd: list[tuple[str, object, str]] = [
        ("probabilities", {}, "every entry is 0"),
        ("probabilities", {"law": 0.4, "code": 0.5}, "the entries sum to 0.9"),
        ("probabilities", {"law": 1, "\u200b": 0}, "cannot be seen (U+200B)"),
        ("interval95", {"law": [0.4, 0.6]}, "interval95: names law, but the domains are law, code"),
        ("interval95", {"law": [0.4, 0.6], "code": [0.6, 0.4]}, "interval95.code: begins above its end"),
        ("covariance", [], "covariance: must be 2 lists of 2 numbers each"),
        ("covariance", [[1, 2], [2, 1]], "no variance below 0"),
        ("covariance", [[1, None], [0, 1]], "covariance[0][1]: is null"),
        ("covariance", [[math.inf, 0], [0, 1]], "covariance[0][0]: is inf"),
        ("warning", 7, "warning: is 7"),
        ("source", True, "source: is true"),
    ]
    for key, value, said in odd:
        yield command(f"knowledge show of {key}: {label(value)}", _show({**KNOWLEDGE, key: value}), "k.json", said)
    right: list[tuple[str, object]] = [
        ("by hand", {key: KNOWLEDGE[key] for key in ("kind", "schema", "probabilities")}),
        (
            "facts of odd types",
            {**KNOWLEDGE, "judge": 7, "base_model": [], "estimator": {"name": {}}, "command": "\u202e"},
        ),
        ("a name with an escape", {**KNOWLEDGE, "base_model": "\x1b[2J", "source": "[/]", "warning": "a\nb\x1b[31m"}),
        ("zero variances", {**KNOWLEDGE, "covariance": [[0, 0], [0, 0]]}),
        ("one domain", {"kind": "versatune.knowledge", "schema": 1, "probabilities": {"law": 1}}),
    ]
    for name, content in right:
        yield command(f"knowledge show of {name}", _show(content), *ACCEPTED)
        yield command(f"knowledge compare of {name}", _compare(content, content), *ACCEPTED)
    yield command(
        "knowledge show of no file", lambda bench: ["knowledge", "show", "no.json"], "'no.json' does not exist"
    )
    yield command("knowledge show without a file", lambda bench: ["knowledge", "show"], "Missing argument")
    yield command("knowledge show --plot x.odd", _show(KNOWLEDGE, "--plot", "x.odd"), "--plot x.odd: a picture is")
    yield command("knowledge show --json .", _show(KNOWLEDGE, "--json", "."), "is a directory")
    yield command("knowledge show --json below a file", _show(KNOWLEDGE, "--json", "k.json/x"), "cannot be written")
    yield command(
        "knowledge show --json over it", _show(KNOWLEDGE, "--json", "k.json"), "one of the files that are read"
    )
    yield command("knowledge show twice of one", _show(KNOWLEDGE, "k.json"), *ACCEPTED)
    other = {**KNOWLEDGE, "probabilities": {"law": 1}, "interval95": None}
    yield command("knowledge compare of other domains", _compare(KNOWLEDGE, other), "only k.json has 'code'")
    yield command("knowledge compare of one file", lambda bench: ["knowledge", "compare", "no.json"], "'no.json'")
    for argv, said in _ODD_COUNTS:
        yield command(f"from-counts {label(' '.join(argv))}", _counts([*argv, "--out", "k.json"]), *said)
    for out, said in (
        ("cfg.yml", "was not made by `axolotl versatune detect` or `axolotl versatune knowledge from-counts`"),
        ("hand.json", "was written by hand"),
        ("k" * 260, "too long a name"),
        ("cfg.yml/k.json", "cannot be written"),
    ):
        yield command(f"from-counts --out {label(out)}", _counts(["law=1", "code=2", "--out", out]), said)
    yield command("from-counts without --out", _counts(["law=1", "code=2"]), "Missing option '--out'")


_ODD_COUNTS: list[tuple[list[str], tuple[str, ...]]] = [
    (["law=-1", "code=2"], ("'law' is '-1', but must be a whole number",)),
    (["law=1.5", "code=2"], ("'law' is '1.5'",)),
    (["law=1,000", "code=2"], ("'law' is '1,000'",)),
    (["law=0", "code=0"], ("every count is 0",)),
    (["law=1"], ("two domains or more",)),
    (["law=1", "law=2"], ("'law' is there twice",)),
    (["law=1", "LAW=2"], ("look alike",)),
    (["law=1", "l\u0430w=2"], ("look alike",)),
    (["law", "code=2"], ("'law' is no name and count",)),
    (["=1", "code=2"], ("has no character",)),
    (["=", "code=2"], ("has no character",)),
    (["\x1b[2J=1", "code=2"], ("cannot be seen (U+001B)",)),
    (["law=" + "9" * 5_000, "code=2"], ("must be a whole number from 0 to 100,000,000,000",)),
    (["law=1", "code=2", "--source", "caf\udce9"], ("--source", "is not UTF-8")),
    (["law=1", "code=0", "--base-model", " ", "--warning", "\x1b[31mred"], ACCEPTED),
    (["law=100000000000", "code=1"], ACCEPTED),
    (["a=b=1", "[/]=2", "\u6cd5=3"], ACCEPTED),
]


def _show(content: object, *argv: str) -> Callable[[Bench], list[str]]:
    return lambda bench: ["knowledge", "show", str(bench.write("k.json", content).name), *argv]


def _compare(one: object, other: object) -> Callable[[Bench], list[str]]:
    return lambda bench: ["knowledge", "compare", bench.write("k.json", one).name, bench.write("l.json", other).name]


def _counts(argv: list[str]) -> Callable[[Bench], list[str]]:
    def made(bench: Bench) -> list[str]:
        bench.write("cfg.yml", "base_model: x\n")
        bench.write("hand.json", {key: KNOWLEDGE[key] for key in ("kind", "schema", "probabilities")})
        return ["knowledge", "from-counts", *argv]

    return made


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
    yield from judge_check()
    yield from configurations()
    yield from scores()
    yield from knowledge()
    yield from others()

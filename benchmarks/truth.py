"""Models of known mixtures: pretrains them, has each write texts, and puts what judges and estimators find beside it.

    python benchmarks/truth.py pretrain --rows "$VERSATUNE_DATA/sft" --out truth --model small --seeds 11 12 13
    python benchmarks/truth.py judge --out truth --judge classifier
    python benchmarks/truth.py judge --out truth --judge documents
    python benchmarks/truth.py judge --out truth --judge embedding --judge-model sentence-transformers/all-MiniLM-L6-v2
    python benchmarks/truth.py estimate --out truth > found.jsonl
    python benchmarks/truth.py table found.jsonl

`pretrain` makes what is missing under ``truth/<mixture>-<seed>/`` (small models: an hour and more on two cores; large
ones want a GPU). `judge` judges the kept texts and labelled rows, and keeps the judgements beside them. `estimate`
prints a JSON object for every model, judge and estimator; `table` sums them up. The judge ``documents`` is no judge
that a user could have: it is trained on documents of the corpus that the model was pretrained on, and shows what the
model's own texts hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from scipy.stats import t as student

from versatune_plugin.artifacts.io import read_json_lines
from versatune_plugin.knowledge.correction import LabelledJudgements, estimate_shares
from versatune_plugin.knowledge.detect import detect, judge_context, load_run
from versatune_plugin.knowledge.judge_quality import quality
from versatune_plugin.knowledge.judges import Judge, JudgeContext, known_judges
from versatune_plugin.knowledge.judges.classifier import ClassifierJudge
from versatune_plugin.knowledge.judges.domain_rows import MOST_HELD_OUT, shortener
from versatune_plugin.knowledge.options import DetectionOptions
from versatune_plugin.quickstart.configuration import configuration
from versatune_plugin.quickstart.presets import PRESETS, Preset
from versatune_plugin.quickstart.pretrain import PretrainSettings
from versatune_plugin.quickstart.run import SURROUNDINGS, make_base_model

DOMAINS = ("code", "finance", "general", "law", "medicine", "science")
# None: the quickstart's, which the seed draws around its usual one.
MIXTURES: Mapping[str, Mapping[str, float] | None] = {
    "usual": None,
    "even": dict.fromkeys(DOMAINS, 1 / 6),
    "skewed": {"code": 0.08, "finance": 0.08, "general": 0.08, "law": 0.60, "medicine": 0.08, "science": 0.08},
    "absent": {"code": 0.20, "finance": 0.20, "general": 0.20, "law": 0.20, "medicine": 0.0, "science": 0.20},
    "two": {"code": 0.0, "finance": 0.30, "general": 0.0, "law": 0.0, "medicine": 0.0, "science": 0.70},
}
# The same models and texts, judged under a configuration that lacks a domain which the models were pretrained on. The
# truth is then the shares of the others among themselves.
UNTOLD: Mapping[str, str] = {"usual": "law", "even": "science"}
DOCUMENTS = "documents"
# For judges that learn from no rows.
DESCRIPTIONS: Mapping[str, str] = {
    "code": "computer programs; programming tasks and their solutions; functions, loops and classes",
    "finance": "money and markets; shares, loans and taxes; companies and their figures",
    "general": "everyday questions; writing, advice and summaries; culture, food and travel",
    "law": "statutes and courts; contracts and rights; what is legal",
    "medicine": "diseases and their treatment; drugs and symptoms; anatomy and patients",
    "science": "physics, chemistry and biology; experiments and nature; mathematics",
}
QUALITY = ("accuracy", "calibration_error", "calibration_error_scaled", "temperature", "brier")


@dataclass(frozen=True)
class Kind:
    """How large the models are, and how many texts they write, ``at_a_time`` at once."""

    sizes: Preset
    settings: PretrainSettings
    at_a_time: int


KINDS: Mapping[str, Kind] = {
    # 1.1 million parameters.
    "small": Kind(PRESETS["real"], PretrainSettings(), at_a_time=128),
    # 28 million parameters, nearly all of the rows, five times.
    "large": Kind(
        replace(PRESETS["real"], documents=2400, pretraining_documents=12000, texts=2048, text_tokens=160),
        PretrainSettings(batch=64, vocabulary=4096, width=512, layers=8, heads=8, learning_rate=1e-3, passes=5),
        at_a_time=512,
    ),
}


@dataclass(frozen=True)
class Case:
    """A model, judged under a configuration of some domains."""

    home: Path
    kind: Kind
    mixture: str
    seed: int
    told: tuple[str, ...]

    @property
    def name(self) -> str:
        untold = set(DOMAINS) - set(self.told)
        return self.mixture if not untold else f"{self.mixture}, {', '.join(sorted(untold))} untold"

    def truth(self) -> np.ndarray:
        """Shape (k,): the shares of the domains told, which sum to 1."""
        shares = json.loads((self.home / "truth.json").read_text(encoding="utf-8"))["shares"]
        told = np.array([shares[name] for name in self.told])
        return told / told.sum()

    def judged(self, judge: str) -> Path:
        """Where the judgements of a judge are kept."""
        return self.home / f"judged-{judge}-{len(self.told)}.npz"

    def texts(self) -> list[list[str]]:
        """What the model wrote, by iteration."""
        found: dict[int, list[str]] = defaultdict(list)
        for line in read_json_lines(self.home / "knowledge.texts.jsonl")[1:]:
            found[line["iteration"]].append(line["text"])
        return list(found.values())


def pretrained(home: Path, model: str, mixture: Mapping[str, float] | None, seed: int, rows: Path) -> None:
    """A model with its ``truth.json``, and the texts that it writes; what is there is kept."""
    truth, kind = home / "truth.json", KINDS[model]
    if not truth.is_file():
        home.mkdir(parents=True)
        shares = make_base_model(Console(file=sys.stderr), home, kind.sizes, seed, rows, mixture, kind.settings)
        truth.write_text(json.dumps({"model": model, "shares": shares}), encoding="utf-8")
    options = DetectionOptions(
        texts=kind.sizes.texts,
        iterations=2,
        max_new_tokens=kind.sizes.text_tokens,
        batch_size=kind.at_a_time,
        seed=seed,
        tolerance=0.0,
    )
    with contextlib.chdir(home):
        detect(Path("versatune.yml"), options)


def cases(out: Path) -> Iterator[Case]:
    """All that is under ``out``, by mixture and seed."""
    for mixture in MIXTURES:
        for knowledge in sorted(out.glob(f"{mixture}-*/knowledge.json")):
            home, seed = knowledge.parent, int(knowledge.parent.name.rpartition("-")[2])
            kind = KINDS[json.loads((home / "truth.json").read_text(encoding="utf-8"))["model"]]
            yield Case(home, kind, mixture, seed, DOMAINS)
            if untold := UNTOLD.get(mixture):
                yield Case(home, kind, mixture, seed, tuple(name for name in DOMAINS if name != untold))


def context(case: Case, options: DetectionOptions) -> JudgeContext:
    """What `detect` makes a judge from. The working directory is to be the model's."""
    from versatune_plugin.host.base_model import BaseModel

    config = Path(f"told-{len(case.told)}.yml")
    values = yaml.safe_load(configuration("versatune", case.told, case.kind.sizes, case.seed))
    values["versatune"]["descriptions"] = {name: DESCRIPTIONS[name] for name in case.told}
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    cfg, section = load_run(config)
    return judge_context(cfg, section, BaseModel(cfg), options, Path("knowledge.json"))


def judge_of_documents(made_from: JudgeContext, longest: int) -> Judge:
    """A classifier of the pretraining corpus, with 200 documents of each domain set aside."""
    from transformers import AutoTokenizer

    shorten = shortener(AutoTokenizer.from_pretrained("base_model"), longest)
    training, test = {}, {}
    for name in made_from.domains:
        lines = read_json_lines(Path("corpus") / "pretraining" / f"{name}.jsonl")
        texts = list(dict.fromkeys(made_from.rows.read(shorten(line["text"])) for line in lines))
        test[name], training[name] = texts[:MOST_HELD_OUT], texts[MOST_HELD_OUT:]
    return ClassifierJudge(training, test, seed=made_from.options.seed)


def judge(case: Case, name: str, model: str | None) -> None:
    """Judge the texts and the labelled rows of one model, and keep what was judged; what is there is kept."""
    if case.judged(name).is_file():
        return
    options = DetectionOptions(
        judge="classifier" if name == DOCUMENTS else name,
        judge_model=model,
        max_new_tokens=case.kind.sizes.text_tokens,
        seed=case.seed,
    )
    with contextlib.chdir(case.home):
        made_from = context(case, options)
        assert made_from.domains == case.told
        made: Any = (
            judge_of_documents(made_from, options.max_new_tokens)
            if name == DOCUMENTS
            else known_judges()[name](made_from)
        )
        texts = [_probabilities(made, list(map(made_from.rows.read, of_one))) for of_one in case.texts()]
        if isinstance(made, ClassifierJudge):
            rows = made.labelled()
        else:
            contents, truth = made_from.rows.labelled(case.told)
            rows = LabelledJudgements(_probabilities(made, contents), truth)
    np.savez(case.judged(name), texts=np.stack(texts), given=rows.given, truth=rows.truth)


def estimates(case: Case, name: str) -> Iterator[dict[str, Any]]:
    """What every estimator makes of a judge's judgements of one model's texts."""
    kept = np.load(case.judged(name))
    texts, rows = list(kept["texts"]), LabelledJudgements(kept["given"], kept["truth"])
    truth, measured = case.truth(), quality(rows, case.told).as_json()
    for estimator, one in estimate_shares(texts, rows, case.seed).items():
        low, high = one.interval95.T
        yield {
            "mixture": case.name,
            "seed": case.seed,
            "judge": name,
            "estimator": estimator,
            "total_variation": float(abs(one.probabilities - truth).sum() / 2),
            "covered": float(np.mean((low <= truth + 1e-9) & (truth <= high + 1e-9))),
            "by_chance": by_chance(truth, sum(map(len, texts))),
            "truth": _by_domain(case, truth),
            "shares": _by_domain(case, one.probabilities),
            "interval95": _by_domain(case, one.interval95),
            "confidence": {
                "texts": float(np.nanmean(np.concatenate(texts).max(axis=1))),
                "rows": float(np.nanmean(rows.given.max(axis=1))),
            },
            "quality": {key: measured[key] for key in QUALITY},
        }


def _by_domain(case: Case, values: np.ndarray) -> dict[str, Any]:
    return dict(zip(case.told, values.round(4).tolist(), strict=True))


def by_chance(truth: np.ndarray, texts: int) -> float:
    """The mean total variation between the truth and the shares of so many texts whose domains were known."""
    drawn = np.random.default_rng(0).multinomial(texts, truth, size=4000) / texts
    return float(abs(drawn - truth).sum(axis=1).mean() / 2)


def table(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Mean total variation over seeds with its 95 % interval (Student's t), and the share of intervals that cover."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        for mixture in (line["mixture"], "all with an untold domain" if "untold" in line["mixture"] else "all told"):
            groups[mixture, line["judge"], line["estimator"]].append(line)
    yield "| mixture | judge | estimator | models | total variation | 95 % interval | by chance | intervals cover |"
    yield "|---|---|---|---|---|---|---|---|"
    for (mixture, judge, estimator), group in groups.items():
        values = np.array([line["total_variation"] for line in group])
        interval = "-"
        if len(values) > 1:
            half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
            interval = f"{max(values.mean() - half, 0):.3f} to {values.mean() + half:.3f}"
        chance, covered = (np.mean([line[key] for line in group]) for key in ("by_chance", "covered"))
        yield (
            f"| {mixture} | {judge} | {estimator} | {len(values)} | {values.mean():.3f} | {interval} | {chance:.3f} | "
            f"{covered:.0%} |"
        )


def _probabilities(judge: Judge, texts: Sequence[str]) -> np.ndarray:
    """Shape (texts, k); a blank text is not judged."""
    written = np.array([bool(text.strip()) for text in texts])
    given = judge.probabilities([text for text in texts if text.strip()])
    rows = np.full((len(texts), given.shape[1]), np.nan)
    rows[written] = given
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    pretrain = commands.add_parser("pretrain", help="make the models and their texts")
    pretrain.add_argument("--rows", type=Path, required=True, help="a folder with <domain>.jsonl in alpaca format")
    pretrain.add_argument("--out", type=Path, required=True)
    pretrain.add_argument("--model", choices=KINDS, default="small")
    pretrain.add_argument("--seeds", type=int, nargs="+", required=True)
    pretrain.add_argument("--mixtures", nargs="+", choices=MIXTURES, default=list(MIXTURES))
    judging = commands.add_parser("judge", help="judge the texts and the labelled rows")
    judging.add_argument("--out", type=Path, required=True)
    judging.add_argument("--judge", default="classifier")
    judging.add_argument("--judge-model")
    estimating = commands.add_parser("estimate", help="what every estimator makes of what was judged")
    estimating.add_argument("--out", type=Path, required=True)
    summary = commands.add_parser("table", help="sum up what `judge` printed")
    summary.add_argument("found", type=Path, nargs="+")
    given = parser.parse_args()
    os.environ.update({name: value for name, value in SURROUNDINGS.items() if name != "CUDA_VISIBLE_DEVICES"})
    if given.command == "table":
        print(*table([line for file in given.found for line in read_json_lines(file)]), sep="\n")
    elif given.command == "judge":
        for case in cases(given.out.resolve()):
            judge(case, given.judge, given.judge_model)
    elif given.command == "estimate":
        for case in cases(given.out.resolve()):
            for kept in sorted(case.home.glob(f"judged-*-{len(case.told)}.npz")):
                for line in estimates(case, kept.stem.split("-")[1]):
                    print(json.dumps(line), flush=True)
    else:
        out, rows = given.out.resolve(), given.rows.resolve()
        for seed in given.seeds:
            for name in given.mixtures:
                began = time.perf_counter()
                pretrained(out / f"{name}-{seed}", given.model, MIXTURES[name], seed, rows)
                seconds = round(time.perf_counter() - began)
                print(json.dumps({"model": f"{name}-{seed}", "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()

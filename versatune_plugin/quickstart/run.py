"""The quickstart: the whole path on a small model that is made on the spot, offline, on a CPU."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from versatune_plugin.artifacts.io import read_json_lines, write_json
from versatune_plugin.artifacts.record import RECORD_FILE, read_record
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.progress import Progress
from versatune_plugin.quickstart.configuration import configuration
from versatune_plugin.quickstart.presets import PRESETS, Preset

if TYPE_CHECKING:
    from versatune_plugin.quickstart.pretrain import PretrainSettings

MIXTURES = ("uniform", "versatune")
FILES = {
    "versatune.yml, uniform.yml": "the configurations: copy one, put your own data sets into it",
    "corpus/finetuning/": "the rows of each domain",
    "corpus/pretraining/": "what the base model could read",
    "base_model/": "the base model, before any fine-tuning",
    "knowledge.json": "what it knows; knowledge.texts.jsonl has its texts",
    "reference.json": "the reference loss of each domain",
    "uniform/, versatune/": "the two fine-tuned models, each with its record versatune.jsonl",
    "uniform.log, versatune.log, reference.log": "what Axolotl printed",
    "knowledge.png, weights.png": "the pictures",
    "versatune-report.html": "both runs side by side, for a browser; each has a page of its own beside its record",
    "quickstart.json": "the figures above",
}
# Of this process and of those it starts: nothing goes online, and a waiting thread leaves its core to others.
SURROUNDINGS = {
    "AXOLOTL_DO_NOT_TRACK": "1",
    "AXOLOTL_LOG_LEVEL": "ERROR",
    "LOG_LEVEL": "ERROR",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_WAIT_POLICY": "PASSIVE",
    # In this process: starting a second one to write a thousand rows takes seconds.
    "AXOLOTL_DATASET_NUM_PROC": "0",
}


def run_quickstart(out: Path, seed: int, preset: str = "default", rows: Path | None = None) -> Path:
    """Build domains, pretrain on a known mixture, detect it, measure references, fine-tune twice and compare.

    Args:
        out: the directory to write to; if it holds something, ``out-2``, ``out-3``, ... is taken instead.
        seed: decides the corpus, the mixture that is pretrained on, the model and every run.
        preset: a name of `versatune_plugin.quickstart.presets.PRESETS`.
        rows: a folder with ``<domain>.jsonl`` in alpaca format, to be used instead of what the packages hold.

    Returns:
        The directory.

    Raises:
        ConfigurationError: an unknown preset, or a fine-tuning that failed.
        DataError: a package is missing, or the rows cannot be used.
    """
    if preset not in PRESETS:
        raise ConfigurationError(f"--preset is {preset!r}, but the presets are: {', '.join(PRESETS)}")
    os.environ.update(SURROUNDINGS)
    for chatty in ("torchao", "torch.utils._pytree"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    # Bound to this stream, since Axolotl's own output goes to files.
    console = Console(file=sys.stdout, highlight=False)
    sizes = PRESETS[preset]
    out = _free(out)
    began = time.perf_counter()
    truth = make_base_model(console, out, sizes, seed, rows)
    # The configurations name their files relative to themselves, so that the directory can be moved and copied.
    with contextlib.chdir(out):
        figures = _detect_and_refer(console, sizes, seed, truth)
        with _stage(console, f"fine-tuning from the same start: {' and '.join(MIXTURES)}, at the same time"):
            _fine_tune(console, sizes.steps)
        figures |= _compare(console, figures, sizes)
        figures |= {"seed": seed, "preset": preset, "seconds": time.perf_counter() - began}
        write_json(Path("quickstart.json"), {"kind": "versatune.quickstart", "schema": 1, **figures})
    from versatune_plugin.console.quickstart import show_files
    from versatune_plugin.console.report import write_page
    from versatune_plugin.report.write import SEVERAL_FILE

    show_files(console, out, FILES)
    console.print(f"done in {figures['seconds']:.0f} s; another --seed gives other figures")
    page = write_page([out / mixture for mixture in MIXTURES], out / SEVERAL_FILE)
    console.print(page, markup=False, soft_wrap=True)
    return out


def make_base_model(
    console: Console,
    out: Path,
    sizes: Preset,
    seed: int,
    rows: Path | None,
    mixture: Mapping[str, float] | None = None,
    settings: PretrainSettings | None = None,
) -> dict[str, float]:
    """Corpus, tokenizer, model and configurations.

    Args:
        console: what is done is printed there.
        out: the directory to write to.
        sizes: of the corpus, of the pretraining and of what the configurations say.
        seed: see `run_quickstart`.
        rows: see `run_quickstart`.
        mixture: each domain's share of the documents to pretrain on; None: the one that the seed draws.
        settings: of the model and its pretraining; None: the quickstart's.

    Returns:
        The truth: each domain's share of the documents read.
    """
    from versatune_plugin.console.quickstart import show_corpus
    from versatune_plugin.quickstart.corpus.build import Sizes, build_corpus, write_corpus
    from versatune_plugin.quickstart.corpus.files import read_corpus
    from versatune_plugin.quickstart.pretrain import (
        PretrainSettings,
        draw_documents,
        draw_mixture,
        pretrain,
        prompts,
        train_tokenizer,
    )

    amounts = Sizes(sizes.rows, sizes.documents)
    with _stage(console, f"building six domains from {rows or 'installed packages'}"):
        corpus = build_corpus(seed, amounts) if rows is None else read_corpus(rows, seed, amounts)
        write_corpus(corpus, out / "corpus")
    documents = {name: domain.documents for name, domain in corpus.items()}
    texts, truth = draw_documents(documents, mixture or draw_mixture(seed), sizes.pretraining_documents, seed)
    show_corpus(console, {name: (len(one.rows), len(one.documents)) for name, one in corpus.items()}, truth)
    settings = settings or PretrainSettings()
    with _stage(console, f"pretraining a small Llama on {len(texts):,} texts of this mixture"):
        tuned_on = [row for domain in corpus.values() for row in domain.rows]
        tokenizer = train_tokenizer([*texts, *prompts(tuned_on)], settings.vocabulary)
        pretrain(texts, tokenizer, settings, seed, out / "base_model")
    for name in MIXTURES:
        (out / f"{name}.yml").write_text(configuration(name, list(corpus), sizes, seed), encoding="utf-8")
    return truth


def _detect_and_refer(console: Console, sizes: Preset, seed: int, truth: Mapping[str, float]) -> dict[str, Any]:
    from versatune_plugin.console.plots import plot_knowledge
    from versatune_plugin.console.quickstart import show_detected
    from versatune_plugin.knowledge.comparison import total_variation
    from versatune_plugin.knowledge.detect import detect
    from versatune_plugin.knowledge.options import DetectionOptions
    from versatune_plugin.reference.measure import measure_references

    config = Path("versatune.yml")
    options = DetectionOptions(
        texts=sizes.texts, iterations=2, max_new_tokens=sizes.text_tokens, batch_size=128, seed=seed
    )
    with _stage(console, "axolotl versatune detect versatune.yml"):
        knowledge = detect(config, options)
    assert knowledge is not None
    show_detected(console, knowledge, truth)
    found = {"probabilities": knowledge.probabilities, "interval95": knowledge.interval95}
    plot_knowledge(found, Path("knowledge.png"), truth)
    with _stage(console, "axolotl versatune reference versatune.yml"), _output_to(Path("reference.log")):
        _, reference = measure_references(config, epochs=sizes.reference_epochs)
    return {
        "truth": dict(truth),
        "knowledge": knowledge.probabilities,
        "total_variation": total_variation(knowledge.probabilities, truth),
        "reference": dict(reference.nats_per_token),
    }


def _fine_tune(console: Console, steps: int) -> None:
    """Run Axolotl's own command line for every mixture, side by side, each on its share of the cores."""
    threads = str(max((os.cpu_count() or 1) // len(MIXTURES), 1))
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for mixture in MIXTURES:
            command = [sys.executable, "-m", "axolotl.cli.train", f"{mixture}.yml"]
            console.print(f"$ {' '.join(['python', *command[1:]])}")
            with Path(f"{mixture}.log").open("wb") as log:
                running[mixture] = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=os.environ | {"OMP_NUM_THREADS": threads, "AXOLOTL_LOG_LEVEL": "INFO", "LOG_LEVEL": "WARNING"},
                )
        with Progress("fine-tuning", steps * len(MIXTURES), "step") as progress:
            done, running_still = 0, True
            while running_still:
                # Asked before the records are read, so that their last lines count.
                running_still = any(process.poll() is None for process in running.values())
                each = {mixture: _steps_done(Path(mixture) / RECORD_FILE) for mixture in MIXTURES}
                progress.note(**{mixture: str(count) for mixture, count in each.items()})
                progress.advance(sum(each.values()) - done)
                done = sum(each.values())
                if running_still:
                    time.sleep(0.5)
    finally:
        for process in running.values():
            if process.poll() is None:
                process.terminate()
                process.wait()
    for mixture, process in running.items():
        if process.returncode:
            printed = Path(f"{mixture}.log").resolve()
            last = "\n".join(printed.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
            raise ConfigurationError(f"the run {mixture!r} failed; see {printed}, which ends:\n{last}")


def _compare(console: Console, figures: Mapping[str, Any], sizes: Preset) -> dict[str, Any]:
    from versatune_plugin.console.plots import plot_weights
    from versatune_plugin.console.quickstart import heldout_losses, show_losses, show_weights

    records = {mixture: read_record(Path(mixture)) for mixture in MIXTURES}
    show_losses(console, records, figures["reference"], sizes.heldout)
    show_weights(console, records["versatune"])
    plot_weights(records["versatune"], Path("weights.png"))
    start = heldout_losses(records["uniform"])[0]
    ends = {mixture: heldout_losses(record)[1] for mixture, record in records.items()}
    return {"heldout_loss": {"start": start, **ends}}


def _steps_done(record: Path) -> int:
    lines: Sequence[Mapping[str, Any]] = read_json_lines(record, may_be_cut=True) if record.exists() else ()
    return max((line.get("step", 0) for line in lines), default=0)


@contextlib.contextmanager
def _stage(console: Console, what: str) -> Iterator[None]:
    console.print(f"\n[bold]{what}[/]")
    began = time.perf_counter()
    yield
    console.print(f"[dim]{time.perf_counter() - began:.0f} s[/]")


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    with (
        path.open("w", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield


def _free(out: Path) -> Path:
    """``out``, or the first free one of ``out-2``, ``out-3``, ... if it holds something: nothing is written over."""
    candidate, number = out, 1
    while candidate.exists() and (not candidate.is_dir() or any(candidate.iterdir())):
        number += 1
        candidate = out.with_name(f"{out.name}-{number}")
    candidate.mkdir(parents=True, exist_ok=True)
    return candidate.resolve()

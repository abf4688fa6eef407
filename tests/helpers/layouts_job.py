"""Judges texts under several configurations in one process, for tests. Arguments: the texts, the configurations."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from versatune_plugin.host.base_model import BaseModel
from versatune_plugin.host.configuration import load_run_config
from versatune_plugin.knowledge.detect import judge_context
from versatune_plugin.knowledge.judges import known_judges
from versatune_plugin.knowledge.options import JudgeOptions


def others(cfg: Any, section: Any, path: Path, texts: list[str]) -> dict[str, list[list[float]]]:
    """Shares by every judge that reads: of texts, of the same in a chat template, and of labelled rows."""
    shares = {}
    for name, given in json.loads(os.environ["OTHER_JUDGES"]).items():
        chosen = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
        options = JudgeOptions.choose(judge=name, max_new_tokens=120, **chosen)
        context = judge_context(cfg, section, BaseModel(cfg), options, path.with_name(f"{path.stem}-{name}.json"))
        judge = known_judges()[name](context)
        dressed = [f"<s><|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n</s>" for text in texts]
        rows, _ = context.rows.labelled(context.domains, 20)
        shares[name] = [
            judge.probabilities([context.rows.read(text) for text in some]).mean(axis=0).tolist()
            for some in (texts, dressed, rows)
        ]
    return shares


def main() -> None:
    texts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for path in map(Path, sys.argv[2:]):
        cfg, section = load_run_config(path)
        options = JudgeOptions(max_new_tokens=120)
        context = judge_context(cfg, section, BaseModel(cfg), options, path)
        judge = known_judges()["classifier"](context)
        read = [context.rows.read(text) for text in texts]
        found = {"shares": judge.probabilities(read).mean(axis=0).tolist(), "judge": judge.describe()}
        if "OTHER_JUDGES" in os.environ:
            found["others"] = others(cfg, section, path, texts)
        path.with_suffix(".json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()

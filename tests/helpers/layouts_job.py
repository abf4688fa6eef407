"""Judges texts under several configurations in one process, for tests. Arguments: the texts, the configurations."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from versatune_plugin.host.base_model import BaseModel
from versatune_plugin.host.configuration import load_run_config
from versatune_plugin.knowledge.judges import JudgeContext, known_judges


def main() -> None:
    texts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for path in map(Path, sys.argv[2:]):
        cfg, section = load_run_config(path)
        context = JudgeContext(
            domains=section.domains,
            cfg=cfg,
            dataset_domains=section.dataset_domains,
            tokenizer=BaseModel(cfg).tokenizer,
            max_new_tokens=120,
            seed=42,
            training_rows=1000,
        )
        judge = known_judges()["classifier"](context)
        found = {"shares": judge.probabilities(texts).mean(axis=0).tolist(), "judge": judge.describe()}
        path.with_suffix(".json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()

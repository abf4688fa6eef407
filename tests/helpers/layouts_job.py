"""Judges texts under several configurations in one process, for tests. Arguments: the texts, the configurations."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from versatune_plugin.host.base_model import BaseModel
from versatune_plugin.host.configuration import load_run_config
from versatune_plugin.knowledge.detect import judge_context
from versatune_plugin.knowledge.judges import known_judges
from versatune_plugin.knowledge.options import JudgeOptions


def main() -> None:
    texts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for path in map(Path, sys.argv[2:]):
        cfg, section = load_run_config(path)
        options = JudgeOptions(max_new_tokens=120)
        context = judge_context(cfg, section, BaseModel(cfg), options, path)
        judge = known_judges()["classifier"](context)
        read = [context.rows.read(text) for text in texts]
        found = {"shares": judge.probabilities(read).mean(axis=0).tolist(), "judge": judge.describe()}
        path.with_suffix(".json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()

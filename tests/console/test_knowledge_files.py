"""What `knowledge show`, `compare` and `from-counts` print and draw, and that a run shows a file's warning."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image
from rich.console import Console

from tests.conftest import Axolotl, Tiny
from versatune_plugin.artifacts.io import read_json
from versatune_plugin.cli import versatune
from versatune_plugin.console import knowledge_files
from versatune_plugin.console.knowledge_files import SIGNS
from versatune_plugin.console.knowledge_plots import plot_distributions

LAW = ["law=571", "medicine=866", "general=8550"]


def typed(*argv: object) -> Result:
    return CliRunner().invoke(versatune, ["knowledge", *map(str, argv)])


def said(*argv: object) -> str:
    result = typed(*argv)
    assert result.exit_code == 0, result.output
    return result.stdout


def by_hand(path: Path, shares: dict[str, float], **more: Any) -> Path:
    path.write_text(json.dumps({"kind": "versatune.knowledge", "schema": 1, "probabilities": shares, **more}))
    return path


def cells(output: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│")]


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    said("from-counts", *LAW, "--out", tmp_path / "counted.json", "--base-model", "M", "--warning", "as [published]")
    return tmp_path / "counted.json"


def test_files_of_different_domains_stand_side_by_side(counted: Path, tmp_path: Path) -> None:
    hand = by_hand(tmp_path / "hand.json", {"law": 0.25, "[bold]code": 0.75})
    printed = said("show", counted, hand, "--json", tmp_path / "out.json")
    assert cells(printed) == [
        ["general", "85.61%", "84.91% - 86.29%", "-"],
        ["[bold]code", "-", "-", "75.00%"],
        ["law", "5.72%", "5.28% - 6.19%", "25.00%"],
        ["medicine", "8.67%", "8.14% - 9.24%", "-"],
    ]
    assert f"1: {counted}: M, 9,987 texts, by `axolotl versatune knowledge from-counts`\n  warning: as [pub" in printed
    assert f"2: {hand}: written by hand (it names no `command`)\n" in printed
    assert re.findall(r"^(\d  [A-Z]+)$", printed, re.MULTILINE) == [
        "1  " + "A" * 85 + "C" * 6 + "D" * 9,
        "2  " + "B" * 75 + "C" * 25,
    ]
    assert "   A general   B [bold]code   C law   D medicine" in printed
    shown = read_json(tmp_path / "out.json", "versatune.knowledge_files", 1)["files"]
    assert [one["file"] for one in shown] == [str(counted), str(hand)]
    assert shown[0]["warning"] == "as [published]"
    assert shown[1].keys() == {"file", "probabilities"}


def test_what_made_a_file_is_said(tmp_path: Path) -> None:
    made = {
        "command": "axolotl versatune detect cfg.yml --texts 10",
        "judge": {"name": "model", "model": "some/judge"},
        "estimator": "corrected",
        "base_model": "a\x1b[31mmodel",
        "texts": 1200,
        "unparsed": 3,
        "source": "a server",
    }
    printed = said("show", by_hand(tmp_path / "k.json", {"law": 0.5, "code": 0.5}, **made))
    line = f"{tmp_path / 'k.json'}: a\\x1b[31mmodel, 1,200 texts (3 without a usable judgement), "
    assert printed.startswith(f"{line}judge model some/judge, estimator corrected, by `axolotl versatune detect`\n")
    assert "  source: a server\n" in printed


def test_no_figure_is_cut_however_many_files(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.json" for number in range(9)]
    for number, path in enumerate(paths):
        said("from-counts", *LAW, f"code={number + 1}", "--out", path)
    rows = cells(said("show", *paths))
    assert "…" not in str(rows)
    assert sorted({cell for row in rows for cell in row if "-" in cell and "%" in cell})[0].count("%") == 2
    assert sum(len(row) - 1 for row in rows) == 9 * 2 * 4


def test_colours_are_there_on_a_terminal_only(counted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in said("show", counted)
    out = io.StringIO()
    terminal = Console(file=out, force_terminal=True, color_system="truecolor", width=60, height=25, highlight=False)
    monkeypatch.setattr(knowledge_files, "new_console", lambda: terminal)
    knowledge_files.show_knowledge_files([counted])
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    (bar,) = re.findall(r"^  (A+B+C+)$", plain, re.MULTILINE)
    assert len(bar) == 58
    assert len(re.findall(r"\x1b\[38;2;0;0;0;48;2;[0-9;]+m[A-C]{2,}", out.getvalue())) == 3


def test_more_domains_than_signs_are_still_shown(tmp_path: Path) -> None:
    names = [f"d{number:03}" for number in range(len(SIGNS) + 5)]
    shares = {name: 1 / len(names) for name in names}
    printed = said("show", by_hand(tmp_path / "k.json", shares))
    assert len(cells(printed)) == len(names)
    assert printed.count("   + d") == 6


def test_a_picture_has_every_file_and_domain(counted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")
    hand = by_hand(tmp_path / "hand.json", {"law": 0.25, "_$x$": 0.75})
    said("show", counted, hand, "--plot", tmp_path / "out.svg")
    texts = {"".join(node.itertext()) for node in ET.parse(tmp_path / "out.svg").iter() if node.tag.endswith("text")}
    assert {"counted", "hand", "general", "medicine", "law", "\u200a_$x$", "85.6%", "25.0%", "5.7%"} <= texts
    said("show", counted, "--plot", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size[0] > 300


def test_many_domains_have_looks_of_their_own(tmp_path: Path) -> None:
    plot_distributions([("one", {f"d{number}": 1 / 20 for number in range(20)})], tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_a_comparison_says_how_far_and_whether_by_chance(counted: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    said("from-counts", "medicine=800", "law=600", "general=1600", "--out", other)
    printed = said("compare", counted, other, "--json", tmp_path / "out.json")
    assert [row[:4] for row in cells(printed)] == [
        ["general", "85.61%", "53.33%", "-32.28"],
        ["medicine", "8.67%", "26.67%", "+18.00"],
        ["law", "5.72%", "20.00%", "+14.28"],
    ]
    assert re.search(
        r"total variation: 0\.3228, 95 % interval 0\.30\d\d to 0\.34\d\d \(0 same, 1 disjoint\)\n", printed
    )
    assert "they differ by more than chance explains: fewer than 0.1% of pairs of samples" in printed
    assert f"warning of {counted}: as [published]" in printed
    found = read_json(tmp_path / "out.json", "versatune.knowledge_comparison", 1)
    assert found["differ"] is True
    assert found["total_variation"] == pytest.approx(0.3228, abs=1e-4)
    assert found["differences95"]["law"][0] < found["differences"]["law"] < found["differences95"]["law"][1]
    same = said("compare", counted, counted)
    assert "chance may explain the difference: 100.0% of pairs" in same
    assert same.count("as [published]") == 1


def test_a_comparison_without_uncertainty_has_no_interval(tmp_path: Path) -> None:
    one, other = (by_hand(tmp_path / f"{share}.json", {"law": share, "code": 1 - share}) for share in (0.25, 0.5))
    printed = said("compare", one, other)
    assert [len(row) for row in cells(printed)] == [4, 4]
    assert "total variation: 0.2500 (0 same, 1 disjoint)\n" in printed
    assert "whether chance explains the difference is not known\n" in printed
    assert f"warning: no interval: {one} and {other} say nothing of the uncertainty of their shares (" in printed
    assert read_json(_compared(one, other, tmp_path), "versatune.knowledge_comparison", 1)["differences95"] is None


def _compared(one: Path, other: Path, folder: Path) -> Path:
    said("compare", one, other, "--json", folder / "out.json")
    return folder / "out.json"


@pytest.mark.parametrize("argv", [("show", "--json"), ("show", "--plot"), ("compare", "--json")])
def test_nothing_that_is_read_is_written_over(counted: Path, argv: tuple[str, str]) -> None:
    picture = counted.rename(counted.with_suffix(".png"))
    before = picture.read_bytes()
    verb, option = argv
    refused = typed(
        verb, picture, *([picture] if verb == "compare" else []), option, picture.parent / "." / picture.name
    )
    assert refused.exit_code == 2
    assert "is one of the files that are read: write to another one" in refused.stderr
    assert picture.read_bytes() == before


@pytest.mark.parametrize("command", ["plan", "train"])
def test_a_run_shows_the_warning_of_its_knowledge_file(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, command: str
) -> None:
    out = tmp_path / "k.json"
    said("from-counts", "law=20", "medicine=30", "code=50", "--out", out, "--warning", "of [another] model")
    section = {"mixture": "constant", "knowledge": str(out), "heldout": 4}
    cfg = tiny.config(tmp_path / "out", versatune=section, max_steps=1)
    (tmp_path / "run.yml").write_text(yaml.safe_dump(cfg))
    start = ["axolotl.cli.train"] if command == "train" else ["axolotl.cli.main", "versatune", "plan"]
    shown = axolotl.run(*start, str(tmp_path / "run.yml"))
    assert shown.status == 0, shown.output
    assert f"warning: the prior is {out}, which warns: of [another] model\n" in shown.output
    assert re.search(r"│ medicine +│ 0\.3000 │", shown.output)
    by_hand(out, {"law": 0.2, "medicine": 0.3, "code": 0.5})
    if command == "plan":
        assert "which warns" not in axolotl.run(*start, str(tmp_path / "run.yml")).output


def test_a_preset_is_a_prior(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    preset = Path(__file__).parents[2] / "example_yml" / "knowledge" / "qwen2.5-7b.json"
    shares = json.loads(preset.read_text())["probabilities"]
    files = dict(zip(shares, [*tiny.files.values()] * 2, strict=True))
    section = {"mixture": "constant", "knowledge": str(preset), "heldout": 4}
    cfg = tiny.config(tmp_path / "out", versatune=section)
    cfg["datasets"] = []
    for name, file in files.items():
        # Rows of its own for each domain.
        own = tmp_path / f"{name}.jsonl"
        own.write_text(file.read_text().replace(" question ", f" question of {name} "))
        cfg["datasets"].append({"path": str(own), "ds_type": "json", "type": "alpaca", "domain": name})
    cfg["dataset_prepared_path"] = str(tmp_path / "prepared")
    (tmp_path / "run.yml").write_text(yaml.safe_dump(cfg))
    planned = axolotl.run("axolotl.cli.main", "versatune", "plan", str(tmp_path / "run.yml"))
    assert planned.status == 0, planned.output
    for name, share in shares.items():
        assert re.search(rf"│ {name} +│ {share:.4f} │", planned.output), name
    assert "which warns: these are the counts that the authors of VersaTune publish" in planned.output

"""The pictures: everything that was recorded is in them, and the weights are drawn as the step function they are."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from matplotlib.axes import Axes
from PIL import Image

from versatune_plugin.console.plots import plot_knowledge, plot_weights

DOMAINS = ("code", "finance", "general", "law", "medicine", "science")


def record() -> list[dict]:
    first = dict.fromkeys(DOMAINS, 1 / 6)
    later = {name: (index + 1) / 21 for index, name in enumerate(DOMAINS)}
    return [
        {"kind": "start", "mixture": "versatune", "weights": first, "total_steps": 60},
        {"kind": "measure", "step": 0, "weights": first},
        {"kind": "update", "step": 20, "weights": later},
        {"kind": "measure", "step": 60, "weights": later},
        {"kind": "end", "step": 60},
    ]


def words(picture: Path) -> str:
    """The text of an SVG, as text."""
    return " ".join("".join(node.itertext()) for node in ET.parse(picture).iter() if node.tag.endswith("text"))


@pytest.fixture
def text_in_svg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")


@pytest.mark.usefixtures("text_in_svg")
def test_weights_name_every_domain_with_its_first_and_last_share(tmp_path: Path) -> None:
    plot_weights(record(), tmp_path / "weights.svg")
    text = words(tmp_path / "weights.svg")
    for index, name in enumerate(DOMAINS):
        assert f"{name}  16.7% → {(index + 1) / 21:.1%}" in text
    assert "optimizer step" in text


def test_a_record_that_begins_later_is_drawn_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[int]] = []
    monkeypatch.setattr(Axes, "step", lambda self, steps, *rest, **how: drawn.append(list(steps)))
    limits: list[tuple[float, float]] = []
    monkeypatch.setattr(Axes, "set_xlim", lambda self, *ends: limits.append(ends))
    start, _, *rest = record()
    plot_weights([{**start, "resumed_at": 15}, *rest], tmp_path / "weights.svg")
    assert drawn == [[15, 20, 60]] * len(DOMAINS)
    assert limits == [(15, 60)]


def test_weights_are_a_step_function_until_the_last_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, tuple[list[float], list[float], str]] = {}
    step = Axes.step

    def spy(
        axes: Axes, x: list[float], y: list[float], *args: object, where: str, label: str, **kwargs: object
    ) -> object:
        drawn[label.split()[0]] = (x, y, where)
        return step(axes, x, y, *args, where=where, label=label, **kwargs)

    monkeypatch.setattr(Axes, "step", spy)
    plot_weights(record(), tmp_path / "weights.png")
    assert drawn["science"] == ([0, 20, 60], pytest.approx([1 / 6, 6 / 21, 6 / 21]), "post")
    assert set(drawn) == set(DOMAINS)


@pytest.mark.usefixtures("text_in_svg")
def test_knowledge_shows_domains_shares_and_truth(tmp_path: Path) -> None:
    found = {name: (index + 1) / 21 for index, name in enumerate(DOMAINS)}
    knowledge = {
        "probabilities": found,
        "interval95": {name: [share - 0.02, share + 0.03] for name, share in found.items()},
    }
    plot_knowledge(knowledge, tmp_path / "with.svg", dict.fromkeys(DOMAINS, 1 / 6))
    plot_knowledge(knowledge, tmp_path / "without.svg")
    text = words(tmp_path / "with.svg")
    for name, share in found.items():
        assert name in text
        assert f"{share:.1%}" in text
    assert "pretrained on" in text
    assert "pretrained on" not in words(tmp_path / "without.svg")


def test_pictures_are_whole_files_and_leave_nothing_else(tmp_path: Path) -> None:
    plot_weights(record(), tmp_path / "new" / "weights.png")
    with Image.open(tmp_path / "new" / "weights.png") as picture:
        picture.load()
        assert picture.width > 800
        assert len(picture.convert("RGB").getcolors(2**24)) > 6
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["weights.png"]


def test_more_domains_than_colours_still_look_different(tmp_path: Path) -> None:
    many = {f"domain{number:02}": 1 / 12 for number in range(12)}
    plot_weights([{"kind": "start", "mixture": "uniform", "weights": many, "total_steps": 5}], tmp_path / "weights.svg")
    drawing = (tmp_path / "weights.svg").read_text(encoding="utf-8")
    assert "stroke-dasharray" in drawing


@pytest.mark.usefixtures("text_in_svg")
def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    names = ["$x^2$", "$(touch victim)", "_law", "a & <b>", "{0} %s"]
    shares = dict.fromkeys(names, 0.2)
    plot_weights([{"kind": "start", "mixture": "$m$", "weights": shares, "total_steps": 6}], tmp_path / "weights.svg")
    intervals = {name: [0.1, 0.3] for name in names}
    plot_knowledge({"probabilities": shares, "interval95": intervals}, tmp_path / "knowledge.svg")
    for picture in ("weights.svg", "knowledge.svg"):
        text = words(tmp_path / picture)
        assert all(name in text for name in names), text

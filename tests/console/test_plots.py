"""The pictures: everything that was recorded is in them, and the weights are drawn as the step function they are."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from versatune_plugin.console.plots import plot_knowledge, plot_scores, plot_weights
from versatune_plugin.evaluation.benchmarks import BENCHMARKS
from versatune_plugin.evaluation.scores import Run, Score
from versatune_plugin.report.palette import PALETTE

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


@pytest.fixture
def figure(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Where the figures that are saved are put, too."""
    found: list[Figure] = []
    save = Figure.savefig

    def spy(self: Figure, *args: object, **kwargs: object) -> None:
        found.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", spy)
    return found


def scored(name: str, value: float = 0.5, benchmarks: int = len(BENCHMARKS), stderr: float | None = 0.02) -> Run:
    return Run(name, {benchmark: Score(value, stderr) for benchmark in list(BENCHMARKS)[:benchmarks]})


def dots(figure: Figure) -> list[ErrorbarContainer]:
    return [one for one in figure.axes[0].containers if isinstance(one, ErrorbarContainer)]


def test_scores_are_dots_in_groups_with_their_errors(tmp_path: Path, figure: list[Figure]) -> None:
    plot_scores([scored("one", 0.5), scored("two", 0.501), scored("three", 0.4, stderr=None)], tmp_path / "s.png")
    one, two, three = dots(figure[0])
    error = 100 * 0.02 / 2**0.5
    for run, value in ((one, 50), (two, 50.1), (three, 40)):
        assert list(run.lines[0].get_ydata()) == pytest.approx([value] * 7)
    bars = one.lines[2][0].get_segments()
    assert [bar[1][1] - bar[0][1] for bar in bars] == pytest.approx([2 * error] * 6 + [2 * error / 6**0.5])
    # A run stands beside the other, in its group: no dot covers another one.
    assert all(a < b < a + 0.5 for a, b in zip(one.lines[0].get_xdata(), two.lines[0].get_xdata(), strict=True))
    assert [to_hex(run.lines[0].get_color()) for run in (one, two, three)] == [one.lower() for one in PALETTE[:3]]
    assert len(three.lines[2][0].get_segments()) == 0 or not any(map(len, three.lines[2][0].get_segments()))


def test_missing_scores_are_absent_and_the_legend_says_so(tmp_path: Path, figure: list[Figure]) -> None:
    plot_scores([scored("half", benchmarks=5), scored("_nothing", benchmarks=1)], tmp_path / "s.png")
    axes = figure[0].axes[0]
    assert [len(run.lines[0].get_xdata()) for run in dots(figure[0])] == [2, 0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["law", "medicine"]
    legend = axes.get_legend()
    assert legend is not None
    first, second = (text.get_text().replace("\n", " ") for text in legend.get_texts())
    assert first == "half (without finance, science, code, general, average)"
    assert second == "_nothing (without law, medicine, finance, science, code, general, average)"


NAMES = ("plain", "$x$ and $\\nothing$", "one $ only", "_hidden", "W" * 150, "words " * 25)


@pytest.mark.parametrize("count", [1, len(NAMES), 40])
def test_no_text_is_cut_or_lies_on_the_dots_and_no_name_is_a_formula(
    tmp_path: Path, figure: list[Figure], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    names = [NAMES[number] if number < len(NAMES) else f"run {number}" for number in range(count)]
    plot_scores([scored(name, 0.3 + number / 100) for number, name in enumerate(names)], tmp_path / "s.png")
    (drawn,) = figure
    renderer = FigureCanvasAgg(drawn).get_renderer()
    # Ticks beyond the axes exist and are not drawn.
    shown: set[Text] = set()
    draw = Text.draw
    monkeypatch.setattr(Text, "draw", lambda self, *rest: (shown.add(self), draw(self, *rest)))
    drawn.draw(renderer)
    axes = drawn.axes[0]
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_window_extent(renderer).x0 >= axes.get_window_extent(renderer).x1
    written = [text for text in shown if text.get_text()]
    assert len(written) > len(names) + 7
    for text in written:
        box = text.get_window_extent(renderer)
        assert drawn.bbox.x0 <= box.x0
        assert box.x1 <= drawn.bbox.x1, text
        assert drawn.bbox.y0 <= box.y0
        assert box.y1 <= drawn.bbox.y1, text
        assert not text.get_parse_math()
    entries = [text.get_text().replace("\n", "") for text in legend.get_texts()]
    assert [one.replace(" ", "") for one in entries] == [name.replace(" ", "") for name in names]

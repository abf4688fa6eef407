"""The page about runs: the figures of the record to the digit, and nothing in it acts or is fetched."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import Axolotl, Tiny
from tests.helpers.page import Page
from tests.helpers.records import HOSTILE, record_lines, write_run
from versatune_plugin.artifacts.knowledge import Knowledge, write_knowledge
from versatune_plugin.artifacts.record import read_record
from versatune_plugin.errors import ArtifactError, printable
from versatune_plugin.report.write import report, write_report

DOMAINS = ("law", "code", "medicine")


def page_of(*folders: Path) -> Page:
    return Page(report(folders, "axolotl versatune report X", "now"))


def exact(figures: dict[str, float]) -> dict[str, str]:
    return {name: repr(value) for name, value in figures.items()}


def assert_figures_of(page: Page, lines: list[dict[str, Any]]) -> None:
    """That tables have the figures of the record to the digit."""
    domains = list(lines[0]["weights"])
    changes = [{"step": 0, **lines[0]}, *(line for line in lines if line["kind"] == "update")]
    measured = [line for line in lines if line["kind"] in ("measure", "update")]
    tests = [line for line in lines if line["kind"] == "test"]
    for caption, found, key in (
        ("Sampling weights: share of what is drawn", changes, "weights"),
        ("Held-out loss: nats per token", measured, "loss"),
        ("Learnable potential: share of the loss", changes[1:], "potential"),
        ("Forgetting: share of the loss", changes[1:], "forgetting"),
    ):
        table = page.tables[caption]
        assert table.columns == ["optimizer step", *domains]
        assert [[value for _, value in row] for row in table.rows] == [
            [str(line["step"]), *(repr(line[key][name]) for name in domains)] for line in found
        ]
    heldout = page.tables[f"Held-out losses of {lines[0]['heldout']} rows of each domain"]
    rows = page.tables[f"Losses of {lines[0]['test_rows'][domains[0]]} test rows of each domain"]
    for table, of in ((heldout, measured), (rows, tests)):
        assert table.column("start (nats per token)") == exact(of[0]["loss"])
        assert table.column("end") == exact(of[-1]["loss"])
        assert table.column("start (bits per byte)") == exact(of[0]["bits_per_byte"])
        assert table.column("end (bits per byte)") == exact(of[-1]["bits_per_byte"])
    assert heldout.column("mastery ceiling") == exact(lines[0]["reference"])
    drawn, end = page.tables["Rows and tokens drawn"], lines[-1]
    assert drawn.column("rows drawn") == exact(end["rows"])
    assert drawn.column("tokens learnt") == exact(end["tokens"])
    assert drawn.column("passes") == exact(end["passes"])
    assert drawn.column("training rows") == exact(lines[0]["training_rows"])
    (cost,) = page.tables["Seconds"].rows
    assert cost[1][1] == repr(end["seconds_since_start"])
    assert cost[2][1] == repr(end["measuring_seconds"])
    versions = {name: text for (name, _), (text, _) in page.tables["Versions"].rows}
    assert versions == lines[0]["versions"]


def test_the_figures_are_those_of_the_record(tmp_path: Path) -> None:
    lines = record_lines(DOMAINS)
    page = page_of(write_run(tmp_path / "run", lines))
    assert_figures_of(page, lines)
    table = page.tables["Held-out loss: nats per token"]
    assert table.rows[0][1][0] == f"{lines[1]['loss']['law']:.4f}"
    settings = {name: text for (name, _), (text, _) in page.tables["Configuration"].rows}
    assert (settings["options.sigma"], settings["seed"], settings["mixture"]) == ("1.5", "3", "versatune")
    assert page.tables["Prior"].column("share") == exact(lines[0]["prior"])
    assert "axolotl versatune report X" in page.text


def test_a_real_run_leaves_its_page_and_says_so_last(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    section = {"mixture": "versatune", "knowledge": "know.json", "heldout": 4, "update_steps": 3, "test_rows": 4}
    section |= {"reference": {"law": 1.0, "code": 2.0, "medicine": 0.5}, "measure_budget": 1}
    shares, wide = {"code": 0.3, "law": 0.5, "medicine": 0.2}, {"code": [0.2, 0.4], "law": [0.45, 0.55]}
    made_by = {"judge": {"name": "classifier"}, "warning": "<b>few texts</b>"}
    known = Knowledge(shares, {**wide, "medicine": [0.125, 0.25]}, [shares], 100, 1, made_by=made_by)
    write_knowledge(tmp_path / "know.json", known)
    section["knowledge"] = str(tmp_path / "know.json")
    out = tmp_path / "out"
    trained = axolotl.train(tiny.config(out, versatune=section, max_steps=8), processes=2)
    assert trained.status == 0, trained.output
    said = [line for one in trained.outputs for line in one.splitlines() if "the report, for a browser, is" in line]
    assert said == [f"  the report, for a browser, is {out}/versatune.html"]
    assert trained.outputs[0].rstrip().splitlines()[-1] == said[0]
    page = Page((out / "versatune.html").read_text(encoding="utf-8"))
    lines = read_record(out)
    assert_figures_of(page, lines)
    assert page.tables["Knowledge distribution"].column("95 % from")["medicine"] == "0.125"
    assert "the knowledge file warns: <b>few texts</b>" in page.text
    # The same by hand, which may replace it.
    before = (out / "versatune.html").read_text(encoding="utf-8")
    made = axolotl.run("axolotl.cli.main", "versatune", "report", str(out))
    assert made.status == 0, made.output
    assert made.output.rstrip().splitlines()[-1] == f"{out}/versatune.html"
    after = (out / "versatune.html").read_text(encoding="utf-8")
    assert re.sub("Made .* UTC", "", after) == re.sub("Made .* UTC", "", before)
    assert f"axolotl versatune report {out}" in Page(after).text


def test_a_page_that_cannot_be_written_fails_no_run(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "versatune.html").write_text("of the user")
    trained = axolotl.train(tiny.config(out, versatune={"mixture": "uniform", "heldout": 0}, max_steps=2))
    assert trained.status == 0, trained.output
    last = trained.output.rstrip().splitlines()[-1]
    assert last.startswith("  there is no report (ArtifactError: ")
    assert last.endswith(f"once that is mended, `axolotl versatune report {out}` makes it")
    assert (out / "versatune.html").read_text() == "of the user"
    assert "Traceback" not in trained.output


def test_nothing_from_data_acts(tmp_path: Path) -> None:
    lines = record_lines(HOSTILE)
    lines[0] |= {"mixture": HOSTILE[0], "options": {HOSTILE[1]: HOSTILE[2]}, "versions": {HOSTILE[0]: HOSTILE[1]}}
    html = report([write_run(tmp_path / "a <b>&", lines)], f"axolotl {HOSTILE[0]}", HOSTILE[2])
    page = Page(html)
    plain = page_of(write_run(tmp_path / "plain", record_lines([f"d{n}" for n in range(len(HOSTILE))])))
    kinds = [tag for tag, _ in page.tags if tag not in ("path", "text", "tr", "th", "td")]
    assert kinds == [tag for tag, _ in plain.tags if tag not in ("path", "text", "tr", "th", "td")]
    assert not [name for _, given in page.tags for name in given if name.startswith("on")]
    table = page.tables["Held-out loss: nats per token"]
    assert table.columns[1:] == [printable(name) for name in HOSTILE]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", html)
    for url in page.of("href"):
        if url != "data:,":
            picture = ET.fromstring(unquote(url.partition(",")[2]))
            assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(html.encode()) < 1_000_000


def test_the_page_asks_nothing_of_others_and_is_the_same_again(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name, record_lines(DOMAINS, seed=n)) for n, name in enumerate("ab")]
    html = report(folders, "command", "now")
    assert html == report(folders, "command", "now")
    page = Page(html)
    assert all(url.startswith("data:") for url in [*page.of("href"), *page.of("src")])
    # The name of a namespace, which nobody fetches.
    assert "://" not in html.replace("http://www.w3.org/2000/svg", "")
    (policy,) = (one["content"] for _, one in page.tags if one.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    identities = page.of("id")
    assert len(identities) == len(set(identities))
    assert set(page.of("aria-labelledby")) <= set(identities)
    assert {"Held-out loss: a: nats per token", "Held-out loss: b: nats per token"} <= set(page.tables)


def test_a_domain_looks_alike_in_every_run(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", record_lines(["law", "code", "medicine"]))
    other = write_run(tmp_path / "other", record_lines(["medicine", "aaa"]))
    html = report([one, other], "", "")
    looks = set(re.findall(r"<g><title>medicine</title><path d=\"[^\"]*\" class=\"line (c\d)\"", html))
    assert looks == {"c3"}


@pytest.mark.parametrize(
    ("losses", "passes", "marked"),
    [
        ([2.0, 1.0, 1.1, 1.2], 1.5, True),
        ([2.0, 1.0, 1.1, 1.2], 1.0, False),
        ([2.0, 1.3, 1.1, 1.2], 1.5, False),
        ([1.0, 1.2], 3.0, True),
        ([1.0, None, 1.2], 3.0, False),
        ([1.0], 3.0, False),
    ],
)
def test_a_domain_repeated_in_vain_is_marked_in_words(
    tmp_path: Path, losses: list[float | None], passes: float, marked: bool
) -> None:
    lines = record_lines(DOMAINS, updates=0)
    start, end = lines[0] | {"total_steps": 100}, lines[-1]
    weights = start["weights"]
    measured = [
        {"kind": "measure", "step": step, "weights": weights, "loss": {"law": loss, "code": 1.0, "medicine": 2.0}}
        for step, loss in enumerate(losses)
    ]
    end = end | {"step": len(losses), "passes": {"law": passes, "code": 9.0, "medicine": 0.5}}
    page = page_of(write_run(tmp_path / "run", [start, *measured, end]))
    marks = {row[0][0]: row[-1][0] for row in page.tables["Rows and tokens drawn"].rows}
    assert marks == {"law": "repeated while its loss rises" if marked else "", "code": "", "medicine": ""}
    assert ("law was repeated" in page.text) == marked


def test_a_long_run_is_thinned_and_says_so(tmp_path: Path) -> None:
    lines = record_lines([f"domain {number}" for number in range(30)], updates=2000, every=1)
    html = report([write_run(tmp_path / "run", lines)], "", "")
    page = Page(html)
    steps = [row[0][0] for row in page.tables["Held-out loss: nats per token"].rows]
    assert 40 < len(steps) < 90
    assert steps[-1] == "2,001"
    assert f"{len(steps):,} of 2,002 steps are shown; the record has all" in page.text
    assert len(html.encode()) < 1_000_000


def test_what_is_not_finite_is_said(tmp_path: Path) -> None:
    lines = record_lines(DOMAINS)
    lines[-3]["loss"]["law"] = None
    page = page_of(write_run(tmp_path / "run", lines))
    assert page.tables["Held-out loss: nats per token"].rows[-1][1] == ("not finite", None)
    assert f"the held-out loss of law is not finite at step {lines[-1]['step']}" in page.text


def test_a_run_that_goes_on_has_a_page(tmp_path: Path) -> None:
    lines = record_lines(DOMAINS)
    for count in (1, 2, 5):
        page = page_of(write_run(tmp_path / "run", lines[:count]))
        assert "the record has no end: the run goes on, or was stopped" in page.text
    assert page.tables["Rows and tokens drawn"].column("rows drawn")["law"] == "40"


def test_what_is_no_run_is_refused_by_name(tmp_path: Path) -> None:
    run, empty = write_run(tmp_path / "run", record_lines(DOMAINS)), tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ArtifactError, match=rf"{empty}: neither a run \(no versatune.jsonl in it\)"):
        write_report([run, empty], "", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
    (tmp_path / "page.html").write_text("of the user")
    with pytest.raises(ArtifactError, match="is no page of `axolotl versatune report`, and would be lost"):
        write_report([run], "", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == "of the user"
    assert write_report([run], "") == write_report([run], "") == run / "versatune.html"


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        (1, "passes", {"law": 1}),
        (1, "tokens", {"law": None, "code": 1, "medicine": 1}),
        (3, "potential", {"law": "1", "code": 1, "medicine": 1}),
        (-1, "measuring_seconds", "long"),
        (0, "training_rows", [1]),
    ],
)
def test_a_damaged_record_is_refused_with_its_line(tmp_path: Path, place: int, key: str, value: Any) -> None:
    lines = record_lines(DOMAINS)
    lines[place][key] = value
    folder = write_run(tmp_path / "run", lines)
    with pytest.raises(ArtifactError, match=rf"versatune.jsonl, line {place % len(lines) + 1}: {key} is no number"):
        report([folder], "", "")


def test_a_knowledge_file_of_another_distribution_is_not_shown(tmp_path: Path) -> None:
    lines = record_lines(DOMAINS)
    shares = {"law": 0.5, "code": 0.25, "medicine": 0.25}
    lines[0] |= {"prior": shares, "knowledge": "somewhere/know.json"}
    known = {"kind": "versatune.knowledge", "schema": 1, "interval95": {name: [0.1, 0.6] for name in shares}}
    folder = write_run(tmp_path / "run", lines)
    (tmp_path / "know.json").write_text(json.dumps({**known, "probabilities": shares}))
    assert "Knowledge distribution" in page_of(folder).tables
    (tmp_path / "know.json").write_text(json.dumps({**known, "probabilities": {**shares, "law": 0.4, "code": 0.35}}))
    assert page_of(folder).tables["Prior"].columns == ["domain", "share"]

"""Knowledge files from counts, and the presets made of them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from versatune_plugin.artifacts.knowledge import inspect_knowledge, load_knowledge, read_knowledge
from versatune_plugin.errors import ArtifactError, ConfigurationError
from versatune_plugin.knowledge.comparison import total_variation
from versatune_plugin.knowledge.counts import knowledge_from_counts, read_counts, write_counts

PRESETS = Path(__file__).parents[2] / "example_yml" / "knowledge"
DOMAINS = ("law", "medicine", "finance", "science", "code", "general")
# Counts that the authors of VersaTune publish, and what their figure shows of the same model, in percent.
PUBLISHED = {
    "llama-2-7b": ((571, 866, 653, 595, 813, 6489), (19.67, 10.84, 14.44, 19.97, 16.44, 18.64)),
    "llama-2-13b": ((563, 784, 664, 608, 951, 6414), (11.30, 15.73, 13.32, 12.20, 19.08, 28.37)),
    "llama-3-8b": ((194, 648, 289, 748, 5552, 2558), (4.83, 10.64, 4.75, 12.28, 41.91, 25.59)),
    "qwen1.5-7b": ((532, 813, 506, 2083, 2740, 2953), None),
    "qwen2-7b": ((855, 669, 347, 862, 3327, 1998), (14.11, 11.04, 5.73, 14.23, 38.41, 16.47)),
    "qwen2.5-7b": ((299, 490, 357, 738, 5006, 1968), (6.70, 8.22, 5.99, 12.39, 33.67, 33.03)),
    "qwen2.5-14b": ((195, 354, 358, 874, 5542, 1504), (5.99, 7.18, 7.27, 17.74, 31.30, 30.53)),
}
# Of the figure as well.
QWEN_2_5_32B = (5.53, 8.44, 5.26, 21.64, 28.46, 30.67)


def test_shares_intervals_and_covariance_are_those_of_the_counts(tmp_path: Path) -> None:
    found = knowledge_from_counts({"law": 30, "code": 70}, tmp_path / "k.json", {})
    assert found.probabilities == {"law": 0.3, "code": 0.7}
    assert (found.texts, found.unparsed, found.iterations) == (100, 0, [found.probabilities])
    # Wilson 1927, written out.
    z, n, p = 1.959963984540054, 100, 0.3
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    assert found.interval95["law"] == pytest.approx([middle - half, middle + half], abs=1e-9)
    assert np.allclose(found.made_by["covariance"], [[0.0021, -0.0021], [-0.0021, 0.0021]])


def test_the_covariance_is_that_of_samples() -> None:
    counts = {"law": 20, "code": 50, "medicine": 130}
    shares = np.array(list(counts.values())) / 200
    drawn = np.random.default_rng(5).multinomial(200, shares, size=40_000) / 200
    given = knowledge_from_counts(counts, Path("k.json"), {}).made_by["covariance"]
    assert np.allclose(given, np.cov(drawn.T), atol=3e-5)


def test_what_is_written_is_a_knowledge_file(tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "k.json"
    facts = {"base_model": "some/model", "source": "a table", "warning": "read it"}
    made = write_counts(["law=1", "a=b=2", "code=0"], out, facts)
    assert load_knowledge(out) == made
    assert read_knowledge(out, ("code", "law", "a=b")) == {"code": 0, "law": 1 / 3, "a=b": 2 / 3}
    payload = json.loads(out.read_text())
    assert payload["counts"] == {"law": 1, "a=b": 2, "code": 0}
    assert facts.items() <= payload.items()
    assert payload["command"] == (
        f"axolotl versatune knowledge from-counts law=1 a=b=2 code=0 --out '{out}' --base-model some/model "
        "--source 'a table' --warning 'read it'"
    )
    assert inspect_knowledge(out).covariance == made.made_by["covariance"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["law=-1", "code=2"], "'law' is '-1', but must be a whole number"),
        (["law=1.5", "code=2"], "'law' is '1.5', but must be a whole number"),
        (["law=", "code=2"], "'law' is '', but must be a whole number"),
        (["law=1e3", "code=2"], "'law' is '1e3', but must be a whole number"),
        (["law=\u0663", "code=2"], "'law' is '\u0663', but must be a whole number"),
        (["law=" + "9" * 5000, "code=2"], "but must be a whole number from 0 to 100,000,000,000"),
        (["law=100000000001", "code=2"], "'law' is '100000000001'"),
        (["law=0", "code=0"], "every count is 0"),
        (["law=5"], "two domains or more"),
        (["law=1", "law=2"], "'law' is there twice"),
        (["law=1", " law =2"], "'law' is there twice"),
        (["law=1", "Law=2"], "'law' and 'Law' look alike"),
        (["law=1", "l\u0430w=2"], "look alike"),
        (["law", "code=2"], "'law' is no name and count"),
        (["=1", "code=2"], "'=1': the name has no character"),
        (["\u200b=1", "code=2"], "the name has characters that cannot be seen (U+200B)"),
    ],
)
def test_bad_counts_are_refused_by_name(tmp_path: Path, given: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        write_counts(given, tmp_path / "k.json", {})
    assert said in str(refused.value)
    assert not (tmp_path / "k.json").exists()


def test_all_that_is_bad_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_counts(["law", "code=x", "medicine=1", "medicine=2"])
    assert str(refused.value).count("\n") == 3


def test_only_a_file_of_a_command_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "k.json"
    write_counts(["law=1", "code=3"], out, {})
    write_counts(["law=1", "code=1"], out, {})
    assert read_knowledge(out, ("law", "code")) == {"law": 0.5, "code": 0.5}
    by_hand = json.dumps({"kind": "versatune.knowledge", "schema": 1, "probabilities": {"law": 1}})
    for content, said in ((by_hand, "written by hand"), ("base_model: x\n", "knowledge from-counts`: move it away")):
        out.write_text(content)
        with pytest.raises(ArtifactError, match=said):
            write_counts(["law=1", "code=3"], out, {})
        assert out.read_text() == content


def test_a_text_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--base-model: .* is not UTF-8"):
        write_counts(["law=1", "code=3"], tmp_path / "k.json", {"base_model": "caf\udce9"})


def test_there_is_a_preset_of_every_published_model() -> None:
    assert {path.stem for path in PRESETS.iterdir()} == PUBLISHED.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_is_what_from_counts_makes_of_the_published_counts(name: str) -> None:
    path = PRESETS / f"{name}.json"
    found = load_knowledge(path)
    facts = {key: found.made_by[key] for key in ("base_model", "source", "warning")}
    counts = dict(zip(DOMAINS, PUBLISHED[name][0], strict=True))
    made = knowledge_from_counts(counts, Path("example_yml/knowledge") / path.name, facts)
    # Of other versions the same, up to the last digits.
    assert found.made_by.pop("versions").keys() == made.made_by.pop("versions").keys()
    assert np.allclose(found.made_by.pop("covariance"), made.made_by.pop("covariance"), rtol=1e-9, atol=0)
    for key in DOMAINS:
        assert found.interval95.pop(key) == pytest.approx(made.interval95.pop(key))
    assert found == made
    assert facts["base_model"].lower() == name
    assert "github.com/8023looker/VersaTune" in facts["source"]
    assert "not the truth" in facts["warning"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_warning_says_how_far_the_authors_own_figure_is_from_their_counts(name: str) -> None:
    found = load_knowledge(PRESETS / f"{name}.json")
    shown = PUBLISHED[name][1]
    if shown is None:
        assert "has no row of this name" in found.made_by["warning"]
        shares = dict(zip(DOMAINS, np.array(QWEN_2_5_32B) / 100, strict=True))
        assert total_variation(found.probabilities, shares) < 0.0002
        assert "its row of Qwen-2.5-32B has these very shares" in found.made_by["warning"]
    else:
        shares = dict(zip(DOMAINS, np.array(shown) / 100, strict=True))
        apart = total_variation(found.probabilities, shares)
        assert f"total variation {apart:.3f} between the two" in found.made_by["warning"]

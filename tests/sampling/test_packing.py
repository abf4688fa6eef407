"""Plans in supervised tokens, packed and not: shares, passes, fill, state; and what the model sees of packed rows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.tiny import write_model
from versatune_plugin.data.domains import RowTokens
from versatune_plugin.mixtures.schedule import WeightSchedule
from versatune_plugin.sampling.batch_plan import Pool
from versatune_plugin.sampling.bins import Bins, OpenBins, usual_fill
from versatune_plugin.sampling.packed_rows import PackedRows
from versatune_plugin.sampling.token_plan import DueRows, Rows, TokenPlan

BIN = 128


def row_tokens(seed: int, rows: int, mean: int) -> RowTokens:
    draw = np.random.default_rng(seed)
    lengths = np.clip(draw.lognormal(np.log(mean), 0.6, rows).astype(int), 3, BIN)
    supervised = np.clip((lengths * draw.uniform(0.1, 0.9, rows)).astype(int), 1, lengths - 1)
    return RowTokens(lengths.astype(np.uint32), supervised.astype(np.uint32))


def three_domains(rows: int = 400) -> list[RowTokens]:
    return [row_tokens(number, rows, mean) for number, mean in enumerate((12, 40, 90))]


def plans(packed: bool, weights: list[float], tokens: list[RowTokens], batch: int = 8, seed: int = 5) -> TokenPlan:
    names = [f"d{number}" for number in range(len(tokens))]
    schedule = WeightSchedule(0, np.array(weights) / sum(weights))
    if packed:
        return TokenPlan(names, tokens, schedule, Bins(batch, BIN), seed)
    return TokenPlan(names, tokens, schedule, Rows(batch), seed)


def learnt(plan: TokenPlan, step: Any) -> np.ndarray:
    """Supervised tokens of each domain in a batch, looked up row by row."""
    found = np.zeros(len(plan.domains))
    for domain, row in zip(step.domains, step.rows, strict=True):
        found[domain] += plan.tokens[domain].supervised[row]
    return found


weights_of_three = st.lists(st.floats(0.02, 1), min_size=3, max_size=3)


@settings(max_examples=40)
@given(weights_of_three, weights_of_three, st.booleans(), st.integers(1, 12))
def test_supervised_tokens_follow_the_weights_at_every_step(
    first: list[float], second: list[float], packed: bool, batch: int
) -> None:
    plan = plans(packed, first, three_domains(), batch)
    owed, had = np.zeros(3), np.zeros(3)
    # Unpacked, a debt is about a row; packed, rows that fill a bin may come a batch's share early.
    bound = 1.5 * BIN if not packed else 1.5 * BIN + 0.5 * batch * BIN
    for step in range(24):
        if step == 12:
            plan.schedule.append(12, np.array(second) / sum(second))
        taken = learnt(plan, plan.advance())
        owed += plan.schedule.weights_at(step) * taken.sum()
        had += taken
        assert np.abs(owed - had).max() <= bound
        assert plan.credit == pytest.approx(owed - had, abs=1e-6)


@pytest.mark.parametrize("batch", [4, 16])
@pytest.mark.parametrize("weight", [0.01, 0.001])
def test_a_light_domain_of_short_rows_fills_gaps_within_its_share(batch: int, weight: float) -> None:
    """Its rows fit wherever the long ones leave room, at every step."""
    draw = np.random.default_rng(0)
    lengths = [draw.integers(75, 126, 3000), draw.integers(3, 16, 3000)]
    tokens = [RowTokens(one.astype(np.uint32), np.maximum(one // 2, 1).astype(np.uint32)) for one in lengths]
    plan = plans(True, [1 - weight, weight], tokens, batch)
    total = np.zeros(2)
    for _ in range(400):
        taken = learnt(plan, plan.advance())
        total += taken
        # A row, and its share of sixteen bins.
        assert plan.credit[1] >= -(8 + weight * taken.sum() * 16 / batch)
    assert total[1] / total.sum() == pytest.approx(weight, abs=0.002)
    plan.schedule.append(400, np.array([0.5, 0.5]))
    taken = sum(learnt(plan, plan.advance()) for _ in range(5))
    assert taken[1] / taken.sum() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("low", "high"), [(75, 126), (3, 126)])
def test_rows_that_found_no_bin_are_not_left_behind(low: int, high: int) -> None:
    draw = np.random.default_rng(0)
    lengths = draw.integers(low, high, 5000).astype(np.uint32)
    plan = plans(True, [1.0], [RowTokens(lengths, np.maximum(lengths // 2, 1))], 128)
    counts, furthest = np.zeros(5000, dtype=int), 0
    while plan.drawn[0] < 5000 + 200:
        step = plan.advance()
        np.add.at(counts, step.rows, 1)
        furthest = max(furthest, len(plan.ahead[0]))
    assert furthest < 1.25 * len(step.rows)
    assert counts.min() == 1
    assert counts.max() == 2


@settings(max_examples=40)
@given(weights_of_three, st.integers(1, 12))
def test_bins_hold_what_fits_and_each_row_once_in_a_pass(weights: list[float], batch: int) -> None:
    tokens = three_domains(60)
    plan = plans(True, weights, tokens, batch)
    order: list[list[int]] = [[], [], []]
    for _ in range(20):
        step = plan.advance()
        lengths = np.array([tokens[d].lengths[r] for d, r in zip(step.domains, step.rows, strict=True)], dtype=int)
        assert len(step.starts) == batch + 1
        assert step.starts[-1] == len(step.rows)
        for start, end in zip(step.starts, step.starts[1:], strict=False):
            assert 0 < lengths[start:end].sum() <= BIN
        assert step.fill == pytest.approx(lengths.sum() / plan.container.capacity)
        assert step.counts.tolist() == np.bincount(step.domains, minlength=3).tolist()
        for domain, row in zip(step.domains.tolist(), step.rows.tolist(), strict=True):
            order[domain].append(row)
    for rows, drawn in zip(order, plan.drawn, strict=True):
        assert len(rows) == drawn
        # A row that waits for room may be overtaken by the next pass.
        passes = np.bincount(rows, minlength=60)
        assert passes.max() - passes.min() <= 2


@settings(max_examples=30)
@given(weights_of_three, st.booleans(), st.integers(0, 14))
def test_a_plan_goes_on_from_its_state_as_json(weights: list[float], packed: bool, at: int) -> None:
    whole, again = (plans(packed, weights, three_domains(50)) for _ in range(2))
    for _ in range(at):
        whole.preview()
        whole.advance()
    again.load_state_dict(json.loads(json.dumps(whole.state_dict())))
    for _ in range(5):
        one, other = whole.advance(), again.advance()
        assert (one.domains == other.domains).all()
        assert (one.rows == other.rows).all()
    assert whole.state_dict() == again.state_dict()


@pytest.mark.parametrize("packed", [True, False])
def test_a_change_of_weights_acts_on_the_very_next_batch(packed: bool) -> None:
    plan = plans(packed, [1, 1, 1e-9], three_domains())
    for _ in range(5):
        assert 2 not in plan.advance().domains
    plan.preview()
    plan.schedule.append(5, np.array([0.0, 0.0, 1.0]))
    assert set(plan.advance().domains) == {2}


@pytest.mark.parametrize("packed", [True, False])
def test_a_tiny_domain_of_great_weight_is_passed_over_and_over(packed: bool) -> None:
    tokens = [row_tokens(1, 3, 20), row_tokens(2, 500, 60)]
    plan = plans(packed, [0.9, 0.1], tokens)
    total = np.zeros(2)
    for _ in range(10):
        total += learnt(plan, plan.advance())
    assert total[0] / total.sum() == pytest.approx(0.9, abs=0.05)
    assert plan.passes[0] == pytest.approx(plan.drawn[0] / 3)
    assert plan.exhausted(plan.passes[0]).tolist() == [True, False]


def test_single_batches_and_pools() -> None:
    tokens = three_domains(40)
    pools = [Pool(0, np.array([40, 40, 40]), single=True), Pool(6, np.array([0, 10, 5]))]
    plan = TokenPlan(["a", "b", "c"], tokens, WeightSchedule(0, np.array([0.3, 0.3, 0.4])), Bins(3, BIN), 1, pools)
    seen = [plan.advance() for _ in range(6)]
    assert all(len(set(step.domains.tolist())) == 1 for step in seen)
    assert len({step.domains[0] for step in seen}) > 1
    plan.schedule.append(6, np.array([0.0, 0.5, 0.5]))
    rows: dict[int, set[int]] = {1: set(), 2: set()}
    for _ in range(8):
        step = plan.advance()
        for domain, row in zip(step.domains.tolist(), step.rows.tolist(), strict=True):
            rows[domain].add(row)
    assert {domain: len(own) for domain, own in rows.items()} == {1: 10, 2: 5}


def test_bins_are_as_full_as_a_packing_of_everything_at_once() -> None:
    """First fit in random order over the whole epoch is what Axolotl does."""
    tokens = [row_tokens(number, 600, 45) for number in range(3)]
    lengths = np.random.default_rng(0).permutation(np.concatenate([one.lengths for one in tokens])).astype(int)
    free: list[int] = []
    for length in lengths:
        at = next((number for number, room in enumerate(free) if room >= length), None)
        if at is None:
            free.append(BIN)
            at = len(free) - 1
        free[at] -= length
    theirs = lengths.sum() / (len(free) * BIN)
    assert usual_fill(tokens, 16, BIN, 0) > theirs - 0.02


@pytest.mark.parametrize("packed", [True, False])
def test_a_step_looks_at_the_rows_of_a_batch_or_two_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    plan = plans(packed, [1, 2, 3], three_domains(20_000))
    container = type(plan.container)
    looked, room = [], container.room

    def seen(self: Any, lengths: Any) -> Any:
        looked.append(len(lengths))
        return room(self, lengths)

    monkeypatch.setattr(container, "room", seen)
    for _ in range(20):
        plan.advance()
    assert looked
    assert max(looked) < 1000


def test_the_example_at_the_head_of_token_plan() -> None:
    rows = [RowTokens(np.full(9, n + 1, np.uint32), np.full(9, n, np.uint32)) for n in (1, 2)]
    plan = TokenPlan(["code", "law"], rows, WeightSchedule(0, np.array([1 / 3, 2 / 3])), Rows(2), 1)
    due, first = plan._due(plan.schedule.weights_at(0))
    assert first == 2
    assert due.due[:4].tolist() == pytest.approx([1.5, 1.5, 4.5, 4.5])
    assert due.domains[:4].tolist() == [0, 1, 0, 1]
    for _ in range(2):
        assert learnt(plan, plan.advance()).tolist() == [1.0, 2.0]
        assert plan.credit.tolist() == pytest.approx([0.0, 0.0])


def test_the_example_at_the_head_of_bins() -> None:
    lengths = np.array([4, 3, 2, 5, 3], dtype=np.int64)
    zeros, order = np.zeros(5, dtype=np.int64), np.arange(5)
    due = DueRows(zeros, order, order, lengths, lengths, order.astype(float))
    content = Bins(2, 6).pack(due, 3, np.array([-1]), np.array([9]))
    assert content == [[0, 2], [1, 4]]


def test_best_fit_and_filling_by_hand() -> None:
    bins = OpenBins(2, 10)
    bins.place([0, 1, 2, 3], [7, 6, 4, 5])
    # 7 and 6 open a bin each; 4 fits behind 6 exactly; 5 fits nowhere.
    assert bins.content == [[0], [1, 2]]
    bins.fill([4, 5, 6], [2, 4, 2])
    # Three are left in the first bin: 4 is too long, of the two of length 2 the first is taken.
    assert bins.content == [[0, 4], [1, 2]]


def test_a_row_longer_than_a_bin_is_an_error() -> None:
    tokens = [RowTokens(np.array([200], dtype=np.uint32), np.array([5], dtype=np.uint32))]
    with pytest.raises(ValueError, match="a row of 200 tokens is longer than a bin of 128"):
        plans(True, [1.0], tokens)


@pytest.mark.parametrize("one_sequence", [True, False])
def test_the_model_sees_packed_rows_as_if_each_were_alone(tmp_path: Any, one_sequence: bool) -> None:
    import torch
    from axolotl.utils.collators import V2BatchSamplerDataCollatorForSeq2Seq
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = write_model(tmp_path / "model")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)
    draw = np.random.default_rng(0)
    rows = []
    for number in range(6):
        tokens = draw.integers(3, 250, size=int(draw.integers(4, 30))).tolist()
        # One row learns from its first token on, where the row before it would be asked to predict it.
        labels = tokens if number == 3 else [-100, -100, *tokens[2:]]
        rows.append({"input_ids": tokens, "labels": labels, "position_ids": list(range(len(tokens)))})
    dataset = Dataset.from_list([row | {"attention_mask": [1] * len(row["labels"]), "length": 0} for row in rows])
    bins = [(0, 3, 1), (4,), (2, 5)]
    fetched = PackedRows(dataset, one_sequence).__getitems__(bins)
    batch = V2BatchSamplerDataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=64)(fetched)
    assert len(batch["input_ids"]) == (1 if one_sequence else 3)
    assert "attention_mask" not in batch
    with torch.no_grad():
        packed = model(**batch, use_cache=False).loss
        alone, count = 0.0, 0
        for row in rows:
            one = {name: torch.tensor([row[name]]) for name in ("input_ids", "labels")}
            learnt = sum(label != -100 for label in row["labels"][1:])
            alone += float(model(**one, use_cache=False).loss) * learnt
            count += learnt
    assert float(packed) == pytest.approx(alone / count, rel=1e-5)

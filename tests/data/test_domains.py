from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from versatune_plugin.data.domains import Domain, DomainTable
from versatune_plugin.data.loading import _scan, row_keys
from versatune_plugin.errors import VersaTuneError


def rows(count: int, start: int = 0, repeat: int = 1) -> Dataset:
    """``count`` different rows of three prompt and two response tokens, each ``repeat`` times."""
    tokens = [[9, 9, 9, start + number, 1] for number in range(count) for _ in range(repeat)]
    labels = [[-100, -100, -100, one[3], 1] for one in tokens]
    return Dataset.from_dict({"input_ids": tokens, "labels": labels, "attention_mask": [[1] * 5] * len(tokens)})


def table(**parts: Dataset) -> DomainTable:
    from datasets import concatenate_datasets

    domains, lengths, counts, first = [], [], [], 0
    for name, part in sorted(parts.items()):
        digest, tokens, supervised = _scan(part)
        domains.append(Domain(name, first, len(part), digest))
        lengths.append(tokens)
        counts.append(supervised)
        first += len(part)
    rows = concatenate_datasets([part for _, part in sorted(parts.items())])
    keys = row_keys(rows, ["input_ids"])
    return DomainTable(tuple(domains), rows, np.concatenate(lengths), np.concatenate(counts), keys)


@given(st.integers(1, 60), st.data())
def test_training_rows_are_all_but_those_held_out(size: int, data: st.DataObject) -> None:
    out = data.draw(st.sets(st.integers(0, size - 1), max_size=size - 1))
    first = data.draw(st.integers(0, 100))
    split = data.draw(st.integers(0, len(out)))
    gaps = first + np.array(sorted(out), dtype=np.int64)
    order = np.random.default_rng(size).permutation(len(gaps))
    other = data.draw(st.integers(split, len(out)))
    domain = Domain("law", first, size, "", gaps[order[:split]], gaps[order[split:other]], gaps[order[other:]])
    assert domain.training_size == size - len(out)
    numbers = np.arange(domain.training_size)
    assert domain.dataset_rows(numbers).tolist() == [first + row for row in range(size) if row not in out]
    assert domain.dataset_rows(numbers[::-1]).tolist() == domain.dataset_rows(numbers).tolist()[::-1]


def test_heldout_rows_and_their_repeats_are_never_training_rows() -> None:
    held = table(law=rows(20, repeat=3), code=rows(30, start=100)).hold_out(5, seed=1)
    for name, repeats in (("law", 3), ("code", 1)):
        training, heldout = held.training_rows(name), held.heldout_rows(name)
        assert len(heldout) == 5
        texts = {tuple(tokens) for tokens in held.dataset[heldout.tolist()]["input_ids"]}
        assert not texts & {tuple(tokens) for tokens in held.dataset[training.tolist()]["input_ids"]}
        left_out = held.domain(name).duplicates
        assert len(training) + len(heldout) + len(left_out) == held.domain(name).size
        if repeats == 1:
            assert len(left_out) == 0
        else:
            assert len(left_out) == repeats * len(texts) - len(heldout)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 9), st.integers(0, 2**40))
def test_test_rows_are_new_and_leave_the_held_out_ones_as_they_are(
    heldout: int, test: int, overlap: int, seed: int
) -> None:
    # The first rows of code are the last of law; each row of law stands there twice.
    both = table(law=rows(20, repeat=2), code=rows(30, start=20 - overlap))
    plain, held = both.hold_out(heldout, seed), both.hold_out(heldout, seed, test)
    assert [one.tolist() for one in held.heldout] == [one.tolist() for one in plain.heldout]
    assert [len(one) for one in held.test] == [test, test]
    texts = {
        kind: [tuple(tokens) for of_one in parts for tokens in held.dataset[of_one.tolist()]["input_ids"]]
        for kind, parts in {
            "heldout": held.heldout,
            "test": held.test,
            "training": [held.training_rows(name) for name in held.names],
        }.items()
    }
    assert not set(texts["test"]) & set(texts["heldout"])
    assert not set(texts["training"]) & {*texts["test"], *texts["heldout"]}
    for domain in held.domains:
        assert domain.training_size + len(domain.kept_out) == domain.size
        assert len(np.unique(domain.kept_out)) == len(domain.kept_out)


def test_a_domain_without_enough_new_rows_for_tests() -> None:
    with pytest.raises(VersaTuneError, match=r"'law': 0 rows that repeat no held-out row are left, and `test_rows`"):
        table(law=rows(1, repeat=8), code=rows(9, start=50)).hold_out(2, 1, test=1)


def test_what_is_held_out_of_a_domain_depends_on_no_other_domain() -> None:
    alone = table(law=rows(20)).hold_out(4, seed=3)
    together = table(law=rows(20), code=rows(30, start=100)).hold_out(4, seed=3)
    offset = together.domain("law").first
    assert (together.heldout_rows("law") - offset).tolist() == alone.heldout_rows("law").tolist()
    assert table(law=rows(20)).hold_out(4, seed=4).heldout_rows("law").tolist() != alone.heldout_rows("law").tolist()


def test_rows_that_repeat_a_heldout_row_of_another_domain_are_left_out() -> None:
    # Rows 5 to 9 stand in both domains.
    held = table(law=rows(10), code=rows(20, start=5)).hold_out(6, seed=1)
    heldout = {name: held.dataset[held.heldout_rows(name).tolist()]["input_ids"] for name in ("law", "code")}
    unseen = {tuple(tokens) for rows in heldout.values() for tokens in rows}
    for name in ("law", "code"):
        trained = {tuple(tokens) for tokens in held.dataset[held.training_rows(name).tolist()]["input_ids"]}
        assert trained
        assert not trained & unseen
    assert sum(len(domain.duplicates) for domain in held.domains) > 0
    # What is held out stays held out, where it stands in both.
    assert [len(domain.heldout) for domain in held.domains] == [6, 6]


def test_one_domain_of_a_table_keeps_its_part() -> None:
    held = table(law=rows(10), code=rows(20, start=5)).hold_out(4, seed=1, test=2)
    alone = held.only("law")
    first = held.domain("law").first
    assert alone.names == ("law",)
    for part in ("heldout", "test", "duplicates"):
        assert (getattr(alone.domain("law"), part) + first).tolist() == getattr(held.domain("law"), part).tolist()
    assert (alone.training_rows("law") + first).tolist() == held.training_rows("law").tolist()
    assert alone.dataset[:]["input_ids"] == held.dataset[first : first + 10]["input_ids"]


def test_too_many_heldout_rows() -> None:
    with pytest.raises(VersaTuneError, match=r"'law' has 6 rows with a token to learn, and `heldout` takes 6"):
        table(law=rows(6)).hold_out(6, seed=1)


def test_a_domain_of_repeats_has_nothing_to_train_on() -> None:
    with pytest.raises(VersaTuneError, match="repeats a held-out row"):
        table(law=rows(1, repeat=8)).hold_out(2, seed=1)


def test_supervised_tokens_leave_out_what_is_never_predicted() -> None:
    part = Dataset.from_dict(
        {
            "input_ids": [[5, 6, 7], [5], [], [5, 6]],
            # The first token of a row has nothing before it to be predicted from.
            "labels": [[5, 6, -100], [5], [], [-100, 6]],
        }
    )
    assert _scan(part)[2].tolist() == [1, 0, 0, 1]


def test_the_digest_sees_tokens_labels_and_where_rows_end() -> None:
    same = [
        {"input_ids": [[1, 2], [3]], "labels": [[1, 2], [3]]},
        {"input_ids": [[1, 2], [4]], "labels": [[1, 2], [3]]},
        {"input_ids": [[1, 2], [3]], "labels": [[1, 2], [-100]]},
        {"input_ids": [[1], [2, 3]], "labels": [[1], [2, 3]]},
    ]
    assert len({_scan(Dataset.from_dict(one))[0] for one in same}) == 4
    shuffled = Dataset.from_dict(same[0]).select([0, 1])
    assert _scan(shuffled)[0] == _scan(Dataset.from_dict(same[0]))[0]


def test_mean_supervised_counts_training_rows_only() -> None:
    long = Dataset.from_dict(
        {
            "input_ids": [[9, 1, 1, 1], [9, 1]],
            "labels": [[-100, 1, 1, 1], [-100, 1]],
            "attention_mask": [[1] * 4, [1] * 2],
        }
    )
    held = table(law=long)
    assert held.mean_supervised().tolist() == [2.0]
    assert held.with_heldout({"law": np.array([1])}).mean_supervised().tolist() == [3.0]

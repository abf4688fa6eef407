"""What Axolotl's options about the whole data set mean where rows belong to domains, without Axolotl's loading."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from axolotl.utils.dict import DictDefault
from datasets import Dataset, Features, List, Value
from hypothesis import given
from hypothesis import strategies as st

from versatune_plugin.data.columns import aligned, check_tokens
from versatune_plugin.data.loading import _chosen, row_keys, validation_rows
from versatune_plugin.errors import VersaTuneError


def rows(*tokens: list[int], **columns: Any) -> Dataset:
    labels = columns.pop("labels", [list(one) for one in tokens])
    return Dataset.from_dict(
        {"input_ids": list(tokens), "labels": labels, "attention_mask": [[1] * len(one) for one in tokens], **columns}
    )


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 200), min_size=1),
    st.one_of(st.floats(0, 0.999), st.integers(2, 400)),
)
def test_the_validation_split_is_of_the_size_that_the_host_takes_and_fair(sizes: dict[str, int], size: float) -> None:
    total = sum(sizes.values())
    wanted = int(np.ceil(size * total)) if size < 1 else int(size)
    if wanted > total - len(sizes):
        with pytest.raises(VersaTuneError, match="val_set_size"):
            validation_rows(size, sizes, 3)
        return
    split = validation_rows(size, sizes, 3)
    taken = {name: len(own) for name, own in split.items()}
    assert sum(taken.values()) == wanted
    for name, own in split.items():
        assert len(set(own.tolist())) == len(own) < sizes[name]
        assert all(0 <= row < sizes[name] for row in own)
    # Within one row of its share, unless a domain that keeps its last row makes the others give more.
    if all(wanted * count / total <= count - 1 for count in sizes.values()):
        assert all(abs(taken[name] - wanted * count / total) < 1 for name, count in sizes.items())


@given(st.integers(3, 50), st.integers(0, 5))
def test_the_validation_split_is_that_of_the_host_for_one_domain(size: int, seed: int) -> None:
    host = Dataset.from_dict({"row": list(range(size))}).train_test_split(test_size=0.3, shuffle=False, seed=seed)
    assert len(validation_rows(0.3, {"law": size}, seed)["law"]) == len(host["test"])


def test_a_split_that_takes_all_or_less_than_nothing() -> None:
    for size in (1, 1.0, 6, -0.5):
        with pytest.raises(VersaTuneError, match="val_set_size"):
            validation_rows(size, {"law": 3, "code": 2}, 1)
    assert {name: len(own) for name, own in validation_rows(0, {"law": 3}, 1).items()} == {"law": 0}


def test_rows_repeat_each_other_only_if_all_tokens_do() -> None:
    same = row_keys(rows([1, 2], [1, 2], [1, 2, 3], [12], [1, 2]), ["input_ids"])
    assert len(set(same.tolist())) == 3
    labels = [[1, 2], [-100, 2]]
    assert len(set(row_keys(rows([1, 2], [1, 2], labels=labels), ["input_ids", "labels"]).tolist())) == 2
    # Where one row ends and the next begins counts.
    assert len(set(row_keys(rows([1], [2, 1], [2]), ["input_ids"]).tolist())) == 3


def test_exact_deduplication_is_over_all_domains_and_the_first_keeps_the_row() -> None:
    parts = {"zoo": rows([1, 1], [2, 2], [2, 2]), "art": rows([2, 2], [3, 3], [1, 1])}
    chosen, left_out = _chosen(DictDefault({"dataset_exact_deduplication": True}), parts)
    assert {name: own.tolist() for name, own in chosen.items()} == {"zoo": [0, 1], "art": [1]}
    assert left_out["zoo"]["repeats"] == 1
    assert left_out["art"]["repeats"] == 2
    kept = _chosen(DictDefault({}), parts)[0]
    assert {name: len(own) for name, own in kept.items()} == {"zoo": 3, "art": 3}


def test_a_domain_that_only_repeats_others_is_refused() -> None:
    with pytest.raises(VersaTuneError, match="'art' has no rows left: 1 rows repeat a row of an earlier data set"):
        _chosen(DictDefault({"dataset_exact_deduplication": True}), {"zoo": rows([1, 1]), "art": rows([1, 1])})


def test_shards_cut_every_domain_and_together_hold_all_rows() -> None:
    parts = {"law": rows(*[[n, n] for n in range(7)]), "code": rows(*[[n, n] for n in range(10, 14)])}
    seen: dict[str, list[int]] = {"law": [], "code": []}
    for index in range(3):
        chosen, left_out = _chosen(DictDefault({"dataset_shard_num": 3, "dataset_shard_idx": index}), parts)
        for name, part in parts.items():
            host = part.shard(num_shards=3, index=index)["input_ids"]
            assert part.select(chosen[name])["input_ids"] == host
            assert left_out[name]["other_shards"] == len(part) - len(host)
            seen[name] += chosen[name].tolist()
    assert {name: sorted(own) for name, own in seen.items()} == {"law": list(range(7)), "code": list(range(4))}
    with pytest.raises(VersaTuneError, match="'code' has no rows left: 4 rows are of other shards"):
        _chosen(DictDefault({"dataset_shard_num": 7, "dataset_shard_idx": 6}), parts)


def test_rows_without_a_token_to_learn_are_left_out() -> None:
    # The first token of a row is predicted from nothing, so a label there alone teaches nothing.
    part = rows([1, 2], [3, 4], [5, 6], labels=[[-100, 2], [-100, -100], [5, -100]])
    chosen, left_out = _chosen(DictDefault({}), {"law": part, "code": rows([7, 8])})
    assert chosen["law"].tolist() == [0]
    assert left_out["law"]["without_labels"] == 2
    silent = rows([3, 4], labels=[[-100, -100]])
    with pytest.raises(VersaTuneError, match=r"'chat' has no rows left: none of its 1 rows has a token"):
        _chosen(DictDefault({}), {"law": part, "chat": silent})


def test_columns_of_another_width_are_joined_and_others_are_named() -> None:
    narrow = rows([1, 2]).cast(
        Features({name: List(Value("int32")) for name in ("input_ids", "labels", "attention_mask")})
    )
    joined = aligned({"law": rows([3, 4], text=["kept nowhere"]), "code": narrow})
    assert [part.column_names for part in joined] == [["input_ids", "labels", "attention_mask"]] * 2
    assert str(joined[0].features) == str(joined[1].features)
    assert joined[1]["input_ids"] == [[1, 2]]
    with pytest.raises(VersaTuneError, match=r"column 'position_ids': domain 'code' .* has it and 'law' has not"):
        aligned({"law": rows([3, 4]), "code": rows([1, 2], position_ids=[[0, 1]])})
    with pytest.raises(VersaTuneError, match=r"column 'attention_mask': it is .* in 'law', .*string.* in 'code'"):
        aligned(
            {
                "law": rows([3, 4]),
                "code": rows([1, 2]).remove_columns("attention_mask").add_column("attention_mask", ["1"]),
            }
        )


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (rows([1, 2], labels=[[1]]), "row 1: 2 tokens in 'input_ids', but 1 values in 'labels'"),
        (rows([1, 2], [3], attention_mask=[[1, 1], [1, 1]]), "row 2: 1 tokens in 'input_ids', but 2 values"),
        (rows([1, 2], [3, 99]), "row 2: 99 in 'input_ids' is no token of the model, which has 99"),
        (rows([1], [2], [3, -1, 4]), "row 3: -1 in 'input_ids' is no token"),
    ],
)
def test_rows_that_no_model_can_take(odd: Dataset, said: str) -> None:
    check_tokens({"law": rows([3, 98])}, vocabulary=99)
    with pytest.raises(VersaTuneError, match=f"domain 'code', {said}"):
        check_tokens({"law": rows([3, 4]), "code": odd}, vocabulary=99)

"""The reader of JSON: as `json.loads` where that is right, and limited where it is not."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from versatune_plugin.schema.json_text import MOST_LEVELS, JsonError, parse_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_reads_what_json_writes(value: Any) -> None:
    for ensure_ascii in (True, False):
        try:
            data = json.dumps(value, ensure_ascii=ensure_ascii).encode()
        except UnicodeEncodeError:  # half a character, which hypothesis may draw
            continue
        assert parse_json(data) == value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "nested more than 64 deep"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested more than 64 deep"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "a number of 5000 digits"),
        (b'{"a": 0.' + b"9" * 5_000 + b"}", "a number of 5002 digits"),
        (b'{"law": 1, "code": 2, "law": 3}', "the key 'law' is there twice"),
        (b'[{"a": {"b": 1, "b": 1}}]', "the key 'b' is there twice"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16"),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-16"),
        ('{\n"a": "caf\u00e9"}'.encode("cp1252"), "line 2 is not UTF-8 (byte 0xe9)"),
        (b'{"a": ["\\udfff"]}', "half of a character"),
        (b'{"\\ud800": 1}', "half of a character"),
        (b'{"a": [1, 2', "line 1 column 12"),
        (b"", "line 1 column 1"),
    ],
)
def test_says_what_it_does_not_read(data: bytes, said: str) -> None:
    with pytest.raises(JsonError) as refused:
        parse_json(data)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 200


def test_reads_what_only_looks_wrong() -> None:
    assert parse_json(json.dumps("[" * 1_000).encode()) == "[" * 1_000
    assert parse_json(b'"\\"[[" ') == '"[['
    assert parse_json(b"\xef\xbb\xbf{}") == {}
    assert parse_json(b'"\\ud83e\\uddec"') == "\U0001f9ec"
    deepest = b"[" * MOST_LEVELS + b"]" * MOST_LEVELS
    assert json.loads(deepest) == parse_json(deepest)
    # Which place has it, the model says that reads the value.
    assert math.isnan(parse_json(b"NaN"))

"""Every key that Axolotl has is in one kind: a new one makes this fail until somebody has decided what it is about."""

from __future__ import annotations

from collections import Counter

from versatune_plugin.host.run_settings import KIND_OF, KINDS


def test_every_key_of_the_host_is_of_one_kind() -> None:
    from axolotl.utils.schemas.config import AxolotlInputConfig

    keys = set(AxolotlInputConfig.model_fields)
    assert sorted(keys - KIND_OF.keys()) == []
    assert [
        name for name, times in Counter(name for names in KINDS.values() for name in names).items() if times > 1
    ] == []

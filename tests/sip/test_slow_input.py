"""64 KiB of any shape end soon: every byte is looked at a bounded number of times.

The clock is not asked: these would take minutes if a scan began anew at every character. `bench/test_sip_parse.py`
times them, and `python -m tests.fuzz.long` tells the slowest case of millions.
"""

from __future__ import annotations

import pytest

from tests.support.slow_input import SLOW_INPUT, read_all


@pytest.mark.parametrize("name", SLOW_INPUT)
def test_64_kib_of_one_shape(name: str) -> None:
    data = SLOW_INPUT[name]
    assert len(data) <= 65535
    read_all(data)

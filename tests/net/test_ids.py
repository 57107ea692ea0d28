"""Random identifiers have the shape that their protocols ask for and do not repeat."""

from __future__ import annotations

import re

from cmw.core.ids import Ids
from cmw.net.ids import RandomIds


def test_shapes() -> None:
    ids: Ids = RandomIds()
    assert re.fullmatch(r"z9hG4bK[0-9a-f]{18}", ids.branch())
    assert re.fullmatch(r"[0-9a-f]{16}", ids.tag())
    assert re.fullmatch(r"[0-9a-f]{24}@[0-9a-f]{12}\.invalid", ids.call_id())
    assert re.fullmatch(r"[0-9a-f]{16}", ids.cnonce())
    assert re.fullmatch(r"[0-9a-f]{32}", ids.uuid())
    assert RandomIds("lab").call_id().endswith("@lab")


def test_ranges() -> None:
    ids = RandomIds()
    for _ in range(1000):
        assert 0 <= ids.ssrc() < 1 << 32
        assert 0 <= ids.sequence() < 1 << 16
        assert 0 <= ids.timestamp() < 1 << 32
        assert 1 <= ids.cseq() <= 1 << 15
        assert 0 <= ids.unit() < 1


def test_nothing_repeats() -> None:
    first, second = RandomIds(), RandomIds()
    branches = {each.branch() for each in (first, second) for _ in range(5000)}
    assert len(branches) == 10000
    assert len({first.tag() for _ in range(5000)}) == 5000

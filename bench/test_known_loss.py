"""A short run of bench/known_loss.py: every dropped packet is counted, and no other."""

from __future__ import annotations

import pytest

from bench.known_loss import measure, report

pytestmark = pytest.mark.loopback


def test_losses_are_counted_packet_for_packet() -> None:
    told = report(measure(20, 2.0))
    assert told["equal"], told["rows"]
    assert told["dropped"] > 50

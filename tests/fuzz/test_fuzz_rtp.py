"""Random RTP and RTCP: the twins agree, whatever comes. `python -m tests.fuzz.long_rtp` goes on for longer."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.harness import fuzz

pytest.importorskip("cmw._rtp")


def test_random_packets() -> None:
    from tests.fuzz.long_rtp import run_history

    def target(draws: random.Random) -> None:
        fault = run_history(f"{draws.getrandbits(64)}", with_twin=True)
        assert fault is None, fault

    assert fuzz(target) > 0

"""The bench of the link runs once, untimed, so that it cannot rot."""

from __future__ import annotations

from bench import link_samples


def test_the_bench_of_the_link_is_right() -> None:
    link_samples.check()

"""The benches of whole calls and registrations once, small and untimed; `python -m bench.sip_calls` measures."""

from __future__ import annotations

import os
import shutil

import pytest

from bench.sip_calls import Load, compare, registrations

IP = f"127.{220 + os.getpid() % 30}.0.1"


@pytest.mark.loopback
@pytest.mark.skipif(shutil.which("sipp") is None, reason="not installed: sipp (make peers)")
def test_the_bench_runs_and_no_call_fails() -> None:
    load = Load(rate=20, seconds=0.5)
    assert compare(load, 1, ip=IP)["last_caller"]["calls"] == load.calls == 20


@pytest.mark.loopback
def test_registrations_run_and_none_fails() -> None:
    assert registrations(20, ip=IP)["failed"] == 0

"""What a process can carry is what its ports and its descriptors allow."""

from __future__ import annotations

import resource

import pytest

from cmw.core.address import PortRange
from cmw.worker import capacity


def endpoint_capacity(rtp_ports: PortRange) -> int:
    return capacity.endpoint_capacity(rtp_ports).endpoints


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return a list whose last entry is the limit of descriptors."""
    kept = [(1024, 1124)]
    monkeypatch.setattr(resource, "getrlimit", lambda what: kept[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda what, pair: kept.append(pair))
    return kept


def test_ports_decide(limits: list[tuple[int, int]]) -> None:
    assert endpoint_capacity(PortRange(10000, 10099)) == 50
    assert endpoint_capacity(PortRange(10001, 10099)) == 49
    assert endpoint_capacity(PortRange(9, 9)) == 0


def test_descriptors_decide_and_are_raised_to_what_is_allowed(limits: list[tuple[int, int]]) -> None:
    assert endpoint_capacity(PortRange(10000, 65535)) == 512
    assert limits[-1] == (1124, 1124)


def test_too_few_descriptors_are_no_negative_capacity(limits: list[tuple[int, int]]) -> None:
    limits.append((64, 64))
    assert endpoint_capacity(PortRange(10000, 65535)) == 0


def test_what_decides_is_said(limits: list[tuple[int, int]]) -> None:
    assert capacity.endpoint_capacity(PortRange(10000, 10099)).bound == (
        "RTP_PORT_MIN to RTP_PORT_MAX, 10000-10099, holds 50 pairs of ports"
    )
    assert capacity.endpoint_capacity(PortRange(10000, 65535)).bound == (
        "the limit of open files, 1124, is enough for 512 pairs of sockets"
    )


def test_no_limit_of_descriptors(limits: list[tuple[int, int]]) -> None:
    limits.append((resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert endpoint_capacity(PortRange(10000, 65535)) == 27768


@pytest.mark.parametrize(
    ("wanted", "cores", "threads"), [(3, 2.0, 3), (None, 8.0, 7), (None, 2.0, 1), (None, 1.0, 1), (None, 2.5, 1)]
)
def test_one_core_is_left_for_signalling(
    monkeypatch: pytest.MonkeyPatch, wanted: int | None, cores: float, threads: int
) -> None:
    monkeypatch.setattr(capacity, "limits_of_machine", lambda: (cores, None))
    assert capacity.media_threads(wanted) == threads

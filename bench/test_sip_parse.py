"""One INVITE with SDP, every field of it read: by us on both twins, by sipmessage and by aiosipua, in one run.

Each bench asserts that all of them read the same before it is timed. `make bench` prints them side by side; every
INVITE is of another call, so nothing is remembered from the one before.
"""

from __future__ import annotations

import os
import subprocess
import sys
import timeit
from collections.abc import Callable
from itertools import cycle
from typing import Any

import aiosipua
import pytest
import sipmessage

from bench.test_sip import CALLS, INVITE, OFFER
from cmw.sip import Request, make_response, parse_message, parse_name_addr, parse_uri, serialize_message
from cmw.sip.headers import scan
from tests.support.slow_input import SLOW_INPUT, read_all

Benchmark = Callable[..., Any]
TEXTS = ("Allow", "Supported", "User-Agent")


def read_ours(data: bytes) -> tuple[Any, ...]:
    message = parse_message(data)
    assert isinstance(message, Request)
    get = message.headers.get
    return (
        parse_uri(message.uri).host,
        message.top_via.branch,
        int(get("Max-Forwards") or 0),
        (message.from_.display, message.from_.sip_uri().user, message.from_.tag),
        message.to.sip_uri().user,
        message.call_id,
        tuple(message.cseq),
        parse_name_addr(get("Contact") or "").sip_uri().port,
        get("Content-Type"),
        int(get("Content-Length") or 0),
        *[get(name) for name in TEXTS],
        message.body,
    )


def read_sipmessage(data: bytes) -> tuple[Any, ...]:
    message = sipmessage.Message.parse(data)
    assert isinstance(message, sipmessage.Request)
    sender = message.from_address
    return (
        message.uri.host,
        message.via[0].parameters.get("branch"),
        message.max_forwards,
        (sender.name, sender.uri.user, sender.parameters.get("tag")),
        message.to_address.uri.user,
        message.call_id,
        (message.cseq.sequence, message.cseq.method),
        message.contact[0].uri.port,
        str(message.content_type),
        message.content_length,
        *[message.headers.get(name) for name in TEXTS],
        message.body,
    )


def read_aiosipua(data: bytes) -> tuple[Any, ...]:
    message = aiosipua.SipMessage.parse(data)
    assert isinstance(message, aiosipua.SipRequest)
    sender, cseq, to = message.from_addr, message.cseq, message.to_addr
    assert sender is not None
    assert cseq is not None
    assert to is not None
    return (
        aiosipua.parse_uri(message.uri).host,
        message.via[0].params.get("branch"),
        int(message.get_header("max-forwards") or 0),
        (sender.display_name, sender.uri.user, sender.params.get("tag")),
        to.uri.user,
        message.call_id,
        (cseq.seq, cseq.method),
        message.contact[0].uri.port,
        message.content_type,
        message.content_length,
        *[", ".join(message.get_header_values(name)) for name in TEXTS],
        message.body,
    )


@pytest.mark.parametrize("read", [read_ours, read_sipmessage, read_aiosipua], ids=["cmw", "sipmessage", "aiosipua"])
def test_all_fields_of_an_invite(benchmark: Benchmark, read: Callable[[bytes], tuple[Any, ...]]) -> None:
    assert read(INVITE) == read_ours(INVITE)
    assert read(INVITE)[-1] == OFFER
    calls = cycle(CALLS)
    benchmark(lambda: read(next(calls)))


def test_answer_an_invite(benchmark: Benchmark) -> None:
    calls = cycle(CALLS)

    def answer() -> bytes:
        request = parse_message(next(calls))
        assert isinstance(request, Request)
        return serialize_message(make_response(request, 180, to_tag="a1b2c3"))

    assert benchmark(answer).startswith(b"SIP/2.0 180 Ringing\r\n")


def test_the_slowest_64_kib(benchmark: Benchmark) -> None:
    """50 ms is the bound for any datagram."""

    def read() -> tuple[float, str]:
        return max(
            (timeit.timeit(lambda data=data: read_all(data), number=1), name) for name, data in SLOW_INPUT.items()
        )

    spent_s, name = benchmark.pedantic(read, rounds=1)
    print(f"\nslowest 64 KiB: {spent_s * 1000:.1f} ms, {name}")


def measure_us(read: Callable[[bytes], Any], rounds: int = 2000) -> float:
    """Return the time of one message, the best of five runs over many calls, microseconds."""
    calls = cycle(CALLS)
    return min(timeit.repeat(lambda: read(next(calls)), number=rounds, repeat=5)) / rounds * 1e6


def test_ratios(benchmark: Benchmark) -> None:
    """Print all of them and their ratios; our twin in plain Python in a process of its own."""
    if not benchmark.enabled:
        assert measure_us(read_ours, 1) > 0
        pytest.skip("timed by make bench")
    ours = benchmark.pedantic(lambda: measure_us(read_ours), rounds=1)
    twin = float(
        subprocess.run(
            [sys.executable, "-m", "bench.test_sip_parse"],
            env=os.environ | {"CMW_PURE": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    print(f"\nINVITE with SDP, all fields: cmw ({scan.IMPLEMENTATION}) {ours:.1f} us, its twin {twin:.1f} us")
    for name, read in (("sipmessage", read_sipmessage), ("aiosipua", read_aiosipua)):
        theirs = measure_us(read)
        print(f"{name}: {theirs:.1f} us, {theirs / ours:.1f} times ours")


if __name__ == "__main__":
    print(measure_us(read_ours))

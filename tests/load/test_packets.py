"""Packets of a call on their way to a gateway."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.load.packets import PART_BYTES, CallPacket, EvidencePackets, joined, parts_of, read_packets

AT_NS = 1_700_000_000_000_000_000


def packet(**changes: Any) -> CallPacket:
    return CallPacket(AT_NS, True, False, 10000, "10.0.0.2", 20000, 172, bytes(172))._replace(**changes)


def part(*packets: CallPacket, **changes: Any) -> EvidencePackets:
    (data,) = parts_of(packets)
    facts: dict[str, Any] = {"endpoint": 2, "part": 0, "local_host": "10.0.0.1", "data": data}
    return EvidencePackets.model_validate(facts | changes)


@given(
    st.lists(
        st.builds(
            CallPacket,
            st.integers(0, 1 << 62),
            st.booleans(),
            st.booleans(),
            st.integers(0, 65535),
            st.sampled_from(["10.0.0.2", "2001:db8::2"]),
            st.integers(0, 65535),
            st.integers(0, 65535),
            st.binary(max_size=300),
            st.booleans(),
            st.booleans(),
        ),
        min_size=1,
    )
)
def test_every_packet_comes_back(packets: list[CallPacket]) -> None:
    assert list(part(*packets).packets()) == packets


def test_a_long_call_goes_in_parts_that_fit_the_link() -> None:
    packets = [packet(at_unix_ns=number) for number in range(5000)]
    parts = list(parts_of(packets))
    assert len(parts) == -(-5000 * (172 + 22) // PART_BYTES)
    assert all(len(base64.b64decode(each)) <= PART_BYTES for each in parts)
    models = [EvidencePackets(endpoint=1, part=n, local_host="10.0.0.1", data=data) for n, data in enumerate(parts)]
    assert [each for model in models for each in model.packets()] == packets
    assert list(parts_of([])) == []


def test_parts_are_put_in_order_and_one_that_was_lost_on_the_way_shows() -> None:
    found = [part(packet(at_unix_ns=10 * k), packet(at_unix_ns=10 * k + 1), part=k) for k in (3, 0, 1, 3)]
    assert [(each.at_unix_ns, each.is_after_gap) for each in joined(found)] == [
        (0, False), (1, False), (10, False), (11, False), (30, True), (31, False)
    ]  # fmt: skip
    assert [each.is_after_gap for each in joined(found[:1])] == [True, False]


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "no base64!"},
        {"data": base64.b64encode(b"\0" * 21).decode()},
        {"data": base64.b64encode(b"\xff" * 60).decode()},
        {"local_host": "../../etc"},
        {"data": "A" * (2 * PART_BYTES + 4)},
        {"part": 100},
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    assert read_packets(part(packet()).model_dump()) is not None
    assert read_packets(part(packet()).model_dump() | changes) is None

"""Samples come back from a block bit by bit as they went in, whatever they are."""

from __future__ import annotations

import random
import zlib
from array import array
from math import isnan
from typing import Any

import pytest

from cmw.gateway.sample_blocks import decode_block, encode_block, gather
from cmw.link.samples import ABSENT_COUNT, SampleBatch


def batch(second: int, endpoints: list[int], **columns: array[Any]) -> SampleBatch:
    return SampleBatch("r", second, 1_700_000_000_000 + second, array("I", endpoints), columns)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 64, 241])
def test_any_bits_survive(rows: int) -> None:
    chance = random.Random(rows)
    bits = [chance.getrandbits(32) for _ in range(rows)]
    quiet = array("I", [word | 1 << 22 if word >> 23 & 0xFF == 0xFF else word for word in bits])
    floats, counts = array("f"), array("I")
    floats.frombytes(quiet.tobytes())
    counts.frombytes(chance.randbytes(4 * rows))
    (table,) = gather([batch(3, list(range(rows)), jitter=floats, packets=counts)])
    found = decode_block(encode_block(table.by_endpoint()))
    assert {key: column.tobytes() for key, column in found.columns.items()} == {
        "jitter": floats.tobytes(),
        "packets": counts.tobytes(),
    }
    assert (found.endpoints, found.seconds) == (array("I", range(rows)), array("I", [3] * rows))
    assert set(found.at_unix_ms) == {1_700_000_000_003}


def test_batches_come_back_by_second_with_what_they_lack_as_absent() -> None:
    given = [
        batch(2, [5, 1], packets=array("I", [50, 10])),
        batch(1, [1], packets=array("I", [9]), jitter=array("f", [0.5])),
    ]
    (table,) = gather(given)
    (first, second) = decode_block(encode_block(table.by_endpoint())).by_second().batches("r")
    assert (first.second, list(first.endpoints), list(first.columns["jitter"])) == (1, [1], [0.5])
    assert (second.second, list(second.endpoints), list(second.columns["packets"])) == (2, [1, 5], [10, 50])
    assert all(isnan(value) for value in second.columns["jitter"])
    assert list(table.of(5).columns["packets"]) == [50]
    assert ABSENT_COUNT not in table.columns["packets"]


def test_batches_that_do_not_agree_on_a_type_stay_apart() -> None:
    tables = gather(
        [batch(1, [1], a=array("f", [1])), batch(1, [2], a=array("I", [1])), batch(2, [1], a=array("f", [2]))]
    )
    assert [list(table.endpoints) for table in tables] == [[1, 1], [2]]


@pytest.mark.parametrize("block", [b"", b"x", zlib.compress(b""), zlib.compress(b"\x02\0\0\0[]\x05\0\0\0abcd")])
def test_what_is_no_block_is_refused(block: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        decode_block(block)

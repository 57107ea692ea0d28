"""Sample batches on the wire."""

from __future__ import annotations

import contextlib
import struct
import zlib
from array import array
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.link.limits import MAX_SAMPLES_BYTES
from cmw.link.samples import ABSENT_COUNT, SampleBatch, decode_samples, encode_samples, split_samples
from tests.link.world import make_batch

FLOAT = st.floats(width=32, allow_infinity=False)
COUNT = st.integers(0, ABSENT_COUNT)


@st.composite
def batches(draw: st.DrawFn) -> SampleBatch:
    rows = draw(st.integers(0, 20))
    keys = draw(st.lists(st.from_regex(r"[a-z_]{1,64}", fullmatch=True), unique=True, max_size=6))
    columns = {}
    for key in keys:
        if draw(st.booleans()):
            columns[key] = array("f", draw(st.lists(FLOAT, min_size=rows, max_size=rows)))
        else:
            columns[key] = array("I", draw(st.lists(COUNT, min_size=rows, max_size=rows)))
    endpoints = array("I", draw(st.lists(COUNT, min_size=rows, max_size=rows)))
    return SampleBatch(draw(st.sampled_from(["r", "run-1", "x" * 64])), draw(COUNT), draw(COUNT), endpoints, columns)


@given(batches(), st.integers(1, 2**53 - 1))
def test_what_is_encoded_is_decoded_again(batch: SampleBatch, seq: int) -> None:
    found_seq, found = decode_samples(encode_samples(batch, seq))
    assert (found_seq, found.run_id, found.second, found.at_unix_ms) == (
        seq,
        batch.run_id,
        batch.second,
        batch.at_unix_ms,
    )
    assert found.endpoints == batch.endpoints
    assert list(found.columns) == list(batch.columns)
    for key, column in batch.columns.items():
        assert found.columns[key].typecode == column.typecode
        assert found.columns[key].tobytes() == column.tobytes()


def test_absent_values_come_back_as_absent() -> None:
    batch = SampleBatch("r", 0, 0, array("I", [1]), {"a": array("f", [float("nan")]), "b": array("I", [ABSENT_COUNT])})
    _, found = decode_samples(encode_samples(batch, 1))
    assert isnan(found.columns["a"][0])
    assert found.columns["b"][0] == ABSENT_COUNT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("run_id", ""), ("run_id", "x" * 65), ("run_id", "a b"), ("run_id", "é"), ("run_id", "\udcff")),
        *(("second", -1), ("second", 1 << 32), ("at_unix_ms", -1), ("at_unix_ms", 1 << 63)),
        *(("endpoints", array("f", [1])), ("endpoints", array("I", [1, 2]))),
        *(
            ("columns", {"a": array("d", [1.0])}),
            ("columns", {"": array("f", [1])}),
            ("columns", {"é": array("f", [1])}),
        ),
        *(("columns", {"a": array("f", [float("inf")])}), ("columns", {"a": array("f", [])})),
        ("columns", {f"k{number}": array("f", [1]) for number in range(513)}),
    ],
)
def test_what_does_not_hold_together_is_not_encoded(field: str, value: object) -> None:
    fields = {
        "run_id": "r",
        "second": 0,
        "at_unix_ms": 0,
        "endpoints": array("I", [1]),
        "columns": {"a": array("f", [1])},
    }
    with pytest.raises(LocalProtocolError):
        encode_samples(SampleBatch(**{**fields, field: value}), 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("seq", [0, -1, 1 << 53])
def test_numbers_out_of_range_are_not_encoded(seq: int) -> None:
    with pytest.raises(LocalProtocolError):
        encode_samples(make_batch(), seq)


def test_large_batches_are_split_into_parts_that_fit() -> None:
    batch = make_batch(endpoints=300_000)
    parts = list(split_samples(batch))
    assert len(parts) > 1
    assert sum(len(part) for part in parts) == 300_000
    assert [index for part in parts for index in part.endpoints] == list(batch.endpoints)
    for part in parts:
        encode_samples(part, 1)
    assert list(split_samples(make_batch())) == [make_batch()]


def frame(body: bytes, *, seq: int = 1, size: int | None = None, head: bytes = b"CMWS\x01\x01\x00\x00") -> bytes:
    return head + struct.pack("<QI", seq, len(body) if size is None else size) + zlib.compress(body)


def body(*, endpoints: int = 1, columns: int = 1, rest: bytes = b"\x00\x00\x00\x00\x01af\x00\x00\x00\x00") -> bytes:
    return b"\x01r" + struct.pack("<IQIH", 0, 0, endpoints, columns) + rest


class TestHostileFrames:
    def test_the_frames_of_these_tests_are_well_formed_as_such(self) -> None:
        assert decode_samples(frame(body()))[1].columns == {"a": array("f", [0.0])}

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"CMWS",
            frame(body(), head=b"CMWT\x01\x01\x00\x00"),
            frame(body(), head=b"CMWS\x02\x01\x00\x00"),
            frame(body(), head=b"CMWS\x01\x00\x00\x00"),
            frame(body(), head=b"CMWS\x01\x01\x01\x00"),
            frame(body(), seq=0),
            frame(body(), seq=1 << 53),
            frame(body(), size=1),
            frame(body(), size=1000),
            frame(body(), size=0),
            frame(body()) + b"x",
            frame(body())[:-1],
            frame(body())[:20] + b"not zlib at all",
            frame(body() + b"x"),
            frame(body(endpoints=2)),
            frame(body(endpoints=0)),
            frame(body(endpoints=0xFFFFFFFF)),
            frame(body(columns=0)),
            frame(body(columns=2)),
            frame(body(columns=0xFFFF)),
            frame(body(columns=2, rest=b"\x00\x00\x00\x00" + b"\x01af\x00\x00\x00\x00" * 2)),
            frame(body(rest=b"\x00\x00\x00\x00\x01ad\x00\x00\x00\x00")),
            frame(body(rest=b"\x00\x00\x00\x00\x00f\x00\x00\x00\x00")),
            frame(body(rest=b"\x00\x00\x00\x00\x01\xfff\x00\x00\x00\x00")),
            frame(body(rest=b"\x00\x00\x00\x00\x01af" + struct.pack("<f", float("inf")))),
            frame(body(rest=b"\x00\x00\x00\x00\x01af" + struct.pack("<f", float("-inf")))),
        ],
    )
    def test_are_refused(self, data: bytes) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            decode_samples(data)
        assert caught.value.hint in (1007, 1009)

    def test_a_bomb_is_not_unpacked(self) -> None:
        bomb = zlib.compress(b"\x00" * (64 << 20), 9)
        for size in (100, MAX_SAMPLES_BYTES, 64 << 20):
            with pytest.raises(RemoteProtocolError):
                decode_samples(b"CMWS\x01\x01\x00\x00" + struct.pack("<QI", 1, size) + bomb)

    @given(st.binary(max_size=200))
    def test_random_bytes_end_as_a_refusal(self, data: bytes) -> None:
        for candidate in (data, frame(data), frame(body(rest=data))):
            with contextlib.suppress(RemoteProtocolError):
                decode_samples(candidate)

    @given(st.integers(0, 200), st.integers(0, 255))
    def test_one_changed_byte_is_refused_or_harmless(self, at: int, value: int) -> None:
        data = bytearray(encode_samples(make_batch(), 1))
        data[at % len(data)] = value
        with contextlib.suppress(RemoteProtocolError):
            decode_samples(bytes(data))


def test_bytes_that_look_infinite_across_two_values_are_taken() -> None:
    raw = b"\x00\x00\x00\x80\x7f\x00\x00\x00"
    column = array("f")
    column.frombytes(raw)
    batch = SampleBatch("r", 0, 0, array("I", [1, 2]), {"a": column})
    assert decode_samples(encode_samples(batch, 1))[1].columns["a"].tobytes() == raw

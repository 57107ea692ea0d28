"""Sample batches: one second of a group of endpoints, column by column, in one binary frame.

A frame, all numbers little-endian:

    0        4        5        6        8               16               20
    +--------+--------+--------+--------+---------------+----------------+------------------+
    | "CMWS" | ver. 1 | zlib 1 |   0    | seq (u64)     | body bytes u32 | body, compressed |
    +--------+--------+--------+--------+---------------+----------------+------------------+

The body:

    run id length (u8), run id, second (u32), at_unix_ms (u64), endpoints N (u32), columns C (u16),
    N endpoint indices (u32 each), then C times: key length (u8), key, type (u8: "f" float32 or "I" uint32), N values

An absent value is NaN in a float column and 0xFFFFFFFF in an integer column. Infinity is refused.
"""

from __future__ import annotations

import re
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING, Any, Final

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.link.limits import MAX_SAMPLES_BYTES, MAX_SEQ, MAX_TO_GATEWAY_BYTES
from cmw.link.refusal import CloseCode

ABSENT_COUNT: Final = 0xFFFFFFFF
"""What an integer column holds where there is no value; a float column holds NaN there."""

_MAGIC: Final = b"CMWS"
_VERSION: Final = 1
_ZLIB: Final = 1
_HEADER: Final = struct.Struct("<4sBBHQI")
_BODY_HEAD: Final = struct.Struct("<IQIH")
_RUN_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_KEY: Final = re.compile(rb"[A-Za-z0-9_.:/-]{1,64}")
_TYPES: Final = {"f": ord("f"), "I": ord("I")}
_INFINITIES: Final = (struct.pack("<f", float("inf")), struct.pack("<f", float("-inf")))
_LITTLE: Final = sys.byteorder == "little"
_MAX_COLUMNS: Final = 512
_SPLIT_BYTES: Final = MAX_TO_GATEWAY_BYTES * 3 // 4

if TYPE_CHECKING:
    Column = array[Any]
else:
    Column = array
"""`array('f')` of float32 or `array('I')` of uint32."""


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """What some endpoints of one run measured in one second.

    Args:
        run_id: the run.
        second: second of the run on that worker, from 0.
        at_unix_ms: end of that second, the worker's wall clock, milliseconds since 1970 UTC.
        endpoints: `array('I')` of the endpoints' indices in the run.
        columns: metric key to `array('f')` or `array('I')`, each as long as `endpoints`.
    """

    run_id: str
    second: int
    at_unix_ms: int
    endpoints: Column
    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.endpoints)


def encode_samples(batch: SampleBatch, seq: int) -> bytes:
    """Return one batch as a binary frame.

    Raises:
        LocalProtocolError: lengths, types, names or numbers that do not fit, an infinite value, or a frame above
            `MAX_TO_GATEWAY_BYTES`; see `split_samples`.
    """
    _check(batch, seq)
    run_id = batch.run_id.encode("ascii")
    head = _BODY_HEAD.pack(batch.second, batch.at_unix_ms, len(batch.endpoints), len(batch.columns))
    parts = [bytes((len(run_id),)), run_id, head, _to_wire(batch.endpoints)]
    for key, column in batch.columns.items():
        raw = _to_wire(column)
        if column.typecode == "f" and _is_infinite_in(raw):
            raise LocalProtocolError(f"column {key}: expected finite values or NaN, found an infinite one")
        parts += [bytes((len(key),)), key.encode("ascii"), bytes((_TYPES[column.typecode],)), raw]
    body = b"".join(parts)
    frame = _HEADER.pack(_MAGIC, _VERSION, _ZLIB, 0, seq, len(body)) + zlib.compress(body, 1)
    if len(body) > MAX_SAMPLES_BYTES or len(frame) > MAX_TO_GATEWAY_BYTES:
        raise LocalProtocolError(f"expected a batch of at most {MAX_TO_GATEWAY_BYTES} bytes, found {len(frame)}")
    return frame


def decode_samples(data: bytes) -> tuple[int, SampleBatch]:
    """Return the sequence number and the batch of a binary frame.

    Raises:
        RemoteProtocolError: anything but one whole, well-formed batch; the hint is 1007.
    """
    if len(data) < _HEADER.size:
        raise _refuse(f"expected a header of {_HEADER.size} bytes, found {len(data)}")
    magic, version, compression, reserved, seq, body_bytes = _HEADER.unpack_from(data)
    if (magic, version, compression, reserved) != (_MAGIC, _VERSION, _ZLIB, 0):
        raise _refuse("expected CMWS, version 1, zlib")
    if not 1 <= seq <= MAX_SEQ:
        raise _refuse(f"expected a sequence number of 1..2^53-1, found {seq}")
    return seq, _Body(_unpack(data, body_bytes)).batch()


def split_samples(batch: SampleBatch) -> Iterator[SampleBatch]:
    """Yield the batch in parts of some endpoints each, all small enough for `encode_samples`; often just itself."""
    row_bytes = 4 * (1 + len(batch.columns))
    rows = max(1, _SPLIT_BYTES // row_bytes)
    if len(batch) <= rows:
        yield batch
        return
    for start in range(0, len(batch), rows):
        part = slice(start, start + rows)
        columns = {key: column[part] for key, column in batch.columns.items()}
        yield SampleBatch(batch.run_id, batch.second, batch.at_unix_ms, batch.endpoints[part], columns)


def _check(batch: SampleBatch, seq: int) -> None:
    if not 1 <= seq <= MAX_SEQ:
        raise LocalProtocolError(f"expected a sequence number of 1..2^53-1, found {seq}")
    if not _RUN_ID.fullmatch(batch.run_id.encode("utf-8", "replace")):
        raise LocalProtocolError("expected a run id of 1..64 letters, digits and ._:-")
    if not 0 <= batch.second <= 0xFFFFFFFF or not 0 <= batch.at_unix_ms < 1 << 63:
        raise LocalProtocolError(f"expected a second and an instant in range, found {batch.second}, {batch.at_unix_ms}")
    if batch.endpoints.typecode != "I" or len(batch.columns) > _MAX_COLUMNS:
        raise LocalProtocolError(f"expected endpoints as array('I') and at most {_MAX_COLUMNS} columns")
    for key, column in batch.columns.items():
        if not _KEY.fullmatch(key.encode("utf-8", "replace")) or column.typecode not in _TYPES:
            raise LocalProtocolError(f"column {key!r}: expected a key of 1..64 characters and array('f') or array('I')")
        if len(column) != len(batch.endpoints):
            raise LocalProtocolError(f"column {key}: expected {len(batch.endpoints)} values, found {len(column)}")


def _to_wire(values: Column) -> bytes:
    if _LITTLE:
        return values.tobytes()
    swapped = values[:]
    swapped.byteswap()
    return swapped.tobytes()


def _from_wire(typecode: str, raw: bytes) -> Column:
    values: Column = array(typecode)
    values.frombytes(raw)
    if not _LITTLE:
        values.byteswap()
    return values


def _is_infinite_in(raw: bytes) -> bool:
    """Tell whether one of the float32 values is infinite; the search over bytes is what makes it cheap."""
    return any(pattern in raw for pattern in _INFINITIES) and any(isinf(value) for value in _from_wire("f", raw))


def _unpack(data: bytes, body_bytes: int) -> bytes:
    if body_bytes > MAX_SAMPLES_BYTES:
        raise _refuse(f"expected a body of at most {MAX_SAMPLES_BYTES} bytes, found {body_bytes}", CloseCode.TOO_BIG)
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(memoryview(data)[_HEADER.size :], body_bytes + 1)
    except zlib.error:
        raise _refuse("expected zlib data, found something else") from None
    if len(body) != body_bytes or not inflater.eof or inflater.unused_data:
        raise _refuse(f"expected a body of exactly {body_bytes} bytes")
    return body


def _refuse(message: str, code: CloseCode = CloseCode.INVALID_DATA) -> RemoteProtocolError:
    return RemoteProtocolError(f"sample batch: {message}", hint=code)


class _Body:
    """Reads an unpacked body from front to back."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def batch(self) -> SampleBatch:
        run_id = self._name(_RUN_ID, "run id")
        second, at_unix_ms, count, column_count = _BODY_HEAD.unpack(self._take(_BODY_HEAD.size))
        if column_count > _MAX_COLUMNS or at_unix_ms >= 1 << 63:
            raise _refuse(f"expected at most {_MAX_COLUMNS} columns and an instant in range")
        endpoints = _from_wire("I", self._take(4 * count))
        columns = dict(self._column(count) for _ in range(column_count))
        if len(columns) != column_count:
            raise _refuse("expected each key once")
        if self._at != len(self._body):
            raise _refuse(f"expected the end after {self._at} bytes, found {len(self._body)}")
        return SampleBatch(run_id, second, at_unix_ms, endpoints, columns)

    def _column(self, count: int) -> tuple[str, Column]:
        key = self._name(_KEY, "key")
        typecode = chr(self._take(1)[0])
        if typecode not in _TYPES:
            raise _refuse(f"column {key}: expected type f or I")
        raw = self._take(4 * count)
        if typecode == "f" and _is_infinite_in(raw):
            raise _refuse(f"column {key}: expected finite values or NaN")
        return key, _from_wire(typecode, raw)

    def _name(self, pattern: re.Pattern[bytes], what: str) -> str:
        name = self._take(self._take(1)[0])
        if not pattern.fullmatch(name):
            raise _refuse(f"expected a {what} of 1..64 allowed characters")
        return name.decode("ascii")

    def _take(self, size: int) -> bytes:
        taken = self._body[self._at : self._at + size]
        if len(taken) != size:
            raise _refuse(f"expected {size} more bytes at {self._at}, found {len(taken)}")
        self._at += size
        return taken

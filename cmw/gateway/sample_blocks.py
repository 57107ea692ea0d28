"""Sample blocks: a minute of a few endpoints, column by column, as the store keeps it.

A block is zlib data of:

    length of the list of columns (u32), that list as JSON [[name, "f" or "I"], ...], rows N (u32),
    then the words, 32 bits each: N endpoints, N seconds, N low and N high halves of at_unix_ms, N values of each column

Rows are in order of (endpoint, second), so a word is often near the one before it: each is kept as its difference to
that (exclusive or), and of all words first the lowest bytes, then the second, third and highest. A value comes back bit
by bit as the worker sent it, but that a signalling NaN may become a quiet one. An absent value is NaN in a float column
and 0xFFFFFFFF in an integer column.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from cmw.link.samples import ABSENT_COUNT, SampleBatch

_LEVEL = 1
_ABSENT: dict[str, float | int] = {"f": float("nan"), "I": ABSENT_COUNT}
_U32 = struct.Struct("<I")


@dataclass(slots=True)
class SampleTable:
    """Rows of samples of one run; every column is as long as `endpoints`.

    Args:
        at_unix_ms: `array('Q')`; see `SampleBatch`.
    """

    endpoints: array[int]
    seconds: array[int]
    at_unix_ms: array[int]
    columns: dict[str, Any]

    def __len__(self) -> int:
        return len(self.endpoints)

    def add(self, other: SampleTable) -> bool:
        """Add the rows of `other`; return False, adding nothing, when a column has another type there than here."""
        known = self.columns
        if any(key in known and known[key].typecode != column.typecode for key, column in other.columns.items()):
            return False
        for key, column in other.columns.items():
            if key not in known:
                known[key] = _absent(column.typecode, len(self))
            known[key].extend(column)
        for key in known.keys() - other.columns.keys():
            known[key].extend(_absent(known[key].typecode, len(other)))
        self.endpoints.extend(other.endpoints)
        self.seconds.extend(other.seconds)
        self.at_unix_ms.extend(other.at_unix_ms)
        return True

    def by_endpoint(self) -> SampleTable:
        """Return the rows in order of (endpoint, second)."""
        return self._in_order(list(zip(self.endpoints, self.seconds, strict=True)))

    def by_second(self) -> SampleTable:
        """Return the rows in order of (second, instant, endpoint)."""
        return self._in_order(list(zip(self.seconds, self.at_unix_ms, self.endpoints, strict=True)))

    def rows(self, start: int, stop: int) -> SampleTable:
        """Return the rows from `start` up to `stop`."""
        part = slice(start, stop)
        columns = {key: column[part] for key, column in self.columns.items()}
        return SampleTable(self.endpoints[part], self.seconds[part], self.at_unix_ms[part], columns)

    def of(self, endpoint: int) -> SampleTable:
        """Return the rows of one endpoint."""
        return self._take([at for at, index in enumerate(self.endpoints) if index == endpoint])

    def batches(self, run_id: str) -> Iterator[SampleBatch]:
        """Yield the rows, which are in order of second, as batches of one second each."""
        start = 0
        for (second, at), same in groupby(zip(self.seconds, self.at_unix_ms, strict=True)):
            part = self.rows(start, start + sum(1 for _ in same))
            yield SampleBatch(run_id, second, at, part.endpoints, part.columns)
            start += len(part)

    def _in_order(self, keys: Sequence[tuple[int, ...]]) -> SampleTable:
        return self._take(sorted(range(len(keys)), key=keys.__getitem__))

    def _take(self, order: Sequence[int]) -> SampleTable:
        if len(order) < 2:
            return self.rows(order[0], order[0] + 1) if order else self.rows(0, 0)
        pick = itemgetter(*order)
        columns = {key: array(column.typecode, pick(column)) for key, column in self.columns.items()}
        endpoints, seconds = array("I", pick(self.endpoints)), array("I", pick(self.seconds))
        return SampleTable(endpoints, seconds, array("Q", pick(self.at_unix_ms)), columns)


def gather(batches: Iterable[SampleBatch]) -> list[SampleTable]:
    """Return the rows of batches as few tables: one, unless they do not agree on the type of a column."""
    return join(_table(batch) for batch in batches)


def join(parts: Iterable[SampleTable]) -> list[SampleTable]:
    """Return the rows of `parts` as few tables; an absent column becomes one of absent values."""
    tables: list[SampleTable] = []
    for part in parts:
        if not any(table.add(part) for table in tables):
            tables.append(SampleTable(array("I"), array("I"), array("Q"), {}))
            tables[-1].add(part)
    return tables


def encode_block(table: SampleTable) -> bytes:
    """Return rows in order of (endpoint, second) as a block."""
    names = json.dumps([(key, column.typecode) for key, column in table.columns.items()]).encode()
    low = array("I", [at & 0xFFFFFFFF for at in table.at_unix_ms])
    high = array("I", [at >> 32 for at in table.at_unix_ms])
    words = b"".join(map(_to_bytes, (table.endpoints, table.seconds, low, high, *table.columns.values())))
    number = int.from_bytes(words, "little")
    mixed = ((number ^ (number << 32)) & _ones(len(words))).to_bytes(len(words), "little")
    planes = [mixed[plane::4] for plane in range(4)]
    return zlib.compress(b"".join([_U32.pack(len(names)), names, _U32.pack(len(table)), *planes]), _LEVEL)


def decode_block(block: bytes) -> SampleTable:
    """Return the rows of a block.

    Raises:
        ValueError: it is none.
    """
    try:
        body = zlib.decompress(block)
        at = _U32.size + _U32.unpack_from(body)[0]
        names = [(str(key), str(typecode)) for key, typecode in json.loads(body[_U32.size : at])]
        (rows,) = _U32.unpack_from(body, at)
    except (zlib.error, struct.error) as error:
        raise ValueError(f"expected a block of samples, found {error}") from None
    words = _unmix(body[at + _U32.size :])
    if len(words) != 4 * rows * (4 + len(names)):
        raise ValueError(f"expected {rows} rows of {len(names)} columns, found {len(words)} bytes")
    size = 4 * rows
    parts = iter([words[start : start + size] for start in range(0, len(words), size)])
    endpoints, seconds, low, high = (_from_bytes("I", next(parts)) for _ in range(4))
    instants = array("Q", [a | b << 32 for a, b in zip(low, high, strict=True)])
    return SampleTable(endpoints, seconds, instants, {key: _from_bytes(kind, next(parts)) for key, kind in names})


def _table(batch: SampleBatch) -> SampleTable:
    seconds, instants = array("I", [batch.second]) * len(batch), array("Q", [batch.at_unix_ms]) * len(batch)
    return SampleTable(batch.endpoints, seconds, instants, dict(batch.columns))


def _unmix(planes: bytes) -> bytes:
    quarter = len(planes) // 4
    mixed = bytearray(4 * quarter)
    for plane in range(4):
        mixed[plane::4] = planes[plane * quarter : (plane + 1) * quarter]
    number, mask, shift = int.from_bytes(mixed, "little"), _ones(len(mixed)), 32
    while shift < 8 * len(mixed):  # each word becomes the exclusive or of all up to it, in steps of 1, 2, 4, ... words
        number = (number ^ (number << shift)) & mask
        shift *= 2
    return number.to_bytes(len(mixed), "little")


def _ones(size: int) -> int:
    return (1 << 8 * size) - 1


def _absent(typecode: str, rows: int) -> Any:
    return array(typecode, [_ABSENT[typecode]]) * rows


def _to_bytes(values: array[Any]) -> bytes:
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()


def _from_bytes(typecode: str, raw: bytes) -> Any:
    values: Any = array(typecode)
    values.frombytes(raw)
    if sys.byteorder == "big":
        values.byteswap()
    return values

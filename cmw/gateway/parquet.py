"""Samples as Parquet, made while it is sent: the batches of each call are one row group; and read again."""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cmw.gateway.errors import RequestError
from cmw.link.samples import ABSENT_COUNT, SampleBatch
from cmw.load.report import UNTRUSTED
from cmw.metrics.keys import COLUMNS

MEDIA_TYPE = "application/vnd.apache.parquet"


class _Outlet(io.RawIOBase):
    """Where a file is written to that is never looked at again: what was taken is gone."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        """Tell that it takes bytes."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes."""
        piece = bytes(data)
        self._pieces.append(piece)
        self._size += len(piece)
        return len(piece)

    def tell(self) -> int:
        """Return how many bytes came so far."""
        return self._size

    def take(self) -> bytes:
        """Return what came since the last call."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken


class ParquetWriter:
    """Turns sample batches into the bytes of one file, piece by piece. Absent values are null.

    Raises:
        RequestError: pyarrow, which is optional, is not installed.
    """

    def __init__(self) -> None:
        try:
            import pyarrow
            import pyarrow.compute
            import pyarrow.parquet
        except ModuleNotFoundError:
            detail = "the gateway writes Parquet with pyarrow, which is not installed: pip install 'cmw[parquet]'"
            raise RequestError(501, "NOT_IMPLEMENTED", detail) from None
        self._arrow = pyarrow
        self._kinds = {"I": pyarrow.uint32(), "f": pyarrow.float32()}
        self._columns = {name: column.metric.column or "f" for name, column in COLUMNS.items()} | {UNTRUSTED: "I"}
        head = [("endpoint", self._kinds["I"]), ("second", self._kinds["I"]), ("at_unix_ms", pyarrow.int64())]
        fields = [(name, self._kinds[typecode]) for name, typecode in self._columns.items()]
        self._schema = pyarrow.schema([*head, *fields])
        self._outlet = _Outlet()
        self._writer = pyarrow.parquet.ParquetWriter(self._outlet, self._schema, compression="zstd")

    def write(self, batches: Sequence[SampleBatch]) -> bytes:
        """Add batches as one row group, and return what there is of the file since the last call."""
        if batches:
            self._writer.write_table(self._arrow.concat_tables([self._table(batch) for batch in batches]))
        return self._outlet.take()

    def close(self) -> bytes:
        """Return the end of the file."""
        self._writer.close()
        return self._outlet.take()

    def _table(self, batch: SampleBatch) -> Any:
        rows = len(batch)
        head = [
            self._plain(batch.endpoints),
            self._arrow.array([batch.second] * rows, self._arrow.uint32()),
            self._arrow.array([batch.at_unix_ms] * rows, self._arrow.int64()),
        ]
        columns = [self._column(batch.columns.get(name), typecode, rows) for name, typecode in self._columns.items()]
        return self._arrow.table([*head, *columns], schema=self._schema)

    def _column(self, values: array[Any] | None, typecode: str, rows: int) -> Any:
        if values is None or values.typecode != typecode:
            return self._arrow.nulls(rows, self._kinds[typecode])
        plain = self._plain(values)
        compute = self._arrow.compute
        absent = compute.is_nan(plain) if typecode == "f" else compute.equal(plain, ABSENT_COUNT)
        return compute.if_else(absent, self._arrow.scalar(None, self._kinds[typecode]), plain)

    def _plain(self, values: array[Any]) -> Any:
        """Return an array over the memory of `values`."""
        buffers = [None, self._arrow.py_buffer(values)]
        return self._arrow.Array.from_buffers(self._kinds[values.typecode], len(values), buffers)


def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield these columns of a file row by row, a batch in memory at a time.

    Raises:
        ModuleNotFoundError: there is no pyarrow.
        OSError, ValueError, KeyError: the file cannot be read, is none, or lacks a column.
    """
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for batch in file.iter_batches(columns=list(columns)):
            yield from batch.to_pylist()

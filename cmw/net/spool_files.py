"""The spool on disk: what the gateway has not acknowledged, in files that only grow, for a successor to find.

A directory belongs to one token, and to one process at a time. Its files are named by number and session; each begins
with `_MAGIC` and goes on with records, the last of which may be torn:

    bytes of what follows the checksum (u32), CRC-32 (u32), seq (u64), second (u32), kind, worth, length of run id (u8)
    run id, payload

all little-endian. A record of kind ACK says that everything of the session up to `seq` is committed. Of two records
with one number the later counts. A file goes when nothing in it is wanted any more.

Every method that writes may run in a thread, one at a time; `read` may run beside it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from cmw.errors import SettingsError
from cmw.link.spool import OVERHEAD_BYTES, Entry, Place, Spool, Worth
from cmw.link.worker_link import Predecessor

_MAGIC: Final = b"CMWSPL1\n"
_PREFIX: Final = struct.Struct("<II")
_HEAD: Final = struct.Struct("<QIBBB")
_NAME: Final = re.compile(r"([0-9]{8})-([0-9a-f]{32})\.spool")
_TEXT, _BINARY, _ACK = 0, 1, 2
_NO_SECOND: Final = 0xFFFFFFFF
_FILE_BYTES: Final = 4 << 20


class Shelved(NamedTuple):
    """What became of one round of `SpoolFiles.write`.

    Args:
        places: of the entries, in their order; None if they could not be written.
        moves: (seq, place before, place after) of older entries.
        fault: why something could not be written, "" if everything was.
    """

    places: list[Place] | None
    moves: list[tuple[str, int, Place, Place]]
    fault: str


@dataclass(slots=True)
class _File:
    number: int
    session: str
    path: Path
    size_bytes: int = 0
    live: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Offset to (number, bytes) of the records that are wanted."""
    acknowledged: int = 0

    @property
    def dead_bytes(self) -> int:
        """Return what could be won by writing the wanted records anew."""
        return self.size_bytes - len(_MAGIC) - sum(size for _, size in self.live.values())


class SpoolFiles:
    """The files of one worker's spool.

    Args:
        directory: SPOOL_DIR; below it a directory named after the token's SHA-256 is made and locked.
        token: the worker's secret; only a part of its hash is written.
        max_bytes: bound of all files.

    Raises:
        SettingsError: the directory cannot be used, or another process uses it.
    """

    def __init__(self, directory: Path, token: str, *, max_bytes: int) -> None:
        self.damaged_bytes = 0
        """What was found torn or damaged at the start, and left out."""
        self._directory = directory / hashlib.sha256(token.encode()).hexdigest()[:16]
        self._max_bytes = max_bytes
        self._file_bytes = max(64 << 10, min(_FILE_BYTES, max_bytes // 16))
        self._files: dict[int, _File] = {}
        self._current: _File | None = None
        self._lock = self._open()
        self._next_number = 1
        self._predecessors = self._find()

    @property
    def own_max_bytes(self) -> int:
        """How much a new session may keep beside what was found: a quarter is for what files hold in vain."""
        found = sum(spool.size_bytes for _, spool in self._predecessors)
        return self._max_bytes * 3 // 4 - found

    @property
    def size_bytes(self) -> int:
        """The bytes of all files."""
        return sum(file.size_bytes for file in list(self._files.values()))

    @property
    def has_files(self) -> bool:
        """Whether there is anything on disk."""
        return bool(self._files)

    def predecessors(self) -> list[Predecessor]:
        """Return what earlier processes left, the oldest first."""
        return list(self._predecessors)

    def read(self, place: Place) -> str | bytes | None:
        """Return the payload of a record; None if it cannot be read or is not what was written."""
        number, offset, size = place
        file = self._files.get(number)
        try:
            with (file.path if file is not None else self._directory / "none").open("rb") as stream:
                stream.seek(offset)
                record = _parse(stream.read(size))
        except OSError:
            return None
        return record.payload if record is not None else None

    def write(
        self,
        session: str,
        entries: Sequence[tuple[Entry, str | bytes]],
        gone: Iterable[Place],
        acknowledged: dict[str, int],
    ) -> Shelved:
        """Write entries of a session and bring them to the disk, and give up what is not wanted any more.

        Args:
            entries: each with the payload that it had when it was taken.
            gone: places that are not wanted any more.
            acknowledged: of each session, what is committed.
        """
        self._forget(gone)
        fault = ""
        places: list[Place] | None = None
        moves: list[tuple[str, int, Place, Place]] = []
        try:
            self._note(acknowledged)
            places = self._append(
                session,
                [
                    (e.seq, _serialize(e.seq, _kind(payload), e.worth, e.run_id, e.second, payload))
                    for e, payload in entries
                ],
            )
            self._tidy(session, moves)
        except OSError as error:
            fault = error.strerror or str(error)
        return Shelved(places, moves, fault)

    def close(self) -> None:
        """Let another process have the directory; what is in it stays."""
        os.close(self._lock)

    # Private: at the start.

    def _open(self) -> int:
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(
                f"SPOOL_DIR: found {str(self._directory.parent)!r}, expected a directory to write to: {error.strerror}"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise SettingsError(
                f"SPOOL_DIR: found {str(self._directory.parent)!r}, which another worker with this token uses, "
                f"expected one that no other process has"
            ) from None
        return lock

    def _find(self) -> list[Predecessor]:
        found: dict[str, dict[int, Entry]] = {}
        acknowledged: dict[str, int] = {}
        for path in sorted(self._directory.glob("*.spool")):
            match = _NAME.fullmatch(path.name)
            if match is None:
                continue
            file = _File(int(match[1]), match[2], path)
            self._next_number = max(self._next_number, file.number + 1)
            try:
                entries = self._scan(file)
            except OSError as error:
                raise SettingsError(f"SPOOL_DIR: cannot read {path}: {error.strerror}") from None
            self._files[file.number] = file
            found.setdefault(file.session, {}).update({entry.seq: entry for entry in entries})
            acknowledged[file.session] = max(acknowledged.get(file.session, 0), file.acknowledged)
        for session, by_seq in found.items():
            self._mark(session, by_seq, acknowledged[session])
        predecessors = []
        for session, by_seq in found.items():
            spool = Spool.restored(
                by_seq.values(),
                acknowledged=acknowledged[session],
                shelf=self,
                max_bytes=self._max_bytes // 2 // len(found),
            )
            self._forget(spool.take_gone())
            if len(spool):
                predecessors.append(Predecessor(session, spool))
        self._forget(())
        return predecessors

    def _scan(self, file: _File) -> list[Entry]:
        """Read the records of a file up to the first that is torn or damaged."""
        data = file.path.read_bytes()
        file.size_bytes = len(data)
        offset = len(_MAGIC) if data.startswith(_MAGIC) else len(data)
        entries = []
        while offset < len(data):
            size = _PREFIX.size + _PREFIX.unpack_from(data, offset)[0] if offset + _PREFIX.size <= len(data) else 0
            record = _parse(data[offset : offset + size])
            if record is None:
                self.damaged_bytes += len(data) - offset
                break
            if record.kind == _ACK:
                file.acknowledged = max(file.acknowledged, record.seq)
            else:
                place = (file.number, offset, size)
                entries.append(
                    Entry(
                        record.seq,
                        record.worth,
                        None,
                        OVERHEAD_BYTES + size,
                        record.run_id,
                        record.second,
                        place,
                    )
                )
            offset += size
        return entries

    def _mark(self, session: str, by_seq: dict[int, Entry], acknowledged: int) -> None:
        """Note which records of a session are wanted."""
        for seq, entry in by_seq.items():
            if seq > acknowledged and entry.place is not None:
                number, offset, size = entry.place
                self._files[number].live[offset] = (seq, size)
        for file in self._files.values():
            if file.session == session:
                file.acknowledged = acknowledged

    # Private: later.

    def _forget(self, gone: Iterable[Place]) -> None:
        """Note what is not wanted any more, and remove files of which nothing is."""
        for number, offset, _ in gone:
            file = self._files.get(number)
            if file is not None:
                file.live.pop(offset, None)
        for file in list(self._files.values()):
            if not file.live:
                self._remove(file)

    def _remove(self, file: _File) -> None:
        file.path.unlink(missing_ok=True)
        self._files.pop(file.number, None)
        if file is self._current:
            self._current = None

    def _note(self, acknowledged: dict[str, int]) -> None:
        """Write what is committed beside what is kept, so that a successor sends less again."""
        latest: dict[str, _File] = {}
        for file in self._files.values():
            latest[file.session] = file
        for session, seq in acknowledged.items():
            into = latest.get(session)
            if into is not None and seq > into.acknowledged:
                self._write_to(into, [_serialize(seq, _ACK, Worth.SAMPLES, None, None, b"")], sync=False)
                into.acknowledged = seq

    def _append(self, session: str, records: Sequence[tuple[int, bytes]]) -> list[Place]:
        places: list[Place] = []
        start = 0
        while start < len(records):
            file = self._file_of(session)
            room = self._file_bytes - file.size_bytes
            end = start + 1
            size = len(records[start][1])
            while end < len(records) and size + len(records[end][1]) <= room:
                size += len(records[end][1])
                end += 1
            offset = file.size_bytes
            try:
                self._write_to(file, [record for _, record in records[start:end]], sync=True)
            except OSError:
                self._undo(places)
                raise
            for seq, record in records[start:end]:
                file.live[offset] = (seq, len(record))
                places.append((file.number, offset, len(record)))
                offset += len(record)
            start = end
        return places

    def _undo(self, places: Sequence[Place]) -> None:
        for number, offset, _ in places:
            self._files[number].live.pop(offset, None)

    def _file_of(self, session: str) -> _File:
        """Return the file that new records go to."""
        current = self._current
        if current is not None and current.session == session and current.size_bytes < self._file_bytes:
            return current
        number = self._next_number
        file = _File(number, session, self._directory / f"{number:08d}-{session}.spool")
        descriptor = os.open(file.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        self._write_to(file, [_MAGIC], sync=False)
        self._sync_directory()
        self._next_number += 1
        self._files[number] = self._current = file
        return file

    def _write_to(self, file: _File, pieces: Sequence[bytes], *, sync: bool) -> None:
        """Append to a file, all or nothing."""
        data = b"".join(pieces)
        descriptor = os.open(file.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            written = 0
            while written < len(data):
                count = os.pwrite(descriptor, data[written:], file.size_bytes + written)
                if count == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                written += count
            if sync:
                os.fdatasync(descriptor)
        except OSError:
            os.ftruncate(descriptor, file.size_bytes)
            raise
        finally:
            os.close(descriptor)
        file.size_bytes += len(data)

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _tidy(self, session: str, moves: list[tuple[str, int, Place, Place]]) -> None:
        """Above the bound, write what is wanted of the emptiest files anew.

        The files themselves go with the next round: until then somebody may still read them.
        """
        bound = self._max_bytes - 2 * self._file_bytes
        while sum(file.size_bytes for file in self._files.values() if file.live) > bound:
            file = max(self._tidiable(session), key=lambda file: file.dead_bytes, default=None)
            if file is None:
                return
            before = [(seq, (file.number, offset, size)) for offset, (seq, size) in sorted(file.live.items())]
            after = self._append(session, [(seq, self._raw(place)) for seq, place in before])
            moves += [(session, seq, old, new) for (seq, old), new in zip(before, after, strict=True)]
            file.live.clear()

    def _tidiable(self, session: str) -> Iterator[_File]:
        """Yield the files where a tenth or more can be won."""
        for file in self._files.values():
            is_wanted = file.live and file.session == session and file is not self._current
            if is_wanted and 10 * file.dead_bytes > file.size_bytes:
                yield file

    def _raw(self, place: Place) -> bytes:
        number, offset, size = place
        with self._files[number].path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(size)


class _Record(NamedTuple):
    seq: int
    second: int | None
    kind: int
    worth: Worth
    run_id: str | None
    payload: str | bytes


def _kind(payload: str | bytes) -> int:
    return _TEXT if isinstance(payload, str) else _BINARY


def _serialize(
    seq: int, kind: int, worth: Worth, run_id: str | None, second: int | None, payload: str | bytes
) -> bytes:
    run = (run_id or "").encode("ascii")
    raw = payload.encode() if isinstance(payload, str) else payload
    body = _HEAD.pack(seq, _NO_SECOND if second is None else second, kind, worth, len(run)) + run + raw
    return _PREFIX.pack(len(body), zlib.crc32(body)) + body


def _parse(data: bytes) -> _Record | None:
    """Return a whole record, None for anything else."""
    if len(data) < _PREFIX.size + _HEAD.size:
        return None
    size, checksum = _PREFIX.unpack_from(data)
    body = data[_PREFIX.size :]
    if len(body) != size or zlib.crc32(body) != checksum:
        return None
    seq, second, kind, worth, run_length = _HEAD.unpack_from(body)
    rest = body[_HEAD.size :]
    try:
        run_id = rest[:run_length].decode("ascii") or None
        payload = rest[run_length:].decode() if kind == _TEXT else rest[run_length:]
        return _Record(seq, None if second == _NO_SECOND else second, kind, Worth(worth), run_id, payload)
    except ValueError:
        return None

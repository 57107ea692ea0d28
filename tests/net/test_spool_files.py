"""The spool on disk: what one process leaves, the next one finds, whatever happened in between."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmw.errors import SettingsError
from cmw.link.spool import Entry, Spool, Worth
from cmw.net.spool_files import SpoolFiles

TOKEN = "cmw_" + "5e" * 32
ONE, TWO = "1" * 32, "2" * 32


def open_files(directory: Path, *, max_bytes: int = 1 << 20, token: str = TOKEN) -> SpoolFiles:
    return SpoolFiles(directory, token, max_bytes=max_bytes)


def keep(files: SpoolFiles, spool: Spool, session: str = ONE) -> str:
    """Do what the keeper does in a round; return the fault."""
    entries = [(e, e.payload) for e in spool.take_unshelved(spool.next_seq) if e.payload is not None]
    done = files.write(session, entries, spool.take_gone(), {session: spool.acknowledged})
    for _, seq, before, after in done.moves:
        spool.moved(seq, before, after)
    if done.places is None:
        spool.not_shelved([entry for entry, _ in entries])
    else:
        for (entry, payload), place in zip(entries, done.places, strict=True):
            spool.shelved(entry, payload, place)
    return done.fault


def contents(spool: Spool) -> list[tuple[int, str | bytes]]:
    """Return everything that a spool sends, in order."""
    found = []
    while (frame := spool.next_to_send()) is not None:
        found.append((frame.seq, frame.payload))
        spool.acknowledge(frame.seq)
    return found


def left_in(directory: Path, **options: int) -> dict[str, list[tuple[int, str | bytes]]]:
    files = open_files(directory, **options)
    found = {session: contents(spool) for session, spool in files.predecessors()}
    files.close()
    return found


def spool_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*/*.spool"))


def test_what_was_kept_is_found_by_the_next_process(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    spool = Spool(shelf=files)
    spool.append(1, Worth.OUTCOME, '{"n":"ä"}', run_id="run-1")
    spool.append(2, Worth.SAMPLES, b"\x00\xff", run_id="run-1", second=3)
    assert keep(files, spool) == ""
    files.close()
    files = open_files(tmp_path)
    ((session, left),) = files.predecessors()
    assert session == ONE
    assert [(e.seq, e.worth, e.run_id, e.second) for e in left.unacknowledged()] == [
        (1, Worth.OUTCOME, "run-1", None),
        (2, Worth.SAMPLES, "run-1", 3),
    ]
    assert contents(left) == [(1, '{"n":"ä"}'), (2, b"\x00\xff")]
    files.write(TWO, [], left.take_gone(), {})
    assert spool_files(tmp_path) == []
    files.close()


def test_what_was_acknowledged_is_not_found(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    spool = Spool(shelf=files)
    for seq in (1, 2, 3):
        spool.append(seq, Worth.OUTCOME, f"{seq}")
    keep(files, spool)
    spool.next_to_send()
    spool.next_to_send()
    spool.acknowledge(2)
    keep(files, spool)
    files.close()
    assert left_in(tmp_path) == {ONE: [(3, "3")]}


def test_nothing_is_left_when_everything_was_acknowledged(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    spool = Spool(shelf=files)
    spool.append(1, Worth.OUTCOME, "1")
    keep(files, spool)
    assert files.has_files
    contents(spool)
    keep(files, spool)
    assert not files.has_files
    assert spool_files(tmp_path) == []
    files.close()


def test_sessions_are_told_apart_and_found_oldest_first(tmp_path: Path) -> None:
    for session in (TWO, ONE):
        files = open_files(tmp_path)
        spool = Spool(shelf=files)
        spool.append(1, Worth.OUTCOME, session)
        keep(files, spool, session)
        files.close()
    assert list(left_in(tmp_path).items()) == [(TWO, [(1, TWO)]), (ONE, [(1, ONE)])]


def test_another_token_finds_nothing(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    spool = Spool(shelf=files)
    spool.append(1, Worth.OUTCOME, "1")
    keep(files, spool)
    other = open_files(tmp_path, token="cmw_" + "00" * 32)
    assert other.predecessors() == []
    other.close()
    files.close()
    assert not any(TOKEN.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_two_processes_do_not_share_it(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    with pytest.raises(SettingsError, match=r"SPOOL_DIR: found .*, which another worker with this token uses"):
        open_files(tmp_path)
    files.close()


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"SPOOL_DIR: found .*file', expected a directory to write to"):
        open_files(tmp_path / "file")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_torn_tail_costs_what_is_torn_and_no_more(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    files = open_files(directory)
    spool = Spool(shelf=files)
    sizes = [0]
    for seq in range(1, 6):
        spool.append(seq, Worth.OUTCOME, f"{seq}" * 20)
        keep(files, spool)
        sizes.append(files.size_bytes)
    files.close()
    (path,) = spool_files(directory)
    length = data.draw(st.integers(0, sizes[-1]))
    garbage = data.draw(st.binary(max_size=30))
    path.write_bytes(path.read_bytes()[:length] + garbage)
    whole = max(number for number, size in enumerate(sizes) if size <= length)
    left = left_in(directory).get(ONE, [])
    assert left[:whole] == [(seq, f"{seq}" * 20) for seq in range(1, whole + 1)]
    assert len(left) <= whole + 1  # the garbage may be what was torn off


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_damaged_record_is_never_sent(tmp_path_factory: pytest.TempPathFactory, at: int, bit: int) -> None:
    directory = tmp_path_factory.mktemp("spool")
    files = open_files(directory)
    spool = Spool(shelf=files)
    for seq in range(1, 6):
        spool.append(seq, Worth.OUTCOME, f"{seq}" * 20)
    keep(files, spool)
    files.close()
    (path,) = spool_files(directory)
    raw = bytearray(path.read_bytes())
    raw[at % len(raw)] ^= 1 << bit
    path.write_bytes(raw)
    left = left_in(directory).get(ONE, [])
    assert left == [(seq, f"{seq}" * 20) for seq in range(1, len(left) + 1)]


def test_what_is_damaged_while_it_waits_is_a_loss_that_is_told(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    spool = Spool(shelf=files, memory_bytes=0)
    spool.append(1, Worth.OUTCOME, "x" * 100, run_id="run-1")
    keep(files, spool)
    (path,) = spool_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"y")
    ((seq, note),) = contents(spool)
    assert seq == 1
    assert '"kind":"spool_dropped"' in str(note)
    files.close()


def test_a_full_disk_is_told_and_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = open_files(tmp_path)
    spool = Spool(shelf=files)
    spool.append(1, Worth.OUTCOME, "first")
    assert keep(files, spool) == ""
    full = [True]
    pwrite = os.pwrite

    def short(descriptor: int, data: bytes, offset: int) -> int:
        if full[0] and len(data) > 10:
            return pwrite(descriptor, data[:10], offset)
        if full[0]:
            raise OSError(28, "No space left on device")
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", short)
    spool.append(2, Worth.OUTCOME, "second")
    assert keep(files, spool) == "No space left on device"
    full[0] = False
    assert keep(files, spool) == ""
    files.close()
    assert left_in(tmp_path) == {ONE: [(1, "first"), (2, "second")]}


def test_files_stay_within_the_bound_and_outcomes_survive_in_them(tmp_path: Path) -> None:
    bound = 2 << 20
    files = open_files(tmp_path, max_bytes=bound)
    spool = Spool(max_bytes=files.own_max_bytes, shelf=files, memory_bytes=100_000)
    noise = random.Random(5)
    outcomes = []
    for number in range(600):
        seq = spool.next_seq
        if number % 50 == 0:
            spool.append(seq, Worth.OUTCOME, f"outcome {number}", run_id="run-1")
            outcomes.append(f"outcome {number}")
        else:
            spool.append(seq, Worth.SAMPLES, noise.randbytes(10_000), run_id="run-1", second=number)
        if number % 7 == 0:
            assert keep(files, spool) == ""
            assert files.size_bytes <= bound
    assert spool.payload_bytes < 300_000
    dropped = spool.dropped_samples
    keep(files, spool)
    files.close()
    (left,) = left_in(tmp_path, max_bytes=2 * bound).values()
    assert [payload for _, payload in left if str(payload).startswith("outcome")] == outcomes
    samples = [payload for _, payload in left if isinstance(payload, bytes)]
    assert len(samples) >= 588 - dropped


def test_a_new_session_leaves_room_for_what_was_found(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    spool = Spool(shelf=files)
    for seq in range(1, 40):
        spool.append(seq, Worth.SAMPLES, b"x" * 20_000)
    keep(files, spool)
    files.close()
    files = open_files(tmp_path)
    ((_, left),) = files.predecessors()
    assert left.size_bytes <= 1 << 19
    assert files.own_max_bytes == (3 << 18) - left.size_bytes
    files.close()


def test_files_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    files.close()
    (directory,) = tmp_path.iterdir()
    (directory / "notes.spool").write_text("mine")
    (directory / f"00000001-{ONE}.spool").write_text("something else")
    files = open_files(tmp_path)
    assert files.predecessors() == []
    assert files.damaged_bytes == 0
    files.close()
    assert (directory / "notes.spool").exists()


def test_entries_without_a_run_are_found_too(tmp_path: Path) -> None:
    files = open_files(tmp_path)
    entry = Entry(1, Worth.OUTCOME, "x", 300)
    assert files.write(ONE, [(entry, "x")], [], {}).places is not None
    files.close()
    assert left_in(tmp_path) == {ONE: [(1, "x")]}

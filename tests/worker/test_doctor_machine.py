"""The doctor looks at the machine: each limit is found well, doubtful or broken, from what the system tells."""

from __future__ import annotations

import os
import re
import resource
import time
from pathlib import Path

import pytest

from cmw.net.udp import RECEIVE_BUFFER_BYTES
from cmw.worker import doctor_machine
from cmw.worker.doctor_machine import FIFO_PRIORITY, limits_of_machine, look_at_machine
from cmw.worker.finding import Finding, Grade
from cmw.worker.generator import CpuTimes
from tests.support.doctor_desk import by_check, grades, write

MIB = 1 << 20
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quick_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "WAKES", 3)


def found(check: str, root: Path, capacity: int | None = None) -> Finding:
    [finding] = by_check(look_at_machine(capacity, root))[check]
    return finding


@pytest.mark.parametrize(
    ("hard", "grade"), [(256, Grade.FAIL), (1024, Grade.OK), (1048576, Grade.OK), (resource.RLIM_INFINITY, Grade.OK)]
)
def test_open_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hard: int, grade: Grade) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, hard))
    assert found("open files", tmp_path).grade is grade


@pytest.mark.parametrize(
    ("most", "grade", "words"),
    [
        ("212992\n", Grade.WARN, "at most 208 KiB; SIP asks for 16 MiB"),
        (f"{RECEIVE_BUFFER_BYTES}\n", Grade.OK, "at most 16384 KiB; SIP asks for 16 MiB"),
        ("", Grade.OK, "the system does not tell its limit; SIP asks for 16 MiB"),
    ],
)
def test_socket_buffers(tmp_path: Path, most: str, grade: Grade, words: str) -> None:
    finding = found("socket buffers", write(tmp_path, {"proc/sys/net/core/rmem_max": most}))
    assert (finding.grade, finding.found) == (grade, words)
    if grade is Grade.WARN:  # with what the remedy says it is well
        wanted = re.search(r"rmem_max=([0-9]+)", finding.remedy)
        assert wanted is not None
        assert found("socket buffers", write(tmp_path, {"proc/sys/net/core/rmem_max": wanted[1]})).grade is Grade.OK


@pytest.mark.parametrize(("late_s", "grade"), [(0.0001, Grade.OK), (0.01, Grade.WARN), (0.2, Grade.FAIL)])
def test_timer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, late_s: float, grade: Grade) -> None:
    now = 1000.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds + late_s

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    finding = found("timer", tmp_path)
    assert finding.grade is grade
    assert f"{late_s * 1e6:.0f} us late in the middle" in finding.found


@pytest.mark.parametrize(
    ("steal", "grade", "words"),
    [
        (0, Grade.OK, "0.0 % of"),
        (5, Grade.OK, "0.5 % of"),
        (30, Grade.WARN, "3.0 % of"),
        (200, Grade.FAIL, "20.0 % of"),
        (None, Grade.OK, "the system does not tell"),
    ],
)
def test_steal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, steal: int | None, grade: Grade, words: str) -> None:
    readings = iter([(100, 10), (1100, 10 + (steal or 0))])

    def read(path: str) -> CpuTimes | None:
        total, stolen = next(readings)
        line = f"cpu  {total - stolen} 0 0 0 0 0 0 {stolen} 0 0\n" if steal is not None else "cpu  1 0 0 0\n"
        return real_read(str(write(tmp_path, {"proc/stat": line}) / "proc/stat"))

    real_read = CpuTimes.read
    monkeypatch.setattr(CpuTimes, "read", read)
    finding = found("CPU steal", tmp_path)
    assert finding.grade is grade
    assert finding.found.startswith(words)


@pytest.mark.parametrize(
    ("governors", "grade", "words"),
    [
        ((), Grade.OK, "the system has none, as in most virtual machines"),
        (("performance", "performance"), Grade.OK, "performance"),
        (("performance", "powersave"), Grade.WARN, "performance, powersave"),
    ],
)
def test_governor(tmp_path: Path, governors: tuple[str, ...], grade: Grade, words: str) -> None:
    files = {f"sys/devices/system/cpu/cpu{k}/cpufreq/scaling_governor": f"{each}\n" for k, each in enumerate(governors)}
    finding = found("CPU governor", write(tmp_path, files))
    assert (finding.grade, finding.found) == (grade, words)


@pytest.mark.parametrize(("is_allowed", "grade"), [(True, Grade.OK), (False, Grade.WARN)])
def test_realtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_allowed: bool, grade: Grade) -> None:
    asked: list[tuple[int, int]] = []

    def schedule(pid: int, policy: int, parameter: os.sched_param) -> None:
        asked.append((policy, parameter.sched_priority))
        if not is_allowed:
            raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", schedule)
    assert found("real-time scheduling", tmp_path).grade is grade
    own = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    assert asked == [(os.SCHED_FIFO, FIFO_PRIORITY)] + [own] * is_allowed  # and is as it was afterwards


def test_realtime_is_tried_as_the_media_thread_asks_for_it() -> None:
    source = (ROOT / "cmw/net/_media.pyx").read_text()
    assert re.findall(r"FIFO_PRIORITY = ([0-9]+)", source) == [str(FIFO_PRIORITY)]


# Limits against the tiers.


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        ({"sys/fs/cgroup/cpu.max": "50000 100000\n", "sys/fs/cgroup/memory.max": f"{512 * MIB}\n"}, 0.5, 512 * MIB),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n", "sys/fs/cgroup/memory.max": "max\n"}, None, 8 * 1024 * MIB),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "25000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": str(256 * MIB),
            },
            0.25,
            256 * MIB,
        ),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            },
            None,
            8 * 1024 * MIB,
        ),
        (
            {  # a unit of systemd; its slice has less memory than the unit
                "proc/self/cgroup": "0::/system.slice/cmw-worker.service\n",
                "sys/fs/cgroup/system.slice/cmw-worker.service/cpu.max": "75000 100000",
                "sys/fs/cgroup/system.slice/cmw-worker.service/memory.max": str(2048 * MIB),
                "sys/fs/cgroup/system.slice/memory.max": str(1024 * MIB),
                "sys/fs/cgroup/memory.max": str(16 * MIB),  # there is none at the top of a machine, and it would count
            },
            0.75,
            16 * MIB,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/docker/1\n2:cpu,cpuacct:/docker/1\n1:name=systemd:/\n0::/\n",
                "sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": str(64 * MIB),
            },
            0.5,
            64 * MIB,
        ),
        ({"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/memory.max": str(128 * MIB)}, None, 128 * MIB),
    ],
)
def test_limits_of_a_container(tmp_path: Path, files: dict[str, str], cores: float | None, memory: int) -> None:
    root = write(tmp_path, {"proc/meminfo": "MemTotal:  8388608 kB\n", **files})
    assert limits_of_machine(root) == (cores or len(os.sched_getaffinity(0)), memory)


def test_nothing_is_known_of_a_system_without_files(tmp_path: Path) -> None:
    assert limits_of_machine(tmp_path) == (len(os.sched_getaffinity(0)), None)
    assert "unknown of memory" in found("machine", tmp_path).found


def test_a_machine_below_every_tier(tmp_path: Path) -> None:
    small = {"sys/fs/cgroup/cpu.max": "50000 100000", "sys/fs/cgroup/memory.max": str(256 * MIB)}
    machine = found("machine", write(tmp_path, small), 50)
    assert (machine.grade, machine.found) == (
        Grade.WARN,
        "0.5 cores and 256 MiB of memory: below the smallest guideline",
    )
    assert "give it 2 cores and 1024 MiB" in machine.remedy


@pytest.mark.parametrize(
    ("endpoints", "cores", "memory_mib"), [(25, 1, 512), (50, 2, 1024), (100, 2, 2048), (200, 4, 4096), (500, 8, 8192)]
)
def test_the_guidelines_are_those_of_the_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, endpoints: int, cores: int, memory_mib: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    for memory, grade in ((memory_mib, Grade.OK), (memory_mib - 1, Grade.WARN)):
        root = write(tmp_path, {"sys/fs/cgroup/memory.max": str(memory * MIB), "proc/meminfo": "MemTotal: 16777216 kB"})
        machine = found("machine", root, endpoints)
        assert machine.grade is grade
        assert (f"enough for {endpoints} audio endpoints" in machine.found) is (grade is Grade.OK)
        if grade is Grade.WARN:  # what the remedy says to give it is enough
            assert machine.remedy.startswith(f"give it {cores} cores and {memory_mib} MiB")


def test_this_machine_is_looked_at_without_a_fault() -> None:
    checks = by_check(look_at_machine(None))
    assert list(checks) == [
        "open files",
        "socket buffers",
        "timer",
        "CPU steal",
        "CPU governor",
        "real-time scheduling",
        "machine",
    ]
    assert all(len(grades(checks, check)) == 1 for check in checks)

"""What the machine, or the container, lets a worker have: descriptors, buffers, time, processor and memory."""

from __future__ import annotations

import math
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cmw.net.udp import RECEIVE_BUFFER_BYTES
from cmw.worker.finding import Finding, fail, ok, warn
from cmw.worker.generator import CpuTimes

MIB = 1 << 20
WAKES = 200
WAKE_EVERY_S = 0.005
WAKE_WARN_S, WAKE_FAIL_S = 0.002, 0.1
"""A wake-up at p99 that is later; the verdict on a run has its own bounds."""

STEAL_WARN, STEAL_FAIL = 0.01, 0.05

FIFO_PRIORITY = 10
"""That the media thread asks for."""


class Tier(NamedTuple):
    """What so many audio endpoints need."""

    endpoints: int
    cores: float
    memory_bytes: int


TIERS = (
    Tier(25, 1, 512 * MIB),
    Tier(50, 2, 1024 * MIB),
    Tier(100, 2, 2048 * MIB),
    Tier(200, 4, 4096 * MIB),
    Tier(500, 8, 8192 * MIB),
)
"""General guidelines for workers, audio alone."""


def look_at_machine(capacity: int | None, root: Path = Path("/")) -> Iterator[Finding]:
    """Return each finding as soon as it is there; takes about a second.

    Args:
        capacity: endpoints that are wanted; None when nobody says.
        root: where /proc and /sys are.
    """
    yield _descriptors()
    yield _buffers(root)
    before = CpuTimes.read(str(root / "proc/stat"))
    yield _wake_ups()
    yield _steal(before, CpuTimes.read(str(root / "proc/stat")))
    yield _governor(root)
    yield _realtime()
    yield _tier(*limits_of_machine(root), capacity)


def _descriptors() -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = "no limit" if hard == resource.RLIM_INFINITY else str(hard)
    if hard != resource.RLIM_INFINITY and hard < 1024:
        return fail("open files", shown, "raise the hard limit of open files: ulimits nofile, or LimitNOFILE of a unit")
    return ok("open files", f"{shown}; an audio call takes two")


def _buffers(root: Path) -> Finding:
    most = _number(root / "proc/sys/net/core/rmem_max")
    wanted = f"SIP asks for {RECEIVE_BUFFER_BYTES // MIB} MiB"
    if most is None:
        return ok("socket buffers", f"the system does not tell its limit; {wanted}")
    found = f"at most {most // 1024} KiB; {wanted}"
    if most >= RECEIVE_BUFFER_BYTES:
        return ok("socket buffers", found)
    return warn(
        "socket buffers",
        found,
        f"for more than 100 calls a second: sysctl -w net.core.rmem_max={RECEIVE_BUFFER_BYTES} on the host",
    )


def _wake_ups() -> Finding:
    late = []
    due = time.perf_counter()
    for _ in range(WAKES):
        due = max(due, time.perf_counter()) + WAKE_EVERY_S  # one that was late does not make the next ones late
        time.sleep(max(0.0, due - time.perf_counter()))
        late.append(max(0.0, time.perf_counter() - due))
    late.sort()
    middle, worst = late[len(late) // 2], late[int(len(late) * 0.99)]
    found = f"{middle * 1e6:.0f} us late in the middle, {worst * 1e6:.0f} us at p99"
    remedy = "give the worker a core of its own, or a machine that is not shared; see docs/tuning.md"
    if worst > WAKE_FAIL_S:
        return fail("timer", found, remedy)
    return warn("timer", found, remedy) if worst > WAKE_WARN_S else ok("timer", found)


def _steal(before: CpuTimes | None, after: CpuTimes | None) -> Finding:
    ratio = after.steal_ratio_since(before) if before is not None and after is not None else None
    if ratio is None:
        return ok("CPU steal", "the system does not tell")
    found = f"{ratio * 100:.1f} % of the last second went to other guests of this host"
    remedy = "ask for dedicated cores, or another host"
    if ratio > STEAL_FAIL:
        return fail("CPU steal", found, remedy)
    return warn("CPU steal", found, remedy) if ratio > STEAL_WARN else ok("CPU steal", found)


def _governor(root: Path) -> Finding:
    files = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"))
    found = sorted({text for file in files if (text := _text(file))})
    if not found:
        return ok("CPU governor", "the system has none, as in most virtual machines")
    if "powersave" in found:
        return warn("CPU governor", ", ".join(found), "cpupower frequency-set --governor performance")
    return ok("CPU governor", ", ".join(found))


def _realtime() -> Finding:
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
    except OSError:
        remedy = "ulimits rtprio: 50, or --ulimit rtprio=50; without it packets leave later when the machine is busy"
        return warn("real-time scheduling", "not allowed", remedy)
    os.sched_setscheduler(0, *before)
    return ok("real-time scheduling", "allowed for the media thread")


def limits_of_machine(root: Path = Path("/")) -> tuple[float, int | None]:
    """Return the cores and the memory, in bytes, that this container or machine may use; None for not known."""
    cores = [float(len(os.sched_getaffinity(0)))]
    memory = [_memory_total(root)]
    for group in _groups(root, ""):
        cores.append(_quota(group / "cpu.max"))
        memory.append(_number(group / "memory.max"))
    for group in _groups(root, "cpu"):
        quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
        cores.append(quota / period if quota and period else math.inf)
    for group in _groups(root, "memory"):
        memory.append(_number(group / "memory.limit_in_bytes"))
    return min(cores), min((size for size in memory if size is not None), default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Return the control groups that this process is in, the innermost first; "" as controller for version 2.

    A container mostly sees its own group as the outermost one; a unit of systemd, and a container that shares the
    namespace of the host, has a path. Source: cgroups(7).
    """
    top = root / "sys/fs/cgroup" / controller
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controller in controllers.split(",") and ".." not in path:
            inner = top / path.strip("/")
            yield from (each for each in (inner, *inner.parents) if each != top and each.is_relative_to(top))
    yield top


def _quota(file: Path) -> float:
    """Return the cores that ``cpu.max`` of version 2 allows."""
    words = (_text(file) or "").split()
    if len(words) == 2 and all(word.isdecimal() and int(word) > 0 for word in words):
        return int(words[0]) / int(words[1])
    return math.inf


def _memory_total(root: Path) -> int | None:
    for line in (_text(root / "proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _tier(cores: float, memory_bytes: int | None, capacity: int | None) -> Finding:
    shown = "unknown" if memory_bytes is None else f"{memory_bytes // MIB} MiB"
    room = memory_bytes if memory_bytes is not None else TIERS[-1].memory_bytes
    fitting = [tier.endpoints for tier in TIERS if tier.cores <= cores and tier.memory_bytes <= room]
    found = f"{cores:g} cores and {shown} of memory: " + (
        f"enough for {fitting[-1]} audio endpoints by the guidelines" if fitting else "below the smallest guideline"
    )
    wanted = next((tier for tier in TIERS if tier.endpoints >= (capacity or 1)), TIERS[-1])
    remedy = (
        f"give it {wanted.cores:g} cores and {wanted.memory_bytes // MIB} MiB; `cmw capacity` measures what it carries"
    )
    if not fitting or (capacity is not None and fitting[-1] < min(capacity, TIERS[-1].endpoints)):
        return warn("machine", found, remedy)
    return ok("machine", found)


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text is not None and text.isdecimal() else None

"""What a call costs over real sockets, beside sipp: INVITE, 180, 200, ACK, BYE, 200, everything about it kept.

    python -m bench.sip_calls --rate 500 --seconds 10 --rounds 5
    python -m bench.sip_calls --steps               the highest rate without a failed call or a repetition
    python -m bench.sip_calls --stall               stopped for two seconds at half of that rate

Each round runs, one after the other on the same machine, `sipp -sn uac` against `sipp -sn uas`, our caller against
`sipp -sn uas`, `sipp -sn uac` against our callee, and registrations with digest against our registrar. Figures are CPU
time per call of one process, with what the kernel does for it, read from outside while the load goes on, of all
processes alike: once as many transactions end as begin. Ratios are made within a round, and their median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import threading
import time
from statistics import median
from tempfile import gettempdir
from typing import Any, NamedTuple

from bench.measured import MeasuredProcess, agent

IP = f"127.{220 + os.getpid() % 30}.0.53"  # benches that run at the same time do not meet
OUR_PORT = 5090
SIPP_PORT = 5080
STALL_S = 2.0
AFTERWARDS_S = 0.5  # no process ends while it is measured
LATE_MS = 500  # T1: nobody repeats anything for it
REPEATED_SHARE = 0.001  # sipp's own socket buffer is small
STEPS = (500, 750, 1000, 1250, 1500, 1750, 2000, 2500, 3000, 3500, 4000)


class Load(NamedTuple):
    """Calls at a rate, and when their cost is measured.

    Args:
        rate: calls per second.
        seconds: how long it is measured.
        warm_up_s: how long the same load ran before: after 32 s as many transactions end as begin.
    """

    rate: float
    seconds: float
    warm_up_s: float = 0.0

    @property
    def calls(self) -> int:
        """Return how many calls there are; they go on for a moment after the measurement."""
        return max(1, int(self.rate * (self.warm_up_s + self.seconds + AFTERWARDS_S)))

    def cost_us(self, *processes: MeasuredProcess) -> list[float]:
        """Return the CPU microseconds per call of processes that just began with it."""
        time.sleep(self.warm_up_s)
        began, before = time.monotonic(), [each.cpu_ns() for each in processes]
        time.sleep(self.seconds)
        calls = self.rate * (time.monotonic() - began)
        return [(each.cpu_ns() - cpu) / 1000 / calls for each, cpu in zip(processes, before, strict=True)]


def sipp_beside_sipp(load: Load, *, ip: str = IP) -> dict[str, float]:
    """Return the CPU microseconds per call of `sipp -sn uac` and of `sipp -sn uas`."""
    with _sipp_callee(ip) as callee:
        with _sipp_caller(ip, SIPP_PORT, load) as caller:
            caller_us, callee_us = load.cost_us(caller, callee)
            assert caller.wait() in (0, _SOME_FAILED), caller.output[-2000:]
        callee.stop()
    return {"caller_us": caller_us, "callee_us": callee_us}


def our_caller(load: Load, *, stall_after_s: float | None = None, ip: str = IP) -> dict[str, Any]:
    """Return what our caller reports of calls to `sipp -sn uas`, with its CPU microseconds per call.

    Args:
        stall_after_s: stop our process for `STALL_S` after so many seconds.
    """
    with _sipp_callee(ip) as callee:
        target = f"{ip}:{SIPP_PORT}"
        with agent("caller", f"{ip}:{OUR_PORT}", target=target, rate=load.rate, count=load.calls) as caller:
            _stall(caller, stall_after_s)
            (caller_us,) = load.cost_us(caller)
            assert caller.wait() == 0, caller.errors
            result = caller.result()
        callee.stop()
    return result | {"caller_us": caller_us}


def our_callee(load: Load, *, stall_after_s: float | None = None, ip: str = IP) -> dict[str, Any]:
    """Return what our callee reports of calls from `sipp -sn uac`, with its CPU microseconds per call."""
    with agent("callee", f"{ip}:{OUR_PORT}") as callee:
        with _sipp_caller(ip, OUR_PORT, load) as caller:
            _stall(callee, stall_after_s)
            (callee_us,) = load.cost_us(callee)
            is_clean = caller.wait() == 0
        assert callee.stop() == 0, callee.errors
        result = callee.result()
    return result | {"callee_us": callee_us, "failed": result["failed"] + (not is_clean)}


def registrations(count: int, *, ip: str = IP) -> dict[str, Any]:
    """Return what registrations with digest cost the registering side and our registrar."""
    with agent("registrar", f"{ip}:{SIPP_PORT}", count=count) as registrar:
        target = f"{ip}:{SIPP_PORT}"
        with agent("registrant", f"{ip}:{OUR_PORT}", target=target, count=count) as registrant:
            assert registrant.wait() == 0, registrant.errors
            result = registrant.result()
        registrar.stop()
        served = registrar.result()
    assert result["registrations"] == count
    return result | {
        "registrant_us": 1e6 * result["cpu_s"] / count,
        "registrar_us": 1e6 * served["cpu_s"] / count,
        "per_second": count / result["elapsed_s"],
    }


def compare(load: Load, rounds: int, *, ip: str = IP, progress: bool = False) -> dict[str, Any]:
    """Run the rounds and return medians; asserts that no call and no registration failed."""
    rows: list[dict[str, float]] = []
    last: dict[str, Any] = {}
    for _ in range(rounds):
        reference = sipp_beside_sipp(load, ip=ip)
        caller = our_caller(load, ip=ip)
        callee = our_callee(load, ip=ip)
        registered = registrations(max(1, int(load.rate * load.seconds)), ip=ip)
        for result in (caller, callee, registered):
            assert result["failed"] == 0, result["failures"]
        rows.append(
            {
                "sipp_caller_us": reference["caller_us"],
                "sipp_callee_us": reference["callee_us"],
                "caller_us": caller["caller_us"],
                "callee_us": callee["callee_us"],
                "caller_ratio": caller["caller_us"] / reference["caller_us"],
                "callee_ratio": callee["callee_us"] / reference["callee_us"],
                "registrant_us": registered["registrant_us"],
                "registrar_us": registered["registrar_us"],
                "registrations_per_s": registered["per_second"],
            }
        )
        last = caller
        if progress:
            print(json.dumps({name: round(value, 2) for name, value in rows[-1].items()}), flush=True)
    middle = {name: median(row[name] for row in rows) for name in rows[0]}
    return {
        "python": f"{platform.python_version()} of {sys.base_prefix}",
        **load._asdict(),
        "rounds": rounds,
        **{name: round(value, 2) for name, value in middle.items()},
        "calls_per_cpu_s": round(1e6 / middle["caller_us"]),
        "callee_calls_per_cpu_s": round(1e6 / middle["callee_us"]),
        "registrations_per_cpu_s": round(1e6 / middle["registrant_us"]),
        "last_caller": last,
    }


def highest_clean_rate(seconds: float) -> dict[str, Any]:
    """Step our caller's rate up until a call fails, too many are sent again, or one starts `LATE_MS` late."""
    clean: dict[str, Any] = {}
    for rate in STEPS:
        result = our_caller(Load(rate, seconds))
        print(json.dumps({"rate": rate, "core": round(rate * result["caller_us"] / 1e6, 2), **result}), flush=True)
        repeated = result["requests_sent_again"] > result["calls"] * REPEATED_SHARE
        if result["failed"] or repeated or result["late_max_ms"] > LATE_MS:
            break
        clean = {"rate": rate, "core": round(rate * result["caller_us"] / 1e6, 2)}
    return clean


def stall(load: Load) -> dict[str, Any]:
    """Stop our caller, then our callee, in the middle of a load; return what became of the calls."""
    caller = our_caller(load, stall_after_s=load.seconds / 4)
    callee = our_callee(load, stall_after_s=load.seconds / 4)
    return {
        "rate": load.rate,
        "stall_s": STALL_S,
        "caller": caller | {"back_after_s": caller["behind_longest_s"]},
        "callee": callee | {"back_after_s": _back_after_s(callee["taken_per_second"], load.rate)},
    }


def _back_after_s(placed: list[int], rate: float) -> int:
    """Return how many seconds after the stall the calls of a second are the plan's again; `STALL_S` of them at once."""
    stalled = max(n for n in range(len(placed) - 1) if placed[n] < 0.5 * rate)
    return next((n for n in range(stalled + 1, len(placed)) if placed[n] <= 1.05 * rate), len(placed)) - stalled - 1


def _stall(process: MeasuredProcess, after_s: float | None) -> None:
    if after_s is None:
        return

    def stop_and_go() -> None:
        time.sleep(after_s)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(STALL_S)
        os.kill(process.pid, signal.SIGCONT)

    threading.Thread(target=stop_and_go, daemon=True).start()


def _sipp_callee(ip: str) -> MeasuredProcess:
    callee = MeasuredProcess([*_SIPP, "-sn", "uas", "-i", ip, "-mi", ip, "-p", str(SIPP_PORT)], directory=gettempdir())
    callee.wait_until_bound(ip, SIPP_PORT)
    return callee


def _sipp_caller(ip: str, port: int, load: Load) -> MeasuredProcess:
    place = ["-sn", "uac", "-i", ip, "-mi", ip, "-p", "5070", "-r", f"{load.rate:g}", "-m", str(load.calls)]
    return MeasuredProcess([*_SIPP, *place, f"{ip}:{port}"], directory=gettempdir())


_SIPP = ("sipp", "-nostdin")
_SOME_FAILED = 1  # its own small socket buffers lose some on a machine with other work; they cost what others do


def main() -> None:
    """Print one measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=500.0, help="calls per second")
    parser.add_argument("--seconds", type=float, default=10.0, help="that are measured")
    parser.add_argument("--warm-up", type=float, default=35.0, help="seconds before them; 0 measures what is young")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--stall", action="store_true")
    options = parser.parse_args()
    if shutil.which("sipp") is None:
        parser.error("sipp is not installed")
    if options.steps:
        result = highest_clean_rate(options.seconds)
    elif options.stall:
        result = stall(Load(options.rate, max(options.seconds, 20.0)))
    else:
        load = Load(options.rate, options.seconds, options.warm_up)
        result = compare(load, options.rounds, progress=True)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

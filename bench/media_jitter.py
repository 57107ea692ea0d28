"""The jitter that sending adds, judged by a receiver that is not ours (`bench/listen.c`), beside sipp's `rtp_stream`.

    python -m bench.media_jitter --endpoints 200 1000 --seconds 5 --rounds 3

The receiver has one core and dates packets by the kernel's time stamps; the sender, our engine or sipp, has another.
Each stream goes to a port of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from bench.measured import MeasuredProcess
from bench.media import IP, compiled, one_core, open_endpoints, raise_descriptors, start_streams
from cmw.core.address import PortRange
from cmw.net._media import MediaEngine
from cmw.rtp.source import make_source

HEARING = IP.rpartition(".")[0] + ".55"
FIRST_PORT = 20000
STEP = 4
SIP_PORTS = (5060, 5070)
CALLS_PER_S = 200

ANSWERS = """<?xml version="1.0"?><!DOCTYPE scenario SYSTEM "sipp.dtd"><scenario name="answers">
<recv request="INVITE"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 {hearing}
s=-
c=IN IP4 {hearing}
t=0 0
m=audio [auto_media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
]]></send>
<recv request="ACK"/>
<pause milliseconds="600000"/>
</scenario>
"""

CALLS = """<?xml version="1.0"?><!DOCTYPE scenario SYSTEM "sipp.dtd"><scenario name="calls">
<send><![CDATA[
INVITE sip:bench@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:bench@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:sipp@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
]]></send>
<recv response="100" optional="true"/>
<recv response="180" optional="true"/>
<recv response="200"/>
<send><![CDATA[
ACK sip:bench@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:sipp@[local_ip]:[local_port]>;tag=[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
<nop><action><exec rtp_stream="{sound},-1,0,PCMU/8000"/></action></nop>
<pause milliseconds="600000"/>
</scenario>
"""


def compare(endpoints: int, seconds: float, rounds: int, *, spin: bool = True) -> dict[str, Any]:
    """Let our engine and sipp send in turns; return the medians of mean and largest jitter, in milliseconds."""
    ours = [sent_by_us(endpoints, seconds, spin=spin) for _ in range(rounds)]
    sipp = [sent_by_sipp(endpoints, seconds, spin=spin) for _ in range(rounds if shutil.which("sipp") else 0)]
    result: dict[str, Any] = {"endpoints": endpoints, "seconds": seconds, "rounds": rounds}
    for name, heard in (("cmw", ours), ("sipp", sipp)):
        known = {key: median(each[key] for each in heard) if heard else None for key in _FIGURES}
        result |= {f"{name}_{key}": value for key, value in known.items()}
    if sipp:
        result["share_of_sipp"] = round(result["cmw_jitter_mean_ms"] / result["sipp_jitter_mean_ms"], 4)
    return result


_FIGURES = ("streams", "packets", "jitter_mean_ms", "jitter_max_ms")


def sent_by_us(endpoints: int, seconds: float, *, spin: bool = True) -> dict[str, float]:
    """Return what the receiver heard from a media engine that sends to it."""
    sending, hearing = _cores()
    raise_descriptors()
    with ExitStack() as stack:
        listener = _listener(stack, hearing, endpoints, seconds)
        stack.enter_context(one_core(sending, spin=spin))
        engine = MediaEngine(slots=endpoints)
        slots, _ = open_endpoints(engine, endpoints, IP, PortRange(10000, 65535))
        engine.start()
        stack.callback(engine.stop)
        start_streams(engine, slots, [FIRST_PORT + STEP * n for n in range(endpoints)], HEARING)
        return _heard(listener)


def sent_by_sipp(endpoints: int, seconds: float, *, spin: bool = True) -> dict[str, float]:
    """Return what the receiver heard from sipp, once all of its calls were up."""
    sending, hearing = _cores()
    frames, _ = make_source("speech", "PCMU")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cmw-bench-")))
        (folder / "sound.ulaw").write_bytes(frames)
        (folder / "answers.xml").write_text(ANSWERS.format(hearing=HEARING))
        (folder / "calls.xml").write_text(CALLS.format(sound=folder / "sound.ulaw"))
        ours, theirs = SIP_PORTS
        words = ["sipp", "-nostdin", "-i", IP, "-mi", IP, "-l", "9999", "-max_socket", "19000"]
        with one_core(hearing, spin=False):
            answers = [*words, "-sf", "answers.xml", "-p", str(theirs), "-mp", str(FIRST_PORT)]
            answerer = stack.enter_context(MeasuredProcess(answers, directory=str(folder)))
            answerer.wait_until_bound(IP, theirs)
        stack.enter_context(one_core(sending, spin=spin))
        rate = ["-r", str(CALLS_PER_S), "-m", str(endpoints), "-p", str(ours), "-mp", "50000"]
        calls = [*words, "-sf", "calls.xml", *rate, f"{IP}:{theirs}"]
        caller = stack.enter_context(MeasuredProcess(calls, directory=str(folder)))
        time.sleep(endpoints / CALLS_PER_S + 1)
        assert Path(f"/proc/{caller.pid}").exists(), caller.errors
        return _heard(_listener(stack, hearing, endpoints, seconds))


def _listener(stack: ExitStack, cpu: int, endpoints: int, seconds: float) -> MeasuredProcess:
    words = [compiled("listen.c"), HEARING, *map(str, (FIRST_PORT, STEP, endpoints, seconds))]
    with one_core(cpu, spin=False):
        listener = stack.enter_context(MeasuredProcess(words))
    listener.wait_for("ready")
    return listener


def _heard(listener: MeasuredProcess) -> dict[str, float]:
    assert listener.wait() == 0, listener.errors
    figures = [float(word) for word in listener.output.splitlines()[-1].split()]
    return dict(zip(_FIGURES, figures, strict=True))


def _cores() -> tuple[int, int]:
    """Return the cores of the sender and of the receiver; the same where there is only one."""
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[0], cpus[-1]


def main() -> None:
    """Print one comparison for each count as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoints", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-spin", action="store_true", help="let the cores halt")
    options = parser.parse_args()
    for count in options.endpoints:
        print(json.dumps(compare(count, options.seconds, options.rounds, spin=not options.no_spin), indent=2))


if __name__ == "__main__":
    main()

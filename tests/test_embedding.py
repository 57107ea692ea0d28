"""docs/embedding-sip.md says what is so: its programs run as they stand there, and it names all that there is."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import cmw.sip
from cmw.core.address import Address
from cmw.net.ids import RandomIds
from cmw.sip import Hop, MessageStream, Registrar, RegistrarEvent, StreamMessageReceived, Transport
from cmw.sip.user_agent import UserAgent
from tests.test_imports import BLOCK_THIRD_PARTIES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "embedding-sip.md").read_text()
PROGRAMS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
PATIENCE_S = 60


def start(name: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a program of the page, with nothing but the standard library within its reach."""
    code = f"{BLOCK_THIRD_PARTIES}\n{PROGRAMS[name]}"
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT)


def finish(program: subprocess.Popen[str]) -> str:
    try:
        out, _ = program.communicate(timeout=PATIENCE_S)
    finally:
        program.kill()
    assert program.returncode == 0, out
    return out


def stations(out: str) -> list[str]:
    """Return the kinds of events that a program told, each once; what comes twice on a slow machine is no news."""
    return list(dict.fromkeys(kind for kind in re.findall(r"^(\w+)\(", out, re.M) if kind != "DatagramDiscarded"))


def test_every_program_is_run_here() -> None:
    assert set(PROGRAMS) == {"caller.py", "callee.py", "registered.py"}
    assert PAGE.count("```python") == len(PROGRAMS)


def test_the_first_is_as_short_as_it_says() -> None:
    assert len([line for line in PROGRAMS["caller.py"].splitlines() if line.strip()]) <= 30


@pytest.mark.loopback
def test_one_program_calls_the_other() -> None:
    callee = start("callee.py")
    assert callee.stdout is not None
    target = re.fullmatch(r"call (sip:bob@127\.0\.0\.1:\d+)\n", callee.stdout.readline())
    assert target is not None
    told = finish(start("caller.py", target[1]))
    assert stations(told) == ["CallProceeding", "CallAnswered", "CallEnded"]
    heard = finish(callee)
    assert "PCMU to 127.0.0.1:4000" in heard
    assert stations(heard) == ["CallOffered", "CallConfirmed", "CallEnded"]


class RegistrarThread(threading.Thread):
    """A registrar on one TCP connection, in blocking calls as on the page."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE_S)
        self.address = Address(*self.listener.getsockname())
        self.events: list[RegistrarEvent] = []

    def run(self) -> None:
        connection, peer = self.listener.accept()
        source = Hop(peer[0], peer[1], Transport.TCP, flow=7)
        registrar = Registrar(local=self.address, ids=RandomIds(), accounts={"alice": "secret"})
        stream = MessageStream()
        with self.listener, connection:
            connection.settimeout(PATIENCE_S)
            while data := connection.recv(65536):
                stream.receive_data(data)
                while (found := stream.next_event()) is not None:
                    if isinstance(found, StreamMessageReceived):
                        registrar.receive_datagram(found.data, source, now=time.monotonic_ns())
                for datagram in registrar.datagrams_to_send():
                    assert datagram.destination == source
                    connection.sendall(stream.frame_message(datagram.data))
                while (event := registrar.next_event()) is not None:
                    self.events.append(event)


@pytest.mark.loopback
def test_a_program_registers_over_tcp() -> None:
    registrar = RegistrarThread()
    registrar.start()
    told = finish(start("registered.py", registrar.address.host, str(registrar.address.port)))
    registrar.join(PATIENCE_S)
    assert stations(told) == ["RegistrationSucceeded", "RegistrationEnded"]
    assert [type(event).__name__ for event in registrar.events] == ["UserRegistered", "UserUnregistered"]


def test_every_public_name_is_in_the_table_and_no_other() -> None:
    table = PAGE.partition("## Every public name")[2]
    named = re.findall(r"`(\w+)`", table.partition("|---|---|\n")[2])
    assert sorted(named) == sorted(cmw.sip.__all__)
    assert all(hasattr(cmw.sip, name) for name in named)


def test_every_command_of_the_page_is_one() -> None:
    commands = set(re.findall(r"`(\w+)\(", PAGE.partition("## Commands and events")[2])) - set(cmw.sip.__all__)
    verbs = set(re.findall(r"^\| `(\w+)\(", PAGE, re.M))
    assert {"invite", "hang_up", "receive_datagram", "flow_lost"} <= commands | verbs
    assert [name for name in commands | verbs if not hasattr(UserAgent, name)] == []

"""What the tests of the doctor share: findings by check, and a gateway that is what a test wants it to be."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

from cmw.worker.finding import Finding, Grade

TOKEN = "cmw_" + "a1b2c3d4" * 8

Findings = dict[str, list[Finding]]


def by_check(findings: Iterable[Finding]) -> Findings:
    """Return findings by what they are about; what is not OK has a remedy, what is OK has none."""
    found: Findings = {}
    for finding in findings:
        assert bool(finding.remedy) is (finding.grade is not Grade.OK), finding
        found.setdefault(finding.check, []).append(finding)
    return found


def grades(found: Findings, check: str) -> list[Grade]:
    """Return the grades of a check, in the order of its lines."""
    return [finding.grade for finding in found[check]]


def health_page(*, date: str | None = "now", body: str = '{"status":"healthy","version":"1.2.3"}') -> bytes:
    """Return what a gateway answers; its clock shows `date`, by default the right one."""
    line = f"Date: {formatdate(usegmt=True) if date == 'now' else date}\r\n" if date else ""
    return f"HTTP/1.1 200 OK\r\n{line}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@contextmanager
def served(ip: str, serve: Callable[[socket.socket], None], port: int = 0) -> Iterator[int]:
    """Hand one connection to a thread; return the port to connect to."""
    with socket.create_server((ip, port)) as listener:

        def accept() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    serve(connection)
            except OSError:
                return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)  # ends an accept that nobody came to
        thread.join(10)


@contextmanager
def gateway(ip: str, context: ssl.SSLContext | None = None, *, answer: bytes | None = None) -> Iterator[int]:
    """Answer one request, with a gateway's page of health unless told otherwise."""

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) if context else connection as stream:
            stream.recv(4096)
            stream.sendall(health_page() if answer is None else answer)

    with served(ip, serve) as port:
        yield port


def tls_server(certificate: str) -> ssl.SSLContext:
    """Return a server's context with one certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files below a directory that stands for the root, and return it."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root

"""A gateway, workers and a callee as programs of their own, to be killed, stopped and refused."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Self

from tests.support.processes import PATIENCE_S, Callee, Program, cmw

LOOK_S = 0.1


def free_tcp_port(ip: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((ip, 0))
        return int(probe.getsockname()[1])


class Worker:
    """`cmw worker` with an address of its own."""

    def __init__(self, token: str, gateway_port: int, ip: str, **settings: str) -> None:
        self.health_port = free_tcp_port()
        self.token = token
        environment = {
            "WORKER_TOKEN": token,
            "CLOUD_URL": f"ws://127.0.0.1:{gateway_port}",
            "SIP_IP": ip,
            "RTP_PORT_MIN": "10000",
            "RTP_PORT_MAX": "19999",
            "HEALTH_PORT": str(self.health_port),
        }
        self.program = cmw("worker", environment=environment | settings)

    def event(self, name: str) -> dict[str, Any]:
        """Wait for a line of the log, and return it."""
        entry: dict[str, Any] = json.loads(self.program.wait_for(f'"event":"{name}"'))
        return entry

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the lines of the log with this event so far."""
        lines = [json.loads(line) for line in self.program.lines if line.startswith("{")]
        return [entry for entry in lines if entry["event"] == name]

    def missed_seconds(self) -> set[int]:
        """Return the seconds of runs that the worker says it could not measure."""
        warnings = self.events("seconds without samples")
        return {second for entry in warnings for second in range(entry["first"], entry["last"] + 1)}

    def health(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/health", timeout=PATIENCE_S) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            found = json.load(error)
        return found


class Lab:
    """One gateway on a data directory; whatever is started here is ended with it.

    Args:
        directory: for data and reports.
        number: of the test, 1 .. 250; its addresses are 127.40.NUMBER.x.
    """

    def __init__(self, directory: Path, number: int) -> None:
        self.data = directory / "data"
        self.port = free_tcp_port()
        self.programs: list[Program] = []
        self._directory = directory
        self._net = f"127.40.{number}"
        self._open = ExitStack()
        self.gateway: Program

    def __enter__(self) -> Self:
        self.start_gateway()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def start_gateway(self, *words: str) -> None:
        """Start the gateway, for the first time or again on the same port and data."""
        self.gateway = cmw("gateway", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.data), *words)
        self._keep(self.gateway)
        self.gateway.wait_for("gateway at")

    def start_worker(self, token: str, host: int = 1, *, port: int | None = None, **settings: str) -> Worker:
        """Start a worker that dials the gateway, or `port`, from which a path leads there."""
        worker = Worker(token, port or self.port, f"{self._net}.{host}", **settings)
        self._keep(worker.program)
        return worker

    def start_callee(self, *words: str, host: int = 2) -> Callee:
        callee = self._open.enter_context(Callee(self._directory / f"callee{host}", f"{self._net}.{host}", *words))
        self.programs.append(callee.program)
        return callee

    def create_worker(self, name: str = "w1") -> tuple[str, str]:
        """Return the id and the token of a new worker."""
        made = self.call("POST", "/workers", {"name": name, "capacity": 100})
        return made["id"], made["token"]

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Ask the API."""
        key = (self.data / "api-key").read_text().strip()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)["data"]

    def start_run(self, target: str, *, endpoints: int, duration: str) -> str:
        """Start a run of calls to `target`, all at once; return its id."""
        callers = {"endpoints": endpoints, "call": {"uri": target}, "load": {"arrivals": "all-at-once"}}
        plan = {"version": 1, "name": "fault", "duration": duration, "groups": {"callers": callers}}
        run_id: str = self.call("POST", "/runs", {"plan": plan})["id"]
        return run_id

    def start_calls(self, calls: int, seconds: int, *, port: int | None = None) -> tuple[Worker, str]:
        """Return a worker, which dials `port` if one is given, and a run that has all its calls to a callee up."""
        callee = self.start_callee()
        _, token = self.create_worker()
        worker = self.start_worker(token, port=port)
        worker.event("link open")
        run_id = self.start_run(callee.target, endpoints=calls, duration=f"{seconds}s")
        self.until_in_call(run_id, calls)
        return worker, run_id

    def until(self, path: str, holds: Callable[[dict[str, Any]], bool], *, patience_s: float = PATIENCE_S) -> Any:
        """Ask the API until what it answers holds, and return that."""
        for _ in range(int(patience_s / LOOK_S)):
            found = self.call("GET", path)
            if holds(found):
                return found
            Event().wait(LOOK_S)
        raise AssertionError(f"{path} never became what was expected: {found}\n{self.gateway.output}")

    def until_in_call(self, run_id: str, calls: int) -> None:
        """Wait until so many calls of a run are up, and a second of them was measured."""
        self.until(f"/runs/{run_id}", lambda run: run["progress"].get("calls_active") == calls)
        self.until(f"/runs/{run_id}", lambda run: run["progress"].get("second", 0) >= 1)

    def until_over(self, run_id: str) -> Any:
        """Wait for the end of a run, and return it."""
        return self.until(f"/runs/{run_id}", lambda run: run["exit_code"] is not None, patience_s=60)

    def check_run(self, run_id: str, worker: Worker, *, calls: int, seconds: int) -> list[dict[str, Any]]:
        """Wait for the end of a run in which every call was to last `seconds`; return its samples.

        Fail unless every endpoint ended well and has every second once, but those that the worker itself says it could
        not measure because this machine was too busy.
        """
        run = self.until_over(run_id)
        assert (run["status"], run["reason"]) == ("COMPLETED", "")
        reports = self.call("GET", f"/runs/{run_id}/endpoints?perPage=100")
        assert [(report["index"], report["outcome"]) for report in reports] == [(k, "SUCCESS") for k in range(calls)]
        rows: list[dict[str, Any]] = self.call("GET", f"/runs/{run_id}/samples")
        seen = Counter((row["endpoint"], row["second"]) for row in rows)
        assert set(seen.values()) == {1}
        missed = worker.missed_seconds()
        for endpoint in range(calls):
            known = {second for index, second in seen if index == endpoint}
            assert set(range(min(known), max(known) + 1)) - missed == known
            assert len(known | missed) >= seconds - 1  # the first and the last may be parts of a second
        return rows

    def check_secret(self, secret: str) -> None:
        """Fail if a secret is in the output of any program, in the process list, or in a file of the data."""
        for program in self.programs:
            assert secret not in program.output
            if not program.has_ended:
                assert secret.encode() not in Path(f"/proc/{program.pid}/cmdline").read_bytes()
        for path in self.data.rglob("*"):
            with suppress(FileNotFoundError):  # the store makes and removes files of its own
                assert not path.is_file() or secret.encode() not in path.read_bytes(), path

    def _keep(self, program: Program) -> None:
        self.programs.append(program)
        self._open.callback(program.stop)

"""`cmw runs`: start, watch and stop runs on a gateway, and fetch what they measured."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from cmw.cli.api_client import (
    DEFAULT_GATEWAY,
    ApiClient,
    ApiKeyFileOption,
    CaFileOption,
    GatewayOption,
    JsonOption,
    connect,
)
from cmw.cli.exit_codes import ExitCode
from cmw.cli.plan_variables import SetOption, plan_variables
from cmw.cli.sample_files import SAMPLE_HEAD, SamplesFormat, SamplesOption
from cmw.cli.steps_told import StepsTold
from cmw.cli.summary_file import BaselineOption, read_summary
from cmw.cli.tables import print_fields, print_json, print_table, show, to_second
from cmw.core.words import RunStatus
from cmw.load.search import SearchPart

POLL_S = 1.0
FIELDS = ("id", "name", "status", "verdict", "reason", "endpoints", "created_at", "started_at", "ended_at", "progress")

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]

app = typer.Typer(no_args_is_help=True)


@app.command()
def start(
    *,
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="The plan, YAML or JSON; account files are read here.")],
    name: Annotated[str | None, typer.Option(help="In place of the plan's own name.")] = None,
    set_: SetOption = None,
    baseline: BaselineOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the run is over, as `cmw runs wait`.")] = False,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> int:
    """Start a run and print its id."""
    from cmw.cli.plan_file import read_plan

    wanted = read_plan(plan, plan_variables(set_), read_summary(baseline) if baseline else None)
    body = {"plan": wanted.to_document(), "name": name}
    with connect(gateway, api_key_file, ca_file) as client:
        return started(client, client.post("/runs", body), wait, as_json)


@app.command("list")
def list_runs(
    *,
    status: Annotated[RunStatus | None, typer.Option(help="Only those with this status.")] = None,
    search: Annotated[
        str | None, typer.Option(help="The steps of the search with this id; other lists are without steps.")
    ] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs, the latest first."""
    with connect(gateway, api_key_file, ca_file) as client:
        found = list(client.all("/runs", status=status.value if status else None, search=search))
    if as_json:
        print_json(found)
        return
    print_table(
        ("ID", "NAME", "STATUS", "VERDICT", "ENDPOINTS", "CREATED", "REASON"),
        (
            (run["id"], run["name"], run["status"], run["verdict"], run["endpoints"], to_second(run["created_at"]),
             run["reason"])
            for run in found
        ),
    )  # fmt: skip


@app.command("show")
def show_run(
    *,
    run: RunArgument,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a run with its progress and its workers."""
    with connect(gateway, api_key_file, ca_file) as client:
        _print_run(client.get(f"/runs/{run}"), as_json)


@app.command()
def stop(
    *,
    run: RunArgument,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a run early: calls are hung up, and what was measured is reported."""
    with connect(gateway, api_key_file, ca_file) as client:
        _print_run(client.post(f"/runs/{run}/stop"), as_json)


@app.command()
def delete(
    *,
    run: RunArgument,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a run that is over with its summary, endpoints and samples."""
    with connect(gateway, api_key_file, ca_file) as client:
        gone = client.delete(f"/runs/{run}")
    if as_json:
        print_json(gone)
    else:
        print(f"deleted {run}")


@app.command()
def wait(
    *,
    run: RunArgument,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> int:
    """Wait until a run is over, and end with its exit code: 0, 1, 75, 97 or 99 as `cmw run`.

    A gateway that goes away meanwhile is waited for; progress goes to stderr.
    """
    with connect(gateway, api_key_file, ca_file) as client:
        return _wait(client, run, as_json)


@app.command()
def watch(
    *,
    run: RunArgument,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> int:
    """Tell of a run as it goes on, on stderr, and end with its exit code like `cmw runs wait`.

    The gateway tells of each change by itself; one that goes away meanwhile is waited for.
    """
    with connect(gateway, api_key_file, ca_file) as client:
        return _watch(client, run, as_json)


@app.command()
def summary(
    *,
    run: RunArgument,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the summary of a run that is over."""
    with connect(gateway, api_key_file, ca_file) as client:
        found = client.get(f"/runs/{run}/summary")
    if as_json:
        print_json(found)
        return
    from cmw.cli.console import Terminal
    from cmw.cli.summary_table import print_summary
    from cmw.load.summary import Summary

    print_summary(Summary.model_validate(found), None, Terminal())


@app.command()
def endpoints(
    *,
    run: RunArgument,
    outcome: Annotated[str | None, typer.Option(help="Only those with this outcome.")] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List how the endpoints of a run ended."""
    with connect(gateway, api_key_file, ca_file) as client:
        found = list(client.all(f"/runs/{run}/endpoints", outcome=outcome))
    if as_json:
        print_json(found)
        return
    print_table(
        ("INDEX", "NAME", "WORKER", "PHASE", "OUTCOME", "BLAME", "STATUS", "REASON"),
        (
            (e["index"], e["name"], e["worker"], e["phase"], e["outcome"], e["blame"], e["call"]["status_code"] or None,
             e["reason"])
            for e in found
        ),
    )  # fmt: skip


@app.command()
def samples(
    *,
    run: RunArgument,
    endpoint: Annotated[int | None, typer.Option(help="Only those of the endpoint with this index.")] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the samples of a run as CSV, a line for each endpoint and second."""
    with connect(gateway, api_key_file, ca_file) as client:
        lines = _sample_lines(client, run, endpoint)
        if as_json:
            _print_rows(csv.DictReader(lines))
            return
        for line in lines:
            print(line)


@app.command()
def evidence(
    *,
    run: RunArgument,
    endpoint: Annotated[
        int | None, typer.Option(help="Print the messages of the endpoint with this index, as they went by.")
    ] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the endpoints of a run whose SIP messages are kept, or print the messages of one."""
    with connect(gateway, api_key_file, ca_file) as client:
        if endpoint is None:
            kept = list(client.all(f"/runs/{run}/evidence"))
            if as_json:
                print_json(kept)
                return
            keys = ("endpoint", "name", "messages", "messages_left_out")
            print_table(("INDEX", "NAME", "MESSAGES", "LEFT OUT"), ([one[key] for key in keys] for one in kept))
            return
        found = client.get(f"/runs/{run}/evidence/{endpoint}")
    if as_json:
        print_json(found)
        return
    from cmw.cli.evidence_page import messages_text
    from cmw.load.evidence import Evidence

    for line in messages_text(Evidence.model_validate(found)).splitlines():
        print(show(line))


@app.command()
def report(
    *,
    run: RunArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write it.")],
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    samples: SamplesOption = SamplesFormat.CSV,
    as_json: JsonOption = False,
) -> None:
    """Write the report directory of a run that is over: summary, endpoints, samples, evidence, page.

    Each step of a search has a directory of its own inside.
    """
    with connect(gateway, api_key_file, ca_file) as client:
        for step in (client.get(f"/runs/{run}/summary").get("search") or {}).get("steps", ()):
            _write_report(client, step["run_id"], output / step["report"], samples)
        _write_report(client, run, output, samples)
    if as_json:
        print_json({"directory": str(output)})
    else:
        print(output)


def _write_report(client: ApiClient, run: str, directory: Path, samples: SamplesFormat) -> None:
    from cmw.cli.report_files import write_report
    from cmw.load.packets import EvidencePackets, read_packets

    found = client.get(f"/runs/{run}/summary")
    ended = client.all(f"/runs/{run}/endpoints")
    rows = csv.DictReader(_sample_lines(client, run, None))
    keys = [name for name in rows.fieldnames or () if name not in SAMPLE_HEAD]
    kept = [client.get(f"/runs/{run}/evidence/{one['endpoint']}") for one in client.all(f"/runs/{run}/evidence")]

    async def packets_of(endpoint: int) -> list[EvidencePackets]:
        parts = map(read_packets, client.get(f"/runs/{run}/evidence/{endpoint}/packets"))
        return [part for part in parts if part is not None]

    parquet = _parquet_pieces(client, run) if samples is SamplesFormat.PARQUET else None
    asyncio.run(write_report(directory, found, ended, keys, _as_they_come(rows), kept, packets_of, parquet))


async def _parquet_pieces(client: ApiClient, run: str) -> AsyncIterator[bytes]:
    for piece in client.pieces(f"/runs/{run}/samples", format="parquet"):
        yield piece


def started(client: ApiClient, run: dict[str, Any], wait: bool, as_json: bool) -> int:
    """Tell of a run that was started, at once or when it is over, and return the exit code."""
    if wait:
        return _wait(client, run["id"], as_json)
    if as_json:
        print_json(run)
    else:
        print(run["id"])
    return ExitCode.PASSED


def _wait(client: ApiClient, run_id: str, as_json: bool) -> int:
    said = ""
    is_known = False
    steps = StepsTold()
    while True:
        try:
            run = client.get(f"/runs/{run_id}")
        except ConnectionError as error:
            if not is_known:
                raise
            line, run = f"{error}; trying again", None
        else:
            is_known, line = True, _progress_line(run)
            _tell_steps(steps, run)
        if line != said:
            print(line, file=sys.stderr, flush=True)
            said = line
        if run is not None and RunStatus(run["status"]).is_final:
            _print_run(run, as_json)
            return ExitCode.INTERNAL_ERROR if run["exit_code"] is None else int(run["exit_code"])
        time.sleep(POLL_S)


def _watch(client: ApiClient, run_id: str, as_json: bool) -> int:
    found: dict[str, Any] | None = None
    steps = StepsTold()
    while found is None or not RunStatus(found["status"]).is_final:
        try:
            for found in client.events(f"/runs/{run_id}/events"):
                _tell_steps(steps, found)
                print(_second_line(found), file=sys.stderr, flush=True)
        except ConnectionError as error:
            if found is None:
                raise
            print(f"{error}; trying again", file=sys.stderr, flush=True)
        if found is None or not RunStatus(found["status"]).is_final:
            time.sleep(POLL_S)
    _print_run(found, as_json)
    return ExitCode.INTERNAL_ERROR if found["exit_code"] is None else int(found["exit_code"])


def _tell_steps(steps: StepsTold, run: dict[str, Any]) -> None:
    if run["search"] is not None:
        for _, line in steps.news(SearchPart.model_validate(run["search"])):
            print(line, file=sys.stderr, flush=True)


def _second_line(run: dict[str, Any]) -> str:
    second = run["progress"].get("second")
    return _progress_line(run) + ("" if second is None else f"  second={second}")


def _progress_line(run: dict[str, Any]) -> str:
    """Return one line about a run that goes on; what changes every second by itself is left out."""
    from cmw.cli.run_figures import quality_text

    progress = {key: value for key, value in run["progress"].items() if key not in ("second", "quality")}
    return f"{run['status']}  {show(progress)}  {quality_text(run['progress'])}".rstrip()


def _sample_lines(client: ApiClient, run_id: str, endpoint: int | None) -> Iterator[str]:
    return client.lines(f"/runs/{run_id}/samples", format="csv", endpoint=endpoint)


async def _as_they_come(rows: Iterator[dict[str, str]]) -> AsyncIterator[dict[str, int | float | None]]:
    """Yield the rows of a table with numbers in them, None where a cell is empty."""
    for row in rows:
        yield _numbers(row)


def _print_rows(rows: Iterator[dict[str, str]]) -> None:
    """Print one JSON array without holding it: a run may have millions of rows."""
    separator = "["
    for row in rows:
        sys.stdout.write(separator + "\n" + json.dumps(_numbers(row)))
        separator = ","
    sys.stdout.write("[]\n" if separator == "[" else "\n]\n")


def _numbers(row: dict[str, str]) -> dict[str, int | float | None]:
    return {name: _number(text) for name, text in row.items()}


def _number(text: str) -> int | float | None:
    if not text:
        return None
    return int(text) if text.isdigit() else float(text)


def _print_run(run: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(run)
        return
    print_fields(run, FIELDS)
    if run["workers"]:
        print_table(
            ("WORKER", "STATE", "ENDPOINTS", "REASON"),
            ((part["worker_name"], part["state"], part["endpoints"], part["reason"]) for part in run["workers"]),
        )

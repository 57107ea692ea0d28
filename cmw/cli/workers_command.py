"""`cmw workers`: create, list and manage workers on a gateway."""

from __future__ import annotations

from collections.abc import Callable
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
from cmw.cli.tables import print_fields, print_json, print_table, to_second
from cmw.errors import CommandError

FIELDS = (
    "id", "name", "configured_name", "region", "labels", "state", "fault", "enabled", "draining", "capacity",
    "configured_capacity", "active_endpoints", "token_prefix", "created_at", "last_seen_at", "version", "host",
    "sip_ip", "media_ip", "engine", "load",
)  # fmt: skip

WorkerArgument = Annotated[str, typer.Argument(metavar="WORKER", help="Its id, or the name it was created with.")]

LabelOption = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="What runs choose by; all labels, again for each."),
]

app = typer.Typer(no_args_is_help=True)


@app.command()
def create(
    *,
    name: Annotated[str, typer.Argument(help="What people call it.")],
    capacity: Annotated[int, typer.Option(help="Endpoints it may have at once.")] = 100,
    region: Annotated[str | None, typer.Option(help="Where it is, for runs that choose by it.")] = None,
    label: LabelOption = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a worker and print its token, which is shown only once."""
    body = {"name": name, "capacity": capacity, "region": region, "labels": _labels(label)}
    with connect(gateway, api_key_file, ca_file) as client:
        _print_token(client.post("/workers", body), as_json)


@app.command("list")
def list_workers(
    *,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the workers."""
    with connect(gateway, api_key_file, ca_file) as client:
        found = list(client.all("/workers"))
    if as_json:
        print_json(found)
        return
    print_table(
        ("ID", "NAME", "STATE", "ENDPOINTS", "CAPACITY", "VERSION", "LAST SEEN"),
        (
            (one["id"], one["name"], _state(one), one["active_endpoints"], one["capacity"], one["version"],
             to_second(one["last_seen_at"]))
            for one in found
        ),
    )  # fmt: skip


def _state(worker: dict[str, Any]) -> str:
    """Return the state, and what was decided over the worker where the state does not say it."""
    words = [worker["state"], *(word for word, holds in _decided(worker) if holds and word.upper() != worker["state"])]
    return ", ".join(words)


def _decided(worker: dict[str, Any]) -> tuple[tuple[str, bool], ...]:
    return ("disabled", not worker["enabled"]), ("draining", worker["draining"])


@app.command()
def show(
    *,
    worker: WorkerArgument,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a worker."""
    with connect(gateway, api_key_file, ca_file) as client:
        _print_worker(client.get(f"/workers/{_id(client, worker)}"), as_json)


@app.command("set")
def change(
    *,
    worker: WorkerArgument,
    name: Annotated[str | None, typer.Option(help="Its new name; its own WORKER_NAME counts before it.")] = None,
    capacity: Annotated[int | None, typer.Option(help="Endpoints it may have at once.")] = None,
    region: Annotated[str | None, typer.Option(help="Where it is; empty for nowhere in particular.")] = None,
    label: LabelOption = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change name, capacity, region or labels of a worker; what is not named stays."""
    said = {"name": name, "capacity": capacity, "labels": _labels(label) or None}
    body: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
    if region is not None:
        body["region"] = region or None
    with connect(gateway, api_key_file, ca_file) as client:
        _print_worker(client.patch(f"/workers/{_id(client, worker)}", body), as_json)


def _add_order(name: str, help_text: str, show: Callable[[Any, bool], None]) -> None:
    """Add a command that gives one order about one worker and shows the worker as it is then."""

    @app.command(name, help=help_text)
    def order(
        *,
        worker: WorkerArgument,
        gateway: GatewayOption = DEFAULT_GATEWAY,
        api_key_file: ApiKeyFileOption = None,
        ca_file: CaFileOption = None,
        as_json: JsonOption = False,
    ) -> None:
        with connect(gateway, api_key_file, ca_file) as client:
            show(client.post(f"/workers/{_id(client, worker)}/{name}"), as_json)


@app.command()
def delete(
    *,
    worker: WorkerArgument,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a worker; the results of its runs stay."""
    with connect(gateway, api_key_file, ca_file) as client:
        gone = client.delete(f"/workers/{_id(client, worker)}")
    if as_json:
        print_json(gone)
    else:
        print(f"deleted {worker}")


def _id(client: ApiClient, worker: str) -> str:
    return client.named("/workers", worker, "worker")


def _labels(texts: list[str] | None) -> dict[str, str]:
    texts = texts or []
    labels = dict(text.partition("=")[::2] for text in texts)
    if bad := [text for text in texts if "=" not in text]:
        raise CommandError("INVALID_REQUEST", f"--label: expected KEY=VALUE, found {bad[0]!r}")
    return labels


def _print_worker(worker: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(worker)
    else:
        print_fields(worker, FIELDS)


def _print_token(worker: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(worker)
        return
    print_fields(worker, ("id", "name", "capacity", "token"))
    print("\nThe token is not shown again: give it to the worker as WORKER_TOKEN now.")


_add_order(
    "regenerate", "Give a worker a new token and print it; the old one is worth nothing from here on.", _print_token
)
_add_order("enable", "Let a worker connect and take runs: undoes disable and drain.", _print_worker)
_add_order("drain", "Let a worker finish what it has and take no new runs, until it is enabled.", _print_worker)
_add_order("disable", "Let a worker connect no more, and end its link at once.", _print_worker)

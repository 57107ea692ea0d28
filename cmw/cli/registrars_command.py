"""`cmw registrars`: SIP servers of a project, and the accounts there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cmw.cli.accounts_file import read_accounts
from cmw.cli.api_client import (
    DEFAULT_GATEWAY,
    ApiClient,
    ApiKeyFileOption,
    CaFileOption,
    GatewayOption,
    JsonOption,
    ProjectOption,
    connect,
)
from cmw.cli.tables import print_fields, print_json, print_table, to_second

FIELDS = ("id", "name", "settings", "account_count", "created_at", "updated_at")

RegistrarArgument = Annotated[str, typer.Argument(metavar="REGISTRAR", help="Its name or its id.")]
AccountsOption = Annotated[
    Path | None,
    typer.Option("--accounts", metavar="FILE", help="CSV: username,password[,realm[,auth_username]]."),
]

app = typer.Typer(no_args_is_help=True)


@app.command()
def create(
    *,
    name: Annotated[str, typer.Argument(help="What plans of the project name it by.")],
    project: ProjectOption,
    domain: Annotated[str, typer.Option(help="Host name or address.")],
    port: Annotated[int | None, typer.Option(help="By transport or DNS when not given.")] = None,
    transport: Annotated[str, typer.Option(help="udp, tcp, tls, ws or wss.")] = "udp",
    outbound_proxy: Annotated[str | None, typer.Option(metavar="URI", help="Where everything goes first.")] = None,
    accounts: AccountsOption = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a registrar; what else a plan can say of one, such as its TLS, takes the API."""
    said = {"domain": domain, "port": port, "transport": transport, "outbound_proxy": outbound_proxy}
    settings: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
    if accounts is not None:
        settings["accounts"] = _documents(accounts)
    with connect(gateway, api_key_file, ca_file) as client:
        _print(client.post(_path(project), {"name": name, "settings": settings}), as_json)


@app.command("list")
def list_registrars(
    *,
    project: ProjectOption,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the registrars of a project."""
    with connect(gateway, api_key_file, ca_file) as client:
        found = list(client.all(_path(project)))
    if as_json:
        print_json(found)
        return
    print_table(
        ("NAME", "DOMAIN", "TRANSPORT", "ACCOUNTS", "UPDATED"),
        (
            (one["name"], one["settings"]["domain"], one["settings"]["transport"], one["account_count"],
             to_second(one["updated_at"]))
            for one in found
        ),
    )  # fmt: skip


@app.command()
def show(
    *,
    registrar: RegistrarArgument,
    project: ProjectOption,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a registrar."""
    with connect(gateway, api_key_file, ca_file) as client:
        _print(client.get(_own(client, project, registrar)), as_json)


@app.command("add-accounts")
def add_accounts(
    *,
    registrar: RegistrarArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV: username,password[,realm[,auth_username]].")],
    project: ProjectOption,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add the SIP accounts of a file: all of them, or none when one is wrong."""
    body = {"accounts": _documents(file)}
    with connect(gateway, api_key_file, ca_file) as client:
        added = client.post(f"{_own(client, project, registrar)}/accounts", body)
    if as_json:
        print_json(added)
    else:
        print(f"added {added['accounts']}")


@app.command()
def delete(
    *,
    registrar: RegistrarArgument,
    project: ProjectOption,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a registrar and its accounts, unless a test needs it."""
    with connect(gateway, api_key_file, ca_file) as client:
        gone = client.delete(_own(client, project, registrar))
    if as_json:
        print_json(gone)
    else:
        print(f"deleted {registrar}")


def _path(project: str) -> str:
    return f"/projects/{project}/registrars"


def _own(client: ApiClient, project: str, registrar: str) -> str:
    return f"{_path(project)}/{client.named(_path(project), registrar, 'registrar')}"


def _documents(file: Path) -> list[dict[str, Any]]:
    return [
        account.model_dump(mode="json", exclude_none=True, context={"reveal": True}) for account in read_accounts(file)
    ]


def _print(registrar: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(registrar)
    else:
        print_fields(registrar, FIELDS)

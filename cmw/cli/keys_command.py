"""`cmw keys`: the API keys of a gateway."""

from __future__ import annotations

from typing import Annotated

import typer

from cmw.cli.api_client import (
    DEFAULT_GATEWAY,
    ApiKeyFileOption,
    CaFileOption,
    GatewayOption,
    JsonOption,
    connect,
)
from cmw.cli.tables import print_fields, print_json, print_table, to_second

app = typer.Typer(no_args_is_help=True)


@app.command()
def create(
    *,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    role: Annotated[str, typer.Option(help="viewer, tester, editor or admin; not more than your own.")] = "viewer",
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create an API key and print it; it is shown only once."""
    with connect(gateway, api_key_file, ca_file) as client:
        made = client.post("/keys", {"name": name, "role": role})
    if as_json:
        print_json(made)
        return
    print_fields(made, ("id", "name", "role", "key"))
    print("\nThe key is not shown again.")


@app.command("list")
def list_keys(
    *,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the API keys, without the keys themselves."""
    with connect(gateway, api_key_file, ca_file) as client:
        found = list(client.all("/keys"))
    if as_json:
        print_json(found)
        return
    print_table(
        ("ID", "NAME", "ROLE", "PREFIX", "CREATED"),
        ((one["id"], one["name"], one["role"], one["key_prefix"], to_second(one["created_at"])) for one in found),
    )


@app.command()
def delete(
    *,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id.")],
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have an API key open nothing any more."""
    with connect(gateway, api_key_file, ca_file) as client:
        gone = client.delete(f"/keys/{key}")
    if as_json:
        print_json(gone)
    else:
        print(f"deleted {key}")

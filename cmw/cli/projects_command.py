"""`cmw projects`: what registrars, SIP accounts and tests belong to."""

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

FIELDS = ("id", "slug", "name", "test_count", "registrar_count", "created_at")

app = typer.Typer(no_args_is_help=True)

ProjectArgument = Annotated[str, typer.Argument(metavar="PROJECT", help="Its slug or its id.")]


@app.command()
def create(
    *,
    name: Annotated[str, typer.Argument(help="What people call it; its slug is made of it.")],
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a project."""
    with connect(gateway, api_key_file, ca_file) as client:
        made = client.post("/projects", {"name": name})
    if as_json:
        print_json(made)
    else:
        print_fields(made, FIELDS)


@app.command("list")
def list_projects(
    *,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the projects."""
    with connect(gateway, api_key_file, ca_file) as client:
        found = list(client.all("/projects"))
    if as_json:
        print_json(found)
        return
    print_table(
        ("SLUG", "NAME", "TESTS", "REGISTRARS", "CREATED"),
        (
            (one["slug"], one["name"], one["test_count"], one["registrar_count"], to_second(one["created_at"]))
            for one in found
        ),
    )


@app.command()
def delete(
    *,
    project: ProjectArgument,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a project with its registrars, accounts and tests; the results of its runs stay."""
    with connect(gateway, api_key_file, ca_file) as client:
        gone = client.delete(f"/projects/{project}")
    if as_json:
        print_json(gone)
    else:
        print(f"deleted {project}")

"""`cmw tests`: plans that are kept in a project of a gateway, to be run again and again."""

from __future__ import annotations

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
    ProjectOption,
    connect,
)
from cmw.cli.tables import print_fields, print_json, print_table, to_second

FIELDS = ("id", "name", "endpoints", "placement", "created_at", "updated_at")

TestArgument = Annotated[str, typer.Argument(metavar="TEST", help="Its name or its id.")]
PlanArgument = Annotated[
    Path, typer.Argument(metavar="PLAN", help="YAML or JSON; registrars that it does not have are the project's.")
]

app = typer.Typer(no_args_is_help=True)


@app.command()
def create(
    *,
    plan: PlanArgument,
    project: ProjectOption,
    name: Annotated[str | None, typer.Option(help="In place of the plan's own name.")] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep a plan as a test. Nothing is run."""
    from cmw.cli.plan_file import read_plan_document

    body = {"plan": read_plan_document(plan), "name": name}
    with connect(gateway, api_key_file, ca_file) as client:
        _print(client.post(_path(project), body), as_json)


@app.command("list")
def list_tests(
    *,
    project: ProjectOption,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the tests of a project."""
    with connect(gateway, api_key_file, ca_file) as client:
        found = list(client.all(_path(project)))
    if as_json:
        print_json(found)
        return
    print_table(
        ("ID", "NAME", "ENDPOINTS", "UPDATED"),
        ((one["id"], one["name"], one["endpoints"], to_second(one["updated_at"])) for one in found),
    )


@app.command()
def show(
    *,
    test: TestArgument,
    project: ProjectOption,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a test; with --json its plan too, secrets masked."""
    with connect(gateway, api_key_file, ca_file) as client:
        _print(client.get(_own(client, project, test)), as_json)


@app.command()
def update(
    *,
    test: TestArgument,
    plan: PlanArgument,
    project: ProjectOption,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put another plan in the place of a test's."""
    from cmw.cli.plan_file import read_plan_document

    body = {"plan": read_plan_document(plan)}
    with connect(gateway, api_key_file, ca_file) as client:
        _print(client.patch(_own(client, project, test), body), as_json)


@app.command()
def run(
    *,
    test: TestArgument,
    project: ProjectOption,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the run is over, as `cmw runs wait`.")] = False,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run a test with the accounts that its registrars have now, and print the id of the run."""
    from cmw.cli.runs_command import started

    with connect(gateway, api_key_file, ca_file) as client:
        return started(client, client.post(f"{_own(client, project, test)}/run"), wait, as_json)


@app.command()
def delete(
    *,
    test: TestArgument,
    project: ProjectOption,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    api_key_file: ApiKeyFileOption = None,
    ca_file: CaFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a test; its runs stay."""
    with connect(gateway, api_key_file, ca_file) as client:
        gone = client.delete(_own(client, project, test))
    if as_json:
        print_json(gone)
    else:
        print(f"deleted {test}")


def _path(project: str) -> str:
    return f"/projects/{project}/tests"


def _own(client: ApiClient, project: str, test: str) -> str:
    return f"{_path(project)}/{client.named(_path(project), test, 'test')}"


def _print(test: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(test)
    else:
        print_fields(test, FIELDS)

"""`cmw gateway`: the gateway as a program."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmw.cli.api_client import JsonOption, default_data_dir
from cmw.cli.exit_codes import ExitCode
from cmw.cli.first_process import adopt_orphans
from cmw.cli.tables import print_json
from cmw.cli.terminal import is_coloured
from cmw.core.address import Address
from cmw.errors import SettingsError
from cmw.net.service_manager import ServiceManager

if TYPE_CHECKING:
    from cmw.gateway.server import RunningServer

DEFAULT_LISTEN = "127.0.0.1:8443"

app = typer.Typer()

DataOption = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Where the state is. [default: ~/.local/share/cmw]")
]


@app.callback(invoke_without_command=True)
def gateway(
    context: typer.Context,
    *,
    listen: Annotated[
        str, typer.Option("--listen", metavar="IP:PORT", help="Where to listen; port 0 takes any.")
    ] = DEFAULT_LISTEN,
    data: DataOption = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key, PEM, unless it is in the same file.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen without TLS where others can reach it: tokens go in clear.")
    ] = False,
    keep_runs: Annotated[
        int | None, typer.Option(metavar="DAYS", min=1, help="Delete runs so long after their end. [default: never]")
    ] = None,
    keep_samples: Annotated[
        int | None, typer.Option(metavar="DAYS", min=1, help="Delete their samples before that. [default: never]")
    ] = None,
    log_level: Annotated[str, typer.Option(help="error, warn, info, debug or trace.")] = "info",
    log_format: Annotated[
        str, typer.Option(help="json or pretty. [default: pretty on a terminal, json otherwise]")
    ] = "",
) -> int:
    """Run the gateway that workers dial out to.

    The first start makes an API key, leaves it in the data directory and says where. Ends with 143 or 130 on SIGTERM or
    SIGINT, with 78 when the address, the data directory or the certificate cannot be used.
    """
    if context.invoked_subcommand is not None:
        context.obj = data
        return ExitCode.PASSED
    from cmw.worker.logs import LEVELS, configure_logging

    address = parse_listen(listen)
    check_exposure(address, has_tls=tls_cert is not None, insecure=insecure)
    if tls_key is not None and tls_cert is None:
        raise SettingsError("--tls-key: expected --tls-cert with it")
    chosen_format = log_format or ("pretty" if sys.stderr.isatty() else "json")
    if log_level not in LEVELS or chosen_format not in ("json", "pretty"):
        raise SettingsError(
            f"expected --log-level {'|'.join(LEVELS)} and --log-format json|pretty, found {log_level}, {log_format}"
        )
    configure_logging(log_level, chosen_format, sys.stderr, colours=is_coloured(sys.stderr))
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    import uvloop

    adopt_orphans()
    return uvloop.run(_run(address, data or default_data_dir(), tls_cert, tls_key, (keep_runs, keep_samples)))


@app.command()
def backup(
    context: typer.Context,
    *,
    target: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the copy; without a store so far.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the state of a gateway, which may be running, and check the copy: `cmw gateway --data DIR` starts on it.

    The copy has the key that secrets are encrypted with, unless that came by the environment: keep it as safe.
    """
    from cmw.gateway.backup import back_up

    made = back_up(data or context.obj or default_data_dir(), target)
    if as_json:
        print_json({"files": [str(path) for path in made]})
    else:
        print("\n".join(map(str, made)))


def parse_listen(text: str) -> Address:
    """Return the address of ``127.0.0.1:8443`` or ``[::1]:8443``; localhost is 127.0.0.1.

    Raises:
        SettingsError: anything else.
    """
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        host = ""
    if not host or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise SettingsError(f"--listen: expected an IP address and a port such as {DEFAULT_LISTEN}, found {text!r}")
    return Address(host, int(port))


def check_exposure(address: Address, *, has_tls: bool, insecure: bool) -> None:
    """Refuse to send tokens in clear over a network, unless that was asked for in so many words.

    Raises:
        SettingsError: the address is not loopback, and there is neither TLS nor --insecure.
    """
    if has_tls or insecure or ipaddress.ip_address(address.host).is_loopback:
        return
    raise SettingsError(
        f"--listen {address}: others can reach this address, and without TLS tokens and API keys travel in clear: "
        "expected --tls-cert and --tls-key, or --insecure for a lab"
    )


def read_secret_key(environment: Mapping[str, str]) -> str | None:
    """Return the key for secrets that the environment has or names a file of; None when it has neither.

    Raises:
        SettingsError: the file cannot be read.
    """
    if (key := environment.get("CMW_SECRET_KEY")) is not None:
        return key
    if (path := environment.get("CMW_SECRET_KEY_FILE")) is None:
        return None
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"CMW_SECRET_KEY_FILE: expected a file that can be read, found: {error}") from None


async def _run(
    address: Address,
    data_dir: Path,
    tls_cert: Path | None,
    tls_key: Path | None,
    kept_days: tuple[int | None, int | None],
) -> int:
    from cmw.gateway.retention import Kept
    from cmw.gateway.server import serve
    from cmw.gateway.service import Gateway

    kept = Kept(*kept_days)
    async with Gateway.open(data_dir, secret_key=read_secret_key(os.environ), kept=kept) as gateway:
        server = await serve(gateway, address.host, address.port, tls_cert=tls_cert, tls_key=tls_key)
        key_file = await gateway.api_keys.create_first(data_dir)
        if key_file is not None:
            print(f"cmw: the first API key is in {key_file}; only its owner can read it", file=sys.stderr)
            print("cmw: further keys: cmw keys create NAME --role viewer|tester|editor|admin", file=sys.stderr)
        print(f"cmw: gateway at {server.url}, data in {data_dir}", file=sys.stderr, flush=True)
        manager = ServiceManager()
        manager.ready(f"gateway at {server.url}")
        number = await _until_signal(server)
        manager.stopping()
        manager.close()
        await gateway.close_links()
        await server.stop()
    return 128 + number


async def _until_signal(server: RunningServer) -> int:
    """Wait for SIGTERM or SIGINT and return its number."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[int] = loop.create_future()

    def tell(number: int) -> None:
        if not told.done():
            told.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell, number)
    ended = asyncio.create_task(server.wait())
    either: list[asyncio.Future[Any]] = [told, ended]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not told.done():
        ended.result()
        raise RuntimeError("the server ended by itself")
    ended.cancel()
    return told.result()

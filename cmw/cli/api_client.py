"""The gateway's REST API as commands use it: where it is, which key opens it, and what its errors mean here."""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, NoReturn, Self
from urllib.parse import urlsplit

import httpx
import typer

from cmw.errors import AuthenticationError, CommandError, SettingsError

DEFAULT_GATEWAY = "http://127.0.0.1:8443"
TIMEOUT_S = 30.0
PER_PAGE = 500

Json = dict[str, Any]

GatewayOption = Annotated[
    str, typer.Option("--gateway", envvar="CMW_GATEWAY", metavar="URL", help="Where the gateway's API is.")
]
ApiKeyFileOption = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        metavar="FILE",
        help="File with the API key; else CMW_API_KEY, CMW_API_KEY_FILE, or the gateway's default directory.",
    ),
]
CaFileOption = Annotated[
    Path | None,
    typer.Option("--ca-file", envvar="CMW_CA_FILE", metavar="FILE", help="CA certificates of an https gateway, PEM."),
]
ProjectOption = Annotated[
    str, typer.Option("--project", envvar="CMW_PROJECT", metavar="PROJECT", help="Its slug or its id.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def default_data_dir() -> Path:
    """Return where `cmw gateway` keeps its state unless told otherwise."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "cmw"


def read_api_key(file: Path | None) -> str:
    """Return the API key from the file named, the environment, or the default directory.

    Raises:
        SettingsError: no key, or a file that cannot be read.
    """
    if file is None and (key := os.environ.get("CMW_API_KEY")):
        return key.strip()
    named = file or (Path(path) if (path := os.environ.get("CMW_API_KEY_FILE")) else None)
    chosen = named or default_data_dir() / "api-key"
    try:
        return chosen.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        hint = "" if named else "; name it by --api-key-file, CMW_API_KEY_FILE or CMW_API_KEY"
        raise SettingsError(f"{chosen}: expected a file with an API key, found: {_why(error)}{hint}") from None


class ApiClient:
    """A connection to the API; a context manager.

    Every method returns the `data` of the answer, and raises AuthenticationError (the key was refused), SettingsError
    (the plan is wrong), CommandError (the request cannot be carried out) or ConnectionError (the gateway is away).
    """

    def __init__(self, gateway: str, api_key: str, ca_file: Path | None = None) -> None:
        self._gateway = gateway.rstrip("/")
        parts = urlsplit(self._gateway)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"--gateway: expected a URL such as {DEFAULT_GATEWAY}, found {gateway!r}")
        self._client = httpx.Client(
            base_url=f"{self._gateway}/api/v1",
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=TIMEOUT_S,
            verify=_trust(ca_file) if ca_file is not None else True,
            trust_env=parts.hostname not in ("127.0.0.1", "::1", "localhost"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        """Return one object."""
        return self._call("GET", path, query)["data"]

    def post(self, path: str, body: Json | None = None) -> Any:
        """Ask for an action."""
        return self._call("POST", path, {}, body)["data"]

    def patch(self, path: str, body: Json) -> Any:
        """Change an object."""
        return self._call("PATCH", path, {}, body)["data"]

    def delete(self, path: str, **query: Any) -> Any:
        """Delete an object."""
        return self._call("DELETE", path, query)["data"]

    def named(self, path: str, name: str, kind: str) -> str:
        """Return the id of an object that is given by its id or by its name.

        Raises:
            CommandError: none has this name.
        """
        if re.fullmatch(r"[0-9a-f]{32}", name, re.ASCII):
            return name
        for one in self.all(path, name=name):
            if name == one.get("configured_name", one["name"]):
                return str(one["id"])
        raise CommandError("NOT_FOUND", f"there is no {kind} named {name!r}")

    def all(self, path: str, **query: Any) -> Iterator[Json]:
        """Yield every object of a list, page by page."""
        page = 1
        while True:
            body = self._call("GET", path, {**query, "page": page, "perPage": PER_PAGE})
            yield from body["data"]
            if page >= body["meta"]["pagination"]["totalPages"]:
                return
            page += 1

    def lines(self, path: str, **query: Any) -> Iterator[str]:
        """Yield the lines of a text that may be long."""
        with self._failures(), self._client.stream("GET", path, params=_given(query)) as response:
            if response.is_error:
                response.read()
                self._raise(response)
            yield from response.iter_lines()

    def pieces(self, path: str, **query: Any) -> Iterator[bytes]:
        """Yield a file that may be long, piece by piece."""
        with self._failures(), self._client.stream("GET", path, params=_given(query)) as response:
            if response.is_error:
                response.read()
                self._raise(response)
            yield from response.iter_bytes()

    def events(self, path: str) -> Iterator[Json]:
        """Yield the data of server-sent events until the gateway ends them."""
        for line in self.lines(path):
            field, _, value = line.partition(": ")
            if field == "data":
                found: Json = json.loads(value)
                yield found

    def _call(self, method: str, path: str, query: Json, body: Json | None = None) -> Json:
        with self._failures():
            response = self._client.request(method, path, params=_given(query), json=body)
        if response.is_error:
            self._raise(response)
        try:
            answer: Json = response.json()
            answer["data"], answer["meta"]
        except (ValueError, KeyError, TypeError):
            raise ConnectionError(f"{self._gateway} does not answer like a gateway of cmw") from None
        return answer

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise ConnectionError(f"cannot reach the gateway at {self._gateway}: {_why(error)}") from error

    def _raise(self, response: httpx.Response) -> NoReturn:
        try:
            problem: Json = response.json()["error"]
            code, message = str(problem["code"]), str(problem["message"])
        except (ValueError, KeyError, TypeError):
            raise ConnectionError(f"{self._gateway} answered HTTP {response.status_code}, not like a gateway") from None
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise AuthenticationError(f"the gateway refused the API key: {message}")
        if response.status_code == httpx.codes.FORBIDDEN:
            raise AuthenticationError(message)
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            raise ConnectionError(f"the gateway at {self._gateway}: {message}")
        if code == "INVALID_PLAN":
            raise SettingsError(message)
        raise CommandError(code, message)


def connect(gateway: str, api_key_file: Path | None, ca_file: Path | None) -> ApiClient:
    """Return a client for what the options of a command say."""
    return ApiClient(gateway, read_api_key(api_key_file), ca_file)


def _trust(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"--ca-file: expected certificates in PEM at {ca_file}, found: {_why(error)}") from None


def _given(query: Json) -> Json:
    return {name: value for name, value in query.items() if value is not None}


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__

"""Options of a Homer server, which commands with a worker of their own read as the worker reads its variables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from pydantic import SecretStr

from cmw.cli.document import read_text

DEFAULT_CAPTURE_ID = 2001
MAX_KEY_BYTES = 4096

HepTarget = Annotated[
    str | None,
    typer.Option(envvar="HEP_TARGET", help="Homer server to tell of SIP and RTCP by HEP3.", metavar="HOST:PORT"),
]
HepCaptureId = Annotated[
    int, typer.Option(envvar="HEP_CAPTURE_ID", help="Number by which it knows us.", metavar="NUMBER")
]
HepKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--hep-auth-key-file",
        envvar="HEP_AUTH_KEY_FILE",
        help="File with the key that it wants to see; HEP_AUTH_KEY has the key itself.",
        metavar="FILE",
    ),
]


class HepOptions(NamedTuple):
    """Where to tell of what passes; nowhere without a target."""

    target: str | None = None
    capture_id: int = DEFAULT_CAPTURE_ID
    key_file: Path | None = None

    def auth_key(self) -> SecretStr | None:
        """Return the key; that of the file, if there is one, goes before that of the environment.

        Raises:
            SettingsError: the file cannot be read.
        """
        if self.key_file is not None:
            return SecretStr(read_text(self.key_file, MAX_KEY_BYTES, "key").strip())
        key = os.environ.get("HEP_AUTH_KEY", "")
        return SecretStr(key) if key else None

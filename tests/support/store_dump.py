"""Make a store with results by real programs, and keep it as SQL: what the next version has to bring up to date.

`python -m tests.support.store_dump` writes `tests/gateway/stores/REVISION.sql` for the revision that the present `cmw`
makes. Do it before a migration is added; `tests/gateway/test_upgrade.py` asks for it.
"""

from __future__ import annotations

import base64
import platform
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any
from urllib.error import HTTPError

from tests.faults.lab import Lab

STORES = Path(__file__).parents[1] / "gateway" / "stores"
KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
"""What every store that is kept here has its secrets encrypted with."""

PASSWORD = "kept-under-that-key"
PATIENCE_S = 120

PLAN: dict[str, Any] = {
    "version": 1,
    "name": "before",
    "duration": "4s",
    "thresholds": {"call_success": ["rate >= 0.5"]},
}


def prepare(data: Path) -> None:
    """Make the directory of a gateway with the key of the stores that are kept."""
    data.mkdir(parents=True)
    key = data / "secret.key"
    key.write_text(KEY)
    key.chmod(0o600)


def calls(target: str, endpoints: int) -> dict[str, Any]:
    return {"endpoints": endpoints, "call": {"uri": target}, "load": {"arrivals": "all-at-once"}}


def make(directory: Path) -> Path:
    """Leave a store with a run that has ended and one that was cut off; return its file."""
    lab = Lab(directory, 30)
    prepare(lab.data)
    with lab:
        callee, refuses = lab.start_callee(), lab.start_callee("--reject", "486", host=3)
        _, token = lab.create_worker()
        worker = lab.start_worker(token)
        worker.event("link open")
        groups = {"answered": calls(callee.target, 2), "refused": calls(refuses.target, 1)}
        _keep_a_test(lab)
        lab.until_over(lab.call("POST", "/runs", {"plan": PLAN | {"groups": groups}})["id"])
        _wait_until_packed(lab.data / "gateway.db")
        plan = PLAN | {"name": "cut off", "duration": "60s", "groups": {"answered": groups["answered"]}}
        run_id = lab.call("POST", "/runs", {"plan": plan})["id"]
        lab.until_in_call(run_id, 2)
        lab.gateway.kill()
        worker.program.kill()
    return lab.data / "gateway.db"


def _keep_a_test(lab: Lab) -> None:
    """Have a project with a registrar, an account with a password and a test, where the version has projects."""
    settings = {"domain": "127.40.30.4", "accounts": [{"username": "alice", "password": PASSWORD}]}
    group = {"endpoints": 1, "registrar": "pbx", "call": {"uri": "sip:bob@127.40.30.4"}}
    try:
        lab.call("POST", "/projects", {"name": "lab"})
    except HTTPError as error:
        if error.code == 404:
            return
        raise
    lab.call("POST", "/projects/lab/registrars", {"name": "pbx", "settings": settings})
    lab.call("POST", "/projects/lab/tests", {"plan": PLAN | {"name": "kept", "groups": {"callers": group}}})


def _wait_until_packed(store: Path) -> None:
    """Wait until the samples of a run that is over are in blocks, as they soon are, if the store has any."""
    with closing(sqlite3.connect(store)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sample_blocks'").fetchone():
            return
        for _ in range(PATIENCE_S):
            if connection.execute("SELECT 1 FROM sample_blocks").fetchone():
                return
            Event().wait(1)
    raise AssertionError("the samples were not packed")


def dump(store: Path) -> tuple[str, str]:
    """Return the revision of a store, and all of it as SQL."""
    with closing(sqlite3.connect(store)) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        text = "\n".join(connection.iterdump()) + "\n"
    return revision, text.replace(f'"host": "{platform.node()}"', '"host": "lab"')


def restore(revision: str, data: Path) -> None:
    """Lay the store that is kept of a revision into a new directory of a gateway."""
    prepare(data)
    with closing(sqlite3.connect(data / "gateway.db")) as connection:
        connection.executescript((STORES / f"{revision}.sql").read_text())


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        revision, text = dump(make(Path(directory)))
    STORES.mkdir(exist_ok=True)
    (STORES / f"{revision}.sql").write_text(text)
    print(f"wrote {revision}.sql, {len(text)} characters")


if __name__ == "__main__":
    main()

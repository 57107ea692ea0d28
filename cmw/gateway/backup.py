"""A copy of a gateway's directory, made while the gateway works."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from cmw.errors import SettingsError
from cmw.gateway.api_keys import API_KEY_FILE
from cmw.gateway.database import DATABASE_FILE
from cmw.gateway.vault import KEY_FILE, write_private


def back_up(data_dir: Path, target: Path) -> list[Path]:
    """Copy what a gateway needs into a new directory, and check the copy; return its files.

    The store is copied as it is at one instant (SQLite's online backup); who writes to it meanwhile is not held up.

    Raises:
        SettingsError: there is no store, the target is in use or cannot be written, or the store is damaged.
    """
    source = data_dir / DATABASE_FILE
    if not source.is_file():
        raise SettingsError(f"{source}: expected the store of a gateway, found none")
    copy = target / DATABASE_FILE
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if copy.exists():
            raise SettingsError(f"{copy}: expected a directory without a store, found one")
        made = [_copy_store(source, copy)]
        for name in (KEY_FILE, API_KEY_FILE):
            if (data_dir / name).exists():
                write_private(target / name, (data_dir / name).read_bytes())
                made.append(target / name)
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(f"{target}: cannot make a backup of {data_dir}: {error}") from error
    return made


def _copy_store(source: Path, copy: Path) -> Path:
    draft = copy.with_name(copy.name + ".new")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(draft)) as made:
        live.backup(made)
        found = made.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            draft.unlink()
            raise SettingsError(f"{source}: expected a sound store, found: {found}")
        made.execute("PRAGMA journal_mode=DELETE")  # one file, whatever reads it
    return draft.replace(copy)

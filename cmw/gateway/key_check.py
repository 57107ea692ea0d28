"""Whether the vault's key is the one that the store was written with, found out before a secret is asked for."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from cmw.gateway.database import Database
from cmw.gateway.tables import settings
from cmw.gateway.vault import Vault

NAME = "vault check"
KNOWN_TEXT = "cmw"


async def open_vault(database: Database, data_dir: Path, key: str | None) -> Vault:
    """Open the vault, and compare its key with what it made of a known text; the first start makes both.

    Raises:
        SettingsError: the key is missing, is none, or the store was written with another one.
    """
    row = await database.row(sa.select(settings.c.value).where(settings.c.name == NAME))
    vault = Vault.open(data_dir, key, may_make=row is None)
    if row is not None:
        vault.unseal(row["value"])
        return vault
    async with database.write() as connection:
        await connection.execute(settings.insert().values(name=NAME, value=vault.seal(KNOWN_TEXT)))
    return vault

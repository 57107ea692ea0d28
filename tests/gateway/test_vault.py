"""Secrets at rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmw.errors import SettingsError
from cmw.gateway.vault import KEY_FILE, Vault


def test_what_is_sealed_is_read_by_the_same_key_only(tmp_path: Path) -> None:
    sealed = Vault.open(tmp_path).seal("secret")
    assert b"secret" not in sealed
    assert Vault.open(tmp_path).unseal(sealed) == "secret"
    (tmp_path / KEY_FILE).unlink()
    with pytest.raises(SettingsError, match="expected the key that this store was written with"):
        Vault.open(tmp_path).unseal(sealed)


def test_the_key_is_its_owners(tmp_path: Path) -> None:
    Vault.open(tmp_path)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_a_broken_key_is_told(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"nonsense")
    with pytest.raises(SettingsError, match="expected a readable key"):
        Vault.open(tmp_path)

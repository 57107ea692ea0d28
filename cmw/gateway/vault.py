"""Secrets at rest: SIP passwords of runs that have not started yet, encrypted with a key beside the store.

The key is a file of its own (0600), so that a copy of the database alone gives nothing away.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from cmw.errors import SettingsError

KEY_FILE = "secret.key"


class Vault:
    """Encrypts and decrypts short documents with one key (AES-128-CBC and HMAC-SHA256, as Fernet)."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)

    @classmethod
    def open(cls, data_dir: Path) -> Vault:
        """Read the key of `data_dir`, or make one on first start.

        Raises:
            SettingsError: the key file cannot be read or is not a key.
        """
        path = data_dir / KEY_FILE
        try:
            if not path.exists():
                write_private(path, Fernet.generate_key() + b"\n")
            return cls(path.read_bytes().strip())
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path}: expected a readable key of 32 bytes in base64, found: {error}") from error

    def seal(self, text: str) -> bytes:
        """Encrypt `text`."""
        return self._fernet.encrypt(text.encode())

    def unseal(self, sealed: bytes) -> str:
        """Decrypt what `seal` gave.

        Raises:
            SettingsError: it was sealed with another key, or was damaged.
        """
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken as error:
            raise SettingsError(f"{KEY_FILE} is not the key that this store was written with") from error


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, completely or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)

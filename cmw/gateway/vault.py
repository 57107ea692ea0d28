"""Secrets at rest: SIP passwords and TLS keys, encrypted with a key that is not in the store.

The key is a file of its own (0600) or comes from outside, so that a copy of the database alone gives nothing away.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr

from cmw.errors import SettingsError

KEY_FILE = "secret.key"
KEY_VARIABLE = "CMW_SECRET_KEY"
MASK = str(SecretStr("x"))
"""What is shown in place of a secret."""


class Vault:
    """Encrypts and decrypts short documents with one key (AES-128-CBC and HMAC-SHA256, as Fernet)."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)

    @classmethod
    def open(cls, data_dir: Path, key: str | None = None, *, may_make: bool = True) -> Vault:
        """Take the key that is given, else read the one of `data_dir`, or make one if that may be.

        Raises:
            SettingsError: the key file cannot be read, or what is given or read is not a key.
        """
        if key is not None:
            try:
                return cls(key.strip().encode())
            except ValueError as error:
                raise SettingsError(f"{KEY_VARIABLE}: expected 32 bytes in URL-safe base64, found: {error}") from None
        path = data_dir / KEY_FILE
        try:
            if may_make and not path.exists():
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
            raise SettingsError(
                f"{KEY_FILE} or {KEY_VARIABLE}: expected the key that this store was written with, found another one"
            ) from error


def refuse_masks(document: object) -> None:
    """Refuse a document that was read from the API and written back: its secrets are not in it.

    Raises:
        SettingsError: it has the mask in place of a secret.
    """
    if document == MASK:
        raise SettingsError(f"found {MASK} in place of a secret, expected the secret itself")
    for value in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
        refuse_masks(value)


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

"""Worker tokens and API keys: made here, shown once, kept as SHA-256 only."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

WORKER_TOKEN = re.compile(r"cmw_[0-9a-f]{64}", re.ASCII)
API_KEY = re.compile(r"cmk_[0-9a-f]{32}", re.ASCII)
PREFIX_LENGTH = 12
"""Characters of a secret that are kept in clear for people to tell it by: the prefix and 32 of its bits."""


def new_worker_token() -> str:
    """Make a token of 68 characters: ``cmw_`` and 256 random bits as hex. Source: docs/worker.md, token format."""
    return f"cmw_{secrets.token_hex(32)}"


def new_api_key() -> str:
    """Make an API key of 36 characters: ``cmk_`` and 128 random bits as hex."""
    return f"cmk_{secrets.token_hex(16)}"


def digest(secret: str) -> str:
    """Return what the store keeps of a token or a key.

    A plain SHA-256 suffices: the secrets are random and long, so a slow hash would protect nothing.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def prefix(secret: str) -> str:
    """Return the part of a secret that may be shown."""
    return secret[:PREFIX_LENGTH]


def matches(secret: str, stored_sha256: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(digest(secret), stored_sha256)


def bearer(header: str) -> str:
    """Return the credential of an ``Authorization: Bearer`` header, or "" when it is of another form."""
    scheme, _, credential = header.partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""

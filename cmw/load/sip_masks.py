"""SIP messages without their secrets: for logs, for evidence, and for whoever is told of them."""

from __future__ import annotations

import re

_DIGEST = re.compile(r'(?i)\b(response|nonce|cnonce)(\s*=\s*)("[^"]*"|[^\s,]+)')
_REST = r"[ \t]+)([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)"
"""Of a header field, with lines that go on."""
_CREDENTIALS = re.compile(r"(?im)^((?:proxy-)?authorization[ \t]*:[ \t]*)(\w+)(" + _REST)
_CHALLENGE = re.compile(r"(?im)^((?:www|proxy)-authenticate[ \t]*:[ \t]*\w+)(" + _REST)
_PROOF = re.compile(r"(?im)^((?:proxy-)?authentication-info[ \t]*:)([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)")
_PROOF_PARTS = re.compile(r'(?i)\b(rspauth|nextnonce|cnonce)(\s*=\s*)("[^"]*"|[^\s,]+)')
"""What a server answers to a digest helps to guess the password as well. Source: RFC 7616 3.5."""
_KEYS = re.compile(r"(?im)^(a=crypto:\S+ \S+ inline:|a=key-mgmt:\S+ |k=\w+:)\S+")
_USERINFO = re.compile(r"(?<![^\s@<>;])[^\s@<>;]++@")
"""What stands before an @, from its beginning on: nothing of a message is looked at twice, whatever it is made of."""
_URI_PASSWORD = re.compile(r"(?i)(\bsips?:[^:]+):.")


def mask(text: str) -> str:
    """Return a SIP message without what opens doors: answers to challenges, media keys, passwords in URIs."""
    text = _CREDENTIALS.sub(_mask_credentials, text)
    text = _CHALLENGE.sub(lambda found: found[1] + found[2] + _DIGEST.sub(r"\1\2***", found[3]), text)
    return mask_beside_credentials(text)


def mask_beside_credentials(text: str) -> str:
    """Return a SIP message without media keys, passwords in URIs, and what a server proves itself by."""
    text = _PROOF.sub(lambda found: found[1] + _PROOF_PARTS.sub(r"\1\2***", found[2]), text)
    return _USERINFO.sub(_mask_password, _KEYS.sub(r"\1***", text))


def shows_password(text: str) -> bool:
    """Tell whether a SIP message has a password in a URI."""
    return any(_URI_PASSWORD.search(found[0][:-1]) for found in _USERINFO.finditer(text))


def _mask_password(found: re.Match[str]) -> str:
    userinfo = found[0][:-1]
    password = _URI_PASSWORD.search(userinfo)
    return found[0] if password is None else f"{userinfo[: password.start()]}{password[1]}:***@"


def _mask_credentials(found: re.Match[str]) -> str:
    """Leave of a digest what does not help to guess the password; of other schemes nothing."""
    is_digest = found[2].lower() == "digest"
    return found[1] + found[2] + found[3] + (_DIGEST.sub(r"\1\2***", found[4]) if is_digest else "***")

"""TLS of SIP connections: both contexts, and whom a certificate has to name. Source: RFC 3261 26.3; RFC 5922."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmw.errors import SettingsError
from cmw.sip.grammar import is_literal

SKIP_WARNING = "TLS certificates of SIP servers are not checked: whoever is on the way can read and change the calls"
"""What a program has to tell when `is_verified` is off."""

_MAX_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What TLS is set up with; no file's name or content is ever shown.

    Args:
        ca_file: PEM file of the only authorities to trust; the system's when None.
        certificate: PEM file of our certificate and its chain; a listener needs one.
        key: PEM file of its key; in `certificate` too when None.
        key_password: of an encrypted key.
        is_verified: whether the other side's certificate is checked; `SKIP_WARNING` is due when not.
        asks_client: whether a listener demands a certificate of its clients.
    """

    ca_file: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    key_password: str = field(default="", repr=False)
    is_verified: bool = True
    asks_client: bool = False


def client_context(settings: TlsSettings, *, checks_host: bool) -> ssl.SSLContext:
    """Return the context of connections that we open, TLS 1.2 or newer.

    Args:
        checks_host: the rules of HTTP for the name (WSS); else `check_identity` has to be called after the handshake.

    Raises:
        SettingsError: a file cannot be read or does not hold what it should.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = checks_host and settings.is_verified
    context.verify_mode = ssl.CERT_REQUIRED if settings.is_verified else ssl.CERT_NONE
    if settings.is_verified:
        _trust(context, settings.ca_file, ssl.Purpose.SERVER_AUTH)
    if settings.certificate is not None:
        _show(context, settings)
    return context


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return the context of a listener, TLS 1.2 or newer.

    Raises:
        SettingsError: there is no certificate, or a file does not hold what it should.
    """
    if settings.certificate is None:
        raise SettingsError("TLS certificate: not set, expected a PEM file, for a listener has to show one")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _show(context, settings)
    if settings.asks_client:
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, settings.ca_file, ssl.Purpose.CLIENT_AUTH)
    return context


def _trust(context: ssl.SSLContext, ca_file: str | None, purpose: ssl.Purpose) -> None:
    if ca_file is None:
        context.load_default_certs(purpose)
        return
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"TLS CA file: expected a PEM file of certificates ({_file_fault(error)})") from None


def _show(context: ssl.SSLContext, settings: TlsSettings) -> None:
    assert settings.certificate is not None
    for name, path in (("certificate", settings.certificate), ("key", settings.key)):
        if path is not None and not Path(path).is_file():
            raise SettingsError(f"TLS {name}: expected a PEM file, found none")
    try:
        context.load_cert_chain(settings.certificate, settings.key, password=lambda: settings.key_password)
    except OSError as error:
        raise SettingsError(
            f"TLS certificate and key: expected PEM files that belong together, "
            f"and the password of an encrypted key ({_file_fault(error)})"
        ) from None


def _file_fault(error: OSError) -> str:
    """Return what is wrong with a file, without its name."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").lower().replace("_", " ")
    return error.strerror or type(error).__name__


def check_identity(certificate: Mapping[str, Any], name: str) -> str:
    """Return why a certificate does not stand for a SIP domain, "" when it does. Source: RFC 5922 7.1, 7.2.

    A ``sip:`` URI among the alternative names counts before the DNS names there, the common name only where there are
    no alternative names. Names are compared without regard to letter case, and wildcards match nothing.

    Args:
        certificate: as `ssl.SSLSocket.getpeercert` returns it, verified already.
        name: SIP domain, or a literal address.
    """
    names: tuple[tuple[str, str], ...] = certificate.get("subjectAltName", ())
    found = _addresses(names) if is_literal(name) else _domains(names, certificate)
    wanted = _plain_address(name) if is_literal(name) else name.lower().rstrip(".")
    if wanted in found:
        return ""
    shown = ", ".join(repr(each) for each in (found or [value for _, value in names])[:_MAX_NAMES_SHOWN])
    return f"expected a certificate of {name!r}, found {f'one of {shown}' if shown else 'one that names nobody'}"


def _domains(names: tuple[tuple[str, str], ...], certificate: Mapping[str, Any]) -> list[str]:
    uris = [uri[4:].lower() for kind, uri in names if kind == "URI" and uri[:4].lower() == "sip:" and "@" not in uri]
    if uris:
        return [uri.partition(";")[0] for uri in uris]
    if names:
        return [value.lower().rstrip(".") for kind, value in names if kind == "DNS"]
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    return [value.lower() for key, value in subject if key == "commonName"]


def _addresses(names: tuple[tuple[str, str], ...]) -> list[str]:
    return [_plain_address(value) for kind, value in names if kind == "IP Address"]


def _plain_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return text


def tls_fault(error: BaseException, name: str) -> str:
    """Return what went wrong in a handshake in a few words.

    Args:
        name: whom we wanted to reach.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS certificate of {name} refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS with {name} failed: {(error.reason or str(error)).lower().replace('_', ' ')}"
    if isinstance(error, ConnectionError):
        return f"TLS with {name} failed: the connection was cut during the handshake"
    return f"TLS with {name} failed: {error or type(error).__name__}"

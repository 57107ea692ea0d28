"""Who a certificate stands for, and what is wrong with files."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmw.errors import SettingsError
from cmw.net.sip_tls import TlsSettings, check_identity, client_context, server_context
from tests.support.certificates import Authority


def certificate(*names: tuple[str, str], common_name: str = "") -> dict[str, Any]:
    subject = ((("commonName", common_name),),) if common_name else ()
    return {"subject": subject, **({"subjectAltName": names} if names else {})}


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        (certificate(("DNS", "example.com")), "example.com"),
        (certificate(("DNS", "EXAMPLE.com")), "Example.COM"),
        (certificate(("URI", "sip:example.com")), "example.com"),
        (certificate(("DNS", "a.example"), ("URI", "SIP:example.com")), "example.com"),
        (certificate(("URI", "https://x.example"), ("DNS", "example.com")), "example.com"),
        (certificate(("URI", "sip:bob@example.com"), ("DNS", "example.com")), "example.com"),
        (certificate(common_name="example.com"), "example.com"),
        (certificate(("IP Address", "192.0.2.1")), "192.0.2.1"),
        (certificate(("IP Address", "2001:DB8:0:0:0:0:0:1")), "2001:db8::1"),
    ],
)
def test_a_certificate_that_stands_for_the_domain(shown: dict[str, Any], name: str) -> None:
    assert check_identity(shown, name) == ""


@pytest.mark.parametrize(
    ("shown", "name", "found"),
    [
        (certificate(("DNS", "*.example.com")), "pbx.example.com", "one of '*.example.com'"),
        (certificate(("DNS", ".example.com")), "pbx.example.com", "one of '.example.com'"),
        (certificate(("URI", "sip:other.example"), ("DNS", "example.com")), "example.com", "one of 'other.example'"),
        (certificate(("URI", "sip:bob@example.com")), "example.com", "one of 'sip:bob@example.com'"),
        (certificate(("DNS", "other.example"), common_name="example.com"), "example.com", "one of 'other.example'"),
        (certificate(common_name="other.example"), "example.com", "one of 'other.example'"),
        (certificate(("DNS", "192.0.2.1")), "192.0.2.1", "one of '192.0.2.1'"),
        (certificate(), "example.com", "one that names nobody"),
    ],
)
def test_a_certificate_of_somebody_else(shown: dict[str, Any], name: str, found: str) -> None:
    assert check_identity(shown, name) == f"expected a certificate of {name!r}, found {found}"


def test_contexts_speak_1_2_and_newer(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    settings = TlsSettings(ca_file=authority.file, certificate=authority.issue(), asks_client=True)
    for context in (client_context(settings, checks_host=False), server_context(settings)):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.verify_mode is ssl.CERT_REQUIRED
    assert client_context(TlsSettings(is_verified=False), checks_host=True).verify_mode is ssl.CERT_NONE
    assert client_context(settings, checks_host=True).check_hostname


def test_an_encrypted_key_needs_its_password(tmp_path: Path) -> None:
    path = Authority(tmp_path).issue(password=b"secret")
    server_context(TlsSettings(certificate=path, key_password="secret"))
    for password in ("", "wrong"):
        with pytest.raises(SettingsError, match="the password of an encrypted key"):
            server_context(TlsSettings(certificate=path, key_password=password))


def test_what_is_wrong_is_told_without_the_names_of_files(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    broken = tmp_path / "secret-place.pem"
    broken.write_text("no certificate")
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: server_context(TlsSettings()), "not set"),
        (lambda: server_context(TlsSettings(certificate=str(broken))), "expected PEM files"),
        (lambda: server_context(TlsSettings(certificate=str(tmp_path / "no-secret-place"))), "found none"),
        (lambda: server_context(TlsSettings(certificate=authority.issue(), key=authority.issue())), "key values mism"),
        (lambda: client_context(TlsSettings(ca_file=str(broken)), checks_host=False), "TLS CA file"),
        (lambda: client_context(TlsSettings(ca_file="/no-secret-place"), checks_host=False), "TLS CA file"),
    ]
    for make, text in wrong:
        with pytest.raises(SettingsError, match=text) as raised:
            make()
        assert "secret-place" not in str(raised.value)
    assert "secret" not in repr(TlsSettings("secret", "secret", "secret", "secret"))

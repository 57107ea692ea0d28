"""The gateway on the network: TLS, addresses, embedding."""

from __future__ import annotations

import datetime
import ipaddress
import signal
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cmw.core.address import Address
from cmw.errors import SettingsError
from cmw.gateway.server import serve
from cmw.gateway.service import Gateway
from cmw.link.presence import WorkerInfo
from cmw.link.url import GatewayUrl
from cmw.net.link_client import LinkClient
from tests.gateway.world import PATIENCE_S, run_async

pytestmark = pytest.mark.loopback


def make_certificate(directory: Path, name: str = "gateway") -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(since + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / f"{name}.pem", directory / f"{name}.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    return cert_file, key_file


def test_api_and_link_over_tls(tmp_path: Path) -> None:
    async def work() -> None:
        cert, key = make_certificate(tmp_path)
        async with Gateway.open(tmp_path / "data") as gateway:
            server = await serve(gateway, tls_cert=cert, tls_key=key)
            assert server.url == f"https://127.0.0.1:{server.port}"
            assert server.link_url == f"127.0.0.1:{server.port}"
            async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=cert)) as client:
                assert (await client.get(f"{server.url}/health")).status_code == 200
            view, token = await gateway.create_worker("w1")
            worker = LinkClient(
                url=GatewayUrl(Address("127.0.0.1", server.port), True),
                token=token,
                info=WorkerInfo(capacity=1),
                on_event=lambda event: None,
                ca_file=str(cert),
            )
            worker.start()
            assert await gateway.wait_worker(view.id, timeout_s=PATIENCE_S)
            await worker.close()
            await server.stop()

    run_async(work())


def test_a_key_that_does_not_fit_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        cert, _ = make_certificate(tmp_path)
        _, other_key = make_certificate(tmp_path, "other")
        async with Gateway.open(tmp_path / "data") as gateway:
            for wrong in (other_key, tmp_path / "absent"):
                with pytest.raises(SettingsError, match="expected a certificate in PEM that fits its key"):
                    await serve(gateway, tls_cert=cert, tls_key=wrong)

    run_async(work())


def test_a_busy_port_is_told_and_the_gateway_can_listen_elsewhere(tmp_path: Path) -> None:
    async def work() -> None:
        async with Gateway.open(tmp_path) as gateway:
            server = await serve(gateway)
            with pytest.raises(SettingsError, match="Address already in use"):
                await serve(gateway, "127.0.0.1", server.port)
            with pytest.raises(SettingsError, match="expected a literal IP address"):
                await serve(gateway, "localhost", 0)
            other = await serve(gateway)
            assert other.port != server.port
            await server.stop()
            await other.stop()

    run_async(work())


def test_signal_handlers_are_left_alone(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    async def work() -> None:
        async with Gateway.open(tmp_path) as gateway:
            server = await serve(gateway)
            assert signal.getsignal(signal.SIGTERM) is before[0]
            await server.stop()

    run_async(work())
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_data_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(SettingsError, match="expected a directory that can be written"):
            async with Gateway.open(tmp_path / "file"):
                pass

    run_async(work())

"""The settings of a worker: every variable of docs/configuration.md, checked at start-up, all faults told at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from cmw.core.address import Address, PortRange
from cmw.errors import SettingsError
from cmw.link.limits import SPOOL_MAX_BYTES
from cmw.net.route import default_address, local_address_towards
from cmw.worker import values
from cmw.worker.small_files import read_secret
from cmw.worker.values import (
    MASK,
    CaptureId,
    CertificateFile,
    Gateway,
    GatewayText,
    IpAddress,
    LogFormat,
    LogLevel,
    MediaThreads,
    Name,
    Port,
    ProxyText,
    Seconds,
    SpoolBytes,
    TargetText,
    Token,
    WritableDirectory,
    is_v6,
)

_SECRET_FILE_BYTES = 4096
_SECRETS = frozenset({"worker_token", "cloud_proxy", "hep_auth_key"})
CLASH = "an IPv{} address as the one that was detected, {}; or SIP_IP set to an IPv{} address of this machine"
_EXPECTED_WHEN_MISSING = {"worker_token": values.TOKEN_EXPECTED, "cloud_url": values.GATEWAY_EXPECTED}


class Addresses(NamedTuple):
    """The four addresses of a worker after all fall-backs: literal IP addresses."""

    sip: str
    media: str
    sdp: str
    external: str


class Fault(NamedTuple):
    """One thing wrong with the settings; `found` is masked already if it is secret, None when nothing was set."""

    variable: str
    found: str | None
    expected: str

    @property
    def field(self) -> str:
        """Return the variable that the fault is about, without `_FILE`."""
        name = self.variable.removesuffix("_FILE")
        return name if name.lower() in _SECRETS else self.variable

    def __str__(self) -> str:
        found = "not set" if self.found is None else f"found {self.found}"
        return f"{self.variable}: {found}, expected {self.expected}"


class WorkerSettings(BaseModel):
    """Hold what a worker can be told, in the order of docs/configuration.md.

    `load_settings` reads it from the environment; the constructor alone reads nothing and is for embedding.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True)

    worker_token: Token = Field(
        description="Secret made with the worker on the gateway; authenticates this worker and no other.",
        examples=["cmw_a1b2c3d4..."],
    )
    cloud_url: GatewayText = Field(
        description="Gateway to dial out to: `host:port`, by TLS. `ws://host:port` goes without TLS: only for a lab.",
        examples=["wg.callmeter.io:443"],
    )
    worker_name: Name | None = Field(
        None,
        description="Name shown for this worker.",
        examples=["dc-frankfurt-01"],
        json_schema_extra={"default_text": "name given on the gateway"},
    )
    log_level: LogLevel = Field(
        "info", description="How much is logged: `error`, `warn`, `info`, `debug` or `trace`.", examples=["debug"]
    )
    log_format: LogFormat = Field(
        "json", description="`json`: one object a line. `pretty`: for people, with colours.", examples=["pretty"]
    )
    health_port: Port = Field(3030, description="TCP port of the health page.", examples=["8080"])
    sip_ip: IpAddress | None = Field(
        None,
        description="Address that SIP is bound to and that SIP headers show.",
        examples=["10.0.1.50"],
        json_schema_extra={
            "default_text": "auto-detected: the address that the route to what an endpoint calls leaves from"
        },
    )
    media_ip: IpAddress | None = Field(
        None,
        description="Address that RTP and RTCP are bound to.",
        examples=["10.0.1.51"],
        json_schema_extra={"default_text": "same as `SIP_IP`"},
    )
    sdp_ip: IpAddress | None = Field(
        None,
        description="Address in the `c=` line of SDP; behind NAT the one that peers can reach.",
        examples=["203.0.113.10"],
        json_schema_extra={"default_text": "same as `MEDIA_IP`"},
    )
    sip_port_start: Port = Field(5060, description="First port for SIP listeners, UDP and TCP.", examples=["5060"])
    sip_port_end: Port = Field(
        5080,
        description="Last port for SIP listeners; give workers on one host ranges of their own.",
        examples=["5080"],
    )
    rtp_port_min: Port = Field(10000, description="Lowest UDP port for RTP and RTCP.", examples=["10000"])
    rtp_port_max: Port = Field(
        65535, description="Highest UDP port for RTP and RTCP; an audio call takes two.", examples=["20000"]
    )
    external_ip: IpAddress | None = Field(
        None,
        description="Address in Via and Contact headers when behind NAT.",
        examples=["203.0.113.10"],
        json_schema_extra={"default_text": "same as `SIP_IP`"},
    )
    shutdown_timeout: Seconds = Field(
        10,
        description="Seconds that a stop may take: calls hung up, registrations ended, reports handed over.",
        examples=["30"],
    )
    cloud_ca_file: CertificateFile | None = Field(
        None,
        description="PEM file of the certificate authorities that may vouch for the gateway, and for the proxy.",
        examples=["/etc/cmw/ca.pem"],
        json_schema_extra={"default_text": "those of the system"},
    )
    cloud_proxy: ProxyText | None = Field(
        None,
        description="HTTP proxy to reach the gateway by (CONNECT): `http://[user:password@]host:port` or `https://`. "
        "`http_proxy` and its kind are not looked at.",
        examples=["http://proxy.example:3128"],
        json_schema_extra={"default_text": "none"},
    )
    spool_dir: WritableDirectory | None = Field(
        None,
        description="Directory for reports that the gateway has not taken yet; they survive a restart there.",
        examples=["/var/lib/cmw/spool"],
        json_schema_extra={"default_text": "none: in memory only"},
    )
    spool_max_bytes: SpoolBytes = Field(
        SPOOL_MAX_BYTES,
        description="How much is kept for a gateway that is away, in bytes or with K, M or G behind.",
        examples=["1G"],
    )
    media_threads: MediaThreads | None = Field(
        None,
        description="Threads that send and receive media, 1 to 64; streams are spread over them.",
        examples=["3"],
        json_schema_extra={"default_text": "the cores that the worker may use less one, at least 1"},
    )
    hep_target: TargetText | None = Field(
        None,
        description="Homer server that SIP, secrets masked, and RTCP are told to by HEP3 over UDP: `host:port`.",
        examples=["homer.example:9060"],
        json_schema_extra={"default_text": "none"},
    )
    hep_capture_id: CaptureId = Field(
        2001, description="Number by which the Homer server knows this worker.", examples=["7"]
    )
    hep_auth_key: SecretStr | None = Field(
        None,
        description="Key that the Homer server wants to see.",
        examples=["a-key"],
        json_schema_extra={"default_text": "none"},
    )

    @field_validator("sdp_ip", "external_ip")
    @classmethod
    def _check_family(cls, shown: str | None, info: ValidationInfo) -> str | None:
        """Refuse to show peers an address of the other family than the one that is bound."""
        behind = ("media_ip", "sip_ip") if info.field_name == "sdp_ip" else ("sip_ip",)
        name = next((name for name in behind if info.data.get(name)), None)
        if shown is None or name is None:
            return shown
        bound = info.data[name]
        if is_v6(shown) is not is_v6(bound):
            raise ValueError(f"an IPv{_version(bound)} address as {name.upper()} is one, which is {bound}")
        return shown

    @field_validator("sip_port_end")
    @classmethod
    def _check_sip_range(cls, last: int, info: ValidationInfo) -> int:
        first = info.data.get("sip_port_start")
        if first is not None and last < first:
            raise ValueError(f"a port not below SIP_PORT_START, which is {first}")
        return last

    @field_validator("rtp_port_max")
    @classmethod
    def _check_rtp_range(cls, last: int, info: ValidationInfo) -> int:
        first = info.data.get("rtp_port_min")
        if first is not None and not (first <= last and PortRange(first, last).pairs()):
            raise ValueError(f"a port that leaves an even and the next odd port from RTP_PORT_MIN, which is {first}")
        return last

    @property
    def gateway(self) -> Gateway:
        """Return where to dial out to."""
        return values.parse_gateway(self.cloud_url)

    @property
    def sip_ports(self) -> PortRange:
        """Return the range for SIP listeners."""
        return PortRange(self.sip_port_start, self.sip_port_end)

    @property
    def rtp_ports(self) -> PortRange:
        """Return the range for RTP and RTCP; pairs are taken from it."""
        return PortRange(self.rtp_port_min, self.rtp_port_max)

    def addresses(self, detect: Callable[[Address], str] = local_address_towards) -> Addresses:
        """Return the four addresses, detecting `SIP_IP` when it is not set: may ask DNS, so call it off the loop.

        Args:
            detect: returns the local address that the route to an address leaves from, or raises OSError.

        Raises:
            SettingsError: nothing was set and nothing could be detected; or what is to be shown is of another IP
                version than what was detected.
        """
        sip = self.sip_address(detect)
        if faults := self.faults_at(sip):
            raise SettingsError("\n".join(str(fault) for fault in faults))
        return self.addresses_at(sip)

    def sip_address(self, detect: Callable[[Address], str] = local_address_towards) -> str:
        """Return `SIP_IP`, or the address that was detected.

        Raises:
            SettingsError: nothing was set and nothing could be detected.
        """
        return self.sip_ip or self._detect(detect)

    def addresses_at(self, sip: str) -> Addresses:
        """Return the four addresses for SIP that is bound to `sip`.

        What is to be shown is shown where an address of its IP version is bound; elsewhere the bound one is.
        """
        media = self.media_ip or sip
        return Addresses(
            sip=sip,
            media=media,
            sdp=self.sdp_ip if self.sdp_ip and is_v6(self.sdp_ip) is is_v6(media) else media,
            external=self.external_ip if self.external_ip and is_v6(self.external_ip) is is_v6(sip) else sip,
        )

    def faults_at(self, sip: str) -> list[Fault]:
        """Return what is wrong with the addresses to be shown for SIP at the detected address `sip`."""
        media = self.media_ip or sip
        pairs = (("SDP_IP", self.sdp_ip, media), ("EXTERNAL_IP", self.external_ip, sip))
        return [
            Fault(name, repr(value), CLASH.format(_version(bound), bound, _version(value)))
            for name, value, bound in pairs
            if value and is_v6(value) is not is_v6(bound)
        ]

    def _detect(self, detect: Callable[[Address], str]) -> str:
        try:
            return detect(self.gateway.address)
        except OSError as error:
            found = default_address()
            if found is None:
                raise SettingsError(
                    f"SIP_IP: not set and not to be detected by the route to {self.gateway.address} "
                    f"({error.strerror or error}), expected {values.ADDRESS_EXPECTED}"
                ) from error
            return found


class _Environment(BaseSettings, WorkerSettings):
    """The same settings, read from environment variables; an empty variable counts as not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True)


def load_settings() -> WorkerSettings:
    """Return the settings that the environment holds, secrets read from `NAME_FILE` where that is set.

    Raises:
        SettingsError: names every variable that is wrong, one a line.
    """
    settings, faults = read_settings()
    if settings is None or faults:
        raise SettingsError("\n".join(str(fault) for fault in faults))
    return settings


def read_settings() -> tuple[WorkerSettings | None, list[Fault]]:
    """Return the settings, or None and every fault, in the order of the fields."""
    secrets, faults = _read_secret_files(os.environ)
    settings: WorkerSettings | None = None
    try:
        from_files: dict[str, Any] = {name: SecretStr(text) for name, text in secrets.items()}
        settings = _Environment(**from_files)
    except ValidationError as error:
        blamed = {fault.field for fault in faults}
        found = [_fault(detail, from_file=secrets) for detail in error.errors(include_url=False)]
        faults += [fault for fault in found if fault.field not in blamed]
    order = [name.upper() for name in WorkerSettings.model_fields]
    return None if faults else settings, sorted(faults, key=lambda fault: order.index(fault.field))


def is_secret(name: str) -> bool:
    """Tell whether the field `name` is masked wherever it is shown, and may come from a file."""
    return name in _SECRETS


def _version(address: str) -> int:
    return 6 if is_v6(address) else 4


def _read_secret_files(environ: Mapping[str, str]) -> tuple[dict[str, str], list[Fault]]:
    """Return the secrets that come from files, by field, and what is wrong with the files."""
    secrets: dict[str, str] = {}
    faults: list[Fault] = []
    for name in filter(is_secret, WorkerSettings.model_fields):
        variable = f"{name.upper()}_FILE"
        path = environ.get(variable, "")
        if not path:
            continue
        if environ.get(name.upper()):
            faults.append(Fault(variable, repr(path), f"either {name.upper()} or {variable}, not both"))
            continue
        try:
            secrets[name] = read_secret(path, _SECRET_FILE_BYTES)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            faults.append(Fault(variable, repr(path), f"a readable file that holds the secret ({why})"))
    return secrets, faults


def _fault(detail: ErrorDetails, *, from_file: Mapping[str, str]) -> Fault:
    name = str(detail["loc"][0])
    variable = f"{name.upper()}_FILE" if name in from_file else name.upper()
    cause = detail.get("ctx", {}).get("error")
    expected = str(cause) if cause else _EXPECTED_WHEN_MISSING.get(name, detail["msg"])
    return Fault(variable, _found(name, detail, from_file), expected)


def _found(name: str, detail: ErrorDetails, from_file: Mapping[str, str]) -> str | None:
    if detail["type"] == "missing":
        return None
    if is_secret(name):
        text = from_file.get(name) if name in from_file else os.environ.get(name.upper(), "")
        return f"{MASK} ({len(text or '')} characters)"
    value = os.environ.get(name.upper(), detail.get("input"))
    return repr(value)[:200]

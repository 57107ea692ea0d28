"""The settings as they come out, and where each came from: what `cmw config` shows."""

from __future__ import annotations

import os
from typing import TypedDict

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from cmw.errors import SettingsError
from cmw.worker.settings import Fault, WorkerSettings, is_secret, read_settings
from cmw.worker.values import MASK

_FALLBACKS = {"sip_ip": "sip", "media_ip": "media", "sdp_ip": "sdp", "external_ip": "external"}
_FALLBACK_SOURCES = {"media_ip": "same as SIP_IP", "sdp_ip": "same as MEDIA_IP", "external_ip": "same as SIP_IP"}


class EffectiveValue(TypedDict):
    """One variable as the worker takes it."""

    value: str | int | None
    source: str


def effective() -> tuple[dict[str, EffectiveValue], list[Fault]]:
    """Return every variable in the page's order, secrets masked, and what is wrong with them.

    With a fault the values are what was found, unchecked, so that the fault can be seen beside its neighbours.
    """
    settings, faults = read_settings()
    shown = {
        name.upper(): EffectiveValue(
            value=_value(name, settings) if settings else _raw_value(name, field), source=_source(name)
        )
        for name, field in WorkerSettings.model_fields.items()
    }
    if settings is not None:
        faults = faults + _fill_addresses(shown, settings)
    return shown, faults


def _value(name: str, settings: WorkerSettings) -> str | int | None:
    value: SecretStr | str | int | None = getattr(settings, name)
    if isinstance(value, SecretStr):
        return f"cmw_{MASK}" if name == "worker_token" else MASK
    return value


def _raw_value(name: str, field: FieldInfo) -> str | int | None:
    found = os.environ.get(name.upper())
    if is_secret(name):
        return MASK if found or os.environ.get(f"{name.upper()}_FILE") else None
    default: str | int | None = None if field.is_required() else field.default
    return found or default


def _source(name: str) -> str:
    if os.environ.get(name.upper()):
        return "environment"
    path = os.environ.get(f"{name.upper()}_FILE") if is_secret(name) else None
    if path:
        return f"file {path}"
    return "not set" if WorkerSettings.model_fields[name].is_required() else "default"


def _fill_addresses(shown: dict[str, EffectiveValue], settings: WorkerSettings) -> list[Fault]:
    try:
        sip = settings.sip_address()
    except SettingsError:
        return [Fault("SIP_IP", None, "an address, because no route to the gateway shows one")]
    addresses = settings.addresses_at(sip)
    for name, part in _FALLBACKS.items():
        if getattr(settings, name) is None:
            source = _FALLBACK_SOURCES.get(name, f"route to {settings.gateway.address}")
            shown[name.upper()] = EffectiveValue(value=getattr(addresses, part), source=source)
    return settings.faults_at(sip)

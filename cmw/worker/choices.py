"""From what a worker is told of a group to what its endpoints do: options of calls, headers, identities, answers."""

from __future__ import annotations

from functools import lru_cache

from cmw.load.share import AnswerShare, EndpointShare, GroupShare, RegistrarShare
from cmw.load.share_sip import IdentityShare, SipShare, TimerShare
from cmw.load.template import fill
from cmw.rtp.jitter_buffer import BufferSettings
from cmw.sip import (
    Account,
    CallOptions,
    Follow,
    Identity,
    RedirectPolicy,
    Refresher,
    SessionTimerChoice,
    Support,
    Transport,
)
from cmw.sip.uri import escape
from cmw.worker.call_media import AudioChoice
from cmw.worker.callee import AnswerChoice
from cmw.worker.endpoint_records import EndpointSettings
from cmw.worker.ways import TRANSPORTS

_SUPPORT = {
    "off": Support.OFF,
    "disabled": Support.OFF,
    "supported": Support.SUPPORTED,
    "required": Support.REQUIRED,
}


def endpoint_settings(
    group: GroupShare,
    share: EndpointShare,
    registrar: RegistrarShare | None,
    account: Account | None,
    *,
    user: str,
    own_uri: str,
) -> EndpointSettings:
    """Return what an endpoint is told.

    Args:
        account: its account, when it has a registrar.
        user: user part under which it is reached at the worker.
        own_uri: the URI under which it is reached there.
    """
    return EndpointSettings(
        index=share.index,
        name=share.name,
        user=user,
        group=group.name,
        audio=audio_choice(group),
        hold_ns=share.hold_ns if share.hold_ns is not None else group.hold_ns,
        hold_limit_ns=group.hold_limit_ns,
        setup_timeout_ns=group.setup_timeout_ns,
        account=account,
        expires_s=registrar.expires_s if registrar is not None else 0,
        options=call_options(group, share, from_uri(group, share, share.target or own_uri)),
        headers=header_rows(group.headers, share),
        late_offer=group.late_offer,
        steps=tuple(group.scenario),
        hangs_up=share.hangs_up,
        registers=share.follows is None and share.line == 0,
    )


def call_options(group: GroupShare, share: EndpointShare, local_uri: str) -> CallOptions:
    """Return what the calls of an endpoint use; the same object for all endpoints that use the same."""
    number = share.position + 1
    identity = group.identity
    if identity is None:
        return _options(group.sip.model_dump_json(), group.redirects, "", None, *_beside(group))
    stated = _identity(identity, number, local_uri)
    return _options(
        group.sip.model_dump_json(), group.redirects, fill(identity.display_name, number), stated, *_beside(group)
    )


def _beside(group: GroupShare) -> tuple[Transport | None, int, bool]:
    """Return the transport of calls without a registrar, what OPTIONS is answered, and whether calls ring on."""
    transport = TRANSPORTS.get((group.way.transport if group.registrar is None else None) or "")
    if group.answer is None:
        return transport, 200, False
    return transport, group.answer.options_status, group.answer.rings_on or group.answer.after_ns > 0


@lru_cache(maxsize=1024)
def _options(
    sip: str,
    redirects: int,
    display_name: str,
    identity: Identity | None,
    transport: Transport | None = None,
    options_status: int = 200,
    rings_on: bool = False,
) -> CallOptions:
    """Return options.

    Args:
        sip: a `SipShare` as JSON.
    """
    share = SipShare.model_validate_json(sip)
    return CallOptions(
        reliable=_SUPPORT[share.reliable],
        session_timer=_timer_choice(share.timer),
        redirects=RedirectPolicy(Follow.ALL, redirects) if redirects else RedirectPolicy(),
        takes_transfers=share.takes_transfers,
        identity=identity,
        display_name=display_name,
        transport=transport,
        options_status=options_status,
        rings_on=rings_on,
    )


def options_of(sip: SipShare, options_status: int = 200, *, rings_on: bool = False) -> CallOptions:
    """Return the options of calls that name nobody."""
    return _options(sip.model_dump_json(), 0, "", None, None, options_status, rings_on)


def _timer_choice(timer: TimerShare | None) -> SessionTimerChoice:
    if timer is None:
        return SessionTimerChoice()
    return SessionTimerChoice(
        mode=_SUPPORT[timer.mode],
        expires_s=0 if timer.mode == "disabled" else timer.expires_s,
        min_se_s=timer.min_s,
        refresher=None if timer.refresher == "none" else Refresher(timer.refresher),
        is_soft=timer.soft,
    )


def _identity(identity: IdentityShare, number: int, local_uri: str) -> Identity | None:
    asserted = _addresses(identity.asserted, number, local_uri)
    preferred = _addresses(identity.preferred, number, local_uri)
    if not asserted and not preferred and not identity.privacy:
        return None
    return Identity(asserted=asserted, preferred=preferred[0] if preferred else "", privacy=";".join(identity.privacy))


def _addresses(values: list[str] | None, number: int, local_uri: str) -> tuple[str, ...]:
    """Return name-addrs; an empty list stands for the address in From."""
    if values is None:
        return ()
    filled = [fill(value, number) for value in values] or [local_uri]
    return tuple([value if "<" in value else f"<{value}>" for value in filled])


def from_uri(group: GroupShare, share: EndpointShare, own: str) -> str:
    """Return what an endpoint calls itself in From.

    Args:
        own: its address of record, or where it is reached.
    """
    identity = group.identity
    if identity is None or (identity.user is None and identity.domain is None):
        return own
    scheme, _, rest = own.partition(":")
    user, _, host = rest.rpartition("@")
    if identity.user is not None:
        user = escape(fill(identity.user, share.position + 1))
    return f"{scheme}:{user}@{identity.domain or host}"


def header_rows(headers: dict[str, str], share: EndpointShare) -> tuple[tuple[str, str], ...]:
    """Return header rows with the number of the endpoint filled in."""
    return tuple([(name, fill(value, share.position + 1)) for name, value in headers.items()])


def answer_choice(answer: AnswerShare, share: EndpointShare) -> AnswerChoice:
    """Return what a callee does with its call."""
    return AnswerChoice(
        after_ns=answer.after_ns,
        ring=answer.ring,
        rings_on=answer.rings_on,
        reject=answer.reject,
        redirect=redirect_contacts(answer.redirect),
        early_media=answer.early_media,
        progress=answer.progress,
        headers=header_rows(answer.headers, share),
    )


def redirect_contacts(uris: list[str]) -> tuple[str, ...]:
    """Return Contact values, the first preferred."""
    if len(uris) == 1:
        return (f"<{uris[0]}>",)
    return tuple([f"<{uri}>;q={1 - 0.05 * k:.2f}".rstrip("0").rstrip(".") for k, uri in enumerate(uris)])


def audio_choice(group: GroupShare) -> AudioChoice:
    """Return what the endpoints of a group say."""
    audio = group.audio
    return AudioChoice(
        codecs=tuple(audio.codecs),
        source="silence" if audio.source == "echo" else audio.source,
        echo=audio.source == "echo",
        ptime_ms=audio.ptime_ms,
        dscp=audio.dscp,
        rtcp_mux=audio.rtcp_mux,
        symmetric=audio.symmetric,
        buffer=BufferSettings(audio.buffer.start_ns, audio.buffer.min_ns, audio.buffer.max_ns),
        late_limit_ns=audio.late_limit_ns,
    )


def sources_of(group: GroupShare) -> list[str]:
    """Return all that a group may say; an echo has nothing of its own."""
    played = [step.source for step in group.scenario if step.source is not None]
    return list(dict.fromkeys([audio_choice(group).source, *played]))


def codecs_of(group: GroupShare) -> list[str]:
    """Return every codec that a group may speak, those of its scenario among them."""
    later = [codec for step in group.scenario for codec in step.codecs]
    return list(dict.fromkeys([*group.audio.codecs, *later]))

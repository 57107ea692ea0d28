"""What a `UserAgent` tells of transfers, those that it is asked for and those that it asks for. Source: RFC 3515."""

from __future__ import annotations

from dataclasses import field

from cmw.core.clock import Nanos
from cmw.core.facts import fact
from cmw.sip.message import Request
from cmw.sip.transfer import ReferTo


@fact
class TransferRequested:
    """The peer asks us to call somebody else. Go on with `accept_transfer` or `reject_transfer`. Source: RFC 3515.

    Args:
        transfer: handle of the transfer.
        target: whom to call, and which call the new one replaces.
        referred_by: value of Referred-By, "" for none. Source: RFC 3892.
        request: the REFER.
    """

    call: int
    transfer: int
    target: ReferTo
    referred_by: str
    at: Nanos
    request: Request = field(compare=False, repr=False)


@fact
class TransferAccepted:
    """The peer will try the transfer that we asked for; `TransferProgressed` and `TransferCompleted` may follow.

    Args:
        is_followed: the peer will tell how it goes; else this is the last event of the transfer.
    """

    call: int
    transfer: int
    status: int
    at: Nanos
    is_followed: bool = True


@fact
class TransferProgressed:
    """The peer told how a transfer of ours goes: a provisional status."""

    call: int
    transfer: int
    status: int
    reason: str
    at: Nanos


@fact
class TransferCompleted:
    """A transfer of ours is over; its last event.

    Args:
        status: 200 to 299 when the target answered; the answer to our REFER when it was refused; 0 when nothing was
            heard any more.
    """

    call: int
    transfer: int
    status: int
    reason: str
    at: Nanos

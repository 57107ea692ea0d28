"""Raw SIP in the log, for level trace."""

from __future__ import annotations

from cmw.load.sip_masks import mask_beside_credentials
from cmw.net.driver import Trace
from cmw.sip.hop import Hop
from cmw.worker.logs import get_logger


def sip_trace(component: str) -> Trace:
    """Return what logs each message, one line each; the log itself masks answers to challenges."""
    log = get_logger(component=component)

    def trace(direction: str, data: bytes, peer: Hop) -> None:
        message = mask_beside_credentials(data.decode("utf-8", "backslashreplace"))
        log.trace("SIP", direction=direction, peer=str(peer), message=message)

    return trace

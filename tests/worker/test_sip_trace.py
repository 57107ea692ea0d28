"""What a trace log shows of SIP, and what it does not."""

from __future__ import annotations

import io
import json

from cmw.sip import Hop
from cmw.worker.logs import configure_logging
from cmw.worker.sip_trace import sip_trace

KEY = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
MESSAGE = (
    "INVITE sip:bob@10.0.0.2 SIP/2.0\r\n"
    "From: <sip:alice:s3cret@10.0.0.1>;tag=1\r\n"
    'Authorization: Digest username="alice", nonce="n1", response="6629fae49393a05397450978507c4ef1"\r\n'
    'Authentication-Info: rspauth="0f3c8a", nextnonce="n0nce2"\r\n'
    "\r\n"
    f"v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20\r\n"
)


def test_a_message_is_one_line_and_opens_no_doors() -> None:
    stream = io.StringIO()
    configure_logging("trace", "json", stream)
    sip_trace("sip")("in", MESSAGE.encode() + b"\n\x00\xff\xe2\x80\xa8", Hop("10.0.0.2", 5060))
    [line] = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["component"], entry["event"], entry["direction"]) == ("sip", "SIP", "in")
    for secret in ("s3cret", "6629fae4", "0f3c8a", "n0nce2", KEY):
        assert secret not in line
    for shown in ("From: <sip:alice:***@10.0.0.1>;tag=1\r\n", 'nonce="n1"', "AES_CM_128_HMAC_SHA1_80 inline:***"):
        assert shown in entry["message"]

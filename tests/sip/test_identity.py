"""What is said of a caller beside From."""

from __future__ import annotations

import pytest

from cmw.errors import LocalProtocolError
from cmw.sip.headers import Headers
from cmw.sip.identity import Identity, read_identity


def test_an_identity_is_written_and_read() -> None:
    identity = Identity(
        asserted=('"Alice" <sip:a@h>', "<tel:+1>"),
        preferred="<sip:a@h>",
        privacy="id",
        remote_party="<sip:a@h>;party=calling",
    )
    assert [name for name, _ in identity.rows()] == [
        "P-Asserted-Identity",
        "P-Asserted-Identity",
        "P-Preferred-Identity",
        "Privacy",
        "Remote-Party-ID",
    ]
    assert read_identity(Headers(identity.rows())) == identity


def test_a_message_without_identity_says_nothing() -> None:
    assert read_identity(Headers()) == Identity()
    assert list(Identity().rows()) == []


def test_what_cannot_be_read_is_left_out() -> None:
    assert read_identity(Headers([("P-Asserted-Identity", "<"), ("Remote-Party-ID", "<")])) == Identity()


@pytest.mark.parametrize("wrong", [{"privacy": "id\r\nX: y"}, {"asserted": ("alice",)}, {"preferred": "<"}])
def test_an_identity_that_cannot_be_sent_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        Identity(**wrong)  # type: ignore[arg-type]

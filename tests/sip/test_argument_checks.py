"""What is asked of text that goes into messages: nothing that would begin another header, and nothing that is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cmw.errors import LocalProtocolError
from cmw.sip.argument_checks import (
    check_address,
    check_called_uri,
    check_line,
    check_rows,
    check_rows_of,
    check_sip_address,
    check_sip_uri,
)


def test_what_is_right_comes_back() -> None:
    assert check_line("a, b") == "a, b"
    assert check_rows([("X-A", "1")]) == (("X-A", "1"),)
    assert check_rows_of(b"x", [("c", "text/plain")]) == (("c", "text/plain"),)
    assert check_rows_of(b"", []) == ()
    assert check_sip_uri("sips:h", "URI").scheme == "sips"
    assert str(check_called_uri("tel:+1", "target")) == "tel:+1"
    assert check_address("<tel:+1>", "identity") == "<tel:+1>"
    assert check_sip_address("<sip:h;lr>", "route") == "<sip:h;lr>"


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_line("a\r\nb"), "expected text without line breaks"),
        (lambda: check_rows([("X A", "1")]), "expected a header name"),
        (lambda: check_rows([("X", "1\nVia: x")]), "expected text without line breaks"),
        (lambda: check_rows_of(b"x", [("X", "1")]), "expected a Content-Type"),
        (lambda: check_sip_uri("tel:1", "registrar"), "registrar: expected a sip or sips URI"),
        (lambda: check_called_uri("mailto:a@b", "target"), "target: expected a sip or sips URI"),
        (lambda: check_address("<sip:h", "contact"), "contact: expected an address"),
        (lambda: check_address("<sip:h>\n", "contact"), "expected contact without line breaks"),
        (lambda: check_sip_address("<tel:+1>", "route"), "route: expected a sip or sips URI"),
    ],
)
def test_what_is_wrong_is_named(check: Callable[[], object], message: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"^{message}"):
        check()

"""Tokens and API keys."""

from __future__ import annotations

import pytest

from cmw.gateway.tokens import API_KEY, WORKER_TOKEN, bearer, digest, matches, new_api_key, new_worker_token, prefix


def test_tokens_have_the_form_of_the_page() -> None:
    token, key = new_worker_token(), new_api_key()
    assert WORKER_TOKEN.fullmatch(token)
    assert len(token) == 68
    assert API_KEY.fullmatch(key)
    assert len(key) == 36
    assert new_worker_token() != token


def test_only_the_digest_is_needed_to_compare() -> None:
    token = new_worker_token()
    assert matches(token, digest(token))
    assert not matches(new_worker_token(), digest(token))
    assert not matches("ä\udcff", digest(token))
    assert token.startswith(prefix(token))
    assert len(prefix(token)) == 12


@pytest.mark.parametrize(
    ("header", "credential"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("", ""), ("Bearer", ""), ("abc", "")],
)
def test_bearer(header: str, credential: str) -> None:
    assert bearer(header) == credential

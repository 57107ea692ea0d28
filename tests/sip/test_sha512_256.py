"""SHA-512/256 by itself. Source of the vectors: FIPS 180-4's examples, published by NIST."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.sip.sha512_256 import sha512_256_hex

TWO_BLOCKS = (
    "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc", "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"),
        (TWO_BLOCKS, "3928e184fb8690f840da3988121d31be65cb9d3ef83ee6146feac861e19b563a"),
    ],
)
def test_the_examples_of_nist(text: str, expected: str) -> None:
    assert sha512_256_hex(text.encode()) == expected


@pytest.mark.skipif("sha512_256" not in hashlib.algorithms_available, reason="OpenSSL has none to compare with")
@given(st.binary(max_size=400))
def test_it_says_what_openssl_says(data: bytes) -> None:
    assert sha512_256_hex(data) == hashlib.new("sha512_256", data).hexdigest()


@pytest.mark.parametrize("length", [0, 110, 111, 112, 127, 128, 129])
def test_the_padding_fits_every_length(length: int) -> None:
    assert sha512_256_hex(b"a" * length) != sha512_256_hex(b"a" * (length + 1))


def test_it_is_not_sha512_cut_short() -> None:
    assert sha512_256_hex(b"abc") != hashlib.sha512(b"abc").hexdigest()[:64]

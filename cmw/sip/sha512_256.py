"""SHA-512/256 in plain Python, for where OpenSSL's policy leaves it out of hashlib. Source: FIPS 180-4.

It is SHA-512 from another initial value, cut to 256 bits: cutting what SHA-512 gives is something else. The constants
are computed from what the standard says they are, when first needed, rather than listed.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import count, islice
from math import isqrt

_MASK = (1 << 64) - 1
_BLOCK_BYTES = 128
_State = tuple[int, ...]


def sha512_256_hex(data: bytes) -> str:
    """Return the SHA-512/256 of `data` as 64 lower-case hex digits."""
    state = _digest(data, _initial_state())
    return "".join([f"{word:016x}" for word in state[:4]])


def _digest(data: bytes, state: _State) -> _State:
    """Return the eight words after all of `data` and its padding. Source: FIPS 180-4 5.1.2, 6.4.2."""
    padding = b"\x80" + bytes(-(len(data) + 17) % _BLOCK_BYTES)
    padded = data + padding + (8 * len(data)).to_bytes(16, "big")
    for start in range(0, len(padded), _BLOCK_BYTES):
        state = _compress(state, padded[start : start + _BLOCK_BYTES])
    return state


def _compress(state: _State, block: bytes) -> _State:
    """Return the state after one block. Source: FIPS 180-4 6.4.2, with its names."""
    a, b, c, d, e, f, g, h = state
    for constant, word in zip(_round_constants(), _schedule(block), strict=True):
        t1 = h + (_rotate(e, 14) ^ _rotate(e, 18) ^ _rotate(e, 41)) + ((e & f) ^ (~e & g)) + constant + word
        t2 = (_rotate(a, 28) ^ _rotate(a, 34) ^ _rotate(a, 39)) + ((a & b) ^ (a & c) ^ (b & c))
        h, g, f, e, d, c, b, a = g, f, e, (d + t1) & _MASK, c, b, a, (t1 + t2) & _MASK
    return tuple([(old + new) & _MASK for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True)])


def _schedule(block: bytes) -> list[int]:
    """Return the 80 words of a block. Source: FIPS 180-4 6.4.2 step 1."""
    words = [int.from_bytes(block[at : at + 8], "big") for at in range(0, _BLOCK_BYTES, 8)]
    for _ in range(64):
        early, late = words[-15], words[-2]
        sigma0 = _rotate(early, 1) ^ _rotate(early, 8) ^ (early >> 7)
        sigma1 = _rotate(late, 19) ^ _rotate(late, 61) ^ (late >> 6)
        words.append((words[-16] + sigma0 + words[-7] + sigma1) & _MASK)
    return words


def _rotate(word: int, bits: int) -> int:
    return (word >> bits | word << (64 - bits)) & _MASK


@lru_cache(maxsize=1)
def _initial_state() -> _State:
    """Return H(0) of SHA-512/256. Source: FIPS 180-4 5.3.6, which makes it by a SHA-512 that begins elsewhere."""
    square_roots = [isqrt(prime << 128) & _MASK for prime in _primes(8)]
    return _digest(b"SHA-512/256", tuple([word ^ 0xA5A5A5A5A5A5A5A5 for word in square_roots]))


@lru_cache(maxsize=1)
def _round_constants() -> _State:
    """Return K: 64 bits of the fractions of the cube roots of the first 80 primes. Source: FIPS 180-4 4.2.3."""
    return tuple([_cube_root(prime << 192) & _MASK for prime in _primes(80)])


def _primes(wanted: int) -> list[int]:
    return list(islice((n for n in count(2) if all(n % k for k in range(2, isqrt(n) + 1))), wanted))


def _cube_root(number: int) -> int:
    """Return the integer cube root, by Newton's method from above."""
    root = 1 << -(-number.bit_length() // 3)
    while (nearer := (2 * root + number // (root * root)) // 3) < root:
        root = nearer
    return root

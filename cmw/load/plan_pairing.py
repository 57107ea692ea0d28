"""What a plan says of how many callers share how many receivers."""

from __future__ import annotations

import re
from math import gcd
from typing import Annotated, NamedTuple

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from cmw.load.plan_fields import unsupported

PAIRING_EXPECTED = 'callers to receivers as whole numbers from 1 to 10000, such as "5:1", at least as many callers'

_RATIO = re.compile(r"([1-9][0-9]{0,4}):([1-9][0-9]{0,4})", re.ASCII)
MOST = 10_000


class Pairing(NamedTuple):
    """So many callers to so many receivers; `callers` is never less."""

    callers: int
    receivers: int

    def __str__(self) -> str:
        return f"{self.callers}:{self.receivers}"

    def receivers_of(self, callers: int) -> int:
        """Return how many receivers so many callers need: as many as share them out as the ratio says, rounded up."""
        return -(-callers * self.receivers // self.callers)


ONE_TO_ONE = Pairing(1, 1)


def pairing_for(callers: int, receivers: int) -> Pairing:
    """Return a ratio by which so many callers, at least as many as receivers, use as many of these as can be."""
    common = gcd(callers, receivers)
    exact = Pairing(callers // common, receivers // common)
    return exact if exact.callers <= MOST else Pairing(-(-callers // receivers), 1)


def _check_pairing(value: object) -> Pairing:
    if isinstance(value, Pairing):
        return value
    match = _RATIO.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise unsupported(PAIRING_EXPECTED)
    pairing = Pairing(int(match[1]), int(match[2]))
    if not pairing.receivers <= pairing.callers <= MOST:
        raise unsupported(PAIRING_EXPECTED)
    return pairing


PairingField = Annotated[
    Pairing,
    PlainValidator(_check_pairing),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,4}:[1-9][0-9]{0,4}$", "examples": ["5:1", "3:2"]}),
]

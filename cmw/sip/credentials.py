"""What an account proves who it is with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cmw.errors import LocalProtocolError
from cmw.sip.digest_algorithm import ALGORITHMS, base_of, find_rank, hex_chars, make_ha1
from cmw.sip.grammar import is_hex


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its password, which `repr` keeps to itself, and whom to answer with them.

    Args:
        username: name of the account.
        password: in clear; not used where `ha1` has what is needed.
        realm: the only realm to answer; None for whatever realm home asks for.
        ha1: instead of a password: H(username:realm:password) in hex by algorithm, such as ``{"MD5": "9af1..."}``;
            those algorithms only are answered, with and without -sess. Wants `realm`.
        algorithms: that may be answered, of `ALGORITHMS`. Leaving MD5 out is what keeps somebody on the way, who
            strikes the stronger challenges out, from getting a hash that is quick to guess from.
        hosts: literal addresses that are as good as home, besides where requests are sent: of the other machines of a
            PBX that names one of them in its Contact, say. Everybody else is a stranger.
        qops: qualities of protection that may be answered, the favourite first. Bodies are often changed on their way,
            by servers that are in the media, which auth-int does not survive.
        requires_proof: a server that is answered has to prove in return that it knows the password.
    """

    username: str
    password: str = field(default="", repr=False)
    realm: str | None = None
    ha1: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    algorithms: tuple[str, ...] = ALGORITHMS
    hosts: tuple[str, ...] = ()
    qops: tuple[str, ...] = ("auth", "auth-int")
    requires_proof: bool = False

    def __post_init__(self) -> None:
        for name in (*self.algorithms, *self.ha1):
            if find_rank(name) is None:
                raise LocalProtocolError(f"expected an algorithm of {', '.join(ALGORITHMS)}, found {name!a}")
        if self.ha1 and self.realm is None:
            raise LocalProtocolError("expected the realm that ha1 was made for, found none")
        for name, value in self.ha1.items():
            if len(value) != hex_chars(name) or not is_hex(value):
                raise LocalProtocolError(
                    f"expected {hex_chars(name)} hex digits as ha1 of {name}, found something else"
                )
        if not self.qops or not set(self.qops) <= {"auth", "auth-int"}:
            raise LocalProtocolError(f"expected qops of auth and auth-int, found {self.qops!a}")

    def answers(self, realm: str) -> bool:
        """Tell whether a realm may be answered; realms are compared as they are."""
        return self.realm is None or self.realm == realm

    def allows(self, algorithm: str) -> bool:
        """Tell whether an algorithm may be answered and we have what it needs."""
        name = algorithm.upper()
        if not any(name == allowed.upper() for allowed in self.algorithms):
            return False
        return not self.ha1 or self._find_ha1(name) is not None

    def ha1_for(self, algorithm: str, realm: str) -> str:
        """Return the hash of name, realm and password; wants an algorithm that `allows` lets pass."""
        return self._find_ha1(algorithm) or make_ha1(algorithm, self.username, realm, self.password)

    def _find_ha1(self, algorithm: str) -> str | None:
        base = base_of(algorithm)
        return next((value.lower() for name, value in self.ha1.items() if base_of(name) == base), None)

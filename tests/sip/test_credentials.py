import pytest

from cmw.errors import LocalProtocolError
from cmw.sip.credentials import Credentials
from cmw.sip.digest_algorithm import make_ha1

HA1 = make_ha1("MD5", "bob", "lab", "geheim")


def test_nothing_secret_is_shown() -> None:
    credentials = Credentials("bob", "geheim", "lab", ha1={"MD5": HA1})
    for shown in (repr(credentials), str(credentials), f"{credentials}"):
        assert "geheim" not in shown
        assert HA1 not in shown


def test_ha1_stands_for_the_password_of_its_algorithm_only() -> None:
    credentials = Credentials("bob", realm="lab", ha1={"MD5": HA1.upper()})
    assert [name for name in ("MD5", "md5-sess", "SHA-256") if credentials.allows(name)] == ["MD5", "md5-sess"]
    assert credentials.ha1_for("MD5-sess", "lab") == HA1
    assert hash(credentials) == hash(Credentials("bob", realm="lab", ha1={"MD5": HA1}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"ha1": {"MD5": HA1}},
        {"ha1": {"MD5": HA1[1:]}, "realm": "lab"},
        {"ha1": {"MD5": "x" * 32}, "realm": "lab"},
        {"ha1": {"SHA-1": HA1}, "realm": "lab"},
        {"algorithms": ("SHA1",)},
        {"qops": ()},
        {"qops": ("auth-conf",)},
    ],
)
def test_what_cannot_be_is_refused_without_showing_it(wrong: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Credentials("bob", "geheim", **wrong)  # type: ignore[arg-type]
    assert HA1[1:] not in str(caught.value)
    assert "geheim" not in str(caught.value)

# ruff: noqa: E501 - tables of messages
"""Plans as files: lines in every message, doubled keys, accounts from CSV, and files that are no plan at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmw.cli.accounts_file import read_accounts
from cmw.cli.plan_file import read_plan
from cmw.errors import SettingsError
from cmw.load.plan_parser import parse_plan
from cmw.load.plan_sound import decode_sound
from tests.load.documents import registered
from tests.support.certificates import Authority
from tests.support.wav_files import write_wav

PLAN = """\
version: 1
duration: 5s
registrars:
  lab:
    domain: 127.0.0.1
    accounts: {file: accounts.csv}
groups:
  callees: {endpoints: 1, registrar: lab}
  callers:
    endpoints: 1
    registrar: lab
    call:
      group: callees
    load:
      rate: 10/s
"""


def _write(directory: Path, plan: str, accounts: str = "u1,p1\nu2,p2\n", name: str = "plan.yaml") -> Path:
    (directory / "accounts.csv").write_text(accounts, encoding="utf-8")
    (directory / name).write_text(plan, encoding="utf-8")
    return directory / name


def _faults(file: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_plan(file)
    return str(caught.value).replace(f"{file.parent}/", "").splitlines()


def test_a_plan_with_accounts_from_a_file_is_read(tmp_path: Path) -> None:
    accounts = 'Username, Password, Realm\n\n# lab\nu1, p1, pbx\n"u,2","p""2",\n'
    found = read_plan(_write(tmp_path, PLAN, accounts)).registrars["lab"].accounts
    assert [(a.username, a.password.get_secret_value(), a.realm) for a in found] == [
        ("u1", "p1", "pbx"), ("u,2", 'p"2', None),
    ]  # fmt: skip


def test_an_account_may_have_another_name_in_the_digest(tmp_path: Path) -> None:
    accounts = "username,password,realm,auth_username\nu1,p1,,a1\nu2,p2,pbx,\n"
    found = read_plan(_write(tmp_path, PLAN, accounts)).registrars["lab"].accounts
    assert [(a.username, a.realm, a.auth_username) for a in found] == [("u1", None, "a1"), ("u2", "pbx", None)]


def with_tls(tls: str) -> str:
    return PLAN.replace("domain: 127.0.0.1", f"domain: 127.0.0.1\n    transport: tls\n    tls: {tls}")


def test_certificates_and_keys_are_read_with_the_plan(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine = Path(authority.issue(common_name="worker")).name
    plan = read_plan(_write(tmp_path, with_tls(f"{{ca_file: ca.pem, certificate_file: {mine}, key_file: {mine}}}")))
    tls = plan.registrars["lab"].tls
    assert tls is not None
    assert tls.ca == (tmp_path / "ca.pem").read_text()
    assert tls.key is not None
    assert "PRIVATE KEY" in tls.key.get_secret_value()
    assert "PRIVATE KEY" not in f"{tls.key!r} {plan.model_dump_json(include={'registrars': {'lab': {'tls': {'key'}}}})}"
    assert "PRIVATE KEY" in json.dumps(plan.to_document())
    assert parse_plan(plan.to_document()) == plan


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ("{ca_file: none.pem}", "plan.yaml:7: registrars.lab.tls.ca_file: none.pem: cannot read the PEM file: No such"),
        ("{ca_file: 5}", "plan.yaml:7: registrars.lab.tls.ca_file: found 5, expected the name of a PEM file"),
        (
            "{ca_file: accounts.csv}",
            "plan.yaml:7: registrars.lab.tls.ca: found 'u1,p1\\nu2,p2\\n', expected text in PEM",
        ),
        ("{ca_file: broken.pem}", "plan.yaml:7: registrars.lab.tls.ca_file: TLS CA file: expected a PEM file of cert"),
        ("{key_file: broken.pem}", "plan.yaml:7: registrars.lab.tls.key: found without a certificate, expected"),
        ("{verify: custom}", "plan.yaml:7: registrars.lab.tls.verify: found 'custom', expected ca_file beside it"),
        ("{verify: never}", "plan.yaml:7: registrars.lab.tls.verify: found 'never', expected system, custom or skip"),
        ("{cafile: ca.pem}", "plan.yaml:7: registrars.lab.tls.cafile: is not a known field, did you mean"),
    ],
)
def test_a_mistake_about_certificates_is_named_with_its_line(tmp_path: Path, tls: str, message: str) -> None:
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    lines = _faults(_write(tmp_path, with_tls(tls)))
    assert any(message in line for line in lines), lines


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate: 10/s", "rate: 10/x", "plan.yaml:15: groups.callers.load.rate: found '10/x', expected a rate"),
        ("version: 1", "version: 7", "plan.yaml:1: version: found 7, expected 1"),
        ("duration: 5s\n", "", "plan.yaml:1: duration: is missing, expected a duration"),
        ("duration: 5s", "duration: 1:30", "plan.yaml:2: duration: found '1:30', expected a duration"),
        ("duration: 5s", "duration: 2026-01-01", "plan.yaml:2: duration: found '2026-01-01', expected a duration"),
        ("duration: 5s", "duration: 5s\nduration: 6s", "plan.yaml:3: duration: found twice, expected once: line 2 has it"),
        ("      group: callees", "      group: callees\n      group: x", "plan.yaml:14: groups.callers.call.group: found twice"),
        ("    endpoints: 1", "    endpoints:", "plan.yaml:10: groups.callers.endpoints: found nothing, expected a whole"),
        ("    endpoints: 1", "    endpoint: 1", "plan.yaml:10: groups.callers.endpoint: is not a known field, did you mean"),
        ("  callees:", "  1: {endpoints: 1}\n  callees:", "plan.yaml:8: groups: found 1 as a key, expected text"),
        ("  callees:", "  ? [a]\n  : 1\n  callees:", "plan.yaml:8: groups: found a mapping or a list as a key"),
        ("rate: 10/s", "rate: !!python/object:os.system x", "plan.yaml:15: groups.callers.load.rate: found the tag"),
        ("duration: 5s", "duration: 5s\nthresholds: !x {}", "plan.yaml:3: thresholds: found the tag '!x', expected none"),
        ("rate: 10/s", "rate: !x [1]", "plan.yaml:15: groups.callers.load.rate: found the tag '!x', expected none"),
        ("rate: 10/s", "rate: !!int x", "plan.yaml:15: groups.callers.load.rate: found 'x', expected a plain value"),
        ("rate: 10/s", "rate: [10/s", "plan.yaml:16: not YAML: while parsing a flow sequence"),
        ("rate: 10/s", "rate: \"a", "not YAML: while scanning a quoted scalar"),
        ("file: accounts.csv", "file: none.csv", "accounts.file: none.csv: cannot read the accounts file: No such file"),
        ("file: accounts.csv", "file: .", "accounts.file: "),
        ("file: accounts.csv", "flie: accounts.csv", "accounts.flie: is not a known field, did you mean 'file'?"),
        ("file: accounts.csv", "file: 5", "accounts.file: found 5, expected the name of a CSV file"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in PLAN
    assert any(message in line for line in _faults(_write(tmp_path, PLAN.replace(old, new, 1))))


@pytest.mark.parametrize(
    ("accounts", "message"),
    [
        ("u1,p1\nu2\n", "accounts.csv:2: registrars.lab.accounts[1]: found 1 cell, expected username,password[,realm[,auth_username]]"),
        ("u1,p1\nu2,p2,r,x,y\n", "accounts.csv:2: registrars.lab.accounts[1]: found 5 cells, expected username,password"),
        ("u1,p1\nu1,p2\n", "accounts.csv:2: registrars.lab.accounts[1].username: found 'u1', expected each account once"),
        ("u1,p1\n,p2\n", "accounts.csv:2: registrars.lab.accounts[1].username: found a text (not shown), expected a text"),
        ("u1,p1\n", "accounts.csv:1: registrars.lab.accounts: found 1 accounts, expected 2, one for each endpoint"),
        ('u1,"p1\n', "accounts.csv:1: not CSV: unexpected end of data"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_accounts_is_named_with_its_line(tmp_path: Path, accounts: str, message: str) -> None:
    lines = _faults(_write(tmp_path, PLAN, accounts))
    assert any(message in line for line in lines), lines


def test_accounts_of_sipp_are_read(tmp_path: Path) -> None:
    accounts = "SEQUENTIAL\n# comment\nu1;p1\nu2;127.0.0.1;[authentication username=auth2 password=p2];x\n"
    found = read_plan(_write(tmp_path, PLAN, accounts)).registrars["lab"].accounts
    assert [(a.username, a.password.get_secret_value(), a.realm, a.auth_username) for a in found] == [
        ("u1", "p1", None, None),
        ("u2", "p2", None, "auth2"),
    ]
    found = read_plan(_write(tmp_path, PLAN, "SEQUENTIAL,\nu1;[authentication username=u1 password=a]\nu2;b;;\n"))
    assert [a.password.get_secret_value() for a in found.registrars["lab"].accounts] == ["a", "b"]


@pytest.mark.parametrize(
    ("cell", "account"),
    [
        ("[authentication password=p username=b]", ("a", "p", "b")),
        ('[authentication username="b" password="p w]=" aka_K=0x1]', ("a", "p w]=", "b")),
        ("[authentication password=p]", ("a", "p", None)),
        ("[authentication]", ("a", "", None)),
    ],
)
def test_the_credentials_of_sipp_stand_in_any_order(
    tmp_path: Path, cell: str, account: tuple[str, str, str | None]
) -> None:
    (tmp_path / "a.csv").write_text(f"SEQUENTIAL\na;{cell}\n")
    assert [
        (a.username, a.password.get_secret_value(), a.auth_username) for a in read_accounts(tmp_path / "a.csv")
    ] == [account]


@pytest.mark.parametrize("line", ["a;[authentication username=a password=p;q]", "a;[authentication username=a"])
def test_credentials_of_sipp_that_are_cut_are_no_password(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.csv").write_text(f"SEQUENTIAL\nb;c\n{line}\n")
    with pytest.raises(SettingsError, match=r"a\.csv:3: .*found '\[authentication' without '\]' in its cell"):
        read_accounts(tmp_path / "a.csv")


def test_accounts_of_sipp_may_be_made_by_number(tmp_path: Path) -> None:
    head = "SEQUENTIAL,PRINTF=5,PRINTFMULTIPLE=3,PRINTFOFFSET=10,\n"
    (tmp_path / "a.csv").write_text(head + "u%03d;p%d;x%05dy%d;\n#no;no\nz%2d;100%;;\n")
    found = [(a.username, a.password.get_secret_value(), a.realm) for a in read_accounts(tmp_path / "a.csv")]
    assert found == [
        ("u010", "p10", "x00010y10"), ("z13", "100%", None), ("u016", "p16", "x00016y16"), ("z19", "100%", None),
        ("u022", "p22", "x00022y22"),
    ]  # fmt: skip
    (tmp_path / "b.csv").write_text("SEQUENTIAL;PRINTF = 2\nu%d;%%d\n")
    assert [a.username for a in read_accounts(tmp_path / "b.csv")] == ["u0", "u1"]
    (tmp_path / "c.csv").write_text("SEQUENTIAL\nu%d;p\n")
    assert [a.username for a in read_accounts(tmp_path / "c.csv")] == ["u%d"]


@pytest.mark.parametrize("name", ["USER", "RANDOM"])
def test_an_account_may_have_the_name_of_an_order_of_sipp(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text(f"{name},secret\nu2,p2\n")
    assert [a.username for a in read_accounts(tmp_path / "a.csv")] == [name, "u2"]


@pytest.mark.parametrize("blank", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_only_line_ends_part_accounts(tmp_path: Path, blank: str) -> None:
    (tmp_path / "a.csv").write_bytes(f"u1,p{blank}1\r\nu2,p2\r\n".encode())
    assert [a.password.get_secret_value() for a in read_accounts(tmp_path / "a.csv")] == [f"p{blank}1", "p2"]


@pytest.mark.parametrize(
    ("accounts", "message"),
    [
        (
            "SEQUENTIAL,x\nu1;p1\nu2;p2\n",
            "accounts.csv:1: registrars.lab.accounts: found 'x' beside SEQUENTIAL, expected PRINTF=N",
        ),
        (
            "SEQUENTIAL,PRINTF=2\nu;p\n",
            "accounts.csv:2: registrars.lab.accounts[1].username: found 'u', expected each",
        ),
        (
            "RANDOM,PRINTF=2\nu%d;p1\n",
            "accounts.csv:1: registrars.lab.accounts: found the order RANDOM, expected SEQUENTIAL",
        ),
        (
            "RANDOM\nu1;p1\nu2;p2\n",
            "accounts.csv:1: registrars.lab.accounts: found the order RANDOM, expected SEQUENTIAL",
        ),
        (
            "SEQUENTIAL\nu1;p1\nu2\n",
            "accounts.csv:3: registrars.lab.accounts[1]: found 1 cell, expected username,password",
        ),
        (
            "SEQUENTIAL\nu1;p1\nu1;p2\n",
            "accounts.csv:3: registrars.lab.accounts[1].username: found 'u1', expected each",
        ),
    ],
)
def test_a_mistake_in_accounts_of_sipp_is_named_with_its_line(tmp_path: Path, accounts: str, message: str) -> None:
    lines = _faults(_write(tmp_path, PLAN, accounts))
    assert any(message in line for line in lines), lines


PROFILE = PLAN.replace("rate: 10/s", "arrivals: profile\n      profile: {file: day.csv}")


def test_a_profile_from_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text("time,rate\n# recorded\n0,2\n\n30.5, 90/m\n1m30s,0.5\n", encoding="utf-8")
    load = read_plan(_write(tmp_path, PROFILE)).groups["callers"].load
    assert load is not None
    assert [(point.at, str(point.rate)) for point in load.profile or []] == [
        (0, "2/s"),
        (30_500_000_000, "1.5/s"),
        (90_000_000_000, "0.5/s"),
    ]


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("0,1\n5\n", "day.csv:2: groups.callers.load.profile[1]: found 1 cell, expected time,rate"),
        ("0,1\nx,2\n", "day.csv:2: groups.callers.load.profile[1].at: found 'x', expected a duration from 0s to 168h"),
        ("0,1\n5,-2\n", "day.csv:2: groups.callers.load.profile[1].rate: found '-2', expected a rate from 0.001/s"),
        ("5,1\n5,2\n", "day.csv:2: groups.callers.load.profile[1].at: found an instant that is not after"),
        ("", "groups.callers.load.profile: found 0 entries, expected a list of {at, rate}"),
    ],
)
def test_a_mistake_in_a_profile_is_named_with_its_line(tmp_path: Path, profile: str, message: str) -> None:
    (tmp_path / "day.csv").write_text(profile, encoding="utf-8")
    lines = _faults(_write(tmp_path, PROFILE))
    assert any(message in line for line in lines), lines


def test_a_profile_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert any("load.profile.file: " in line for line in _faults(_write(tmp_path, PROFILE)))


def test_mistakes_of_both_files_are_listed_at_once(tmp_path: Path) -> None:
    file = _write(tmp_path, PLAN.replace("10/s", "x").replace("duration", "time"), "u1\nu2\n")
    assert len(_faults(file)) == 5


def test_json_is_read_with_its_lines(tmp_path: Path) -> None:
    document = registered()
    text = json.dumps(document, indent="\t")
    assert read_plan(_write(tmp_path, text, name="plan.json")).total_endpoints == 4
    lines = _faults(_write(tmp_path, text.replace('"60s"', "60"), name="plan.json"))
    assert lines[0].startswith("plan.json:4: duration: found 60, expected a duration")
    lines = _faults(_write(tmp_path, '{"version": 1,\n"version": 1}', name="plan.json"))
    assert "plan.json:2: version: found twice, expected once: line 1 has it" in lines
    assert "plan.json:1: not JSON" in _faults(_write(tmp_path, "{'a': 1}", name="plan.json"))[0]


def test_words_of_yaml_1_1_are_text(tmp_path: Path) -> None:
    plan = PLAN.replace("version: 1", "version: 1\nname: on").replace("  callees:", "  off:").replace(
        "group: callees", "group: off")  # fmt: skip
    found = read_plan(_write(tmp_path, plan))
    assert (found.name, list(found.groups)) == ("on", ["off", "callers"])


def test_an_alias_may_be_used_but_not_to_fill_the_memory(tmp_path: Path) -> None:
    plan = PLAN.replace("callees: {", "callees: {audio: &a {codecs: [PCMA]}, ") + "    audio: *a\n"
    assert read_plan(_write(tmp_path, plan)).groups["callers"].audio.codecs == ["PCMA"]
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"a{k}: &a{k} [{','.join([f'*a{k - 1}'] * 10)}]\n" for k in range(1, 9))
    assert "too large or too deep" in _faults(_write(tmp_path, bomb))[0]
    assert "too large or too deep" in _faults(_write(tmp_path, "a: &a [*a]\n"))[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "plan.yaml:1: found nothing, expected a mapping with version, duration and groups"),
        (b"- 1", "plan.yaml:1: found a list, expected a mapping"),
        (b"a: 1\n---\nb: 2\n", "plan.yaml:2: not YAML: expected a single document"),
        (b"version: 1\nname: \xff\n", "plan.yaml:2: found bytes that are not UTF-8, expected text"),
        (b"name: \x00\n", "plan.yaml: not YAML: "),
        (b"[" * 5000, "plan.yaml: found a document nested too deeply, expected a plan"),
        (b"# " + b"x" * (1 << 20), "plan.yaml: found more than 1048576 bytes, expected a plan of at most 1048576"),
        (b'name: "\\U00110000"', "plan.yaml"),
        (b'name: "\\ud800"', "plan.yaml"),
        (b"version: 1_000", "plan.yaml:1: version: found '1_000', expected 1"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_bytes(content)
    assert any(message in line for line in _faults(file))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"plan\.yaml: cannot read the plan: No such file or directory"):
        read_plan(tmp_path / "plan.yaml")


def test_accounts_alone_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("u1,p1\nu2,p2,r\n", encoding="utf-8")
    assert [account.realm for account in read_accounts(file)] == [None, "r"]
    file.write_text("u1,p1\n,sekrit\nu3\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_accounts(file)
    assert [line.split(" found")[0] for line in str(caught.value).splitlines()] == [f"{file}:2:", f"{file}:3: [2]:"]
    assert "sekrit" not in str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.binary(max_size=60), st.integers(0, len(PLAN)), st.integers(0, 12), st.sampled_from([".yaml", ".json"]))
def test_a_damaged_file_is_a_plan_or_a_settings_error(
    tmp_path: Path, junk: bytes, at: int, cut: int, suffix: str
) -> None:
    file = _write(tmp_path, "", name=f"plan{suffix}")
    file.write_bytes(PLAN.encode()[:at] + junk + PLAN.encode()[at + cut :])
    try:
        read_plan(file)
    except SettingsError:
        return


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("[]{}:,-?!&*#'\"|>%@ \n\tab1."), max_size=60), st.sampled_from([".yaml", ".json"]))
def test_any_punctuation_is_a_settings_error(tmp_path: Path, text: str, suffix: str) -> None:
    with pytest.raises(SettingsError):
        read_plan(_write(tmp_path, text, name=f"plan{suffix}"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80) | st.text(st.sampled_from('u1,p"\n\r# ;'), max_size=60).map(str.encode))
def test_any_accounts_file_is_read_or_a_settings_error(tmp_path: Path, content: bytes) -> None:
    file = _write(tmp_path, PLAN)
    (tmp_path / "accounts.csv").write_bytes(content)
    try:
        read_plan(file)
    except SettingsError:
        return


def test_wav_files_are_read_from_beside_the_plan_once(tmp_path: Path) -> None:
    write_wav(tmp_path / "menu.wav", [7] * 160, rate=16000)
    plan = read_plan(sounds_plan(tmp_path, "menu.wav", "menu.wav"))
    assert list(plan.sounds) == ["menu.wav"]
    assert len(decode_sound(plan.sounds["menu.wav"])) == 80
    (tmp_path / "menu.wav").unlink()
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(plan.to_document()))
    assert read_plan(kept) == plan, "a plan that has its sounds needs no files"


def test_a_wav_file_that_cannot_be_said_is_told_with_its_line(tmp_path: Path) -> None:
    write_wav(tmp_path / "long.wav", [0] * 8000 * 91)
    with pytest.raises(SettingsError) as error:
        read_plan(sounds_plan(tmp_path, "long.wav", "none.wav"))
    long, none = str(error.value).splitlines()
    assert long.endswith("long.wav: found 91.0 s, expected at most 90 s")
    assert "plan.yaml:7: groups.callers.audio.source.file: " in long
    assert "plan.yaml:9: groups.callers.scenario[0].do.play.file: " in none
    assert none.endswith("none.wav: cannot be read as WAV: No such file or directory")


def sounds_plan(directory: Path, said: str, played: str) -> Path:
    path = directory / "plan.yaml"
    path.write_text(
        "version: 1\nduration: 5s\ngroups:\n  callers:\n    endpoints: 1\n    call: {uri: 'sip:600@127.0.0.1'}\n"
        f"    audio: {{source: {{file: {said}}}}}\n    scenario:\n      - {{at: 1s, do: {{play: {{file: {played}}}}}}}\n"
    )
    return path


def test_a_threshold_without_its_baseline_leaves_the_others_their_lines(tmp_path: Path) -> None:
    thresholds = "thresholds:\n  mos:\n    - p(50) >= baseline\n    - averag > 1\n  mso: [avg > baseline, avg > 1]\n"
    lines = _faults(_write(tmp_path, PLAN + thresholds))
    at = len(PLAN.splitlines())
    expected = (
        f"plan.yaml:{at + 3}: thresholds.mos[0]: found 'p(50) >= baseline', expected --baseline",
        f"plan.yaml:{at + 4}: thresholds.mos[1]: found 'averag > 1'",
        f"plan.yaml:{at + 5}: thresholds.mso: is not a metric",
        f"plan.yaml:{at + 5}: thresholds.mso[0]: found 'avg > baseline', expected --baseline",
    )
    assert len(lines) == len(expected)
    assert [told for told in expected if not any(line.startswith(told) for line in lines)] == []

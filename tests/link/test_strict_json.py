"""JSON as RFC 8259 has it, and no more."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.link.strict_json import parse_json, serialize_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "NaN",
            "[NaN]",
            "Infinity",
            "-Infinity",
            "1e999",
            "[-1e999]",
            "01",
            "-01",
            "1.",
            ".5",
            "-",
            "+1",
            "1e",
            "0x1",
        ),
        *("1e5e5", "1-1", "--1", "tru", "True", "None", "nulll", "truefalse", "'a'", "{'a':1}", "{a:1}", "{1:2}"),
        *("", " ", "[", "]", "[1,]", "[,1]", "[1 2]", '{"a":1,}', '{"a"}', '{"a":}', '{"a" 1}', '"a', 'a"', '"":""'),
        *('"\x01"', '"\n"', '"\\x"', '"\\u12"', '"\\"', "1 1", "[] []", "\ufeff{}", "\xa0{}", "/**/1", "[1]//"),
        *(
            '{"a":1,"a":1}',
            '{"b":{"a":1,"a":2}}',
            '{"a":1,"\\u0061":2}',
            '"\\ud800"',
            '"\\udc00\\ud800"',
            '{"\\ud800":1}',
        ),
        *("[" * 33 + "]" * 33, '{"a":' * 33 + "1" + "}" * 33, "[" * 100_000, "1" * 5000),
    ],
)
def test_what_is_outside_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_json(text)
    assert caught.value.hint == 1007


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (' {"a" : [1, -2.5e-3, true, null]} \r\n', {"a": [1, -0.0025, True, None]}),
        ('"\\ud83d\\ude00 \\u0041\\/"', "😀 A/"),
        ('{"a:\\"{[":1}', {'a:"{[': 1}),
        ('{"NaN":"Infinity"}', {"NaN": "Infinity"}),
        ("18446744073709551615", 2**64 - 1),
        ("[" * 32 + "]" * 32, json.loads("[" * 32 + "]" * 32)),
        ("[" + ",".join(["[]"] * 100) + "]", [[]] * 100),
        ("-0", 0),
    ],
)
def test_what_is_inside_is_read(text: str, value: object) -> None:
    assert parse_json(text) == value


@given(VALUES)
def test_what_is_written_is_read_again(value: object) -> None:
    assert parse_json(serialize_json(value)) == value


@given(st.text(st.sampled_from('{}[]":,\\u0019ae-+.\x00\x1f \ttrufalsn'), max_size=30))
@example('{"":0,"":0}')
def test_nothing_is_read_that_the_standard_library_refuses(text: str) -> None:
    try:
        value = parse_json(text)
    except RemoteProtocolError:
        return
    assert json.loads(text) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x", object(), 1j, {"a": [float("-inf")]}])
def test_what_is_no_json_is_not_written(value: object) -> None:
    with pytest.raises(LocalProtocolError):
        serialize_json(value)


def test_the_error_does_not_show_the_value() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        serialize_json({"password": b"hunter2"})
    assert "hunter2" not in str(caught.value)


def test_too_deep_is_not_written() -> None:
    value: object = 1
    for _ in range(33):
        value = [value]
    with pytest.raises(LocalProtocolError):
        serialize_json(value)


def test_lone_surrogates_are_replaced() -> None:
    assert parse_json(serialize_json({"a\udcff": ["\ud800é"]})) == {"a\ufffd": ["\ufffdé"]}

"""Tokens, values, authorities and targets as tables (RFC 9110 §5.5, §5.6.2, §7.2; RFC 9112 §3.2)."""

from __future__ import annotations

import pytest

from netlodge.http.message import MessageError, TargetForm
from netlodge.http.wire import grammar
from netlodge.http.wire.memo import HeadMemo

NO_AUTHORITIES = [
    "", ":", ":80", "a:b", "a:0", "a:65536", "a:123456", "a:-1", "a:\u0661", "a@b", "a/b", "a b", "a,b", "a%",
    "a%g0", "a\\b", "[", "[]", "[::1", "::1", "[::1]a", "[1]", "[a]", "[::1%25a]", "[v1.a]", "[1.2.3.4]",
    "[::1]:0", "a\n", "\u00e9", "a#", "a?",
]  # fmt: skip
TCHARS = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def test_a_token_is_made_of_tchars() -> None:
    for code in range(256):
        character = chr(code)
        assert grammar.is_token(character) is (character in TCHARS)
        assert grammar.is_lower_token(character) is (character in TCHARS and not character.isupper())
    assert not grammar.is_token("")
    assert not grammar.is_token("a\n")
    assert not grammar.is_token("\u0130")


def test_a_field_value_survives_the_wire() -> None:
    for code in range(256):
        allowed = code == 9 or 0x20 <= code != 0x7F
        assert grammar.is_field_value(f"a{chr(code)}b") is allowed
        assert (code in grammar.TEXT_OCTETS) is allowed
    assert grammar.is_field_value("")
    assert not grammar.is_field_value(" a")
    assert not grammar.is_field_value("a\t")
    assert not grammar.is_field_value("\u20ac")


def test_connection_options() -> None:
    assert grammar.parse_connection("") == []
    assert grammar.parse_connection("Close, ,\tX-Foo ,") == ["close", "x-foo"]
    for bad in ("close;a", "a b", '"close"', "close,\u00e9"):
        with pytest.raises(MessageError):
            grammar.parse_connection(bad)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.org", "example.org", None),
        ("Example.Org:80", "example.org", 80),
        ("a:65535", "a", 65535),
        ("a:00080", "a", 80),
        ("a:", "a", None),
        ("[::1]", "[::1]", None),
        ("[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]", 1),
        ("[FE80::A]", "[fe80::a]", None),
        ("1.2.3.4", "1.2.3.4", None),
        ("a_b-c~d!$&'()*+;=", "a_b-c~d!$&'()*+;=", None),
        ("%C3%a9", "%c3%a9", None),
    ],
)
def test_an_authority_is_a_host_and_perhaps_a_port(text: str, host: str, port: int | None) -> None:
    assert grammar.parse_authority(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    NO_AUTHORITIES,
)
def test_what_is_no_authority(text: str) -> None:
    with pytest.raises(MessageError) as caught:
        grammar.parse_authority(text)
    assert caught.value.status == 400
    with pytest.raises(MessageError):
        HeadMemo().parse_authority(text)


def test_a_long_host_is_refused_in_no_time() -> None:
    """A pattern that goes back over what it took would need until the end of the world for this."""
    with pytest.raises(MessageError):
        grammar.parse_authority("a" * 8000 + "\x00")
    with pytest.raises(MessageError):
        grammar.parse_target("GET", "/" + "a" * 8000 + "%41" * 1000 + '"')


@pytest.mark.parametrize("code", range(0x21, 0x7F))
def test_visible_characters_of_a_target(code: int) -> None:
    character = chr(code)
    in_path = character not in '"#<>%?'
    in_query = character not in '"#<>'
    for target, allowed in ((f"/{character}", in_path or character == "?"), (f"/?{character}", in_query)):
        if allowed:
            assert grammar.parse_target("GET", target)[0] is TargetForm.ORIGIN
        else:
            with pytest.raises(MessageError):
                grammar.parse_target("GET", target)
        absolute = f"http://a{target}"
        if allowed:
            assert grammar.parse_target("GET", absolute)[0] is TargetForm.ABSOLUTE
        else:
            with pytest.raises(MessageError):
                grammar.parse_target("GET", absolute)


@pytest.mark.parametrize("code", [*range(0x21), *range(0x7F, 0x100), 0x212A])
def test_other_characters_of_a_target(code: int) -> None:
    for target in (
        f"/{chr(code)}",
        f"/?{chr(code)}",
        f"http://a/{chr(code)}",
        f"http://a{chr(code)}/",
        f"{chr(code)}/",
    ):
        with pytest.raises(MessageError):
            grammar.parse_target("GET", target)


def test_a_field_line_in_words() -> None:
    for line, word in [
        (" a: b", "whitespace"),
        ("a b", "colon"),
        ("a : b", "between"),
        ("a(: b", "token"),
        (": b", "token"),
        ("", "colon"),
        ("host", "colon"),
    ]:
        with pytest.raises(MessageError, match=word):
            grammar.parse_field_lines([line])
        with pytest.raises(MessageError, match=word):
            HeadMemo().parse_field_lines([line])


def test_responses_are_mended_and_not_more() -> None:
    assert grammar.parse_field_lines(["a: b", " c", "d \t: e"], is_response=True) == [("a", "b c"), ("d", "e")]
    for lines in ([" a: b"], ["a"], [":a"], ["a(: b"]):
        with pytest.raises(MessageError):
            grammar.parse_field_lines(lines, is_response=True)


# --- the memo -----------------------------------------------------------------------------------------------------------------


def test_a_memo_says_what_the_grammar_says() -> None:
    memo = HeadMemo()
    lines = ["Host: a", "ACCEPT:*/*", "Cookie: a=b", "X-Y: z", "Accept: ", "User-Agent: x:y"]
    for _ in range(2):
        assert memo.parse_field_lines(lines) == grammar.parse_field_lines(lines)
        assert memo.parse_authority("A:1") == ("a", 1)


def test_a_memo_keeps_nothing_that_says_who_somebody_is() -> None:
    memo = HeadMemo()
    memo.parse_field_lines(
        ["Cookie: secret", "Authorization: secret", "Proxy-Authorization: secret", "X-Token: secret"]
    )
    memo.parse_field_lines(["User-Agent: " + "secret" * 100])
    with pytest.raises(MessageError):
        memo.parse_authority("secret:secret")
    memo.parse_authority("secret" * 100)
    assert "secret" not in repr((memo._lines, memo._hosts))


def test_a_flood_cannot_grow_a_memo() -> None:
    memo = HeadMemo()
    for number in range(2000):
        memo.parse_field_lines([f"Accept: {number}"])
        memo.parse_authority(f"host{number}")
        assert len(memo._lines) <= 512
        assert len(memo._hosts) <= 512
    assert memo._lines
    assert memo._hosts

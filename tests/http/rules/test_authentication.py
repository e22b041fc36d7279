"""Credentials and challenges, in the order of the sections."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.rules.authentication import (
    BasicCredentials,
    basic_credentials,
    bearer_token,
    challenge,
    challenges,
    parse_credentials,
)


def basic(text: str | bytes) -> str:
    octets = text if isinstance(text, bytes) else text.encode()
    return "Basic " + base64.b64encode(octets).decode()


def user_and_password(value: str) -> BasicCredentials | None:
    credentials = parse_credentials(value)
    return None if credentials is None else basic_credentials(credentials)


class TestRfc9110Section11:
    """RFC 9110 §11.1, §11.2, §11.4."""

    @pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "bAsIc"])
    def test_the_scheme_is_a_token_in_any_case(self, scheme: str) -> None:
        credentials = parse_credentials(f"{scheme} abc")
        assert credentials is not None
        assert credentials.scheme == "basic"

    @pytest.mark.parametrize("value", ["Basic abc", "Basic    abc"])
    def test_one_or_more_spaces_follow_it(self, value: str) -> None:
        credentials = parse_credentials(value)
        assert credentials is not None
        assert credentials.token68 == "abc"

    @pytest.mark.parametrize("token68", ["a", "aZ09-._~+/", "abc=", "abc==", "a====", "/"])
    def test_a_token68_is_taken_as_it_is(self, token68: str) -> None:
        assert parse_credentials(f"New {token68}") == ("new", token68, {})

    @pytest.mark.parametrize(
        ("text", "parameters"),
        [
            ("a=b", {"a": "b"}),
            ("a=b, c=d", {"a": "b", "c": "d"}),
            ("A=B,C=D", {"a": "B", "c": "D"}),
            ('a="b c", d=e', {"a": "b c", "d": "e"}),
            ('a="b,c", d=""', {"a": "b,c", "d": ""}),
            ('a="b\\"c\\\\d"', {"a": 'b"c\\d'}),
            ("a \t=\t b", {"a": "b"}),
            (", ,a=b,, c=d ,", {"a": "b", "c": "d"}),
            ('a="\xc3\xa9"', {"a": "\xc3\xa9"}),
            ("", {}),
        ],
    )
    def test_parameters_have_names_in_any_case_and_values_of_two_kinds(
        self, text: str, parameters: dict[str, str]
    ) -> None:
        assert parse_credentials(f"New {text}" if text else "New") == ("new", "", parameters)

    def test_a_parameter_must_only_occur_once(self) -> None:
        assert parse_credentials("New a=b, A=c") is None

    @pytest.mark.parametrize(
        "value",
        [
            "", " ", " Basic abc", "Basic\tabc", "B(sic abc", "Basic abc def", "Basic abc, def", "Basic a=b c=d", 'New a="b',
            'New a="b" c', "New a= ", "New =b", 'New a="b\x00"', 'New a="\\\x7f"', "New a=b;c=d", "Basic é", "Basic abc=d=", "Basic =",
        ],
    )  # fmt: skip
    def test_what_does_not_follow_the_grammar_is_none(self, value: str) -> None:
        assert parse_credentials(value) is None

    def test_two_fields_in_one_are_credentials_of_nobody(self) -> None:
        value = f"{basic('anna:pw')}, {basic('bert:pw')}"
        assert parse_credentials(value) is None

    def test_a_long_value_is_read_in_linear_time(self) -> None:
        for unit in ("a=b,", 'a="', "\\", ", ", "a", "=", '"\\"'):
            parse_credentials("New " + unit * 8000)
            parse_credentials('New a="' + unit * 8000)

    @given(st.text(max_size=40))
    def test_nothing_raises(self, value: str) -> None:
        credentials = parse_credentials(value)
        if credentials is not None:
            basic_credentials(credentials)
            bearer_token(credentials)


class TestRfc7617:
    """RFC 7617 §2, §2.1."""

    def test_the_example_of_section_2(self) -> None:
        value = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        assert user_and_password(value) == ("Aladdin", "open sesame")

    def test_the_example_of_section_2_1_in_utf_8(self) -> None:
        assert user_and_password("Basic dGVzdDoxMjPCow==") == ("test", "123£")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a:b:c", ("a", "b:c")),
            (":", ("", "")),
            ("a:", ("a", "")),
            (":b", ("", "b")),
            ("jürgen:größe", ("jürgen", "größe")),
        ],
    )
    def test_the_first_colon_ends_the_user_id(self, text: str, expected: tuple[str, str]) -> None:
        assert user_and_password(basic(text)) == expected

    @pytest.mark.parametrize("text", ["a\0:b", "a:b\n", "a:\x7fb", "a\r:b", "a:\tb"])
    def test_control_characters_are_not_allowed(self, text: str) -> None:
        assert user_and_password(basic(text)) is None

    @pytest.mark.parametrize(
        "value",
        [
            "Basic", basic(""), basic("no colon"), basic(b"a:\xff"), basic(b"\xe4:b"), "Basic YTpi=", "Basic YTpi====", "Basic YTo=YTo=", "Basic YQ==", "Basic OgAA=AA=", "Basic YTp", "Basic YTp-", "Basic _/==",
            'Basic a="b"', "Bearer YTpi", "Digest YTpi",
        ],
    )  # fmt: skip
    def test_what_is_no_pair_in_base64_of_utf_8_is_none(self, value: str) -> None:
        assert user_and_password(value) is None


class TestRfc6750:
    """RFC 6750 §2.1, §3."""

    def test_a_bearer_token_is_a_token68(self) -> None:
        credentials = parse_credentials("Bearer mF_9.B5f-4.1JqM")
        assert credentials is not None
        assert bearer_token(credentials) == "mF_9.B5f-4.1JqM"

    @pytest.mark.parametrize("value", ["Bearer", "Bearer a=b", "Basic abc"])
    def test_other_credentials_have_none(self, value: str) -> None:
        credentials = parse_credentials(value)
        assert credentials is not None
        assert bearer_token(credentials) is None

    def test_a_challenge_says_nothing_of_an_error_if_no_token_came(self) -> None:
        assert challenges("R", is_token_refused=False)[1] == ("www-authenticate", 'Bearer realm="R"')

    def test_a_challenge_says_that_a_token_is_invalid(self) -> None:
        assert challenges("R", is_token_refused=True)[1] == (
            "www-authenticate",
            'Bearer realm="R", error="invalid_token"',
        )


class TestChallenges:
    """RFC 9110 §11.3, §11.5, §11.6.1."""

    def test_basic_comes_first_on_a_line_of_its_own_and_asks_for_utf_8(self) -> None:
        assert challenges("Staff", is_token_refused=False)[0] == (
            "www-authenticate",
            'Basic realm="Staff", charset="UTF-8"',
        )

    @pytest.mark.parametrize(
        ("realm", "quoted"),
        [
            ("", '""'),
            ('a"b', '"a\\"b"'),
            ("a\\b", '"a\\\\b"'),
            ('", error="x', '"\\", error=\\"x"'),
            ("Büro", '"B\xc3\xbcro"'),
        ],
    )
    def test_a_realm_is_always_quoted_and_stays_in_its_quotes(self, realm: str, quoted: str) -> None:
        field = challenge("New", {"realm": realm})
        assert field == f"New realm={quoted}"
        parsed = parse_credentials(field)
        assert parsed is not None
        assert parsed.parameters == {"realm": realm.encode().decode("latin-1")}

    @pytest.mark.parametrize("realm", ["a\r\nSet-Cookie: x=y", "a\nb", "a\0", "\x7f"])
    def test_no_realm_can_split_the_answer(self, realm: str) -> None:
        with pytest.raises(ValueError, match="control characters"):
            challenges(realm, is_token_refused=False)

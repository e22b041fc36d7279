from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.core.records import HttpFacts, HttpRecord
from netlodge.observe.redaction import REDACTED, redact, redact_body, redact_head, redact_target
from tests.observe.samples import http_record, line_record

SECRET = "s3cr3t"
FACTS = ("door", "scheme", *HttpFacts.__annotations__)


class TestTargets:
    @pytest.mark.parametrize(
        ("target", "shown"),
        [
            ("/page?x=1&y=2", "/page?x=1&y=2"),
            ("/?token=s3cr3t", "/?token=[redacted]"),
            ("/?a=1&access_token=s3cr3t&b=2", "/?a=1&access_token=[redacted]&b=2"),
            ("/?PassWord=s3cr3t#top", "/?PassWord=[redacted]#top"),
            ("/?%70assword=s3cr3t", "/?%70assword=[redacted]"),
            ("/?user[password]=s3cr3t", "/?user[password]=[redacted]"),
            ("/?user%5Bpassword%5D=s3cr3t", "/?user%5Bpassword%5D=[redacted]"),
            ("/?apiKey=s3cr3t;client-secret=s3cr3t", "/?apiKey=[redacted];client-secret=[redacted]"),
            ("/?token=", "/?token="),
            ("/cb?state=1&code=s3cr3t", "/cb?state=1&code=[redacted]"),
            ("/?AWSAccessKeyId=s3cr3t&pin=s3cr3t", "/?AWSAccessKeyId=[redacted]&pin=[redacted]"),
            ("/?tokens=3&monkey=see", "/?tokens=3&monkey=see"),
            ("http://user:s3cr3t@host/path", "http://[redacted]@host/path"),
            ("http://s3cr3t@host", "http://[redacted]@host"),
            ("http://user:s3cr3t@p@host/", "http://[redacted]@host/"),
            ("user:s3cr3t@host:443", "[redacted]@host:443"),
            ("/mail/someone@example.org", "/mail/someone@example.org"),
            ("/?to=https://u:s3cr3t@host/&b=1", "/?to=https://[redacted]@host/&b=1"),
        ],
    )
    def test_secrets_go_and_the_rest_stays(self, target: str, shown: str) -> None:
        assert redact_target(target) == shown


class TestHeads:
    @pytest.mark.parametrize(
        "name",
        [
            *("Authorization", "PROXY-AUTHORIZATION", "cookie", "Set-Cookie", "X-Api-Key", "authorization "),
            *("X-XSRF-TOKEN", "Private-Token", "X-Vault-Token", "Api-Key", "X-Forwarded-Access-Token", "X-Session-Id"),
        ],
    )
    def test_a_field_with_credentials_keeps_its_name_alone(self, name: str) -> None:
        head = f"GET / HTTP/1.1\r\nHost: a\r\n{name}: {SECRET}\r\nAccept: */*\r\n\r\n".encode()
        assert redact_head(head) == head.replace(SECRET.encode(), REDACTED.encode())

    @pytest.mark.parametrize(
        "lines",
        [
            "Authorization:s3cr3t",
            "Authorization:\r\n s3cr3t",
            "Cookie: a=b;\r\n\ts3cr3t\r\n  s3cr3t",
            " Authorization: s3cr3t",
            "X: y\r Cookie: s3cr3t",
            "X: y\nCookie: s3cr3t",
            "Authorization\0: s3cr3t",
            "Authorization s3cr3t",
            "Referer: http://a/?password=s3cr3t",
            "Location: http://u:s3cr3t@h/",
        ],
    )
    def test_a_malformed_field_loses_its_secret_too(self, lines: str) -> None:
        head = f"GET / HTTP/1.1\r\n{lines}\r\nAccept: */*\r\n\r\n".encode("latin-1")
        redacted = redact_head(head)
        assert SECRET.encode() not in redacted
        assert REDACTED.encode() in redacted
        assert redacted.endswith(b"\r\nAccept: */*\r\n\r\n")

    def test_what_follows_a_credential_stays(self) -> None:
        head = b"GET / HTTP/1.1\r\nCookie: a=b\r\nX-Folded: one\r\n two\r\n\r\n"
        assert redact_head(head) == b"GET / HTTP/1.1\r\nCookie: [redacted]\r\nX-Folded: one\r\n two\r\n\r\n"

    def test_the_request_line_loses_its_secrets(self) -> None:
        assert redact_head(b"GET /?token=s3cr3t HTTP/1.1\r\n\r\n") == b"GET /?token=[redacted] HTTP/1.1\r\n\r\n"
        assert redact_head(b"CONNECT u:s3cr3t@h:443 HTTP/1.1\r\n\r\n") == b"CONNECT [redacted]@h:443 HTTP/1.1\r\n\r\n"
        assert redact_head(b"Authorization: s3cr3t\r\n\r\n") == b"Authorization: [redacted]\r\n\r\n"

    @given(st.binary())
    def test_any_octets_are_taken_and_those_without_secrets_stay(self, head: bytes) -> None:
        redacted = redact_head(head)
        assert redacted == head or REDACTED.encode() in redacted

    @given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF)))
    def test_no_value_survives_in_a_field_with_credentials(self, value: str) -> None:
        head = b"GET / HTTP/1.1\r\nCookie: " + value.lstrip(" ").encode("latin-1") + b"\r\nAccept: x\r\n\r\n"
        assert redact_head(head) == b"GET / HTTP/1.1\r\nCookie: [redacted]\r\nAccept: x\r\n\r\n"


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "shown"),
        [
            (b"user=a&password=s3cr3t", b"user=a&password=[redacted]"),
            (b"password=s3cr3t&user=a", b"password=[redacted]&user=a"),
            (b'{"user": "a", "password" : "s3\\"cr3t"}', b'{"user": "a", "password" : "[redacted]"}'),
            (b'{"access_token":"s3cr', b'{"access_token":"[redacted]'),
            (b'{"access_token":"s3cr\\', b'{"access_token":"[redacted]'),
            (b'{"access_token":"', b'{"access_token":"[redacted]'),
            (b'{"pin": 1234, "a": 1}', b'{"pin": "[redacted]", "a": 1}'),
            (b'{"otp":-1.5e3}', b'{"otp":"[redacted]"}'),
            (b'{"password": ["s3cr3t", {"b": "]"}], "a": [1]}', b'{"password": "[redacted]", "a": [1]}'),
            (b'{"secret": {"a": "s3cr3t}", "b": {}}, "c": {}}', b'{"secret": "[redacted]", "c": {}}'),
            (b'{"secret": {"a": "s3cr3t', b'{"secret": "[redacted]"'),
            (b'{"has_password": true, "token": null}', b'{"has_password": true, "token": null}'),
            (b'{"\\u0070assword": "s3cr3t"}', b'{"\\u0070assword": "[redacted]"}'),
            (b'{"a": "{\\"pin\\": \\"s3cr3t\\"}"}', b'{"a": "{\\"pin\\": \\"[redacted]\\"}"}'),
            (
                b'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\ns3cr3t\r\n--b--',
                b'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n[redacted]\r\n--b--',
            ),
            (b"plain text, no secret", b"plain text, no secret"),
            (bytes(range(256)), bytes(range(256))),
        ],
    )
    def test_forms_and_json(self, body: bytes, shown: bytes) -> None:
        assert redact_body(body) == shown

    @given(st.binary())
    def test_any_octets_are_taken(self, body: bytes) -> None:
        redact_body(body)

    def test_the_cost_stays_linear(self) -> None:
        # Would take minutes if any pattern went back over what it has seen.
        for piece in (
            b'"',
            b'"a',
            b"//",
            b"a=",
            b'name="',
            b"\\",
            b'"a":"',
            b'"\\',
            b"?token",
            b'name="password"\r\n\r\n',
            b'"pin":[',
            b'"pin":{"',
            b'"pin":1',
            b'\\"pin\\":\\"',
            b'" ',
        ):
            redact_body(piece * 30_000)
            redact_head(b"GET " + piece * 30_000)


class TestRecords:
    def test_a_record_is_copied_without_its_secrets(self) -> None:
        record = http_record(
            target="/?token=s3cr3t",
            host="u:s3cr3t@h",
            referer="http://u:s3cr3t@h/",
            request_head=b"GET /?token=s3cr3t HTTP/1.1\r\nAuthorization: s3cr3t\r\n\r\n",
            response_head=b"HTTP/1.1 200 OK\r\nSet-Cookie: s3cr3t\r\n\r\n",
            request_body=b"password=s3cr3t",
            response_body=b'{"token":"s3cr3t"}',
            user="frank",
        )
        shown = redact(record)
        assert isinstance(shown, HttpRecord)
        for name in FACTS:
            assert SECRET not in str(getattr(shown, name)), name
        assert record.target == "/?token=s3cr3t"
        assert shown.user == "frank"

    def test_a_record_without_secrets_is_as_it_was(self) -> None:
        record = http_record(is_recalled=True, outcome="aborted", user="frank", received=3, request_body=b"abc")
        shown = redact(record)
        for name in FACTS:
            assert getattr(shown, name) == getattr(record, name), name

    def test_sentences_pass(self) -> None:
        record = line_record()
        assert redact(record) is record

from __future__ import annotations

import gzip
import json
import zlib
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.core.records import HttpRecord
from netlodge.observe import har
from netlodge.observe.redaction import redact
from tests.observe.har_checker import check
from tests.observe.samples import PEER, WALL, http_record, line_record


def entry_of(record: HttpRecord) -> Any:
    archive = json.loads(json.dumps(har.build([(WALL, PEER, record)], "0.1.0")))
    check(archive)
    return archive["log"]["entries"][0]


def answered(body: bytes, *fields: str, **changes: object) -> Any:
    """The `content` of an answer with these fields and this body."""
    head = "\r\n".join(["HTTP/1.1 200 OK", *fields, "", ""]).encode()
    changes = {"sent": len(body)} | changes
    return entry_of(http_record(response_head=head, response_body=body, **changes))["response"]["content"]


def asked(body: bytes, media_type: str, **changes: object) -> Any:
    """The `postData` of a request with this body."""
    head = f"POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: {media_type}\r\n\r\n".encode()
    changes = {"received": len(body)} | changes
    return entry_of(http_record(method="POST", request_head=head, request_body=body, **changes))["request"]["postData"]


class TestTheLog:
    def test_a_plain_exchange(self) -> None:
        archive = har.build([(WALL, PEER, http_record())], "0.1.0")
        check(archive)
        assert archive == {
            "log": {
                "version": "1.2",
                "creator": {"name": "Netlodge", "version": "0.1.0"},
                "entries": [
                    {
                        "startedDateTime": "2000-10-10T20:55:36.250Z",
                        "time": 0.312,
                        "request": {
                            "method": "GET",
                            "url": "http://www.example.org:8080/page?x=1",
                            "httpVersion": "HTTP/1.1",
                            "cookies": [],
                            "headers": [
                                {"name": "Host", "value": "www.example.org:8080"},
                                {"name": "User-Agent", "value": "curl/8.5.0"},
                            ],
                            "queryString": [{"name": "x", "value": "1"}],
                            "headersSize": 78,
                            "bodySize": 0,
                        },
                        "response": {
                            "status": 200,
                            "statusText": "OK",
                            "httpVersion": "HTTP/1.1",
                            "cookies": [],
                            "headers": [
                                {"name": "Content-Type", "value": "text/plain; charset=utf-8"},
                                {"name": "Content-Length", "value": "5"},
                            ],
                            "content": {"size": 5, "mimeType": "text/plain; charset=utf-8", "text": "hello"},
                            "redirectURL": "",
                            "headersSize": 79,
                            "bodySize": 5,
                        },
                        "cache": {},
                        "timings": {
                            "blocked": -1,
                            "dns": -1,
                            "connect": -1,
                            "ssl": -1,
                            "send": 0,
                            "wait": 0.312,
                            "receive": 0,
                        },
                        "connection": "50312",
                        "_peer": "127.0.0.1:50312",
                        "_door": "web",
                        "_recalled": False,
                        "_outcome": "complete",
                    }
                ],
            }
        }

    def test_exchanges_stand_in_the_order_of_their_start(self) -> None:
        slow = http_record(target="/slow", elapsed=3.0)
        archive = har.build([(WALL, PEER, http_record(target="/quick")), (WALL + 1, PEER, slow)], "0")
        check(archive)
        urls = [entry["request"]["url"] for entry in archive["log"]["entries"]]
        assert [url.rpartition("/")[2] for url in urls] == ["slow", "quick"]

    def test_what_is_no_request_is_left_out_and_counted(self) -> None:
        archive = har.build([(WALL, PEER, line_record()), (WALL, PEER, http_record(method="", status=400))], "0")
        check(archive)
        assert archive["log"]["entries"] == []
        assert archive["log"]["comment"].startswith("2 exchanges")

    @given(
        head=st.binary(),
        body=st.binary(),
        text=st.text(),
        sent=st.integers(0, 10**9),
        elapsed=st.floats(0, 1000),
        status=st.integers(0, 999),
    )
    def test_anything_recorded_makes_a_valid_archive(
        self, head: bytes, body: bytes, text: str, sent: int, elapsed: float, status: int
    ) -> None:
        entry_of(
            http_record(
                method=text or "X",
                target=text,
                host=text,
                scheme="https",
                version=text,
                status=status,
                elapsed=elapsed,
                sent=sent,
                request_head=b"X" + head,
                response_head=head,
                request_body=body,
                response_body=body,
            )
        )

    def test_a_redacted_exchange_is_valid_too(self) -> None:
        record = redact(
            http_record(
                request_head=b"GET /?token=x HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n\r\n",
                response_head=b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n\r\n",
            )
        )
        assert isinstance(record, HttpRecord)
        entry = entry_of(record)
        assert entry["request"]["headers"][1] == {"name": "Cookie", "value": "[redacted]"}
        assert entry["request"]["cookies"] == entry["response"]["cookies"] == []
        assert entry["request"]["headersSize"] == -1


class TestRequests:
    @pytest.mark.parametrize(
        ("changes", "url"),
        [
            ({"target": "http://other.example/x"}, "http://other.example/x"),
            ({"target": "*", "method": "OPTIONS"}, "http://www.example.org:8080"),
            ({"target": "h.example:443", "method": "CONNECT"}, "h.example:443"),
            ({"scheme": "https"}, "https://www.example.org:8080/page?x=1"),
            ({"request_head": b""}, "http://www.example.org/page?x=1"),
            ({"target": "/?u=http://x/"}, "http://www.example.org:8080/?u=http://x/"),
        ],
    )
    def test_the_url_is_absolute(self, changes: dict[str, object], url: str) -> None:
        assert entry_of(http_record(**changes))["request"]["url"] == url

    def test_the_query_is_decoded(self) -> None:
        entry = entry_of(http_record(target="/?a=1&a=%C3%A9+x&empty=&%ff=bad"))
        assert entry["request"]["queryString"] == [
            {"name": "a", "value": "1"},
            {"name": "a", "value": "é x"},
            {"name": "empty", "value": ""},
            {"name": "\ufffd", "value": "bad"},
        ]

    def test_cookies_are_taken_apart(self) -> None:
        head = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=x=y;c\r\nCookie: d=\r\n\r\n"
        assert entry_of(http_record(request_head=head))["request"]["cookies"] == [
            {"name": "a", "value": "1"},
            {"name": "b", "value": "x=y"},
            {"name": "d", "value": ""},
        ]

    def test_a_form_has_parameters_and_no_text(self) -> None:
        assert asked(b"a=1&b=%26", "application/x-www-form-urlencoded") == {
            "mimeType": "application/x-www-form-urlencoded",
            "params": [{"name": "a", "value": "1"}, {"name": "b", "value": "&"}],
        }

    def test_other_text_is_text_and_the_rest_base64(self) -> None:
        assert asked(b'{"a": 1}', "application/json") == {"mimeType": "application/json", "text": '{"a": 1}'}
        assert asked(b"\xff\xd8", "image/jpeg") == {"mimeType": "image/jpeg", "text": "/9g=", "_encoding": "base64"}

    def test_a_body_that_was_recorded_in_part_says_so(self) -> None:
        assert asked(b"abc", "text/plain", received=1000)["comment"] == "The first 3 of 1000 octets."

    def test_the_servers_address_is_not_what_the_client_claims(self) -> None:
        assert "serverIPAddress" not in entry_of(http_record(host="[::1]"))
        assert "serverIPAddress" not in entry_of(http_record(host="192.0.2.1:80"))


class TestHttp2:
    def test_is_called_as_browsers_call_it_and_has_heads_of_no_known_size(self) -> None:
        head = b"GET /a HTTP/2.0\r\nhost: localhost\r\n\r\n"
        answer = b"HTTP/2.0 200 OK\r\ncontent-type: text/plain\r\n\r\n"
        entry = entry_of(http_record(version="2", target="/a", request_head=head, response_head=answer))
        for message in (entry["request"], entry["response"]):
            assert (message["httpVersion"], message["headersSize"]) == ("HTTP/2", -1)
        assert entry["request"]["headers"] == [{"name": "host", "value": "localhost"}]
        assert entry["response"]["headers"] == [{"name": "content-type", "value": "text/plain"}]


class TestResponses:
    def test_an_exchange_without_an_answer_has_status_0(self) -> None:
        response = entry_of(http_record(status=0, sent=0, response_head=b"", response_body=b"", outcome="aborted"))[
            "response"
        ]
        assert (response["status"], response["statusText"], response["httpVersion"]) == (0, "", "")
        assert response["headersSize"] == -1

    def test_the_location_is_the_redirect_url(self) -> None:
        head = b"HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n"
        response = entry_of(http_record(status=302, response_head=head))["response"]
        assert (response["statusText"], response["redirectURL"]) == ("Found", "/there")

    def test_cookies_are_taken_apart(self) -> None:
        head = (
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/x; Domain=example.org; Secure; HttpOnly; "
            b"Expires=Wed, 21-Oct-2015 07:28:00 GMT\r\nset-cookie: b=2; expires=never; Max-Age=5\r\n\r\n"
        )
        assert entry_of(http_record(response_head=head))["response"]["cookies"] == [
            {
                "name": "a",
                "value": "1",
                "path": "/x",
                "domain": "example.org",
                "expires": "2015-10-21T07:28:00.000+00:00",
                "httpOnly": True,
                "secure": True,
            },
            {"name": "b", "value": "2", "httpOnly": False, "secure": False},
        ]

    @pytest.mark.parametrize("media_type", ["text/html", "application/json", "image/svg+xml", "application/javascript"])
    def test_text_is_text(self, media_type: str) -> None:
        assert answered("é".encode(), f"Content-Type: {media_type}") == {
            "size": 2,
            "mimeType": media_type,
            "text": "é",
        }

    def test_the_charset_is_followed(self) -> None:
        assert answered(b"\xe9", 'Content-Type: text/plain; charset="ISO-8859-1"')["text"] == "é"

    @pytest.mark.parametrize("media_type", ["image/png", "text/plain", "application/octet-stream"])
    def test_octets_that_are_no_text_are_base64(self, media_type: str) -> None:
        content = answered(b"\xff\x00", f"Content-Type: {media_type}")
        assert content["encoding"] == "base64"
        assert b64decode(content["text"]) == b"\xff\x00"

    def test_without_a_media_type(self) -> None:
        assert answered(b"abc") == {"size": 3, "mimeType": "x-unknown", "text": "YWJj", "encoding": "base64"}

    @pytest.mark.parametrize(
        ("coding", "body"), [("gzip", gzip.compress(b"hello" * 100)), ("deflate", zlib.compress(b"hello" * 100))]
    )
    def test_coded_content_is_shown_decoded(self, coding: str, body: bytes) -> None:
        content = answered(body, "Content-Type: text/plain", f"Content-Encoding: {coding}")
        assert content["text"] == "hello" * 100
        assert content["size"] == 500
        assert content["compression"] == 500 - len(body)

    @pytest.mark.parametrize(
        ("coding", "body", "changes"),
        [
            ("gzip", b"no gzip", {}),
            ("gzip", gzip.compress(b"hello")[:-4], {}),
            ("gzip", gzip.compress(b"hello"), {"sent": 10_000}),
            ("gzip", gzip.compress(bytes(har.DECODED_OCTETS + 1)), {}),
            ("br", b"xyz", {}),
        ],
    )
    def test_what_cannot_be_decoded_is_left_out_with_the_reason(
        self, coding: str, body: bytes, changes: dict[str, object]
    ) -> None:
        content = answered(body, "Content-Type: text/plain", f"Content-Encoding: {coding}", **changes)
        assert "text" not in content
        assert content["comment"]

    def test_content_that_was_not_recorded_is_left_out(self) -> None:
        assert answered(b"", "Content-Type: text/plain", sent=77) == {"size": 77, "mimeType": "text/plain"}


def test_credentials_do_not_hide_in_compressed_content() -> None:
    body = gzip.compress(b'{"token": "s3cr3t"}')
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n"
    entry = entry_of(http_record(response_head=head, response_body=body, sent=len(body)))
    assert entry["response"]["content"]["text"] == '{"token": "[redacted]"}'

"""RFC 9110, HTTP Semantics, in its order: what an origin server owes its clients when it serves files.

Each test quotes what it tests. Framing and connections are RFC 9112's, and stand in `test_rfc9112.py`.
"""

from __future__ import annotations

import os
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path

import pytest

from netlodge.core.clock import FakeClock
from netlodge.http.handlers.error_pages import error_response
from netlodge.http.handlers.fields import FieldRule, FieldRules
from netlodge.http.handlers.files import Files, FilesSettings
from netlodge.http.handlers.redirect import Redirect
from netlodge.http.handlers.respond import Respond
from netlodge.http.handlers.router import Route, Router, Site
from netlodge.http.handlers.trace import ServerMethods
from netlodge.http.message import FileBody, HttpError, Response, TargetForm
from netlodge.http.rules.dates import imf_fixdate
from netlodge.http.rules.patterns import PathPattern
from tests.http.handlers.asking import answer, ask, content, get, later, request_of

SMALL = bytes(range(256)) * 4
LARGE = bytes(range(256)) * 400
"""More than is kept in memory: comes from a descriptor, by the same rules."""
MODIFIED = 784_111_777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE, AFTER = imf_fixdate(MODIFIED - 1), imf_fixdate(MODIFIED + 1)


@pytest.fixture
def clock() -> FakeClock:
    return later()


@pytest.fixture
def site(tmp_path: Path, clock: FakeClock) -> Files:
    (tmp_path / "dir").mkdir()
    for name, octets in [("small.bin", SMALL), ("large.bin", LARGE), ("empty.txt", b""), ("page.html", b"<p>page")]:
        (tmp_path / name).write_bytes(octets)
        os.utime(tmp_path / name, (MODIFIED, MODIFIED))
    return Files(FilesSettings(root=tmp_path), clock=clock)


@pytest.fixture(params=["small.bin", "large.bin"])
def target(request: pytest.FixtureRequest) -> str:
    """Each test of a file is made with one from memory and one from a descriptor."""
    return f"/{request.param}"


def whole(target: str) -> bytes:
    return SMALL if "small" in target else LARGE


def etag_of(site: Files, target: str) -> str:
    return ask(site, "HEAD", target).fields.get("etag") or ""


def octets(response: Response) -> int:
    return response.body.length if isinstance(response.body, FileBody) else len(content(response))


# §5.6.7 Date/Time Formats


@pytest.mark.parametrize("date", [DATE, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
def test_s5_6_7_all_three_formats_are_accepted(site: Files, target: str, date: str) -> None:
    """A recipient that parses a timestamp value in an HTTP field MUST accept all three HTTP-date formats."""
    assert get(site, target, {"if-modified-since": date}).status == 304
    assert get(site, target, {"range": "bytes=0-0", "if-range": date}).status == 206


def test_s5_6_7_the_preferred_format_is_generated(site: Files, target: str) -> None:
    """the sender MUST generate those timestamps in the IMF-fixdate format."""
    assert ask(site, "HEAD", target).fields.get("last-modified") == DATE


# §7.4 Rejecting Misdirected Requests


def test_s7_4_a_request_for_a_host_that_is_not_served_is_rejected() -> None:
    """The 421 (Misdirected Request) status code in a response indicates that the origin server has rejected the request
    because it appears to have been misdirected."""
    router = Router([Site(("www.example.org",), (Route("/", Respond()),))])
    assert ask(router, "GET", "/", host="www.example.org").status == 200
    assert ask(router, "GET", "/", host="www.example.net").status == 421


# §8.3 Content-Type


def test_s8_3_the_type_is_told(site: Files) -> None:
    """A sender that generates a message containing content SHOULD generate a Content-Type header field in that message"""
    assert get(site, "/page.html").fields.get("content-type") == "text/html; charset=utf-8"
    assert ask(site, "HEAD", "/small.bin").fields.get("content-type") == "application/octet-stream"


# §8.6 Content-Length


def test_s8_6_the_length_told_to_head_is_that_of_get(site: Files) -> None:
    """A server MUST NOT send Content-Length in such a response unless its field value equals the decimal number of octets that
    would have been sent in the content of a response if the same request had used the GET method."""
    assert ask(site, "HEAD", "/large.bin").fields.get("content-length") == str(len(LARGE))
    # Of a small file the body is at hand, and the session counts it.
    assert octets(ask(site, "HEAD", "/small.bin")) == len(SMALL)


# §8.8.1 Weak versus Strong


def test_s8_8_1_a_strong_validator_changes_with_the_content(site: Files, target: str, tmp_path: Path) -> None:
    """A strong validator is representation metadata that changes value whenever a change occurs to the representation data that
    would be observable in the content of a 200 (OK) response to GET."""
    file = tmp_path / target[1:]
    seen = [etag_of(site, target)]
    for _ in range(3):
        file.write_bytes(file.read_bytes()[::-1])
        os.utime(file, (MODIFIED, MODIFIED))  # the same size and the same date: the tag must tell all the same
        seen.append(etag_of(site, target))
    assert len(set(seen)) == len(seen)
    assert not any(tag.startswith("W/") for tag in seen)


def test_s8_8_1_a_strong_validator_stays_while_nothing_changes(site: Files, target: str, tmp_path: Path) -> None:
    """it is in the best interests of the origin server to only change the value when it is necessary"""
    assert etag_of(site, target) == etag_of(site, target)
    assert etag_of(Files(FilesSettings(root=tmp_path), clock=later()), target) == etag_of(site, target)


# §8.8.2 Last-Modified


def test_s8_8_2_1_last_modified_is_never_later_than_date(
    site: Files, target: str, tmp_path: Path, clock: FakeClock
) -> None:
    """An origin server with a clock MUST NOT generate a Last-Modified date that is later than the server's time of message
    origination (Date)."""
    os.utime(tmp_path / target[1:], (clock.second + 1000, clock.second + 1000))
    response = ask(site, "HEAD", target)
    assert response.fields.get("last-modified") == imf_fixdate(clock.second)


# §8.8.3 ETag


def test_s8_8_3_a_tag_has_no_backslash(site: Files, target: str) -> None:
    """Servers therefore ought to avoid backslash characters in entity tags."""
    tag = etag_of(site, target)
    assert tag[0] == tag[-1] == '"'
    assert set(tag[1:-1]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


# §9.1 Methods


def test_s9_1_an_unknown_method_is_not_implemented(site: Files) -> None:
    """An origin server that receives a request method that is unrecognized or not implemented SHOULD respond with the 501 (Not
    Implemented) status code."""
    assert ask(site, "BREW", "/small.bin").status == 501
    assert ask(site, "get", "/small.bin").status == 501  # "The method token is case-sensitive"


# §9.3.2 HEAD


def test_s9_3_2_head_has_the_fields_of_get(site: Files, target: str) -> None:
    """The server SHOULD send the same header fields in response to a HEAD request as it would have sent if the request method had
    been GET."""
    got = get(site, target)
    head = ask(site, "HEAD", target)
    assert [pair for pair in head.fields if pair[0] != "content-length"] == list(got.fields)
    content(got)


# §9.3.7 OPTIONS


def test_s9_3_7_options_tells_what_is_supported(site: Files) -> None:
    """A server generating a successful response to OPTIONS SHOULD send any header that might indicate optional features
    implemented by the server and applicable to the target resource (e.g., Allow)"""
    for handler in (site, Respond()):
        response = ask(handler, "OPTIONS", "/small.bin")
        assert response.status == 204
        assert response.fields.get("allow") == "GET, HEAD, OPTIONS"


def test_s9_3_7_options_of_the_server_in_general(site: Files) -> None:
    """An OPTIONS request with an asterisk ("*") as the request target applies to the server in general rather than to a specific
    resource."""
    response = answer(ServerMethods(site), request_of("OPTIONS", "*", form=TargetForm.ASTERISK))
    assert response.status == 204
    assert response.fields.get("allow") == "GET, HEAD, OPTIONS"


# §9.3.8 TRACE


def test_s9_3_8_trace_reflects_the_request_without_what_is_sensitive(site: Files) -> None:
    """The final recipient of the request SHOULD exclude any request fields that are likely to contain sensitive data when that
    recipient generates the response content."""
    sensitive = {"authorization": "Basic c2VjcmV0", "cookie": "id=secret", "proxy-authorization": "secret"}
    response = ask(ServerMethods(site, trace=True), "TRACE", "/small.bin", {"via": "1.1 proxy", **sensitive})
    assert response.status == 200
    assert response.fields.get("content-type") == "message/http"
    text = content(response)
    assert text.startswith(b"TRACE /small.bin HTTP/1.1\r\n")
    assert b"via: 1.1 proxy\r\n" in text
    assert b"secret" not in text
    assert b"c2VjcmV0" not in text


def test_s9_3_8_trace_is_off_unless_wanted(site: Files) -> None:
    response = ask(ServerMethods(site), "TRACE", "/small.bin")
    assert response.status == 405
    assert response.fields.get("allow") == "GET, HEAD, OPTIONS"


# §10.2.2 Location


@pytest.mark.parametrize("path", ["//evil.example/dir", "///dir", "//dir//"])
def test_s10_2_2_a_location_stays_where_it_was_meant(site: Files, path: str) -> None:
    """If the Location value provided in a 3xx (Redirection) response does not have a fragment [...]: a reference that begins with
    two slashes would name a host (RFC 3986 §4.2)."""
    location = get(site, path).fields.get("location") or ""
    assert location.startswith("/")
    assert not location.startswith("//")


# §13.1.1 If-Match


def test_s13_1_1_if_match_any_is_true_for_what_exists(site: Files, target: str) -> None:
    """If the field value is "*", the condition is true if the origin server has a current representation"""
    assert octets(get(site, target, {"if-match": "*"})) == len(whole(target))


def test_s13_1_1_if_match_is_compared_strongly(site: Files, target: str) -> None:
    """An origin server MUST use the strong comparison function when comparing entity tags for If-Match"""
    tag = etag_of(site, target)
    assert ask(site, "HEAD", target, {"if-match": f'"other", {tag}'}).status == 200
    assert get(site, target, {"if-match": f"W/{tag}"}).status == 412


def test_s13_1_1_the_method_is_not_performed_if_it_is_false(site: Files, target: str) -> None:
    """An origin server that evaluates an If-Match condition MUST NOT perform the requested method if the condition evaluates to
    false."""
    response = get(site, target, {"if-match": '"other"'})
    assert response.status == 412
    assert b"412 Precondition Failed" in content(response)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_s13_1_1_answers_that_are_no_files_have_a_tag_to_compare_too(
    tmp_path: Path, clock: FakeClock, method: str
) -> None:
    """An origin server that evaluates an If-Match condition MUST NOT perform the requested method if the condition evaluates to false."""
    for handler in (Files(FilesSettings(root=tmp_path, listing=True), clock=clock), Respond(200, "text")):
        tag = ask(handler, method, "/").fields.get("etag") or ""
        assert ask(handler, method, "/", {"if-match": '"another"'}).status == 412
        assert ask(handler, method, "/", {"if-match": tag}).status == 200


# §13.1.2 If-None-Match


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_s13_1_2_answers_that_are_no_files_are_not_sent_again(tmp_path: Path, clock: FakeClock, method: str) -> None:
    """the origin server MUST respond with either a) the 304 (Not Modified) status code if the request method is GET or HEAD"""
    for handler in (Files(FilesSettings(root=tmp_path, listing=True), clock=clock), Respond(200, "text")):
        tag = ask(handler, method, "/").fields.get("etag") or ""
        for condition in ("*", tag):
            response = ask(handler, method, "/", {"if-none-match": condition})
            assert (response.status, response.body, response.fields.get("etag")) == (304, b"", tag)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_s13_1_2_if_none_match_is_compared_weakly(site: Files, target: str, method: str) -> None:
    """A recipient MUST use the weak comparison function when comparing entity tags for If-None-Match"""
    tag = etag_of(site, target)
    for value in (tag, f"W/{tag}", f'"other", W/"another",{tag}', "*"):
        assert ask(site, method, target, {"if-none-match": value}).status == 304
    assert ask(site, "HEAD", target, {"if-none-match": '"other"'}).status == 200


# §13.1.3 If-Modified-Since


@pytest.mark.parametrize(("date", "status"), [(BEFORE, 200), (DATE, 304), (AFTER, 304)])
def test_s13_1_3_if_modified_since(site: Files, target: str, date: str, status: int) -> None:
    """If the selected representation's last modification date is earlier or equal to the date provided in the field value, the
    condition is false."""
    response = get(site, target, {"if-modified-since": date})
    assert response.status == status
    content(response)


@pytest.mark.parametrize("value", ["yesterday", f"{DATE}, {DATE}", "", "Sun, 06 Nov 1994 08:49:37"])
def test_s13_1_3_what_is_no_date_is_ignored(site: Files, value: str) -> None:
    """A recipient MUST ignore the If-Modified-Since header field if the received field value is not a valid HTTP-date, the field
    value has more than one member"""
    assert get(site, "/small.bin", {"if-modified-since": value}).status == 200


def test_s13_1_3_it_is_ignored_beside_if_none_match(site: Files) -> None:
    """A recipient MUST ignore If-Modified-Since if the request contains an If-None-Match header field"""
    assert get(site, "/small.bin", {"if-none-match": '"other"', "if-modified-since": AFTER}).status == 200


# §13.1.4 If-Unmodified-Since


@pytest.mark.parametrize(("date", "status"), [(BEFORE, 412), (DATE, 200), (AFTER, 200), ("yesterday", 200)])
def test_s13_1_4_if_unmodified_since(site: Files, target: str, date: str, status: int) -> None:
    """If the selected representation's last modification date is earlier than or equal to the date provided in the field value,
    the condition is true."""
    response = get(site, target, {"if-unmodified-since": date})
    assert response.status == status
    content(response)


def test_s13_1_4_it_is_ignored_beside_if_match(site: Files) -> None:
    """A recipient MUST ignore If-Unmodified-Since if the request contains an If-Match header field"""
    assert get(site, "/small.bin", {"if-match": "*", "if-unmodified-since": BEFORE}).status == 200


# §13.1.5 If-Range


def test_s13_1_5_the_part_if_it_is_the_same_and_the_whole_if_not(site: Files, target: str) -> None:
    """if the representation is unchanged, send me the part(s) that I am requesting in Range; otherwise, send me the entire
    representation."""
    tag = etag_of(site, target)
    for validator, status in [
        (tag, 206),
        ('"other"', 200),
        (f"W/{tag}", 200),
        (DATE, 206),
        (BEFORE, 200),
        (AFTER, 200),
        ("x", 200),
    ]:
        response = get(site, target, {"range": "bytes=5-9", "if-range": validator})
        assert response.status == status, validator
        assert content(response) == (whole(target)[5:10] if status == 206 else whole(target))


def test_s13_1_5_a_date_that_is_not_strong_is_false(site: Files, target: str, tmp_path: Path, clock: FakeClock) -> None:
    """If the HTTP-date validator provided is not a strong validator in the sense defined by Section 8.8.2.2, the condition is
    false."""
    os.utime(tmp_path / target[1:], (clock.second, clock.second))
    asked = {"range": "bytes=0-0", "if-range": imf_fixdate(clock.second)}
    response = get(site, target, asked)
    assert (response.status, response.remember) == (200, None)
    content(response)
    clock.advance(1)
    assert octets(get(site, target, asked)) == 1


# §13.2 Evaluation


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/dir", 301), ("/../x", 400)])
def test_s13_2_1_preconditions_are_ignored_unless_the_answer_would_be_a_success(
    site: Files, path: str, status: int
) -> None:
    """A server MUST ignore all received preconditions if its response to the same request without those conditions [...] would
    have been a status code other than a 2xx (Successful) or 412 (Precondition Failed)."""
    for fields in (
        {"if-match": '"x"'},
        {"if-none-match": "*"},
        {"if-modified-since": AFTER},
        {"if-unmodified-since": BEFORE},
    ):
        assert get(site, path, fields).status == status


def test_s13_2_1_they_are_ignored_by_methods_that_select_nothing(site: Files) -> None:
    """a server MUST ignore the conditional request header fields [...] when received with a request method that does not involve
    the selection or modification of a selected representation, such as CONNECT, OPTIONS, or TRACE."""
    assert ask(site, "OPTIONS", "/small.bin", {"if-match": '"x"', "if-none-match": "*"}).status == 204
    assert ask(ServerMethods(site, trace=True), "TRACE", "/small.bin", {"if-match": '"x"'}).status == 200


def test_s13_2_2_the_order_of_evaluation(site: Files, target: str) -> None:
    """A recipient cache or origin server MUST evaluate the request preconditions defined by this specification in the following
    order"""
    tag = etag_of(site, target)
    for fields, status in [
        ({"if-match": '"other"', "if-none-match": tag}, 412),
        ({"if-match": tag, "if-unmodified-since": BEFORE, "if-none-match": tag}, 304),
        ({"if-unmodified-since": BEFORE, "if-none-match": tag}, 412),
        ({"if-unmodified-since": DATE, "if-none-match": '"other"', "if-modified-since": DATE}, 200),
        ({"if-none-match": tag, "range": "bytes=0-0"}, 304),
        ({"if-none-match": '"other"', "range": "bytes=0-0", "if-range": tag}, 206),
        ({"if-match": tag, "range": "bytes=0-0", "if-range": '"other"'}, 200),
    ]:
        response = get(site, target, fields)
        assert response.status == status, fields
        content(response)


# §14.1.2 Byte Ranges


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        ("bytes=0-499", 0, 499),
        ("bytes=500-999", 500, 999),
        ("bytes=-500", -500, None),
        ("bytes=1000-", 1000, None),
        ("bytes=0-0", 0, 0),
        ("bytes=-1", -1, None),
        ("bytes=0-999999999999999999999999", 0, None),
        ("bytes=-999999999999999999999999", 0, None),
        ("bytes=500-600,601-999", 500, 999),
        ("bytes=500-700,601-999", 500, 999),
        ("Bytes = 1-2".replace(" ", ""), 1, 2),
    ],
)
def test_s14_1_2_byte_ranges(site: Files, target: str, value: str, first: int, last: int | None) -> None:
    """the byte positions specified are inclusive. Byte offsets start at zero."""
    response = get(site, target, {"range": value})
    assert response.status == 206
    assert content(response) == whole(target)[first : None if last is None else last + 1]


# §14.2 Range


def test_s14_2_range_is_for_get_alone(site: Files, target: str) -> None:
    """A server MUST ignore a Range header field received with a request method that is unrecognized or for which range handling
    is not defined. For this specification, GET is the only method for which range handling is defined."""
    for value in ("bytes=0-0", "bytes=9999999-"):
        assert ask(site, "HEAD", target, {"range": value}).status == 200
        assert ask(site, "OPTIONS", target, {"range": value}).status == 204


@pytest.mark.parametrize("value", ["lines=0-1", "bytes=5-4", "bytes=a-b", "bytes=", "0-1", "bytes=0-1;2-3"])
def test_s14_2_what_is_not_understood_is_ignored(site: Files, target: str, value: str) -> None:
    """An origin server MUST ignore a Range header field that contains a range unit it does not understand. [...] MAY ignore or
    reject a Range header field that contains an invalid ranges-specifier"""
    response = get(site, target, {"range": value})
    assert (response.status, content(response)) == (200, whole(target))


def test_s14_2_of_nothing_there_are_no_ranges(site: Files) -> None:
    """A server that supports range requests MAY ignore a Range header field when the selected representation has no content"""
    assert get(site, "/empty.txt", {"range": "bytes=0-"}).status == 200


# §14.3 Accept-Ranges


def test_s14_3_ranges_are_offered(site: Files, target: str, tmp_path: Path) -> None:
    """A server that supports byte-range requests for the target resource can send the field Accept-Ranges: bytes. [...] A server
    that does not support any kind of range request for the target resource MAY send Accept-Ranges: none"""
    assert ask(site, "HEAD", target).fields.get("accept-ranges") == "bytes"
    without = Files(FilesSettings(root=tmp_path, ranges=0), clock=later())
    response = get(without, target, {"range": "bytes=0-0"})
    assert (response.status, response.fields.get("accept-ranges")) == (200, "none")
    content(response)


# §14.4 Content-Range


def test_s14_4_an_unsatisfiable_range_is_told_the_length(site: Files, target: str) -> None:
    """A server generating a 416 (Range Not Satisfiable) response to a byte-range request SHOULD send a Content-Range header field
    with an unsatisfied-range value"""
    length = len(whole(target))
    for value in (f"bytes={length}-", "bytes=-0", f"bytes={length}-,{length + 5}-"):
        response = get(site, target, {"range": value})
        assert response.status == 416
        assert response.fields.get("content-range") == f"bytes */{length}"


# §15.3.7 206 Partial Content


def test_s15_3_7_the_fields_of_a_200_are_in_a_206(site: Files, target: str) -> None:
    """A server that generates a 206 response MUST generate the following header fields [...] if the field would have been sent in
    a 200 (OK) response to the same request: Date, Cache-Control, ETag, Expires, Content-Location, and Vary."""
    handler = FieldRules(site, [FieldRule(PathPattern("*"), {"cache-control": "max-age=60", "vary": "accept"})])
    full, part = get(handler, target), get(handler, target, {"range": "bytes=0-9"})
    assert part.status == 206
    for name in ("cache-control", "etag", "vary", "content-type", "last-modified"):
        assert part.fields.get(name) == full.fields.get(name) is not None
    content(full)
    content(part)


def test_s15_3_7_after_if_range_the_client_has_the_fields(site: Files, target: str) -> None:
    """A sender that generates a 206 response to a request with an If-Range header field SHOULD NOT generate other representation
    header fields beyond those required"""
    tag = etag_of(site, target)
    response = get(site, target, {"range": "bytes=0-9", "if-range": tag})
    assert response.fields.get("etag") == tag
    assert "last-modified" not in response.fields
    content(response)


def test_s15_3_7_1_a_single_part(site: Files, target: str) -> None:
    """If a single part is being transferred, the server generating the 206 response MUST generate a Content-Range header field,
    describing what range of the selected representation is enclosed"""
    response = get(site, target, {"range": "bytes=10-19"})
    assert response.fields.get("content-range") == f"bytes 10-19/{len(whole(target))}"
    assert response.fields.get("content-type") == "application/octet-stream"
    assert content(response) == whole(target)[10:20]


def test_s15_3_7_2_multiple_parts(site: Files, target: str) -> None:
    """the server generating the 206 response MUST generate "multipart/byteranges" content [...] a server MUST NOT generate a
    Content-Range header field in the HTTP header section of a multiple part response. [...] Within the header area of each body
    part in the multipart content, the server MUST generate a Content-Range header field [and] SHOULD generate that same
    Content-Type header field"""
    response = get(site, target, {"range": "bytes=600-609, 0-9, -5"})
    assert response.status == 206
    assert "content-range" not in response.fields
    kind = response.fields.get("content-type") or ""
    assert kind.startswith("multipart/byteranges; boundary=")
    body = content(response)
    length = len(whole(target))
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    parts = list(message.iter_parts())
    # "SHOULD send the parts in the same order that the corresponding range-spec appeared"
    assert [part["content-range"] for part in parts] == [
        f"bytes 600-609/{length}",
        f"bytes 0-9/{length}",
        f"bytes {length - 5}-{length - 1}/{length}",
    ]
    assert {part.get_content_type() for part in parts} == {"application/octet-stream"}
    assert b"\r\n\r\n" + whole(target)[600:610] + b"\r\n--" in body


def test_s15_3_7_2_a_single_range_is_never_multipart(site: Files, target: str) -> None:
    """A server MUST NOT generate a multipart response to a request for a single range"""
    response = get(site, target, {"range": "bytes=0-9"})
    assert "multipart" not in (response.fields.get("content-type") or "multipart")
    content(response)


def test_s15_3_7_2_what_cannot_be_satisfied_is_left_out(site: Files, target: str) -> None:
    """excluding those ranges that were deemed unsatisfiable or that were coalesced into other ranges."""
    response = get(site, target, {"range": "bytes=0-9,99999999-,5-14"})
    assert response.status == 206
    assert response.fields.get("content-range") == f"bytes 0-14/{len(whole(target))}"
    content(response)


# §15.4 Redirection


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_s15_4_a_redirect_has_a_location_and_a_note(status: int) -> None:
    """The server SHOULD generate a Location header field in the response [...] The server's response content usually contains a
    short hypertext note with a hyperlink to the different URI(s)."""
    response = get(Redirect("/new", status), "/old")
    assert response.status == status
    assert response.fields.get("location") == "/new"
    assert b'<a href="/new">' in content(response)


def test_s15_4_2_a_directory_is_found_at_its_slash(site: Files) -> None:
    """the target resource has been assigned a new permanent URI"""
    response = get(site, "/dir?a=b")
    assert (response.status, response.fields.get("location")) == (301, "/dir/?a=b")


# §15.4.5 304 Not Modified


def test_s15_4_5_a_304_has_the_fields_that_caches_need_and_no_others(site: Files, target: str) -> None:
    """The server generating a 304 response MUST generate any of the following header fields that would have been sent in a 200
    (OK) response to the same request: Content-Location, Date, ETag, and Vary; Cache-Control and Expires. [...] a sender SHOULD NOT
    generate representation metadata other than the above listed fields"""
    handler = FieldRules(site, [FieldRule(PathPattern("*"), {"cache-control": "max-age=60", "vary": "accept"})])
    tag = etag_of(site, target)
    response = get(handler, target, {"if-none-match": tag})
    assert response.status == 304
    assert sorted(response.fields) == [("cache-control", "max-age=60"), ("etag", tag), ("vary", "accept")]
    # "it cannot contain content or trailers"
    assert response.body == b""
    assert response.trailers is None


def test_s15_4_5_without_a_tag_the_date_guides_the_cache(tmp_path: Path) -> None:
    """Last-Modified might be useful if the response does not have an ETag field"""
    file = tmp_path / "log"
    file.write_bytes(b"x" * (1 << 21))
    os.utime(file, (MODIFIED, MODIFIED))
    clock = FakeClock(file.stat().st_ctime_ns / 1e9)

    async def still_changing(seconds: float) -> None:
        os.utime(file, (MODIFIED, MODIFIED))
        clock.wall = file.stat().st_ctime_ns / 1e9

    site = Files(FilesSettings(root=tmp_path), clock=clock, pause=still_changing)
    response = get(site, "/log", {"if-modified-since": DATE})
    assert response.status == 304
    assert list(response.fields) == [("last-modified", DATE)]


# §15.5 Client Error 4xx


@pytest.mark.parametrize("status", [400, 403, 404, 408, 413, 414, 417, 431, 500, 501, 503, 505])
def test_s15_5_an_error_is_explained(status: int) -> None:
    """Except when responding to a HEAD request, the server SHOULD send a representation containing an explanation of the error
    situation"""
    response = error_response(HttpError(status, "This is why.", setting="limits.some"), request_of("GET", "/"))
    text = content(response).decode()
    assert text.startswith(f"{status} ")
    assert "This is why." in text
    assert "limits.some" in text


def test_s15_5_6_a_405_tells_what_is_allowed(site: Files) -> None:
    """The origin server MUST generate an Allow header field in a 405 response containing a list of the target resource's currently
    supported methods."""
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        response = ask(site, method, "/small.bin")
        assert (response.status, response.fields.get("allow")) == (405, "GET, HEAD, OPTIONS")


# §17.3 Attacks Based on File and Path Names


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/..%2fetc%2fpasswd",
        "/dir/%2e%2e/%2e%2e/etc/passwd",
        "/small.bin%00.html",
    ],
)
def test_s17_3_no_path_leads_out_of_what_is_served(site: Files, path: str) -> None:
    """special care needs to be taken to ensure that the service cannot be used to access files that were not intended"""
    assert get(site, path).status in (400, 404)


# §17.15 Denial-of-Service Attacks Using Range


def test_s17_15_many_overlapping_ranges_cost_no_more_than_the_file(site: Files, target: str) -> None:
    """Servers ought to ignore, coalesce, or reject egregious range requests, such as requests for more than two overlapping ranges
    or for many small ranges in a single set"""
    response = get(site, target, {"range": "bytes=" + ",".join(f"{n}-" for n in range(50))})
    assert response.status == 206
    assert content(response) == whole(target)
    response = get(site, target, {"range": "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 1000, 2))})
    assert (response.status, content(response)) == (200, whole(target))

"""Messages that are malformed or that two recipients might read differently: smuggling, splitting, desync. As data.

Each has one fault, the status with which a server refuses it, and the section of RFC 9112 (or RFC 9110) that the fault is against.
Whoever carries HTTP/1.1 can be held against this table: the codec in all segmentations, a whole lodge over a socket.
"""

from __future__ import annotations

from typing import NamedTuple


class Malformed(NamedTuple):
    """Octets that a server must refuse: answer `status` once, and end the connection."""

    section: str
    name: str
    octets: bytes
    status: int = 400
    setting: str = ""
    """The limit that refuses, as the error names it."""


def request(
    *fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: example.org", body: bytes = b""
) -> bytes:
    """A request that is well-formed but for what is passed in."""
    lines = [line, *([host] if host else []), *fields, b"", body]
    return b"\r\n".join(lines)


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return request(*fields, line=b"POST / HTTP/1.1", body=body)


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


CL = b"Content-Length: 5"
TE = b"Transfer-Encoding: chunked"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"

MALFORMED_REQUESTS: list[Malformed] = [
    # --- message parsing
    Malformed("9112 §2.2", "bare LF for every line end", b"GET / HTTP/1.1\nHost: example.org\n\n"),
    Malformed("9112 §2.2", "bare LF after the request line", b"GET / HTTP/1.1\nHost: example.org\r\n\r\n"),
    Malformed("9112 §2.2", "bare LF after a field", b"GET / HTTP/1.1\r\nHost: example.org\nX: y\r\n\r\n"),
    Malformed(
        "9112 §2.2", "bare LF for the empty line", b"GET / HTTP/1.1\r\nHost: example.org\r\n\nGET /x HTTP/1.1\r\n\r\n"
    ),
    Malformed("9112 §2.2", "bare CR within a value", request(b"X: a\rb")),
    Malformed("9112 §2.2", "bare CR for a line end", b"GET / HTTP/1.1\rHost: example.org\r\n\r\n"),
    Malformed("9112 §2.2", "CR CR LF", b"GET / HTTP/1.1\r\nHost: example.org\r\r\n\r\n"),
    Malformed("9112 §2.2", "bare CR hides a field", request(b"X: y\rTransfer-Encoding: chunked")),
    Malformed("9112 §2.2", "LF before the request", b"\n" + request()),
    Malformed("9112 §2.2", "CR before the request", b"\r" + request()),
    Malformed("9112 §2.2", "CR CR LF before the request", b"\r\r\n" + request()),
    Malformed("9112 §2.2", "too many empty lines before the request", b"\r\n" * 11 + request()),
    Malformed("9112 §2.2", "space before the request", b" " + request()),
    Malformed(
        "9112 §2.2", "whitespace before the first field", b"GET / HTTP/1.1\r\n Host: example.org\r\nHost: a\r\n\r\n"
    ),
    Malformed("9112 §2.2", "byte order mark", b"\xef\xbb\xbf" + request()),
    Malformed("9112 §2.2", "TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    Malformed("9112 §2.2", "SSH banner", b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    Malformed("9112 §2.2", "a response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    # --- version
    Malformed("9112 §2.3", "HTTP/0.9", b"GET /\r\n"),
    Malformed("9112 §2.3", "HTTP/0.9 with a field", b"GET /\r\nHost: example.org\r\n\r\n"),
    Malformed("9112 §2.3", "empty version", request(line=b"GET / ")),
    Malformed("9112 §2.3", "lower-case name", request(line=b"GET / http/1.1")),
    Malformed("9112 §2.3", "another name", request(line=b"GET / HTTPS/1.1")),
    Malformed("9112 §2.3", "no minor version", request(line=b"GET / HTTP/1")),
    Malformed("9112 §2.3", "two digits", request(line=b"GET / HTTP/1.10")),
    Malformed("9112 §2.3", "signed digit", request(line=b"GET / HTTP/+1.1")),
    Malformed("9112 §2.3", "superscript digit", request(line=b"GET / HTTP/1.\xb9")),
    Malformed("9110 §2.5", "major version 2", request(line=b"GET / HTTP/2.0"), 505),
    Malformed("9110 §2.5", "major version 3", request(line=b"GET / HTTP/3.0"), 505),
    Malformed("9110 §2.5", "major version 0", request(line=b"GET / HTTP/0.9"), 505),
    # --- request line
    Malformed("9112 §3", "two spaces before the target", request(line=b"GET  / HTTP/1.1")),
    Malformed("9112 §3", "two spaces before the version", request(line=b"GET /  HTTP/1.1")),
    Malformed("9112 §3", "tab for space", request(line=b"GET\t/ HTTP/1.1")),
    Malformed("9112 §3", "vertical tab for space", request(line=b"GET\x0b/ HTTP/1.1")),
    Malformed("9112 §3", "space after the version", request(line=b"GET / HTTP/1.1 ")),
    Malformed("9112 §3", "space in the target", request(line=b"GET /a b HTTP/1.1")),
    Malformed("9112 §3", "second request line in the target", request(line=b"GET / HTTP/1.1 /x HTTP/1.1")),
    Malformed("9112 §3", "no target", request(line=b"GET HTTP/1.1")),
    Malformed("9112 §3", "nothing but a method", request(line=b"GET")),
    Malformed(
        "9112 §3", "too long", request(line=b"GET /" + b"a" * 8192 + b" HTTP/1.1"), 414, "limits.request_line_size"
    ),
    Malformed("9112 §3", "too long, and never ends", b"GET /" + b"a" * 9000, 414, "limits.request_line_size"),
    Malformed("9112 §3.1", "method with a delimiter", request(line=b"GE(T / HTTP/1.1")),
    Malformed("9112 §3.1", "method with a colon", request(line=b"GET: / HTTP/1.1")),
    Malformed("9112 §3.1", "method with an octet beyond ASCII", request(line=b"G\xc9T / HTTP/1.1")),
    Malformed("9112 §3.1", "method with NUL", request(line=b"GET\x00 / HTTP/1.1")),
    # --- request target
    Malformed("9112 §3.2", "fragment", request(line=b"GET /a#b HTTP/1.1")),
    Malformed("9112 §3.2", "NUL", request(line=b"GET /\x00 HTTP/1.1")),
    Malformed("9112 §3.2", "DEL", request(line=b"GET /\x7f HTTP/1.1")),
    Malformed("9112 §3.2", "octets beyond ASCII", request(line=b"GET /\xc3\xa9 HTTP/1.1")),
    Malformed("9112 §3.2", "quotation mark", request(line=b'GET /"a" HTTP/1.1')),
    Malformed("9112 §3.2", "angle brackets in the query", request(line=b"GET /?<a> HTTP/1.1")),
    Malformed("9112 §3.2.1", "relative path", request(line=b"GET a/b HTTP/1.1")),
    Malformed("9112 §3.2.1", "query alone", request(line=b"GET ?a HTTP/1.1")),
    Malformed("9112 §3.2.1", "percent sign without digits", request(line=b"GET /%zz HTTP/1.1")),
    Malformed("9112 §3.2.1", "percent sign at the end", request(line=b"GET /a% HTTP/1.1")),
    Malformed("9112 §3.2.2", "absolute-form without host", request(line=b"GET http:///a HTTP/1.1")),
    Malformed("9112 §3.2.2", "absolute-form without authority", request(line=b"GET urn:a:b HTTP/1.1")),
    Malformed("9112 §3.2.2", "absolute-form with one slash", request(line=b"GET http:/example.org HTTP/1.1")),
    Malformed("9112 §3.2.2", "absolute-form with a fragment", request(line=b"GET http://example.org/#a HTTP/1.1")),
    Malformed("9112 §3.2.2", "absolute-form with a backslash", request(line=b"GET http:\\\\example.org/ HTTP/1.1")),
    Malformed(
        "9112 §3.2.2", "backslash ends the authority", request(line=b"GET http://example.org\\@evil.test/ HTTP/1.1")
    ),
    Malformed("9110 §4.2.4", "userinfo", request(line=b"GET http://user@example.org/ HTTP/1.1")),
    Malformed(
        "9110 §4.2.4", "userinfo with a password", request(line=b"GET http://example.org:80@evil.test/ HTTP/1.1")
    ),
    Malformed("9112 §3.2.3", "authority-form with GET", request(line=b"GET example.org:80 HTTP/1.1")),
    Malformed("9112 §3.2.3", "CONNECT without port", request(line=b"CONNECT example.org HTTP/1.1")),
    Malformed("9112 §3.2.3", "CONNECT with an empty port", request(line=b"CONNECT example.org: HTTP/1.1")),
    Malformed("9112 §3.2.3", "CONNECT to port 0", request(line=b"CONNECT example.org:0 HTTP/1.1")),
    Malformed("9112 §3.2.3", "CONNECT to port 65536", request(line=b"CONNECT example.org:65536 HTTP/1.1")),
    Malformed("9112 §3.2.3", "CONNECT with a path", request(line=b"CONNECT example.org:80/ HTTP/1.1")),
    Malformed("9112 §3.2.3", "CONNECT in absolute-form", request(line=b"CONNECT http://example.org:80 HTTP/1.1")),
    Malformed("9112 §3.2.3", "CONNECT to nowhere", request(line=b"CONNECT :80 HTTP/1.1")),
    Malformed(
        "9110 §9.3.6", "CONNECT with content", request(CL, line=b"CONNECT example.org:80 HTTP/1.1", body=b"hello")
    ),
    Malformed("9110 §9.3.6", "CONNECT with chunks", request(TE, line=b"CONNECT example.org:80 HTTP/1.1", body=CHUNKS)),
    Malformed("9112 §3.2.4", "asterisk-form with GET", request(line=b"GET * HTTP/1.1")),
    Malformed("9112 §3.2.4", "asterisk and more", request(line=b"OPTIONS *a HTTP/1.1")),
    # --- Host
    Malformed("9112 §3.2", "no Host", request(host=b"")),
    Malformed("9112 §3.2", "no Host in absolute-form", request(line=b"GET http://example.org/ HTTP/1.1", host=b"")),
    Malformed("9112 §3.2", "empty Host", request(host=b"Host:")),
    Malformed("9112 §3.2", "blank Host", request(host=b"Host: \t ")),
    Malformed("9112 §3.2", "two Hosts", request(b"Host: evil.test")),
    Malformed("9112 §3.2", "the same Host twice", request(b"host: example.org")),
    Malformed("9112 §3.2", "two Hosts, one empty", request(b"Host:")),
    Malformed(
        "9112 §3.2", "two Hosts beside absolute-form", request(b"Host: b", line=b"GET http://example.org/ HTTP/1.1")
    ),
    Malformed(
        "9112 §3.2",
        "bad Host beside absolute-form",
        request(line=b"GET http://example.org/ HTTP/1.1", host=b"Host: a/b"),
    ),
    Malformed("9112 §3.2", "list in Host", request(host=b"Host: example.org,evil.test")),
    Malformed("9112 §3.2", "space in Host", request(host=b"Host: example.org evil.test")),
    Malformed("9112 §3.2", "path in Host", request(host=b"Host: example.org/evil")),
    Malformed("9112 §3.2", "query in Host", request(host=b"Host: example.org?evil")),
    Malformed("9112 §3.2", "fragment in Host", request(host=b"Host: example.org#evil")),
    Malformed("9112 §3.2", "userinfo in Host", request(host=b"Host: user@example.org")),
    Malformed("9112 §3.2", "scheme in Host", request(host=b"Host: http://example.org")),
    Malformed("9112 §3.2", "backslash in Host", request(host=b"Host: example.org\\evil")),
    Malformed("9112 §3.2", "octets beyond ASCII in Host", request(host=b"Host: ex\xe4mple.org")),
    Malformed("9112 §3.2", "bad percent-encoding in Host", request(host=b"Host: example%2.org")),
    Malformed("9112 §3.2", "port that is no number", request(host=b"Host: example.org:http")),
    Malformed("9112 §3.2", "port with a sign", request(host=b"Host: example.org:+80")),
    Malformed("9112 §3.2", "port too large", request(host=b"Host: example.org:65536")),
    Malformed("9112 §3.2", "port with many digits", request(host=b"Host: example.org:" + b"0" * 5000 + b"80")),
    Malformed("9112 §3.2", "two ports", request(host=b"Host: example.org:80:81")),
    Malformed("9112 §3.2", "port alone", request(host=b"Host: :80")),
    Malformed("9112 §3.2", "open bracket", request(host=b"Host: [::1")),
    Malformed("9112 §3.2", "brackets around no address", request(host=b"Host: [example.org]")),
    Malformed("9112 §3.2", "brackets around a bad address", request(host=b"Host: [1::2::3]")),
    Malformed("9112 §3.2", "zone in an address", request(host=b"Host: [fe80::1%25eth0]")),
    Malformed("9112 §3.2", "text after an address", request(host=b"Host: [::1]evil.test")),
    # --- field lines
    Malformed("9112 §5", "no colon", request(b"Content-Length")),
    Malformed("9112 §5", "no name", request(b": value")),
    Malformed("9112 §5", "NUL in a value", request(b"X: a\x00b")),
    Malformed("9112 §5", "NUL in a name", request(b"Transfer\x00-Encoding: chunked")),
    Malformed("9112 §5", "control character in a value", request(b"X: a\x08b")),
    Malformed("9112 §5", "DEL in a value", request(b"X: a\x7fb")),
    Malformed("9112 §5", "name with a delimiter", request(b"X(y): a")),
    Malformed("9112 §5", "name in quotation marks", request(b'"Content-Length": 5')),
    Malformed("9112 §5", "name with an octet beyond ASCII", request(b"Transf\xe9r: a")),
    Malformed("9112 §5.1", "space before the colon", request(b"X : a")),
    Malformed("9112 §5.1", "space before the colon of Content-Length", post(b"Content-Length : 5", body=b"hello")),
    Malformed(
        "9112 §5.1", "tab before the colon of Transfer-Encoding", post(b"Transfer-Encoding\t: chunked", body=CHUNKS)
    ),
    Malformed("9112 §5.1", "vertical tab before the colon", post(b"Transfer-Encoding\x0b: chunked", body=CHUNKS)),
    Malformed("9112 §5.1", "space within a name", request(b"Content Length: 5")),
    Malformed("9112 §5.2", "folded value", request(b"X: a\r\n b")),
    Malformed("9112 §5.2", "value folded with a tab", request(b"X: a\r\n\tb")),
    Malformed("9112 §5.2", "folded Transfer-Encoding", post(b"Transfer-Encoding:\r\n chunked", body=CHUNKS)),
    Malformed("9112 §5.2", "fold that hides a field", request(b"X: a\r\n Transfer-Encoding: chunked")),
    Malformed("9112 §5.2", "fold of blanks", request(b"X: a\r\n \t ")),
    Malformed("9110 §5.4", "too many fields", request(*[b"X: y"] * 100), 431, "limits.field_count"),
    Malformed("9110 §5.4", "head too long", request(b"X: " + b"y" * 33_000), 431, "limits.head_size"),
    Malformed(
        "9110 §5.4", "head too long, and never ends", request(b"X: " + b"y" * 33_000)[:-4], 431, "limits.head_size"
    ),
    Malformed("9110 §7.6.1", "Connection with no token", request(b"Connection: close, a b")),
    # --- Transfer-Encoding
    Malformed("9112 §6.1", "both lengths (CL.TE)", post(CL, TE, body=CHUNKS)),
    Malformed("9112 §6.1", "both lengths (TE.CL)", post(TE, CL, body=CHUNKS)),
    Malformed("9112 §6.1", "both lengths, Content-Length 0", post(b"Content-Length: 0", TE, body=CHUNKS)),
    Malformed("9112 §6.1", "in HTTP/1.0", request(TE, line=b"POST / HTTP/1.0", body=CHUNKS)),
    Malformed("9112 §6.1", "chunked twice in one line", post(b"Transfer-Encoding: chunked, chunked", body=CHUNKS)),
    Malformed("9112 §6.1", "chunked twice in two lines", post(TE, TE, body=CHUNKS)),
    Malformed("9112 §6.1", "unknown coding before chunked", post(b"Transfer-Encoding: foo, chunked", body=CHUNKS), 501),
    Malformed("9112 §6.1", "gzip before chunked", post(b"Transfer-Encoding: gzip, chunked", body=CHUNKS), 501),
    Malformed("9112 §6.1", "gzip and chunked in two lines", post(b"Transfer-Encoding: gzip", TE, body=CHUNKS), 501),
    Malformed("9112 §6.3", "chunked is not final", post(b"Transfer-Encoding: chunked, gzip", body=CHUNKS)),
    Malformed("9112 §6.3", "identity", post(b"Transfer-Encoding: identity", body=CHUNKS)),
    Malformed("9112 §6.3", "chunked, then identity (TE.TE)", post(TE, b"Transfer-Encoding: identity", body=CHUNKS)),
    Malformed("9112 §6.3", "chunked, then an unknown coding (TE.TE)", post(TE, b"Transfer-encoding: cow", body=CHUNKS)),
    Malformed("9112 §6.3", "gzip alone", post(b"Transfer-Encoding: gzip", body=CHUNKS)),
    Malformed("9112 §6.3", "misspelt", post(b"Transfer-Encoding: xchunked", body=CHUNKS)),
    Malformed("9112 §6.3", "empty", post(b"Transfer-Encoding:", body=CHUNKS)),
    Malformed("9112 §6.3", "empty list member", post(b"Transfer-Encoding: ,chunked", body=CHUNKS)),
    Malformed("9112 §6.3", "comma at the end", post(b"Transfer-Encoding: chunked,", body=CHUNKS)),
    Malformed("9112 §6.3", "quoted", post(b'Transfer-Encoding: "chunked"', body=CHUNKS)),
    Malformed("9112 §6.3", "vertical tab before chunked", post(b"Transfer-Encoding: \x0bchunked", body=CHUNKS)),
    Malformed("9112 §6.3", "form feed after chunked", post(b"Transfer-Encoding: chunked\x0c", body=CHUNKS)),
    Malformed("9112 §6.3", "no-break space before chunked", post(b"Transfer-Encoding: \xa0chunked", body=CHUNKS)),
    Malformed("9112 §6.3", "two words", post(b"Transfer-Encoding: chunked chunked", body=CHUNKS)),
    Malformed("9112 §7.1", "chunked with a parameter", post(b"Transfer-Encoding: chunked;q=1", body=CHUNKS)),
    # --- Content-Length
    Malformed("9112 §6.3", "twice, different", post(CL, b"Content-Length: 6", body=b"hello!")),
    Malformed("9112 §6.3", "twice, the same", post(CL, CL, body=b"hello")),
    Malformed("9112 §6.3", "list of different numbers", post(b"Content-Length: 5, 6", body=b"hello!")),
    Malformed("9112 §6.3", "list of the same number", post(b"Content-Length: 5, 5", body=b"hello")),
    Malformed("9112 §6.3", "comma at the end of a number", post(b"Content-Length: 5,", body=b"hello")),
    Malformed("9110 §8.6", "empty", post(b"Content-Length:", body=b"hello")),
    Malformed("9110 §8.6", "plus sign", post(b"Content-Length: +5", body=b"hello")),
    Malformed("9110 §8.6", "minus sign", post(b"Content-Length: -5", body=b"hello")),
    Malformed("9110 §8.6", "minus zero", post(b"Content-Length: -0")),
    Malformed("9110 §8.6", "hexadecimal", post(b"Content-Length: 0x5", body=b"hello")),
    Malformed("9110 §8.6", "letters", post(b"Content-Length: five", body=b"hello")),
    Malformed("9110 §8.6", "underscore", post(b"Content-Length: 1_0", body=b"helloworld")),
    Malformed("9110 §8.6", "fraction", post(b"Content-Length: 5.0", body=b"hello")),
    Malformed("9110 §8.6", "exponent", post(b"Content-Length: 1e1", body=b"helloworld")),
    Malformed("9110 §8.6", "space within", post(b"Content-Length: 1 0", body=b"helloworld")),
    Malformed("9110 §8.6", "superscript digit", post(b"Content-Length: \xb2", body=b"hi")),
    Malformed("9110 §8.6", "octets of another alphabet's digit", post(b"Content-Length: \xd9\xa5", body=b"hello")),
    Malformed("9110 §8.6", "quoted number", post(b'Content-Length: "5"', body=b"hello")),
    Malformed("9110 §8.6", "parameter", post(b"Content-Length: 5;a=b", body=b"hello")),
    Malformed("9110 §8.6", "more than 2^63", post(b"Content-Length: 9223372036854775808"), 413),
    Malformed("9110 §8.6", "thousands of digits", post(b"Content-Length: " + b"9" * 9000), 413),
    # --- chunks
    Malformed("9112 §7.1", "no size", chunked(b"\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "size 0x5", chunked(b"0x5\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "size +5", chunked(b"+5\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "size -5", chunked(b"-5\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "size 1_0", chunked(b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "size g", chunked(b"g\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "space before the size", chunked(b" 5\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "space after the size", chunked(b"5 \r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "tab after the last size", chunked(b"5\r\nhello\r\n0\t\r\n\r\n")),
    Malformed("9112 §7.1", "space within the size", chunked(b"1 0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "size of 17 digits", chunked(b"00000000000000005\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "size that wraps around 64 bits", chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "bare LF after the size", chunked(b"5\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "bare CR after the size", chunked(b"5\rhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "bare LF after the data", chunked(b"5\r\nhello\n0\r\n\r\n")),
    Malformed("9112 §7.1", "nothing after the data", chunked(b"5\r\nhello0\r\n\r\n")),
    Malformed("9112 §7.1", "data longer than their size", chunked(b"5\r\nhello!\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "data shorter than their size", chunked(b"6\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1", "two octets that are no CRLF after the data", chunked(b"5\r\nhelloXX0\r\n\r\n")),
    Malformed("9112 §7.1", "CR and no LF after the data", chunked(b"5\r\nhello\rX0\r\n\r\n")),
    Malformed("9112 §7.1.1", "extension without name", chunked(b"5;\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1.1", "extension with a bad name", chunked(b"5;a(b\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1.1", "extension without value", chunked(b"5;a=\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1.1", "extension with an open quotation", chunked(b'5;a="b\r\nhello\r\n0\r\n\r\n')),
    Malformed("9112 §7.1.1", "extension with a quoted line end", chunked(b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n')),
    Malformed("9112 §7.1.1", "extension with a bare LF", chunked(b"5;a\n0\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1.1", "extension with a bare CR", chunked(b"5;a\r0\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1.1", "extension with NUL", chunked(b"5;a=\x00\r\nhello\r\n0\r\n\r\n")),
    Malformed("9112 §7.1.1", "space after an extension", chunked(b"5;a=b \r\nhello\r\n0\r\n\r\n")),
    Malformed(
        "9112 §7.1.1",
        "extension too long",
        chunked(b"5;" + b"a" * 17_000 + b"\r\n"),
        400,
        "limits.chunk_extension_size",
    ),
    Malformed(
        "9112 §7.1.1", "extension that never ends", chunked(b"5;" + b"a" * 17_000), 400, "limits.chunk_extension_size"
    ),
    Malformed(
        "9112 §7.1.1",
        "more extensions than content",
        chunked(b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 600),
        400,
        "limits.chunk_extension_size",
    ),
    Malformed("9112 §7.1.2", "trailer without colon", chunked(b"0\r\nX\r\n\r\n")),
    Malformed("9112 §7.1.2", "space before a trailer's colon", chunked(b"0\r\nX : y\r\n\r\n")),
    Malformed("9112 §7.1.2", "folded trailer", chunked(b"0\r\nX: y\r\n z\r\n\r\n")),
    Malformed("9112 §7.1.2", "bare LF after a trailer", chunked(b"0\r\nX: y\nZ: a\r\n\r\n")),
    Malformed(
        "9112 §7.1.2", "bare LF for the empty line after trailers", chunked(b"0\r\nX: y\r\n\nGET / HTTP/1.1\r\n\r\n")
    ),
    Malformed("9112 §7.1.2", "NUL in a trailer", chunked(b"0\r\nX: \x00\r\n\r\n")),
    Malformed("9112 §7.1.2", "a request for trailers", chunked(b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")),
    Malformed(
        "9112 §7.1.2", "too many trailers", chunked(b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n"), 431, "limits.field_count"
    ),
    Malformed(
        "9112 §7.1.2", "trailers too long", chunked(b"0\r\nX: " + b"y" * 33_000 + b"\r\n\r\n"), 431, "limits.head_size"
    ),
    Malformed("9112 §7.1.2", "trailer that never ends", chunked(b"0\r\nX: " + b"y" * 33_000), 431, "limits.head_size"),
]

# What a client must refuse to take for an answer to its GET; a gateway says 502 of each.
MALFORMED_RESPONSES: list[Malformed] = [
    Malformed("9112 §2.2", "bare LF", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", 502),
    Malformed("9112 §2.2", "a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 502),
    Malformed("9112 §2.3", "HTTP/0.9", b"<html>hello</html>\r\n\r\n", 502),
    Malformed("9110 §2.5", "major version 2", b"HTTP/2.0 200 OK\r\n\r\n", 502),
    Malformed("9112 §4", "two spaces", b"HTTP/1.1  200 OK\r\n\r\n", 502),
    Malformed("9112 §4", "status of two digits", b"HTTP/1.1 20 OK\r\n\r\n", 502),
    Malformed("9112 §4", "status of four digits", b"HTTP/1.1 2000 OK\r\n\r\n", 502),
    Malformed("9112 §4", "status below 100", b"HTTP/1.1 099 OK\r\n\r\n", 502),
    Malformed("9112 §4", "status with a sign", b"HTTP/1.1 +20 OK\r\n\r\n", 502),
    Malformed("9112 §4", "superscript digit", b"HTTP/1.1 20\xb2 OK\r\n\r\n", 502),
    Malformed("9112 §4", "NUL in the reason", b"HTTP/1.1 200 O\x00K\r\n\r\n", 502),
    Malformed("9112 §5", "no colon", b"HTTP/1.1 200 OK\r\nX\r\n\r\n", 502),
    Malformed("9112 §5", "name that is no token", b"HTTP/1.1 200 OK\r\nX(: y\r\n\r\n", 502),
    Malformed("9112 §5", "CR in a value", b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n", 502),
    Malformed("9112 §5.2", "whitespace before the first field", b"HTTP/1.1 200 OK\r\n X: y\r\n\r\n", 502),
    Malformed(
        "9110 §5.4", "head too long", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 33_000 + b"\r\n\r\n", 502, "limits.head_size"
    ),
    Malformed(
        "9110 §5.4", "too many fields", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n", 502, "limits.field_count"
    ),
    Malformed(
        "9112 §6.1", "both lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 502
    ),
    Malformed(
        "9112 §6.1", "Transfer-Encoding in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 502
    ),
    Malformed("9112 §6.1", "unknown coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 502),
    Malformed(
        "9112 §6.3", "different lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 502
    ),
    Malformed("9112 §6.3", "length with a sign", b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", 502),
    Malformed(
        "9112 §7.1", "bad chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n0\r\n\r\n", 502
    ),
    Malformed(
        "9110 §7.8", "switches protocols unasked", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\n\r\n", 502
    ),
]

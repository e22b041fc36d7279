"""RFC 9110 §8.4, §8.8.3.3, §9.3.2, §12.5.3, §12.5.5, §13.1, §14.3: text leaves in a coding that the client takes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from math import inf
from pathlib import Path

import pytest

from netlodge.core.clock import FakeClock
from netlodge.http.handlers.compression import Compression
from netlodge.http.handlers.compressor import KEPT_BODY, Compressor
from netlodge.http.handlers.error_pages import error_response
from netlodge.http.handlers.files import Files, FilesSettings
from netlodge.http.handlers.respond import Respond
from netlodge.http.message import SELECTING, Body, Fields, FileBody, Handler, HttpError, Remember, Request, Response
from netlodge.http.rules.content_codings import LEAST
from netlodge.http.rules.negotiation_codings import ORDER
from tests.http.handlers.asking import holds, later, request_of
from tests.http.handlers.test_compressor import READERS

TEXT = b"".join(b"line %d of a text\n" % number for number in range(300))
LARGE = TEXT * 40
HUGE = TEXT * (2 + KEPT_BODY // len(TEXT))
PAST = 1_600_000_000


class Answering:
    """A handler with one answer, made anew for each request."""

    def __init__(
        self,
        content: Body = TEXT,
        status: int = 200,
        *,
        etag: str = "",
        content_type: str = "text/plain",
        fields: Mapping[str, str] = {},
        remember: Remember | None = None,
    ) -> None:
        pairs = {"content-type": content_type, **({"etag": etag} if etag else {}), **fields}
        self._answer = (content, status, pairs, remember)
        self.requests: list[Request] = []

    async def handle(self, request: Request) -> Response:
        self.requests.append(request)
        content, status, pairs, remember = self._answer
        return Response(status, Fields(pairs.items()), content, remember=remember)


class Asked:
    """An answer, read to its end."""

    def __init__(self, response: Response, octets: bytes) -> None:
        self.response = response
        self.status = response.status
        self.octets = octets

    def __getitem__(self, name: str) -> str | None:
        return self.response.fields.get(name)

    @property
    def plain(self) -> bytes:
        coding = self["content-encoding"]
        return READERS[coding](self.octets) if coding else self.octets


def ask(handler: Handler, method: str = "GET", target: str = "/", **fields: str) -> Asked:
    request = request_of(method, target, {name.replace("_", "-"): value for name, value in fields.items()})

    async def handle() -> Asked:
        try:
            response = await handler.handle(request)
        except HttpError as error:
            response = error_response(error, request)
        body = response.body
        try:
            if isinstance(body, bytes):
                octets = body
            elif isinstance(body, FileBody):
                ((offset, count),) = [part for part in body.parts if isinstance(part, tuple)]
                octets = os.pread(body.descriptor, count, offset)
            else:
                octets = b"".join([piece async for piece in body])
        finally:
            if isinstance(body, FileBody):
                os.close(body.descriptor)
            elif hasattr(body, "aclose"):
                await body.aclose()
        return Asked(response, octets)

    return asyncio.run(handle())


def around(inner: Handler) -> Compression:
    return Compression(inner, Compressor())


@pytest.fixture
def www(tmp_path: Path) -> Path:
    for name, octets in {"text.txt": TEXT, "large.txt": LARGE, "huge.txt": HUGE, "a.png": TEXT}.items():
        (tmp_path / name).write_bytes(octets)
        os.utime(tmp_path / name, (PAST, PAST))
    return tmp_path


def files(root: Path, clock: FakeClock | None = None) -> Compression:
    clock = clock or later()

    async def pause(seconds: float) -> None:
        clock.advance(seconds)

    return Compression(
        Files(FilesSettings(root=root, is_compressed=True), clock=clock, pause=pause), Compressor(), inner_varies=True
    )


NAMES = ("/text.txt", "/large.txt", "/huge.txt")


# What is compressed (§8.4, §12.5.3).


@pytest.mark.parametrize("coding", ORDER)
@pytest.mark.parametrize("target", NAMES)
def test_a_file_leaves_in_the_coding_that_the_client_takes(www: Path, target: str, coding: str) -> None:
    handler = files(www)
    plain = ask(handler, target=target)
    assert (plain["content-encoding"], plain["vary"], plain["accept-ranges"]) == (None, "accept-encoding", "bytes")
    for _ in range(2):
        answer = ask(handler, target=target, accept_encoding=f"deflate, {coding}")
        assert answer.plain == plain.octets
        assert len(answer.octets) < len(plain.octets) / 2
        assert answer["content-encoding"] == coding
        assert (answer["vary"], answer["accept-ranges"]) == ("accept-encoding", "none")
        assert answer["etag"] == f'W/{(plain["etag"] or "")[:-1]}.{coding}"'
        assert answer["last-modified"] == plain["last-modified"]
        assert answer["content-length"] is None, "the session counts"


@pytest.mark.parametrize("value", ["", "deflate", "gzip;q=0", "identity, gzip;q=0.5"])
def test_a_client_that_takes_none_gets_none(value: str) -> None:
    answer = ask(around(Answering()), accept_encoding=value)
    assert (answer.octets, answer["content-encoding"], answer["vary"]) == (TEXT, None, "accept-encoding")


@pytest.mark.parametrize(
    "inner",
    [
        Answering(b"x" * (LEAST - 1)),
        Answering(b""),
        Answering(content_type="image/png"),
        Answering(fields={"content-encoding": "gzip"}),
        Answering(fields={"cache-control": "no-transform"}),
        Answering(b"", 204),
        Answering(b"", 301, content_type=""),
    ],
    ids=["small", "empty", "image", "encoded", "no-transform", "204", "301"],
)
def test_what_is_not_worth_it_stays_as_it_is(inner: Answering) -> None:
    expected = ask(inner).response
    answer = ask(around(inner), accept_encoding="gzip")
    assert (answer.octets, list(answer.response.fields)) == (expected.body, list(expected.fields))


def test_what_gets_no_smaller_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(os.urandom(5000))
    (tmp_path / "b.txt").write_bytes(os.urandom(100_000))
    handler = files(tmp_path)
    for target, size in {"/a.txt": 5000, "/b.txt": 100_000}.items():
        for _ in range(2):
            answer = ask(handler, target=target, accept_encoding="gzip")
            assert (len(answer.octets), answer["content-encoding"], answer["vary"]) == (size, None, "accept-encoding")
            assert answer["accept-ranges"] == "bytes"
            assert holds(answer.response)


@pytest.mark.parametrize("status", [200, 404, 500])
def test_an_application_is_compressed_whatever_its_status(status: int) -> None:
    answer = ask(around(Answering(status=status, fields={"vary": "Cookie"})), accept_encoding="gzip")
    assert (answer.status, answer.plain, answer["vary"]) == (status, TEXT, "Cookie, accept-encoding")
    assert (answer["etag"], answer["accept-ranges"]) == (None, None)


def test_a_stream_is_compressed_and_closed() -> None:
    class Stream:
        is_closed = False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            yield TEXT

        async def aclose(self) -> None:
            self.is_closed = True

    stream = Stream()
    inner = Answering(stream, content_type="text/event-stream", fields={"content-length": "17"})
    answer = ask(around(inner), accept_encoding="zstd, gzip;q=0.5")
    assert (answer["content-encoding"], answer["content-length"]) == ("zstd", None)
    assert len(answer.octets) < len(TEXT)
    assert stream.is_closed


def test_what_is_in_the_settings_is_compressed() -> None:
    handler = around(Respond(200, TEXT.decode()))
    answer = ask(handler, accept_encoding="br")
    assert (answer.plain, answer["content-encoding"]) == (TEXT, "br")
    assert (answer["etag"] or "").startswith('W/"')
    again = ask(handler, accept_encoding="br", if_none_match=answer["etag"] or "")
    assert (again.status, again["etag"], again["vary"]) == (304, answer["etag"], "accept-encoding")


def test_a_span_between_other_octets_stays_as_it_is(www: Path) -> None:
    class Parts:
        async def handle(self, request: Request) -> Response:
            descriptor = os.open(www / "large.txt", os.O_RDONLY)
            return Response(200, Fields([("content-type", "text/plain")]), FileBody(descriptor, [b"", (0, 5000)]))

    assert len(ask(around(Parts()), accept_encoding="gzip").octets) == 5000


# Identity refused (§12.5.3).


@pytest.mark.parametrize("target", NAMES)
def test_who_refuses_what_is_not_encoded_gets_a_coding(www: Path, target: str) -> None:
    answer = ask(files(www), target=target, accept_encoding="gzip, identity;q=0")
    assert (answer.plain, answer["content-encoding"]) == ((www / target[1:]).read_bytes(), "gzip")


def test_who_refuses_what_is_not_encoded_gets_what_gets_no_smaller_in_a_coding(tmp_path: Path) -> None:
    for name, octets in {"a.txt": os.urandom(5000), "b.txt": os.urandom(100_000)}.items():
        (tmp_path / name).write_bytes(octets)
        for _ in range(2):
            answer = ask(files(tmp_path), target=f"/{name}", accept_encoding="gzip, identity;q=0")
            assert (answer.plain, answer["content-encoding"]) == (octets, "gzip")


def test_who_refuses_what_is_not_encoded_gets_even_what_is_small_in_a_coding() -> None:
    answer = ask(around(Answering(b"small")), accept_encoding="gzip, *;q=0")
    assert (answer.plain, answer["content-encoding"], answer["vary"]) == (b"small", "gzip", "accept-encoding")


@pytest.mark.parametrize("target", NAMES)
def test_who_refuses_every_coding_and_none_gets_406(www: Path, target: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    answer = ask(files(www), target=target, accept_encoding="identity;q=0")
    assert (answer.status, answer["vary"]) == (406, "accept-encoding, accept")
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_error_is_told_in_any_case_and_so_is_what_could_not_be_encoded(www: Path) -> None:
    assert ask(around(Answering(status=404)), accept_encoding="identity;q=0").status == 404
    assert ask(files(www), target="/a.png", accept_encoding="identity;q=0").octets == TEXT


# HEAD (§9.3.2).


@pytest.mark.parametrize("target", NAMES)
def test_head_has_the_fields_of_get(www: Path, target: str) -> None:
    handler = files(www)
    for value in ("", "gzip"):
        get, head = (ask(handler, method, target, accept_encoding=value) for method in ("GET", "HEAD"))
        told = [pair for pair in head.response.fields if pair[0] != "content-length"]
        assert told == list(get.response.fields)


def test_head_of_unknown_length_stays_as_it_is() -> None:
    answer = ask(around(Answering(b"")), "HEAD", accept_encoding="gzip")
    assert (answer["content-encoding"], answer["vary"]) == (None, "accept-encoding")
    answer = ask(around(Answering(b"", fields={"content-length": "5"})), "HEAD", accept_encoding="gzip")
    assert (answer["content-encoding"], answer["content-length"]) == (None, "5")


# Conditions (§13.1).


@pytest.mark.parametrize("target", NAMES)
def test_if_none_match_finds_what_was_compressed(www: Path, target: str) -> None:
    handler = files(www)
    plain = ask(handler, target=target)["etag"] or ""
    coded = ask(handler, target=target, accept_encoding="gzip")["etag"] or ""
    for tag in (coded, plain, f'"x", {coded}', coded.removeprefix("W/")):
        answer = ask(handler, target=target, accept_encoding="gzip", if_none_match=tag)
        assert (answer.status, answer.octets, answer["vary"]) == (304, b"", "accept-encoding")
        assert answer["etag"] == (plain if tag == plain else coded)
    # Of another coding, or of none.
    assert ask(handler, target=target, accept_encoding="br", if_none_match=coded).status == 200
    assert ask(handler, target=target, if_none_match=coded).status == 200
    assert ask(handler, target=target, accept_encoding="gzip", if_none_match="*").status == 304


def test_the_request_is_not_changed() -> None:
    inner = Answering(etag='"a"')
    handler = around(inner)
    request = request_of("GET", "/", {"accept-encoding": "gzip", "if-none-match": 'W/"a.gzip"'})
    before = list(request.fields)
    asyncio.run(handler.handle(request))
    assert list(request.fields) == before
    assert inner.requests[0].fields.get("if-none-match") == 'W/"a.gzip", W/"a"'


def test_if_match_never_finds_what_was_compressed(www: Path) -> None:
    handler = files(www)
    plain = ask(handler, target="/text.txt")["etag"] or ""
    coded = ask(handler, target="/text.txt", accept_encoding="gzip")["etag"] or ""
    assert ask(handler, target="/text.txt", accept_encoding="gzip", if_match=coded).status == 412
    assert ask(handler, target="/text.txt", accept_encoding="gzip", if_match=plain).status == 200


# Ranges (§13.1.5, §14.2).


@pytest.mark.parametrize("target", NAMES)
def test_a_range_is_one_of_the_file_as_it_is(www: Path, target: str) -> None:
    handler = files(www)
    plain = ask(handler, target=target)
    answer = ask(handler, target=target, accept_encoding="gzip", range="bytes=10-19")
    assert (answer.status, answer.octets) == (206, plain.octets[10:20])
    assert (answer["content-encoding"], answer["vary"], answer["etag"]) == (None, "accept-encoding", plain["etag"])


@pytest.mark.parametrize("target", NAMES)
def test_parts_of_both_are_never_mixed(www: Path, target: str) -> None:
    """Whoever has a part of what was compressed, and asks for the rest of it, gets the whole."""
    handler = files(www)
    coded = ask(handler, target=target, accept_encoding="gzip")
    before = len(os.listdir("/proc/self/fd"))
    for validator in (coded["etag"] or "", coded["last-modified"] or ""):
        for value in ("bytes=10-19", "bytes=10-19,30-39"):
            answer = ask(handler, target=target, accept_encoding="gzip", range=value, if_range=validator)
            assert (answer.status, answer["content-encoding"]) == (200, "gzip")
            assert answer.plain == (www / target[1:]).read_bytes()
    plain = ask(handler, target=target)
    for validator in (plain["etag"] or "", plain["last-modified"] or ""):
        assert ask(handler, target=target, range="bytes=10-19", if_range=validator).status == 206
    answer = ask(handler, target=target, accept_encoding="gzip", range="bytes=1-9", if_range=plain["etag"] or "")
    assert answer.status == 206
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_range_of_what_is_never_compressed_may_rest_on_a_date(www: Path) -> None:
    handler = files(www)
    modified = ask(handler, target="/a.png")["last-modified"] or ""
    answer = ask(handler, target="/a.png", accept_encoding="gzip", range="bytes=10-19", if_range=modified)
    assert (answer.status, answer.octets, answer["vary"]) == (206, TEXT[10:20], None)


def test_an_answer_with_a_part_of_an_application_says_that_it_varies() -> None:
    inner = Answering(b"part", 206, fields={"content-range": "bytes 0-3/9999"})
    assert ask(around(inner), accept_encoding="gzip")["vary"] == "accept-encoding"
    inner = Answering(b"part", 206, fields={"content-range": "bytes 0-3/9999", "content-encoding": "br"})
    assert ask(around(inner), accept_encoding="gzip")["vary"] is None


# What is remembered, and for how long.


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("value", ["", "gzip"])
def test_what_was_compressed_holds_for_as_long_as_the_file(www: Path, target: str, value: str) -> None:
    handler = files(www)
    answer = ask(handler, target=target, accept_encoding=value)
    assert holds(answer.response)
    (www / target[1:]).write_bytes(b"changed " * 1000)
    assert not holds(answer.response)
    assert ask(handler, target=target, accept_encoding=value).plain == b"changed " * 1000


def test_an_answer_depends_on_accept_encoding_as_well() -> None:
    remember = Remember(inf, reads=frozenset({"accept"}))
    response = ask(around(Answering(remember=remember)), accept_encoding="gzip").response
    assert response.remember is not None
    expected = frozenset({"accept", "accept-encoding", "if-none-match", "if-range", "range"})
    assert response.remember.reads == expected
    assert expected <= SELECTING
    assert remember.reads == frozenset({"accept"}), "it may be shared"
    for kept in (Remember(inf), Remember(inf, reads=SELECTING)):
        assert ask(around(Answering(remember=kept)), accept_encoding="gzip").response.remember is kept
    assert ask(around(Answering()), accept_encoding="gzip").response.remember is None


def test_a_file_that_changes_while_it_is_compressed_promises_nothing(
    www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = files(www)
    pread = os.pread

    def changing(descriptor: int, count: int, offset: int) -> bytes:
        os.utime(www / "large.txt", (PAST + 1, PAST + 1))
        return pread(descriptor, count, offset)

    monkeypatch.setattr(os, "pread", changing)
    answer = ask(handler, target="/large.txt", accept_encoding="gzip")
    assert (answer.octets, answer["content-encoding"]) == (LARGE, None)
    assert (answer["etag"], answer["last-modified"], answer.response.remember) == (None, None, None)


def test_a_small_file_is_answered_without_suspending(www: Path) -> None:
    handler = files(www)
    for value in ("", "gzip", "gzip"):
        with pytest.raises(StopIteration):
            handler.handle(request_of("GET", "/text.txt", {"accept-encoding": value})).send(None)


def test_a_client_that_goes_away_leaves_no_file_open(www: Path) -> None:
    handler = files(www)

    async def leave() -> int:
        request = request_of("GET", "/large.txt", {"accept-encoding": "gzip"})
        await asyncio.to_thread(int)  # the loop's own thread is there
        before = len(os.listdir("/proc/self/fd"))
        asked = asyncio.ensure_future(handler.handle(request))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        handler._compressor._threads.shutdown()
        return len(os.listdir("/proc/self/fd")) - before

    assert asyncio.run(leave()) == 0


def test_many_different_wishes_are_not_kept_forever() -> None:
    handler = around(Answering())
    for number in range(600):
        ask(handler, accept_encoding=f"gzip;q=0.{number:03}")
    assert len(handler._known) <= 256
    wish = ", ".join(["gzip"] * 100)
    assert ask(handler, accept_encoding=wish)["content-encoding"] == "gzip"
    assert wish not in handler._known


def test_what_is_no_entity_tag_is_not_told_of_other_octets() -> None:
    assert ask(around(Answering(etag="abc")), accept_encoding="gzip")["etag"] is None

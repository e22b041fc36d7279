"""WSGI applications: their environ and its input, what they start and yield, what their mistakes become, and the threads that they run in."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest

from netlodge.core.clock import FakeClock
from netlodge.core.contracts import Peer
from netlodge.http.handlers.application_answers import BUFFER, ClientGoneError, Nothing
from netlodge.http.handlers.wsgi import StartResponse, Threads, Wsgi
from netlodge.http.handlers.wsgi_environ import Environ, FileWrapper, Input, environ_of
from netlodge.http.message import BodyError, FileBody, HttpError, Request, Response
from tests.http.handlers.hosting import asked, content, on_loop, posted, turns

Application = Callable[[Environ, StartResponse], Iterable[bytes]]
TEXT = [("Content-Type", "text/plain")]


class Office:
    """Threads and the handler of one application in them. Ends with the `with`, which no thread outlives."""

    def __init__(self, application: Any, *, threads: int = 2, queue: int = 4) -> None:
        self.threads = Threads(threads, queue)
        self.handler = Wsgi(
            application, "shop:app", threads=self.threads, clock=FakeClock(), loop=asyncio.get_running_loop()
        )

    async def __aenter__(self) -> Wsgi:
        return self.handler

    async def __aexit__(self, *_: object) -> None:
        await self.threads.finish(10)


async def answer_of(application: Any, request: Request) -> tuple[Response, bytes]:
    """The answer of an application, with its content."""
    async with Office(application) as handler:
        response = await handler.handle(request)
        return response, await content(response)


def answering(*pieces: bytes, status: str = "200 OK", headers: Iterable[tuple[str, str]] = TEXT) -> Application:
    """An application that yields these pieces."""

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, list(headers))
        return iter(pieces)

    return application


# --- The environ --------------------------------------------------------------------------------------------------------------


def test_the_environ_of_a_request_is_complete() -> None:
    async def scenario() -> None:
        request = asked("GET", "/shop/caf%C3%A9?x=%20", {"x-two": "caf\xe9", "accept": "*/*"}, prefix="/shop")
        wsgi_input = Input(lambda: b"", 0)
        assert environ_of(request, wsgi_input) == {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "/shop",
            "PATH_INFO": "/caf\xc3\xa9",
            "QUERY_STRING": "x=%20",
            "REQUEST_URI": "/shop/caf%C3%A9?x=%20",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_SOFTWARE": "netlodge",
            "SERVER_NAME": "www.example.org",
            "SERVER_PORT": "8080",
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_PORT": "50000",
            "HTTP_HOST": "www.example.org",
            "HTTP_X_TWO": "caf\xe9",
            "HTTP_ACCEPT": "*/*",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": wsgi_input,
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
        }

    asyncio.run(scenario())


def environ(request: Request) -> Environ:
    return environ_of(request, Input(lambda: b"", 0))


def test_content_length_and_type_have_variables_of_their_own_alone() -> None:
    given = environ(asked("POST", "/", {"content-length": "3", "content-type": "text/plain"}))
    assert (given["CONTENT_LENGTH"], given["CONTENT_TYPE"]) == ("3", "text/plain")
    assert "HTTP_CONTENT_LENGTH" not in given
    assert "HTTP_CONTENT_TYPE" not in given


@pytest.mark.parametrize("name", ["x_admin", "content_length", "x-real_ip"])
def test_fields_that_could_pose_as_others_are_dropped(name: str) -> None:
    assert environ(asked("GET", "/", {name: "1"})).keys() == environ(asked("GET", "/")).keys()


def test_a_field_cannot_name_the_proxy_of_whoever_reads_the_environment() -> None:
    assert "HTTP_PROXY" not in environ(asked("GET", "/", {"proxy": "http://evil.example"}))


def test_fields_in_several_lines_are_joined() -> None:
    request = asked("GET", "/")
    for name, value in (("x-a", "1"), ("x-a", "2"), ("cookie", "a=b"), ("cookie", "c=d")):
        request.fields.append(name, value)
    given = environ(request)
    assert (given["HTTP_X_A"], given["HTTP_COOKIE"]) == ("1, 2", "a=b; c=d")


def test_what_the_lodge_knows_of_the_connection_and_the_visitor() -> None:
    request = asked("GET", "/", peer=Peer("unix:", 0))
    request.scheme = "https"
    request.version = "2"
    request.route["user"] = "alice"
    given = environ(request)
    assert (given["HTTPS"], given["SERVER_PORT"], given["SERVER_PROTOCOL"]) == ("on", "443", "HTTP/2")
    assert given["REMOTE_USER"] == "alice"


def test_the_path_of_a_route_without_a_slash_at_its_end_is_empty() -> None:
    given = environ(asked("GET", "/shop", prefix="/shop"))
    assert (given["SCRIPT_NAME"], given["PATH_INFO"]) == ("/shop", "")


@on_loop
async def test_the_validator_of_the_standard_library_finds_nothing() -> None:
    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        stream = environ["wsgi.input"]
        assert stream.read(2) == b"ab"
        assert stream.readline() == b"c\n"
        assert list(stream) == [b"d\n", b"e"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"fine"]

    request, incoming = posted("/a?b", 7, {"content-length": "7", "content-type": "text/plain"})
    incoming.feed(b"abc\nd", b"\ne")
    incoming.finish()
    response, octets = await answer_of(validator(application), request)
    assert (response.status, octets) == (200, b"fine")


# --- The input ------------------------------------------------------------------------------------------------------------------


def reading(*pieces: bytes, length: int | None = None) -> Input:
    waiting = iter(pieces)
    return Input(lambda: next(waiting, b""), length)


def test_input_reads_what_it_is_asked_for_whatever_the_pieces() -> None:
    stream = reading(b"ab", b"cdef", b"g")
    assert [stream.read(3), stream.read(0), stream.read(3), stream.read(3), stream.read(3)] == [
        b"abc",
        b"",
        b"def",
        b"g",
        b"",
    ]
    assert reading(b"ab", b"cd").read() == b"abcd"
    assert reading(b"ab", b"cd").read(None) == b"abcd"


def test_input_reads_lines_whatever_the_pieces() -> None:
    stream = reading(b"on", b"e\ntw", b"o\n", b"three")
    assert [stream.readline(), stream.readline(2), stream.readline(), stream.readline(), stream.readline()] == [
        b"one\n",
        b"tw",
        b"o\n",
        b"three",
        b"",
    ]
    assert list(reading(b"a\nb\n\nc")) == [b"a\n", b"b\n", b"\n", b"c"]
    assert reading(b"a\nb\nc\n").readlines() == [b"a\n", b"b\n", b"c\n"]
    assert reading(b"a\nb\nc\n").readlines(3) == [b"a\n", b"b\n"]
    assert reading(b"abc").readline(0) == b""


def test_input_can_be_wrapped_as_a_raw_file() -> None:
    stream = reading(b"abc", b"def")
    assert [stream.read1(2), stream.read1(), stream.read1(0), stream.read1(None), stream.read1()] == [
        b"ab",
        b"c",
        b"",
        b"def",
        b"",
    ]
    buffer = bytearray(4)
    assert reading(b"abc").readinto(buffer) == 3
    assert buffer == b"abc\0"
    assert reading().readable()


def test_input_asks_for_no_more_than_was_announced() -> None:
    def never() -> bytes:
        raise AssertionError("nobody should wait for more")

    assert Input(never, 0).read() == b""
    pieces = iter([b"abc"])
    stream = Input(lambda: next(pieces), 3)
    assert (stream.read(), stream.read()) == (b"abc", b"")


@on_loop
async def test_content_is_read_from_the_thread_as_it_comes() -> None:
    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        return [b"%d" % len(environ["wsgi.input"].read())]

    request, incoming = posted("/", None)
    async with Office(application) as handler:
        answer = asyncio.ensure_future(handler.handle(request))
        for _ in range(20):
            incoming.feed(b"x" * 1000)
            await turns()
        incoming.finish()
        assert (await answer).body == b"20000"


@on_loop
async def test_content_that_is_refused_is_an_os_error_to_the_application_and_its_own_error_to_the_client() -> None:
    seen: list[BaseException] = []

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            seen.append(error)
        start_response("400 Bad Request", TEXT)
        return [b"no"]

    request, incoming = posted("/", None)
    incoming.fail(HttpError(413, "Too large."))
    with pytest.raises(HttpError) as refused:
        await answer_of(application, request)
    assert refused.value.status == 413
    assert isinstance(seen[0], ClientGoneError)


@on_loop
async def test_a_client_that_goes_in_the_middle_of_its_request_is_an_os_error(caplog: pytest.LogCaptureFixture) -> None:
    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"].read()
        raise AssertionError("not reached")

    request, incoming = posted("/", 10)
    incoming.feed(b"abc")
    incoming.fail(BodyError("gone"))
    with pytest.raises(BodyError):
        await answer_of(application, request)
    assert not caplog.records


# --- Answers ----------------------------------------------------------------------------------------------------------------------


@on_loop
async def test_an_answer_that_is_whole_is_at_hand() -> None:
    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(
            "201 Made", [("X-A", "1"), ("Content-Length", "5"), ("Connection", "keep-alive"), ("Upgrade", "x")]
        )
        return [b"he", b"llo"]

    response, _ = await answer_of(application, asked("GET", "/"))
    assert (response.status, list(response.fields), response.body) == (
        201,
        [("x-a", "1"), ("content-length", "5")],
        b"hello",
    )


@on_loop
async def test_content_of_announced_length_is_whole_when_it_is_there() -> None:
    """The rest of the call, and its close, is waited for by nobody."""
    gate, closed = threading.Event(), threading.Event()

    class Pieces:
        def __iter__(self) -> Iterator[bytes]:
            yield b"hello"
            gate.wait(10)

        def close(self) -> None:
            closed.set()

    def application(environ: Environ, start_response: StartResponse) -> Pieces:
        start_response("200 OK", [("Content-Length", "5")])
        return Pieces()

    async with Office(application) as handler:
        response = await handler.handle(asked("GET", "/"))
        assert response.body == b"hello"
        assert not closed.is_set()
        gate.set()
    assert closed.is_set()


@on_loop
async def test_a_stream_leaves_while_it_is_made() -> None:
    gate = threading.Event()

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        yield b""
        yield b"one"
        gate.wait(10)
        yield b"two"

    async with Office(application) as handler:
        response = await handler.handle(asked("GET", "/"))
        stream = aiter(response.body)  # type: ignore[arg-type]
        assert await anext(stream) == b"one"
        gate.set()
        assert await anext(stream) == b"two"
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


@on_loop
async def test_an_application_waits_while_the_client_takes_nothing() -> None:
    yielded: list[int] = []
    third = threading.Event()

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        for number in range(4):
            yielded.append(number)
            if number == 3:
                third.set()
            yield b"x" * BUFFER

    async with Office(application) as handler:
        response = await handler.handle(asked("GET", "/"))
        await turns(100)
        assert yielded == [0], "the first piece is not taken"
        assert len(await content(response)) == 4 * BUFFER
        assert third.is_set()


@on_loop
async def test_write_is_for_applications_of_old() -> None:
    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"one ")
        write(b"two ")
        return [b"three"]

    _, octets = await answer_of(application, asked("GET", "/"))
    assert octets == b"one two three"


@on_loop
async def test_a_generator_may_start_its_answer_when_it_is_first_asked() -> None:
    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        yield b"late"

    _, octets = await answer_of(application, asked("GET", "/"))
    assert octets == b"late"


@on_loop
async def test_an_answer_may_be_empty() -> None:
    response, octets = await answer_of(answering(), asked("GET", "/"))
    assert (response.status, octets) == (200, b"")


@on_loop
async def test_head_keeps_the_length_that_get_would_have() -> None:
    announced = [("Content-Length", "5")]
    response, octets = await answer_of(answering(b"he", b"llo", headers=announced), asked("HEAD", "/"))
    assert (response.fields.get("content-length"), octets) == ("5", b"")

    def listed(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        return [b"he", b"llo"]

    response, _ = await answer_of(listed, asked("HEAD", "/"))
    assert response.body == b"hello", "the session counts it and does not send it"
    response, _ = await answer_of(answering(b"he", b"llo"), asked("HEAD", "/"))
    assert isinstance(response.body, Nothing), "nobody knows the length, so nobody says it"


@pytest.mark.parametrize("status", [204, 304])
@on_loop
async def test_204_and_304_have_no_content(status: int) -> None:
    response, octets = await answer_of(answering(b"surplus", status=f"{status} x"), asked("GET", "/"))
    assert (response.status, octets) == (status, b"")


@on_loop
async def test_what_is_iterated_is_closed_whatever_happens() -> None:
    closed: list[str] = []

    class Pieces:
        def __init__(self, path: str) -> None:
            self.path = path

        def __iter__(self) -> Iterator[bytes]:
            yield b"x" * BUFFER
            if self.path == "/fails":
                raise ValueError("in the middle")
            yield b"y"

        def close(self) -> None:
            closed.append(self.path)

    def application(environ: Environ, start_response: StartResponse) -> Pieces:
        start_response("200 OK", TEXT)
        return Pieces(environ["PATH_INFO"])

    async with Office(application) as handler:
        await content(await handler.handle(asked("GET", "/whole")))
        await content(await handler.handle(asked("HEAD", "/head")))
        with pytest.raises(ConnectionAbortedError):
            await content(await handler.handle(asked("GET", "/fails")))
        gone = await handler.handle(asked("GET", "/gone"))
        await gone.body.aclose()  # type: ignore[union-attr]
    assert closed == ["/whole", "/head", "/fails", "/gone"]


@on_loop
async def test_an_answer_can_be_started_anew_until_something_of_it_left() -> None:
    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        try:
            raise ValueError("a defect")
        except ValueError:
            start_response("500 Failed", [("X-Error", "1")], sys.exc_info())
        return [b"failed"]

    response, octets = await answer_of(application, asked("GET", "/"))
    assert (response.status, list(response.fields), octets) == (500, [("x-error", "1")], b"failed")


@on_loop
async def test_an_answer_that_left_cannot_be_started_anew(caplog: pytest.LogCaptureFixture) -> None:
    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        yield b"x" * BUFFER
        try:
            raise ValueError("a defect")
        except ValueError:
            start_response("500 Failed", TEXT, sys.exc_info())

    async with Office(application) as handler:
        response = await handler.handle(asked("GET", "/"))
        with pytest.raises(ConnectionAbortedError):
            await content(response)
    assert "ValueError: a defect" in caplog.text


# --- Files ------------------------------------------------------------------------------------------------------------------------


def wrapping(make: Callable[[], Any], headers: Iterable[tuple[str, str]] = TEXT) -> Application:
    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", list(headers))
        wrapper: Iterable[bytes] = environ["wsgi.file_wrapper"](make(), 4)
        return wrapper

    return application


@on_loop
async def test_a_real_file_is_left_to_the_kernel(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content of a file")
    opened: list[Any] = []

    def open_file() -> Any:
        opened.append(file.open("rb"))
        opened[-1].read(8)
        return opened[-1]

    async with Office(wrapping(open_file)) as handler:
        response = await handler.handle(asked("GET", "/"))
        assert isinstance(response.body, FileBody)
        assert await content(response) == b"of a file", "from where it stands"
    assert opened[0].closed
    response, octets = await answer_of(wrapping(open_file, [("Content-Length", "2")]), asked("GET", "/"))
    assert octets == b"of"


@on_loop
async def test_what_is_no_real_file_is_read_in_blocks(tmp_path: Path) -> None:
    _, octets = await answer_of(wrapping(lambda: io.BytesIO(b"in memory")), asked("GET", "/"))
    assert octets == b"in memory"

    class Reader:
        def __init__(self) -> None:
            self.blocks = [b"", b"two", b"one"]

        def read(self, size: int) -> bytes:
            return self.blocks.pop()

    _, octets = await answer_of(wrapping(Reader), asked("GET", "/"))
    assert octets == b"onetwo"
    response, octets = await answer_of(wrapping(partial(open, os.devnull, "rb")), asked("GET", "/"))
    assert octets == b""
    file = tmp_path / "file"
    file.write_bytes(b"content")
    response, octets = await answer_of(wrapping(lambda: file.open("rb")), asked("HEAD", "/"))
    assert isinstance(response.body, Nothing)


# --- Mistakes ---------------------------------------------------------------------------------------------------------------------


def starting(*arguments: Any) -> Application:
    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(*arguments)
        return [b"x"]

    return application


def starting_twice(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    start_response("200 OK", [])
    return []


def yielding_text(environ: Environ, start_response: StartResponse) -> Iterable[Any]:
    start_response("200 OK", [])
    yield "text"


def failing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise ValueError("a defect")


@pytest.mark.parametrize(
    ("application", "said"),
    [
        (failing, "ValueError: a defect"),
        (lambda environ, start_response: sys.exit(3), "SystemExit: 3"),
        (lambda environ, start_response: [b"x"], "content came before start_response was called"),
        (lambda environ, start_response: [], "it ended without calling start_response"),
        (lambda environ, start_response: None, "TypeError"),
        (starting_twice, "start_response was called a second time without exc_info"),
        (yielding_text, "content must be bytes, not str"),
        (starting("OK", []), "the status of an answer must be a text such as"),
        (starting(200, []), "the status of an answer must be a text such as"),
        (starting("101 Switching", []), "the status of an answer must be a text such as"),
        (starting("200 OK", [("x", 1)]), "headers must be pairs of text"),
        (starting("200 OK", [(b"x", b"y")]), "headers must be pairs of text"),
        (starting("200 OK", [("Content-Length", "x")]), "content-length must be one decimal number"),
        (starting("200 OK", [("Content-Length", "0")]), "the content is longer than the 0 octets of Content-Length"),
        (starting("200 OK", [("Content-Length", "2")]), "the content has 1 octets of the 2 of Content-Length"),
    ],
)
@on_loop
async def test_a_mistake_is_a_500_and_a_traceback_in_the_log(
    application: Application, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(HttpError) as refused:
        await answer_of(application, asked("GET", "/cart?x"))
    assert refused.value.status == 500
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "shop:app failed answering GET /cart?x" in record.getMessage()
    assert said in caplog.text


@on_loop
async def test_a_defect_after_a_whole_answer_takes_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        yield b"whole"
        raise ValueError("too late")

    async with Office(application) as handler:
        response = await handler.handle(asked("GET", "/"))
        assert response.body == b"whole"
    assert "failed answering GET /, after its answer was whole" in caplog.text


@on_loop
async def test_an_application_may_end_the_connection() -> None:
    response, _ = await answer_of(answering(headers=[("Connection", "close")]), asked("GET", "/"))
    assert list(response.fields) == [("connection", "close")]


# --- Threads --------------------------------------------------------------------------------------------------------------------


@on_loop
async def test_requests_wait_for_a_thread_and_too_many_are_told_to_come_back() -> None:
    gate = threading.Event()
    running: list[str] = []

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        running.append(environ["PATH_INFO"])
        gate.wait(10)
        start_response("200 OK", TEXT)
        return [b"done"]

    async with Office(application, threads=2, queue=1) as handler:
        answers = [asyncio.ensure_future(handler.handle(asked("GET", f"/{number}"))) for number in range(3)]
        await turns()
        with pytest.raises(HttpError) as refused:
            await handler.handle(asked("GET", "/one-too-many"))
        assert refused.value.status == 503
        assert refused.value.fields == (("retry-after", "1"),)
        assert refused.value.setting == "limits.app_queue"
        gate.set()
        assert [response.body for response in await asyncio.gather(*answers)] == [b"done"] * 3
        assert (await handler.handle(asked("GET", "/again"))).body == b"done"
    assert "/one-too-many" not in running


@on_loop
async def test_who_went_away_while_waiting_is_not_served_but_keeps_the_place() -> None:
    gate = threading.Event()
    running: list[str] = []

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        running.append(environ["PATH_INFO"])
        gate.wait(10)
        start_response("200 OK", TEXT)
        return [b"done"]

    async with Office(application, threads=1, queue=1) as handler:
        first = asyncio.ensure_future(handler.handle(asked("GET", "/first")))
        second = asyncio.ensure_future(handler.handle(asked("GET", "/second")))
        await turns()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        with pytest.raises(HttpError):
            await handler.handle(asked("GET", "/third"))
        gate.set()
        await first
    assert running == ["/first"]


@on_loop
async def test_an_application_that_goes_on_without_its_client_is_told(caplog: pytest.LogCaptureFixture) -> None:
    entered, gate = threading.Event(), threading.Event()
    seen: list[object] = []

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        entered.set()
        gate.wait(10)
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            seen.append(type(error))
        write = start_response("200 OK", TEXT)
        try:
            write(b"x")
        except OSError as error:
            seen.append(type(error))
            raise
        return []

    request, _ = posted("/", 10)
    async with Office(application) as handler:
        answer = asyncio.ensure_future(handler.handle(request))
        await asyncio.get_running_loop().run_in_executor(None, entered.wait, 10)
        answer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answer
        gate.set()
    assert seen == [ClientGoneError, ClientGoneError]
    assert not caplog.records


@on_loop
async def test_a_worker_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        gate.wait(10)
        start_response("200 OK", TEXT)
        return [b"done"]

    office = Office(application)
    answer = asyncio.ensure_future(office.handler.handle(asked("GET", "/")))
    await turns()
    await office.threads.finish(0.01)
    assert "1 WSGI request(s) still run as the worker ends" in caplog.text
    gate.set()
    assert (await answer).body == b"done"


@on_loop
async def test_a_file_that_nobody_waits_for_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    entered, gate = threading.Event(), threading.Event()

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        entered.set()
        gate.wait(10)
        return wrapping(lambda: file.open("rb"))(environ, start_response)

    async with Office(application) as handler:
        before = len(os.listdir("/proc/self/fd"))
        answer = asyncio.ensure_future(handler.handle(asked("GET", "/")))
        await asyncio.get_running_loop().run_in_executor(None, entered.wait, 10)
        answer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answer
        gate.set()
    assert len(os.listdir("/proc/self/fd")) == before


@on_loop
async def test_an_answer_is_for_others_only_as_its_cache_control_says() -> None:
    response, _ = await answer_of(
        answering(b"x", headers=[("Cache-Control", "max-age=60"), ("Content-Length", "1")]), asked("GET", "/")
    )
    assert response.remember is not None
    assert response.remember.expires == 1060.0
    response, _ = await answer_of(
        answering(b"x", headers=[("Cache-Control", "private"), ("Content-Length", "1")]), asked("GET", "/")
    )
    assert response.remember is None

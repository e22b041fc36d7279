"""Clients of HTTP/2 that mean no good: each is told so and cut off at a limit with a name, and whoever else is served meanwhile is served.

RFC 9113 §10.5 (denial of service), §5.4, §6.9; CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2024-27316. One worker, so that all of it comes to
one process. "Served" is counted in answers, not in seconds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netlodge.http.wire.h2_frames import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    RST_STREAM,
    SETTINGS,
    ErrorCode,
    Setting,
    frame,
    header_frames,
    ping_frame,
    settings_frame,
    window_update_frame,
)
from netlodge.http.wire.hpack import encode_stateless
from tests.e2e.http2_client import Http2Client, RawHttp2, request_frame, reset
from tests.e2e.http_client import BrokenAnswerError
from tests.e2e.lodge import Lodge, until

SETTINGS_FILE = """
[limits]
send_timeout = "2 s"
head_timeout = "1 s"
[[web.site]]
routes = [{ path = "/", files = "site", uploads = "anyone" }, { path = "/wait/", app = "waiting:app" }]
"""
APP = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive())["type"] != "http.disconnect":
        pass
"""
BIG = b"x" * (8 << 20)
CALM = ErrorCode.ENHANCE_YOUR_CALM


@pytest.fixture(scope="module")
def lodge() -> Iterator[Lodge]:
    lodge = Lodge({"index.html": b"hello", "big.bin": BIG}, SETTINGS_FILE, workers=1)
    (lodge.folder / "waiting.py").write_text(APP)
    with lodge:
        yield lodge


@pytest.fixture
def bystander(lodge: Lodge) -> Iterator[Callable[[], None]]:
    """Somebody else, on a connection of his own, who was there before and stays: asks, and gets his answer each time."""
    with Http2Client(lodge.port()) as client:

        def ask() -> None:
            assert client.ask("/").body == b"hello"
            assert client.ask("/missing").status == 404

        ask()
        yield ask
        ask()


def flood(lodge: Lodge, bystander: Callable[[], None], octets: Callable[[int], bytes], *, most: int) -> int:
    """Send `octets(0)`, `octets(1)`, ... until the server ends the connection, `most` times at most. The code that it ends it with."""
    with RawHttp2(lodge.port()) as attacker:
        for turn in range(most):
            if not attacker.send(octets(turn)):
                break
            if turn % 10 == 0:
                bystander()
        return attacker.last_words()


def resident(lodge: Lodge) -> int:
    return int(Path(f"/proc/{lodge.workers[0].pid}/statm").read_text().split()[1]) * 4096


# --- Floods: each of them is over within a few thousand frames ------------------------------------------------------------------


@pytest.mark.parametrize(
    "one",
    [
        ping_frame(b"12345678", is_ack=False),
        settings_frame([]),
        settings_frame([(Setting.INITIAL_WINDOW_SIZE, 65535)] * 100),
        frame(PRIORITY, 0, 1, b"\0\0\0\3\xff"),
        frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1"),
        frame(0xEE, 0, 0, b"anything"),
        frame(GOAWAY, 0, 0, bytes(8)),
        window_update_frame(0, 1),
    ],
    ids=["ping", "settings", "long settings", "priority", "priority update", "unknown type", "goaway", "window update"],
)
def test_a_flood_of_frames_that_bring_nothing_forward(lodge: Lodge, bystander: Callable[[], None], one: bytes) -> None:
    assert flood(lodge, bystander, lambda _: one * 1000, most=100) == CALM


def test_rapid_reset(lodge: Lodge, bystander: Callable[[], None]) -> None:
    """CVE-2023-44487: requests that are taken back as soon as they are sent."""

    def burst(turn: int) -> bytes:
        numbers = range(turn * 200 + 1, turn * 200 + 201, 2)
        return b"".join(request_frame(number, "/wait/") + reset(number) for number in numbers)

    assert flood(lodge, bystander, burst, most=100) == CALM
    until(lambda: lodge.metric("netlodge_connections_open", door="web") <= 2, "its end")


def test_requests_that_make_the_server_reset_them(lodge: Lodge, bystander: Callable[[], None]) -> None:
    """The same, the other way about ("MadeYouReset", CVE-2025-8671): each request is followed by a mistake in it."""

    def burst(turn: int) -> bytes:
        numbers = range(turn * 200 + 1, turn * 200 + 201, 2)
        return b"".join(request_frame(number, "/wait/") + window_update_frame(number, 0) for number in numbers)

    assert flood(lodge, bystander, burst, most=100) == CALM


def test_continuation_flood(lodge: Lodge, bystander: Callable[[], None]) -> None:
    """CVE-2024-27316: a field block that never ends."""
    opening = frame(HEADERS, 0x1, 1, b"\x82")

    def piece(turn: int) -> bytes:
        return (opening if turn == 0 else b"") + frame(CONTINUATION, 0, 1, b"\0\1a\1b" * 50)

    assert flood(lodge, bystander, piece, most=1000) == CALM


def test_continuation_flood_of_nothing(lodge: Lodge, bystander: Callable[[], None]) -> None:
    opening = frame(HEADERS, 0x1, 1, b"\x82")
    code = flood(lodge, bystander, lambda turn: (b"" if turn else opening) + frame(CONTINUATION, 0, 1), most=1000)
    assert code == CALM


def test_empty_data_flood(lodge: Lodge, bystander: Callable[[], None]) -> None:
    """CVE-2019-9518."""
    opening = request_frame(1, "/wait/", ends=False)
    assert flood(lodge, bystander, lambda turn: (b"" if turn else opening) + frame(DATA, 0, 1) * 500, most=100) == CALM


def test_hpack_bomb(lodge: Lodge, bystander: Callable[[], None]) -> None:
    """CVE-2016-6581: one long field in the dynamic table, and blocks of a few octets that refer to it thousands of times."""
    grown = b"\x82\x86\x41\x01a\x84" + b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000
    before = resident(lodge)

    def bomb(turn: int) -> bytes:
        if not turn:
            return frame(HEADERS, 0x5, 1, grown)
        return frame(HEADERS, 0x5, 2 * turn + 1, b"\x82\x86\x84\xbf" + b"\xbe" * 8000)

    assert flood(lodge, bystander, bomb, most=1000) == CALM
    assert resident(lodge) - before < 8 << 20


def test_a_list_of_fields_that_is_too_long_is_answered(lodge: Lodge, bystander: Callable[[], None]) -> None:
    with RawHttp2(lodge.port()) as attacker:
        for number in (1, 3):
            attacker.send(long_request(number))
            assert attacker.until(HEADERS)[2] == number
            assert b"431 " in attacker.until(DATA)[3]
        bystander()


def long_request(number: int) -> bytes:
    """A request whose fields are more than `limits.head_size`, in a block of several frames."""
    pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]
    block = encode_stateless([*pseudo, *((f"x{place}", "v" * 900) for place in range(40))])
    return header_frames(number, block, 16384, ends=True)


def test_a_frame_that_is_too_long(lodge: Lodge, bystander: Callable[[], None]) -> None:
    with RawHttp2(lodge.port()) as attacker:
        attacker.send(b"\xff\xff\xff\0\0\0\0\0\1")
        assert attacker.last_words() == ErrorCode.FRAME_SIZE_ERROR
        bystander()


def test_more_requests_at_once_than_allowed_are_refused_one_by_one(lodge: Lodge, bystander: Callable[[], None]) -> None:
    with RawHttp2(lodge.port()) as attacker:
        attacker.send(b"".join(request_frame(number, "/wait/") for number in range(1, 401, 2)))
        for number in range(257, 401, 2):
            kind, _, stream_id, payload = attacker.until(RST_STREAM)
            assert (kind, stream_id, payload) == (
                RST_STREAM,
                number,
                b"\0\0\0\x07",
            )  # REFUSED_STREAM: it may be repeated
        bystander()


# --- Those who take nothing, or say nothing ---------------------------------------------------------------------------------------


def test_a_window_that_stays_shut_holds_nothing_and_is_waited_for_a_moment(
    lodge: Lodge, bystander: Callable[[], None]
) -> None:
    """CVE-2019-9511, 9517: much is asked for, nothing is taken."""
    before = resident(lodge)
    with contextlib.ExitStack() as stack:
        attackers = [
            stack.enter_context(RawHttp2(lodge.port(), settings=[(Setting.INITIAL_WINDOW_SIZE, 0)])) for _ in range(5)
        ]
        for attacker in attackers:
            attacker.send(b"".join(request_frame(number, "/big.bin") for number in range(1, 257, 2)))
            for _ in range(128):
                attacker.until(HEADERS)
        for _ in range(20):
            bystander()
        # 640 answers of 8 MiB wait.
        assert resident(lodge) - before < 16 << 20
        for attacker in attackers:
            numbers = set()
            for _ in range(128):
                _, _, number, payload = attacker.until(RST_STREAM)
                assert payload == b"\0\0\0\x08"
                numbers.add(number)
            assert numbers == set(range(1, 257, 2))


def test_a_window_that_opens_by_an_octet_at_a_time(lodge: Lodge, bystander: Callable[[], None]) -> None:
    """CVE-2019-9511: data dribble."""
    with RawHttp2(lodge.port(), settings=[(Setting.INITIAL_WINDOW_SIZE, 0)]) as attacker:
        attacker.send(request_frame(1, "/big.bin"))
        for turn in range(2000):
            if not attacker.send(window_update_frame(1, 1)):
                break
            if turn % 100 == 0:
                bystander()


def test_who_does_not_read_is_cut_off(lodge: Lodge, bystander: Callable[[], None]) -> None:
    windows = [(Setting.INITIAL_WINDOW_SIZE, (1 << 31) - 1)]
    with RawHttp2(lodge.port(), settings=windows) as attacker:
        attacker.send(window_update_frame(0, (1 << 31) - 1 - 65535))
        attacker.send(b"".join(request_frame(number, "/big.bin") for number in range(1, 101, 2)))

        def is_alone() -> bool:
            bystander()
            return lodge.metric("netlodge_connections_open", door="web") == 1

        until(is_alone, "the end of the one who does not read")


@pytest.mark.parametrize("octets", [PREFACE, PREFACE + settings_frame([])], ids=["the preface", "settings"])
def test_who_stops_after_the_beginning_is_cut_off(lodge: Lodge, bystander: Callable[[], None], octets: bytes) -> None:
    with contextlib.closing(RawHttp2.__new__(RawHttp2)) as attacker:
        super(RawHttp2, attacker).__init__(lodge.port(), None)
        attacker._pending = b""
        attacker.send(octets)
        with contextlib.suppress(BrokenAnswerError):
            assert attacker.last_words() == ErrorCode.SETTINGS_TIMEOUT
        bystander()


def test_a_field_block_that_does_not_go_on(lodge: Lodge, bystander: Callable[[], None]) -> None:
    with RawHttp2(lodge.port()) as attacker:
        attacker.send(frame(HEADERS, 0x1, 1, b"\x82"))
        assert attacker.last_words() == CALM
        bystander()


# --- What must not get from one version into another (§10.3) ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        [("transfer-encoding", "chunked")],
        [("connection", "keep-alive")],
        [("x", "a\r\nb: c")],
        [("x", "a\0b")],
        [("x y", "a")],
        [("X", "a")],
        [("host", "elsewhere")],
        [("content-length", "+1")],
        [("te", "gzip")],
        [(":method", "GET")],
    ],
    ids=lambda fields: fields[0][0],
)  # fmt: skip
def test_what_http_1_could_not_say_is_refused(
    lodge: Lodge, bystander: Callable[[], None], fields: list[tuple[str, str]]
) -> None:
    with RawHttp2(lodge.port()) as attacker:
        attacker.send(request_frame(1, "/", *fields))
        kind, _, stream_id, payload = attacker.until(RST_STREAM)
        assert (kind, stream_id, payload) == (RST_STREAM, 1, b"\0\0\0\1")  # PROTOCOL_ERROR, of the stream alone
        attacker.send(request_frame(3, "/"))
        assert attacker.until(HEADERS)[2] == 3
        bystander()


@pytest.mark.parametrize("target", ["/a b", "/\r\nX: y", "//x\t", "http://a/", "*", ""], ids=repr)
def test_a_path_that_http_1_could_not_say_is_refused(lodge: Lodge, bystander: Callable[[], None], target: str) -> None:
    with RawHttp2(lodge.port()) as attacker:
        attacker.send(request_frame(1, target))
        assert attacker.until(RST_STREAM)[3] == b"\0\0\0\1"
        bystander()


def test_pings_are_answered_and_settings_acknowledged(lodge: Lodge) -> None:
    with RawHttp2(lodge.port()) as client:
        assert client.until(SETTINGS)[1] == 0
        assert client.until(SETTINGS)[1] == 1
        client.send(ping_frame(b"12345678", is_ack=False))
        assert client.until(PING) == (PING, 1, 0, b"12345678")

"""TLS over real sockets, on both event loops: what `core.contracts` asks of a connection and of a session, and what hostile peers send."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop

from netlodge.core.contracts import Session
from netlodge.net.tls import RECORD, SLICE, TlsStream
from tests.net.certificate import self_signed
from tests.net.tls_peers import Client, House, Script, echo, house, ignore, until

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}
BIG = 16 * 1024 * 1024
Scenario = Callable[[], Coroutine[Any, Any, None]]
Run = Callable[[Scenario], None]


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    def runner(scenario: Scenario) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as loop:
            loop.run(asyncio.wait_for(scenario(), 20))

    return runner


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


def has_received(session: Script, octets: bytes) -> bool:
    return session.received == octets


# --- As a connection ----------------------------------------------------------------------------------------------------


def test_what_is_written_arrives_in_order(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem, echo) as place:
            client = await place.greet()
            client.say(b"one ")
            assert await client.listen(4) == b"one "
            client.say(b"two")
            assert await client.listen(3) == b"two"
            stream = place.sessions[0].connection
            assert isinstance(stream, TlsStream)
            assert stream.is_secure
            assert not stream.may_send_file
            assert stream.protocol == "http/1.1"
            assert stream.local.port == place.port
            assert stream.peer.port == client.writer.get_extra_info("sockname")[1]
            assert place.counts["TLSv1.3", False] == 1
            await client.leave()

    run(scenario)


def test_nothing_is_written_for_nothing(run: Run, pem: Path) -> None:
    def answer(session: Script, data: bytes) -> None:
        session.connection.write(b"")
        session.connection.write(b"answer")

    async def scenario() -> None:
        async with house(pem, answer) as place:
            client = await place.greet()
            client.say(b"?")
            assert await client.listen(6) == b"answer"
            await client.leave()

    run(scenario)


def test_more_than_the_kernel_takes_waits_in_the_clear_and_arrives_whole(run: Run, pem: Path) -> None:
    blob = os.urandom(1 << 20) * (BIG >> 20)

    def answer(session: Script, data: bytes) -> None:
        connection = session.connection
        connection.write(blob)
        connection.write(b"and more")
        assert not connection.is_writable
        # What was encrypted already, and what was not, are both still to be taken.
        assert connection.unacknowledged() > BIG - 8 * 1024 * 1024
        connection.close()

    async def scenario() -> None:
        async with house(pem, answer) as place:
            client = await place.greet()
            client.say(b"?")
            await until(lambda: place.sessions[0].pieces)
            # The stream below has no more than one slice: nothing is encrypted ahead.
            (below,) = place.door.connections
            assert below._transport.get_write_buffer_size() < 2 * SLICE
            assert await client.listen() == blob + b"and more"
            await client.leave()

    run(scenario)


def test_drained_returns_when_the_peer_took_it_and_raises_when_it_left(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            for leaves in (False, True):
                client = await place.greet()
                connection = place.sessions[-1].connection
                await connection.drained()
                before = connection.progress
                connection.write(b"x" * BIG)
                assert not connection.is_writable
                waiting = asyncio.ensure_future(connection.drained())
                await asyncio.sleep(0)
                assert not waiting.done()
                if leaves:
                    client.writer.transport.abort()
                    with pytest.raises(ConnectionResetError):
                        await waiting
                    with pytest.raises(ConnectionResetError):
                        await connection.drained()
                    assert place.sessions[-1].losses == 1
                else:
                    assert len(await client.listen(BIG)) == BIG
                    await waiting
                    assert connection.is_writable
                    assert connection.progress > before
                    await client.leave()
                place.sessions.clear()

    run(scenario)


def test_nothing_is_delivered_while_reading_is_paused(run: Run, pem: Path) -> None:
    def pause(session: Script, data: bytes) -> None:
        session.connection.pause_reading()
        session.connection.pause_reading()

    async def scenario() -> None:
        async with house(pem, pause) as place:
            client = await place.greet()
            (session,) = place.sessions
            client.say(b"one")
            await until(partial(has_received, session, b"one"))
            client.say(b"two")
            client.end()
            for _ in range(20):
                await asyncio.sleep(0)
            assert (session.received, session.ends) == (b"one", 0)
            session.connection.resume_reading()
            assert session.received == b"one"  # never within the call
            await until(partial(has_received, session, b"onetwo"))
            assert session.ends == 0  # paused again, by the second piece
            session.connection.resume_reading()
            session.connection.resume_reading()
            await until(lambda: session.ends)
            session.connection.close()
            await until(lambda: session.losses)
            assert session.ends == 1
            await client.leave()

    run(scenario)


def test_all_methods_do_nothing_once_the_stream_is_gone(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.greet()
            (session,) = place.sessions
            connection = session.connection
            connection.write(b"x" * BIG)
            connection.abort()
            with suppress(ConnectionError):
                assert await client.reader.read() is not None
            for _ in range(2):
                connection.write(b"x")
                connection.pause_reading()
                connection.resume_reading()
                connection.write_eof()
                connection.close()
                connection.abort()
                assert connection.unacknowledged() == 0
                with pytest.raises(ConnectionResetError):
                    await connection.drained()
            await until(lambda: session.losses)
            assert (session.losses, session.ends) == (1, 0)
            with pytest.raises(NotImplementedError):
                await connection.send_file(0, 0, 1)
            await client.leave()

    run(scenario)


# --- RFC 8446 §6.1: closure alerts, each side by itself ---------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_peer_ends_its_side_and_is_still_answered(run: Run, pem: Path, version: ssl.TLSVersion) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.greet(newest=version)
            (session,) = place.sessions
            client.say(b"question")
            client.end()
            await until(lambda: session.ends)
            assert session.pieces == [b"question"]
            client.writer.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)  # ignored, whatever it is
            session.connection.write(b"answer")
            session.connection.write_eof()
            session.connection.write_eof()
            session.connection.write(b"too late")
            assert await client.listen() == b"answer"
            assert await client.reader.read() == b""
            session.connection.close()
            await until(lambda: session.losses)
            assert (session.ends, session.losses) == (1, 1)
            assert place.counts["truncated"] == place.counts["protocol"] == place.counts["defects"] == 0
            await client.leave()

    run(scenario)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_we_end_our_side_and_still_read(run: Run, pem: Path, version: ssl.TLSVersion) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.greet(newest=version)
            (session,) = place.sessions
            session.connection.write(b"last words")
            session.connection.write_eof()
            assert await client.listen() == b"last words"
            client.say(b"one more")
            client.say(b" thing")
            await until(partial(has_received, session, b"one more thing"))
            client.end()
            await until(lambda: session.ends)
            await client.leave()
            await asyncio.sleep(0)
            session.connection.close()
            await until(lambda: session.losses)
            assert place.counts["truncated"] == 0

    run(scenario)


def test_an_end_without_a_word_is_no_end_of_what_was_meant(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.greet()
            (session,) = place.sessions
            client.say(b"transfer 100")
            client.writer.write_eof()
            await until(lambda: session.losses)
            assert (session.received, session.ends) == (b"transfer 100", 0)
            assert place.counts["truncated"] == 1
            assert await client.listen() == b""  # it is told that we have ended, all the same
            await client.leave()

    run(scenario)


def test_an_end_without_a_word_is_an_end_once_we_have_said_all(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.greet()
            (session,) = place.sessions
            session.connection.write_eof()
            assert await client.listen() == b""
            client.writer.write_eof()
            await until(lambda: session.ends)
            session.connection.close()
            await until(lambda: session.losses)
            assert place.counts["truncated"] == 0
            await client.leave()

    run(scenario)


def test_what_is_written_before_the_end_goes_before_it(run: Run, pem: Path) -> None:
    def answer(session: Script, data: bytes) -> None:
        session.connection.write(b"x" * BIG)
        session.connection.write_eof()
        assert not session.connection.is_writable

    async def scenario() -> None:
        async with house(pem, answer) as place:
            client = await place.greet()
            client.say(b"?")
            assert len(await client.listen()) == BIG
            assert await client.reader.read() == b""  # and our side of the stream, too
            (session,) = place.sessions
            session.connection.close()
            await until(lambda: session.losses)
            await client.leave()

    run(scenario)


# --- As a session: how ciphertext arrives -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_octets_may_come_one_by_one(run: Run, pem: Path, version: ssl.TLSVersion) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            (stream, transmit) = await octet_by_octet(place)
            client = stream
            client.begin(newest=version)
            while True:
                try:
                    client.tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    transmit(client.outgoing.read())
                    await client.hear()
            transmit(client.outgoing.read() + client.records(b"hello ", b"world", b"x" * 16384))
            (session,) = place.sessions
            assert session.received == b"hello world" + b"x" * 16384
            assert len(session.pieces) == 3
            with suppress(ssl.SSLWantReadError):
                client.tls.unwrap()
            transmit(client.outgoing.read())
            assert session.ends == 1
            await client.leave()

    run(scenario)


async def octet_by_octet(place: House) -> tuple[Client, Callable[[bytes], None]]:
    """A client, and a way around the network that hands each of its octets to the stream by itself."""
    client = await place.dial()
    await until(lambda: place.door.connections)
    (connection,) = place.door.connections

    def transmit(octets: bytes) -> None:
        for place_ in range(len(octets)):
            connection.data_received(octets[place_ : place_ + 1])

    return client, transmit


def test_records_that_come_together_are_delivered_together_with_their_end(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client, _ = await octet_by_octet(place)
            (connection,) = place.door.connections
            client.begin()
            while not place.sessions:
                try:
                    client.tls.do_handshake()
                    # The end of the handshake, four records, and the end.
                    finished = client.outgoing.read() + client.records(b"1", b"2", b"3", b"4")
                    with suppress(ssl.SSLWantReadError):
                        client.tls.unwrap()
                    connection.data_received(finished + client.outgoing.read())
                except ssl.SSLWantReadError:
                    client.flush()
                    await client.hear()
            (session,) = place.sessions
            assert session.pieces == [b"1234"]
            assert session.ends == 1
            await client.leave()

    run(scenario)


def test_a_broken_record_ends_the_connection_after_what_came_before_it(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.greet()
            (session,) = place.sessions
            client.writer.write(client.records(b"good") + b"\x17\x03\x03\x00\x20" + b"x" * 32)
            await until(lambda: session.losses)
            assert (session.received, session.ends) == (b"good", 0)
            with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
                await client.listen()
            assert place.counts["protocol"] == 1
            assert place.counts["defects"] == 0
            await client.leave()

    run(scenario)


def test_who_makes_us_speak_and_does_not_listen_is_cut_off(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.greet()
            (session,) = place.sessions
            stream: Any = session.connection
            stream.write(b"x" * BIG)
            assert not stream.is_writable
            # As OpenSSL does for each demand for new keys.
            stream._outgoing.write(b"x" * RECORD)
            client.say(b"1")
            await until(partial(has_received, session, b"1"))
            assert not session.losses
            stream._outgoing.write(b"x")
            client.say(b"2")
            await until(lambda: session.losses)
            await client.leave()

    run(scenario)


def test_another_session_may_take_over(run: Run, pem: Path) -> None:
    others: list[Script] = []

    def hand_over(session: Script, data: bytes) -> None:
        other = Script(session.connection, echo)
        others.append(other)
        session.connection.session = other

    async def scenario() -> None:
        async with house(pem, hand_over) as place:
            client = await place.greet()
            client.say(b"upgrade")
            await until(lambda: others)
            client.say(b"hello")
            assert await client.listen(5) == b"hello"
            place.door.sweep(1.0)
            assert (others[0].received, others[0].sweeps) == (b"hello", 1)
            await client.leave()
            await until(lambda: others[0].losses)
            assert place.sessions[0].losses == 0

    run(scenario)


def test_tls_may_begin_in_the_middle_of_a_connection(run: Run, pem: Path) -> None:
    def start(place: House, session: Script, data: bytes) -> None:
        if data == b"STARTTLS\r\n":
            connection: Any = session.connection
            connection.write(b"go ahead\r\n")
            connection.session = TlsStream(connection, place.service, place.new_session)
            place.on_data = echo

    async def scenario() -> None:
        async with house(pem, ignore, begins_in_the_clear=True) as place:
            place.on_data = partial(start, place)
            client = await place.dial()
            client.writer.write(b"STARTTLS\r\n")
            assert await client.reader.readline() == b"go ahead\r\n"
            await client.shake_hands()
            client.say(b"secret")
            assert await client.listen(6) == b"secret"
            await client.leave()

    run(scenario)


def test_a_defect_of_a_session_costs_its_own_connection(run: Run, pem: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(session: Script, data: bytes) -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        async with house(pem, fail) as place:
            client = await place.greet()
            client.say(b"x")
            await until(lambda: place.sessions[0].losses)
            assert place.counts["defects"] == 1
            await client.leave()

    run(scenario)
    assert "ZeroDivisionError" in caplog.text


# --- Handshakes that fail -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01", b"CLE"])
def test_a_handshake_that_stalls_is_cut_off(run: Run, pem: Path, said: bytes) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.dial()
            await until(lambda: place.door.connections)
            (connection,) = place.door.connections
            if said:
                connection.data_received(said)
            place.door.sweep(100.0)
            place.door.sweep(109.0)
            assert place.counts["timeout"] == 0
            place.door.sweep(110.0)
            with suppress(ConnectionResetError):
                assert await client.reader.read() == b""
            await until(lambda: not place.door.connections)
            assert place.counts["timeout"] == 1
            assert place.counts["gone"] == 0
            assert not place.sessions
            await client.leave()

    run(scenario)


def test_who_leaves_in_the_handshake_is_counted(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.dial()
            client.begin()
            with suppress(ssl.SSLWantReadError):
                client.tls.do_handshake()
            client.flush()
            await client.hear()
            await client.leave()
            await until(lambda: place.counts["gone"])
            await until(lambda: not place.door.connections)
            assert place.counts["gone"] == 1

    run(scenario)


def test_who_speaks_in_the_clear_is_handed_over(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem, echo) as place:
            client = await place.dial()
            await until(lambda: place.door.connections)
            (connection,) = place.door.connections
            connection.data_received(b"CLE")
            place.door.retire(at_once=False)
            connection.data_received(b"AR")
            assert await client.reader.readexactly(5) == b"CLEAR"
            assert place.clear[0].retired == [False]
            assert place.counts["plain"] == 1
            client.writer.write_eof()
            await until(lambda: place.clear[0].ends)
            assert place.counts["gone"] == 0
            await client.leave()

    run(scenario)


@pytest.mark.parametrize("said", [b"\x00", b"SSH-2.0-x\r\n", b"\x80\x2e\x01\x03\x01", b"CLEAN"])
def test_garbage_is_cut_off(run: Run, pem: Path, said: bytes) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.dial()
            client.writer.write(said)
            with suppress(ConnectionResetError):
                assert await client.reader.read() == b""
            await until(lambda: not place.door.connections)
            assert place.counts["garbage"] == 1
            assert place.counts["gone"] == 0
            await client.leave()

    run(scenario)


def test_garbage_that_begins_like_tls_is_told_by_an_alert(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.dial()
            client.writer.write(b"\x16\x03\x01\x00\x04abcd")
            assert (await client.reader.read())[:1] == b"\x15"
            assert place.counts["protocol"] == 1
            await client.leave()
            await until(lambda: not place.door.connections)

    run(scenario)


@pytest.mark.parametrize(
    ("options", "counter", "alert"),
    [
        ({"name": "elsewhere.example"}, "name", "UNRECOGNIZED_NAME"),
        ({"newest": ssl.TLSVersion.TLSv1_1, "oldest": ssl.TLSVersion.TLSv1}, "version", "PROTOCOL_VERSION"),
        ({"newest": ssl.TLSVersion.TLSv1_2, "ciphers": "AES128-SHA"}, "cipher", "HANDSHAKE_FAILURE"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.*deprecated")  # that nobody speaks them is what is tested
def test_who_asks_for_what_is_not_here_is_told_by_an_alert(
    run: Run, pem: Path, options: dict[str, Any], counter: str, alert: str
) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.dial()
            with pytest.raises(ssl.SSLError) as caught:
                await client.shake_hands(**options)
            assert alert in str(caught.value.reason)
            assert place.counts[counter] == 1
            assert not place.sessions
            await client.leave()
            await until(lambda: not place.door.connections)

    run(scenario)


def test_a_client_that_does_not_trust_us_is_counted(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.dial()
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.shake_hands(trusts_nobody=True)
            await client.leave()
            await until(lambda: not place.door.connections)
            assert place.counts["rejected"] == 1

    run(scenario)


# --- Retiring -------------------------------------------------------------------------------------------------------------------


def test_a_worker_that_retires_tells_a_session_that_is_made_later(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.dial()
            await until(lambda: place.door.connections)
            place.door.retire(at_once=False)
            await client.shake_hands()
            await until(lambda: place.sessions)
            assert place.sessions[0].retired == [False]
            place.door.retire(at_once=True)
            assert place.sessions[0].retired == [False, True]
            await client.leave()

    run(scenario)


def test_a_worker_that_ends_waits_for_nobody_who_said_nothing(run: Run, pem: Path) -> None:
    async def scenario() -> None:
        async with house(pem) as place:
            client = await place.dial()
            await until(lambda: place.door.connections)
            place.door.retire(at_once=True)
            assert await client.reader.read() == b""
            await until(lambda: not place.door.connections)
            assert place.counts["gone"] == 0
            await client.leave()

    run(scenario)


def test_it_is_a_session_and_a_connection() -> None:
    session: type[Session] = TlsStream
    assert session

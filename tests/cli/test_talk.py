"""`netlodge talk` as its users meet it: from a pipe, on a terminal, and as a listener."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import pty
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from netlodge.cli.talk import ExitCode, Screen, command, end_lines_in_crlf, escape, in_own_thread
from netlodge.core.contracts import Peer
from netlodge.lines.client import NoAnswerError
from netlodge.net import dial as dialling
from netlodge.net.dial import Address
from tests.net.certificate import self_signed, server_context

PROGRAM = [
    sys.executable,
    "-X",
    "utf8",
    "-c",
    "from netlodge.cli.talk import command; command(prog_name='netlodge talk')",
]
PATIENCE = 20.0


@contextmanager
def peer(behave: Callable[[socket.socket], None], kind: socket.SocketKind = socket.SOCK_STREAM) -> Iterator[int]:
    """A peer that behaves so on its one connection (or, for datagrams, on its socket). Yields its port on 127.0.0.1."""
    sock = socket.socket(socket.AF_INET, kind)
    sock.settimeout(PATIENCE)
    sock.bind(("127.0.0.1", 0))
    if kind is socket.SOCK_STREAM:
        sock.listen()

    def serve() -> None:
        with suppress(OSError):
            if kind is socket.SOCK_DGRAM:
                behave(sock)
                return
            connection, _ = sock.accept()
            with connection:
                connection.settimeout(PATIENCE)
                behave(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        if kind is socket.SOCK_STREAM:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
        sock.close()


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def shout(connection: socket.socket) -> None:
    """Answer all that came in capitals, and hang up."""
    connection.sendall(read_all(connection).upper())


def wait_for(event: threading.Event) -> None:
    """Say nothing and take nothing until then."""
    event.wait(PATIENCE)


def shout_datagrams(sock: socket.socket) -> None:
    while True:
        data, sender = sock.recvfrom(65536)
        if data == b"quit":
            return
        sock.sendto(data.upper(), sender)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def talk(*arguments: object, typed: bytes = b"") -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], input=typed)


class TestFromAPipe:
    def test_all_is_sent_and_the_answer_printed(self) -> None:
        with peer(shout) as port:
            result = talk("127.0.0.1", port, typed="one\nzwölf".encode())
        assert (result.exit_code, result.stdout, result.stderr) == (0, "ONE\nZWöLF", "")

    def test_what_comes_is_printed_as_it_is(self) -> None:
        every = bytes(range(256)) * 100

        def echo(connection: socket.socket) -> None:
            connection.sendall(read_all(connection))

        with peer(echo) as port:
            assert talk("127.0.0.1", port, typed=every).stdout_bytes == every

    def test_it_ends_when_the_peer_ends_though_more_could_be_sent(self) -> None:
        with peer(lambda connection: connection.sendall(b"the time\r\n")) as port:
            result = talk("127.0.0.1", port)
        assert (result.exit_code, result.stdout_bytes) == (0, b"the time\r\n")

    def test_it_ends_when_the_peer_is_silent_for_the_timeout(self) -> None:
        is_over = threading.Event()

        def answer_and_wait(connection: socket.socket) -> None:
            connection.sendall(b"hello")
            is_over.wait(PATIENCE)

        with peer(answer_and_wait) as port:
            result = talk("127.0.0.1", port, "--timeout", 0.2)
            is_over.set()
        assert (result.exit_code, result.stdout) == (0, "hello")

    @pytest.mark.parametrize(
        ("typed", "sent"),
        [(b"a\nb\n", b"A\r\nB\r\n"), (b"a\r\nb\r\n", b"A\r\nB\r\n"), (b"a", b"A"), (b"\n\n", b"\r\n\r\n")],
    )
    def test_lines_end_in_crlf_if_asked_for(self, typed: bytes, sent: bytes) -> None:
        with peer(shout) as port:
            assert talk("127.0.0.1", port, "--crlf", typed=typed).stdout_bytes == sent

    @pytest.mark.parametrize(
        ("pieces", "joined"),
        [
            ([b"a\r", b"\nb\n"], b"a\r\nb\r\n"),
            ([b"a\n", b"\nb"], b"a\r\n\r\nb"),
            ([b"\r", b"\r", b"\n"], b"\r\r\n"),
            ([b"\r", b"x", b"\n"], b"\rx\r\n"),
        ],
    )
    def test_an_ending_cut_in_two_is_one_ending(self, pieces: list[bytes], joined: bytes) -> None:
        async def source() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        async def collect() -> bytes:
            return b"".join([piece async for piece in end_lines_in_crlf(source())])

        assert asyncio.run(collect()) == joined

    def test_a_file_is_as_good_as_a_pipe(self, tmp_path: Path) -> None:
        (tmp_path / "input").write_bytes(b"from a file\n")
        with peer(shout) as port, (tmp_path / "input").open("rb") as file:
            done = subprocess.run(
                [*PROGRAM, "127.0.0.1", str(port)], stdin=file, capture_output=True, timeout=PATIENCE, check=False
            )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"FROM A FILE\n", b"")


class TestOverTls:
    @pytest.fixture(scope="class", name="certificate")
    @classmethod
    def _certificate(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return self_signed(tmp_path_factory.mktemp("tls"))

    @staticmethod
    def echoing(certificate: Path) -> Callable[[socket.socket], None]:
        def echo(connection: socket.socket) -> None:
            with (
                suppress(ssl.SSLError),
                server_context(certificate).wrap_socket(connection, server_side=True) as secure,
            ):
                while data := secure.recv(65536):
                    secure.sendall(data)

        return echo

    def test_the_answer_is_awaited_until_silence(self, certificate: Path) -> None:
        with peer(self.echoing(certificate)) as port:
            result = talk("localhost", port, "--tls", "--ca", certificate, "--timeout", 0.5, typed=b"secret\n")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "secret\n", "")

    def test_a_certificate_that_does_not_hold_is_refused(self, certificate: Path) -> None:
        with peer(self.echoing(certificate)) as port:
            result = talk("localhost", port, "--tls", typed=b"secret\n")
        assert result.exit_code == ExitCode.TLS_FAILED
        assert "its certificate does not hold" in result.stderr

    def test_unless_anything_goes(self, certificate: Path) -> None:
        with peer(self.echoing(certificate)) as port:
            result = talk("127.0.0.1", port, "--tls", "--insecure", "--timeout", 0.5, typed=b"secret\n")
        assert (result.exit_code, result.stdout) == (0, "secret\n")


class TestExitCodes:
    def test_2_wrong_usage(self, tmp_path: Path) -> None:
        (tmp_path / "no.pem").write_text("no certificate")
        for arguments in (
            [],
            ["localhost"],
            ["localhost", "0"],
            ["localhost", "65536"],
            ["localhost", "80", "--udp", "--tls"],
            ["localhost", "80", "--insecure"],
            ["localhost", "80", "--timeout", "0"],
            ["localhost", "80", "--listen", "12000"],
            ["localhost", "80", "--tls", "--ca", str(tmp_path / "no.pem")],
        ):
            assert talk(*arguments).exit_code == ExitCode.USAGE, arguments

    def test_3_name_unknown(self) -> None:
        result = talk("x" * 64 + ".example", 80)
        assert result.exit_code == ExitCode.NAME_UNKNOWN
        assert "Check its spelling" in result.stderr
        assert talk("x" * 64 + ".example", 80, "--udp").exit_code == ExitCode.NAME_UNKNOWN

    def test_4_refused(self) -> None:
        result = talk("127.0.0.1", free_port())
        assert result.exit_code == ExitCode.REFUSED
        assert "Check the port, and that the server is running" in result.stderr

    def test_5_timed_out_while_the_name_is_looked_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        is_over = threading.Event()

        def slow(host: str, port: int) -> list[Address]:
            is_over.wait(PATIENCE)
            return []

        monkeypatch.setattr("netlodge.cli.talk.look_up", slow)
        result = talk("slow.example", 80, "--timeout", 0.1)
        udp = talk("slow.example", 80, "--udp", "--timeout", 0.1)
        is_over.set()
        assert result.exit_code == udp.exit_code == ExitCode.TIMED_OUT
        assert "did not answer in time" in result.stderr

    def test_5_timed_out_when_nothing_was_said(self) -> None:
        is_over = threading.Event()
        with peer(lambda connection: wait_for(is_over)) as port:
            result = talk("127.0.0.1", port, "--timeout", 0.1, typed=b"hello\n")
            is_over.set()
        assert result.exit_code == ExitCode.TIMED_OUT
        assert "said nothing for 0.1 s" in result.stderr
        assert "--crlf" in result.stderr

    def test_5_timed_out_when_nothing_is_taken(self) -> None:
        is_over = threading.Event()
        with peer(lambda connection: wait_for(is_over)) as port:
            result = talk("127.0.0.1", port, "--timeout", 0.2, typed=b"x" * 20_000_000)
            is_over.set()
        assert result.exit_code == ExitCode.TIMED_OUT
        assert "takes no more data" in result.stderr

    def test_6_unreachable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def no_route(address: Address, local: str | None) -> socket.socket:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")

        monkeypatch.setattr(dialling, "_connect", no_route)
        result = talk("192.0.2.1", 80)
        assert result.exit_code == ExitCode.UNREACHABLE
        assert "Network is unreachable" in result.stderr

    def test_7_tls_failed(self) -> None:
        with peer(lambda connection: connection.sendall(b"220 plain text here\r\n")) as port:
            result = talk("127.0.0.1", port, "--tls")
        assert result.exit_code == ExitCode.TLS_FAILED
        assert "what it speaks is not TLS" in result.stderr

    def test_8_connection_lost(self) -> None:
        def reset(connection: socket.socket) -> None:
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        with peer(reset) as port:
            result = talk("127.0.0.1", port, typed=b"hello\n")
        assert result.exit_code == ExitCode.CONNECTION_LOST
        assert "was lost (Connection reset by peer)" in result.stderr

    def test_10_cannot_listen(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            result = talk("--listen", port)
        assert result.exit_code == ExitCode.CANNOT_LISTEN
        assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
        assert "Choose another port" in result.stderr

    def test_1_output_cannot_be_written(self) -> None:
        with peer(shout) as port, Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [*PROGRAM, "127.0.0.1", str(port)],
                input=b"hello\n", stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE, check=False,
            )  # fmt: skip
        assert done.returncode == ExitCode.OUTPUT_FAILED
        assert done.stderr.startswith(b"netlodge talk: cannot write to standard output (No space left on device).")
        assert done.stderr.count(b"\n") == 1

    def test_1_output_of_a_listener_cannot_be_written(self) -> None:
        with (
            Path("/dev/full").open("wb") as full,
            subprocess.Popen([*PROGRAM, "--listen", "0"], stdout=full, stderr=subprocess.PIPE) as process,
        ):
            watchdog = threading.Timer(PATIENCE, process.kill)
            watchdog.start()
            assert process.stderr is not None
            port = int(re.findall(rb":([0-9]+) ", process.stderr.readline())[0])
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(b"hello\n")
                assert b"cannot write to standard output" in process.stderr.readline()
            assert process.wait(PATIENCE) == 1
            watchdog.cancel()

    def test_0_when_the_reader_of_the_output_has_seen_enough(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        with peer(shout) as port, os.fdopen(writer, "wb") as pipe:
            done = subprocess.run(
                [*PROGRAM, "127.0.0.1", str(port)],
                input=b"hello\n", stdout=pipe, stderr=subprocess.PIPE, timeout=PATIENCE, check=False,
            )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")

    def test_every_code_is_in_the_help(self) -> None:
        help_text = talk("--help").stdout
        for code in ExitCode:
            assert re.search(rf"\b{code.value}  \w", help_text), code


class TestOverUdp:
    def test_each_line_is_a_datagram_and_each_answer_a_line(self) -> None:
        seen: list[bytes] = []

        def answer(sock: socket.socket) -> None:
            for reply in (b"first\n", b"second", b""):
                data, sender = sock.recvfrom(100)
                seen.append(data)
                sock.sendto(reply, sender)

        with peer(answer, socket.SOCK_DGRAM) as port:
            result = talk("--udp", "localhost", port, typed=b"one\r\ntwo\n\n")
        assert seen == [b"one", b"two", b""]
        assert (result.exit_code, result.stdout, result.stderr) == (0, "first\nsecond\n\n", "")

    def test_lines_end_in_crlf_if_asked_for(self) -> None:
        with peer(shout_datagrams, socket.SOCK_DGRAM) as port:
            result = talk("--udp", "--crlf", "127.0.0.1", port, typed=b"one\ntwo")
            talk("--udp", "127.0.0.1", port, "--timeout", 0.01, typed=b"quit")
        assert result.stdout_bytes == b"ONE\r\nTWO\r\n"

    def test_9_no_answer(self) -> None:
        def answer_the_second(sock: socket.socket) -> None:
            sock.recvfrom(100)
            data, sender = sock.recvfrom(100)
            sock.sendto(data.upper(), sender)

        with peer(answer_the_second, socket.SOCK_DGRAM) as port:
            result = talk("--udp", "127.0.0.1", port, "--timeout", 0.2, typed=b"one\ntwo\n")
        assert result.exit_code == ExitCode.NO_ANSWER
        assert result.stdout == "TWO\n"
        assert result.stderr.count("no answer from 127.0.0.1") == 1

    def test_4_refused(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        result = talk("--udp", "localhost", port, typed=b"one\n")
        assert result.exit_code == ExitCode.REFUSED
        assert f"localhost refuses port {port}" in result.stderr

    def test_a_server_that_starts_later_is_found(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        with running("--udp", "127.0.0.1", str(port)) as program:
            program.type(b"too early\n")
            assert b"refuses port" in program.error_line()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(PATIENCE)
                sock.bind(("127.0.0.1", port))
                program.type(b"in time\n")
                data, sender = sock.recvfrom(100)
                sock.sendto(data.upper(), sender)
                assert program.line() == b"IN TIME\n"
            assert program.end_input() == ExitCode.REFUSED


class Program:
    """The command as a program of its own, its output and error read line by line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._input, self._output, self._errors = process.stdin, process.stdout, process.stderr

    def type(self, data: bytes) -> None:
        self._input.write(data)
        self._input.flush()

    def line(self) -> bytes:
        return self._output.readline()

    def error_line(self) -> bytes:
        return self._errors.readline()

    def end_input(self) -> int:
        self._input.close()
        return self._process.wait(PATIENCE)

    def interrupt(self) -> int:
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(PATIENCE)


@contextmanager
def running(*arguments: str) -> Iterator[Program]:
    with subprocess.Popen(
        [*PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            yield Program(process)
        finally:
            watchdog.cancel()
            if process.poll() is None:
                process.kill()


def listening_port(program: Program) -> int:
    found = re.fullmatch(rb"Listening on 127\.0\.0\.1:(\d+) \((TCP|UDP)\)\. Ctrl-C ends\.\n", program.error_line())
    assert found
    return int(found[1])


class TestListening:
    def test_sentences_are_printed_with_who_sent_them(self) -> None:
        with running("--listen", "0") as program:
            port = listening_port(program)
            with socket.create_connection(("127.0.0.1", port)) as client:
                me = b"127.0.0.1:%d " % client.getsockname()[1]
                client.sendall(b"one\ntw")
                assert program.line() == me + b"one\n"
                client.sendall(b"o\r\nwith \x1b[31m and \xff\n")
                assert program.line() == me + b"two\n"
                assert program.line() == me + b"with \\x1b[31m and \\xff\n"
                client.sendall("ohne Zeilenende ü".encode())
                assert program.line() == me + "ohne Zeilenende ü\n".encode()
                client.sendall(b"x" * 70000 + b"\n")
                assert program.line() == me + b"(a sentence of more than 65536 octets)\n"
                client.sendall(b"the last")
            assert program.line() == me + b"the last\n"
            assert program.interrupt() == ExitCode.OK

    def test_datagrams_are_printed_with_who_sent_them(self) -> None:
        with running("--udp", "--listen", "0") as program:
            port = listening_port(program)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.connect(("127.0.0.1", port))
                me = b"127.0.0.1:%d " % client.getsockname()[1]
                client.send(b"one\n")
                assert program.line() == me + b"one\n"
                client.send(b"two\nlines\x07")
                assert program.line() == me + b"two\\nlines\\x07\n"
            assert program.interrupt() == ExitCode.OK

    def test_it_listens_on_loopback_unless_told_otherwise(self) -> None:
        assert [option.default for option in command.params if option.name == "listen_host"] == ["127.0.0.1"]


class Terminal:
    """The command on a pseudo-terminal: what is typed, and what the person sees."""

    def __init__(self, *arguments: str) -> None:
        self._screen, inner = pty.openpty()
        self._process = subprocess.Popen(
            [*PROGRAM, *arguments], stdin=inner, stdout=inner, stderr=inner, start_new_session=True
        )
        os.close(inner)
        self._watchdog = threading.Timer(PATIENCE, self._process.kill)
        self._watchdog.start()
        self.seen = b""

    def type(self, keys: bytes) -> None:
        os.write(self._screen, keys)

    def see(self, expected: bytes) -> None:
        """Wait until `expected` stands on the screen behind all that was waited for before."""
        start = self.seen.find(expected)
        while start < 0:
            try:
                more = os.read(self._screen, 65536)
            except OSError:  # the program has ended
                more = b""
            assert more, f"{expected!r} not seen in {self.seen!r}"
            self.seen += more
            start = self.seen.find(expected)
        self.seen = self.seen[start + len(expected) :]

    def end(self) -> int:
        """Wait for the program; all that it still showed is in `seen`."""
        with suppress(OSError):
            while more := os.read(self._screen, 65536):
                self.seen += more
        code = self._process.wait(PATIENCE)
        self._watchdog.cancel()
        os.close(self._screen)
        return code

    def interrupt(self) -> int:
        self._process.send_signal(signal.SIGINT)
        return self.end()


class TestOnATerminal:
    def test_shows_what_goes_out_and_what_comes_in(self) -> None:
        def converse(connection: socket.socket) -> None:
            while data := connection.recv(100):
                connection.sendall(data.upper())

        with peer(converse) as port:
            terminal = Terminal("127.0.0.1", str(port))
            terminal.see(b"Connected to 127.0.0.1:%d. Ctrl-D ends the talk, Ctrl-C breaks it off.\r\n> " % port)
            terminal.type(b"hello\n")
            terminal.see(b"hello\r\n> \r< HELLO\r\n> ")
            terminal.type(b"again\n")
            terminal.see(b"< AGAIN\r\n> ")
            terminal.type(b"\x04")
            assert terminal.end() == ExitCode.OK
            assert terminal.seen.endswith(b"\r\n")

    def test_a_peer_cannot_write_control_characters_to_it(self) -> None:
        def attack(connection: socket.socket) -> None:
            connection.sendall(b"\x1b]0;title\x07 \xc2\x9b2J \r\x08 \xff \xe2\x80\xaeevil\r\nend\r\n")
            connection.recv(1)

        with peer(attack) as port:
            terminal = Terminal("127.0.0.1", str(port))
            terminal.see(b"< \\x1b]0;title\\x07 \\x9b2J \\r\\x08 \\xff \\u202eevil\r\n< end\r\n> ")
            terminal.type(b"\x04")
            assert terminal.end() == ExitCode.OK
            assert b"\x1b" not in terminal.seen

    def test_the_peer_ends_while_somebody_could_type(self) -> None:
        with peer(lambda connection: connection.sendall(b"bye\n")) as port:
            terminal = Terminal("127.0.0.1", str(port))
            terminal.see(b"< bye\r\n")
            assert terminal.end() == ExitCode.OK

    def test_ctrl_c_breaks_it_off(self) -> None:
        def wait(connection: socket.socket) -> None:
            connection.recv(1)

        with peer(wait) as port:
            terminal = Terminal("127.0.0.1", str(port))
            terminal.see(b"> ")
            assert terminal.interrupt() == ExitCode.INTERRUPTED
            assert b"Traceback" not in terminal.seen
            assert terminal.seen.endswith(b"\r\n")

    def test_quiet_shows_only_what_comes_in(self) -> None:
        with peer(lambda connection: connection.sendall(connection.recv(100).upper())) as port:
            terminal = Terminal("127.0.0.1", str(port), "--quiet")
            terminal.type(b"hello\n")
            assert terminal.end() == ExitCode.OK
            assert terminal.seen == b"hello\r\nHELLO\r\n"

    def test_datagrams(self) -> None:
        with peer(shout_datagrams, socket.SOCK_DGRAM) as port:
            terminal = Terminal("--udp", "127.0.0.1", str(port), "--timeout", "0.2")
            terminal.see(b"Each line goes to 127.0.0.1 port %d as a datagram. Ctrl-D ends the talk.\r\n> " % port)
            terminal.type(b"hello\n")
            terminal.see(b"\r< HELLO\r\n> ")
            terminal.type(b"quit\n")
            terminal.see(b"\rnetlodge talk: no answer from 127.0.0.1 port %d within 0.2 s." % port)
            terminal.see(b"> ")
            terminal.type(b"\x04")
            assert terminal.end() == ExitCode.NO_ANSWER


def screen(
    *, is_interactive: bool = False, is_quiet: bool = False, charset: str = "utf-8"
) -> tuple[Screen, io.BytesIO]:
    output = io.BytesIO()
    return (
        Screen(output, is_terminal=True, is_interactive=is_interactive, is_quiet=is_quiet, charset=charset),
        output,
    )


class TestScreen:
    def test_marks_each_line_once_however_it_is_cut(self) -> None:
        shown, output = screen()
        for octet in "zwölf\r\n\nab\r".encode():
            shown.received(bytes([octet]))
        shown.received(b"c")
        shown.end_line()
        assert output.getvalue().decode() == "< zwölf\n< \n< ab\\rc\n"

    def test_shows_what_went_out_of_a_pipe(self) -> None:
        shown, output = screen()
        shown.sent(b"one\r\ntwo\x1b")
        shown.received(b"pass")
        shown.sent(b"three\n")
        assert output.getvalue() == b"> one\n> two\\x1b\n< pass\n> three\n"

    def test_leaves_a_question_of_the_peer_open_for_the_answer(self) -> None:
        shown, output = screen(is_interactive=True)
        shown.notice("")
        shown.received(b"Password: ")
        shown.sent(b"secret\n")
        assert output.getvalue() == b"> \r< Password: > "

    def test_trouble_begins_a_line_and_the_prompt_comes_back(self, capsys: pytest.CaptureFixture[str]) -> None:
        shown, output = screen(is_interactive=True)
        shown.notice("hello")
        shown.received(b"part")
        shown.trouble(NoAnswerError("none"))
        assert output.getvalue() == b"> \r< part\n> "
        assert capsys.readouterr().err == "hello\nnetlodge talk: none.\n"

    def test_what_the_terminal_cannot_show_is_escaped(self) -> None:
        shown, output = screen(charset="ascii")
        shown.received("ü\n".encode())
        assert output.getvalue() == b"< \\xfc\n"

    def test_a_sentence_is_one_line(self) -> None:
        shown, output = screen()
        shown.sentence(Peer("::1", 9), "two\nlines")
        assert output.getvalue() == b"[::1]:9 two\\nlines\n"

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("plain ü 日", "plain ü 日"),
            ("tab\tnewline\n", "tab\tnewline\n"),
            ("\x00\x7f\x85\u2028", "\\x00\\x7f\\x85\\u2028"),
        ],
    )
    def test_escapes_what_does_not_print(self, text: str, shown: str) -> None:
        assert escape(text) == shown


class TestOwnThread:
    def test_raises_what_the_function_raised(self) -> None:
        def fail() -> None:
            raise OSError(errno.EIO, "the terminal is gone")

        with pytest.raises(OSError, match="the terminal is gone"):
            asyncio.run(in_own_thread(fail))

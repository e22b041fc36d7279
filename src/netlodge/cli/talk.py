"""`netlodge talk`: an interactive telnet for text protocols, for a terminal and for a pipe; and with `--listen` its other end.

What a peer sends never reaches a terminal as control characters. When the output is no terminal it is the peer's octets as they are.
"""

from __future__ import annotations

import asyncio
import codecs
import io
import os
import re
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final, TypeVar, cast

import click

from netlodge.core.contracts import Peer
from netlodge.core.errors import NetlodgeError
from netlodge.lines.client import (
    CannotListenError,
    ConnectionLostError,
    DisplayError,
    NoAnswerError,
    SilenceError,
    Target,
    listen,
    talk_datagrams,
    talk_stream,
)
from netlodge.net.dial import Address, DialError, DialFailure, look_up

T = TypeVar("T")


READ_SIZE: Final = 65536


class ExitCode(IntEnum):
    """Why the command ended."""

    OK = 0
    OUTPUT_FAILED = 1
    USAGE = 2
    NAME_UNKNOWN = 3
    REFUSED = 4
    TIMED_OUT = 5
    UNREACHABLE = 6
    TLS_FAILED = 7
    CONNECTION_LOST = 8
    NO_ANSWER = 9
    CANNOT_LISTEN = 10
    INTERRUPTED = 130


_OF_FAILURE: Final[Mapping[DialFailure, ExitCode]] = MappingProxyType(
    {failure: ExitCode[failure.name] for failure in DialFailure}
)
_OF_ERROR: Final[Mapping[type[NetlodgeError], ExitCode]] = MappingProxyType(
    {
        SilenceError: ExitCode.TIMED_OUT,
        ConnectionLostError: ExitCode.CONNECTION_LOST,
        DisplayError: ExitCode.OUTPUT_FAILED,
        NoAnswerError: ExitCode.NO_ANSWER,
        CannotListenError: ExitCode.CANNOT_LISTEN,
    }
)


def exit_code_of(error: NetlodgeError) -> ExitCode:
    """The exit code that tells a script what `error` tells a reader."""
    return _OF_FAILURE[error.failure] if isinstance(error, DialError) else _OF_ERROR[type(error)]


def escape(text: str) -> str:
    """`text` with every character that does not print as an escape (`\\x1b`), except tab and newline: harmless on any terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\t\n" else char.encode("unicode_escape").decode() for char in text
    )


class Screen:
    """Shows a talk: what comes in goes to standard output, all else to standard error. Implements `lines.client.Display`.

    `is_interactive`: somebody types on this terminal, so that what goes out is seen already, behind the prompt.
    """

    def __init__(
        self, output: BinaryIO, *, is_terminal: bool, is_interactive: bool, is_quiet: bool, charset: str
    ) -> None:
        self._output = output
        self._is_terminal = is_terminal
        self._is_quiet = is_quiet
        self._prompts = is_terminal and is_interactive and not is_quiet
        self._is_interactive = is_interactive
        self._charset = charset
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._held = ""  # a CR that may be the first half of a line ending
        self._is_at_prompt = False
        self._is_in_line = False
        self._is_broken = False

    def received(self, data: bytes) -> None:
        if not self._is_terminal:
            self._write(data)
            return
        text = self._held + self._decoder.decode(data)
        self._held = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r").replace("\r\n", "\n")
        for line in re.findall(r"[^\n]*\n|[^\n]+", text):
            self._begin_line("< ")
            self._show(escape(line))
            self._is_in_line = not line.endswith("\n")
        self._prompt()

    def sent(self, data: bytes) -> None:
        if self._is_interactive:
            self._is_at_prompt = self._is_in_line = False  # the terminal has echoed the newline
            self._prompt()
        elif self._is_terminal and not self._is_quiet:
            for line in data.decode(errors="backslashreplace").removesuffix("\n").split("\n"):
                self.end_line()
                self._show(f"> {escape(line.removesuffix(chr(13)))}\n")

    def notice(self, text: str) -> None:
        if not self._is_quiet:
            self._say(text)
        self._prompt()

    def trouble(self, error: NetlodgeError) -> None:
        self.failure(error)
        self._prompt()

    def failure(self, error: NetlodgeError) -> None:
        """Show what ended the talk."""
        self._say(f"netlodge talk: {error}.")

    def sentence(self, peer: Peer, text: str) -> None:
        """Show a sentence that `peer` sent to a listener, on one line."""
        self._show(f"{peer} {escape(text).replace(chr(10), chr(92) + 'n')}\n")

    def end_line(self) -> None:
        """Whatever is shown next begins a line."""
        if self._is_at_prompt or self._is_in_line:
            self._show("\n")
        self._is_at_prompt = self._is_in_line = False

    def _say(self, text: str) -> None:
        if self._is_at_prompt:
            self._show("\r")
            self._is_at_prompt = False
        self.end_line()
        with suppress(OSError):  # if standard error fails nobody can be told, and the talk goes on
            click.echo(escape(text), err=True)

    def _begin_line(self, mark: str) -> None:
        if self._is_at_prompt:
            self._show("\r")  # the mark takes the prompt's place
            self._is_at_prompt = False
        if not self._is_in_line and not self._is_quiet:
            self._show(mark)

    def _prompt(self) -> None:
        if self._prompts and not self._is_at_prompt and not self._is_in_line:
            self._show("> ")
            self._is_at_prompt = True

    def _show(self, text: str) -> None:
        self._write(text.encode(self._charset, "backslashreplace"))

    def _write(self, data: bytes) -> None:
        """Write to standard output. Raises `DisplayError` the first time that fails; from then on there is no output."""
        if self._is_broken:
            return
        try:
            self._output.write(data)
            self._output.flush()
        except OSError as error:
            self._is_broken = True
            raise DisplayError(
                f"cannot write to standard output ({error.strerror or error}). What came in since is lost; "
                "see that there is room where it goes, and begin again"
            ) from error


async def in_own_thread(function: Callable[[], T]) -> T:
    """What `function`, which may block for ever, returns or raises. The end of the program does not wait for its thread."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: Exception | None) -> None:
        if result.done():
            return  # nobody waits any more
        if error is None:
            result.set_result(cast("T", value))
        else:
            result.set_exception(error)

    def run() -> None:
        value, failure = None, None
        try:
            value = function()
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, daemon=True).start()
    return await result


async def resolve(host: str, port: int) -> Sequence[Address]:
    """Implements `net.dial.Resolve`: a timeout of two seconds ends the command after two, whatever the system's resolver does."""
    return await in_own_thread(lambda: look_up(host, port))


async def read_input(read: Callable[[], bytes]) -> AsyncIterator[bytes]:
    """What `read` returns, until it returns nothing. Reading a terminal blocks until somebody types."""
    while data := await in_own_thread(read):
        yield data


async def end_lines_in_crlf(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same octets with every line ending in CRLF; an ending that is CRLF already stays so, also when cut in two."""
    before = b""
    async for data in source:
        yield re.sub(rb"(?<!\r)\n", b"\r\n", before + data)[len(before) :]
        before = b"\r" if data.endswith(b"\r") else b""


def standard_input() -> Callable[[], bytes]:
    """How to read standard input, as much as is there."""
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError):  # closed, or replaced by something in memory
        stream = sys.stdin.buffer if sys.stdin is not None else io.BytesIO()
        return lambda: stream.read(READ_SIZE)
    # Not through the buffered stream: its lock, held by a thread that waits for a key, would not let the interpreter end.
    return lambda: os.read(descriptor, READ_SIZE)


def tls_context(*, is_insecure: bool, ca: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or later. Checks the peer's certificate against the system's authorities, or `ca`; not at all if `is_insecure`."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise click.BadParameter(f"{ca} holds no certificates in PEM ({error})", param_hint="--ca") from error
    if is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def run(screen: Screen, talk: Coroutine[Any, Any, NetlodgeError | None], *, interrupted: ExitCode) -> ExitCode:
    """Run the talk to its end, and say how it ended. `interrupted` is what Ctrl-C means for it."""
    try:
        failure = asyncio.run(talk)
    except DisplayError as error:
        _give_up_output()
        if isinstance(error.__cause__, BrokenPipeError):
            return ExitCode.OK  # `| head` has seen enough
        screen.failure(error)
        return exit_code_of(error)
    except NetlodgeError as error:
        screen.failure(error)
        return exit_code_of(error)
    except KeyboardInterrupt:
        return interrupted
    finally:
        screen.end_line()
    return ExitCode.OK if failure is None else exit_code_of(failure)


def _give_up_output() -> None:
    """Nothing is left that the end of the program would try, once more in vain, to write to standard output."""
    with suppress(OSError):  # no descriptor: it is replaced by something in memory
        descriptor = sys.stdout.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, descriptor)
        os.close(null)


@click.command("talk")
@click.argument("host", required=False)
@click.argument("port", required=False, type=click.IntRange(1, 65535))
@click.option("--udp", "is_udp", is_flag=True, help="Send each line as a datagram and wait for its answer.")
@click.option("--tls", "is_tls", is_flag=True, help="Protect the connection with TLS and check the certificate.")
@click.option("--insecure", "is_insecure", is_flag=True, help="With --tls: accept any certificate.")
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --tls: trust the CA in this PEM file.",
)
@click.option("--crlf", "is_crlf", is_flag=True, help="End lines in CRLF, as HTTP, SMTP, POP3 and IMAP want it.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a connection, and then for an answer.",
)
@click.option("--quiet", "is_quiet", is_flag=True, help="Show only what comes in, and errors.")
@click.option(
    "--listen",
    "listen_port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Print the sentences that arrive at PORT.",
)
@click.option(
    "--host", "listen_host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="With --listen: where."
)
@click.pass_context
def command(
    ctx: click.Context,
    host: str | None,
    port: int | None,
    is_udp: bool,
    is_tls: bool,
    is_insecure: bool,
    ca: Path | None,
    is_crlf: bool,
    timeout: float,
    is_quiet: bool,
    listen_port: int | None,
    listen_host: str,
) -> None:
    """Talk with a text protocol at HOST and PORT, line by line.

    On a terminal, lines that go out are marked "> " and lines that come in "< "; Ctrl-D ends your side. From a pipe, all of it is
    sent, your side is ended (TLS cannot do that), and what comes is printed until the peer ends too or is silent for the timeout.

    \b
      netlodge talk localhost 12000
      printf 'GET / HTTP/1.0\\n\\n' | netlodge talk --crlf localhost 8080
      echo hello | netlodge talk --udp localhost 12000
      netlodge talk --listen 12001

    \b
    Exit codes:
      0  all went well             6  no way to the host
      1  output cannot be written  7  TLS failed
      2  wrong usage               8  connection lost
      3  name unknown              9  no answer to a datagram
      4  refused                  10  cannot listen
      5  timed out               130  broken off with Ctrl-C

    When the output goes to a program that has seen enough, as in `| head`, the talk ends with 0.
    """
    is_listener = listen_port is not None
    if is_listener and host is not None:
        raise click.UsageError("--listen PORT takes no HOST and PORT; where to listen is said with --host")
    if is_udp and is_tls:
        raise click.UsageError("--udp and --tls do not go together: TLS needs a stream")
    if (is_insecure or ca) and not is_tls:
        raise click.UsageError("--insecure and --ca say how to check a certificate, and there is none without --tls")
    is_interactive = not is_listener and sys.stdin is not None and sys.stdin.isatty()
    screen = Screen(
        sys.stdout.buffer,
        is_terminal=sys.stdout.isatty(),
        is_interactive=is_interactive,
        is_quiet=is_quiet,
        charset=sys.stdout.encoding,
    )
    if listen_port is not None:
        listening = listen(listen_host.strip("[]"), listen_port, screen.sentence, screen, is_udp=is_udp)
        ctx.exit(run(screen, listening, interrupted=ExitCode.OK))
    if host is None or port is None:
        raise click.UsageError("say whom to talk to: netlodge talk HOST PORT (or: netlodge talk --listen PORT)")
    tls = tls_context(is_insecure=is_insecure, ca=ca) if is_tls else None
    target = Target(host.strip("[]"), port, timeout, tls=tls, resolve=resolve)
    source = read_input(standard_input())
    talk: Coroutine[Any, Any, NetlodgeError | None]
    if is_udp:
        talk = talk_datagrams(target, source, screen, ending=b"\r\n" if is_crlf else b"", is_interactive=is_interactive)
    else:
        talk = talk_stream(
            target, end_lines_in_crlf(source) if is_crlf else source, screen, is_interactive=is_interactive
        )
    ctx.exit(run(screen, talk, interrupted=ExitCode.INTERRUPTED))

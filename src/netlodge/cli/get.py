"""`netlodge get`: fetch a URL over HTTP, as a person or a script does. Options are named as curl's where they mean the same.

The client is `http.client`; here its answers become files, lines and exit codes.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import click

from netlodge.cli.get_report import report_of, report_of_failure
from netlodge.cli.get_request import Asked, header_of, request_of
from netlodge.cli.get_screen import BinaryError, Heads, Output, OutputError, Progress, copy
from netlodge.cli.talk import escape, resolve
from netlodge.core.errors import NetlodgeError
from netlodge.http.client.client import Client, Ways
from netlodge.http.client.connecting import Connector
from netlodge.http.client.direct import Direct
from netlodge.http.client.download import Download, FileError
from netlodge.http.client.errors import (
    ClientError,
    ClosedError,
    ContentError,
    DecodingError,
    JarError,
    ProtocolError,
    ProxyError,
    RedirectError,
    RequestError,
    SlowError,
    TruncatedError,
    UploadError,
)
from netlodge.http.client.exchanges import ClientRequest, ClientResponse
from netlodge.http.client.h1 import Times
from netlodge.http.client.jar import Jar
from netlodge.http.client.jar_file import load_jar, save_jar
from netlodge.http.client.origin import Proxy, parse_proxy
from netlodge.http.client.pool import Pool
from netlodge.http.rules.uri import UriError, WebUri, parse_web_uri
from netlodge.net.dial import DialError, DialFailure
from netlodge.net.tls_client import TrustError, client_context

JSON_BODY: Final = 1 << 20
"""Octets of the largest body that `--json` shows."""


class ExitCode(IntEnum):
    """Why the command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NAME = 5
    CONNECT = 6
    TIME = 7
    TLS = 8
    PROTOCOL = 9
    REDIRECT = 10
    PROXY = 11
    DECODING = 12
    STATUS = 22
    INTERRUPTED = 130


_OF_DIAL: Final = {
    DialFailure.NAME_UNKNOWN: ExitCode.NAME,
    DialFailure.REFUSED: ExitCode.CONNECT,
    DialFailure.UNREACHABLE: ExitCode.CONNECT,
    DialFailure.TIMED_OUT: ExitCode.TIME,
    DialFailure.TLS_FAILED: ExitCode.TLS,
}
_OF_ERROR: Final[tuple[tuple[type[NetlodgeError], ExitCode], ...]] = (
    (SlowError, ExitCode.TIME),
    (ClosedError, ExitCode.PROTOCOL),
    (TruncatedError, ExitCode.PROTOCOL),
    (ProtocolError, ExitCode.PROTOCOL),
    (RedirectError, ExitCode.REDIRECT),
    (ProxyError, ExitCode.PROXY),
    (DecodingError, ExitCode.DECODING),
    (UploadError, ExitCode.FAILED),
    (ContentError, ExitCode.USAGE),
    (RequestError, ExitCode.USAGE),
    (UriError, ExitCode.USAGE),
    (TrustError, ExitCode.USAGE),
    (FileError, ExitCode.FAILED),
    (JarError, ExitCode.FAILED),
    (OutputError, ExitCode.FAILED),
    (BinaryError, ExitCode.FAILED),
)


def exit_code_of(error: NetlodgeError) -> ExitCode:
    """The exit code that tells a script what `error` tells a reader."""
    if isinstance(error, DialError):
        return _OF_DIAL[error.failure]
    return next((code for kind, code in _OF_ERROR if isinstance(error, kind)), ExitCode.FAILED)


@dataclass(frozen=True, slots=True)
class Options:
    """How to fetch, and where to put it."""

    output: Path | None
    is_verbose: bool
    shows_credentials: bool
    is_head: bool
    follows: bool
    redirects: int
    is_continuing: bool
    is_private: bool
    cookies: Path | None
    proxy: Proxy | None
    context: Callable[[], ssl.SSLContext]
    is_json: bool
    times: Times
    is_failing: bool
    is_decoding: bool
    is_silent: bool


class Errand:
    """One call of the command."""

    def __init__(self, options: Options) -> None:
        self._options = options
        terminal = sys.stderr
        shows_progress = (
            terminal is not None and terminal.isatty() and options.output is not None and not options.is_silent
        )
        self._progress = Progress(terminal) if shows_progress else None

    async def run(self, request: ClientRequest) -> ExitCode:
        """Fetch. Raises `NetlodgeError`."""
        options = self._options
        if options.is_verbose:
            request.watch = Heads(self.say, shows_credentials=options.shows_credentials)
        jar = Jar() if options.cookies is None else load_jar(options.cookies)
        async with self._client(jar) as client:
            try:
                return await self._fetch(client, request)
            finally:
                if options.cookies is not None:
                    save_jar(jar, options.cookies)

    @asynccontextmanager
    async def _client(self, jar: Jar) -> AsyncIterator[Client]:
        options = self._options
        pool = Pool(Connector(context=options.context, resolve=resolve))
        try:
            ways = Ways(redirects=options.redirects if options.follows else 0, is_decoding=options.is_decoding)
            yield Client(Direct(pool, find_proxy=lambda _: options.proxy), ways=ways, cookies=jar)
        finally:
            await pool.close()

    async def _fetch(self, client: Client, request: ClientRequest) -> ExitCode:
        options = self._options
        download = None if options.output is None else Download(options.output, keeps_state=not options.is_private)
        offset, validator = 0, ""
        if options.is_continuing and download is not None:
            offset, validator = download.resumption(str(request.uri))
            if offset:
                request.fields.set("range", f"bytes={offset}-")
                request.fields.set("if-range", validator)
            else:
                self.say("* there is no part that can be gone on from: beginning anew")
        response = await client.send(request)
        if offset and response.status == 416:
            assert download is not None  # noqa: S101 - there is an offset
            if download.is_whole(response, offset):
                await response.give_up()
                self.say("* all of it was there already")
                return ExitCode.OK
            await response.give_up()
            request.fields.remove("range")
            request.fields.remove("if-range")
            offset, validator = 0, ""
            response = await client.send(request)
        try:
            is_bad = options.is_failing and response.status >= 400
            if options.is_json:
                await self._report(response, download, offset, validator)
            elif is_bad:
                await response.give_up()
            elif options.is_head:
                await response.give_up()
                self._output().write(_head_of(response))
            elif download is not None:
                await self._save(response, download, offset, validator)
            else:
                await copy(response, self._output().write)
        finally:
            response.close()
        if is_bad:
            self.say(f"netlodge get: {response.request.uri} answers {response.status} {response.reason}.")
            return ExitCode.STATUS
        return ExitCode.OK

    async def _save(self, response: ClientResponse, download: Download, offset: int, validator: str) -> int:
        progress = self._progress
        if progress is not None:
            length = response.exchange.length if response.exchange is not None else None
            is_whole = response.status != 206
            offset_shown = 0 if is_whole else offset
            is_coded = self._options.is_decoding and "content-encoding" in response.fields
            progress.begin(offset_shown, None if length is None or is_coded else offset_shown + length)
            response.on_piece = progress.add
        try:
            return await download.take(response, offset=offset, validator=validator, now=int(time.time()))
        finally:
            if progress is not None:
                progress.end()

    async def _report(self, response: ClientResponse, download: Download | None, offset: int, validator: str) -> None:
        body: bytes | None = None
        if download is not None:
            size = await self._save(response, download, offset, validator)
        else:
            pieces: list[bytes] = []
            size = 0
            async for piece in response:
                size += len(piece)
                if size <= JSON_BODY:
                    pieces.append(piece)
            body = b"".join(pieces) if size <= JSON_BODY else None
        report = report_of(
            response,
            size=size,
            body=body,
            file=None if download is None else download.path,
            shows_credentials=self._options.shows_credentials,
        )
        self._output().write(report)

    @staticmethod
    def _output() -> Output:
        return Output(sys.stdout.buffer, is_terminal=sys.stdout.isatty(), charset=sys.stdout.encoding)

    def say(self, text: str) -> None:
        """A line on standard error."""
        if self._progress is not None:
            self._progress.clear()
        with suppress(OSError):  # if standard error fails nobody can be told
            click.echo(escape(text), err=True)


def _head_of(response: ClientResponse) -> bytes:
    raw = response.exchange.raw_head if response.exchange is not None else b""
    return raw.replace(b"\r\n", b"\n").removesuffix(b"\n")


def run(errand: Errand, work: Coroutine[Any, Any, ExitCode], *, is_json: bool) -> ExitCode:
    """Do the errand, and say how it ended."""
    try:
        return asyncio.run(work)
    except OutputError as error:
        _give_up_output()
        if isinstance(error.__cause__, BrokenPipeError):
            return ExitCode.OK  # `| head` has seen enough
        failure: NetlodgeError = error
    except NetlodgeError as error:
        failure = error
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    code = exit_code_of(failure)
    if is_json and code is not ExitCode.USAGE and not isinstance(failure, OutputError):
        click.echo(report_of_failure(failure, code.name.lower()), nl=False)
    errand.say(f"netlodge get: {str(failure).removesuffix('.')}.")
    return code


def _give_up_output() -> None:
    """Nothing is left that the end of the program would try, once more in vain, to write to standard output."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def file_name_of(uri: WebUri) -> Path:
    """What `-O` calls the file: the last segment of the path. Raises `click.UsageError` if that is no name of a file."""
    name = unquote(uri.path.rpartition("/")[2], errors="replace").replace("/", "_").replace("\0", "_")
    if name in {"", ".", ".."}:
        raise click.UsageError(f"{uri} ends with no name for a file; give one with -o FILE")
    return Path(name)


@click.command("get")
@click.argument("url")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the body to this file.")
@click.option("-O", "--remote-name", "is_named", is_flag=True, help="Write it to a file named like the end of the URL.")
@click.option("-v", "--verbose", "is_verbose", is_flag=True, help="Show both messages as they go over the wire.")
@click.option("--show-credentials", is_flag=True, help="With -v and --json: passwords, tokens and cookies, too.")
@click.option("-s", "--silent", "is_silent", is_flag=True, help="No progress.")
@click.option("-H", "--header", "headers", multiple=True, metavar="LINE", help="Send this field: 'Name: value'.")
@click.option("-X", "--request", "method", metavar="METHOD", help="Send this method.")
@click.option(
    "-d", "--data", "data", multiple=True, metavar="DATA", help="Send this as a form, by POST; @FILE: what is in it."
)
@click.option("--data-binary", multiple=True, metavar="DATA", help="The same; a file is sent as it is, of any size.")
@click.option("-F", "--form", "form", multiple=True, metavar="NAME=VALUE", help="A form with files: NAME=@FILE.")
@click.option("-T", "--upload-file", "upload", metavar="FILE", help="PUT this file; -: standard input.")
@click.option("-I", "--head", "is_head", is_flag=True, help="Ask for the head alone, and print it.")
@click.option("-L", "--location", "follows", is_flag=True, help="Go where redirects lead.")
@click.option(
    "--max-redirects", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="With -L: how many."
)
@click.option("-u", "--user", metavar="USER:PASSWORD", help="Say who you are, by the Basic scheme.")
@click.option("-r", "--range", "range_", metavar="RANGE", help="Ask for a part: 0-99, 500-, -200.")
@click.option(
    "-C", "--continue", "is_continuing", is_flag=True, help="Go on from where it broke off, if it is the same version."
)
@click.option(
    "--cookies", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Read cookies here, keep them."
)
@click.option("--private", "is_private", is_flag=True, help="Keep nothing but the body itself.")
@click.option("--compressed", "is_decoding", is_flag=True, help="Ask for gzip, br or zstd, and decode it.")
@click.option("-x", "--proxy", metavar="[USER:PASSWORD@]HOST:PORT", help="Go through this HTTP proxy.")
@click.option(
    "--cacert",
    "authorities",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust this authority (PEM), too.",
)
@click.option("-k", "--insecure", "is_insecure", is_flag=True, help="Accept any certificate. Anyone could be there.")
@click.option("--json", "is_json", is_flag=True, help="Print the exchange as one JSON object.")
@click.option("-f", "--fail", "is_failing", is_flag=True, help="Status 400 and above: no body, exit code 22.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="For all of it.")
@click.option(
    "--connect-timeout", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, metavar="SECONDS",
    help="For the connection.",
)  # fmt: skip
@click.option(
    "--idle-timeout", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True, metavar="SECONDS",
    help="For the head of the answer, and between its pieces.",
)  # fmt: skip
@click.option("--http1", is_flag=True, help="Speak HTTP/1.1 (as it is spoken anyway, for now).")
@click.pass_context
def command(
    ctx: click.Context,
    url: str,
    output: Path | None,
    is_named: bool,
    is_verbose: bool,
    show_credentials: bool,
    is_silent: bool,
    headers: Sequence[str],
    method: str | None,
    data: Sequence[str],
    data_binary: Sequence[str],
    form: Sequence[str],
    upload: str | None,
    is_head: bool,
    follows: bool,
    max_redirects: int,
    user: str | None,
    range_: str | None,
    is_continuing: bool,
    cookies: Path | None,
    is_private: bool,
    is_decoding: bool,
    proxy: str | None,
    authorities: Sequence[Path],
    is_insecure: bool,
    is_json: bool,
    is_failing: bool,
    timeout: float | None,
    connect_timeout: float,
    idle_timeout: float,
    http1: bool,
) -> None:
    """Fetch URL over HTTP or HTTPS: the body to standard output, or to a file with -o or -O.

    \b
      netlodge get http://localhost:8080/
      netlodge get -O https://localhost:8443/big.iso --cacert lodge/ca/root.pem
      netlodge get -C -O http://localhost:8080/big.iso      go on where it broke off
      netlodge get -v -d name=value http://localhost:8080/form

    A file appears under its name when it is complete; until then it is FILE.part.

    \b
    Exit codes:
      0  all went well                9  no proper answer, or not all of it
      1  output or input failed      10  redirects lead nowhere
      2  wrong usage                 11  the proxy refused
      5  name unknown                12  content cannot be decoded
      6  no connection               22  status >= 400, with --fail
      7  timed out                  130  broken off with Ctrl-C
      8  TLS failed
    """
    try:
        uri = parse_web_uri(url, default_scheme="http")
        by = parse_proxy(proxy) if proxy else None
        asked = Asked(
            method=method, headers=tuple(map(header_of, headers)), data=data, data_binary=data_binary, form=form, upload=upload,
            is_head=is_head, user=user, range_=range_,
        )  # fmt: skip
        times = Times(connect=connect_timeout, head=idle_timeout, body=idle_timeout, total=timeout)
        request = request_of(uri, asked, times)
    except (UriError, ContentError) as error:
        raise click.UsageError(str(error)) from error
    if is_named:
        if output is not None:
            raise click.UsageError("-o and -O both name the file; give one of them")
        output = file_name_of(uri)
    if is_continuing and output is None:
        raise click.UsageError("--continue goes on with a file; name it with -o or -O")
    if is_continuing and (range_ or is_decoding):
        raise click.UsageError("--continue asks for the rest as it is; it does not go with --range or --compressed")
    if is_private and (cookies is not None or is_continuing):
        raise click.UsageError("--private keeps nothing; it does not go with --cookies or --continue")

    def context() -> ssl.SSLContext:
        return client_context(authorities, is_verifying=not is_insecure)

    options = Options(
        output=output, is_verbose=is_verbose, shows_credentials=show_credentials, is_head=is_head, follows=follows,
        redirects=max_redirects, is_continuing=is_continuing, is_private=is_private, cookies=cookies, proxy=by,
        context=context, is_json=is_json, times=times, is_failing=is_failing, is_decoding=is_decoding, is_silent=is_silent,
    )  # fmt: skip
    errand = Errand(options)
    if is_insecure:
        errand.say(
            "netlodge get: WARNING: --insecure: no certificate is checked. Whoever is on the way can read and change all of this."
        )
    ctx.exit(run(errand, errand.run(request), is_json=is_json))


__all__ = ["ClientError", "ExitCode", "command", "exit_code_of"]

"""What a WSGI application is told of a request: its environ, with the request's content as a file that the application's thread reads.

PEP 3333 (environ, input stream, file wrapper), RFC 3875 §4.1 (the variables of CGI), RFC 9110 §5.3 (fields in several lines).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from netlodge.http.message import Request

Environ = dict[str, Any]

READ = 64 * 1024
_UNNAMED = frozenset({"content-length", "content-type"})
"""Fields with a variable of their own; `HTTP_CONTENT_LENGTH` would be a second one."""
_DROPPED = frozenset({"proxy"})
"""`HTTP_PROXY` is what many programs take for their own proxy (CVE-2016-5385), and no field that anyone needs."""


class Input:
    """Implements `wsgi.input`: reads the request's content in the thread of the application, no more than it asks for.

    `next_piece` waits for more and returns `b""` at the end; what it raises, an `OSError` when no more will come, passes through.
    """

    def __init__(self, next_piece: Callable[[], bytes], length: int | None) -> None:
        self._next_piece = next_piece
        self._buffer = bytearray()
        self._left = length
        self._is_over = length == 0

    def _fill(self) -> bool:
        """Take another piece; False at the end."""
        if self._is_over:
            return False
        piece = self._next_piece()
        if self._left is not None:
            self._left -= len(piece)
        self._is_over = not piece or self._left == 0
        self._buffer += piece
        return bool(piece)

    def _take(self, count: int) -> bytes:
        octets = bytes(self._buffer[:count])
        del self._buffer[:count]
        return octets

    def read(self, size: int | None = -1) -> bytes:
        """`size` octets, fewer only at the end; all that is left without a size."""
        if size is None or size < 0:
            while self._fill():
                pass
            return self._take(len(self._buffer))
        while len(self._buffer) < size and self._fill():
            pass
        return self._take(size)

    def read1(self, size: int | None = -1) -> bytes:
        """What is at hand, waiting only if nothing is: at most `size` octets."""
        if not self._buffer and size != 0:
            self._fill()
        return self._take(len(self._buffer) if size is None or size < 0 else size)

    def readinto(self, buffer: bytearray | memoryview) -> int:
        octets = self.read1(len(buffer))
        buffer[: len(octets)] = octets
        return len(octets)

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1) -> bytes:
        """Up to a newline and with it, at most `size` octets."""
        most = sys.maxsize if size is None or size < 0 else size
        looked_at = 0
        while True:
            end = self._buffer.find(b"\n", looked_at) + 1
            if end or len(self._buffer) >= most:
                return self._take(min(end or most, most))
            looked_at = len(self._buffer)
            if not self._fill():
                return self._take(len(self._buffer))

    def readlines(self, hint: int | None = None) -> list[bytes]:
        lines, octets = [], 0
        for line in self:
            lines.append(line)
            octets += len(line)
            if hint and octets >= hint:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line


class Readable(Protocol):
    """What a file wrapper wraps: anything that can be read in blocks."""

    def read(self, size: int, /) -> bytes: ...


class FileWrapper:
    """Implements `wsgi.file_wrapper`: a real file that an application returns in it is sent by the kernel; anything else is read in blocks."""

    def __init__(self, filelike: Readable, blksize: int = READ) -> None:
        self.filelike = filelike
        self._block_size = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        while block := self.filelike.read(self._block_size):
            yield block


def environ_of(request: Request, wsgi_input: Input) -> Environ:
    """The environ of a request: text of ISO-8859-1, as PEP 3333 has it. What of the path led to the application is `SCRIPT_NAME`.

    Fields whose name holds an underscore are left out: `X_Admin` would be taken for `X-Admin`, which somebody before us may have checked.
    """
    script_name = _decoded(request.route.get("prefix", ""))
    scheme = request.scheme
    environ: Environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": script_name,
        "PATH_INFO": _decoded(request.path)[len(script_name) :],
        "QUERY_STRING": request.query or "",
        "REQUEST_URI": request.target,
        "SERVER_PROTOCOL": "HTTP/2" if request.version == "2" else f"HTTP/{request.version}",
        "SERVER_SOFTWARE": "netlodge",
        "SERVER_NAME": request.host or request.local.host,
        # "SERVER_NAME and SERVER_PORT can never be empty strings": a Unix socket has no port.
        "SERVER_PORT": str(request.port or request.local.port or (443 if scheme == "https" else 80)),
        "REMOTE_ADDR": request.peer.host,
        "REMOTE_PORT": str(request.peer.port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": wsgi_input,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }
    if scheme == "https":
        environ["HTTPS"] = "on"
    if user := request.route.get("user"):
        environ["REMOTE_USER"] = user.encode("utf-8").decode("latin-1")  # PEP 3333: characters that stand for octets
    fields = request.fields
    for name in fields.names:
        if name in _UNNAMED:
            environ[name.upper().replace("-", "_")] = fields.get(name)
        elif "_" not in name and name not in _DROPPED:
            # RFC 6265 §5.4 (a client sends one Cookie field; HTTP/2 may split it): its own separator.
            separator = "; " if name == "cookie" else ", "
            environ["HTTP_" + name.upper().replace("-", "_")] = separator.join(fields.get_all(name))
    return environ


def _decoded(path: str) -> str:
    return unquote_to_bytes(path.encode("latin-1")).decode("latin-1") if "%" in path else path

"""The nouns of HTTP semantics, the same under every version: fields, requests, responses, bodies, errors, handlers.

RFC 9110 §3 (messages), §5 (fields), §6 (content and trailers), §15 (status codes).

Field names are lower-case `str`; field values are `str` whose characters are the octets of the wire (ISO-8859-1), so that
nothing is lost and nothing needs guessing. Whoever knows better (a path in UTF-8, say) decodes at that place.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, KeysView
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

from netlodge.core.contracts import Connection, Peer, Session
from netlodge.core.errors import NetlodgeError

REASONS: dict[int, str] = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""Reason phrases as RFC 9110 §15 words them (older Pythons keep the words of RFC 7231)."""


class HttpError(NetlodgeError):
    """A request that is answered with an error status.

    `detail` is one plain sentence for the person who sees the answer; `setting` names the limit that refused, if one did;
    `fields` go into the answer (`Allow`, `Retry-After`, `Content-Range`, ...); `must_close` says that the framing of what
    follows on this connection is in doubt (RFC 9112 §6.3), or not worth reading, so that this answer is the last.
    """

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        setting: str = "",
        fields: Iterable[tuple[str, str]] = (),
        must_close: bool = False,
    ) -> None:
        super().__init__(f"{status} {REASONS.get(status, '')}: {detail}")
        self.status = status
        self.detail = detail
        self.setting = setting
        self.fields = tuple(fields)
        self.must_close = must_close


class MessageError(HttpError):
    """Bytes that are not a message as the grammar has it. Raised by the wire; the connection always ends (RFC 9112 §2.2)."""

    def __init__(self, status: int, detail: str, *, setting: str = "", fields: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(status, detail, setting=setting, fields=fields, must_close=True)


class BodyError(NetlodgeError):
    """The peer ended, reset or broke a body before its end. Raised to whoever reads the body."""


class Fields:
    """The fields of a section in order (RFC 9110 §5.3): a list of `(name, value)` with quick look-up by name.

    Names passed to any method must be lower-case. Nothing here validates: the wire does, in both directions. Those of a request may
    be shared with later requests of the same octets: whoever wants to change them takes a `copy`.
    """

    __slots__ = ("_index", "_octets", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs: list[tuple[str, str]] = list(pairs)
        self._index: dict[str, str] = dict(self._pairs)
        self._octets: tuple[tuple[bytes, bytes], ...] | None = None

    @property
    def octets(self) -> tuple[tuple[bytes, bytes], ...]:
        """The same pairs as octets. Made once; only for fields that nobody changes."""
        if self._octets is None:
            self._octets = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in self._pairs)
        return self._octets

    def get(self, name: str, default: str | None = None) -> str | None:
        """The combined value: one line's value, or several lines' joined by `, ` in order (RFC 9110 §5.2). Not for
        `set-cookie`, which cannot be joined: use `get_all`."""
        value = self._index.get(name)
        if value is None:
            return default
        if len(self._index) == len(self._pairs):
            return value
        return ", ".join(v for n, v in self._pairs if n == name)

    def get_all(self, name: str) -> list[str]:
        """The value of each line with this name, in order."""
        if name not in self._index:
            return []
        return [v for n, v in self._pairs if n == name]

    def __contains__(self, name: str) -> bool:
        return name in self._index

    @property
    def names(self) -> KeysView[str]:
        """The names that occur, each once."""
        return self._index.keys()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and self._pairs == other._pairs

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Fields({self._pairs!r})"

    def append(self, name: str, value: str) -> None:
        self._pairs.append((name, value))
        self._index[name] = value

    def set(self, name: str, value: str) -> None:
        """Replace all lines of this name by one, in the place of the first; or append it."""
        if name in self._index:
            kept: list[tuple[str, str]] = []
            placed = False
            for n, v in self._pairs:
                if n != name:
                    kept.append((n, v))
                elif not placed:
                    kept.append((name, value))
                    placed = True
            self._pairs = kept
        else:
            self._pairs.append((name, value))
        self._index[name] = value

    def set_default(self, name: str, value: str) -> None:
        """Append the line unless one of this name is there."""
        if name not in self._index:
            self.append(name, value)

    def remove(self, name: str) -> None:
        if name in self._index:
            self._pairs = [pair for pair in self._pairs if pair[0] != name]
            del self._index[name]

    def copy(self) -> Fields:
        fields = Fields.__new__(Fields)
        # Of the same class: what is private to it is ours to fill, without indexing the pairs anew.
        fields._pairs = self._pairs.copy()  # noqa: SLF001
        fields._index = self._index.copy()  # noqa: SLF001
        fields._octets = None  # noqa: SLF001
        return fields

    def list_of(self, name: str) -> list[str]:
        """The members of a comma-separated list (RFC 9110 §5.6.1) without quoted commas: tokens, stripped, lower-cased,
        empty ones left out. For `connection`, `transfer-encoding`, `te`, `expect` and the like."""
        value = self.get(name)
        if value is None:
            return []
        return [token for part in value.split(",") if (token := part.strip(" \t").lower())]


class TargetForm(Enum):
    """The four forms of a request target (RFC 9112 §3.2)."""

    ORIGIN = "origin-form"
    ABSOLUTE = "absolute-form"
    AUTHORITY = "authority-form"
    ASTERISK = "asterisk-form"


class RequestBody(Protocol):
    """The content of a request as a handler reads it. Reading is what tells a client that waits for `100 Continue` to go on
    (RFC 9110 §10.1.1). Backpressure: what is not read is not taken from the client beyond a small buffer."""

    @property
    def length(self) -> int | None:
        """Octets in all if the head said so; 0 if there is no body; None if only the end will tell (chunked)."""
        ...

    async def read(self) -> bytes:
        """The next piece, of any size above zero; `b""` at the end and ever after.

        Raises `BodyError` when the client vanished, `HttpError` 400 when it broke the framing, 413 past `limits.body_size`, 408 when
        it was slower than `limits.body_rate`.
        """
        ...

    @property
    def trailers(self) -> Fields | None:
        """The trailer section, once the end has been read (RFC 9110 §6.5)."""
        ...


class RequestLink(Protocol):
    """What a handler may do towards the client before its answer."""

    def inform(self, status: int, fields: Fields) -> None:
        """Send an interim response, 1xx but not 101 (RFC 9110 §15.2), e.g. 103 with `link`. Not sent to HTTP/1.0."""
        ...

    def when_ended(self, tell: Callable[[], None]) -> None:
        """Have `tell` called, at once or later, if the client ends its side of the connection before it has the whole answer. Over HTTP/1 that
        is all that is heard of most clients that have given up, until something is sent to them; but some wait for the answer still."""
        ...


class Visit(Protocol):
    """What the server keeps for one visitor from request to request: who it is, a random identifier in a cookie says.

    A change of `data` is kept when the handler has returned its answer, before the first octet of it is sent: what an answer
    says was done is kept. Values are what JSON holds.
    """

    data: dict[str, Any]
    """Loaded before the handler is called; empty for a visitor without a session. Putting something into it begins one."""

    @property
    def is_new(self) -> bool:
        """True if the request came without a session that is known and alive."""
        ...

    @property
    def token(self) -> str:
        """A secret of this visit for forms, against requests that another site makes a browser send (CSRF). Reading it begins a
        session. `is_token` compares in constant time."""
        ...

    def is_token(self, value: str) -> bool: ...

    def rotate(self) -> None:
        """Give the session another identifier and keep its data: to be called whenever the visitor's rights change (a login), so that
        an identifier that somebody else planted is worth nothing."""
        ...

    def end(self) -> None:
        """Forget the session, here and in the client."""
        ...


@dataclass(slots=True, eq=False)
class Request:
    """One request, whichever version carried it. The wire has checked its grammar; nothing in it is trusted otherwise."""

    method: str
    """Case-sensitive token."""
    target: str
    """The request target as it stood on the wire (for HTTP/2: put together from the pseudo-fields)."""
    form: TargetForm
    scheme: str
    """`http` or `https`, of the target URI (RFC 9110 §7.1)."""
    host: str
    """The host of the target URI, lower-case, without port; brackets stay around IPv6. Empty only for HTTP/1.0 without Host."""
    port: int | None
    """The port that the authority names, if it names one."""
    path: str
    """Path of the target URI as on the wire, still percent-encoded, always with a leading `/`; empty for `*` and authority-form."""
    query: str | None
    """What follows `?`, still encoded; None if there is no `?`."""
    version: str
    """`"1.0"`, `"1.1"`, `"2"`."""
    fields: Fields
    body: RequestBody
    peer: Peer
    local: Peer
    link: RequestLink
    route: dict[str, str] = field(default_factory=dict)
    """Notes that outer handlers leave for inner ones and for the log: `prefix` is the path prefix that a router took off, `user` the
    account that access control has verified, `cors` the origin whose pages may send credentials along."""
    visit: Visit | None = None
    """Where the route keeps sessions."""


class Chunks(Protocol):
    """A streamed body: pieces of any size, produced no faster than they are taken. `aclose()` is awaited when the answer ends
    early. An exception in the middle truncates the answer visibly (no last chunk; the connection is aborted)."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...


@dataclass(slots=True)
class FileBody:
    """A body that is spans of an open regular file between literal bytes, for `sendfile`.

    `parts` holds literal bytes (multipart delimiters) and `(offset, count)` spans, in order. The session owns `descriptor` from
    the moment the response is returned and closes it exactly once.
    """

    descriptor: int
    parts: list[bytes | tuple[int, int]]

    @property
    def length(self) -> int:
        return sum(len(part) if isinstance(part, bytes) else part[1] for part in self.parts)


Body = bytes | FileBody | Chunks


async def give_back(body: Body) -> None:
    """Close what a body holds. Once for each response: by the session, or by the handler that sends another in its place."""
    if isinstance(body, FileBody):
        os.close(body.descriptor)
    elif hasattr(body, "aclose"):
        await body.aclose()


Takeover = Callable[[Connection, bytes], Session]
"""Given the connection and the bytes already received after the request, makes the session that owns the stream from here on
(RFC 9110 §7.8)."""


SELECTING = frozenset(
    {
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
    }
)
"""The request fields by which one of several representations, or a part of it, is selected (RFC 9110 §12.5.1, §13.1, §14.2): what an
answer may depend on to be remembered by the meaning of its request."""


class StillHolds(Protocol):
    """The conditions under which a remembered answer holds, beyond time and generation: asked each time before the answer is used. Must
    be quick (one `stat`), must not raise."""

    def __call__(self) -> bool: ...


@dataclass(slots=True)
class Remember:
    """Says that anyone who sends the same bytes may have this same answer, and for how long. Set by handlers only on answers
    that depend on nothing but the request head and what `still_holds`, `expires` and the generation watch."""

    expires: float
    """On the worker's monotonic clock; `inf` if only the other conditions end it."""
    still_holds: StillHolds | None = None
    slot: int = -1
    """Slot in the shared array of generations, or -1."""
    generation: int = 0
    reads: frozenset[str] | None = None
    """Names of the request fields that the answer depends on, beside method, target and host. With None, or with a name outside of
    `SELECTING`, only a request of the very same bytes is answered so. A handler that decides by more (who asks, from where) takes `remember` away or sets it to None."""
    born: float | None = None
    """If set, an `age` field is rendered: whole seconds since this moment on the monotonic clock (RFC 9111 §5.1)."""


@dataclass(slots=True, eq=False)
class Response:
    """One final answer. The session adds `date`, `server`, the framing and connection fields; a handler sets none of those, except
    `content-length` when it answers HEAD or 304 without the body at hand."""

    status: int
    fields: Fields = field(default_factory=Fields)
    body: Body = b""
    trailers: Callable[[], Fields] | None = None
    """Called after the last piece of a streamed body."""
    remember: Remember | None = None
    takeover: Takeover | None = None
    """With status 101 (or 2xx to CONNECT): what happens on the stream after the head."""


class WebSocketEnd(NamedTuple):
    """How a WebSocket ended (RFC 6455 §7.1.5, §7.1.6): the status code and the reason of the Close that ended it; 1005 if that had no
    code, 1006 if there was none."""

    code: int
    reason: str = ""


class WebSocketChannel(Session, Protocol):
    """A WebSocket as the handler that accepted it sees it, whatever bears it (HTTP/1.1 today; RFC 8441 has a stream of HTTP/2). It is also
    the session of its stream, so that a `Takeover` can return it. Pings, fragments and compression are the bearer's."""

    when_lost: Callable[[], None] | None
    """Called once, when the stream is gone."""

    async def receive(self) -> str | bytes | WebSocketEnd:
        """The next message, text or binary; after the last one, and ever after, how it ended. One reader at a time. Backpressure: what is not
        received is not taken from the client beyond a small buffer."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Send a message after those that were sent before; return when the client's side can take more. May be called by several tasks.
        Raises `ConnectionResetError` when it has ended or is ending, `ValueError` for text that UTF-8 cannot say."""
        ...

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake: messages that are not yet received are dropped, `receive` tells when it is over. A reason is cut to the 123
        octets that fit. Does nothing if it has ended or is ending. Raises `ValueError` for a code that may not be sent."""
        ...


class Handler(Protocol):
    """The one thing that every part of a service is: routers, access control, caches, files, proxies, applications."""

    def handle(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Answer the request (`async def`).

        May read `request.body`; what is left unread is drained or ends the connection, as the session sees fit. Raises `HttpError` to
        answer with an error page; `BodyError` may pass through (the client is gone). Any other exception is a defect: 500,
        logged with its traceback. Cancelled when the client goes away before the answer was complete.
        Handlers that need not wait do not suspend: they are run without a task.
        """
        ...

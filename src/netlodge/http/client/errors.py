"""Why there is no answer, or not all of it: a class for each kind of failure, each a sentence that says what to try.

RFC 9112 §8 (incomplete messages), RFC 9110 §15.4 (redirects). That no connection was made is `net.dial.DialError`, which says why in its
`failure`: the name, the address, the time, or TLS.
"""

from __future__ import annotations

from enum import Enum

from netlodge.core.errors import NetlodgeError


class Phase(Enum):
    """What was waited for when the time ran out. The value is what to say, and what to try."""

    QUEUE = "no connection of the {limit} to {where} became free. Allow more connections, or more time"
    CONNECT = "no connection to {where} was made. Check the address, or allow more time"
    CONTINUE = "{where} did not take the request. Allow more time"
    HEAD = "{where} took the request and did not answer. See whether it is overloaded, or allow more time"
    BODY = "{where} stopped in the middle of its answer. Try again, or allow more time"
    TOTAL = "{where} was not done. Allow more time"


class ClientError(NetlodgeError):
    """A request that has no answer, or not all of it.

    `was_answered`: an octet of an answer had come. `was_sent`: something of the request may have reached the server. From both follows
    whether it may be sent again (RFC 9110 §9.2.2).
    """

    was_sent = True
    was_answered = False


class RequestError(ClientError):
    """The request cannot be put into a message: a defect of whoever made it. Nothing was sent."""

    was_sent = False


class SlowError(ClientError):
    """The time for a phase ran out."""

    def __init__(self, phase: Phase, where: str, seconds: float, *, limit: int = 0) -> None:
        super().__init__(f"After {seconds:g} seconds {phase.value.format(where=where, limit=limit)}.")
        self.phase = phase
        self.was_sent = phase not in {Phase.QUEUE, Phase.CONNECT}


class ClosedError(ClientError):
    """The connection ended before an answer had begun, or within its head."""


class TruncatedError(ClientError):
    """The body ended before its end. `missing`: how many octets did not come; None if nobody can tell."""

    was_answered = True

    def __init__(self, where: str, received: int, missing: int | None, detail: str) -> None:
        lacking = f"{missing} octets are missing" if missing is not None else "how much is missing cannot be told"
        super().__init__(
            f"The answer of {where} is incomplete: {detail} after {received} octets, {lacking}. Try again, or go on from there with a range."
        )
        self.received = received
        self.missing = missing


class ProtocolError(ClientError):
    """What came is no answer as HTTP has it."""

    was_answered = True


class UploadError(ClientError):
    """What was to be sent could not be read, or was not as long as announced."""


class RedirectError(ClientError):
    """A redirect cannot be followed, or one too many."""

    was_answered = True


class ProxyError(ClientError):
    """The proxy would not make a tunnel. `status` is what it answered."""

    was_sent = False

    def __init__(self, where: str, target: str, status: int, reason: str) -> None:
        hint = (
            "Give the proxy's user and password: http://USER:PASSWORD@HOST:PORT"
            if status == 407
            else "See whether the proxy allows this host and port"
        )
        super().__init__(f"The proxy {where} will not connect to {target}: {status} {reason}. {hint}.")
        self.status = status


class DecodingError(ClientError):
    """The content is not in the coding that it says, or grows beyond what its limit allows."""

    was_answered = True


class ContentError(ClientError):
    """A file that is to be sent cannot be read. Nothing was sent."""

    was_sent = False


class JarError(NetlodgeError):
    """The file of cookies cannot be read or written."""

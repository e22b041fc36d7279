"""What a peer may cost us: every bound of an HTTP/2 connection, and the account of what is cheap to send and dear to receive.

RFC 9113 §10.5 ("An endpoint that doesn't monitor use of these features exposes itself to a risk of denial of service"). A frame that
makes no progress costs credit, and time and answered requests bring it back. The precedents are CVE-2019-9511 to 9518 (floods of control
and empty frames), CVE-2023-44487 (rapid reset) and CVE-2024-27316 (CONTINUATION flood).
"""

from __future__ import annotations

from dataclasses import dataclass

from netlodge.http.wire.h2_frames import DEFAULT_FRAME, ErrorCode, Http2Error


@dataclass(frozen=True, slots=True)
class Http2Limits:
    """Sizes in octets."""

    header_list_size: int = 32 * 1024
    """SETTINGS_MAX_HEADER_LIST_SIZE: fields as RFC 9113 §6.5.2 counts them; past it 431."""
    field_block_size: int = 64 * 1024
    """Longest compressed field block; past it the connection ends."""
    continuations: int = 16
    """Most frames of one field block."""
    concurrent_streams: int = 128
    """SETTINGS_MAX_CONCURRENT_STREAMS. Precedent: nginx 128."""
    stream_window: int = 256 * 1024
    """What a client may send on one stream before we take it."""
    connection_window: int = 1 << 20
    """The same for all streams together."""
    frame_size: int = DEFAULT_FRAME
    control_frames: int = 1000
    """Frames a second that make no progress: SETTINGS, PING, PRIORITY, empty DATA, unknown types. Precedent: Go 10,000 queued."""
    resets: int = 200
    """Streams a second that are reset, by either side for the client's sake. Precedent: nginx ends after 2 x concurrent streams."""
    window_updates: int = 20_000
    """WINDOW_UPDATE frames a second: a client that takes much sends many."""
    takes_pushes: bool = False
    """For a client: whether it lets servers push."""


class Credit:
    """One connection's account."""

    __slots__ = ("_control", "_limits", "_resets", "_windows")

    def __init__(self, limits: Http2Limits) -> None:
        self._limits = limits
        self.refill()

    def refill(self) -> None:
        """A second has passed."""
        self._control = self._limits.control_frames
        self._resets = self._limits.resets
        self._windows = self._limits.window_updates

    def spend(self, cost: int, what: str) -> None:
        """Raises `Http2Error` ENHANCE_YOUR_CALM when there is no credit left."""
        self._control -= cost
        if self._control < 0:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, f"Too many {what}.")

    def spend_reset(self, what: str) -> None:
        """The same for a stream that ends before its time."""
        self._resets -= 1
        if self._resets < 0:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, f"Too many {what}.")

    def spend_window(self) -> None:
        """The same for a WINDOW_UPDATE."""
        self._windows -= 1
        if self._windows < 0:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "Too many WINDOW_UPDATE frames.")

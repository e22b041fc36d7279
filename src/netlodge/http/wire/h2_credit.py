"""What a peer may cost us: every bound of an HTTP/2 connection, and the account of what is cheap to send and dear to receive.

RFC 9113 §10.5: "An endpoint that doesn't monitor use of these features exposes itself to a risk of denial of service." What makes no
progress costs credit; time brings it back, and the end of the credit is the end of the connection, with ENHANCE_YOUR_CALM. So what must be
said in answer (acknowledgements, resets) is bounded by the credit, too: as long as the peer takes nothing of it, it should get no more.

| attack | bound |
|---|---|
| floods of SETTINGS, PING, PRIORITY, empty DATA and CONTINUATION (CVE-2019-9512, -9513, -9515, -9518), unknown frames, unasked acknowledgements | `control_frames` |
| rapid reset (CVE-2023-44487), resets that we are made to send (CVE-2019-9514, CVE-2025-8671), requests beyond the limit | `resets` |
| dribbling windows (CVE-2019-9511, -9517) | `window_updates` |
| CONTINUATION flood (CVE-2024-27316) | `continuations`, `field_block_size` |
| HPACK bombs (CVE-2016-6581) | `header_list_size`: a list counts as one frame of `control_frames` for each time that it is as large |
| content that nobody takes | `stream_window`, `connection_window` |
"""

from __future__ import annotations

from dataclasses import dataclass

from netlodge.http.wire.h2_frames import (
    DEFAULT_FRAME,
    DEFAULT_WINDOW,
    LARGEST_FRAME,
    LARGEST_WINDOW,
    ErrorCode,
    Http2Error,
)


@dataclass(frozen=True, slots=True)
class Http2Limits:
    """Sizes in octets. Raises `ValueError` for what cannot be told to a peer."""

    header_list_size: int = 32 * 1024
    """SETTINGS_MAX_HEADER_LIST_SIZE: fields as RFC 9113 §6.5.2 counts them; past it 431. Precedent: nginx
    `large_client_header_buffers`, 4 of 8 KiB."""
    field_block_size: int = 64 * 1024
    """Longest compressed field block; past it the connection ends. Precedent: nghttp2 64 KiB."""
    continuations: int = 16
    """Most frames of one field block. Precedent: nghttp2 and Node.js 8 CONTINUATION frames."""
    concurrent_streams: int = 128
    """SETTINGS_MAX_CONCURRENT_STREAMS; for a client: pushes, promised ones included. Precedent: nginx 128."""
    stream_window: int = 256 * 1024
    """What a peer may send on one stream before we take it; 65,535 at least, for a smaller window would hold only once the peer has
    acknowledged it (RFC 9113 §6.9.3). Precedent: nginx `http2_body_preread_size` 64 KiB, Go 1 MiB."""
    connection_window: int = 1 << 20
    """The same for all streams together; it cannot be made smaller than 65,535 (RFC 9113 §6.9.2). Precedent: Go 1 MiB."""
    frame_size: int = DEFAULT_FRAME
    """SETTINGS_MAX_FRAME_SIZE. Precedent: nginx 16 KiB."""
    control_frames: int = 1000
    """Frames a second that make no progress: SETTINGS (each setting counts), PING, PRIORITY, GOAWAY, empty ones, unknown types, interim
    responses. Precedent: Go 10,000 waiting answers, nghttp2 1000 waiting acknowledgements."""
    resets: int = 200
    """Streams a second that the peer resets, or that we must reset for what it did. Precedent: nginx twice its
    `http2_max_concurrent_streams` for each turn; nghttp2 1000, then 33 a second."""
    window_updates: int = 20_000
    """WINDOW_UPDATE frames a second: who takes much sends many. Precedent: Envoy 10 for each DATA frame sent."""
    takes_pushes: bool = False
    """For a client: whether it lets servers push."""

    def __post_init__(self) -> None:
        if not (
            DEFAULT_WINDOW <= self.stream_window <= LARGEST_WINDOW
            and DEFAULT_WINDOW <= self.connection_window <= LARGEST_WINDOW
            and DEFAULT_FRAME <= self.frame_size <= LARGEST_FRAME
        ):
            raise ValueError("A window of HTTP/2 has 65,535 to 2^31-1 octets, and a frame 16,384 to 2^24-1.")


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

"""Every bound that a peer can push against, with its name, its default and the servers that set the precedent."""

from __future__ import annotations

from typing import Annotated

import msgspec

from netlodge.config.quantities import Duration, Rate, Size
from netlodge.config.schema import doc

_KIB = 1024
_MIB = 1024 * _KIB
_GIB = 1024 * _MIB
_TIB = 1024 * 1024 * _MIB
_HOUR = 3600
_DAY = 24 * _HOUR


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every bound that a peer can push against. An answer that refuses something names the limit that refused it."""

    request_line_size: Annotated[
        Size,
        doc(
            "Longest request line. Past it the answer is 414. RFC 9112 §3 recommends at least 8000 octets.",
            least=256,
            most=_MIB,
            precedent="nginx `large_client_header_buffers` 8 KiB each; Apache `LimitRequestLine` 8190 octets.",
        ),
    ] = Size.parse("8 KiB")
    head_size: Annotated[
        Size,
        doc(
            "Longest request head, request line included, and longest trailer section. Past it the answer is 431. In HTTP/2 each field "
            "counts 32 octets more (RFC 9113 §6.5.2).",
            least=512,
            most=16 * _MIB,
            precedent="nginx 4 buffers of 8 KiB; Node.js `--max-http-header-size` 16 KiB; Go `MaxHeaderBytes` 1 MiB.",
        ),
    ] = Size.parse("32 KiB")
    field_count: Annotated[
        int,
        doc(
            "Most fields in a request head or a trailer section. Past it the answer is 431.",
            least=8,
            most=10_000,
            precedent="Apache `LimitRequestFields` 100; HAProxy `tune.http.maxhdr` 101.",
        ),
    ] = 100
    body_size: Annotated[
        Size,
        doc(
            "Largest request body. Past it the answer is 413, as soon as the head announces it or the octets have come. 0 sets no bound.",
            least=0,
            most=1024 * _TIB,
            precedent="Apache `LimitRequestBody` 1 GiB; nginx `client_max_body_size` 1 MiB.",
        ),
    ] = Size.parse("1 GiB")
    chunk_extension_size: Annotated[
        Size,
        doc(
            "Most octets of extensions of one chunk, and in one body beyond an octet for each octet of content. Past it the answer is 400.",
            least=0,
            most=_MIB,
            precedent="Node.js 16 KiB in one body; Go counts as here.",
        ),
    ] = Size.parse("16 KiB")
    head_timeout: Annotated[
        Duration,
        doc(
            "Longest time from the first octet of a request head to its last. Past it the answer is 408.",
            least=0.1,
            most=_HOUR,
            precedent="HAProxy's guides `timeout http-request` 10 s; Apache `RequestReadTimeout header` 20 s; nginx `client_header_timeout` 60 s.",
        ),
    ] = Duration.parse("10 s")
    idle_timeout: Annotated[
        Duration,
        doc(
            "How long a connection may rest between requests, or before its first one, until it is closed.",
            least=0.1,
            most=_DAY,
            precedent="nginx `keepalive_timeout` 75 s; Apache `KeepAliveTimeout` 5 s.",
        ),
    ] = Duration.parse("75 s")
    body_grace: Annotated[
        Duration,
        doc(
            "Spans of time over which `limits.body_rate` is asked of a request body.",
            least=1,
            most=_HOUR,
            precedent="Apache `RequestReadTimeout body` 20 s.",
        ),
    ] = Duration.parse("10 s")
    body_rate: Annotated[
        Rate,
        doc(
            "Slowest pace of a request body, on average over each `limits.body_grace`. "
            "A slower sender is answered 408. Time in which the lodge itself is not reading does not count. 0 asks for no pace.",
            least=0,
            most=1024 * _MIB,
            precedent="Apache `RequestReadTimeout` MinRate 500 octets a second; IIS `minBytesPerSecond` 240.",
        ),
    ] = Rate.parse("500 B/s")
    send_timeout: Annotated[
        Duration,
        doc(
            "How long a client may take nothing of an answer that waits to be sent, until the connection is cut.",
            least=0.1,
            most=_DAY,
            precedent="nginx `send_timeout` 60 s; Apache `Timeout` 60 s.",
        ),
    ] = Duration.parse("60 s")
    requests_per_connection: Annotated[
        int,
        doc(
            "Most requests on one connection; the last answer says so. 0 sets no bound.",
            least=0,
            most=1_000_000_000,
            precedent="nginx `keepalive_requests` 1000; Apache `MaxKeepAliveRequests` 100; HAProxy and Caddy none.",
        ),
    ] = 0
    connections: Annotated[
        int,
        doc(
            "Most connections in all, over all doors and workers. A further one is told so and closed.",
            least=1,
            most=10_000_000,
            precedent="nginx `worker_connections` 512 for each worker; HAProxy `maxconn`, by the system's open files.",
        ),
    ] = 65_536
    connections_per_client: Annotated[
        int,
        doc(
            "Most connections from one client address, over all doors and workers. A further one is told so and closed. "
            "An office behind one address is one client: this default lets it take a quarter of `limits.connections`.",
            least=1,
            most=10_000_000,
            precedent="nginx (`limit_conn`) and HAProxy (`src_conn_cur`) none until set; Postfix `smtpd_client_connection_count_limit` 50.",
        ),
    ] = 16_384
    drain_body: Annotated[
        Size,
        doc(
            "How much of a request body that nobody read is read and thrown away, so that the connection can go on. "
            "If more is left, the connection is closed after the answer.",
            least=0,
            most=1024 * _MIB,
            precedent="Go `net/http` 256 KiB.",
        ),
    ] = Size.parse("256 KiB")
    linger_timeout: Annotated[
        Duration,
        doc(
            "How long a connection that the lodge ended is still read, so that the client can take the last answer (RFC 9112 §9.6).",
            least=0,
            most=60,
            precedent="nginx `lingering_timeout` 5 s.",
        ),
    ] = Duration.parse("5 s")
    ranges: Annotated[
        int,
        doc(
            "Most ranges in one request. "
            "A request for more is answered with the whole (RFC 9110 §14.2). 0 turns ranges off.",
            least=0,
            most=10_000,
            precedent="Apache `MaxRanges` 200; nginx `max_ranges` none.",
        ),
    ] = 100
    listing_entries: Annotated[
        int,
        doc(
            "Most entries in a directory listing; it says when there are more.",
            least=1,
            most=1_000_000,
            precedent="Caddy `browse file_limit` 10000.",
        ),
    ] = 10_000
    line_size: Annotated[
        Size,
        doc(
            "Longest sentence at a line service over TCP; a longer one is refused. Datagrams have the bound of UDP itself.",
            least=64,
            most=16 * _MIB,
            precedent="SMTP lines have 1000 octets (RFC 5321 §4.5.3.1.6); Postfix `line_length_limit` 2048.",
        ),
    ] = Size.parse("64 KiB")
    line_timeout: Annotated[
        Duration,
        doc(
            "How long a connection to a line service may rest until it is closed.",
            least=0.1,
            most=_DAY,
            precedent="SMTP servers wait 5 min for a command (RFC 5321 §4.5.3.2.7).",
        ),
    ] = Duration.parse("5 min")
    handshake_timeout: Annotated[
        Duration,
        doc(
            "Longest time for a TLS handshake.",
            least=0.1,
            most=_HOUR,
            precedent="asyncio 60 s; HAProxy by `timeout client`; Go 10 s.",
        ),
    ] = Duration.parse("10 s")
    certificates: Annotated[
        int,
        doc(
            "Most names for which certificates of the local authority are kept, on the disk and in each worker's memory.",
            least=1,
            most=100_000,
            precedent="HAProxy `tune.ssl.ssl-ctx-cache-size` 1000.",
        ),
    ] = 500
    certificate_rate: Annotated[
        int,
        doc(
            "Certificates that each worker signs in a minute for names that do not stand in the settings. "
            "Past it a handshake for a further name is refused. Names in the settings, `localhost` and addresses do not count.",
            least=1,
            most=100_000,
            precedent="Caddy `on_demand_tls` asks a program of one's own about each name.",
        ),
    ] = 60
    app_threads: Annotated[
        int,
        doc(
            "Threads of each worker in which WSGI applications run; further requests wait.",
            least=1,
            most=1000,
            precedent="Gunicorn `threads` 1; Waitress 4; Starlette 40.",
        ),
    ] = 16
    app_queue: Annotated[
        int,
        doc(
            "Requests that may wait in each worker for a thread of `limits.app_threads`. Past it the answer is 503.",
            least=0,
            most=1_000_000,
            precedent="Waitress `backlog` 1024 and Gunicorn `backlog` 2048, in the system's queue of connections.",
        ),
    ] = 256
    app_grace: Annotated[
        Duration,
        doc(
            "How long an ASGI application may go on with a request whose client went away, until it is cancelled.",
            least=0,
            most=_DAY,
            precedent="Hypercorn and Daphne cancel at once; Uvicorn never does.",
        ),
    ] = Duration.parse("30 s")
    app_start_timeout: Annotated[
        Duration,
        doc(
            "Longest time for an application's startup, and for its shutdown.",
            least=1,
            most=_HOUR,
            precedent="Hypercorn 60 s.",
        ),
    ] = Duration.parse("60 s")
    websocket_message: Annotated[
        Size,
        doc(
            "Longest WebSocket message. Past it the connection is closed with 1009.",
            least=125,
            most=_TIB,
            precedent="Uvicorn 16 MiB; nginx none.",
        ),
    ] = Size.parse("16 MiB")
    websocket_ping: Annotated[
        Duration,
        doc(
            "How often a silent WebSocket client is pinged; one that does not answer within as long again is gone. 0: never.",
            least=0,
            most=_DAY,
            precedent="Uvicorn 20 s.",
        ),
    ] = Duration.parse("20 s")
    form_fields: Annotated[
        int,
        doc(
            "Most fields of a form, files included. Past it the answer is 413.",
            least=1,
            most=1_000_000,
            precedent="Django `DATA_UPLOAD_MAX_NUMBER_FIELDS` 1000; Starlette 1000.",
        ),
    ] = 1000
    form_field_size: Annotated[
        Size,
        doc(
            "Longest value of a form's field that is no file. Past it the answer is 413.",
            least=64,
            most=1024 * _MIB,
            precedent="Starlette 1 MiB; Django 2.5 MiB in all.",
        ),
    ] = Size.parse("1 MiB")
    form_head_size: Annotated[
        Size,
        doc(
            "Longest head of one field of a `multipart/form-data` form, in which its name and the name of its file stand. Past it the "
            "answer is 413.",
            least=256,
            most=64 * _KIB,
            precedent="Django 1 KiB; Go 10 MiB for all of a form.",
        ),
    ] = Size.parse("8 KiB")
    form_file_size: Annotated[
        Size,
        doc(
            "Largest file in a form. Past it the answer is 413.",
            least=0,
            most=_TIB,
            precedent="PHP `upload_max_filesize` 2 MiB.",
        ),
    ] = Size.parse("16 MiB")
    form_size: Annotated[
        Size,
        doc(
            "Most octets of all fields of a form that are no files, names included: they are kept in memory. Past it the answer is 413.",
            least=64,
            most=1024 * _MIB,
            precedent="Django `DATA_UPLOAD_MAX_MEMORY_SIZE` 2.5 MiB; PHP `post_max_size` 8 MiB, with files.",
        ),
    ] = Size.parse("4 MiB")
    forms: Annotated[
        int,
        doc(
            "Forms of more than 64 KiB, or of unknown length, that each worker reads at once. Each may hold `limits.form_size` of memory, "
            "and a temporary file. Past it the answer is 503.",
            least=1,
            most=100_000,
            precedent="PHP-FPM and Gunicorn by their processes.",
        ),
    ] = 100
    uploads: Annotated[
        int,
        doc(
            "Files that each worker takes at once by PUT. Each holds a descriptor, and half a MiB of memory at most. Past it the answer is 503.",
            least=1,
            most=100_000,
            precedent="nginx by `worker_connections`.",
        ),
    ] = 512
    login_failures: Annotated[
        int,
        doc(
            "Failed logins that one client address, or one account, may have at once; past it the answer is 429.",
            least=1,
            most=1_000_000,
            precedent="Fail2ban 5 within 10 min.",
        ),
    ] = 10
    login_pause: Annotated[
        Duration,
        doc(
            "How long it takes until one failed login is forgotten.",
            least=1,
            most=_DAY,
            precedent="Fail2ban `findtime` 10 min for 5.",
        ),
    ] = Duration.parse("30 s")
    login_queue: Annotated[
        int,
        doc(
            "Logins that may wait in each worker until their password is verified; past it the answer is 503.",
            least=1,
            most=100_000,
            precedent="A password takes about 50 ms, and two are verified at once.",
        ),
    ] = 100
    variant_count: Annotated[
        int,
        doc("Most variants of one file that are looked at.", least=1, most=10_000, precedent="Apache none."),
    ] = 100
    h2_concurrent_streams: Annotated[
        int,
        doc(
            "Requests that one HTTP/2 connection may have under way. A further one is refused, and may be repeated.",
            least=1,
            most=100_000,
            precedent="nginx `http2_max_concurrent_streams` 128; Apache `H2MaxSessionStreams` 100; RFC 9113 recommends 100 or more.",
        ),
    ] = 128
    h2_stream_window: Annotated[
        Size,
        doc(
            "Request content that an HTTP/2 client may send of one request before it is taken.",
            least=65_535,
            most=_GIB,
            precedent="nginx `http2_body_preread_size` 64 KiB; Go 1 MiB; RFC 9113 §6.9.2 begins with 65,535 octets.",
        ),
    ] = Size.parse("256 KiB")
    h2_connection_window: Annotated[
        Size,
        doc(
            "The same for all requests of one connection together: what one client can make a worker hold.",
            least=65_535,
            most=_GIB,
            precedent="Go 1 MiB; nginx all that there may be.",
        ),
    ] = Size.parse("1 MiB")
    h2_frame_size: Annotated[
        Size,
        doc(
            "Longest HTTP/2 frame that is taken. A longer one ends the connection.",
            least=16 * _KIB,
            most=16 * _MIB - 1,
            precedent="RFC 9113 §6.5.2 begins with 16 KiB; nginx 16 KiB; Go 1 MiB.",
        ),
    ] = Size.parse("16 KiB")
    h2_field_block_size: Annotated[
        Size,
        doc(
            "Longest compressed field block of an HTTP/2 message. A longer one ends the connection, because the compression of all that follows "
            "would be lost. What it holds is bounded by `limits.head_size`, and answered 431.",
            least=4 * _KIB,
            most=16 * _MIB,
            precedent="Go `MaxHeaderBytes` 1 MiB and more; nghttp2 64 KiB.",
        ),
    ] = Size.parse("64 KiB")
    h2_continuations: Annotated[
        int,
        doc(
            "Most frames of one field block. More end the connection (CVE-2024-27316).",
            least=1,
            most=10_000,
            precedent="nghttp2 8 CONTINUATION frames; Node.js so, too.",
        ),
    ] = 16
    h2_control_frames: Annotated[
        int,
        doc(
            "HTTP/2 frames a second that bring nothing forward: SETTINGS, PING, PRIORITY, empty ones, unknown ones. More end the connection "
            "(CVE-2019-9511 to 9518).",
            least=10,
            most=10_000_000,
            precedent="Go 10,000 waiting answers; nghttp2 1000 waiting acknowledgements; nginx as many as an eighth of its traffic.",
        ),
    ] = 1000
    h2_resets: Annotated[
        int,
        doc(
            "Requests a second that an HTTP/2 client takes back, or has refused for its mistakes. More end the connection (CVE-2023-44487).",
            least=1,
            most=1_000_000,
            precedent="nginx twice `http2_max_concurrent_streams` for each turn; nghttp2 1000, then 33 a second.",
        ),
    ] = 200
    h2_window_updates: Annotated[
        int,
        doc(
            "WINDOW_UPDATE frames a second that an HTTP/2 client may send: as a rule one for each 16 KiB or more that it takes. More end the "
            "connection.",
            least=100,
            most=10_000_000,
            precedent="Envoy 10 for each DATA frame that it sent.",
        ),
    ] = 20_000

"""Settings of who may come in, how often, and from which pages: for a site or a route."""

from __future__ import annotations

from typing import Annotated

import msgspec

from netlodge.config.quantities import Duration, Frequency
from netlodge.config.schema import doc

_DAY = 86400


class Access(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may come in. A route's own is asked after its site's: both must let a request pass."""

    networks: Annotated[
        tuple[str, ...],
        doc(
            "Networks and addresses that may ask; others are answered 403. `unix:` is everyone who comes by a Unix socket. Empty: everyone.",
            example='["192.168.0.0/16", "::1"]',
        ),
    ] = ()
    login: Annotated[
        bool,
        doc("Ask for an account, by Basic or Bearer; `netlodge user add` makes one. Without one the answer is 401."),
    ] = False
    users: Annotated[
        tuple[str, ...],
        doc(
            "Accounts that may come in; others are answered 403. Empty: every account. Asks for no login by itself.",
            example='["anna", "bert"]',
        ),
    ] = ()
    realm: Annotated[
        str, doc("What the browser tells the visitor to log in to (RFC 9110 §11.5).", example='"Staff"')
    ] = "Netlodge"
    rate: Annotated[
        Frequency,
        doc(
            'How often one client address may ask, on average, such as `"10/s"` or `"100/min"`; past it the answer is 429. 0 sets no bound.',
            least=0,
            most=1_000_000,
            precedent="nginx `limit_req` none until set.",
        ),
    ] = Frequency.parse("0/s")
    burst: Annotated[
        int,
        doc(
            "Requests that a client may send at once before `rate` counts.",
            least=1,
            most=1_000_000,
            precedent="nginx `burst` 0.",
        ),
    ] = 20


class Cors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pages of other origins may read the answers (the Fetch standard's CORS protocol). Without `origins`: none."""

    origins: Annotated[
        tuple[str, ...],
        doc(
            'Origins whose pages may read answers, such as `"https://app.example.org"`; `"*"` is any, without credentials.',
            example='["https://app.example.org"]',
        ),
    ] = ()
    methods: Annotated[tuple[str, ...], doc("Methods that those pages may use beside GET, HEAD and POST.")] = ()
    fields: Annotated[
        tuple[str, ...], doc("Request fields that those pages may send beside the safe ones.", example='["x-token"]')
    ] = ()
    exposes: Annotated[
        tuple[str, ...], doc("Response fields that those pages may read beside the safe ones.", example='["etag"]')
    ] = ()
    credentials: Annotated[bool, doc("Whether those pages may send cookies and logins along.")] = False
    max_age: Annotated[
        Duration,
        doc(
            "How long a browser may go by one preflight answer.",
            least=0,
            most=_DAY,
            precedent="Fetch 5 s; Chromium at most 2 h.",
        ),
    ] = Duration.parse("10 min")

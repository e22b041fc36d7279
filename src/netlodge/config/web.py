"""The web door's settings: where it listens, and the sites it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from netlodge.config.access import Access, Cors
from netlodge.config.address import Address
from netlodge.config.quantities import Duration
from netlodge.config.schema import doc


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What answers below one path. Exactly one of `files`, `app`, `redirect` and `respond` says what; the longest `path` that matches wins."""

    path: Annotated[
        str,
        doc(
            "Path that this route answers, with everything below it. `/docs/` answers `/docs/a`, and sends `/docs` there; `/docs` "
            "answers both `/docs` and `/docs/a`. Neither answers `/docsets`.",
            example='"/"',
        ),
    ]
    files: Annotated[
        Path | None, doc("Folder whose files are served; the route's path stands for the folder.", example='"www"')
    ] = None
    app: Annotated[
        str | None,
        doc(
            "Application that answers, as `module:name`: ASGI, WSGI, or one written for the lodge. `module:make()` is what a function "
            "makes. The route's path is its `root_path` (ASGI) or `SCRIPT_NAME` (WSGI).",
            example='"shop.main:app"',
        ),
    ] = None
    app_folder: Annotated[
        Path | None,
        doc(
            "Folder in which the module of the `app`, and what it imports, is looked for first. Without it: the settings file's.",
            precedent="Uvicorn `--app-dir` and Gunicorn `--chdir`: the working directory.",
            example='"src"',
        ),
    ] = None
    interface: Annotated[
        Literal["auto", "asgi", "wsgi"],
        doc(
            "How the `app` wants to be called. `auto` looks at it: a coroutine function, or an object with one, is ASGI."
        ),
    ] = "auto"
    redirect: Annotated[
        str | None,
        doc(
            "Path or `http`/`https` URI to send clients to. If it ends in `/`, what follows the route's path is put behind it. "
            "The query is kept, unless this has one.",
            example='"/new/"',
        ),
    ] = None
    respond: Annotated[
        str | None,
        doc("Text that is the whole answer, as `text/plain` unless `fields` say otherwise.", example='"pong\\n"'),
    ] = None
    status: Annotated[
        int | None,
        doc(
            "Status of a `redirect` (301, 302, 303, 307, 308; without it 302) or of a `respond` (200 to 599; without it 200).",
            least=200,
            most=599,
            precedent="Caddy `redir` 302.",
            example="308",
        ),
    ] = None
    index: Annotated[
        tuple[str, ...], doc("Names of files that are looked for, in order, when a folder is asked for.")
    ] = ("index.html",)
    listing: Annotated[bool, doc("Show what is in a folder that has no index file, as HTML or JSON.")] = False
    fallback: Annotated[
        str,
        doc(
            "File within `files` that answers, with status 200, where a page is asked for that is not there. "
            "A page is a name without an extension, or what the client asks for as `text/html`. For applications that do their own "
            "routing in the browser.",
            example='"index.html"',
        ),
    ] = ""
    hidden: Annotated[
        bool,
        doc(
            "Serve files whose name, or whose folder's name, begins with a dot. Without it, `.well-known` alone is served."
        ),
    ] = False
    uploads: Annotated[
        Literal["off", "login", "anyone"],
        doc(
            "Whether PUT and DELETE change the `files`. `login` asks for an account for that, one of `access.users` if there are any; `anyone` "
            "lets everybody who may read also write.",
            precedent="nginx `dav_methods` off.",
        ),
    ] = "off"
    variants: Annotated[
        bool,
        doc(
            "Choose between variants of a file by what the client accepts (RFC 9110 §12). `page.en.html`, `page.de.html` and "
            "`page.html.fr` are variants of `/page` and of `/page.html`.",
            precedent="Apache `MultiViews` off.",
        ),
    ] = False
    language: Annotated[
        str,
        doc(
            "Language that `variants` fall back to where none is acceptable. Empty: then the answer is 406.",
            example='"en"',
            precedent="Apache `LanguagePriority` and `ForceLanguagePriority`.",
        ),
    ] = ""
    precompressed: Annotated[
        bool,
        doc(
            "Send `NAME.br`, `NAME.zst` or `NAME.gz`, if it stands there, in place of a file to clients that take it. One that is older "
            "than the file is not sent.",
            precedent="nginx `gzip_static` off.",
        ),
    ] = False
    compress: Annotated[
        bool,
        doc(
            "Compress text on the fly, with brotli, zstd or gzip. What is compressed of a file is kept.",
            precedent="nginx `gzip` off; Caddy `encode` off.",
        ),
    ] = True
    sessions: Annotated[bool, doc("Keep a session for each visitor of this route, in the database.")] = False
    access: Access = msgspec.field(default_factory=Access)
    cors: Cors = msgspec.field(default_factory=Cors)
    cache_control: Annotated[
        str,
        doc(
            "Value of the `Cache-Control` field of this route's answers: of a `respond` whatever its `status`, else below 400 only.",
            example='"max-age=3600"',
        ),
    ] = ""
    fields: Annotated[
        dict[str, str],
        doc(
            "Response fields that are set on all of this route's answers, errors too. An empty value removes the field; `Vary` is "
            "added to what is there. Fields that describe the content, such as `Content-Type`, stay out of the lodge's own error texts "
            "and pages; fields that the lodge computes, such as `ETag`, cannot be set.",
            precedent="nginx `add_header` with `always`.",
            example='{ x-frame-options = "DENY" }',
        ),
    ] = {}


class PathFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Response fields for every path of the site that fits a pattern, whichever route answers. Later ones win."""

    path: Annotated[
        str,
        doc("Pattern of paths; `*` stands for any characters, `/` too.", example='"/assets/*"'),
    ]
    cache_control: Annotated[
        str,
        doc(
            "Value of the `Cache-Control` field of answers below 400.",
            example='"public, max-age=31536000, immutable"',
        ),
    ] = ""
    set: Annotated[
        dict[str, str],
        doc(
            "Fields to set, on errors of the site too. An empty value removes the field; `Vary` is added to what is there.",
            example='{ x-content-type-options = "nosniff" }',
        ),
    ] = {}


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One site. An exact host goes before a wildcard, a longer wildcard before a shorter one. A host that no site names is answered
    421. Without any site, the folder `www` in `data` is served to every host, and a small shop at `/shop/`."""

    hosts: Annotated[
        tuple[str, ...],
        doc(
            "Host names that this site answers to; `*.example.net` fits every name below `example.net`. "
            'Empty, or `"*"` among them: whatever no other site answers to.',
            example='["www.example.org", "*.example.net"]',
        ),
    ] = ()
    routes: Annotated[tuple[Route, ...], doc("What answers below which path.")] = ()
    https: Annotated[
        Literal["offered", "required"],
        doc(
            "`required` redirects plain requests to the same address over TLS, with 308.", precedent="Caddy redirects."
        ),
    ] = "offered"
    hsts: Annotated[
        Duration,
        doc(
            "How long browsers are told to use TLS alone for this site (RFC 6797). 0 tells them nothing.",
            least=0,
            most=10 * 366 * 86400,
            precedent="Mozilla recommends 2 years; nginx and Caddy none.",
        ),
    ] = Duration.parse("0 s")
    access: Access = msgspec.field(default_factory=Access)
    error_pages: Annotated[
        dict[int, Path],
        doc(
            "Files that are the body of error answers, by status. "
            "It is one of 400, 401, 403, 404, 405, 409, 412, 415, 416, 429, 500, 501, 503 and 507. Errors that end the connection, or that are told before the site is known (408, 413, 414, 417, 421, 431, 505, and 400 or 501 for what is no "
            "request), have the built-in text; so has what a `respond` says its own. A page has at most 1 MiB.",
            example='{ 404 = "www/404.html" }',
        ),
    ] = {}
    fields: Annotated[tuple[PathFields, ...], doc("Response fields by path.")] = ()
    media_types: Annotated[
        dict[str, str],
        doc(
            "Media types by file extension, before the built-in ones. The longest extension of a name counts: `.tar.gz` before `.gz`.",
            example='{ ".gmi" = "text/gemini" }',
        ),
    ] = {}


class Web(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The web door: HTTP/1.1 and HTTP/2."""

    listen: Annotated[
        tuple[Address, ...],
        doc(
            'Addresses to listen on. `"0.0.0.0:8080"` and `"[::]:8080"` open the door to everyone; a Unix socket is `"unix:PATH"`.'
        ),
    ] = (Address("127.0.0.1", 8080), Address("::1", 8080))
    listen_tls: Annotated[
        tuple[Address, ...],
        doc("Addresses to listen on with TLS, for HTTPS."),
    ] = (Address("127.0.0.1", 8443), Address("::1", 8443))
    http2: Annotated[
        bool,
        doc(
            "Offer HTTP/2 to clients of `web.listen_tls`. Those that do not ask for it (by ALPN) speak HTTP/1.1.",
            precedent="Caddy and Apache httpd's `Protocols` guides on; nginx `http2` off.",
        ),
    ] = True
    h2c: Annotated[
        Literal["off", "prior-knowledge", "upgrade"],
        doc(
            "HTTP/2 without TLS on `web.listen`. `prior-knowledge`: for clients that begin with it. `upgrade`: also for those that ask for "
            "it with `Upgrade: h2c` (RFC 7540 §3.2). Leave `upgrade` off behind a proxy that passes that field on: it would take all that "
            "follows for one request, and its rules would see none of it.",
            precedent="nginx before 1.25 by `listen ... http2` only; Caddy `protocols h2c` off; Apache `Protocols h2c` off, `H2Upgrade` on.",
        ),
    ] = "prior-knowledge"
    push: Annotated[
        bool,
        doc(
            "Push to HTTP/2 clients, where they allow it, what an answer says they will need. It says so by a `Link` field with "
            "`rel=preload`, which a route's `fields` set, or its `app`. Browsers take no pushes any more.",
            precedent="nginx `http2_push_preload` off; Apache `H2Push` on.",
        ),
    ] = False
    trace: Annotated[
        bool,
        doc(
            "Answer the TRACE method, which sends a request back to whoever sent it. Fields with credentials are left out.",
            precedent="Apache `TraceEnable` on; nginx refuses it.",
        ),
    ] = False
    server_field: Annotated[str, doc("Value of the `Server` field of every answer. Empty: no such field.")] = "netlodge"
    site: Annotated[tuple[Site, ...], doc("The sites, each under its own `[[web.site]]`.")] = ()

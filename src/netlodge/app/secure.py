"""HTTPS: the certificates of a lodge, the TLS in front of its sessions, and what a site says of it to plain requests."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from netlodge.app.supplies import Supplies
from netlodge.config import settings as config
from netlodge.config.doors import speaks_tls
from netlodge.config.loading import Loaded
from netlodge.core.certificate_files import PairFiles
from netlodge.core.certificates import LOCALHOST, host_name, is_address
from netlodge.core.contracts import Connection, Session
from netlodge.core.errors import NetlodgeError
from netlodge.http.handlers.https import Https, is_request
from netlodge.http.message import Handler
from netlodge.http.rules.hosts import normal_host
from netlodge.net.certificates import Certificates, Stock
from netlodge.net.connection import StreamConnection
from netlodge.net.tls import TlsStream
from netlodge.net.tls_service import Cleartext, TlsCounters, TlsService
from netlodge.store.authority import DAY, Authority, make_root, read_root

logger = logging.getLogger("netlodge.tls")

WARNED_DAYS: Final = 60
"""How long before its end the root is spoken of: as long as a leaf lives until it is renewed."""


def with_https(handler: Handler, site: config.Site, supplies: Supplies) -> Handler:
    """`handler` with the redirect from plain requests and the HSTS field, where the site asks for them."""
    hsts = int(site.hsts)
    if site.https == "offered" and not hsts:
        return handler
    ports = [address.port for address in supplies.settings.web.listen_tls if not address.is_unix]
    return Https(handler, redirect_to=ports[0] if site.https == "required" and ports else None, hsts=hsts)


class SiteNames:
    """Which host names the sites answer to: the same rules as the router's, for names that clients ask certificates for."""

    def __init__(self, web: config.Web) -> None:
        hosts = {normal_host(host) for site in web.site for host in site.hosts or ("*",)}
        self._has_default = "*" in hosts
        self._below = tuple(host[1:] for host in hosts if host.startswith("*."))
        self._exact = frozenset(host for host in hosts if host_name(host) is not None)

    def may_sign(self, name: str) -> bool:
        """Whether a certificate is to be shown for this name, or address: a client that dials an address asks for no name, and which
        site it wants is told later."""
        return self._has_default or name in self._exact or name.endswith(self._below) or is_address(name)

    def is_expected(self, name: str) -> bool:
        """Whether somebody here has put the name into the settings, or the address on this machine."""
        return name in self._exact or name == LOCALHOST or is_address(name)


def prepare_tls(loaded: Loaded, stocks: Mapping[str, Stock]) -> dict[str, Stock]:
    """What this reading of the settings has for the doors that speak TLS, from what the one before had. Called by the supervisor.
    Raises `NetlodgeError`: a certificate cannot be used, or the authority's folder not be written to."""
    if not speaks_tls(loaded.settings, loaded.doors):
        return dict(stocks)
    folder, now = loaded.settings.ca_folder, time.time()
    try:
        make_root(folder, now)
    except OSError as error:
        raise NetlodgeError(f"data: the local authority cannot be made in {folder}: {error.strerror}.") from error
    root = read_root(folder)
    if now < root.begins:
        logger.warning(
            "The time of the local authority (%s) has not come yet. Was the clock wrong, or is it now?", root.name
        )
    elif root.ends < now + WARNED_DAYS * DAY:
        logger.warning(
            "The time of the local authority (%s) %s; remove %s, start again, and run `netlodge ca install`.",
            root.name, "is over" if root.ends <= now else "is over soon", folder,
        )  # fmt: skip
    wanted = [PairFiles(each.certificate, each.key) for each in loaded.settings.tls.certificate]
    return {door: stock.taking(wanted) for door, stock in stocks.items()}


class SecureDoor:
    """TLS in front of one door's sessions, in one worker."""

    def __init__(
        self,
        door: str,
        supplies: Supplies,
        new_session: Callable[[TlsStream], Session],
        *,
        in_the_clear: Callable[[Connection], Session],
    ) -> None:
        """`in_the_clear` makes the session of a client that speaks HTTP without TLS. Raises `NetlodgeError` if there is no authority."""
        settings, series = supplies.settings, supplies.shared.series.tls[door]
        limits = settings.limits
        names = SiteNames(settings.web)
        authority = Authority(
            settings.ca_folder,
            may_sign=names.may_sign,
            is_expected=names.is_expected,
            capacity=limits.certificates,
            per_minute=limits.certificate_rate,
        )
        self._certificates = Certificates(
            supplies.shared.tls[door],
            [authority],
            minimum=settings.tls.minimum,
            capacity=limits.certificates,
            clock=supplies.clock,
            protocols=("h2", "http/1.1") if settings.web.http2 else ("http/1.1",),
        )
        self._service = TlsService(
            contexts=self._certificates,
            counters=TlsCounters(series.handshakes, series.failures, series.truncated),
            handshake_timeout=limits.handshake_timeout,
            cleartext=Cleartext(is_request, in_the_clear),
        )
        self._new_session = new_session

    def __call__(self, connection: StreamConnection) -> Session:
        return TlsStream(connection, self._service, self._new_session)

    def review(self) -> None:
        """Take up certificates that have changed. Called about once a second."""
        self._certificates.review()

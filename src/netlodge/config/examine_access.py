"""What is wrong with settings of access and of CORS, and what is allowed but hardly meant.

RFC 9110 §5.6.2 (tokens), §11.5 (realm); RFC 6454 §6.2 (origins); the Fetch standard's CORS protocol (no wildcard with credentials).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from netlodge.config.access import Access, Cors
from netlodge.config.address import Address
from netlodge.config.errors import KeyPath, dotted
from netlodge.config.settings import Settings
from netlodge.core.account_names import AccountNameError, normal_name
from netlodge.core.networks import UNIX, NetworkError, parse_network

if TYPE_CHECKING:
    from netlodge.config.examine import Finding

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_PORTS: Final = {"http": 80, "https": 443}
SLOWEST: Final = 1 / 86400
"""Times a second: less than once a day is no rate that anybody would know for one."""


def examine_access(settings: Settings) -> Iterator[Finding]:
    """Everything that is wrong with the access of sites and routes, and with the CORS of routes."""
    for index, site in enumerate(settings.web.site):
        at: KeyPath = ("web", "site", index)
        yield from _examine_access(site.access, (*at, "access"))
        for number, route in enumerate(site.routes):
            here: KeyPath = (*at, "routes", number)
            yield from _examine_access(
                route.access, (*here, "access"), may_log_in=site.access.login or route.uploads == "login"
            )
            yield from _examine_cors(route.cors, (*here, "cors"))


def examine_networks(networks: Sequence[str], at: KeyPath) -> Iterator[Finding]:
    """What is no network, and no `unix:`, in the list at `at`."""
    for index, network in enumerate(networks):
        try:
            if network != UNIX:
                parse_network(network)
        except NetworkError as error:
            yield (*at, index), network, str(error)


def _examine_access(access: Access, at: KeyPath, *, may_log_in: bool = False) -> Iterator[Finding]:
    yield from examine_networks(access.networks, (*at, "networks"))
    seen: dict[str, str] = {}
    for index, user in enumerate(access.users):
        try:
            name = normal_name(user)
        except AccountNameError as error:
            yield (*at, "users", index), user, f"is no name of an account: {error}"
            continue
        if name in seen:
            yield (*at, "users", index), user, f'is the same account as "{seen[name]}"'
        seen.setdefault(name, user)
    if access.users and not (access.login or may_log_in):
        yield (*at, "users"), None, "has no meaning without login: nobody is asked who they are; set login = true"
    if _CONTROL.search(access.realm):
        yield (*at, "realm"), access.realm, "must not have control characters"
    if 0 < access.rate < SLOWEST:
        yield (
            (*at, "rate"),
            access.rate,
            'is less than once a day; to let nobody in use networks, to set no bound "0/s"',
        )


def _examine_cors(cors: Cors, at: KeyPath) -> Iterator[Finding]:
    for index, origin in enumerate(cors.origins):
        if complaint := _complaint_about_origin(origin):
            yield (*at, "origins", index), origin, complaint
    if "*" in cors.origins and len(cors.origins) > 1:
        yield (
            (*at, "origins"),
            None,
            'has "*", which is every origin, and others beside it; leave the one or the others',
        )
    for key, noun in (("methods", "method"), ("fields", "field name"), ("exposes", "field name")):
        for index, text in enumerate(getattr(cors, key)):
            if not _TOKEN.fullmatch(text):
                yield (*at, key, index), text, f"is no {noun} (RFC 9110 §5.6.2)"
            elif text == "*" and cors.credentials:
                yield (*at, key, index), text, "means nothing to a browser that sends credentials; name them"
            elif noun == "method" and text != text.upper():
                yield (*at, key, index), text, f'is another method than "{text.upper()}", which is what you may mean'
    if cors.credentials and "*" in cors.origins:
        yield (*at, "credentials"), True, 'cannot be with "*" in origins: any page could act in the name of its visitor'
    if not cors.origins:
        for key in ("methods", "fields", "exposes", "credentials"):
            if value := getattr(cors, key):
                yield (*at, key), value, "has no meaning without origins"


def _complaint_about_origin(origin: str) -> str:
    """Why this is no origin as a browser writes it (RFC 6454 §6.2); empty if it is one, or the wildcard."""
    if origin == "*":
        return ""
    if origin == "null":
        return "is what every page says that hides its origin, so it names none"
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return 'must be an origin, such as "https://app.example.org"'
    if not parts.scheme or not parts.hostname:
        return 'must be an origin, such as "https://app.example.org"'
    try:
        host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode("ascii")
    except UnicodeError:
        return "must have a host name"
    shown_port = "" if port is None or port == _PORTS.get(parts.scheme) else f":{port}"
    meant = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{shown_port}"
    if not _ORIGIN.fullmatch(meant):
        return 'must be an origin, such as "https://app.example.org"'
    return "" if origin == meant else f'is not as browsers write an origin; did you mean "{meant}"?'


def warn_of_access(settings: Settings) -> Iterator[str]:
    """A sentence for each site or route whose visitors would send passwords that others on the network can read."""
    open_addresses = [str(address) for address in settings.web.listen if not _is_of_this_machine(address)]
    if not open_addresses:
        return
    for index, site in enumerate(settings.web.site):
        if site.https == "required":
            continue
        at: KeyPath = ("web", "site", index)
        asking = [(*at, "access", "login")] if site.access.login else []
        asking += [
            (*at, "routes", number, *key)
            for number, route in enumerate(site.routes)
            for key, asks in ((("access", "login"), route.access.login), (("uploads",), route.uploads == "login"))
            if asks
        ]
        if asking:
            keys = ", ".join(map(dotted, asking))
            yield (
                f"{keys}: logins come over {', '.join(open_addresses)} without TLS, for everyone on the way to read; "
                f'set {dotted((*at, "https"))} to "required", or take the address out of web.listen.'
            )


def _is_of_this_machine(address: Address) -> bool:
    return address.is_unix or ipaddress.ip_address(address.host).is_loopback

"""What is wrong with settings whose values are each right: what contradicts another, and what the disk does not have.

RFC 9110 §5.1 and §5.5 (field names and values), §8.3.1 (media types), §15.4 (redirects); RFC 952 and 1123 §2.1 (host names).
"""

from __future__ import annotations

import grp
import ipaddress
import os
import pwd
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from netlodge.config.address import Address
from netlodge.config.doors import listens
from netlodge.config.errors import KeyPath, dotted
from netlodge.config.examine_access import examine_access
from netlodge.config.examine_apps import examine_apps
from netlodge.config.examine_content import examine_content
from netlodge.config.examine_database import examine_database
from netlodge.config.examine_tls import examine_tls
from netlodge.config.settings import Route, Settings, Site

Finding = tuple[KeyPath, object, str]
"""Which key, its value (None: not to be shown), and the complaint."""

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE: Final = re.compile(r"(?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?")
_MEDIA_TYPE: Final = re.compile(
    rf"{_TOKEN.pattern}/{_TOKEN.pattern}(?:[ \t]*;[ \t]*{_TOKEN.pattern}=(?:{_TOKEN.pattern}|\"[^\"\\]*\"))*"
)
_HOST_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_ROUTE_PATH: Final = re.compile(r"(?!.*/\.{1,2}(?:/|$))/[^\x00-\x1f\x7f?#]*")
_REDIRECT_TARGET: Final = re.compile(r"(?:/(?![/\\])|https?://[!-.0-~])[!-~]*")

_SESSION_FIELDS: Final = frozenset(
    {
        "connection",
        "content-length",
        "content-range",
        "date",
        "etag",
        "keep-alive",
        "last-modified",
        "location",
        "server",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Fields that the session or the handler computes for each answer: set by hand they would break its framing or lie."""

_WITHIN: Final = (("request_line_size", "head_size"), ("form_field_size", "form_size"), ("form_head_size", "form_size"))
"""Sizes that would be without effect above another."""
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_BODILESS: Final = (204, 205, 304)
ERROR_PAGE_STATUSES: Final = frozenset({400, 401, 403, 404, 405, 409, 412, 415, 416, 429, 500, 501, 503, 507})
"""The errors that a site can raise, with its page for them. Others end the connection or are told before a site is chosen."""
_KEYS_OF_FILES: Final = (
    "index", "listing", "fallback", "hidden", "uploads", "variants", "language", "precompressed",
)  # fmt: skip


def examine(settings: Settings, name: Callable[[KeyPath], str] = dotted) -> Iterator[Finding]:
    """Everything that is wrong across keys or on the disk, in the order of the settings. Reads the file system.

    `name` says how the sentences call a key.
    """
    if settings.data.exists() and not settings.data.is_dir():
        yield ("data",), settings.data, "is a file; it must be a folder, or not there yet"
    yield from _examine_owner(settings)
    yield from _examine_addresses(settings, name)
    yield from _examine_field_value(("web", "server_field"), settings.web.server_field)
    seen_hosts: dict[str, KeyPath] = {}
    for index, site in enumerate(settings.web.site):
        yield from _examine_site(site, ("web", "site", index), seen_hosts, settings.data, name)
    yield from examine_access(settings)
    yield from examine_apps(settings)
    yield from examine_database(settings)
    yield from examine_content(settings)
    yield from examine_tls(settings)
    for small, large in _WITHIN:
        size, whole = getattr(settings.limits, small), getattr(settings.limits, large)
        if size > whole:
            yield ("limits", small), size, f'must not be above limits.{large}, which is "{whole}"'


def _examine_owner(settings: Settings) -> Iterator[Finding]:
    """Whether the accounts exist. Whether this process may become them is asked when it is about to."""
    if settings.user and not _exists(settings.user, pwd.getpwnam, pwd.getpwuid):
        yield ("user",), settings.user, "is no user of this machine"
    if settings.group and not settings.user:
        yield ("group",), settings.group, "has no effect without user"
    elif settings.group and not _exists(settings.group, grp.getgrnam, grp.getgrgid):
        yield ("group",), settings.group, "is no group of this machine"


def _exists(account: str, by_name: Callable[[str], object], by_number: Callable[[int], object]) -> bool:
    try:
        if account.isascii() and account.isdigit():
            by_number(int(account))
        else:
            by_name(account)
    except (KeyError, OverflowError, ValueError):
        return False
    return True


def _examine_addresses(settings: Settings, name: Callable[[KeyPath], str]) -> Iterator[Finding]:
    taken: dict[Address, KeyPath] = {}
    for listen in listens(settings):
        address = listen.address
        if address.is_unix and listen.has_datagrams:
            yield listen.path, address, "must be an IP address: line services answer on UDP too"
        elif address in taken and (address.port or address.is_unix):
            yield listen.path, address, f"is taken by {name(taken[address])}"
        taken.setdefault(address, listen.path)


def _examine_site(
    site: Site, at: KeyPath, seen_hosts: dict[str, KeyPath], data: Path, name: Callable[[KeyPath], str]
) -> Iterator[Finding]:
    if not site.routes:
        yield (*at, "routes"), None, 'must have at least one route, such as { path = "/", files = "www" }'
    for index, host in enumerate(site.hosts or ("*",)):
        path: KeyPath = (*at, "hosts", index) if site.hosts else at
        complaint = "" if host == "*" else _host_complaint(host)
        if complaint:
            yield path, host, complaint
        elif host == "*" and host in seen_hosts:
            yield path, None, f"is for every host that no other site names, and so is {name(seen_hosts[host])}"
        elif _normal_host(host) in seen_hosts:
            yield path, host, f"is answered by {name(seen_hosts[_normal_host(host)])} already"
        seen_hosts.setdefault(_normal_host(host), path)
    seen_paths: set[tuple[bytes, ...]] = set()
    for index, route in enumerate(site.routes):
        here: KeyPath = (*at, "routes", index)
        # `/a` and `/a/` both stand for all below; an encoded slash separates nothing.
        bare_path = tuple(unquote_to_bytes(segment) for segment in route.path.rstrip("/").split("/"))
        if bare_path in seen_paths:
            yield (*here, "path"), route.path, "has a route in this site already"
        seen_paths.add(bare_path)
        yield from _examine_route(route, here, data)
    for status, file in site.error_pages.items():
        path = (*at, "error_pages", str(status))
        if not 400 <= status <= 599:
            yield path, file, "is for a status that is no error; error statuses are 400 to 599"
        yield from _examine_file(path, file)
    for index, rule in enumerate(site.fields):
        here = (*at, "fields", index)
        if not rule.path.startswith(("/", "*")):
            yield (*here, "path"), rule.path, 'must begin with "/" or "*"'
        yield from _examine_field_value((*here, "cache_control"), rule.cache_control)
        yield from _examine_fields((*here, "set"), rule.set)
    seen_extensions: dict[str, str] = {}
    for extension, media_type in site.media_types.items():
        path = (*at, "media_types", extension)
        if (seen := seen_extensions.setdefault(extension.lower(), extension)) != extension:
            yield path, media_type, f'is the same extension as "{seen}"; case makes no difference'
        if not extension.startswith(".") or len(extension) < 2 or "/" in extension:
            yield path, media_type, 'must have an extension as its key, with its dot, such as ".gmi"'
        if not _MEDIA_TYPE.fullmatch(media_type):
            yield path, media_type, 'must be a media type, such as "text/plain; charset=utf-8"'


def _normal_host(host: str) -> str:
    """The form in which two hosts are compared, as the router compares them."""
    try:
        return f"[{ipaddress.IPv6Address(host.removeprefix('[').removesuffix(']'))}]"
    except ValueError:
        return host.lower()


def _host_complaint(host: str) -> str:
    """Why `host` is no pattern of hosts; empty if it is one."""
    if not host.isascii():
        try:
            return f'must be in ASCII; did you mean "{host.encode("idna").decode("ascii")}"?'
        except UnicodeError:
            return "must be a host name in ASCII"
    for literal in (host.removeprefix("[").removesuffix("]"), host):
        try:
            is_bracketed = host.startswith("[") and host.endswith("]")
            version = ipaddress.ip_address(literal).version
        except ValueError:
            continue
        return (
            "" if is_bracketed == (version == 6) else f'must have brackets around IPv6 alone; did you mean "[{host}]"?'
        )
    if "/" in host:
        return 'must be a host name, not a URI, such as "www.example.org"'
    if re.search(r":[0-9]+$", host):
        return f'must not have a port; did you mean "{host.rpartition(":")[0]}"?'
    labels = host.lower().removeprefix("*.").split(".")
    if "*" in "".join(labels):
        return 'may have one "*", as its whole first label, such as "*.example.net"'
    if len(host) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        return 'must be a host name, such as "www.example.org" or "*.example.net"'
    return ""


def _examine_route(route: Route, at: KeyPath, data: Path) -> Iterator[Finding]:
    if not route.path.startswith("/"):
        yield (*at, "path"), route.path, f'must begin with "/"; did you mean "/{route.path}"?'
    elif not _ROUTE_PATH.fullmatch(route.path):
        yield (*at, "path"), route.path, "must be a path without dot segments, query and control characters"
    given = [key for key in ("files", "app", "redirect", "respond") if getattr(route, key) is not None]
    if len(given) != 1:
        has = f"has {' and '.join(given)}" if given else "has none"
        yield at, None, f"{has}; a route has exactly one of files, app, redirect and respond"
    if route.files is not None:
        yield from _examine_folder(route, (*at, "files"), route.files, data)
        for place, index in enumerate(route.index):
            if index in ("", ".", "..") or not index.isprintable() or "/" in index or "\\" in index:
                yield (*at, "index", place), index, 'must be the name of a file, such as "index.html"'
    else:
        defaults = Route(path="/")
        for key in _KEYS_OF_FILES:
            if getattr(route, key) != getattr(defaults, key):
                yield (*at, key), getattr(route, key), "has no meaning without files"
    if route.redirect is not None:
        if not _REDIRECT_TARGET.fullmatch(route.redirect):
            yield (
                (*at, "redirect"),
                route.redirect,
                'must be a path or an http or https URI, percent-encoded, such as "/new/"',
            )
        if route.status is not None and route.status not in _REDIRECTS:
            yield (*at, "status"), route.status, f"is no redirect; choose one of {', '.join(map(str, _REDIRECTS))}"
    if route.respond and route.status in _BODILESS:
        yield (*at, "respond"), route.respond, f'must be "": an answer of status {route.status} has no content'
    if route.status is not None and given == ["files"]:
        yield (*at, "status"), route.status, "has no meaning with files"
    yield from _examine_field_value((*at, "cache_control"), route.cache_control)
    yield from _examine_fields((*at, "fields"), route.fields)


def _examine_folder(route: Route, at: KeyPath, folder: Path, data: Path) -> Iterator[Finding]:
    """The folder must be readable, and must not show the data folder: logs and, one day, letters are in there."""
    if not folder.exists():
        yield at, folder, "there is no such folder"
    elif not folder.is_dir():
        yield at, folder, "is no folder"
    elif not os.access(folder, os.R_OK | os.X_OK):
        yield at, folder, "cannot be read by this user"
    elif route.fallback:
        yield from _examine_fallback(route.fallback, (*at[:-1], "fallback"), folder)
    if shows(folder, data, hidden=route.hidden):
        yield (
            at,
            folder,
            f"would show the data folder, {data}, to everyone; choose another folder, or another data",
        )


def _examine_fallback(fallback: str, at: KeyPath, folder: Path) -> Iterator[Finding]:
    if Path(fallback).is_absolute() or ".." in Path(fallback).parts:
        yield at, fallback, "must be a file within files"
    elif not (folder / fallback).is_file():
        yield at, fallback, f"there is no such file in {folder}"


def shows(folder: Path, inner: Path, *, hidden: bool) -> bool:
    """Whether serving `folder` would serve what is in `inner`. Names with a leading dot are not served unless `hidden`."""
    root, target = folder.resolve(), inner.resolve()
    if not target.is_relative_to(root):
        return False
    return hidden or not any(part.startswith(".") for part in target.relative_to(root).parts)


def _examine_file(at: KeyPath, file: Path) -> Iterator[Finding]:
    if not file.is_file():
        yield at, file, "there is no such file"
    elif not os.access(file, os.R_OK):
        yield at, file, "cannot be read by this user"


def _examine_fields(at: KeyPath, fields: Mapping[str, str]) -> Iterator[Finding]:
    for name, value in fields.items():
        if not _TOKEN.fullmatch(name):
            yield (*at, name), value, "is no field name (RFC 9110 §5.1)"
        elif name.lower() in _SESSION_FIELDS:
            yield (*at, name), value, "is a field that the lodge computes itself"
        yield from _examine_field_value((*at, name), value)


def _examine_field_value(at: KeyPath, value: str) -> Iterator[Finding]:
    if not _FIELD_VALUE.fullmatch(value):
        yield at, value, "is no field value: it has control characters, characters beyond Latin-1, or space at its ends"

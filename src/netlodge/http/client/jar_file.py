"""A jar in a file that its owner alone can read, as JSON or in the format of Netscape's cookies.txt, which curl and wget know.

The JSON is one object: `{"format": "netlodge-cookies-1", "cookies": [...]}`, each cookie with the members of `jar.Cookie`. A file keeps
the format that it has; a new one is JSON. It is replaced in one step: whoever reads it meanwhile sees the old one or the new one. The
session of a jar (RFC 6265bis §5.7) lasts as long as its file: cookies without an expiry are kept, too.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec

from netlodge.http.client.errors import JarError
from netlodge.http.client.jar import Cookie, Jar

FORMAT: Final = "netlodge-cookies-1"
FILE_SIZE: Final = 64 << 20
"""Octets of the largest file that is read: ten times what the limits of a jar allow."""
_NETSCAPE: Final = "# Netscape HTTP Cookie File"
_NETSCAPE_BEGINS: Final = re.compile(r"#[^\n]*HTTP Cookie File")
_HTTP_ONLY: Final = "#HttpOnly_"


class _Kept(msgspec.Struct):
    format: Literal["netlodge-cookies-1"]
    cookies: list[Cookie]


def load_jar(path: Path, *, now: Callable[[], float] = time.time) -> Jar:
    """The jar in the file; an empty one if there is none. Raises `JarError`."""
    try:
        with path.open("rb") as file:
            octets = file.read(FILE_SIZE + 1)
    except FileNotFoundError:
        return Jar(now=now)
    except OSError as error:
        raise JarError(f"the cookies in {path} cannot be read: {error.strerror}. Check its permissions.") from error
    if len(octets) > FILE_SIZE:
        raise JarError(f"{path} has more than {FILE_SIZE} octets. Is it a file of cookies?")
    if not octets.strip():
        return Jar(now=now)
    if _is_netscape(octets):
        return Jar(read_netscape(octets.decode("utf-8", "replace"), now=now()), now=now)
    try:
        kept = msgspec.json.decode(octets, type=_Kept)
    except msgspec.DecodeError as error:
        raise JarError(
            f"{path} holds no cookies as they are known here ({error}). Name another file, or remove it."
        ) from error
    return Jar(kept.cookies, now=now)


def save_jar(jar: Jar, path: Path) -> None:
    """Write the jar to the file, in the format that the file has. Raises `JarError`."""
    cookies = jar.cookies()
    if not jar.is_changed:
        return
    try:
        with path.open("rb") as file:
            is_netscape = _is_netscape(file.read(256))
    except OSError:
        is_netscape = False
    octets = write_netscape(cookies).encode() if is_netscape else msgspec.json.encode(_Kept(FORMAT, cookies)) + b"\n"
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        # Its owner's from the first moment: who can read it is whoever it says it is.
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(octets)
                file.flush()
                os.fsync(descriptor)
            new.replace(path)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise
    except OSError as error:
        raise JarError(
            f"the cookies cannot be kept in {path}: {error.strerror}. Check that its folder can be written."
        ) from error


def _is_netscape(octets: bytes) -> bool:
    return _NETSCAPE_BEGINS.match(octets[:256].decode("latin-1")) is not None


def read_netscape(text: str, *, now: float) -> Iterator[Cookie]:
    """The cookies in a cookies.txt: lines of seven columns with tabs between. Other lines are passed over."""
    for line in text.splitlines():
        is_http_only = line.startswith(_HTTP_ONLY)
        columns = line.removeprefix(_HTTP_ONLY).split("\t")
        if len(columns) != 7 or (line.startswith("#") and not is_http_only):
            continue
        domain, has_subdomains, path, is_secure, expires, name, value = columns
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12 and path.startswith("/")):
            continue
        yield Cookie(
            name=name,
            value=value,
            domain=domain.removeprefix(".").lower(),
            is_host_only=has_subdomains != "TRUE",
            path=path,
            expires=int(expires) or None,
            is_secure=is_secure == "TRUE",
            is_http_only=is_http_only,
            same_site="Default",
            created=now,
            used=now,
        )


def write_netscape(cookies: Iterable[Cookie]) -> str:
    """A cookies.txt. What it has no column for (SameSite, when a cookie was made) is lost; a value with a tab cannot be told."""
    lines = [_NETSCAPE, ""]
    for cookie in cookies:
        if "\t" in cookie.name + cookie.value + cookie.path:
            continue
        columns = (
            ("" if cookie.is_host_only else ".") + cookie.domain,
            "FALSE" if cookie.is_host_only else "TRUE",
            cookie.path,
            "TRUE" if cookie.is_secure else "FALSE",
            str(cookie.expires or 0),
            cookie.name,
            cookie.value,
        )
        lines.append((_HTTP_ONLY if cookie.is_http_only else "") + "\t".join(columns))
    return "\n".join([*lines, ""])

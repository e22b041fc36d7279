"""URIs: references as the grammar has them, how one is resolved against another, and the web's own, read as leniently as people type.

RFC 3986 §3 (components), §4.2 (relative references), §5.2 (resolution, with its examples as tests), §5.3 (recomposition), §6.2.2
(normalization); RFC 9110 §4.2 (http and https), §4.2.4 (userinfo). Names beyond ASCII become IDNA names (RFC 5891, by UTS 46).

`parse_web_uri` forgives what the WHATWG URL standard forgives and curl's users expect: white space around, tabs and line ends within,
`\\` for `/`, characters that should have been percent-encoded, several `@`, and addresses as numbers (`127.1`, `0x7f000001`). The result
has one spelling: whoever judges a host judges what will be dialled. It does not forgive a missing host, as that standard does for
`http:///host`.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NamedTuple, cast
from urllib.parse import unquote_to_bytes

import idna

from netlodge.core.errors import NetlodgeError
from netlodge.http.rules.hosts import has_empty_label, normal_host

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# RFC 3986 Appendix B.
_REFERENCE: Final = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*")
_HAS_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+\-.]*:[/\\]{2}")
_OUTSIDE_PATH: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!$%&'()*+,\-./0-9:;=@A-Z\[\]_a-z|~]")
_OUTSIDE_QUERY: Final = re.compile(r"[^!$%&'()*+,\-./0-9:;=?@A-Z\[\\\]^_`a-z{|}~]")
_ENCODED: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset(b"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_NAME: Final = re.compile(r"[0-9a-z\-._]+")
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
_NUMBER_DIGITS: Final = 40
_AROUND: Final = "".join(map(chr, range(0x21)))


class UriError(NetlodgeError, ValueError):
    """What was given is not the URI of a resource that can be asked for."""


class Reference(NamedTuple):
    """A URI reference in its five components (RFC 3986 §4.1); None where one is absent, which differs from empty."""

    scheme: str | None
    authority: str | None
    path: str
    query: str | None
    fragment: str | None

    def __str__(self) -> str:
        """RFC 3986 §5.3."""
        scheme = f"{self.scheme}:" if self.scheme is not None else ""
        authority = f"//{self.authority}" if self.authority is not None else ""
        query = f"?{self.query}" if self.query is not None else ""
        fragment = f"#{self.fragment}" if self.fragment is not None else ""
        return f"{scheme}{authority}{self.path}{query}{fragment}"


def parse_reference(text: str) -> Reference:
    """Take a reference apart (RFC 3986 Appendix B). Every string is one: what stands in the components is not looked at."""
    match = cast("re.Match[str]", _REFERENCE.fullmatch(text))
    scheme, authority, path, query, fragment = match.groups()
    if scheme is not None and not _SCHEME.fullmatch(scheme):
        # "a path segment that contains a colon character" is no scheme (§4.2)
        scheme, path = None, f"{scheme}:{'' if authority is None else f'//{authority}'}{path}"
        authority = None
    return Reference(scheme, authority, path, query, fragment)


def resolve(base: Reference, reference: Reference) -> Reference:
    """The target of `reference` as it stands in what `base`, an absolute URI, names (RFC 3986 §5.2.2)."""
    if reference.scheme is not None:
        return reference._replace(path=remove_dot_segments(reference.path))
    if reference.authority is not None:
        return reference._replace(scheme=base.scheme, path=remove_dot_segments(reference.path))
    query = reference.query
    if not reference.path:
        path = base.path
        query = base.query if query is None else query
    elif reference.path.startswith("/"):
        path = remove_dot_segments(reference.path)
    else:
        path = remove_dot_segments(_merge(base, reference.path))
    return Reference(base.scheme, base.authority, path, query, reference.fragment)


def _merge(base: Reference, path: str) -> str:
    """RFC 3986 §5.2.3."""
    if base.authority is not None and not base.path:
        return f"/{path}"
    return base.path[: base.path.rfind("/") + 1] + path


def remove_dot_segments(path: str) -> str:
    """RFC 3986 §5.2.4: without `.` and `..`, none of which leads above the root."""
    if "." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            if len(kept) > 1 or (kept and kept[0]):
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."} and (kept and (len(kept) > 1 or kept[0] or path.startswith("/"))):
        kept.append("")
    return "/".join(kept)


class WebUri(NamedTuple):
    """A URI of http or https in one spelling (RFC 9110 §4.2.3), with its default port told."""

    scheme: str
    user: str | None
    """Decoded; None if there is no userinfo."""
    password: str
    host: str
    """Lower-case, an IDNA name or a numeric address, with brackets around IPv6."""
    port: int
    path: str
    """Begins with `/`."""
    query: str | None = None
    fragment: str | None = None

    @property
    def is_secure(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """As the Host field has it: without userinfo (RFC 9110 §7.2), the port only if it is another than the scheme's."""
        return self.host if self.port == DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def target(self) -> str:
        """Origin-form (RFC 9112 §3.2.1)."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    @property
    def absolute_target(self) -> str:
        """Absolute-form (RFC 9112 §3.2.2): no userinfo, no fragment."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def host_name(self) -> str:
        """What to resolve and dial: the host without brackets."""
        return self.host.strip("[]")

    def is_same_origin(self, other: WebUri) -> bool:
        """RFC 9110 §4.3.1."""
        return (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)

    def without_credentials(self) -> WebUri:
        return self._replace(user=None, password="")

    def __str__(self) -> str:
        """Without userinfo: that is for nobody to see (RFC 9110 §4.2.4)."""
        return self.absolute_target if self.fragment is None else f"{self.absolute_target}#{self.fragment}"


def parse_web_uri(text: str, *, default_scheme: str = "") -> WebUri:
    """Read a URI of http or https as a person typed it; see the module's text. With `default_scheme` it may begin with the host.

    Raises `UriError`.
    """
    text = _tidied(text)
    if default_scheme and not _HAS_SCHEME.match(text):
        text = f"{default_scheme}://{text.removeprefix('//')}"
    return _web_uri(parse_reference(_with_slashes(text)), text)


def resolve_web_uri(base: WebUri, location: str) -> WebUri:
    """The target of a Location field in the answer for `base` (RFC 9110 §10.2.2): "If the Location value provided in a 3xx (Redirection)
    response does not have a fragment component, a user agent MUST process the redirection as if the value inherits the fragment
    component". `location` has the octets of the wire as characters. Raises `UriError`."""
    octets = location.encode("latin-1", "replace")
    text = _tidied("".join(chr(octet) if octet < 0x80 else f"%{octet:02X}" for octet in octets))
    target = resolve(
        Reference(base.scheme, base.authority, base.path, base.query, None), parse_reference(_with_slashes(text))
    )
    if target.fragment is None:
        target = target._replace(fragment=base.fragment)
    return _web_uri(target, text)


def _tidied(text: str) -> str:
    return text.strip(_AROUND).translate({9: None, 10: None, 13: None})


def _with_slashes(text: str) -> str:
    """`\\` is `/` before the query."""
    end = next((place for place, character in enumerate(text) if character in "?#"), len(text))
    return text[:end].replace("\\", "/") + text[end:]


def _web_uri(reference: Reference, text: str) -> WebUri:
    scheme = (reference.scheme or "").lower()
    if scheme not in DEFAULT_PORTS:
        raise UriError(
            f"{text!r} does not begin with http:// or https://"
            + (f"; {scheme}: is not spoken here." if scheme else ".")
        )
    # "A sender MUST NOT generate an "http" URI with an empty host identifier." (RFC 9110 §4.2.1)
    user_info, at, place = (reference.authority or "").rpartition("@")
    host, port = _host_and_port(place, text)
    user, _, password = user_info.partition(":")
    path = remove_dot_segments(_encoded(reference.path, _OUTSIDE_PATH))
    return WebUri(
        scheme=scheme,
        user=_decoded(user) if at else None,
        password=_decoded(password),
        host=host,
        port=DEFAULT_PORTS[scheme] if port is None else port,
        path=path if path.startswith("/") else f"/{path}",
        query=None if reference.query is None else _encoded(reference.query, _OUTSIDE_QUERY),
        fragment=reference.fragment,
    )


def _encoded(text: str, outside: re.Pattern[str]) -> str:
    """With percent-encoding where a character may not stand, and without it where it says nothing (RFC 3986 §6.2.2.2)."""
    text = outside.sub(lambda match: "".join(f"%{octet:02X}" for octet in match[0].encode("utf-8", "replace")), text)
    return _ENCODED.sub(_normal_octet, text) if "%" in text else text


def _normal_octet(match: re.Match[str]) -> str:
    octet = int(match[1], 16)
    return chr(octet) if octet in _UNRESERVED else match[0].upper()


def _decoded(text: str) -> str:
    return unquote_to_bytes(text.encode("utf-8", "replace")).decode("utf-8", "replace")


def _host_and_port(place: str, text: str) -> tuple[str, int | None]:
    end = place.find("]") + 1 if place.startswith("[") else place.rfind(":")
    host, digits = (place, "") if end < 0 else (place[:end], place[end:])
    if digits and not digits.startswith(":"):
        raise UriError(f"{text!r}: after the address in brackets there is more than a port.")
    digits = digits[1:]
    if not digits:
        return _host(host, text), None
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 0 < int(digits) < 65536):
        raise UriError(f"{text!r}: the port {digits!r} is not a number from 1 to 65535.")
    return _host(host, text), int(digits)


def _host(host: str, text: str) -> str:
    if host.startswith("["):
        try:
            return f"[{IPv6Address(host[1:-1].partition('%')[0])}]"
        except AddressValueError:
            raise UriError(f"{text!r}: {host} is not an IPv6 address.") from None
    name = _decoded(host)
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise UriError(f"{text!r}: {name!r} is no name of a host ({error}).") from None
    name = normal_host(name)
    if not _NAME.fullmatch(name) or has_empty_label(name):
        raise UriError(f"{text!r}: {name!r} is no name of a host." if name else f"{text!r} names no host.")
    last = name.rpartition(".")[2]
    return _address(name, text) if _NUMBER.fullmatch(last) else name


def _address(name: str, text: str) -> str:
    """An IPv4 address in any form that the C library reads (WHATWG URL §3.5, "IPv4 parser"): fewer parts, hexadecimal, octal."""
    numbers = [_number(part) for part in name.split(".")]
    last = numbers[-1]
    if len(numbers) <= 4 and last is not None and last < 256 ** (5 - len(numbers)):
        value = last
        for place, number in enumerate(numbers[:-1]):
            if number is None or number > 255:
                break
            value += number << (24 - 8 * place)
        else:
            return str(IPv4Address(value))
    raise UriError(f"{text!r}: {name} is not an IPv4 address.")


def _number(part: str) -> int | None:
    if not _NUMBER.fullmatch(part) or len(part) > _NUMBER_DIGITS:
        return None
    if part[:2].lower() == "0x":
        return int(part[2:] or "0", 16)
    if len(part) > 1 and part.startswith("0"):
        return int(part, 8) if set(part) <= set("01234567") else None
    return int(part)

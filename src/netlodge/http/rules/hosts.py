"""Host names and addresses as the settings and requests write them, in the one form in which two of them are compared.

RFC 9110 §4.2.3 (hosts are case-insensitive), RFC 3986 §3.2.2 (IPv6 literals, names that end in a dot). The one form of a literal is
that of RFC 5952; that no label but the last may be empty is from RFC 1034.
"""

from __future__ import annotations

from ipaddress import IPv6Address


def normal_host(host: str) -> str:
    """The host in lower case, without the dot that may end a name; an IPv6 literal, in its brackets, as short as it can be written."""
    host = host.lower()
    if host.startswith("[") and host.endswith("]"):
        try:
            return f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            return host  # of a version of the future (IPvFuture), or none: equal to itself alone
    return host.removesuffix(".")


def has_empty_label(host: str) -> bool:
    """Whether a name in normal form has nothing before, between or behind its dots, and so is the name of no host."""
    return host.startswith(".") or host.endswith(".") or ".." in host

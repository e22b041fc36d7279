"""What compressing an answer on the way out changes of it: which answers it is for, and what becomes of their entity tags.

RFC 9110 §8.4 (Content-Encoding), §8.8.3.3 (entity tags of content that is negotiated), §13.1.2 (If-None-Match), §7.7 and RFC 9111
§5.2.2.6 (`no-transform`).

What is compressed on the fly has the tag of what it was made from, with the coding behind it, and weak: `"abc"` becomes `W/"abc.gzip"`.
Weak, because another version of a library may make other octets of the same content. So If-None-Match finds it, and If-Match and If-Range
never do: of what has a weak tag no part is ever sent.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from netlodge.http.message import Fields
from netlodge.http.rules.conditional import EntityTag, is_weak_match, parse_entity_tag, parse_entity_tags

LEAST: Final = 1024
"""Octets below which nothing is compressed: it travels in one packet as it is. Precedent: Apache and Caddy have 512, nginx 20."""

_COMPRESSIBLE: Final = re.compile(
    r"text/.+|.+\+(?:json|xml|yaml|text)"
    r"|application/(?:json|jsonl|json-seq|x-ndjson|xml|xml-dtd|javascript|x-javascript|ecmascript|wasm|yaml|graphql|rtf|toml|sql"
    r"|postscript|vnd\.apple\.mpegurl|vnd\.ms-fontobject|x-sh|x-pem-file)"
    r"|font/(?:ttf|otf|collection)|image/(?:bmp|vnd\.microsoft\.icon|x-icon)"
)
"""Media types of which a third or less is left. Not those whose formats are compressed already."""

_UNTOUCHABLE: Final = frozenset(
    {"content-encoding", "content-range", "content-md5", "digest", "content-digest", "repr-digest"}
)
"""Fields that say that it is encoded already, or a part, or that count on its octets (RFC 9530)."""
_BODILESS: Final = frozenset({204, 205, 206, 304})


@lru_cache(maxsize=256)
def is_compressible(content_type: str | None) -> bool:
    """Whether content of this type gets smaller by compression."""
    return (
        content_type is not None
        and _COMPRESSIBLE.fullmatch(content_type.partition(";")[0].strip(" \t").lower()) is not None
    )


def may_be_coded(status: int, fields: Fields) -> bool:
    """Whether an answer's content may be sent in a coding that the client takes.

    RFC 9111 §5.2.2.6: `no-transform` is for intermediaries; but whoever says so of an answer does not want it touched.
    """
    if status < 200 or status in _BODILESS or not is_compressible(fields.get("content-type")):
        return False
    return _UNTOUCHABLE.isdisjoint(fields.names) and (
        "cache-control" not in fields or "no-transform" not in fields.list_of("cache-control")
    )


def coded_tag(value: str, coding: str) -> str | None:
    """The ETag of what was compressed, from the ETag of what it was made from; None if that is none."""
    tag = parse_entity_tag(value)
    return None if tag is None else str(EntityTag(f"{tag.opaque}.{coding}", is_weak=True))


def with_plain_tags(value: str, coding: str) -> str:
    """An If-None-Match as the handler is asked that knows nothing of the coding: for each tag that may be of a compressed answer,
    the one that it was made from stands in the list as well."""
    suffix = f".{coding}"
    tags = parse_entity_tags(value) if suffix in value else None
    if tags is None:
        return value
    plain = [EntityTag(tag.opaque.removesuffix(suffix), is_weak=True) for tag in tags if tag.opaque.endswith(suffix)]
    return ", ".join(map(str, (*tags, *plain)))


def tag_of_304(value: str, etag: str, coding: str) -> str:
    """The ETag of a 304 to this If-None-Match: that of the compressed answer if the client has that one, else `etag`, the handler's.

    The answer that the client has is the one that is selected: it could be sent now as it is.
    """
    tag = parse_entity_tag(etag)
    tags = parse_entity_tags(value)
    if tag is None or tags is None:
        return etag
    coded = EntityTag(f"{tag.opaque}.{coding}", is_weak=True)
    return str(coded) if any(is_weak_match(coded, each) for each in tags) else etag

"""Conditional requests: entity tags, how they compare, and the preconditions in the one order that is allowed.

RFC 9110 §8.8.2.2 (dates as validators), §8.8.3 (entity tags), §13.1 (preconditions), §13.2 (evaluation).
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from enum import Enum
from hashlib import blake2b
from typing import Final, NamedTuple

from netlodge.http.message import Fields
from netlodge.http.rules.dates import is_imf_fixdate, parse_date


class EntityTag(NamedTuple):
    """RFC 9110 §8.8.3. `opaque` stands without its quotes."""

    opaque: str
    is_weak: bool = False

    @classmethod
    def of(cls, data: bytes) -> EntityTag:
        """A strong tag of what `data` says, 144 bits of its digest in 24 characters. §8.8.1: "A collision-resistant hash function applied
        to the representation data is also sufficient"."""
        return cls(urlsafe_b64encode(blake2b(data, digest_size=18).digest()).decode("ascii"))

    def __str__(self) -> str:
        return f'W/"{self.opaque}"' if self.is_weak else f'"{self.opaque}"'


# entity-tag = [ %s"W/" ] DQUOTE *( %x21 / %x23-7E / obs-text ) DQUOTE. A comma may stand inside.
_ENTITY_TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_SEPARATOR: Final = re.compile(r"[ \t]*,[ \t,]*")


def parse_entity_tag(value: str) -> EntityTag | None:
    """Read one entity tag; None if the value is anything else."""
    match = _ENTITY_TAG.fullmatch(value)
    return EntityTag(match[2], match[1] is not None) if match else None


def parse_entity_tags(value: str) -> tuple[EntityTag, ...] | None:
    """Read `#entity-tag`, empty list members left out (RFC 9110 §5.6.1.2); None if anything in it is not an entity tag."""
    tags: list[EntityTag] = []
    end = len(value.rstrip(" \t,"))
    place = len(value) - len(value.lstrip(" \t,"))
    while place < end:
        match = _ENTITY_TAG.match(value, place)
        if match is None:
            return None
        tags.append(EntityTag(match[2], match[1] is not None))
        place = match.end()
        if place < end:
            separator = _SEPARATOR.match(value, place)
            if separator is None:
                return None
            place = separator.end()
    return tuple(tags)


def is_strong_match(one: EntityTag, other: EntityTag) -> bool:
    """RFC 9110 §8.8.3.2: equivalent if both are not weak and their opaque-tags match character by character."""
    return not one.is_weak and not other.is_weak and one.opaque == other.opaque


def is_weak_match(one: EntityTag, other: EntityTag) -> bool:
    """RFC 9110 §8.8.3.2: equivalent if their opaque-tags match, regardless of either being weak."""
    return one.opaque == other.opaque


class Outcome(Enum):
    """What the preconditions leave to do."""

    PROCEED = "perform the method; a Range applies"
    PROCEED_WHOLE = "perform the method; ignore Range"
    NOT_MODIFIED = "respond 304"
    PRECONDITION_FAILED = "respond 412"


def evaluate(
    method: str,
    fields: Fields,
    *,
    etag: EntityTag | None,
    last_modified: int | None,
    exists: bool,
    now: int,
) -> Outcome:
    """Evaluate the preconditions of a request in the order of RFC 9110 §13.2.2.

    `etag` and `last_modified` (seconds since the epoch, a fraction rounded up, so that no date seems to cover a later change)
    are those of the selected representation, None where it has none; `exists` says whether there is one at all. `now` is the
    server's clock. To be called only when the answer without preconditions would be 2xx (§13.2.1), and not for CONNECT,
    OPTIONS or TRACE.
    """
    is_read = method in ("GET", "HEAD")
    # 1. and 2. "A recipient MUST ignore If-Unmodified-Since if the request contains an If-Match header field", §13.1.4.
    if (if_match := fields.get("if-match")) is not None:
        if not _if_match(if_match, etag, exists):
            return Outcome.PRECONDITION_FAILED
    elif _is_modified_since(fields.get("if-unmodified-since"), last_modified, now) is True:
        return Outcome.PRECONDITION_FAILED
    # 3. and 4. "A recipient MUST ignore If-Modified-Since if the request contains an If-None-Match header field", §13.1.3.
    if (if_none_match := fields.get("if-none-match")) is not None:
        if not _if_none_match(if_none_match, etag, exists):
            return Outcome.NOT_MODIFIED if is_read else Outcome.PRECONDITION_FAILED
    elif is_read and _is_modified_since(fields.get("if-modified-since"), last_modified, now) is False:
        return Outcome.NOT_MODIFIED
    # 5. "A server MUST ignore an If-Range header field received in a request that does not contain a Range header field."
    if_range = fields.get("if-range") if method == "GET" and "range" in fields else None
    if if_range is not None and not is_if_range_true(if_range, etag=etag, last_modified=last_modified, now=now):
        return Outcome.PROCEED_WHOLE
    # 6.
    return Outcome.PROCEED


def is_if_range_true(value: str, *, etag: EntityTag | None, last_modified: int | None, now: int) -> bool:
    """RFC 9110 §13.1.5: whether the partial copy that the client has is of the current representation.

    A date is a strong validator (§8.8.2.2) only once its second has passed: before, the representation may yet change again
    and keep the same date. That the date came with a later `Date` is the client's duty to know.
    """
    # "A valid entity-tag can be distinguished from a valid HTTP-date by examining the first three characters for a DQUOTE."
    if '"' in value[:3]:
        tag = parse_entity_tag(value)
        return tag is not None and etag is not None and is_strong_match(tag, etag)
    date = parse_date(value, now=now)
    # "Note that the If-Range comparison is by exact match, including when the validator is an HTTP-date"
    return date is not None and date == last_modified and date < now


def depends_on_time(fields: Fields, *, last_modified: int | None, now: int) -> bool:
    """Whether `evaluate` might say something else later, with nothing but the time having moved: such an answer must not be
    remembered. True for a date in an obsolete format (its century moves), and for an If-Range within the second of the change."""
    for name in ("if-modified-since", "if-unmodified-since", "if-range"):
        value = fields.get(name)
        if value is None or '"' in value[:3]:
            continue
        if not is_imf_fixdate(value):
            return True
        if name == "if-range" and last_modified is not None and last_modified >= now:
            return True
    return False


def _if_match(value: str, etag: EntityTag | None, exists: bool) -> bool:
    """§13.1.1: "An origin server MUST use the strong comparison function when comparing entity tags for If-Match"."""
    if value == "*":
        return exists
    tags = parse_entity_tags(value)
    # 3. "Otherwise, the condition is false": so it is for a value that is no list of entity tags.
    return tags is not None and etag is not None and any(is_strong_match(tag, etag) for tag in tags)


def _if_none_match(value: str, etag: EntityTag | None, exists: bool) -> bool:
    """§13.1.2: "A recipient MUST use the weak comparison function when comparing entity tags for If-None-Match"."""
    if value == "*":
        return not exists
    tags = parse_entity_tags(value)
    # 3. "Otherwise, the condition is true".
    return tags is None or etag is None or not any(is_weak_match(tag, etag) for tag in tags)


def _is_modified_since(value: str | None, last_modified: int | None, now: int) -> bool | None:
    """Whether the representation was modified after the date. None: the field is absent, or to be ignored, because it is "not
    a valid HTTP-date", "has more than one member", or "the resource does not have a modification date available" (§13.1.3, §13.1.4)."""
    if value is None or last_modified is None:
        return None
    date = parse_date(value, now=now)
    return None if date is None else last_modified > date

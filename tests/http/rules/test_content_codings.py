"""RFC 9110 §8.4, §8.8.3.3, §13.1.2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.http.message import Fields
from netlodge.http.rules import conditional
from netlodge.http.rules.conditional import EntityTag, parse_entity_tag
from netlodge.http.rules.content_codings import (
    coded_tag,
    is_compressible,
    may_be_coded,
    tag_of_304,
    with_plain_tags,
)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html; charset=utf-8", "TEXT/CSS", "text/javascript", "text/event-stream", "application/json", "application/ld+json",
        "application/xhtml+xml", "image/svg+xml", "application/wasm", "application/javascript", "font/ttf", "application/xml ;a=b",
    ],
)  # fmt: skip
def test_text_is_worth_it(content_type: str) -> None:
    assert is_compressible(content_type)


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text", "text/", "image/png", "font/woff2", "application/zip", "video/mp4", "application/octet-stream"],
)
def test_what_is_compressed_already_is_not(content_type: str | None) -> None:
    assert not is_compressible(content_type)


@pytest.mark.parametrize("status", [200, 201, 404, 500])
def test_any_status_with_content_may_be(status: int) -> None:
    assert may_be_coded(status, Fields([("content-type", "text/plain")]))


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (101, {}), (204, {}), (206, {}), (304, {}),
        (200, {"content-type": "image/png"}),
        (200, {"content-encoding": "gzip"}),
        (200, {"content-range": "bytes 0-1/2"}),
        (200, {"repr-digest": "sha-256=:x:"}),
        (200, {"cache-control": "max-age=1, No-Transform"}),
    ],
)  # fmt: skip
def test_some_answers_stay_as_they_are(status: int, fields: dict[str, str]) -> None:
    assert not may_be_coded(status, Fields({"content-type": "text/plain", **fields}.items()))


@pytest.mark.parametrize(
    ("etag", "expected"), [('"abc"', 'W/"abc.gzip"'), ('W/"abc"', 'W/"abc.gzip"'), ('""', 'W/".gzip"'), ("abc", None)]
)
def test_the_tag_of_what_was_compressed_is_weak_and_its_own(etag: str, expected: str | None) -> None:
    assert coded_tag(etag, "gzip") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('W/"abc.gzip"', 'W/"abc.gzip", W/"abc"'),
        ('"x", W/"abc.gzip" , "y"', '"x", W/"abc.gzip", "y", W/"abc"'),
        ('W/"abc.br"', 'W/"abc.br"'),
        ('"abc"', '"abc"'),
        ("*", "*"),
        (".gzip", ".gzip"),
    ],
)
def test_the_handler_is_asked_for_the_tag_that_it_knows(value: str, expected: str) -> None:
    assert with_plain_tags(value, "gzip") == expected


@pytest.mark.parametrize(
    ("value", "etag", "expected"),
    [
        ('W/"abc.gzip"', '"abc"', 'W/"abc.gzip"'),
        ('"abc.gzip"', '"abc"', 'W/"abc.gzip"'),
        ('"abc"', '"abc"', '"abc"'),
        ('W/"abc.br"', '"abc"', '"abc"'),
        ("*", '"abc"', '"abc"'),
        ('W/"abc.gzip"', "abc", "abc"),
    ],
)
def test_a_304_has_the_tag_of_what_the_client_has(value: str, etag: str, expected: str) -> None:
    assert tag_of_304(value, etag, "gzip") == expected


def evaluate(fields: dict[str, str], etag: EntityTag) -> conditional.Outcome:
    return conditional.evaluate("GET", Fields(fields.items()), etag=etag, last_modified=None, exists=True, now=0)


@given(
    st.text(st.characters(min_codepoint=0x23, max_codepoint=0x7E), max_size=20), st.sampled_from(["br", "zstd", "gzip"])
)
def test_the_conditions_compare_as_they_should(opaque: str, coding: str) -> None:
    """If-None-Match finds what was compressed, of this coding alone; If-Match and If-Range never do."""
    plain = EntityTag(opaque)
    coded = coded_tag(str(plain), coding)
    assert coded is not None
    asked = {"if-none-match": with_plain_tags(coded, coding)}
    assert evaluate(asked, plain) is conditional.Outcome.NOT_MODIFIED
    assert tag_of_304(coded, str(plain), coding) == coded
    assert evaluate({"if-none-match": with_plain_tags(coded, "other")}, plain) is conditional.Outcome.PROCEED
    for tag in (plain, parse_entity_tag(coded)):
        assert tag is not None
        assert evaluate({"if-match": coded}, tag) is conditional.Outcome.PRECONDITION_FAILED
        assert evaluate({"range": "bytes=0-1", "if-range": coded}, tag) is conditional.Outcome.PROCEED_WHOLE

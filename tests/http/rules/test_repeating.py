"""RFC 9110 §9.2.2 and RFC 9112 §9.3.1 (sending again), RFC 9110 §15.4 (redirects), as tables."""

from __future__ import annotations

import pytest

from netlodge.http.message import Fields
from netlodge.http.rules.repeating import is_redirect, may_repeat, redirected


@pytest.mark.parametrize(
    ("method", "was_sent", "was_answered", "is_reused", "is_replayable", "may"),
    [
        ("GET", True, False, True, True, True),
        ("HEAD", True, False, True, True, True),
        ("PUT", True, False, True, True, True),
        ("DELETE", True, False, True, True, True),
        ("POST", True, False, True, True, False),
        ("PATCH", True, False, True, True, False),
        ("get", True, False, True, True, False),
        ("POST", False, False, True, True, True),
        ("GET", True, True, True, True, False),
        ("GET", True, False, False, True, False),
        ("PUT", True, False, True, False, False),
        ("POST", False, False, True, False, False),
    ],
)
def test_a_request_is_sent_again_only_if_that_changes_nothing(
    method: str, was_sent: bool, was_answered: bool, is_reused: bool, is_replayable: bool, may: bool
) -> None:
    assert (
        may_repeat(
            method, was_sent=was_sent, was_answered=was_answered, is_reused=is_reused, is_replayable=is_replayable
        )
        is may
    )


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, "GET", "GET"), (301, "HEAD", "HEAD"), (301, "POST", "GET"), (301, "PUT", "PUT"), (302, "POST", "GET"), (302, "DELETE", "DELETE"),
        (303, "GET", "GET"), (303, "HEAD", "HEAD"), (303, "POST", "GET"), (303, "PUT", "GET"), (303, "DELETE", "GET"),
        (307, "POST", "POST"), (307, "GET", "GET"), (308, "POST", "POST"), (308, "PUT", "PUT"),
    ],
)  # fmt: skip
def test_a_redirect_changes_the_method_as_its_status_says(status: int, method: str, becomes: str) -> None:
    fields = Fields([("content-type", "text/plain"), ("accept", "a/b"), ("expect", "100-continue")])
    after = redirected(method, status, fields, is_same_origin=True)
    assert after.method == becomes
    assert after.keeps_content == (becomes == method)
    assert ("content-type" in after.fields) == after.keeps_content
    assert after.fields.get("accept") == "a/b"
    assert len(fields) == 3


def test_what_was_meant_for_one_origin_is_not_sent_to_another() -> None:
    sensitive = [
        "authorization",
        "cookie",
        "proxy-authorization",
        "referer",
        "origin",
        "host",
        "if-none-match",
        "if-range",
    ]
    fields = Fields([*((name, "x") for name in sensitive), ("accept", "a/b")])
    assert list(redirected("GET", 302, fields, is_same_origin=False).fields) == [("accept", "a/b")]
    conditional = Fields([("range", "bytes=1-"), ("if-range", '"a"')])
    assert not list(redirected("GET", 302, conditional, is_same_origin=False).fields)
    assert list(redirected("GET", 302, Fields([("range", "bytes=1-")]), is_same_origin=False).fields)
    assert len(redirected("GET", 302, fields, is_same_origin=True).fields) == len(fields)


@pytest.mark.parametrize(
    ("status", "location", "goes"),
    [(301, "/", True), (302, "/", True), (303, "", True), (307, "/", True), (308, "/", True), (300, "/", False), (304, "/", False),
     (201, "/", False), (302, None, False)],
)  # fmt: skip
def test_a_client_goes_only_where_a_redirect_leads(status: int, location: str | None, goes: bool) -> None:
    fields = Fields([] if location is None else [("location", location)])
    assert is_redirect(status, fields) is goes

"""RFC 9110 §9.1, §15.5.6, §15.6.2."""

from __future__ import annotations

import pytest

from netlodge.http.message import HttpError
from netlodge.http.rules.methods import READ_ONLY, method_error, unless_read


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE"])
def test_a_known_method_is_not_allowed_and_told_which_are(method: str) -> None:
    error = method_error(method, READ_ONLY)
    assert error.status == 405
    assert error.fields == (("allow", "GET, HEAD, OPTIONS"),)


@pytest.mark.parametrize("method", ["BREW", "get", "Post"])
def test_an_unknown_method_is_not_implemented(method: str) -> None:
    assert method_error(method, READ_ONLY).status == 501


def test_what_can_only_be_read_leaves_reading_to_its_handler() -> None:
    assert unless_read("GET") is None
    assert unless_read("HEAD") is None
    told = unless_read("OPTIONS")
    assert told is not None
    assert (told.status, told.fields.get("allow")) == (204, "GET, HEAD, OPTIONS")
    for method, status in [("POST", 405), ("BREW", 501)]:
        with pytest.raises(HttpError, match=str(status)):
            unless_read(method)

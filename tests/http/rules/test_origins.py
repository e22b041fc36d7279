"""Where a browser says that a request comes from: Fetch Metadata, RFC 6454 §7."""

from __future__ import annotations

import pytest

from netlodge.http.rules.origins import may_be_of_this_site
from tests.http.handlers.asking import request_of


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": "http://www.example.org"},
        {"origin": "https://www.example.org"},  # TLS ends at a proxy before us
        {"origin": "http://WWW.example.org:80"},
        # The browser knows better than a proxy that changes Host.
        {"sec-fetch-site": "same-origin", "origin": "https://elsewhere.example"},
    ],
)
def test_a_page_of_this_site_or_another_client_may_have_sent_it(fields: dict[str, str]) -> None:
    assert may_be_of_this_site(request_of("POST", "/", fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "nonsense"},
        {"sec-fetch-site": "cross-site", "origin": "http://www.example.org"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://evil.example"},
        {"origin": "http://www.example.org.evil.example"},
        {"origin": "http://www.example.org:8080"},
        {"origin": "http://www.example.org:x"},
        {"origin": "ftp://www.example.org"},
        {"origin": "http://[::1"},
        {"origin": "http://www.example.org, http://www.example.org"},
    ],
)
def test_a_page_of_another_site_is_told_by_what_its_browser_says(fields: dict[str, str]) -> None:
    assert not may_be_of_this_site(request_of("POST", "/", fields))


def test_an_origin_with_a_port_or_an_address_is_told_by_all_of_it() -> None:
    request = request_of("POST", "/", {"origin": "http://[::1]:8080"}, host="[::1]")
    request.port = 8080
    assert may_be_of_this_site(request)
    request.port = 8081
    assert not may_be_of_this_site(request)

from __future__ import annotations

import pytest

from netlodge.core.contracts import Peer
from netlodge.observe.selection import Selection, SelectionError
from tests.observe.samples import http_record, line_record

RECORD = http_record(door="web", host="www.example.org", status=404, method="GET", target="/a/page.html?x=1")


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"door": "web"},
        {"host": "WWW.example.org"},
        {"host": "*.example.org"},
        {"host": "*.ORG"},
        {"status": "404"},
        {"status": "4xx"},
        {"status": "200, 4xx"},
        {"status": "400-404"},
        {"status": "404-404"},
        {"method": "get"},
        {"method": "POST,GET"},
        {"path": "page"},
        {"path": "?x="},
        {"door": "web", "status": "404", "method": "GET", "path": "/a/", "host": "www.example.org"},
    ],
)
def test_what_matches_every_filter_passes(filters: dict[str, str]) -> None:
    assert Selection(**filters).wants_record(RECORD)


@pytest.mark.parametrize(
    "filters",
    [
        {"door": "dashboard"},
        {"host": "example.org"},
        {"host": "*.www.example.org"},
        {"host": "*.xample.org"},
        {"status": "400"},
        {"status": "5xx"},
        {"status": "405-499"},
        {"method": "POST"},
        {"method": "GE"},
        {"path": "PAGE"},
        {"door": "web", "status": "200"},
    ],
)
def test_what_fails_one_filter_does_not(filters: dict[str, str]) -> None:
    assert not Selection(**filters).wants_record(RECORD)


@pytest.mark.parametrize("status", ["40", "4040", "4XX", "abc", "400-", "-5", "４０４", "2xx-3xx"])
def test_a_status_that_is_none_is_refused(status: str) -> None:
    with pytest.raises(SelectionError, match="4xx"):
        Selection(status=status)


@pytest.mark.parametrize(
    ("peer", "host", "wanted"),
    [
        ("", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.0/24", "192.0.2.9", True),
        ("192.0.2.9/24", "192.0.2.1", True),
        ("192.0.2.0/24", "192.0.3.1", False),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "192.0.2.1", False),
        ("2001:DB8::0:1", "2001:db8::1", True),
        ("unix:", "unix:", True),
        ("192.0.2.0/24", "unix:", False),
    ],
)
def test_peers_are_chosen_by_address_or_network(peer: str, host: str, wanted: bool) -> None:
    assert Selection(peer=peer).wants_peer(Peer(host, 1)) is wanted


@pytest.mark.parametrize("peer", ["localhost", "192.0.2", "192.0.2.0/99", "x"])
def test_a_peer_that_is_no_address_is_refused(peer: str) -> None:
    with pytest.raises(SelectionError, match="neither an address"):
        Selection(peer=peer)


def test_sentences_are_chosen_by_door_and_peer_alone() -> None:
    assert Selection(door="uppercase").wants_record(line_record())
    assert not Selection(door="web").wants_record(line_record())
    assert not Selection(path="hello").wants_record(line_record())
    assert not Selection(status="200").wants_record(line_record())


def test_parameters_come_back_as_the_same_selection() -> None:
    selection = Selection(door="web", status="4xx", peer="192.0.2.0/24")
    assert selection.parameters() == {"door": "web", "status": "4xx", "peer": "192.0.2.0/24"}
    assert Selection.from_parameters(selection.parameters() | {"recent": "1"}) == selection


@pytest.mark.parametrize(
    ("wanted", "host", "is_wanted"),
    [
        ("localhost", "localhost:8080", True),
        ("localhost:8080", "localhost:8080", True),
        ("localhost:8081", "localhost:8080", False),
        ("localhost:8080", "localhost", False),
        ("*.example.org", "www.example.org:8080", True),
        ("::1", "[::1]:8080", True),
        ("[::1]", "[::1]:8080", True),
        ("[::1]", "[::1]", True),
        ("[::1]", "[::]:1", False),
        ("local", "localhost:8080", False),
        ("localhost", "localhost:", True),
    ],
)
def test_a_port_counts_only_if_one_is_named(wanted: str, host: str, is_wanted: bool) -> None:
    assert Selection(host=wanted).wants_record(http_record(host=host)) is is_wanted

"""RFC 6585 §4, RFC 9110 §10.2.3: how often a client may ask."""

from __future__ import annotations

from netlodge.core.clock import FakeClock
from netlodge.core.contracts import Peer
from netlodge.core.rates import Rate, RateTable
from netlodge.http.handlers.rates import RateLimit
from netlodge.http.handlers.respond import Respond
from netlodge.http.message import Response
from netlodge.net.tally import client_key
from tests.http.handlers.asking import answer, content, request_of


class Count:
    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int = 1) -> None:
        self.value += amount


class Limited:
    def __init__(self, rate: Rate, table: RateTable | None = None, scope: str = "site") -> None:
        self.clock = FakeClock()
        self.refused = Count()
        self.handler = RateLimit(
            Respond(200, "x"),
            table or RateTable(),
            rate,
            scope=scope,
            client_of=client_key,
            clock=self.clock,
            refused=self.refused,
        )

    def ask(self, host: str = "127.0.0.1") -> Response:
        request = request_of("GET", "/")
        request.peer = Peer(host, 50000)
        return answer(self.handler, request)


def test_past_the_burst_the_answer_is_429_and_says_when_to_come_again() -> None:
    limited = Limited(Rate.of(0.4, 3))
    assert [limited.ask().status for _ in range(3)] == [200] * 3
    response = limited.ask()
    assert response.status == 429
    assert response.fields.get("retry-after") == "3"
    assert b"access.rate" in content(response)
    assert response.remember is None
    assert limited.refused.value == 1


def test_who_comes_again_when_told_comes_in() -> None:
    limited = Limited(Rate.of(0.4, 1))
    limited.ask()
    limited.clock.advance(float(limited.ask().fields.get("retry-after") or ""))
    assert limited.ask().status == 200
    assert limited.ask().status == 429


def test_each_client_has_a_rate_of_its_own() -> None:
    limited = Limited(Rate(60.0, 1))
    assert [limited.ask(f"127.0.0.{number}").status for number in (1, 2, 1, 2)] == [200, 200, 429, 429]


def test_an_ipv6_network_of_64_bits_is_one_client() -> None:
    limited = Limited(Rate(60.0, 1))
    hosts = ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:3::1")
    assert [limited.ask(host).status for host in hosts] == [200, 429, 200]


def test_an_ipv4_address_is_the_same_client_in_ipv6_form() -> None:
    limited = Limited(Rate(60.0, 1))
    assert [limited.ask(host).status for host in ("127.0.0.1", "::ffff:127.0.0.1")] == [200, 429]


def test_each_scope_counts_for_itself_and_the_same_scope_together() -> None:
    table = RateTable()
    one, same, other = (Limited(Rate(60.0, 1), table, scope) for scope in ("a", "a", "b"))
    assert [limited.ask().status for limited in (one, same, other)] == [200, 429, 200]


def test_what_is_counted_is_not_remembered() -> None:
    assert Limited(Rate(60.0, 5)).ask().remember is None

"""The line between a supervisor and a worker: what is said in both directions, and what the end of either means."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from netlodge.net.lifeline import Lifeline, SupervisorEnd, lifeline
from netlodge.net.sockets import Endpoint

ENDPOINTS = [Endpoint.tcp("127.0.0.1", 0, "a"), Endpoint.udp("127.0.0.1", 0, "b")]


@pytest.fixture
def line() -> Iterator[tuple[SupervisorEnd, Lifeline, socket.socket]]:
    above, below = lifeline()
    with below:
        yield above, Lifeline(below, ENDPOINTS), below
    above.close()


Line = tuple[SupervisorEnd, Lifeline, socket.socket]


def test_nothing_was_said_yet(line: Line) -> None:
    above, below, _ = line
    assert above.receive()
    assert (above.is_ready, above.failure) == (False, "")
    assert below.receive() == []


def test_a_worker_is_ready(line: Line) -> None:
    above, below, _ = line
    below.ready()
    assert above.receive()
    assert above.is_ready


def test_a_worker_accepts_no_more(line: Line) -> None:
    above, below, _ = line
    below.ready()
    above.receive()
    assert not above.is_retired
    below.retired()
    assert above.receive()
    assert above.is_retired


def test_a_reason_arrives_whole_in_any_segmentation(line: Line) -> None:
    above, _, raw = line
    for octet in "failed größer als erlaubt\0".encode():
        assert not above.failure
        raw.send(bytes([octet]))
        assert above.receive()
    assert above.failure == "größer als erlaubt"


def test_a_reason_is_one_message_whatever_it_holds(line: Line) -> None:
    above, below, _ = line
    below.failed("two\nlines, a \0, and \udce4")
    below.ready()
    above.receive()
    assert above.failure == "two\nlines, a , and ?"
    assert above.is_ready


def test_sockets_are_handed_over_with_their_endpoints(line: Line) -> None:
    above, below, _ = line
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.setblocking(False)
        udp.bind(("127.0.0.1", 0))
        assert above.hand_over(0, tcp)
        assert above.hand_over(1, udp)
        taken = below.receive()
        assert taken is not None
        assert [endpoint for endpoint, _ in taken] == ENDPOINTS
        for (_, sock), original in zip(taken, (tcp, udp), strict=True):
            assert sock.getsockname() == original.getsockname()
            assert sock.type == original.type
            assert not sock.get_inheritable()
            sock.close()
        assert below.receive() == []


def test_the_worker_learns_that_the_supervisor_is_gone(line: Line) -> None:
    above, below, _ = line
    above.close()
    assert below.receive() is None
    below.ready()  # says nothing to nobody, and raises nothing


def test_the_supervisor_learns_that_the_worker_is_gone(line: Line) -> None:
    above, below, raw = line
    below.failed("the last words.")
    raw.close()
    assert not above.receive()
    assert above.failure == "the last words."
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        assert not above.hand_over(0, tcp)

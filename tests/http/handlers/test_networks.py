"""RFC 9110 §15.5.4: only the networks that were named come in."""

from __future__ import annotations

import pytest

from netlodge.core.contracts import Peer
from netlodge.core.networks import Networks
from netlodge.http.handlers.networks import NetworkAccess
from netlodge.http.handlers.respond import Respond
from netlodge.http.message import Response
from tests.http.handlers.asking import answer, request_of


class Count:
    value = 0

    def add(self, amount: int = 1) -> None:
        self.value += amount


def ask_from(host: str, *networks: str, refused: Count | None = None) -> Response:
    request = request_of("GET", "/")
    request.peer = Peer(host, 50000)
    return answer(NetworkAccess(Respond(200, "x"), Networks(networks), refused=refused or Count()), request)


@pytest.mark.parametrize(
    ("host", "status"),
    [("192.168.3.4", 200), ("::ffff:192.168.3.4", 200), ("::1", 200), ("10.0.0.1", 403), ("unix:", 403)],
)
def test_others_are_forbidden(host: str, status: int) -> None:
    refused = Count()
    assert ask_from(host, "192.168.0.0/16", "::1", refused=refused).status == status
    assert refused.value == (status == 403)


def test_clients_of_unix_sockets_come_in_by_name() -> None:
    assert ask_from("unix:", "unix:").status == 200


def test_what_is_for_some_is_not_remembered_for_all() -> None:
    assert ask_from("::1", "::1").remember is None

"""The opening handshake: RFC 6455 §4.2, §9.1; RFC 7692 §7.1."""

from __future__ import annotations

import pytest

from netlodge.http.message import Fields, HttpError, Request
from netlodge.http.rules.websocket import (
    DeflateTerms,
    Handshake,
    accept_value,
    agreed_deflate,
    answer_fields,
    is_websocket_handshake,
    read_handshake,
)
from tests.http.handlers.asking import request_of

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
FIELDS = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-key": KEY, "sec-websocket-version": "13"}


def asked(method: str = "GET", *, version: str = "1.1", length: int = 0, **changed: str | None) -> Request:
    """A handshake with some fields changed, or (None) left out."""
    fields = FIELDS | {name.replace("_", "-"): value for name, value in changed.items()}
    present = {name: value for name, value in fields.items() if value is not None}
    return request_of(method, "/chat", present, version=version, length=length)


def refused(request: Request) -> HttpError:
    with pytest.raises(HttpError) as caught:
        read_handshake(request)
    return caught.value


def offers_of(value: str) -> Handshake:
    return read_handshake(asked(sec_websocket_extensions=value))


# --- §4.2.1 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        asked(),
        asked(upgrade="WebSocket", connection="keep-alive, UPGRADE"),
        asked(upgrade="h2c, websocket"),
        asked(sec_websocket_key=None),  # a wrong one, but one
        asked(version="2"),  # RFC 8441 §5, as the session hands it on
    ],
)
def test_4_2_1_a_request_to_upgrade_is_a_handshake(request_: Request) -> None:
    assert is_websocket_handshake(request_)


@pytest.mark.parametrize(
    "request_",
    [
        asked(upgrade=None),
        asked(upgrade="h2c"),
        asked(upgrade="websockets"),
        asked(connection=None),
        asked(connection="close"),
        asked("POST"),
        asked("HEAD"),
        asked(version="1.0"),
    ],
)
def test_4_2_1_anything_else_is_none(request_: Request) -> None:
    assert not is_websocket_handshake(request_)


def test_4_2_1_what_is_asked_for() -> None:
    request = asked(
        sec_websocket_protocol="chat, superchat", sec_websocket_extensions='mux; max-channels=4; flow-control, x; y="z"'
    )
    assert read_handshake(request) == Handshake(
        KEY, ("chat", "superchat"), (("mux", (("max-channels", "4"), ("flow-control", None))), ("x", (("y", "z"),)))
    )
    assert read_handshake(asked()) == Handshake(KEY, (), ())


def test_4_2_1_field_lines_are_joined() -> None:
    request = asked()
    for name, value in (("protocol", "a"), ("protocol", "b"), ("extensions", "x"), ("extensions", "y; z")):
        request.fields.append(f"sec-websocket-{name}", value)
    assert read_handshake(request) == Handshake(KEY, ("a", "b"), (("x", ()), ("y", (("z", None),))))


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "dGhlIHNhbXBsZSBub25j",  # 15 octets
        "dGhlIHNhbXBsZSBub25jZTE=",  # 17
        "dGhlIHNhbXBsZSBub25jZQ= ",
        "dGhlIHNhbXBsZSBub25jZQ=é",
        "dGhlIHNhbXBsZSBub25j*Q==",
        f"{KEY}, {KEY}",
    ],
)
def test_4_2_1_the_key_has_16_octets(key: str | None) -> None:
    assert refused(asked(sec_websocket_key=key)).status == 400


@pytest.mark.parametrize("version", [None, "12", "8", "013", "13, 13", ""])
def test_4_2_2_another_version_is_answered_with_426_and_ours(version: str | None) -> None:
    error = refused(asked(sec_websocket_version=version))
    assert error.status == 426
    assert dict(error.fields) == {"sec-websocket-version": "13", "upgrade": "websocket", "connection": "upgrade"}


@pytest.mark.parametrize("value", ["", ",", "a b", "chat, ch@t", "a, a", 'a, "b"', "ä"])
def test_4_2_1_malformed_subprotocols(value: str) -> None:
    assert refused(asked(sec_websocket_protocol=value)).status == 400


@pytest.mark.parametrize(
    "value",
    ["", " , ", ";", "a;", "a; =b", "a; b=", "a b", "a; b=c d", 'a; b="c d"', 'a; b="c, d"', 'a; b="', 'a; b=""', "ä"],
)
def test_9_1_malformed_extensions(value: str) -> None:
    assert refused(asked(sec_websocket_extensions=value)).status == 400


def test_9_1_a_quoted_value_is_what_is_in_the_quotes() -> None:
    assert offers_of('a; b="c\\d" ;e = "f"').offers == (("a", (("b", "cd"), ("e", "f"))),)


@pytest.mark.parametrize("length", [5, None])
def test_a_handshake_has_no_content(length: int | None) -> None:
    request = asked()
    request.body.length = length  # type: ignore[misc]
    error = refused(request)
    assert error.status == 400
    assert error.must_close


# --- §4.2.2 -------------------------------------------------------------------------------------------------------------


def test_4_2_2_the_example_of_an_accept() -> None:
    assert accept_value(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_4_2_2_the_answer() -> None:
    handshake = Handshake(KEY, ("chat", "superchat"), ())
    assert answer_fields(handshake) == Fields(
        [("upgrade", "websocket"), ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")]
    )
    fields = answer_fields(handshake, subprotocol="superchat", deflate=DeflateTerms())
    assert fields.get("sec-websocket-protocol") == "superchat"
    assert fields.get("sec-websocket-extensions") == "permessage-deflate"


@pytest.mark.parametrize("subprotocol", ["Chat", "other", ""])
def test_4_2_2_only_a_subprotocol_that_was_asked_for_is_agreed_to(subprotocol: str) -> None:
    with pytest.raises(ValueError, match="did not ask"):
        answer_fields(Handshake(KEY, ("chat",), ()), subprotocol=subprotocol)


# --- RFC 7692 §7.1 ------------------------------------------------------------------------------------------------------

ANSWERS = {
    "permessage-deflate": "permessage-deflate",
    # What browsers send.
    "permessage-deflate; client_max_window_bits": "permessage-deflate; client_max_window_bits=12",
    "permessage-deflate; client_max_window_bits=15": "permessage-deflate; client_max_window_bits=12",
    "permessage-deflate; client_max_window_bits=9": "permessage-deflate; client_max_window_bits=9",
    "permessage-deflate; client_max_window_bits=8": "permessage-deflate; client_max_window_bits=8",
    "permessage-deflate; server_max_window_bits=15": "permessage-deflate; server_max_window_bits=12",
    "permessage-deflate; server_max_window_bits=10": "permessage-deflate; server_max_window_bits=10",
    'permessage-deflate; server_max_window_bits="9"': "permessage-deflate; server_max_window_bits=9",
    "permessage-deflate; server_no_context_takeover": "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; client_no_context_takeover": "permessage-deflate; client_no_context_takeover",
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover; client_max_window_bits": (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12"
    ),
    # The first that can be accepted.
    "permessage-bzip2, permessage-deflate": "permessage-deflate",
    "permessage-deflate; server_max_window_bits=8, permessage-deflate; client_max_window_bits": (
        "permessage-deflate; client_max_window_bits=12"
    ),
}


@pytest.mark.parametrize("offer", ANSWERS)
def test_7692_7_1_what_is_agreed(offer: str) -> None:
    assert str(agreed_deflate(offers_of(offer).offers)) == ANSWERS[offer]


@pytest.mark.parametrize(
    "parameters",
    [
        "unknown",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover",
        "server_max_window_bits",
        "server_max_window_bits=8",  # which zlib does not have
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=010",
        "server_max_window_bits=+10",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=09",
        "client_max_window_bits=x",
        "client_max_window_bits; client_max_window_bits=12",
    ],
)
def test_7692_7_an_offer_that_cannot_be_accepted_is_declined(parameters: str) -> None:
    assert agreed_deflate(offers_of(f"permessage-deflate; {parameters}").offers) is None


def test_7692_nothing_offered_nothing_agreed() -> None:
    assert agreed_deflate(()) is None
    assert agreed_deflate(offers_of("x-webkit-deflate-frame").offers) is None

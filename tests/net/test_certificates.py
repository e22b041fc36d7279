"""Which certificate is shown to whom; and one's own, taken up when their files change."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from netlodge.core.certificate_files import Pair, PairError, PairFiles
from netlodge.core.certificates import Credential
from netlodge.core.clock import FakeClock
from netlodge.core.contracts import Peer
from netlodge.net.certificates import CLOCK_SLACK, Certificates, Stock, without_names
from netlodge.net.own_certificates import OwnCertificates, ServerContext, context_of
from netlodge.net.tls_service import TlsObject
from tests.net.certificate import self_signed

LOCAL = Peer("127.0.0.1", 443)


class Shelf:
    """A source that has what a test puts there, and notes who asked."""

    def __init__(self) -> None:
        self.credentials: dict[str, Credential] = {}
        self.asked: list[str] = []

    def find(self, name: str, now: float) -> Credential | None:
        self.asked.append(name)
        return self.credentials.get(name)


class Place:
    """Certificates as a worker has them, and clients."""

    def __init__(self, folder: Path, *own: PairFiles, minimum: str = "1.2", capacity: int = 2) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.shelf = Shelf()
        self.stock = Stock.of(["h2", "http/1.1"]).taking(own)
        self.certificates = Certificates(
            self.stock, [Shelf(), self.shelf], minimum=minimum, capacity=capacity, clock=self.clock
        )

    def put(self, name: str, *, renew_in: float = 1000.0) -> bytes:
        """Have a certificate for the name at the source; returns it, in DER."""
        pem = self_signed(self.folder, name if name.count(":") < 2 else "v6")
        self.shelf.credentials[name] = Credential(PairFiles(pem, pem), self.clock.wall + renew_in)
        return der(pem)

    def shown(self, name: str | None, *, local: Peer = LOCAL) -> bytes | None:
        """The certificate that a client sees, in DER."""
        client, _ = self.shake_hands(name, local=local)
        return client.getpeercert(binary_form=True)

    def shake_hands(
        self,
        name: str | None,
        *,
        local: Peer = LOCAL,
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        session: ssl.SSLSession | None = None,
        context: ssl.SSLContext | None = None,
        protocols: tuple[str, ...] = ("http/1.1",),
    ) -> tuple[ssl.SSLObject, TlsObject]:
        """Both sides when they have finished. Raises what the client meets."""
        context = context or client_context(newest, protocols)
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(to_client, to_server, server_hostname=name, session=session)
        server = self.certificates.wrap(to_server, to_client, local)
        for _ in range(4):
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
            with suppress(ssl.SSLError):
                server.do_handshake()
        with suppress(ssl.SSLWantReadError):
            client.read(1)  # the tickets
        return client, server


def client_context(newest: ssl.TLSVersion, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = newest
    context.set_alpn_protocols(list(protocols))
    return context


def der(pem: Path) -> bytes:
    text = pem.read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])


def both(pem: Path) -> PairFiles:
    return PairFiles(pem, pem)


# --- By the name that is asked for (RFC 6066 §3) --------------------------------------------------------------------------


def test_the_name_that_a_client_asks_for_chooses_the_certificate(tmp_path: Path) -> None:
    place = Place(tmp_path)
    one, two = place.put("one.example"), place.put("two.example")
    assert place.shown("one.example") == one
    assert place.shown("TWO.example") == two
    assert place.shown("one.example") == one
    assert place.shelf.asked == ["one.example", "two.example"]  # what is kept is not asked for again


@pytest.mark.parametrize(
    ("local", "name"),
    [
        (Peer("127.0.0.1", 1), "127.0.0.1"),
        (Peer("fe80::1%eth0", 1), "fe80::1"),
        (Peer("unix:", 0), "localhost"),
    ],
)
def test_who_asks_for_no_name_is_shown_one_for_the_address_that_was_dialled(
    tmp_path: Path, local: Peer, name: str
) -> None:
    place = Place(tmp_path)
    expected = place.put(name)
    assert place.shown(None, local=local) == expected


def hear_name(place: Place, name: bytes) -> None:
    """A client's first octets with this in the place of a name, which need be none. It has 11 octets."""
    incoming, outgoing, hello = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(ssl.TLSVersion.TLSv1_3).wrap_bio(ssl.MemoryBIO(), hello, server_hostname="example.org")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    octets = hello.read()
    assert octets.count(b"example.org") == 1
    assert len(name) == 11
    incoming.write(octets.replace(b"example.org", name))
    place.certificates.wrap(incoming, outgoing, LOCAL).do_handshake()


def test_an_address_in_the_place_of_a_name_is_none(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.put("127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        hear_name(place, b"127.0.0.200")
    assert place.shelf.asked == ["127.0.0.1"]


def test_octets_in_the_place_of_a_name_are_refused_without_filling_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", without_names(reported.append))
    place = Place(tmp_path)
    with pytest.raises(ssl.SSLError, match="CALLBACK_FAILED"):
        hear_name(place, b"\xff" * 11)
    assert place.shelf.asked == reported == []


@pytest.mark.parametrize("name", ["elsewhere.example", "localhost", "a_b-.example"])
def test_a_name_that_nobody_has_is_refused(tmp_path: Path, name: str) -> None:
    place = Place(tmp_path)
    place.put("one.example")
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        place.shake_hands(name)


def test_a_certificate_is_asked_for_anew_when_it_is_to_be_renewed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    before = place.put("one.example", renew_in=100)
    assert place.shown("one.example") == before
    after = place.put("one.example", renew_in=300)
    place.clock.advance(99)
    assert place.shown("one.example") == before
    place.clock.advance(1)
    assert place.shown("one.example") == after
    place.shelf.credentials.clear()
    place.clock.advance(300)
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        place.shake_hands("one.example")


def test_a_certificate_is_asked_for_anew_when_the_clock_was_set_back(tmp_path: Path) -> None:
    """What was signed in what turned out to be the future does not hold yet."""
    place = Place(tmp_path)
    before = place.put("one.example")
    assert place.shown("one.example") == before
    after = place.put("one.example")
    place.clock.advance(-60)
    assert place.shown("one.example") == before
    place.clock.advance(-CLOCK_SLACK)
    assert place.shown("one.example") == after


def test_the_least_used_are_let_go(tmp_path: Path) -> None:
    place = Place(tmp_path, capacity=2)
    for name in ("a.example", "b.example", "c.example"):
        place.put(name)
    for name in ("a.example", "b.example", "a.example", "c.example", "a.example", "b.example"):
        place.shown(name)
    assert place.shelf.asked == ["a.example", "b.example", "c.example", "b.example"]


def test_a_source_with_broken_files_is_told_and_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = Place(tmp_path)
    place.put("one.example")
    place.shelf.credentials["one.example"].files.certificate.write_text("x")
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        place.shake_hands("one.example")
    assert "is no certificate in PEM" in caplog.text


# --- Versions, protocols, resumption --------------------------------------------------------------------------------------


def test_the_oldest_version_is_as_set(tmp_path: Path) -> None:
    place = Place(tmp_path, minimum="1.2")
    place.put("one.example")
    _, server = place.shake_hands("one.example", newest=ssl.TLSVersion.TLSv1_2)
    assert server.version() == "TLSv1.2"
    place = Place(tmp_path, minimum="1.3")
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        place.shake_hands("one.example", newest=ssl.TLSVersion.TLSv1_2)


def test_ciphers_of_tls_1_2_have_forward_secrecy_and_authenticate() -> None:
    ciphers = [each["name"] for each in Stock.of(["http/1.1"]).initial.get_ciphers() if each["protocol"] == "TLSv1.2"]
    assert ciphers
    assert all(name.startswith("ECDHE-") and ("GCM" in name or "POLY1305" in name) for name in ciphers)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("http/1.1",), "http/1.1"),
        (("http/1.1", "h2"), "h2"),
        (("spdy/3", "http/1.1"), "http/1.1"),
        ((), None),
        (("x",), None),
    ],
)
def test_the_protocol_is_the_best_of_ours_that_is_offered(
    tmp_path: Path, offered: tuple[str, ...], chosen: str | None
) -> None:
    place = Place(tmp_path)
    place.put("one.example")
    client, server = place.shake_hands("one.example", protocols=offered)
    assert client.selected_alpn_protocol() == server.selected_alpn_protocol() == chosen


def test_a_file_that_another_worker_replaces_meanwhile_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(tmp_path)
    certificate = place.put("one.example")
    looks: list[PairFiles] = []

    def torn(files: PairFiles, protocols: Sequence[str]) -> tuple[ServerContext, Pair]:
        looks.append(files)
        if len(looks) == 1:
            raise PairError(files, "key", "is not the key of another's certificate")
        return context_of(files, protocols)

    monkeypatch.setattr("netlodge.net.certificates.context_of", torn)
    assert place.shown("one.example") == certificate
    assert len(looks) == 2
    assert not caplog.records


def test_a_worker_may_offer_less_than_the_stock_has(tmp_path: Path) -> None:
    """`web.http2` may change with a reload; the stock is made once. A certificate that is taken up later offers the same."""
    pem = self_signed(tmp_path, "own.example")
    place = Place(tmp_path, both(pem))
    place.put("one.example")

    def chosen() -> set[str | None]:
        names = ("own.example", "one.example")
        return {place.shake_hands(name, protocols=("h2", "http/1.1"))[0].selected_alpn_protocol() for name in names}

    assert chosen() == {"h2"}
    place.certificates = Certificates(
        place.stock, [place.shelf], minimum="1.2", capacity=2, clock=place.clock, protocols=["http/1.1"]
    )
    assert chosen() == {"http/1.1"}
    os.replace(self_signed(tmp_path, "newer", "DNS:own.example"), pem)
    place.certificates.review()
    place.certificates.review()
    assert place.shown("own.example") == der(pem)
    assert chosen() == {"http/1.1"}
    place.certificates = Certificates(place.stock, [place.shelf], minimum="1.2", capacity=2, clock=place.clock)
    assert chosen() == {"h2"}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_under_the_settings_of_a_later_generation(tmp_path: Path, version: ssl.TLSVersion) -> None:
    place = Place(tmp_path)
    place.put("one.example")
    context = client_context(version)
    client, server = place.shake_hands("one.example", context=context)
    assert not server.session_reused
    later = Place(tmp_path)
    later.put("one.example")
    pem = self_signed(tmp_path, "own.example")
    later.stock = place.stock.taking([both(pem)])
    later.certificates = Certificates(later.stock, [later.shelf], minimum="1.2", capacity=2, clock=later.clock)
    _, server = later.shake_hands("one.example", context=context, session=client.session)
    assert server.session_reused
    stranger = Place(tmp_path)
    stranger.put("one.example")
    _, server = stranger.shake_hands("one.example", context=context, session=client.session)
    assert not server.session_reused


# --- One's own ------------------------------------------------------------------------------------------------------------


def test_ones_own_certificate_goes_first_by_its_names(tmp_path: Path) -> None:
    exact = self_signed(tmp_path, "www", "DNS:www.example.org,DNS:example.org")
    pattern = self_signed(tmp_path, "star", "DNS:*.example.org,IP:127.0.0.1")
    place = Place(tmp_path, both(pattern), both(exact))
    assert place.shown("www.example.org") == der(exact)
    assert place.shown("example.org") == der(exact)
    assert place.shown("other.example.org") == der(pattern)
    assert place.shown(None) == der(pattern)
    assert place.shelf.asked == []
    for name in ("a.b.example.org", "example.net"):
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            place.shake_hands(name)


def test_the_first_of_two_for_one_name_is_shown(tmp_path: Path) -> None:
    one, two = (
        self_signed(tmp_path, "one", "DNS:a.example"),
        self_signed(tmp_path, "two", "DNS:a.example,DNS:b.example"),
    )
    place = Place(tmp_path, both(one), both(two))
    assert place.shown("a.example") == der(one)
    assert place.shown("b.example") == der(two)


def test_one_that_cannot_be_used_is_an_error_at_the_start(tmp_path: Path) -> None:
    one, two = self_signed(tmp_path, "one"), self_signed(tmp_path, "two")
    with pytest.raises(PairError, match=r"two\.pem: is not the key of .*one\.pem"):
        OwnCertificates(["http/1.1"]).taking([PairFiles(one, two)])


def test_files_that_change_are_taken_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    pem = self_signed(tmp_path, "www", "DNS:www.example.org")
    place = Place(tmp_path, both(pem))
    before = place.shown("www.example.org")
    replace(self_signed(tmp_path, "new", "DNS:new.example.org"), pem)
    place.certificates.review()
    assert place.shown("www.example.org") == before  # it may still be written
    place.certificates.review()
    assert place.shown("new.example.org") == der(pem) != before
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        place.shake_hands("www.example.org")
    place.certificates.review()
    assert caplog.text.count("has changed and is in use, for new.example.org") == 1


def replace(new: Path, old: Path) -> None:
    os.replace(new, old)


def test_a_broken_new_file_keeps_the_last_good_one_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pem = self_signed(tmp_path, "www", "DNS:www.example.org")
    good = pem.read_bytes()
    place = Place(tmp_path, both(pem))
    before = place.shown("www.example.org")
    pem.write_text("no certificate")
    for _ in range(5):
        place.certificates.review()
    pem.unlink()  # and while it is not there at all
    for _ in range(5):
        place.certificates.review()
    assert place.shown("www.example.org") == before
    said = [record.message for record in caplog.records]
    assert said == [f"{pem}: is no certificate in PEM. The certificate before it stays in use."]
    # A worker that replaces one that died inherits the same; so does a reload.
    later = place.stock.taking([both(pem)])
    assert later.own.find("www.example.org") is place.stock.own.find("www.example.org")
    pem.write_bytes(good)
    place.certificates.review()
    place.certificates.review()
    assert place.shown("www.example.org") == before


def test_a_pair_that_is_replaced_file_by_file_is_taken_up_whole_and_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    for path in (certificate, key):
        path.write_bytes(
            self_signed(tmp_path, "one").read_bytes() if path == certificate else (tmp_path / "one.pem").read_bytes()
        )
    place = Place(tmp_path, PairFiles(certificate, key))
    new = self_signed(tmp_path, "one").read_bytes()
    certificate.write_bytes(new)
    place.certificates.review()
    key.write_bytes(new)
    place.certificates.review()
    place.certificates.review()
    assert place.shown("one") == der(certificate)
    assert not caplog.records


def test_those_that_the_settings_no_longer_name_are_gone(tmp_path: Path) -> None:
    one, two = self_signed(tmp_path, "one"), self_signed(tmp_path, "two")
    own = OwnCertificates(["http/1.1"]).taking([both(one), both(two)])
    later = own.taking([both(two)])
    assert later.find("one") is None
    assert later.find("two") is own.find("two") is not None
    assert own.find("one") is not None

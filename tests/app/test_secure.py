"""From the settings to HTTPS: which names are signed for, what a reading of the settings prepares, and which sites want more."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from netlodge.app.secure import SiteNames, prepare_tls, with_https
from netlodge.app.shared import TLS_DOORS
from netlodge.config.loading import Loaded, Sources, load
from netlodge.config.quantities import Duration
from netlodge.config.settings import Route, Site, Web
from netlodge.core.errors import NetlodgeError
from netlodge.http.handlers.https import Https
from netlodge.http.handlers.respond import Respond
from netlodge.net.certificates import Stock
from netlodge.store.authority import DAY, ROOT_DAYS, make_root, read_root
from tests.app.supplied import supplies
from tests.net.certificate import self_signed

ROUTES = (Route(path="/", respond="x"),)


def names(*sites: tuple[str, ...]) -> SiteNames:
    return SiteNames(Web(site=tuple(Site(hosts=hosts, routes=ROUTES) for hosts in sites)))


# --- Names ----------------------------------------------------------------------------------------------------------------


def test_names_are_signed_for_as_sites_answer_to_them() -> None:
    sites = names(("www.Example.org.", "*.example.net"), ("[::1]",))
    for name in ("www.example.org", "a.example.net", "a.b.example.net"):
        assert sites.may_sign(name)
    for name in ("example.org", "example.net", "other.example", "localhost", "aexample.net"):
        assert not sites.may_sign(name)


@pytest.mark.parametrize("hosts", [(), ("*",), ("www.example.org", "*")])
def test_a_site_for_every_host_has_every_name(hosts: tuple[str, ...]) -> None:
    assert names(hosts).may_sign("anything.example")
    assert not names(hosts).is_expected("anything.example")


def test_who_dials_an_address_is_shown_something() -> None:
    sites = names(("www.example.org",))
    assert sites.may_sign("127.0.0.1")
    assert sites.is_expected("::1")


def test_names_in_the_settings_are_expected() -> None:
    sites = names(("www.example.org", "*.example.net"))
    assert sites.is_expected("www.example.org")
    assert sites.is_expected("localhost")
    assert not sites.is_expected("a.example.net")


# --- What the supervisor prepares -----------------------------------------------------------------------------------------


def loaded(folder: Path, text: str = "", only: tuple[str, ...] = ()) -> Loaded:
    (folder / "netlodge.toml").write_text(text)
    return load(Sources(directory=folder, only=only))


def stocks() -> dict[str, Stock]:
    return {door: Stock.of(protocols) for door, protocols in TLS_DOORS.items()}


def test_an_authority_is_made_where_tls_is_spoken_alone(tmp_path: Path) -> None:
    before = stocks()
    assert prepare_tls(loaded(tmp_path, "[web]\nlisten_tls = []"), before) == before
    prepare_tls(loaded(tmp_path, only=("lines",)), before)
    assert not (tmp_path / "lodge").exists()
    prepare_tls(loaded(tmp_path), before)
    first = read_root(tmp_path / "lodge" / "ca").fingerprint
    prepare_tls(loaded(tmp_path), before)
    assert read_root(tmp_path / "lodge" / "ca").fingerprint == first


def test_the_context_that_tickets_belong_to_stays_from_reading_to_reading(tmp_path: Path) -> None:
    first = prepare_tls(loaded(tmp_path), stocks())
    pem = self_signed(tmp_path, "own.example")
    second = prepare_tls(loaded(tmp_path, f'[[tls.certificate]]\ncertificate = "{pem}"\nkey = "{pem}"'), first)
    assert second["web_tls"].initial is first["web_tls"].initial
    assert second["web_tls"].own.find("own.example") is not None
    assert first["web_tls"].own.find("own.example") is None


def test_an_authority_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "lodge").mkdir()
    (tmp_path / "lodge" / "ca").write_text("in the way")
    with pytest.raises(NetlodgeError, match="the local authority cannot be made in"):
        prepare_tls(loaded(tmp_path), stocks())


@pytest.mark.parametrize(
    ("left", "said"), [(61, ""), (59, "is over soon"), (-1, "is over;"), (ROOT_DAYS + 2, "has not come yet")]
)
def test_an_authority_near_its_end_is_spoken_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, left: int, said: str
) -> None:
    make_root(tmp_path / "lodge" / "ca", time.time() - (ROOT_DAYS - left) * DAY)
    prepare_tls(loaded(tmp_path), stocks())
    assert (said in caplog.text) if said else not caplog.text


# --- Sites ----------------------------------------------------------------------------------------------------------------


def test_a_site_that_wants_nothing_of_tls_is_left_alone(tmp_path: Path) -> None:
    supplied = supplies(loaded(tmp_path).settings)
    inside = Respond(200, "x")
    assert with_https(inside, Site(routes=ROUTES), supplied) is inside
    for site in (Site(routes=ROUTES, https="required"), Site(routes=ROUTES, hsts=Duration.parse("1d"))):
        assert isinstance(with_https(inside, site, supplied), Https)

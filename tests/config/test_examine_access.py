"""What is said of settings of access and of CORS."""

from __future__ import annotations

from pathlib import Path

import pytest

from netlodge.config.errors import SettingsError
from netlodge.config.loading import Loaded, Sources, load

ROUTE = '[[web.site]]\nroutes = [{ path = "/", respond = "", %s }]\n'
AT = "netlodge.toml:2: web.site[0].routes[0]"


def loaded(folder: Path, text: str) -> Loaded:
    (folder / "netlodge.toml").write_text(text)
    return load(Sources(directory=folder))


def sentences(folder: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(folder, text)
    return str(caught.value).split("\n")


MISTAKES = {
    "a network with bits beyond its prefix": (
        'access.networks = ["::1", "192.168.1.7/24"]',
        'access.networks[1] = "192.168.1.7/24": has bits set beyond its prefix; did you mean the network "192.168.1.0/24", or the address "192.168.1.7"?',
    ),
    "a name for a network": (
        'access.networks = ["localhost"]',
        'access.networks[0] = "localhost": must be a network or an address, such as "192.168.0.0/16" or "::1".',
    ),
    "users without a login": (
        'access.users = ["anna"]',
        "access.users: has no meaning without login: nobody is asked who they are; set login = true.",
    ),
    "a user that cannot be": (
        'access = { login = true, users = ["a:b"] }',
        'access.users[0] = "a:b": is no name of an account: A name cannot have `:`. A name has letters and digits of any alphabet, and `.`, `_`, `-`, `+`, `@` after the first of them; at most 64 characters.',
    ),
    "a user twice": (
        'access = { login = true, users = ["anna", "Anna"] }',
        'access.users[1] = "Anna": is the same account as "anna".',
    ),
    "a realm that would split a field": (
        'access = { login = true, realm = "a\\r\\nb" }',
        'access.realm = "a\\r\\nb": must not have control characters.',
    ),
    "a rate that nobody would know for one": (
        'access.rate = "0.001/h"',
        'access.rate = "0.001/h": is less than once a day; to let nobody in use networks, to set no bound "0/s".',
    ),
    "an origin with a path": (
        'cors.origins = ["https://app.example/x"]',
        'cors.origins[0] = "https://app.example/x": is not as browsers write an origin; did you mean "https://app.example"?',
    ),
    "an origin with the port of its scheme": (
        'cors.origins = ["HTTPS://App.example:443"]',
        'cors.origins[0] = "HTTPS://App.example:443": is not as browsers write an origin; did you mean "https://app.example"?',
    ),
    "an origin with letters of another alphabet": (
        'cors.origins = ["https://bücher.example"]',
        'cors.origins[0] = "https://bücher.example": is not as browsers write an origin; did you mean "https://xn--bcher-kva.example"?',
    ),
    "a host for an origin": (
        'cors.origins = ["app.example"]',
        'cors.origins[0] = "app.example": must be an origin, such as "https://app.example.org".',
    ),
    "the origin of those who hide it": (
        'cors.origins = ["null"]',
        'cors.origins[0] = "null": is what every page says that hides its origin, so it names none.',
    ),
    "any origin and others": (
        'cors.origins = ["*", "https://app.example"]',
        'cors.origins: has "*", which is every origin, and others beside it; leave the one or the others.',
    ),
    "credentials for any origin": (
        'cors = { origins = ["*"], credentials = true }',
        'cors.credentials = true: cannot be with "*" in origins: any page could act in the name of its visitor.',
    ),
    "credentials with any method": (
        'cors = { origins = ["https://app.example"], credentials = true, methods = ["*"] }',
        'cors.methods[0] = "*": means nothing to a browser that sends credentials; name them.',
    ),
    "a method in small letters": (
        'cors = { origins = ["*"], methods = ["put"] }',
        'cors.methods[0] = "put": is another method than "PUT", which is what you may mean.',
    ),
    "a field that is none": (
        'cors = { origins = ["*"], fields = ["x token"] }',
        'cors.fields[0] = "x token": is no field name (RFC 9110 §5.6.2).',
    ),
    "fields without origins": (
        'cors.exposes = ["etag"]',
        'cors.exposes = ["etag"]: has no meaning without origins.',
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_a_way_out(case: str, tmp_path: Path) -> None:
    text, sentence = MISTAKES[case]
    assert sentences(tmp_path, ROUTE % text) == [f"{AT}.{sentence}"]


def test_the_access_of_a_site_is_looked_at_too(tmp_path: Path) -> None:
    text = '[[web.site]]\naccess.networks = ["10.0.0.1/8"]\nroutes = [{ path = "/", respond = "" }]\n'
    assert sentences(tmp_path, text)[0].startswith(
        'netlodge.toml:2: web.site[0].access.networks[0] = "10.0.0.1/8": has bits'
    )


@pytest.mark.parametrize(
    "text",
    [
        'access = { networks = ["10.0.0.0/8", "2001:db8::/32", "127.0.0.1", "::ffff:10.0.0.0/104", "unix:"] }',
        'access = { login = true, users = ["anna", "Jürgen", "bert@example.org"], realm = "Büro \\"1\\"" }',
        'access = { rate = "1/h", burst = 1 }',
        'access = { rate = "0/s" }',
        'cors = { origins = ["https://app.example", "http://localhost:3000", "http://[::1]:8080", "app://x"], credentials = true }',
        'cors = { origins = ["*"], methods = ["*", "PUT"], fields = ["*", "authorization"], exposes = ["*"] }',
    ],
)
def test_what_is_right_is_taken(text: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, ROUTE % text).warnings == ()


def test_users_of_a_route_are_right_where_its_site_or_its_uploads_ask_for_a_login(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    users = 'access.users = ["anna"]'
    loaded(tmp_path, "web.site = [{ access.login = true, routes = [{ path = '/', respond = '', " + users + " }] }]")
    loaded(tmp_path, '[[web.site]]\nroutes = [{ path = "/", files = "www", uploads = "login", ' + users + " }]")


LOGIN = '[[web.site]]\nroutes = [{ path = "/", respond = "" }, { path = "/in/", respond = "", access.login = true }]\n'


class TestPasswordsThatOthersCouldRead:
    def test_are_warned_of(self, tmp_path: Path) -> None:
        (warning,) = loaded(tmp_path, 'web.listen = ["127.0.0.1:80", "0.0.0.0:8080"]\n' + LOGIN).warnings
        assert warning == (
            "web.site[0].routes[1].access.login: logins come over 0.0.0.0:8080 without TLS, for everyone on the way to read; "
            'set web.site[0].https to "required", or take the address out of web.listen.'
        )

    def test_are_warned_of_at_uploads_and_sites_too(self, tmp_path: Path) -> None:
        (tmp_path / "www").mkdir()
        text = (
            'web.listen = ["[2001:db8::1]:80"]\n[[web.site]]\naccess.login = true\n'
            'routes = [{ path = "/", files = "www", uploads = "login" }]\n'
        )
        (warning,) = loaded(tmp_path, text).warnings
        assert warning.startswith(
            "web.site[0].access.login, web.site[0].routes[0].uploads: logins come over [2001:db8::1]:80"
        )

    @pytest.mark.parametrize(
        "text",
        [
            'web.listen = ["127.0.0.1:80", "[::1]:80", "unix:web.sock"]\n' + LOGIN,
            'web.listen = ["0.0.0.0:80"]\n' + LOGIN + 'https = "required"\n',
            'web.listen = ["0.0.0.0:80"]\n' + LOGIN.replace("access.login = true", "access.login = false"),
            'web = { listen = [], listen_tls = ["0.0.0.0:443"], site = [{ access.login = true, routes = [{ path = "/", respond = "" }] }] }',
        ],
    )
    def test_are_not_where_there_are_none(self, text: str, tmp_path: Path) -> None:
        assert loaded(tmp_path, text).warnings == ()

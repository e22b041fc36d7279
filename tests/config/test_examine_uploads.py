"""Uploads in the settings: what they must not be able to change, and whom they should not be open to."""

from __future__ import annotations

from pathlib import Path

import pytest

from netlodge.config.errors import SettingsError
from netlodge.config.loading import Sources, load

ROUTE = '[[web.site]]\nroutes = [{ path = "/", %s }]\n'
NAMED_ROUTE = ROUTE.replace("routes", 'hosts = ["localhost"]\nroutes')


def problems(folder: Path, text: str) -> list[str]:
    """What is said about a `netlodge.toml` with this text; nothing if it is found right."""
    (folder / "netlodge.toml").write_text(text)
    for name in ("www", ".hidden", "www/tls", "www/.code"):
        (folder / name).mkdir(exist_ok=True)
    for name in ("www/tls/a.pem", "www/tls/a.key"):
        (folder / name).touch()
    try:
        load(Sources(directory=folder))
    except SettingsError as error:
        return [sentence.replace(str(folder), "HERE") for sentence in str(error).split("\n")]
    return []


def warnings(folder: Path, text: str) -> list[str]:
    assert not problems(folder, text)
    return [each.replace(str(folder), "HERE") for each in load(Sources(directory=folder)).warnings]


@pytest.mark.parametrize("uploads", ["login", "anyone"])
def test_the_settings_file_must_not_be_within_reach(tmp_path: Path, uploads: str) -> None:
    (complaint,) = problems(tmp_path, 'data = ".lodge"\n' + ROUTE % f'files = ".", uploads = "{uploads}"')
    assert complaint == (
        f'netlodge.toml:3: web.site[0].routes[0].uploads = "{uploads}": would let the settings file HERE/netlodge.toml '
        "be changed by uploads; choose another folder for files."
    )


def test_the_settings_file_may_be_beside_the_folder(tmp_path: Path) -> None:
    assert not problems(tmp_path, ROUTE % 'files = "www", uploads = "login"')


def test_who_only_reads_may_have_it_in_reach(tmp_path: Path) -> None:
    assert not problems(tmp_path, 'data = ".lodge"\n' + ROUTE % 'files = "."')


def test_modules_of_applications_must_not_be_within_reach(tmp_path: Path) -> None:
    routes = (
        '{ path = "/", files = "www", uploads = "login" }, { path = "/app", app = "shop:app", app_folder = "www/%s" }'
    )
    (complaint,) = problems(tmp_path, f"[[web.site]]\nroutes = [{routes % 'tls'}]")
    assert "would let the modules of an application in HERE/www/tls be changed by uploads" in complaint
    # Hidden names are out of reach, unless they are served.
    text = f"[[web.site]]\nroutes = [{routes % '.code'}]"
    assert not problems(tmp_path, text)
    assert len(problems(tmp_path, text.replace('"login"', '"login", hidden = true'))) == 1


def test_keys_and_certificates_must_not_be_within_reach(tmp_path: Path) -> None:
    text = ROUTE % 'files = "www", uploads = "login"'
    text += '[[tls.certificate]]\ncertificate = "www/tls/a.pem"\nkey = "www/tls/a.key"\n'
    told = [each for each in problems(tmp_path, text) if "be changed by uploads" in each]
    assert len(told) == 2
    assert "the private key HERE/www/tls/a.key" in told[1]


@pytest.mark.parametrize(
    "listen",
    ['listen = ["0.0.0.0:8080", "127.0.0.1:8080"]', 'listen = []\nlisten_tls = ["192.0.2.1:8443"]'],
)
def test_uploads_by_anyone_are_worth_a_warning_where_others_come_in(tmp_path: Path, listen: str) -> None:
    text = f"[web]\n{listen}\n" + NAMED_ROUTE % 'files = "www", uploads = "anyone"'
    (warning,) = warnings(tmp_path, text)
    address = "192.0.2.1:8443" if "tls" in listen else "0.0.0.0:8080"
    assert warning.startswith(
        f"web.site[0].routes[0].uploads: everybody who reaches {address} may change what is in HERE/www"
    )


@pytest.mark.parametrize(
    ("listen", "route"),
    [
        ('["127.0.0.1:8080", "[::1]:8080", "unix:web.sock"]', 'uploads = "anyone"'),
        ('["0.0.0.0:8080"]', 'uploads = "anyone", access = { networks = ["192.0.2.0/24"] }'),
        ('["0.0.0.0:8080"]', 'uploads = "off"'),
    ],
)
def test_uploads_by_few_are_not(tmp_path: Path, listen: str, route: str) -> None:
    assert not warnings(tmp_path, f"web.listen = {listen}\n" + NAMED_ROUTE % f'files = "www", {route}')


@pytest.mark.parametrize("hosts", ["", 'hosts = ["localhost", "*"]\n'])
def test_uploads_by_anyone_are_worth_a_warning_where_any_name_leads_here(tmp_path: Path, hosts: str) -> None:
    text = ROUTE.replace("routes", f"{hosts}routes") % 'files = "www", uploads = "anyone"'
    (warning,) = warnings(tmp_path, text)
    assert warning.startswith("web.site[0].routes[0].uploads: any page in a browser that reaches the lodge may change")
    assert "say in web.site[0].hosts" in warning


@pytest.mark.parametrize("route", ['uploads = "login"', 'uploads = "anyone", access = { login = true }'])
def test_uploads_by_accounts_are_not_either(tmp_path: Path, route: str) -> None:
    text = 'web.listen = ["0.0.0.0:8080"]\n' + ROUTE % f'files = "www", {route}'
    assert not [each for each in warnings(tmp_path, text) if "may change" in each]


def test_uploads_have_no_meaning_without_files(tmp_path: Path) -> None:
    (complaint,) = problems(tmp_path, ROUTE % 'respond = "", uploads = "login"')
    assert complaint.endswith('uploads = "login": has no meaning without files.')

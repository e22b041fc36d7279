"""Secrets in folders that are served."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from netlodge.config.errors import SettingsError
from netlodge.config.loading import Sources, load

ROUTE = '[[web.site]]\nroutes = [{ path = "/", files = "%s"%s }]\n'


def problems(folder: Path, text: str) -> list[str]:
    """What is said about a `netlodge.toml` with this text; nothing if it is found right."""
    (folder / "www" / ".tls").mkdir(parents=True, exist_ok=True)
    (folder / "netlodge.toml").write_text('data = ".lodge"\n' + text)
    try:
        load(Sources(directory=folder))
    except SettingsError as error:
        return [sentence.replace(str(folder), "HERE") for sentence in str(error).split("\n")]
    return []


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A certificate and its key."""
    folder = tmp_path_factory.mktemp("pair")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9",
         "-subj", "/CN=x", "-addext", "subjectAltName=DNS:x.test", "-keyout", folder / "key", "-out", folder / "pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return (folder / "pem").read_bytes(), (folder / "key").read_bytes()


@pytest.mark.parametrize(
    ("key", "hidden", "is_shown"),
    [
        ("www/a.key", False, True),
        ("a.key", False, False),
        ("www/.tls/a.key", False, False),
        ("www/.tls/a.key", True, True),
    ],
)
def test_a_private_key_is_not_served(
    tmp_path: Path, pair: tuple[bytes, bytes], key: str, hidden: bool, is_shown: bool
) -> None:
    tls = f'[[tls.certificate]]\ncertificate = "a.pem"\nkey = "{key}"\n'
    (tmp_path / "www" / ".tls").mkdir(parents=True)
    (tmp_path / "a.pem").write_bytes(pair[0])
    (tmp_path / key).write_bytes(pair[1])
    found = problems(tmp_path, ROUTE % ("www", ", hidden = true" if hidden else "") + tls)
    complaint = (
        'netlodge.toml:3: web.site[0].routes[0].files = "HERE/www": '
        f"would show the private key HERE/{key} to everyone; keep it elsewhere, or choose another folder."
    )
    assert found == [complaint] * is_shown


@pytest.mark.parametrize(("file", "is_shown"), [("www/lodge.db", True), ("lodge.db", False)])
def test_the_database_is_not_served(tmp_path: Path, file: str, is_shown: bool) -> None:
    text = ROUTE % ("www", "") + f'[database]\nurl = "sqlite:///{tmp_path}/{file}"\n'
    assert [("would show the database HERE/www/lodge.db" in each) for each in problems(tmp_path, text)] == [
        True
    ] * is_shown


@pytest.mark.parametrize(
    ("url", "is_secret"),
    [("postgresql://lodge:secret@127.0.0.1/lodge", True), ("postgresql://lodge@127.0.0.1/lodge", False), ("", False)],
)
def test_settings_in_which_a_password_stands_are_not_served(tmp_path: Path, url: str, is_secret: bool) -> None:
    database = f'[database]\nurl = "{url}"\n'
    found = problems(tmp_path, ROUTE % (".", "") + database)
    assert ["the password of the database, which stands in HERE/netlodge.toml" in each for each in found] == [
        True
    ] * is_secret
    assert "secret@" not in "".join(found)
    assert not problems(tmp_path, ROUTE % ("www", "") + database)


def test_a_malformed_url_is_for_others_to_complain_of(tmp_path: Path) -> None:
    (complaint,) = problems(tmp_path, ROUTE % ("www", "") + '[database]\nurl = "postgresql://[::1/lodge"\n')
    assert "database.url" in complaint

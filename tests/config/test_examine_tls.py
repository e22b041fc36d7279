"""What is said of settings of TLS that cannot be kept: files of certificates, redirects to nowhere."""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from pathlib import Path

import pytest

from netlodge.config.errors import SettingsError
from netlodge.config.loading import Loaded, Sources, load
from netlodge.store.authority import DAY, Authority, make_root
from tests.net.certificate import self_signed

PAIR = '[[tls.certificate]]\ncertificate = "{}"\nkey = "{}"\n'


def loaded(folder: Path, text: str) -> Loaded:
    (folder / "netlodge.toml").write_text(text)
    return load(Sources(directory=folder))


def complaints(folder: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(folder, text)
    return [sentence.replace(str(folder), "HERE") for sentence in str(caught.value).splitlines()]


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    for name in ("one", "two"):
        self_signed(folder, name)
    command = ["openssl", "pkey", "-aes128", "-passout", "pass:x", "-in", str(folder / "one.pem")]
    command += ["-out", str(folder / "locked")]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def test_a_pair_that_can_be_shown_is_taken(tmp_path: Path, pems: Path) -> None:
    got = loaded(tmp_path, PAIR.format(pems / "one.pem", pems / "one.pem"))
    assert got.settings.tls.certificate[0].certificate == pems / "one.pem"
    assert not got.warnings


def test_paths_are_counted_from_the_settings_file(tmp_path: Path, pems: Path) -> None:
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "one.pem").write_bytes((pems / "one.pem").read_bytes())
    got = loaded(tmp_path, PAIR.format("tls/one.pem", "tls/one.pem"))
    assert got.settings.tls.certificate[0].key == tmp_path / "tls" / "one.pem"


@pytest.mark.parametrize(
    ("certificate", "key", "complaint"),
    [
        ("none.pem", "one.pem", 'certificate = "PEMS/none.pem": there is no such file.'),
        ("one.pem", "none.pem", 'key = "PEMS/none.pem": there is no such file.'),
        ("one.pem", "two.pem", 'key = "PEMS/two.pem": is not the key of PEMS/one.pem.'),
        ("locked", "one.pem", 'certificate = "PEMS/locked": is no certificate in PEM.'),
        (
            "one.pem",
            "locked",
            'key = "PEMS/locked": is locked by a passphrase; unlock it with: openssl pkey -in PEMS/locked -out NEW.',
        ),
    ],
)
def test_a_pair_that_cannot_be_shown_is_one_sentence(
    tmp_path: Path, pems: Path, certificate: str, key: str, complaint: str
) -> None:
    (sentence,) = complaints(tmp_path, PAIR.format(pems / certificate, pems / key))
    place, _, rest = sentence.replace(str(pems), "PEMS").partition(": ")
    assert place.startswith("netlodge.toml:")
    assert rest == f"tls.certificate[0].{complaint}"


@pytest.mark.skipif("os.geteuid() != 0")  # nobody else drops to another user
def test_a_key_must_be_readable_by_whom_the_lodge_becomes(tmp_path: Path, pems: Path) -> None:
    folder = Path("/var/tmp") / f"netlodge-tls-{os.getpid()}"
    folder.mkdir()
    try:
        pem = folder / "one.pem"
        pem.write_bytes((pems / "one.pem").read_bytes())
        text = 'user = "nobody"\n' + PAIR.format(pem, pem)
        nobody = pwd.getpwnam("nobody")
        pem.chmod(0o600)
        first, second = complaints(tmp_path, text)
        assert first.endswith("cannot be read by the user nobody, which the lodge becomes.")
        assert "certificate[0].key" in second
        pem.chmod(0o640)
        os.chown(pem, 0, nobody.pw_gid)
        loaded(tmp_path, text)
        os.chown(pem, nobody.pw_uid, 0)
        pem.chmod(0o400)
        loaded(tmp_path, text)
        folder.chmod(0o700)
        assert complaints(tmp_path, text)
        assert complaints(tmp_path, text.replace('"nobody"', '"nobody"\ngroup = "daemon"'))
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def test_a_certificate_whose_time_is_over_is_a_warning(tmp_path: Path) -> None:
    then = time.time() - 200 * DAY
    make_root(tmp_path / "ca", then)
    every = Authority(tmp_path / "ca", may_sign=bool, is_expected=bool, capacity=1, per_minute=1)
    credential = every.find("old.example", then)
    assert credential is not None
    pem = credential.files.certificate
    got = loaded(tmp_path, PAIR.format(pem, pem))
    assert [warning.replace(str(tmp_path), "HERE") for warning in got.warnings] == [
        "tls.certificate[0].certificate: the time of HERE/ca/leaves/old.example.pem is over: clients will refuse it."
    ]


def test_a_gateway_is_a_network(tmp_path: Path) -> None:
    loaded(tmp_path, '[tls]\ngateways = ["192.168.7.2", "fd00::/8", "unix:"]')
    (sentence,) = complaints(tmp_path, '[tls]\ngateways = ["::1", "proxy.example"]')
    assert sentence.startswith('netlodge.toml:2: tls.gateways[1] = "proxy.example": must be a network or an address')


SITE = '[[web.site]]\nroutes = [{ path = "/", respond = "x" }]\n'


def test_a_redirect_needs_a_port(tmp_path: Path) -> None:
    text = SITE + 'https = "required"\n'
    loaded(tmp_path, text)
    expected = (
        'netlodge.toml:3: web.site[0].https = "required": needs a fixed port to redirect to, first in web.listen_tls.'
    )
    for listen in ('["127.0.0.1:0"]', '["unix:/tmp/x"]', "[]"):
        assert complaints(tmp_path, f"{text}[web]\nlisten_tls = {listen}\n") == [expected]


def test_hsts_needs_tls(tmp_path: Path) -> None:
    text = SITE + 'hsts = "1d"\n'
    loaded(tmp_path, text)
    (sentence,) = complaints(tmp_path, text + "[web]\nlisten_tls = []\n")
    assert sentence.endswith("has no effect without web.listen_tls.")

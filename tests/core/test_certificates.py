"""Names of hosts as certificates hold them; and what is wrong with a pair of files, in words."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path

import pytest

from netlodge.core.certificate_files import PairError, PairFiles, read_pair
from netlodge.core.certificates import COVERED_KEPT, LONGEST_NAME, CoveredHosts, host_name, is_address
from tests.net.certificate import self_signed


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("localhost", "localhost"),
        ("WWW.Example.ORG", "www.example.org"),
        ("www.example.org.", "www.example.org"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("my_host.example", "my_host.example"),
        ("a" * 63, "a" * 63),
        ("a" * 64, None),
        (".".join(["a" * 49] * 5), ".".join(["a" * 49] * 5)),
        (".".join(["a" * 49] * 5) + ".b", None),
        ("", None),
        (".", None),
        ("a..b", None),
        (".a", None),
        ("*.example.org", None),
        ("-a.example", None),
        ("a-.example", None),
        ("a b", None),
        ("../../etc/passwd", None),
        ("a/b", None),
        ("a\0b", None),
        ("a\nb", None),
        ("bücher.example", None),
        ("127.0.0.1", None),
        ("::1", None),
    ],
)
def test_a_host_name_has_one_form(text: str, name: str | None) -> None:
    assert host_name(text) == name
    assert name is None or len(name) <= LONGEST_NAME


def test_an_address_is_no_name() -> None:
    assert is_address("127.0.0.1")
    assert is_address("::1")
    assert not is_address("127.0.0.1.example")
    assert not is_address("[::1]")


# --- For which hosts a certificate is (RFC 9525 §6.3, §6.4) ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "is_covered"),
    [
        ("www.example.org", True),
        ("WWW.example.org", True),
        ("www.example.org.", True),
        ("example.org", False),
        ("a.www.example.org", False),
        ("any.example.net", True),
        ("*.example.net", True),
        ("example.net", False),
        ("a.b.example.net", False),
        ("net", False),
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("127.1", False),
        ("[::1]", True),
        ("[0:0::1]", True),
        ("[::2]", False),
        ("[v7.a]", False),
        ("", True),
    ],
)
def test_a_certificate_is_for_the_hosts_that_stand_in_it(host: str, is_covered: bool) -> None:
    hosts = CoveredHosts(["www.example.org", "*.example.net", "127.0.0.1", "::1"])
    assert [hosts[host], hosts[host]] == [is_covered, is_covered]


def test_asking_for_many_hosts_fills_no_memory() -> None:
    hosts = CoveredHosts(["*.example.net"])
    for number in range(2 * COVERED_KEPT):
        assert hosts[f"{number}.example.net"]
        assert not hosts[f"{number}.example.org"]
        assert hosts["x" * LONGEST_NAME + ".example.net"]
        assert 0 < len(hosts) <= COVERED_KEPT


def server() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def complaint(certificate: Path, key: Path) -> tuple[str, str]:
    with pytest.raises(PairError) as caught:
        read_pair(PairFiles(certificate, key), server())
    assert str(caught.value).startswith(str(certificate if caught.value.at == "certificate" else key))
    return caught.value.at, caught.value.complaint


def test_a_pair_says_for_whom_it_is(tmp_path: Path) -> None:
    pem = self_signed(tmp_path, "localhost", "DNS:*.Example.org,DNS:example.org,IP:127.0.0.1,IP:::1")
    pair = read_pair(PairFiles(pem, pem), server())
    assert pair.names == ("*.example.org", "example.org", "127.0.0.1", "::1")


def test_what_is_wrong_with_a_pair_is_told(tmp_path: Path) -> None:
    one, two = self_signed(tmp_path, "one"), self_signed(tmp_path, "two")
    garbage = tmp_path / "garbage"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    locked = tmp_path / "locked"
    subprocess.run(
        ["openssl", "pkey", "-in", one, "-aes128", "-passout", "pass:secret", "-out", locked],
        check=True,
        capture_output=True,
    )
    missing = tmp_path / "missing"
    assert complaint(one, two) == ("key", f"is not the key of {one}")
    assert complaint(garbage, one) == ("certificate", "is no certificate in PEM")
    assert complaint(one, garbage) == ("key", "is no private key in PEM")
    assert complaint(one, locked)[1].startswith("is locked by a passphrase; unlock it with: openssl pkey")
    assert complaint(missing, one) == ("certificate", "there is no such file")
    assert complaint(one, missing) == ("key", "there is no such file")
    assert complaint(one, tmp_path) == ("key", "cannot be read: Is a directory")


def test_a_key_that_is_too_weak_is_told(tmp_path: Path) -> None:
    certificate, key = tmp_path / "weak.pem", tmp_path / "weak.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "2", "-subj", "/CN=weak"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    assert complaint(certificate, key) == ("certificate", "is refused by OpenSSL: ee key too small")


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = self_signed(tmp_path)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, os.strerror(13), str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert complaint(pem, pem) == ("certificate", "cannot be read by this user")


def test_an_old_certificate_has_its_name_in_the_subject(tmp_path: Path) -> None:
    certificate, key = tmp_path / "old.pem", tmp_path / "old.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/O=x/CN=Old.example"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    assert read_pair(PairFiles(certificate, key), server()).names == ("old.example",)

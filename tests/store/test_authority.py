"""The local authority: what it makes once, what it signs, when it signs anew, and what it will not sign."""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from netlodge.core.certificates import Credential
from netlodge.store.authority import DAY, Allowance, Authority, AuthorityError, make_root, read_root

NOW = 1_800_000_000.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_root(tmp_path / "ca", NOW, "gatehouse")
    return tmp_path / "ca"


def anyone(name: str) -> bool:
    return True


def nobody(name: str) -> bool:
    return False


def authority(
    folder: Path,
    *,
    may_sign: Callable[[str], bool] = anyone,
    is_expected: Callable[[str], bool] = nobody,
    capacity: int = 100,
    per_minute: int = 100,
) -> Authority:
    return Authority(folder, may_sign=may_sign, is_expected=is_expected, capacity=capacity, per_minute=per_minute)


def leaf_of(credential: Credential | None) -> x509.Certificate:
    assert credential is not None
    return x509.load_pem_x509_certificate(credential.files.certificate.read_bytes())


def alternative_of(certificate: x509.Certificate) -> x509.Extension[x509.SubjectAlternativeName]:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


# --- The root ---------------------------------------------------------------------------------------------------------


def test_the_root_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "lodge" / "ca"
    before = os.umask(0)
    try:
        assert make_root(folder, NOW) == [folder]
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "root.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "root.pem").stat().st_mode) == 0o644
    assert sorted(path.name for path in folder.iterdir()) == ["root.key", "root.pem"]
    first = read_root(folder)
    assert make_root(folder, NOW) == []
    assert read_root(folder).fingerprint == first.fingerprint


def test_the_root_is_an_authority_and_nothing_else(folder: Path) -> None:
    root = read_root(folder)
    certificate = root.certificate
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert root.name.startswith("Netlodge on gatehouse (")
    assert root.ends == NOW + 3650 * DAY
    assert len(root.fingerprint) == 95
    certificate.verify_directly_issued_by(certificate)


def test_two_roots_of_one_machine_have_two_names(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_root(tmp_path / name, NOW, "m" * 100)
    names = {read_root(tmp_path / name).name for name in ("one", "two")}
    assert len(names) == 2
    assert all(len(name) <= 64 for name in names)


def test_what_is_wrong_with_the_root_is_told(folder: Path) -> None:
    key = (folder / "root.key").read_bytes()
    make_root(folder.parent / "other", NOW)
    for octets, sentence in (
        ((folder.parent / "other" / "root.key").read_bytes(), "root.key is not the key of"),
        (b"x", "root.key is no private key in PEM"),
        (None, "root.key cannot be read: No such file"),
    ):
        (folder / "root.key").unlink()
        if octets is not None:
            (folder / "root.key").write_bytes(octets)
        with pytest.raises(AuthorityError, match=sentence):
            authority(folder)
    (folder / "root.key").write_bytes(key)
    (folder / "root.pem").write_bytes(b"x")
    with pytest.raises(AuthorityError, match=r"root\.pem is no certificate in PEM"):
        authority(folder)
    (folder / "root.pem").unlink()
    with pytest.raises(AuthorityError, match="There is no local authority in"):
        read_root(folder)


# --- Leaves -----------------------------------------------------------------------------------------------------------


def test_a_name_gets_a_certificate_as_browsers_want_it(folder: Path) -> None:
    leaf = leaf_of(authority(folder).find("www.example.org", NOW))
    root = read_root(folder).certificate
    leaf.verify_directly_issued_by(root)
    assert alternative_of(leaf).value.get_values_for_type(x509.DNSName) == ["www.example.org"]
    assert leaf.not_valid_before_utc == dt.datetime.fromtimestamp(NOW - DAY, dt.UTC)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= dt.timedelta(days=398)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    issuer_key = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert issuer_key == root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_gets_one_too(folder: Path, address: str) -> None:
    alternative = alternative_of(leaf_of(authority(folder).find(address, NOW))).value
    assert alternative.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(address)]


def test_a_name_too_long_for_a_subject_stands_in_the_alternative_name_alone(folder: Path) -> None:
    name = ".".join(["a" * 49] * 5)
    leaf = leaf_of(authority(folder).find(name, NOW))
    assert not list(leaf.subject)
    assert alternative_of(leaf).critical
    short = leaf_of(authority(folder).find("a.example", NOW))
    assert [each.value for each in short.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["a.example"]
    assert not alternative_of(short).critical


def test_all_workers_show_the_same_certificate_whose_key_is_the_owners_alone(folder: Path) -> None:
    one, other = authority(folder).find("a.example", NOW), authority(folder).find("a.example", NOW + 10)
    assert one == other
    assert one is not None
    assert stat.S_IMODE(one.files.key.stat().st_mode) == 0o600
    assert [path.name for path in (folder / "leaves").iterdir()] == ["a.example.pem"]


def test_a_certificate_is_renewed_before_its_end(folder: Path) -> None:
    source = authority(folder)
    first = source.find("a.example", NOW)
    assert first is not None
    before = leaf_of(first)
    assert NOW + 50 * DAY < first.renew_at < NOW + 70 * DAY
    assert leaf_of(source.find("a.example", first.renew_at - 1)) == before
    again = source.find("a.example", first.renew_at)
    assert leaf_of(again).serial_number != before.serial_number
    assert again is not None
    assert again.renew_at > first.renew_at


def test_no_certificate_outlives_the_root(folder: Path) -> None:
    ends = read_root(folder).ends
    leaf = leaf_of(authority(folder).find("a.example", ends - 10 * DAY))
    assert leaf.not_valid_after_utc.timestamp() == ends


def test_a_root_whose_time_is_over_signs_nothing_and_says_so_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = authority(folder)
    ends = read_root(folder).ends
    assert source.find("a.example", ends) is None
    assert source.find("b.example", ends + 1) is None
    said = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert said == ["The local authority cannot sign a certificate for a.example: the root's time is over."]


def test_leaves_of_another_root_are_made_anew(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = leaf_of(authority(folder).find("a.example", NOW))
    for name in ("root.pem", "root.key"):
        (folder / name).unlink()
    make_root(folder, NOW)
    second = leaf_of(authority(folder).find("a.example", NOW))
    assert second.serial_number != first.serial_number
    second.verify_directly_issued_by(read_root(folder).certificate)
    (folder / "leaves" / "a.example.pem").write_text("half of a")
    assert leaf_of(authority(folder).find("a.example", NOW)).serial_number != second.serial_number
    assert caplog.text.count("is made anew") == 2


def test_a_leaf_from_the_future_is_made_anew(folder: Path) -> None:
    later = leaf_of(authority(folder).find("a.example", NOW + 10 * DAY))
    assert leaf_of(authority(folder).find("a.example", NOW)).serial_number != later.serial_number


# --- What is not signed -----------------------------------------------------------------------------------------------


def test_only_the_names_of_the_sites_are_signed(folder: Path) -> None:
    source = authority(folder, may_sign=lambda name: name == "a.example")
    assert source.find("b.example", NOW) is None
    assert source.find("a.example", NOW) is not None


def test_invented_names_are_signed_at_a_bounded_rate_and_expected_ones_always(folder: Path) -> None:
    source = authority(folder, is_expected=lambda name: name == "mine.example", per_minute=2)
    assert source.find("a.example", NOW) is not None
    assert source.find("b.example", NOW) is not None
    assert source.find("c.example", NOW) is None
    assert source.find("a.example", NOW) is not None  # it is there already
    assert source.find("mine.example", NOW) is not None
    assert source.find("c.example", NOW + 30) is not None
    assert source.find("d.example", NOW + 30) is None


def test_a_certificate_that_cannot_be_renewed_is_shown_as_long_as_it_holds(folder: Path) -> None:
    source = authority(folder, per_minute=1)
    first = source.find("a.example", NOW)
    assert first is not None
    source = authority(folder, per_minute=1)
    assert source.find("b.example", first.renew_at) is not None
    kept = source.find("a.example", first.renew_at + 1)
    assert kept is not None
    assert kept.renew_at == first.renew_at + 61
    assert leaf_of(kept).not_valid_after_utc.timestamp() > first.renew_at


def test_no_more_files_are_kept_than_may_be(folder: Path) -> None:
    source = authority(folder, capacity=3)
    for number in range(5):
        assert source.find(f"{number}.example", NOW) is not None
        # The clock of the disk may be anywhere: what was just made is kept.
        os.utime(folder / "leaves" / f"{number}.example.pem", (number, number))
    source.find("last.example", NOW)
    names = sorted(path.name for path in (folder / "leaves").iterdir())
    assert names == ["3.example.pem", "4.example.pem", "last.example.pem"]


def test_a_file_that_another_worker_takes_away_meanwhile_is_no_failure(folder: Path) -> None:
    source = authority(folder, capacity=1)
    assert source.find("a.example", NOW) is not None
    (folder / "leaves" / "gone.example.pem").symlink_to("nowhere")
    assert source.find("b.example", NOW) is not None
    assert not (folder / "leaves" / "a.example.pem").exists()


def test_a_disk_that_refuses_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = authority(folder)
    (folder / "leaves").write_text("in the way")
    assert source.find("a.example", NOW) is None
    assert "cannot sign a certificate for a.example" in caplog.text


def test_an_allowance_is_so_many_at_once_and_so_many_a_minute() -> None:
    allowance = Allowance(60)
    assert sum(allowance.take(NOW) for _ in range(100)) == 60
    assert sum(allowance.take(NOW + 10) for _ in range(100)) == 10
    assert not allowance.take(NOW - 1000)  # a clock that was set back gives nothing
    assert sum(allowance.take(NOW + 10_000) for _ in range(100)) == 60

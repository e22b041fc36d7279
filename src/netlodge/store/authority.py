"""The lodge's local authority: a root that its owner makes machines trust, and certificates for the names that are asked for.

A folder keeps `root.pem`, `root.key` (readable by its owner alone), and in `leaves` a file for each name that was asked for, with its
key: so all workers show the same certificate, and those that come after a reload have it already.

RFC 5280 §4.1.2.2 (serial numbers), §4.1.2.5 (validity), §4.2.1 (extensions); RFC 9525 §6 (names are compared in the alternative names).
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from netlodge.core.certificate_files import PairFiles
from netlodge.core.certificates import Credential, is_address
from netlodge.core.errors import NetlodgeError

logger = logging.getLogger("netlodge.tls")

ROOT_CERTIFICATE: Final = "root.pem"
ROOT_KEY: Final = "root.key"
LEAVES: Final = "leaves"

DAY: Final = 86400.0
ROOT_DAYS: Final = 3650
"""Ten years: what has to be installed by hand on every machine should last. Precedent: mkcert and Caddy's local authority, ten years."""
LEAF_DAYS: Final = 90
"""Browsers take 398 days at most; what is renewed by itself can be short. Precedent: Let's Encrypt, 90 days."""
BACKDATED_DAYS: Final = 1
"""How far a client's clock may be behind ours."""
RENEWED_AT: Final = 2 / 3
"""The part of its time after which a certificate is renewed."""
TRY_AGAIN: Final = 60.0
"""Seconds until a certificate that could not be renewed, and still holds, is tried again."""
_LONGEST_COMMON_NAME: Final = 64
"""RFC 5280 appendix A.1: ub-common-name."""


class AuthorityError(NetlodgeError):
    """The authority's files cannot be made or used. `str(error)` says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Root:
    """The authority itself: its certificate, which anyone may have, and where that stands."""

    path: Path
    certificate: x509.Certificate

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate in DER, as browsers and OpenSSL show it: `AB:CD:...`."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def name(self) -> str:
        """Its common name."""
        (attribute,) = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(attribute.value)

    @property
    def begins(self) -> float:
        """Seconds since the epoch."""
        return self.certificate.not_valid_before_utc.timestamp()

    @property
    def ends(self) -> float:
        """Seconds since the epoch."""
        return self.certificate.not_valid_after_utc.timestamp()

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


def make_root(folder: Path, now: float, machine: str = "") -> list[Path]:
    """Make the authority in `folder` if there is none, for its owner alone; returns what was made: the folder, or nothing.

    `machine` stands in its name (default: this machine's). `now` is seconds since the epoch. Raises `OSError`.
    """
    certificate_path, key_path = folder / ROOT_CERTIFICATE, folder / ROOT_KEY
    if certificate_path.exists():
        return []
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    public_key = key.public_key()
    # Two authorities of one machine have two names: stores of certificates look them up by name.
    mark = x509.SubjectKeyIdentifier.from_public_key(public_key).digest[:3].hex()
    machine = (machine or socket.gethostname())[: _LONGEST_COMMON_NAME - 24]
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"Netlodge on {machine} ({mark})"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Netlodge local authority"),
        ]
    )
    certificate = (
        _builder(name, name, public_key, now, now + ROOT_DAYS * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    # The key first: a certificate says that the authority is there.
    _write(key_path, _key_pem(key), mode=0o600)
    _write(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return [folder]


def read_root(folder: Path) -> Root:
    """The authority's certificate. Raises `AuthorityError`."""
    path = folder / ROOT_CERTIFICATE
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        raise AuthorityError(
            f"There is no local authority in {folder}; `netlodge up` makes it when a door speaks TLS."
        ) from None
    except OSError as error:
        raise AuthorityError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise AuthorityError(f"{path} is no certificate in PEM: {error}. {_ANEW.format(folder=folder)}") from error
    return Root(path, certificate)


_ANEW: Final = (
    "Put back what was there, or remove the folder {folder} for a new authority (which must then be trusted anew)."
)


class Allowance:
    """So many at once, and so many a minute after that."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._left = float(per_minute)
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether one more is allowed at `now`, in seconds; then it is taken."""
        elapsed, self._at = max(0.0, now - self._at), now
        self._left = min(self._per_minute, self._left + elapsed * self._per_minute / 60)
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Authority:
    """Implements `core.certificates.CertificateSource`: signs a certificate for any name that it may.

    A key of 256 bits on the curve P-256 and a signature by it take well under a millisecond.
    """

    def __init__(
        self,
        folder: Path,
        *,
        may_sign: Callable[[str], bool],
        is_expected: Callable[[str], bool],
        capacity: int,
        per_minute: int,
    ) -> None:
        """`may_sign` says for which names; those of them that the settings name (`is_expected`) do not count against `per_minute`, which
        bounds what a client can make us do by inventing names. At most `capacity` certificates are kept. Raises `AuthorityError`."""
        self._root = read_root(folder)
        self._key = _read_key(folder, self._root)
        self._folder = folder / LEAVES
        self._may_sign = may_sign
        self._is_expected = is_expected
        self._capacity = capacity
        self._allowance = Allowance(per_minute)
        self._has_complained = False

    def find(self, name: str, now: float) -> Credential | None:
        if not self._may_sign(name):
            return None
        path = self._folder / f"{name}.pem"
        renew_at, ends = self._times_of(path, now)
        if now < renew_at:
            return Credential(PairFiles(path, path), renew_at)
        if self._is_expected(name) or self._allowance.take(now):
            try:
                return self._sign(name, path, now)
            except (OSError, ValueError) as error:
                self._complain(name, error)
        return Credential(PairFiles(path, path), now + TRY_AGAIN) if now < ends else None

    def _times_of(self, path: Path, now: float) -> tuple[float, float]:
        """When the certificate in the file is to be renewed and when it ends; zeros if there is none of this root that holds now."""
        try:
            leaf = x509.load_pem_x509_certificate(path.read_bytes())
            leaf.verify_directly_issued_by(self._root.certificate)
        except FileNotFoundError:
            return 0.0, 0.0
        except (OSError, ValueError, TypeError, InvalidSignature) as error:
            logger.info("%s is made anew: %s.", path, error if str(error) else "it is not from this root")
            return 0.0, 0.0
        return _times(leaf) if leaf.not_valid_before_utc.timestamp() <= now else (0.0, 0.0)

    def _sign(self, name: str, path: Path, now: float) -> Credential:
        ends = min(now + LEAF_DAYS * DAY, self._root.ends)
        if ends <= now:
            raise ValueError("the root's time is over")
        key = ec.generate_private_key(ec.SECP256R1())
        public_key = key.public_key()
        root = self._root.certificate
        # "If the subject field contains an empty sequence, then the issuing CA MUST include a subjectAltName extension that is marked as
        # critical." (RFC 5280 §4.2.1.6)
        has_common_name = len(name) <= _LONGEST_COMMON_NAME
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if has_common_name else [])
        alternative = x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name)
        leaf = (
            _builder(subject, root.subject, public_key, now, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=not has_common_name)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self._folder.mkdir(mode=0o700, exist_ok=True)
        _write(path, _key_pem(key) + leaf.public_bytes(serialization.Encoding.PEM), mode=0o600)
        self._bound(path.name)
        self._has_complained = False
        return Credential(PairFiles(path, path), _times(leaf)[0])

    def _bound(self, newest: str) -> None:
        """Keep no more than `capacity` files, the newest among them; the oldest go."""
        others: list[tuple[float, str]] = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name != newest:
                    with suppress(FileNotFoundError):  # another worker bounds them at the same time
                        others.append((entry.stat().st_mtime, entry.path))
        others.sort()
        for _, path in others[: max(0, len(others) + 1 - self._capacity)]:
            Path(path).unlink(missing_ok=True)

    def _complain(self, name: str, error: Exception) -> None:
        """Say it once, until it works again."""
        level = logging.DEBUG if self._has_complained else logging.ERROR
        self._has_complained = True
        logger.log(level, "The local authority cannot sign a certificate for %s: %s.", name, error)


def _read_key(folder: Path, root: Root) -> ec.EllipticCurvePrivateKey:
    path = folder / ROOT_KEY
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror}"
    except (ValueError, TypeError) as error:
        reason = f"{path} is no private key in PEM: {error}"
    else:
        if isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == root.certificate.public_key():
            return key
        reason = f"{path} is not the key of {root.path}"
    raise AuthorityError(f"{reason}. {_ANEW.format(folder=folder)}")


def _times(leaf: x509.Certificate) -> tuple[float, float]:
    """When a certificate is to be renewed, and when it ends."""
    begins, ends = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    return begins + (ends - begins) * RENEWED_AT, ends


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: float, ends: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_moment(now - BACKDATED_DAYS * DAY))
        .not_valid_after(_moment(ends))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, octets: bytes, *, mode: int) -> None:
    """Put a whole file in place at once: who reads it meanwhile sees the one before, or this one."""
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(octets)
    os.replace(temporary, path)

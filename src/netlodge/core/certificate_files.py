"""A certificate and its key as somebody's files: what is in them, and everything that may be wrong with them, in words.

RFC 7468 (PEM), RFC 5280 §4.2.1.6 (alternative names).
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from netlodge.core.errors import NetlodgeError


class PairFiles(NamedTuple):
    """Where the two stand."""

    certificate: Path
    """PEM: the certificate, and those between it and the authority."""
    key: Path
    """PEM, without a passphrase; may be the same file."""


class PairError(NetlodgeError):
    """A pair that cannot be used. `at` is the file that is at fault, `complaint` what to say of it."""

    def __init__(self, files: PairFiles, at: Literal["certificate", "key"], complaint: str) -> None:
        super().__init__(f"{getattr(files, at)}: {complaint}.")
        self.at: Literal["certificate", "key"] = at
        self.complaint = complaint


class Pair(NamedTuple):
    """What is good to know of a pair."""

    names: tuple[str, ...]
    """The names and addresses that it is for, in lower case; in names a first label may be `*`."""
    ends: float
    """Seconds since the epoch."""


def read_pair(files: PairFiles, context: ssl.SSLContext) -> Pair:
    """Load the pair into `context`, for it to be shown. Raises `PairError`."""
    certificate_pem = _read(files, "certificate")
    key_pem = _read(files, "key")
    try:
        leaf = x509.load_pem_x509_certificate(certificate_pem)
        public_key = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise PairError(files, "certificate", "is no certificate in PEM") from None
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except TypeError:
        complaint = f"is locked by a passphrase; unlock it with: openssl pkey -in {files.key} -out NEW"
        raise PairError(files, "key", complaint) from None
    except (ValueError, UnsupportedAlgorithm):
        raise PairError(files, "key", "is no private key in PEM") from None
    if key.public_key() != public_key:
        raise PairError(files, "key", f"is not the key of {files.certificate}")
    try:
        # A passphrase is given, though none is needed: OpenSSL would ask at the terminal for one.
        context.load_cert_chain(files.certificate, files.key, password="")
    except (ssl.SSLError, OSError) as error:
        reason = (getattr(error, "reason", "") or str(error)).replace("_", " ").lower()
        raise PairError(files, "certificate", f"is refused by OpenSSL: {reason}") from error
    return Pair(_names_of(leaf), leaf.not_valid_after_utc.timestamp())


def _read(files: PairFiles, at: Literal["certificate", "key"]) -> bytes:
    path: Path = getattr(files, at)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise PairError(files, at, "there is no such file") from None
    except PermissionError:
        raise PairError(files, at, "cannot be read by this user") from None
    except OSError as error:
        raise PairError(files, at, f"cannot be read: {error.strerror}") from error


def _names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    """Its alternative names and addresses; of one that has none its common name, as names were written once."""
    try:
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return tuple(str(name.value).lower() for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
    names = [name.lower() for name in alternative.get_values_for_type(x509.DNSName)]
    return (*names, *map(str, alternative.get_values_for_type(x509.IPAddress)))

"""A certificate for tests of TLS."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


def self_signed(directory: Path, name: str = "localhost", alternative: str = "") -> Path:
    """Make a PEM file with the key and the self-signed certificate of `name` (and for what OpenSSL reads in `alternative`, without which
    it is for the name) in `directory`."""
    path = directory / f"{name}.pem"
    # fmt: off
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-addext", f"subjectAltName={alternative or f'DNS:{name}'}", "-keyout", str(path), "-out", "-",
    ]
    # fmt: on
    made = subprocess.run(command, check=True, capture_output=True)
    with path.open("ab") as file:
        file.write(made.stdout)
    return path


def server_context(pem: Path) -> ssl.SSLContext:
    """The side of TLS that shows the certificate in `pem`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context

"""Settings of TLS, the same for every door that speaks it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from netlodge.config.schema import doc


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A certificate of your own. It is shown to those who ask for a name that stands in it."""

    certificate: Annotated[
        Path, doc("File with the certificate and those between it and the authority, in PEM.", example='"tls/www.pem"')
    ]
    key: Annotated[Path, doc("File with its private key, in PEM, without a passphrase.", example='"tls/www.key"')]


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS, for every door that speaks it. Names without a certificate of their own get one from the lodge's local authority, whose root
    `netlodge ca install` makes this machine trust."""

    certificate: Annotated[
        tuple[Certificate, ...],
        doc(
            "Certificates of your own, each under its own `[[tls.certificate]]`. Files that change are taken up by themselves."
        ),
    ] = ()
    gateways: Annotated[
        tuple[str, ...],
        doc(
            "Networks and addresses of your own reverse proxies and load balancers that ask over TLS in the name of their clients. They may ask "
            "for any host; from others a request for a host that the certificate shown to them is not for is answered 421 (RFC 9110 §7.4). "
            "`unix:` is everyone who comes by a Unix socket.",
            example='["192.168.7.2"]',
        ),
    ] = ()
    minimum: Annotated[
        Literal["1.2", "1.3"],
        doc("Oldest version that is spoken.", precedent="Mozilla's intermediate recommendation 1.2; nginx 1.2."),
    ] = "1.2"

"""HTTPS: the certificates of a lodge, the TLS in front of its sessions, and what a site says of it to plain requests."""

from __future__ import annotations

from netlodge.app.supplies import Supplies
from netlodge.config import settings as config
from netlodge.http.message import Handler


def with_https(handler: Handler, site: config.Site, supplies: Supplies) -> Handler:
    """`handler` with the redirect from plain requests and the HSTS field, where the site asks for them."""
    return handler

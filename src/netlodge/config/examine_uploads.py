"""What is wrong with settings of uploads: what those who may upload must not be able to change, and who they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from netlodge.config.errors import KeyPath, dotted
from netlodge.config.examine import Finding, shows
from netlodge.config.settings import Route, Settings


def examine_uploads(settings: Settings, base: Path, source: Path | None) -> Iterator[Finding]:
    """Folders whose uploads could change the lodge itself: its settings file (`source`), the modules of its applications (in `base`,
    unless they say where), its certificates. (The data folder is never in a folder that is served.)"""
    treasures = [("the settings file", source)] if source is not None else []
    for site in settings.web.site:
        for route in site.routes:
            if route.app is not None:
                treasures.append(("the modules of an application in", route.app_folder or base))
    for certificate in settings.tls.certificate:
        treasures += [("the certificate", certificate.certificate), ("the private key", certificate.key)]
    for at, route in _routes_with_uploads(settings):
        for what, path in treasures:
            if route.files is not None and shows(route.files, path, hidden=route.hidden):
                complaint = f"would let {what} {path} be changed by uploads; choose another folder for files"
                yield (*at, "uploads"), route.uploads, complaint


def warn_of_uploads(settings: Settings) -> Iterator[str]:
    """A sentence for each route in whose folder everybody who can reach the lodge may write, or any page in a browser that can."""
    listening = (*settings.web.listen, *settings.web.listen_tls)
    open_addresses = ", ".join(str(address) for address in listening if not address.is_of_this_machine)
    for at, route in _routes_with_uploads(settings):
        site = settings.web.site[int(at[2])]
        accesses = (site.access, route.access)
        if route.uploads != "anyone" or any(access.login for access in accesses):
            continue
        key = dotted((*at, "uploads"))
        if open_addresses and not any(access.networks for access in accesses):
            yield (
                f'{key}: everybody who reaches {open_addresses} may change what is in {route.files}, and fill the disk; set it to "login".'
            )
        if not site.hosts or "*" in site.hosts:
            # A page of the attacker's name, which he lets point here, is one of this very site to the browser (DNS rebinding).
            yield (
                f"{key}: any page in a browser that reaches the lodge may change what is in {route.files}, by giving the lodge a name of "
                f'its own; say in {dotted((*at[:3], "hosts"))} which names the site has, such as ["localhost", "127.0.0.1"].'
            )


def _routes_with_uploads(settings: Settings) -> Iterator[tuple[KeyPath, Route]]:
    for index, site in enumerate(settings.web.site):
        for number, route in enumerate(site.routes):
            if route.uploads != "off":
                yield ("web", "site", index, "routes", number), route

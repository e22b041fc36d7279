"""What is wrong with folders that are served: secrets in them that everybody could read. (The data folder is never in a folder that is
served: `examine` sees to that.)"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from netlodge.config.examine import Finding, shows
from netlodge.config.settings import Settings

_SQLITE: tuple[str, ...] = ("sqlite", "sqlite+pysqlite")


def examine_secrets(settings: Settings, source: Path | None) -> Iterator[Finding]:
    """Private keys, a database that is a file, and the settings file (`source`) if a password stands in it."""
    secrets = list(_secrets(settings, source))
    for index, site in enumerate(settings.web.site):
        for number, route in enumerate(site.routes):
            for what, path in secrets:
                if route.files is not None and shows(route.files, path, hidden=route.hidden):
                    complaint = f"would show {what} {path} to everyone; keep it elsewhere, or choose another folder"
                    yield ("web", "site", index, "routes", number, "files"), route.files, complaint


def _secrets(settings: Settings, source: Path | None) -> Iterator[tuple[str, Path]]:
    for certificate in settings.tls.certificate:
        yield "the private key", certificate.key
    try:
        url = urlsplit(settings.database.url)
        has_password = bool(url.password)
    except ValueError:
        return  # `examine_database` complains of it
    if url.scheme in _SQLITE:
        # Three slashes and the path: `sqlite:////srv/lodge.db`.
        yield "the database", Path(url.path.removeprefix("/"))
    elif has_password and source is not None:
        yield "the password of the database, which stands in", source

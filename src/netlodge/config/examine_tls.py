"""What is wrong with the settings of TLS beyond their values: certificates that cannot be shown, and promises of HTTPS that cannot be kept."""

from __future__ import annotations

import grp
import os
import pwd
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

from netlodge.config.errors import KeyPath, dotted
from netlodge.config.examine_access import examine_networks
from netlodge.config.settings import Certificate, Settings


def examine_tls(settings: Settings) -> Iterator[tuple[KeyPath, object, str]]:
    """Findings as of `examine`. Reads the files of certificates."""
    for index, each in enumerate(settings.tls.certificate):
        yield from _examine_pair(each, ("tls", "certificate", index), settings)
    yield from examine_networks(settings.tls.gateways, ("tls", "gateways"))
    addresses = settings.web.listen_tls
    has_port = bool(addresses) and not addresses[0].is_unix and addresses[0].port != 0
    for index, site in enumerate(settings.web.site):
        at = ("web", "site", index)
        if site.https == "required" and not has_port:
            yield (*at, "https"), site.https, "needs a fixed port to redirect to, first in web.listen_tls"
        if site.hsts and not addresses:
            yield (*at, "hsts"), site.hsts, "has no effect without web.listen_tls"


def warn_of_tls(settings: Settings, now: float) -> Iterator[str]:
    """What is allowed but hardly meant, a sentence each, of settings in which `examine_tls` finds nothing. `now` is seconds since the
    epoch."""
    for index, each in enumerate(settings.tls.certificate):
        if _ends(each) < now:
            key = dotted(("tls", "certificate", index, "certificate"))
            yield f"{key}: the time of {each.certificate} is over: clients will refuse it."


def _examine_pair(pair: Certificate, at: KeyPath, settings: Settings) -> Iterator[tuple[KeyPath, object, str]]:
    # Only who has certificates waits for the library that reads them.
    from netlodge.core.certificate_files import PairError

    try:
        _ends(pair)
    except PairError as error:
        yield (*at, error.at), getattr(pair, error.at), error.complaint
        return
    for key, path in (("certificate", pair.certificate), ("key", pair.key)):
        if os.geteuid() == 0 and settings.user and not _may_read(path, settings.user, settings.group):
            yield (*at, key), path, f"cannot be read by the user {settings.user}, which the lodge becomes"


def _ends(pair: Certificate) -> float:
    """When the certificate's time is over, in seconds since the epoch. Raises `PairError`."""
    from netlodge.core.certificate_files import PairFiles, read_pair

    return read_pair(PairFiles(pair.certificate, pair.key), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)).ends


def _may_read(path: Path, user: str, group: str) -> bool:
    """Whether an account may read a file, as far as modes tell: the file, and every folder on the way to it. True for an account that does
    not exist, of which somebody else complains."""
    try:
        account = pwd.getpwuid(int(user)) if user.isascii() and user.isdigit() else pwd.getpwnam(user)
    except (KeyError, OverflowError, ValueError):
        return True
    if account.pw_uid == 0:
        return True
    groups = set(os.getgrouplist(account.pw_name, account.pw_gid))
    if group:
        try:
            groups = {(grp.getgrgid(int(group)) if group.isdigit() else grp.getgrnam(group)).gr_gid}
        except (KeyError, OverflowError, ValueError):
            return True
    real = path.resolve()
    steps = [(real, stat.S_IROTH), *((parent, stat.S_IXOTH) for parent in real.parents)]
    return all(_allows(place, bit, account.pw_uid, groups) for place, bit in steps)


def _allows(path: Path, bit: int, uid: int, groups: set[int]) -> bool:
    status = path.stat()
    if status.st_uid == uid:
        bit <<= 6
    elif status.st_gid in groups:
        bit <<= 3
    return bool(status.st_mode & bit)

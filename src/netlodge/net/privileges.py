"""From root to an ordinary user, for good: what a lodge does once its ports are bound.

The whole process tree drops, the supervisor included. Nothing may bring root back (credentials(7)): real, effective and saved
ids are all set, the supplementary groups are the user's own, and a try to return is made and must fail.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from netlodge.core.errors import NetlodgeError


class PrivilegeError(NetlodgeError):
    """The `user` or `group` setting cannot be followed."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom to become."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary groups, `gid` among them."""


def find_account(user: str, group: str = "") -> Account:
    """Look up the `user` setting, a name or a number, and the `group` setting (empty: the user's own group and the further
    groups it is in). Raises `PrivilegeError` when there is none."""
    try:
        found = pwd.getpwuid(int(user)) if _is_number(user) else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        raise PrivilegeError(f"user: this machine has no user {user!r} (`getent passwd` lists them).") from None
    if not group:
        groups = os.getgrouplist(found.pw_name, found.pw_gid)
        return Account(found.pw_name, found.pw_uid, found.pw_gid, tuple(groups))
    try:
        gid = (grp.getgrgid(int(group)) if _is_number(group) else grp.getgrnam(group)).gr_gid
    except (KeyError, OverflowError):
        raise PrivilegeError(f"group: this machine has no group {group!r} (`getent group` lists them).") from None
    return Account(found.pw_name, found.pw_uid, gid, (gid,))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def account_to_become(effective_uid: int, user: str, group: str = "") -> Account | None:
    """Whom this process must become; None: it stays who it is.

    Raises `PrivilegeError` when the settings name somebody else and this is not root: to go on as the wrong user would leave
    files behind that the right one cannot use.
    """
    if not user:
        if group:
            raise PrivilegeError("group: it is followed only together with `user`; set both or none.")
        return None
    account = find_account(user, group)
    if effective_uid == 0:
        return account if account.uid != 0 else None
    if account.uid != effective_uid:
        raise PrivilegeError(
            f"user: only root can become {account.name!r}, and this runs with user id {effective_uid}; "
            "start it as root, or remove `user`."
        )
    return None


def give(paths: Iterable[Path], account: Account) -> None:
    """Make the account the owner of what root made at `paths` and below. Raises `OSError`.

    The account itself may have had its hands in there since the last start, so nothing is given that it could have slipped in:
    symbolic links are not followed, and a file with a second name (a hard link to one outside) is left alone.
    """
    for path in paths:
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _give_one(path.name, account, parent)
        finally:
            os.close(parent)
        if path.is_dir() and not path.is_symlink():
            for _, directories, files, descriptor in os.fwalk(path, follow_symlinks=False):
                for name in (*directories, *files):
                    _give_one(name, account, descriptor)


def _give_one(name: str, account: Account, directory: int) -> None:
    kind = stat.S_IFMT(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    if kind == stat.S_IFSOCK:  # cannot be opened, and links to it give nothing away
        os.chown(name, account.uid, account.gid, dir_fd=directory, follow_symlinks=False)
    elif kind in (stat.S_IFDIR, stat.S_IFREG):
        # What was looked at is what is given: by descriptor, however names change meanwhile.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        try:
            status = os.fstat(descriptor)
            if status.st_uid == 0 and (stat.S_ISDIR(status.st_mode) or status.st_nlink == 1):
                os.fchown(descriptor, account.uid, account.gid)
        finally:
            os.close(descriptor)


def drop(account: Account) -> None:
    """Become `account` and nobody else, ever. Raises `PrivilegeError` if it did not work or can be undone."""
    try:
        # In this order: who is no longer root can set neither groups nor group.
        os.setgroups(account.groups)
        os.setgid(account.gid)
        os.setuid(account.uid)
    except OSError as error:
        raise PrivilegeError(f"user: cannot become {account.name!r}: {error.strerror}.") from error
    is_account = (
        {os.getuid(), os.geteuid()} == {account.uid}
        and {os.getgid(), os.getegid()} == {account.gid}
        and set(os.getgroups()) <= set(account.groups)
    )
    if not is_account or _may_become_root(os.setuid, os.seteuid):
        raise PrivilegeError(f"user: became {account.name!r}, but not for good; this system is not supported.")
    if account.gid != 0 and _may_become_root(os.setgid, os.setegid):
        raise PrivilegeError("group: left root's group, but not for good; this system is not supported.")


def _may_become_root(*calls: Callable[[int], None]) -> bool:
    for become in calls:
        try:
            become(0)
        except PermissionError:
            continue
        return True
    return False

"""Dropping root for real, in processes of their own; and what is decided when there is none to drop."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netlodge.net.privileges import Account, PrivilegeError, account_to_become, drop, find_account, give
from tests.net.lodge_process import Client, LodgeProcess

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def as_root() -> None:
    """Only root can drop root. CI runs as root; a developer who does not leaves these out by their name (`-k "not root"`)."""
    if os.geteuid() != 0:
        pytest.fail("this test must be run as root")


is_root = pytest.mark.usefixtures("as_root")


def in_child(action: Callable[[], None]) -> str:
    """Run in a forked process; return what went wrong there, empty if nothing did."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            action()
        except BaseException:
            os.write(writer, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as report:
        said = report.read().decode()
    os.waitpid(pid, 0)
    return said


def as_nobody(action: Callable[[], None]) -> str:
    """Run without root: in this process's user, if that is not root, or as `nobody`."""

    def drop_and_act() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY.pw_gid)
            os.setuid(NOBODY.pw_uid)
        action()

    return in_child(drop_and_act)


# --- Whom to become ---------------------------------------------------------------------------------------------------


def test_a_user_is_found_by_name_and_by_number() -> None:
    account = find_account("nobody")
    assert (account.name, account.uid, account.gid) == ("nobody", NOBODY.pw_uid, NOBODY.pw_gid)
    assert NOBODY.pw_gid in account.groups
    assert find_account(str(NOBODY.pw_uid)) == account


def test_a_group_that_is_set_is_the_only_one() -> None:
    account = find_account("nobody", "daemon")
    assert account.gid != NOBODY.pw_gid
    assert account.groups == (account.gid,)
    assert find_account("nobody", str(account.gid)) == account


@pytest.mark.parametrize("user", ["no-such-user", "4000000000", "99999999999999999999", "²"])
def test_a_user_that_is_not_there_is_named(user: str) -> None:
    with pytest.raises(PrivilegeError, match=rf"user: this machine has no user '{user}'"):
        find_account(user)


@pytest.mark.parametrize("group", ["no-such-group", "4000000000", "99999999999999999999"])
def test_a_group_that_is_not_there_is_named(group: str) -> None:
    with pytest.raises(PrivilegeError, match=f"group: this machine has no group '{group}'"):
        find_account("nobody", group)


@pytest.mark.parametrize(
    ("uid", "user", "becomes"),
    [
        (0, "", None),
        (0, "root", None),
        (0, "nobody", "nobody"),
        (1000, "", None),
        (NOBODY.pw_uid, "nobody", None),
    ],
)
def test_who_becomes_whom(uid: int, user: str, becomes: str | None) -> None:
    account = account_to_become(uid, user)
    assert (account and account.name) == becomes


def test_who_is_not_root_cannot_become_another() -> None:
    with pytest.raises(PrivilegeError, match="user: only root can become 'nobody', and this runs with user id 1000"):
        account_to_become(1000, "nobody")


def test_a_group_without_a_user_is_a_mistake() -> None:
    with pytest.raises(PrivilegeError, match="group: it is followed only together with `user`"):
        account_to_become(0, "", "daemon")


# --- Dropping ---------------------------------------------------------------------------------------------------------


@is_root
def test_root_is_dropped_for_good() -> None:
    account = find_account("nobody")

    def act() -> None:
        drop(account)
        status = Path("/proc/self/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        assert set(fields["Uid"].split()) == {str(account.uid)}
        assert set(fields["Gid"].split()) == {str(account.gid)}
        assert {int(group) for group in fields["Groups"].split()} == set(account.groups)
        assert int(fields["CapPrm"], 16) == int(fields["CapEff"], 16) == 0
        with pytest.raises(PermissionError):
            os.setuid(0)
        with pytest.raises(PermissionError):
            os.setgroups([0])

    assert in_child(act) == ""


def test_who_is_not_root_cannot_drop() -> None:
    def act() -> None:
        with pytest.raises(PrivilegeError, match="user: cannot become 'nobody'"):
            drop(Account("nobody", 12345, 12345, (12345,)))

    assert as_nobody(act) == ""


# --- What is given away -----------------------------------------------------------------------------------------------


@is_root
def test_what_root_made_is_given_and_nothing_else(tmp_path: Path) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "file").write_text("")
    (data / "mine").write_text("")
    os.chown(data / "mine", 4242, 4242)
    outside.write_text("")
    (data / "symlink").symlink_to(outside)
    os.link(outside, data / "hardlink")
    os.mkfifo(data / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(data / "socket"))
    account = find_account("nobody")
    give([data, data / "socket"], account)

    def owner(path: Path) -> int:
        return path.lstat().st_uid

    assert {owner(data), owner(data / "deep"), owner(data / "deep" / "file"), owner(data / "socket")} == {account.uid}
    assert owner(data / "mine") == 4242
    assert {owner(outside), owner(data / "symlink"), owner(data / "hardlink"), owner(data / "fifo")} == {0}
    assert owner(tmp_path) == 0


# --- A lodge that drops -----------------------------------------------------------------------------------------------


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="netlodge-test-") as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "data").mkdir()
        yield path / "data"


def owners(pid: int) -> set[str]:
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("Uid:")]
    return set(line.split()[1:])


@is_root
def test_the_whole_process_tree_drops_root(public_directory: Path) -> None:
    path = public_directory / "door.sock"
    with LodgeProcess(public_directory, user="nobody", workers=2, unix=[str(path)]) as lodge:
        lodge.expect(r"Dropped root: running as nobody")
        address, _ = lodge.ready()
        state = lodge.state()
        assert state is not None
        for pid in (lodge.process.pid, *(worker.pid for worker in state.workers)):
            assert owners(pid) == {str(NOBODY.pw_uid)}
        assert {path.stat().st_uid, lodge.run.stat().st_uid, public_directory.stat().st_uid} == {NOBODY.pw_uid}
        # It goes on without root: a reload to more workers, who share the sockets that root bound, then the end.
        lodge.set(workers=3)
        lodge.send(signal.SIGHUP)
        lodge.expect(r"listen\[0\]: .* keeps 2 socket\(s\) for 3 workers, who share them")
        lodge.expect(r"Reload 1: done")
        with Client(address) as client:
            assert client.ask().startswith("one")
        lodge.send(signal.SIGTERM)
        assert lodge.wait() == 0
        assert list(lodge.run.iterdir()) == []
        assert not path.exists()


@is_root
def test_a_lodge_that_runs_as_root_says_how_not_to(public_directory: Path) -> None:
    with LodgeProcess(public_directory) as lodge:
        lodge.expect(r"Running as root; set `user = ")
        lodge.ready()


def test_a_user_that_is_not_there_starts_nothing(tmp_path: Path) -> None:
    with LodgeProcess(tmp_path, user="no-such-user") as lodge:
        assert lodge.wait() == 2
        assert "user: this machine has no user 'no-such-user'" in lodge.text
        assert not lodge.run.exists()

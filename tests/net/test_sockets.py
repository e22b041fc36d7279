"""Binding for real, on loopback: how copies share a port, who is kept out, and what the person who runs the lodge is told."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlodge.core.unix_sockets import address_of
from netlodge.net.holder import holder_of
from netlodge.net.sockets import BindError, BoundSockets, Endpoint, bind, explain, share_of

V4 = "127.0.0.1"
KINDS = {"stream": Endpoint.tcp, "datagram": Endpoint.udp}


@pytest.fixture
def bound() -> Iterator[BoundSockets]:
    sockets = BoundSockets()
    yield sockets
    sockets.close()


def close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


# --- Copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("host", [V4, "::1"])
def test_copies_share_the_port_that_the_first_got(kind: str, host: str) -> None:
    sockets = bind(KINDS[kind](host, 0, "web.listen[0]"), 3)
    try:
        assert len(sockets) == 3
        assert len({sock.getsockname() for sock in sockets}) == 1
        assert not any(sock.getblocking() or sock.get_inheritable() for sock in sockets)
    finally:
        close(sockets)


def test_the_kernel_spreads_connections_over_the_copies() -> None:
    sockets = bind(Endpoint.tcp(V4, 0, "web.listen[0]"), 2)
    clients = []
    try:
        clients = [socket.create_connection(sockets[0].getsockname()) for _ in range(60)]
        counts = [0, 0]
        for number, listener in enumerate(sockets):
            while True:
                try:
                    listener.accept()[0].close()
                except BlockingIOError:
                    break
                counts[number] += 1
        assert sum(counts) == 60
        assert min(counts) > 0
    finally:
        close([*sockets, *clients])


def test_ipv6_leaves_ipv4_alone() -> None:
    v6 = bind(Endpoint.tcp("::", 0, "a"), 1)
    try:
        v4 = bind(Endpoint.tcp("0.0.0.0", v6[0].getsockname()[1], "b"), 1)
        close(v4)
    finally:
        close(v6)


def test_a_port_whose_connections_just_ended_can_be_had_again() -> None:
    sockets = bind(Endpoint.tcp(V4, 0, "a"), 1)
    address = sockets[0].getsockname()
    with socket.create_connection(address) as client:
        sockets[0].setblocking(True)
        server, _ = sockets[0].accept()
        server.close()  # this side closes first: its port is what stays in TIME-WAIT
        assert client.recv(1) == b""
    close(sockets)
    close(bind(Endpoint.tcp(V4, address[1], "a"), 2))


@pytest.mark.parametrize(
    ("index", "workers", "copies", "share"),
    [
        (0, 2, 2, (0,)),
        (1, 2, 2, (1,)),
        (0, 1, 3, (0, 1, 2)),
        (1, 2, 5, (1, 3)),
        (0, 4, 1, (0,)),
        (3, 4, 1, (0,)),
        (3, 4, 2, (1,)),
    ],
)
def test_which_copies_a_worker_listens_to(index: int, workers: int, copies: int, share: tuple[int, ...]) -> None:
    assert share_of(index, workers, copies) == share


# --- A port in use ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_port_in_use_is_told_with_setting_address_and_process(kind: str) -> None:
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "stream" else socket.SOCK_DGRAM)
    with taken:
        taken.bind((V4, 0))
        if kind == "stream":
            taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BindError) as caught:
            bind(KINDS[kind](V4, port, "web.listen[1]"), 2)
    sentence = str(caught.value)
    assert sentence.startswith(f"web.listen[1]: cannot listen on {V4}:{port}")
    assert "the port is in use by " in sentence
    assert f"(pid {os.getpid()})" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("host", [V4, "0.0.0.0"])
def test_another_lodge_of_the_same_user_does_not_slip_into_the_group(kind: str, host: str) -> None:
    first = bind(KINDS[kind](V4, 0, "a"), 2)
    try:
        with pytest.raises(BindError, match="in use"):
            bind(KINDS[kind](host, first[0].getsockname()[1], "b"), 2)
    finally:
        close(first)


def test_the_wildcard_is_in_the_way_of_every_address() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        assert holder_of("stream", V4, port).endswith(f"(pid {os.getpid()})")
        assert holder_of("stream", "::1", port) == ""
        assert holder_of("datagram", V4, port) == ""


def test_the_wildcard_of_ipv6_may_be_in_the_way_of_ipv4() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BindError, match=rf"\(pid {os.getpid()}\)"):
            bind(Endpoint.tcp(V4, port, "a"), 1)


def test_a_holder_that_the_kernel_does_not_tell_is_left_out(tmp_path: Path) -> None:
    assert holder_of("stream", V4, 80, proc=tmp_path) == ""
    with socket.create_server((V4, 0)) as taken:
        (tmp_path / "net").mkdir()
        (tmp_path / "net" / "tcp").write_text(Path("/proc/net/tcp").read_text())
        (tmp_path / "17").mkdir()
        assert holder_of("stream", V4, taken.getsockname()[1], proc=tmp_path) == ""


# --- Sentences --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "number", "part"),
    [
        (Endpoint.tcp("0.0.0.0", 80, "web.listen[0]"), errno.EACCES, "start as root with a `user` setting"),
        (Endpoint.tcp("0.0.0.0", 80, "web.listen[0]"), errno.EACCES, "net.ipv4.ip_unprivileged_port_start=80"),
        (Endpoint.tcp("10.9.8.7", 80, "a"), errno.EADDRNOTAVAIL, "no such address"),
        (Endpoint.tcp("fd00::99", 80, "a"), errno.EADDRNOTAVAIL, "no such IPv6 address"),
        (Endpoint.tcp("::1", 80, "a"), errno.EAFNOSUPPORT, "IPv6 is switched off"),
        (Endpoint.tcp("fe80::1", 80, "a"), errno.EINVAL, "[fe80::1%eth0]"),
        (Endpoint.tcp(V4, 80, "a"), errno.EMFILE, "`ulimit -n`"),
        (Endpoint.tcp(V4, 80, "a"), errno.ENOMEM, "annot allocate memory"),
        (Endpoint.udp("::1", 53, "names.listen[0]"), errno.ENOMEM, "names.listen[0]: cannot listen on [::1]:53/udp: "),
        (Endpoint.unix("/x/y", "a"), errno.EACCES, "may not write in /x"),
        (Endpoint.unix("/x/y", "a"), errno.ENOMEM, "annot allocate memory"),
    ],
)
def test_the_reason_says_what_to_do(endpoint: Endpoint, number: int, part: str) -> None:
    sentence = explain(endpoint, OSError(number, "error"))
    assert part in sentence
    assert sentence.startswith(f"{endpoint.setting}: cannot listen on {endpoint}: ")
    assert sentence.endswith(".")


def test_a_name_is_no_address() -> None:
    with pytest.raises(BindError, match="no numeric IPv4 or IPv6 address"):
        bind(Endpoint.tcp("localhost", 0, "web.listen[0]"), 1)


def test_an_address_of_another_machine_cannot_be_had() -> None:
    with pytest.raises(
        BindError, match=r"web.listen.0.: cannot listen on 240.0.0.1:0: this machine has no such address"
    ):
        bind(Endpoint.tcp("240.0.0.1", 0, "web.listen[0]"), 1)


# --- Unix sockets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o700), (0o007, 0o770), (0o000, 0o777)])
def test_the_file_of_a_socket_has_the_permissions_asked_for(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(0o022)
    try:
        path = tmp_path / "s"
        close(bind(Endpoint.unix(str(path), "a", umask=umask), 4))
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_a_unix_socket_has_one_copy(tmp_path: Path) -> None:
    sockets = bind(Endpoint.unix(str(tmp_path / "s"), "a"), 4)
    assert len(sockets) == 1
    close(sockets)


def test_the_file_of_a_socket_that_nobody_answers_is_replaced(tmp_path: Path) -> None:
    endpoint = Endpoint.unix(str(tmp_path / "s"), "a")
    close(bind(endpoint, 1))
    assert Path(endpoint.path).is_socket()
    close(bind(endpoint, 1))


def test_a_socket_that_somebody_answers_is_left_alone(tmp_path: Path) -> None:
    endpoint = Endpoint.unix(str(tmp_path / "s"), "control.socket")
    first = bind(endpoint, 1)
    with pytest.raises(BindError, match=r"control.socket: cannot listen on unix:.*another process answers there"):
        bind(endpoint, 1)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(endpoint.path)
    close(first)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(BindError, match="a file that is no socket stands there"):
        bind(Endpoint.unix(str(tmp_path / "s"), "a"), 1)
    assert (tmp_path / "s").read_text() == "precious"


def test_a_path_without_a_folder_or_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(BindError, match=f"there is no directory {tmp_path}/no"):
        bind(Endpoint.unix(str(tmp_path / "no" / "s"), "a"), 1)
    with pytest.raises(BindError, match="at most 107 octets"):
        bind(Endpoint.unix(str(tmp_path / ("x" * 108)), "a"), 1)


def test_a_long_folder_does_not_keep_a_socket_from_being_bound(tmp_path: Path) -> None:
    folder = tmp_path / ("f" * 100)
    folder.mkdir()
    path = folder / "worker.sock"
    (listening,) = bind(Endpoint.unix(str(path), "a"), 1)
    with listening, socket.socket(socket.AF_UNIX) as client, address_of(path) as address:
        client.connect(address)
    (again,) = bind(Endpoint.unix(str(path), "a"), 1)
    again.close()


# --- All that a lodge holds -------------------------------------------------------------------------------------------


def test_a_reload_keeps_what_is_bound(bound: BoundSockets) -> None:
    old = Endpoint.tcp(V4, 0, "web.listen[0]")
    bound.add([old], 2)
    sockets = list(bound.of([old])[old])
    bound.add([old, Endpoint.udp(V4, 0, "names.listen[0]")], 2)
    assert bound.of([old])[old] == sockets
    assert len(bound.names()) == 2


def test_an_address_is_the_same_under_another_setting_but_any_port_is_not() -> None:
    assert Endpoint.tcp(V4, 80, "web.listen[0]").key == Endpoint.tcp(V4, 80, "web.listen[1]").key
    assert Endpoint.tcp(V4, 0, "web.listen[0]").key != Endpoint.tcp(V4, 0, "lines.listen[0]").key
    assert Endpoint.tcp(V4, 80, "a").key != Endpoint.udp(V4, 80, "a").key


def test_more_workers_get_more_copies_and_fewer_take_none_away(bound: BoundSockets) -> None:
    endpoint = Endpoint.tcp(V4, 0, "a")
    for copies, held in ((1, 1), (3, 3), (2, 3)):
        bound.add([endpoint], copies)
        assert len(bound.of([endpoint])[endpoint]) == held
    assert len({sock.getsockname() for sock in bound}) == 1


def test_copies_that_cannot_be_had_are_no_error(bound: BoundSockets, caplog: pytest.LogCaptureFixture) -> None:
    endpoint = Endpoint.tcp(V4, 0, "web.listen[0]")
    bound.add([endpoint], 1)
    [sock] = bound
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)  # as for a socket that another user bound
    caplog.set_level("INFO")
    bound.add([endpoint], 4)
    assert len(list(bound)) == 1
    assert "web.listen[0]: 127.0.0.1:0 keeps 1 socket(s) for 4 workers, who share them" in caplog.text


def test_all_or_nothing(bound: BoundSockets, tmp_path: Path) -> None:
    kept = Endpoint.tcp(V4, 0, "a")
    bound.add([kept], 1)
    before = bound.names()
    with pytest.raises(BindError) as caught:
        bound.add(
            [
                kept,
                Endpoint.unix(str(tmp_path / "s"), "b"),
                Endpoint.tcp("240.0.0.1", 0, "c"),
                Endpoint.tcp("240.0.0.2", 0, "d"),
            ],
            1,
        )
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == ["c", "d"]
    assert bound.names() == before
    assert not (tmp_path / "s").exists()


def test_two_settings_that_ask_for_one_address_are_told(bound: BoundSockets, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with pytest.raises(
        BindError, match=r"lines.listen: cannot listen on unix:.*: web.listen asks for the same address"
    ):
        bound.add([Endpoint.unix(path, "web.listen"), Endpoint.unix(path, "lines.listen")], 1)


def test_only_an_address_that_the_machine_has_not_is_optional(bound: BoundSockets) -> None:
    absent = Endpoint.tcp("240.0.0.1", 0, "a", is_optional=True)
    bound.add([absent], 1)
    assert bound.of([absent]) == {}
    with socket.create_server((V4, 0)) as taken, pytest.raises(BindError, match="in use"):
        bound.add([Endpoint.tcp(V4, taken.getsockname()[1], "b", is_optional=True)], 1)


def test_what_is_given_up_is_closed_and_its_file_removed(bound: BoundSockets, tmp_path: Path) -> None:
    kept, gone = Endpoint.tcp(V4, 0, "a"), Endpoint.unix(str(tmp_path / "s"), "b")
    bound.add([kept, gone], 1)
    [sock] = bound.of([gone])[gone]
    assert bound.paths() == [gone.path]
    assert bound.keep_only([kept]) == [f"unix:{gone.path}"]
    assert sock.fileno() == -1
    assert not Path(gone.path).exists()
    assert len(bound.names()) == 1


def test_a_file_that_another_put_in_its_place_stays(bound: BoundSockets, tmp_path: Path) -> None:
    endpoint = Endpoint.unix(str(tmp_path / "s"), "a")
    bound.add([endpoint], 1)
    (tmp_path / "new").write_text("another's")
    (tmp_path / "new").rename(tmp_path / "s")
    bound.close()
    assert (tmp_path / "s").read_text() == "another's"

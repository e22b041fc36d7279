"""The supervisor with real processes on loopback: what a client sees of a killed worker, a reload and an end; and the rules."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlodge.net.generation import (
    BACK_OFF,
    SIGNAL_ON_ENTRY,
    STEADY_AFTER,
    TRANSITIONS,
    Event,
    State,
    next_state,
    restart_after,
)
from netlodge.net.rundir import running_pid
from netlodge.net.sockets import share_of
from tests.net.lodge_process import PATIENCE, ROOT, Client, LodgeProcess, freeze, wait_for_end

Start = Callable[..., LodgeProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start_one(**options: Any) -> LodgeProcess:
            return stack.enter_context(LodgeProcess(tmp_path, **options))

        yield start_one


def clients_of_each(address: Any, pids: set[int]) -> dict[int, Client]:
    """A connection to each worker: the kernel spreads them, so it takes a few."""
    found: dict[int, Client] = {}
    for _ in range(200):
        client = Client(address)
        pid = client.worker()
        if pid in found:
            client.close()
        found.setdefault(pid, client)
        if set(found) == pids:
            return found
    raise AssertionError(f"{set(found)} answered, of {pids}")


def pids_of(lodge: LodgeProcess) -> list[int]:
    state = lodge.state()
    assert state is not None
    return [worker.pid for worker in sorted(state.workers, key=lambda worker: worker.index)]


def is_refused(address: Any) -> bool:
    try:
        Client(address).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


class Load:
    """Clients that connect, ask and close, one after the other, while something happens."""

    def __init__(self, address: Any, clients: int = 3) -> None:
        self.failures: list[Exception] = []
        self.answers: list[str] = []
        self._address = address
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                with Client(self._address) as client:
                    answer = client.ask()
                    assert answer, "closed without an answer"
                    self.answers.append(answer)
            except (OSError, AssertionError) as error:
                self.failures.append(error)
                return

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


# --- The life of a generation -----------------------------------------------------------------------------------------


@given(st.sampled_from(State), st.sampled_from(Event))
def test_every_event_is_taken_in_every_state(state: State, event: Event) -> None:
    assert next_state(state, event) in State


@given(st.sampled_from(State), st.lists(st.sampled_from(Event)))
def test_a_generation_never_goes_back(state: State, events: list[Event]) -> None:
    order = list(State)
    for event in events:
        after = next_state(state, event)
        assert order.index(after) >= order.index(state)
        state = after


@pytest.mark.parametrize("state", [state for state in State if state is not State.ENDED])
def test_a_generation_can_be_ended_from_every_state(state: State) -> None:
    stopped = next_state(next_state(state, Event.STOP), Event.HURRY)
    assert stopped is State.KILLING
    assert next_state(stopped, Event.EMPTY) is State.ENDED


def test_a_generation_that_serves_does_not_end_for_want_of_workers() -> None:
    assert next_state(State.SERVING, Event.EMPTY) is State.SERVING


def test_every_state_that_winds_down_tells_its_workers() -> None:
    assert set(TRANSITIONS) == set(State)
    assert set(SIGNAL_ON_ENTRY) == {State.RETIRING, State.STOPPING, State.KILLING}


# --- A dead worker comes back -----------------------------------------------------------------------------------------


def test_a_worker_comes_back_at_once_and_then_ever_later() -> None:
    quick_ends, delays = 0, []
    for _ in range(9):
        quick_ends, delay = restart_after(quick_ends, lived=1.0)
        delays.append(delay)
    assert delays == [0, 1, 2, 4, 8, 16, 30, 30, 30]
    assert max(BACK_OFF) == 30


@pytest.mark.parametrize(("lived", "delay"), [(STEADY_AFTER - 0.1, 30.0), (STEADY_AFTER, 0.0), (3600.0, 0.0)])
def test_a_steady_life_makes_earlier_ends_forgotten(lived: float, delay: float) -> None:
    assert restart_after(20, lived) == (21 if delay else 1, delay)


@given(st.integers(1, 64), st.integers(1, 64))
def test_every_copy_is_somebodys_and_every_worker_has_one(workers: int, copies: int) -> None:
    shares = [share_of(index, workers, copies) for index in range(workers)]
    assert {copy for share in shares for copy in share} == set(range(copies))
    assert all(shares)


def test_a_killed_worker_costs_no_one_else_anything(start: Start) -> None:
    lodge = start(workers=2)
    [address] = lodge.ready()
    killed, other = pids_of(lodge)
    held = clients_of_each(address, {killed, other})
    freeze(killed)
    waiting = [Client(address) for _ in range(30)]  # about half of them in the socket of the one that stands still
    for client in waiting:
        client.send("who")
    os.kill(killed, signal.SIGKILL)
    answered = {int(client.receive().split()[1]) for client in waiting}
    assert killed not in answered
    assert len(answered) == 2, "the replacement answered none, so nothing was waiting for it"
    assert held[other].worker() == other
    lodge.expect(rf"Worker 0 of generation 1 \(pid {killed}\) ended by SIGKILL; starting another\.$")
    for client in (*waiting, *held.values()):
        client.close()


def test_a_slot_is_free_again_once_its_worker_ended(start: Start) -> None:
    lodge = start(workers=2)
    [address] = lodge.ready()
    clients = clients_of_each(address, set(pids_of(lodge)))
    slots = {pid: client.ask().split()[3] for pid, client in clients.items()}
    assert len(set(slots.values())) == 2
    killed = pids_of(lodge)[1]
    for client in clients.values():
        client.close()
    os.kill(killed, signal.SIGKILL)
    lodge.expect(rf"slot {slots[killed]} is free")
    with Load(address) as load:
        pass
    assert not load.failures


def test_connections_of_a_worker_that_does_not_come_back_are_served_by_its_siblings(start: Start) -> None:
    lodge = start(workers=2, trouble="exit again")
    [address] = lodge.ready()
    first, second = pids_of(lodge)
    os.kill(first, signal.SIGKILL)
    lodge.expect(r"ended with code 3; starting another in 1 s")
    lodge.expect(rf"{second} was handed listen\[0\]")
    clients = [Client(address) for _ in range(30)]
    assert {client.worker() for client in clients} == {second}
    for client in clients:
        client.close()


# --- Start ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("raise", r"did not start: the well is dry\.$"),
        ("exit", r"did not start: Worker \d of generation 1 \(pid \d+\) ended with code 3 before all were ready\.$"),
        ("defect", r"did not start: worker \d: ZeroDivisionError: a defect of the worker$"),
    ],
)
def test_a_first_generation_that_does_not_come_up_ends_the_lodge_with_the_reason(
    start: Start, trouble: str, reason: str
) -> None:
    lodge = start(workers=2, trouble=trouble)
    lodge.expect(reason)
    assert lodge.wait() == 1
    assert not (lodge.run / "netlodge.pid").exists()


def test_a_worker_that_is_not_ready_in_time_is_a_start_that_failed(start: Start) -> None:
    lodge = start(trouble="hang", start=0.2)
    lodge.expect(r"Worker 0 of generation 1 \(pid \d+\) was not ready in time\.$")
    assert lodge.wait() == 1


def test_settings_with_a_mistake_start_nothing(start: Start) -> None:
    lodge = start(unheard_of=1)
    assert lodge.wait() == 2
    assert "the settings are wrong" in lodge.text
    assert not lodge.run.exists()


@pytest.mark.parametrize("workers", [0, 65])
def test_the_number_of_workers_has_bounds(start: Start, workers: int) -> None:
    lodge = start(workers=workers)
    assert lodge.wait() == 2
    assert f"workers: {workers} is out of range; from 1 to 64." in lodge.text


def test_an_address_in_use_starts_nothing(start: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        lodge = start(listen=[("127.0.0.1", 0), taken.getsockname()])
        assert lodge.wait() == 2
    port = lodge.options["listen"][1][1]
    assert f"listen[1]: cannot listen on 127.0.0.1:{port}: the port is in use by " in lodge.text
    assert f"(pid {os.getpid()})" in lodge.text
    assert not (tmp_path / "run" / "netlodge.pid").exists()


def test_a_second_lodge_on_the_same_data_is_told_of_the_first(start: Start) -> None:
    first = start()
    first.ready()
    second = start()
    assert second.wait() == 2
    assert f"Another lodge (pid {first.process.pid}) keeps {first.data}" in second.text
    assert first.process.poll() is None


def test_a_second_lodge_of_the_same_user_does_not_share_a_port(start: Start, tmp_path: Path) -> None:
    first = start()
    [address] = first.ready()
    (tmp_path / "other").mkdir()
    with LodgeProcess(tmp_path / "other", listen=[address]) as second:
        assert second.wait() == 2
        assert "the port is in use by" in second.text


def test_a_default_address_that_the_machine_has_not_is_left_out(start: Start) -> None:
    lodge = start(optional=[("240.0.0.1", 0)])
    lodge.expect(r"optional: 240.0.0.1:0 is left out")
    [address] = lodge.ready()
    with Client(address) as client:
        assert client.ask().startswith("one")


def test_the_service_manager_is_told(start: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        lodge = start(environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert manager.recv(100) == b"READY=1"
        lodge.send(signal.SIGHUP)
        assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(100) == b"READY=1"
        lodge.send(signal.SIGTERM)
        assert manager.recv(100) == b"STOPPING=1"
        assert lodge.wait() == 0


# --- Reload -----------------------------------------------------------------------------------------------------------


def test_a_reload_refuses_and_cuts_no_connection(start: Start) -> None:
    lodge = start(workers=2)
    [address] = lodge.ready()
    with Client(address) as held, Load(address) as load:
        old = held.worker()
        for number, workers in enumerate((3, 1, 2), 1):
            lodge.set(workers=workers, answer=f"number{number}")
            lodge.send(signal.SIGHUP)
            lodge.expect(rf"Reload {number}: done")
        assert held.worker() == old, "an exchange on an old connection"
    assert not load.failures
    assert {"one", "number3"} <= {answer.split()[0] for answer in load.answers}
    lodge.expect(r"Generation 1: ended")
    with Client(address) as client:
        assert client.ask().split()[0] == "number3"


def test_a_reload_to_fewer_workers_strands_no_socket(start: Start) -> None:
    lodge = start(workers=3)
    [address] = lodge.ready()
    lodge.set(workers=1)
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Generation 1: ended")
    answered = set()
    for _ in range(30):
        with Client(address) as client:
            answered.add(client.worker())
    assert len(answered) == 1


def test_settings_with_a_mistake_leave_the_old_generation(start: Start) -> None:
    lodge = start()
    [address] = lodge.ready()
    [pid] = pids_of(lodge)
    lodge.set(unheard_of=1)
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Reload 1 failed: the settings are wrong")
    lodge.expect(r"Reload 1 failed: And this is a second sentence\.")
    lodge.expect(r"Reload 1 failed: generation 1 goes on as before\.")
    with Client(address) as client:
        assert client.worker() == pid


def test_a_defect_in_the_loader_leaves_the_old_generation(start: Start) -> None:
    lodge = start()
    [address] = lodge.ready()
    lodge.set(is_defect=True)
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Reload 1 failed: ZeroDivisionError: a defect of the loader")
    with Client(address) as client:
        assert client.ask().startswith("one")


@pytest.mark.parametrize("trouble", ["raise", "exit"])
def test_workers_that_do_not_come_up_leave_the_old_generation(start: Start, trouble: str) -> None:
    lodge = start(workers=1)
    [address] = lodge.ready()
    [pid] = pids_of(lodge)
    lodge.set(workers=3, trouble=trouble)  # the address has three sockets from now on
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Reload 1 failed: generation 1 goes on as before\.")
    lodge.expect(r"Generation 2: ended")
    for _ in range(30):
        with Client(address) as client:
            assert client.worker() == pid
    lodge.set(workers=2, trouble="")
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Reload 2: done")


def test_a_new_address_is_opened_and_an_old_one_closed(start: Start) -> None:
    lodge = start(listen=[("127.0.0.1", 0)], unix=[])
    [first] = lodge.ready()
    path = str(lodge.data / "door.sock")
    with Client(first) as held:
        held.ask("wait")
        lodge.set(listen=[], unix=[path])
        lodge.send(signal.SIGHUP)
        lodge.expect(r"No longer listening on 127\.0\.0\.1")
        lodge.expect(r"Reload 1: done")
        with Client(path) as client:
            assert client.ask().startswith("one")
        assert held.ask().startswith("one")
    lodge.expect(r"Generation 1: ended")
    assert is_refused(first)


def test_who_waits_at_an_address_that_is_given_up_is_still_served(start: Start) -> None:
    lodge = start(listen=[("127.0.0.1", 0), ("127.0.0.1", 0)])
    first, second = lodge.ready()
    [pid] = pids_of(lodge)
    freeze(pid)
    with Client(second) as waiting:
        waiting.send("who")
        lodge.set(listen=[("127.0.0.1", 0)])
        lodge.send(signal.SIGHUP)
        lodge.expect(r"No longer listening on")
        os.kill(pid, signal.SIGCONT)
        assert int(waiting.receive().split()[1]) == pid
    lodge.expect(r"Generation 1: ended")
    assert is_refused(second)
    assert not is_refused(first)


def test_a_reload_is_done_when_the_old_generation_accepts_no_more(start: Start) -> None:
    lodge = start()
    [address] = lodge.ready()
    [pid] = pids_of(lodge)
    with Client(address) as held:
        held.ask("wait")  # it has to stay
        freeze(pid)
        lodge.set(answer="two")
        lodge.send(signal.SIGHUP)
        lodge.expect(r"Generation 2: 1 worker\(s\) ready")
        lodge.send(signal.SIGUSR1)
        lodge.expect(r"reopened by")  # so the supervisor went on meanwhile
        state = lodge.state()
        assert state is not None
        assert (state.reload.began, state.reload.ended) == (1, 0)
        assert "Reload 1: done" not in lodge.text
        os.kill(pid, signal.SIGCONT)
        lodge.expect(r"Reload 1: done")
        for _ in range(10):
            with Client(address) as client:
                assert client.ask().startswith("two")


def test_a_worker_that_dies_accepts_no_more(start: Start) -> None:
    lodge = start()
    lodge.ready()
    [pid] = pids_of(lodge)
    freeze(pid)
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Generation 2: 1 worker\(s\) ready")
    os.kill(pid, signal.SIGKILL)
    lodge.expect(r"Reload 1: done")


def test_a_reload_does_not_wait_for_ever_for_a_worker_that_says_nothing(start: Start) -> None:
    lodge = start(handover=0.1)
    lodge.ready()
    [pid] = pids_of(lodge)
    freeze(pid)
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Generation 1: 1 worker\(s\) did not say in time that they accept no more")
    lodge.expect(r"Reload 1: done")
    os.kill(pid, signal.SIGCONT)
    lodge.expect(r"Generation 1: ended")


def test_an_end_while_the_old_generation_still_accepts_leaves_the_reload_done(start: Start) -> None:
    lodge = start()
    lodge.ready()
    [pid] = pids_of(lodge)
    freeze(pid)
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Generation 2: 1 worker\(s\) ready")
    lodge.send(signal.SIGTERM)
    lodge.expect(r"Reload 1: done")
    os.kill(pid, signal.SIGCONT)
    assert lodge.wait() == 0


def test_a_new_address_that_is_taken_leaves_all_as_it_was(start: Start) -> None:
    lodge = start()
    [address] = lodge.ready()
    path = str(lodge.data / "door.sock")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        lodge.set(unix=[path], listen=[("127.0.0.1", 0), taken.getsockname()])
        lodge.send(signal.SIGHUP)
        lodge.expect(r"Reload 1 failed: listen\[1\]: cannot listen on .* the port is in use")
        lodge.expect(r"goes on as before")
    assert not Path(path).exists()
    assert not is_refused(address)


def test_a_new_address_of_a_generation_that_failed_is_closed_again(start: Start) -> None:
    lodge = start()
    lodge.ready()
    path = lodge.data / "door.sock"
    lodge.set(unix=[str(path)], trouble="raise")
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Reload 1 failed: the well is dry\.")
    lodge.expect(r"Generation 2: ended")
    assert not path.exists()


def test_a_worker_that_is_still_coming_back_does_not_hold_up_its_generation_s_end(start: Start) -> None:
    lodge = start(workers=2, trouble="hang again", drain=600.0)
    lodge.ready()
    os.kill(pids_of(lodge)[0], signal.SIGKILL)
    lodge.expect(r"starting another\.$")
    lodge.set(trouble="")
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Reload 1: done")
    lodge.expect(r"Generation 1: ended")


def test_a_reload_is_seen_to_begin_before_the_settings_are_read(start: Start) -> None:
    lodge = start()
    lodge.ready()
    text = lodge.settings.read_text()
    lodge.settings.unlink()
    os.mkfifo(lodge.settings)  # who reads it waits
    lodge.send(signal.SIGHUP)
    with lodge.settings.open("w") as pipe:
        state = lodge.state()
        assert state is not None
        assert (state.reload.began, state.reload.ended) == (1, 0)
        pipe.write(text)
    lodge.expect(r"Reload 1: done")


def test_a_reload_cannot_move_the_data(start: Start, tmp_path: Path) -> None:
    lodge = start()
    lodge.ready()
    lodge.set(run=str(tmp_path / "elsewhere" / "run"))
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Reload 1 failed: data: a reload cannot change it from .* to .*elsewhere")


def test_a_signal_during_a_reload_asks_for_one_more(start: Start) -> None:
    lodge = start()
    lodge.ready()
    gate = lodge.data / "gate"
    os.mkfifo(gate)
    lodge.set(gate=str(gate))
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Generation 2: starting")
    lodge.set(gate="")
    lodge.send(signal.SIGHUP)
    lodge.send(signal.SIGHUP)
    os.close(os.open(gate, os.O_WRONLY))
    lodge.expect(r"Reload 1: done")
    lodge.expect(r"Reload 2: done")
    lodge.send(signal.SIGTERM)
    assert lodge.wait() == 0
    assert "Reload 3" not in lodge.text


def test_an_old_generation_that_does_not_finish_is_ended(start: Start) -> None:
    lodge = start(drain=0.2, stop=0.2)
    [address] = lodge.ready()
    with Client(address) as held:
        held.ask("wait")
        lodge.send(signal.SIGHUP)
        lodge.expect(r"Generation 1: 1 worker\(s\) not done in time, sending SIGTERM")
        lodge.expect(r"Generation 1: 1 worker\(s\) not done in time, sending SIGKILL")
        lodge.expect(r"Generation 1: ended")
        assert held.receive() == ""
    with Client(address) as client:
        assert client.ask().startswith("one")


def test_a_reload_needs_room_beside_generations_that_still_drain(start: Start) -> None:
    lodge = start(workers=64)
    [address] = lodge.ready()
    with Client(address) as held:
        held.ask("wait")
        lodge.send(signal.SIGHUP)
        lodge.expect(r"Reload 1: done")
        lodge.send(signal.SIGHUP)
        lodge.expect(r"Reload 2 failed: workers: 64 do not fit beside earlier generations")
        held.ask("end")
    lodge.expect(r"Generation 1: ended")
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Reload 3: done")


# --- End --------------------------------------------------------------------------------------------------------------


def test_what_is_under_way_is_finished_and_nothing_new_is_taken(start: Start) -> None:
    lodge = start()
    [address] = lodge.ready()
    with Client(address) as at_rest, Client(address) as under_way:
        at_rest.ask()
        assert under_way.ask("wait") == "waiting"
        lodge.send(signal.SIGTERM)
        assert at_rest.receive() == "", "a connection at rest is closed"
        assert is_refused(address), "it would wait for an answer that never comes"
        assert under_way.ask("end").startswith("one")
        assert under_way.receive() == ""
    assert lodge.wait() == 0
    assert not (lodge.run / "netlodge.pid").exists()
    assert not (lodge.run / "state.json").exists()


def test_what_takes_too_long_is_cut(start: Start) -> None:
    lodge = start(stop=0.2)
    [address] = lodge.ready()
    with Client(address) as under_way:
        under_way.ask("wait")
        lodge.send(signal.SIGINT)
        lodge.expect(r"1 worker\(s\) not done in time, sending SIGKILL")
        assert under_way.receive() == ""
    assert lodge.wait() == 0


def test_a_second_signal_ends_at_once(start: Start) -> None:
    lodge = start(stop=600.0)
    [address] = lodge.ready()
    with Client(address) as under_way:
        under_way.ask("wait")
        lodge.send(signal.SIGTERM)
        lodge.expect(r"Told to end: finishing")
        lodge.send(signal.SIGTERM)
        lodge.expect(r"Told to end again: ending at once")
        assert lodge.wait() == 0
        assert under_way.receive() == ""


def test_an_end_during_a_reload_ends_both_generations(start: Start) -> None:
    lodge = start()
    lodge.ready()
    lodge.set(trouble="hang")
    lodge.send(signal.SIGHUP)
    lodge.expect(r"Generation 2: starting")
    lodge.send(signal.SIGTERM)
    lodge.expect(r"Generation 2: ended")
    assert lodge.wait() == 0


def test_workers_do_not_outlive_a_supervisor_that_was_killed(start: Start) -> None:
    lodge = start(workers=3)
    [address] = lodge.ready()
    pids = pids_of(lodge)
    with Client(address) as client:
        client.ask()
        lodge.send(signal.SIGKILL)
        for pid in pids:
            wait_for_end(pid)
        assert client.receive() == ""
    again = start(listen=[address])
    assert again.ready() == [address]


def test_a_worker_that_is_busy_keeps_neither_its_siblings_nor_the_lock_of_a_supervisor_that_was_killed(
    start: Start,
) -> None:
    lodge = start(workers=3)
    [address] = lodge.ready()
    pids = pids_of(lodge)
    clients = clients_of_each(address, set(pids))
    last = clients[pids[2]]  # the last to be forked could hold what is the supervisor's towards all others
    last.ask("wait")
    lodge.send(signal.SIGKILL)
    for pid in pids[:2]:
        wait_for_end(pid)
    assert running_pid(lodge.run) is None
    assert last.ask("end").startswith("one")
    wait_for_end(pids[2])
    for client in clients.values():
        client.close()


def test_log_files_are_reopened_by_every_worker(start: Start) -> None:
    lodge = start(workers=2)
    lodge.ready()
    lodge.send(signal.SIGUSR1)
    reopened = {int(lodge.expect(r"reopened by (\d+)")[1]) for _ in range(2)}
    assert reopened == set(pids_of(lodge))


def test_a_unix_socket_is_gone_with_its_lodge(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    lodge = start(listen=[], unix=[str(path)], workers=2)
    lodge.ready()
    with Client(str(path)) as client:
        assert client.ask().startswith("one")
    assert path.stat().st_mode & 0o777 == 0o750
    lodge.send(signal.SIGTERM)
    assert lodge.wait() == 0
    assert not path.exists()


def test_a_lodge_whose_terminal_is_closed_ends(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"run": str(tmp_path / "run")}))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "tests.net.small_lodge", str(settings)])
    shown = b""
    while b"announced" not in shown:
        shown += os.read(terminal, 4096)
    os.close(terminal)
    wait_for_end(pid)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not (tmp_path / "run" / "netlodge.pid").exists()

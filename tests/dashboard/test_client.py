from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from netlodge.core.records import Entry
from netlodge.dashboard import client
from netlodge.dashboard.client import ControlError, NotPermittedError, NotRunningError, ask, ask_all, ask_any
from netlodge.dashboard.follow import RESCAN_SECONDS, Follower
from netlodge.observe.selection import Selection
from netlodge.observe.tap import Gap
from tests.dashboard.unix_lodge import unix_lodge
from tests.observe.samples import PEER, WALL, http_record


def entry(number: int, **changes: object) -> Entry:
    return WALL + number, PEER, http_record(**changes)


def numbers(batch: list[Entry | Gap]) -> list[int]:
    return [int(item[0] - WALL) for item in batch if not isinstance(item, Gap)]


def gather(batches: Iterator[list[Entry | Gap]], count: int) -> list[int]:
    """Take batches until so many exchanges came."""
    came: list[int] = []
    while len(came) < count:
        came += numbers(next(batches))
    return came


def follower_of(run_folder: Path, selection: Selection | None = None, **changes: Any) -> Follower:
    """Of a lodge that lives, whatever its workers do."""
    return Follower(run_folder, selection or Selection(), is_running=lambda: True, patience=0.01, **changes)


def following(follower: Follower) -> Iterator[list[Entry | Gap]]:
    return iter(follower)


class TestAsking:
    def test_every_worker_that_lives_is_asked(self, tmp_path: Path) -> None:
        with unix_lodge(tmp_path, [1, 2, 3]) as (lodge, workers):
            for number, worker in enumerate(workers):
                worker.emit(entry(number))
            workers[1].kill()
            assert len(ask_all(lodge.run_folder, "/ring")) == 2
            assert ask_any(lodge.run_folder, "/ring").count(b"\n") == 1

    def test_other_files_in_the_folder_are_no_workers(self, tmp_path: Path) -> None:
        with unix_lodge(tmp_path, [1]) as (lodge, _):
            (lodge.run_folder / "netlodge.pid").write_text("1")
            (lodge.run_folder / "worker-x.sock.old").write_text("")
            assert client.worker_sockets(lodge.run_folder) == [lodge.run_folder / "worker-1.sock"]

    def test_a_path_longer_than_the_kernel_takes(self, tmp_path: Path) -> None:
        real = tmp_path / "real"
        long = tmp_path / ("x" * 60) / ("y" * 60)
        with unix_lodge(real, [1]) as (lodge, _):
            long.parent.mkdir()
            long.symlink_to(lodge.run_folder)
            assert len(os.fsencode(long / "worker-1.sock")) > 107
            assert b"\n" not in ask_any(long, "/ring")

    @pytest.mark.parametrize("make", [False, True])
    def test_no_lodge(self, tmp_path: Path, make: bool) -> None:
        if make:
            (tmp_path / "run").mkdir()
        with pytest.raises(NotRunningError, match="No lodge runs"):
            ask_any(tmp_path / "run", "/ring")

    def test_a_socket_that_a_killed_worker_left_behind_is_no_lodge(self, tmp_path: Path) -> None:
        with unix_lodge(tmp_path, [1]) as (lodge, (worker,)):
            worker.kill()
            assert worker.path.exists()
            with pytest.raises(NotRunningError):
                ask_any(lodge.run_folder, "/ring")

    def test_a_worker_that_refuses_is_quoted(self, tmp_path: Path) -> None:
        with (
            unix_lodge(tmp_path, [1]) as (lodge, _),
            pytest.raises(ControlError, match=r"refused \(404\): .*has /trace"),
        ):
            ask_any(lodge.run_folder, "/none")

    def test_a_folder_of_another_user(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: Path) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(NotPermittedError, match="as the user who runs it"):
            ask_any(tmp_path / "run", "/ring")

    def test_a_socket_of_another_user(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(connection: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(client._UnixConnection, "connect", refuse)
        with pytest.raises(NotPermittedError, match="as the user who runs it"):
            ask(tmp_path / "worker-1.sock", "/ring")


class TestFollowing:
    def test_all_workers_are_followed_and_merged_by_time(self, tmp_path: Path) -> None:
        with unix_lodge(tmp_path, [1, 2]) as (lodge, (one, two)):
            one.emit(entry(4), entry(6))
            two.emit(entry(3), entry(5))
            with closing(follower_of(lodge.run_folder, is_recent=True)) as follower:
                batches = following(follower)
                assert sorted(gather(batches, 4)) == [3, 4, 5, 6]
                two.emit(entry(7))
                assert gather(batches, 1) == [7]

    def test_without_recent_only_what_passes_from_now_on(self, tmp_path: Path) -> None:
        with unix_lodge(tmp_path, [1]) as (lodge, (worker,)):
            worker.emit(entry(1))
            with closing(follower_of(lodge.run_folder, Selection(status="404"))) as follower:
                batches = following(follower)
                # The generator subscribes when it is first asked, and gives empty batches while nothing passes.
                assert next(batches) == []
                worker.emit(entry(2), entry(3, status=404))
                assert gather(batches, 1) == [3]

    def test_a_worker_that_is_replaced_is_followed_on(self, tmp_path: Path) -> None:
        now = 0.0
        with unix_lodge(tmp_path, [1]) as (lodge, (worker,)):
            with closing(follower_of(lodge.run_folder, monotonic=lambda: now)) as follower:
                batches = following(follower)
                next(batches)
                worker.emit(entry(1))
                assert gather(batches, 1) == [1]
                worker.kill()
                successor = lodge.add_worker(2)
                successor.emit(entry(2))
                now += RESCAN_SECONDS
                assert gather(batches, 1) == [2]
                successor.emit(entry(3))
                assert gather(batches, 1) == [3]
            successor.retire()

    def test_a_worker_that_retires_is_not_asked_again(self, tmp_path: Path) -> None:
        now = 0.0
        with unix_lodge(tmp_path, [1, 2]) as (lodge, (one, two)):
            one.emit(entry(1))
            with closing(follower_of(lodge.run_folder, is_recent=True, monotonic=lambda: now)) as follower:
                batches = following(follower)
                assert gather(batches, 1) == [1]
                lodge.call(one.ring.close)  # it still listens: it drains
                now += RESCAN_SECONDS
                next(batches)
                now += RESCAN_SECONDS
                two.emit(entry(2))
                assert gather(batches, 1) == [2]

    def test_when_the_lodge_ends_the_trace_ends(self, tmp_path: Path) -> None:
        is_running = True
        with (
            unix_lodge(tmp_path, [1]) as (lodge, (worker,)),
            closing(
                Follower(
                    lodge.run_folder, Selection(), patience=0.01, is_running=lambda: is_running, monotonic=lambda: 0.0
                )
            ) as follower,
        ):
            batches = following(follower)
            next(batches)
            worker.retire()
            while follower._answers:
                next(batches)
            assert next(batches) == [], "it may be about to start another worker"
            is_running = False
            with pytest.raises(NotRunningError, match="has ended"):
                next(batches)

    def test_a_lodge_whose_workers_take_long_to_come_back_has_not_ended(self, tmp_path: Path) -> None:
        now = 0.0
        with unix_lodge(tmp_path, [1]) as (lodge, (worker,)):
            with closing(follower_of(lodge.run_folder, monotonic=lambda: now)) as follower:
                batches = following(follower)
                next(batches)
                worker.kill()
                while follower._answers:
                    next(batches)
                for _ in range(10):
                    now += 30.0
                    assert next(batches) == []
                successor = lodge.add_worker(2)
                successor.emit(entry(1))
                assert gather(batches, 1) == [1]
            successor.retire()

    def test_no_lodge(self, tmp_path: Path) -> None:
        with pytest.raises(NotRunningError, match="No lodge runs"):
            next(following(follower_of(tmp_path / "run")))

    def test_closing_leaves_no_thread_and_no_subscriber(self, tmp_path: Path) -> None:
        with unix_lodge(tmp_path, [1, 2]) as (lodge, workers):
            follower = follower_of(lodge.run_folder)
            next(following(follower))
            threads = [thread for _, thread in follower._answers.values()]
            assert len(threads) == 2
            follower.close()
            assert not any(thread.is_alive() for thread in threads)
            assert all(worker.path.exists() for worker in workers)

    def test_gaps_are_told_last(self, tmp_path: Path) -> None:
        with (
            unix_lodge(tmp_path, [1]) as (lodge, (worker,)),
            closing(follower_of(lodge.run_folder)) as follower,
        ):
            batches = following(follower)
            next(batches)
            worker.emit(*[entry(number) for number in range(1500)])
            came: list[Entry | Gap] = []
            while not came or not isinstance(came[-1], Gap):
                came += next(batches)
            assert came[-1] == Gap(500)
            assert len(came) == 1001

"""The root of the process tree: binds the sockets, starts a generation of workers on them, replaces workers that die, and
reloads by starting another generation beside the one that serves. It touches no connection and runs no event loop.

The sockets are the supervisor's and outlive every worker. A connection that has not been accepted waits in its socket; so nobody is
refused when a worker is killed (its replacement takes the same sockets) or when a generation ends (the next one accepts from them
already). When a worker does not come back at once, or an address got more sockets, living workers are handed what nobody serves.

| signal | to the supervisor | to a worker |
|---|---|---|
| SIGHUP | reload; end, if it says that the terminal is gone | ignored |
| SIGTERM, SIGINT | finish what is under way and end; a second one: end at once | SIGTERM: finish and end; SIGINT: ignored |
| SIGUSR1 | passed on to all workers | reopen log files |
| SIGUSR2 | ignored | retire: accept no more, finish without haste |

A reload is done when the new generation is up and every worker of the one before it has said that it accepts no more, or has ended:
who connects after that meets the new settings. One that says nothing is not waited for long (`Timeouts.handover`).

A worker that is told to retire or to end accepts what already waits in its sockets before it closes them: of an address that is
given up, its copy may be the last one, and what waits in a socket when the last copy is closed is reset (net.ipv4.tcp_migrate_req
in the kernel's ip-sysctl.rst).
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from netlodge.core.errors import NetlodgeError
from netlodge.net.alarm import Alarm, has_terminal, leave_terminal
from netlodge.net.generation import SIGNAL_ON_ENTRY, Event, State, next_state, restart_after
from netlodge.net.notify import Notifier
from netlodge.net.privileges import Account, account_to_become, drop, give
from netlodge.net.rundir import ReloadState, RunDirectory, RunState, WorkerState
from netlodge.net.service import MAX_SLOTS, Plan, Service, check_worker_count
from netlodge.net.sockets import BoundSockets
from netlodge.net.worker import Worker, start_worker

logger = logging.getLogger("netlodge.supervisor")

_HEARD = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)
_IGNORED_BY_WORKERS = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
"""Until a worker sets its own handlers. SIGTERM ends it: it has nothing to finish yet."""


@dataclass(slots=True)
class _Vacancy:
    """The place of a worker that died, until its replacement is due."""

    due: float
    quick_ends: int


@dataclass(slots=True, eq=False)
class _Generation:
    number: int
    plan: Plan
    state: State = State.STARTING
    deadline: float = math.inf
    """When the state is OVERDUE."""
    workers: list[Worker] = field(default_factory=list)
    vacancies: dict[int, _Vacancy] = field(default_factory=dict)
    """By index."""

    def start_deadline(self, worker: Worker) -> float:
        return math.inf if worker.is_ready or worker.is_hung else worker.born + self.plan.timeouts.start

    def soonest(self) -> float:
        """When something is due."""
        starts = (self.start_deadline(worker) for worker in self.workers)
        restarts = (vacancy.due for vacancy in self.vacancies.values())
        return min(self.deadline, *starts, *restarts, math.inf)


@dataclass(frozen=True, slots=True)
class _Handover:
    """The last step of a reload: the generation before still has to cease to accept."""

    before: _Generation
    due: float
    """When it is no longer waited for."""


class Supervisor:
    """Runs a `Service`. Needs the main thread of a process that has no other, and no event loop."""

    def __init__(self, service: Service, *, notify_socket: str = "") -> None:
        """`notify_socket`: what the service manager put into NOTIFY_SOCKET, if one did."""
        self._service = service
        self._notifier = Notifier(notify_socket)
        self._alarm = Alarm(_HEARD)
        self._selector = selectors.PollSelector()  # unlike epoll, shares nothing with the workers
        self._bound = BoundSockets()
        self._generations: list[_Generation] = []
        """Oldest first; without those that ended."""
        self._last_number = 0
        self._serving: _Generation | None = None
        self._handover: _Handover | None = None
        self._is_stopping = False
        self._exit_code = 0
        self._is_reload_queued = False
        self._reload = ReloadState()
        self._started = time.time()
        # Who ignores SIGHUP from the start (nohup) wants to outlive the terminal.
        self._has_terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and has_terminal()
        self._is_changed = True
        """Whether `state.json` is behind."""

    def run(self) -> int:
        """Serve until told to end. Returns 0 after an ordered end, 1 if the first generation did not come up (the log says why).

        Raises `NetlodgeError` when nothing could be started: settings, user, a data directory in use, addresses.
        """
        plan = self._service.prepare()
        check_worker_count(plan)
        account = account_to_become(os.geteuid(), plan.user, plan.group)
        self._run_directory = RunDirectory(plan.run_directory)
        with contextlib.ExitStack() as cleanup:
            self._run_directory.acquire()
            cleanup.callback(self._run_directory.release)
            cleanup.callback(self._bound.close)
            cleanup.callback(self._selector.close)
            self._bound.add(plan.endpoints, plan.worker_count)
            self._settle_user(plan, account)
            self._selector.register(cleanup.enter_context(self._alarm), selectors.EVENT_READ)
            self._start(plan)
            while self._settle():
                self._publish()
                self._wait()
        logger.info("The lodge (pid %d) has ended.", os.getpid())
        return self._exit_code

    # -- what happens --------------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait until a signal or a worker says something, or something is due."""
        soonest = min(generation.soonest() for generation in self._generations)
        if self._handover is not None:
            soonest = min(soonest, self._handover.due)
        patience = None if soonest == math.inf else max(0.0, soonest - time.monotonic())
        for key, _ in self._selector.select(patience):
            if key.fileobj is self._alarm:
                for number in self._alarm.heard():
                    self._hear(number)
            elif not key.data.receive():
                self._selector.unregister(key.fileobj)  # the rest is told by the process's end

    def _settle(self) -> bool:
        """Deal with all that has happened and all that is due. Returns whether anything is left to wait for."""
        now = time.monotonic()
        for generation in tuple(self._generations):
            self._note_ready(generation)
            for worker in tuple(generation.workers):
                code = worker.exit_code()
                if code is not None:
                    self._ended(generation, worker, code, now)
            self._watch_handover(now)
            self._keep_time(generation, now)
            if not generation.workers and not generation.vacancies:
                self._enter(generation, Event.EMPTY)
        if self._is_reload_queued and self._serving is not None and not self._is_reloading():
            self._is_reload_queued = False
            self._begin_reload(self._serving)
        return bool(self._generations)

    def _hear(self, number: signal.Signals) -> None:
        if number == signal.SIGHUP and self._has_terminal and not has_terminal():
            leave_terminal()
            logger.info("The terminal is gone.")
            self._stop()
        elif number == signal.SIGHUP:
            self._is_reload_queued = not self._is_stopping
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGUSR1:
            for generation in self._generations:
                for worker in generation.workers:
                    worker.send(signal.SIGUSR1)

    def _note_ready(self, generation: _Generation) -> None:
        news = [worker for worker in generation.workers if worker.line.is_ready and not worker.is_ready]
        for worker in news:
            worker.is_ready = self._is_changed = True
        if news and generation.state is State.SERVING:
            self._cover(generation)
        elif news and generation.state is State.STARTING and all(worker.is_ready for worker in generation.workers):
            self._enter(generation, Event.READY)
            self._came_up(generation)

    def _keep_time(self, generation: _Generation, now: float) -> None:
        if now >= generation.deadline:
            self._enter(generation, Event.OVERDUE)
        for worker in generation.workers:
            if now >= generation.start_deadline(worker):
                worker.is_hung = True
                worker.send(signal.SIGKILL)
        for index, vacancy in tuple(generation.vacancies.items()):
            if now >= vacancy.due:
                self._fill(generation, index, vacancy)

    def _stop(self) -> None:
        """Told to end: the first time in order, then at once."""
        event = Event.HURRY if self._is_stopping else Event.STOP
        if self._is_stopping:
            logger.warning("Told to end again: ending at once.")
        else:
            logger.info("Told to end: finishing what is under way.")
            self._notifier.stopping()
        self._is_stopping = self._is_changed = True
        self._is_reload_queued = False
        if self._handover is not None:
            self._end_handover()
        elif self._is_reloading():
            self._end_reload("The lodge was told to end.")
        # From now on the workers' copies are the last: when they close them, new connections are refused, not kept waiting.
        self._bound.close()
        for generation in self._generations:
            self._enter(generation, event)

    # -- generations ---------------------------------------------------------------------------------------------------------

    def _start(self, plan: Plan) -> None:
        """Begin a generation. When it is up, `_came_up`; when it will not be, `_failed`."""
        self._last_number += 1
        generation = _Generation(self._last_number, plan)
        self._generations.append(generation)
        self._is_changed = True
        # The first is announced in plain words.
        level = logging.INFO if self._serving is not None else logging.DEBUG
        logger.log(level, "Generation %d: starting %d worker(s).", generation.number, plan.worker_count)
        for index in range(plan.worker_count):
            try:
                self._fork(generation, index, 0)
            except OSError as error:
                self._failed(generation, f"cannot start a worker: {error.strerror}.")
                return

    def _enter(self, generation: _Generation, event: Event) -> None:
        """Move a generation along the table and do what its new state asks."""
        state = next_state(generation.state, event)
        if state is generation.state:
            return
        generation.state = state
        generation.deadline = time.monotonic() + generation.plan.timeouts.of(state)
        self._is_changed = True
        if state is State.ENDED:
            self._generations.remove(generation)
            logger.info("Generation %d: ended.", generation.number)
            return
        if state is not State.SERVING:
            generation.vacancies.clear()
        if event is Event.OVERDUE:
            logger.warning(
                "Generation %d: %d worker(s) not done in time, sending %s.",
                generation.number, len(generation.workers), SIGNAL_ON_ENTRY[state].name,
            )  # fmt: skip
        if state in SIGNAL_ON_ENTRY:
            for worker in generation.workers:
                # One that is not ready has nothing to finish, and may not have its handlers yet.
                is_early = state is State.RETIRING and not worker.is_ready
                worker.send(signal.SIGTERM if is_early else SIGNAL_ON_ENTRY[state])

    def _came_up(self, generation: _Generation) -> None:
        plan, before, self._serving = generation.plan, self._serving, generation
        if before is not None:
            self._enter(before, Event.SUPERSEDED)
            gone = self._bound.keep_only(plan.endpoints)
            if gone:
                logger.info("No longer listening on %s.", ", ".join(gone))
        logger.log(
            logging.INFO if before is not None else logging.DEBUG, "Generation %d: %d worker(s) ready, listening on %s.",
            generation.number, len(generation.workers), ", ".join(self._bound.names()),
        )  # fmt: skip
        if before is not None:
            self._handover = _Handover(before, time.monotonic() + before.plan.timeouts.handover)
        else:
            self._notifier.ready()
            self._publish()  # who acts on the announcement finds the state as announced
            plan.announce(self._bound.of(plan.endpoints))

    def _failed(self, generation: _Generation, reason: str) -> None:
        """A generation will not come up."""
        self._enter(generation, Event.FAILED)
        if self._serving is not None:
            self._abandon_reload(self._serving, reason)
            return
        logger.error("The lodge did not start: %s", reason)
        self._exit_code = 1
        self._bound.close()

    # -- reload --------------------------------------------------------------------------------------------------------------

    def _is_reloading(self) -> bool:
        return self._reload.began > self._reload.ended

    def _begin_reload(self, serving: _Generation) -> None:
        last = self._reload
        self._reload = ReloadState(last.began + 1, last.ended, last.at, last.succeeded, last.sentences)
        self._is_changed = True
        self._publish()  # before the settings are read: who edits them after this asks again
        self._notifier.reloading()
        logger.info("Reload %d: reading the settings.", self._reload.began)
        try:
            plan = self._service.prepare()
            check_worker_count(plan)
            self._check_reload(serving.plan, plan)
            self._bound.add(plan.endpoints, plan.worker_count)
        except NetlodgeError as error:
            self._abandon_reload(serving, str(error))
        except Exception as error:  # a defect in reading the settings must not end a lodge that serves
            logger.exception("Reload %d: a defect.", self._reload.began)
            self._abandon_reload(serving, f"{type(error).__name__}: {error}")
        else:
            self._cover(serving)  # sockets that an address got in addition are served from the first moment
            self._start(plan)

    def _check_reload(self, old: Plan, new: Plan) -> None:
        if new.run_directory != old.run_directory:
            raise NetlodgeError(
                f"data: a reload cannot change it from {old.run_directory.parent} to {new.run_directory.parent}; "
                "stop the lodge and start it again."
            )
        if (new.user, new.group) != (old.user, old.group):
            logger.warning("user: the change takes effect when the lodge is stopped and started again.")
        free = MAX_SLOTS - sum(len(each.workers) + len(each.vacancies) for each in self._generations)
        if new.worker_count > free:
            raise NetlodgeError(
                f"workers: {new.worker_count} do not fit beside earlier generations, which still finish their connections "
                f"({free} places are free); try again later, or lower `drain.timeout`."
            )

    def _watch_handover(self, now: float) -> None:
        """End the reload once the generation before accepts no more."""
        if self._handover is None:
            return
        before = self._handover.before
        silent = [worker for worker in before.workers if not worker.line.is_retired]
        if silent and now < self._handover.due:
            return
        if silent:
            logger.warning(
                "Generation %d: %d worker(s) did not say in time that they accept no more; they may still serve by the old settings.",
                before.number, len(silent),
            )  # fmt: skip
        self._end_handover()

    def _end_handover(self) -> None:
        self._handover = None
        logger.info("Reload %d: done.", self._reload.began)
        self._end_reload("")

    def _abandon_reload(self, serving: _Generation, reason: str) -> None:
        for sentence in reason.splitlines():
            logger.error("Reload %d failed: %s", self._reload.began, sentence)
        logger.error("Reload %d failed: generation %d goes on as before.", self._reload.began, serving.number)
        self._bound.keep_only(serving.plan.endpoints)
        self._end_reload(reason)

    def _end_reload(self, reason: str) -> None:
        began = self._reload.began
        self._reload = ReloadState(began, began, time.time(), not reason, reason.splitlines())
        self._is_changed = True
        if not self._is_stopping:
            self._notifier.ready()

    # -- workers -------------------------------------------------------------------------------------------------------------

    def _ended(self, generation: _Generation, worker: Worker, code: int, now: float) -> None:
        """A worker's process is gone."""
        worker.line.receive()  # its last words
        with contextlib.suppress(KeyError):
            self._selector.unregister(worker.line)
        worker.line.close()
        generation.workers.remove(worker)
        generation.plan.worker_ended(worker.slot)
        self._is_changed = True
        who = f"Worker {worker.index} of generation {generation.number} (pid {worker.pid})"
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if worker.is_hung:
            how = "was not ready in time"
        reason = worker.line.failure
        if generation.state is State.STARTING:
            self._failed(generation, reason or f"{who} {how}{'' if worker.is_hung else ' before all were ready'}.")
        elif generation.state is State.SERVING:
            quick_ends, delay = restart_after(worker.quick_ends, now - worker.born)
            plan = f"starting another in {delay:.0f} s" if delay else "starting another"
            logger.error("%s %s; %s.%s", who, how, plan, f" {reason}" if reason else "")
            generation.vacancies[worker.index] = _Vacancy(now + delay, quick_ends)
            if delay:
                self._cover(generation)
        else:
            logger.log(logging.WARNING if code else logging.INFO, "%s %s.", who, how)

    def _fill(self, generation: _Generation, index: int, vacancy: _Vacancy) -> None:
        try:
            self._fork(generation, index, vacancy.quick_ends)
        except OSError as error:
            vacancy.quick_ends, delay = restart_after(vacancy.quick_ends, 0.0)
            vacancy.due = time.monotonic() + delay
            logger.warning("Cannot start a worker: %s; trying again in %.0f s.", error.strerror, delay)
        else:
            del generation.vacancies[index]

    def _fork(self, generation: _Generation, index: int, quick_ends: int) -> None:
        used = {worker.slot for each in self._generations for worker in each.workers}
        worker = start_worker(
            generation.plan,
            slot=next(slot for slot in range(MAX_SLOTS) if slot not in used),
            index=index,
            quick_ends=quick_ends,
            bound=self._bound.of(generation.plan.endpoints),
            leave=self._leave,
        )
        generation.workers.append(worker)
        self._selector.register(worker.line, selectors.EVENT_READ, worker.line)
        self._is_changed = True

    def _leave(self, kept: Iterable[socket.socket]) -> None:
        """In a worker: let go of all that is the supervisor's. An end of a sibling's lifeline that stayed open here would keep that
        sibling alive after the supervisor."""
        self._alarm.forget(_IGNORED_BY_WORKERS)
        own = {id(sock) for sock in kept}
        for sock in self._bound:
            if id(sock) not in own:
                sock.close()
        for generation in self._generations:
            for worker in generation.workers:
                worker.line.close()
        self._selector.close()
        self._run_directory.forget()

    def _cover(self, generation: _Generation) -> None:
        """Hand the copies that no worker of a generation accepts from to those workers that have the fewest."""
        taken = {copy for worker in generation.workers for copy in worker.held}
        ready = [worker for worker in generation.workers if worker.is_ready]
        numbers = {endpoint: number for number, endpoint in enumerate(generation.plan.endpoints)}
        for endpoint, sockets in self._bound.of(generation.plan.endpoints).items():
            for copy, sock in enumerate(sockets):
                if ready and (endpoint, copy) not in taken:
                    worker = min(ready, key=lambda candidate: len(candidate.held))
                    if worker.line.hand_over(numbers[endpoint], sock):
                        worker.held.add((endpoint, copy))

    # -- the process ---------------------------------------------------------------------------------------------------------

    def _settle_user(self, plan: Plan, account: Account | None) -> None:
        """Drop root, once all is bound."""
        if account is None:
            if os.geteuid() == 0 and not plan.user:
                logger.warning(
                    'Running as root; set `user = "nobody"` (or better, a user of its own) to drop root once the ports are bound.'
                )
            return
        try:
            give([plan.run_directory, *plan.owned, *map(Path, self._bound.paths())], account)
        except OSError as error:
            raise NetlodgeError(f"user: cannot give {error.filename} to {account.name}: {error.strerror}.") from error
        drop(account)
        logger.info("Dropped root: running as %s (user id %d).", account.name, account.uid)

    def _publish(self) -> None:
        """Bring `state.json` up to date."""
        if not self._is_changed:
            return
        self._is_changed = False
        workers = [
            WorkerState(
                pid=worker.pid,
                index=worker.index,
                slot=worker.slot,
                generation=generation.number,
                phase=generation.state.value if worker.is_ready else State.STARTING.value,
                started=worker.born_wall,
            )
            for generation in self._generations
            for worker in generation.workers
        ]
        state = RunState(
            pid=os.getpid(),
            started=self._started,
            phase="stopping" if self._is_stopping else "serving" if self._serving else "starting",
            generation=self._serving.number if self._serving else 0,
            workers=workers,
            addresses=self._bound.names(),
            reload=self._reload,
        )
        try:
            self._run_directory.publish(state)
        except OSError as error:
            logger.warning("Cannot write in %s: %s.", self._run_directory.path, error.strerror)

"""The life of a generation of workers, as a table, and the rule by which a dead worker comes back. Pure: no I/O, no clock.

All workers that were started from one reading of the settings are a generation. The first comes up with the lodge; each reload
starts another on the same sockets. While it starts, the one before it serves; once it serves, the one before it retires:

    STARTING --READY--> SERVING --SUPERSEDED--> RETIRING --OVERDUE--> STOPPING --OVERDUE--> KILLING --EMPTY--> ENDED

STOP (the lodge is told to end) and FAILED (a worker did not come up) lead to STOPPING from every state before it, HURRY (the lodge
is told a second time) to KILLING. A generation without workers has ENDED.
"""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    STARTING = "starting"
    """Not every worker is ready yet."""
    SERVING = "serving"
    """Up. A worker that dies is replaced in this state alone."""
    RETIRING = "retiring"
    """Another generation has taken over; this one accepts no more and finishes what it has, without haste."""
    STOPPING = "stopping"
    """Finishes the exchanges under way and begins no other."""
    KILLING = "killing"
    """Did not finish in time."""
    ENDED = "ended"


class Event(Enum):
    READY = "ready"
    """Every worker accepts connections."""
    FAILED = "failed"
    """A worker ended, or took too long, before it was ready."""
    SUPERSEDED = "superseded"
    """A younger generation is ready."""
    OVERDUE = "overdue"
    """The time that the state allows is over."""
    STOP = "stop"
    """The lodge is to end."""
    HURRY = "hurry"
    """The lodge is to end at once."""
    EMPTY = "empty"
    """The last worker ended, and none is to come."""


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.STARTING: {
        Event.READY: State.SERVING,
        Event.FAILED: State.STOPPING,
        Event.STOP: State.STOPPING,
        Event.HURRY: State.KILLING,
        Event.EMPTY: State.ENDED,
    },
    State.SERVING: {
        Event.SUPERSEDED: State.RETIRING,
        Event.STOP: State.STOPPING,
        Event.HURRY: State.KILLING,
    },
    State.RETIRING: {
        Event.OVERDUE: State.STOPPING,
        Event.STOP: State.STOPPING,
        Event.HURRY: State.KILLING,
        Event.EMPTY: State.ENDED,
    },
    State.STOPPING: {
        Event.OVERDUE: State.KILLING,
        Event.HURRY: State.KILLING,
        Event.EMPTY: State.ENDED,
    },
    State.KILLING: {
        Event.EMPTY: State.ENDED,
    },
    State.ENDED: {},
}
"""What is not listed changes nothing."""

SIGNAL_ON_ENTRY: dict[State, signal.Signals] = {
    State.RETIRING: signal.SIGUSR2,
    State.STOPPING: signal.SIGTERM,
    State.KILLING: signal.SIGKILL,
}
"""What the workers of a generation are sent when it enters the state."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; `math.inf` where there is no bound."""

    start: float = 60.0
    """For a worker to become ready."""
    drain: float = 600.0
    """`drain.timeout`: for a generation that a reload replaced."""
    stop: float = 30.0
    """`drain.stop_timeout`: for the exchanges under way when the lodge ends, or when `drain` is over."""
    handover: float = 2.0
    """For the workers of a generation that a reload replaced to say that they accept no more. Then the reload is done either way."""

    def of(self, state: State) -> float:
        """How long a generation may stay in a state before it is OVERDUE."""
        return {State.RETIRING: self.drain, State.STOPPING: self.stop}.get(state, math.inf)


def next_state(state: State, event: Event) -> State:
    """Where an event leads. An event that the table does not list for a state leaves it."""
    return TRANSITIONS[state].get(event, state)


BACK_OFF = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before a worker comes back, by how many quick ends it had in a row. One crash costs nobody anything; a worker that
cannot live costs the machine two starts a minute."""
STEADY_AFTER = 60.0
"""Seconds that a worker must live for its earlier ends to be forgotten."""


def restart_after(quick_ends: int, lived: float) -> tuple[int, float]:
    """A worker ended after `lived` seconds; the ones before it in its place ended quickly `quick_ends` times in a row.

    Returns the new number of quick ends, and the seconds to wait before the replacement.
    """
    before = 0 if lived >= STEADY_AFTER else quick_ends
    return before + 1, BACK_OFF[min(before, len(BACK_OFF) - 1)]

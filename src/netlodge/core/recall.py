"""Answers remembered by the exact bytes of the question: the technique that lets Python stand beside C servers.

Clients on a network ask the same questions again and again, byte for byte, and parsing is a pure function of those bytes. So what
arrives is first looked up here. An `Answer` holds rendered bytes and the conditions under which they still hold; only a question
that is not here, or whose answer no longer holds, is parsed, routed and handled.

**Turns.** The conditions of one answer (a `stat` of the file behind it, say) are checked at most once per turn of the event loop, not
once per question. That loses nothing: all questions answered in one turn were readable when the turn began to look at its sockets,
so they were sent before the check was made, and whoever had changed something before asking is seen by that check. Under load
one check serves dozens of questions. This holds for questions that are answered where they are received: `find` is for
`receive_data` alone, not for callbacks and tasks, which run before the loop looks at its sockets.

**Alike.** A question whose bytes are new may ask what another asked before. Its family may say what of a parsed question an answer
depends on, write that as text, and keep answers by it in a table of its own: the same class, with `str` for questions.

**Bounds.** The table is bounded in octets and evicts by second chance (an answer used since the hand last passed stays once more).
A question is remembered only when it comes a second time: a flood of questions that never repeat costs a set of hashes.

**Policy.** One table belongs to one policy (a door and an access class): clients who are treated differently never share one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from netlodge.core.contracts import Clock
from netlodge.core.records import Record

ENTRY_OVERHEAD = 1024
"""Octets that an entry costs beside its question and its answer: the objects, the record, the table's own cells (measured)."""

SEEN_ONCE = 16384
"""How many questions seen once are known at a time (hashes only)."""


class Generations(Protocol):
    """The shared array that tells all workers of a change: `generations[slot]` grows with each change of what the slot stands for."""

    def __getitem__(self, slot: int, /) -> int: ...


class Answer:
    """A rendered answer and the conditions under which it still holds. Families derive from it and say how to `render`."""

    __slots__ = (
        "expires",
        "generation",
        "octets",
        "record",
        "second",
        "slot",
        "still_holds",
        "turn",
        "was_used",
        "wire",
    )

    def __init__(
        self,
        *,
        record: Record,
        octets: int,
        expires: float,
        still_holds: Callable[[], bool] | None = None,
        slot: int = -1,
        generation: int = 0,
    ) -> None:
        self.record = record
        """What each use is noted as in the journal."""
        self.octets = octets
        """What the answer occupies, for the table's account; it never changes."""
        self.expires = expires
        """On the monotonic clock; `inf` if only the other conditions end it."""
        self.still_holds = still_holds
        self.slot = slot
        """Slot in the shared array of generations, or -1."""
        self.generation = generation
        self.wire = b""
        """The bytes to send, as of `second`."""
        self.second = -1
        self.was_used = False

    def render(self, now: float, second: int) -> bytes:
        """The bytes to send at this moment. Called at most once a second, and only for an answer in use.

        `now` is monotonic (for ages), `second` the whole second since the epoch (for dates)."""
        raise TypeError(f"{type(self).__name__} does not say how it is rendered")


AnswerT = TypeVar("AnswerT", bound=Answer)
QuestionT = TypeVar("QuestionT", bytes, str)


class Recall(Generic[QuestionT, AnswerT]):
    """The table of one policy.

    `octets` bounds it (0: switched off); `call_soon` is the event loop's, and ends a turn; `generations` is the shared array.
    """

    __slots__ = (
        "_answers", "_call_soon", "_clock", "_generations", "_limit", "_octets", "_ready", "_seen", "dropped", "evicted", "ready",
    )  # fmt: skip

    def __init__(
        self,
        octets: int,
        clock: Clock,
        call_soon: Callable[[Callable[[], None]], object],
        generations: Generations | None = None,
    ) -> None:
        self._limit = octets
        self._clock = clock
        self._call_soon = call_soon
        self._generations = generations
        self._answers: OrderedDict[QuestionT, AnswerT] = OrderedDict()
        self._ready: dict[QuestionT, AnswerT] = {}
        self.ready: Callable[[QuestionT], AnswerT | None] = self._ready.get
        """The answer to these bytes if it was looked at in this turn already: what `find` returns, for less. None says nothing."""
        self._octets = 0
        self._seen: set[int] = set()
        self.dropped = 0
        """Answers that no longer held when they were asked for."""
        self.evicted = 0
        """Answers that made room for others."""

    def find(self, question: QuestionT) -> AnswerT | None:
        """The answer to exactly this question, ready to send, if there is one and it holds now."""
        answer = self._ready.get(question)
        if answer is not None:
            return answer
        answer = self._answers.get(question)
        if answer is None:
            return None
        now = self._clock.monotonic()
        if not self._holds(answer, now):
            self.forget(question)
            self.dropped += 1
            return None
        second = self._clock.second
        if answer.second != second:
            answer.wire = answer.render(now, second)
            answer.second = second
        answer.was_used = True
        if not self._ready:
            self._call_soon(self._ready.clear)  # when the loop comes to it, the turn is over
        self._ready[question] = answer
        return answer

    def _holds(self, answer: AnswerT, now: float) -> bool:
        if now >= answer.expires:
            return False
        if answer.slot >= 0 and self._generations is not None and self._generations[answer.slot] != answer.generation:
            return False
        return answer.still_holds is None or answer.still_holds()

    def wants(self, question: QuestionT) -> bool:
        """True if an answer to these bytes is worth rendering for the table: it is switched on, and they came before."""
        if not self._limit:
            return False
        known = hash(question)
        if known in self._seen:
            return True
        if len(self._seen) >= SEEN_ONCE:
            self._seen.clear()
        self._seen.add(known)
        return False

    def remember(self, question: QuestionT, answer: AnswerT) -> None:
        """Keep `answer` for `question`, evicting others until it fits; not kept if it alone is larger than an eighth of the table."""
        cost = self._cost(question, answer)
        if cost > self._limit // 8:
            return
        self.forget(question)
        while self._octets + cost > self._limit:
            self._evict_one()
        self._answers[question] = answer
        self._octets += cost

    def forget(self, question: QuestionT) -> None:
        """Drop the answer to these bytes, if there is one."""
        answer = self._answers.pop(question, None)
        if answer is not None:
            self._octets -= self._cost(question, answer)
            self._ready.pop(question, None)

    def clear(self) -> None:
        """Forget everything."""
        self._answers.clear()
        self._ready.clear()
        self._seen.clear()
        self._octets = 0

    def _evict_one(self) -> None:
        while True:
            question, answer = next(iter(self._answers.items()))
            if answer.was_used:
                answer.was_used = False
                self._answers.move_to_end(question)
                continue
            self.forget(question)
            self.evicted += 1
            return

    @staticmethod
    def _cost(question: QuestionT, answer: AnswerT) -> int:
        return len(question) + answer.octets + ENTRY_OVERHEAD

    @property
    def is_on(self) -> bool:
        """False if it may hold nothing."""
        return self._limit > 0

    @property
    def octets(self) -> int:
        """What the table holds now, by its own account."""
        return self._octets

    def __len__(self) -> int:
        return len(self._answers)

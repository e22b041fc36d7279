"""Answers remembered by the exact bytes of the question: the technique that lets Python stand beside C servers.

Clients on a network ask the same questions again and again, byte for byte, and parsing is a pure function of those bytes. So what
arrives is first looked up here. An `Answer` holds rendered bytes and the conditions under which they still hold; only a question
that is not here, or whose answer no longer holds, is parsed, routed and handled.

**Conditions.** They are looked at anew for each question, after it was read: whoever changed something before asking gets what is
there now. (Once for all questions of one turn of the event loop would be cheaper, and was tried: but what a turn reads may have been sent
after it began, and libuv looks at its sockets again within a turn when a thousand are ready.)

**Alike.** A question whose bytes are new may ask what another asked before. Its family may say what of a parsed question an answer
depends on, write that as text, and keep answers by it in a table of its own: the same class, with `str` for questions.

**Bounds.** The table is bounded in octets and evicts by second chance (an answer used since the hand last passed stays once more).
A question is remembered only when it comes a second time: a flood of questions that never repeat costs a set of hashes.

**Policy.** One table belongs to one policy (a door and an access class): clients who are treated differently never share one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from math import inf
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
        """The bytes to send at this moment. Called at most once a second, and only for an answer that is asked for.

        `now` is monotonic (for ages), `second` the whole second since the epoch (for dates)."""
        raise TypeError(f"{type(self).__name__} does not say how it is rendered")


AnswerT = TypeVar("AnswerT", bound=Answer)
QuestionT = TypeVar("QuestionT", bytes, str)


class Recall(Generic[QuestionT, AnswerT]):
    """The table of one policy.

    `octets` bounds it (0: switched off); `generations` is the shared array.
    """

    __slots__ = (
        "_answers",
        "_clock",
        "_generations",
        "_get",
        "_limit",
        "_octets",
        "_review",
        "_seen",
        "dropped",
        "evicted",
    )

    def __init__(self, octets: int, clock: Clock, generations: Generations | None = None) -> None:
        self._limit = octets
        self._clock = clock
        self._generations = generations
        self._answers: OrderedDict[QuestionT, AnswerT] = OrderedDict()
        self._get: Callable[[QuestionT], AnswerT | None] = self._answers.get
        self._review: Iterator[QuestionT] = iter(())
        self._octets = 0
        self._seen: set[int] = set()
        self.dropped = 0
        """Answers that no longer held when they were asked for."""
        self.evicted = 0
        """Answers that made room for others."""

    def find(self, question: QuestionT) -> AnswerT | None:
        """The answer to exactly this question, ready to send, if there is one and it holds now."""
        answer = self._get(question)
        if answer is None:
            return None
        if not self._holds(answer):
            self.forget(question)
            self.dropped += 1
            return None
        clock = self._clock
        if answer.second != clock.second:
            answer.second = clock.second
            answer.wire = answer.render(clock.monotonic(), clock.second)
        answer.was_used = True
        return answer

    def _holds(self, answer: AnswerT) -> bool:
        if answer.still_holds is not None and not answer.still_holds():
            return False
        if answer.slot >= 0 and self._generations is not None and self._generations[answer.slot] != answer.generation:
            return False
        return answer.expires == inf or self._clock.monotonic() < answer.expires

    def review(self, count: int) -> None:
        """Look at `count` more answers, whether asked for or not, and drop those that hold no longer: so that what they keep (an open
        file that was deleted) is given back in time. To be called once a second."""
        for _ in range(count):
            question = next(self._review, None)
            if question is None:
                self._review = iter(list(self._answers))
                return
            answer = self._get(question)
            if answer is not None and not self._holds(answer):
                self.forget(question)
                self.dropped += 1

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

    def clear(self) -> None:
        """Forget everything."""
        self._answers.clear()
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

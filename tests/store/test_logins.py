"""Logins of one worker, against a database that another process changes; time stands still until it is moved."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from netlodge.core.clock import FakeClock
from netlodge.core.rates import Rate, RateTable
from netlodge.store import accounts, logins
from netlodge.store.accounts import Token
from netlodge.store.database import Database, DatabaseUnavailableError
from netlodge.store.login_failures import LoginFailures
from netlodge.store.logins import (
    KEPT,
    TRUSTED,
    LoginCounters,
    LoginPausedError,
    LoginQueueError,
    Logins,
    PasswordClaim,
    TokenClaim,
)
from netlodge.store.passwords import Cost, Passwords, argon2id

T = TypeVar("T")

CHEAP = Cost(memory=8, iterations=1, lanes=1)
HOME, CAFE = b"home", b"cafe"
LIMIT = 3


class Count:
    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int = 1) -> None:
        self.value += amount


class Reach:
    """The database, as long as it can be reached; counts what it is asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_away = False
        self.questions = 0
        self.require = database.require

    async def run(self, work: Callable[..., T]) -> T:
        return await self._asked(self._database.run, work)

    async def read(self, work: Callable[..., T]) -> T:
        return await self._asked(self._database.read, work)

    async def _asked(self, ask: Callable[..., Coroutine[Any, Any, T]], work: Callable[..., T]) -> T:
        self.questions += 1
        if self.is_away:
            raise DatabaseUnavailableError("It is away.")
        return await ask(work)


class Worker:
    """Logins with all that they need, and somebody at a terminal who changes accounts."""

    def __init__(self, folder: Path, *, queue: int = 50, cost: Cost = CHEAP) -> None:
        url = f"sqlite:///{folder / 'lodge.db'}"
        self.terminal = Database(url, connections=1, timeout=5)
        self.terminal.require(accounts.SCHEMA)
        self._database = Database(url, connections=2, timeout=5)
        self.reach = Reach(self._database)
        self.clock = FakeClock()
        self.derivations: list[Cost] = []
        self.gate: threading.Event | None = None
        self.counts = {name: Count() for name in LoginCounters._fields}
        self.passwords = Passwords(cost, self._derive)
        self.logins = Logins(
            self.reach,
            self.passwords,
            LoginFailures(RateTable(), RateTable(), Rate(interval=30.0, burst=LIMIT)),
            clock=self.clock,
            queue=queue,
            counters=LoginCounters(**self.counts),
        )

    def _derive(self, password: bytes, salt: bytes, cost: Cost, length: int) -> bytes:
        if self.gate is not None:
            assert self.gate.wait(10)
        self.derivations.append(cost)
        return argon2id(password, salt, cost, length)

    def do(self, deed: Callable[..., T], **given: Any) -> T:
        """What a command does, in its own connection."""
        return self.terminal.run_here(partial(deed, **given))

    def add(self, name: str, password: str) -> None:
        self.do(accounts.add, name=name, password=Passwords(CHEAP).hash(password), now=0)

    def set_password(self, name: str, password: str) -> None:
        self.do(accounts.set_password, name=name, password=Passwords(CHEAP).hash(password))

    def add_token(self, name: str, *, expires: int | None = None) -> str:
        secret = accounts.new_token()
        token = Token(name, secret[:8], 0, expires)
        self.do(accounts.add_token, digest=accounts.digest_of(secret), token=token)
        return secret

    async def log_in(self, name: str, password: str, client: bytes = HOME) -> str | None:
        """As a request does: what is remembered first."""
        shown = f"{name}:{password}"
        return self.recall(shown, client) or await self.logins.verify(shown, PasswordClaim(name, password), client)

    def recall(self, shown: str, client: bytes = HOME) -> str | None:
        return self.logins.recall(shown, client)

    async def use_token(self, secret: str, client: bytes = HOME) -> str | None:
        return self.recall(secret, client) or await self.logins.verify(secret, TokenClaim(secret), client)

    async def close(self) -> None:
        if self.logins._asking is not None:
            await asyncio.wait([self.logins._asking])
        await self._database.close()
        self.terminal.close_here()


Script = Callable[[Worker], Coroutine[Any, Any, None]]


def play(folder: Path, script: Script, **given: Any) -> None:
    async def whole() -> None:
        worker = Worker(folder, **given)
        worker.add("anna", "open sesame")
        worker.add("bert", "open barley")
        worker.derivations.clear()
        try:
            await script(worker)
        finally:
            await worker.close()

    asyncio.run(whole())


async def turns_until(condition: Callable[[], bool]) -> None:
    """Let others have their turn until something is true."""
    for _ in range(1_000_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came about")


class TestPasswords:
    def test_the_right_one_is_the_accounts_and_no_other(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            assert await worker.log_in("anna", "open sesame") == "anna"
            assert await worker.log_in("anna", "open barley") is None
            assert await worker.log_in("bert", "open sesame") is None
            assert await worker.log_in("anna", "") is None
            assert worker.counts["verified"].value == 1
            assert worker.counts["failed"].value == 3

        play(tmp_path, script)

    def test_a_name_is_compared_in_its_one_form(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            assert await worker.log_in("ANNA", "open sesame") == "anna"

        play(tmp_path, script)

    @pytest.mark.parametrize("name", ["carl", "", "no name", "a" * 1000, "' OR 1=1 --"])
    def test_an_account_that_is_not_there_takes_the_same_work(self, tmp_path: Path, name: str) -> None:
        """Whoever measures the time learns nothing about names: the same questions, the same hash."""

        async def script(worker: Worker) -> None:
            await worker.log_in("bert", "open barley")  # the database is known from here on
            worker.reach.questions = 0
            worker.derivations.clear()
            assert await worker.log_in("anna", "wrong password") is None
            known = (worker.reach.questions, worker.derivations[:])
            worker.reach.questions = 0
            worker.derivations.clear()
            assert await worker.log_in(name, "wrong password") is None
            assert (worker.reach.questions, worker.derivations) == known
            assert known[1] == [CHEAP]

        play(tmp_path, script)

    def test_one_proof_is_enough_for_all_that_come_at_once(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            names = await asyncio.gather(*(worker.log_in("anna", "open sesame") for _ in range(10)))
            assert names == ["anna"] * 10
            assert len(worker.derivations) == 1

        play(tmp_path, script)

    def test_one_that_goes_away_takes_nothing_from_those_who_wait_with_it(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            first = asyncio.create_task(worker.log_in("anna", "open sesame"))
            second = asyncio.create_task(worker.log_in("anna", "open sesame"))
            await asyncio.sleep(0)
            first.cancel()
            assert await second == "anna"
            assert first.cancelled()

        play(tmp_path, script)

    def test_a_hash_of_an_older_cost_is_made_anew_at_login(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            assert await worker.log_in("anna", "open sesame") == "anna"
            kept = worker.do(accounts.find, name="anna").password  # type: ignore[union-attr]
            assert kept.startswith("$argon2id$v=19$m=16,")
            assert worker.passwords.verify("open sesame", kept)
            assert worker.recall("anna:open sesame") == "anna"

        play(tmp_path, script, cost=Cost(16, 1, 1))

    def test_no_more_wait_than_may(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            await worker.log_in("bert", "open barley")
            worker.gate = threading.Event()
            tasks = [
                asyncio.create_task(worker.log_in(f"user{number}", "x", b"%d" % number)) for number in range(2 + 5 + 3)
            ]
            await turns_until(lambda: worker.counts["crowded"].value == 3)
            worker.gate.set()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert results.count(None) == 2 + 5
            assert sum(isinstance(result, LoginQueueError) for result in results) == 3

        play(tmp_path, script, queue=5)


class TestRecall:
    def test_knows_what_was_proved_and_asks_nobody(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            assert worker.recall("anna:open sesame") is None
            await worker.log_in("anna", "open sesame")
            worker.reach.questions = 0
            worker.derivations.clear()
            assert worker.recall("anna:open sesame") == "anna"
            assert worker.recall("anna:open sesam") is None
            assert (worker.reach.questions, worker.derivations) == (0, [])

        play(tmp_path, script)

    def test_forgets_after_a_minute(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            await worker.log_in("anna", "open sesame")
            for _ in range(59):
                worker.clock.advance(1.0)
                assert await worker.log_in("anna", "open sesame") == "anna"
            assert len(worker.derivations) == 1
            worker.clock.advance(KEPT - 59.0)
            assert worker.recall("anna:open sesame") is None
            assert await worker.log_in("anna", "open sesame") == "anna"
            assert len(worker.derivations) == 2

        play(tmp_path, script)

    def test_keeps_no_credentials_in_clear(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            await worker.log_in("anna", "open sesame")
            assert "sesame" not in repr(vars(worker.logins))

        play(tmp_path, script)

    def test_does_not_remember_wrong_ones(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            assert await worker.log_in("anna", "wrong") is None
            assert not worker.logins._proofs

        play(tmp_path, script)

    def test_holds_so_many_at_most(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(logins, "MOST_KEPT", 2)

        async def script(worker: Worker) -> None:
            for name in ("anna", "Anna", "aNna"):
                await worker.log_in(name, "open sesame")
            assert [worker.recall(f"{name}:open sesame") for name in ("anna", "Anna", "aNna")] == [
                None,
                "anna",
                "anna",
            ]

        play(tmp_path, script)


class TestChanges:
    async def after(self, worker: Worker, seconds: float) -> None:
        """Time goes by while somebody asks several times a second."""
        for _ in range(round(seconds / 0.25)):
            worker.clock.advance(0.25)
            worker.recall("anna:open sesame")
            if worker.logins._asking is not None:
                await asyncio.wait([worker.logins._asking])

    @pytest.mark.parametrize(
        "change",
        [
            lambda worker: worker.set_password("anna", "new password"),
            lambda worker: worker.do(accounts.remove, name="anna"),
            lambda worker: (worker.do(accounts.remove, name="anna"), worker.add("anna", "new password")),
        ],
        ids=["passwd", "remove", "remove and add"],
    )
    def test_the_old_password_is_worth_nothing_soon_after(
        self, tmp_path: Path, change: Callable[[Worker], None]
    ) -> None:
        async def script(worker: Worker) -> None:
            await worker.log_in("anna", "open sesame")
            change(worker)
            await self.after(worker, 1.25)
            assert worker.recall("anna:open sesame") is None
            assert await worker.log_in("anna", "open sesame") is None

        play(tmp_path, script)

    def test_the_old_password_is_worth_nothing_after_a_rest(self, tmp_path: Path) -> None:
        """Nobody asked meanwhile: what the database said last is too old to be trusted."""

        async def script(worker: Worker) -> None:
            await worker.log_in("anna", "open sesame")
            worker.set_password("anna", "new password")
            worker.clock.advance(TRUSTED + 0.1)
            assert worker.recall("anna:open sesame") is None
            assert await worker.log_in("anna", "open sesame") is None
            assert await worker.log_in("anna", "new password") == "anna"

        play(tmp_path, script)

    def test_logins_of_others_go_on_without_a_hash(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            await worker.log_in("bert", "open barley")
            worker.set_password("anna", "new password")
            worker.clock.advance(TRUSTED + 0.1)
            worker.derivations.clear()
            assert await worker.log_in("bert", "open barley") == "bert"
            assert worker.derivations == []
            assert worker.recall("bert:open barley") == "bert"

        play(tmp_path, script)

    def test_the_question_is_asked_beside_the_requests_about_once_a_second(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            await worker.log_in("anna", "open sesame")
            worker.reach.questions = 0
            await self.after(worker, 20.0)
            assert worker.recall("anna:open sesame") == "anna"
            assert 15 <= worker.reach.questions <= 20

        play(tmp_path, script)

    def test_a_change_while_a_password_is_verified_is_noticed(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            await worker.log_in("bert", "open barley")
            worker.gate = threading.Event()
            task = asyncio.create_task(worker.log_in("anna", "open sesame"))
            await turns_until(lambda: worker.logins._verifying._value < logins.THREADS)
            worker.set_password("anna", "new password")
            worker.gate.set()
            assert await task == "anna"  # it was right when it was looked at
            worker.gate = None
            await self.after(worker, 1.25)
            assert await worker.log_in("anna", "open sesame") is None

        play(tmp_path, script)


class TestTokens:
    def test_is_its_holders_without_a_hash(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            secret = worker.add_token("anna")
            assert await worker.use_token(secret) == "anna"
            assert await worker.use_token(secret + "x") is None
            assert worker.derivations == []
            assert worker.recall(secret) == "anna"

        play(tmp_path, script)

    def test_that_was_revoked_is_worth_nothing_soon_after(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            secret = worker.add_token("anna")
            await worker.use_token(secret)
            worker.do(accounts.revoke_token, name="anna", label=secret[:8])
            worker.clock.advance(TRUSTED + 0.1)
            assert await worker.use_token(secret) is None

        play(tmp_path, script)

    def test_ends_when_it_expires_though_it_is_remembered(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            secret = worker.add_token("anna", expires=int(worker.clock.wall) + 2)
            assert await worker.use_token(secret) == "anna"
            worker.clock.advance(1.9)
            assert worker.recall(secret) == "anna"
            worker.clock.advance(0.1)
            assert worker.recall(secret) is None
            assert await worker.use_token(secret) is None

        play(tmp_path, script)


class TestFailures:
    def test_past_the_limit_nothing_is_verified(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            for number in range(LIMIT):
                assert await worker.log_in("anna", f"guess {number}") is None
            worker.derivations.clear()
            with pytest.raises(LoginPausedError) as caught:
                await worker.log_in("anna", "open sesame")
            assert caught.value.wait == 30.0
            assert worker.derivations == []
            assert worker.counts["paused"].value == 1
            worker.clock.advance(30.0)
            assert await worker.log_in("anna", "open sesame") == "anna"

        play(tmp_path, script)

    def test_guesses_that_come_at_once_are_not_more(self, tmp_path: Path) -> None:
        """At most one more for each thread that was at work when the limit was reached."""

        async def script(worker: Worker) -> None:
            tasks = [worker.log_in("anna", f"guess {number}") for number in range(40)]
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert LIMIT <= len(worker.derivations) < LIMIT + logins.THREADS
            assert sum(isinstance(result, LoginPausedError) for result in results) == 40 - len(worker.derivations)

        play(tmp_path, script)

    def test_another_client_at_another_account_is_not_kept_out(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            for number in range(LIMIT):
                await worker.log_in("anna", f"guess {number}")
            assert await worker.log_in("bert", "open barley", CAFE) == "bert"

        play(tmp_path, script)

    def test_one_who_is_logged_in_stays_so(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            await worker.log_in("anna", "open sesame")
            for number in range(LIMIT):
                await worker.log_in("anna", f"guess {number}", CAFE)
            worker.clock.advance(KEPT)
            assert await worker.log_in("anna", "open sesame") == "anna"

        play(tmp_path, script)

    def test_wrong_tokens_are_counted_for_the_client(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            for number in range(LIMIT):
                assert await worker.use_token(f"nl_{number}") is None
            with pytest.raises(LoginPausedError):
                await worker.use_token(worker.add_token("anna"))

        play(tmp_path, script)


class TestWhatIsRememberedHelpsNobodyToGuess:
    def test_it_is_only_for_the_client_that_proved_it(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            await worker.log_in("anna", "open sesame")
            assert worker.recall("anna:open sesame", CAFE) is None
            for number in range(LIMIT):
                await worker.log_in("anna", f"guess {number}", CAFE)
            with pytest.raises(LoginPausedError):
                await worker.log_in("anna", "open sesame", CAFE)
            assert worker.recall("anna:open sesame") == "anna"

        play(tmp_path, script)

    @pytest.mark.parametrize("is_changed", [False, True])
    def test_it_waits_like_the_others_where_somebody_guesses_from_the_same_address(
        self, tmp_path: Path, *, is_changed: bool
    ) -> None:
        async def script(worker: Worker) -> None:
            await worker.log_in("anna", "open sesame")
            if is_changed:  # another account: then what is remembered is looked at once more
                worker.set_password("bert", "new password")
                worker.clock.advance(TRUSTED + 0.1)
            for number in range(LIMIT):
                await worker.log_in("anna", f"guess {number}")
            assert worker.recall("anna:open sesame") is None
            with pytest.raises(LoginPausedError):
                await worker.log_in("anna", "open sesame")
            worker.clock.advance(30.0)
            assert await worker.log_in("anna", "open sesame") == "anna"

        play(tmp_path, script)


class TestTheSameWrongCredentialsAgain:
    def test_are_no_further_guess_and_cost_nothing(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            for _ in range(5 * LIMIT):
                assert await worker.log_in("anna", "old password") is None
                assert await worker.log_in("nobody", "old password") is None
            assert len(worker.derivations) == 2
            assert worker.counts["failed"].value == 10 * LIMIT
            assert await worker.log_in("anna", "open sesame") == "anna"

        play(tmp_path, script)

    def test_are_looked_at_again_when_an_account_has_changed(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            assert await worker.log_in("anna", "new password") is None
            worker.set_password("anna", "new password")
            worker.clock.advance(TRUSTED + 0.1)
            assert await worker.log_in("anna", "new password") == "anna"

        play(tmp_path, script)

    def test_of_another_client_are_a_guess(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            for number in range(LIMIT):
                assert await worker.log_in("anna", "guess", b"client %d" % number) is None
            with pytest.raises(LoginPausedError):
                await worker.log_in("anna", "guess", CAFE)

        play(tmp_path, script)


class TestADatabaseThatIsAway:
    def test_lets_those_in_for_a_moment_who_are_remembered(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            await worker.log_in("anna", "open sesame")
            worker.reach.is_away = True
            worker.clock.advance(TRUSTED)
            assert worker.recall("anna:open sesame") == "anna"
            worker.clock.advance(0.25)
            with pytest.raises(DatabaseUnavailableError):
                await worker.log_in("anna", "open sesame")
            worker.reach.is_away = False
            assert await worker.log_in("anna", "open sesame") == "anna"
            assert len(worker.derivations) == 1

        play(tmp_path, script)

    def test_counts_as_no_failure_of_the_client(self, tmp_path: Path) -> None:
        async def script(worker: Worker) -> None:
            worker.reach.is_away = True
            for _ in range(2 * LIMIT):
                with pytest.raises(DatabaseUnavailableError):
                    await worker.log_in("anna", "open sesame")
            worker.reach.is_away = False
            assert await worker.log_in("anna", "open sesame") == "anna"

        play(tmp_path, script)

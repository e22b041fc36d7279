"""Who somebody is: passwords and tokens proved against the accounts, and what was proved remembered for a moment.

A proof costs tens of milliseconds by design, and a client shows its credentials with every request. So what was proved is kept for
`KEPT` seconds, by a keyed hash of the client and its credentials that only this process can compute, and `recall` finds it without
waiting for anything.

**Changes.** A new password, a removed account or a revoked token must count soon, wherever the command ran. The database counts such
changes in one number (`store/accounts.py`). It is asked for about once a second while anybody logs in, beside the requests; what is
remembered is trusted for `TRUSTED` seconds after the last answer, and then waits for the next one. So a change counts `TRUSTED` seconds
after it was committed at the latest, in every worker of every lodge on this database. When the number has grown, each remembered login
is compared with its account (one quick question, no hash) before it is used again.

**Guessing.** How many failures there may be says `store/login_failures.py`. What is remembered helps nobody to guess: it is another
client's, or the client is asked for its failures before it is used. The same wrong credentials once more are no guess (somebody's telephone
still has the old password): they are known for wrong, and neither verified nor counted. A password for an account that is not there is
verified all the same, against a hash that nobody knows the password of.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import sqlalchemy

from netlodge.core.account_names import AccountNameError, normal_name
from netlodge.core.contracts import Clock, Counter
from netlodge.core.errors import NetlodgeError
from netlodge.core.rates import Places
from netlodge.store import accounts
from netlodge.store.accounts import Account
from netlodge.store.database import DatabaseUnavailableError
from netlodge.store.login_failures import LoginFailures
from netlodge.store.passwords import Passwords
from netlodge.store.schema import Schema

KEPT: Final = 60.0
"""Seconds that a proof is remembered."""
ASKED_AFTER: Final = 1.0
"""Seconds after which the database is asked again whether any account has changed."""
TRUSTED: Final = 3.0
"""Seconds that its last answer is good for."""
MOST_KEPT: Final = 4096
"""Proofs that one worker remembers, and as many refutations: about a megabyte."""
THREADS: Final = 2
"""Passwords that one worker verifies at once: each takes `passwords.COST.memory`, and a core."""

T = TypeVar("T")


class PasswordClaim(NamedTuple):
    """Somebody says to be this account, and knows its password."""

    name: str
    password: str


class TokenClaim(NamedTuple):
    """Somebody has a token."""

    token: str


Claim = PasswordClaim | TokenClaim


class LoginPausedError(NetlodgeError):
    """There were too many failures; nothing was verified. `wait` is how many seconds it takes until the next attempt may be made."""

    def __init__(self, wait: float) -> None:
        super().__init__("There were too many failed logins from this address, or to this account.")
        self.wait = wait


class LoginQueueError(NetlodgeError):
    """Too many logins wait to be verified; this one was not."""

    def __init__(self) -> None:
        super().__init__("Too many logins wait to be verified.")


class AccountDatabase(Protocol):
    """What is asked of `store.database.Database`. All raise `DatabaseUnavailableError`."""

    def require(self, schema: Schema) -> None: ...
    async def run(self, work: Callable[[sqlalchemy.Connection], T]) -> T: ...
    async def read(self, work: Callable[[sqlalchemy.Connection], T]) -> T: ...


class LoginCounters(NamedTuple):
    """How logins that were not remembered went."""

    verified: Counter
    failed: Counter
    paused: Counter
    """Over the limit of failures."""
    crowded: Counter
    """Over the limit of those that wait."""


class _Proof:
    """That certain credentials were those of an account."""

    __slots__ = ("as_of", "change", "name", "places", "until")

    def __init__(self, name: str, change: int, until: float, places: Places | None = None) -> None:
        self.name = name
        self.change = change
        """The number of the account's last change."""
        self.until = until
        """On the monotonic clock."""
        self.places = places
        """Where the failures are counted that make this one wait, if it can be guessed."""
        self.as_of = -1
        """The number of all accounts' last change when this was known to be true."""


class Logins:
    """One per worker. Everything is called on its event loop."""

    def __init__(
        self,
        database: AccountDatabase,
        passwords: Passwords,
        failures: LoginFailures,
        *,
        clock: Clock,
        queue: int,
        counters: LoginCounters,
    ) -> None:
        """`queue` is how many logins may wait to be verified."""
        database.require(accounts.SCHEMA)
        self._database = database
        self._passwords = passwords
        self._failures = failures
        self._clock = clock
        self._queue = queue
        self._counters = counters
        self._key = os.urandom(32)
        self._proofs: dict[bytes, _Proof] = {}
        """By the digest of who showed what; oldest first."""
        self._refuted: dict[bytes, int] = {}
        """What was wrong when this was the number of the last change; oldest first."""
        self._pending: dict[bytes, asyncio.Task[str | None]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._last_change = -1
        self._asked_at = -TRUSTED
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._verifying = asyncio.Semaphore(THREADS)
        self._waiting = 0

    def recall(self, shown: str, client: bytes) -> str | None:
        """The account whose credentials these are, if this client proved it a moment ago and it holds. Never waits.

        `shown` is the credentials as they came, in whatever form: other text, even of the same meaning, is proved anew. `client` is who
        shows it (see `LoginFailures`).
        """
        proof = self._proofs.get(self._digest(shown, client))
        if proof is None:
            return None
        now = self._clock.now
        age = now - self._asked_at
        if age > ASKED_AFTER:
            if age > TRUSTED:
                return None
            self._ask()
        if proof.as_of != self._last_change or now >= proof.until:
            return None
        if proof.places is not None and self._failures.wait_at(proof.places, now):
            return None
        return proof.name

    async def verify(self, shown: str, claim: Claim, client: bytes) -> str | None:
        """The account that the claim is true of; None if it is not true. `shown` and `client` as for `recall`.

        Raises `LoginPausedError`, `LoginQueueError`, and `DatabaseUnavailableError`.
        """
        # A browser asks for many things at once: one proof is enough for all that show the same.
        digest = self._digest(shown, client)
        task = self._pending.get(digest)
        if task is None:
            task = self._pending[digest] = _spawn(self._verify(digest, claim, client))
            task.add_done_callback(lambda _: self._pending.pop(digest, None))
        return await asyncio.shield(task)

    def _digest(self, shown: str, client: bytes) -> bytes:
        text = b"%d %b%b" % (len(client), client, shown.encode("utf-8", "surrogatepass"))
        return hashlib.blake2b(text, digest_size=32, key=self._key).digest()

    # --- proofs --------------------------------------------------------------------------------------------------------

    async def _verify(self, digest: bytes, claim: Claim, client: bytes) -> str | None:
        await self._know_changes()
        if self._refuted.get(digest) == self._last_change:
            self._counters.failed.add()
            return None
        if (name := await self._proved_again(digest, client)) is not None:
            return name
        # What is read below is at least as new as this number: a change meanwhile makes the proof be looked at once more.
        as_of = self._last_change
        if isinstance(claim, TokenClaim):
            proof = await self._prove_token(claim, client)
        else:
            proof = await self._prove_password(claim, client)
        if proof is None:
            self._counters.failed.add()
            _keep(self._refuted, digest, as_of)
            return None
        self._counters.verified.add()
        proof.as_of = as_of
        _keep(self._proofs, digest, proof)
        return proof.name

    async def _proved_again(self, digest: bytes, client: bytes) -> str | None:
        """What was proved before some account changed: whether it was another one."""
        proof = self._proofs.get(digest)
        if proof is None or self._clock.now >= proof.until:
            return None
        if proof.places is not None:
            self._pause_if_failed(client, proof.name)
        as_of = self._last_change
        if proof.as_of != as_of:
            if await self._database.read(partial(accounts.change_of, name=proof.name)) != proof.change:
                self._proofs.pop(digest, None)
                return None
            proof.as_of = as_of
        return proof.name

    async def _prove_password(self, claim: PasswordClaim, client: bytes) -> _Proof | None:
        try:
            name = normal_name(claim.name)
        except AccountNameError:
            name = ""
        self._pause_if_failed(client, name)
        account = await self._database.read(partial(accounts.find, name=name))
        async with self._turn():
            self._pause_if_failed(client, name)  # others may have failed while this one waited
            is_right = await self._in_thread(
                self._passwords.verify, claim.password, None if account is None else account.password
            )
            now = self._clock.monotonic()
            if account is None or not is_right:
                self._failures.failed(client, name, now)
                return None
        self._failures.succeeded(client, name, now)
        if self._passwords.is_outdated(account.password):
            await self._renew_hash(account, claim.password)
        return _Proof(account.name, account.change, now + KEPT, self._failures.places_of_known(client, name))

    async def _prove_token(self, claim: TokenClaim, client: bytes) -> _Proof | None:
        self._pause_if_failed(client, "")
        holder = await self._database.read(partial(accounts.find_holder, digest=accounts.digest_of(claim.token)))
        now = self._clock.monotonic()
        left = KEPT if holder is None or holder.expires is None else holder.expires - self._clock.time()
        if holder is None or left <= 0:
            self._failures.failed(client, "", now)
            return None
        return _Proof(holder.name, holder.change, now + min(left, KEPT))

    def _pause_if_failed(self, client: bytes, name: str) -> None:
        wait = self._failures.wait(client, name, self._clock.monotonic())
        if wait:
            self._counters.paused.add()
            raise LoginPausedError(wait)

    async def _renew_hash(self, account: Account, password: str) -> None:
        """The password was right, and what is kept of it was made with another cost than today's. If that cannot be mended now, it is
        at another login."""
        with contextlib.suppress(LoginQueueError, DatabaseUnavailableError):
            async with self._turn():
                kept = await self._in_thread(self._passwords.hash, password)
            await self._database.run(partial(accounts.renew_hash, account=account, password=kept))

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait until one of the threads is free. Raises `LoginQueueError`."""
        if self._waiting >= self._queue:
            self._counters.crowded.add()
            raise LoginQueueError
        self._waiting += 1
        try:
            await self._verifying.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._verifying.release()

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    # --- changes -------------------------------------------------------------------------------------------------------

    async def _know_changes(self) -> None:
        """Return when the number of the last change is known well enough."""
        if self._clock.monotonic() - self._asked_at > TRUSTED:
            await asyncio.shield(self._ask())

    def _ask(self) -> asyncio.Task[None]:
        """Begin to ask for the number of the last change, unless somebody does already."""
        if self._asking is None:
            self._asking = _spawn(self._learn_changes())
            self._asking.add_done_callback(self._asked)
        return self._asking

    async def _learn_changes(self) -> None:
        began = self._clock.monotonic()
        self._last_change = await self._database.read(accounts.last_change)
        self._asked_at = began

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # who needs the number is told; for others the last one is good for a while yet


def _keep(kept: dict[bytes, T], digest: bytes, what: T) -> None:
    """Put it in as the latest; the oldest makes room."""
    kept.pop(digest, None)
    if len(kept) >= MOST_KEPT:
        del kept[next(iter(kept))]
    kept[digest] = what


def _spawn(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.get_running_loop().create_task(coroutine)

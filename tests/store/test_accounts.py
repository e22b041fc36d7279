"""The statements about accounts, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from netlodge.store import accounts
from netlodge.store.accounts import Account, AccountError, Token
from netlodge.store.database import Database

Work = Callable[[Callable[..., Any]], Any]
NOW = 1_700_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
def work(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Work]:
    if request.param == "sqlite":
        yield from opened(f"sqlite:///{tmp_path / 'lodge.db'}")
    else:
        with request.getfixturevalue("postgresql").database() as url:
            yield from opened(url)


def opened(url: str) -> Iterator[Work]:
    database = Database(url, connections=2, timeout=5)
    database.require(accounts.SCHEMA)
    yield database.run_here
    database.close_here()


def add(work: Work, name: str = "anna") -> None:
    work(partial(accounts.add, name=name, password=f"hash of {name}", now=NOW))


def add_token(work: Work, label: str, *, account: str = "anna", expires: int | None = None) -> str:
    secret = accounts.new_token()
    token = Token(account, label, NOW, expires)
    work(partial(accounts.add_token, digest=accounts.digest_of(secret), token=token))
    return secret


def holder(work: Work, secret: str) -> Any:
    return work(partial(accounts.find_holder, digest=accounts.digest_of(secret)))


class TestAccounts:
    def test_is_found_as_it_was_added(self, work: Work) -> None:
        add(work)
        assert work(partial(accounts.find, name="anna")) == Account("anna", "hash of anna", NOW, 1)
        assert work(partial(accounts.find, name="bert")) is None

    def test_cannot_be_added_twice(self, work: Work) -> None:
        add(work)
        with pytest.raises(AccountError, match="There is an account `anna` already"):
            add(work)

    def test_is_added_once_by_two_at_the_same_moment(self, work: Work) -> None:
        add(work, "bert")  # the tables are there
        has_added, other_began = threading.Event(), threading.Event()

        def add_slowly(connection: sqlalchemy.Connection) -> None:
            accounts.add(connection, name="anna", password="first", now=NOW)
            has_added.set()
            other_began.wait(5)

        def add_as_well() -> None:
            has_added.wait(5)
            # Before it waits for the other's transaction it is seen to have begun.
            threading.Timer(0.05, other_began.set).start()
            add(work)

        with ThreadPoolExecutor(2) as threads:
            first, second = threads.submit(work, add_slowly), threads.submit(add_as_well)
            first.result()
            with pytest.raises(AccountError, match="There is an account `anna` already"):
                second.result()
        assert work(partial(accounts.find, name="anna")).password == "first"

    def test_has_a_new_password_once_it_was_set(self, work: Work) -> None:
        add(work)
        work(partial(accounts.set_password, name="anna", password="other"))
        assert work(partial(accounts.find, name="anna")).password == "other"

    def test_is_gone_with_its_tokens_once_it_was_removed(self, work: Work) -> None:
        add(work)
        secret = add_token(work, "ci")
        work(partial(accounts.remove, name="anna"))
        assert work(accounts.everyone) == []
        add(work)
        assert holder(work, secret) is None

    def test_everyone_is_listed_by_name_with_the_number_of_tokens(self, work: Work) -> None:
        for name in ("jürgen", "bert", "anna"):
            add(work, name)
        add_token(work, "one")
        add_token(work, "two")
        assert work(accounts.everyone) == [("anna", NOW, 2), ("bert", NOW, 0), ("jürgen", NOW, 0)]

    @pytest.mark.parametrize(
        "deed",
        [
            partial(accounts.set_password, name="nobody", password="x"),
            partial(accounts.remove, name="nobody"),
            partial(accounts.revoke_token, name="nobody", label="x"),
            partial(accounts.add_token, digest="0", token=Token("nobody", "x", NOW, None)),
        ],
    )
    def test_nothing_can_be_done_to_nobody(self, work: Work, deed: Callable[..., Any]) -> None:
        add(work)
        with pytest.raises(AccountError, match="There is no account `nobody`"):
            work(deed)
        assert work(accounts.last_change) == 1

    def test_a_name_is_text_and_no_statement(self, work: Work) -> None:
        add(work)
        for name in ("' OR ''='", "anna'; DROP TABLE accounts; --", "%", "ann_"):
            assert work(partial(accounts.find, name=name)) is None
        assert len(work(accounts.everyone)) == 1


class TestTokens:
    def test_are_random_and_of_the_alphabet_of_bearer_tokens(self) -> None:
        tokens = {accounts.new_token() for _ in range(10)}
        assert len(tokens) == 10
        assert all(len(token) == 46 and token.startswith("nl_") for token in tokens)

    def test_are_kept_as_what_cannot_be_sent(self, work: Work) -> None:
        add(work)
        secret = add_token(work, "ci")
        rows = work(lambda connection: connection.execute(accounts.TOKENS.select()).all())
        assert secret not in repr(rows)
        assert holder(work, rows[0].digest) is None

    def test_know_their_holder_and_their_end(self, work: Work) -> None:
        add(work)
        assert holder(work, add_token(work, "ci", expires=NOW + 60)) == ("anna", 1, NOW + 60)
        assert holder(work, add_token(work, "cd")) == ("anna", 1, None)
        assert holder(work, accounts.new_token()) is None

    def test_have_labels_of_their_own(self, work: Work) -> None:
        add(work)
        add(work, "bert")
        add_token(work, "ci")
        add_token(work, "ci", account="bert")
        with pytest.raises(AccountError, match="`anna` has a token `ci` already"):
            add_token(work, "ci")

    def test_without_a_label_get_the_first_that_is_free(self, work: Work) -> None:
        add(work)
        free = partial(accounts.free_label, name="anna")
        assert work(free) == "token-1"
        add_token(work, "token-1")
        add_token(work, "token-3")
        assert work(free) == "token-2"

    def test_that_were_revoked_are_nobodys(self, work: Work) -> None:
        add(work)
        gone, stays = add_token(work, "ci"), add_token(work, "cd")
        work(partial(accounts.revoke_token, name="anna", label="ci"))
        assert holder(work, gone) is None
        assert holder(work, stays).name == "anna"
        with pytest.raises(AccountError, match="`anna` has no token `ci`"):
            work(partial(accounts.revoke_token, name="anna", label="ci"))


class TestChanges:
    def test_what_may_end_a_login_counts_up_and_is_noted_with_the_account(self, work: Work) -> None:
        seen = [work(accounts.last_change)]

        def note() -> None:
            number = work(accounts.last_change)
            assert number == seen[-1] + 1
            seen.append(number)

        add(work)
        note()
        add(work, "bert")
        note()
        work(partial(accounts.set_password, name="anna", password="x"))
        note()
        assert work(partial(accounts.change_of, name="anna")) == seen[-1]
        assert work(partial(accounts.change_of, name="bert")) == 2
        add_token(work, "ci")
        work(partial(accounts.revoke_token, name="anna", label="ci"))
        note()
        assert work(partial(accounts.change_of, name="anna")) == seen[-1]
        work(partial(accounts.remove, name="anna"))
        note()
        assert work(partial(accounts.change_of, name="anna")) is None

    def test_an_account_of_a_name_that_was_removed_is_another_one(self, work: Work) -> None:
        add(work)
        before = work(partial(accounts.find, name="anna"))
        work(partial(accounts.remove, name="anna"))
        add(work)
        assert work(partial(accounts.find, name="anna")).change != before.change

    def test_a_new_hash_of_the_same_password_ends_no_login(self, work: Work) -> None:
        add(work)
        before = work(partial(accounts.find, name="anna"))
        work(partial(accounts.renew_hash, account=before, password="rehashed"))
        assert work(partial(accounts.find, name="anna")) == before._replace(password="rehashed")
        assert work(accounts.last_change) == 1

    def test_a_new_hash_does_not_undo_a_new_password(self, work: Work) -> None:
        add(work)
        before = work(partial(accounts.find, name="anna"))
        work(partial(accounts.set_password, name="anna", password="new"))
        work(partial(accounts.renew_hash, account=before, password="rehash of old"))
        assert work(partial(accounts.find, name="anna")).password == "new"

"""`netlodge user`: accounts in a data folder, and a password that nobody sees."""

from __future__ import annotations

import os
import pty
import pwd
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from netlodge.cli.main import main
from netlodge.net import privileges
from netlodge.store import accounts
from netlodge.store.accounts import Account
from netlodge.store.database import Database
from netlodge.store.passwords import Cost, Passwords
from tests.e2e.lodge import NETLODGE, PATIENCE

CHEAP = Cost(memory=8, iterations=1, lanes=1)
SECRET = "correct horse"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own, where a hash costs little."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("netlodge.cli.user.Passwords", lambda: Passwords(CHEAP))


def run(*arguments: str, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(main, ["user", *arguments], input=stdin)


def add(name: str = "anna", password: str = SECRET) -> Result:
    return run("add", name, "--stdin", stdin=f"{password}\n")


def kept(name: str = "anna") -> Account | None:
    database = Database("sqlite:///lodge/lodge.db", connections=1, timeout=5)
    database.require(accounts.SCHEMA)
    try:
        return database.run_here(lambda connection: accounts.find(connection, name))
    finally:
        database.close_here()


def is_password(password: str, name: str = "anna") -> bool:
    account = kept(name)
    assert account is not None
    return Passwords(CHEAP).verify(password, account.password)


class TestAdd:
    def test_makes_an_account_and_the_lodge_if_there_is_none(self) -> None:
        result = add("Anna")
        assert (result.exit_code, result.stdout) == (0, "Added anna.\n")
        assert is_password(SECRET)
        assert Path("lodge/lodge.db").stat().st_mode & 0o777 == 0o600
        assert Path("lodge").stat().st_mode & 0o777 == 0o700

    def test_a_second_one_of_a_name_is_refused(self) -> None:
        add("anna")
        result = add("ANNA", "another one")
        assert result.exit_code == 1
        assert (
            result.stderr
            == "netlodge: There is an account `anna` already; `netlodge user passwd anna` sets its password.\n"
        )
        assert is_password(SECRET)

    @pytest.mark.parametrize("name", ["a:b", "", "a b", "-", "\x1b[2J"])
    def test_a_name_that_is_none_is_a_mistake(self, name: str) -> None:
        result = run("add", "--stdin", "--", name, stdin=f"{SECRET}\n")
        assert result.exit_code == 2
        assert "A name has letters and digits" in result.stderr
        assert "\x1b" not in result.stderr
        assert not Path("lodge").exists()

    def test_mistakes_in_the_settings_are_told(self) -> None:
        result = run("add", "anna", "--stdin", "--set", "limits.login_failures=0", stdin=f"{SECRET}\n")
        assert result.exit_code == 2
        assert result.stderr.startswith("--set: limits.login_failures = 0: must be")

    def test_a_database_that_cannot_be_reached_is_one_sentence_without_its_password(self) -> None:
        url = "postgresql://lodge:hunter2@127.0.0.1:1/lodge"
        result = run("add", "anna", "--stdin", "--set", f"database.url={url}", stdin=f"{SECRET}\n")
        assert result.exit_code == 1
        assert re.fullmatch(r"(Made .*\n)?netlodge: [^\n]+\n", result.stderr)
        assert "hunter2" not in result.output


class TestPasswordsOnStandardInput:
    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_are_one_line_without_its_end(self, end: str) -> None:
        assert run("add", "anna", "--stdin", stdin=f"{SECRET} {end}").exit_code == 0
        assert is_password(f"{SECRET} ")

    @pytest.mark.parametrize(
        ("stdin", "sentence"),
        [
            (b"", "has 0 characters; it must have at least 8"),
            (b"short\n", "has 5 characters"),
            (b"password123\n", "tried first"),
            (b"one line 1\nanother 2\n", "more than one line"),
            (b"gr\xfc\xdfe aus kiel\n", "not in UTF-8"),
            (b"x7Ab" * 10_000, "1024 at most"),
        ],
    )
    def test_that_will_not_do_are_refused_with_the_reason(self, stdin: bytes, sentence: str) -> None:
        result = run("add", "anna", "--stdin", stdin=stdin)
        assert result.exit_code == 2
        assert sentence in result.stderr
        assert run("list").stdout == ""

    def test_without_the_option_a_terminal_is_wanted(self) -> None:
        result = run("add", "anna", stdin=f"{SECRET}\n")
        assert result.exit_code == 2
        assert (
            "There is no terminal to ask for the password at; give it on standard input, with --stdin." in result.stderr
        )

    def test_cannot_be_arguments(self) -> None:
        assert run("add", "anna", SECRET).exit_code == 2
        assert run("add", "anna", "--password", SECRET).exit_code == 2


class Terminal:
    """Somebody at a terminal who types what is asked for."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [NETLODGE, "user", *arguments], stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.seen = ""

    def until(self, text: str) -> None:
        """Read until `text` was shown."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            self.seen += os.read(self._master, 4096).decode()

    def type(self, prompt: str, line: str) -> None:
        self.until(prompt)
        self.seen = self.seen.rpartition(prompt)[2]
        os.write(self._master, f"{line}\n".encode())

    def end(self) -> int:
        try:
            while True:
                self.seen += os.read(self._master, 4096).decode()
        except OSError:  # the other side has closed
            pass
        finally:
            os.close(self._master)
        return self.process.wait(PATIENCE)


@pytest.fixture
def at_terminal() -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        made.append(Terminal(*arguments))
        return made[-1]

    yield start
    for terminal in made:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait()


class TestPasswordsAtATerminal:
    def test_are_asked_for_twice_and_not_shown(self, at_terminal: Callable[..., Terminal]) -> None:
        terminal = at_terminal("add", "anna")
        terminal.type("Password for anna: ", SECRET)
        terminal.type("The same again: ", SECRET)
        terminal.until("Added anna.")
        assert terminal.end() == 0
        assert "horse" not in terminal.seen
        assert is_password(SECRET)

    def test_that_will_not_do_may_be_chosen_again(self, at_terminal: Callable[..., Terminal]) -> None:
        terminal = at_terminal("add", "anna")
        terminal.type("Password for anna: ", "short")
        terminal.until("it must have at least 8")
        terminal.type("Password for anna: ", SECRET)
        terminal.type("The same again: ", "correct house")
        terminal.until("These were two different passwords.")
        terminal.type("Password for anna: ", "12345678")
        terminal.until("No password was chosen; nothing was changed.")
        assert terminal.end() == 2
        assert kept() is None


class TestPasswd:
    def test_sets_another_password(self) -> None:
        add()
        result = run("passwd", "Anna", "--stdin", stdin="battery staple\n")
        assert (result.exit_code, result.stdout) == (0, "anna has a new password.\n")
        assert is_password("battery staple")
        assert not is_password(SECRET)

    @pytest.mark.parametrize("is_empty", [True, False])
    def test_of_nobody_is_a_failure_before_a_password_is_asked_for(self, *, is_empty: bool) -> None:
        if not is_empty:
            add("bert")
        result = run("passwd", "anna")
        assert result.exit_code == 1
        assert result.stderr == "netlodge: There is no account `anna`; `netlodge user list` shows those there are.\n"
        assert Path("lodge").exists() is not is_empty


class TestRemove:
    def test_takes_the_account_away(self) -> None:
        add()
        assert run("remove", "ANNA").stdout == "Removed anna.\n"
        assert kept() is None
        assert run("remove", "anna").exit_code == 1

    def test_of_nobody_in_a_lodge_that_is_not_there_makes_none(self) -> None:
        assert run("remove", "anna").exit_code == 1
        assert not Path("lodge").exists()


class TestList:
    def test_shows_accounts_by_name(self) -> None:
        for name in ("jürgen", "anna"):
            add(name)
        run("token", "anna")
        lines = run("list").stdout.splitlines()
        assert [line.split()[0] for line in lines] == ["account", "anna", "jürgen"]
        assert [line.split()[-1] for line in lines] == ["tokens", "1", "0"]
        assert re.fullmatch(r"anna     \d{4}-\d\d-\d\d +1", lines[1])

    def test_of_none_says_how_to_make_one_and_makes_no_lodge(self) -> None:
        result = run("list")
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == "There is no account; `netlodge user add NAME` makes one.\n"
        assert not Path("lodge").exists()


class TestToken:
    def test_is_shown_once_alone_on_standard_output(self) -> None:
        add()
        result = run("token", "anna", "--label", "backup")
        assert re.fullmatch(r"nl_[A-Za-z0-9_-]{43}\n", result.stdout)
        assert result.stderr == "Token backup of anna. It is shown this once:\n"
        everywhere = b"".join(path.read_bytes() for path in Path("lodge").rglob("*") if path.is_file())
        assert result.stdout.strip().encode() not in everywhere

    def test_may_have_an_end(self) -> None:
        add()
        assert re.match(
            r"Token token-1 of anna, good until \d{4}-\d\d-\d\d \d\d:\d\d UTC\.",
            run("token", "anna", "--expires", "90d").stderr,
        )
        assert re.search(r"token-1 +\S+ +\d{4}-\d\d-\d\d \d\d:\d\d UTC", run("token", "anna", "--list").stdout)

    def test_is_worth_nothing_once_it_was_revoked(self) -> None:
        add()
        secret = run("token", "anna", "--label", "ci").stdout.strip()
        assert run("token", "anna", "--revoke", "ci").stdout == "Revoked ci.\n"
        database = Database("sqlite:///lodge/lodge.db", connections=1, timeout=5)
        assert database.run_here(lambda c: accounts.find_holder(c, accounts.digest_of(secret))) is None
        database.close_here()
        assert run("token", "anna", "--revoke", "ci").exit_code == 1

    def test_has_a_label_of_its_own(self) -> None:
        add()
        run("token", "anna", "--label", "ci")
        result = run("token", "anna", "--label", "ci")
        assert (result.exit_code, result.stdout) == (1, "")

    @pytest.mark.parametrize(
        "options",
        [
            ["--expires", "soon"],
            ["--expires", "0s"],
            ["--label", ""],
            ["--label", "a\nb"],
            ["--label", "x" * 65],
            ["--list", "--revoke", "a"],
            ["--label", "a", "--list"],
        ],
    )
    def test_options_that_make_no_sense_are_a_mistake(self, options: list[str]) -> None:
        result = run("token", "anna", *options)
        assert (result.exit_code, result.stdout) == (2, "")

    @pytest.mark.parametrize("options", [[], ["--list"], ["--revoke", "a"]])
    def test_of_nobody_is_a_failure(self, options: list[str]) -> None:
        assert run("token", "anna", *options).exit_code == 1
        add("bert")
        assert run("token", "anna", *options).exit_code == 1


class TestAsRoot:
    def test_what_is_made_is_made_as_the_user_that_the_workers_become(self, monkeypatch: pytest.MonkeyPatch) -> None:
        account = next(each for each in pwd.getpwall() if each.pw_uid != 0)
        dropped: list[tuple[int, bool]] = []

        def drop(to: privileges.Account) -> None:
            dropped.append((to.uid, Path("lodge/lodge.db").exists()))

        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "chown", lambda *arguments, **options: None)
        monkeypatch.setattr("netlodge.cli.user.drop", drop)
        result = run("add", "anna", "--stdin", "--set", f"user={account.pw_name}", stdin=SECRET)
        assert (result.exit_code, result.stdout) == (0, "Added anna.\n")
        assert dropped == [(account.pw_uid, False)]
